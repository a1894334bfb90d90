"""What became of scores: the same documents for the same queries, before a change and after it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.cutoff import Floats, Interval
from driftwatch.stats.matching import interval_of
from driftwatch.stats.resampling import RESAMPLES, resampled

MONOTONE = 0.98
"""The share of pairs of documents in the same order from which the ranks count as unchanged."""
UNMOVED = 0.02
"""Standard deviations of the scores that a scale may move without being called moved."""


@dataclass(frozen=True, slots=True)
class Rescaling:
    """The line that takes scores before to scores after."""

    slope: float
    slope_interval: Interval
    intercept: float
    intercept_interval: Interval
    in_order: float
    """The share of pairs of documents of one query that are in the same order; 1 when ranks did not change."""
    moved: float
    """How far a score moves, in standard deviations of the scores before: root mean square along the line."""
    scatter: float
    """How far scores lie from the line, in standard deviations of the scores after."""
    pairs: int
    queries: int

    @property
    def monotone(self) -> bool:
        """Whether the order within queries is what it was."""
        return self.in_order >= MONOTONE

    @property
    def unmoved(self) -> bool:
        """Whether the scale is what it was."""
        return self.moved < UNMOVED


def rescaling(before: Floats, after: Floats, query: NDArray[np.int64], *, seed: int = 0) -> Rescaling:
    """The line through pairs of scores, shape (n,), each of the ``query`` with that number; queries are the unit.

    The reduced major axis: what the spread of the one is to that of the other. It treats both alike, where least
    squares would take scatter for a flatter slope (Warton and others 2006, Bivariate line-fitting methods).

    Raises:
        ValueError: fewer than two distinct scores before.
    """
    if np.ptp(before) == 0:
        raise ValueError("one and the same score says nothing about a scale.")
    weight = np.ones(len(before))
    slope, intercept = _line(before, after, weight)
    slopes = resampled(query, weight, seed, RESAMPLES // 4, lambda drawn: _line(before, after, drawn)[0])
    intercepts = resampled(query, weight, seed, RESAMPLES // 4, lambda drawn: _line(before, after, drawn)[1])
    spread, spread_after = float(before.std()), float(after.std())
    along = slope * before + intercept
    return Rescaling(
        slope=slope,
        slope_interval=interval_of(slopes),
        intercept=intercept,
        intercept_interval=interval_of(intercepts),
        in_order=_in_order(before, after, query),
        moved=float(np.sqrt(np.mean((along - before) ** 2))) / spread,
        scatter=float(np.sqrt(np.mean((after - along) ** 2))) / spread_after if spread_after > 0 else 0.0,
        pairs=len(before),
        queries=len(np.unique(query)),
    )


def _line(before: Floats, after: Floats, weight: Floats) -> tuple[float, float]:
    total = weight.sum()
    mean, mean_after = float(weight @ before / total), float(weight @ after / total)
    spread = float(weight @ (before - mean) ** 2)
    if spread <= 0:
        return 1.0, mean_after - mean
    together = float(weight @ ((before - mean) * (after - mean_after)))
    slope = float(np.sqrt(weight @ (after - mean_after) ** 2 / spread)) * (1.0 if together >= 0 else -1.0)
    return slope, mean_after - slope * mean


def _in_order(before: Floats, after: Floats, query: NDArray[np.int64]) -> float:
    """Equal scores say nothing; 1 when no query has two documents that differ."""
    agreed = compared = 0
    for rows in np.split(np.argsort(query, kind="stable"), np.cumsum(np.unique(query, return_counts=True)[1])[:-1]):
        signs = np.sign(before[rows, None] - before[rows]) * np.sign(after[rows, None] - after[rows])
        agreed += int((signs > 0).sum())
        compared += int((signs != 0).sum())
    return agreed / compared if compared else 1.0
