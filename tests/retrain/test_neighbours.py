"""Exact neighbours: the same numbers whatever they are cut into."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.retrain import _neighbours
from driftwatch.retrain._neighbours import Neighbours, blocks_of, nearest

Vectors = NDArray[np.float32]


def unit(rng: np.random.Generator, count: int, dimension: int = 48) -> Vectors:
    rows = rng.standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def by_hand(queries: Vectors, documents: Vectors, k: int) -> Neighbours:
    """Every product summed in float64, rounded, and sorted: best first, and equal ones by place."""
    scores = (queries.astype(np.float64)[:, None, :] * documents.astype(np.float64)[None]).sum(axis=2)
    rounded = scores.astype(np.float32)
    order = np.argsort(-rounded, axis=1, kind="stable")[:, :k]
    return Neighbours(order, np.take_along_axis(rounded, order, axis=1))


def found(queries: Vectors, documents: Vectors, k: int, first: int = 0) -> Neighbours:
    return nearest(queries, blocks_of(documents, first), k)


def same(one: Neighbours, other: Neighbours) -> bool:
    return bool(np.array_equal(one.ids, other.ids) and np.array_equal(one.scores, other.scores))


def test_it_finds_what_every_product_by_hand_finds() -> None:
    rng = np.random.default_rng(0)
    queries, documents = unit(rng, 40), unit(rng, 3000)
    near = found(queries, documents, 25)
    assert near.ids.shape == near.scores.shape == (40, 25)
    assert near.ids.dtype == np.int64
    assert near.scores.dtype == np.float32
    assert same(near, by_hand(queries, documents, 25))


def test_copies_of_a_document_stand_in_the_order_of_the_documents() -> None:
    rng = np.random.default_rng(1)
    different = unit(rng, 7)
    documents = different[rng.integers(0, 7, 2000)]
    queries = unit(rng, 30)
    near = found(queries, documents, 400)
    assert same(near, by_hand(queries, documents, 400))
    first = near.ids[near.scores == near.scores[:, :1]]
    assert len(first) > 30 * 200, "the copies of the best document alone were to fill half of a row"


def test_documents_closer_together_than_float32_can_tell_are_still_told_apart() -> None:
    rng = np.random.default_rng(2)
    one = unit(rng, 1)
    documents = (one + rng.standard_normal((3000, 48)) * 2e-8).astype(np.float32)
    queries = unit(rng, 20)
    assert same(found(queries, documents, 10), by_hand(queries, documents, 10))


def test_more_candidates_are_taken_where_the_rough_scores_cannot_exclude_a_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    real = _neighbours._candidates

    def counted(queries: Vectors, block: Vectors, count: int, device: str) -> tuple[Vectors, NDArray[np.int64]]:
        asked.append(count)
        return real(queries, block, count, device)

    monkeypatch.setattr(_neighbours, "_candidates", counted)
    rng = np.random.default_rng(3)
    found(unit(rng, 5), unit(rng, 1000), 10)
    assert asked == [10 + _neighbours._MORE]
    asked.clear()
    found(unit(rng, 5), np.repeat(unit(rng, 1), 1000, axis=0), 10)
    assert asked == [42, 168, 672, 1000]


@pytest.mark.parametrize("seed", range(5))
def test_shards_and_blocks_do_not_change_a_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    documents = np.concatenate([unit(rng, 900), np.repeat(unit(rng, 3), 40, axis=0)])[rng.permutation(1020)]
    queries = np.concatenate([unit(rng, 20), documents[:20]])
    whole = found(queries, documents, 60)
    cuts = sorted(int(each) for each in rng.integers(1, 1019, 6))
    sharded = Neighbours(np.empty((40, 0), np.int64), np.empty((40, 0), np.float32))
    for start, end in zip([0, *cuts], [*cuts, 1020], strict=True):
        sharded = sharded.and_of(found(queries, documents[start:end], 60, start), 60)
    assert same(whole, sharded)
    monkeypatch.setattr(_neighbours, "BLOCK_BYTES", 4 * 48 * 77)
    assert same(whole, found(queries, documents, 60))


def test_each_question_is_answered_by_itself() -> None:
    rng = np.random.default_rng(6)
    queries, documents = unit(rng, 33), unit(rng, 500)
    together = found(queries, documents, 5)
    for place in range(33):
        alone = found(queries[place : place + 1], documents, 5)
        assert same(alone, Neighbours(together.ids[place : place + 1], together.scores[place : place + 1]))


def test_where_there_are_fewer_documents_all_of_them_are_given() -> None:
    rng = np.random.default_rng(7)
    queries, documents = unit(rng, 3), unit(rng, 4)
    near = found(queries, documents, 10)
    assert same(near, by_hand(queries, documents, 10))
    assert near.ids.shape == (3, 4)


def test_nothing_is_near_where_there_is_nothing() -> None:
    rng = np.random.default_rng(8)
    assert found(unit(rng, 3), unit(rng, 0), 10).ids.shape == (3, 0)
    assert found(unit(rng, 0), unit(rng, 3), 10).ids.shape == (0, 0)
    assert found(unit(rng, 3), unit(rng, 3), 0).ids.shape == (3, 0)
