"""The embeddings of sampled queries: each made once, and found again by what the database keeps of its text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed._cache import Half, VectorCache, text_key
from driftwatch.errors import EmbedError
from driftwatch.types import Embedder


class _Cache(Protocol):
    def get(self, keys: Sequence[bytes]) -> dict[bytes, Half]: ...
    def add(self, keys: Sequence[bytes], vectors: Half) -> None: ...


class QueryVectors:
    """Keeps to the folder of the embedder's own cache; in memory, where the embedder has none.

    Raises:
        EmbedError: (from every method) there is no such model, or it cannot be loaded.
        MissingExtra: (from every method) sentence-transformers is not installed.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def keys(self, names: Sequence[str]) -> list[bytes]:
        """What vectors are found by: 16 bytes of each of ``names``, texts as the database keeps them."""
        return [text_key("query", name) for name in names]

    def known(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """shape (n,): which of them there is a vector of."""
        found = self._cache.get(keys)
        return np.array([key in found for key in keys], bool)

    def read(self, keys: Sequence[bytes]) -> Half:
        """shape (n, dimension); every key must be known.

        Raises:
            EmbedError: one has been dropped since, because the cache is too small.
        """
        found = self._cache.get(keys)
        if any(key not in found for key in keys):
            remedy = "Raise 'embedder: cache_size', or embed fewer queries a day."
            raise EmbedError("the cache of vectors is too small for the queries that are watched.", remedy=remedy)
        return np.stack([found[key] for key in keys]) if keys else np.empty((0, 0), np.float16)

    def learn(self, names: Sequence[str], texts: Sequence[str]) -> None:
        """Embed ``texts`` and keep the vectors under ``names``; equal names are embedded once."""
        fresh = dict(zip(names, texts, strict=True))
        if not fresh:
            return
        keeps = getattr(self._embedder, "encode_queries_as", None)
        if keeps is not None:
            keeps(list(fresh), list(fresh.values()))
        else:
            vectors = self._embedder.encode_queries(list(fresh.values()))
            self._cache.add(self.keys(list(fresh)), vectors.astype(np.float16))

    @cached_property
    def _cache(self) -> _Cache:
        folder, fingerprint = getattr(self._embedder, "directory", None), self._embedder.fingerprint
        if folder is None:
            return _InMemory()
        return VectorCache(folder, fingerprint, cast("Any", self._embedder).cache_size)


class _InMemory(dict[bytes, Half]):
    def get(self, keys: Sequence[bytes]) -> dict[bytes, Half]:  # type: ignore[override]
        return {key: self[key] for key in keys if key in self}

    def add(self, keys: Sequence[bytes], vectors: Half) -> None:
        self.update(zip(keys, vectors, strict=True))
