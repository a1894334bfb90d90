"""The score distribution of a window: one number a session, sorted once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.interval import Quantile, Spread, share_below
from driftwatch.stats.twosample import Weighted, block_distances
from driftwatch.types import POOLED, Sample, Window

Score = Literal["top1", "topk_mean"]

CHANCE = np.pi**2 / 12
"""Mean of n D^2 when nothing changed: the second moment of Kolmogorov's distribution."""
PRIOR_DAYS, PRIOR_SHIFT = 7, 0.02
"""Before the baseline has shown how much its days differ, they are taken to differ by this D."""
ENOUGH_DAYS = 5
"""The interval of a median takes the days as they are when there are so many; fewer are made up by the prior."""
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
    hour: NDArray[np.int64]
    """Hours since the epoch."""
    lang: NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """The baseline's scores, by language."""

    scores: dict[str, NDArray[np.float64]]
    """Language -> its scores, ascending; ``POOLED`` -> those of all languages."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The languages that the baseline knows."""
        return tuple(sorted(self.scores.keys() - {POOLED}))

    def of(self, found: Units) -> NDArray[np.float64]:
        """The rank of each unit among the baseline's units of its language, in [0, 1]; ties are in the middle."""
        rank = np.zeros(len(found.values))
        names, code = np.unique(found.lang, return_inverse=True)
        for place, name in enumerate(names.tolist()):
            rows = np.flatnonzero(code == place)
            known = self.scores.get(name, self.scores[POOLED])
            values = found.values[rows]
            rank[rows] = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
            rank[rows] /= 2 * len(known)
        return rank


def ranks_of(found: Units) -> Ranks | None:
    """The ranks that a baseline gives; None when none of its units has a score."""
    if not len(found.values):
        return None
    order = np.argsort(found.values, kind="stable")
    values, lang = found.values[order], found.lang[order]
    scores = {str(name): values[lang == name] for name in np.unique(lang)}
    return Ranks({**scores, POOLED: values})


@dataclass(frozen=True, slots=True)
class Normal:
    """The reference side of a comparison."""

    units: Weighted | None
    """None when no row of the reference has a score."""
    rows: int
    day_shift: float
    """By which D a day differs from the others beyond chance (standard deviation)."""
    freedom: float
    """How well that is known: days less one, and ``PRIOR_DAYS``."""
    day_distances: tuple[float, ...]
    """D of each day of the baseline against the others."""
    spread: Spread
    """By how much the share below the median differs from day to day."""
    median: Quantile | None
    """None with fewer than two rows."""


def units(sample: Sample, score: Score) -> Units:
    """The score of each session's first row that has one: rows of one session are not independent."""
    if not len(sample) or not sample.scores.shape[1]:
        nothing = np.empty(0, np.int64)
        return Units(np.empty(0), np.empty(0), nothing, np.empty(0, "<U1"), nothing, np.empty(0, "<U1"))
    rows = np.flatnonzero(np.isfinite(sample.scores).any(axis=1) & (sample.weight > 0))
    _, first = np.unique(sample.unit[rows], return_index=True)
    rows = rows[np.sort(first)]
    scores = np.where(np.isfinite(sample.scores[rows]), sample.scores[rows], np.nan).astype(np.float64)
    # Rows are best first, but a missing score may come before a known one.
    values = np.nanmax(scores, axis=1) if score == "top1" else np.nanmean(scores, axis=1)
    hour = sample.at[rows].astype("datetime64[h]").astype(np.int64)
    weights = sample.weight[rows].astype(np.float64)
    return Units(values, weights, hour // 24, sample.query_id[rows], hour, sample.lang[rows])


_NORMAL: WeakKeyDictionary[Window, dict[Score, Normal]] = WeakKeyDictionary()


def normal(reference: Window, score: Score) -> Normal:
    """The reference distribution; remembered as long as the window lives."""
    known = _NORMAL.setdefault(reference, {})
    if score not in known:
        known[score] = _normal(units(reference.sample, score))
    return known[score]


def _normal(found: Units) -> Normal:
    if not len(found.values):
        return Normal(None, 0, PRIOR_SHIFT, PRIOR_DAYS, (), Spread(0.0, np.inf), None)
    distances, sizes = _between_days(found)
    beyond_chance = max(0.0, float((distances**2 - CHANCE / sizes).sum()))
    freedom = max(len(distances) - 1, 0) + PRIOR_DAYS
    sample = Weighted.of(found.values, found.weights)
    spread = _spread(sample, found).made_up(PRIOR_SHIFT**2, ENOUGH_DAYS)
    return Normal(
        units=sample,
        rows=len(found.values),
        day_shift=float(np.sqrt((beyond_chance + PRIOR_DAYS * PRIOR_SHIFT**2) / freedom)),
        freedom=freedom,
        day_distances=tuple(distances.tolist()),
        spread=spread,
        median=median_of(sample, found, spread),
    )


def median_of(sample: Weighted, found: Units, spread: Spread) -> Quantile | None:
    """The median of ``found``, which is ``sample`` in order, with its interval; None with fewer than two rows."""
    if len(found.values) < 2:
        return None
    return Quantile.of(sample, found.day[np.argsort(found.values, kind="stable")], 0.5, spread)


def _spread(sample: Weighted, found: Units) -> Spread:
    if len(found.values) < 2:
        return Spread(0.0, np.inf)
    day = found.day[np.argsort(found.values, kind="stable")]
    return Spread.of(share_below(sample, day, sample.quantile(0.5)))


def _between_days(found: Units) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """D of each day that has enough units against the other days, and the sizes of these comparisons."""
    _, day, rows = np.unique(found.day, return_inverse=True, return_counts=True)
    keep = (rows >= SMALLEST_DAY)[day]
    _, day = np.unique(day[keep], return_inverse=True)
    if not len(day) or not day.any():
        return np.empty(0), np.empty(0)
    return block_distances(found.values[keep], found.weights[keep], day)
