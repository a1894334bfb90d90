"""Recorded traffic in memory, read once: windows that look at it hour after hour are slices."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import numpy as np
from numpy.typing import NDArray

from driftwatch.replay.cadence import HOUR
from driftwatch.store.database import Database
from driftwatch.store.samples import widened
from driftwatch.store.traffic import Traffic
from driftwatch.types import Sample, Tallies

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER = (EPOCH, datetime(9000, 1, 1, tzinfo=UTC))

PIECE = 7 * 24 * HOUR
"""The sample is read and kept in pieces of this length."""
MOST_PIECES = 12


class RecordedTraffic(Traffic):
    """All tallies, and the sample of the last weeks that were looked at."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._tallies: dict[str, Tallies] = {}
        self._hours: dict[str, NDArray[np.int64]] = {}
        self._samples: OrderedDict[tuple[str, int], Sample] = OrderedDict()

    def tallies(self, source: str, start: datetime, end: datetime) -> Tallies:
        """The exact counts of the hours that begin in [start, end)."""
        if source not in self._tallies:
            self.put(source, super().tallies(source, *FOREVER))
        whole = self._tallies[source]
        # Of one unit: searching hours for microseconds would convert all of them each time.
        edges = [-(-(edge - EPOCH) // HOUR) for edge in (start, end)]
        first, last = np.searchsorted(self._hours[source], edges)
        return Tallies(whole.hour[first:last], whole.lang[first:last], whole.counts[first:last])

    def put(self, source: str, tallies: Tallies) -> None:
        """Let these be all that was ever counted of ``source``."""
        self._tallies[source] = tallies
        self._hours[source] = tallies.hour.astype("datetime64[h]").astype(np.int64)

    def sample(self, source: str, start: datetime, end: datetime, *, ids: bool = True) -> Sample:
        """The sampled queries of [start, end), ordered by time; what is longer than a month is not kept."""
        first, last = (start - EPOCH) // PIECE, -(-(end - EPOCH) // PIECE)
        if last - first > MOST_PIECES // 2:
            return super().sample(source, start, end, ids=ids)
        parts = [self._between(self._piece(source, number), start, end) for number in range(first, last)]
        return joined([part for part in parts if len(part)])

    def recent(self, source: str) -> Callable[[datetime, datetime], Sample]:
        """What is in memory is read no faster for having been read before."""
        return partial(self.sample, source)

    def _piece(self, source: str, number: int) -> Sample:
        key = (source, number)
        if key not in self._samples:
            begin = EPOCH + number * PIECE
            self._samples[key] = super().sample(source, begin, begin + PIECE)
            while len(self._samples) > MOST_PIECES:
                self._samples.popitem(last=False)
        self._samples.move_to_end(key)
        return self._samples[key]

    @staticmethod
    def _between(piece: Sample, start: datetime, end: datetime) -> Sample:
        first, last = np.searchsorted(piece.at, np.array([_plain(start), _plain(end)]))
        return piece if last - first == len(piece) else _sliced(piece, slice(int(first), int(last)))


def joined(parts: list[Sample]) -> Sample:
    """Samples that follow each other in time, as one; only their own columns, no contents."""
    if len(parts) < 2:
        return parts[0] if parts else Sample.none()
    width = max(part.scores.shape[1] for part in parts)
    return Sample(
        np.concatenate([part.query_id for part in parts]),
        np.concatenate([part.at for part in parts]),
        np.concatenate([part.lang for part in parts]),
        np.concatenate([part.unit for part in parts]),
        np.concatenate([part.weight for part in parts]),
        np.concatenate([widened(part.scores, width) for part in parts]),
    )


def _sliced(piece: Sample, rows: slice) -> Sample:
    return Sample(
        piece.query_id[rows],
        piece.at[rows],
        piece.lang[rows],
        piece.unit[rows],
        piece.weight[rows],
        piece.scores[rows],
    )


def _plain(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
