"""What share of an hour's units is to be expected: a harmonic regression on the baseline.

The model is linear in the share: a level, a weekend effect, the first two harmonics of the day, and the weekend's own
first harmonic; each segment by itself, since languages live in time zones: a segment's weekend begins when its traffic
says so. All but the level are shrunk towards zero by
a ridge worth ``PRIOR_UNITS`` units, so that a small segment keeps its level and claims no season it cannot show.
Harmonic regression: Hyndman and Athanasopoulos (2021), *Forecasting: principles and practice*, section 7.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.shares import Shares

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

PRIOR_UNITS = 60.0
"""How many units of an hour the ridge on a seasonal term is worth."""
WEEK = 168
WEEKEND_HOURS = 24
"""So many hours of weekend (and of week) must be in the baseline before the other can be told from it."""
SMALLEST = 1e-4
"""No share is expected to be closer to 0 or 1 than this."""
DAYS_RHYTHM = 48
"""With fewer hours than this a day's rhythm cannot be told from noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Expected shares by time."""

    coefficients: Floats
    """shape (S, J, F)."""
    zone: Steps
    """shape (S,): hours ahead of UTC of the clock that a segment's traffic keeps."""
    knows_weekend: bool
    knows_week: bool

    def expected(self, step: Steps) -> Floats:
        """shape (T, S, J), inside [SMALLEST, 1 - SMALLEST]."""
        terms = _of_the_week()[(step[:, None] + self.zone) % WEEK]
        shares: Floats = np.einsum("tsf,sjf->tsj", terms, self.coefficients)
        return np.clip(shares, SMALLEST, 1 - SMALLEST)

    def knows(self, step: Steps) -> NDArray[np.bool_]:
        """shape (T,): whether the baseline has seen this kind of day."""
        weekend = is_weekend(step)
        return np.where(weekend, self.knows_weekend, self.knows_week)


def is_weekend(step: Steps) -> NDArray[np.bool_]:
    """Saturday and Sunday, UTC, of hours since 1970 (a Thursday)."""
    days: NDArray[np.bool_] = (step // 24 + 3) % 7 >= 5
    return days


def features(step: Steps) -> Floats:
    """shape (T, 8): level, weekend, two harmonics of the day, the weekend's first harmonic."""
    angle = 2 * np.pi * (step % 24) / 24
    weekend = is_weekend(step).astype(float)
    first = np.sin(angle), np.cos(angle)
    second = np.sin(2 * angle), np.cos(2 * angle)
    columns = (np.ones(len(step)), weekend, *first, *second, weekend * first[0], weekend * first[1])
    return np.stack(columns, axis=1)


@cache
def _of_the_week() -> Floats:
    """shape (WEEK, 8): the features of every hour of a week; they are asked for at every look."""
    return features(np.arange(WEEK))


def fit(baseline: Shares) -> Season:
    """The season of ``baseline``; a segment without units expects one half."""
    weekend = is_weekend(baseline.step)
    known = int((~weekend).sum()) >= WEEKEND_HOURS, int(weekend.sum()) >= WEEKEND_HOURS
    slow = len(np.unique(baseline.step % 24)) < 4 or len(baseline.step) < DAYS_RHYTHM
    told = np.array([1, all(known), *([not slow] * 4), *([all(known) and not slow] * 2)], dtype=float)
    zone = _zones(baseline, told) if all(known) and not slow else np.zeros(len(baseline.segments), dtype=np.int64)
    coefficients = np.zeros((*baseline.hits.shape[1:], len(told)))
    for each in np.unique(zone):
        here = zone == each
        design = features(baseline.step + each) * told
        coefficients[here] = _regression(design, baseline.n[:, here], baseline.hits[:, here])
    coefficients[baseline.n.sum(axis=0) <= 0, :, 0] = 0.5
    seldom = is_seldom(baseline.step)
    return Season(coefficients, zone, known[1] or seldom, known[0] or seldom)


def _regression(design: Floats, n: Floats, hits: Floats) -> Floats:
    """shape (S, J, F): least squares weighted by units, all but the level shrunk."""
    ridge = np.diag([1e-9, *([PRIOR_UNITS] * (design.shape[1] - 1))])
    gram = np.einsum("tf,ts,tg->sfg", design, n, design) + ridge
    moment = np.einsum("tf,tsj->sfj", design, hits)
    coefficients: Floats = np.linalg.solve(gram, moment).transpose(0, 2, 1)
    return coefficients


def _zones(baseline: Shares, told: Floats) -> Steps:
    """shape (S,): the clock under which a weekend and a day's rhythm explain most of a segment's volume."""
    clocks = np.arange(-9, 13, 3)
    left = []
    step = np.arange(baseline.step[0], baseline.step[-1] + 1)
    volume = np.zeros((len(step), len(baseline.segments)))
    volume[baseline.step - step[0]] = baseline.n
    for clock in clocks:
        design = features(step + clock) * told
        solved, *_ = np.linalg.lstsq(design, volume, rcond=None)
        left.append(((volume - design @ solved) ** 2).sum(axis=0))
    best: Steps = clocks[np.argmin(np.array(left), axis=0)]
    return best


def is_seldom(step: Steps) -> bool:
    """Whether the source is so slow (daily, weekly) that a weekend is not a matter of hours."""
    return len(step) < 2 or float(np.median(np.diff(step))) >= 24
