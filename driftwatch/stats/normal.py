"""What a baseline says about the counts to come: their season, and how much more than chance they vary.

Real counts come in bursts, sessions and days. Within a block of time the units are taken to be correlated (the
beta-binomial model); the correlation is the moment estimator over the baseline's blocks, for each length of a partial
block by itself, with a margin for what is not known about it: Williams (1982), *Extra-binomial variation in logistic
linear models*; McCullagh and Nelder (1989), *Generalized linear models*, section 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.seasonal import SMALLEST, Season, fit
from driftwatch.stats.shares import Shares

Floats = NDArray[np.float64]

BUCKETS = 24
"""Lengths of a partial block that are told apart."""
FAST = 6
"""Blocks of the fast lane in one of the slow lane."""
FAST_RARE = 4
"""The same for what is rare and lasts, such as a lost canary: the blocks of an hour after it are no news."""
PRIOR_BLOCKS = 14.0
"""How many blocks of its own a segment needs to weigh as much as the median of all segments."""
SMALLEST_RHO = 1e-5
LARGEST_RHO = 0.9
LARGEST_LAG = 0.95
ONE_STEP = 1.5
"""Steps in a day below which it has one step."""
DOUBT = 0.1
"""The correlation is used at its upper bound of this one-sided level."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One share, watched on one side."""

    name: str
    share: int
    side: int
    """+1: more is worse; -1: less is."""
    floor: float
    """The smallest change that matters."""
    tolerance: float
    """The largest change that is as good as none."""
    weight: float
    """Of its check's budget; those of a check sum to one."""
    relative: bool = False
    """Whether floor and tolerance are multiples of the expected share, or of what is left of one, if that is less."""
    least: float = 0.0
    """The floor is never below this share, when it is relative."""
    fewest: float = 0.0
    """The floor is never below so many units of a step."""
    units: float = 1.0
    """Coin flips that one unit is worth: 3 for a mean rank, whose variance is a third of a coin's."""


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """What is to be expected of every segment, and how much more than chance it varies."""

    segments: tuple[str, ...]
    """S names; the pooled segment follows them as the last of S + 1 rows."""
    quantities: tuple[Quantity, ...]
    season: Season | None
    """None: the counts bring what is expected of them."""
    block: int
    """Hours of a block of the slow lane: 24, or the source's own cadence when that is slower."""
    level: Floats
    """shape (S + 1, J): the share over the whole baseline."""
    error: Floats
    """shape (S + 1, J): standard error of ``level``."""
    rho: Floats
    """shape (2, BUCKETS, S + 1, J): correlation within a partial block, by lane and length."""
    temper: Floats
    """As ``rho``: the power of a likelihood ratio, below 1 where blocks hang together more than ``rho`` can say."""
    steady: Floats
    """shape (BUCKETS, S + 1, Q): ``rho`` of the fast lane for what is left of a block without its oddest step, however
    large.
    """
    units: Floats
    """shape (J,): see ``Quantity.units``."""
    per_day: Floats
    """shape (S + 1,): units a day."""
    per_step: Floats
    """shape (S + 1,): units of a step."""
    steps: float
    """Steps in a block of the slow lane."""
    fast: int
    """Blocks of the fast lane in one of the slow lane."""
    blocks: int
    """Blocks of the baseline."""

    @property
    def single(self) -> bool:
        """Whether a day usually has one step only."""
        return _is_single(self.block, self.steps)

    def totals(self, shares: Shares, active: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Units, hits and expected hits, each of shape (T, S + 1, J), in coin flips; the pooled row sums ``active``."""
        n, hits, expected = scaled(shares, self.season, self.units)
        return tuple(with_pooled(counts, active) for counts in (n, hits, expected))  # type: ignore[return-value]


def scaled(shares: Shares, season: Season | None, units: Floats) -> tuple[Floats, Floats, Floats]:
    """Units, hits and expected hits, each of shape (T, S, J), in coin flips."""
    n = shares.n[:, :, None] * units
    hits = shares.hits * units
    if shares.expected is not None:
        return n, hits, shares.expected * units
    assert season is not None
    knows = season.knows(shares.step)[:, None, None]
    return n * knows, hits * knows, n * knows * season.expected(shares.step)


def with_pooled(counts: Floats, active: NDArray[np.bool_]) -> Floats:
    """``counts``, shape (T, S, J), and the sum of the active segments as one more."""
    return np.concatenate([counts, counts[:, active].sum(axis=1, keepdims=True)], axis=1)


def learn(baseline: Shares, quantities: tuple[Quantity, ...]) -> Normal:
    """What ``baseline``, which holds every segment that is to be watched, says of the counts to come."""
    units = np.ones(baseline.hits.shape[2])
    for quantity in quantities:
        units[quantity.share] = quantity.units
    season = fit(baseline) if baseline.expected is None else None
    gap = float(np.median(np.diff(baseline.step))) if len(baseline) > 1 else 1.0
    block = 24 * max(1, round(gap / 24))
    everybody = np.ones(len(baseline.segments), bool)
    n, hits, expected = (with_pooled(each, everybody) for each in scaled(baseline, season, units))
    off = (hits - expected).sum(axis=0) / np.maximum(n.sum(axis=0), 1e-9)
    rare = baseline.expected is not None
    parts = FAST_RARE if rare else FAST
    slow, fast = (Blocks.of(baseline.step, n, hits, expected + off * n, lane) for lane in (block, block // parts))
    steps = len(baseline) / max(slow.blocks, 1)
    usual = _without_oddest(hits, expected + off * n) if _is_single(block, steps) else hits
    lengths = correlation(baseline.step, n, usual, expected + off * n, block, rare=rare)
    rho = np.stack([lengths, lengths[_shorter(parts)]])
    steady = steady_correlation(baseline.step, n, hits, expected + off * n, block // parts, quantities, rare=rare)
    lag = np.array([slow.lag(rho[0]), fast.lag(rho[1])])
    inflation = (1 + lag) / (1 - lag) * _upper(slow.blocks + PRIOR_BLOCKS)
    wanted = rho * inflation[:, None, None, :]
    bet_on = [quantity.share for quantity in quantities]
    units_seen = np.maximum(n.sum(axis=0), 1e-9)
    level = np.clip(np.where(n.sum(axis=0) > 0, hits.sum(axis=0) / units_seen, 0.5), SMALLEST, 1 - SMALLEST)
    days = max(slow.blocks * block / 24, 1e-9)
    return Normal(
        baseline.segments,
        quantities,
        season,
        block,
        level,
        slow.error(rho[0], (1 + lag[0]) / (1 - lag[0])),
        np.clip(wanted, SMALLEST_RHO, LARGEST_RHO),
        np.minimum(1.0, LARGEST_RHO / np.maximum(wanted, SMALLEST_RHO)),
        np.maximum(steady * inflation[1, bet_on], SMALLEST_RHO),
        units,
        (n / units).sum(axis=0)[:, 0] / days,
        (n / units).mean(axis=0)[:, 0],
        steps,
        parts,
        slow.blocks,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """The counts of every block of the baseline; each of shape (D, S + 1, J)."""

    n: Floats
    residual: Floats
    variance: Floats
    """What chance alone would give."""

    @classmethod
    def of(cls, step: NDArray[np.int64], n: Floats, hits: Floats, expected: Floats, block: int) -> Blocks:
        """From counts of shape (T, S + 1, J)."""
        names, place = np.unique(step // block, return_inverse=True)

        def summed(counts: Floats) -> Floats:
            laid = np.zeros((len(names), *counts.shape[1:]))
            np.add.at(laid, place, counts)
            return laid

        units, mean = summed(n), summed(expected)
        share = np.clip(mean / np.maximum(units, 1e-9), SMALLEST, 1 - SMALLEST)
        return cls(units, summed(hits) - mean, units * share * (1 - share))

    @property
    def blocks(self) -> int:
        return len(self.n)

    def lag(self, rho: Floats) -> Floats:
        """shape (J,): lag-one correlation of blocks over all segments, corrected for its small-sample bias."""
        spread = np.sqrt(self._spread(rho))
        z = np.where(spread > 0, self.residual / np.maximum(spread, 1e-12), 0.0)
        raw = (z[1:] * z[:-1]).sum(axis=(0, 1)) / np.maximum((z**2).sum(axis=(0, 1)), 1e-9)
        lag: Floats = np.clip(raw + (1 + 4 * np.maximum(raw, 0)) / max(self.blocks, 1), 0.0, LARGEST_LAG)
        return lag

    def error(self, rho: Floats, inflation: Floats) -> Floats:
        """shape (S + 1, J): standard error of the mean share."""
        total = self._spread(rho).sum(axis=0) * inflation
        error: Floats = np.sqrt(total) / np.maximum(self.n.sum(axis=0), 1e-9)
        return error

    def _spread(self, rho: Floats) -> Floats:
        """shape (D, S + 1, J)."""
        spread: Floats = self.variance * (1 + np.maximum(self.n - 1, 0) * rho[-1])
        return spread


def correlation(
    step: NDArray[np.int64], n: Floats, hits: Floats, expected: Floats, block: int, *, rare: bool = False
) -> Floats:
    """shape (BUCKETS, S + 1, J): within stretches of every length, falling with the length.

    By moments, over all stretches of the baseline that are so long, wherever they begin; a segment's own is drawn
    towards the median of all segments and is never below it, since what happened to others can happen to it. ``rare``:
    towards their mean, where what happens is so rare that most segments have not seen it (a canary that is lost).
    """
    laid = _laid(step, n, hits, expected, max(block // BUCKETS, 1))
    so_far = np.concatenate([np.zeros_like(laid[:, :1]), laid.cumsum(axis=1)], axis=1)
    blocks = max(laid.shape[1] / BUCKETS, 1.0)
    rho = np.zeros((BUCKETS, *n.shape[1:]))
    for length in range(1, min(BUCKETS, laid.shape[1]) + 1):
        units, residual, variance = so_far[:, length:] - so_far[:, :-length]
        rho[length - 1] = _of_stretches(units, residual, variance, blocks, rare)
    return np.asarray(np.maximum.accumulate(rho[::-1], axis=0)[::-1])


def steady_correlation(
    step: NDArray[np.int64],
    n: Floats,
    hits: Floats,
    expected: Floats,
    block: int,
    quantities: tuple[Quantity, ...],
    *,
    rare: bool = False,
) -> Floats:
    """shape (BUCKETS, S + 1, Q): ``correlation`` in blocks of ``block`` hours of which the oddest step is left out.

    The oddest is the one farthest on the side that a quantity watches. What is left is less than expected on average,
    and varies around that.
    """
    cell = max(round(float(np.median(np.diff(step)))), 1) if len(step) > 1 else 1
    laid = _laid(step, n, hits, expected, cell)
    blocks = max(laid.shape[1] * cell / 24, 1.0)
    lengths = max(min(block // cell, laid.shape[1]), 1)
    rho = np.zeros((lengths, 2, *n.shape[1:]))
    for length in range(2, lengths + 1):
        windows = np.lib.stride_tricks.sliding_window_view(laid, length, axis=1)
        whole = windows.sum(axis=-1)
        for side, oddest in enumerate((windows[1].argmax(axis=-1), windows[1].argmin(axis=-1))):
            units, residual, variance = whole - np.take_along_axis(windows, oddest[None, ..., None], axis=-1)[..., 0]
            residual = residual - residual.sum(axis=0) / np.maximum(units.sum(axis=0), 1e-9) * units
            rho[length - 1, side] = _of_stretches(units, residual, variance, blocks, rare)
    rho = np.maximum.accumulate(rho[::-1], axis=0)[::-1][np.arange(BUCKETS) * lengths // BUCKETS]
    return np.stack([rho[:, 0 if each.side > 0 else 1, :, each.share] for each in quantities], axis=-1)


def _is_single(block: int, steps: float) -> bool:
    return block == 24 and steps < ONE_STEP


def _without_oddest(hits: Floats, expected: Floats) -> Floats:
    """``hits``, shape (T, S + 1, J), with the step that is farthest off as it was expected: what is odd for one run is
    no part of how runs usually vary, and of few runs it would be most of it.
    """
    oddest = np.abs(hits - expected).argmax(axis=0)[None]
    usual = hits.copy()
    np.put_along_axis(usual, oddest, np.take_along_axis(expected, oddest, axis=0), axis=0)
    return usual


def _laid(step: NDArray[np.int64], n: Floats, hits: Floats, expected: Floats, width: int) -> Floats:
    """shape (3, cells, S + 1, J): units, residuals and what chance alone would give, in cells of ``width`` hours."""
    place = (step - step[0]) // width
    laid = np.zeros((3, int(place[-1]) + 1, *n.shape[1:]))
    share = np.clip(expected / np.maximum(n, 1e-9), SMALLEST, 1 - SMALLEST)
    for part, counts in enumerate((n, hits - expected, n * share * (1 - share))):
        np.add.at(laid[part], place, counts)
    return laid


def _of_stretches(units: Floats, residual: Floats, variance: Floats, blocks: float, rare: bool) -> Floats:
    """shape (S + 1, J): the correlation within stretches, one a row; ``variance`` is what chance alone would give."""
    freedom = max(blocks - 2.0, 1.0) / blocks
    pairs = (variance * np.maximum(units - 1, 0)).sum(axis=0)
    excess = (residual**2).sum(axis=0) / freedom - variance.sum(axis=0)
    return _shrunk(np.maximum(excess, 0) / np.maximum(pairs, 1e-9), pairs > 0, blocks, rare)


def _shrunk(own: Floats, known: NDArray[np.bool_], blocks: float, rare: bool) -> Floats:
    """shape (S + 1, J): each segment's correlation with what the others say of it."""
    if rare:
        usual = np.where(known, own, 0.0)[:-1].sum(axis=0) / np.maximum(known[:-1].sum(axis=0), 1)
    else:
        usual = _median(np.where(known, own, np.nan)[None, :-1])[0]
    drawn = np.maximum((own[:-1] * blocks + usual * PRIOR_BLOCKS) / (blocks + PRIOR_BLOCKS), usual)
    return np.asarray(np.clip(np.vstack([drawn, own[-1:]]), SMALLEST_RHO, LARGEST_RHO), np.float64)


def _shorter(parts: int) -> NDArray[np.int64]:
    """For each part of a block of the fast lane, the part of the slow lane's that is as long."""
    lengths = np.ceil((np.arange(BUCKETS) + 1) / parts).astype(np.int64) - 1
    return np.minimum(lengths, BUCKETS - 1)


def bucket_of(step: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    """Which part of its block an hour is in: 0 to BUCKETS - 1, the last one only when the block is over."""
    lengths: NDArray[np.int64] = ((step % block) + 1) * BUCKETS // block - 1
    return np.maximum(lengths, 0)


def _median(known: Floats) -> Floats:
    """shape (n, 1, J): over segments, of those that are known."""
    if not known.shape[1]:
        return np.zeros((known.shape[0], 1, known.shape[2]))
    filled = np.where(np.isnan(known), -np.inf, known)
    filled.sort(axis=1)
    count = (~np.isnan(known)).sum(axis=1, keepdims=True)
    place = known.shape[1] - np.maximum(count, 1) + count // 2
    middle = np.take_along_axis(filled, np.minimum(place, known.shape[1] - 1), axis=1)
    return np.where(np.isfinite(middle), middle, 0.0)


def _upper(freedom: float) -> float:
    """How much larger than its estimate a variance may be, one-sided at ``DOUBT``."""
    from scipy.special import chdtri

    return float(freedom / chdtri(freedom, 1 - DOUBT))
