"""How much more than chance the days of the baseline vary, and what that makes of a p-value.

Real counts come in bursts, sessions and days; a test that takes them for coins cries wolf. The dispersion is estimated
from the days of the baseline, with a prior of a week whose days vary by a tenth (scaled inverse chi-square: Gelman and
others 2013, Bayesian Data Analysis, section 2.6), because a short baseline has few days of the same weekday; the
p-value then is Student's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.interval import Design
from driftwatch.types import TALLY_FIELDS, Tallies

PRIOR_DAYS, PRIOR_VARIATION = 7, 0.1
ENOUGH_DAYS = 5
"""An interval takes the days as they are when there are so many; fewer are made up to so many by the prior."""


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How many times more than chance the counts of a day vary."""

    factor: float
    """At least 1."""
    freedom: float
    """How well that is known: degrees of freedom, those of the prior among them."""
    design: Design
    """The same for intervals, which are to cover what they say and not more: without the prior where days suffice."""

    @classmethod
    def of(cls, chi_square: float, freedom: float, prior: float, width: int = 1) -> Dispersion:
        """From Pearson's chi-square of the days; ``prior``: the factor if days vary by ``PRIOR_VARIATION``.

        ``width``: degrees of freedom that one day brings.
        """
        known = freedom + PRIOR_DAYS * width
        short = max(0.0, ENOUGH_DAYS * width - freedom)
        design = Design.of(chi_square + short * prior, freedom + short)
        return cls(max(1.0, (chi_square + PRIOR_DAYS * width * prior) / known), known, design)

    def temper(self, p_value: float, *, two_sided: bool) -> float:
        """What a p-value is worth whose dispersion was estimated: Student's t for the normal distribution."""
        from scipy.special import ndtri, stdtr

        sides = 2 if two_sided else 1
        if p_value >= sides / 2 or p_value <= 0:
            return p_value
        return float(sides * stdtr(self.freedom, ndtri(p_value / sides)))


def of_days(counts: NDArray[np.float64], prior: float) -> Dispersion:
    """Dispersion of ``counts``, shape (days, categories), around the shares that all days have together."""
    of_day, of_kind = counts.sum(axis=1), counts.sum(axis=0)
    table = counts
    if not (of_day.all() and of_kind.all()):
        table = counts[of_day > 0][:, of_kind > 0]
        of_day, of_kind = of_day[of_day > 0], of_kind[of_kind > 0]
    width = max(table.shape[1] - 1, 1)
    if table.shape[0] < 2 or table.shape[1] < 2:
        return Dispersion.of(0.0, 0.0, prior, width)
    expected = of_day[:, None] * of_kind / of_day.sum()
    chi_square = float(((table - expected) ** 2 / expected).sum())
    return Dispersion.of(chi_square, (table.shape[0] - 1) * width, prior, width)


def by_day(tallies: Tallies, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Sums by day, shape (days, len(columns)), days ascending; only days with a row."""
    return tallies.once("by day", lambda: _by_day(tallies))[:, [TALLY_FIELDS.index(column) for column in columns]]


def _by_day(tallies: Tallies) -> NDArray[np.float64]:
    day = tallies.hour.astype("datetime64[D]").astype(np.int64)
    first = np.flatnonzero(np.diff(day, prepend=-(2**62)))  # rows are in order of time
    return (
        np.add.reduceat(tallies.counts, first, axis=0).astype(np.float64)
        if len(day)
        else np.zeros((0, len(TALLY_FIELDS)))
    )
