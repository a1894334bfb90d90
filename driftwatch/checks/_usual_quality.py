"""What is usually predicted of live queries, by language and time of the week, and how far a day departs from it."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._predicted import Lesson, Live, as_live, live
from driftwatch.stats.ppi import Estimate, weighted_mean
from driftwatch.stats.twosample import Weighted, ks
from driftwatch.types import Window

Floats = NDArray[np.float64]

PRIOR_DAYS, PRIOR_SHIFT = 7, 0.02
"""Before the baseline has shown how much its days differ, their mean quality is taken to differ by this much."""
SMALLEST_DAY = 20
"""A day with fewer sessions than this says nothing about how much days vary."""
SEASON_RIDGE = 10.0
"""Sessions' worth of doubt about every term of the season, which a baseline of a few days hardly shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Usual:
    """The predicted quality of the live queries of the baseline."""

    sessions: int
    langs: NDArray[np.str_]
    """shape (l,), sorted: the languages of the baseline."""
    level: Floats
    """shape (l,): the mean of each language."""
    season: Floats
    """shape (6,): what the time of the week adds, in all languages."""
    rest: Estimate
    """The baseline's mean after the season: 0, with its standard error."""
    day_shift: float
    """By how much a day departs beyond chance (standard deviation)."""
    freedom: float
    """How well that is known: days less two, and ``PRIOR_DAYS``."""
    days: Floats
    """shape (d,): how far each day departed."""
    unlike: float
    """KS D between what is predicted of canaries and of live queries of the same languages, in [0, 1]."""
    foreign: float
    """The share of live queries whose best score lies beyond that of every canary."""

    @classmethod
    def of(cls, found: Live, taught: Lesson) -> Usual:
        """Learn from the live queries of the baseline, of which there is at least one."""
        quality = taught.calibration.predict(found.x, found.lang)
        langs, lang = np.unique(found.lang, return_inverse=True)
        weight = found.weight / found.weight.mean()
        level, season = _fit(lang, len(langs), time_of_week(found.at), quality, weight)
        rest = quality - level[lang] - time_of_week(found.at) @ season
        day_shift, freedom, days = _between_days(rest, weight, found.at)
        return cls(
            len(quality),
            langs,
            level,
            season,
            weighted_mean(rest, weight),
            day_shift,
            freedom,
            days,
            _unlike(taught, found, quality),
            _foreign(taught, found),
        )

    def knows(self, lang: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Which rows are of a language of the baseline."""
        return np.isin(lang, self.langs)

    def expected(self, found: Live) -> Floats:
        """What the quality of each row would be if nothing had changed; every language must be known."""
        usual: Floats = self.level[np.searchsorted(self.langs, found.lang)] + time_of_week(found.at) @ self.season
        return usual

    def change(self, found: Live, quality: Floats, days: float) -> Estimate:
        """By how much a window of so many ``days`` departs, days being the unit of variation."""
        departed = weighted_mean(quality - self.expected(found), found.weight)
        between = self.day_shift * float(np.sqrt(1 / max(days, 1.0) + 1 / max(len(self.days), 1)))
        return departed + Estimate(0.0, self.rest.error, self.rest.freedom) + Estimate(0.0, between, self.freedom)


_USUAL: WeakKeyDictionary[Window, dict[tuple[int, int], Usual | None]] = WeakKeyDictionary()


def usual_quality(reference: Window, taught: Lesson, depth: int) -> Usual | None:
    """What is predicted of the baseline, remembered as long as the window lives; None when no query has a score."""
    known = _USUAL.setdefault(reference, {})
    key = (id(taught), depth)  # the window holds the canaries that hold the lesson: its id is not used again
    if key not in known:
        found = live(reference.sample, depth)
        known[key] = Usual.of(found, taught) if len(found.weight) else None
    return known[key]


def time_of_week(at: NDArray[np.datetime64]) -> Floats:
    """shape (n, 6): weekend, two harmonics of the day in sine and cosine, and the weekend's own first cosine."""
    hours = at.astype("datetime64[m]").astype(np.int64) / 60
    weekend = ((hours // 24 + 3) % 7 >= 5).astype(np.float64)  # 1970 began on a Thursday
    angle = 2 * np.pi * hours / 24
    waves = [np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)]
    return np.column_stack([weekend, *waves, weekend * np.cos(angle)])


def _fit(lang: NDArray[np.intp], langs: int, times: Floats, quality: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted ridge regression: (a level for each language, the season)."""
    heavy = np.bincount(lang, weights=weight, minlength=langs)
    # A level takes up the mean of its language, so the season is fitted to what is left within languages.
    mean, *times_of = (
        np.bincount(lang, weights=weight * column, minlength=langs) / heavy for column in (quality, *times.T)
    )
    usual_times = np.column_stack(times_of)
    within = times - usual_times[lang]
    weighted = within.T * weight
    doubt = SEASON_RIDGE * np.eye(times.shape[1])
    season = np.asarray(np.linalg.solve(weighted @ within + doubt, weighted @ (quality - mean[lang])), np.float64)
    return mean - np.asarray(usual_times @ season, np.float64), season


def _between_days(rest: Floats, weight: Floats, at: NDArray[np.datetime64]) -> tuple[float, float, Floats]:
    """(shift of a day beyond chance, its degrees of freedom, the departure of each day that has enough sessions)."""
    _, day, rows = np.unique(at.astype("datetime64[D]"), return_inverse=True, return_counts=True)
    found = [
        weighted_mean(rest[day == number], weight[day == number]) for number in np.flatnonzero(rows >= SMALLEST_DAY)
    ]
    beyond_chance = max(0.0, sum(each.value**2 - each.error**2 for each in found))
    freedom = max(len(found) - 2, 0) + PRIOR_DAYS  # a level and a weekend were fitted to these days
    shift = float(np.sqrt((beyond_chance + PRIOR_DAYS * PRIOR_SHIFT**2) / freedom))
    return shift, float(freedom), np.array([each.value for each in found])


def _unlike(taught: Lesson, found: Live, quality: Floats) -> float:
    weights = as_live(taught.canaries.lang, found)
    if not weights.any():
        return 1.0
    rows = weights > 0
    return ks(Weighted.of(taught.held_out[rows], weights[rows]), Weighted.of(quality, found.weight)).d


def _foreign(taught: Lesson, found: Live) -> float:
    top = taught.canaries.x[:, 0]
    outside = (found.x[:, 0] < top.min()) | (found.x[:, 0] > top.max())
    return float(found.weight[outside].sum() / found.weight.sum())
