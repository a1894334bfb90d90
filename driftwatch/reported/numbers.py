"""A number with what stands behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Rate:
    """``k`` of ``n`` with the interval of the share. The interval is None where ``n`` is 0."""

    k: int
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def value(self) -> float | None:
        """k / n; None when n is 0."""
        return self.k / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, a quantile or a difference, of ``n`` units, with its interval."""

    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class DayValue:
    """The mean of one day; None on a day on which nothing was measured (``n`` is 0)."""

    day: date
    n: int
    value: float | None = None


@dataclass(frozen=True, slots=True)
class DayRate:
    """The rate of one day; days without traffic have n = 0."""

    day: date
    rate: Rate
