"""The score distribution of a window: one number a session, sorted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.twosample import Weighted, block_distances
from driftwatch.types import Sample, Window

Score = Literal["top1", "topk_mean"]

USUAL_KS = 0.82757
"""Median of sqrt(n) D when nothing changed: the median of Kolmogorov's distribution."""
FEWEST_DAYS = 3
SMALLEST_DAY = 20
"""A day with fewer units than this says nothing about how much days vary."""


@dataclass(frozen=True, slots=True)
class Units:
    """One row a session, those that have a score."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    day: NDArray[np.int64]
    """Days since the epoch."""
    query_id: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Normal:
    """The reference side of a comparison."""

    units: Weighted | None
    """None when no row of the reference has a score."""
    rows: int
    day_factor: float
    """How many times farther from the others a day of the baseline is than chance would put it; at least 1."""
    day_distances: tuple[float, ...]
    """D of each day of the baseline against the others."""


def units(sample: Sample, score: Score) -> Units:
    """The score of each session's first row that has one: rows of one session are not independent."""
    if not len(sample) or not sample.scores.shape[1]:
        return Units(np.empty(0), np.empty(0), np.empty(0, np.int64), np.empty(0, "<U1"))
    rows = np.flatnonzero(np.isfinite(sample.scores).any(axis=1) & (sample.weight > 0))
    _, first = np.unique(sample.unit[rows], return_index=True)
    rows = rows[np.sort(first)]
    scores = np.where(np.isfinite(sample.scores[rows]), sample.scores[rows], np.nan).astype(np.float64)
    # Rows are best first, but a missing score may come before a known one.
    values = np.nanmax(scores, axis=1) if score == "top1" else np.nanmean(scores, axis=1)
    day = sample.at[rows].astype("datetime64[D]").astype(np.int64)
    return Units(values, sample.weight[rows].astype(np.float64), day, sample.query_id[rows])


_NORMAL: WeakKeyDictionary[Window, dict[Score, Normal]] = WeakKeyDictionary()


def normal(reference: Window, score: Score) -> Normal:
    """The reference distribution; remembered as long as the window lives."""
    known = _NORMAL.setdefault(reference, {})
    if score not in known:
        known[score] = _normal(units(reference.sample, score))
    return known[score]


def _normal(found: Units) -> Normal:
    if not len(found.values):
        return Normal(None, 0, 1.0, ())
    _, day, rows = np.unique(found.day, return_inverse=True, return_counts=True)
    whole = Weighted.of(found.values, found.weights)
    thick = rows >= SMALLEST_DAY
    if thick.sum() < FEWEST_DAYS:
        return Normal(whole, len(found.values), 1.0, ())
    keep = thick[day]
    _, day = np.unique(day[keep], return_inverse=True)
    distances, sizes = block_distances(found.values[keep], found.weights[keep], day)
    factor = float(np.median(distances * np.sqrt(sizes))) / USUAL_KS
    return Normal(whole, len(found.values), max(1.0, factor), tuple(float(d) for d in distances))
