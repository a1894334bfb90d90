"""The score from which a document, or an answer, is kept: chosen on judged scores.

The unit is the query: its documents are resampled, held out and counted together. Scores are higher is better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.resampling import RESAMPLES, affordable, resampled, resampled_sums

Floats = NDArray[np.float64]
Interval = tuple[float, float]

FOLDS = 10
FEWEST_KEPT = 10
"""Rows that a cut-off must keep for its precision to count as reached: one lucky hit is precise."""
SMOOTHED = 0.5
"""Over how many neighbours on either side an F is averaged, twice: this share of the rarer kind of rows, divided by the
cube root of the number of queries. Twice as many would move the cut-off, none would make its interval a third wider."""
FLAT = 0.005
"""How far below the best a measure may be for its cut-off to be as good."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Scores that somebody has judged."""

    score: Floats
    """shape (n,): finite."""
    relevant: NDArray[np.bool_]
    """shape (n,)."""
    unit: NDArray[np.int64]
    """shape (n,): rows of one query carry the same number."""
    weight: Floats
    """shape (n,): 1 / probability of having been kept."""

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Judged:
        """Some of the rows."""
        return Judged(self.score[rows], self.relevant[rows], self.unit[rows], self.weight[rows])

    @property
    def units(self) -> int:
        """How many queries there are."""
        return len(np.unique(self.unit))


@dataclass(frozen=True, slots=True)
class Aim:
    """What a cut-off is to achieve."""

    measure: Literal["F", "precision", "recall"] = "F"
    level: float = 1.0
    """Beta of F (van Rijsbergen 1979: recall counts beta times as much as precision), or the share that is wanted."""

    def of(self, kept_right: Floats, kept_wrong: Floats, right: Floats | float) -> Floats:
        """The measure; 0 where nothing is kept, or nothing is right."""
        match self.measure:
            case "precision":
                top, bottom = kept_right, kept_right + kept_wrong
            case "recall":
                top, bottom = kept_right, right + 0 * kept_right
            case "F":
                square = self.level**2
                top, bottom = (1 + square) * kept_right, square * right + kept_right + kept_wrong
        return np.asarray(np.divide(top, bottom, out=np.zeros_like(bottom, dtype=np.float64), where=bottom > 0))


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Judged rows in descending order of their scores; equal scores are kept or dropped together."""

    judged: Judged
    """Best first."""
    cut: Floats
    """shape (m,): the distinct scores, descending."""
    last: NDArray[np.intp]
    """shape (m,): the last row of each."""
    half: int
    """Over how many of them on either side an F is averaged."""

    @classmethod
    def of(cls, judged: Judged) -> Ranked:
        """Put in order."""
        ordered = judged.take(np.argsort(-judged.score, kind="stable"))
        last = np.append(np.flatnonzero(np.diff(ordered.score)), len(judged) - 1)
        right = int(judged.relevant.sum())
        rows = SMOOTHED * min(right, len(judged) - right) / np.cbrt(judged.units)
        return cls(ordered, ordered.score[last], last, round(rows * len(last) / len(judged)))

    def kept(self, weight: Floats | None = None) -> tuple[Floats, Floats, Floats]:
        """What each of ``cut`` keeps: weight of the right rows, of the wrong ones, and number of rows."""
        weight = self.judged.weight if weight is None else weight
        right = np.cumsum(weight * self.judged.relevant)[self.last]
        return right, np.cumsum(weight)[self.last] - right, np.cumsum(weight > 0)[self.last].astype(np.float64)

    def between(self, place: int) -> Interval:
        """The cut-offs that keep the same as ``cut[place]`` does: above the first, up to the second."""
        upper = float(self.cut[place])
        return (float(self.cut[place + 1]) if place + 1 < len(self.cut) else upper), upper

    def middle(self, place: int) -> float:
        """The middle of these."""
        low, high = self.between(place)
        return low + (high - low) / 2


@dataclass(frozen=True, slots=True)
class Confusion:
    """What one cut-off does to judged rows, by weight."""

    precision: float
    recall: float
    """Of the right ones that were retrieved."""
    kept: float
    """The share of the rows."""
    value: float
    """The measure that was aimed at."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """A cut-off with how sure it is."""

    value: float | None
    """Keep what scores at least this. None: what is wanted cannot be reached."""
    interval: tuple[float | None, float | None]
    """95 %, by resampling queries; None at an end that is open."""
    plateau: Interval | None
    """The cut-offs that keep exactly the same; ``value`` is the middle of them."""
    flat: Interval | None
    """The cut-offs around it at which an F is as good to ``FLAT``; None for what is to be reached."""
    measured: Confusion | None
    """On the rows it was chosen on: this flatters."""
    held_out: float | None
    """The measure on queries that did not choose: ``FOLDS`` times the cut-off of the others."""
    held_out_interval: Interval | None
    """95 %, by resampling queries."""
    reached: float
    """The share of the resamples in which what is wanted could be reached."""
    best: float
    """The most that any cut-off reaches of the measure."""
    best_at: float
    n: int
    """Rows."""
    units: int
    """Queries."""


def choose(judged: Judged, aim: Aim, *, seed: int = 0, resamples: int = RESAMPLES) -> Cutoff:
    """The cut-off that achieves ``aim``.

    F: the largest F-beta, averaged over neighbouring ranks, because the largest of a rugged curve is the luckiest place
    and no bootstrap is right about it (Abrevaya and Huang 2005; smoothing makes it right: Horowitz 2002). Precision:
    the lowest cut-off that reaches it; recall: the highest. Each in the middle of what keeps the same rows. Ranks alone
    decide, so that a monotone change of the scale changes nothing.

    Raises:
        ValueError: no row is right, or none is wrong.
    """
    if judged.relevant.all() or not judged.relevant.any():
        raise ValueError("a cut-off can only be chosen where some rows are right and some are wrong.")
    ranked = Ranked.of(judged)
    place = _place(ranked, aim, ranked.judged.weight)
    values = _values(ranked, aim, ranked.judged.weight)
    best = int(_reachable(ranked, aim, values).argmax())
    interval, reached = _interval(ranked, aim, seed, affordable(resamples, len(judged)))
    held_out, held_out_interval = _cross_fitted(judged, aim, seed, resamples)
    chosen = place is not None
    value = ranked.middle(place) if place is not None else None
    return Cutoff(
        value=value,
        interval=interval,
        plateau=ranked.between(place) if place is not None else None,
        flat=_flat(ranked, values, place) if place is not None and aim.measure == "F" else None,
        measured=confusion(judged, value, aim) if value is not None else None,
        held_out=held_out if chosen else None,
        held_out_interval=held_out_interval if chosen else None,
        reached=reached,
        best=float(values[best]),
        best_at=ranked.middle(best),
        n=len(judged),
        units=judged.units,
    )


def confusion(judged: Judged, cutoff: float, aim: Aim) -> Confusion:
    """What ``cutoff`` does to these rows."""
    kept = judged.score >= cutoff
    right = float(judged.weight @ (kept & judged.relevant))
    every, wrong = float(judged.weight @ judged.relevant), float(judged.weight @ (kept & ~judged.relevant))
    return Confusion(
        precision=right / (right + wrong) if right + wrong else 0.0,
        recall=right / every if every else 0.0,
        kept=float(judged.weight @ kept / judged.weight.sum()),
        value=float(aim.of(np.array(right), np.array(wrong), every)),
    )


# --- the place -----------------------------------------------------------------------------------------------------


def _values(ranked: Ranked, aim: Aim, weight: Floats) -> Floats:
    right, wrong, _ = ranked.kept(weight)
    return aim.of(right, wrong, right[-1])


def _reachable(ranked: Ranked, aim: Aim, values: Floats) -> Floats:
    """Without the precision of next to nothing."""
    if aim.measure != "precision":
        return values
    rows = ranked.last + 1
    return np.where(rows >= min(FEWEST_KEPT, len(ranked.judged)), values, 0.0)


def _place(ranked: Ranked, aim: Aim, weight: Floats) -> int | None:
    """Which of ``ranked.cut`` it is; None: none reaches what is wanted."""
    values = _values(ranked, aim, weight)
    if aim.measure == "F":
        return int(averaged(averaged(values, ranked.half), ranked.half).argmax())
    reached = np.flatnonzero(_reachable(ranked, aim, values) >= aim.level - 1e-12)
    if not len(reached):
        return None
    return int(reached[-1] if aim.measure == "precision" else reached[0])


def averaged(values: Floats, half: int) -> Floats:
    """The mean over ``half`` neighbours on either side, over fewer near the ends: as many on both sides.

    >>> averaged(np.array([0.0, 3.0, 0.0, 0.0]), 1).tolist()
    [0.0, 1.0, 1.0, 0.0]
    """
    sums = np.append(0.0, np.cumsum(values))
    place = np.arange(len(values))
    reach = np.minimum(np.minimum(place, len(values) - 1 - place), half)
    return np.asarray((sums[place + reach + 1] - sums[place - reach]) / (2 * reach + 1))


def _flat(ranked: Ranked, values: Floats, place: int) -> Interval:
    """The stretch around ``place`` on which the measure is not worse by more than ``FLAT``."""
    worse = np.flatnonzero(values < values[place] - FLAT)
    first = int(worse[worse < place].max(initial=-1)) + 1
    last = int(worse[worse > place].min(initial=len(values))) - 1
    return ranked.between(last)[0], ranked.between(first)[1]


# --- how sure ------------------------------------------------------------------------------------------------------


def _interval(ranked: Ranked, aim: Aim, seed: int, resamples: int) -> tuple[tuple[float | None, float | None], float]:
    def cutoff(weight: Floats) -> float:
        place = _place(ranked, aim, weight)
        return np.inf if place is None else ranked.middle(place)

    drawn = resampled(ranked.judged.unit, ranked.judged.weight, seed, resamples, cutoff)
    reached = float(np.isfinite(drawn).mean())
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf").tolist()
    return (low if np.isfinite(low) else None, high if np.isfinite(high) else None), reached


def _cross_fitted(judged: Judged, aim: Aim, seed: int, resamples: int) -> tuple[float | None, Interval | None]:
    """The measure over all held-out queries together, each cut by what the other folds chose (Stone 1974)."""
    number = np.unique(judged.unit, return_inverse=True)[1]
    fold = np.random.default_rng(seed).permutation(int(number.max()) + 1)[number] % FOLDS
    kept = np.zeros(len(judged), bool)
    for each in np.unique(fold):
        others = judged.take(fold != each)
        if others.relevant.all() or not others.relevant.any():
            return None, None
        ranked = Ranked.of(others)
        place = _place(ranked, aim, ranked.judged.weight)
        if place is not None:
            kept |= (fold == each) & (judged.score >= ranked.middle(place))
    cells = np.stack([kept & judged.relevant, kept & ~judged.relevant, judged.relevant]) * judged.weight
    sums = np.stack([np.bincount(number, each) for each in cells]).astype(np.float64)
    low, high = np.quantile(aim.of(*resampled_sums(sums, seed + 1, resamples)), (0.025, 0.975)).tolist()
    return float(aim.of(*sums.sum(axis=1))), (low, high)
