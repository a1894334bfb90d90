"""The same queries before and after: tests and intervals for paired differences."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftwatch.stats.dirichlet import dirichlet_mean_interval

EXACT_UP_TO = 18
"""As many differences are flipped in every possible way (2^18 sums); above that a seeded draw of flips is taken."""
PRIOR = 0.5
"""How many queries that lost everything, and how many that gained everything, count besides those that were seen."""


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided p of the exact McNemar test: is a flip as likely one way as the other?

    Dixon and Mood (1946); McNemar (1947). Only the canaries that flipped count.

    >>> round(mcnemar_exact(8, 0), 4)
    0.0078
    """
    flips = lost + gained
    return min(1.0, 2 * _half_binomial(min(lost, gained), flips)) if flips else 1.0


def sign_flip(
    differences: ArrayLike, *, side: Literal["less", "two-sided"] = "two-sided", seed: int = 0, draws: int = 10_000
) -> float:
    """P-value of the sign-flip permutation test that the differences are centred on nothing.

    ``differences``: shape (n,), after minus before. Exact for up to ``EXACT_UP_TO`` differences that are not zero and
    whenever all have one size (then it is the sign test, which is McNemar's); else ``draws`` seeded flips, whose
    p-value counts the observed one too (Phipson and Smyth 2010) and so is never 0. ``less``: did they fall?

    Fisher (1935), The Design of Experiments, section 21.
    """
    moved = np.asarray(differences, dtype=np.float64)
    moved = moved[moved != 0]
    if not len(moved):
        return 1.0
    total = float(moved.sum())
    if side == "two-sided" and total > 0:
        moved, total = -moved, -total
    size = np.abs(moved)
    if np.allclose(size, size[0], rtol=1e-9, atol=0):
        p_less = _half_binomial(int((moved > 0).sum()), len(moved))
    else:
        sums, drawn = _flipped_sums(size, seed, draws)
        as_low = int((sums <= total + 1e-9 * float(size.sum())).sum())
        p_less = (as_low + drawn) / (len(sums) + drawn)
    return min(1.0, 2 * p_less) if side == "two-sided" else p_less


def paired_bootstrap(differences: ArrayLike, *, level: float = 0.95, reach: float = 1.0) -> tuple[float, float]:
    """Interval of the mean difference over queries like these, by the Bayesian bootstrap (Rubin 1981), without drawing.

    ``differences``: shape (n,), after minus before, each within -``reach`` to ``reach``. It covers the change of the
    mean over the population that the queries were drawn from; for exactly these queries it is wide enough, or wider.
    Half a query that lost everything and half a query that gained everything are added (Jeffreys' prior): without them
    twenty canaries of which none was lost would show that none can be. So a suite of n canaries, none of which moved,
    has an interval of about -2 / n to 2 / n.

    Raises:
        ValueError: no differences.
    """
    moved = np.asarray(differences, dtype=np.float64)
    if not len(moved):
        raise ValueError("there is no difference to draw from.")
    values, counts = np.unique(np.append(np.round(moved, 12), [-reach, reach]), return_counts=True)
    weights = counts.astype(np.float64)
    weights[[0, -1]] -= PRIOR
    return dirichlet_mean_interval(values, weights, level)


def poisson_binomial_tail(count: int, rates: ArrayLike) -> float:
    """P(at least ``count`` of independent events happen); ``rates``: shape (n,), the probability of each.

    Exact, by convolution; every term is positive, so small tails keep their digits.
    """
    chances = np.asarray(rates, dtype=np.float64)
    if count <= 0:
        return 1.0
    mass = np.zeros(len(chances) + 1)
    mass[0] = 1.0
    for number, rate in enumerate(chances, 1):
        mass[1 : number + 1] = mass[1 : number + 1] * (1 - rate) + mass[:number] * rate
        mass[0] *= 1 - rate
    return float(min(1.0, mass[count:].sum()))


def _flipped_sums(size: NDArray[np.float64], seed: int, draws: int) -> tuple[NDArray[np.float64], int]:
    """Sums under flipped signs, and 1 when they are a draw, 0 when they are all there are."""
    if len(size) <= EXACT_UP_TO:
        sums = np.zeros(1)
        for step in size:
            sums = np.concatenate([sums - step, sums + step])
        return sums, 0
    columns = -(-len(size) // 8)
    noise = np.frombuffer(np.random.default_rng(seed).bytes(draws * columns), dtype=np.uint8).reshape(draws, columns)
    ups = np.unpackbits(noise, axis=1, count=len(size))
    return ups.astype(np.float32) @ (2 * size).astype(np.float32) - size.sum(), 1


def _half_binomial(count: int, n: int) -> float:
    """P(X <= count) of a fair coin thrown n times."""
    from scipy.special import bdtr

    return float(bdtr(count, n, 0.5))
