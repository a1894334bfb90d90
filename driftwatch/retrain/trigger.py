"""May a job begin? Only for a drift that lasts, whose cause is the model, with pairs to train on. Pure.

That an alert is still firing is no evidence: it fires until it is shown to be over, and while it does its ledger is
given nothing. So time since the page is cut into stretches of `window`, one after the other, and in each of them the
drift must show itself anew, by what was seen in that stretch alone. Every reason against a job is given, and not only
the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from driftwatch.checks import Check
from driftwatch.retrain.settings import Retrain
from driftwatch.retrained import Reason
from driftwatch.show import at as shown
from driftwatch.show import safe
from driftwatch.types import Alert, Diagnosis, Finding

MODEL_MISMATCH = "model mismatch"
"""The only cause that may ask for retraining."""
DAY = timedelta(days=1)
MONTH = timedelta(days=30)
MOST = 0.5
"""More than this share of the looks of a stretch must show the drift, and on this share of its days there must be one.

So of looks that each show a drift by chance one time in forty (a 95 % interval, one side of it), however dependent they
are, chance makes a stretch in at most one of twenty (Markov's inequality).
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look says of one stretch of time."""

    start: datetime
    end: datetime
    """Nothing from outside ``start`` to ``end`` is in it."""
    beyond: bool
    """Whether all that the effect may be, by its 95 % interval, is past the floor of the check."""

    @classmethod
    def of(cls, finding: Finding, check: Check) -> Look | None:
        """What ``finding`` says of the window that it judged; None where it tells no size."""
        if finding.verdict == "unknown" or finding.effect is None or finding.interval is None:
            return None
        low, high = finding.interval
        ends = (replace(finding, effect=effect) for effect in (low, finding.effect, high))
        # A check that minds both directions takes either end of an interval around nothing for large.
        beyond = low * high > 0 and all(check.past_floor(each) for each in ends)
        return cls(finding.at - check.window, finding.at, beyond)


@dataclass(frozen=True, slots=True)
class Passed:
    """A ledger that held nothing at ``since`` and passed the budget at ``at``."""

    since: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert that is firing now."""

    check: str
    segment: str
    began: datetime
    looks: tuple[Look, ...] = ()
    """In any order; those from before it began count nowhere."""
    passed: tuple[Passed, ...] = ()
    """Ledgers that began anew since then; none where nobody gathered the evidence again."""
    diagnoses: tuple[Diagnosis, ...] = ()
    """What was thought of its incident; each holds until the next one."""

    @classmethod
    def of(
        cls, alert: Alert, findings: Iterable[Finding], check: Check, diagnoses: Iterable[Diagnosis] = ()
    ) -> Firing | None:
        """From an ``alert`` and what ``check`` found since it fired; None where it is not firing."""
        if alert.state != "firing" or alert.fired_at is None:
            return None
        own = [each for each in findings if (each.check, each.segment) == (alert.check, alert.segment)]
        looks = tuple(look for each in own if (look := Look.of(each, check)) is not None)
        return cls(alert.check, alert.segment, alert.fired_at, looks, diagnoses=tuple(diagnoses))


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was begun."""

    job_id: str
    started: datetime
    finished: datetime | None = None
    """None: it is running."""
    outcome: str = ""
    """`done`, `failed` or `refused`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the decision rests on."""

    firings: tuple[Firing, ...] = ()
    """Of whatever checks; those that are not named in `when` are left out."""
    pairs: int = 0
    """Questions with an answer, before a guard has looked at them; below 50 that are left, the strategy says no."""
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a job begins now; only where every reason passed."""

    start: bool
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """One of the windows in which the drift must show itself."""

    start: datetime
    end: datetime
    shows: bool
    looks: int
    """That tell something of this stretch alone, none overlapping another."""
    beyond: int
    """Of these, whose whole interval is past the floor."""
    passed: bool
    """A ledger that began in it passed the budget in it."""


def decide(evidence: Evidence, settings: Retrain, now: datetime) -> Decision:
    """Whether a job begins ``now``, with all reasons for and against."""
    courses = [
        _Course.of(each, evidence.jobs, settings, now) for each in evidence.firings if each.check in settings.when
    ]
    # The alert that comes nearest to a job is the one that is told of.
    course = max(courses, key=lambda each: (each.mismatch is not None, each.row, each.place), default=None)
    reasons = (
        _cause(course, settings),
        _lasting(course, settings),
        _pairs(evidence, settings),
        _one_at_a_time(evidence, now),
        _cool_down(evidence, settings, now),
        _month(evidence, settings, now),
    )
    return Decision(all(reason.passed for reason in reasons), reasons)


def stretches(firing: Firing, since: datetime, window: timedelta, now: datetime) -> tuple[Stretch, ...]:
    """The windows that are over, oldest first, the first of them from ``since`` on.

    They follow from where the drift began and not from ``now``: deciding every hour is not another try every hour.
    """
    count = max(0, (now - since) // window)
    return tuple(_stretch(firing, since + number * window, since + (number + 1) * window) for number in range(count))


# --- does it last? ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Course:
    """How far one alert has come."""

    place: tuple[str, str]
    cause: str
    """What is thought of it now; empty: nothing."""
    mismatch: datetime | None
    """Since when nothing but a model mismatch was thought; None: something else is, now."""
    began: datetime
    """Where its first window begins: what came before the diagnosis, or before the last job ended, is not in it."""
    over: tuple[Stretch, ...] = ()

    @classmethod
    def of(cls, firing: Firing, jobs: Iterable[Job], settings: Retrain, now: datetime) -> _Course:
        held = _held(firing.diagnoses, now)
        mismatch = _mismatch_since(held)
        began = max([firing.began, mismatch or now, *(each.finished or now for each in jobs)])
        over = stretches(firing, began, settings.window, now)
        return cls((firing.check, firing.segment), held[-1].cause if held else "", mismatch, began, over)

    @property
    def row(self) -> int:
        """The newest windows that show the drift, up to the first that does not."""
        return next((number for number, each in enumerate(reversed(self.over)) if not each.shows), len(self.over))

    @property
    def name(self) -> str:
        check, segment = self.place
        return f"'{safe(check)}' ({safe(segment)})"


def _lasting(course: _Course | None, settings: Retrain) -> Reason:
    if course is None:
        return Reason("lasting", False, f"None of {_listed(settings.when)} is firing.")
    length = _days(settings.window)
    if course.row >= settings.windows:
        since = shown(course.over[-course.row].start)
        said = (
            f"{course.name} showed the drift anew in each of the last {course.row} windows of {length}, since {since}."
        )
        return Reason("lasting", True, said)
    windows = f"{course.row} {'window' if course.row == 1 else 'windows'} of {length} in a row"
    said = f"{course.name} showed the drift anew in {windows}, and {settings.windows} are needed"
    return Reason("lasting", False, f"{said}: {_why(course, settings.window)}.")


def _why(course: _Course, window: timedelta) -> str:
    """Why it is not shown to last."""
    if course.mismatch is None:
        return "nothing counts before the cause is a model mismatch"
    if not course.over:
        return f"the first ends {shown(course.began + window)}"
    last = course.over[-1]
    if not last.shows:
        seen = f"{last.beyond} of {last.looks} looks" if last.looks else "no look, since there was none"
        return f"in the one that ended {shown(last.end)} it was past the floor in {seen}"
    return f"the next ends {shown(last.end + window)}"


def _stretch(firing: Firing, start: datetime, end: datetime) -> Stretch:
    passed = any(start <= each.since and each.at <= end for each in firing.passed)
    looks = disjoint([each for each in firing.looks if start <= each.start and each.end <= end])
    beyond = sum(each.beyond for each in looks)
    touched = {day for each in looks for day in _days_of(each, start)}
    enough = len(touched) >= MOST * ((end - start) / DAY)
    return Stretch(start, end, passed or (enough and beyond > MOST * len(looks)), len(looks), beyond, passed)


def disjoint(looks: Iterable[Look]) -> list[Look]:
    """As many looks as do not overlap, the earliest to end first: chosen by when they were, not by what they found."""
    chosen: list[Look] = []
    for each in sorted(looks, key=lambda each: (each.end, each.start)):
        if not chosen or each.start >= chosen[-1].end:
            chosen.append(each)
    return chosen


def _days_of(look: Look, start: datetime) -> range:
    """The days since ``start`` that a look tells something of."""
    first = (look.start - start) // DAY
    return range(first, max(first + 1, -((start - look.end) // DAY)))


# --- the cause --------------------------------------------------------------------------------------------------------


def _cause(course: _Course | None, settings: Retrain) -> Reason:
    if course is None or not course.cause:
        where = course.name if course else _listed(settings.when)
        return Reason("cause", False, f"Nothing is thought of {where}; only 'model mismatch' asks for another model.")
    if course.mismatch is None:
        said = (
            f"The cause of {course.name} is '{safe(course.cause)}', and only 'model mismatch' asks for another model."
        )
        return Reason("cause", False, said)
    return Reason("cause", True, f"The cause of {course.name} is 'model mismatch' since {shown(course.mismatch)}.")


def _mismatch_since(held: Sequence[Diagnosis]) -> datetime | None:
    """Since when nothing else was thought; None where something else is thought now. ``held``: oldest first."""
    since = None
    for each in reversed(held):
        if each.cause != MODEL_MISMATCH:
            break
        since = each.at
    return since


def _held(diagnoses: Sequence[Diagnosis], now: datetime) -> list[Diagnosis]:
    """Those that have a time, up to ``now``, oldest first."""
    dated = [(each.at, place, each) for place, each in enumerate(diagnoses) if each.at is not None and each.at <= now]
    return [each for _, _, each in sorted(dated, key=lambda one: one[:2])]


# --- what it costs ----------------------------------------------------------------------------------------------------


def _pairs(evidence: Evidence, settings: Retrain) -> Reason:
    said = f"There are {evidence.pairs:,} pairs to train on, and {settings.least_pairs:,} are needed."
    return Reason("pairs", evidence.pairs >= settings.least_pairs, said)


def _one_at_a_time(evidence: Evidence, now: datetime) -> Reason:
    running = [each for each in evidence.jobs if each.finished is None or each.finished > now]
    if running:
        named = ", ".join(safe(each.job_id) for each in running)
        return Reason("one at a time", False, f"{named} is running since {shown(running[0].started)}.")
    return Reason("one at a time", True, "No job is running.")


def _cool_down(evidence: Evidence, settings: Retrain, now: datetime) -> Reason:
    ended = [each for each in evidence.jobs if each.finished is not None]
    if not ended:
        return Reason("cool-down", True, "No job has ended yet.")
    last = max(ended, key=lambda each: each.finished or each.started)
    assert last.finished is not None
    until = last.finished + settings.cool_down
    how = f"{safe(last.job_id)} ended {shown(last.finished)}{f' ({safe(last.outcome)})' if last.outcome else ''}"
    if now < until:
        return Reason("cool-down", False, f"{how}; the next may begin {shown(until)}.")
    return Reason("cool-down", True, f"{how}, which is {_days(settings.cool_down)} ago or more.")


def _month(evidence: Evidence, settings: Retrain, now: datetime) -> Reason:
    begun = sum(now - MONTH < each.started <= now for each in evidence.jobs)
    jobs = f"{begun} {'job was' if begun == 1 else 'jobs were'} begun in the last 30 days"
    return Reason("jobs a month", begun < settings.jobs_a_month, f"{jobs}, and {settings.jobs_a_month} may be.")


def _days(length: timedelta) -> str:
    days = length / DAY
    return "1 day" if days == 1 else f"{days:g} days"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{safe(name)}'" for name in names)
