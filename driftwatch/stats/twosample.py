"""Two samples of one number: have they the same distribution?

Rows may carry weights (1 / probability of having been kept); what counts as evidence then is Kish's effective size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


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
        order = np.argsort(numbers, kind="stable")
        share = np.concatenate([[0.0], np.cumsum(weights[order])])
        return cls(numbers[order], share / share[-1], float(weights.sum() ** 2 / (weights**2).sum()))

    def below(self, points: Floats, *, include: bool = True) -> Floats:
        """The share at or below each point; without ``include``, strictly below."""
        return np.asarray(self.share[np.searchsorted(self.values, points, side="right" if include else "left")])

    def quantile(self, q: float) -> float:
        """The smallest value with at least a share ``q`` at or below it."""
        place = int(np.searchsorted(self.share[1:], q - 1e-12))
        return float(self.values[min(place, len(self.values) - 1)])

    def mean(self) -> float:
        return float((self.values * np.diff(self.share)).sum())


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
    left = current if isinstance(current, Weighted) else Weighted.of(current, current_weight)
    right = reference if isinstance(reference, Weighted) else Weighted.of(reference, reference_weight)
    # Between two neighbours of the smaller sample its share is flat: the gap is largest just before or at one of them.
    few = min(left, right, key=lambda sample: len(sample.values)).values
    at = left.below(few) - right.below(few)
    before = left.below(few, include=False) - right.below(few, include=False)
    gaps = np.concatenate([at, before])
    place = int(np.argmax(np.abs(gaps)))
    n = left.n * right.n / (left.n + right.n)
    d = float(abs(gaps[place]))
    direction: Literal["lower", "higher", "same"] = "same"
    if d:
        direction = "lower" if gaps[place] > 0 else "higher"
    return KS(d, ks_p_value(d, n), float(few[place % len(few)]), direction, n)


def ks_p_value(d: float, n: float) -> float:
    """P(D >= d) for ``n`` = m n / (m + n), with Stephens' (1970) correction for small samples."""
    return float(_kolmogorov_tail(np.array([d]), n)[0])


@cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(64)
    return nodes, weights


def _kolmogorov_tail(d: Floats, n: float) -> Floats:
    from scipy.special import kolmogorov

    root = np.sqrt(n)
    return np.asarray(np.clip(kolmogorov((root + 0.12 + 0.11 / root) * d), 0.0, 1.0))


def shifted_ks_p_value(d: float, n: float, shift: float, freedom: float) -> float:
    """P(D >= d) when samples also differ by a day's own shift, without anything having changed.

    D is at most the distance by chance plus the shift's (triangle inequality), so this p is not too small. ``shift``:
    standard deviation of that second distance, itself estimated with ``freedom`` degrees of freedom (Student's t).
    """
    from scipy.special import gammaln, stdtr

    if shift <= 0:
        return ks_p_value(d, n)
    nodes, weights = _quadrature()
    t = (nodes + 1) / 2 * d / shift
    log_scale = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom * np.pi) / 2
    density = 2 * np.exp(log_scale - (freedom + 1) / 2 * np.log1p(t * t / freedom))
    inside = float((weights / 2 * d / shift * density * _kolmogorov_tail(d - shift * t, n)).sum())
    return min(1.0, inside + 2 * float(stdtr(freedom, -d / shift)))


def smallest_d(alpha: float, n: float, shift: float = 0.0, freedom: float = 1.0) -> float:
    """The smallest D that a test at level ``alpha`` can tell from chance with this ``n``; 1 when none can."""
    low, high = 0.0, 1.0
    if shifted_ks_p_value(1.0, n, shift, freedom) >= alpha:
        return 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if shifted_ks_p_value(middle, n, shift, freedom) < alpha:
            high = middle
        else:
            low = middle
    return high


def wasserstein(
    current: ArrayLike | Weighted,
    reference: ArrayLike | Weighted,
    current_weight: ArrayLike | None = None,
    reference_weight: ArrayLike | None = None,
) -> float:
    """The area between the two distribution functions (Wasserstein distance of order 1), in units of the values."""
    left = current if isinstance(current, Weighted) else Weighted.of(current, current_weight)
    right = reference if isinstance(reference, Weighted) else Weighted.of(reference, reference_weight)
    few, many = (left, right) if len(left.values) <= len(right.values) else (right, left)
    # Between two neighbours of the smaller sample its share is flat, and the other's passes it at most once.
    start, end, share = few.values[:-1], few.values[1:], few.share[1:-1]
    place = np.minimum(np.searchsorted(many.share[1:], share), len(many.values) - 1)
    passed = np.clip(many.values[place], start, end)
    first, last = few.values[:1], few.values[-1:]
    at_first, at_start, at_passed, at_end, at_last = _areas(many, first, start, passed, end, last)
    between = share * (2 * passed - start - end) - 2 * at_passed + at_start + at_end
    beyond = many.mean() - last + at_last
    return max(0.0, float(at_first.sum() + between.sum() + beyond.sum()))


def _areas(sample: Weighted, *points: Floats) -> list[Floats]:
    """The area below the distribution function up to each point."""
    origin = sample.values[0]
    moment = np.concatenate([[0.0], np.cumsum((sample.values - origin) * np.diff(sample.share))])
    areas = []
    for each in points:
        place = np.searchsorted(sample.values, each, side="right")
        areas.append((each - origin) * sample.share[place] - moment[place])
    return areas


def block_distances(values: Floats, weights: Floats, block: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """D of each block against all the others, and the effective size of each such comparison.

    ``block``: shape (n,), the number of the block of each row, from 0. Blocks are days here: how far a day of the
    baseline is from the others says how far a day may be without anything having changed.
    """
    order = np.argsort(values, kind="stable")
    ordered, weights, block = values[order], weights[order], block[order]
    last_of_tie = np.append(ordered[1:] != ordered[:-1], True)
    total = np.cumsum(weights)
    count = int(block.max()) + 1
    distances, sizes = np.zeros(count), np.zeros(count)
    squares = np.bincount(block, weights**2, count)
    for number in range(count):
        inside = np.cumsum(np.where(block == number, weights, 0.0))
        outside = total[-1] - inside[-1]
        if inside[-1] <= 0 or outside <= 0:
            continue
        gaps = inside / inside[-1] - (total - inside) / outside
        distances[number] = np.abs(gaps[last_of_tie]).max()
        m = inside[-1] ** 2 / squares[number]
        n = outside**2 / max(squares.sum() - squares[number], 1e-300)
        sizes[number] = m * n / (m + n)
    return distances, sizes
