"""A FAISS index file, its id map and the embedder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._faiss_index import Loaded, load, stamps, tune
from driftwatch.retrievers._faiss_rows import settings_of
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, Stored

_LISTED = 10_000
"""Entries of one block of the list."""


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
        """Those that no row of the index carries."""
        return frozenset(doc_ids) - self._current().held

    @property
    def capabilities(self) -> frozenset[Capability]:
        """All but texts: they are in no FAISS file, and come from `documents:`."""
        return frozenset(("by vector", "exact", "vectors", "ids", "facts"))

    def search_vectors(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> list[tuple[ScoredDoc, ...]]:
        """As ``search`` does; ``exact``: by comparing with every stored vector."""
        return self._current().search(vectors, top_k, exact=exact or self.exact)

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        """Vectors as the index stores them, by the names that ``entries`` gives. There are no texts.

        Raises:
            RetrieverError: the file cannot be read, or this kind of index cannot give its vectors back; or texts alone
                are wanted.
        """
        if texts and not vectors:
            raise self._cannot("give texts")
        loaded = self._current()
        held = {entry_id: loaded.entries[entry_id] for entry_id in entry_ids if entry_id in loaded.entries}
        rows = np.fromiter(held.values(), dtype=np.int64, count=len(held))
        names = loaded.doc_ids[rows].tolist()
        found: list[NDArray[np.float32] | None] = list(loaded.rows.vectors(rows)) if vectors else [None] * len(held)
        return {each: Stored(each, *row) for each, row in zip(held, zip(names, found, strict=True), strict=True)}

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """Every row in order. It is called what its document is; further rows of a document have their number too."""
        loaded = self._current()
        named = zip(loaded.entries, loaded.doc_ids.tolist(), strict=True)
        while block := list(islice(named, _LISTED)):
            yield block

    def facts(self) -> IndexFacts:
        """The file's version is the fingerprint: it changes with any byte of the file.

        The metric is `dot` for inner products also where the vectors were normalised: an index does not know.
        """
        loaded = self._current()
        return IndexFacts(
            count=loaded.index.ntotal,
            dimension=loaded.index.d,
            metric=loaded.metric,
            fingerprint=loaded.version,
            settings=settings_of(loaded.index),
        )

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
