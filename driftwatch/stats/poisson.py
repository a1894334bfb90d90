"""How often something happens: exact intervals for a count of rare events."""

from __future__ import annotations


def rate_interval(count: int, exposure: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of the rate behind ``count`` events in ``exposure`` (any unit of time); (0, inf) without exposure.

    Garwood (1936), *Fiducial limits for the Poisson distribution*: exact, so it covers at least ``level``.

    >>> low, high = rate_interval(0, 2.0)
    >>> low, round(high, 3)
    (0.0, 1.844)
    """
    from scipy.special import gammaincinv

    if exposure <= 0:
        return 0.0, float("inf")
    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count > 0 else 0.0
    return low / exposure, float(gammaincinv(count + 1, 1 - tail)) / exposure
