"""A Postgres table like another, with the rows' own columns and other vectors; its vector index is built last."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import MissingExtra, RetrainError
from driftwatch.retrain.manifests import settings_of
from driftwatch.retrain.writers import Old, Placed, by_document, by_name, new_name
from driftwatch.retrained import Passage
from driftwatch.retrievers._pgvector import _TEXT_TYPES, _WHOLE_TYPES, Reader, Table, named, read_columns
from driftwatch.retrievers._pgvector_place import _connected, _explained, _patience
from driftwatch.retrievers.pgvector import Pgvector

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable, Composed

LONGEST = 63
"""Bytes of a name in Postgres."""
_NAMED = uuid.UUID("b51f0a0e-2a51-4a43-9c0f-58f4f6a6c9de")
_VECTOR_INDEXES = (
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index "
    "JOIN pg_class made ON made.oid = indexrelid JOIN pg_am ON pg_am.oid = made.relam "
    "WHERE indrelid = %s::regclass AND amname IN ('hnsw', 'ivfflat') ORDER BY 1"
)
_GRANTS = (
    "SELECT privilege_type, CASE WHEN grantee = 0 THEN NULL ELSE pg_get_userbyid(grantee) END "
    "FROM pg_class, aclexplode(relacl) WHERE oid = %s::regclass AND grantee <> relowner"
)
_PRIVILEGES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"})


@dataclass(frozen=True)
class Writing:
    """Needs a user who may create tables in the schema of the old one.

    Copied are columns, defaults, constraints, indexes, grants and rows; not triggers, foreign keys and policies. A
    table with row security is refused: its copy would show what the policies hide.
    """

    index: Pgvector
    release: str
    place: Path

    @property
    def name(self) -> tuple[str, ...]:
        """Of the new table, with its schema where the old one's is given."""
        *schema, table = self.index.table.split(".")
        return (*schema, new_name(table, self.release, LONGEST))

    def begin(self, dimension: int) -> None:
        """The table without its vector indexes; what they were is kept as its comment until they are built."""
        from psycopg import sql

        with self._writing() as connection:
            if self._there(connection):
                return
            self._check_security(connection)
            columns = read_columns(connection, self._table)
            new, old = sql.Identifier(*self.name), sql.Identifier(*self._table.name)
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(new, old))
            indexes = connection.execute(_VECTOR_INDEXES, (new.as_string(connection),)).fetchall()
            for index, _ in indexes:
                connection.execute(f"DROP INDEX {index}")
            if columns.dimension is not None:
                kind = sql.SQL("{}({})").format(sql.SQL(columns.vector_type), sql.Literal(dimension))
                column = sql.Identifier(self._table.vector_column)
                connection.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(new, column, kind))
            comment = sql.Literal(json.dumps({"driftwatch": dict(indexes)}))
            connection.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(new, comment))
            self._grant(connection)

    def write(self, number: int, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """In one transaction; rows of the same id are replaced."""
        del number
        from pgvector import Vector
        from psycopg import sql

        rows = {each.passage_id: row for each, row in zip(passages, vectors, strict=True)}
        with self._writing() as connection:
            reader = Reader(connection, self._table, read_columns(connection, self._table))
            placed = self._placed(reader, passages)
            given = [
                {
                    "old": each.like.entry_id if each.like else None,
                    "id": each.entry_id or self._new_id(each.passage, reader.columns.types),
                    "vector": Vector(rows[each.passage.passage_id]),
                    "text": each.passage.text,
                    "doc": each.passage.parent if each.entry_id is None else None,
                    "lang": each.passage.lang or None,
                    **self._table.arguments,
                }
                for each in placed
            ]
            condition, ids = reader._among(self._table.id_column, [str(each["id"]) for each in given])
            removing = sql.SQL("DELETE FROM {} WHERE {}").format(named(*self.name), condition)
            connection.execute(removing, {"wanted": ids})
            for copied in (True, False):
                some = [each for each in given if (each["old"] is not None) == copied]
                if some:
                    statement = self._copying(reader) if copied else self._inserting(reader)
                    connection.cursor().executemany(statement, some)

    def finish(self) -> Mapping[str, Any]:
        """Build the vector indexes over all rows at once, as they are on the old table."""
        from psycopg import sql

        new = sql.Identifier(*self.name)
        with self._writing() as connection:
            said = connection.execute("SELECT obj_description(%s::regclass)", (new.as_string(connection),)).fetchone()
            for definition in json.loads((said and said[0]) or "{}").get("driftwatch", {}).values():
                connection.execute(definition)
            connection.execute(sql.SQL("COMMENT ON TABLE {} IS NULL").format(new))
            connection.execute(sql.SQL("ANALYZE {}").format(new))
        return settings_of(self.index) | {"table": ".".join(self.name)}

    def discard(self) -> None:
        """The table with the name of the release."""
        from psycopg import sql

        with self._writing() as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(*self.name)))

    # --- rows ----------------------------------------------------------------------------------------------------

    def _placed(self, reader: Reader, passages: Sequence[Passage]) -> list[Placed]:
        table = self._table
        known = self._olds(reader, table.id_column, [each.passage_id for each in passages])
        placed, rest = by_name(passages, known)
        alike = self._olds(reader, table.doc_column, list(dict.fromkeys(each.parent for each in rest)))
        return placed + by_document(rest, alike)

    def _olds(self, reader: Reader, column: str, wanted: Sequence[str]) -> list[Old]:
        """Rows of the old table by a column of it."""
        from psycopg import sql

        if not wanted:
            return []
        table = self._table
        words = named(table.text_column) if table.text_column else sql.SQL("NULL")
        condition, values = reader._among(column, wanted)
        statement = sql.SQL("SELECT {}::text, {}, {}::text {}").format(
            named(table.id_column), table.document, words, table.kept(condition)
        )
        rows = reader.fetch(statement, {"wanted": values})
        return [Old(entry_id, doc_id, text, None) for entry_id, doc_id, text in rows]

    def _new_id(self, passage: Passage, types: Mapping[str, str]) -> str:
        """The key of a row that takes no other's place, as text.

        Raises:
            RetrainError: a key of that type cannot be made of the passage's name.
        """
        kind = types[self._table.id_column]
        owns = self._table.doc_column == self._table.id_column
        if kind in _TEXT_TYPES or (kind in _WHOLE_TYPES and re.fullmatch(r"-?[0-9]{1,18}", passage.passage_id)):
            if not owns or passage.passage_id == passage.parent:
                return passage.passage_id
        elif not owns and kind == "uuid":
            return str(uuid.uuid5(_NAMED, passage.passage_id))
        elif not owns and kind == "bigint":  # below zero, where no sequence gives numbers
            digest = blake2b(passage.passage_id.encode(), digest_size=8).digest()
            return str(-(int.from_bytes(digest, "big") >> 1) - 1)
        raise RetrainError(
            f"{self._table.shown} has no row for the passage '{passage.passage_id}', and its column "
            f"'{self._table.id_column}' ({kind}) takes no name for a new one.",
            remedy="Ingest the document first, or rebuild from what the table holds.",
        )

    def _copying(self, reader: Reader) -> Composed:
        """Like an old row, with another vector and the passage's text."""
        from psycopg import sql

        table, values, columns = self._table, self._values(reader), self._columns(reader)
        if table.doc_column not in values:  # a row may name no document, and be one of its own
            kept = sql.SQL("coalesce({}, {})").format(
                self._cast(reader, table.doc_column, "doc"), named(table.doc_column)
            )
            values[table.doc_column] = kept
        chosen = [values.get(name, named(name)) for name in columns]
        found = sql.SQL("{} = {}").format(named(table.id_column), self._cast(reader, table.id_column, "old"))
        return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} WHERE {}").format(
            named(*self.name), _listed(map(named, columns)), _listed(chosen), named(*table.name), found
        )

    def _inserting(self, reader: Reader) -> Composed:
        """A row of a document that the old table does not hold; other columns have their defaults."""
        from psycopg import sql

        values = self._values(reader)
        values.setdefault(self._table.doc_column, self._cast(reader, self._table.doc_column, "doc"))
        if self._table.lang_column:
            values.setdefault(self._table.lang_column, self._cast(reader, self._table.lang_column, "lang"))
        for place, (column, value) in enumerate(self._table.filter.items()):
            if value is not None:
                values.setdefault(column, sql.Placeholder(f"filter_{place}"))
        return sql.SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE VALUES ({})").format(
            named(*self.name), _listed(map(named, values)), _listed(values.values())
        )

    def _values(self, reader: Reader) -> dict[str, Composable]:
        """What the passage says itself."""
        from psycopg import sql

        table = self._table
        vector = sql.SQL("%(vector)s::{}").format(sql.SQL(reader.columns.vector_type))
        values: dict[str, Composable] = {table.id_column: self._cast(reader, table.id_column, "id")}
        values[table.vector_column] = vector
        if table.text_column:
            values[table.text_column] = self._cast(reader, table.text_column, "text")
        return values

    def _cast(self, reader: Reader, column: str, placeholder: str) -> Composable:
        """A text as the type of a column, such as `bigint`."""
        from psycopg import sql

        kind = reader.columns.types[column]
        return sql.SQL("%({})s::text::{}").format(sql.SQL(placeholder), sql.SQL(kind))

    def _columns(self, reader: Reader) -> list[str]:
        """Those that rows are inserted with: the server makes the generated ones."""
        from psycopg import sql

        found = reader.connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "AND attgenerated = '' ORDER BY attnum",
            (sql.Identifier(*self._table.name).as_string(reader.connection),),
        )
        return [name for (name,) in found]

    # --- the table -----------------------------------------------------------------------------------------------

    def _there(self, connection: Connection[Any]) -> bool:
        from psycopg import sql

        named_so = sql.Identifier(*self.name).as_string(connection)
        return connection.execute("SELECT to_regclass(%s)", (named_so,)).fetchone() != (None,)

    def _check_security(self, connection: Connection[Any]) -> None:
        from psycopg import sql

        old = sql.Identifier(*self._table.name).as_string(connection)
        found = connection.execute("SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass(%s)", (old,)).fetchone()
        if found == (True,):
            raise RetrainError(
                f"{self._table.shown} has row security, and a copy would show what its policies hide.",
                remedy="Build the new table by your own means.",
            )

    def _grant(self, connection: Connection[Any]) -> None:
        """Whoever may read the old table may read the new one."""
        from psycopg import sql

        old = sql.Identifier(*self._table.name).as_string(connection)
        for privilege, role in connection.execute(_GRANTS, (old,)).fetchall():
            if privilege in _PRIVILEGES:
                to = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
                statement = sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(privilege), sql.Identifier(*self.name), to)
                connection.execute(statement)

    @cached_property
    def _table(self) -> Table:
        index = self.index
        return Table(
            name=tuple(index.table.split(".")),
            id_column=index.id_column,
            doc_column=index.doc_column or index.id_column,
            vector_column=index.vector_column,
            text_column=index.text_column,
            lang_column=index.lang_column,
            metric=index.metric,
            filter=index.filter,
        )

    @contextmanager
    def _writing(self) -> Iterator[Connection[Any]]:
        """One transaction, in which a statement may take as long as it needs: an index is built in one."""
        try:
            import psycopg
            from pgvector.psycopg import register_vector
            from psycopg.conninfo import conninfo_to_dict
        except ImportError as error:
            raise MissingExtra(
                (error.name or "psycopg").partition(".")[0], "pgvector", "The index 'pgvector'"
            ) from None
        timeout = self.index.timeout
        url = self.index.url.get_secret_value().replace("postgresql+psycopg://", "postgresql://", 1)
        place = {**_patience(timeout), **conninfo_to_dict(url)}
        try:
            with _connected(place) as connection:
                register_vector(connection)
                connection.execute("SET LOCAL statement_timeout = 0")
                yield connection
        except psycopg.Error as error:
            told = _explained(error, place, timeout)
            remedy = "Grant the user CREATE on the schema." if "permission denied" in str(told) else told.remedy
            raise RetrainError(told.problem, remedy=remedy) from None


def _listed(parts: Iterable[Composable]) -> Composed:
    from psycopg import sql

    return sql.SQL(", ").join(parts)
