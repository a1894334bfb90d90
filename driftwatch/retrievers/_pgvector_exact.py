"""Exact search for many queries: the vectors of a table are read once and compared here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrievers._exact import best_of
from driftwatch.retrievers._pgvector import BLOCK, Reader, named
from driftwatch.types import ScoredDoc

FEW = 16
"""Queries up to which the server compares, which reads all vectors for each; for more it is cheaper to send them."""

_HEADER = 4
"""Bytes before the numbers of a vector as Postgres sends it."""


def search(reader: Reader, vectors: NDArray[np.float32], top_k: int) -> list[tuple[ScoredDoc, ...]]:
    """As ``Reader.search`` with ``exact``, in memory that does not grow with the table.

    Raises:
        RetrieverError: the vectors of the table have different lengths, or another one than the queries.
    """
    reader.check_dimension(vectors)
    found = best_of(_blocks(reader), vectors, top_k, reader.table.metric)
    if reader.table.metric != "euclidean":
        return found
    return [tuple(ScoredDoc(hit.doc_id, math.sqrt(hit.score or 0)) for hit in hits) for hits in found]


def _blocks(reader: Reader) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
    """(doc_ids, vectors) of all rows; with `cosine`, a vector of zeros is like nothing here as on the server."""
    from psycopg import sql

    table = reader.table
    statement = sql.SQL("SELECT {}, vector_send({}::vector) {}").format(
        table.document, named(table.vector_column), table.held()
    )
    with reader.connection.cursor(name="driftwatch_vectors", binary=True) as cursor:
        cursor.execute(statement, table.arguments)
        while rows := cursor.fetchmany(BLOCK):
            vectors = _unpacked([packed for _, packed in rows], table.shown)
            kept = np.flatnonzero(vectors.any(axis=1) | (table.metric != "cosine"))
            yield [rows[place][0] for place in kept.tolist()], vectors[kept]


def _unpacked(packed: Sequence[bytes], table: str) -> NDArray[np.float32]:
    """What `vector_send` gives, shape (n, dimension): two numbers of 16 bits, then big-endian floats."""
    lengths = sorted({(len(each) - _HEADER) // 4 for each in packed})
    if len(lengths) > 1:
        raise RetrieverError(
            f"{table} holds vectors of different lengths: {' and '.join(map(str, lengths[:3]))} numbers.",
            remedy="Set 'filter' so that those of one model are left.",
        )
    rows = np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(len(packed), -1)
    return np.ascontiguousarray(rows[:, _HEADER:]).view(">f4").astype(np.float32)
