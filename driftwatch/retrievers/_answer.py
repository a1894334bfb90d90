"""A service's JSON becomes hits, or a sentence that says why it cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftwatch.types import Reply, ScoredDoc

Find = Callable[[Any], Any]
"""A compiled JMESPath expression."""

LISTS = ("results", "hits", "documents", "matches", "docs", "items", "nodes", "source_nodes", "chunks", "points")
"""Where a list of hits is looked for when nobody says; in this order."""
WRAPPERS = ("result", "response", "data", *LISTS)
IDS = ("id", "doc_id", "_id", "document_id", "docId", "documentId", "node_id")
SCORES = ("score", "_score", "similarity", "relevance_score", "distance")
HOLDERS = ("document", "doc", "node", "metadata", "_source", "payload")
"""Objects inside a hit that may hold the id."""


class Unreadable(ValueError):
    """The answer is JSON, and not what was expected; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Path:
    """A JMESPath expression as the user wrote it, and compiled."""

    text: str
    find: Find


@dataclass(frozen=True, slots=True)
class Shape:
    """Where things are in an answer; None: recognise it."""

    hits: Path | None = None
    ids: Path | None = None
    """In one hit; in the whole answer when there is no list of hits."""
    scores: Path | None = None
    abstained: Path | None = None
    versions: Mapping[str, Path] = field(default_factory=dict)

    def read(self, answer: Any, top_k: int) -> Reply:
        """The reply in an answer, at most ``top_k`` hits of it.

        Raises:
            Unreadable: the list, an id or a score is not where it should be.
        """
        hits = self._parallel(answer) if self._is_parallel(answer) else self._listed(answer)
        return Reply(
            hits=hits[:top_k],
            abstained=self._abstained(answer),
            versions={
                name: str(version) for name, path in self.versions.items() if (version := path.find(answer)) is not None
            },
        )

    def _is_parallel(self, answer: Any) -> bool:
        """Whether ids and scores are two lists side by side: ``ids`` is set and there is no list of objects."""
        if self.hits is not None or self.ids is None:
            return False
        listed = recognised_list(answer)
        return listed is None or any(not isinstance(hit, Mapping) for hit in listed)

    def _parallel(self, answer: Any) -> tuple[ScoredDoc, ...]:
        assert self.ids is not None
        ids = _list_at(self.ids, answer)
        scores: Sequence[Any] = _list_at(self.scores, answer) if self.scores else [None] * len(ids)
        if len(ids) != len(scores):
            raise Unreadable(f"the answer has {len(ids)} ids and {len(scores)} scores")
        return tuple(
            ScoredDoc(_checked_id(doc_id, place), _checked_score(score, place))
            for place, (doc_id, score) in enumerate(zip(ids, scores, strict=True), 1)
        )

    def _listed(self, answer: Any) -> tuple[ScoredDoc, ...]:
        listed = _list_at(self.hits, answer) if self.hits else recognised_list(answer)
        if listed is None:
            raise Unreadable(f"the answer has no list of hits that is recognised; {described(answer)}. Set 'hits'")
        return tuple(self._hit(hit, place) for place, hit in enumerate(listed, 1))

    def _hit(self, hit: Any, place: int) -> ScoredDoc:
        doc_id = self.ids.find(hit) if self.ids else recognised_id(hit)
        if doc_id is None:
            where = f"at '{self.ids.text}'" if self.ids else f"(looked for {', '.join(IDS[:4])})"
            raise Unreadable(f"hit {place} has no id {where}; {described(hit, 'it')}. Set 'ids'")
        score = self.scores.find(hit) if self.scores else recognised_score(hit)
        return ScoredDoc(_checked_id(doc_id, place), _checked_score(score, place))

    def _abstained(self, answer: Any) -> bool | None:
        value = self.abstained.find(answer) if self.abstained else None
        if value is None or isinstance(value, bool):
            return value
        assert self.abstained is not None
        raise Unreadable(f"'{self.abstained.text}' is {_shown(value)}, not true or false. Compare it: \"x == 'y'\"")


def recognised_list(answer: Any, depth: int = 2) -> list[Any] | None:
    """The list of hits in an answer of a common shape."""
    if isinstance(answer, list):
        return answer
    if not isinstance(answer, Mapping):
        return None
    for name in LISTS:
        if isinstance(answer.get(name), list):
            return list(answer[name])
    for name in WRAPPERS if depth else ():
        if (found := recognised_list(answer.get(name), depth - 1)) is not None:
            return found
    return None


def recognised_id(hit: Any) -> Any:
    """The id of a hit of a common shape; None when there is none."""
    if not isinstance(hit, Mapping):
        return hit if isinstance(hit, str | int) else None
    for name in IDS:
        if hit.get(name) is not None:
            return hit[name]
    holders = (hit[name] for name in HOLDERS if isinstance(hit.get(name), Mapping))
    return next((holder[name] for holder in holders for name in IDS if holder.get(name) is not None), None)


def recognised_score(hit: Any) -> Any:
    """The score of a hit of a common shape; None when there is none."""
    if not isinstance(hit, Mapping):
        return None
    return next((hit[name] for name in SCORES if hit.get(name) is not None), None)


def described(answer: Any, it: str = "it") -> str:
    """``it has keys: a, b``, or what it is instead."""
    if isinstance(answer, Mapping):
        keys = [_printable(str(key))[:40] for key in list(answer)[:12]]
        return f"{it} has keys: {', '.join(keys)}" if keys else f"{it} is an empty object"
    if isinstance(answer, list):
        return f"{it} is a list of {len(answer)}"
    return f"{it} is {_shown(answer)}"


def _list_at(path: Path, answer: Any) -> list[Any]:
    found = path.find(answer)
    if isinstance(found, list):
        return found
    instead = "" if found is None else f" (there is {_shown(found)})"
    raise Unreadable(f"the answer has no list at '{path.text}'{instead}; {described(answer)}")


def _checked_id(doc_id: Any, place: int) -> str:
    if isinstance(doc_id, bool) or not isinstance(doc_id, str | int) or doc_id == "":
        raise Unreadable(f"the id of hit {place} is {_shown(doc_id)}, neither text nor a whole number")
    return str(doc_id)


def _checked_score(score: Any, place: int) -> float | None:
    if score is None:
        return None
    try:
        number = math.nan if isinstance(score, bool) else float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise Unreadable(f"the score of hit {place} is {_shown(score)}, not a number")
    return number


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else f"a list of {len(value)}"
    return repr(_printable(str(value))[:60]) if isinstance(value, str) else {None: "null"}.get(value, str(value)[:60])


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
