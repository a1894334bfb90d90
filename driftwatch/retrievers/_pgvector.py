"""A Postgres table with a pgvector column, and what is asked of it inside one transaction."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrievers._exact import MOST_ENTRIES
from driftwatch.types import ScoredDoc, Stored

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable, Composed, Identifier

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

    @property
    def document(self) -> Composable:
        """The stable key of a row's document, as text; a row that names none is a document of its own."""
        from psycopg import sql

        names = dict.fromkeys((self.doc_column, self.id_column))
        keys = sql.SQL(", ").join(sql.SQL("{}::text").format(named(name)) for name in names)
        return sql.SQL("coalesce({})").format(keys)

    def kept(self, condition: Composable | None = None) -> Composed:
        """`FROM` and `WHERE` of the rows that the filter leaves, and that meet ``condition``."""
        from psycopg import sql

        conditions: list[Composable] = [] if condition is None else [condition]
        for place, (column, value) in enumerate(self.filter.items()):
            name = named(column)
            if value is None:
                conditions.append(sql.SQL("{} IS NULL").format(name))
            else:
                conditions.append(sql.SQL("{} = {}").format(name, sql.Placeholder(f"filter_{place}")))
        where = sql.SQL(" AND ").join(conditions or [sql.SQL("true")])
        return sql.SQL("FROM {} WHERE {}").format(named(*self.name), where)

    def held(self, condition: Composable | None = None) -> Composed:
        """`FROM` and `WHERE` of what the index holds: a row without a vector cannot be found, so it is not there."""
        from psycopg import sql

        has_vector = sql.SQL("{} IS NOT NULL").format(named(self.vector_column))
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
            yield self._best_of_every_row(vector, top_k) if exact else self._best(vector, top_k, at_least)

    def compare_with_every_row(self) -> None:
        """From here on no index is used, whatever the server was told to prefer."""
        for way, allowed in {"indexscan": "off", "bitmapscan": "off", "indexonlyscan": "off", "seqscan": "on"}.items():
            self.set(f"enable_{way}", allowed)

    def _best_of_every_row(self, vector: NDArray[np.float32], top_k: int) -> tuple[ScoredDoc, ...]:
        from psycopg import sql

        statement = self.nearest(top_k)
        if self.table.doc_column != self.table.id_column:
            statement = sql.SQL("SELECT {}, min({}) {} GROUP BY 1 ORDER BY 2 LIMIT {}").format(
                self.table.document, self._distance, self.table.held(), sql.Literal(top_k)
            )
        return self._hits(dict(self.fetch(statement, {"vector": _sent(vector)})), top_k)

    def _best(self, vector: NDArray[np.float32], top_k: int, at_least: int | None) -> tuple[ScoredDoc, ...]:
        """More rows are asked for until ``top_k`` different documents are among them, or there are no more rows.

        Never more than ``MOST_ENTRIES``: a table of a few long documents has no ``top_k`` different ones.

        ``at_least``: the graph is searched as broadly as that, and as rows are asked for; None: as it is set.
        """
        limit, most, complete = top_k, max(top_k, MOST_ENTRIES), False
        best: dict[str, float] = {}
        while not complete:
            if at_least is not None:
                self.set("hnsw.ef_search", str(min(max(at_least, limit), WIDEST)))
            rows = self.fetch(self.nearest(limit), {"vector": _sent(vector)})
            for doc, distance in rows:
                best[doc] = min(distance, best.get(doc, math.inf))
            complete = len(best) >= top_k or len(rows) < limit or limit == most
            limit = min(2 * limit, most)
        return self._hits(best, top_k)

    def _hits(self, best: Mapping[str, float], top_k: int) -> tuple[ScoredDoc, ...]:
        nearest = sorted((distance, doc) for doc, distance in best.items() if math.isfinite(distance))
        return tuple(ScoredDoc(doc, self._score(distance)) for distance, doc in nearest[:top_k])

    def nearest(self, limit: int) -> Composed:
        """The statement that finds the ``limit`` rows nearest to ``%(vector)s``: (document, distance), best first.

        The limit is part of its text, so that the planner knows it when it chooses between the index and the table.
        """
        from psycopg import sql

        return sql.SQL("SELECT {}, {} {} ORDER BY {} LIMIT {}").format(
            self.table.document, self._distance, self.table.held(), self._distance, sql.Literal(limit)
        )

    @property
    def _distance(self) -> Composed:
        from psycopg import sql

        return sql.SQL("{} {} %(vector)s::{}").format(
            named(self.table.vector_column),
            sql.SQL(OPERATORS[self.table.metric]),
            sql.SQL(self.columns.vector_type),
        )

    def stored(self, entry_ids: Sequence[str], *, vectors: bool, texts: bool) -> dict[str, Stored]:
        """entry_id -> what its row holds."""
        from psycopg import sql

        table, nothing = self.table, sql.SQL("NULL::text")
        vector = sql.SQL("{}::vector").format(named(table.vector_column)) if vectors else nothing
        text = named(table.text_column) + sql.SQL("::text") if texts and table.text_column else nothing
        lang = named(table.lang_column) + sql.SQL("::text") if table.lang_column else nothing
        columns = sql.SQL("SELECT {}::text, {}, {}, {}, {} ").format(
            named(table.id_column), table.document, vector, text, lang
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

        ids = named(self.table.id_column)
        statement = sql.SQL("SELECT {}::text, {} {} ORDER BY {}, 2").format(
            ids, self.table.document, self.table.held(), ids
        )
        with self.connection.cursor(name="driftwatch_entries") as cursor:
            cursor.execute(statement, self.table.arguments)
            while block := cursor.fetchmany(BLOCK):
                yield block

    def holds(self, doc_ids: Sequence[str]) -> set[str]:
        """Those of ``doc_ids`` that some row with a vector belongs to."""
        from psycopg import sql

        found = set[str]()
        unnamed = sql.SQL("{} IS NULL AND ").format(named(self.table.doc_column))
        for column, only in {self.table.id_column: unnamed, self.table.doc_column: sql.SQL("")}.items():
            for start in range(0, len(doc_ids), BLOCK):
                condition, wanted = self._among(column, doc_ids[start : start + BLOCK])
                statement = sql.SQL("SELECT DISTINCT {} {}").format(
                    self.table.document, self.table.held(only + condition)
                )
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
        name = named(column)
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


def named(*names: str) -> Identifier:
    """A quoted name for a statement that is sent with values: there a percent sign is written twice."""
    from psycopg import sql

    return sql.Identifier(*(name.replace("%", "%%") for name in names))


def _sent(vector: NDArray[np.float32]) -> Any:
    from pgvector import Vector

    return Vector(vector)


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
