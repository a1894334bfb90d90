"""Search by comparing with every stored vector, a block at a time: memory does not grow with the index."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, MissingExtra
from driftwatch.types import ScoredDoc

Metric = Literal["cosine", "dot", "euclidean", "manhattan"]
Block = tuple[Sequence[str] | NDArray[np.object_], NDArray[np.float32]]
"""doc_ids of some entries, and their vectors, shape (entries, dimension)."""

BLOCK_BYTES = 32 * 2**20
"""Vectors that are compared in one go: fewer cost more merging, more cost memory and are no faster."""
MOST_ENTRIES = 10_000
"""Entries that an index is asked for at most, for one query, until enough different documents are among them."""
_MERGED_AT_ONCE = 8
"""Blocks whose best are kept apart, as far as these take no more than a block: merging costs a sort each time."""
_CROWDED = 8
"""Entries of a document, on average in a block, from which a list of the nearest entries is not even tried."""
_ROUNDED = 1e-6
"""How far from 1 the length of a normalised vector may be for its rounding."""
_WORTH_A_GPU = 256
"""Queries from which carrying the stored vectors to a GPU costs less than comparing them where they are."""


def best_of(
    blocks: Iterable[Block], queries: NDArray[np.float32], top_k: int, metric: Metric, *, distinct: bool = False
) -> list[tuple[ScoredDoc, ...]]:
    """The ``top_k`` documents nearest to each row of ``queries``, shape (n, dimension), best first.

    Scores are cosine similarities, inner products, *squared* Euclidean or Manhattan distances. A document that has
    several entries, in whatever blocks, is named once, with its best. Blocks may be of any size and are not kept; a
    vector that is not a number is like nothing. ``distinct``: the caller knows that no document has several entries,
    and none are looked for.

    Raises:
        EmbedError: the stored vectors have another dimension than the queries.
        MissingExtra: faiss is not installed.
    """
    if len(queries) == 0:
        return []
    compare = _Comparison(queries, top_k, metric, distinct=distinct)
    at_once = min(_MERGED_AT_ONCE, max(1, BLOCK_BYTES // (12 * len(queries) * max(1, top_k))))
    found = [_Best(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), object))]
    for doc_ids, vectors in _gathered(compare.fitting(blocks)):
        if len(found) > at_once:
            found = [_merged(found, top_k, distinct=distinct)]
        found.append(compare.nearest(doc_ids, vectors))
    best = _merged(found, top_k, distinct=distinct)
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

    def __init__(self, queries: NDArray[np.float32], top_k: int, metric: Metric, *, distinct: bool) -> None:
        self.cosine = metric == "cosine"
        self.metric: Metric = "dot" if self.cosine else metric
        self.larger = self.metric == "dot"
        """Whether a larger score is a better one."""
        self.queries = np.ascontiguousarray(queries, dtype=np.float32)
        if self.cosine:
            self.queries = _of_length_one(self.queries)
        self.top_k = top_k
        self.distinct = distinct
        self.device = _gpu(len(queries)) if metric != "manhattan" else None

    def nearest(self, doc_ids: Sequence[str] | NDArray[np.object_], vectors: NDArray[np.float32]) -> _Best:
        """The best of one block: each row names ``top_k`` documents, or all there are.

        A document with a few entries takes a few places in a row. With many it would fill them all: then every score is
        looked at, a few queries at a time.
        """
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if self.cosine:
            vectors = _of_length_one(vectors)
        names = np.asarray(doc_ids, dtype=object)
        documents = len(names) if self.distinct else len(set(names.tolist()))
        wanted = min(self.top_k, documents)
        if documents == len(names):
            return self._search(vectors, names, wanted)
        for ask in (2 * wanted, 4 * wanted):
            if ask < len(names) and len(names) < _CROWDED * documents:
                found = self._search(vectors, names, ask)
                if min(map(_different, found.names.tolist())) >= wanted:
                    return found
        return self._best_of_each(vectors, names, wanted)

    def _best_of_each(self, vectors: NDArray[np.float32], names: NDArray[np.object_], wanted: int) -> _Best:
        """As ``nearest``, from every score: the best entry of each document, and of those the best documents."""
        different, document = np.unique(names, return_inverse=True)
        order = np.argsort(document, kind="stable")
        starts = np.searchsorted(document[order], np.arange(len(different)))
        by_document = np.ascontiguousarray(vectors[order])
        at_once = max(1, BLOCK_BYTES // (4 * len(names)))
        nearness, found = [], []
        for start in range(0, len(self.queries), at_once):
            best = np.maximum.reduceat(self._every(self.queries[start : start + at_once], by_document), starts, axis=1)
            rows = np.argsort(-best, axis=1, kind="stable")[:, :wanted]
            nearness.append(np.take_along_axis(best, rows, axis=1))
            found.append(different[rows])
        return _Best(np.concatenate(nearness), np.concatenate(found))

    def _every(self, queries: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """shape (queries, vectors): how near each is, larger is nearer."""
        scores: NDArray[np.float32]
        if self.larger:
            scores = queries @ vectors.T
        else:
            faiss = _faiss()
            measures = {"euclidean": faiss.METRIC_L2, "manhattan": faiss.METRIC_L1}
            scores = -faiss.pairwise_distances(queries, vectors, measures[self.metric])
        scores[np.isnan(scores)] = -np.inf
        return scores

    def fitting(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, each looked at before it is used.

        Raises:
            EmbedError: another dimension than that of the queries.
        """
        for doc_ids, vectors in blocks:
            if vectors.shape[1] != self.queries.shape[1]:
                raise EmbedError(
                    f"the embedder gives vectors of {self.queries.shape[1]} numbers, and the index holds vectors of "
                    f"{vectors.shape[1]}.",
                    remedy="Set 'embedder: model' (and 'dimension') to what the index was built with.",
                )
            yield doc_ids, vectors

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
    faiss = _faiss()
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


def _faiss() -> Any:
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss-cpu", "embed", "Exact search") from None
    return faiss


def _gpu(queries: int) -> str | None:
    """A GPU, where torch runs already and there are queries enough: torch is not loaded for this alone."""
    torch: Any = sys.modules.get("torch")
    return "cuda" if torch is not None and queries >= _WORTH_A_GPU and torch.cuda.is_available() else None


def _of_length_one(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows made of length 1, a row of zeros left as it is: it is like nothing. Rows that have it are not copied."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    if np.all(np.abs(lengths - 1) <= _ROUNDED):
        return vectors
    vectors = vectors.copy()
    _faiss().normalize_L2(vectors)
    return vectors


def _gathered(blocks: Iterable[Block]) -> Iterator[Block]:
    """The same entries in blocks of up to ``BLOCK_BYTES``: large ones cut, small ones joined.

    What is joined lies in memory that the next block overwrites: making it anew would cost as much as the search.
    """
    buffer = np.empty((0, 0), dtype=np.float32)
    names: list[str] = []
    for doc_ids, vectors in blocks:
        rows = _rows(vectors.shape[1])
        for start in range(0, len(vectors), rows):
            part = vectors[start : start + rows]
            if len(names) + len(part) > rows:
                yield names, buffer[: len(names)]
                names = []
            if 2 * len(part) > rows and not names:
                yield doc_ids[start : start + rows], part
                continue
            if buffer.shape != (rows, vectors.shape[1]):
                buffer = np.empty((rows, vectors.shape[1]), dtype=np.float32)
            buffer[len(names) : len(names) + len(part)] = part
            names.extend(doc_ids[start : start + rows])
    if names:
        yield names, buffer[: len(names)]


def _rows(dimension: int) -> int:
    return max(1, BLOCK_BYTES // (4 * max(1, dimension)))


def _merged(found: Sequence[_Best], top_k: int, *, distinct: bool) -> _Best:
    """The best of all, each document once."""
    best = _sorted(np.hstack([each.nearness for each in found]), np.hstack([each.names for each in found]))
    rows = [] if distinct else _repeating(best.names)
    for row in rows:
        seen: set[str] = set()
        for place, name in enumerate(best.names[row].tolist()):
            if name in seen:
                best.nearness[row, place] = -np.inf
            seen.add(name)
    if rows:
        best = _sorted(best.nearness, best.names)
    return _Best(best.nearness[:, :top_k], best.names[:, :top_k])


def _repeating(names: NDArray[np.object_]) -> list[int]:
    """Rows that name a document twice."""
    return [row for row, found in enumerate(names.tolist()) if len(set(found)) < names.shape[1]]


def _sorted(nearness: NDArray[np.float32], names: NDArray[np.object_]) -> _Best:
    order = np.argsort(-nearness, axis=1, kind="stable")
    return _Best(np.take_along_axis(nearness, order, axis=1), np.take_along_axis(names, order, axis=1))


def _different(names: Sequence[str]) -> int:
    return len(set(names))
