"""`trainer: {run: […]}`: a program of yours, such as one that runs a Kubernetes Job and waits for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from driftwatch.retrain import _process
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrain.trainer_settings import Command
from driftwatch.retrain.trainers._places import places
from driftwatch.retrievers._template import filled

_ALWAYS = ("PATH", "HOME", "LANG", "LANGUAGE", "TZ")


def start(job: JobFolder, trainer: Command, now: datetime) -> None:
    """Start the program; after a kill it is started again with the same job."""
    program = [str(word) for word in filled(list(trainer.run), places(job))]
    env = environment(os.environ, trainer.env)
    _process.launch(job, program, env, trainer="command", timeout=trainer.timeout, now=now)


def environment(own: Mapping[str, str], allowed: tuple[str, ...]) -> dict[str, str]:
    """What of our own environment the program gets: no token of ours, unless it is named."""
    return {name: value for name, value in own.items() if name in _ALWAYS or name.startswith("LC_") or name in allowed}
