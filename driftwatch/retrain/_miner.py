"""Questions become rows: candidates of two rankings, what the guards leave of them, and the choice among that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain._asked import Question
from driftwatch.retrain._bm25 import Words
from driftwatch.retrain._candidates import Neighbours, Source, Vectors
from driftwatch.retrain._choose import Candidate, Choice, chosen, drawn
from driftwatch.retrain._guards import ANSWERS, CLICKED, KNOWN, SAME_DOCUMENT, Answer, Corpus, Guard, Ranking
from driftwatch.retrain._judge import Judge
from driftwatch.retrain._neighbours import nearest
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
        answers, wrong, excluded = [], [], []
        for row, question in enumerate(questions):
            here = self._answers(row, question, queries[row])
            said = [self.corpus.nearest_part(doc_id, queries[row]) for doc_id in question.wrong]
            answers.extend(here)
            wrong.append(said)
            known = {each.place: KNOWN for each in here}
            excluded.append(self._excluded(question) | dict.fromkeys(said, "") | known)
        lists = {
            band: self.guard.first(
                answers, ranking, self.guard.window(ranking.places, excluded, ranks), band, self._wanted
            )
            for band, ranking, ranks in self._rankings(questions, queries, excluded)
        }
        for number, answer in enumerate(answers):
            row = answer.row
            said_here = self._said(answer, wrong[row], queries[row])
            found = {band: each[number] for band, each in lists.items()}
            yield Draft(questions[row], queries[row], answer, excluded[row], said_here, found)

    def _answers(self, row: int, question: Question, query: NDArray[np.float32]) -> list[Answer]:
        places = [self.corpus.nearest_part(doc_id, query) for doc_id in question.answers]
        others = (place for doc_id in question.answers for place in self.corpus.parts[doc_id] if place not in places)
        parts = [*places, *islice(others, _PARTS)]
        scores = (self.corpus.vectors.rows(places) @ query).tolist()
        return [Answer(place, score, row, parts) for place, score in zip(places, scores, strict=True)]

    def _excluded(self, question: Question) -> dict[int, str]:
        """Places of passages that are no candidates, by their documents."""
        by_guard = ((CLICKED, question.clicked), (SAME_DOCUMENT, question.answers))
        parts = self.corpus.parts
        return {place: guard for guard, found in by_guard for doc_id in found for place in parts.get(doc_id, ())}

    def _rankings(
        self, questions: Sequence[Question], queries: NDArray[np.float32], excluded: Sequence[Mapping[int, str]]
    ) -> Iterator[tuple[Band, Ranking, tuple[int, int]]]:
        """The model's, that of BM25, and one at random, each with the ranks that count in it."""
        ranks = self.settings.ranks
        count = min(len(self.corpus), ranks[1] + min(_SPARE, max(map(len, excluded))))
        yield "dense", self._nearest(queries, count), ranks
        if self.words:
            places = self.words.best([each.text for each in questions], count)
            yield "bm25", self._scored(places, queries), ranks
        if self.settings.random:
            places = np.stack([self._at_random(each.name) for each in questions])
            yield "random", self._scored(places, queries), (1, places.shape[1])

    def _nearest(self, queries: NDArray[np.float32], count: int) -> Ranking:
        if self.neighbours is not None:
            return Ranking(*self.neighbours(queries, self.corpus.vectors, count))
        found = nearest(queries, self.corpus.vectors.blocks(), count, self.device)
        return Ranking(found.ids, found.scores)

    def _scored(self, places: NDArray[np.int64], queries: NDArray[np.float32]) -> Ranking:
        """With the cosines, a question at a time."""
        scores = np.full(places.shape, -np.inf, np.float32)
        for row, query in enumerate(queries):
            there = places[row] >= 0
            scores[row, there] = self.corpus.vectors.rows(places[row, there]) @ query
        return Ranking(places, scores)

    @property
    def _wanted(self) -> int:
        """Candidates of a kind and a language among which a row's negatives are chosen."""
        return 2 * self.settings.negatives + 2

    def _said(self, answer: Answer, wrong: list[int], query: NDArray[np.float32]) -> list[Candidate]:
        """Passages that somebody said do not answer the question, the hardest first; no margin holds for them."""
        if not wrong:
            return []
        places = np.array(wrong)
        scores = self.corpus.vectors.rows(places) @ query
        other = ~self.guard.copies(places, [answer.parts] * len(places))
        found = [
            Candidate(place, score, self.corpus.passages[place].lang, "dense")
            for place, score in zip(places[other].tolist(), scores[other].tolist(), strict=True)
        ]
        return sorted(found, key=lambda each: (-each.score, each.place))

    def _at_random(self, name: str) -> NDArray[np.int64]:
        """Places that the seed and the name decide, each once; -1 in the place of repetitions."""
        seed = int(drawn(self.settings.seed, "at random", name)[0] * 2**48)
        places = np.random.default_rng(seed).integers(len(self.corpus), size=_MANY * self._wanted)
        again = np.ones(len(places), bool)
        again[np.unique(places, return_index=True)[1]] = False
        places[again] = -1
        return places

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
        found = chosen(draft.lists, self._choice(self.settings.negatives - len(said), self._bands), self.uses, draw)
        missing = self.settings.negatives - len(said) - len(found)
        if missing:
            filled = chosen(
                {"random": self._more(draft, found)}, self._choice(missing, {"random": 1.0}), self.uses, draw
            )
            self.counts[FILLED] += len(filled)
            found += filled
        self.counts[SAID] += len(said)
        return said + sorted(found, key=lambda each: (-each.score, each.place))

    def _more(self, draft: Draft, found: Sequence[Candidate]) -> list[Candidate]:
        """Candidates at random, where the rankings hold too few that no guard minds."""
        passage = self.corpus.passages[draft.answer.place].passage_id
        beside = {**dict.fromkeys(draft.excluded, ""), **dict.fromkeys((each.place for each in found), "")}
        ranking = self._scored(self._at_random(f"{draft.question.name}\n{passage}")[None], draft.query[None])
        window = self.guard.window(ranking.places, [beside], (1, ranking.places.shape[1]))
        return self.guard.first([draft.answer._replace(row=0)], ranking, window, "random", self._wanted)[0]

    @cached_property
    def _bands(self) -> dict[Band, float]:
        """Kinds that have a share."""
        settings = self.settings
        dense = max(0.0, 1 - settings.bm25 - settings.random)
        shares: dict[Band, float] = {"dense": dense, "bm25": settings.bm25, "random": settings.random}
        return {band: share for band, share in shares.items() if share}

    def _choice(self, slots: int, bands: Mapping[Band, float]) -> Choice:
        return Choice(slots, bands, self.corpus.languages, self.most_uses)
