"""The vectors that mining compares, of texts or handed in, with one block of them in float32 at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain._neighbours import Block, Stored, blocks_of

Encode = Callable[[Sequence[str]], NDArray[Any]]
Source = Encode | NDArray[Any]
"""What gives vectors: a function of texts, or the vectors themselves, float16 or float32, also of a file (memmap)."""

Neighbours = Callable[[NDArray[np.float32], Stored, int], tuple[NDArray[np.int64], NDArray[np.float32]]]
"""(questions, documents, k) -> places and inner products of the nearest, as ``Scale.neighbours``."""

_TEXTS = 4096
"""Texts that are embedded in one go."""
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

    def blocks(self) -> Iterator[Block]:
        """(place of the first, vectors of length 1), one block after the other."""
        for start, block in _blocks(self.array):
            yield start, block if self.factors is None else block * self.factors[start : start + len(block), None]


def in_half(pieces: Iterable[NDArray[Any]], count: int) -> NDArray[np.float16]:
    """``count`` vectors that come in pieces, of length 1, as mining keeps them."""
    kept, done = np.empty((0, 0), np.float16), 0
    for piece in pieces:
        found = np.asarray(piece, dtype=np.float32)
        if not done:
            kept = np.empty((count, found.shape[1]), np.float16)
        lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny ** 0.5)
        kept[done : done + len(found)] = found / lengths
        done += len(found)
    return kept[:done]


def _blocks(array: NDArray[Any]) -> Iterator[Block]:
    """As float32; what is that already is not copied."""
    return ((start, np.asarray(block, dtype=np.float32)) for start, block in blocks_of(array))


def _encoded(encode: Encode, texts: Sequence[str]) -> NDArray[np.float16]:
    starts = range(0, len(texts), _TEXTS)
    return in_half((encode(texts[start : start + _TEXTS]) for start in starts), len(texts))
