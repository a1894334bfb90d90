from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.embed._batches import encode_in_batches, is_out_of_memory, that_fit_the_cache
from driftwatch.embed._model import batch_that_fits
from driftwatch.errors import EmbedError


class SmallMemory:
    """A model that holds so many texts at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.asked: list[tuple[int, int]] = []

    def __call__(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        self.asked.append((len(texts), batch_size))
        if min(batch_size, len(texts)) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return np.array([[float(text)] for text in texts], np.float32)


def encoded(model: SmallMemory, count: int, batch_size: int) -> list[float]:
    parts = encode_in_batches(model, [str(number) for number in range(count)], batch_size)
    return [float(value) for part in parts for value in part.ravel()]


def test_every_text_is_encoded_once_and_in_order() -> None:
    assert encoded(SmallMemory(room=64), 2500, 64) == list(range(2500))


def test_the_batch_is_halved_until_it_fits_and_stays_so() -> None:
    model = SmallMemory(room=5)
    assert encoded(model, 100, 32) == list(range(100))
    assert [size for _, size in model.asked] == [32, 16, 8, 4, 4]


def test_what_is_finished_is_not_lost_when_memory_runs_out() -> None:
    model = SmallMemory(room=32)
    parts = encode_in_batches(model, [str(number) for number in range(2000)], 32)
    assert len(next(parts)) == 512
    model.room = 4
    assert sum(len(part) for part in parts) == 2000 - 512


def test_not_even_one_text_fits() -> None:
    with pytest.raises(EmbedError, match="not enough memory to embed a single text"):
        encoded(SmallMemory(room=0), 3, 8)


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def broken(texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        list(encode_in_batches(broken, ["a"], 8))


@pytest.mark.parametrize(
    "words",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "MPS backend out of memory (MPS allocated: 5.00 GB)",
        "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: can't allocate memory: you tried to allocate",
    ],
)
def test_each_device_says_in_its_own_words_that_memory_is_short(words: str) -> None:
    assert is_out_of_memory(RuntimeError(words))


@pytest.mark.parametrize(
    ("free", "tokens", "width", "batch"),
    [(80 * 2**30, 512, 1024, 1024), (15 * 2**30, 512, 1024, 256), (2**30, 512, 1024, 16), (0, 512, 384, 16)],
)
def test_the_first_batch_follows_the_free_memory(free: int, tokens: int, width: int, batch: int) -> None:
    assert batch_that_fits(free, tokens=tokens, width=width) == batch


def test_a_processor_reads_few_long_texts_at_once_and_many_short_ones() -> None:
    assert that_fit_the_cache(["where is my order"] * 100, 32) == 32
    assert that_fit_the_cache(["a short one", "x" * 1000], 32) == 6
    assert that_fit_the_cache(["x" * 100_000], 32) == 4
    assert that_fit_the_cache(["x" * 100_000], 2) == 2
