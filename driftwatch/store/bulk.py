"""Many rows in one statement: it is compiled once, and the driver is handed values that are ready.

SQLAlchemy looks up each value of each row when it executes a statement, and a look at 20 languages writes thousands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import StatementError
from sqlalchemy.types import TypeDecorator


class Bulk:
    """An INSERT of rows that name the same columns."""

    def __init__(self, table: sa.Table, statement: Any, names: Sequence[str]) -> None:
        """``names``: the columns of a row, in its order."""
        self._statement = statement
        self._names = list(names)
        kinds = [(place, table.c[name].type) for place, name in enumerate(names)]
        self._binds = [(place, kind.process_bind_param) for place, kind in kinds if isinstance(kind, TypeDecorator)]
        self._compiled: tuple[str, Callable[[list[Any]], Any]] | None = None

    def write(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Write ``rows``; nothing is done when there are none."""
        if not rows:
            return
        if self._compiled is None:
            self._compiled = self._compile(connection.dialect)
        statement, laid = self._compiled
        connection.exec_driver_sql(statement, [laid(self._ready(row, statement, connection.dialect)) for row in rows])

    def _ready(self, row: Sequence[Any], statement: str, dialect: Dialect) -> list[Any]:
        """The values of a row as the database takes them.

        Raises:
            StatementError: one of them cannot be stored.
        """
        values = list(row)
        try:
            for place, bind in self._binds:
                values[place] = bind(values[place], dialect)
        except (TypeError, ValueError, AttributeError) as error:
            raise StatementError("a value cannot be stored", statement, None, error, hide_parameters=True) from error
        return values

    def _compile(self, dialect: Dialect) -> tuple[str, Callable[[list[Any]], Any]]:
        """The statement in the database's own words, and how it takes the values of a row."""
        compiled = self._statement.compile(dialect=dialect, column_keys=self._names)
        constant = {name: value for name, value in compiled.params.items() if name not in self._names}
        if not compiled.positional:
            return str(compiled), lambda values: constant | dict(zip(self._names, values, strict=True))
        place = {name: number for number, name in enumerate(self._names)}
        if not constant and len(place) > 1:
            return str(compiled), itemgetter(*(place[name] for name in compiled.positiontup))
        order = [(place.get(name), constant.get(name)) for name in compiled.positiontup]
        return str(compiled), lambda values: tuple(value if at is None else values[at] for at, value in order)
