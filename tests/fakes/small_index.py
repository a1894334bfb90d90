"""A vector index in memory with everything that an experiment can ask for, a service over it, and seeded texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, Stored

Vectors = NDArray[np.float32]
WIDTH = 32


def unit(rows: Vectors) -> Vectors:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class Topics:
    """Embeds `topic 7 document 3` near the direction of topic 7; a prompt turns every vector a little."""

    fingerprint = "topics@1"

    def __init__(self, query_prompt: str = "", document_prompt: str = "", scatter: float = 0.6) -> None:
        self.prompts = query_prompt, document_prompt
        self.scatter = scatter
        self.embedded: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_as(self.prompts[0], texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.embedded += texts
        return self.encode_as(self.prompts[1], texts)

    def encode_as(self, prompt: str, texts: Sequence[str]) -> Vectors:
        turn = 1.2 * _direction(f"prompt {prompt}") if prompt else np.zeros(WIDTH, np.float32)
        return unit(np.stack([self._plain(text) + turn for text in texts]))

    def _plain(self, text: str) -> Vectors:
        topic = " ".join(text.split()[:2])
        return unit((_direction(topic) + self.scatter * _direction(text))[None])[0]


def _direction(text: str) -> Vectors:
    seed = int.from_bytes(text.encode()[-64:], "big") % 2**63
    return unit(np.random.default_rng(seed).normal(size=(1, WIDTH)).astype(np.float32))[0]


@dataclass
class Rows:
    """What an index holds; tests damage it."""

    doc_ids: list[str]
    vectors: Vectors
    texts: list[str | None]
    langs: list[str] = field(default_factory=list)

    def keep(self, wanted: Callable[[str], bool]) -> Rows:
        """Only the documents that are ``wanted``."""
        rows = [row for row, doc_id in enumerate(self.doc_ids) if wanted(doc_id)]
        return Rows(
            [self.doc_ids[row] for row in rows],
            self.vectors[rows],
            [self.texts[row] for row in rows],
            [self.langs[row] for row in rows],
        )

    def add(self, doc_id: str, vector: Vectors, text: str, lang: str) -> None:
        """One more document."""
        self.doc_ids.append(doc_id)
        self.vectors = np.concatenate([self.vectors, vector[None]])
        self.texts.append(text)
        self.langs.append(lang)


class SmallIndex(Retriever):
    """A FAISS index of ``rows``, built anew whenever a test asks for another kind."""

    needs_embedder = True
    kind: str = "small"

    _rows: Any = PrivateAttr()
    _graph: Any = PrivateAttr()
    _can: Any = PrivateAttr()

    @classmethod
    def of(cls, rows: Rows, spec: str = "HNSW16,Flat", ef: int = 64, **settings: Any) -> SmallIndex:
        import faiss

        made = cls(kind="small", **settings)
        made._rows = rows
        made._can = frozenset({"by vector", "exact", "vectors", "texts", "ids", "facts"})
        made._graph = faiss.index_factory(rows.vectors.shape[1], spec, faiss.METRIC_INNER_PRODUCT)
        made._graph.train(rows.vectors)
        made._graph.add(np.ascontiguousarray(rows.vectors))
        if hasattr(made._graph, "hnsw"):
            made._graph.hnsw.efSearch = ef
        return made

    @property
    def rows(self) -> Rows:
        rows: Rows = self._rows
        return rows

    def only(self, *capabilities: Capability) -> SmallIndex:
        """With these capabilities alone."""
        self._can = frozenset(capabilities)
        return self

    @property
    def capabilities(self) -> frozenset[Capability]:
        can: frozenset[Capability] = self._can
        return can

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        if embedder is None:
            raise RetrieverError("this index needs an embedder.")
        vectors = embedder.encode_queries([query.text for query in queries])
        return [Reply(hits, latency_ms=1.0) for hits in self.search_vectors(vectors, self.top_k)]

    def search_vectors(self, vectors: Vectors, top_k: int, *, exact: bool = False) -> list[tuple[ScoredDoc, ...]]:
        if vectors.shape[1] != self.rows.vectors.shape[1]:
            raise RetrieverError("the index holds vectors of another dimension.")
        if exact:
            scores = vectors @ self.rows.vectors.T
            places = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
            scores = np.take_along_axis(scores, places, axis=1)
        else:
            scores, places = self._graph.search(np.ascontiguousarray(vectors), top_k)
        return [
            tuple(ScoredDoc(self.rows.doc_ids[at], float(score)) for at, score in zip(*row, strict=True) if at >= 0)
            for row in zip(places, scores, strict=True)
        ]

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        return frozenset(doc_ids) - frozenset(self.rows.doc_ids)

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        pairs = [(f"e{row}", doc_id) for row, doc_id in enumerate(self.rows.doc_ids)]
        for start in range(0, len(pairs), 100):
            yield pairs[start : start + 100]

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        rows = self.rows
        return {
            entry_id: Stored(
                entry_id,
                rows.doc_ids[at],
                rows.vectors[at] if vectors else None,
                rows.texts[at] if texts else None,
                rows.langs[at],
            )
            for entry_id in entry_ids
            if (at := int(entry_id[1:])) < len(rows.doc_ids)
        }

    def facts(self) -> IndexFacts:
        settings = {"kind": "HNSW", "M": "16", "efSearch": "64"}
        return IndexFacts(len(self.rows.doc_ids), self.rows.vectors.shape[1], "dot", "1", settings)

    def reach(self) -> str:
        return "in memory"


class SmallService(Retriever):
    """What users get: the answers of ``index`` after ``change`` has had its way with them."""

    needs_embedder = True
    kind: str = "small-service"

    _index: Any = PrivateAttr()
    _change: Any = PrivateAttr()

    @classmethod
    def of(
        cls, index: SmallIndex, change: Callable[[Query, Reply], Reply] = lambda _query, reply: reply, **settings: Any
    ) -> SmallService:
        made = cls(kind="small-service", **settings)
        made._index, made._change = index, change
        return made

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        replies = self._index.search(queries, embedder)
        return [self._change(query, reply) for query, reply in zip(queries, replies, strict=True)]

    def reach(self) -> str:
        return "in memory"


LANGS = ("de", "en", "fr")


def small_rows(embedder: Topics, topics: int = 60, each: int = 5) -> Rows:
    """``each`` documents of each topic, the topics in turn in de, en and fr."""
    names = [(topic, number) for topic in range(topics) for number in range(each)]
    texts = [f"topic-{topic} {LANGS[topic % 3]} document {number}" for topic, number in names]
    return Rows(
        [f"{LANGS[topic % 3]}-{topic}-{number}" for topic, number in names],
        embedder.encode_documents(texts),
        list(texts),
        [LANGS[topic % 3] for topic, _ in names],
    )


def small_canaries(topics: int = 60) -> tuple[Query, ...]:
    """One a topic, which expects the first document of its topic."""
    return tuple(
        Query(
            f"q{topic}",
            f"topic-{topic} {LANGS[topic % 3]} document 0",
            LANGS[topic % 3],
            {f"{LANGS[topic % 3]}-{topic}-0": 1},
        )
        for topic in range(topics)
    )
