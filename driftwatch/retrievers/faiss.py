"""A FAISS index file, its id map and the embedder."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, PrivateAttr

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._faiss_index import Loaded, load, stamps, tune
from driftwatch.types import Embedder, Query, Reply


class Faiss(Retriever):
    """Embeds the queries and searches a FAISS index file, all of them at once.

    The files are read again when they change on disk. `score_kind` must be what the index's metric gives: `similarity`
    for inner product, `distance` for L2.
    """

    needs_embedder: ClassVar[bool] = True

    index: Path
    """The file that `faiss.write_index` wrote."""
    ids: Path | None = None
    """The document id of each row: one a line, a `.json` list or `.jsonl`. Without it, FAISS's own numbers."""
    exact: bool = False
    """Compare with every stored vector instead of searching as the index was built."""
    nprobe: int | None = Field(default=None, ge=1)
    """Lists of an IVF index that are searched; without it, as stored."""
    ef_search: int | None = Field(default=None, ge=1)
    """Breadth of the search in an HNSW graph; without it, as stored."""

    _loaded: Loaded | None = PrivateAttr(default=None)
    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Embed and search all queries in one go."""
        if not queries:
            return []
        if embedder is None:
            raise RetrieverError(
                "the retriever 'faiss' needs an embedder.", remedy="Add an 'embedder:' section with its model."
            )
        loaded = self._current()
        vectors = embedder.encode_queries([query.text for query in queries])
        began = time.perf_counter()
        found = loaded.search(vectors, self.top_k, exact=self.exact)
        took = 1000 * (time.perf_counter() - began) / len(queries)
        versions = {"index": loaded.version, "embedder": embedder.fingerprint}
        return [Reply(hits, latency_ms=took, versions=versions) for hits in found]

    def reach(self) -> str:
        """Read the files."""
        loaded = self._current()
        ids = "its own numbers" if loaded.ids is None else f"{len(loaded.held)} ids"
        return f"{self.index.name}: {loaded.index.ntotal} vectors of {loaded.index.d} numbers, {ids}"

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those that the id map does not hold."""
        return frozenset(doc_ids) - self._current().held

    def close(self) -> None:
        """Let go of the index."""
        with self._turn:
            self._loaded = None

    def _current(self) -> Loaded:
        """The index as it is on disk now."""
        with self._turn:
            if self._loaded is None or self._loaded.seen != stamps(self.index, self.ids):
                self._loaded = self._checked(load(self.index, self.ids))
            return self._loaded

    def _checked(self, loaded: Loaded) -> Loaded:
        if loaded.score_kind is None:
            raise RetrieverError(f"{self.index} uses a metric that is neither L2 nor inner product.")
        if loaded.score_kind != self.score_kind:
            metric = "L2 distances" if loaded.score_kind == "distance" else "inner products"
            raise RetrieverError(
                f"{self.index} gives {metric}, and 'score_kind' is '{self.score_kind}'.",
                remedy=f"Set 'score_kind: {loaded.score_kind}'.",
            )
        if self.nprobe:
            tune(loaded.index, "nprobe", self.nprobe)
        if self.ef_search:
            tune(loaded.index, "efSearch", self.ef_search)
        return loaded
