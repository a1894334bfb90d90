from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.errors import EmbedError
from driftwatch.retrievers import _exact
from driftwatch.retrievers._exact import Metric, best_of, search_by_faiss, search_by_torch
from driftwatch.types import ScoredDoc

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")

SIZE, WIDTH = 900, 16
RANDOM = np.random.default_rng(11)
VECTORS = RANDOM.normal(size=(SIZE, WIDTH)).astype(np.float32)
QUERIES = RANDOM.normal(size=(23, WIDTH)).astype(np.float32)
CHUNKS = [f"doc-{number % 200}" if number % 3 else "doc-long" for number in range(SIZE)]
"""Documents with several entries each, and one with a third of all."""


def blocks(names: Sequence[str], rows: int, vectors: NDArray[np.float32] = VECTORS) -> Iterator[_exact.Block]:
    for start in range(0, len(vectors), rows):
        yield names[start : start + rows], vectors[start : start + rows]


def every_score(metric: Metric) -> NDArray[np.float64]:
    stored, asked = VECTORS.astype(float), QUERIES.astype(float)
    differences = asked[:, None, :] - stored[None, :, :]
    cosine = (asked @ stored.T) / np.linalg.norm(asked, axis=1)[:, None] / np.linalg.norm(stored, axis=1)
    of: dict[Metric, NDArray[np.float64]] = {
        "dot": asked @ stored.T,
        "cosine": cosine,
        "euclidean": (differences**2).sum(2),
        "manhattan": np.abs(differences).sum(2),
    }
    return of[metric]


def naive(names: Sequence[str], top_k: int, metric: Metric) -> list[list[tuple[str, float]]]:
    """Every entry sorted, each document at its first place."""
    sign = -1 if metric in ("dot", "cosine") else 1
    found = []
    for scores in every_score(metric):
        best: dict[str, float] = {}
        for row in np.argsort(sign * scores, kind="stable"):
            best.setdefault(names[row], float(scores[row]))
        found.append(list(best.items())[:top_k])
    return found


def pairs(found: Sequence[tuple[ScoredDoc, ...]]) -> list[list[tuple[str, float]]]:
    return [[(hit.doc_id, pytest.approx(hit.score, abs=2e-4)) for hit in hits] for hits in found]


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("rows", [1, 70, SIZE])
def test_every_entry_is_compared_whatever_the_blocks(
    metric: Metric, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 250)
    names = [f"doc-{number}" for number in range(SIZE)]
    assert naive(names, 12, metric) == pairs(best_of(blocks(names, rows), QUERIES, 12, metric))


@pytest.mark.parametrize("rows", [1, 70, SIZE])
def test_a_document_with_several_entries_is_named_once_with_its_best(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 250)
    for metric in ("dot", "euclidean"):
        assert naive(CHUNKS, 30, metric) == pairs(best_of(blocks(CHUNKS, rows), QUERIES, 30, metric))


@pytest.mark.parametrize("metric", ["dot", "cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("top_k", [2, 12])
def test_a_few_documents_with_all_the_entries_are_each_named_with_their_best(
    metric: Metric, top_k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 250)
    names = [f"doc-{number * number % 7}" for number in range(SIZE)]
    assert naive(names, top_k, metric) == pairs(best_of(blocks(names, 400), QUERIES, top_k, metric))


def test_memory_does_not_grow_with_the_entries_of_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, block = 6000, 4 * WIDTH * 6000
    monkeypatch.setattr(_exact, "BLOCK_BYTES", block)
    vectors = RANDOM.normal(size=(rows, WIDTH)).astype(np.float32)
    vectors[: rows // 2] += 3
    vectors[rows // 2 :] -= 3  # nobody who is near to one document has the other among the thousands that are nearest
    asked = vectors[:300].copy()
    names = np.repeat(np.array(["one", "two"], dtype=object), rows // 2)
    tracemalloc.start()
    found = best_of([(names, vectors)], asked, 20, "dot")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {tuple(hit.doc_id for hit in hits) for hits in found} == {("one", "two")}
    assert peak < 8 * block


def test_an_index_smaller_than_top_k_gives_all_it_has() -> None:
    found = best_of([(["a", "b", "a"], VECTORS[:3])], QUERIES, 10, "dot")
    assert {frozenset(hit.doc_id for hit in hits) for hits in found} == {frozenset("ab")}
    assert {len(hits) for hits in found} == {2}


def test_an_empty_index_finds_nothing() -> None:
    assert best_of([], QUERIES, 10, "dot") == [()] * len(QUERIES)
    assert best_of([([], VECTORS[:0])], QUERIES, 10, "cosine") == [()] * len(QUERIES)


def test_no_query_is_no_answer() -> None:
    assert best_of(blocks(CHUNKS, 100), QUERIES[:0], 10, "dot") == []


def test_a_vector_that_is_not_a_number_is_like_nothing() -> None:
    broken = VECTORS[:4].copy()
    broken[2] = np.nan
    for metric in ("dot", "cosine", "euclidean"):
        found = best_of([(list("abcd"), broken)], QUERIES, 4, metric)
        assert {frozenset(hit.doc_id for hit in hits) for hits in found} == {frozenset("abd")}


def test_another_dimension_is_told() -> None:
    with pytest.raises(EmbedError, match="vectors of 8 numbers, and the index holds vectors of 16"):
        best_of(blocks(CHUNKS, 100), QUERIES[:, :8], 10, "dot")


def test_memory_does_not_grow_with_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 1000)

    def peak(times: int) -> int:
        names = [f"doc-{number}" for number in range(500)]
        stream = ((names, RANDOM.normal(size=(500, WIDTH)).astype(np.float32)) for _ in range(times))
        tracemalloc.start()
        best_of(stream, QUERIES, 10, "cosine")
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(4)
    assert peak(400) < 1.3 * peak(20)


@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_the_way_over_a_gpu_finds_the_same(metric: Metric) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra 'embed')")
    scores, rows = search_by_faiss(QUERIES, VECTORS, 9, metric)
    others, same = search_by_torch(QUERIES, VECTORS, 9, squared=metric == "euclidean", device="cpu")
    assert np.array_equal(rows, same)
    assert np.allclose(scores, others, atol=1e-4)


def test_the_way_over_a_gpu_passes_over_what_is_not_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra 'embed')")
    monkeypatch.setattr(_exact, "_gpu", lambda queries: "cpu")
    broken = VECTORS[:4].copy()
    broken[2] = np.nan
    for metric in ("dot", "cosine", "euclidean"):
        found = best_of([(list("abcd"), broken)], QUERIES, 4, metric)
        assert {frozenset(hit.doc_id for hit in hits) for hits in found} == {frozenset("abd")}


def test_vectors_of_any_length_are_compared_by_cosine_and_stay_as_they_are() -> None:
    stretched = VECTORS * np.linspace(0.5, 3, len(VECTORS), dtype=np.float32)[:, None]
    before = stretched.copy()
    names = [f"doc-{row}" for row in range(len(VECTORS))]
    one, other = (best_of([(names, vectors)], QUERIES, 5, "cosine") for vectors in (VECTORS, stretched))
    assert [[hit.doc_id for hit in hits] for hits in one] == [[hit.doc_id for hit in hits] for hits in other]
    assert np.array_equal(stretched, before)


def test_a_caller_that_knows_its_documents_to_be_distinct_is_believed() -> None:
    names = [f"doc-{row}" for row in range(len(VECTORS))]
    told = best_of(blocks(names, 100), QUERIES, 9, "dot", distinct=True)
    assert told == best_of(blocks(names, 100), QUERIES, 9, "dot")
    assert best_of([(["a"] * 3, VECTORS[:3])], QUERIES[:1], 3, "dot", distinct=True)[0][2].doc_id == "a"
