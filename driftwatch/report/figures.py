"""How the report rounds, and what stands behind its shares."""

from __future__ import annotations

import math
from collections.abc import Iterable

from driftwatch.reported import Estimate, Rate
from driftwatch.stats.interval import COINS, Design, share_interval

NOTHING = 1e-12
"""What is smaller is rounding, and is 0."""
DIGITS = 6
"""Digits that are kept of a number: the last bits of a sum depend on the machine."""


def rounded(value: float | None) -> float | None:
    """``value`` to ``DIGITS`` digits that matter; None where it is no number.

    >>> rounded(1 / 3), rounded(123456789.0), rounded(float("nan"))
    (0.333333, 123457000.0, None)
    """
    if value is None or not math.isfinite(value):
        return None
    return _to_digits(value)


def rounded_each(values: Iterable[float]) -> tuple[float, ...]:
    """``rounded`` of numbers that are finite."""
    return tuple(map(_to_digits, values))


def _to_digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if abs(value) >= NOTHING else 0.0


def rate(k: int, n: int, design: Design = COINS) -> Rate:
    """``k`` of ``n`` with the interval of the share, where counts vary by ``design``."""
    if n <= 0:
        return Rate(0, 0)
    low, high = share_interval(k, n, design)
    return Rate(int(k), int(n), rounded(low), rounded(high))


def estimate(n: int, value: float | None, interval: tuple[float, float] | None = None) -> Estimate:
    """A number with its interval, rounded."""
    low, high = interval or (None, None)
    return Estimate(int(n), rounded(value), rounded(low), rounded(high))
