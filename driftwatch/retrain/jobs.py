"""A job is a folder, and everything about it is in there: nothing is kept in the memory of who watches it.

===============  ============================  ======================================================================
file             who writes it                 what it says
===============  ============================  ======================================================================
job.json         who begins the job            what is wanted; its id is what makes asking twice harmless
started.json     who starts the trainer        that it was started, before it is
exit.json        who keeps its process         how the program ended
request.json     who asks a trainer elsewhere  how often it was asked, and what it answered
progress.json    the trainer                   how far it is
result.json      the trainer, or its callback  how it ended, and where the candidate is
stop.json        a person                      that it shall end
outcome.json     who watches it                what has become of it; it never changes again
===============  ============================  ======================================================================

What the trainer writes is foreign: it is read with limits, and a candidate outside of the folder is none.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import orjson
from pydantic import ValidationError

from driftwatch.errors import RetrainError
from driftwatch.retrain._job_files import (
    ID,
    Decided,
    DiskTrouble,
    Job,
    Outcome,
    Progress,
    Result,
    State,
    Stop,
    Written,
    one_line,
)
from driftwatch.retrain.dataset import write_json

__all__ = ["Job", "JobFolder", "Progress", "Result", "State", "job_folder", "list_jobs", "new_job_id", "write_job"]

JOBS = "jobs"
MOST_BYTES = 1 << 20
_NEW_JOB = "Start a new job."
_FOR_GOOD = frozenset({errno.ELOOP, errno.ENXIO, errno.EACCES, errno.ENOTDIR, errno.ENAMETOOLONG})
"""What opening a file does not get over by itself: a link, a pipe, somebody else's."""

W = TypeVar("W", bound=Written)


class JobFolder:
    """One job. Every property reads the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def __repr__(self) -> str:
        return f"JobFolder({str(self.path)!r})"

    @property
    def job_id(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def job(self) -> Job:
        """What is wanted.

        Raises:
            RetrainError: there is no ``job.json``, or it is not this job's, or reaches outside of the folder.
        """
        job = self.read("job.json", Job)
        if job is None:
            raise RetrainError(f"{self.path / 'job.json'}: No such file or directory.", remedy=_NEW_JOB)
        self.inside(job.dataset, "dataset")
        self.inside(job.output, "output")
        return job

    @property
    def progress(self) -> Progress | None:
        """How far it is; None where nothing is said, or nothing that can be read."""
        try:
            return self.read("progress.json", Progress)
        except RetrainError:
            return None

    @property
    def result(self) -> Result | None:
        """How training ended; None as long as it has not.

        Raises:
            RetrainError: what was written is no result, or its candidate is none.
        """
        result = self.read("result.json", Result)
        if result is not None and result.outcome == "done":
            self.candidate(result)
        return result

    @property
    def outcome(self) -> Decided | None:
        """What has become of it; None as long as that is open.

        Raises:
            RetrainError: somebody else wrote there.
        """
        decided = self.read("outcome.json", Decided)
        if decided is not None and decided.outcome == "done":
            self.inside(Path(decided.candidate or "."), "candidate")
        return decided

    @property
    def stopping(self) -> Stop | None:
        """Who wants it to end, if anybody does."""
        return self.read("stop.json", Stop)

    def candidate(self, result: Result) -> Path:
        """The folder of the model that ``result`` names.

        Raises:
            RetrainError: it lies outside of the job's folder, or is no folder, or holds a link.
        """
        path = self.inside(Path(result.candidate or "."), "candidate")
        if not path.is_dir():
            raise RetrainError(f"{self.path / 'result.json'}: 'candidate' is no folder.", remedy=_NEW_JOB)
        for folder, folders, files in os.walk(path):
            if link := next((name for name in (*folders, *files) if Path(folder, name).is_symlink()), None):
                raise RetrainError(f"{self.path / 'result.json'}: the candidate holds the link {link!r}.")
        return path

    def inside(self, given: Path, name: str) -> Path:
        """``given`` without links, if it lies below the folder.

        Raises:
            RetrainError: it does not.
        """
        try:
            path, home = (self.path / given).resolve(), self.path.resolve()
        except (OSError, ValueError, RuntimeError) as error:
            raise RetrainError(f"{self.path}: {name!r} is no path: {one_line(str(error))}.") from None
        if path == home or not path.is_relative_to(home):
            raise RetrainError(
                f"{self.path}: {name!r} is {one_line(str(given))!r}, which is not inside the folder of the job.",
                remedy="A trainer must see the folder under the same path, or name its candidate relative to it.",
            )
        return path

    def decide(self, outcome: Outcome, reason: str, now: datetime, candidate: str = "") -> State:
        """Write down what has become of it, unless that was known before; what is known now."""
        decided = self.outcome
        if decided is None:
            decided = Decided(job_id=self.job_id, outcome=outcome, reason=reason, at=now, candidate=candidate)
            self.write("outcome.json", decided)
        return State("done" if decided.outcome == "done" else "failed", decided.reason, self.progress)

    def conclude(self, result: Result, now: datetime) -> State:
        """Decide as ``result`` says.

        Raises:
            RetrainError: its candidate is none.
        """
        if result.outcome == "done":
            return self.decide("done", result.reason, now, str(self.candidate(result)))
        return self.decide(result.outcome, result.reason or "the trainer gave no reason.", now)

    def stop(self, reason: str, now: datetime) -> None:
        """Let it end: whoever keeps its process sees this within a second, and nobody starts it again."""
        if self.outcome is None and self.stopping is None:
            self.write("stop.json", Stop(job_id=self.job_id, reason=reason, at=now))

    def read(self, name: str, written: type[W]) -> W | None:
        """One file; None where there is none.

        Raises:
            RetrainError: it cannot be read, is too large, or is another job's.
        """
        path = self.path / name
        file = open_plain(path)
        if file is None:
            return None
        try:
            with file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise DiskTrouble(f"{path}: {error.strerror}.") from None
        if len(content) > MOST_BYTES:
            raise RetrainError(f"{path}: is larger than {MOST_BYTES} bytes.", remedy=_NEW_JOB)
        try:
            read = written.model_validate(orjson.loads(content))
        except ValidationError as error:
            raise RetrainError(f"{path}: {wrong(error)}.", remedy=_NEW_JOB) from None
        except ValueError:
            raise RetrainError(f"{path}: is not JSON.", remedy=_NEW_JOB) from None
        if read.job_id != self.job_id:
            raise RetrainError(f"{path}: is of the job {read.job_id}, not of {self.job_id}.", remedy=_NEW_JOB)
        return read

    def write(self, name: str, written: Written) -> None:
        """One file, whole or not at all.

        Raises:
            DiskTrouble: the disk is full, or the like.
        """
        try:
            write_json(self.path / name, written.model_dump(mode="json"))
        except OSError as error:
            raise DiskTrouble(f"{self.path / name}: {error.strerror}.") from None


def open_plain(path: Path) -> BinaryIO | None:
    """A file that is no link, pipe or device; None where there is none.

    Raises:
        RetrainError: it is another thing, or may not be read (``DiskTrouble``: or only not now).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        trouble = RetrainError if error.errno in _FOR_GOOD else DiskTrouble
        raise trouble(f"{path}: {error.strerror}.", remedy=_NEW_JOB if trouble is RetrainError else "") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RetrainError(f"{path}: is not a file.", remedy=_NEW_JOB)
    return os.fdopen(descriptor, "rb")


def wrong(error: ValidationError) -> str:
    """The first thing that is wrong with a file, in words."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return one_line(f"{'.'.join(str(each) for each in first['loc'])}: {first['msg']}")


def new_job_id(now: datetime, seed_material: Iterable[str]) -> str:
    """``<day>-<8 hex>`` of what asks for a job: on one day, the same service, incident and data are the same job.

    >>> new_job_id(datetime(2026, 11, 21, 9, tzinfo=UTC), ["help-centre", "incident-7", "9f86d0"])
    '20261121-d85281f5'
    """
    digest = sha256(orjson.dumps(list(seed_material))).hexdigest()
    return f"{now.astimezone(UTC):%Y%m%d}-{digest[:8]}"


def job_folder(root: Path, job_id: str) -> JobFolder:
    """The job of that id below ``root``, the folder of retraining.

    Raises:
        RetrainError: that is no id.
    """
    if not ID.fullmatch(job_id):
        raise RetrainError(f"{one_line(job_id)[:80]!r} is not the id of a job: letters, digits and hyphens.")
    return JobFolder(root / JOBS / job_id)


def write_job(folder: Path, spec: Mapping[str, Any]) -> JobFolder:
    """Make the job that ``spec``, the content of ``job.json``, asks for. A second time changes nothing.

    Raises:
        RetrainError: ``spec`` is not a job of this folder, or the folder holds another one.
    """
    job = JobFolder(folder)
    try:
        wanted = Job.model_validate(dict(spec))
    except ValidationError as error:
        raise RetrainError(f"job.json: {wrong(error)}.") from None
    if wanted.job_id != job.job_id:
        raise RetrainError(f"{folder}: must be named as its job, {wanted.job_id}.")
    job.inside(wanted.dataset, "dataset")
    job.inside(wanted.output, "output")
    if (folder / "job.json").exists():
        if job.job != wanted:
            raise RetrainError(f"{folder / 'job.json'}: there is another job of this id.", remedy="Keep the first.")
        return job
    job.write("job.json", wanted)
    return job


def list_jobs(root: Path) -> list[JobFolder]:
    """The jobs below ``root``, the folder of retraining, oldest day first."""
    try:
        found = sorted(each for each in (root / JOBS).iterdir() if ID.fullmatch(each.name))
    except FileNotFoundError:
        return []
    return [JobFolder(each) for each in found if not each.is_symlink() and (each / "job.json").is_file()]
