"""The watched service of the laboratory: it embeds the query as it is set up, searches its store, answers by HTTP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tests.fakes.search_service import Act, Asked, Handler, SearchService, hang, says, slowly, status
from tests.faults.material import DOCUMENT_PROMPT, QUERY_PROMPT, Material
from tests.faults.stores import VectorStore

Vectors = NDArray[np.float32]
Answer = list[tuple[str, float]]

TOP_K = 10


def normalised(vectors: Vectors) -> Vectors:
    """Each row of length one."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def moved(vectors: Vectors, by: float, seed: int) -> Vectors:
    """Every vector a little elsewhere, the same one always to the same place, as another library version does."""
    turn = np.random.default_rng(seed).normal(0, 1 / np.sqrt(vectors.shape[1]), (vectors.shape[1], vectors.shape[1]))
    return normalised(vectors + by * np.asarray(vectors @ turn, np.float32))


@dataclass(frozen=True)
class Encoder:
    """How somebody makes vectors of queries: the service, or driftwatch."""

    material: Material = field(repr=False)
    query_prompt: str = QUERY_PROMPT
    dimension: int | None = None
    drift: float = 0.0
    """How far a library update moved every vector."""
    turned: Callable[[Vectors], Vectors] | None = None
    """Another model."""
    version: str = "1"

    def queries(self, texts: Sequence[str]) -> Vectors:
        """shape (n, dimension)."""
        return self._finished(self.material.encoded(self.query_prompt, texts))

    def encoded(self, prompt: str, texts: Sequence[str]) -> Vectors:
        """shape (n, dimension), with any prompt."""
        return self._finished(self.material.encoded(prompt, texts))

    def _finished(self, vectors: Vectors) -> Vectors:
        if self.turned is not None:
            vectors = self.turned(vectors)
        if self.drift:
            vectors = moved(vectors, self.drift, 7)
        if self.dimension is not None:
            vectors = normalised(vectors[:, : self.dimension])
        return vectors


class WatchingEmbedder:
    """driftwatch's own embedder, set up as the service's should be."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.fingerprint = f"{encoder.material.embedding.fingerprint}-{encoder.version}"

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """shape (n, 384)."""
        return self.encoder.queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """shape (n, 384)."""
        return self.encoder.encoded(DOCUMENT_PROMPT, texts)

    def encode_anew(self, role: str, texts: Sequence[str]) -> Vectors:
        """shape (n, 384): as if nothing had been kept."""
        return self.encode_queries(texts) if role == "query" else self.encode_documents(texts)

    def encode_as(self, prompt: str, texts: Sequence[str]) -> Vectors:
        """shape (n, 384): with this put before each text."""
        return self.encoder.encoded(prompt, texts)


@dataclass(frozen=True)
class Behaviour:
    """What the service does with a query."""

    encoder: Encoder
    score: Callable[[float], float] = float
    """What it makes of the store's score."""
    shows: Callable[[str], bool] | None = None
    """doc_id -> whether its filter lets the document through; None: it has none."""
    trouble: str = ""
    """timeout | error | empty: what it does instead of answering."""
    delay: float = 0.0
    """Seconds that every answer takes longer."""
    versions: tuple[tuple[str, str], ...] = (("index", "docs-7"), ("embedder", "all-MiniLM-L6-v2"))


class SearchedService:
    """The service with its store, on loopback while it is open."""

    def __init__(self, store: VectorStore, behaviour: Behaviour) -> None:
        self.store = store
        self.port = free_port()
        self._behaviour = behaviour
        self._known: dict[str, Answer] = {}
        self._http: SearchService | None = None

    @property
    def behaviour(self) -> Behaviour:
        """How it is set up now."""
        return self._behaviour

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self.port}/retrieve"

    def behave(self, **changes: object) -> None:
        """Set it up otherwise."""
        self._behaviour = replace(self._behaviour, **changes)  # type: ignore[arg-type]
        self.forget()

    def forget(self) -> None:
        """The store holds something else now."""
        self._known.clear()
        if self._http is not None:
            self._http.does(_acts(self))

    def answer(self, texts: Sequence[str]) -> list[Answer]:
        """What these queries get, however they are asked: what people get, and what a canary gets."""
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        if unknown:
            self._known |= zip(unknown, self._search(unknown), strict=True)
        return [self._known[text] for text in texts]

    def _search(self, texts: Sequence[str]) -> list[Answer]:
        behaviour = self._behaviour
        vectors = behaviour.encoder.queries(texts)
        shows = behaviour.shows
        found = self.store.search(vectors, TOP_K if shows is None else 6 * TOP_K)
        if shows is not None:
            found = [[hit for hit in hits if shows(hit[0])][:TOP_K] for hits in found]
        return [[(doc_id, behaviour.score(score)) for doc_id, score in hits] for hits in found]

    def start(self) -> None:
        """Listen, on the same port each time."""
        self._http = SearchService(self.port).__enter__()
        self.forget()

    def stop(self) -> None:
        """Listen no longer."""
        if self._http is not None:
            self._http.__exit__()
        self._http = None


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _acts(service: SearchedService) -> Act:
    behaviour = service.behaviour
    if behaviour.trouble:
        return {"timeout": hang(), "error": status(500, "upstream"), "empty": says({"results": []})}[behaviour.trouble]

    def answer(handler: Handler, asked: Asked) -> None:
        (hits,) = service.answer([asked.body["query"]])
        said = {
            "results": [{"id": doc_id, "score": score} for doc_id, score in hits],
            "versions": dict(behaviour.versions),
        }
        says(said)(handler, asked)

    return slowly(behaviour.delay, answer) if behaviour.delay else answer
