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

from driftwatch.store.columns import micros
from driftwatch.store.database import Database
from driftwatch.store.tables import (
    baselines,
    canary_runs,
    findings,
    first_seen,
    last_findings,
    metadata,
    runs,
    sampled,
    tallies,
    thresholds,
)

log = logging.getLogger(__name__)

CHUNK = 2000
"""Rows a transaction deletes: others wait for milliseconds only."""
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
        kept_runs = learnt + _first_days(connection, learnt)
    _forget_old(database, retention, now, learnt, kept_runs)
    evicted = _evict(database, retention.disk, learnt, kept_runs)
    _give_back(database, evicted)
    if evicted and database_size(database) > retention.disk:
        log.warning(
            "the database %s takes more than `retention: disk` (%d bytes) allows, and nothing is left to delete",
            database.shown,
            retention.disk,
        )


# --- what a baseline needs -----------------------------------------------------------------------------------------


def _baseline_spans(connection: Connection) -> list[Span]:
    """The newest baseline of each source."""
    query = sa.select(baselines.c.source, baselines.c.start, baselines.c.end).order_by(baselines.c.number)
    return list({source: Span(source, start, end) for source, start, end in connection.execute(query)}.values())


def _first_days(connection: Connection, learnt: Sequence[Span]) -> list[Span]:
    """A canary that came after the baseline is compared with its own first days."""
    spans: list[Span] = []
    for span in learnt:
        query = sa.select(first_seen.c.source, first_seen.c.at).where(first_seen.c.at >= span.end).distinct()
        if span.source != "*":
            query = query.where(first_seen.c.source == span.source)
        spans += [Span(source, at, at + (span.end - span.start)) for source, at in connection.execute(query)]
    return spans


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
    _delete(database, canary_runs, canary_runs.c.at < old, _outside(canary_runs, canary_runs.c.at, kept_runs))
    _delete(database, tallies, *_old_tallies(now - retention.tallies, learnt))
    _delete(database, findings, findings.c.at < now - retention.findings, ~_is_newest())
    later = runs.alias("later")
    newer = sa.exists().where(later.c.check == runs.c.check, later.c.scheduled_for > runs.c.scheduled_for)
    _delete(database, runs, runs.c.scheduled_for < now - RUNS_KEPT, newer)
    in_use = sa.exists().where(
        sampled.c.source == thresholds.c.source,
        sampled.c.day == thresholds.c.day,
        sampled.c.stratum == thresholds.c.stratum,
    )
    _delete(database, thresholds, thresholds.c.day < old.date(), ~in_use)


def _old_tallies(old: datetime, learnt: Sequence[Span]) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    hour = 3_600_000_000
    inside = [
        sa.and_(
            tallies.c.hour >= micros(span.start) // hour,
            tallies.c.hour * hour < micros(span.end),
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
    while _delete_some(database, table, where, CHUNK) == CHUNK:
        pass


def _delete_some(
    database: Database, table: sa.Table, where: Sequence[sa.ColumnElement[bool]], count: int, order: Any = None
) -> int:
    """Delete at most ``count`` rows in one transaction; returns how many there were."""
    key = list(table.primary_key.columns)
    some = sa.select(*key).where(*where).order_by(order).limit(count)
    chosen = sa.tuple_(*key).in_(some) if len(key) > 1 else key[0].in_(some)
    with database.writing() as connection:
        return connection.execute(sa.delete(table).where(chosen)).rowcount


# --- by size -------------------------------------------------------------------------------------------------------


def _evict(database: Database, disk: int, learnt: Sequence[Span], kept_runs: Sequence[Span]) -> list[sa.Table]:
    """Delete the oldest rows, in the order of what is missed least, until the rest fits; returns the tables touched."""
    if database_size(database) <= disk:
        return []
    evicted: list[sa.Table] = []
    live: float = _live_bytes(database)
    for table, where, order in _order_of_eviction(learnt, kept_runs):
        row = 0.0
        while live > disk * SLACK:
            row = row or _row_bytes(database, table)
            count = _delete_some(database, table, where, CHUNK, order)
            if count:
                evicted.append(table)
            live = _live_bytes(database) if database.is_sqlite else live - row * count
            if count < CHUNK:
                break
    return list(dict.fromkeys(evicted))


def _order_of_eviction(
    learnt: Sequence[Span], kept_runs: Sequence[Span]
) -> Iterator[tuple[sa.Table, Sequence[sa.ColumnElement[bool]], Any]]:
    yield sampled, (_outside(sampled, sampled.c.at, learnt),), sampled.c.at
    yield canary_runs, (_outside(canary_runs, canary_runs.c.at, kept_runs),), canary_runs.c.at
    yield findings, (findings.c.verdict == "ok", ~_is_newest()), findings.c.at


def database_size(database: Database) -> int:
    """Bytes on the disk."""
    if database.path is not None:
        beside = [database.path, *(database.path.with_name(database.path.name + end) for end in ("-wal", "-shm"))]
        return sum(path.stat().st_size for path in beside if path.exists())
    with database.reading() as connection:
        sizes = (_relation_bytes(connection, table) for table in metadata.sorted_tables)
        return sum(sizes)


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


def _give_back(database: Database, evicted: Sequence[sa.Table]) -> None:
    """Hand free space back to the disk. Postgres looks after itself unless a whole part was evicted."""
    with database.alone() as connection:
        if database.is_sqlite:
            for pragma in ("incremental_vacuum", "wal_checkpoint(TRUNCATE)", "optimize"):
                result = connection.exec_driver_sql(f"PRAGMA {pragma}")
                if result.returns_rows:  # SQLite does the work row by row
                    result.fetchall()
            return
        for table in evicted:
            connection.exec_driver_sql(f"VACUUM FULL {table.name}")
