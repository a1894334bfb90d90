"""How far a job is, read from its folder: what has been done has left its file, whoever did it and was killed since.

::

    wanted.json          that it was begun, when and why           steward, or a person
    steps/pairs/         pairs and guards -> dataset/              worker
    steps/mine/          what is no answer -> dataset/, sealed     worker
    (the job itself)     training -> candidate/                    trainer
    steps/judge/         old against new -> judgement.json         worker
    (in the database)    yes or no, and whose                      a person
    steps/promote-1/     re-embedding, the switch; again where     worker
                         something had to be waited for
    steps/pairs-2/       a step that failed, tried again           worker
    ended.json           what has become of it; it never changes   steward, or a person
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from driftwatch.compared import Comparison, comparison_of
from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retrain.jobs import JOBS, JobFolder
from driftwatch.retrain.trigger import Job
from driftwatch.retrained import Difference, Judgement, Reason

Step = Literal["pairs", "mine", "judge"]
"""What a worker does, in a process of its own."""
STEPS: tuple[Step, ...] = get_args(Step)

End = Literal["promoted", "rejected", "refused", "failed", "expired", "rolled back"]
"""`refused`: there was too little to train on, or the gate said no, or the new index must not be used."""

MADE = "made"
CANDIDATE = "candidate"
"""Where the model is, unless the trainer says otherwise."""
JUDGEMENT = "judgement.json"

_OUTCOMES: Mapping[End, str] = {"promoted": "done", "rolled back": "done", "failed": "failed"}
"""As the trigger counts it; what is not here was refused."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What has become of a job."""

    how: End
    reason: str
    at: datetime


class Course:
    """One job of retraining. Every property reads the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.training = JobFolder(self.path)

    @property
    def job_id(self) -> str:
        """The name of the folder."""
        return self.path.name

    @property
    def wanted(self) -> dict[str, Any]:
        """When it was begun (`at`), for what incident, and with what reasons.

        Raises:
            RetrainError: there is no such job.
        """
        return read_json(self.path / "wanted.json")

    @property
    def began(self) -> datetime:
        """The moment that its pairs reach up to."""
        return datetime.fromisoformat(str(self.wanted["at"]))

    @property
    def candidate(self) -> Path:
        """The folder of the model, which the trainer named.

        Raises:
            RetrainError: it is not inside the folder of the job.
        """
        trained = self.training.outcome
        return self.training.inside(Path((trained.candidate if trained else "") or CANDIDATE), "candidate")

    def step(self, name: Step) -> JobFolder:
        """The folder of a step, which is kept like a job of its own; of one that was tried again, the latest."""
        return self.tries(name)[-1]

    def tries(self, name: Step) -> list[JobFolder]:
        """The goes at a step, the first first; one at least, which may not have begun."""
        return [JobFolder(self.path / "steps" / name), *self._numbered(name)]

    def another(self, name: Step) -> JobFolder:
        """The next go at a step."""
        return JobFolder(self.path / "steps" / f"{name}-{len(self.tries(name)) + 1}")

    @property
    def attempts(self) -> list[JobFolder]:
        """The goes at promoting it, the first first."""
        return self._numbered("promote")

    def _numbered(self, name: str) -> list[JobFolder]:
        found = {each: each.name[len(name) + 1 :] for each in (self.path / "steps").glob(f"{name}-*")}
        numbers = {each: int(number) for each, number in found.items() if number.isdecimal()}
        return [JobFolder(each) for each in sorted(numbers, key=lambda each: numbers[each])]

    def attempt(self, number: int) -> JobFolder:
        """One of them."""
        return JobFolder(self.path / "steps" / f"promote-{number}")

    @property
    def reached(self) -> str:
        """The step that it is at."""
        for name in ("pairs", "mine"):
            if not _is_done(self.step(name)):
                return name
        if self.training.outcome is None:
            return "train"
        return "ask or promote" if _is_done(self.step("judge")) else "judge"

    def said(self, name: str) -> str:
        """What a step said at its end; empty where it has not ended."""
        if name not in STEPS and name != "train":
            return ""
        outcome = (self.training if name == "train" else self.step(name)).outcome  # type: ignore[arg-type]
        return outcome.reason if outcome else ""

    @property
    def reports(self) -> Mapping[str, str]:
        """Step -> the file that tells what it made, and what it left out."""
        found = {name: self.step(name).path / MADE / "report.json" for name in STEPS}
        return {name: str(path) for name, path in found.items() if path.exists()}

    @property
    def judged(self) -> bool:
        """Whether the gate has spoken."""
        return (self.path / JUDGEMENT).exists()

    @property
    def judgement(self) -> Judgement:
        """What the gate said.

        Raises:
            RetrainError: it has not said anything.
        """
        said = read_json(self.path / JUDGEMENT)
        return Judgement(
            bool(said["passed"]),
            tuple(Reason(**each) for each in said["reasons"]),
            tuple(Difference(**each) for each in said["differences"]),
            tuple(said["notes"]),
        )

    @property
    def comparison(self) -> Comparison:
        """Both models side by side, as they were when the gate spoke.

        Raises:
            RetrainError: it has not said anything, or what is kept cannot be read.
        """
        try:
            return comparison_of(read_json(self.path / JUDGEMENT).get("comparison"))
        except ValueError as error:
            raise RetrainError(f"{self.path / JUDGEMENT}: {error}.", remedy="Start a new job.") from None

    @property
    def ended(self) -> Ended | None:
        """What has become of it; None as long as it goes on."""
        said = _read(self.path / "ended.json")
        return None if said is None else Ended(said["how"], str(said["reason"]), _moment(said["at"]))

    def begin(self, now: datetime, incident: str, reasons: list[str]) -> None:
        """Begin it; a second time changes nothing."""
        if not (self.path / "wanted.json").exists():
            write_json(self.path / "wanted.json", {"version": 1, "at": now, "incident": incident, "reasons": reasons})

    def end(self, how: End, reason: str, now: datetime) -> Ended:
        """It is over; the first word counts."""
        if self.ended is None:
            write_json(self.path / "ended.json", {"version": 1, "how": how, "reason": reason, "at": now})
        ended = self.ended
        assert ended is not None
        return ended

    def as_past(self) -> Job:
        """As the trigger counts it."""
        ended = self.ended
        if ended is None:
            return Job(self.job_id, self.began)
        return Job(self.job_id, self.began, ended.at, _OUTCOMES.get(ended.how, "refused"))


def courses(folder: Path) -> Iterator[Course]:
    """The jobs below ``folder``, the oldest day first."""
    place = folder / JOBS
    for each in sorted(place.iterdir()) if place.is_dir() else ():
        if (each / "wanted.json").is_file() and not each.is_symlink():
            yield Course(each)


def open_course(folder: Path) -> Course | None:
    """The job that is not over; None: there is none."""
    return next((each for each in courses(folder) if each.ended is None), None)


def _is_done(step: JobFolder) -> bool:
    return step.outcome is not None and step.outcome.outcome == "done"


def _read(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        raise RetrainError(f"{str(text)[:80]!r} is not a moment.", remedy="Start a new job.") from None
