"""Units of simulated days as counts by hour and language, in the plainest way: what a check counts, for comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from _traffic import MONDAY, OUTCOMES, Day, Floats, Ints

QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95)


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Counts of units by hour and language: what a ``Shares`` of the product holds."""

    step: Ints
    """shape (T,): hours since 1970 UTC, ascending, without gaps."""
    n: Floats
    """shape (T, languages)"""
    hits: Floats
    """shape (T, languages, J)"""


def quantile_cuts(units: Iterable[Day], quantiles: Sequence[float], languages: int = 20) -> Floats:
    """Score quantiles of each language, shape (languages, J)."""
    days = list(units)
    score = np.concatenate([day.score for day in days])
    lang = np.concatenate([day.lang for day in days])
    found = ~np.isnan(score)
    return np.array([np.quantile(score[found & (lang == k)], quantiles) for k in range(languages)])


def score_shares(units: Day, cuts: Floats) -> Counts:
    """Per hour and language: units with a score, and how many of them lie below each cut."""
    languages, rungs = cuts.shape
    found = np.flatnonzero(~units.empty)
    lang = units.lang[found]
    rung = (units.score[found][:, None] >= cuts[lang]).sum(axis=1)
    place = ((units.hour[found] - _start(units)) * languages + lang) * (rungs + 1) + rung
    table = np.bincount(place, minlength=24 * languages * (rungs + 1)).reshape(24, languages, rungs + 1)
    below = np.cumsum(table, axis=2).astype(np.float64)
    return Counts(_start(units) + np.arange(24), below[:, :, -1], below[:, :, :-1])


def outcome_shares(units: Day, languages: int = 20, outcomes: Sequence[str] = OUTCOMES) -> dict[str, Counts]:
    """Per outcome, hour and language: units that count, and the hits among them (J = 1)."""
    place, cells = (units.hour - _start(units)) * languages + units.lang, 24 * languages
    steps, found = _start(units) + np.arange(24), {}
    for of in outcomes:
        counts, hit = units.outcome(of)
        n = np.bincount(place[counts], minlength=cells).reshape(24, languages)
        hits = np.bincount(place[hit], minlength=cells).reshape(24, languages, 1)
        found[of] = Counts(steps, n.astype(np.float64), hits.astype(np.float64))
    return found


def joined(days: Iterable[Counts]) -> Counts:
    """Many days as one."""
    every = list(days)
    return Counts(*(np.concatenate([getattr(day, name) for day in every]) for name in ("step", "n", "hits")))


def _start(units: Day) -> int:
    return (MONDAY + units.index) * 24
