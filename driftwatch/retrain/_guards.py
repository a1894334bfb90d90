"""What keeps an answer from becoming a negative: each candidate passes all guards, or is counted under the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrain._alike import overlap, plain
from driftwatch.retrain._candidates import Source, Vectors
from driftwatch.retrain._choose import Candidate
from driftwatch.retrained import Band, Passage, Removed

KNOWN = "a known answer of the question"
SAME_DOCUMENT = "another part of an answer's document"
CLICKED = "a document that was clicked for the question"
MARGIN = "as near to the question as the answer, or nearly"
COPY = "near-duplicate of the answer, by its vector"
SAME_WORDS = "near-duplicate of the answer, by its words"
ANSWERS = "an answer, says the cross-encoder"
GUARDS = (KNOWN, SAME_DOCUMENT, CLICKED, MARGIN, COPY, SAME_WORDS, ANSWERS)
"""In the order in which they look."""

WORTH_READING = 0.8
"""Cosine of two passages from which their words are compared."""
NEAR_WORDS = 0.8
"""Share of three-letter pieces (Jaccard) from which two passages are one."""
_SLACK = 1e-6
_EXAMPLES = 3
_FEW = 16
"""Up to so many are compared one by one: that is quicker than sorting."""


class Tally:
    """How many candidates each guard took out, with a few of their ids."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, guard: str, example: str, count: int = 1) -> None:
        """So many more."""
        self.counts[guard] += count
        shown = self._examples.setdefault(guard, [])
        if len(shown) < _EXAMPLES and example not in shown:
            shown.append(example)

    def removed(self) -> Iterator[Removed]:
        """In the order of ``GUARDS``."""
        for guard in GUARDS:
            if self.counts[guard]:
                yield Removed(guard, self.counts[guard], tuple(self._examples[guard]))


class Corpus:
    """The passages with their vectors, and where the documents are that somebody named."""

    def __init__(self, passages: Sequence[Passage], source: Source, named: set[str]) -> None:
        self.passages = passages
        self.vectors = Vectors.of(source, [each.text for each in passages])
        self.parts: dict[str, list[int]] = {}
        for place, each in enumerate(passages):
            if each.parent in named:
                self.parts.setdefault(each.parent, []).append(place)
        counts = Counter(each.lang for each in passages)
        self.languages: Mapping[str, float] = {lang: counts[lang] / len(passages) for lang in sorted(counts)}
        """Language -> its share of the passages."""
        self.words = lru_cache(maxsize=4096)(self._words)

    def __len__(self) -> int:
        return len(self.passages)

    def nearest_part(self, doc_id: str, query: NDArray[np.float32]) -> int:
        """Place of the passage of a document that is nearest to a question."""
        places = self.parts[doc_id]
        return places[0] if len(places) == 1 else places[int((self.vectors.rows(places) @ query).argmax())]

    def _words(self, place: int) -> str:
        return plain(self.passages[place].text)


@dataclass(frozen=True, eq=False)
class Answer:
    """One of the answers of a question."""

    place: int
    score: float
    """Its cosine with the question."""
    parts: NDArray[np.int64]
    """Places of all answers of the question, and of the other parts of their documents."""
    vectors: NDArray[np.float32]
    """Theirs."""

    def limit(self, margin: float) -> float:
        """The highest score of a negative. The margin is a share of the answer's score, whatever its sign."""
        return self.score - abs(self.score) * margin


def outside(
    excluded: Mapping[int, str], ranking: NDArray[np.int64], ranks: tuple[int, int], corpus: Corpus, tally: Tally
) -> NDArray[np.int64]:
    """Numbers of those of a ranking that are not ``excluded`` and are in the window; what is excluded takes no rank.

    ``excluded``: place -> the guard that it is counted under; under none, where that is empty.
    """
    named = np.fromiter(excluded, np.int64, len(excluded))
    out = (ranking[:, None] == named).any(axis=1) if len(named) <= _FEW else np.isin(ranking, named)
    kept = np.flatnonzero(~out & (ranking >= 0))[ranks[0] - 1 : ranks[1]]
    last = kept[-1] if len(kept) == ranks[1] - ranks[0] + 1 else len(ranking)
    for number in np.flatnonzero(out):
        place = int(ranking[number])
        if number < last and excluded[place]:
            tally.add(excluded[place], corpus.passages[place].passage_id)
    return kept


@dataclass(frozen=True)
class Guard:
    """Finds, for one answer after the other, the candidates that are no answers."""

    corpus: Corpus
    margin: float
    near_duplicate: float
    tally: Tally

    def first(
        self, answer: Answer, places: NDArray[np.int64], scores: NDArray[np.float32], band: Band, wanted: int
    ) -> list[Candidate]:
        """The first ``wanted`` candidates of each language that pass, in the order of ``places``."""
        far = self._below(answer, places, scores)
        room = dict.fromkeys(self.corpus.languages, wanted)
        found: list[Candidate] = []
        for start in range(0, len(far), wanted):
            if not any(room.values()):
                break
            some = far[start : start + wanted]
            nearest = self.likeness(answer, places[some])
            for place, score, near in zip(places[some].tolist(), scores[some].tolist(), nearest, strict=True):
                lang = self.corpus.passages[place].lang
                if room[lang] and not self.is_copy(place, *near):
                    room[lang] -= 1
                    found.append(Candidate(place, score, lang, band))
        return found

    def likeness(self, answer: Answer, places: NDArray[np.int64]) -> list[tuple[int, float]]:
        """Of each, the part of an answer that it is nearest to, and their cosine."""
        cosines = self.corpus.vectors.rows(places) @ answer.vectors.T
        nearest = cosines.argmax(axis=1)
        return list(zip(answer.parts[nearest].tolist(), cosines.max(axis=1).tolist(), strict=True))

    def is_copy(self, place: int, of: int, cosine: float) -> bool:
        """Whether a passage says what part ``of`` an answer says; counted, where it does."""
        if cosine >= self.near_duplicate - _SLACK:
            guard = COPY
        elif cosine >= WORTH_READING and self._same_words(place, of):
            guard = SAME_WORDS
        else:
            return False
        self.tally.add(guard, self.corpus.passages[place].passage_id)
        return True

    def _below(self, answer: Answer, places: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Numbers of those that are far enough from the question."""
        near = scores > answer.limit(self.margin) + _SLACK
        if near.any():
            self.tally.add(MARGIN, self.corpus.passages[int(places[near.argmax()])].passage_id, int(near.sum()))
        return np.flatnonzero(~near)

    def _same_words(self, place: int, other: int) -> bool:
        one, two = self.corpus.words(place), self.corpus.words(other)
        return one.replace(" ", "") == two.replace(" ", "") or overlap(one, two) >= NEAR_WORDS
