"""One check: how it went, what the ledger holds, how scores are distributed, which queries to look at, its settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.budget import limit_of
from driftwatch.evidence import evidence_of
from driftwatch.pages import drawing
from driftwatch.pages.distributions import distribution, drawn
from driftwatch.pages.drawing import SECOND, Figure, Frame
from driftwatch.pages.rendering import NOBODY, RANKS, Viewer, day_of, figure_of, ordered, render, segment
from driftwatch.show import number, verdict_of
from driftwatch.types import POOLED, Finding

if TYPE_CHECKING:
    from driftwatch.checks import Check
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.store.courses import Course

SPANS = {"3": "3 days", "14": "2 weeks", "91": "3 months", "366": "a year"}
"""Days -> how long that is."""
USUAL_SPAN = "14"
BANDED = timedelta(days=15)
"""Up to so long, the interval of each finding is drawn as well."""


@dataclass(frozen=True, slots=True)
class Tab:
    """One language of the check."""

    name: str
    path: str
    state: str
    current: bool


def render_check(
    watch: Watch,
    store: Store,
    name: str,
    viewer: Viewer = NOBODY,
    *,
    at: str = "",
    span: str = USUAL_SPAN,
) -> str | None:
    """The page of a check in the segment ``at`` (the worst one where none is named); None: there is no such check."""
    check = next((each for each in watch.checks if each.name == name), None)
    if check is None:
        return None
    newest = {where: each for (_, where), each in store.decisions.last_findings([name]).items()}
    chosen = at if at in newest else worst(newest.values())
    finding = newest.get(chosen)
    span = span if span in SPANS else USUAL_SPAN
    figures = list(_figures(watch, store, check, finding, span)) if finding is not None else []
    evidence = evidence_of(finding, watch, store) if finding is not None else None
    return render(
        "check.html",
        watch,
        viewer,
        "",
        check=check,
        chosen=chosen,
        finding=finding,
        tabs=[_tab(where, each, chosen, span) for where, each in _in_order(newest)],
        spans=[(f"?segment={segment(chosen)}&days={days}", words, days == span) for days, words in SPANS.items()],
        figures=figures,
        evidence=evidence,
        incident=_incident(store, name, chosen),
        settings=settings_of(check),
    )


def worst(findings: Any) -> str:
    """The segment that is worst off; of equal ones all languages together."""
    found = sorted(findings, key=lambda each: (RANKS[verdict_of(each)], each.segment != POOLED, each.segment))
    return found[0].segment if found else POOLED


def course_data(watch: Watch, store: Store, name: str, at: str, days: int) -> dict[str, Any] | None:
    """What the chart of a course is made of, for the script and for programs; None: nothing was found."""
    newest = store.decisions.last_findings([name]).get((name, at))
    if newest is None:
        return None
    course = store.courses.course(name, at, newest.at - timedelta(days=days))
    check = next((each for each in watch.checks if each.name == name), None)
    return {
        "check": name,
        "segment": at,
        "at": [datetime.fromtimestamp(each / SECOND, UTC) for each in course.at.tolist()],
        "value": course.value,
        "verdict": course.verdict,
        "evidence": course.evidence,
        "reference": newest.reference,
        "budget": _limit(watch, check) if check is not None else None,
    }


def settings_of(check: Check) -> list[tuple[str, str]]:
    """The settings as the YAML has them, what is left alone at the end."""
    dumped = check.model_dump(mode="json")
    own = [name for name in dumped if name in check.model_fields_set]
    return [(name, _plain(dumped[name])) for name in (*own, *(each for each in dumped if each not in own))]


def _plain(value: object) -> str:
    return "–" if value is None else str(value)


def _in_order(newest: dict[str, Finding]) -> Iterator[tuple[str, Finding]]:
    yield from ((where, newest[where]) for where in ordered(list(newest)))


def _tab(where: str, finding: Finding, chosen: str, span: str) -> Tab:
    days = "" if span == USUAL_SPAN else f"&days={span}"
    return Tab(where, f"?segment={segment(where)}{days}", verdict_of(finding), where == chosen)


def _incident(store: Store, name: str, at: str) -> str:
    alert = store.decisions.alerts().get((name, at))
    return alert.incident if alert is not None else ""


def _limit(watch: Watch, check: Check) -> float:
    budget = watch.false_pages if check.severity == "page" else watch.false_warnings
    return limit_of(budget.count, budget.per)


# --- charts -------------------------------------------------------------------------------------------------------


def _figures(watch: Watch, store: Store, check: Check, finding: Finding, span: str) -> Iterator[Figure]:
    length = timedelta(days=int(span))
    course = store.courses.course(check.name, finding.segment, finding.at - length)
    source = f"v1/checks/{segment(check.name)}/course?segment={segment(finding.segment)}&days={span}"
    yield _history(watch, store, check, finding, course, source, length)
    if np.isfinite(course.evidence).any():
        yield _ledger(watch, check, finding, course)
    shown = distribution(watch, store, check, finding)
    if shown is not None:
        yield drawn(shown, f"v1/checks/{segment(check.name)}/distribution?segment={segment(finding.segment)}")


def _history(
    watch: Watch, store: Store, check: Check, finding: Finding, course: Course, source: str, length: timedelta
) -> Figure:
    bands = _bands(store, finding, length) if length <= BANDED else None
    normal = np.array([finding.reference if finding.reference is not None else np.nan])
    sides = (bands[1], bands[2]) if bands is not None else ()
    frame = Frame(_span(course, finding), drawing.around(course.value, normal, *sides, least=0.05), 240)
    frame = _room_for_the_strip(frame)
    parts = [drawing.scale(frame, finding.kind == "rate"), drawing.days(frame, watch.zone)]
    if bands is not None and len(bands[0]):
        when, low, high = bands
        around = np.concatenate([when, when[::-1]]), np.concatenate([low, high[::-1]])
        parts.append(drawing.line("band", drawing.path(frame.across(around[0]), frame.up(around[1]))))
    at, value = drawing.thinned(course.at, course.value)
    parts.append(drawing.line("now", drawing.path(frame.across(at), frame.up(value))))
    if finding.reference is not None:
        parts.append(drawing.level(frame, "normal", finding.reference, "normal", right=True))
    parts.append(drawing.strip(frame, course.at, course.verdict))
    said = f"What {check.name} found in {finding.segment}: {figure_of(finding.value, finding.kind)} now"
    said += f", normal {figure_of(finding.reference, finding.kind)}" if finding.reference is not None else ""
    note = "; the band is the 95 % interval" if bands is not None and len(bands[0]) else ""
    name = "History"
    caption = f"{said}{note}. The strip below: tall where it failed."
    columns = ("day", "looks", "worst", "lowest", "mean", "highest", "most evidence, days")
    rows = list(_by_day(course, finding.kind))
    return Figure(name, caption, drawing.chart(frame, said, *parts), "course", source, columns, rows)


def _ledger(watch: Watch, check: Check, finding: Finding, course: Course) -> Figure:
    limit = _limit(watch, check)
    at, days = drawing.thinned(course.at, course.evidence)
    top = max(limit, float(np.nanmax(days))) * 1.6
    frame = Frame(_span(course, finding), (-1.0, float(np.log10(top))), 180)
    with np.errstate(divide="ignore"):
        height = np.log10(np.maximum(days, 0.1))
    parts = [drawing.days(frame, watch.zone)]
    for power in range(int(np.floor(np.log10(top))) + 1):
        y = float(frame.up(power))
        across = f"M{frame.left} {y:.1f}H{drawing.WIDTH - drawing.RIGHT}"
        parts.append(drawing.line("axis", across) + drawing.words(frame.left - 6, y + 4, f"{10**power}", "", "end"))
    pages = "pages" if check.severity == "page" else "warns"
    parts.append(
        drawing.level(frame, "limit", float(np.log10(limit)), f"{number(limit)} days: all ledgers together, it {pages}")
    )
    parts.append(drawing.line("now", drawing.path(frame.across(at), frame.up(height))))
    now = number(finding.evidence) or "0"
    caption = (
        f"The ledger in {finding.segment}: evidence stands at {now} days. By chance it gets as far about once in so "
        f"many days; at {number(limit)} days in all ledgers together somebody is told."
    )
    return Figure("Evidence", caption, drawing.chart(frame, caption, *parts))


def _span(course: Course, finding: Finding) -> tuple[float, float]:
    last = finding.at.timestamp() * SECOND
    return (float(course.at[0]), last) if len(course) else (last - 86400 * SECOND, last)


def _room_for_the_strip(frame: Frame) -> Frame:
    low, high = frame.y
    return Frame(frame.x, (low - (high - low) * 0.12, high), frame.height)


def _bands(
    store: Store, finding: Finding, length: timedelta
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(at, low, high) of what each look is certain of, oldest first: its reference with the interval of the effect."""
    if finding.interval is None or finding.reference is None or finding.family in ("scores", "mix"):
        return np.empty(0), np.empty(0), np.empty(0)  # their effects are distances, and not differences of the value
    rows = store.courses.intervals(finding.check, finding.segment, finding.at - length)
    at, low, high = (
        (np.array(each, dtype=np.float64) for each in zip(*rows, strict=True)) if rows else (np.empty(0),) * 3
    )
    return at, low, high


def _by_day(course: Course, kind: str) -> Iterator[Sequence[str]]:
    """The newest day first."""
    if not len(course):
        return
    number_of_day = course.at // (86400 * SECOND)
    edges = [0, *(np.flatnonzero(np.diff(number_of_day)) + 1).tolist(), len(course)]
    for first, last in reversed(list(pairwise(edges))):
        value, evidence = course.value[first:last], course.evidence[first:last]
        known, days = value[np.isfinite(value)], evidence[np.isfinite(evidence)]
        worst_one = min(course.verdict[first:last], key=RANKS.__getitem__)
        figures = [figure_of(float(f(known)), kind) if len(known) else "–" for f in (np.min, np.mean, np.max)]
        day = day_of(datetime.fromtimestamp(course.at[first] / SECOND, UTC), UTC)
        yield day, str(last - first), worst_one, *figures, number(float(days.max())) if len(days) else "–"
