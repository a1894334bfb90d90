"""The score distribution of a window: one number a session, sorted once.

What is made of a sample is remembered with it: the checks of one source that judge the same score share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.interval import Days, Quantile, Spread, numbered, quantile_change, shares_below
from driftwatch.stats.twosample import KS, Together, Weighted, block_distances_each, shifted_ks_p_value, smallest_d
from driftwatch.types import POOLED, Sample, once_each

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
    whole = sample.whole
    if not len(sample) or not whole.scores.shape[1]:
        nothing = np.empty(0, np.int64)
        return Units(np.empty(0), np.empty(0), nothing, nothing)
    scores = whole.column(("score", score), partial(_row_scores, score=score))
    rows = sample.once("first of session", lambda: _first_scored(sample, scores))
    there = rows
    if sample.part_of is not None:
        there = sample.chosen if len(rows) == len(sample) else sample.chosen[rows]
    known = scores[there]
    order = known.argsort()
    there = there[order]
    day = whole.column("day", lambda whole: whole.hour // 24)
    return Units(known[order], whole.weight[there], day[there], rows[order])


def _row_scores(sample: Sample, score: Score) -> NDArray[np.float64]:
    """One number a row; NaN where there is none, or the row has no weight."""
    columns = np.ascontiguousarray(sample.scores.T)
    known = np.isfinite(columns)
    # Rows are best first, but a missing score may come before a known one.
    if score == "top1":
        scores = np.fmax.reduce(np.where(known, columns, np.nan)).astype(np.float64)
    else:
        scores = np.where(known, columns, 0).sum(axis=0, dtype=np.float64) / np.maximum(known.sum(axis=0), 1)
        scores[~known.any(axis=0)] = np.nan
    return np.where(sample.weight > 0, scores, np.nan)


def _first_scored(sample: Sample, scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """The first row of each unit among those that have a score; ``scores`` are those of the whole."""
    rows = np.flatnonzero(~np.isnan(scores if sample.part_of is None else scores[sample.chosen]))
    if sample.units_differ:
        return rows
    _, first = np.unique(sample.unit[rows], return_index=True)
    return rows[np.sort(first)]


def normal(reference: Sample, score: Score) -> Normal:
    """The reference distribution."""
    return normal_each([reference], score)[0]


def normal_each(references: Sequence[Sample], score: Score) -> list[Normal]:
    """``normal`` of several samples."""

    def make(missing: list[int]) -> list[Normal]:
        return _normal_each([units(references[place], score) for place in missing])

    return once_each(references, [("normal", score)] * len(references), make)


def _normal_each(found: list[Units]) -> list[Normal]:
    known = [each for each in found if len(each.values)]
    samples = [Weighted.in_order(each.values, each.weights) for each in known]
    days, apart = _below_median_each(samples, known), _between_days_each(known)
    made = iter([_normal(*each) for each in zip(samples, days, apart, strict=True)])
    nothing = Normal(None, PRIOR_SHIFT, PRIOR_DAYS, (), Spread(0.0, np.inf), None)
    return [next(made) if len(each.values) else nothing for each in found]


def _normal(sample: Weighted, days: Days | None, apart: tuple[NDArray[np.float64], NDArray[np.float64]]) -> Normal:
    distances, sizes = apart
    beyond_chance = max(0.0, float((distances**2 - CHANCE / sizes).sum()))
    freedom = max(len(distances) - 1, 0) + PRIOR_DAYS
    spread = (Spread(0.0, np.inf) if days is None else Spread.of(days)).made_up(PRIOR_SHIFT**2, ENOUGH_DAYS)
    return Normal(
        units=sample,
        day_shift=math.sqrt((beyond_chance + PRIOR_DAYS * PRIOR_SHIFT**2) / freedom),
        freedom=freedom,
        day_distances=tuple(distances.tolist()),
        spread=spread,
        median=None if days is None else Quantile.around(sample, days, 0.5, spread),
    )


def _below_median_each(samples: Sequence[Weighted], found: Sequence[Units]) -> list[Days | None]:
    """The share of each of ``found``, which are ``samples``, below its median, by day; None of fewer than two rows."""
    enough = [place for place, each in enumerate(found) if len(each.values) > 1]
    below = shares_below(
        [samples[place].quantile(0.5) for place in enough],
        [found[place].values for place in enough],
        [found[place].weights for place in enough],
        [found[place].day for place in enough],
    )
    days: list[Days | None] = [None] * len(found)
    for place, each in zip(enough, below, strict=True):
        days[place] = each
    return days


def _between_days_each(found: Sequence[Units]) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Of each of ``found``: D of each day that has enough units against the other days, and the sizes of these."""
    if not found:
        return []
    rows = [len(each.values) for each in found]
    day = numbered(np.concatenate([each.day for each in found]))[0]
    count = int(day.max()) + 1
    cell = day + np.repeat(np.arange(len(found)) * count, rows)
    size = np.bincount(cell, minlength=len(found) * count).reshape(-1, count)
    is_large = size >= SMALLEST_DAY
    is_large[is_large.sum(axis=1) < 2] = False
    kept = np.flatnonzero(is_large.any(axis=1))
    nothing = np.empty(0), np.empty(0)
    if not len(kept):
        return [nothing] * len(found)
    values, weights = (np.concatenate([getattr(each, name) for each in found]) for name in ("values", "weights"))
    if size[~is_large].any():
        keep = is_large.ravel()[cell]
        values, weights, day = values[keep], weights[keep], day[keep]
    edges = [0, *np.cumsum((size * is_large).sum(axis=1)[kept]).tolist()]
    distances, sizes = block_distances_each(values, weights, day, edges)
    places = {int(place): number for number, place in enumerate(kept)}
    return [
        (distances[places[place], large], sizes[places[place], large]) if place in places else nothing
        for place, large in enumerate(is_large[:, : distances.shape[1]])
    ]


# --- beside each other ---------------------------------------------------------------------------------------------


def compared(current: Sample, reference: Sample, score: Score, alpha: float) -> Comparison | None:
    """``current``, which has scores, beside ``reference``; None when that has none."""
    return compared_each([(current, reference)], score, alpha)[0]


def compared_each(pairs: Sequence[tuple[Sample, Sample]], score: Score, alpha: float) -> list[Comparison | None]:
    """``compared`` of several pairs."""

    def make(missing: list[int]) -> list[Comparison | None]:
        return _compared_each([pairs[place] for place in missing], score, alpha)

    keys = [("compared", score, alpha, reference) for _, reference in pairs]
    return once_each([current for current, _ in pairs], keys, make)


def _compared_each(pairs: Sequence[tuple[Sample, Sample]], score: Score, alpha: float) -> list[Comparison | None]:
    found = [units(current, score) for current, _ in pairs]
    usual = normal_each([reference for _, reference in pairs], score)
    samples = [Weighted.in_order(each.values, each.weights) for each in found]
    days = _below_median_each(samples, found)
    return [_compared(*each, alpha) for each in zip(samples, days, usual, strict=True)]


def _compared(now: Weighted, days: Days | None, usual: Normal, alpha: float) -> Comparison | None:
    if (before := usual.units) is None:
        return None
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
        **_median_change(now, days, usual),
        "larger_than_days": [sum(test.d > d for d in usual.day_distances), len(usual.day_distances)],
        "blind_below": round(blind_below, 4),
    }
    p_value = shifted_ks_p_value(test.d, test.n, usual.day_shift, usual.freedom)
    return Comparison(now, usual, before, test, blind_below, p_value, facts)


def shape(sample: Weighted) -> dict[str, float]:
    """A distribution in four numbers."""
    low, median, high = sample.quantiles((0.05, 0.5, 0.95))
    return {"mean": sample.mean(), "median": median, "p05": low, "p95": high}


def _median_change(now: Weighted, days: Days | None, usual: Normal) -> dict[str, Any]:
    """The change of the median beyond what days differ by anyway, with its 95 % interval."""
    if days is None or usual.median is None:
        return {}
    median = Quantile.around(now, days, 0.5, usual.spread)
    change = {"change": median.value - usual.median.value, "interval": list(quantile_change(median, usual.median))}
    return {"median_change": change}
