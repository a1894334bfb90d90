"""Counts of units hour by hour, as a check would give them to its ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike

from driftwatch.checks._counted import Watched, _weights
from driftwatch.checks.rate import Rate
from driftwatch.ledgers import step_of
from driftwatch.stats.ledger import Ledger
from driftwatch.stats.normal import Normal, Quantity, learn
from driftwatch.stats.seasonal import Season
from driftwatch.stats.shares import Shares
from tests.fakes.windows import MONDAY

START = step_of(MONDAY)
HALF = Quantity("more", 0, +1, 0.05, 0.02, 1.0)
"""A share near one half, of which a twentieth more matters."""


def stream(
    days: float,
    units: int,
    share: ArrayLike,
    *,
    day: float = 0,
    segments: tuple[str, ...] = ("de",),
    every: int = 1,
    rho: float = 0.0,
    seed: int = 0,
) -> Shares:
    """``units`` coins a step and segment, heads with probability ``share`` (a number, one a segment, or (T, S)).

    ``every``: hours from one step to the next; ``rho``: how much the coins of one UTC day have in common.
    """
    random = np.random.default_rng([seed, int(START + day * 24)])
    step = START + round(day * 24) + np.arange(0, round(days * 24), every)
    heads = np.broadcast_to(np.asarray(share, float), (len(step), len(segments)))
    if rho:
        k = (1 - rho) / rho
        days_of = np.unique(step // 24, return_index=True, return_inverse=True)[1:]
        heads = random.beta(heads[days_of[0]] * k, (1 - heads[days_of[0]]) * k)[days_of[1]]
    n = np.full(heads.shape, float(units))
    return Shares(step, segments, n, random.binomial(units, heads)[..., None].astype(float))


def known(segments: int, share: float, rho: float = 1e-5, quantity: Quantity = HALF, units: int = 10) -> Normal:
    """A baseline that is known exactly: no season, no error."""
    coefficients = np.zeros((segments, 1, 8))
    coefficients[:, :, 0] = share
    rows = segments + 1
    each = float(units) * np.array([1] * segments + [segments])
    return replace(
        learn(stream(14, units, share, segments=("de",)), (quantity,)),
        segments=tuple(f"s{number}" for number in range(segments)),
        season=Season(coefficients, np.zeros(segments, np.int64), True, True),
        level=np.full((rows, 1), share),
        error=np.zeros((rows, 1)),
        rho=np.full((2, 24, rows, 1), rho),
        temper=np.ones((2, 24, rows, 1)),
        steady=np.full((24, rows, 1), rho),
        per_day=24.0 * each,
        per_step=each,
    )


def watched_of(normal: Normal, *, cap: float = 10.0) -> Watched:
    """What a check of empty results would watch, had it learnt ``normal``; the last segment is the rest."""
    check = Rate(kind="rate", name="empty results", source="live", of="empty", by="lang")
    return Watched(check, None, normal, Ledger(normal, cap=cap), _weights(normal.segments, pools_only=False))


def nobody(normal: Normal) -> np.ndarray:
    """No row whose alert is open."""
    return np.zeros(len(normal.segments) + 1, bool)


def moment(step: int) -> datetime:
    """The beginning of a step."""
    return MONDAY + (step - START) * timedelta(hours=1)
