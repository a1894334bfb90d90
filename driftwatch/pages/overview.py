"""What is wrong now: open incidents, and every check in every language, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from driftwatch.alerts import OPEN, silenced_until
from driftwatch.pages.drawing import sparkline
from driftwatch.pages.rendering import NOBODY, RANKS, Viewer, figure_of, render, segment
from driftwatch.show import safe, verdict_of
from driftwatch.types import ExpectedChange, Incident, Member, Silence

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.store.courses import Course
    from driftwatch.types import Finding

WEEK = timedelta(days=7)
APART = 4
"""Hours between two points of a small line."""
SAID = (("fail", "1 fails", "{} fail"), ("warn", "1 warns", "{} warn"), ("unknown", "1 is unknown", "{} are unknown"))
"""(verdict, said of one, said of several)."""
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Cell:
    """One check in one language."""

    state: str
    """The verdict, or `learning`."""
    value: str
    path: str
    label: str
    """All of it in words, for who does not see the sign."""
    message: str
    spark: Markup
    rank: tuple[int, float]


@dataclass(frozen=True, slots=True)
class Head:
    """The name of a row or column."""

    name: str
    path: str = ""
    cells: tuple[Cell | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """Checks and languages; the longer of the two goes down."""

    corner: str
    columns: tuple[Head, ...]
    rows: tuple[Head, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """One open incident as it is told in a few lines."""

    incident: Incident
    title: str
    members: tuple[Member, ...]
    by: str
    """Who looks after it."""
    silenced: bool


def render_overview(
    watch: Watch,
    store: Store,
    now: datetime,
    viewer: Viewer = NOBODY,
    *,
    said: str = "",
    wrong: str = "",
    trouble: Mapping[str, str] | None = None,
) -> str:
    """Open incidents, the grid, what is silenced and what waits to be told; ``trouble``: source -> why it is silent."""
    watched = {check.name for check in watch.checks}
    newest = {place: each for place, each in store.decisions.last_findings().items() if place[0] in watched}
    silences = store.decisions.silences(now)
    incidents = [opened(each, silences, now) for each in store.decisions.open_incidents()]
    return render(
        "overview.html",
        watch,
        viewer,
        "Overview",
        now=now,
        sentence=_sentence(incidents, newest.values()),
        incidents=incidents,
        grid=grid_of(newest, store.courses.glance(WEEK, APART)),
        silences=silences,
        expected=list(_expected(watch, store, now)),
        waiting=store.outbox.waiting(),
        trouble=[(name, why) for name, why in (trouble or {}).items() if why],
        said=said,
        wrong=wrong,
    )


def _expected(watch: Watch, store: Store, now: datetime) -> Iterator[ExpectedChange]:
    """What is expected now or later: first what the configuration says, which has no id, then what was announced."""
    for each in watch.expected:
        if each.end > now:
            yield ExpectedChange("", each.start, each.end, each.reason, "configuration", each.start)
    yield from store.expected.changes(now)


def opened(incident: Incident, silences: Sequence[Silence], now: datetime) -> Open:
    """What is told of an incident where there are others."""
    title = incident.incident_id
    if incident.diagnosis is not None:
        title = f"{incident.diagnosis.cause}, {incident.diagnosis.segment or incident.segment}"
    elif incident.members:
        names = dict.fromkeys(member.alert.check for member in incident.members)
        title = f"{', '.join(names)}, {incident.segment}"
    firing = [each.alert for each in incident.members if each.alert.state in OPEN]
    by = dict.fromkeys(alert.acknowledged_by for alert in firing if alert.acknowledged_by)
    hushed = [silenced_until(silences, alert.check, alert.segment, now) for alert in firing]
    found = tuple(member for member in incident.members if member.finding is not None)
    return Open(incident, title, found, ", ".join(by), bool(hushed) and all(hushed))


def grid_of(newest: Mapping[Place, Finding], courses: Mapping[Place, Course]) -> Grid:
    """Every newest finding in its place."""
    cells = {place: _cell(finding, courses.get(place)) for place, finding in newest.items()}
    checks = _worst_first({check for check, _ in cells}, lambda name: [c for (n, _), c in cells.items() if n == name])
    segments = _worst_first({at for _, at in cells}, lambda name: [c for (_, at), c in cells.items() if at == name])
    segments.sort(key=lambda name: name != "all")
    if len(segments) > len(checks):
        columns = tuple(Head(name, _path(name)) for name in checks)
        rows = tuple(Head(at, "", tuple(cells.get((name, at)) for name in checks)) for at in segments)
        return Grid("language", columns, rows)
    rows = tuple(Head(name, _path(name), tuple(cells.get((name, at)) for at in segments)) for name in checks)
    return Grid("check", tuple(map(Head, segments)), rows)


def _worst_first(names: Iterable[str], of: Any) -> list[str]:
    def badness(name: str) -> tuple[Any, ...]:
        ranks = sorted(cell.rank for cell in of(name))
        return ranks[0], -sum(rank[0] < RANKS["learning"] for rank in ranks), name

    return sorted(names, key=badness)


def _cell(finding: Finding, course: Course | None) -> Cell:
    state, value = verdict_of(finding), figure_of(finding.value, finding.kind)
    normal = f", normal {figure_of(finding.reference, finding.kind)}" if finding.reference is not None else ""
    return Cell(
        state=state,
        value=value,
        path=f"{_path(finding.check)}?segment={segment(finding.segment)}",
        label=safe(f"{finding.check}, {finding.segment}: {state}, {value}{normal}"),
        message=safe(finding.message),
        spark=sparkline(course.value) if course is not None else Markup(),
        rank=(RANKS[state], -(finding.evidence or 0.0)),
    )


def _path(check: str) -> str:
    return f"checks/{segment(check)}"


def _sentence(incidents: Sequence[Open], findings: Iterable[Finding]) -> str:
    """How things stand, before anything else is read."""
    states = [verdict_of(finding) for finding in findings]
    if not states:
        return "Nothing has been looked at yet."
    counts = {name: states.count(name) for name, _, _ in SAID}
    told = [(one if counts[name] == 1 else more).format(counts[name]) for name, one, more in SAID if counts[name]]
    looks = ", ".join(told[:-1]) + " and " * (len(told) > 1) + "".join(told[-1:])
    looks = f"Of {len(states)} looks, {looks}." if told else f"All {len(states)} looks are well."
    if not incidents:
        return f"No incident is open. {looks}"
    return f"{'One incident is' if len(incidents) == 1 else f'{len(incidents)} incidents are'} open. {looks}"
