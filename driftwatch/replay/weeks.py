"""Quiet weeks of a record, drawn again and again: what traffic without drift may look like.

A block bootstrap over whole weeks (Künsch 1989, *The jackknife and the bootstrap for general stationary observations*):
hours keep their hour of the week, and all segments and checks of a week stay together, so that what depends on each
other goes on doing so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.shares import Shares
from driftwatch.types import Tallies

Ints = NDArray[np.int64]

WEEK = 168
FIRST_MONDAY = 96
"""Hours from the beginning of 1970, a Thursday, to the first Monday."""
FEWEST = 4
"""With fewer weeks that are quiet from end to end, weeks are used whose other hours are cut out."""

Stretch = tuple[int, int]
"""Hours since 1970, half open."""


@dataclass(frozen=True, slots=True, eq=False)
class Weeks:
    """Weeks of a record that may be drawn."""

    block: int
    """Hours of one block: a week, or as many weeks as one step of a slower record takes."""
    numbers: Ints
    """Which blocks since 1970."""
    loud: tuple[Stretch, ...] = ()
    """What is cut out of them."""

    def __len__(self) -> int:
        return len(self.numbers)


def quiet_weeks(start: int, end: int, loud: Iterable[Stretch], pace: int = 1) -> Weeks:
    """The whole weeks of ``[start, end)``, hours since 1970, without the ``loud`` stretches; ``pace`` in hours."""
    block = WEEK * max(1, -(-pace // WEEK))
    first, last = -(-(start - FIRST_MONDAY) // block), (end - FIRST_MONDAY) // block
    numbers = np.arange(first, max(first, last), dtype=np.int64)
    stretches = tuple(loud)
    share = np.array([_loud_share(int(number), block, stretches) for number in numbers])
    whole = numbers[share == 0] if len(numbers) else numbers
    if len(whole) >= FEWEST:
        return Weeks(block, whole)
    return Weeks(block, numbers[share < 0.5] if len(numbers) else numbers, stretches)


def _loud_share(number: int, block: int, loud: Iterable[Stretch]) -> float:
    begin = FIRST_MONDAY + number * block
    hours = np.zeros(block, dtype=bool)
    for start, end in loud:
        hours[max(start - begin, 0) : max(end - begin, 0)] = True
    return float(hours.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """Weeks in the order in which they were drawn, one after the other from a given time on."""

    weeks: Weeks
    chosen: Ints
    """shape (N,): numbers of blocks."""
    first: int
    """The block that the first one is laid into."""

    @classmethod
    def of(cls, weeks: Weeks, count: int, after: int, rng: np.random.Generator) -> Draw:
        """``count`` weeks drawn with replacement, laid out from the first block that begins at ``after`` or later."""
        first = -(-(after - FIRST_MONDAY) // weeks.block)
        blocks = max(1, -(-count * WEEK // weeks.block))
        return cls(weeks, rng.choice(weeks.numbers, size=blocks), first)

    @property
    def start(self) -> int:
        """The first hour that is drawn."""
        return FIRST_MONDAY + self.first * self.weeks.block

    @property
    def end(self) -> int:
        """The hour after the last one."""
        return self.start + len(self.chosen) * self.weeks.block

    def rows(self, step: Ints) -> tuple[NDArray[np.intp], Ints]:
        """Rows of an ascending ``step`` in the order of the draw, and the steps they are laid out at."""
        quiet = np.ones(len(step), dtype=bool)
        for start, end in self.weeks.loud:
            quiet &= (step < start) | (step >= end)
        kept = np.flatnonzero(quiet)
        block = (step[kept] - FIRST_MONDAY) // self.weeks.block
        begins = np.searchsorted(block, self.chosen, side="left")
        ends = np.searchsorted(block, self.chosen, side="right")
        rows = np.concatenate([np.arange(*edges) for edges in zip(begins, ends, strict=True)]) if len(begins) else kept
        place = np.repeat(np.arange(len(self.chosen)), ends - begins)
        shift = (self.first + place - self.chosen[place]) * self.weeks.block
        chosen: NDArray[np.intp] = kept[rows.astype(np.intp)]
        return chosen, step[chosen] + shift

    def shares(self, recorded: Shares) -> Shares:
        """Counts of the drawn weeks."""
        rows, step = self.rows(recorded.step)
        expected = None if recorded.expected is None else recorded.expected[rows]
        return Shares(step, recorded.segments, recorded.n[rows], recorded.hits[rows], expected)

    def tallies(self, recorded: Tallies) -> Tallies:
        """Exact counts of the drawn weeks."""
        rows, step = self.rows(recorded.hour.astype("datetime64[h]").astype(np.int64))
        return Tallies(step.astype("datetime64[h]"), recorded.lang[rows], recorded.counts[rows])
