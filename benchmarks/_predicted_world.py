"""Judged queries on a real index that can be made worse: some of them canaries, the others the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
from _corpora import data, embedder, qrels, rows
from numpy.typing import NDArray

from driftwatch.stats.ir import Measure
from driftwatch.types import Observation, Run, Sample, ScoredDoc, Tallies, Window

START = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)
TOP = 10
DAYS, A_DAY = 14, 300
"""Of the baseline, and live queries sampled each day."""
DAYS_DIFFER = 0.15
"""Days ask unlike questions: the standard deviation, from day to day, of how much harder ones are preferred."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Answers:
    """What an index answers to all queries."""

    scores: NDArray[np.float32]
    """shape (n, TOP), best first."""
    documents: NDArray[np.int64]
    """shape (n, TOP)."""

    def scaled(self, factor: float) -> Answers:
        """The same ranks with other scores."""
        return Answers(self.scores * np.float32(factor), self.documents)


@dataclass(frozen=True, eq=False)
class World:
    """A corpus and its judged queries."""

    name: str
    ids: list[str]
    documents: NDArray[np.float32]
    query_ids: list[str]
    texts: list[str]
    langs: NDArray[np.str_]
    queries: NDArray[np.float32]
    relevant: list[dict[str, int]]

    def part(self, rows: Sequence[int], name: str = "") -> World:
        """The same index, and only some of the queries."""
        at = list(rows)
        return World(
            name or self.name,
            self.ids,
            self.documents,
            [self.query_ids[row] for row in at],
            [self.texts[row] for row in at],
            self.langs[at],
            self.queries[at],
            [self.relevant[row] for row in at],
        )

    def answers(
        self, *, without: float = 0.0, noise: float = 0.0, queries: NDArray[np.float32] | None = None, seed: int = 0
    ) -> Answers:
        """Exact search after a share of the documents was lost, or their vectors were disturbed."""
        import faiss

        random = np.random.default_rng(seed)
        kept = np.flatnonzero(random.random(len(self.ids)) >= without)
        vectors = self.documents[kept] + np.float32(noise) * random.normal(
            0, 1 / np.sqrt(self.documents.shape[1]), (len(kept), self.documents.shape[1])
        ).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        scores, found = index.search(self.queries if queries is None else queries, TOP)
        return Answers(scores, kept[found])

    def quality(self, answers: Answers, measure: str = "nDCG@10") -> Floats:
        """The true measure of each query."""
        wanted = Measure.parse(measure)
        return np.array(
            [
                wanted([self.ids[place] for place in found], relevant)
                for found, relevant in zip(answers.documents, self.relevant, strict=True)
            ]
        )

    @cached_property
    def hardness(self) -> Floats:
        """How hard each query is, standardised: what days differ in."""
        top = self.answers().scores[:, 0].astype(np.float64)
        return (top.mean() - top) / top.std()


def load(name: str) -> World:
    """SciFact or XQuAD with vectors of the packaged MiniLM, cached between runs."""
    folder, model = data(name), embedder()
    documents = rows(folder / "corpus.jsonl.gz")
    if name == "xquad":
        questions, judged = rows(folder / "queries.jsonl.gz"), qrels(folder / "qrels.tsv")
    else:
        questions = rows(folder / "queries.jsonl")
        judged = qrels(folder / "qrels_train.tsv") | qrels(folder / "qrels_test.tsv")
    questions = [row for row in questions if row["id"] in judged]
    texts = [row["text"] for row in questions]
    contents = [f"{row.get('title', '')} {row['text']}".strip() if "title" in row else row["text"] for row in documents]
    return World(
        name,
        [row["id"] for row in documents],
        np.array(model.encode_documents(contents)),
        [row["id"] for row in questions],
        texts,
        np.array([row.get("lang", "en") for row in questions]),
        np.array(model.encode_queries(texts)),
        [judged[row["id"]] for row in questions],
    )


def asked(world: World, answers: Answers, which: Sequence[int], day: int, days: int = 1) -> Window:
    """The canaries ``which``, asked once a day."""
    seen = [
        Observation(
            START,
            "canaries",
            world.query_ids[row],
            lang=str(world.langs[row]),
            hits=tuple(
                ScoredDoc(world.ids[place], float(score))
                for place, score in zip(answers.documents[row], answers.scores[row], strict=True)
            ),
            relevant=world.relevant[row],
            digest="1",
        )
        for row in which
    ]
    runs = tuple(Run(f"{day + n}", "canaries", START + (day + n) * DAY, "suite", tuple(seen)) for n in range(days))
    return Window(START + day * DAY, START + (day + days) * DAY, runs=runs)


def traffic(
    world: World, answers: Answers, pool: NDArray[np.intp], random: np.random.Generator, day: int, days: int = 1
) -> tuple[Window, NDArray[np.intp]]:
    """(a window of live queries drawn from ``pool``, their rows): no two days ask alike."""
    drawn = []
    for _ in range(days):
        odds = np.exp(random.normal(0, DAYS_DIFFER) * world.hardness[pool])
        drawn.append(random.choice(pool, A_DAY, p=odds / odds.sum()))
    chosen = np.concatenate(drawn)
    first = np.datetime64((START + day * DAY).replace(tzinfo=None), "us")
    at = first + (np.arange(len(chosen)) * (86_400_000_000 // A_DAY)).astype("timedelta64[us]")
    sample = Sample(
        np.array([world.query_ids[row] for row in chosen]),
        at,
        world.langs[chosen],
        np.arange(len(chosen)),
        np.ones(len(chosen)),
        answers.scores[chosen],
    )
    start = START + day * DAY
    return Window(start, start + days * DAY, sample=sample, tallies=Tallies.none()), chosen
