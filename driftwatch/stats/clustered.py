"""Interval of a mean over rows that come in clusters: what is drawn again are whole clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftwatch.stats.dirichlet import normal_score
from driftwatch.stats.paired import PRIOR

Floats = NDArray[np.float64]

STEPS = 60
CLOSE = 1e-4
"""Of a standard normal quantile: an end is found when it is so near."""


def clustered_interval(
    values: ArrayLike, cluster: NDArray[np.int64], *, level: float = 0.95, reach: float = 1.0
) -> tuple[float, float]:
    """Interval of the mean of ``values`` over rows like these, by the Bayesian bootstrap of clusters, without drawing.

    ``values``: shape (n,), each within -``reach`` to ``reach``; ``cluster``: shape (n,), equal numbers are one piece of
    evidence. The mean is that over rows, so a large cluster weighs more (a ratio of two sums: Cochran 1977, *Sampling
    Techniques*, section 9.2), and each cluster's weight is drawn whole (Rubin 1981). As in ``paired_bootstrap``, which
    this is when every row is a cluster, half a cluster of the mean size at either end of the reach is added. Asking
    every question of a suite twice changes nothing.

    Raises:
        ValueError: no values.
    """
    known = np.asarray(values, dtype=np.float64)
    if not len(known):
        raise ValueError("there is no value to draw from.")
    place = np.unique(cluster, return_inverse=True)[1]
    sums: Floats = np.bincount(place, known).astype(np.float64)
    sizes = np.bincount(place).astype(np.float64)
    kinds, counts = np.unique(np.round(np.stack([sums, sizes]), 12), axis=1, return_counts=True)
    size = float(sizes.mean())
    sums = np.append(kinds[0], [-reach * size, reach * size])
    sizes = np.append(kinds[1], [size, size])
    return _ratio_interval(sums, sizes, np.append(counts.astype(np.float64), [PRIOR, PRIOR]), level, reach)


def _ratio_interval(sums: Floats, sizes: Floats, weights: Floats, level: float, reach: float) -> tuple[float, float]:
    """Central interval of sum g sums / sum g sizes, the g gamma variables with shapes ``weights``; all of shape (k,).

    The ratio is at most t exactly when the sum of g (sums - t sizes) is at most 0.
    """
    from scipy.special import ndtri

    target = float(ndtri((1 + level) / 2)) * np.array([-1.0, 1.0])
    mean = float(sums @ weights / (sizes @ weights))
    total = float(weights.sum())
    spread = float(np.sqrt(weights @ (sums - mean * sizes) ** 2 / total / (total + 1)) / (sizes @ weights / total))
    edge = reach * (1 - 1e-9)
    low, high = np.array([-edge, mean]), np.array([mean, edge])
    ends, rise = np.clip(mean + target * spread, low, high), np.full(2, spread)
    score = _score(sums, sizes, weights, ends)
    for _ in range(STEPS):
        if np.abs(score - target).max() < CLOSE:
            break
        low, high = np.where(score < target, ends, low), np.where(score < target, high, ends)
        step = ends + (target - score) * rise
        step = np.where((step > low) & (step < high), step, (low + high) / 2)
        after = _score(sums, sizes, weights, step)
        known = np.abs(after - score) > 1e-9
        rise = np.where(known, (step - ends) / np.where(known, after - score, 1.0), rise)
        ends, score = step, after
    return float(ends[0]), float(ends[1])


def _score(sums: Floats, sizes: Floats, weights: Floats, at: Floats) -> Floats:
    """The standard normal quantile of P(ratio <= at), shape (2,)."""
    return normal_score(sums - at[:, None] * sizes, weights, np.zeros(len(at)))
