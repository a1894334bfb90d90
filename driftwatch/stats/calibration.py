"""A quality in [0, 1] from predictors: a ridge-penalised fractional logit, each group drawn to what all have together.

Papke and Wooldridge (1996), Econometric methods for fractional response variables; the folds as in Zrnic and Candès
(2024), Cross-prediction-powered inference: what is said of a labelled query comes from fits that never saw it, what is
said of an unlabelled one is the mean over all fits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5

POOLED_RIDGE = 1.0
"""On the standardised slopes of the common fit."""
OWN_RIDGE = 2.0
"""On how far the slopes of a group may depart from the common ones: by 0.7, give or take."""
LEVEL_RIDGE = 0.1
"""On its level: by three, give or take, because a model may know one language well and another not at all."""

FARTHEST = 4.0
"""Standard deviations from the labelled mean beyond which a predictor counts as there: nothing was learnt out there."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What was learnt from labelled queries."""

    centre: Floats
    """shape (p,)."""
    scale: Floats
    """shape (p,): infinite for a predictor that never varied."""
    common: Floats
    """shape (FOLDS, 1 + p): level and slopes without the queries of each fold."""
    own: Mapping[str, Floats]
    """Group -> the same, for the groups that had labels."""

    @classmethod
    def fit(cls, x: Floats, quality: Floats, group: NDArray[np.str_], fold: NDArray[np.int64]) -> Calibration:
        """Learn from ``x``, shape (n, p), and ``quality``, shape (n,), in [0, 1]; ``fold``: shape (n,), below FOLDS."""
        centre, spread = x.mean(axis=0), x.std(axis=0)
        scale = np.where(spread > 1e-9 * (1 + np.abs(centre)), spread, np.inf)
        design = _design(x, centre, scale)
        common = np.empty((FOLDS, design.shape[1]))
        own = {name: np.empty_like(common) for name in np.unique(group).tolist()}
        far = np.r_[LEVEL_RIDGE, np.full(x.shape[1], OWN_RIDGE)]
        near = np.r_[0.01, np.full(x.shape[1], POOLED_RIDGE)]
        for number in range(FOLDS):
            seen = fold != number
            common[number] = _logit(design[seen], quality[seen], 0.0, near)
            for name, coefficients in own.items():
                part = seen & (group == name)
                departure = _logit(design[part], quality[part], design[part] @ common[number], far)
                coefficients[number] = common[number] + departure
        return cls(centre, scale, common, own)

    def predict(self, x: Floats, group: NDArray[np.str_]) -> Floats:
        """The quality of queries without labels, shape (n,)."""
        mean: Floats = self._by_fold(x, group).mean(axis=1)
        return mean

    def held_out(self, x: Floats, group: NDArray[np.str_], fold: NDArray[np.int64]) -> Floats:
        """The quality of labelled queries by the fit that never saw them, shape (n,)."""
        predicted: Floats = self._by_fold(x, group)[np.arange(len(x)), fold]
        return predicted

    @property
    def weights(self) -> Floats:
        """shape (p,): the common slopes, by how much one standard deviation moves the logit."""
        slopes: Floats = self.common[:, 1:].mean(axis=0)
        return slopes

    def _by_fold(self, x: Floats, group: NDArray[np.str_]) -> Floats:
        design = _design(x, self.centre, self.scale)
        logit = design @ self.common.T
        for name in np.unique(group).tolist():
            if name in self.own:
                rows = group == name
                logit[rows] = design[rows] @ self.own[name].T
        return _expit(logit)


def _design(x: Floats, centre: Floats, scale: Floats) -> Floats:
    return np.column_stack([np.ones(len(x)), np.clip((x - centre) / scale, -FARTHEST, FARTHEST)])


def _logit(design: Floats, quality: Floats, offset: Floats | float, ridge: Floats) -> Floats:
    """Newton's method on the penalised likelihood, which is convex; nothing learnt is nothing changed."""
    found = np.zeros(design.shape[1])
    if not len(design):
        return found
    for _ in range(50):
        expected = _expit(offset + design @ found)
        slope = design.T @ (expected - quality) + ridge * found
        curvature = (design.T * (expected * (1 - expected))) @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, slope)
        found -= step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-12))  # far from the end Newton overshoots
        if np.abs(step).max() < 1e-9:
            break
    return found


def _expit(logit: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
