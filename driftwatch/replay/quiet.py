"""The A/A run: weeks in which nothing happened, drawn again and again, and what would have been said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from math import inf

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks import Check
from driftwatch.checks._counted import Counted
from driftwatch.config import Watch
from driftwatch.course import Page, Part, course
from driftwatch.ledgers import moment_of, step_of
from driftwatch.replay.cadence import HOUR
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.looks import Group
from driftwatch.replay.playing import Player, play
from driftwatch.replay.record import Record
from driftwatch.replay.remembered import Rehearsal
from driftwatch.replay.report import Quiet, Rate, Said, opened, said_of
from driftwatch.replay.traffic import FOREVER
from driftwatch.replay.weeks import FEWEST, FIRST_MONDAY, WEEK, Draw, Stretch, Weeks, quiet_weeks
from driftwatch.types import Baseline, Tallies
from driftwatch.windows import Learning

SEED = 20260521
"""The same record gives the same weeks."""

HOUR_MORE = timedelta(minutes=59, seconds=59)


def loud_stretches(watch: Watch, said: Sequence[Said], events: Sequence[MarkedEvent], end: datetime) -> list[Stretch]:
    """What is not quiet: expected differences, and marked events; without any events, whatever paged."""
    stretches = [(window.start, window.end) for window in watch.expected]
    stretches += [(event.at, event.over) for event in events]
    if not events:
        stretches += _firing(said, end)
    return [(step_of(start), step_of(over + HOUR_MORE)) for start, over in stretches]


def _firing(said: Sequence[Said], end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From the onset of each alert that fired until it was resolved."""
    since: dict[tuple[str, str], datetime] = {}
    for each in said:
        key = (each.check, each.segment)
        if each.event == "firing":
            since.setdefault(key, min(each.onset or each.at, each.at))
        elif each.event == "resolved" and key in since:
            yield since.pop(key), each.at
    yield from ((start, end) for start in since.values())


def weeks_of(record: Record, judged: datetime, end: datetime, loud: Sequence[Stretch]) -> tuple[Weeks, tuple[str, ...]]:
    """The quiet weeks that may be drawn, and what is worth knowing about them.

    Weeks after the baseline (from ``judged`` on) first: those of the baseline fit it better than any week to come.
    """
    extents = record.extents.values()
    pace = max(-(-extent.pace // HOUR) for extent in extents)
    start, last = step_of(min(extent.start for extent in extents)), step_of(end)
    later = quiet_weeks(max(start, step_of(judged)), last, loud, pace)
    if len(later) >= FEWEST:
        return later, ()
    every = quiet_weeks(start, last, loud, pace)
    note = (
        f"only {len(later)} quiet weeks follow the baseline, so weeks of the baseline were drawn as well: the rate "
        "may be higher"
    )
    return every, (note,) if len(every) > len(later) else ()


def quiet_run(player: Player, groups: Sequence[Group], weeks: Weeks, count: int, end: datetime) -> Quiet:
    """Play ``count`` weeks drawn from ``weeks``; the same seed draws the same."""
    draw = Draw.of(weeks, count, step_of(end), np.random.default_rng(SEED))
    told = {severity: [*counted_pages(player, groups, draw, severity)] for severity in ("page", "warn")}
    plain = _plain_pages(player, groups, draw)
    for each in plain:
        told[each.severity].append(each.check)
    days = float(draw.end - draw.start) / 24
    by_check = {name: told["page"].count(name) for name in sorted(set(told["page"]))}
    return Quiet(
        weeks=(draw.end - draw.start) // WEEK,
        drawn_from=len(weeks),
        pages=Rate.of(len(told["page"]), days),
        warnings=Rate.of(len(told["warn"]), days),
        by_check=by_check,
    )


def counted_pages(player: Player, groups: Sequence[Group], draw: Draw, severity: str) -> list[str]:
    """The checks that page (or warn) on evidence, once for each incident."""
    parts = {
        check.name: drawn
        for group in groups
        for check in group.checks
        if isinstance(check, Counted)
        and check.severity == severity
        and (drawn := part_of(player, group, check, draw)) is not None
    }
    if not parts:
        return []
    pages = course(parts, player.ledgers.limit(severity), draw.start, draw.end)
    families = {name: part.watched.check.family for name, part in parts.items()}
    within = {name: player.engine.policy(name).reopen_within or timedelta(0) for name in parts}
    return opening(pages, families, within)


def opening(pages: Sequence[Page], families: Mapping[str, str], within: Mapping[str, timedelta]) -> list[str]:
    """The checks whose pages open an incident, by time; the others join one or reopen it.

    Args:
        pages: by step.
        families: check -> its family.
        within: check -> how soon after a resolution it reopens.
    """
    over: dict[tuple[str, str], float] = {}
    found = []
    for page in pages:
        place = families[page.check], page.segment
        if page.step > over.get(place, -inf) + within[page.check] / HOUR:
            found.append(page.check)
        over[place] = max(over.get(place, -inf), inf if page.resolved is None else page.resolved)
    return found


def part_of(player: Player, group: Group, check: Counted, draw: Draw) -> Part | None:
    """One counted check over drawn weeks; None where there is nothing to compare with."""
    player.store.asked.now = None
    known = player.record.baseline(check.source, check.needs, player.record.extents[check.source].end, check.aspect)
    if isinstance(known, Learning) or (watched := player.ledgers.watched(check, known)) is None:
        return None
    block, hours = draw.weeks.block, draw.weeks.numbers
    first = FIRST_MONDAY + int(hours.min()) * block
    counted = draw.shares(player.ledgers.counts(watched, first, FIRST_MONDAY + (int(hours.max()) + 1) * block))
    looks = _looks(group, check, counted.step, draw)
    until = player.engine.policy(check.name).until
    return Part(watched, counted, player.ledgers.shares[check.name], looks, until)


def _looks(group: Group, check: Counted, steps: NDArray[np.int64], draw: Draw) -> NDArray[np.int64]:
    """After which steps it is looked at: with every run, or as often as it looked in the record."""
    if check.needs == "runs" or len(group.moments) < 2:
        return np.unique(steps)
    gaps = np.diff([step_of(moment) for moment in group.moments])
    gap = max(1, int(np.median(gaps)))
    return np.arange(draw.start + gap - 1, draw.end, gap)


def _plain_pages(player: Player, groups: Sequence[Group], draw: Draw) -> list[Said]:
    """What checks of exact counts without a ledger (traffic, mix) would have said of the drawn weeks."""
    store = Rehearsal(player.store)
    given: dict[str, Baseline] = {}
    for name, extent in player.record.extents.items():
        known = player.record.baseline(name, "tallies", extent.end)
        if extent.gives == "runs" or isinstance(known, Learning):
            continue
        given[name] = known
        store.recorded.put(name, _with_drawn(player.store.traffic.tallies(name, *FOREVER), draw))
    watch = player.watch.model_copy(update={"expected": ()})
    record = Record(store, watch, (moment_of(0), moment_of(draw.end)), given)
    plain = [(group, tuple(each for each in group.checks if _is_plain(each, given))) for group in groups]
    later = {
        id(group): Group(group.source, checks, tuple(_drawn_moments(group, checks, draw)))
        for group, checks in plain
        if checks
    }
    played = play(watch, store, record, list(later.values()), lambda _what, _count: None)
    return opened(said_of(watch, played.remembered.changes), "page") + opened(
        said_of(watch, played.remembered.changes), "warn"
    )


def _is_plain(check: Check, given: Mapping[str, Baseline]) -> bool:
    return not isinstance(check, Counted) and check.needs == "tallies" and check.source in given


def _drawn_moments(group: Group, checks: Sequence[Check], draw: Draw) -> Iterator[datetime]:
    """The rhythm of the group over the drawn weeks, from when its windows hold nothing else."""
    gaps = np.diff([moment.timestamp() for moment in group.moments]) if len(group.moments) > 1 else np.array([3600.0])
    gap = max(HOUR, timedelta(seconds=float(np.median(gaps))))
    moment = moment_of(draw.start) + max(check.window for check in checks)
    while moment <= moment_of(draw.end):
        yield moment
        moment += gap


def _with_drawn(recorded: Tallies, draw: Draw) -> Tallies:
    """The record as it was, and after it the drawn weeks."""
    drawn = draw.tallies(recorded)
    return Tallies(
        np.concatenate([recorded.hour, drawn.hour]),
        np.concatenate([recorded.lang, drawn.lang]),
        np.concatenate([recorded.counts, drawn.counts]),
    )
