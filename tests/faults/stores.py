"""What a vector store of the laboratory holds and how it is searched; one of them is a FAISS index file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Hits = list[list[tuple[str, float]]]
"""A ranking a query: (doc_id, score), best first."""


@dataclass(frozen=True, eq=False)
class Entries:
    """What a store holds."""

    ids: tuple[str, ...]
    vectors: Vectors
    texts: tuple[str, ...]
    langs: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, kept: NDArray[np.bool_]) -> Entries:
        """Those that are ``kept``."""
        rows = np.flatnonzero(kept)
        return Entries(
            tuple(self.ids[row] for row in rows),
            self.vectors[rows],
            tuple(self.texts[row] for row in rows),
            tuple(self.langs[row] for row in rows),
        )

    def and_also(self, other: Entries) -> Entries:
        """With more behind them."""
        return Entries(
            self.ids + other.ids,
            np.concatenate([self.vectors, other.vectors]),
            self.texts + other.texts,
            self.langs + other.langs,
        )

    def with_vectors(self, vectors: Vectors) -> Entries:
        """Other vectors, row by row."""
        return replace(self, vectors=np.ascontiguousarray(vectors, np.float32))

    def rows(self, doc_ids: Sequence[str]) -> NDArray[np.intp]:
        """Where these documents are."""
        places = {doc_id: row for row, doc_id in enumerate(self.ids)}
        return np.array([places[each] for each in doc_ids if each in places], np.intp)


@dataclass(frozen=True)
class Build:
    """How an index is built and searched."""

    kind: str = "hnsw"
    """hnsw | ivf | pq | binary."""
    links: int = 8
    ef: int = 64
    thoroughness: int = 80
    """`ef_construct`."""
    links_kept: float = 1.0
    """Share of the graph's links that is left."""
    lists: int = 32
    nprobe: int = 12
    code_bytes: int = 8
    """Of a product-quantised vector."""
    seed: int = 0


class VectorStore(Protocol):
    """A vector store that the watched service asks and that driftwatch looks into."""

    def write(self, entries: Entries, build: Build) -> None:
        """Hold these and nothing else."""

    def search(self, vectors: Vectors, top_k: int) -> Hits:
        """As the index was built."""

    def setting(self) -> dict[str, Any]:
        """The `index:` section of driftwatch's configuration."""

    def rest(self) -> None:
        """Let go of connections, before the process forks."""

    def keep(self) -> None:
        """Remember what it holds now."""

    def restore(self) -> None:
        """Hold again what was kept, whatever another process made of it."""

    def close(self) -> None:
        """Stop."""


class FaissStore:
    """An index file and its ids, as `faiss.write_index` leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._index: Any = None
        self._ids: list[str] = []

    def write(self, entries: Entries, build: Build) -> None:
        """Build it anew; the vectors of a file never change by themselves."""
        import faiss

        faiss.omp_set_num_threads(1)
        index = _BUILDERS[build.kind](np.ascontiguousarray(entries.vectors, np.float32), build)
        faiss.write_index(index, str(self.folder / "docs.faiss"))
        (self.folder / "ids.txt").write_text("".join(f"{doc_id}\n" for doc_id in entries.ids))
        self._index, self._ids = index, list(entries.ids)

    def search(self, vectors: Vectors, top_k: int) -> Hits:
        """The service's own search."""
        scores, rows = self._index.search(np.ascontiguousarray(vectors, np.float32), min(top_k, len(self._ids)))
        return [
            [(self._ids[row], float(score)) for row, score in zip(*pair, strict=True) if row >= 0]
            for pair in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def setting(self) -> dict[str, Any]:
        """The file."""
        files = {name: str(self.folder / file) for name, file in (("index", "docs.faiss"), ("ids", "ids.txt"))}
        return {"kind": "faiss", "top_k": 10} | files

    def rest(self) -> None:
        """A file needs none."""

    def keep(self) -> None:
        """Beside it."""
        shutil.copytree(self.folder, self._kept)

    def restore(self) -> None:
        """The files, with their times: nobody can tell that they were gone."""
        shutil.copytree(self._kept, self.folder, dirs_exist_ok=True)

    def close(self) -> None:
        """A file needs none."""

    @property
    def _kept(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-kept")


def _graph(vectors: Vectors, build: Build) -> Any:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], build.links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = build.thoroughness
    index.hnsw.efSearch = build.ef
    index.add(vectors)
    if build.links_kept < 1:
        _cut(index.hnsw, len(vectors), build)
    return index


def _cut(graph: Any, count: int, build: Build) -> None:
    """Take links away from the lowest level, at random, as a graph decays under updates and deletions."""
    import faiss

    chance = np.random.default_rng(build.seed)
    neighbours = faiss.vector_to_array(graph.neighbors)
    offsets = faiss.vector_to_array(graph.offsets)
    width = 2 * build.links
    for node in range(count):
        start = int(offsets[node])
        links = neighbours[start : start + width]
        known = links[links >= 0]
        kept = known[chance.random(len(known)) < build.links_kept]
        links[:] = -1
        links[: len(kept)] = kept
    faiss.copy_array_to_vector(neighbours, graph.neighbors)


def _lists(vectors: Vectors, build: Build) -> Any:
    import faiss

    coarse = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFFlat(coarse, vectors.shape[1], build.lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.min_points_per_centroid = 1  # else it warns on standard error
    index.train(vectors)
    index.add(vectors)
    index.make_direct_map()
    index.nprobe = build.nprobe
    return index


def _codes(vectors: Vectors, build: Build) -> Any:
    import faiss

    index = faiss.IndexPQ(vectors.shape[1], build.code_bytes, 8, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.min_points_per_centroid = 1
    index.train(vectors)
    index.add(vectors)
    return index


_BUILDERS = {"hnsw": _graph, "ivf": _lists, "pq": _codes}
