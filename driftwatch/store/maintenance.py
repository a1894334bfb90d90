"""What is let go of: by age, then by size.

Never transitions, incidents or deliveries, never a baseline, and never what was recorded during one: without it there
is nothing to compare with.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store.canaries import Canaries
from driftwatch.store.columns import micros
from driftwatch.store.database import Database
from driftwatch.store.tables import (
    baselines,
    canary_runs,
    experiments,
    feedback,
    feedback_days,
    findings,
    last_findings,
    metadata,
    runs,
    sampled,
    tallies,
    thresholds,
)

log = logging.getLogger(__name__)

CHUNK = 2000
"""Rows (or pages) that one transaction frees: others wait for milliseconds only."""
EVICTED = 200
"""Rows between two looks at whether enough is gone."""
LOOKED_AT = 50_000
"""Keys held in memory while deleting."""
EVICTED_TOGETHER = timedelta(days=7)
"""What was asked and what users said of it go together, the oldest week first."""
SLACK = 0.9
"""How far below the cap an eviction goes, so that it is rare."""
RUNS_KEPT = timedelta(days=30)
"""How long it is remembered which due times were worked off; the newest of each job always is."""


class Retention(Protocol):
    """How long things are kept, and how many bytes they may take."""

    @property
    def observations(self) -> timedelta: ...
    @property
    def tallies(self) -> timedelta: ...
    @property
    def findings(self) -> timedelta: ...
    @property
    def disk(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time of one source, or of all (``*``)."""

    source: str
    start: datetime
    end: datetime


def maintain(database: Database, retention: Retention, now: datetime) -> None:
    """Delete what is too old, then what is too much; give the space back."""
    with database.reading() as connection:
        learnt = _baseline_spans(connection)
    kept_runs = learnt + _first_days(database, learnt)
    _forget_old(database, retention, now, learnt, kept_runs)
    _give_back(database)
    if database_size(database) > retention.disk:
        _rewrite(database)
        _evict(database, retention.disk, learnt, kept_runs)
        _give_back(database)
        _rewrite(database)
    if database_size(database) > retention.disk:
        log.warning(
            "the database %s takes more than `retention: disk` (%d bytes) allows, and nothing is left to delete",
            database.shown,
            retention.disk,
        )


# --- what a baseline needs -----------------------------------------------------------------------------------------


def _baseline_spans(connection: Connection) -> list[Span]:
    """The newest baseline of each source, and the newest that a release brought for one aspect of it."""
    columns = (baselines.c.source, baselines.c.of, baselines.c.start, baselines.c.end)
    found = connection.execute(sa.select(*columns).order_by(baselines.c.number))
    return list({(source, of): Span(source, start, end) for source, of, start, end in found}.values())


def _first_days(database: Database, learnt: Sequence[Span]) -> list[Span]:
    """A canary that came after the baseline, and is still asked, is compared with its own first days."""
    with database.reading() as connection:
        sources = connection.execute(sa.select(canary_runs.c.source).distinct()).scalars().all()
    canaries = Canaries(database)
    spans: set[Span] = set()
    for source in sources:
        newest, first_seen = canaries.latest(source), canaries.first_seen(source)
        asked = {(seen.query_id, seen.digest) for seen in newest.observations} if newest else set()
        starts = {at for canary, at in first_seen.items() if canary in asked}
        for span in learnt:
            if span.source in ("*", source):
                spans |= {Span(source, at, at + (span.end - span.start)) for at in starts if at >= span.end}
    return list(spans)


def _outside(table: sa.Table, column: sa.Column[Any], spans: Sequence[Span]) -> sa.ColumnElement[bool]:
    inside = [sa.and_(column >= span.start, column < span.end, _speaks_of(span, table)) for span in spans]
    return ~sa.or_(*inside) if inside else sa.true()


def _speaks_of(span: Span, table: sa.Table) -> sa.ColumnElement[bool]:
    return sa.true() if span.source == "*" else table.c.source == span.source


# --- by age --------------------------------------------------------------------------------------------------------


def _forget_old(
    database: Database, retention: Retention, now: datetime, learnt: Sequence[Span], kept_runs: Sequence[Span]
) -> None:
    old = now - retention.observations
    _delete(database, sampled, sampled.c.at < old, _outside(sampled, sampled.c.at, learnt))
    _delete(database, feedback, feedback.c.at < old)
    _delete(database, canary_runs, canary_runs.c.at < old, _outside(canary_runs, canary_runs.c.at, kept_runs))
    _delete(database, tallies, *_old_tallies(now - retention.tallies, learnt))
    _delete(database, experiments, experiments.c.at < old)
    _delete(database, findings, findings.c.at < now - retention.findings, ~_is_newest())
    later = runs.alias("later")
    newer = sa.exists().where(later.c.check == runs.c.check, later.c.scheduled_for > runs.c.scheduled_for)
    _delete(database, runs, runs.c.scheduled_for < now - RUNS_KEPT, newer)
    _delete(database, thresholds, thresholds.c.day < old.date(), ~_in_use(thresholds, sampled))
    _delete(database, feedback_days, feedback_days.c.day < old.date(), ~_in_use(feedback_days, feedback))


def _in_use(days: sa.Table, rows: sa.Table) -> sa.ColumnElement[bool]:
    """Has this stratum of this day rows still?"""
    return sa.exists().where(*(rows.c[name] == days.c[name] for name in ("source", "day", "stratum")))


def _old_tallies(old: datetime, learnt: Sequence[Span]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    hour = 3_600_000_000
    inside = [
        sa.and_(
            tallies.c.hour >= micros(span.start) // hour,
            tallies.c.hour < -(-micros(span.end) // hour),
            _speaks_of(span, tallies),
        )
        for span in learnt
    ]
    return tallies.c.hour < micros(old) // hour, (~sa.or_(*inside) if inside else sa.true())


def _is_newest() -> sa.ColumnElement[bool]:
    return sa.exists().where(
        last_findings.c.check == findings.c.check,
        last_findings.c.segment == findings.c.segment,
        last_findings.c.at == findings.c.at,
    )


def _delete(database: Database, table: sa.Table, *where: sa.ColumnElement[bool]) -> None:
    key = _key(table)
    some = sa.select(*table.primary_key.columns).where(*where).limit(CHUNK)
    deleted = CHUNK
    while deleted == CHUNK:
        with database.writing() as connection:
            deleted = connection.execute(sa.delete(table).where(key.in_(some))).rowcount


def _key(table: sa.Table) -> sa.ColumnElement[Any]:
    columns = list(table.primary_key.columns)
    return columns[0] if len(columns) == 1 else sa.tuple_(*columns)


# --- by size -------------------------------------------------------------------------------------------------------


def _evict(database: Database, disk: int, learnt: Sequence[Span], kept_runs: Sequence[Span]) -> None:
    """Delete the oldest rows, in the order of what is missed least, until the rest fits."""
    live = float(_live_bytes(database))
    if live <= disk:
        return
    bytes_a_row: dict[str, float] = {}  # once a table: Postgres still holds the room of rows that are deleted
    for table, where, order in _order_of_eviction(database, learnt, kept_runs):
        if table.name not in bytes_a_row:
            bytes_a_row[table.name] = _row_bytes(database, table)
        row = bytes_a_row[table.name]
        oldest = sa.select(*table.primary_key.columns).where(*where).order_by(order).limit(LOOKED_AT)
        while live > disk * SLACK and (keys := _read(database, oldest)):
            for start in range(0, len(keys), EVICTED):
                if live <= disk * SLACK:
                    break
                some = keys[start : start + EVICTED]
                with database.writing() as connection:
                    connection.execute(sa.delete(table).where(_key(table).in_(some)))
                live = _live_bytes(database) if database.is_sqlite else live - row * len(some)


def _read(database: Database, query: sa.Select[Any]) -> list[Any]:
    """The keys that a query finds: values, or tuples where a key has several columns."""
    with database.reading() as connection:
        rows = connection.execute(query).fetchall()
    return [row[0] if len(row) == 1 else tuple(row) for row in rows]


def _order_of_eviction(
    database: Database, learnt: Sequence[Span], kept_runs: Sequence[Span]
) -> Iterator[tuple[sa.Table, Sequence[sa.ColumnElement[bool]], Any]]:
    for edge in _weeks(database):
        yield feedback, (feedback.c.at < edge,), feedback.c.at
        yield sampled, (_outside(sampled, sampled.c.at, learnt), sampled.c.at < edge), sampled.c.at
    yield canary_runs, (_outside(canary_runs, canary_runs.c.at, kept_runs),), canary_runs.c.at
    yield findings, (findings.c.verdict == "ok", ~_is_newest()), findings.c.at
    later = experiments.alias("later")
    newer = (later.c.kind == experiments.c.kind, later.c.source == experiments.c.source)
    yield experiments, (sa.exists().where(*newer, later.c.at > experiments.c.at),), experiments.c.at


def _weeks(database: Database) -> Iterator[datetime]:
    """The ends of the weeks since the oldest query or feedback that is kept, the last one after all of them."""
    with database.reading() as connection:
        edges = [
            edge
            for table in (sampled, feedback)
            for edge in connection.execute(sa.select(sa.func.min(table.c.at), sa.func.max(table.c.at))).one()
            if edge is not None
        ]
    edge = min(edges, default=None)
    while edge is not None and edge <= max(edges):
        edge += EVICTED_TOGETHER
        yield edge


def database_size(database: Database) -> int:
    """Bytes on the disk."""
    if database.path is not None:
        beside = [database.path, *(database.path.with_name(database.path.name + end) for end in ("-wal", "-shm"))]
        return sum(path.stat().st_size for path in beside if path.exists())
    sizes = [sa.func.pg_total_relation_size(table.name) for table in metadata.sorted_tables]
    with database.reading() as connection:
        return sum(map(int, connection.execute(sa.select(*sizes)).one()))


def _live_bytes(database: Database) -> int:
    """Bytes that hold something: what is deleted does not count, though the file may still have its space."""
    if not database.is_sqlite:
        return database_size(database)
    with database.reading() as connection:
        pages, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
    return (pages - free) * size


def _row_bytes(database: Database, table: sa.Table) -> float:
    """What a deleted row frees on Postgres, where the size only falls once the table is rewritten."""
    if database.is_sqlite:
        return 1.0
    with database.reading() as connection:
        count = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        return _relation_bytes(connection, table) / max(1, count)


def _relation_bytes(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.pg_total_relation_size(table.name))).scalar_one())


def _give_back(database: Database) -> None:
    """Hand the free pages of a SQLite file back to the disk; Postgres uses its own again."""
    if not database.is_sqlite:
        return
    with database.alone() as connection:
        free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
        file = connection.connection.driver_connection
        assert file is not None
        for _ in range(0, free, CHUNK):
            file.executescript(f"PRAGMA incremental_vacuum({CHUNK})")  # a plain execute stops at the first page
        file.executescript("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA optimize")


def _rewrite(database: Database) -> None:
    """Make the tables of Postgres as small as what they hold; each is locked for as long as that takes."""
    if database.is_sqlite:
        return
    with database.alone() as connection:
        for table in (sampled, feedback, canary_runs, findings, experiments):
            connection.exec_driver_sql(f"VACUUM FULL {table.name}")
