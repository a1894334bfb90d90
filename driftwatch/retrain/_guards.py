"""What keeps an answer from becoming a negative: each candidate passes all guards, or is counted under the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
_AT_ONCE = 512
"""Passages that are compared with others in one go."""


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
        numbers = {lang: number for number, lang in enumerate(self.languages)}
        self.spoken = np.fromiter((numbers[each.lang] for each in passages), np.int16, len(passages))
        """Of each passage, its language's place among them."""
        self.words = lru_cache(maxsize=4096)(self._words)

    def __len__(self) -> int:
        return len(self.passages)

    def nearest_part(self, doc_id: str, query: NDArray[np.float32]) -> int:
        """Place of the passage of a document that is nearest to a question."""
        places = self.parts[doc_id]
        return places[0] if len(places) == 1 else places[int((self.vectors.rows(places) @ query).argmax())]

    def _words(self, place: int) -> str:
        return plain(self.passages[place].text)


class Answer(NamedTuple):
    """One of the answers of a question."""

    place: int
    score: float
    """Its cosine with the question."""
    row: int
    """Of the question in the rankings."""
    parts: list[int]
    """Places of all answers of the question, and of the other parts of their documents."""


class Ranking(NamedTuple):
    """Passages in the order in which they were found, a row for each question."""

    places: NDArray[np.int64]
    """shape (questions, k); -1 where there are no more."""
    scores: NDArray[np.float32]
    """Their cosines with the question."""


@dataclass(frozen=True)
class Guard:
    """Finds the candidates that are no answers, for many questions at once."""

    corpus: Corpus
    margin: float
    near_duplicate: float
    tally: Tally

    def window(
        self, places: NDArray[np.int64], excluded: Sequence[Mapping[int, str]], ranks: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """Which of a ranking are between the ``ranks``; what is excluded is not, and takes none.

        ``excluded``: of each question, place -> the guard that it is counted under; under none, where that is empty.
        """
        kept = places >= 0
        for row, guards in enumerate(excluded):
            for place, guard in guards.items():
                there = np.flatnonzero(places[row] == place)
                kept[row, there] = False
                if guard and len(there):
                    self._count(guard, place)
        rank = np.cumsum(kept, axis=1, dtype=np.int32)
        return kept & (rank >= ranks[0]) & (rank <= ranks[1])

    def first(
        self, answers: Sequence[Answer], ranking: Ranking, window: NDArray[np.bool_], band: Band, wanted: int
    ) -> list[list[Candidate]]:
        """Of each answer: the first ``wanted`` candidates of each language that pass, in the order of the ranking."""
        rows = [each.row for each in answers]
        places, scores = ranking.places[rows], ranking.scores[rows]
        passing = self._far(answers, places, scores, window[rows])
        spoken = self.corpus.spoken[places]
        seen = np.zeros_like(passing)
        while True:
            chosen = _first_of_each(passing, spoken, len(self.corpus.languages), wanted)
            fresh = np.nonzero(chosen & ~seen)
            if not len(fresh[0]):
                break
            seen[fresh] = True
            passing[fresh] = ~self.copies(places[fresh], [answers[number].parts for number in fresh[0].tolist()])
        names = list(self.corpus.languages)
        found: list[list[Candidate]] = [[] for _ in answers]
        at = np.nonzero(chosen)
        for number, place, score, lang in zip(
            at[0].tolist(), places[at].tolist(), scores[at].tolist(), spoken[at].tolist(), strict=True
        ):
            found[number].append(Candidate(place, score, names[lang], band))
        return found

    def copies(self, places: NDArray[np.int64], parts: Sequence[list[int]]) -> NDArray[np.bool_]:
        """Which say what one of their ``parts`` says; they are counted."""
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        others = np.fromiter((part for some in parts for part in some), np.int64, int(lengths.sum()))
        cosines = self._cosines(np.repeat(places, lengths), others)
        starts = np.cumsum(lengths) - lengths
        found = np.zeros(len(places), bool)
        for number in np.flatnonzero(np.maximum.reduceat(cosines, starts) >= WORTH_READING).tolist():
            place, start = int(places[number]), int(starts[number])
            near = dict(zip(parts[number], cosines[start : start + len(parts[number])].tolist(), strict=True))
            if max(near.values()) >= self.near_duplicate - _SLACK:
                self._count(COPY, place)
            elif any(cosine >= WORTH_READING and self._same_words(place, part) for part, cosine in near.items()):
                self._count(SAME_WORDS, place)
            else:
                continue
            found[number] = True
        return found

    def _far(
        self,
        answers: Sequence[Answer],
        places: NDArray[np.int64],
        scores: NDArray[np.float32],
        window: NDArray[np.bool_],
    ) -> NDArray[np.bool_]:
        """Which are far enough from the question. The margin is a share of the answer's score, whatever its sign."""
        of_answers = np.array([each.score for each in answers], np.float32)
        limits = of_answers - np.abs(of_answers) * np.float32(self.margin)
        near = window & (scores > limits[:, None] + np.float32(_SLACK))
        if near.any():
            self._count(MARGIN, int(places[near][0]), int(near.sum()))
        return window & ~near

    def _cosines(self, places: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of each with the one in the same position."""
        cosines = np.empty(len(places), np.float32)
        vectors = self.corpus.vectors
        for start in range(0, len(places), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            cosines[some] = np.einsum("ij,ij->i", vectors.rows(places[some]), vectors.rows(others[some]))
        return cosines

    def _same_words(self, place: int, other: int) -> bool:
        one, two = self.corpus.words(place), self.corpus.words(other)
        return one.replace(" ", "") == two.replace(" ", "") or overlap(one, two) >= NEAR_WORDS

    def _count(self, guard: str, place: int, count: int = 1) -> None:
        self.tally.add(guard, self.corpus.passages[place].passage_id, count)


def _first_of_each(
    passing: NDArray[np.bool_], spoken: NDArray[np.int16], languages: int, wanted: int
) -> NDArray[np.bool_]:
    """Of each row, the first ``wanted`` that pass in each language."""
    chosen = np.zeros_like(passing)
    for lang in range(languages):
        here = passing & (spoken == lang) if languages > 1 else passing
        chosen |= here & (np.cumsum(here, axis=1, dtype=np.int32) <= wanted)
    return chosen
