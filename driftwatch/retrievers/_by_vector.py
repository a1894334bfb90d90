"""What every vector store that is asked directly has in common: queries are embedded here, then searched for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from driftwatch.errors import RetrieverError
from driftwatch.types import Embedder, Query, Reply, ScoredDoc

Answers = Iterable[tuple[ScoredDoc, ...]]


def search_by_vector(
    kind: str,
    queries: Sequence[Query],
    embedder: Embedder | None,
    search: Callable[[Any], Answers],
    *,
    one_by_one: bool = False,
) -> list[Reply]:
    """Embed all queries and search for them; after a search that fails, the rest carries its reason.

    Args:
        kind: of the retriever, for the error.
        queries: what to ask.
        embedder: of the queries.
        search: the answers to vectors of shape (n, dimension), in their order.
        one_by_one: each answer is searched for when it is taken. Otherwise all are said to have taken the same.

    Raises:
        RetrieverError: there is no embedder, or not even the first search worked.
    """
    if not queries:
        return []
    if embedder is None:
        raise RetrieverError(
            f"the retriever '{kind}' needs an embedder.", remedy="Add an 'embedder:' section with its model."
        )
    vectors = embedder.encode_queries([query.text for query in queries])
    found: list[tuple[ScoredDoc, ...]] = []
    clock = [time.perf_counter()]
    reason = ""
    try:
        for hits in search(vectors):
            found.append(hits)
            clock.append(time.perf_counter())
    except RetrieverError as error:
        if not found:
            raise
        reason = str(error)
    mean = (clock[-1] - clock[0]) / max(1, len(found))
    took = [after - before if one_by_one else mean for before, after in pairwise(clock)]
    versions = {"embedder": embedder.fingerprint}
    replies = [Reply(hits, latency_ms=1000 * each, versions=versions) for hits, each in zip(found, took, strict=True)]
    return replies + [Reply(None, error=reason)] * (len(queries) - len(found))
