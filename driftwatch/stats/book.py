"""What a ledger remembers between looks: the counts of its open blocks, what it held before, and what came lately."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.normal import Normal

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SLOW_BETS = (1.0, 2.0, 4.0, 8.0)
FAST_BETS = (2.0, 8.0)
STEADY_BETS = (1.25, 3.0)
"""Bets, as multiples of the floor; the steady ones are on the blocks of the fast lane without their oddest step."""
BETS = len(SLOW_BETS) + len(FAST_BETS) + len(STEADY_BETS)
LANES = (slice(0, len(SLOW_BETS)), slice(len(SLOW_BETS), BETS))
"""Where the bets of each lane are in a book."""
BET_WEIGHTS = np.full(BETS, 1 / BETS)
FINE = 2
"""Blocks of the slow lane of which the blocks of the fast lane are remembered."""
LAG = 14
"""Blocks that must have passed before a block is taken for normal."""
MEMORY = 120.0
"""Blocks after which what refines the baseline fades."""
NEVER = -(2**62)
_SIDES = np.array([1.0, -1.0])[:, None, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Book:
    """The ledgers of one check in all its segments, as they stand after ``at``."""

    at: int
    """The last step that was folded in."""
    block: NDArray[np.int64]
    """shape (2,): the block that is open in each lane."""
    counts: Floats
    """shape (2, 3, S + 1, J): units, hits and expected hits of the open blocks so far, in coin flips."""
    odd: Floats
    """shape (2, 2, 3, S + 1, J): by lane, the counts of the step of the open block that is farthest above what was
    expected, and of the one farthest below."""
    carry: Floats
    """shape (S + 1, Q, bets of both lanes): days in each ledger when its open block began."""
    ledgers: Floats
    """shape (S + 1, Q, bets of both lanes): days in each ledger now."""
    recent: Floats
    """shape (LAG, 3, S + 1, J): the counts of the newest closed blocks of the slow lane, oldest first."""
    fine: Floats
    """shape (K, 3, S + 1, J): counts of the newest blocks of the fast lane with the open one, by number modulo K."""
    settled: Floats
    """shape (4, S + 1, J): units, hits, expected hits and number of older blocks, which refine the baseline."""

    @classmethod
    def empty(cls, normal: Normal, at: int = NEVER) -> Book:
        """No evidence yet."""
        rows, shares = normal.level.shape
        return cls(
            at,
            np.array([NEVER, NEVER]),
            np.zeros((2, 3, rows, shares)),
            np.zeros((2, 2, 3, rows, shares)),
            np.zeros((rows, len(normal.quantities), BETS)),
            np.zeros((rows, len(normal.quantities), BETS)),
            np.zeros((LAG, 3, rows, shares)),
            np.zeros((FINE * normal.fast, 3, rows, shares)),
            np.zeros((4, rows, shares)),
        )

    def cleared(self, rows: Mask) -> Book:
        """Without the evidence of ``rows``, shape (S + 1,): their ledgers start again from zero."""
        keep = ~rows
        return replace(
            self,
            counts=self.counts * keep[:, None],
            odd=self.odd * keep[:, None],
            carry=self.carry * keep[:, None, None],
            ledgers=self.ledgers * keep[:, None, None],
            recent=self.recent * keep[:, None],
            fine=self.fine * keep[:, None],
        )


def counts_so_far(book: Book, counts: Floats, cuts: list[int]) -> tuple[Floats, Floats]:
    """Counts of the open blocks up to each step, shape (2, T, 3, S + 1, J), and the oddest step among them.

    The second has shape (2, 2, T, 3, S + 1, J). ``cuts`` are the blocks of the fast lane.
    """
    blocks = [(0, 0, len(counts)), *((1, start, end) for start, end in pairwise(cuts))]
    found = np.empty((2, *counts.shape))
    for lane, start, end in blocks:
        counts[start:end].cumsum(axis=0, out=found[lane, start:end])
        if start == 0:
            found[lane, :end] += book.counts[lane]
    return found, _oddest(book.odd, counts, blocks)


def _oddest(before: Floats, counts: Floats, blocks: list[tuple[int, int, int]]) -> Floats:
    """Of the steps so far of each of ``blocks`` (lane, start, end), the counts of the one that is farthest above what
    was expected, and of the one farthest below; the first block of a lane goes on from ``before``.
    """
    known = before.reshape(4, *counts.shape[1:])
    steps = np.concatenate([np.zeros_like(known[:1]), known, counts])
    off = (steps[:, 1] - steps[:, 2]) * _SIDES
    residual = off[:, len(steps) - len(counts) :]
    best = np.empty((2, *residual.shape))
    for lane, start, end in blocks:
        least = np.stack([off[0, 1 + 2 * lane], off[1, 2 + 2 * lane]])[:, None] if start == 0 else 0.0
        here = np.maximum.accumulate(residual[:, start:end], axis=1, out=best[lane, :, start:end])
        np.maximum(here, least, out=here)
    first = np.arange(len(steps) - len(counts), len(steps))[:, None, None]
    place = np.where(residual >= best, first, 0)
    place[:, :, 0] = np.maximum(place[:, :, 0], np.arange(1, 5).reshape(2, 2, 1, 1))
    for lane, start, end in blocks:
        here = place[lane, :, start:end]
        np.maximum.accumulate(here, axis=1, out=here)
    parts, rows, shares = np.ogrid[tuple(slice(length) for length in counts.shape[1:])]
    return steps[place[:, :, :, None], parts, rows, shares]


def aged(recent: Floats, settled: Floats, closed: Floats, silent: Mask) -> tuple[Floats, Floats]:
    """One more closed block; the oldest of the recent ones settles."""
    oldest = recent[0] * ~silent[:, None]
    settled = settled * (1 - 1 / MEMORY)
    settled[:3] += oldest
    settled[3] += oldest[0] > 0
    return np.concatenate([recent[1:], closed[None]]), settled


def renewed(fine: Floats, block: int, blocks: NDArray[np.int64], so_far: Floats, cuts: list[int]) -> Floats:
    """``fine`` after steps in ``blocks``, shape (T,), with counts ``so_far``, shape (T, 3, S + 1, J), of the open one.

    ``block`` is the newest one before; blocks without counts are blocks too.
    """
    fine, places = fine.copy(), len(fine)
    for start, end in pairwise(cuts):
        now = int(blocks[start])
        for skipped in range(max(block + 1, now - places + 1), now):
            fine[skipped % places] = 0
        fine[now % places] = so_far[end - 1]
        block = now
    return fine


def cuts_of(block: NDArray[np.int64]) -> list[int]:
    """Where a new block begins, and the end."""
    return [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(block)] if len(block) else [0]
