"""What the retriever answered to the canaries, run by run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import blake2b
from itertools import pairwise

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store.database import Database
from driftwatch.store.packing import Asked, Unpacker, answers_of, no_cycles, pack
from driftwatch.store.tables import canary_runs, first_seen
from driftwatch.types import Run

RUNS_AT_ONCE = 24
"""Bodies of runs in memory while they are read one after the other."""


class Canaries:
    """The runs of the sources that give runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, run: Run) -> None:
        """Keep a run; the same ``run_id`` a second time changes nothing."""
        statement = self._database.insert(canary_runs).on_conflict_do_nothing()
        row = {"run_id": run.run_id, "source": run.source, "at": run.at, "suite": run.suite, "body": pack(run)}
        with self._database.writing() as connection:
            if Database.added(connection, statement, row):
                self._note_new(connection, run)

    def runs(self, source: str, start: datetime, end: datetime) -> tuple[Run, ...]:
        """The runs of [start, end), oldest first. Equal answers of different runs are one object in memory."""
        where = (canary_runs.c.source == source, canary_runs.c.at >= start, canary_runs.c.at < end)
        with self._database.reading() as connection, no_cycles():
            rows = connection.execute(sa.select(canary_runs).where(*where).order_by(canary_runs.c.at))
            unpacker = Unpacker()
            return tuple(unpacker.run(*row) for row in rows)

    def answers(self, source: str, start: datetime, end: datetime) -> Iterator[Asked]:
        """What a measure asks of the runs of [start, end), oldest first; one run is held at a time."""
        where = (canary_runs.c.source == source, canary_runs.c.at >= start, canary_runs.c.at < end)
        with self._database.reading() as connection:
            query = sa.select(canary_runs.c.at, canary_runs.c.body).where(*where).order_by(canary_runs.c.at)
            rows = connection.execute(query)
            while batch := rows.fetchmany(RUNS_AT_ONCE):
                yield from (answers_of(at, body) for at, body in batch)

    def last_answers(self, source: str, edges: Sequence[datetime]) -> Iterator[Asked]:
        """The same of the last run between each two ``edges``, ascending."""
        at, place = canary_runs.c.at, canary_runs.c.source == source
        newest = sa.select(sa.func.max(at)).where(place)
        with self._database.reading() as connection:
            stretches = pairwise(edges)
            times = [connection.execute(newest.where(at >= start, at < end)).scalar() for start, end in stretches]
            for last in (each for each in times if each is not None):
                body = connection.execute(sa.select(canary_runs.c.body).where(place, at == last)).scalar()
                assert body is not None
                yield answers_of(last, body)

    def one_a_day(self, source: str, start: datetime, end: datetime) -> tuple[Run, ...]:
        """The last run of each UTC day of [start, end), oldest first: runs of one day hardly differ."""
        where = (canary_runs.c.source == source, canary_runs.c.at >= start, canary_runs.c.at < end)
        times = sa.select(canary_runs.c.run_id, canary_runs.c.at).where(*where).order_by(canary_runs.c.at)
        with self._database.reading() as connection, no_cycles():
            chosen = {at.date(): run_id for run_id, at in connection.execute(times)}
            rows = sa.select(canary_runs).where(canary_runs.c.run_id.in_(chosen.values()))
            unpacker = Unpacker()
            return tuple(unpacker.run(*row) for row in connection.execute(rows.order_by(canary_runs.c.at)))

    def latest(self, source: str) -> Run | None:
        """The newest run."""
        query = sa.select(canary_runs).where(canary_runs.c.source == source)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(canary_runs.c.at.desc()).limit(1)).first()
        return None if row is None else Unpacker().run(*row)

    def first_run(self, source: str) -> datetime | None:
        """When the source was first asked, as far as is known."""
        query = sa.select(sa.func.min(canary_runs.c.at)).where(canary_runs.c.source == source)
        with self._database.reading() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found

    def times(self, source: str) -> list[datetime]:
        """When the source was asked, oldest first."""
        query = sa.select(canary_runs.c.at).where(canary_runs.c.source == source).order_by(canary_runs.c.at)
        with self._database.reading() as connection:
            return [at for (at,) in connection.execute(query)]

    def first_seen(self, source: str) -> dict[tuple[str, str], datetime]:
        """(query_id, digest) -> when this canary was first asked as it is."""
        query = sa.select(first_seen.c.query_id, first_seen.c.digest, first_seen.c.at)
        with self._database.reading() as connection:
            rows = connection.execute(query.where(first_seen.c.source == source))
            return {(query_id, digest): at for query_id, digest, at in rows}

    def _note_new(self, connection: Connection, run: Run) -> None:
        canaries = {(seen.query_id, seen.digest) for seen in run.observations}
        if not canaries:
            return
        statement = self._database.insert(first_seen)
        earlier = statement.excluded.at < first_seen.c.at
        statement = statement.on_conflict_do_update(
            index_elements=["source", "canary"], set_={"at": statement.excluded.at}, where=earlier
        )
        rows = [
            {"source": run.source, "canary": _hash(*canary), "query_id": canary[0], "digest": canary[1], "at": run.at}
            for canary in sorted(canaries)
        ]
        connection.execute(statement, rows)


def _hash(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=16).hexdigest()
