"""The distributions of retrieval scores, of the week and of the baseline: read a day at a time, a number a session."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._scores import Score, units
from driftwatch.report.figures import estimate, rounded, rounded_each
from driftwatch.report.traffic import MOST_LANGUAGES
from driftwatch.reported import ALL, Ecdf, Estimate, Scores, Shape
from driftwatch.stats.interval import Days, Quantile, Spread, mean_interval, share_below
from driftwatch.stats.twosample import KS, Together, Weighted
from driftwatch.store import Store

POINTS = 200
"""Of a distribution function; the place of the gap comes to them."""
_DAY = timedelta(days=1)


@dataclass
class Gathered:
    """The sessions of one stretch, in one segment."""

    values: list[NDArray[np.float64]] = field(default_factory=list)
    weights: list[NDArray[np.float64]] = field(default_factory=list)
    days: list[NDArray[np.int64]] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Sessions."""
        return sum(map(len, self.values))

    def in_order(self) -> tuple[Weighted, NDArray[np.int64]]:
        """The sample, ascending, and the day of each of its rows."""
        values, weights = np.concatenate(self.values), np.concatenate(self.weights)
        order = np.argsort(values, kind="stable")
        return Weighted.in_order(values[order], weights[order]), np.concatenate(self.days)[order]


Stretch = Mapping[tuple[Score, str], Gathered]


def gather(store: Store, source: str, scores: Sequence[Score], start: datetime, end: datetime) -> Stretch:
    """(score, segment) -> the sessions of [start, end). Sessions do not reach over midnight UTC, so days are enough."""
    found: defaultdict[tuple[Score, str], Gathered] = defaultdict(Gathered)
    for begin, until in _utc_days(start, end):
        sample = store.traffic.sample(source, begin, until, ids=False)
        parts = {ALL: sample} | {lang: sample.take(rows) for lang, rows in sample.by_language().items()}
        for score in scores:
            for segment, part in parts.items():
                one = units(part, score)
                if len(one.values):
                    into = found[score, segment]
                    into.values.append(one.values)
                    into.weights.append(one.weights)
                    into.days.append(one.day)
    return found


def scores_of(source: str, scores: Sequence[Score], now: Stretch, baseline: Stretch) -> Iterator[Scores]:
    """Every segment that has scores in the week: all together first, then where the two differ most."""
    for score in scores:
        segments = sorted((name for of, name in now if of == score), key=lambda name: (-now[score, name].n, name))
        shown = [
            _scores(source, score, segment, now[score, segment], baseline.get((score, segment)))
            for segment in segments[: MOST_LANGUAGES + 1]
        ]
        yield from sorted(shown, key=lambda each: (each.segment != ALL, -(each.ks or 0.0), each.segment))


def _scores(source: str, score: Score, segment: str, now: Gathered, then: Gathered | None) -> Scores:
    current, days = now.in_order()
    shape = _shape(current, days)
    if then is None:
        return Scores(source, score, segment, shape, None, _ecdf(current, None, ()))
    before, their_days = then.in_order()
    together = Together.of(current, before)
    test = together.ks()
    return Scores(
        source=source,
        score=score,
        segment=segment,
        now=shape,
        baseline=_shape(before, their_days),
        ecdf=_ecdf(current, before, (test.at,)),
        ks=rounded(test.d),
        p_value=rounded(test.p_value),
        gap_at=rounded(test.at),
        gap=_gap(current, before, test),
        direction=test.direction,
        wasserstein=rounded(together.area()),
    )


def _shape(sample: Weighted, days: NDArray[np.int64]) -> Shape:
    n = len(sample.values)
    mean = mean_interval(Days.of(sample.values, np.diff(sample.share), days)) if n > 1 else None
    return Shape(estimate(n, sample.mean(), mean), _quantile(sample, days, 0.5), _quantile(sample, days, 0.95))


def _quantile(sample: Weighted, days: NDArray[np.int64], q: float) -> Estimate:
    n = len(sample.values)
    if n < 2:
        return estimate(n, sample.quantile(q))
    spread = Spread.of(share_below(sample, days, sample.quantile(q)))
    found = Quantile.of(sample, days, q, spread)
    return estimate(n, found.value, (found.low, found.high))


def _ecdf(now: Weighted, before: Weighted | None, places: Sequence[float]) -> Ecdf:
    """Both functions at the quantiles of either, and at ``places``."""
    samples = [now] if before is None else [now, before]
    shares = np.linspace(0, 1, POINTS // len(samples)).tolist()
    at = np.unique([*(point for each in samples for point in each.quantiles(shares)), *places])
    return Ecdf(rounded_each(at), rounded_each(now.below(at)), () if before is None else rounded_each(before.below(at)))


def _gap(now: Weighted, before: Weighted, test: KS) -> tuple[float, float]:
    """The shares of both at the gap: at its place, or just below it."""
    place = np.array([test.at])
    both = [
        (float(now.below(place, include=inside)[0]), float(before.below(place, include=inside)[0]))
        for inside in (True, False)
    ]
    here, there = max(both, key=lambda each: abs(each[0] - each[1]))
    return rounded(here) or 0.0, rounded(there) or 0.0


def _utc_days(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        until = min(end, start.replace(hour=0, minute=0, second=0, microsecond=0) + _DAY)
        yield start, until
        start = until
