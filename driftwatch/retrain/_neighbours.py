"""The nearest documents of each question, exactly: the same numbers whatever the blocks, the machines and the GPU.

A product of matrices in float32 says who is a candidate. Its last digits depend on how the library cuts the matrices,
so they decide nothing: each candidate's score is summed anew in float64, always in the same order, and rounded to
float32; equal scores stand in the order of the documents. Where the error that float32 may have could have kept a
document from being a candidate, more are taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrievers._exact import search_by_faiss, search_by_torch

Block = tuple[int, NDArray[np.float32]]
"""Place of its first document among all, and its vectors, shape (documents, dimension)."""
BLOCK_BYTES = 16 << 20
"""Vectors that are compared in one go."""
_MORE = 32
"""Candidates beyond those that are wanted, so that one look is nearly always enough."""
_PRODUCTS_BYTES = 1 << 19
"""Products that are summed in one go: what stays in a processor's cache takes half the time."""
_ROUNDING = 2.0**-24
"""The largest relative error of one float32 operation."""


class Stored(Protocol):
    """Vectors of documents, however they are kept."""

    def __len__(self) -> int:
        """How many there are."""

    def blocks(self) -> Iterator[Block]:
        """All of them, one block after the other, each of ``BLOCK_BYTES`` at most."""


@dataclass(frozen=True)
class Neighbours:
    """What is nearest to each question, best first."""

    ids: NDArray[np.int64]
    """shape (questions, k): places of documents."""
    scores: NDArray[np.float32]
    """shape (questions, k): inner products."""

    def and_of(self, other: Neighbours, k: int) -> Neighbours:
        """The best ``k`` of two sets of documents that have none in common."""
        return _best(np.hstack([self.ids, other.ids]), np.hstack([self.scores, other.scores]), k)


def nearest(queries: NDArray[np.float32], blocks: Iterable[Block], k: int, device: str = "cpu") -> Neighbours:
    """The ``k`` documents (or all, where there are fewer) with the largest inner product with each question.

    FAISS finds the candidates on the processor, torch on any other ``device``; what is found does not depend on it.

    Raises:
        MissingExtra: faiss is not installed.
    """
    asked = np.ascontiguousarray(queries, np.float32)
    found = Neighbours(np.empty((len(asked), 0), np.int64), np.empty((len(asked), 0), np.float32))
    for first, block in blocks if len(asked) and k > 0 else ():
        found = found.and_of(_of_block(asked, np.ascontiguousarray(block, np.float32), k, first, device), k)
    return found


def blocks_of(documents: NDArray[np.float32], first: int = 0) -> Iterator[Block]:
    """``documents``, also of a file (memmap), a few megabytes at a time; ``first``: the place of the first of them."""
    rows = max(1, BLOCK_BYTES // max(1, 4 * documents.shape[1]))
    for start in range(0, len(documents), rows):
        yield first + start, documents[start : start + rows]


def _of_block(queries: NDArray[np.float32], block: NDArray[np.float32], k: int, first: int, device: str) -> Neighbours:
    k = min(k, len(block))
    ids, scores = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    error = _error(queries, block)
    waiting, count = np.arange(len(queries)), k + _MORE
    while len(waiting):
        count = min(count, len(block))
        roughly, rows = _candidates(queries[waiting], block, count, device)
        found = _best(rows + first, _scores(queries[waiting], block, rows), k)
        ids[waiting], scores[waiting] = found.ids, found.scores
        sure = (count == len(block)) | (found.scores[:, -1] > roughly[:, -1] + error[waiting])
        waiting, count = waiting[~sure], 4 * count
    return Neighbours(ids, scores)


def _candidates(
    queries: NDArray[np.float32], block: NDArray[np.float32], count: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Rough scores, best first, and rows."""
    if device == "cpu":
        return search_by_faiss(queries, block, count, "dot")
    return search_by_torch(queries, block, count, squared=False, device=device)


def _error(queries: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float64]:
    """shape (questions,): how far a float32 sum may be from the true one, in whatever order it is taken, twice over for
    the rounding of ours (Higham 2002, *Accuracy and Stability of Numerical Algorithms*, section 3.1).
    """
    longest = float(np.sqrt(np.max(np.einsum("ij,ij->i", block, block, dtype=np.float64))))
    lengths = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
    error: NDArray[np.float64] = 2 * (queries.shape[1] + 2) * _ROUNDING * longest * lengths
    return error


def _scores(queries: NDArray[np.float32], block: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """shape of ``rows``: products of float32 are exact in float64, and numpy sums a row in one fixed order."""
    scores = np.empty(rows.shape, np.float32)
    at_once = max(1, _PRODUCTS_BYTES // (8 * rows.shape[1] * block.shape[1]))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        products = block[rows[part]].astype(np.float64)
        products *= queries[part][:, None, :]
        scores[part] = products.sum(axis=2)
    return scores


def _best(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Neighbours:
    """The ``k`` best of each row, equal ones by their place."""
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    return Neighbours(np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1))
