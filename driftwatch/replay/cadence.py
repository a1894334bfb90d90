"""How often something was recorded: every hour, once a day, once a week."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from driftwatch.schedule import show_duration

HOUR = timedelta(hours=1)

REGULAR = 0.8
"""The share of gaps that must be a whole number of steps before a record counts as written at a pace."""

LOOSE = 0.1
"""How far off, as a share of the step, a gap may be: months are not equally long."""

_NAMES = {1: "hourly", 24: "daily", 168: "weekly"}


def cadence(hours: NDArray[np.int64]) -> timedelta:
    """The pace of a record whose distinct hours (ascending) hold something; an hour when it has none.

    >>> cadence(np.arange(0, 100 * 168, 168))
    datetime.timedelta(days=7)
    >>> cadence(np.array([0, 1, 2, 9, 10, 11]))
    datetime.timedelta(seconds=3600)
    """
    gaps = np.diff(hours)
    if len(gaps) < 3:
        return HOUR
    step = float(np.median(gaps))
    if step < 2:
        return HOUR
    off = np.abs(gaps - np.maximum(np.round(gaps / step), 1) * step)
    if np.mean(off <= LOOSE * step) < REGULAR:
        return HOUR
    single = gaps[np.abs(gaps - step) <= LOOSE * step]
    return HOUR * int(single.max(initial=round(step)))


def named(pace: timedelta) -> str:
    """``weekly``, or ``every 6h``."""
    return _NAMES.get(round(pace / HOUR), f"every {show_duration(pace)}")
