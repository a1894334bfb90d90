"""What a service retrieved, in the forms in which services write it down."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from driftwatch.sources._parsing import Malformed
from driftwatch.types import ScoredDoc

MOST_HITS = 1000
"""Results kept of one row."""


def hits(results: list[Any]) -> tuple[ScoredDoc, ...]:
    """The results of a record, best first: by rank where every one has a rank, else as they are listed.

    Raises:
        Malformed: an item is neither an id nor an object with an id or a score.
    """
    if quick := _listed(results):
        return quick
    found = [_hit(place, item) for place, item in enumerate(results[: 10 * MOST_HITS])]
    if found and all(rank is not None for rank, _ in found):
        found.sort(key=lambda pair: pair[0] or 0.0)
    return tuple(doc for _, doc in found[:MOST_HITS])


def _listed(results: list[Any]) -> tuple[ScoredDoc, ...]:
    """The commonest results, objects of an id and a score and nothing else, in a few passes; else nothing."""
    try:
        ids = [item["id"] for item in results]
        scores = [item["score"] for item in results]
    except (TypeError, KeyError):
        return ()
    if len(ids) > MOST_HITS or {*map(len, results)} != {2} or {*map(type, ids)} != {str}:
        return ()
    return tuple(map(ScoredDoc, ids, scores)) if {*map(type, scores)} == {float} and all(ids) else ()


def _hit(place: int, item: Any) -> tuple[float | None, ScoredDoc]:
    """The rank, when there is one, and the document."""
    field = f"results[{place}]"
    if not isinstance(item, Mapping):
        if (doc_id := identifier(field, item)) is None:
            raise Malformed(field, "is nothing", remedy='Write an id or {"id": ..., "score": ...}.')
        return None, ScoredDoc(doc_id)
    doc_id = identifier(f"{field}.id", item.get("id"))
    score = _number(f"{field}.score", item.get("score"))
    if doc_id is None and "score" not in item:
        raise Malformed(field, "has neither 'id' nor 'score'", item, 'Write {"id": ..., "score": ...}.')
    return _number(f"{field}.rank", item.get("rank")), ScoredDoc(doc_id or "", score)


def identifier(field: str, value: Any) -> str | None:
    """An identifier: text or a whole number; an empty one is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise Malformed(field, "is not an identifier", value, "Write it as text.")
    return str(value) if value is not None and value != "" else None


def _number(field: str, value: Any) -> float | None:
    """A number; None for NaN and infinities, which say nothing."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(field, "is not a number", value)
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
