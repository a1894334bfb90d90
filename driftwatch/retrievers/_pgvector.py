"""A Postgres table with a pgvector column, read inside one read-only transaction."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import MissingExtra, RetrieverError
from driftwatch.types import ScoredDoc, Stored

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable, Composed

Metric = Literal["cosine", "dot", "euclidean"]
OPERATORS: dict[Metric, LiteralString] = {"cosine": "<=>", "dot": "<#>", "euclidean": "<->"}
"""All three are smaller where two vectors are nearer: `<#>` is the negative inner product."""
WIDEST = 1000
"""The largest `hnsw.ef_search` that pgvector takes."""

BLOCK = 1000
"""Rows fetched, and ids asked for, at once."""
_VECTOR_TYPES: tuple[LiteralString, ...] = ("vector", "halfvec")
_TEXT_TYPES = ("text", "character varying", "character", "citext")
_WHOLE_TYPES = ("smallint", "integer", "bigint")


@dataclass(frozen=True)
class Table:
    """Which table and which of its columns; names as Postgres keeps them, quoted wherever they are used."""

    name: tuple[str, ...]
    """(table,) or (schema, table)."""
    id_column: str
    doc_column: str
    vector_column: str
    text_column: str | None
    lang_column: str | None
    metric: Metric
    filter: Mapping[str, str | int | float | bool | None]

    @property
    def shown(self) -> str:
        """The table as a person writes it."""
        return ".".join(self.name)

    @property
    def columns(self) -> list[str]:
        """Every column that is read."""
        named = [self.id_column, self.doc_column, self.vector_column, self.text_column, self.lang_column, *self.filter]
        return [column for column in named if column is not None]

    def kept(self, condition: Composable | None = None) -> Composed:
        """`FROM` and `WHERE` of the rows that the filter leaves, and that meet ``condition``."""
        from psycopg import sql

        conditions: list[Composable] = [] if condition is None else [condition]
        for place, (column, value) in enumerate(self.filter.items()):
            name = sql.Identifier(column)
            if value is None:
                conditions.append(sql.SQL("{} IS NULL").format(name))
            else:
                conditions.append(sql.SQL("{} = {}").format(name, sql.Placeholder(f"filter_{place}")))
        where = sql.SQL(" AND ").join(conditions or [sql.SQL("true")])
        return sql.SQL("FROM {} WHERE {}").format(sql.Identifier(*self.name), where)

    def held(self, condition: Composable | None = None) -> Composed:
        """`FROM` and `WHERE` of what the index holds: a row without a vector cannot be found, so it is not there."""
        from psycopg import sql

        has_vector = sql.SQL("{} IS NOT NULL").format(sql.Identifier(self.vector_column))
        return self.kept(has_vector if condition is None else sql.SQL("{} AND {}").format(has_vector, condition))

    @property
    def arguments(self) -> dict[str, Any]:
        """The values that ``kept`` and ``held`` name."""
        return {f"filter_{place}": value for place, value in enumerate(self.filter.values()) if value is not None}


@dataclass(frozen=True)
class Columns:
    """What the catalogue says of a table's columns."""

    types: Mapping[str, str]
    """Column -> its type without a length, such as `bigint`."""
    vector_type: LiteralString
    dimension: int | None
    """None: the column takes vectors of any length."""


@dataclass(frozen=True)
class Reader:
    """One read-only transaction on one table."""

    connection: Connection[Any]
    table: Table
    columns: Columns

    def search(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool, ef_search: int | None, probes: int | None
    ) -> Iterator[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, shape (n, dimension), one after the other."""
        self.check_dimension(vectors)
        at_least = None if exact or ef_search else self.ef_search()
        if exact:
            self.compare_with_every_row()
        if probes and not exact:
            self.set("ivfflat.probes", str(probes))
        if ef_search and not exact:
            self.set("hnsw.ef_search", str(ef_search))
        for vector in vectors:
            yield self._best(vector, top_k, at_least)

    def compare_with_every_row(self) -> None:
        """From here on no index is used."""
        for way in ("indexscan", "bitmapscan", "indexonlyscan"):
            self.set(f"enable_{way}", "off")

    def _best(self, vector: NDArray[np.float32], top_k: int, at_least: int | None) -> tuple[ScoredDoc, ...]:
        """More rows are asked for until ``top_k`` different documents are among them, or there are no more rows.

        ``at_least``: the graph is searched as broadly as that, and as rows are asked for; None: as it is set.
        """
        limit, complete = top_k, False
        best: dict[str, float] = {}
        while not complete:
            if at_least is not None:
                self.set("hnsw.ef_search", str(min(max(at_least, limit), WIDEST)))
            rows = self.fetch(self.nearest(limit), {"vector": _sent(vector)})
            for doc, distance in rows:
                best[doc] = min(distance, best.get(doc, math.inf))
            complete = len(best) >= top_k or len(rows) < limit
            limit *= 2
        nearest = sorted((distance, doc) for doc, distance in best.items() if math.isfinite(distance))
        return tuple(ScoredDoc(doc, self._score(distance)) for distance, doc in nearest[:top_k])

    def nearest(self, limit: int) -> Composed:
        """The statement that finds the ``limit`` rows nearest to ``%(vector)s``: (document, distance), best first.

        The limit is part of its text, so that the planner knows it when it chooses between the index and the table.
        """
        from psycopg import sql

        distance = sql.SQL("{} {} %(vector)s::{}").format(
            sql.Identifier(self.table.vector_column),
            sql.SQL(OPERATORS[self.table.metric]),
            sql.SQL(self.columns.vector_type),
        )
        return sql.SQL("SELECT {}::text, {} {} ORDER BY {} LIMIT {}").format(
            sql.Identifier(self.table.doc_column), distance, self.table.held(), distance, sql.Literal(limit)
        )

    def stored(self, entry_ids: Sequence[str], *, vectors: bool, texts: bool) -> dict[str, Stored]:
        """entry_id -> what its row holds."""
        from psycopg import sql

        table, nothing = self.table, sql.SQL("NULL::text")
        vector = sql.SQL("{}::vector").format(sql.Identifier(table.vector_column)) if vectors else nothing
        text = sql.Identifier(table.text_column) + sql.SQL("::text") if texts and table.text_column else nothing
        lang = sql.Identifier(table.lang_column) + sql.SQL("::text") if table.lang_column else nothing
        columns = sql.SQL("SELECT {}::text, {}::text, {}, {}, {} ").format(
            sql.Identifier(table.id_column), sql.Identifier(table.doc_column), vector, text, lang
        )
        found = {}
        for start in range(0, len(entry_ids), BLOCK):
            condition, wanted = self._among(table.id_column, entry_ids[start : start + BLOCK])
            for entry_id, doc_id, numbers, words, language in self.fetch(
                columns + table.held(condition), {"wanted": wanted}
            ):
                kept = None if numbers is None else numbers.to_numpy().astype(np.float32)
                found[entry_id] = Stored(entry_id, doc_id, kept, words, language or "")
        return found

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """(entry_id, doc_id) in the order of the id column, from a cursor that stays on the server."""
        from psycopg import sql

        ids = sql.Identifier(self.table.id_column)
        statement = sql.SQL("SELECT {}::text, {}::text {} ORDER BY {}, 2").format(
            ids, sql.Identifier(self.table.doc_column), self.table.held(), ids
        )
        with self.connection.cursor(name="driftwatch_entries") as cursor:
            cursor.execute(statement, self.table.arguments)
            while block := cursor.fetchmany(BLOCK):
                yield block

    def holds(self, doc_ids: Sequence[str]) -> set[str]:
        """Those of ``doc_ids`` that some row with a vector belongs to."""
        from psycopg import sql

        doc, found = sql.Identifier(self.table.doc_column), set[str]()
        for start in range(0, len(doc_ids), BLOCK):
            condition, wanted = self._among(self.table.doc_column, doc_ids[start : start + BLOCK])
            statement = sql.SQL("SELECT DISTINCT {}::text {}").format(doc, self.table.held(condition))
            found.update(doc_id for (doc_id,) in self.fetch(statement, {"wanted": wanted}))
        return found

    def fetch(self, statement: Composed, more: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        arguments = {**self.table.arguments, **(more or {})}
        with self.connection.cursor(binary=True) as cursor:
            return cursor.execute(statement, arguments, prepare=False).fetchall()

    def set(self, name: str, value: str) -> None:
        """`SET LOCAL`."""
        self.connection.execute("SELECT set_config(%s, %s, true)", (name, value))

    def ef_search(self) -> int | None:
        """`hnsw.ef_search` as the server has it for this user; None: this pgvector has no such setting.

        The vector in the statement loads pgvector, which makes its settings known.
        """
        row = self.connection.execute("SELECT '[1]'::vector, current_setting('hnsw.ef_search', true)").fetchone()
        return int(row[1]) if row and row[1] else None

    def _among(self, column: str, ids: Sequence[str]) -> tuple[Composed, list[Any]]:
        """The condition that a column is one of ``%(wanted)s``, in its own type so that its index is used."""
        from psycopg import sql

        kind = self.columns.types[column]
        name = sql.Identifier(column)
        if kind in _WHOLE_TYPES:
            wanted: list[Any] = [int(each) for each in ids if re.fullmatch(r"-?[1-9][0-9]{0,17}|0", each, re.ASCII)]
            return sql.SQL("{} = ANY(%(wanted)s::bigint[])").format(name), wanted
        if kind == "uuid":
            return sql.SQL("{} = ANY(%(wanted)s::uuid[])").format(name), [UUID(each) for each in ids if _is_uuid(each)]
        cast = sql.SQL("") if kind in _TEXT_TYPES else sql.SQL("::text")
        wanted = [each for each in ids if "\0" not in each]
        return sql.SQL("{}{} = ANY(%(wanted)s::text[])").format(name, cast), wanted

    def check_dimension(self, vectors: NDArray[np.float32]) -> None:
        """Vectors of this length fit the table.

        Raises:
            RetrieverError: they do not.
        """
        if self.columns.dimension not in (None, vectors.shape[1]):
            raise RetrieverError(
                f"the embedder gives vectors of {vectors.shape[1]} numbers, and {self.table.shown} holds vectors of "
                f"{self.columns.dimension}.",
                remedy="Set 'embedder: model' (and 'dimension') to what the table was filled with.",
            )

    def _score(self, distance: float) -> float:
        return {"cosine": 1 - distance, "dot": -distance, "euclidean": distance}[self.table.metric]


@contextmanager
def reading(url: str, table: Table, timeout: timedelta) -> Iterator[Reader]:
    """A connection for one read-only transaction, in which a statement may take ``timeout``.

    Raises:
        RetrieverError: the server cannot be reached or refuses, or the table is not what the settings say.
        MissingExtra: psycopg or pgvector is not installed.
    """
    try:
        import psycopg
        from pgvector.psycopg import register_vector
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:
        raise MissingExtra(
            (error.name or "psycopg").partition(".")[0], "pgvector", "The retriever 'pgvector'"
        ) from None
    try:
        place = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    except psycopg.ProgrammingError:  # its words repeat parts of the address, and with them the password
        raise RetrieverError("'url' is not an address that Postgres reads.", remedy=f"Write it like {FORM}.") from None
    place.setdefault("connect_timeout", str(max(2, round(timeout.total_seconds()))))
    try:
        with psycopg.connect(**place) as connection:  # type: ignore[arg-type]
            connection.read_only = True
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true)", (str(round(1000 * timeout.total_seconds())),)
            )
            register_vector(connection)
            yield Reader(connection, table, read_columns(connection, table))
    except psycopg.Error as error:
        raise _explained(error, place, timeout) from None


FORM = "'postgresql://user:password@host/database'"


def read_columns(connection: Connection[Any], table: Table) -> Columns:
    """What the catalogue says of the table.

    Raises:
        RetrieverError: the table, a column, or vectors in the vector column are not there.
    """
    from psycopg import sql

    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL), atttypmod FROM pg_attribute "
        "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (sql.Identifier(*table.name).as_string(connection),),
    ).fetchall()
    if not rows:
        raise RetrieverError(
            f"there is no table {table.shown}, or this user may not see it.",
            remedy="Write 'schema.table' where it is not on the search path; capitals count.",
        )
    types = {name: str(kind).rpartition(".")[2] for name, kind, _ in rows}
    for column in table.columns:
        if column not in types:
            raise RetrieverError(f"{table.shown} has no column '{column}'.", remedy=f"It has: {', '.join(types)}.")
    given = types[table.vector_column]
    vector_type = next((each for each in _VECTOR_TYPES if each == given), None)
    if vector_type is None:
        raise RetrieverError(
            f"the column '{table.vector_column}' of {table.shown} is of the type {given}.",
            remedy="'vector_column' names a column of the type vector or halfvec.",
        )
    (length,) = (modifier for name, _, modifier in rows if name == table.vector_column)
    return Columns(types, vector_type, length if length > 0 else None)


def _explained(error: Exception, place: Mapping[str, Any], timeout: timedelta) -> RetrieverError:
    """What Postgres says, with where it was asked and without the password."""
    where = f"{place.get('host') or 'the local socket'}:{place.get('port') or 5432}/{place.get('dbname') or ''}"
    reason = " ".join(str(error).split("\n")[0].split()).rstrip(".") or type(error).__name__
    if password := place.get("password"):
        reason = reason.replace(str(password), "***")
    lowered = reason.lower()
    for sign, problem, remedy in _KNOWN:
        if sign in lowered:
            said = problem.format(seconds=f"{timeout.total_seconds():g}") or reason
            return RetrieverError(f"Postgres at {where}: {said}.", remedy=remedy)
    return RetrieverError(f"Postgres at {where}: {reason}.")


_KNOWN = (
    ("statement timeout", "a statement took longer than {seconds} s", "Raise 'timeout', or see what the server does."),
    (
        "vector type not found",
        "the database has no pgvector on its search path",
        "Run CREATE EXTENSION vector there, or put its schema on the search path.",
    ),
    ("password", "", "Check user and password in 'url'."),
    ("permission denied", "", "Grant the user SELECT on the table."),
    ("does not exist", "", "Check the names in the settings."),
    ("resolve host", "its host name is not known", "Check the host in 'url'."),
    ("refused", "nobody answers there", "Check that the server runs, and its host and port."),
    ("timeout", "nobody answers there", "Check that the server runs, and its host and port."),
)
"""What Postgres or its driver say, what that means (empty: what they say), and what to do."""


def _sent(vector: NDArray[np.float32]) -> Any:
    from pgvector import Vector

    return Vector(vector)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
