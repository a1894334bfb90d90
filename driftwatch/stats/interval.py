"""Intervals of the changes that findings show, when days, sessions and bursts vary by more than chance.

A change of a mean or of a quantile is compared with what days differ by anyway: ``Days`` holds a sample day by day and
``Spread`` how far days lie apart beyond chance. A change of a share is a score interval (Wilson 1927, Newcombe 1998) on
as many independent units as the counts are worth (Kish 1965). What each interval covers is measured in
``benchmarks/coverage.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftwatch.stats.proportion import newcombe, ratio_interval, wilson
from driftwatch.stats.twosample import Weighted

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FEW = 3
"""Hits, or misses, with which the ends of Wilson's interval are too close."""
MOST_APART = 10_000
"""Days between the first and the last that may lie in one list."""
UNSEEN = 0.6
"""How much of what chance makes of a day's mean counts as uncertainty of the spread between days.

At 1 days that are all alike get too wide an interval, at 0 days that differ about as much as by chance too narrow a
one; at 0.6 both are within a point of 95 % from ten days on (benchmarks/coverage.py).
"""


@dataclass(frozen=True, slots=True)
class Days:
    """The mean of a weighted sample, taken apart into its days (or whatever blocks lie apart by more than chance)."""

    share: Floats
    """shape (days,): of the weight; sums to 1."""
    mean: Floats
    """shape (days,)."""
    noise: Floats
    """shape (days,): what chance within each day adds to the variance of the whole mean."""
    freedom: float
    """How well ``noise`` is known: rows less days, by Kish's effective size."""

    @classmethod
    def of(cls, values: ArrayLike, weights: ArrayLike, day: NDArray[np.int64]) -> Days:
        """Take a sample apart; all of shape (n,), ``day``: equal numbers are one day.

        Raises:
            ValueError: fewer than two rows.
        """
        numbers, weight = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
        if len(numbers) < 2:
            raise ValueError("a mean of fewer than two rows has no interval.")
        return cls.each(numbers, weight, day, [0, len(numbers)])[0]

    @classmethod
    def each(cls, values: Floats, weights: Floats, day: NDArray[np.int64], edges: Sequence[int]) -> list[Days]:
        """The same of several samples of at least two rows, one after the other from ``edges`` on."""
        rows, first = np.diff(edges), np.array(edges[:-1])
        place = numbered(day)[0]
        width = int(place.max()) + 1
        place = place + np.repeat(np.arange(len(rows)) * width, rows)

        def summed(counts: Floats | None) -> Floats:
            return np.asarray(np.bincount(place, counts, len(rows) * width), np.float64)

        present = (summed(None) > 0).reshape(len(rows), width)
        totals = summed(weights)
        mean = summed(weights * values) / np.where(present.ravel(), totals, 1.0)
        squares = summed((weights * (values - mean[place])) ** 2).reshape(len(rows), width)
        totals, mean = totals.reshape(squares.shape), mean.reshape(squares.shape)
        whole = np.add.reduceat(weights, first)
        kish = whole**2 / np.add.reduceat(weights**2, first)
        days = present.sum(axis=1)
        inflation = rows / np.where(rows > days, rows - days, np.inf)
        noise = squares * (inflation / whole**2)[:, None]
        freedom = np.maximum(kish - days, 1.0).tolist()
        share = totals / whole[:, None]
        return [
            cls(share[part, here], mean[part, here], noise[part, here], freedom[part])
            for part, here in enumerate(present)
        ]

    @property
    def whole(self) -> float:
        """The mean of the whole sample."""
        return float(self.share @ self.mean)

    @property
    def chance(self) -> float:
        """Variance of the whole mean if all days were alike."""
        return float(self.noise.sum())

    @property
    def unevenness(self) -> float:
        """By which share of the variance between days the whole mean varies: 1 / days when all weigh the same."""
        return float((self.share**2).sum())


@dataclass(frozen=True, slots=True)
class Spread:
    """By how much the mean of a day differs from that of other days beyond chance, nothing having changed."""

    variance: float
    freedom: float
    """How well that is known, in degrees of freedom; infinite when it is certain."""
    resolution: float = 0.0
    """The variance that chance alone makes of a day's mean: a spread far below it cannot be seen."""

    @classmethod
    def of(cls, days: Days) -> Spread:
        """From the days of a baseline, by moments weighted by their size (Cochran 1954; DerSimonian and Laird 1986).

        From a single day nothing is learnt: the spread then is 0.
        """
        apart = 1 - days.unevenness
        if len(days.share) < 2 or apart <= 0:
            return cls(0.0, np.inf)
        between = float((days.share * (days.mean - days.whole) ** 2).sum())
        by_chance = float(((1 - days.share) / days.share * days.noise).sum())
        variance = max(0.0, (between - by_chance) / apart)
        return cls(variance, max(1.0, 1 / days.unevenness - 1), by_chance / apart)

    def made_up(self, variance: float, days: float) -> Spread:
        """With a prior ``variance`` in the place of what is missing to ``days`` degrees of freedom."""
        known = 0.0 if np.isinf(self.freedom) else self.freedom
        missing = max(0.0, days - known)
        if not missing:
            return self
        return Spread((self.variance * known + variance * missing) / days, days, self.resolution * known / days)


def mean_change(current: Days, reference: Days, spread: Spread | None = None, level: float = 0.95) -> Interval:
    """Interval of the change of the mean, current minus reference, beyond what days differ by anyway.

    ``spread``: from the whole baseline where ``reference`` is but a few of its days; else from ``reference`` itself.
    Student's t with Satterthwaite's (1946) degrees of freedom, because the spread is an estimate from few days.
    """
    half = _half_width(current, reference, spread or Spread.of(reference), level)
    change = current.whole - reference.whole
    return change - half, change + half


def mean_interval(days: Days, level: float = 0.95) -> Interval:
    """Interval of the mean of a sample whose days differ from each other, as ``mean_change`` has it of two."""
    half = _reach(days.unevenness, Spread.of(days), [(days.chance, days.freedom)], level)
    return days.whole - half, days.whole + half


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of a weighted sample with its own 95 % interval (or of another level)."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, sample: Weighted, day: NDArray[np.int64], q: float, spread: Spread, level: float = 0.95) -> Quantile:
        """Woodruff's (1952) interval, from that of the share below it.

        ``day``: of each row of ``sample``, in its order. ``spread``: between days, of the share below the quantile.
        """
        return cls.around(sample, share_below(sample, day, sample.quantile(q)), q, spread, level)

    @classmethod
    def around(cls, sample: Weighted, days: Days, q: float, spread: Spread, level: float = 0.95) -> Quantile:
        """The same, where ``share_below`` the quantile is known day by day."""
        reach = _reach(days.unevenness, spread, [(days.chance, days.freedom)], level)
        return cls(*sample.quantiles((q, max(0.0, q - reach), min(1.0, q + reach))))


def share_below(sample: Weighted, day: NDArray[np.int64], value: float) -> Days:
    """The share of ``sample`` at or below ``value``, day by day."""
    return Days.of(sample.values <= value, np.diff(sample.share), day)


def shares_below(
    points: Sequence[float],
    values: Sequence[Floats],
    weights: Sequence[Floats],
    days: Sequence[NDArray[np.int64]],
) -> list[Days]:
    """``share_below`` of several samples, each with a point of its own."""
    if not points:
        return []
    rows = [len(each) for each in values]
    below = np.concatenate(values) <= np.repeat(points, rows)
    edges = [0, *accumulate(rows)]
    return Days.each(below.astype(np.float64), np.concatenate(weights), np.concatenate(days), edges)


def numbered(block: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Small numbers in the place of those in ``block``, in their order, and which of them some row has.

    >>> place, present = numbered(np.array([20_003, 20_001, 20_003]))
    >>> place.tolist(), present.tolist()
    ([2, 0, 2], [True, False, True])
    """
    since = block - block.min()
    if int(since.max()) > MOST_APART:
        since = np.unique(block, return_inverse=True)[1]
    return since, np.bincount(since) > 0


def quantile_change(current: Quantile, reference: Quantile) -> Interval:
    """Interval of the change of a quantile, beyond what days differ by anyway.

    Both intervals are joined by their distances from the estimates (Zou and Donner 2008).
    """
    change = current.value - reference.value
    below = float(np.hypot(current.value - current.low, reference.high - reference.value))
    above = float(np.hypot(current.high - current.value, reference.value - reference.low))
    return change - below, change + above


@dataclass(frozen=True, slots=True)
class Design:
    """How many times more than coins, or than Poisson, counts vary (Kish 1965: the design effect)."""

    effect: float = 1.0
    """At least 1."""
    freedom: float = np.inf
    """How well that is known, in degrees of freedom."""

    @classmethod
    def of(cls, chi_square: float, freedom: float) -> Design:
        """From Pearson's chi-square of days, around what they have in common, and its degrees of freedom."""
        effect = max(1.0, chi_square / freedom)
        return cls(effect, freedom * (effect / (effect - 1 + UNSEEN)) ** 2)


COINS = Design()


def share_interval(x: float, n: float, design: Design = COINS, level: float = 0.95) -> Interval:
    """Interval of the share behind ``x`` of ``n``, when counts vary more than coins.

    Wilson's (1927), with the ends that Brown, Cai and DasGupta (2001, section 4.1.1) give it where at most three are
    inside or outside: by itself it leaves out rates that one hit is no surprise for.
    """
    hits, units = x / design.effect, n / design.effect
    low, high = wilson(hits, units, level, design.freedom)
    return min(low, _fewest(hits, units, level)), max(high, 1 - _fewest(units - hits, units, level))


def rate_change(x: float, n: float, x0: float, n0: float, design: Design = COINS, level: float = 0.95) -> Interval:
    """Interval of x / n - x0 / n0 (Newcombe 1998, method 10), when counts vary more than coins.

    Counts that vary so many times more carry as much evidence as so many times fewer coins; Student's t takes the place
    of the normal distribution where ``design`` was estimated.
    """
    m, m0 = n / design.effect, n0 / design.effect
    return newcombe(x / n * m, m, x0 / n0 * m0, m0, level, design.freedom)


def volume_change(x: float, expected: float, seen: float, design: Design = COINS, level: float = 0.95) -> Interval:
    """Interval of x / expected, where ``expected`` comes from a count of ``seen``; see ``ratio_interval``."""
    effect = design.effect
    return ratio_interval(x / effect, expected / effect, seen / effect, level, design.freedom)


def design_effect(n: float, rho: float, blocks: float) -> float:
    """How many times more than coins ``n`` units in ``blocks`` equal blocks vary (Kish 1965, section 5.4).

    ``rho``: correlation of two units of one block, for the share at hand; blocks of unequal sizes n_b count as
    n^2 / sum n_b^2 blocks.
    """
    return 1 + max(0.0, n / max(blocks, 1.0) - 1) * max(0.0, rho)


def dispersed_share(
    hits: float,
    expected: float,
    n: float,
    rho: float,
    blocks: float,
    *,
    error: float = 0.0,
    freedom: float = np.inf,
    level: float = 0.95,
) -> Interval:
    """Interval of (hits - expected) / n, the change of a share whose counts vary from block to block.

    ``share_interval`` on n / ``design_effect`` units. ``rho``: the correlation within a block as it is
    estimated, without a safety margin; ``freedom``: how well it is known. ``error``: standard error of ``expected``, in
    hits; joined by distances (Zou and Donner 2008). (-1, 1) when there are no units.
    """
    if n <= 0:
        return -1.0, 1.0
    low, high = share_interval(hits, n, Design(design_effect(n, rho, blocks), freedom), level)
    share, own = hits / n, critical(level, np.inf) * error / n
    below, above = np.hypot(share - low, own), np.hypot(high - share, own)
    change = (hits - expected) / n
    return float(change - below), float(change + above)


def critical(level: float, freedom: float) -> float:
    """How many standard errors a two-sided interval reaches: Student's t, the normal for infinite ``freedom``."""
    from scipy.special import ndtri, stdtrit

    upper = (1 + level) / 2
    return float(ndtri(upper) if np.isinf(freedom) else stdtrit(freedom, upper))


def _fewest(hits: float, n: float, level: float) -> float:
    """The smallest share for which so few hits are no surprise; 1 where Wilson's own end is to be taken."""
    from scipy.special import gammaincinv

    return float(gammaincinv(hits, 1 - level)) / n if 0 < hits <= FEW < n else 1.0


def _half_width(current: Days, reference: Days, spread: Spread, level: float) -> float:
    lever = current.unevenness + reference.unevenness
    return _reach(lever, spread, [(current.chance, current.freedom), (reference.chance, reference.freedom)], level)


def _reach(lever: float, spread: Spread, chance: list[tuple[float, float]], level: float) -> float:
    """Half of an interval whose variance is ``lever`` times the spread and what chance adds to it.

    Degrees of freedom by Satterthwaite (1946). A spread was estimated as a difference, so it is less sure than its size
    tells: days that seem alike may only be few.
    """
    variance = lever * spread.variance + sum(part for part, _ in chance)
    unsure = (lever * (spread.variance + UNSEEN * spread.resolution)) ** 2 / spread.freedom
    unsure += sum(part**2 / freedom for part, freedom in chance)
    if variance <= 0:
        return 0.0
    freedom = variance**2 / unsure if unsure > 0 else np.inf
    return critical(level, max(1.0, freedom)) * float(np.sqrt(variance))
