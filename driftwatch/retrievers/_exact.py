"""Search by comparing with every stored vector, a block at a time: memory does not grow with the index."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, MissingExtra
from driftwatch.types import ScoredDoc

Metric = Literal["cosine", "dot", "euclidean", "manhattan"]
Block = tuple[Sequence[str] | NDArray[np.object_], NDArray[np.float32]]
"""doc_ids of some entries, and their vectors, shape (entries, dimension)."""

BLOCK_BYTES = 48 * 2**20
"""Vectors that are compared in one go: fewer cost more merging, more cost memory and are no faster."""
_WORTH_A_GPU = 256
"""Queries from which carrying the stored vectors to a GPU costs less than comparing them where they are."""


def best_of(
    blocks: Iterable[Block], queries: NDArray[np.float32], top_k: int, metric: Metric
) -> list[tuple[ScoredDoc, ...]]:
    """The ``top_k`` documents nearest to each row of ``queries``, shape (n, dimension), best first.

    Scores are cosine similarities, inner products, *squared* Euclidean or Manhattan distances. A document that has
    several entries, in whatever blocks, is named once, with its best. Blocks may be of any size and are not kept; a
    vector that is not a number is like nothing.

    Raises:
        EmbedError: the stored vectors have another dimension than the queries.
        MissingExtra: faiss is not installed.
    """
    if len(queries) == 0:
        return []
    compare = _Comparison(queries, top_k, metric)
    best = _Best(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), object))
    for doc_ids, vectors in _gathered(blocks):
        best = _merged(best, compare.nearest(doc_ids, vectors), top_k)
    scores = best.nearness if compare.larger else -best.nearness
    if np.isfinite(scores).all():
        return [tuple(map(ScoredDoc, *row)) for row in zip(best.names.tolist(), scores.tolist(), strict=True)]
    return [
        tuple(map(ScoredDoc, names[there].tolist(), row[there].tolist()))
        for names, row, there in zip(best.names, scores, np.isfinite(scores), strict=True)
    ]


@dataclass(frozen=True)
class _Best:
    """What is nearest to each query, best first."""

    nearness: NDArray[np.float32]
    """shape (n, m): the score where a larger one is better, else minus the score; -inf where there is nothing more."""
    names: NDArray[np.object_]
    """shape (n, m): doc_ids."""


class _Comparison:
    """Queries that are compared with one block after another."""

    def __init__(self, queries: NDArray[np.float32], top_k: int, metric: Metric) -> None:
        self.cosine = metric == "cosine"
        self.metric: Metric = "dot" if self.cosine else metric
        self.larger = self.metric == "dot"
        """Whether a larger score is a better one."""
        self.queries = self._ready(queries)
        self.top_k = top_k
        self.device = _gpu(len(queries)) if metric != "manhattan" else None

    def nearest(self, doc_ids: Sequence[str] | NDArray[np.object_], vectors: NDArray[np.float32]) -> _Best:
        """The best of one block: each row names ``top_k`` documents, or all there are.

        A document with many entries fills a row, so rows get longer until there are documents enough in each.
        """
        if vectors.shape[1] != self.queries.shape[1]:
            raise EmbedError(
                f"the embedder gives vectors of {self.queries.shape[1]} numbers, and the index holds vectors of "
                f"{vectors.shape[1]}.",
                remedy="Set 'embedder: model' (and 'dimension') to what the index was built with.",
            )
        vectors = self._ready(vectors)
        names = np.asarray(doc_ids, dtype=object)
        documents = len(set(names.tolist()))
        wanted = min(self.top_k, documents)
        ask = wanted if documents == len(names) else min(2 * wanted, len(names))
        while True:
            found = self._search(vectors, names, ask)
            if documents == len(names) or ask == len(names) or min(map(_different, found.names.tolist())) >= wanted:
                return found
            ask = min(2 * ask, len(names))

    def _ready(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        return _normalised(vectors) if self.cosine else vectors

    def _search(self, vectors: NDArray[np.float32], names: NDArray[np.object_], count: int) -> _Best:
        if self.device is not None:
            scores, rows = search_by_torch(
                self.queries, vectors, count, squared=self.metric == "euclidean", device=self.device
            )
        else:
            scores, rows = search_by_faiss(self.queries, vectors, count, self.metric)
        nearness = scores if self.larger else -scores
        nearness[(rows < 0) | np.isnan(scores)] = -np.inf
        return _Best(nearness, names[rows])


def search_by_faiss(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int, metric: Metric
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scores and rows of the ``count`` nearest, shape (n, count), best first; -1 where there are fewer."""
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss-cpu", "embed", "Exact search") from None
    metrics = {"dot": faiss.METRIC_INNER_PRODUCT, "euclidean": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}
    scores, rows = faiss.knn(queries, vectors, count, metrics[metric])
    return scores, rows


def search_by_torch(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], count: int, *, squared: bool, device: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As ``search_by_faiss``, on a GPU: the largest inner products, or the smallest ``squared`` distances."""
    import torch

    asked, stored = torch.tensor(queries, device=device), torch.tensor(vectors, device=device)
    scores = asked @ stored.T
    if squared:  # |q - v|^2 = |q|^2 - 2 q.v + |v|^2
        scores.mul_(-2).add_(asked.square().sum(1)[:, None]).add_(stored.square().sum(1)).clamp_(min=0)
    scores.nan_to_num_(nan=torch.inf if squared else -torch.inf)
    found = torch.topk(scores, count, dim=1, largest=not squared)
    return found.values.cpu().numpy(), found.indices.cpu().numpy()


def _gpu(queries: int) -> str | None:
    """A GPU, where torch runs already and there are queries enough: torch is not loaded for this alone."""
    torch: Any = sys.modules.get("torch")
    return "cuda" if torch is not None and queries >= _WORTH_A_GPU and torch.cuda.is_available() else None


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; a row of zeros stays one, and is like nothing."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    lengths[lengths == 0] = 1
    rows: NDArray[np.float32] = vectors / lengths[:, None]
    return rows


def _gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same entries in blocks of up to ``BLOCK_BYTES``: small ones joined, large ones cut."""
    kept: list[Block] = []
    size = 0
    for doc_ids, vectors in chain.from_iterable(map(_cut, blocks)):
        if kept and size + vectors.nbytes > BLOCK_BYTES:
            yield _joined(kept)
            kept, size = [], 0
        kept.append((doc_ids, vectors))
        size += vectors.nbytes
    if kept:
        yield _joined(kept)


def _cut(block: Block) -> Iterator[Block]:
    doc_ids, vectors = block
    rows = max(1, BLOCK_BYTES // max(1, vectors.itemsize * vectors.shape[1]))
    for start in range(0, len(vectors), rows):
        yield doc_ids[start : start + rows], vectors[start : start + rows]


def _joined(blocks: Sequence[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return [name for names, _ in blocks for name in names], np.concatenate([vectors for _, vectors in blocks])


def _merged(old: _Best, new: _Best, top_k: int) -> _Best:
    """The best of both, each document once."""
    both = _sorted(np.hstack([old.nearness, new.nearness]), np.hstack([old.names, new.names]))
    rows = [row for row, names in enumerate(both.names.tolist()) if _different(names) < len(names)]
    for row in rows:
        seen: set[str] = set()
        for place, name in enumerate(both.names[row].tolist()):
            if name in seen:
                both.nearness[row, place] = -np.inf
            seen.add(name)
    if rows:
        both = _sorted(both.nearness, both.names)
    return _Best(both.nearness[:, :top_k], both.names[:, :top_k])


def _sorted(nearness: NDArray[np.float32], names: NDArray[np.object_]) -> _Best:
    order = np.argsort(-nearness, axis=1, kind="stable")
    return _Best(np.take_along_axis(nearness, order, axis=1), np.take_along_axis(names, order, axis=1))


def _different(names: Sequence[str]) -> int:
    return len(set(names))
