"""Batches that shrink when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import EmbedError

log = logging.getLogger(__name__)

_BATCHES_A_CALL = 16
_LETTERS = 6144
_LEAST = 4
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def encode_in_batches(
    encode: Callable[[Sequence[str], int], NDArray[np.float32]], texts: Sequence[str], batch_size: int
) -> Iterator[NDArray[np.float32]]:
    """Vectors of ``texts`` in order, a few batches at a time, so that a caller can keep what is finished.

    ``encode(texts, batch_size)`` is asked again with half the batch when it runs out of memory.

    Raises:
        EmbedError: even one text does not fit.
    """
    done = 0
    while done < len(texts):
        part = texts[done : done + batch_size * _BATCHES_A_CALL]
        try:
            vectors = encode(part, batch_size)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            batch_size = _halved(batch_size)
            continue
        yield vectors
        done += len(part)


def that_fit_the_cache(texts: Sequence[str], most: int) -> int:
    """How many of ``texts`` a processor reads at once: of long ones so few that a layer's numbers stay in its cache.

    Thirty-two abstracts at a time take a fifth longer than four or eight, and more than twice the memory.
    """
    longest = max(map(len, texts), default=0)
    return min(most, max(_LEAST, _LETTERS // max(1, longest)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether CUDA, MPS or the processor's allocator gave up; each says so in words of its own."""
    return any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def _halved(batch_size: int) -> int:
    if batch_size <= 1:
        raise EmbedError(
            "there is not enough memory to embed a single text.",
            remedy="Set a smaller 'max_length' or 'device: cpu', or free the GPU.",
        )
    log.warning("out of memory with batches of %d; going on with %d", batch_size, batch_size // 2)
    return batch_size // 2
