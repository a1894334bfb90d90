"""A program that belongs to a job: started at most once at a time, adopted by whoever comes next, ended with all of it.

Whether it runs is decided by the lock on ``job.lock`` and by nothing else: its keeper (``_keeper.py``) and the program
itself hold it as long as they live, and the system lets go of it however they die. A number of a process may long be
somebody else's.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime

from driftwatch.privacy import redact
from driftwatch.retrain._job_files import DiskTrouble, Line, Name, State, Written
from driftwatch.retrain._keeper import LOG
from driftwatch.retrain.jobs import JobFolder, open_plain
from driftwatch.schedule import show_duration

MOST_STARTS = 5
"""How often a program is started whose process gets killed: machines restart, but memory may also just be too small."""
GRACE = 20.0
"""Seconds between asking a program to end and killing it: a checkpoint takes some."""
_OVERDUE = timedelta(minutes=2)
"""A keeper ends its program sooner; if none has by then, it was killed, and its program runs on without it."""
_KILLED = 5.0
"""Seconds that killed processes may take to be gone."""
_KEEPER = Path(__file__).with_name("_keeper.py")
_LOCK = "job.lock"
MARK = "DRIFTWATCH_JOB"
"""In the environment of everything that belongs to a job: its folder."""
_SHELLS_WORD_FOR_KILLED = (128 + signal.SIGKILL, 128 + signal.SIGTERM)


class Started(Written):
    """That a trainer was started; written before it is."""

    trainer: Name
    start: int
    """1 for the first time."""
    first: AwareDatetime
    at: AwareDatetime


class Ended(Written):
    """How one start of a program ended, as its keeper saw it."""

    start: int
    how: Literal["exited", "timeout", "stopped", "ended"]
    """`ended`: the keeper was asked to, as when the machine goes down."""
    code: int | None = None
    """Negative: the signal that killed it."""
    words: Line = ""

    @property
    def was_killed(self) -> bool:
        """It did not end by itself, so that it may be started again."""
        return self.how == "ended" or (
            self.how == "exited" and self.code is not None and (self.code < 0 or self.code in _SHELLS_WORD_FOR_KILLED)
        )


def started(job: JobFolder) -> Started | None:
    """The latest start; None before the first."""
    return job.read("started.json", Started)


@contextmanager
def locked(job: JobFolder) -> Iterator[int | None]:
    """The lock of the job as an open file; None where somebody else holds it."""
    descriptor = _open_lock(job)
    try:
        yield descriptor if _flock(descriptor, fcntl.LOCK_EX) else None
    finally:
        os.close(descriptor)


def is_running(job: JobFolder) -> bool:
    """Whether a process of the job lives."""
    descriptor = _open_lock(job)
    try:
        return not _flock(descriptor, fcntl.LOCK_SH)  # shared, so that two who look do not see each other
    finally:
        os.close(descriptor)


def _open_lock(job: JobFolder) -> int:
    try:
        return os.open(job.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise DiskTrouble(f"{job.path / _LOCK}: {error.strerror}.") from None


def _flock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def launch(
    job: JobFolder,
    program: Sequence[str],
    env: Mapping[str, str],
    *,
    trainer: str,
    timeout: timedelta,
    now: datetime,
    nice: int = 0,
    grace: float = GRACE,
) -> None:
    """Start ``program``, unless it runs, has ended, or is not to be started again.

    Raises:
        DiskTrouble: there is no lock to be had, or this machine starts no process now.
    """
    with locked(job) as lock:
        before = started(job)
        if lock is None or not _may_start(job, before):
            return
        first = before.first if before else now
        start = before.start + 1 if before else 1
        if (left := (first + timeout - now).total_seconds()) <= 0:
            return
        job.write("started.json", Started(job_id=job.job_id, trainer=trainer, start=start, first=first, at=now))
        _spawn(job, lock, [str(start), str(left), str(grace), str(nice), *program], {**env, MARK: str(job.path)})


def _may_start(job: JobFolder, before: Started | None) -> bool:
    """Nothing has been decided, and the last start, if there was one, was killed."""
    if job.outcome or job.stopping or (job.path / "result.json").exists():
        return False
    ended = _ended(job, before)
    return before is None or (before.start < MOST_STARTS and (ended is None or ended.was_killed))


def _spawn(job: JobFolder, lock: int, arguments: Sequence[str], env: Mapping[str, str]) -> None:
    """The keeper, which goes on by itself: what is waited for here ends at once."""
    command = [sys.executable, "-I", "-S", str(_KEEPER), str(job.path), str(lock), *arguments]
    try:
        with (job.path / LOG).open("ab") as log:
            subprocess.run(  # noqa: S603 - our own interpreter and our own file
                command,
                env=env,
                pass_fds=(lock,),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=job.path,
                timeout=60,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DiskTrouble(f"the trainer of {job.job_id} could not be started: {error}.") from None


def poll(job: JobFolder, timeout: timedelta, now: datetime) -> State:
    """What is to be said of a job whose trainer is a process.

    Raises:
        RetrainError: what the trainer wrote cannot be read.
    """
    begun = started(job)
    if begun is None:
        return _stopped(job, now) or State("waiting", "it has not been started.")
    runs = is_running(job)  # asked first: whoever ends writes down how, and lets go of the lock after that
    ended = _ended(job, begun)
    if ended is not None and not ended.was_killed:
        return _over(job, ended, timeout, now)
    return _running(job, begun, timeout, now) if runs else _killed(job, begun, timeout, now)


def _ended(job: JobFolder, begun: Started | None) -> Ended | None:
    """How the latest start ended, if its keeper said so."""
    ended = job.read("exit.json", Ended)
    return ended if ended and begun and ended.start == begun.start else None


def _running(job: JobFolder, begun: Started, timeout: timedelta, now: datetime) -> State:
    stop = job.stopping
    if now > begun.first + timeout + _OVERDUE or (stop and now > stop.at + _OVERDUE):
        end_all(job)
    return State("running", "", job.progress, begun.start)


def _over(job: JobFolder, ended: Ended, timeout: timedelta, now: datetime) -> State:
    """The program has ended, or was ended."""
    if stopped := _stopped(job, now):
        return stopped
    result = job.result
    if result is not None and result.outcome == "done" and (ended.code or 0) > 0:
        return job.decide("failed", f"its result says done, but its program ended with code {ended.code}.", now)
    if result is not None:
        return job.conclude(result, now)
    if ended.how == "timeout":
        why = f"it was not done within {show_duration(timeout)}, and was ended."
    elif ended.code == 0:
        why = "its program ended with code 0, but wrote no result.json."
    else:
        why = ended.words or f"its program ended with code {ended.code}."
    return job.decide("failed", f"{why} {last_lines(job)}", now)


def _killed(job: JobFolder, begun: Started, timeout: timedelta, now: datetime) -> State:
    """Nobody runs, and nobody said why: the process was killed, or the machine went down."""
    if stopped := _stopped(job, now):
        return stopped
    if (result := job.result) is not None:
        return job.conclude(result, now)
    if now >= begun.first + timeout:
        return job.decide("failed", f"it was not done within {show_duration(timeout)}. {last_lines(job)}", now)
    if begun.start >= MOST_STARTS:
        return job.decide("failed", f"its process was killed {begun.start} times. {last_lines(job)}", now)
    return State("lost", "its process was killed, and is started again.", job.progress, begun.start)


def _stopped(job: JobFolder, now: datetime) -> State | None:
    stop = job.stopping
    return job.decide("failed", f"it was stopped: {stop.reason}", now) if stop else None


def last_lines(job: JobFolder, count: int = 5) -> str:
    """How the log ends, redacted; empty where there is none."""
    file = open_plain(job.path / LOG)
    if file is None:
        return ""
    with file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4000))
        lines = file.read(4000).decode("utf-8", "replace").replace("\r", "\n").split("\n")
    said = [line.strip() for line in lines if line.strip()][-count:]
    return f"Its log ends: {redact(' / '.join(said))[-600:]}" if said else ""


def end_all(job: JobFolder) -> None:
    """Kill every process that carries the mark of the job, where the system tells (Linux): what is left to do when its
    keeper was killed.
    """
    mark = f"{MARK}={job.path}".encode()
    until = time.monotonic() + _KILLED
    while _end_those(mark) and time.monotonic() < until:  # one may be born while the others are looked through
        time.sleep(0.02)


def _end_those(mark: bytes) -> int:
    """Kill each process that carries ``mark``; how many there were."""
    count = 0
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (each / "environ").read_bytes().split(b"\0"):
                os.kill(int(each.name), signal.SIGKILL)
                count += 1
    return count
