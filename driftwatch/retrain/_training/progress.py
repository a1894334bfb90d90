"""How far a job is: one small file, written whole, a second apart at most."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from driftwatch.retrain.dataset import write_json

FILE = "progress.json"
_APART = 1.0
"""Seconds between two writes of one stage."""


class Stopped(BaseException):
    """The process was asked to end; what was trained is in a checkpoint, and the next start goes on from it.

    No ``Exception``: it is raised from a signal, in the midst of libraries that catch those.
    """


class Progress:
    """Writes ``progress.json`` of one job, and knows whether it was asked to end.

    ``clock``: seconds, for the estimate; ``now``: what is written as `at`.
    """

    def __init__(self, job: Path, job_id: str, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self._path = job / FILE
        self._job_id = job_id
        self._now = now
        self._clock = clock
        self._stage = ""
        self._began = self._written = clock()
        self._first = 0
        self.asked_to_end = False
        """Set from a signal: the step that runs is finished, a checkpoint written, and training ends. No event, whose
        lock a second signal could wait for in the midst of the first."""
        self.between_steps = True
        """Whether ending at once loses nothing: no optimiser step has been taken since the last checkpoint."""

    def stage(self, name: str, step: int = 0, steps: int = 0) -> None:
        """Another part of the work begins, at ``step`` of ``steps``."""
        self._stage, self._began, self._first = name, self._clock(), step
        self._write(step, steps, 0.0, None, None)

    def at(self, step: int, steps: int, epoch: float, loss: float | None, measure: float | None) -> None:
        """So far; written where the last was a second ago, and at the end."""
        if step >= steps or self._clock() - self._written >= _APART:
            self._write(step, steps, epoch, loss, measure)

    def raise_if_asked(self) -> None:
        """Between two parts of the work.

        Raises:
            Stopped: the process was asked to end.
        """
        if self.asked_to_end:
            raise Stopped

    def _write(self, step: int, steps: int, epoch: float, loss: float | None, measure: float | None) -> None:
        self._written = self._clock()
        done = step - self._first
        eta = (self._written - self._began) / done * (steps - step) if done > 0 else None
        write_json(
            self._path,
            {
                "version": 1,
                "job_id": self._job_id,
                "stage": self._stage,
                "step": step,
                "steps": steps,
                "epoch": round(epoch, 3),
                "loss": loss,
                "measure": measure,
                "eta_seconds": None if eta is None else round(eta, 1),
                "at": self._now().isoformat(),
            },
        )
