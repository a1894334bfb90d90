"""Who trains: this machine, a program, or something elsewhere that is asked to. Each of them exactly once for one job.

A job is driven by calling ``step`` as often as one likes: every minute, from several daemons, after any crash.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from driftwatch.errors import RetrainError
from driftwatch.retrain import _process
from driftwatch.retrain._job_files import DiskTrouble
from driftwatch.retrain.jobs import JobFolder, State
from driftwatch.retrain.trainer_settings import Command, Webhook
from driftwatch.retrain.trainers import command, local, webhook

Trainer = Literal["local"] | Command | Webhook


def step(job: JobFolder, trainer: Trainer, now: datetime, cluster: str = "") -> State:
    """Do what is due, and say what there is to say then. ``cluster``: where `local` trains (``Retrain.cluster``).

    Raises:
        RetrainError: the folder cannot be read or written, or this machine starts no process.
    """
    state = poll(job, trainer, now)
    if state.name in ("waiting", "lost"):
        start(job, trainer, now, cluster)
        return poll(job, trainer, now)
    return state


def start(job: JobFolder, trainer: Trainer, now: datetime, cluster: str = "") -> None:
    """Start the trainer of a job, or ask it again where that is due; whoever runs or has ended is left alone.

    Raises:
        RetrainError: as ``step``.
    """
    if not job.path.is_dir():
        raise RetrainError(f"{job.path}: there is no job.", remedy="Start a new one.")
    if _another(job, trainer) or not _is_sound(job, now):
        return
    if isinstance(trainer, Webhook):
        webhook.start(job, trainer, now)
    elif isinstance(trainer, Command):
        command.start(job, trainer, now)
    else:
        local.start(job, now, cluster)


def poll(job: JobFolder, trainer: Trainer, now: datetime) -> State:
    """How a job is doing; starts nothing. A trainer that wrote nonsense has failed.

    Raises:
        RetrainError: as ``step``.
    """
    if (decided := job.outcome) is not None:
        return job.decide(decided.outcome, decided.reason, now)
    try:
        return _polled(job, trainer, now)
    except DiskTrouble:
        raise
    except RetrainError as error:
        return job.decide("failed", str(error), now)


def stop(job: JobFolder, reason: str, now: datetime) -> None:
    """Let a job end, by ``reason``: its process within a second, with all that it started. What was asked of a trainer
    elsewhere is not called back; what it brings is not taken.
    """
    job.stop(reason, now)


def _polled(job: JobFolder, trainer: Trainer, now: datetime) -> State:
    if before := _another(job, trainer):
        return _left_by(before, job, now)
    if isinstance(trainer, Webhook):
        return webhook.poll(job, trainer, now)
    return _process.poll(job, trainer.timeout if isinstance(trainer, Command) else local.LONGEST, now)


def _left_by(before: str, job: JobFolder, now: datetime) -> State:
    """A job that was started by a trainer which the settings no longer have: it may end, and is not started again."""
    is_gone = before == "webhook" and job.result is None
    state = State("lost") if is_gone else _process.poll(job, local.LONGEST, now)
    if state.name == "lost":
        return job.decide(
            "failed", f"it was started by `trainer: {before}`, and the trainer is another one since.", now
        )
    return state


def _is_sound(job: JobFolder, now: datetime) -> bool:
    """Whether there is a job that could be started; one that cannot be read has failed."""
    try:
        return bool(job.job)
    except DiskTrouble:
        raise
    except RetrainError as error:
        return job.decide("failed", str(error), now).name == "done"


def _another(job: JobFolder, trainer: Trainer) -> str:
    """The kind of trainer that a job was started by, if that is not the one of now; else empty."""
    begun = _process.started(job)
    kind = "webhook" if isinstance(trainer, Webhook) else "command" if isinstance(trainer, Command) else "local"
    return begun.trainer if begun and begun.trainer != kind else ""
