"""A few canaries asked of the watched service: does it answer, with anything, and how fast?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from driftwatch.retrievers import Retriever
from driftwatch.types import Embedder, Look, Query, Reply

REMEMBERED = 24
"""Runs whose latency is kept."""
FEWEST = 3
"""Runs that say what is usual."""


def ask_service(
    service: Retriever, embedder: Embedder | None, queries: Sequence[Query], past: Sequence[float]
) -> tuple[Look, list[float]]:
    """How ``queries`` are answered; and the latencies to remember, milliseconds, oldest first.

    Raises:
        RetrieverError: nothing at all could be asked.
    """
    replies = service.search(queries, embedder)
    failed = [query.query_id for query, reply in zip(queries, replies, strict=True) if reply.hits is None]
    empty = [query.query_id for query, reply in zip(queries, replies, strict=True) if _is_empty(query, reply)]
    values = {"errors": float(len(failed)), "empty": float(len(empty))}
    took = [reply.latency_ms for reply in replies if reply.hits is not None and reply.latency_ms is not None]
    kept = list(past)
    if took:
        values["latency"] = statistics.median(took)
        kept = [*past, round(values["latency"], 3)][-REMEMBERED:]
    if len(past) >= FEWEST:
        values["usual latency"] = statistics.median(past)
    errors = sorted({reply.error for reply in replies if reply.error})
    words = {"error": errors[0][:300]} if errors else {}
    bad = (*failed, *empty)
    why = f"{len(failed)} of {len(queries)} canaries got no answer, {len(empty)} an empty one" if bad else ""
    return Look(len(queries), len(bad), bad, values=values, words=words, why=why), kept


def some_of(canaries: Sequence[Query], most: int, turn: int) -> list[Query]:
    """``most`` of the canaries, others each turn, every one as often as any other."""
    if not canaries:
        return []
    start = (turn * most) % len(canaries)
    return [canaries[(start + step) % len(canaries)] for step in range(min(most, len(canaries)))]


def _is_empty(query: Query, reply: Reply) -> bool:
    return reply.hits == () and not query.expect_empty and not reply.abstained
