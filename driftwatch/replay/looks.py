"""When the checks looked, or would have: the daemon's own rhythm over recorded time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge

from driftwatch.checks import Check
from driftwatch.config import Watch, schedule_of
from driftwatch.ledgers import moment_of
from driftwatch.replay.cadence import HOUR
from driftwatch.replay.record import Extent, Record
from driftwatch.schedule import Schedule

JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Group:
    """Checks that look at the same moments."""

    source: str
    checks: tuple[Check, ...]
    moments: tuple[datetime, ...]
    """Ascending."""


def groups(watch: Watch, record: Record, end: datetime) -> list[Group]:
    """The looks of every check at what was recorded, in the order in which the daemon's jobs run."""
    found = []
    for name, extent in record.extents.items():
        at_once = tuple(each for each in watch.checks if each.source == name and _goes_along(each, watch))
        if at_once:
            found.append(Group(name, at_once, tuple(_run_times(record, extent))))
    for (name, text), checks in _paced(watch, record).items():
        moments = tuple(_moments(Schedule.parse(text), record.extents[name], end))
        found.append(Group(name, tuple(checks), moments))
    return found


def in_time(groups: list[Group]) -> Iterator[tuple[datetime, Group]]:
    """Every look, oldest first; groups of one moment in their order."""
    streams = [[(moment, place) for moment in group.moments] for place, group in enumerate(groups)]
    for moment, place in merge(*streams):
        yield moment, groups[place]


def _goes_along(check: Check, watch: Watch) -> bool:
    """Whether it is judged with each canary run, as soon as that is in."""
    return check.every is None and watch.sources[check.source].gives == "runs"


def _paced(watch: Watch, record: Record) -> dict[tuple[str, str], list[Check]]:
    """(source, schedule) -> the checks with that rhythm."""
    found: defaultdict[tuple[str, str], list[Check]] = defaultdict(list)
    for check in watch.checks:
        if check.source in record.extents and not _goes_along(check, watch):
            found[check.source, str(schedule_of(check, watch))].append(check)
    return found


def _run_times(record: Record, extent: Extent) -> list[datetime]:
    start, end = extent.start, extent.end
    return [at for at in record.store.canaries.times(extent.source) if start <= at < end]


def _moments(schedule: Schedule, extent: Extent, end: datetime) -> Iterator[datetime]:
    """When it was due; after each piece of a record that is written more slowly than that."""
    if extent.pace > HOUR and extent.pace >= schedule.shortest_gap(extent.start):
        yield from (moment_of(hour + 1) for hour in extent.hours)
        return
    moment = schedule.next_after(extent.start)
    while moment <= end:
        yield moment
        moment = schedule.next_after(moment)
