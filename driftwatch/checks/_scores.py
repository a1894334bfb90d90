"""The score distribution of a window: one number a session, sorted once.

What is made of a sample is remembered with it: the checks of one source that judge the same score share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.interval import Days, Quantile, Spread, numbered, quantile_change, share_below
from driftwatch.stats.twosample import KS, Together, Weighted, block_distances, shifted_ks_p_value, smallest_d
from driftwatch.types import POOLED, Sample

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
    """One row a session, those that have a score, in ascending order of it."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]
    day: NDArray[np.int64]
    """Days since the epoch."""
    rows: NDArray[np.intp]
    """Where they are in their sample."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """The baseline's scores, by language."""

    scores: dict[str, NDArray[np.float64]]
    """Language -> its scores, ascending; ``POOLED`` -> those of all languages."""

    @property
    def segments(self) -> tuple[str, ...]:
        """The languages that the baseline knows."""
        return tuple(sorted(self.scores.keys() - {POOLED}))

    def of(self, values: NDArray[np.float64], lang: NDArray[np.str_]) -> NDArray[np.float64]:
        """The rank of each unit among the baseline's units of its language, in [0, 1]; ties are in the middle."""
        rank = np.zeros(len(values))
        names, code = np.unique(lang, return_inverse=True)
        for place, name in enumerate(names.tolist()):
            rows = np.flatnonzero(code == place)
            known = self.scores.get(name, self.scores[POOLED])
            mine = values[rows]
            rank[rows] = np.searchsorted(known, mine, "left") + np.searchsorted(known, mine, "right")
            rank[rows] /= 2 * len(known)
        return rank


def ranks_of(sample: Sample, score: Score) -> Ranks | None:
    """The ranks that a baseline gives; None when none of its units has a score."""
    return sample.once(("ranks", score), lambda: _ranks_of(sample, score))


def _ranks_of(sample: Sample, score: Score) -> Ranks | None:
    found = units(sample, score)
    if not len(found.values):
        return None
    names, code = sample.languages()
    here = code[found.rows]
    scores = {name: found.values[here == place] for place, name in enumerate(names)}
    return Ranks({name: values for name, values in scores.items() if len(values)} | {POOLED: found.values})


@dataclass(frozen=True, slots=True)
class Normal:
    """The reference side of a comparison."""

    units: Weighted | None
    """None when no row of the reference has a score."""
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a window's scores say beside those of a reference, whatever effect matters."""

    now: Weighted
    usual: Normal
    before: Weighted
    test: KS
    blind_below: float
    """The smallest D that this window can tell from chance."""
    p_value: float
    """With a day's own shift."""
    facts: dict[str, Any]
    """For the details of a finding."""


def units(sample: Sample, score: Score) -> Units:
    """The score of each session's first row that has one: rows of one session are not independent."""
    return sample.once(("units", score), lambda: _units(sample, score))


def _units(sample: Sample, score: Score) -> Units:
    if not len(sample) or not sample.whole.scores.shape[1]:
        nothing = np.empty(0, np.int64)
        return Units(np.empty(0), np.empty(0), nothing, nothing)
    scores = sample.column(("score", score), partial(_row_scores, score=score))
    rows = sample.once("first of session", lambda: _first_scored(sample, scores))
    rows = rows[np.argsort(scores[rows])]
    day = sample.column("day", lambda whole: whole.hour // 24)
    return Units(scores[rows], sample.weight[rows].astype(np.float64), day[rows], rows)


def _row_scores(sample: Sample, score: Score) -> NDArray[np.float64]:
    """One number a row; NaN where there is none, or the row has no weight."""
    columns = np.where(np.isfinite(sample.scores), sample.scores, np.nan).T
    # Rows are best first, but a missing score may come before a known one.
    if score == "top1":
        scores = np.fmax.reduce(columns).astype(np.float64)
    else:
        known = np.isfinite(columns)
        scores = np.where(known, columns, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
        scores[~known.any(axis=0)] = np.nan
    return np.where(sample.weight > 0, scores, np.nan)


def _first_scored(sample: Sample, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The first row of each unit among those that have a score."""
    rows = np.flatnonzero(~np.isnan(scores))
    if sample.units_differ:
        return rows
    _, first = np.unique(sample.unit[rows], return_index=True)
    return rows[np.sort(first)]


def normal(reference: Sample, score: Score) -> Normal:
    """The reference distribution."""
    return reference.once(("normal", score), lambda: _normal(units(reference, score)))


def _normal(found: Units) -> Normal:
    if not len(found.values):
        return Normal(None, PRIOR_SHIFT, PRIOR_DAYS, (), Spread(0.0, np.inf), None)
    distances, sizes = _between_days(found)
    beyond_chance = max(0.0, float((distances**2 - CHANCE / sizes).sum()))
    freedom = max(len(distances) - 1, 0) + PRIOR_DAYS
    sample = Weighted.in_order(found.values, found.weights)
    days = _below_median(sample, found)
    spread = (Spread(0.0, np.inf) if days is None else Spread.of(days)).made_up(PRIOR_SHIFT**2, ENOUGH_DAYS)
    return Normal(
        units=sample,
        day_shift=float(np.sqrt((beyond_chance + PRIOR_DAYS * PRIOR_SHIFT**2) / freedom)),
        freedom=freedom,
        day_distances=tuple(distances.tolist()),
        spread=spread,
        median=None if days is None else Quantile.around(sample, days, 0.5, spread),
    )


def _below_median(sample: Weighted, found: Units) -> Days | None:
    """The share of ``found``, which is ``sample``, below its median, by day; None with fewer than two rows."""
    return share_below(sample, found.day, sample.quantile(0.5)) if len(found.values) > 1 else None


def _between_days(found: Units) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """D of each day that has enough units against the other days, and the sizes of these comparisons."""
    day, _ = numbered(found.day)
    is_large = np.bincount(day) >= SMALLEST_DAY
    if is_large.sum() < 2:
        return np.empty(0), np.empty(0)
    keep = is_large[day]
    distances, sizes = block_distances(found.values[keep], found.weights[keep], day[keep])
    compared = is_large[: len(distances)]
    return distances[compared], sizes[compared]


# --- beside each other ---------------------------------------------------------------------------------------------


def compared(current: Sample, reference: Sample, score: Score, alpha: float) -> Comparison | None:
    """``current``, which has scores, beside ``reference``; None when that has none."""
    key = ("compared", score, alpha, reference)
    return current.once(key, lambda: _compared(units(current, score), normal(reference, score), alpha))


def _compared(found: Units, usual: Normal, alpha: float) -> Comparison | None:
    if (before := usual.units) is None:
        return None
    now = Weighted.in_order(found.values, found.weights)
    together = Together.of(now, before)
    test = together.ks()
    blind_below = smallest_d(alpha, test.n, usual.day_shift, usual.freedom)
    facts: dict[str, Any] = {
        "current": shape(now),
        "reference": shape(before),
        "ks": {"d": test.d, "p_value": test.p_value, "at": test.at, "direction": test.direction},
        "wasserstein": together.area(),
        "day_shift": round(usual.day_shift, 4),
        "effective_n": round(now.n, 1),
        "reference_n": len(before.values),
        **_median_change(now, found, usual),
        "larger_than_days": [sum(test.d > d for d in usual.day_distances), len(usual.day_distances)],
        "blind_below": round(blind_below, 4),
    }
    p_value = shifted_ks_p_value(test.d, test.n, usual.day_shift, usual.freedom)
    return Comparison(now, usual, before, test, blind_below, p_value, facts)


def shape(sample: Weighted) -> dict[str, float]:
    """A distribution in four numbers."""
    return {
        "mean": sample.mean(),
        "median": sample.quantile(0.5),
        "p05": sample.quantile(0.05),
        "p95": sample.quantile(0.95),
    }


def _median_change(now: Weighted, found: Units, usual: Normal) -> dict[str, Any]:
    """The change of the median beyond what days differ by anyway, with its 95 % interval."""
    days = _below_median(now, found)
    if days is None or usual.median is None:
        return {}
    median = Quantile.around(now, days, 0.5, usual.spread)
    change = {"change": median.value - usual.median.value, "interval": list(quantile_change(median, usual.median))}
    return {"median_change": change}
