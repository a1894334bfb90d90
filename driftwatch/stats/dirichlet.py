"""The mean of fixed values under random weights: the Bayesian bootstrap without drawing.

Weights from a Dirichlet distribution are independent gamma variables over their sum, so the weighted mean is at most t
exactly when a sum of gamma variables, each times its value less t, is at most 0. That probability is found by a
saddlepoint approximation (Lugannani and Rice 1980, in Barndorff-Nielsen's form; Daniels 1987), whose error is far below
what a few thousand draws leave.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 60
"""Of a search that takes Newton's step, or halves where that would leave the bracket."""


def dirichlet_mean_interval(values: Floats, weights: Floats, level: float = 0.95) -> tuple[float, float]:
    """Central interval of sum w_i values_i, where w is Dirichlet with parameters ``weights``; both of shape (k,)."""
    from scipy.special import ndtri

    mean = float(values @ weights / weights.sum())
    deviation = float(np.sqrt(weights @ (values - mean) ** 2 / weights.sum() / (weights.sum() + 1)))
    if deviation < 1e-12:
        return mean, mean
    target = float(ndtri((1 + level) / 2)) * np.array([-1.0, 1.0])
    inside = np.array([[values.min()], [values.max()]]) * (1 - 1e-9) + mean * 1e-9
    low, high = np.array([inside[0, 0], mean]), np.array([mean, inside[1, 0]])
    ends, rise = np.clip(mean + target * deviation, low, high), np.full(2, deviation)
    score = normal_score(values, weights, ends)
    for _ in range(STEPS):
        if np.abs(score - target).max() < 1e-4:
            break
        low, high = np.where(score < target, ends, low), np.where(score < target, high, ends)
        step = ends + (target - score) * rise
        step = np.where((step > low) & (step < high), step, (low + high) / 2)
        after = normal_score(values, weights, step)
        known = np.abs(after - score) > 1e-9
        rise = np.where(known, (step - ends) / np.where(known, after - score, 1.0), rise)
        ends, score = step, after
    return float(ends[0]), float(ends[1])


def normal_score(values: Floats, weights: Floats, at: Floats) -> Floats:
    """The standard normal quantile of P(mean <= at), shape (m,); ``at``: inside the range of ``values``."""
    x = values - at[:, None]
    saddle = _saddle(x, weights)
    scaled = 1 - saddle[:, None] * x
    exponent = np.maximum(2 * np.log(scaled) @ weights, 0.0)
    root = np.sign(saddle) * np.sqrt(exponent)
    slope = saddle * np.sqrt((x / scaled) ** 2 @ weights)
    skew = (x**3 @ weights) / 3 / (x**2 @ weights) ** 1.5
    near = np.abs(root) < 1e-4  # at the mean itself the correction is 0 / 0; this is its limit
    safe = np.where(near, 1.0, root)
    return np.asarray(root + np.where(near, skew, np.log(np.where(near, 1.0, slope / safe)) / safe))


def _saddle(x: Floats, weights: Floats) -> Floats:
    """Where the cumulant generating function -sum w log(1 - s x) is flat, for each row of ``x``."""
    low, high = 1 / x.min(axis=1), 1 / x.max(axis=1)
    saddle = np.zeros(len(x))
    for _ in range(STEPS):
        ratio = x / (1 - saddle[:, None] * x)
        slope, bend = ratio @ weights, ratio**2 @ weights
        low, high = np.where(slope < 0, saddle, low), np.where(slope < 0, high, saddle)
        if (np.abs(slope) <= 1e-9 * np.sqrt(bend)).all():
            break
        step = saddle - slope / bend
        saddle = np.where((step > low) & (step < high), step, (low + high) / 2)
    return saddle
