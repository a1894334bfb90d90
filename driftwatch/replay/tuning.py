"""Which floors and cadences keep the budget, and what delay they cost: tried on quiet weeks with injected shifts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._counted import Counted, Watched, watch
from driftwatch.config import schedule_of
from driftwatch.course import Part, course
from driftwatch.replay.cadence import HOUR
from driftwatch.replay.looks import Group
from driftwatch.replay.playing import Player
from driftwatch.replay.quiet import SEED, part_of
from driftwatch.replay.reading import Progress
from driftwatch.replay.report import Proposal, Rate, Trial
from driftwatch.replay.weeks import WEEK, Draw, Weeks
from driftwatch.schedule import show_duration
from driftwatch.stats.shares import Shares
from driftwatch.types import Baseline
from driftwatch.windows import Learning

Floats = NDArray[np.float64]

FLOORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Tried floors, as multiples of the present one."""
SLOWER = 24
"""The other cadence that is tried, in hours, with fewer floors."""
QUIET_WEEKS = 52
INJECTIONS = 11
LEAD, AFTER = 2, 4
"""Quiet weeks before an injected shift, and weeks in which it must be told."""
SHIFT = 2.0
"""Size of an injected shift, as a multiple of the floor that holds now."""
FLOOR_NAMES = ("min_effect", "max_drop", "min_ratio")


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to set a check."""

    factor: float
    """Of the present floors."""
    hours: int
    """Between two looks."""

    def floors(self, check: Counted) -> dict[str, float]:
        """The settings of ``check`` that make its floor; the one that is shown is the first."""
        own = {name: getattr(check, name) for name in FLOOR_NAMES if getattr(check, name, None)}
        return {name: float(f"{min(1.0, value * self.factor):.3g}") for name, value in own.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """One check on quiet weeks: long ones for its false alarms, short ones for its delay."""

    check: Counted
    floor_name: str
    baseline: Baseline
    quiet: Part
    short: tuple[tuple[Draw, Part], ...]
    others: int
    """What the other checks of its budget say of the same quiet weeks."""


def proposals(
    player: Player, groups: Sequence[Group], weeks: Weeks, end: int, progress: Progress
) -> Iterator[Proposal]:
    """A proposal for every counted check that has a floor to set."""
    rng = np.random.default_rng(SEED)
    long = Draw.of(weeks, QUIET_WEEKS, end, rng)
    short = [Draw.of(weeks, LEAD + AFTER, end, rng) for _ in range(INJECTIONS)]
    quiet = {
        check.name: (group, check, part)
        for group in groups
        for check in group.checks
        if isinstance(check, Counted) and (part := part_of(player, group, check, long)) is not None
    }
    said = {name: _pages(player, check, part, long) for name, (_, check, part) in quiet.items()}
    for name, (group, check, part) in quiet.items():
        floor_name = next((each for each in FLOOR_NAMES if getattr(check, each, None)), None)
        known = player.record.baseline(check.source, check.needs, player.record.extents[check.source].end, check.aspect)
        if floor_name is None or isinstance(known, Learning):
            continue
        progress(f"trying settings of {name}", 0)
        alike = [other for other, (_, each, _) in quiet.items() if each.severity == check.severity and other != name]
        shorter = ((draw, part_of(player, group, check, draw)) for draw in short)
        laid = tuple((draw, each) for draw, each in shorter if each is not None)
        yield _proposal(player, Bench(check, floor_name, known, part, laid, sum(said[each] for each in alike)), long)


def _proposal(player: Player, bench: Bench, long: Draw) -> Proposal:
    watched = bench.quiet.watched
    row = int(np.argmax(watched.normal.per_day[:-1])) if watched.weights[:-1].any() else len(watched.segments) - 1
    quantity = int(np.argmax([each.weight for each in watched.quantities]))
    shift = SHIFT * float(watched.ledger.stakes.floor[row, quantity])
    pace = _pace(player, bench.check)
    settings = [Setting(factor, pace) for factor in FLOORS]
    settings += [Setting(factor, SLOWER) for factor in FLOORS[::2] if pace < SLOWER]
    trials = [_tried(player, bench, each, long, (row, quantity, shift)) for each in settings]
    now = trials[settings.index(Setting(1.0, pace))]
    best = min((each for each in trials if each.keeps), key=lambda each: _cost(each, now), default=now)
    if _cost(best, now)[:2] == _cost(now, now)[:2] and now.keeps:
        best = now
    chosen = settings[trials.index(best)].floors(bench.check)
    floors = ", ".join(f"{name}: {value:g}" for name, value in chosen.items())
    written = f"- {{name: {bench.check.name}, {floors}, every: {best.every}}}"
    segment, named = watched.segments[row], watched.quantities[quantity].name
    return Proposal(bench.check.name, bench.floor_name, segment, shift, named, now, best, tuple(trials), written)


def _cost(trial: Trial, now: Trial) -> tuple[float, float, float]:
    """What is to be small: the delay, what is missed, and the distance from the present floor."""
    delay = trial.delay_days if trial.delay_days is not None else float("inf")
    return delay, trial.missed, abs(trial.floor - now.floor)


def _tried(player: Player, bench: Bench, setting: Setting, long: Draw, injected: tuple[int, int, float]) -> Trial:
    watched = _set(player, bench, setting)
    pages = _pages(player, bench.check, _as_set(bench.quiet, watched, setting, long), long)
    days = (long.end - long.start) / 24
    delays = [
        _delay(player, bench, draw, _as_set(part, watched, setting, draw), injected) for draw, part in bench.short
    ]
    median = float(np.median(delays)) if delays else float("inf")
    limit = player.ledgers.limit(bench.check.severity)
    return Trial(
        floor=setting.floors(bench.check)[bench.floor_name],
        every=show_duration(setting.hours * HOUR),
        pages=Rate.of(pages, days),
        delay_days=median if np.isfinite(median) else None,
        missed=float(np.mean(np.isinf(delays))) if delays else 1.0,
        keeps=(pages + bench.others) * limit <= days,
    )


def _set(player: Player, bench: Bench, setting: Setting) -> Watched:
    """What the check watches with another floor."""
    check = bench.check.model_copy(update=setting.floors(bench.check))
    reference = player.record.whole_reference(check, bench.baseline)
    needed = player.ledgers.limit(check.severity) / player.ledgers.shares[check.name]
    return watch(check, reference, needed) or bench.quiet.watched


def _as_set(part: Part, watched: Watched, setting: Setting, draw: Draw) -> Part:
    looks = np.arange(draw.start + setting.hours - 1, draw.end, setting.hours)
    return replace(part, watched=watched, looks=looks)


def _pages(player: Player, check: Counted, part: Part, draw: Draw) -> int:
    pages = course({check.name: part}, player.ledgers.limit(check.severity), draw.start, draw.end)
    return len({(page.step, page.segment) for page in pages})


def _delay(player: Player, bench: Bench, draw: Draw, part: Part, injected: tuple[int, int, float]) -> float:
    """Days until a shift that begins after the quiet weeks is told about its segment; infinite when it never is."""
    row, quantity, shift = injected
    begin = draw.start + LEAD * WEEK
    moved = _shifted(part, begin, row, quantity, shift, np.random.default_rng([SEED, draw.start]))
    limit = player.ledgers.limit(bench.check.severity)
    names = {part.watched.segments[row], part.watched.segments[-1]}
    pages = course({bench.check.name: moved}, limit, draw.start, draw.end)
    told = [page.step for page in pages if page.step >= begin and page.segment in names]
    return (told[0] + 1 - begin) / 24 if told else float("inf")


def _shifted(part: Part, begin: int, row: int, quantity: int, shift: float, rng: np.random.Generator) -> Part:
    """``part`` with a share moved from the hour ``begin`` on: hits are added, or thinned."""
    watched, counted = part.watched, part.counted
    share, side = watched.quantities[quantity].share, watched.quantities[quantity].side
    first, last = (row, row + 1) if row < len(watched.normal.segments) else (0, len(watched.normal.segments))
    place = int(np.searchsorted(counted.step, begin))
    hits = counted.hits.copy()
    before, n = hits[place:, first:last, share], counted.n[place:, first:last]
    hits[place:, first:last, share] = _moved(before, n, side * shift, rng)
    return replace(part, counted=Shares(counted.step, counted.segments, counted.n, hits, counted.expected))


def _moved(hits: Floats, n: Floats, shift: float, rng: np.random.Generator) -> Floats:
    """Counts whose share has moved by ``shift``; whole counts stay whole, by chance."""
    if not np.array_equal(hits, np.round(hits)):
        return np.clip(hits + shift * n, 0, n)
    level = float(hits.sum() / max(n.sum(), 1e-9))
    if shift > 0:
        return hits + rng.binomial((n - hits).astype(np.int64), min(1.0, shift / max(1 - level, 1e-9)))
    return hits - rng.binomial(hits.astype(np.int64), min(1.0, -shift / max(level, 1e-9)))


def _pace(player: Player, check: Counted) -> int:
    """Hours between two looks now."""
    start = player.record.extents[check.source].start
    return max(1, round(schedule_of(check, player.watch).shortest_gap(start) / HOUR))
