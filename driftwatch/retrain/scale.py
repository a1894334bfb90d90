"""Where the heavy work of retraining is done: on this machine, or on a Ray cluster (`retrain: {scale: ray}`).

Both give the same: the same vectors, the same neighbours, the same model from the same seed. What each shard is made of
is decided here and not by who works on it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.retrain._neighbours import Stored, nearest
from driftwatch.retrain.settings import Retrain

Role = Literal["query", "document"]

SHARD = 256
"""Texts that are embedded together. A model's last digits depend on which texts share a batch, so it is one number for
everybody; the vectors of ``TextEmbedder`` for the same texts, so many at a time, are the same."""


class Scale(Protocol):
    """Who does the heavy work; closed when it is done."""

    def encode(self, role: Role, shards: Iterable[Sequence[str]]) -> Iterator[NDArray[np.float32]]:
        """The vectors of each of ``shards``, in their order, shape (texts, dimension), rows of length 1.

        No shard is empty, and none holds more than ``SHARD`` texts; ``in_shards`` cuts them.

        Raises:
            EmbedError, RetrainError: there is no such model, or nobody is there to work.
        """

    def neighbours(
        self, queries: NDArray[np.float32], documents: Stored, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and inner products of the ``k`` nearest documents, shape (questions, k), best first; equal ones in the
        order of the documents. ``k`` is less where there are fewer documents.
        """

    def close(self) -> None:
        """Let go of models and connections; what is asked after that begins anew."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """A ``with`` that closes."""

    def close(self) -> None:
        """Let go."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Local(Closing):
    """One machine. ``cache``: a folder in which vectors are kept."""

    def __init__(self, settings: EmbedderSettings, cache: Path | None = None) -> None:
        self._embedder = TextEmbedder(settings, cache)

    def encode(self, role: Role, shards: Iterable[Sequence[str]]) -> Iterator[NDArray[np.float32]]:
        """As ``Scale``; each shard is read when its turn comes."""
        embedder = self._embedder
        return map(embedder.encode_queries if role == "query" else embedder.encode_documents, shards)

    def neighbours(
        self, queries: NDArray[np.float32], documents: Stored, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ``Scale``."""
        found = nearest(queries, documents.blocks(), k, _gpu())
        return found.ids, found.scores

    def close(self) -> None:
        """As ``Scale``."""
        self._embedder.close()


def scale_of(retrain: Retrain, embedder: EmbedderSettings, cache: Path | None = None) -> Scale:
    """Whoever the settings name.

    Raises:
        MissingExtra: that is Ray, and it is not installed.
        RetrainError: the address is none that work can be sent to.
    """
    if not retrain.cluster:
        return Local(embedder, cache)
    from driftwatch.retrain._ray import Ray

    return Ray(retrain.cluster, embedder)


def _gpu() -> str:
    """A GPU only where torch is loaded already: it is not loaded for a search alone."""
    torch: Any = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_available() else "cpu"


def in_shards(texts: Iterable[str]) -> Iterator[Sequence[str]]:
    """Pieces of ``SHARD`` texts, the last one as it comes."""
    rest = iter(texts)
    while shard := list(islice(rest, SHARD)):
        yield shard
