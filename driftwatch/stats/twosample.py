"""Two samples of one number: have they the same distribution?

Rows may carry weights (1 / probability of having been kept); what counts as evidence then is Kish's effective size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

GRID = 2**14
"""How finely the smallest D is looked for."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A sample in ascending order with the share of its weight up to each row."""

    values: Floats
    """shape (n,), ascending, no NaN."""
    share: Floats
    """shape (n + 1,): share[i] is the weight of the first i rows; ends in 1."""
    n: float
    """Kish's effective size, (sum w)^2 / sum w^2; the number of rows when all weigh the same."""

    @classmethod
    def of(cls, values: ArrayLike, weight: ArrayLike | None = None) -> Weighted:
        """Sort a sample.

        Raises:
            ValueError: nothing in it, or something that is not a number.
        """
        numbers = np.asarray(values, dtype=np.float64)
        weights = np.ones(len(numbers)) if weight is None else np.asarray(weight, dtype=np.float64)
        if not len(numbers) or not np.isfinite(numbers).all() or not (weights > 0).all():
            raise ValueError("a sample needs at least one row, finite values and weights above 0.")
        order = np.argsort(numbers)
        return cls.in_order(numbers[order], weights[order])

    @classmethod
    def in_order(cls, values: Floats, weights: Floats) -> Weighted:
        """A sample that is sorted already, without NaN, of at least one row."""
        share = np.zeros(len(weights) + 1)
        weights.cumsum(out=share[1:])
        share /= share[-1]
        return cls(values, share, float(weights.sum() ** 2 / (weights * weights).sum()))

    def below(self, points: Floats, *, include: bool = True) -> Floats:
        """The share at or below each point; without ``include``, strictly below."""
        return np.asarray(self.share[np.searchsorted(self.values, points, side="right" if include else "left")])

    def quantile(self, q: float) -> float:
        """The smallest value with at least a share ``q`` at or below it."""
        return self.quantiles((q,))[0]

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """``quantile`` of each of ``shares``."""
        places = self.share[1:].searchsorted([q - 1e-12 for q in shares])
        found: list[float] = self.values[np.minimum(places, len(self.values) - 1)].tolist()
        return found

    def mean(self) -> float:
        return float((self.values * (self.share[1:] - self.share[:-1])).sum())


@dataclass(frozen=True, slots=True)
class KS:
    """The outcome of a two-sample Kolmogorov-Smirnov test."""

    d: float
    """The largest distance between the two distribution functions, in [0, 1]."""
    p_value: float
    """Two-sided."""
    at: float
    """Where on the axis that distance is."""
    direction: Literal["lower", "higher", "same"]
    """``lower``: at that place more of the current sample lies below than of the reference."""
    n: float
    """Effective size of the comparison, m n / (m + n)."""


@dataclass(frozen=True, slots=True)
class Together:
    """Two samples on one axis."""

    few: Weighted
    """The smaller one."""
    many: Weighted
    sign: int
    """1 when the smaller one is the current one, else -1."""
    place: NDArray[np.intp]
    """shape (rows of ``few``,): how many rows of ``many`` lie at or below each."""

    @classmethod
    def of(cls, current: Weighted, reference: Weighted) -> Together:
        """Look up every row of the smaller sample in the larger one."""
        sign = 1 if len(current.values) <= len(reference.values) else -1
        few, many = (current, reference)[::sign]
        return cls(few, many, sign, np.searchsorted(many.values, few.values, side="right"))

    def ks(self) -> KS:
        """The largest distance and its p-value; see the function ``ks``."""
        # Between two neighbours of the smaller sample its share is flat: the gap is largest just before or at one.
        few, many = self.few.values, self.many.values
        edges = np.concatenate([[0], (few[1:] != few[:-1]).nonzero()[0] + 1, [len(few)]])
        few, place = few[edges[:-1]], self.place[edges[:-1]]
        theirs = place.copy()
        met = ((place > 0) & (many[place - 1] == few)).nonzero()[0]
        theirs[met] = many.searchsorted(few[met], side="left")
        ours = self.few.share[np.concatenate([edges[1:], edges[:-1]])]
        gaps = self.sign * (ours - self.many.share[np.concatenate([place, theirs])])
        farthest = int(np.abs(gaps).argmax())
        n = self.few.n * self.many.n / (self.few.n + self.many.n)
        d = float(abs(gaps[farthest]))
        direction: Literal["lower", "higher", "same"] = "same"
        if d:
            direction = "lower" if gaps[farthest] > 0 else "higher"
        return KS(d, ks_p_value(d, n), float(few[farthest % len(few)]), direction, n)

    def area(self) -> float:
        """The area between the two distribution functions; see ``wasserstein``."""
        few, many = self.few, self.many
        at = self.place + np.arange(len(few.values))
        is_many = np.ones(len(few.values) + len(many.values), dtype=bool)
        is_many[at] = False
        others = np.flatnonzero(is_many)
        values, gaps = np.empty((2, len(is_many)))
        values[at], values[others] = few.values, many.values
        gaps[at] = few.share[1:] - many.share[self.place]
        gaps[others] = few.share[others - np.arange(len(others))] - many.share[1:]
        return float((np.abs(gaps[:-1]) * (values[1:] - values[:-1])).sum())


def ks(
    current: ArrayLike | Weighted,
    reference: ArrayLike | Weighted,
    current_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
) -> KS:
    """Two-sample Kolmogorov-Smirnov test, two-sided, weighted, asymptotic.

    Samples of shape (m,) and (n,), or ``Weighted`` ones that are already sorted. Smirnov (1939); weights enter the
    distribution functions and, by Kish's effective size, the p-value (Monahan 2011, section 12.6).
    """
    return Together.of(_weighted(current, current_weight), _weighted(reference, reference_weight)).ks()


def _weighted(sample: ArrayLike | Weighted, weight: ArrayLike | None) -> Weighted:
    return sample if isinstance(sample, Weighted) else Weighted.of(sample, weight)


def ks_p_value(d: float, n: float) -> float:
    """P(D >= d) for ``n`` = m n / (m + n), with Stephens' (1970) correction for small samples."""
    from scipy.special import kolmogorov

    root = math.sqrt(n)
    return min(max(float(kolmogorov((root + 0.12 + 0.11 / root) * d)), 0.0), 1.0)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return nodes, weights


def shifted_ks_p_value(d: float, n: float, shift: float, freedom: float) -> float:
    """P(D >= d) when samples also differ by a day's own shift, without anything having changed.

    D is at most the distance by chance plus the shift's (triangle inequality), so this p is not too small. ``shift``:
    standard deviation of that second distance, itself estimated with ``freedom`` degrees of freedom (Student's t).
    """
    return _shifted(n, shift, freedom)(d)


def _shifted(n: float, shift: float, freedom: float) -> Callable[[float], float]:
    """``shifted_ks_p_value`` as a function of d: what does not depend on it is worked out once."""
    from scipy.special import gammaln, kolmogorov, stdtr

    if shift <= 0:
        return lambda d: ks_p_value(d, n)
    nodes, weights = _quadrature()
    log_scale = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom * np.pi) / 2
    steps, power, root = (nodes + 1) / 2, -(freedom + 1) / 2, np.sqrt(n)
    stretched = (root + 0.12 + 0.11 / root) * (1 - steps)
    scaled, heights = steps / (shift * math.sqrt(freedom)), weights * (math.exp(log_scale) / shift)

    def p_value(d: float) -> float:
        t = scaled * d
        density = heights * np.exp(power * np.log1p(t * t))
        inside = float(density @ kolmogorov(stretched * d)) * d
        return min(1.0, inside + 2 * float(stdtr(freedom, -d / shift)))

    return p_value


def smallest_d(alpha: float, n: float, shift: float = 0.0, freedom: float = 1.0) -> float:
    """The smallest D that a test at level ``alpha`` can tell from chance with this ``n``; 1 when none can.

    To 1 / ``GRID``, by false position (the Illinois method: Dowell and Jarratt 1971) on the root of the logarithm of
    the p-value, which is nearly linear in D.
    """
    p_value = _shifted(n, shift, freedom)
    wanted = math.sqrt(-math.log(alpha))

    def excess(place: int) -> float:
        return wanted - math.sqrt(-math.log(min(max(p_value(place / GRID), 1e-300), 1.0)))

    low, high = 0, _likely(alpha, n, shift, freedom)
    above, below = wanted, excess(high)
    while below >= 0:
        if high == GRID:
            return 1.0
        low, above, high = high, below, min(high + high // 8 + 1, GRID)
        below = excess(high)
    fell = False
    while high - low > 1:
        middle = min(max(int(low + (high - low) * above / (above - below)), low + 1), high - 1)
        found, fell_before = excess(middle), fell
        if fell := found < 0:
            high, below, above = middle, found, above / 2 if fell_before else above
        else:
            low, above, below = middle, found, below if fell_before else below / 2
    return high / GRID


def _likely(alpha: float, n: float, shift: float, freedom: float) -> int:
    """About where ``smallest_d`` is: what chance alone would need, and what the shift alone would, at right angles."""
    from scipy.special import stdtrit

    by_chance = math.sqrt(-math.log(alpha / 2) / (2 * n))
    by_shift = -shift * float(stdtrit(freedom, alpha / 2)) if shift > 0 else 0.0
    return min(max(int(math.hypot(by_chance, by_shift) * GRID), 1), GRID)


def wasserstein(
    current: ArrayLike | Weighted,
    reference: ArrayLike | Weighted,
    current_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
) -> float:
    """The area between the two distribution functions (Wasserstein distance of order 1), in units of the values."""
    return Together.of(_weighted(current, current_weight), _weighted(reference, reference_weight)).area()


def block_distances(values: Floats, weights: Floats, block: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """D of each block against all the others, and the effective size of each such comparison.

    ``block``: shape (n,), the number of the block of each row, from 0. Blocks are days here: how far a day of the
    baseline is from the others says how far a day may be without anything having changed.
    """
    if (values[1:] < values[:-1]).any():
        order = np.argsort(values)
        values, weights, block = values[order], weights[order], block[order]
    distances, sizes = block_distances_each(values, weights, block, [0, len(values)])
    return distances[0], sizes[0]


def block_distances_each(
    values: Floats, weights: Floats, block: NDArray[np.int64], edges: Sequence[int]
) -> tuple[Floats, Floats]:
    """``block_distances`` of several samples, shape (samples, blocks), one after the other from ``edges`` on.

    Each is in ascending order and has a row.
    """
    first, rows, count = np.array(edges[:-1]), np.diff(edges), int(block.max()) + 1
    shape = len(rows), count
    cell = block + np.repeat(np.arange(len(rows)) * count, rows)
    own, squares = (np.bincount(cell, each, len(rows) * count).reshape(shape) for each in (weights, weights**2))
    others = own.sum(axis=1, keepdims=True) - own
    there = (own > 0) & (others > 0)
    up, down = (1 / np.where(there, each, np.inf) for each in (own, others))
    last = np.append((values[1:] != values[:-1]).astype(np.float64), 1.0)
    last[np.array(edges[1:]) - 1] = 1.0
    distances = np.zeros(shape)
    for number in np.flatnonzero(there.any(axis=0)).tolist():
        step = np.repeat(-down[:, [number]], count, axis=1)
        step[:, number] = up[:, number]
        # The steps of a sample sum to nothing, so that one running sum serves them all.
        gaps = (weights * step.ravel()[cell]).cumsum()
        gaps *= last
        distances[:, number] = np.maximum(np.maximum.reduceat(gaps, first), -np.minimum.reduceat(gaps, first))
    m = own**2 / np.where(there, squares, np.inf)
    n = others**2 / np.maximum(squares.sum(axis=1, keepdims=True) - squares, 1e-300)
    sizes = np.where(there, m * n / np.where(there, m + n, 1.0), 0.0)
    return np.where(there, distances, 0.0), sizes
