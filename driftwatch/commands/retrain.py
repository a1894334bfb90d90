"""`retrain …`: a job by hand, step by step, beside the daemon or without one; the steps run in their own processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.commands import opened, say
from driftwatch.errors import RetrainError
from driftwatch.show import at, now_utc, number, safe, table

if TYPE_CHECKING:
    from driftwatch.retraining.course import Course
    from driftwatch.retraining.steward import Stand, Steward

NO, WAITS = 1, 3
"""Exit codes: it ended without a model in use, or is not over."""

_LOOK = 0.5
"""Seconds between two looks at a step."""


@contextmanager
def _steward(config: Path) -> Iterator[Steward]:
    from driftwatch.retraining.material import retrain_of
    from driftwatch.retraining.steward import Steward

    with opened(config) as (watch, store):
        retrain_of(watch)
        yield Steward(watch, store)


# --- how things stand -------------------------------------------------------------------------------------------------


def status(config: Path, *, json: bool) -> None:
    """Print the release in use, the jobs, and what speaks for and against beginning one."""
    from driftwatch.config.release import registry_of
    from driftwatch.retraining.course import courses

    now = now_utc()
    with _steward(config) as steward:
        registry, zone = registry_of(steward.watch), steward.watch.timezone
        current, decision = registry.current(), steward.decision(now, counting=True)
        jobs = [_shown(each) for each in courses(steward.folder)]
    content = {"release": current, "start": decision.start, "reasons": decision.reasons, "jobs": jobs}
    release = f"in use: {current.release} ({safe(current.model)})" if current else "in use: what the configuration says"
    reasons = [("yes" if each.passed else "no", each.name, each.sentence) for each in decision.reasons]
    rows = [(each["job"], at(each["began"], zone), each["step"], each["reason"]) for each in jobs]
    say(
        json,
        content,
        release,
        table("may a job begin?", ("", "reason", ""), reasons),
        *([table("jobs", ("job", "began", "step", ""), rows)] if rows else []),
    )


def _shown(course: Course) -> dict[str, Any]:
    ended = course.ended
    step = ended.how if ended else course.reached
    return {"job": course.job_id, "began": course.began, "step": step, "reason": ended.reason if ended else ""}


# --- a step -----------------------------------------------------------------------------------------------------------


def pairs(config: Path, *, json: bool) -> int:
    """Begin a job by hand and collect its pairs."""
    from driftwatch.retraining.course import open_course

    with _steward(config) as steward:
        if (there := open_course(steward.folder)) is not None:
            raise RetrainError(
                f"the job {there.job_id} is not over.",
                remedy=f"Go on with it, or end it: driftwatch retrain reject --job {there.job_id}",
            )
        now = now_utc()
        course = steward.begin(now, ["It was begun by hand."], f"by hand {now.isoformat()}")
        return _done(_until(steward, course, "pairs"), course, json=json)


def step(config: Path, job: str, name: str, *, json: bool) -> int:
    """Do the steps of a job up to ``name``, and wait until they are done; empty: up to the question to a person."""
    with _steward(config) as steward:
        course = _course(steward, job)
        return _done(_until(steward, course, name or "ask"), course, json=json)


def _course(steward: Steward, job: str) -> Course:
    from driftwatch.retrain.jobs import job_folder
    from driftwatch.retraining.course import Course, open_course

    course = Course(job_folder(steward.folder, job).path) if job else open_course(steward.folder)
    if course is None or not (course.path / "wanted.json").exists():
        raise RetrainError(
            f"there is no job '{job}'." if job else "no job is under way.",
            remedy="See `driftwatch retrain status`; `driftwatch retrain pairs` begins one.",
        )
    return course


def _until(steward: Steward, course: Course, name: str) -> Stand:
    """Drive the job until ``name`` is done (empty: all is), it is over, a step failed, or only a person can go on; says
    how far. What failed before is tried again first.
    """
    told = ""
    steward.hurry(course, now_utc())
    while True:
        stand = steward.go_on(course, now_utc(), name)
        if stand.doing == "ask" or not stand.sentence or course.ended is not None or _failed(course):
            return stand
        line = f"{stand.doing}: {stand.sentence}"
        if line != told:
            print(safe(line), file=sys.stderr)
        told = line
        time.sleep(_LOOK)


def _failed(course: Course) -> bool:
    """Whether a step waits to be tried again."""
    from driftwatch.retraining.course import STEPS
    from driftwatch.retraining.steward import again_at

    return any(again_at(course, name) is not None for name in STEPS)


def _done(stand: Stand, course: Course, *, json: bool) -> int:
    """Print how the job stands; the exit code."""
    ended = course.ended
    reports = course.reports
    said = f"{stand.doing}: {stand.sentence or course.said(stand.doing) or 'done'}"
    say(json, {"job": stand.job, "step": stand.doing, "said": said, "reports": reports}, f"job {stand.job}, {said}")
    if ended is None:
        return NO if _failed(course) else 0
    return 0 if ended.how == "promoted" else NO


# --- the gate ---------------------------------------------------------------------------------------------------------


def gate(config: Path, job: str, *, json: bool) -> int:
    """Judge the candidate and print every reason, every figure, and both models side by side."""
    from driftwatch.commands.compare import as_content, tables

    with _steward(config) as steward:
        course = _course(steward, job)
        stand = _until(steward, course, "judge")
        if not course.judged:
            return _done(stand, course, json=json)
        judgement, comparison = course.judgement, course.comparison
    rows = [
        (each.measure, each.group, each.lang, str(each.n), number(each.old), number(each.new), _interval(each))
        for each in judgement.differences
    ]
    reasons = [("yes" if each.passed else "no", each.name, each.sentence) for each in judgement.reasons]
    say(
        json,
        {"job": course.job_id, "judgement": judgement, "comparison": as_content(comparison)},
        table("the gate says yes" if judgement.passed else "the gate says no", ("", "reason", ""), reasons),
        table("", ("measure", "questions", "language", "n", "old", "new", "difference"), rows),
        *judgement.notes,
        *tables(comparison),
    )
    return 0 if judgement.passed else NO


def _interval(each: Any) -> str:
    return f"{each.gain:+.3f} ({each.low:+.3f} to {each.high:+.3f})"


# --- a person ---------------------------------------------------------------------------------------------------------


def promote(config: Path, job: str, by: str, *, json: bool) -> int:
    """Say yes, where nobody has yet, and wait until the model is in use; goes on where it was when it was killed."""
    with _steward(config) as steward:
        course = _course(steward, job)
        question = steward.store.approvals.of(course.job_id)
        if question is None or question.state != "approved":
            _decided(steward, course, "approve", by)
        if course.ended is not None and course.ended.how == "promoted" and not _in_use(steward, course):
            raise RetrainError(
                f"the model of the job {course.job_id} was in use, and another one is since.",
                remedy="What somebody went back from is not switched on again: driftwatch retrain pairs",
            )
        return _done(_until(steward, course, ""), course, json=json)


def reject(config: Path, job: str, by: str, *, json: bool) -> int:
    """Say no, until the model is in use; what runs of the job is ended."""
    with _steward(config) as steward:
        course = _course(steward, job)
        question = steward.store.approvals.of(course.job_id)
        if course.ended is None and (question is None or question.state == "approved"):
            if _in_use(steward, course):
                raise RetrainError(
                    f"the model of the job {course.job_id} is in use.", remedy="driftwatch retrain rollback"
                )
            steward.stop(course, f"{by} did not want it.", now_utc())
        else:
            _decided(steward, course, "reject", by)
            steward.go_on(course, now_utc())
        ended = course.ended
    say(json, {"job": course.job_id, "ended": ended}, f"job {course.job_id}: {ended.how if ended else 'goes on'}")
    return 0


def _in_use(steward: Steward, course: Course) -> bool:
    from driftwatch.config.release import registry_of

    current = registry_of(steward.watch).current()
    return current is not None and current.job == course.job_id


def _decided(steward: Steward, course: Course, action: Any, by: str) -> None:
    decision = steward.store.approvals.decide_by_hand(course.job_id, action, by, now_utc())
    if decision is None:
        raise RetrainError(
            f"nobody was asked about the job {course.job_id} yet.",
            remedy="Run the steps before: driftwatch retrain run",
        )
    if not decision.accepted:
        raise RetrainError(decision.why)


def rollback(config: Path, by: str, leave: str, *, json: bool) -> int:
    """Go back to the release before, and tell the service; ``leave``: only from this one."""
    from driftwatch.config import read_watch
    from driftwatch.retraining.promoting import roll_back

    watch = read_watch(config)  # and not by what is in use, which may be what is damaged
    manifest, told = roll_back(watch, by, now_utc(), leave)
    say(
        json,
        {"release": manifest, "told": told},
        f"in use: {manifest.release} ({safe(manifest.model)}). {told}".strip(),
    )
    return 0
