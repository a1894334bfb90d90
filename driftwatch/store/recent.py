"""The newest hours of a source's sample, kept as arrays between looks: an hour that has not changed is not read again.

What an hour holds is told by the number and the sum of its rows' own numbers, which the index knows. As traffic comes
in, the thresholds of its day fall and rows of all its hours leave the sample; which ones, their priorities tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import pairwise

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from driftwatch.store.arrays import (
    Blobs,
    Make,
    Names,
    integers,
    lowered_thresholds,
    read_columns,
    row_thresholds,
)
from driftwatch.store.columns import micros
from driftwatch.store.database import Database
from driftwatch.store.samples import padded, widened
from driftwatch.store.tables import sampled
from driftwatch.types import Sample

HOUR = 3_600_000_000
DAY = 24 * HOUR
Mark = tuple[int, int]
"""How many rows an hour holds, and the sum of their numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of the sample in order of time, with what decides whether they stay in it; every array of shape (n,)."""

    number: NDArray[np.int64]
    at: NDArray[np.int64]
    lang: NDArray[np.int64]
    unit: NDArray[np.int64]
    day: NDArray[np.int64]
    stratum: NDArray[np.int64]
    priority: NDArray[np.float64]
    query_id: NDArray[np.str_]
    scores: NDArray[np.float32]
    """shape (n, k)."""

    @property
    def mark(self) -> Mark:
        return len(self.number), int(self.number.sum())

    def keep(self, rows: NDArray[np.bool_] | slice) -> Rows:
        """Some of them."""
        return Rows(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Rows that follow each other in time."""
        width = max(part.scores.shape[1] for part in parts)
        columns = {each.name: [getattr(part, each.name) for part in parts] for each in fields(Rows)}
        columns["scores"] = [widened(scores, width) for scores in columns["scores"]]
        return Rows(**{name: np.concatenate(column) for name, column in columns.items()})


class Recent:
    """One window of one source that is read again and again as time goes on."""

    def __init__(self, database: Database, source: str) -> None:
        self._database = database
        self._source = source
        self._langs, self._strata = Names(), Names()
        self._hours: dict[int, Rows] = {}
        self._made: tuple[object, Sample] | None = None
        """What the newest sample was made of, and the sample."""

    def sample(self, start: datetime, end: datetime) -> Sample:
        """The sampled queries of [start, end), as ``Traffic.sample`` gives them; the same object when nothing changed.

        Hours outside are forgotten.
        """
        first, last = micros(start), micros(end)
        with self._database.reading() as connection:
            marks = self._marks(connection, first // HOUR, -(-last // HOUR))
            lowered = lowered_thresholds(connection, self._source, first // DAY, last // DAY)
            made_of = (marks, lowered, first, last)
            if self._made is not None and self._made[0] == made_of:
                return self._made[1]
            self._hours = self._unchanged(marks, lowered)
            for begin, until in _runs([hour for hour in marks if hour not in self._hours]):
                self._hours |= _by_hour(self._read(connection, begin * HOUR, until * HOUR))
        sample = self._sample(lowered, first, last)
        self._made = made_of, sample
        return sample

    def _marks(self, connection: Connection, first: int, last: int) -> dict[int, Mark]:
        """Of the hours [first, last) that hold anything."""
        at = sa.type_coerce(sampled.c.at, sa.BigInteger)
        hour = (at // HOUR).label("hour")
        query = (
            sa.select(hour, sa.func.count(), sa.func.sum(sampled.c.row_id))
            .where(sampled.c.source == self._source, at >= first * HOUR, at < last * HOUR)
            .group_by(hour)
            .order_by(hour)
        )
        return {int(each): (count, int(total)) for each, count, total in connection.execute(query)}

    def _unchanged(self, marks: Mapping[int, Mark], lowered: Mapping[tuple[int, str], float]) -> dict[int, Rows]:
        """The hours that hold, without the rows whose priority is no longer enough, what the table holds."""
        known = {}
        for hour, rows in self._hours.items():
            if rows.mark != marks.get(hour):
                rows = rows.keep(rows.priority < self._thresholds(rows, lowered))
            if rows.mark == marks.get(hour):
                known[hour] = rows
        return known

    def _thresholds(self, rows: Rows, lowered: Mapping[tuple[int, str], float]) -> NDArray[np.float64]:
        return row_thresholds(lowered, rows.day, rows.stratum, list(self._strata))

    def _read(self, connection: Connection, first: int, last: int) -> Rows:
        day, at = (sa.type_coerce(column, sa.BigInteger) for column in (sampled.c.day, sampled.c.at))
        named = (sampled.c.stratum, sampled.c.priority, sampled.c.query_id, sampled.c.scores)
        query = (
            sa.select(sampled.c.row_id, at, sampled.c.lang, sampled.c.unit, day, *named)
            .where(sampled.c.source == self._source, at >= first, at < last)
            .order_by(sampled.c.at, sampled.c.row_id)
        )
        blobs = Blobs()
        makes: list[Make] = [integers, integers, self._langs.codes, integers, integers, self._strata.codes]
        makes += [np.array, np.array, blobs.lengths]
        number, moments, lang, unit, days, stratum, priority, query_id, lengths = read_columns(connection, query, makes)
        flat = np.frombuffer(b"".join(blobs.pieces), dtype=np.float32)
        scores = padded(flat, lengths // 4)
        return Rows(number, moments, lang, unit, days, stratum, priority, query_id, scores)

    def _sample(self, lowered: Mapping[tuple[int, str], float], first: int, last: int) -> Sample:
        if not self._hours:
            return Sample.none()
        rows = Rows.joined([self._hours[hour] for hour in sorted(self._hours)])
        begin, until = np.searchsorted(rows.at, [first, last])
        if until - begin < len(rows.at):
            rows = rows.keep(slice(int(begin), int(until)))
        return Sample(
            rows.query_id,
            rows.at.view("datetime64[us]"),
            self._langs.named(rows.lang),
            rows.unit,
            1.0 / self._thresholds(rows, lowered),
            rows.scores,
        )


def _runs(hours: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Hours that follow each other, ascending, as [first, last)."""
    begin = 0
    for place, hour in enumerate(hours, start=1):
        if place == len(hours) or hours[place] != hour + 1:
            yield hours[begin], hour + 1
            begin = place


def _by_hour(rows: Rows) -> dict[int, Rows]:
    hour = rows.at // HOUR
    edges = [0, *(np.flatnonzero(np.diff(hour)) + 1).tolist(), len(hour)]
    parts = (slice(*edge) for edge in pairwise(edges))
    return {int(hour[part.start]): rows.keep(part) for part in parts} if len(hour) else {}
