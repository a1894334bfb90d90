"""The cut-off at which as much is kept as before, when nobody has judged anything; and how much a cut-off keeps.

Scores are higher is better; minus infinity stands for a query that nothing was retrieved for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.cutoff import Floats, Interval
from driftwatch.stats.interval import share_interval
from driftwatch.stats.resampling import RESAMPLES, affordable, resampled, resampled_sums

MOST_EXTREME = 20.0
"""Times by which a cell of the week may be made to count more: what was hardly seen before stands for little."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores as they came: one a query (its best), or one a document."""

    score: Floats
    """shape (n,): no NaN."""
    unit: NDArray[np.int64]
    """shape (n,): rows of one session carry the same number."""
    weight: Floats
    """shape (n,): 1 / probability of having been kept."""

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.bool_]) -> Scored:
        """Some of the rows."""
        return Scored(self.score[rows], self.unit[rows], self.weight[rows])

    @property
    def units(self) -> int:
        """How many sessions there are."""
        return len(np.unique(self.unit))


@dataclass(frozen=True, slots=True)
class Share:
    """A share of the traffic with its 95 % interval."""

    value: float
    low: float
    high: float
    units: int


@dataclass(frozen=True, slots=True)
class Matched:
    """The cut-off after a change that keeps as much as another did before it."""

    value: float | None
    """None: it lies below every score that is seen, because what scores lower is not logged."""
    interval: tuple[float | None, float | None]
    """95 %, by resampling sessions; None at an end that is not seen."""
    share: float
    """What was kept before, and is to be."""
    now: float | None
    """What the old cut-off keeps now; None where it does not say what to keep."""
    units_before: int
    units_after: int


def share_where(flag: NDArray[np.bool_] | Floats, unit: NDArray[np.int64], weight: Floats) -> Share:
    """The weighted share of rows with ``flag`` (or its mean, within [0, 1]), whole sessions being the unit.

    The interval of a share, on the effective number of units by the linearised variance of a ratio (Korn and Graubard
    1998, Confidence intervals for proportions with small expected number of positive counts).

    Raises:
        ValueError: there are no rows.
    """
    if not len(unit):
        raise ValueError("a share of no rows is not known.")
    value = float(np.average(flag, weights=weight))
    number = np.unique(unit, return_inverse=True)[1]
    sums = np.bincount(number, weight)
    rows = float(weight.sum() ** 2 / (weight**2).sum())
    sessions = float(sums.sum() ** 2 / (sums**2).sum())
    variance = float((np.bincount(number, weight * (flag - value)) ** 2).sum()) / float(sums.sum()) ** 2
    effective = min(value * (1 - value) / variance, rows) if variance > 1e-15 else sessions
    low, high = share_interval(value * effective, effective)
    return Share(value, max(0.0, low), min(1.0, high), len(sums))


def kept(scored: Scored, cutoff: float) -> Share:
    """The share that scores at least ``cutoff``."""
    return share_where(scored.score >= cutoff, scored.unit, scored.weight)


def match(
    before: Scored,
    after: Scored,
    cutoff: float | None = None,
    share: float | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    paired: bool = False,
) -> Matched:
    """The cut-off at which the share kept is what ``cutoff`` kept before, or is ``share``.

    Right when only the scale has moved: then it is what the old cut-off is called now (quantile matching, as in
    equipercentile equating: Kolen and Brennan 2014, section 2.2). Wrong when people ask other things than before.
    ``paired``: both hold the same rows of the same units, which are then drawn together, so that which ones were drawn
    makes no difference between before and after (the single group design of equating).

    Raises:
        ValueError: ``cutoff`` kept nothing, so nothing is to be matched; or a sample that is asked for is empty.
    """
    if not len(after) or (share is None and not len(before)):
        raise ValueError("nothing was scored before, or nothing since.")
    wanted = share if share is not None else _kept(before, before.weight, cutoff)
    if not wanted > 0:
        raise ValueError("the old cut-off kept nothing before the change: there is nothing to match.")
    resamples = affordable(resamples, len(before) + len(after))
    order = np.argsort(-after.score, kind="stable")
    ordered = Scored(after.score[order], after.unit[order], after.weight[order])
    if share is None:
        drawn = _kept_each(before, cutoff, seed, resamples)
    else:
        drawn = np.full(resamples, share)
    low, high = _ends(ordered, drawn, seed if paired else seed + 1, paired)
    return Matched(
        value=_seen(_cut(ordered.score, ordered.weight, wanted)),
        interval=(_seen(low), _seen(high)),
        share=wanted,
        now=_kept(after, after.weight, cutoff) if share is None else None,
        units_before=before.units,
        units_after=after.units,
    )


def like(weight: Floats, cell: NDArray[np.int64], target: Floats, target_cell: NDArray[np.int64]) -> Floats:
    """Weights with which each cell counts as much as it does in the target (post-stratification: Holt and Smith 1979).

    Cells are stretches of the week: a few days are compared with such days. What the target never saw counts nothing.
    Where the two have no cell in common, the weights are left as they are.
    """
    count = int(max(cell.max(initial=0), target_cell.max(initial=0))) + 1
    have, want = np.bincount(cell, weight, count), np.bincount(target_cell, target, count)
    both = (have > 0) & (want > 0)
    if not both.any():
        return weight
    factor = np.zeros(count)
    factor[both] = (want[both] / want[both].sum()) / (have[both] / have[both].sum())
    factor[both] = np.clip(factor[both], 1 / MOST_EXTREME, MOST_EXTREME)
    return np.asarray(weight * factor[cell])


def total_variation(one: NDArray[np.str_], weight: Floats, other: NDArray[np.str_], other_weight: Floats) -> float:
    """How far the shares of the languages of two samples lie apart, in [0, 1]."""
    names = np.union1d(one, other)
    shares = [
        np.bincount(np.searchsorted(names, each), own, len(names)) / own.sum()
        for each, own in ((one, weight), (other, other_weight))
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _kept(scored: Scored, weight: Floats, cutoff: float | None) -> float:
    assert cutoff is not None
    return float(weight @ (scored.score >= cutoff) / weight.sum())


def _kept_each(scored: Scored, cutoff: float | None, seed: int, resamples: int) -> Floats:
    """``_kept`` of resampled sessions."""
    assert cutoff is not None
    number = np.unique(scored.unit, return_inverse=True)[1]
    sums = [np.bincount(number, scored.weight * flag) for flag in (scored.score >= cutoff, 1.0)]
    some, every = resampled_sums(np.stack(sums).astype(np.float64), seed, resamples)
    return np.asarray(some / every)


def _ends(ordered: Scored, shares: Floats, seed: int, paired: bool) -> Interval:
    """95 % of resampled cut-offs; of rows that are drawn together, of all the cut-offs that keep the same of them."""

    def drawn(of: Callable[[Floats, Floats, float], float]) -> Floats:
        each = iter(shares.tolist())
        return resampled(
            ordered.unit, ordered.weight, seed, len(shares), lambda weight: of(ordered.score, weight, next(each))
        )

    lows, highs = (drawn(_below), drawn(_reaching)) if paired else [drawn(_cut)] * 2
    low, high = (np.quantile(each, q, method="inverted_cdf") for each, q in ((lows, 0.025), (highs, 0.975)))
    return float(low), float(high)


def _place(weight: Floats, share: float) -> int:
    """The row with which ``share`` of the weight is reached."""
    total = np.cumsum(weight)
    return min(int(np.searchsorted(total, share * total[-1] - 1e-9)), len(total) - 1)


def _reaching(descending: Floats, weight: Floats, share: float) -> float:
    return float(descending[_place(weight, share)])


def _below(descending: Floats, weight: Floats, share: float) -> float:
    """The next score that was drawn below the one that reaches ``share``; minus infinity where there is none."""
    return float(descending[(descending < _reaching(descending, weight, share)) & (weight > 0)].max(initial=-np.inf))


def _cut(descending: Floats, weight: Floats, share: float) -> float:
    """Where ``share`` of the weight is reached: the middle of the gap below the row that reaches it."""
    place = _place(weight, share)
    upper = float(descending[place])
    lower = descending[place + 1 :]
    lower = lower[lower < upper][:1]
    return upper if not len(lower) or not np.isfinite(lower[0]) else upper + (float(lower[0]) - upper) / 2


def _seen(cutoff: float) -> float | None:
    return cutoff if np.isfinite(cutoff) else None


def interval_of(values: Floats) -> Interval:
    """95 % of resampled values."""
    low, high = np.quantile(values, (0.025, 0.975)).tolist()
    return low, high
