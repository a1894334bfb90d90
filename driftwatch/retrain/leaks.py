"""Nothing that the gate judges by ever trains: pairs in, and those that may train out.

A question of the gate is found again whatever was done to its signs, with words around it, nearly spelt the same, and,
by the model in use, when it was put into other words or another language. Of two questions with the same answer less
will do: what a person calls the same question in other words is often no nearer than .8 to a model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain._alike import alike, containing, key
from driftwatch.retrain._copies import sharing
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrain.settings import Leaks
from driftwatch.retrained import Asked, Pair, Removed

Encode = Callable[[Sequence[str]], NDArray[Any]]
"""Texts -> one vector each, of any length: only directions are compared."""

OF_THE_GATE = "a question of the gate with its answer"
THE_SAME = "the words of a question of the gate"
HOLDS_ONE = "a question of the gate with words around it"
SPELT_ALIKE = "near-duplicate of a question of the gate, by its letters"
MEANS_ALIKE = "near-duplicate of a question of the gate, by its meaning"
IS_ONE = "an answer that is itself a question of the gate"
SAME_ANSWER = "a question like one of the gate, by its meaning, with the same answer"
COPY = "an answer that shares its text with a held-out one"
GUARDS = (OF_THE_GATE, THE_SAME, HOLDS_ONE, SPELT_ALIKE, IS_ONE, COPY, MEANS_ALIKE, SAME_ANSWER)
"""In the order in which they look: what one has taken out, the next does not see."""

HELD_OUT = "held-out"
"""The group whose documents never train; canaries may be about any document."""
_TEXTS = 2048
"""Questions that are embedded in one go."""
_SCORES = 1 << 22
"""Similarities that are held in memory at once."""
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Guarded:
    """Pairs that may train, in their order, and what was taken out."""

    pairs: tuple[Pair, ...]
    removed: tuple[Removed, ...]
    """One for each guard that found something, in the order of ``GUARDS``."""


def guarded(
    pairs: Sequence[Pair],
    judged: Sequence[Asked],
    passages_by_doc: Mapping[str, Iterable[str]] | None,
    encode: Encode,
    settings: Leaks,
) -> Guarded:
    """The pairs of which neither the question nor, as a text, the answer is one that the gate asks.

    ``judged``: canaries, held-out questions and those of the forgetting set alike. ``passages_by_doc``: doc_id -> its
    texts, for corpora in which a document may be a question itself, or a copy of a held-out one; None: they are not
    looked at. ``encode`` is asked for each different question once, and only for those that the guards of letters
    leave. Memory does not grow with the number of pairs times that of questions.

    Raises:
        RetrainError: ``encode`` gives numbers that are not finite: then nobody can say what is near.
    """
    if not judged:
        return Guarded(tuple(pairs), ())
    asked = [each.text for each in judged]
    found: dict[int, str] = dict(_with_its_answer(pairs, judged))
    _mark(found, pairs, THE_SAME, lambda texts: _the_same(texts, asked))
    _mark(found, pairs, HOLDS_ONE, lambda texts: containing(texts, asked))
    _mark(found, pairs, SPELT_ALIKE, lambda texts: alike(texts, asked, settings.words))
    found |= dict.fromkeys(_answers(pairs, asked, passages_by_doc or {}, found), IS_ONE)
    found |= dict.fromkeys(_copies(pairs, judged, passages_by_doc or {}, found), COPY)
    left = [place for place in range(len(pairs)) if place not in found]
    texts = list(dict.fromkeys(pairs[place].query for place in left))
    meant = _meant(texts, _answering(pairs, judged), asked, encode, settings)
    found |= {place: meant[pairs[place].query] for place in left if pairs[place].query in meant}
    return Guarded(tuple(pair for place, pair in enumerate(pairs) if place not in found), _removed(pairs, found))


def _mark(
    found: dict[int, str],
    pairs: Sequence[Pair],
    name: str,
    guard: Callable[[Sequence[str]], Iterable[tuple[int, int]]],
) -> None:
    """Add the places of pairs whose question the guard finds, of those left; a question is looked at once."""
    left = [place for place in range(len(pairs)) if place not in found]
    texts = list(dict.fromkeys(pairs[place].query for place in left))
    caught = {texts[row] for row, _ in guard(texts)}
    found |= {place: name for place, pair in enumerate(pairs) if place not in found and pair.query in caught}


def _with_its_answer(pairs: Sequence[Pair], judged: Sequence[Asked]) -> Iterator[tuple[int, str]]:
    """Places of pairs that the gate judges by."""
    of_gate = {(key(each.text), doc_id) for each in judged for doc_id in each.relevant}
    keys = {text: key(text) for text in {pair.query for pair in pairs}}
    return ((place, OF_THE_GATE) for place, pair in enumerate(pairs) if (keys[pair.query], pair.doc_id) in of_gate)


def _the_same(texts: Sequence[str], asked: Sequence[str]) -> Iterator[tuple[int, int]]:
    places = {key(text): place for place, text in enumerate(asked)}
    for row, text in enumerate(texts):
        if (which := places.get(key(text))) is not None:
            yield row, which


def _answers(
    pairs: Sequence[Pair], asked: Sequence[str], passages_by_doc: Mapping[str, Iterable[str]], found: Iterable[int]
) -> Iterator[int]:
    """Places of pairs whose document is, word for word, a question of the gate."""
    keys, known = set(map(key, asked)), set(found)
    wanted = {pair.doc_id for pair in pairs} & passages_by_doc.keys()
    documents = {doc_id for doc_id in wanted if any(key(text) in keys for text in passages_by_doc[doc_id])}
    return (place for place, pair in enumerate(pairs) if place not in known and pair.doc_id in documents)


def _copies(
    pairs: Sequence[Pair], judged: Sequence[Asked], passages_by_doc: Mapping[str, Iterable[str]], found: Iterable[int]
) -> Iterator[int]:
    """Places of pairs whose document is, in part, that of a held-out question under another name."""
    known = set(found)
    held = {doc_id for each in judged if each.group == HELD_OUT for doc_id in _answers_of(each)}
    trained = {pair.doc_id for place, pair in enumerate(pairs) if pair.relevant and place not in known} - held
    copies = sharing(passages_by_doc, held, trained)
    return (place for place, pair in enumerate(pairs) if pair.relevant and place not in known and pair.doc_id in copies)


def _answering(pairs: Sequence[Pair], judged: Sequence[Asked]) -> dict[str, list[int]]:
    """Question of a pair -> places of the questions of the gate that have an answer in common with it."""
    by_answer: defaultdict[str, set[int]] = defaultdict(set)
    for place, each in enumerate(judged):
        for doc_id in _answers_of(each):
            by_answer[doc_id].add(place)
    found: defaultdict[str, set[int]] = defaultdict(set)
    for pair in pairs:
        if pair.relevant and pair.doc_id in by_answer:
            found[pair.query] |= by_answer[pair.doc_id]
    return {text: sorted(places) for text, places in found.items()}


def _answers_of(asked: Asked) -> Iterator[str]:
    return (doc_id for doc_id, relevance in asked.relevant.items() if relevance > 0)


def _meant(
    texts: Sequence[str], answering: Mapping[str, list[int]], asked: Sequence[str], encode: Encode, settings: Leaks
) -> dict[str, str]:
    """Text -> the guard that finds it, of those whose vector is near to one of ``asked``."""
    if not texts:
        return {}
    found: dict[str, str] = {}
    of_gate = _unit_rows(encode, list(asked))
    at_once = max(1, _SCORES // len(of_gate))
    for start in range(0, len(texts), _TEXTS):
        rows = _unit_rows(encode, texts[start : start + _TEXTS])
        for first in range(0, len(rows), at_once):
            scores, begin = rows[first : first + at_once] @ of_gate.T, start + first
            for text, some in zip(texts[begin : begin + len(scores)], scores, strict=True):
                if some.max() >= settings.cosine - _SLACK:
                    found[text] = MEANS_ALIKE
                elif text in answering and some[answering[text]].max() >= settings.same_answer - _SLACK:
                    found[text] = SAME_ANSWER
    return found


def _unit_rows(encode: Encode, texts: Sequence[str]) -> NDArray[np.float32]:
    rows = np.asarray(encode(texts), dtype=np.float32)
    if len(rows) != len(texts) or not np.isfinite(rows).all():
        raise RetrainError(
            f"the model in use gives {len(rows)} vectors for {len(texts)} questions, or numbers that are not finite: "
            "nobody can say which of them are near to one of the gate.",
            remedy="Check 'embedder'; in float16 some models overflow: set 'dtype: float32'.",
        )
    unit: NDArray[np.float32] = rows / np.maximum(
        np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny
    )
    return unit


def _removed(pairs: Sequence[Pair], found: Mapping[int, str]) -> tuple[Removed, ...]:
    """By guard, in the order of ``GUARDS``."""
    taken = TakenOut()
    for guard in GUARDS:
        for place, pair in enumerate(pairs):
            if found.get(place) == guard:
                taken.add(guard, pair.query)
    return taken.all()
