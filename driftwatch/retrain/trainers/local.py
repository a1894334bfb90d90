"""`trainer: local`: a process of its own on this machine, so that the monitor goes on whatever becomes of it.

With `scale: ray` that process has a node of a Ray cluster train, and keeps the folder of the job as if it did itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from driftwatch.retrain import _process
from driftwatch.retrain.jobs import JobFolder

LONGEST = timedelta(days=7)
"""After so long it is ended: one job at a time, and a trainer that hangs would keep every other one from beginning."""
NICE = 10
_PACKAGE = Path(__file__).parents[3]


def start(job: JobFolder, now: datetime, cluster: str = "") -> None:
    """Start training; after a kill it goes on from its last checkpoint. ``cluster``: as ``Retrain.cluster``."""
    words = program(job, cluster)
    _process.launch(job, words, environment(os.environ), trainer="local", timeout=LONGEST, now=now, nice=NICE)


def program(job: JobFolder, cluster: str = "") -> list[str]:
    """``-P``: what lies in the folder of the job, where it runs, is no module."""
    training = ["driftwatch.retrain._ray_train", cluster] if cluster else ["driftwatch.retrain.train"]
    return [sys.executable, "-P", "-m", *training, str(job.path)]


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """Our own environment, threads and devices with it, and our own package wherever it runs."""
    return {**own, "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGE), own.get("PYTHONPATH", "")]))}
