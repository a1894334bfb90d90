"""The simulated service as driftwatch meets it: a retriever, a file of canaries and an embedder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import PrivateAttr

from driftwatch.retrievers import Retriever
from driftwatch.scenarios.simulated import Simulation
from driftwatch.sources._suites import Suite
from driftwatch.sources.canaries import Canaries
from driftwatch.types import Embedder, Query, Reply, ScoredDoc

DIMENSION = 32

BEST_SCORES, SCORE_STEP = (0.78, 0.69, 0.55), 0.014
"""Of the best document when the right one is first, second, or not there; and how canaries differ besides."""


class SimulatedRetriever(Retriever):
    """Finds for each canary what the simulation says that it finds now."""

    _simulation: Simulation | None = PrivateAttr(default=None)

    def begin(self, simulation: Simulation) -> None:
        """Answer for this service from now on."""
        self._simulation = simulation

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """One reply a query, or the outage that keeps it from being answered."""
        del embedder
        return [self._reply(query) for query in queries]

    def reach(self) -> str:
        """It is always there."""
        return "a simulated service"

    def _reply(self, query: Query) -> Reply:
        assert self._simulation is not None
        lang, _, number = query.query_id.rpartition("-")
        rank = self._simulation.rank(lang, int(number))
        if rank is None:
            return Reply(None, error="the simulated service does not answer")
        return _found(lang, int(number), rank, self.top_k)


@lru_cache(maxsize=100_000)
def _found(lang: str, number: int, rank: int, top_k: int) -> Reply:
    """``top_k`` documents, the right one at ``rank`` (from 0; beyond the last one: not among them).

    The better the rank, the higher the best score, give or take: as scores are, and as high as those in the log.
    """
    names = [f"other-{lang}-{place}" for place in range(top_k)]
    names[rank:rank] = [f"doc-{lang}-{number}"]
    best = BEST_SCORES[min(rank, len(BEST_SCORES) - 1)] + SCORE_STEP * (number * 7 % 11 - 5)
    return Reply(tuple(ScoredDoc(name, round(best - 0.03 * place, 4)) for place, name in enumerate(names[:top_k])))


class SimulatedCanaries(Canaries):
    """Canaries whose file never changes: it is read once."""

    kind: str  # type: ignore[assignment]
    _suite: Suite | None = PrivateAttr(default=None)

    def load(self, base: Path) -> Suite:
        """The suite, as it was when it was first asked for."""
        if self._suite is None:
            self._suite = super().load(base)
        return self._suite


class WordEmbedder:
    """Texts that share words are near each other; a ``types.Embedder`` without a model.

    A word is a direction of its own, drawn at random from its hash; a text is the sum of its words.
    """

    fingerprint = f"simulated words {DIMENSION}"

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, DIMENSION), of length 1."""
        sums = np.array([sum(map(_direction, text.split()), np.zeros(DIMENSION)) for text in texts])
        sums = sums.reshape(len(texts), DIMENSION)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-12), dtype=np.float32)

    encode_documents = encode_queries


@lru_cache(maxsize=100_000)
def _direction(word: str) -> NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
    drawn = np.random.default_rng(seed).normal(size=DIMENSION)
    return np.asarray(drawn / np.linalg.norm(drawn))
