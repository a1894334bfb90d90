"""Recorded canary runs in memory, some weeks of them at a time, as they were known at the moment that is replayed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from datetime import datetime

from driftwatch.replay.traffic import EPOCH, PIECE
from driftwatch.store.canaries import Canaries
from driftwatch.store.database import Database
from driftwatch.types import Run

MOST_PIECES = 4


class RecordedCanaries(Canaries):
    """The runs of the last weeks that were looked at."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.now: datetime | None = None
        """The newest run is the newest one until then; None: of all."""
        self._pieces: OrderedDict[tuple[str, int], tuple[Run, ...]] = OrderedDict()
        self._times: dict[str, list[datetime]] = {}
        self._first_seen: dict[str, dict[tuple[str, str], datetime]] = {}

    def runs(self, source: str, start: datetime, end: datetime) -> tuple[Run, ...]:
        """The runs of [start, end), oldest first; what is longer than some weeks is not kept."""
        first, last = (start - EPOCH) // PIECE, -(-(end - EPOCH) // PIECE)
        if last - first > MOST_PIECES // 2:
            return super().runs(source, start, end)
        runs = (run for number in range(first, last) for run in self._piece(source, number))
        return tuple(run for run in runs if start <= run.at < end)

    def one_a_day(self, source: str, start: datetime, end: datetime) -> tuple[Run, ...]:
        """The last run of each UTC day of [start, end), oldest first."""
        times = self.times(source)
        inside = times[bisect_left(times, start) : bisect_left(times, end)]
        last = {at.date(): at for at in inside}
        return tuple(run for at in last.values() if (run := self._at(source, at)) is not None)

    def latest(self, source: str) -> Run | None:
        """The newest run of the moment that is replayed."""
        times = self.times(source)
        place = len(times) if self.now is None else bisect_right(times, self.now)
        if not place:
            return None
        return self._at(source, times[place - 1])

    def times(self, source: str) -> list[datetime]:
        """When the source was asked, oldest first."""
        if source not in self._times:
            self._times[source] = super().times(source)
        return self._times[source]

    def first_run(self, source: str) -> datetime | None:
        """When the source was first asked."""
        return next(iter(self.times(source)), None)

    def first_seen(self, source: str) -> dict[tuple[str, str], datetime]:
        """(query_id, digest) -> when this canary was first asked as it is."""
        if source not in self._first_seen:
            self._first_seen[source] = super().first_seen(source)
        return self._first_seen[source]

    def _at(self, source: str, at: datetime) -> Run | None:
        return next((run for run in self._piece(source, (at - EPOCH) // PIECE) if run.at == at), None)

    def _piece(self, source: str, number: int) -> tuple[Run, ...]:
        key = (source, number)
        if key not in self._pieces:
            begin = EPOCH + number * PIECE
            self._pieces[key] = super().runs(source, begin, begin + PIECE)
            while len(self._pieces) > MOST_PIECES:
                self._pieces.popitem(last=False)
        self._pieces.move_to_end(key)
        return self._pieces[key]
