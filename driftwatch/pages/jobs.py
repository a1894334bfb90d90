"""Retraining as it goes on: which step a job is at, how far, what was judged, and what a person is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from driftwatch.errors import DriftwatchError
from driftwatch.pages.rendering import NOBODY, Viewer, render
from driftwatch.schedule import show_duration

if TYPE_CHECKING:
    from pathlib import Path

    from driftwatch.approval import Question
    from driftwatch.config import Watch
    from driftwatch.retrain.jobs import JobFolder, Progress
    from driftwatch.retrained import Judgement
    from driftwatch.retraining.course import Course, Ended
    from driftwatch.store import Store

STEPS = {
    "pairs": "questions with known answers are collected",
    "mine": "what is no answer is mined",
    "train": "the model is trained",
    "judge": "the gate compares it with the one in use",
    "ask": "a person is asked",
    "promote": "documents are embedded anew, and it is switched on",
}
MOST_JOBS = 50


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a job."""

    name: str
    words: str
    state: str
    """`done`, `going`, `failed`, `refused`, or empty: it has not begun."""
    said: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One job, read from its folder."""

    job_id: str
    began: datetime
    reasons: tuple[str, ...]
    incident: str
    stages: tuple[Stage, ...]
    progress: Progress | None
    left: str
    """How long the step in hand is going to take, in words."""
    judgement: Judgement | None
    question: Question | None
    ended: Ended | None
    trouble: str
    """Why the folder cannot be read."""

    @property
    def state(self) -> str:
        """For its sign."""
        if self.trouble:
            return "unknown"
        if self.ended is None:
            return "going"
        return {"promoted": "done", "failed": "failed", "refused": "refused"}.get(self.ended.how, "resolved")

    @property
    def words(self) -> str:
        """How things stand, in a sentence."""
        if self.trouble:
            return self.trouble
        if self.ended is not None:
            return f"{self.ended.how}: {self.ended.reason}"
        going = next((stage for stage in self.stages if stage.state == "going"), None)
        return going.words if going is not None else "it waits"

    @property
    def share(self) -> float | None:
        """How much of the step in hand is done, in [0, 1]."""
        return self.progress.step / self.progress.steps if self.progress and self.progress.steps else None


def render_jobs(watch: Watch, store: Store, viewer: Viewer = NOBODY) -> str:
    """Every job, the newest first."""
    jobs = [shown(course, store) for course in _courses(watch)[:MOST_JOBS]]
    return render("jobs.html", watch, viewer, "Jobs", jobs=jobs, configured=watch.retrain is not None)


def render_job(watch: Watch, store: Store, job_id: str, viewer: Viewer = NOBODY) -> str | None:
    """One job; None: there is none of that name."""
    course = next((each for each in _courses(watch) if each.job_id == job_id), None)
    return None if course is None else render("job.html", watch, viewer, "Jobs", job=shown(course, store))


def shown(course: Course, store: Store) -> Shown:
    """What a person sees of a job; a folder that cannot be read says so, and breaks no page."""
    question = store.approvals.of(course.job_id)
    try:
        return _shown(course, question)
    except (DriftwatchError, KeyError, TypeError, ValueError) as error:
        nothing = (None, "", None, question, None)
        began = datetime.fromtimestamp(course.path.stat().st_mtime).astimezone()
        return Shown(course.job_id, began, (), "", (), *nothing, f"its folder cannot be read: {error}")


def _shown(course: Course, question: Question | None) -> Shown:
    wanted, ended = course.wanted, course.ended
    stages = tuple(_stages(course, question, ended))
    progress = _progress(course, stages) if ended is None else None
    left = progress.eta_seconds if progress is not None else None
    return Shown(
        job_id=course.job_id,
        began=course.began,
        reasons=tuple(map(str, wanted.get("reasons", ()))),
        incident=str(wanted.get("incident", "")),
        stages=stages,
        progress=progress,
        left=_lasts(left) if left is not None else "",
        judgement=course.judgement if course.judged else None,
        question=question,
        ended=ended,
        trouble="",
    )


def _stages(course: Course, question: Question | None, ended: Ended | None) -> Iterator[Stage]:
    going = ended is None
    for name, words in STEPS.items():
        state, said = _stage(course, name, question)
        if going and state in ("", "failed"):  # what failed is tried again, or else the job has ended
            state, going = "going", False
        elif state not in ("done", ""):
            going = False
        yield Stage(name, words, state, said)


def _stage(course: Course, name: str, question: Question | None) -> tuple[str, str]:
    """(how it ended, what was said); empty as long as it has not."""
    if name == "ask":
        return _answer(question)
    if name == "promote":
        attempts = course.attempts
        outcome = attempts[-1].outcome if attempts else None
    else:
        outcome = _folder(course, name).outcome
    return (outcome.outcome, outcome.reason) if outcome is not None else ("", "")


def _answer(question: Question | None) -> tuple[str, str]:
    if question is None or question.state == "open":
        return "", ""
    by = question.decided_name or question.decided_by
    return ("done" if question.state == "approved" else "refused"), f"{question.state}{f' by {by}' if by else ''}"


def _folder(course: Course, name: Any) -> JobFolder:
    return course.training if name == "train" else course.step(name)


def _progress(course: Course, stages: tuple[Stage, ...]) -> Progress | None:
    """Of the step in hand."""
    going = next((stage.name for stage in stages if stage.state == "going"), "")
    if going == "promote":
        return course.attempts[-1].progress if course.attempts else None
    return _folder(course, going).progress if going in ("pairs", "mine", "train", "judge") else None


def _lasts(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return show_duration(timedelta(minutes=minutes))


def _courses(watch: Watch) -> list[Course]:
    """The newest first; nothing of retraining is imported where there is none."""
    if watch.retrain is None:
        return []
    from driftwatch.config.release import folder_of
    from driftwatch.retraining.course import courses

    folder: Path = folder_of(watch)
    return sorted(courses(folder), key=lambda course: course.job_id, reverse=True)
