from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, RetrieverError
from driftwatch.retrievers import _exact, _faiss_index
from driftwatch.retrievers.faiss import Faiss

faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")

pytestmark = pytest.mark.process

SIZE, WIDTH = 1000, 16
RANDOM = np.random.default_rng(23)
VECTORS = RANDOM.normal(size=(SIZE, WIDTH)).astype(np.float32) * RANDOM.uniform(0.2, 5, size=(SIZE, 1)).astype(
    np.float32
)
"""Not normalised: what users store is given back as it is."""
QUERIES = RANDOM.normal(size=(9, WIDTH)).astype(np.float32)
LOSSLESS = ["Flat", "IDMap,Flat", "IDMap2,HNSW8", "IVF8,Flat", "IDMap,IVF8,Flat", "HNSW8", "PQ8x4,RFlat", "NSG8"]
LOSSY = ["SQ8", "SQfp16", "IVF8,SQ8", "PQ8x4", "IVF8,PQ8x4", "HNSW8,SQ8", "PCA8,Flat"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small indexes are built quicker by one thread than by several that wait for each other."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(before)


def built(spec: str, metric: int = faiss.METRIC_INNER_PRODUCT, vectors: NDArray[np.float32] = VECTORS) -> Any:
    index = faiss.index_factory(WIDTH, spec, metric)
    index.train(vectors)
    if spec.startswith("IDMap"):
        index.add_with_ids(vectors, np.arange(len(vectors))[::-1].copy())
    else:
        index.add(vectors)
    return index


def opened(folder: Path, index: Any, ids: list[str] | None = None, **settings: Any) -> Faiss:
    faiss.write_index(index, str(folder / "docs.faiss"))
    if ids is not None:
        (folder / "ids.txt").write_text("\n".join(ids))
        settings["ids"] = folder / "ids.txt"
    return Faiss(kind="faiss", index=folder / "docs.faiss", **settings)


def named(spec: str) -> list[str]:
    """What each vector's document is called: an IDMap here counts backwards."""
    numbers = range(SIZE)
    return [f"doc-{SIZE - 1 - number if spec.startswith('IDMap') else number}" for number in numbers]


def row_names() -> list[str]:
    return [f"doc-{number}" for number in range(SIZE)]


@pytest.mark.parametrize("spec", LOSSLESS)
def test_stored_vectors_come_back_as_they_were_added(tmp_path: Path, spec: str) -> None:
    retriever = opened(tmp_path, built(spec), row_names())
    stored = retriever.stored([*row_names(), "doc-none", "-1"])
    assert len(stored) == SIZE
    for name, vector in zip(named(spec), VECTORS, strict=True):
        assert np.array_equal(stored[name].vector, vector)
        assert stored[name].doc_id == name
        assert stored[name].text is None
    assert retriever.facts().settings["compressed"] == "no"


@pytest.mark.parametrize("spec", LOSSY)
def test_compressed_vectors_come_back_as_far_as_they_were_kept(tmp_path: Path, spec: str) -> None:
    retriever = opened(tmp_path, built(spec), row_names())
    stored = retriever.stored(row_names())
    given = np.stack([stored[name].vector for name in row_names()])
    cosine = (given * VECTORS).sum(1) / np.linalg.norm(given, axis=1) / np.linalg.norm(VECTORS, axis=1)
    assert np.median(cosine) > 0.6
    assert not np.array_equal(given, VECTORS)
    assert retriever.facts().settings["compressed"] == "yes"


@pytest.mark.parametrize("spec", LOSSLESS)
@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
def test_exact_search_compares_with_every_vector(
    tmp_path: Path, spec: str, metric: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 300)
    kind = "similarity" if metric == faiss.METRIC_INNER_PRODUCT else "distance"
    retriever = opened(tmp_path, built(spec, metric), row_names(), score_kind=kind)
    wanted_scores, rows = faiss.knn(QUERIES, VECTORS, 10, metric)
    found = retriever.search_vectors(QUERIES, 10, exact=True)
    assert [[hit.doc_id for hit in hits] for hits in found] == [[named(spec)[row] for row in each] for each in rows]
    scores = [[hit.score for hit in hits] for hits in found]
    assert np.allclose(scores, wanted_scores, rtol=1e-4, atol=1e-4)


def test_an_ivf_index_with_numbers_of_its_own_is_read_by_them(tmp_path: Path) -> None:
    index = faiss.index_factory(WIDTH, "IVF8,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add_with_ids(VECTORS, np.arange(SIZE) * 7 + 3)
    retriever = opened(tmp_path, index)
    assert np.array_equal(retriever.stored(["10"])["10"].vector, VECTORS[1])
    assert retriever.missing(["3", "4", "10"]) == {"4"}
    _, rows = faiss.knn(QUERIES, VECTORS, 5, faiss.METRIC_INNER_PRODUCT)
    found = retriever.search_vectors(QUERIES, 5, exact=True)
    assert [[int(hit.doc_id) for hit in hits] for hits in found] == (rows * 7 + 3).tolist()


@pytest.mark.parametrize("spec", ["Flat", "IVF8,Flat"])
def test_documents_that_were_removed_are_missing(tmp_path: Path, spec: str) -> None:
    index = built(f"IDMap,{spec}")
    index.remove_ids(np.arange(100))
    retriever = opened(tmp_path, index, row_names())
    assert retriever.missing(["doc-99", "doc-100"]) == {"doc-99"}
    assert len([entry for block in retriever.entries() for entry in block]) == SIZE - 100
    assert np.array_equal(retriever.stored(["doc-100"])["doc-100"].vector, VECTORS[SIZE - 101])


@pytest.mark.parametrize("exact", [False, True])
def test_a_document_of_many_rows_is_named_once_and_leaves_room_for_others(tmp_path: Path, exact: bool) -> None:
    vectors = np.concatenate([np.repeat(QUERIES[:1] * 100, 40, axis=0), VECTORS])
    retriever = opened(tmp_path, built("Flat", vectors=vectors), ["long"] * 40 + row_names())
    (hits,) = retriever.search_vectors(QUERIES[:1], 5, exact=exact)
    best = [f"doc-{row}" for row in np.argsort(-VECTORS @ QUERIES[0])[:4]]
    assert [hit.doc_id for hit in hits] == ["long", *best]


def test_a_query_that_finds_too_few_rows_keeps_no_other_from_looking_further(tmp_path: Path) -> None:
    near, far = np.eye(WIDTH, dtype=np.float32)[:2] * 10
    vectors = np.concatenate([np.repeat([near], 30, axis=0), np.repeat([near / 2], 3, axis=0), [far]])
    quantizer = faiss.IndexFlatIP(WIDTH)
    quantizer.add(np.stack([near, far]))
    index = faiss.IndexIVFFlat(quantizer, WIDTH, 2, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    index.add(vectors)
    retriever = opened(tmp_path, index, ["long"] * 30 + ["a", "b", "c", "alone"], nprobe=1)
    first, second = retriever.search_vectors(np.stack([near, far]), 4)
    assert first[0].doc_id == "long"
    assert {hit.doc_id for hit in first} == {"long", "a", "b", "c"}
    assert [hit.doc_id for hit in second] == ["alone"]


def test_no_more_rows_are_asked_for_than_memory_is_meant_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_faiss_index, "MOST_ENTRIES", 64)
    vectors = np.concatenate([np.repeat(QUERIES[:1] * 100, 200, axis=0), VECTORS])
    retriever = opened(tmp_path, built("Flat", vectors=vectors), ["long"] * 200 + row_names())
    crowded, other = retriever.search_vectors(np.stack([QUERIES[0], -QUERIES[0]]), 5)
    assert [hit.doc_id for hit in crowded] == ["long"]
    assert len(other) == 5


def test_every_row_is_an_entry_with_a_name_of_its_own(tmp_path: Path) -> None:
    ids = ["a", "b", "a", "a#2", "a"]
    retriever = opened(tmp_path, built("Flat", vectors=VECTORS[:5]), ids)
    listed = [entry for block in retriever.entries() for entry in block]
    assert listed == [("a", "a"), ("b", "b"), ("a#2#", "a"), ("a#2", "a#2"), ("a#4", "a")]
    stored = retriever.stored([entry_id for entry_id, _ in listed])
    assert all(np.array_equal(stored[each].vector, VECTORS[row]) for row, (each, _) in enumerate(listed))


def test_facts_say_how_an_index_was_built_and_is_searched(tmp_path: Path) -> None:
    def settings(spec: str, **tuned: int) -> dict[str, str]:
        return dict(opened(tmp_path, built(spec), **tuned).facts().settings)

    assert settings("Flat") == {"kind": "Flat", "compressed": "no"}
    assert settings("IVF8,Flat", nprobe=3) == {"kind": "IVFFlat", "nlist": "8", "nprobe": "3", "compressed": "no"}
    assert settings("IDMap,HNSW12", ef_search=99) == {
        "kind": "HNSWFlat",
        "M": "12",
        "efSearch": "99",
        "efConstruction": "40",
        "compressed": "no",
    }
    assert settings("IVF8,PQ8x4") == {
        "kind": "IVFPQ",
        "nlist": "8",
        "nprobe": "1",
        "compressed": "yes",
        "PQ M": "8",
        "PQ nbits": "4",
    }
    assert settings("PCA8,Flat") == {"kind": "Flat", "compressed": "yes", "transforms": "PCA to 8"}
    assert settings("PQ8x4,RFlat")["refined by"] == "Flat"
    assert settings("SQ8") == {"kind": "ScalarQuantizer", "compressed": "yes", "SQ bits": "8"}


def test_facts_change_with_the_file(tmp_path: Path) -> None:
    retriever = opened(tmp_path, built("Flat", faiss.METRIC_L2), score_kind="distance")
    before = retriever.facts()
    assert (before.count, before.dimension, before.metric, before.model) == (SIZE, WIDTH, "euclidean", "")
    assert retriever.facts() == before
    faiss.write_index(built("Flat", faiss.METRIC_L2, VECTORS[::-1].copy()), str(tmp_path / "docs.faiss"))
    assert retriever.facts().fingerprint != before.fingerprint
    assert retriever.facts().count == SIZE


def test_the_map_of_an_ivf_index_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    retriever = opened(tmp_path, built("IVF8,Flat"))
    before = (tmp_path / "docs.faiss").read_bytes()
    assert len(retriever.stored(["5", "77"])) == 2
    assert (tmp_path / "docs.faiss").read_bytes() == before


def test_random_rows_of_a_large_index_come_quickly(tmp_path: Path) -> None:
    index = faiss.index_factory(WIDTH, "IVF64,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add(RANDOM.normal(size=(200_000, WIDTH)).astype(np.float32))
    retriever = opened(tmp_path, index)
    retriever.reach()
    began = time.perf_counter()
    for _ in range(20):
        retriever.stored([str(row) for row in RANDOM.integers(0, 200_000, size=100)])
    assert time.perf_counter() - began < 1


def test_another_dimension_is_told(tmp_path: Path) -> None:
    for exact in (False, True):
        with pytest.raises(EmbedError, match="vectors of 8 numbers, and the index holds vectors of 16"):
            opened(tmp_path, built("Flat")).search_vectors(QUERIES[:, :8], 3, exact=exact)


def test_texts_are_in_no_file(tmp_path: Path) -> None:
    retriever = opened(tmp_path, built("Flat"))
    assert "texts" not in retriever.capabilities
    with pytest.raises(RetrieverError, match="cannot give texts"):
        retriever.stored(["1"], vectors=False)


def test_an_empty_index_holds_nothing(tmp_path: Path) -> None:
    retriever = opened(tmp_path, faiss.IndexFlatIP(WIDTH))
    assert retriever.search_vectors(QUERIES, 3, exact=True) == [()] * len(QUERIES)
    assert retriever.stored(["0"]) == {}
    assert list(retriever.entries()) == []
    assert retriever.facts().count == 0


def test_a_kind_that_cannot_give_vectors_back_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    index = faiss.index_factory(WIDTH, "L2norm,IDMap,Flat", faiss.METRIC_INNER_PRODUCT)
    index.add_with_ids(VECTORS, np.arange(SIZE))
    faiss.write_index(index, str(tmp_path / "docs.faiss"))
    script = tmp_path / "ask.py"  # in a process of its own: FAISS would end it
    script.write_text(
        "import sys, numpy as np\n"
        "from driftwatch.errors import RetrieverError\n"
        "from driftwatch.retrievers.faiss import Faiss\n"
        "faiss = Faiss(kind='faiss', index=sys.argv[1])\n"
        "queries = np.ones((2, 16), np.float32)\n"
        "print(len(faiss.search_vectors(queries, 3)))\n"
        "for ask in (lambda: faiss.stored(['1', '2']), lambda: faiss.search_vectors(queries, 3, exact=True)):\n"
        "    try:\n"
        "        ask()\n"
        "    except RetrieverError as error:\n"
        "        print(error)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "docs.faiss")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.count("kind IndexPreTransform cannot give its vectors back. Set 'exact: false'") == 2
