"""What the newest counts of a ledger say: since when a share differs, by how much, in whom, and whether it is over."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.book import FINE, Book
from driftwatch.stats.interval import dispersed_share
from driftwatch.stats.ledger import Ledger
from driftwatch.stats.normal import BUCKETS
from driftwatch.stats.seasonal import SMALLEST

Floats = NDArray[np.float64]

FEW = 3
"""So many segments are named one by one, even when they are most of them."""
CERTAIN = 3.0
"""Standard errors from which on a segment is taken to differ by itself."""
ALIKE = 0.2
"""What differs by so much of what the largest do shares their change, if it differs by more than a standard error."""
OVER = float(np.log(20))
"""Log likelihood ratio from which on a change is taken to be over."""
CHOSEN = 0.995
"""Level of an interval that is shown as 95 %: the onset was searched for and the page waited for, and both make the
effect look larger than it is. At this level it covers 94 to 100 % (benchmarks/coverage.py).
"""


@dataclass(frozen=True, slots=True)
class Onset:
    """Since when a share differs, and by how much since then."""

    step: int
    """The first hour of the block from which on it differs; no earlier than what the book still holds."""
    effect: float
    """Mean difference of the share from what was expected."""
    interval: tuple[float, float]
    """Of the effect, 95 %, for blocks that were chosen by what they hold."""
    n: float
    """Units since then."""
    floor: float
    """The smallest effect that matters."""

    @property
    def matters(self) -> bool:
        """Whether the effect is past its floor, and its interval does not hold the effect of no change."""
        low, high = self.interval
        return abs(self.effect) >= self.floor and not low <= 0 <= high


@dataclass(frozen=True, eq=False)
class History:
    """The newest counts of one book: older blocks of the slow lane, then those of the fast lane."""

    ledger: Ledger
    book: Book

    def onset(self, row: int, quantity: int) -> Onset:
        """Where the change most likely began, by the largest sum of log likelihood ratios.

        Page (1954), *Continuous inspection schemes*: the start of the last rise of a cumulative sum.
        """
        share, stakes = self.ledger.shares[quantity], self.ledger.stakes
        n, hits, expected = self._counts[:, :, row, share].T
        variance = self._variance(n, expected, row, share, self._hours)
        residual = (hits - expected) * stakes.side[row, quantity]
        floor = float(stakes.floor[row, quantity])
        since = _start(n, residual, variance, 2 * floor)
        # Of a large change, a block that differs by a little more than the floor is no part.
        seen = float(residual[since:].sum() / max(n[since:].sum(), 1e-9))
        since = _start(n, residual, variance, max(2 * floor, seen))
        units = max(float(n[since:].sum()), 1e-9)
        effect = float((hits - expected)[since:].sum()) / units
        interval = self._interval(since, row, share)
        return Onset(int(self._step[since]), effect, interval, units / float(self.ledger.normal.units[share]), floor)

    def recovered(self, row: int, quantity: int, effect: float) -> bool:
        """Whether the newest counts say that a change of ``effect`` is over: ``OVER`` for the baseline against it.

        A change that is smaller than the floor is taken to be as large: no counts tell a smaller one from none. What is
        left of it must be smaller than the floor, too: at its first hours a change may have looked larger than it is.
        """
        share, book, stakes = self.ledger.shares[quantity], self.book, self.ledger.stakes
        open_blocks = np.stack([book.counts[0] - book.counts[1], book.counts[1]])
        n, hits, expected = np.concatenate([book.recent, open_blocks])[:, :, row, share].T
        variance = self._variance(n, expected, row, share, np.full(len(n), self.ledger.normal.block))
        side, floor = float(stakes.side[row, quantity]), float(stakes.floor[row, quantity])
        moved = side * max(side * effect, floor) * n
        gain = np.where(n > 0, (moved**2 / 2 - moved * (hits - expected)) / np.maximum(variance, 1e-12), 0.0)
        left = side * (hits - expected)[::-1].cumsum() < floor * n[::-1].cumsum()
        return bool((left & (gain[::-1].cumsum() >= OVER)).any())

    def explaining(self, quantity: int, onset: Onset) -> list[int]:
        """The segments whose own change explains that of the pooled row since ``onset``; none if it is everybody's.

        Segments are taken away, the largest change first, until what is left together no longer differs; they must
        differ by themselves, and be the minority, or so few that they can be named while others are well. Where what is
        left differs by ``ALIKE`` of what they do, it is everybody's change, and only seen sooner in them.
        """
        share = self.ledger.shares[quantity]
        counts, hours = self._since(int(np.searchsorted(self._step, onset.step)))
        n, hits, expected = counts[:, :, :-1, share].transpose(1, 2, 0)
        variance = np.array([self._variance(n[row], expected[row], row, share, hours).sum() for row in range(len(n))])
        residual = (hits - expected).sum(axis=1) * np.sign(onset.effect)
        units = np.maximum(n.sum(axis=1), 1e-9)
        error = np.sqrt(np.maximum(variance, 1e-12))
        named, left = len(n) - 1, np.ones(len(n), bool)
        culprits: list[int] = []
        for row in np.argsort(-residual[:named]).tolist():
            rest, doubt = residual[left].sum(), np.sqrt(variance[left].sum())
            if rest < onset.floor * units[left].sum() or rest < CERTAIN * doubt:
                theirs = residual[~left].sum() / max(units[~left].sum(), 1e-9)
                alike = culprits and rest > max(doubt, ALIKE * theirs * units[left].sum())
                return [] if alike else culprits
            culprits.append(row)
            few = 2 * len(culprits) <= named or len(culprits) < min(named, FEW + 1)
            if not few or residual[row] < max(CERTAIN * error[row], onset.floor * units[row]):
                return []
            left[row] = False
        return culprits

    # --- its blocks ------------------------------------------------------------------------------------------------

    @cached_property
    def _first_fine(self) -> int:
        """The first block of the fast lane that is told apart: slow blocks before it are taken whole."""
        return (int(self.book.block[0]) - FINE + 1) * self.ledger.normal.fast

    @cached_property
    def _step(self) -> NDArray[np.int64]:
        """shape (blocks,): the first hour of each."""
        slow, fast = (int(length) for length in self.ledger.lengths)
        older = int(self.book.block[0]) - np.arange(len(self.book.recent), FINE - 1, -1)
        return np.concatenate([older * slow, np.arange(self._first_fine, int(self.book.block[1]) + 1) * fast])

    @cached_property
    def _hours(self) -> NDArray[np.int64]:
        """shape (blocks,): how long each is, the open one as far as it has come."""
        hours: NDArray[np.int64] = np.diff(self._step, append=self.book.at + 1)
        return hours

    @cached_property
    def _counts(self) -> Floats:
        """shape (blocks, 3, S + 1, J)."""
        fine = np.arange(self._first_fine, int(self.book.block[1]) + 1) % len(self.book.fine)
        return np.concatenate([self.book.recent[: len(self.book.recent) - FINE + 1], self.book.fine[fine]])

    def _since(self, first: int) -> tuple[Floats, NDArray[np.int64]]:
        """Counts, shape (days, 3, S + 1, J), and hours of each block of the slow lane from the block ``first`` on.

        Hours of one day are correlated, so that what is left of a day is one block.
        """
        day = self._step[first:] // int(self.ledger.lengths[0])
        cuts = np.flatnonzero(np.diff(day, prepend=day[0] - 1))
        return np.add.reduceat(self._counts[first:], cuts), np.add.reduceat(self._hours[first:], cuts)

    def _interval(self, first: int, row: int, share: int) -> tuple[float, float]:
        """Of the mean change over blocks that were chosen because they differ: see ``CHOSEN``."""
        counts, hours = self._since(first)
        n, hits, expected = counts[:, :, row, share].T
        units = max(float(n.sum()), 1e-9)
        chance = float(self._chance(n, expected).sum())
        design = float(self._variance(n, expected, row, share, hours).sum()) / max(chance, 1e-12)
        return dispersed_share(
            float(hits.sum()),
            float(expected.sum()),
            units,
            (design - 1) / max(units - 1, 1e-9),
            1.0,
            error=float(self.ledger.normal.error[row, share]) * units,
            level=CHOSEN,
        )

    def _variance(self, n: Floats, expected: Floats, row: int, share: int, hours: NDArray[np.int64]) -> Floats:
        """shape (blocks,): of the hits of blocks that are so many ``hours`` long."""
        normal = self.ledger.normal
        length = np.clip(hours * BUCKETS // normal.block - 1, 0, BUCKETS - 1)
        rho = normal.rho[0, length, row, share]
        variance: Floats = self._chance(n, expected) * (1 + np.maximum(n - 1, 0) * rho)
        return variance

    @staticmethod
    def _chance(n: Floats, expected: Floats) -> Floats:
        mean = np.clip(expected / np.maximum(n, 1e-9), SMALLEST, 1 - SMALLEST)
        chance: Floats = n * mean * (1 - mean)
        return chance


def _start(n: Floats, residual: Floats, variance: Floats, bet: float) -> int:
    """The block in which the last rise of the sum of log likelihood ratios for a change of ``bet`` begins."""
    moved = bet * n
    gain = np.where(n > 0, (moved * residual - moved**2 / 2) / np.maximum(variance, 1e-12), 0.0)
    # The latest of equal starts: a change does not begin in blocks without counts.
    return len(gain) - 1 - int(np.argmax(gain[::-1].cumsum()))
