"""The questions of the pairs, each once, with everything that was said about documents for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from driftwatch.retrain._alike import key
from driftwatch.retrain._removed import TakenOut
from driftwatch.retrained import Pair

NO_DOCUMENT = "an answer that the corpus does not hold"
BOTH = "said to answer the question, and not to answer it"


@dataclass(frozen=True, slots=True)
class Question:
    """All pairs whose questions are the same to a reader."""

    name: str
    """Of the question, however it is spelt."""
    text: str
    """As most sessions spelt it."""
    lang: str
    pair: int
    """Place of the pair that it is from."""
    answers: tuple[str, ...]
    """doc_ids that the corpus holds."""
    wrong: tuple[str, ...]
    """doc_ids that somebody said do not answer it."""
    clicked: frozenset[str]
    """doc_ids that somebody clicked for it: neither answers nor negatives."""


def documents_named(pairs: Sequence[Pair], clicked: Mapping[str, Collection[str]]) -> set[str]:
    """Every doc_id that a pair or a click names."""
    return {pair.doc_id for pair in pairs} | {doc_id for found in clicked.values() for doc_id in found}


def questions_of(
    pairs: Sequence[Pair],
    clicked: Mapping[str, Collection[str]],
    held: Collection[str],
    seed: int,
    taken: TakenOut,
) -> list[Question]:
    """Those with an answer that is ``held``, in an order that the seed and the questions decide."""
    names = {text: key(text) for text in {pair.query for pair in pairs}}
    clicks: defaultdict[str, set[str]] = defaultdict(set)
    for text, found in clicked.items():
        clicks[key(text)].update(found)
    by_name: defaultdict[str, list[int]] = defaultdict(list)
    for place, pair in enumerate(pairs):
        by_name[names[pair.query]].append(place)
    ordered = sorted(by_name, key=lambda name: _turn(seed, name))
    asked = (_question(name, by_name[name], pairs, frozenset(clicks[name]), held, taken) for name in ordered)
    return [question for question in asked if question is not None]


def _question(
    name: str,
    places: Sequence[int],
    pairs: Sequence[Pair],
    clicked: frozenset[str],
    held: Collection[str],
    taken: TakenOut,
) -> Question | None:
    answers = {pairs[place].doc_id for place in places if pairs[place].relevant}
    wrong = {pairs[place].doc_id for place in places if not pairs[place].relevant}
    there = sorted(doc_id for doc_id in answers if doc_id in held)
    for doc_id in sorted(answers.difference(there)):
        taken.add(NO_DOCUMENT, doc_id)
    if answers & wrong:
        taken.add(BOTH, pairs[places[0]].query, len(answers & wrong))
    if not there:
        return None
    spelt = min(
        _relevant(places, pairs), key=lambda place: (-pairs[place].count, pairs[place].query, pairs[place].lang)
    )
    return Question(
        name,
        pairs[spelt].query,
        pairs[spelt].lang,
        spelt,
        tuple(there),
        tuple(sorted(doc_id for doc_id in wrong - answers - clicked if doc_id in held)),
        clicked - answers,
    )


def _relevant(places: Sequence[int], pairs: Sequence[Pair]) -> Iterator[int]:
    return (place for place in places if pairs[place].relevant)


def _turn(seed: int, name: str) -> bytes:
    return blake2b(f"{seed} {name}".encode("utf-8", "replace"), digest_size=12).digest()
