"""What a scrape tells, in one consistent view and a few queries, none of which grows with the age of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store.database import Database
from driftwatch.store.outbox import not_held
from driftwatch.store.rows import ALERT_COLUMNS, alert_of
from driftwatch.store.tables import alerts, deliveries, findings, incidents, last_findings, readings, transitions
from driftwatch.store.tables_reports import weekly
from driftwatch.store.tables_totals import COUNTED, OUTCOMES, looks, named_languages, totals
from driftwatch.types import Alert

_NEWEST = ("check", "segment", "at", "kind", "verdict", "n", "value", "reference", "effect", "statistic", "p_value")


class Newest(NamedTuple):
    """The numbers of the newest finding of one check in one segment; see ``types.Finding``."""

    check: str
    segment: str
    at: int
    """Microseconds since 1970."""
    kind: str
    verdict: str
    n: int
    value: float | None
    reference: float | None
    effect: float | None
    statistic: float | None
    p_value: float | None
    evidence: float | None
    learning: bool


@dataclass(frozen=True, slots=True)
class Looks:
    """The newest look of a check, and how many had which outcome."""

    at: datetime
    succeeded_at: datetime | None
    seconds: float
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Everything that the store has to tell a scrape."""

    counted: Mapping[tuple[str, str], Mapping[str, int]]
    """(source, language) -> what was counted ever; languages are named ones, ``other`` and ``unknown``."""
    named: frozenset[str]
    """The languages that are named where the configuration lists none."""
    looks: Mapping[str, Looks]
    newest: tuple[Newest, ...]
    """Of every segment that the last look of its check judged."""
    alerts: tuple[Alert, ...]
    lines: Mapping[str, tuple[int, int]]
    """Source -> lines read, and those of them that were rejected, ever."""
    deliveries: Mapping[tuple[str, str], int]
    """(receiver, state) -> deliveries: waiting, done, dropped or parked."""
    waiting_since: Mapping[str, datetime]
    """Receiver -> when that happened of which it has waited longest to be told; without what a silence holds back."""
    open_incidents: int


def read_numbers(database: Database, now: datetime) -> Numbers:
    """The numbers as they are ``now``.

    Raises:
        StoreError: the database cannot be reached.
    """
    with database.reading() as connection:
        return Numbers(
            counted=_counted(connection),
            named=frozenset(connection.execute(sa.select(named_languages.c.language)).scalars()),
            looks=_looks(connection),
            newest=_newest(connection),
            alerts=tuple(map(alert_of, connection.execute(sa.select(*ALERT_COLUMNS).where(_is_news())))),
            lines=_lines(connection),
            deliveries=_deliveries(connection),
            waiting_since=_waiting_since(connection, now),
            open_incidents=_open_incidents(connection),
        )


def _counted(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    rows = connection.execute(sa.select(totals.c.source, totals.c.language, *(totals.c[name] for name in COUNTED)))
    return {(source, lang): dict(zip(COUNTED, counts, strict=True)) for source, lang, *counts in rows}


def _looks(connection: Connection) -> dict[str, Looks]:
    return {
        row["check"]: Looks(row["at"], row["succeeded_at"], row["seconds"], {name: row[name] for name in OUTCOMES})
        for row in connection.execute(sa.select(looks)).mappings()
    }


def _newest(connection: Connection) -> tuple[Newest, ...]:
    """A segment that the last look of its check left out is not watched any more."""
    last = last_findings.alias("last")
    newest_look = sa.select(sa.func.max(last.c.at)).where(last.c.check == last_findings.c.check).scalar_subquery()
    columns: list[Any] = [findings.c[name] for name in (*_NEWEST, "evidence", "learning")]
    columns[2] = sa.type_coerce(findings.c.at, sa.BigInteger)
    keys = ("check", "segment", "at")
    newest = sa.select(*(last_findings.c[name] for name in keys)).where(last_findings.c.at == newest_look)
    # A join may be read from either end, and from the wrong one it is a scan of everything that is kept.
    query = sa.select(*columns).where(sa.tuple_(*(findings.c[name] for name in keys)).in_(newest))
    return tuple(sorted(map(Newest._make, connection.execute(query)), key=itemgetter(0, 1)))


def _is_news() -> sa.ColumnElement[bool]:
    return alerts.c.state != "ok"


def _lines(connection: Connection) -> dict[str, tuple[int, int]]:
    rows = connection.execute(sa.select(readings.c.source, readings.c.lines, readings.c.rejected))
    return {source: (lines, rejected) for source, lines, rejected in rows}


def _deliveries(connection: Connection) -> dict[tuple[str, str], int]:
    """Alerts and weekly reports alike."""
    counted: Counter[tuple[str, str]] = Counter()
    for table in (deliveries, weekly):
        by = (table.c.receiver, table.c.state)
        for receiver, state, count in connection.execute(sa.select(*by, sa.func.count()).group_by(*by)):
            counted[receiver, state] += count
    return dict(counted)


def _waiting_since(connection: Connection, now: datetime) -> dict[str, datetime]:
    alerted = (
        sa.select(deliveries.c.receiver, sa.func.min(transitions.c.at))
        .join(transitions, transitions.c.key == deliveries.c.transition)
        .where(deliveries.c.state == "waiting", not_held(now))
        .group_by(deliveries.c.receiver)
    )
    reported = sa.select(weekly.c.receiver, sa.func.min(weekly.c.announced_at)).where(weekly.c.state == "waiting")
    since: dict[str, datetime] = dict(connection.execute(alerted).all())
    for receiver, at in connection.execute(reported.group_by(weekly.c.receiver)):
        since[receiver] = min(at, since.get(receiver, at))
    return since


def _open_incidents(connection: Connection) -> int:
    query = sa.select(sa.func.count()).select_from(incidents).where(incidents.c.resolved_at.is_(None))
    return int(connection.execute(query).scalar_one())
