"""The passages nearest to each question, exactly, with one block of vectors in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrievers._exact import search_by_faiss, search_by_torch

Encode = Callable[[Sequence[str]], NDArray[Any]]
Source = Encode | NDArray[Any]
"""What gives vectors: a function of texts, or the vectors themselves, float16 or float32, also of a file (memmap)."""

Neighbours = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""(questions, documents, k) -> places and inner products of the nearest, as ``Scale.neighbours``."""

BLOCK_BYTES = 16 << 20
"""Vectors that are compared in one go."""
_TEXTS = 4096
"""Texts that are embedded in one go."""
_DIGITS = 6
"""Scores that differ by less are equal: the last digits depend on the machine, and on how the work was cut up."""
_UNIT = 1e-4


@dataclass(frozen=True, eq=False)
class Vectors:
    """Vectors of which only the direction counts, one a text."""

    array: NDArray[Any]
    """shape (n, dimension), float16 or float32."""
    factors: NDArray[np.float32] | None
    """1 / length of each; None: all are of length 1 and float32, and used as they lie in memory."""

    @classmethod
    def of(cls, source: Source, texts: Sequence[str]) -> Vectors:
        """Those that were handed in, or those that ``source`` gives, kept in float16.

        Raises:
            RetrainError: another number of vectors than of texts, or numbers that are not finite.
        """
        array = _encoded(source, texts) if callable(source) else source
        if array.ndim != 2 or len(array) != len(texts):
            raise RetrainError(
                f"there are {len(texts)} texts, and vectors of shape {array.shape}.",
                remedy="Hand in one vector for each text, in the same order.",
            )
        factors = np.empty(len(array), np.float32)
        for start, block in _blocks(array):
            lengths = np.linalg.norm(block, axis=1)
            if not np.isfinite(lengths).all():
                raise RetrainError(
                    "the model in use gives numbers that are not finite.",
                    remedy="In float16 some models overflow: set 'embedder: dtype: float32'.",
                )
            factors[start : start + len(block)] = 1 / np.maximum(lengths, np.finfo(np.float32).tiny ** 0.5)
        unit = array.dtype == np.float32 and bool((np.abs(factors - 1) < _UNIT).all())
        return cls(array, None if unit else factors)

    def __len__(self) -> int:
        return len(self.array)

    def rows(self, places: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float32]:
        """Some of them, float32, of length 1."""
        rows = np.asarray(self.array[places], dtype=np.float32)
        return rows if self.factors is None else rows * self.factors[places][:, None]

    def whole(self) -> NDArray[np.float32]:
        """All of them, float32, of length 1; a copy only where they are something else."""
        return self.array if self.factors is None else np.concatenate([block for _, block in self.blocks()])

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(place of the first, vectors of length 1), one block after the other."""
        for start, block in _blocks(self.array):
            yield start, block if self.factors is None else block * self.factors[start : start + len(block), None]


def nearest(
    queries: NDArray[np.float32], vectors: Vectors, count: int, device: str = "cpu"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and cosines of the ``count`` nearest, shape (n, count), best first, of equal ones the first first.

    ``queries``: of length 1. FAISS compares on the processor, torch on any other ``device``. Where there are fewer than
    ``count``, the places are -1.
    """
    scores, places = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start, block in vectors.blocks():
        found = _search(queries, block, min(count, len(block)), device)
        scores, places = np.hstack([scores, found[0]]), np.hstack([places, found[1] + start])
        if scores.shape[1] > count:
            scores, places = _sorted(scores, places, count)
    scores, places = _sorted(scores, places, count)
    short = count - scores.shape[1]
    return (
        np.pad(places, ((0, 0), (0, short)), constant_values=-1),
        np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf),
    )


def _search(
    queries: NDArray[np.float32], block: NDArray[np.float32], count: int, device: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if device == "cpu":
        return search_by_faiss(queries, np.ascontiguousarray(block), count, "dot")
    return search_by_torch(queries, block, count, squared=False, device=device)


def _sorted(
    scores: NDArray[np.float32], places: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    scores = np.round(scores, _DIGITS)
    order = np.lexsort((places, -scores), axis=1)[:, :count]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(places, order, axis=1)


def _blocks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """As float32; what is that already is not copied."""
    rows = max(1, BLOCK_BYTES // (4 * max(1, array.shape[1])))
    for start in range(0, len(array), rows):
        yield start, np.asarray(array[start : start + rows], dtype=np.float32)


def _encoded(encode: Encode, texts: Sequence[str]) -> NDArray[np.float16]:
    kept = np.empty((0, 0), np.float16)
    for start in range(0, len(texts), _TEXTS):
        found = np.asarray(encode(texts[start : start + _TEXTS]), dtype=np.float32)
        if not start:
            kept = np.empty((len(texts), found.shape[1]), np.float16)
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny ** 0.5)
        kept[start : start + len(found)] = found / lengths
    return kept
