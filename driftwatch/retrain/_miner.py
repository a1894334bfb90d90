"""Questions become rows: candidates of two rankings, what the guards leave of them, and the choice among that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain._asked import Question
from driftwatch.retrain._bm25 import Words
from driftwatch.retrain._candidates import Neighbours, Source, Vectors, nearest
from driftwatch.retrain._choose import Candidate, Choice, chosen, drawn
from driftwatch.retrain._guards import ANSWERS, CLICKED, KNOWN, SAME_DOCUMENT, Answer, Corpus, Guard, outside
from driftwatch.retrain._judge import Judge
from driftwatch.retrain.settings import Mine
from driftwatch.retrained import Band, Row

QUESTIONS = 1024
"""Questions that are looked at in one go: what bounds the memory beside the vectors."""
SAID, FILLED, ASKED = "said to be wrong", "filled at random", "judged"
"""What is counted."""
_SPARE = 64
"""Places of the ranking beyond the window, for what is excluded by its id."""
_PARTS = 128
"""Parts of a question's answers that candidates are compared with."""
_MANY = 4
"""Drawn at random for each that is wanted."""

_Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Places, best first, and their cosines with the question."""


class Queries:
    """The vectors of questions: asked for, or there already."""

    def __init__(self, source: Source, pairs: int) -> None:
        """``pairs``: of which vectors that are there already are one each.

        Raises:
            RetrainError: there is another number of them.
        """
        if not callable(source) and len(source) != pairs:
            raise RetrainError(
                f"there are {pairs} pairs, and {len(source)} vectors of questions.", remedy="Hand in one for each pair."
            )
        self._source = source

    def of(self, questions: Sequence[Question]) -> NDArray[np.float32]:
        """shape (n, dimension), of length 1."""
        source = self._source if callable(self._source) else self._source[[each.pair for each in questions]]
        return Vectors.of(source, [each.text for each in questions]).rows(np.arange(len(questions)))


@dataclass(frozen=True, eq=False)
class Draft:
    """A question with one of its answers, and the passages that no guard minds."""

    question: Question
    query: NDArray[np.float32]
    """Its vector."""
    answer: Answer
    excluded: Mapping[int, str]
    wrong: list[Candidate]
    """Somebody said that they do not answer it."""
    lists: dict[Band, list[Candidate]]

    def places(self) -> list[int]:
        """Of all candidates, each once."""
        return list(dict.fromkeys(each.place for found in self.lists.values() for each in found))


@dataclass(eq=False)
class Miner:
    """Turns questions into rows, a block of them at a time."""

    corpus: Corpus
    settings: Mine
    guard: Guard
    judge: Judge | None
    device: str
    neighbours: Neighbours | None
    most_uses: int
    uses: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    words: Words | None = None

    def rows(self, questions: Sequence[Question], queries: Queries) -> Iterator[Row]:
        """One for each answer of each question, in order; some may have no negatives."""
        if self.settings.bm25 and questions:
            texts = (each.text for each in self.corpus.passages)
            self.words = Words(texts, (each.text for each in questions))
        for start in range(0, len(questions), QUESTIONS):
            some = questions[start : start + QUESTIONS]
            drafts = list(self._drafts(some, queries.of(some)))
            if self.judge is not None:
                drafts = self._judged(self.judge, drafts)
            for draft in drafts:
                yield self._row(draft)

    def _drafts(self, questions: Sequence[Question], queries: NDArray[np.float32]) -> Iterator[Draft]:
        excluded = [self._excluded(each) for each in questions]
        count = min(len(self.corpus), self.settings.ranks[1] + min(_SPARE, max(map(len, excluded), default=0)))
        near, scores = self._nearest(queries, count)
        alike = self.words.best([each.text for each in questions], count) if self.words else near[:, :0]
        for row, question in enumerate(questions):
            by_words = alike[row][alike[row] >= 0]
            rankings: dict[Band, _Ranking] = {"dense": (near[row], scores[row])}
            if self.words:
                rankings["bm25"] = (by_words, self._scores(by_words, queries[row]))
            yield from self._of_question(question, queries[row], rankings, excluded[row])

    def _nearest(self, queries: NDArray[np.float32], count: int) -> _Ranking:
        if self.neighbours is not None:
            return self.neighbours(queries, self.corpus.vectors.whole(), count)
        return nearest(queries, self.corpus.vectors, count, self.device)

    def _excluded(self, question: Question) -> dict[int, str]:
        """Places of passages that are no candidates, by their documents."""
        by_guard = ((CLICKED, question.clicked), (SAME_DOCUMENT, question.answers))
        parts = self.corpus.parts
        return {place: guard for guard, found in by_guard for doc_id in found for place in parts.get(doc_id, ())}

    def _of_question(
        self,
        question: Question,
        query: NDArray[np.float32],
        rankings: Mapping[Band, _Ranking],
        excluded: dict[int, str],
    ) -> Iterator[Draft]:
        answers = [self.corpus.nearest_part(doc_id, query) for doc_id in question.answers]
        wrong = np.array([self.corpus.nearest_part(doc_id, query) for doc_id in question.wrong], np.int64)
        excluded |= dict.fromkeys(wrong.tolist(), "") | dict.fromkeys(answers, KNOWN)
        found: dict[Band, _Ranking] = {}
        for band, (places, scores) in rankings.items():
            kept = outside(excluded, places, self.settings.ranks, self.corpus, self.guard.tally)
            found[band] = places[kept], scores[kept]
        if self.settings.random:
            drawn_places = self._at_random(question.name, excluded)
            found["random"] = drawn_places, self._scores(drawn_places, query)
        parts = [*answers, *(place for place, guard in excluded.items() if guard == SAME_DOCUMENT)]
        some = np.array(parts[: max(_PARTS, len(answers))], np.int64)
        vectors = self.corpus.vectors.rows(some)
        for place, score in zip(answers, (vectors @ query).tolist(), strict=False):
            answer = Answer(place, score, some, vectors)
            lists = {band: self.guard.first(answer, *found[band], band, self._wanted) for band in found}
            yield Draft(question, query, answer, excluded, self._said(answer, wrong, query), lists)

    @property
    def _wanted(self) -> int:
        """Candidates of a kind and a language among which a row's negatives are chosen."""
        return 2 * self.settings.negatives + 2

    def _scores(self, places: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.corpus.vectors.rows(places) @ query

    def _said(self, answer: Answer, wrong: NDArray[np.int64], query: NDArray[np.float32]) -> list[Candidate]:
        """Passages that somebody said do not answer the question, the hardest first; no margin holds for them."""
        if not len(wrong):
            return []
        scores, nearest = self._scores(wrong, query).tolist(), self.guard.likeness(answer, wrong)
        found = [
            Candidate(place, score, self.corpus.passages[place].lang, "dense")
            for place, score, near in zip(wrong.tolist(), scores, nearest, strict=True)
            if not self.guard.is_copy(place, *near)
        ]
        return sorted(found, key=lambda each: -each.score)

    def _at_random(self, name: str, excluded: Mapping[int, str]) -> NDArray[np.int64]:
        """Places that the seed and the name decide, each once."""
        seed = int(drawn(self.settings.seed, "at random", name)[0] * 2**48)
        places = np.random.default_rng(seed).integers(len(self.corpus), size=_MANY * self._wanted)
        return np.array([place for place in dict.fromkeys(places.tolist()) if place not in excluded], np.int64)

    def _judged(self, judge: Judge, drafts: Sequence[Draft]) -> list[Draft]:
        """The drafts without what the judge says is an answer; it is asked about all of them at once."""
        places = [[draft.answer.place, *draft.places()] for draft in drafts]
        texts = [
            (draft.question.text, self.corpus.passages[place].text)
            for draft, some in zip(drafts, places, strict=True)
            for place in some
        ]
        said = iter(np.asarray(judge(texts), np.float32).tolist())
        self.counts[ASKED] += len(texts) - len(drafts)
        return [
            self._without_answers(draft, dict(zip(some, said, strict=False)))
            for draft, some in zip(drafts, places, strict=True)
        ]

    def _without_answers(self, draft: Draft, scores: dict[int, float]) -> Draft:
        """``scores``: the judge's, of the answer and of each candidate."""
        of_answer = scores.pop(draft.answer.place)
        limit = of_answer - abs(of_answer) * (1 - self.settings.judge_share)
        for place, score in scores.items():
            if score > limit:
                self.guard.tally.add(ANSWERS, self.corpus.passages[place].passage_id)
        lists = {band: [each for each in found if scores[each.place] <= limit] for band, found in draft.lists.items()}
        return replace(draft, lists=lists)

    def _row(self, draft: Draft) -> Row:
        negatives = self._negatives(draft)
        passages = self.corpus.passages
        self.uses.update(each.place for each in negatives)
        return Row(
            draft.question.text,
            passages[draft.answer.place].passage_id,
            tuple(passages[each.place].passage_id for each in negatives),
            tuple(each.band for each in negatives),
            draft.question.lang,
        )

    def _negatives(self, draft: Draft) -> list[Candidate]:
        """What was said to be wrong, then the hardest first."""
        said = draft.wrong[: self.settings.negatives]
        draw = drawn(self.settings.seed, draft.question.name, self.corpus.passages[draft.answer.place].passage_id)
        found = chosen(draft.lists, self._choice(self.settings.negatives - len(said)), self.uses, draw)
        missing = self.settings.negatives - len(said) - len(found)
        if missing:
            filled = chosen({"random": self._more(draft, found)}, self._choice(missing), self.uses, draw)
            self.counts[FILLED] += len(filled)
            found += filled
        self.counts[SAID] += len(said)
        return said + sorted(found, key=lambda each: (-each.score, each.place))

    def _more(self, draft: Draft, found: Sequence[Candidate]) -> list[Candidate]:
        """Candidates at random, where the rankings hold too few that no guard minds."""
        passage = self.corpus.passages[draft.answer.place].passage_id
        beside = {**draft.excluded, **dict.fromkeys((each.place for each in found), "")}
        places = self._at_random(f"{draft.question.name}\n{passage}", beside)
        return self.guard.first(draft.answer, places, self._scores(places, draft.query), "random", self._wanted)

    def _choice(self, slots: int) -> Choice:
        settings = self.settings
        bands: dict[Band, float] = {
            "dense": max(0.0, 1 - settings.bm25 - settings.random),
            "bm25": settings.bm25,
            "random": settings.random,
        }
        return Choice(slots, bands, self.corpus.languages, self.most_uses)
