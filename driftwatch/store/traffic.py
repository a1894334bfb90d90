"""What was asked: exact counts of everything, and a sample of the queries."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.feedback import HeldVotes
from driftwatch.sampling import Batch, Reject, Stratum
from driftwatch.store.arrays import lowered_thresholds, read_sample, read_tallies
from driftwatch.store.columns import EPOCH_DAY, day_of, micros, moment, short_name
from driftwatch.store.database import Database
from driftwatch.store.recent import Recent
from driftwatch.store.samples import observation_of, query_hash, row_of, text_of
from driftwatch.store.tables import readings, rejects, sampled, tallies, thresholds
from driftwatch.store.totals import count_batch
from driftwatch.store.votes import add_votes, held_votes, said, unkept
from driftwatch.types import TALLY_FIELDS, Observation, Sample, Tallies

REJECTS_KEPT = 1000
"""Rejected lines kept of each source; all of them are counted."""

ROWS_AT_ONCE = 500
"""Sampled rows in one statement: what a transaction needs at its peak stays with the process."""

_HOUR = 3_600_000_000


class Traffic:
    """Tallies, sample, cursors and rejected lines of the sources that give traffic."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- writing ---------------------------------------------------------------------------------------------------

    def ingest(self, batch: Batch, languages: Collection[str] = ()) -> None:
        """Count a batch, sample it and move the cursor: all of it or nothing.

        ``languages`` are those that the totals name; without any, these are the largest.

        Raises:
            StoreError: nothing was written; the same lines are to be read again from the stored cursor.
        """
        insert = self._database.insert
        with self._database.writing() as connection:
            _add_tallies(connection, insert, batch)
            count_batch(connection, insert, batch, languages)
            for start in range(0, len(batch.kept), ROWS_AT_ONCE):
                rows = [row_of(batch.source, kept) for kept in batch.kept[start : start + ROWS_AT_ONCE]]
                connection.execute(insert(sampled).on_conflict_do_nothing(), rows)
            _lower_thresholds(connection, insert, batch)
            add_votes(connection, insert, batch)
            _move_cursor(connection, insert, batch)
            _keep_rejects(connection, batch)

    # --- where reading goes on -------------------------------------------------------------------------------------

    def cursor(self, source: str) -> Mapping[str, Any] | None:
        """Where reading goes on; None when nothing was ever read."""
        with self._database.reading() as connection:
            found = connection.execute(sa.select(readings.c.cursor).where(readings.c.source == source)).scalar()
        return cast("Mapping[str, Any] | None", found)

    def strata(self, source: str, since: date) -> dict[tuple[date, str], Stratum]:
        """The sample's strata from the day ``since`` on, as a sampler continues them."""
        where = (sampled.c.source == source, sampled.c.day >= since)
        held: dict[tuple[int, str], list[float]] = {}
        with self._database.reading() as connection:
            for day, stratum, priority in connection.execute(
                sa.select(_raw(sampled.c.day), sampled.c.stratum, sampled.c.priority).where(*where)
            ):
                held.setdefault((day, stratum), []).append(priority)
            lowered = lowered_thresholds(connection, source, (since - EPOCH_DAY).days)
        return {
            (day_of(key[0]), key[1]): Stratum(lowered.get(key, 1.0), tuple(sorted(held.get(key, ()))))
            for key in sorted({*held, *lowered})
        }

    def votes(self, source: str, since: date) -> dict[tuple[date, str], HeldVotes]:
        """The lines with feedback that are kept from the day ``since`` on, as ``feedback.Votes`` continues them."""
        with self._database.reading() as connection:
            return held_votes(connection, source, since)

    def first_hour(self, source: str) -> datetime | None:
        """The first hour in which anything was counted."""
        return self._edge(source, sa.func.min)

    def last_hour(self, source: str) -> datetime | None:
        """The last hour in which anything was counted."""
        return self._edge(source, sa.func.max)

    def _edge(self, source: str, which: Any) -> datetime | None:
        with self._database.reading() as connection:
            hour = connection.execute(sa.select(which(tallies.c.hour)).where(tallies.c.source == source)).scalar()
        return None if hour is None else moment(hour * _HOUR)

    # --- what checks judge -----------------------------------------------------------------------------------------

    def tallies(self, source: str, start: datetime, end: datetime) -> Tallies:
        """The exact counts of the hours that begin in [start, end)."""
        first, last = (-(-micros(edge) // _HOUR) for edge in (start, end))
        with self._database.reading() as connection:
            return read_tallies(connection, source, first, last)

    def sample(self, source: str, start: datetime, end: datetime, *, ids: bool = True) -> Sample:
        """The sampled queries of [start, end), ordered by time.

        A row's weight is one over the threshold that its stratum has now. Rows of one session and day share a unit.
        Without ``ids`` every query_id is empty, which saves a quarter of the time and of the memory.
        """
        with self._database.reading() as connection:
            return read_sample(connection, source, micros(start), micros(end), ids=ids)

    def recent(self, source: str) -> Callable[[datetime, datetime], Sample]:
        """``sample`` for a window that moves on, of which only what is new is read."""
        return Recent(self._database, source).sample

    def texts(self, source: str, start: datetime, end: datetime) -> dict[tuple[int, str], str]:
        """(microseconds since 1970, query_id) -> what is kept of the text, of the sampled queries of [start, end)."""
        query = sa.select(_raw(sampled.c.at), sampled.c.query_id, sampled.c.body).where(
            sampled.c.source == source, sampled.c.at >= start, sampled.c.at < end
        )
        with self._database.reading() as connection:
            return {(at, query_id): text_of(body) for at, query_id, body in connection.execute(query)}

    # --- what people read ------------------------------------------------------------------------------------------

    def observations(self, source: str, query_ids: Iterable[str]) -> dict[str, Observation]:
        """The newest sampled observation of each of these queries that is in the sample."""
        wanted = {short_name(query_id): query_id for query_id in query_ids}
        found: dict[str, Observation] = {}
        names = sorted(wanted)
        for start in range(0, len(names), 500):
            hashes = [query_hash(name) for name in names[start : start + 500]]
            for seen in self._observations(source, sampled.c.query_hash.in_(hashes), sa.asc):
                if seen.query_id in wanted:
                    found[wanted[seen.query_id]] = seen
        return found

    def recent_queries(self, source: str, start: datetime, end: datetime, limit: int) -> list[Observation]:
        """Sampled observations of [start, end), newest first."""
        within = sa.and_(sampled.c.at >= start, sampled.c.at < end)
        return self._observations(source, within, sa.desc, limit)

    def with_feedback(self, source: str, start: datetime, end: datetime) -> Iterator[Observation]:
        """What users said in [start, end), oldest first, on any line of their sessions; the weight is left at 1.

        A line that only names the query_id of its query has the text and the hits of that query, where they are kept.
        They are read as they are asked for: nothing is held of those that have passed.
        """
        with self._database.reading() as connection:
            yield from said(connection, source, start, end)

    def unkept_feedback(self, source: str, start: datetime, end: datetime) -> int:
        """How many lines with feedback of the whole days within [start, end) are not kept; those of today, until now,
        count among them.
        """
        with self._database.reading() as connection:
            return unkept(connection, source, start.date() + timedelta(days=1), end.date() + timedelta(days=1))

    def rejects(self, source: str, limit: int = 20) -> list[Reject]:
        """The newest lines that could not be read, newest first."""
        query = (
            sa.select(rejects.c.file, rejects.c.offset, rejects.c.reason, rejects.c.line)
            .where(rejects.c.source == source)
            .order_by(rejects.c.reject_id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            return [Reject(*row) for row in connection.execute(query)]

    def reject_counts(self) -> dict[str, int]:
        """Source -> how many lines could not be read, ever."""
        return {source: rejected for source, _, rejected, _ in self._readings()}

    def line_counts(self) -> dict[str, int]:
        """Source -> how many lines were read, ever."""
        return {source: lines for source, lines, _, _ in self._readings()}

    def notes(self, source: str) -> dict[str, int]:
        """What was understood with a reservation -> how many lines, ever."""
        return next((notes for name, _, _, notes in self._readings() if name == source), {})

    def _readings(self) -> list[tuple[str, int, int, dict[str, int]]]:
        query = sa.select(readings.c.source, readings.c.lines, readings.c.rejected, readings.c.notes)
        with self._database.reading() as connection:
            return [(row.source, row.lines, row.rejected, row.notes) for row in connection.execute(query)]

    def _observations(self, source: str, where: Any, order: Any, limit: int | None = None) -> list[Observation]:
        query = (
            sa.select(
                sampled.c.at, sampled.c.query_id, sampled.c.lang, _raw(sampled.c.day), sampled.c.stratum, sampled.c.body
            )
            .where(sampled.c.source == source, where)
            .order_by(order(sampled.c.at), order(sampled.c.row_id))
            .limit(limit)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).fetchall()
            lowered = lowered_thresholds(connection, source)
        return [
            observation_of(source, at, query_id, lang, 1.0 / lowered.get((day, stratum), 1.0), body)
            for at, query_id, lang, day, stratum, body in rows
        ]


# --- ingest, step by step ------------------------------------------------------------------------------------------


def _add_tallies(connection: Connection, insert: Any, batch: Batch) -> None:
    if not batch.tallies:
        return
    statement = insert(tallies)
    added = {name: tallies.c[name] + statement.excluded[name] for name in TALLY_FIELDS}
    statement = statement.on_conflict_do_update(index_elements=["source", "hour", "lang"], set_=added)
    rows = [
        {"source": batch.source, "hour": int(hour), "lang": lang}
        | {name: int(count) for name, count in zip(TALLY_FIELDS, counts, strict=True)}
        for (hour, lang), counts in batch.tallies.items()
    ]
    connection.execute(statement, rows)


def _lower_thresholds(connection: Connection, insert: Any, batch: Batch) -> None:
    if not batch.thresholds:
        return
    statement = insert(thresholds)
    statement = statement.on_conflict_do_update(
        index_elements=["source", "day", "stratum"],
        set_={"threshold": statement.excluded.threshold},
        where=statement.excluded.threshold < thresholds.c.threshold,  # thresholds only fall
    )
    rows = [
        {"source": batch.source, "day": day, "stratum": stratum, "threshold": threshold}
        for (day, stratum), threshold in batch.thresholds.items()
    ]
    connection.execute(statement, rows)
    for (day, stratum), threshold in batch.thresholds.items():
        if threshold < 1.0:
            place = (sampled.c.source == batch.source, sampled.c.day == day, sampled.c.stratum == stratum)
            connection.execute(sa.delete(sampled).where(*place, sampled.c.priority >= threshold))


def _move_cursor(connection: Connection, insert: Any, batch: Batch) -> None:
    notes = connection.execute(sa.select(readings.c.notes).where(readings.c.source == batch.source)).scalar() or {}
    statement = insert(readings).values(
        source=batch.source,
        cursor=batch.cursor,
        lines=batch.lines,
        rejected=max(batch.rejected, len(batch.rejects)),
        notes={name: notes.get(name, 0) + batch.notes.get(name, 0) for name in {**notes, **batch.notes}},
    )
    excluded = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["source"],
            set_={
                "cursor": excluded.cursor,
                "lines": readings.c.lines + excluded.lines,
                "rejected": readings.c.rejected + excluded.rejected,
                "notes": excluded.notes,
            },
        )
    )


def _keep_rejects(connection: Connection, batch: Batch) -> None:
    if not batch.rejects:
        return
    rows = [
        {"source": batch.source, "file": each.file, "offset": each.offset, "reason": each.reason, "line": each.line}
        for each in batch.rejects[-REJECTS_KEPT:]
    ]
    connection.execute(sa.insert(rejects), rows)
    newest = (
        sa.select(rejects.c.reject_id)
        .where(rejects.c.source == batch.source)
        .order_by(rejects.c.reject_id.desc())
        .limit(1)
        .offset(REJECTS_KEPT)
    )
    connection.execute(
        sa.delete(rejects).where(rejects.c.source == batch.source, rejects.c.reject_id <= newest.scalar_subquery())
    )


def _raw(column: sa.Column[Any]) -> sa.TypeCoerce[int]:
    """The number in the column: nothing is made of each value."""
    return sa.type_coerce(column, sa.BigInteger)
