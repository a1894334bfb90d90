"""What Postgres says of a table with vectors and of the index on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from driftwatch.retrievers._pgvector import Metric, Reader, named
from driftwatch.types import IndexFacts

COUNTED = 1_000_000
"""Rows that are counted one by one; a larger table is estimated."""

_METRICS: dict[str, Metric] = {"cosine_ops": "cosine", "ip_ops": "dot", "l2_ops": "euclidean"}
_BUILT = {"hnsw": {"m": "16", "ef_construction": "64"}, "ivfflat": {"lists": "100"}}
"""What pgvector takes where the index does not say."""


@dataclass(frozen=True)
class VectorIndex:
    """One index on the vector column."""

    name: str
    kind: str
    """hnsw | ivfflat."""
    metric: str
    valid: bool
    """False: building it was broken off, and nothing uses it."""
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Counted:
    """How many rows there are, and what tells one state of them from another."""

    held: int
    bare: int | None
    """Rows without a vector; None: not counted."""
    estimated: bool
    fingerprint: str


def facts(reader: Reader, ef_search: int | None, probes: int | None) -> IndexFacts:
    """Everything that can be said without reading a vector."""
    counted = _counted(reader)
    found = indexes(reader)
    usable = next((each for each in found if each.valid and each.metric == reader.table.metric), None)
    settings = {"kind": usable.kind if usable else "none", "type": reader.columns.vector_type}
    if usable:
        settings |= {"index": usable.name, **usable.options}
    if usable and usable.kind == "hnsw":
        settings["ef_search"] = str(ef_search or reader.ef_search() or "unknown")
    if usable and usable.kind == "ivfflat":
        reader.ef_search()  # loads pgvector, which makes its settings known
        settings["probes"] = str(probes or _setting(reader, "ivfflat.probes"))
    if unused := [_described(each) for each in found if each is not usable]:
        settings["other indexes"] = ", ".join(unused)
    if counted.bare:
        settings["rows without a vector"] = str(counted.bare)
    if counted.estimated:
        settings["count"] = "estimated"
    settings["pgvector"] = _version(reader)
    return IndexFacts(
        count=counted.held,
        dimension=reader.columns.dimension or _one_dimension(reader),
        metric=reader.table.metric,
        fingerprint=counted.fingerprint,
        settings=settings,
    )


def indexes(reader: Reader) -> list[VectorIndex]:
    """Every hnsw and ivfflat index on the vector column, by name."""
    rows = reader.connection.execute(
        "SELECT made.relname, pg_am.amname, pg_opclass.opcname, pg_index.indisvalid, coalesce(made.reloptions, '{}') "
        "FROM pg_index JOIN pg_class made ON made.oid = pg_index.indexrelid JOIN pg_am ON pg_am.oid = made.relam "
        "JOIN pg_opclass ON pg_opclass.oid = pg_index.indclass[0] "
        "JOIN pg_attribute ON pg_attribute.attrelid = pg_index.indrelid "
        "AND pg_attribute.attnum = pg_index.indkey[0] "
        "WHERE pg_index.indrelid = to_regclass(%s) AND pg_attribute.attname = %s AND pg_am.amname = ANY(%s) "
        "ORDER BY made.relname",
        (_quoted(reader), reader.table.vector_column, list(_BUILT)),
    ).fetchall()
    return [
        VectorIndex(name, kind, _metric(operators), valid, _BUILT[kind] | dict(option.split("=", 1) for option in said))
        for name, kind, operators, valid, said in rows
    ]


def _metric(operators: str) -> str:
    """`vector_cosine_ops` -> `cosine`."""
    return next((metric for ending, metric in _METRICS.items() if operators.endswith(ending)), operators)


def _described(index: VectorIndex) -> str:
    return f"{index.name} ({index.kind} for {index.metric}{'' if index.valid else ', invalid'})"


def _counted(reader: Reader) -> Counted:
    """Count and fingerprint, from every row while there are not too many and it does not take too long."""
    from psycopg.errors import QueryCanceled

    try:
        with reader.connection.transaction():
            return _by_rows(reader) or _by_counters(reader)
    except QueryCanceled:
        return _by_counters(reader)


def _by_rows(reader: Reader) -> Counted | None:
    """None: there are too many rows, or they are not those of a table.

    A row's `xmin` is the transaction that wrote it, and no two transactions share one (until it wraps around, two
    thousand million later). So the sum of their hashes stays the same only while no row was added, changed or deleted,
    in whatever order the rows lie. A view or a foreign table has no such column.
    """
    from psycopg import sql

    is_table = _is_table(reader)
    rows = sql.SQL("SELECT {} IS NULL AS bare, {} AS writer {} LIMIT {}").format(
        named(reader.table.vector_column),
        sql.SQL("xmin::text::bigint") if is_table else sql.SQL("NULL::bigint"),
        reader.table.kept(),
        sql.Literal(COUNTED + 1),
    )
    statement = sql.SQL(
        "SELECT count(*), count(*) FILTER (WHERE bare), sum(hashint8extended(writer, 0))::text FROM ({}) AS counted"
    ).format(rows)
    ((count, bare, writers),) = reader.fetch(statement)
    if count > COUNTED:
        return None
    return Counted(count - bare, bare, False, _digest(count, bare, writers) if is_table else "")


def _by_counters(reader: Reader) -> Counted:
    """The planner's estimate; and the server's counters of rows ever inserted, changed and deleted."""
    from psycopg import sql

    explain = sql.SQL("EXPLAIN (FORMAT JSON) SELECT 1 {}").format(reader.table.held())
    (((plan,),),) = reader.fetch(explain)
    row = reader.connection.execute(
        "SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del), sum(pg_relation_size(relid)), "
        "string_agg(pg_relation_filenode(relid)::text, ' ' ORDER BY relid) "
        "FROM pg_stat_all_tables WHERE relid = to_regclass(%(table)s) "
        "OR relid IN (SELECT relid FROM pg_partition_tree(to_regclass(%(table)s)))",
        {"table": _quoted(reader)},
    ).fetchone()
    known = row is not None and row[0] is not None
    return Counted(int(plan["Plan"]["Plan Rows"]), None, True, _digest(*(row or ())) if known else "")


def _is_table(reader: Reader) -> bool:
    row = reader.connection.execute("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", (_quoted(reader),))
    return row.fetchone() in (("r",), ("p",), ("m",))


def _one_dimension(reader: Reader) -> int | None:
    """Of any one row; the column itself takes vectors of any length."""
    from psycopg import sql

    vector = named(reader.table.vector_column)
    rows = reader.fetch(sql.SQL("SELECT vector_dims({}) {} LIMIT 1").format(vector, reader.table.held()))
    return int(rows[0][0]) if rows else None


def _setting(reader: Reader, name: str) -> str:
    row = reader.connection.execute("SELECT current_setting(%s, true)", (name,)).fetchone()
    return (row[0] if row else None) or "unknown"


def _version(reader: Reader) -> str:
    row = reader.connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    return str(row[0]) if row else "unknown"


def _quoted(reader: Reader) -> str:
    from psycopg import sql

    return sql.Identifier(*reader.table.name).as_string(reader.connection)


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
