"""What a Python function may return as hits: ids, pairs, mappings, and the documents of the common frameworks.

Everything is recognised by its attributes, so none of the frameworks is imported. LlamaIndex's ``NodeWithScore`` is
read by ``.score``, never ``.get_score()``, which turns a missing score into 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any
from uuid import UUID

from driftwatch.types import Reply, ScoredDoc

LISTS = ("documents", "results", "hits", "matches", "docs", "items", "nodes", "source_nodes", "points")
IDS = ("id", "doc_id", "_id", "document_id", "id_", "node_id")
SCORES = ("score", "similarity", "relevance_score", "distance")
HOLDERS = ("document", "node", "metadata", "meta", "payload")
"""Attributes or keys of a hit that may hold the id, and a score where the hit has none."""


class Unrecognised(ValueError):
    """The function returned something that holds no hits; the message says what."""


def read_reply(answer: Any, top_k: int, id_path: str | None = None) -> Reply:
    """The reply in what a function returned for one query, at most ``top_k`` hits of it.

    ``id_path`` is where a hit's id is, in dots over keys and attributes: ``metadata.source``.

    Raises:
        Unrecognised: it is no list of hits, or one of them has no id.
    """
    hits = tuple(read_hit(hit, place, id_path) for place, hit in enumerate(_listed(answer), 1))
    if not isinstance(answer, Mapping):
        return Reply(hits[:top_k])
    versions, abstained = answer.get("versions"), answer.get("abstained")
    return Reply(
        hits[:top_k],
        abstained=abstained if isinstance(abstained, bool) else None,
        versions={str(k): str(v) for k, v in versions.items()} if isinstance(versions, Mapping) else {},
    )


def _listed(answer: Any) -> Iterable[Any]:
    if isinstance(answer, Mapping):
        for name in LISTS:
            if answer.get(name) is not None:
                return _listed(answer[name])
        raise Unrecognised(f"it returned a mapping without a list of hits; it has keys: {_names(answer)}")
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        found = next((getattr(answer, name) for name in LISTS if hasattr(answer, name)), None)
        if isinstance(found, Iterable) and not isinstance(found, str | bytes | Mapping):
            return found
        raise Unrecognised(f"it returned {_kind(answer)}, not a list of hits")
    return answer


def read_hit(hit: Any, place: int, id_path: str | None = None) -> ScoredDoc:
    """One hit: an id, ``(id, score)``, ``(document, score)``, a mapping or an object.

    Raises:
        Unrecognised: there is no id in it.
    """
    score = None
    if _is_pair(hit):
        hit, score = hit
    doc_id = at(hit, id_path) if id_path else _id_in(hit)
    if isinstance(doc_id, Integral | UUID) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if not isinstance(doc_id, str) or not doc_id:
        where = f"at '{id_path}'" if id_path else "that is recognised. Set 'id_path', such as 'metadata.source'"
        raise Unrecognised(f"hit {place}, {_kind(hit)}, has no id {where}{_described(hit)}")
    return ScoredDoc(doc_id, number(score if score is not None else _score_in(hit)))


def at(hit: Any, path: str) -> Any:
    """Follow dots over keys and attributes; None when it leads nowhere.

    >>> at({"metadata": {"source": "faq.md"}}, "metadata.source")
    'faq.md'
    """
    for name in path.split("."):
        hit = _member(hit, name)
    return hit


def number(score: Any) -> float | None:
    """A finite number, or None: numpy's and other number types count, NaN and text do not."""
    if isinstance(score, bool) or not isinstance(score, Real):
        return None
    return float(score) if math.isfinite(score) else None


def _is_pair(hit: Any) -> bool:
    return isinstance(hit, Sequence) and not isinstance(hit, str | bytes) and len(hit) == 2 and _may_be_score(hit[1])


def _may_be_score(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _member(holder: Any, name: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)


def _id_in(hit: Any) -> Any:
    if isinstance(hit, str | Integral | UUID):
        return hit
    return _first(hit, IDS)


def _score_in(hit: Any) -> Any:
    return None if isinstance(hit, str | Integral | UUID) else _first(hit, SCORES)


def _first(hit: Any, names: Sequence[str]) -> Any:
    for holder in (hit, *(_member(hit, name) for name in HOLDERS)):
        for name in names:
            if (found := _member(holder, name)) is not None:
                return found
    return None


def _kind(value: Any) -> str:
    return "nothing (None)" if value is None else f"a {type(value).__module__}.{type(value).__qualname__}"


def _names(mapping: Mapping[Any, Any]) -> str:
    return ", ".join(str(key)[:40] for key in list(mapping)[:12]) or "none"


def _described(hit: Any) -> str:
    for name in ("metadata", "meta"):
        if isinstance(held := _member(hit, name), Mapping):
            return f"; its {name} has keys: {_names(held)}"
    return f"; it has keys: {_names(hit)}" if isinstance(hit, Mapping) else ""
