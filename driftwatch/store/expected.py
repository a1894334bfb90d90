"""Changes that somebody announced while driftwatch ran, beside those of the configuration."""

from __future__ import annotations

from dataclasses import asdict, fields
from datetime import datetime

import sqlalchemy as sa

from driftwatch.store.columns import Moment
from driftwatch.store.database import Database
from driftwatch.store.tables_expected import expected_changes
from driftwatch.types import ExpectedChange

_NAMES = tuple(each.name for each in fields(ExpectedChange))
_table = expected_changes.c


class ExpectedChanges:
    """Every expected change that was ever announced."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, change: ExpectedChange) -> None:
        """From now on nothing in its time is evidence; what was folded in before stays."""
        with self._database.writing(durable=True) as connection:
            connection.execute(self._database.insert(expected_changes).on_conflict_do_nothing(), asdict(change))

    def changes(self, since: datetime | None = None) -> tuple[ExpectedChange, ...]:
        """Those that end after ``since``, the one that begins first first; all of them without it."""
        query = sa.select(expected_changes).order_by(_table.start, _table.change_id)
        if since is not None:
            query = query.where(_table.end > since)
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return tuple(ExpectedChange(**{name: row[name] for name in _NAMES}) for row in rows)

    def end(self, change_id: str, author: str, now: datetime) -> bool:
        """Let it be over now, or never begin; False when no such change goes on or is to come."""
        ends = sa.case((_table.start > now, _table.start), else_=sa.literal(now, Moment))
        with self._database.writing(durable=True) as connection:
            left = sa.update(expected_changes).where(_table.change_id == change_id, _table.end > now)
            return bool(connection.execute(left.values(end=ends, ended_by=author)).rowcount)
