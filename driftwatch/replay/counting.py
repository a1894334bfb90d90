"""Ledgers over recorded time: what each check counts is counted once, a week at a time, and then only looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from driftwatch.checks import Check
from driftwatch.checks._counted import Counted, Watched
from driftwatch.config import Watch
from driftwatch.ledgers import LONGEST_CATCH_UP, Ledgers, moment_of, step_of
from driftwatch.replay.record import Record
from driftwatch.stats.shares import Shares
from driftwatch.types import Alert, Run
from driftwatch.weighing import Place, Weighed, Weighing
from driftwatch.windows import JUST_AFTER, floor_hour

PIECE = 168
"""Hours that are counted at once."""


class RecordedLedgers(Ledgers):
    """The ledgers of one watch over recorded time."""

    def __init__(self, record: Record, watch: Watch) -> None:
        super().__init__(record, watch)
        self._pieces: dict[int, tuple[Watched, dict[int, Shares]]] = {}
        """By identity: what is watched changes when the baseline or the canaries do."""

    def counts(self, watched: Watched, start: int, end: int) -> Shares:
        """The units of the hours [start, end), in the segments that are watched, expected differences left out."""
        pieces = [self._piece(watched, number) for number in range(start // PIECE, -(-end // PIECE))]
        if not pieces:
            return _nothing(watched)
        found = Shares.joined(pieces)
        first, last = np.searchsorted(found.step, [start, end])
        return found.keep(slice(int(first), int(last)))

    def _counted(self, watched: Watched, at: int, now: datetime, fresh: Run | None) -> Shares:
        del fresh
        start = max(at + 1, step_of(floor_hour(now - LONGEST_CATCH_UP)))
        hour = step_of(now)
        over = self.counts(watched, start, max(start, hour))
        if watched.check.needs != "runs":
            return over
        # The hour that is not over holds the runs until now, which may not be all of it.
        return Shares.joined([over, self._direct(watched, moment_of(max(start, hour)), now + JUST_AFTER)])

    def _piece(self, watched: Watched, number: int) -> Shares:
        _, pieces = self._pieces.setdefault(id(watched), (watched, {}))
        if number not in pieces:
            pieces[number] = self._direct(watched, moment_of(number * PIECE), moment_of((number + 1) * PIECE))
        return pieces[number]

    def _direct(self, watched: Watched, start: datetime, end: datetime) -> Shares:
        return self.unexpected(watched.count(self.windows.read(watched.check, start, end)))


class RecordedWeighing(Weighing):
    """What the looks of recorded time weigh."""

    def __init__(self, record: Record, watch: Watch) -> None:
        super().__init__(record, watch)
        self.ledgers = self.recorded = RecordedLedgers(record, watch)

    def weigh(
        self,
        checks: Sequence[Check],
        now: datetime,
        alerts: Mapping[Place, Alert],
        kept: Mapping[str, bytes],
        fresh: Mapping[str, Run],
    ) -> Weighed:
        """The same; a look of checks that keep no ledger weighs nothing, so nothing is unpacked for it."""
        weighs = any(isinstance(check, Counted) for check in checks)
        return super().weigh(checks, now, alerts, kept if weighs else {}, fresh)


def _nothing(watched: Watched) -> Shares:
    shape = (0, len(watched.normal.segments), watched.normal.level.shape[1])
    expected = None if watched.normal.season is not None else np.zeros(shape)
    return Shares(np.empty(0, np.int64), watched.normal.segments, np.zeros(shape[:2]), np.zeros(shape), expected)
