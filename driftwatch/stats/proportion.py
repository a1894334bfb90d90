"""Counts and shares: exact tests and intervals."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Side = Literal["up", "down", "both"]


def binomial_test(x: int, n: int, p: float, side: Side = "both") -> float:
    """Exact p-value of ``x`` hits in ``n`` when each has the chance ``p``; both sides = twice the smaller tail."""
    from scipy.special import bdtr, bdtrc

    if n <= 0:
        return 1.0
    up = 1.0 if x <= 0 else float(bdtrc(x - 1, n, p))
    down = 1.0 if x >= n else float(bdtr(x, n, p))
    return sided(up, down, side)


def two_proportions(x1: int, n1: int, x2: int, n2: int, side: Side = "both") -> float:
    """Exact p-value that sample 1 has a higher (``up``) or lower (``down``) share than sample 2.

    Fisher's (1934) test: given all hits of both samples, how many fall into sample 1 is hypergeometric. Its terms are
    ratios to the likeliest one, so counts of millions and tails of 1e-200 are fine. Both sides = twice the smaller
    tail. Never too small: at level a it rejects at most a share a of the time, whatever the true rate.
    """
    return sided(*tails(x1, n1, x2, n2), side)


def tails(x1: int, n1: int, x2: int, n2: int) -> tuple[float, float]:
    """The p-values of ``two_proportions`` that sample 1 has a higher share, and that it has a lower one."""
    if n1 <= 0 or n2 <= 0:
        return 1.0, 1.0
    mean = n1 * (x1 + x2) / (n1 + n2)
    # Farther out p is as good as 0 at either place, and what lies between would not fit into memory.
    farthest = 12 * mean**0.5 + 1e6
    seen = min(max(x1, int(mean - farthest)), int(mean + farthest))
    first, chances = _hypergeometric(n1, n2, x1 + x2, seen)
    place, whole = seen - first, chances.sum()
    return float(chances[place:].sum() / whole), float(chances[: place + 1].sum() / whole)


def poisson_ratio(x: float, expected: float, seen: float, side: Side = "both") -> float:
    """P-value that a count ``x`` fits ``expected``, which was itself estimated from a count of ``seen``.

    The conditional test of two Poisson counts (Przyborowski and Wilenski 1940): given their sum, ``x`` is binomial with
    the chance expected / (expected + seen). Counts need not be whole: divided by their dispersion they are not.
    """
    from scipy.special import betainc

    if expected <= 0:
        return 1.0
    chance = expected / (expected + seen)
    down = float(betainc(seen, x + 1, 1 - chance)) if seen > 0 else 1.0
    up = float(betainc(x, seen + 1, chance)) if x > 0 else 1.0
    return sided(up, down, side)


def ratio_interval(
    x: float, expected: float, seen: float, level: float = 0.95, freedom: float = np.inf
) -> tuple[float, float]:
    """Interval of x / expected, by Jeffreys' prior on the conditional share of ``poisson_ratio``.

    Equal tails of a beta distribution (Brown, Cai and DasGupta 2001), which on average covers what it says; the
    interval of Clopper and Pearson (1934) covers more. ``freedom``: how well the dispersion is known that ``x``,
    ``expected`` and ``seen`` were divided by. Nothing is known, 0 to 1e12, when nothing was seen before.
    """
    from scipy.special import betaincinv, ndtr, stdtrit

    if seen <= 0:
        return 0.0, 1e12
    tail = float(ndtr(stdtrit(min(freedom, 1e12), (1 - level) / 2)))
    low = float(betaincinv(x + 0.5, seen + 0.5, tail)) if x > 0 else 0.0
    high = 1 - float(betaincinv(seen + 0.5, x + 0.5, tail))
    # share = ratio * expected / (ratio * expected + seen), solved for the ratio
    return low / (1 - low) * seen / expected, min(1e12, high / max(1 - high, 1e-12) * seen / expected)


def wilson(x: float, n: float, level: float = 0.95, freedom: float = np.inf) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927); (0, 1) when n is 0.

    ``freedom``: how well is known how many coins ``n`` stands for; Student's t then takes the place of the normal.
    """
    from scipy.special import stdtrit

    if n <= 0:
        return 0.0, 1.0
    z = float(stdtrit(min(freedom, 1e12), (1 + level) / 2))
    share = float(x / n)
    centre = share + z * z / (2 * n)
    half = z * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return max(0.0, (centre - half) / (1 + z * z / n)), min(1.0, (centre + half) / (1 + z * z / n))


def newcombe(
    x1: float, n1: float, x2: float, n2: float, level: float = 0.95, freedom: float = np.inf
) -> tuple[float, float]:
    """Interval of share 1 minus share 2 (Newcombe 1998, method 10); ``freedom`` as in ``wilson``."""
    share1, share2 = x1 / n1, x2 / n2
    (low1, high1), (low2, high2) = wilson(x1, n1, level, freedom), wilson(x2, n2, level, freedom)
    difference = share1 - share2
    below = float(np.hypot(share1 - low1, high2 - share2))
    above = float(np.hypot(high1 - share1, share2 - low2))
    return max(-1.0, difference - below), min(1.0, difference + above)


def total_variation(current: ArrayLike, reference: ArrayLike) -> float:
    """Half the sum of the absolute differences of shares, in [0, 1]; both: counts of shape (k,), same order."""
    left, right = np.asarray(current, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    return float(0.5 * np.abs(left / left.sum() - right / right.sum()).sum())


def g_test(
    current: ArrayLike, reference: ArrayLike, dispersion: float = 1.0, freedom: float = np.inf
) -> tuple[float, float]:
    """G and p of the likelihood-ratio test that two sets of counts, shape (k,), have the same shares (Wilks 1938).

    ``dispersion``: how many times more than multinomial the counts vary; when it was estimated with ``freedom`` degrees
    of freedom, G over it is compared with F instead of chi-square (McCullagh and Nelder 1989, section 4.5).
    """
    from scipy.special import fdtrc, gammaincc, xlogy

    table = np.asarray([current, reference], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return 0.0, 1.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    g = max(0.0, float(2 * xlogy(table, table / expected).sum()))
    width = table.shape[1] - 1
    if np.isfinite(freedom):
        return g, float(fdtrc(width, freedom, g / dispersion / width))
    return g, float(gammaincc(width / 2, g / dispersion / 2))


def sided(up: float, down: float, side: Side) -> float:
    """The p-value of a side, of those of both; twice the smaller one for ``both``."""
    p = {"up": up, "down": down, "both": 2 * min(up, down)}[side]
    return float(min(1.0, max(0.0, p)))


def _hypergeometric(n1: int, n2: int, hits: int, seen: int) -> tuple[int, NDArray[np.float64]]:
    """The chances that so many of ``hits`` fall into sample 1, over that of the likeliest, from the first one on.

    ``seen`` is among them; what lies farther from the mean, or farther out than it, is nothing.
    """
    mean = n1 * hits / (n1 + n2)
    reach = 40 + int(12 * np.sqrt(mean))
    lowest = max(0, hits - n2, min(int(mean), seen) - reach)
    highest = min(n1, hits, max(int(mean), seen) + reach)
    mode = min(max((n1 + 1) * (hits + 1) // (n1 + n2 + 2), lowest), highest)
    k = np.arange(lowest + 1, highest + 1, dtype=np.float64)
    ratio = (n1 + 1 - k) * (hits + 1 - k) / (k * (n2 - hits + k))
    up, down = np.cumprod(ratio[mode - lowest :]), np.cumprod(1 / ratio[: mode - lowest][::-1])
    return lowest, np.concatenate([down[::-1], [1.0], up])
