"""The evidence ledger: how many days of evidence there are that a share is worse than tolerated.

Each watched quantity keeps a Shiryaev-Roberts e-detector (Shin, Ramdas and Rinaldo 2022, arXiv:2203.03532): every block
of time gives it as many days of credit as the block is long, and multiplies it by the likelihood ratio of the block's
counts, "worse by a stated amount" against "as bad as is tolerated". With no change a ratio is at most one on average,
so a ledger grows by at most one day a day, and so does any sum of ledgers with weights that sum to one.

Counts of a block are beta-binomial around their expectation (``normal.Normal``). A block that is not over is evaluated
anew at every look and not multiplied again, so that looking more often changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.book import (
    BET_WEIGHTS,
    FAST_BETS,
    LAG,
    LANES,
    NEVER,
    SLOW_BETS,
    STEADY_BETS,
    Book,
    aged,
    counts_so_far,
    cuts_of,
    renewed,
)
from driftwatch.stats.normal import LARGEST_RHO, Normal, bucket_of
from driftwatch.stats.seasonal import SMALLEST
from driftwatch.stats.shares import Shares

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.intp]

CAPPED = 1
"""So many of the smallest bets cannot pass the budget within one block."""
STANDARD_ERRORS = 1.25
"""The tolerance is never below so many standard errors of the baseline."""
FLOOR_OVER_TOLERANCE = 1.5
WITHIN_REACH = 0.5
"""An absolute floor asks for no more than this part of what a share can change at all: a click rate of 0.5 % cannot
fall by a point.
"""
SEVERAL = 2
"""Steps in a block from which on one of them may be odd."""
NO_UNITS = 1e-6
FARTHEST = 3.0
VIEW = np.repeat([0, 1, 2], [len(SLOW_BETS), len(FAST_BETS), len(STEADY_BETS)])
"""Of each bet the counts that it is on: those of the slow lane, of the fast lane, of that without its oddest step."""
STEADY = 2
"""The last of these views."""
MOST = 1e12
"""Days: no ledger holds more, whatever happens; it would only be slower to forget."""
LARGEST_RATIO = 100.0
_BETS = np.array([*SLOW_BETS, *FAST_BETS, *STEADY_BETS])


@dataclass(frozen=True, slots=True, eq=False)
class Stakes:
    """What is tolerated and what is bet on, in shares; every array of shape (S + 1, Q)."""

    tolerance: Floats
    floor: Floats
    error: Floats
    side: Floats
    relative: Mask
    margin: Floats
    """What the share of the baseline is away from 0 or 1, whichever is closer."""

    def at(self, here: tuple[Places, Places]) -> Stakes:
        """Those of some segments and quantities."""
        return Stakes(*(getattr(self, each.name)[here] for each in fields(self)))


def stakes(normal: Normal) -> Stakes:
    """The stakes of every segment and quantity."""
    share = [quantity.share for quantity in normal.quantities]
    level, error = normal.level[:, share], normal.error[:, share]
    relative = np.array([quantity.relative for quantity in normal.quantities])
    margin = np.minimum(level, 1 - level)
    scale = np.where(relative, margin, 1.0)
    tolerance = scale * np.array([quantity.tolerance for quantity in normal.quantities])
    up = np.array([quantity.side > 0 for quantity in normal.quantities])
    least = np.array([quantity.least for quantity in normal.quantities])
    floor = np.maximum(
        scale * np.array([quantity.floor for quantity in normal.quantities]),
        np.minimum(least, WITHIN_REACH * np.where(up, 1 - level, level)),
    )
    fewest = np.array([quantity.fewest for quantity in normal.quantities])
    floor = np.maximum(floor, fewest / np.maximum(normal.per_step[:, None], 1.0))
    side = np.broadcast_to([float(quantity.side) for quantity in normal.quantities], floor.shape)
    return Stakes(tolerance, floor, error, side, np.broadcast_to(relative, floor.shape), margin)


@dataclass(frozen=True, slots=True, eq=False)
class Worlds:
    """What the counts of a block are compared with, of a shape that broadcasts with theirs."""

    stakes: Stakes
    offset: Floats
    error: Floats
    """What is tolerated at least, since the baseline is an estimate."""
    k: Floats
    """(1 - rho) / rho: how sure the share of a block is."""
    temper: Floats
    """The power of a likelihood ratio: at most 1, which keeps its mean at most 1 (Jensen)."""

    def at(self, view: Places, step: Places, row: Places, quantity: Places) -> Worlds:
        """Those of single places; of the whole ``k`` has the shape (views, T, S + 1, Q)."""
        here, now = (row, quantity), (view, step, row, quantity)
        return Worlds(self.stakes.at(here), self.offset[here], self.error[here], self.k[now], self.temper[now])


class Ledger:
    """Folds counts into books."""

    def __init__(self, normal: Normal, *, cap: float, odd_cap: float | None = None) -> None:
        """``cap``: log of the most that one block may add to a capped bet; ``odd_cap``: one step, to any bet."""
        self.normal = normal
        self.cap = cap
        self.odd_cap = cap if odd_cap is None else odd_cap
        self.stakes = stakes(normal)
        self.shares = np.array([quantity.share for quantity in normal.quantities], dtype=np.intp)
        self.lengths = np.array([normal.block, normal.block // normal.fast])
        self.credit = self.lengths / 24
        self.several = normal.steps / np.array([1, normal.fast]) >= SEVERAL
        self.k, self.temper = self._tables()

    def fold(self, book: Book, shares: Shares, firing: Mask) -> tuple[Book, Floats]:
        """The book after ``shares``, and the days of evidence at each step, shape (T, S + 1, Q).

        ``firing``, shape (S + 1,), are rows whose alert is open: their counts are kept, to tell when it is over, and
        give no evidence. A firing segment explains itself and is no part of the pooled row; a firing pooled row
        explains every segment.
        """
        n, hits, expected = self.normal.totals(shares, ~firing[:-1])
        counts = np.stack([n, hits, expected], axis=1)
        silent = firing | firing[-1]
        days = np.zeros((len(shares), len(self.stakes.floor), len(self.shares)))
        for start, end in pairwise(cuts_of(shares.step // self.lengths[0])):
            book, days[start:end] = self._block(book, shares.step[start:end], counts[start:end], silent)
        return book, days

    def standing(self, book: Book, firing: Mask) -> Floats:
        """Days of evidence in each ledger as the book stands, shape (S + 1, Q)."""
        days: Floats = book.ledgers @ BET_WEIGHTS
        days[firing | firing[-1]] = 0
        return days

    def _block(self, book: Book, step: NDArray[np.int64], counts: Floats, silent: Mask) -> tuple[Book, Floats]:
        """Steps of one block of the slow lane."""
        newest = int(book.block[1])
        book = self._opened(book, int(step[0]), silent)
        cuts = cuts_of(step // self.lengths[1])
        so_far, odd = counts_so_far(book, counts, cuts)
        ratio = self._log_ratio(book, so_far, odd, step)
        growth = np.exp(np.minimum(ratio, LARGEST_RATIO))
        carry, ledgers = book.carry.copy(), np.empty(growth.shape)
        slow, fast = LANES
        ledgers[..., slow] = _multiplied(carry[..., slow], self.credit[0], growth[..., slow])
        for start, end in pairwise(cuts):
            ledgers[start:end, ..., fast] = _multiplied(carry[..., fast], self.credit[1], growth[start:end, ..., fast])
            if end < len(step):
                carry[..., fast] = np.where(silent[:, None, None], 0.0, ledgers[end - 1, ..., fast])
        days: Floats = ledgers @ BET_WEIGHTS
        days[:, silent] = 0
        blocks = step // self.lengths[1]
        return replace(
            book,
            at=int(step[-1]),
            block=np.array([book.block[0], blocks[-1]]),
            counts=so_far[:, -1],
            odd=odd[:, :, -1],
            carry=carry,
            ledgers=ledgers[-1],
            fine=renewed(book.fine, newest, blocks, so_far[1], cuts),
        ), days

    def _opened(self, book: Book, step: int, silent: Mask) -> Book:
        """The book with the blocks open that hold ``step``; what closes is carried over."""
        now = step // self.lengths
        if (now == book.block).all():
            return book
        carry, counts, odd = book.carry.copy(), book.counts.copy(), book.odd.copy()
        for lane, part in enumerate(LANES):
            if now[lane] == book.block[lane]:
                continue
            if book.block[lane] != NEVER:
                carry[..., part] = book.ledgers[..., part]
            counts[lane], odd[lane] = 0, 0
        carry[silent] = 0
        recent, settled = book.recent, book.settled
        if now[0] != book.block[0] and book.block[0] != NEVER:
            # Blocks without counts are blocks too: an onset is dated by its place among them.
            skipped = min(int(now[0] - book.block[0]) - 1, LAG)
            for closed in (book.counts[0], *[np.zeros_like(book.counts[0])] * skipped):
                recent, settled = aged(recent, settled, closed, silent)
        return replace(book, block=now, counts=counts, odd=odd, carry=carry, recent=recent, settled=settled)

    def _log_ratio(self, book: Book, counts: Floats, odd: Floats, step: NDArray[np.int64]) -> Floats:
        """shape (T, S + 1, Q, bets): log likelihood ratio of open blocks, of ``counts`` (2, T, 3, S + 1, J).

        What lasts for one step (an index that is being swapped, a burst) does not page by itself: beyond the cap a
        block is worth no more than without its oddest step, ``odd`` (2, 2, T, 3, S + 1, J), where it has others. In the
        fast lane some bets are only on what is left without it, which varies less.
        """
        whole, odd = np.moveaxis(counts[..., self.shares], 2, 0), np.moveaxis(odd[..., self.shares], 3, 0)
        oddest = np.where(self.stakes.side > 0, odd[:, :, 0], odd[:, :, 1])
        without = whole - oddest * self.several[:, None, None, None]
        worlds = self._worlds(book, step)
        ratio = _ratios(np.concatenate([whole, without[:, 1:]], axis=1), worlds, VIEW, _BETS[:, None, None, None])
        bet, *place = np.nonzero(ratio[VIEW < STEADY] > self.odd_cap)
        if len(bet):
            here = (VIEW[bet], *place)
            calm = _ratios(without[:, *here], worlds.at(*here), slice(None), _BETS[bet])
            ratio[bet, *place] = np.minimum(ratio[bet, *place], np.maximum(calm, self.odd_cap))
        ratio[:CAPPED] = np.minimum(ratio[:CAPPED], self.cap)
        if self.normal.single:
            # A day's only run may be odd as well, and the next one comes soon enough; but not where half is lost.
            n, hits, expected = whole[:, 0]
            half = self.stakes.side * (hits - expected) >= n / 2
            ratio = np.where(half, ratio, np.minimum(ratio, self.cap))
        return np.moveaxis(ratio, 0, -1)

    def _worlds(self, book: Book, step: NDArray[np.int64]) -> Worlds:
        """Of each view of the blocks that are open at ``step``."""
        offset, shrink = self._refined(book)
        lane = np.array([0, 1, 1])[:, None]
        now = np.arange(len(lane))[:, None], bucket_of(step, self.lengths[lane])
        error = STANDARD_ERRORS * self.stakes.error * shrink
        return Worlds(self.stakes, offset, error, self.k[now], self.temper[now])

    def _tables(self) -> tuple[Floats, Floats]:
        """``k`` and ``temper`` of each view at every length of a block, shape (3, BUCKETS, S + 1, Q)."""
        rho, temper = self.normal.rho[..., self.shares], self.normal.temper[..., self.shares]
        if not self.several[1]:
            return _sureness(rho[[0, 1, 1]]), temper[[0, 1, 1]]
        steady = self.normal.steady
        rho = np.concatenate([rho, np.minimum(steady, LARGEST_RHO)[None]])
        return _sureness(rho), np.concatenate([temper, np.minimum(1.0, LARGEST_RHO / steady)[None]])

    def _refined(self, book: Book) -> tuple[Floats, Floats]:
        """How far off the baseline's level was, by what came after it, and what is left of its standard error.

        Both of shape (S + 1, Q). Never more than ``FARTHEST`` standard errors: what is farther off is a change.
        """
        n, hits, expected, blocks = (part[:, self.shares] for part in book.settled)
        known = blocks / (blocks + self.normal.blocks)
        off = known * (hits - expected) / np.maximum(n, 1e-9)
        farthest = FARTHEST * self.stakes.error
        return np.clip(off, -farthest, farthest), np.sqrt(1 - known)


def _ratios(counts: Floats, worlds: Worlds, views: Places | slice, bets: Floats) -> Floats:
    """Log likelihood ratio of each of ``bets``, on the ``views`` of ``counts``, shape (3, views, ...)."""
    n, hits, expected = counts
    stakes = worlds.stakes
    share = np.clip(expected / np.maximum(n, 1e-9), SMALLEST, 1 - SMALLEST)
    scale = np.where(stakes.relative, np.minimum(share, 1 - share) / stakes.margin, 1.0)
    share = _within(share + scale * worlds.offset, share)
    # The baseline's own error is no smaller where less is expected.
    tolerance = np.maximum(scale * stakes.tolerance, worlds.error)
    floor = np.maximum(scale * stakes.floor, FLOOR_OVER_TOLERANCE * tolerance)
    null = _beta_binomial(hits, n, _within(share + stakes.side * tolerance, share), worlds.k)
    n, hits, share, k = n[views], hits[views], share[views], worlds.k[views]
    ratio = _beta_binomial(hits, n, _within(share + bets * (stakes.side * floor)[views], share), k) - null[views]
    return np.where(n > NO_UNITS, ratio * worlds.temper[views], 0.0)


def _multiplied(carry: Floats, credit: float, growth: Floats) -> Floats:
    return np.asarray(np.minimum((carry + credit) * growth, MOST))


def _sureness(rho: Floats) -> Floats:
    return (1 - rho) / rho


def _within(moved: Floats, share: Floats) -> Floats:
    """A share that stays one: at most 95 % of the way to 0 or 1."""
    clipped: Floats = np.clip(moved, share * 0.05, 1 - (1 - share) * 0.05)
    return clipped


def _beta_binomial(hits: Floats, n: Floats, share: Floats, k: Floats) -> Floats:
    """Log likelihood up to what does not depend on ``share``."""
    from scipy.special import gammaln

    a, b = share * k, (1 - share) * k
    likelihood: Floats = gammaln(hits + a) + gammaln(n - hits + b) - gammaln(a) - gammaln(b)
    return likelihood
