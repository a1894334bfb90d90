"""The newest hours of a source's sample, kept as arrays between looks: an hour that has not changed is not read again.

What an hour holds is told by the number and the sum of its rows' own numbers, which the index knows. As traffic comes
in, the thresholds of its day fall and rows of all its hours leave the sample; which ones, their priorities tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
Mark = tuple[int, int]
"""How many rows there are, and the sum of their numbers."""
_MARK = sa.func.count(), sa.func.sum(sampled.c.row_id)
_AT = sa.type_coerce(sampled.c.at, sa.BigInteger)


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
        self._until = 0
        """The hours before it are known."""
        self._lowered: dict[tuple[int, str], float] = {}
        self._asked: tuple[datetime | None, datetime | None] = None, None
        self._made = Sample.none()
        """Of what was asked last."""

    def sample(self, start: datetime, end: datetime) -> Sample:
        """The sampled queries of [start, end), as ``Traffic.sample`` gives them; the same object when nothing changed.

        Hours outside are forgotten.
        """
        first, last = micros(start) // HOUR, -(-micros(end) // HOUR)
        with self._database.reading() as connection:
            lowered = lowered_thresholds(connection, self._source, first // 24, last // 24)
            known = max(first, min(self._until, last))
            hours = self._known(first, known, lowered)
            is_new = known < last or (start, end, lowered) != (*self._asked, self._lowered)
            if self._total(connection, first, known) != _mark(hours.values()):
                hours, is_new = self._mended(connection, hours, self._marks(connection, first, known)), True
            if is_new:
                hours |= _by_hour(self._read(connection, known, last)) if known < last else {}
        if is_new:
            self._hours, self._until, self._asked, self._lowered = hours, last, (start, end), lowered
            self._made = self._sample(micros(start), micros(end))
        return self._made

    def _known(self, first: int, last: int, lowered: Mapping[tuple[int, str], float]) -> dict[int, Rows]:
        """What is known of the hours [first, last), without the rows whose priority is no longer enough."""
        known = {hour: rows for hour, rows in self._hours.items() if first <= hour < last}
        if lowered == self._lowered:
            return known
        kept = {hour: rows.keep(rows.priority < self._thresholds(rows, lowered)) for hour, rows in known.items()}
        return {hour: rows for hour, rows in kept.items() if rows.mark[0]}

    def _mended(self, connection: Connection, known: dict[int, Rows], marks: Mapping[int, Mark]) -> dict[int, Rows]:
        """``known`` where it is what the table holds, and the other hours of ``marks`` as they are there."""
        right = {hour: rows for hour, rows in known.items() if marks.get(hour) == rows.mark}
        for begin, until in _runs([hour for hour in marks if hour not in right]):
            right |= _by_hour(self._read(connection, begin, until))
        return right

    def _total(self, connection: Connection, first: int, last: int) -> Mark:
        """Of the hours [first, last) together."""
        count, total = connection.execute(sa.select(*_MARK).where(*self._within(first, last))).one()
        return count, int(total or 0)

    def _marks(self, connection: Connection, first: int, last: int) -> dict[int, Mark]:
        """Of each of the hours [first, last) that holds anything."""
        hour = (_AT // HOUR).label("hour")
        query = sa.select(hour, *_MARK).where(*self._within(first, last)).group_by(hour).order_by(hour)
        return {int(each): (count, int(total)) for each, count, total in connection.execute(query)}

    def _within(self, first: int, last: int) -> tuple[sa.ColumnElement[bool], ...]:
        return sampled.c.source == self._source, first * HOUR <= _AT, last * HOUR > _AT

    def _thresholds(self, rows: Rows, lowered: Mapping[tuple[int, str], float]) -> NDArray[np.float64]:
        return row_thresholds(lowered, rows.day, rows.stratum, list(self._strata))

    def _read(self, connection: Connection, first: int, last: int) -> Rows:
        day = sa.type_coerce(sampled.c.day, sa.BigInteger)
        named = (sampled.c.stratum, sampled.c.priority, sampled.c.query_id, sampled.c.scores)
        query = (
            sa.select(sampled.c.row_id, _AT, sampled.c.lang, sampled.c.unit, day, *named)
            .where(*self._within(first, last))
            .order_by(sampled.c.at, sampled.c.row_id)
        )
        blobs = Blobs()
        makes: list[Make] = [integers, integers, self._langs.codes, integers, integers, self._strata.codes]
        makes += [np.array, np.array, blobs.lengths]
        number, moments, lang, unit, days, stratum, priority, query_id, lengths = read_columns(connection, query, makes)
        flat = np.frombuffer(b"".join(blobs.pieces), dtype=np.float32)
        scores = padded(flat, lengths // 4)
        return Rows(number, moments, lang, unit, days, stratum, priority, query_id, scores)

    def _sample(self, first: int, last: int) -> Sample:
        if not self._hours:
            return Sample.none()
        rows = Rows.joined([self._hours[hour] for hour in sorted(self._hours)])
        begin, until = np.searchsorted(rows.at, [first, last])
        if until - begin < len(rows.at):
            rows = rows.keep(slice(int(begin), int(until)))
        sample = Sample(
            rows.query_id,
            rows.at.view("datetime64[us]"),
            self._langs.named(rows.lang),
            rows.unit,
            1.0 / self._thresholds(rows, self._lowered),
            rows.scores,
        )
        return sample.written_in(list(self._langs), rows.lang)


def _mark(parts: Iterable[Rows]) -> Mark:
    marks = [part.mark for part in parts]
    return sum(count for count, _ in marks), sum(total for _, total in marks)


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
