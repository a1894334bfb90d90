"""Drawing whole units with replacement: the bootstrap of rows that are not independent (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1_000
FEWEST_RESAMPLES, MOST_ROWS_DRAWN = 200, 20_000_000
"""How few resamples are drawn at least, and how many rows of all of them together at most."""


def resampled(
    unit: NDArray[np.int64], weight: Floats, seed: int, resamples: int, of: Callable[[Floats], float]
) -> Floats:
    """``of`` the weights of as many draws of whole units with replacement, shape (resamples,)."""
    number = np.unique(unit, return_inverse=True)[1]
    count = int(number.max()) + 1
    random = np.random.default_rng(seed)
    draws = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples))
    return np.array([of(weight * drawn[number]) for drawn in draws])


def resampled_sums(sums: Floats, seed: int, resamples: int) -> Floats:
    """Totals of draws of whole units, where each unit counts by its sums: shape (k, units) to (k, resamples)."""
    random = np.random.default_rng(seed)
    count = sums.shape[1]
    draws = (np.bincount(random.integers(0, count, count), minlength=count) for _ in range(resamples))
    return np.stack([sums @ drawn for drawn in draws], axis=1)


def affordable(resamples: int, rows: int) -> int:
    """Of many rows fewer resamples are drawn: a few seconds' worth, and enough for the ends of an interval."""
    return min(resamples, max(FEWEST_RESAMPLES, MOST_ROWS_DRAWN // max(rows, 1)))
