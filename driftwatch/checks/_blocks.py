"""Counts by day: how much the days of the baseline vary, which is more than coins would."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.proportion import dispersion
from driftwatch.types import TALLY_FIELDS, Tallies

FEWEST_DAYS = 3
"""With fewer days than this in the baseline, counts are taken for coins."""


def by_day(tallies: Tallies, columns: tuple[str, ...]) -> NDArray[np.float64]:
    """Sums by day, shape (days, len(columns)), days ascending; only days with a row."""
    _, day = np.unique(tallies.hour.astype("datetime64[D]"), return_inverse=True)
    counts = tallies.counts[:, [TALLY_FIELDS.index(column) for column in columns]]
    days = np.zeros((int(day.max()) + 1 if len(day) else 0, len(columns)))
    np.add.at(days, day, counts)
    return days


def day_dispersion(counts: NDArray[np.float64]) -> float:
    """How many times more than chance the days vary; ``counts``: shape (days, categories). 1 when too few to tell."""
    return dispersion(counts) if len(counts) >= FEWEST_DAYS else 1.0
