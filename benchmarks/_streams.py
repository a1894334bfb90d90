"""What detectors see of simulated traffic: season-matched, de-duplicated statistics of days and of six-hour blocks.

Everything is prepared as a careful person would who knows about seasons, duplicates and over-dispersion, so that a
detector which loses beside ours does not lose because of its food. Segments are the languages and, last, all together.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from _traffic import MONDAY, Change, Day, Floats, Ints, Nuisance, Traffic, zones
from scipy.special import kolmogorov

BASELINE_DAYS = 28
BLOCK = 6
"""Hours."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Statistics of one stretch of traffic; the first ``BASELINE_DAYS`` are the baseline, in-sample for all."""

    score: Floats
    """shape (blocks, segments): season-matched mean score, standardised with over-dispersion; NaN without units."""
    empty: Floats
    """The same of empty results."""
    hits: Floats
    """shape (blocks, segments): units without results."""
    expected: Floats
    """How many of those the baseline expects."""
    ks: Floats
    """shape (days, segments): Kolmogorov-Smirnov D against the baseline's working days or weekends."""
    p: Floats
    """Its asymptotic p-value."""
    wasserstein: Floats
    """The same distance as Wasserstein, in standard deviations of the baseline."""

    def followed_by(self, other: Stream) -> Stream:
        """Two stretches as one."""
        return Stream(
            *(np.concatenate([getattr(part, field.name) for part in (self, other)]) for field in fields(self))
        )


class Preparation:
    """What is learnt from the baseline's units; then turns each day's units into statistics."""

    def __init__(self, baseline: Sequence[Day], languages: int = 20) -> None:
        self.languages = languages
        self._sums = [_hourly(day, languages) for day in baseline]
        steps, n, total, square, asked, empty = (np.concatenate(column) for column in zip(*self._sums, strict=True))
        self._mean = Season(steps, n, total)
        self._rate = Season(steps, asked, empty, ridge=20.0)
        left = total - n * self._mean.at(steps)
        spread = (square - 2 * total * self._mean.at(steps) + n * self._mean.at(steps) ** 2).sum(axis=0) / n.sum(axis=0)
        self._score_noise = _Noise(_blocks(left), _blocks(n), spread)
        p = self._rate.at(steps).mean(axis=0)
        self._empty_noise = _Noise(_blocks(empty - asked * self._rate.at(steps)), _blocks(asked), p * (1 - p))
        self._references = {
            weekend: _Reference([d for d in baseline if _weekend(d) == weekend], languages) for weekend in (False, True)
        }

    def stream(self, days: Iterable[Day]) -> Stream:
        """Statistics of these days of units."""
        parts = [self._day(day) for day in days]
        return Stream(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _day(self, day: Day) -> tuple[Floats, ...]:
        steps, n, total, _, asked, empty = _hourly(day, self.languages)
        score = self._score_noise.standardised(_blocks(total - n * self._mean.at(steps)), _blocks(n))
        expected = asked * self._rate.at(steps)
        rate = self._empty_noise.standardised(_blocks(empty - expected), _blocks(asked))
        distances = self._references[_weekend(day)].distances(day)
        return score, rate, _pooled(_blocks(empty)), _pooled(_blocks(expected)), *(row[None] for row in distances)


class Season:
    """Expected value of a unit by hour: harmonics of the local day, local weekends, ridge on all but the constant."""

    def __init__(self, steps: Ints, n: Floats, total: Floats, ridge: float = 5.0) -> None:
        design = _harmonics(steps, n.shape[1])
        penalty = ridge * np.diag([0.0, *[1.0] * (design.shape[2] - 1)])
        level = total.sum(axis=0) / n.sum(axis=0)
        gram = np.einsum("tlf,tl,tlg->lfg", design, n, design) + penalty
        moment = np.einsum("tlf,tl->lf", design, total - level * n)
        self.weights = np.linalg.solve(gram, moment[..., None])[..., 0]
        self.weights[:, 0] += level

    def at(self, steps: Ints) -> Floats:
        """shape (steps, languages)"""
        return np.einsum("tlf,lf->tl", _harmonics(steps, len(self.weights)), self.weights)


class _Noise:
    """Standard deviation of a block's sum of residuals: that of its units, and an effect that all of them share."""

    def __init__(self, left: Floats, n: Floats, variance: Floats) -> None:
        self.variance = variance
        left, n = _pooled(left), _pooled(n)
        self.shared = np.maximum(0, (left**2 - self._of_units(n)).sum(axis=0) / (n**2).sum(axis=0))

    def standardised(self, left: Floats, n: Floats) -> Floats:
        """shape (blocks, languages + 1)"""
        pooled = _pooled(n)
        deviation = np.sqrt(self._of_units(pooled) + self.shared * pooled**2)
        return np.divide(_pooled(left), deviation, out=np.full(pooled.shape, np.nan), where=pooled > 0)

    def _of_units(self, pooled: Floats) -> Floats:
        own = pooled[:, :-1] * self.variance
        return np.column_stack([own, own.sum(axis=1)])


class _Reference:
    """Sorted scores of the baseline's days of one sort."""

    def __init__(self, days: Sequence[Day], languages: int) -> None:
        self.languages = languages
        score = np.concatenate([day.score[~day.empty] for day in days])
        lang = np.concatenate([day.lang[~day.empty] for day in days])
        # One sorted array for all languages: a language's scores lie in [language, language + 1].
        self.keys = np.sort(_keys(lang, score))
        self.every = np.sort(score)
        self.starts = np.searchsorted(self.keys, 2 * np.arange(languages + 1))
        self.sd = np.array(
            [*(self.keys[a:b].std() for a, b in zip(self.starts, self.starts[1:], strict=False)), score.std()]
        )

    def distances(self, day: Day) -> tuple[Floats, Floats, Floats]:
        """D, p and Wasserstein of each segment."""
        score, lang = day.score[~day.empty], day.lang[~day.empty]
        keys = np.sort(_keys(lang, score))
        owner = (keys // 2).astype(np.int64)
        parts = [
            distances(keys, owner, self.keys, self.starts),
            distances(np.sort(score), np.zeros(len(score), int), self.every, np.array([0, len(self.every)])),
        ]
        d, p, w = (np.concatenate(column) for column in zip(*parts, strict=True))
        return d, p, w / self.sd


def distances(keys: Floats, owner: Ints, reference: Floats, starts: Ints) -> tuple[Floats, Floats, Floats]:
    segments = len(starts) - 1
    n = np.bincount(owner, minlength=segments)
    size = np.diff(starts)
    first = np.concatenate([[0], np.cumsum(n)[:-1]])
    rank = np.arange(len(keys)) - first[owner]
    share = (np.searchsorted(reference, keys) - starts[owner]) / size[owner]
    gap = np.maximum((rank + 1) / n[owner] - share, share - rank / n[owner])
    d = np.zeros(segments)
    np.maximum.at(d, owner, gap)
    place = starts[owner] + ((rank + 0.5) / n[owner] * size[owner]).astype(np.int64)
    w = np.bincount(owner, np.abs(keys - reference[place]), segments) / np.maximum(1, n)
    return d, kolmogorov(np.sqrt(n * size / (n + size)) * d), w


def _keys(lang: Ints, score: Floats) -> Floats:
    return 2.0 * lang + score


def _weekend(day: Day) -> bool:
    return day.index % 7 >= 5


def _hourly(day: Day, languages: int) -> tuple[Ints, Floats, Floats, Floats, Floats, Floats]:
    """Hours; shape (24, languages): units with a score, sum and sum of squares of scores; all units, empty ones."""
    start = (MONDAY + day.index) * 24
    cell = (day.hour - start) * languages + day.lang
    score = np.where(day.empty, 0.0, day.score)
    weights = (~day.empty, score, score * score, None, day.empty)
    tables = (np.bincount(cell, each, 24 * languages).reshape(24, languages).astype(np.float64) for each in weights)
    return (start + np.arange(24), *tables)  # type: ignore[return-value]


def _blocks(hourly: Floats) -> Floats:
    """Sums over six hours."""
    return hourly.reshape(-1, BLOCK, hourly.shape[1]).sum(axis=1)


def _pooled(values: Floats) -> Floats:
    """All languages together as the last column."""
    return np.column_stack([values, values.sum(axis=1)])


def _harmonics(steps: Ints, languages: int) -> Floats:
    """shape (steps, languages, 8), by the clock of the language's people."""
    local = steps[:, None] + zones(languages)
    clock = 2 * np.pi * (local % 24) / 24
    weekend = ((local // 24 - MONDAY) % 7 >= 5).astype(np.float64)
    sin, cos = np.sin(clock), np.cos(clock)
    terms = (
        np.ones(local.shape),
        weekend,
        sin,
        cos,
        np.sin(2 * clock),
        np.cos(2 * clock),
        weekend * sin,
        weekend * cos,
    )
    return np.stack(terms, axis=2)


def quiet_streams(nuisance: Nuisance, seeds: Iterable[int], days: int = 365) -> Iterator[Stream]:
    """One stream a seed, each with a baseline of its own, without any change."""
    for seed in seeds:
        traffic = Traffic(nuisance, seed)
        baseline = [day.units() for day in traffic.days(BASELINE_DAYS)]
        preparation = Preparation(baseline, nuisance.languages)
        yield preparation.stream([*baseline, *(day.units() for day in traffic.days(days))])


@dataclass(frozen=True, slots=True)
class Scenario:
    """A change to be found, and the segments whose alarms are about it."""

    name: str
    what: Literal["score", "empty", "outage"]
    size: float
    langs: tuple[int, ...] | None = None
    ramp_days: float = 0.0
    days: int = 60
    """Days after the change that are looked at."""

    def change(self, start_day: float) -> Change:
        return Change(start_day, self.what, self.size, self.langs, self.ramp_days)

    def segments(self, languages: int = 20) -> Ints:
        """The languages that changed, and all together."""
        return np.array([*(range(languages) if self.langs is None else self.langs), languages])


def start_of(seed: int) -> float:
    """Day of the change, two weeks after the baseline and at an hour of its own."""
    return BASELINE_DAYS + 14 + float(np.random.default_rng([seed, 7]).integers(1, 24)) / 24


def changed_streams(nuisance: Nuisance, seed: int, scenarios: Sequence[Scenario]) -> Iterator[tuple[Scenario, Stream]]:
    """The same traffic once with each change; baseline and quiet weeks are made only once."""
    quiet = Traffic(nuisance, seed)
    before = [day.units() for day in quiet.days(int(start_of(seed)))]
    preparation = Preparation(before[:BASELINE_DAYS], nuisance.languages)
    known = preparation.stream(before)
    for scenario in scenarios:
        traffic = copy.deepcopy(quiet)
        traffic.changes = (scenario.change(start_of(seed)),)
        after = preparation.stream(day.units() for day in traffic.days(scenario.days))
        yield scenario, known.followed_by(after)
