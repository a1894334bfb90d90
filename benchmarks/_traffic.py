"""Simulated RAG traffic without drift but with every nuisance we know of, and with changes where they are asked for.

    traffic = Traffic(Nuisance(), seed=1, changes=[Change(start_day=40, what="score", size=0.03, langs=(9,))])
    baseline = [day.units() for day in traffic.days(28)]
    for day in traffic.days(365):
        units = day.units()

Days come one at a time and are forgotten; the same seed gives the same days with and without changes. A year of 24,000
queries a day takes some seconds on one processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

MONDAY = 19_723
"""2024-01-01, in days since 1970."""
OUTCOMES = ("empty", "abstained", "down")
LANGUAGES = (
    *("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ja", "zh"),
    *("ko", "tr", "ru", "ar", "hi", "vi", "id", "sv", "cs", "el"),
)
_ZONES = (-5, 1, 1, -4, 1, -3, 1, 1, 9, 8, 9, 3, 3, 2, 5, 7, 7, 1, 1, 2)
_WEEK = 168

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Nuisance:
    """What varies although nothing has changed. The defaults are a help centre with 24,000 questions a day.

    Sizes of effects on scores are in standard deviations of the score, on outcomes in logits. Day and hour effects on
    scores are such that a daily KS test on the units of each language, against the same weekdays (Bonferroni over 20),
    would page some 150 times a year on them. Half the variance of each effect is common to all languages (load,
    releases elsewhere, news), half is a language's own. Feedback is rare and mostly kind, as in published logs.
    """

    queries_per_day: float = 24_000.0
    languages: int = 20
    zipf: float = 1.0
    """Share of the language of rank r is proportional to r ** -zipf: 28 % to 1.4 % with 20 languages."""
    score_mean: float = 0.72
    score_sd: float = 0.10
    skew: float = 0.15
    """Top cosines have a longer tail to the left."""
    empty: float = 0.02
    abstained: float = 0.05
    feedback: float = 0.05
    down: float = 0.20
    """Of those who give feedback."""

    weekend_volume: float = 0.5
    score_cycle: float = 0.15
    """Amplitude of the hours of a local day; people ask harder questions at work."""
    score_weekend: float = 0.20
    outcome_cycle: float = 0.10
    outcome_weekend: float = 0.15

    day_effect: float = 0.03
    day_lag: float = 0.4
    hour_effect: float = 0.05
    hour_lag: float = 0.6
    outcome_day_effect: float = 0.08
    outcome_hour_effect: float = 0.12
    volume_day_effect: float = 0.06
    volume_hour_effect: float = 0.06
    common: float = 0.5
    """Share of the variance of an effect that all languages have in common."""

    hot_share: float = 0.25
    """Rows that repeat one of a language's hot queries: same text, same score, same outcome that day."""
    hot_queries: int = 60
    """A language, with popularity 1 / rank, shuffled a little every day: the first one has 5 % of the rows."""
    bots_per_day: float = 1.0
    bot_rows: float = 300.0
    """Mean rows of a burst: one session, one query, one hour."""
    session_length: float = 1.0
    """Mean number of rows of a session (geometric); 1: each row is a session of its own."""
    session_correlation: float = 0.5
    """Of the scores of two rows of a session; a row copies its session's outcome with this probability."""

    holidays_per_year: float = 0.0
    """Days that no calendar knows: half the volume, scores lower by half a deviation. Off unless asked for."""
    wander: float = 0.0
    """Deviations of a slow, benign wander of the score with a month's memory. Off: no method can tell it from drift."""

    def doubled(self, name: str | None = None) -> Self:
        """The same traffic with one nuisance of ``DOUBLES`` twice as large; with all of them when no name is given."""
        names = DOUBLES if name is None else (name,)
        fields = {field: 2 * getattr(self, field) for each in names for field in DOUBLES[each]}
        return replace(self, **fields)


DOUBLES: dict[str, tuple[str, ...]] = {
    "cycles": ("score_cycle", "score_weekend", "outcome_cycle", "outcome_weekend"),
    "day effects": ("day_effect", "outcome_day_effect", "volume_day_effect", "day_lag"),
    "hour effects": ("hour_effect", "outcome_hour_effect", "volume_hour_effect"),
    "hot queries": ("hot_share",),
    "bots": ("bots_per_day", "bot_rows"),
    "sessions": ("session_length",),
}
"""Name of a nuisance -> what is doubled."""


@dataclass(frozen=True, slots=True)
class Change:
    """One true change, on top of every nuisance."""

    start_day: float
    """Days after the first day of the traffic; may be a fraction."""
    what: Literal["score", "empty", "outage"]
    size: float
    """score: how far the mean falls. empty: what the rate is multiplied with. outage: the share of queries that
    a broken part answers: half of them with nothing, half with scores lower by .25."""
    langs: tuple[int, ...] | None = None
    """Indices of languages; None: all."""
    ramp_days: float = 0.0
    """Days until the whole size is reached; 0: abrupt."""

    def progress(self, hours: Floats) -> Floats:
        """0 before the start, 1 once all of it is there; ``hours`` count from the start of the traffic."""
        since = hours / 24 - self.start_day
        if not self.ramp_days:
            return (since >= 0).astype(np.float64)
        return np.clip(since / self.ramp_days, 0, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """Rows of one day, in order of hours; every array has shape (n,)."""

    index: int
    """0 for the first day of the traffic, a Monday."""
    hour: Ints
    """Hours since 1970, UTC."""
    lang: Ints
    session: Ints
    """Small numbers, unique within the day."""
    query: Ints
    """Small numbers, unique within the day: rows with the same text (of the same language) have the same."""
    score: Floats
    """NaN where nothing was found."""
    empty: Bools
    abstained: Bools
    feedback: NDArray[np.int8]
    """1 up, -1 down, 0 none."""

    def __len__(self) -> int:
        return len(self.hour)

    def take(self, rows: Bools | Ints) -> Day:
        """The chosen rows."""
        columns = (
            self.hour,
            self.lang,
            self.session,
            self.query,
            self.score,
            self.empty,
            self.abstained,
            self.feedback,
        )
        return Day(self.index, *(column[rows] for column in columns))

    def units(self, by: Literal["both", "session", "query", "row"] = "both") -> Day:
        """One row a unit: the first of its session, of its text that day, or (both) rows that are first in both."""
        keep = np.ones(len(self), bool)
        if by in ("both", "session"):
            keep &= first_of(self.session)
        if by in ("both", "query"):
            keep &= first_of(self.query)
        return self.take(keep)

    def outcome(self, of: str) -> tuple[Bools, Bools]:
        """Which rows count for an outcome of ``OUTCOMES``, and which of all rows are hits."""
        if of == "down":
            return self.feedback != 0, self.feedback < 0
        return np.ones(len(self), bool), self.empty if of == "empty" else self.abstained


def first_of(ids: Ints) -> Bools:
    """Which rows are the first with their number; numbers are small."""
    first = np.empty(ids.max(initial=0) + 1, np.int64)
    rows = np.arange(len(ids))
    first[ids[::-1]] = rows[::-1]
    return first[ids] == rows


class _Waves:
    """AR(1) effects of deviation 1, one a signal and language, partly common to all languages."""

    def __init__(self, random: np.random.Generator, signals: int, languages: int, lag: float, common: float) -> None:
        self.random, self.lag, self.common = random, lag, common
        self.state = random.standard_normal((signals, 1 + languages))

    def step(self) -> Floats:
        """The next effects, shape (signals, languages)."""
        fresh = self.random.standard_normal(self.state.shape)
        self.state = self.lag * self.state + (1 - self.lag**2) ** 0.5 * fresh
        return self.common**0.5 * self.state[:, :1] + (1 - self.common) ** 0.5 * self.state[:, 1:]


@dataclass(frozen=True, slots=True, eq=False)
class _Climate:
    """What one day is like in each hour and language; every array has shape (24, languages)."""

    volume: Floats
    mean: Floats
    """Of the score."""
    logits: Floats
    """shape (3, 24, languages): of the outcomes."""


class Traffic:
    """A service's traffic, day after day. Its languages' own means, deviations and rates come from the seed."""

    def __init__(self, nuisance: Nuisance, seed: int, changes: Sequence[Change] = ()) -> None:
        self.nuisance, self.changes, self.day = nuisance, tuple(changes), 0
        self._random = np.random.default_rng(seed)
        count = nuisance.languages
        share = np.arange(1, count + 1) ** -nuisance.zipf
        self.share: Floats = share / share.sum()
        self.mean: Floats = nuisance.score_mean + self._random.uniform(-0.06, 0.06, count)
        self.sd: Floats = nuisance.score_sd * self._random.uniform(0.85, 1.15, count)
        rates = np.array([nuisance.empty, nuisance.abstained, nuisance.down])[:, None]
        self.rates: Floats = rates * self._random.uniform(0.8, 1.25, (3, count))
        self._volume, self._busy, self._weekend = _season(nuisance)
        self._days = _Waves(self._random, 5, count, min(nuisance.day_lag, 0.95), nuisance.common)
        self._hours = _Waves(self._random, 5, count, nuisance.hour_lag, nuisance.common)
        self._wander = _Waves(self._random, 1, count, np.exp(-1 / 30), nuisance.common)
        self._hot_score = self._random.standard_normal((count, nuisance.hot_queries))

    def days(self, count: int) -> Iterator[Day]:
        """The next ``count`` days."""
        for _ in range(count):
            yield self._next()

    def _next(self) -> Day:
        climate = self._climate()
        plan = self._plan(climate.volume)
        rows = self._rows(climate, *plan)
        self.day += 1
        return rows

    def _climate(self) -> _Climate:
        """Seasons, effects and changes of the day."""
        given, week = self.nuisance, (self.day % 7) * 24
        hours = slice(week, week + 24)
        day = self._days.step()
        hour = np.stack([self._hours.step() for _ in range(24)], axis=1)
        wander = given.wander * self._wander.step()[0]
        holiday = self._random.random() < given.holidays_per_year / 365
        busy, weekend = self._busy[hours], self._weekend[hours]
        score = given.day_effect * day[0] + given.hour_effect * hour[0] + wander - 0.5 * holiday
        score = score - given.score_cycle * busy + given.score_weekend * weekend
        volume = np.exp(given.volume_day_effect * day[1] + given.volume_hour_effect * hour[1])
        logits = given.outcome_day_effect * day[2:, None] + given.outcome_hour_effect * hour[2:]
        logits = logits + given.outcome_cycle * busy - given.outcome_weekend * weekend + _logit(self.rates)[:, None]
        volume = volume * self._volume[hours] * self.share * given.queries_per_day * (0.5 if holiday else 1.0)
        return _Climate(volume, self.mean + self.sd * score, logits)

    def _plan(self, volume: Floats) -> tuple[Ints, Ints, int]:
        """Cell (hour * languages + language) of each session, session of each row, and how many sessions are people's.

        The others, bots, come last.
        """
        given, random = self.nuisance, self._random
        bots = random.poisson(given.bots_per_day)
        cells = np.repeat(np.arange(volume.size), random.poisson(volume.ravel() / given.session_length))
        lengths = random.geometric(1 / given.session_length, len(cells))
        bot_cells = random.choice(volume.size, bots, p=volume.ravel() / volume.sum())
        lengths = np.concatenate([lengths, 2 + random.poisson(random.gamma(4, given.bot_rows / 4, bots))])
        return np.concatenate([cells, bot_cells]), np.repeat(np.arange(len(lengths)), lengths), len(cells)

    def _rows(self, climate: _Climate, cells: Ints, session: Ints, people: int) -> Day:
        given, random = self.nuisance, self._random
        count, sessions, languages = len(session), len(cells), given.languages
        cell = cells[session]
        lang = cell % languages
        ids, hot = self._queries(lang, session, people)
        shared = random.standard_normal(sessions)[session]
        z = given.session_correlation**0.5 * shared
        z += (1 - given.session_correlation) ** 0.5 * random.standard_normal(count)
        u = random.random((3, count))
        copies = random.random(count) < given.session_correlation
        u[:, copies] = random.random((3, sessions))[:, session[copies]]
        # One answer a text and day: what is drawn for a text replaces what its rows drew.
        repeated = np.flatnonzero(hot)
        text = ids[repeated]
        z[repeated] = self._text_scores(ids.max(initial=0) + 1)[text]
        u[:, repeated] = random.random((3, ids.max(initial=0) + 1))[:, text]
        z -= given.skew * (z * z - 1)
        z /= (1 + 2 * given.skew**2) ** 0.5
        score = climate.mean.ravel()[cell] + self.sd[lang] * z
        gives = random.random(count) < given.feedback
        broken = random.random((2, count))
        score, chance = self._changed(score, _expit(climate.logits).reshape(3, -1), cell, broken)
        empty, abstained, down = (u[k] < chance[k] for k in range(3))
        score = np.where(empty, np.nan, np.clip(score, 0, 1))
        feedback = np.where(gives, np.where(down, -1, 1), 0).astype(np.int8)
        hour = (MONDAY + self.day) * 24 + cell // languages
        day = Day(self.day, hour, lang, session, ids, score, empty, abstained, feedback)
        return day.take(np.argsort(hour, kind="stable"))

    def _queries(self, lang: Ints, session: Ints, people: int) -> tuple[Ints, Bools]:
        """A number for the text of each row, and which texts may come again (hot ones first, then the bots')."""
        given, random = self.nuisance, self._random
        popular = np.exp(0.5 * random.standard_normal((given.languages, given.hot_queries)))
        popular /= np.arange(1, given.hot_queries + 1)
        steps = np.cumsum(popular, axis=1) / popular.sum(axis=1, keepdims=True)
        ladder = (steps + np.arange(given.languages)[:, None]).ravel()
        hot = random.random(len(lang)) < given.hot_share
        first = given.languages * given.hot_queries
        ids = first + session.max(initial=0) + 1 + np.arange(len(lang))
        chosen = np.searchsorted(ladder, lang[hot] + random.random(int(hot.sum())), side="right")
        ids[hot] = np.minimum(chosen, (lang[hot] + 1) * given.hot_queries - 1)
        bot = session >= people
        ids[bot] = first + session[bot]
        return ids, hot | bot

    def _text_scores(self, count: int) -> Floats:
        """Standardised scores of today's texts: hot ones keep half of theirs from day to day."""
        fresh = self._random.standard_normal(count)
        hot = self._hot_score.size
        fresh[:hot] = 0.5**0.5 * (fresh[:hot] + self._hot_score.ravel())
        return fresh

    def _changed(self, score: Floats, chance: Floats, cell: Ints, u: Floats) -> tuple[Floats, Floats]:
        """Scores and chances of the outcomes (shape (3, rows)) after the changes."""
        languages = self.nuisance.languages
        hours = self.day * 24.0 + np.arange(24) + 0.5
        rows = chance[:, cell]
        for change in self.changes:
            there = np.zeros((24, languages))
            there[:, slice(None) if change.langs is None else list(change.langs)] = change.progress(hours)[:, None]
            far = there.ravel()[cell]
            if change.what == "score":
                score = score - change.size * far
            elif change.what == "empty":
                rows[0] *= 1 + (change.size - 1) * far
            else:
                hit = u[0] < change.size * far
                rows[0] = np.where(hit & (u[1] < 0.5), 1.0, rows[0])
                score = score - 0.25 * hit
        return score, rows


def _season(given: Nuisance) -> tuple[Floats, Floats, Floats]:
    """Volume (mean 1 / 24 of a day's), working hours in [-1, 1], weekend; shape (168, languages), UTC from Monday."""
    local = np.arange(_WEEK)[:, None] + zones(given.languages)
    clock, weekend = local % 24, ((local // 24) % 7 >= 5).astype(np.float64)
    busy = np.cos(2 * np.pi * (clock - 14) / 24)
    volume = np.exp(1.1 * busy + 0.25 * np.cos(4 * np.pi * (clock - 11) / 24))
    volume *= np.where(weekend > 0, given.weekend_volume, 1.0)
    return 7 * volume / volume.sum(axis=0), busy, weekend


def zones(languages: int) -> Ints:
    """Hours that each language's people are ahead of UTC."""
    return np.array([_ZONES[k % len(_ZONES)] for k in range(languages)])


def _logit(p: Floats) -> Floats:
    return np.log(p / (1 - p))


def _expit(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))
