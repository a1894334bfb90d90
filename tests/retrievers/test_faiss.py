from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from driftwatch.errors import EmbedError, RetrieverError
from driftwatch.retrievers import _exact
from driftwatch.retrievers.faiss import Faiss
from driftwatch.types import Query

faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")

SIZE, WIDTH = 1500, 24


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    rows = np.random.default_rng(7).normal(size=(SIZE, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class RowEmbedder:
    """Embeds the text "17" as row 17 of known vectors."""

    fingerprint = "rows@1"

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self.rows = rows

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self.rows[[int(text) for text in texts]]

    encode_documents = encode_queries


class Files:
    """An index and its ids in a folder."""

    def __init__(self, folder: Path, vectors: NDArray[np.float32]) -> None:
        self.folder = folder
        self.vectors = vectors
        self.index = folder / "docs.faiss"
        self.ids = folder / "ids.txt"

    def write(self, spec: str = "Flat", metric: int | None = None, count: int = SIZE, prefix: str = "doc-") -> Files:
        index = faiss.index_factory(WIDTH, spec, faiss.METRIC_INNER_PRODUCT if metric is None else metric)
        index.train(self.vectors)
        if spec.startswith("IDMap"):
            index.add_with_ids(self.vectors[:count], np.arange(count)[::-1].copy())
        else:
            index.add(self.vectors[:count])
        faiss.write_index(index, str(self.index))
        self.ids.write_text("".join(f"{prefix}{number}\n" for number in range(count)))
        return self

    def retriever(self, **settings: Any) -> Faiss:
        return Faiss(kind="faiss", **{"index": str(self.index), "ids": str(self.ids), "top_k": 10, **settings})

    def ask(self, *texts: str, **settings: Any) -> list[list[str]]:
        replies = self.retriever(**settings).search(asking(*texts), RowEmbedder(self.vectors))
        return [[hit.doc_id for hit in reply.hits or ()] for reply in replies]


@pytest.fixture
def files(tmp_path: Path, vectors: NDArray[np.float32]) -> Files:
    return Files(tmp_path, vectors)


def asking(*texts: str) -> list[Query]:
    return [Query(f"q{text}", text) for text in texts]


def truth(vectors: NDArray[np.float32], row: int, k: int = 10) -> list[str]:
    return [f"doc-{place}" for place in np.argsort(-vectors @ vectors[row])[:k]]


def test_hits_are_the_nearest_documents_with_their_scores(files: Files, vectors: NDArray[np.float32]) -> None:
    (reply,) = files.write().retriever().search(asking("3"), RowEmbedder(vectors))
    assert [hit.doc_id for hit in reply.hits or ()] == truth(vectors, 3)
    assert reply.hits is not None
    assert reply.hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert reply.versions["embedder"] == "rows@1"


@pytest.mark.parametrize("spec", ["IVF40,Flat", "HNSW8,Flat", "IDMap,IVF40,Flat", "IDMap,HNSW8", "IDMap,Flat"])
def test_exact_search_finds_what_an_approximate_index_misses(
    files: Files, vectors: NDArray[np.float32], spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_exact, "BLOCK_BYTES", 4 * WIDTH * 400)  # several blocks
    rows = [5, 700, 1499]
    found = files.write(spec).ask(*map(str, rows), exact=True)
    expected = [truth(vectors, row) for row in rows]
    if spec.startswith("IDMap"):
        expected = [[f"doc-{SIZE - 1 - int(name[4:])}" for name in names] for names in expected]
    assert found == expected


def test_an_ivf_index_searches_as_stored_unless_nprobe_widens_it(files: Files, vectors: NDArray[np.float32]) -> None:
    files.write("IVF40,Flat")
    rows = [str(row) for row in range(40)]
    expected = [truth(vectors, row) for row in range(40)]
    assert files.ask(*rows) != expected
    assert files.ask(*rows, nprobe=40) == expected


def test_ef_search_widens_an_hnsw_graph(files: Files, vectors: NDArray[np.float32]) -> None:
    files.write("HNSW4,Flat")
    rows = [str(row) for row in range(40)]

    def right(found: list[list[str]]) -> int:
        return sum(len(set(names) & set(truth(vectors, row))) for row, names in enumerate(found))

    assert right(files.ask(*rows, ef_search=500)) > right(files.ask(*rows, ef_search=10))


@pytest.mark.parametrize(("setting", "kind"), [("nprobe", "IndexFlatIP"), ("ef_search", "IndexFlatIP")])
def test_a_setting_that_does_not_fit_the_index_is_refused(files: Files, setting: str, kind: str) -> None:
    with pytest.raises(RetrieverError, match=f"'{setting}' does not fit an index of the kind {kind}"):
        files.write().ask("1", **{setting: 8})


def test_an_l2_index_gives_distances(files: Files, vectors: NDArray[np.float32]) -> None:
    files.write("IVF40,Flat", faiss.METRIC_L2)
    for exact in (False, True):
        retriever = files.retriever(score_kind="distance", exact=exact)
        (reply,) = retriever.search(asking("3"), RowEmbedder(vectors))
        assert reply.hits is not None
        assert reply.hits[0].doc_id == "doc-3"
        assert [hit.score for hit in reply.hits] == sorted(hit.score or 0.0 for hit in reply.hits)


def test_the_direction_of_the_scores_is_checked_against_the_metric(files: Files) -> None:
    with pytest.raises(RetrieverError, match=r"gives L2 distances.*Set 'score_kind: distance'"):
        files.write(metric=faiss.METRIC_L2).ask("1")
    with pytest.raises(RetrieverError, match=r"gives inner products.*Set 'score_kind: similarity'"):
        files.write().ask("1", score_kind="distance")


def test_an_index_smaller_than_top_k_gives_what_it_has(files: Files) -> None:
    assert len(files.write(count=4).ask("1", top_k=10)[0]) == 4


def test_places_without_a_neighbour_are_dropped(files: Files) -> None:
    found = files.write("IVF40,Flat").ask("1", top_k=1000)  # one list holds far fewer
    assert 0 < len(found[0]) < 1000
    assert len(set(found[0])) == len(found[0])


def test_an_empty_index_gives_empty_results(files: Files) -> None:
    assert files.write(count=0).ask("1", "2") == [[], []]
    assert files.ask("1", exact=True) == [[]]


def test_no_queries_need_no_index(files: Files) -> None:
    assert files.retriever().search([], RowEmbedder(files.vectors)) == []


def test_without_an_id_file_the_numbers_are_the_ids(files: Files) -> None:
    assert files.write().ask("8", ids=None)[0][0] == "8"
    assert files.write("IDMap,Flat").ask("8", ids=None)[0][0] == str(SIZE - 1 - 8)


@pytest.mark.parametrize("name", ["ids.json", "ids.jsonl", "rows.jsonl"])
def test_ids_may_be_a_json_list_or_json_lines(files: Files, name: str) -> None:
    files.write()
    ids = [f"doc-{number}" for number in range(SIZE)]
    lines = {
        "ids.json": json.dumps(ids),
        "ids.jsonl": "\n".join(map(json.dumps, ids)),
        "rows.jsonl": "\n".join(json.dumps({"text": "x", "doc_id": doc_id}) for doc_id in ids),
    }
    (files.folder / name).write_text(lines[name])
    assert files.ask("8", ids=str(files.folder / name))[0][0] == "doc-8"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ids.txt", "a\n\nc\n", r"ids.txt:2: there is no document id"),
        ("ids.txt", "a\nb\n", r"ids.txt has 2 ids, and .*docs.faiss needs 3"),
        ("ids.txt", "a\nb\nc\nd\n", r"has 4 ids, and .* needs 3"),
        ("ids.json", '{"a": 1}', "is not a JSON list of ids"),
        ("ids.json", "[1, ", "cannot be read"),
        ("ids.jsonl", '"a"\n{"name": "b"}\n"c"', r"ids.jsonl:2: there is no document id"),
        ("ids.jsonl", '"a"\nb\n"c"', r"ids.jsonl:2: there is no document id"),
        ("none.txt", None, "none.txt: No such file"),
    ],
)
def test_an_id_file_that_does_not_fit_is_an_error(files: Files, name: str, text: str | None, words: str) -> None:
    files.write(count=3)
    if text is not None:
        (files.folder / name).write_text(text)
    with pytest.raises(RetrieverError, match=words):
        files.ask("1", ids=str(files.folder / name))


def test_an_index_that_is_missing_or_torn_is_an_error(files: Files) -> None:
    with pytest.raises(RetrieverError, match=r"docs.faiss: No such file"):
        files.ask("1")
    files.write()
    files.index.write_bytes(files.index.read_bytes()[:-100])
    with pytest.raises(RetrieverError, match="cannot be read as a FAISS index"):
        files.ask("1")


def test_an_embedder_of_another_width_is_an_error(files: Files) -> None:
    retriever = files.write().retriever()
    with pytest.raises(EmbedError, match="vectors of 10 numbers, and the index holds vectors of 24"):
        retriever.search(asking("1"), RowEmbedder(files.vectors[:, :10]))


def test_it_cannot_search_without_an_embedder(files: Files) -> None:
    with pytest.raises(RetrieverError, match="needs an embedder"):
        files.write().retriever().search(asking("1"))


def test_a_new_index_on_disk_is_read_again(files: Files, vectors: NDArray[np.float32]) -> None:
    retriever = files.write().retriever()
    before = retriever.search(asking("1"), RowEmbedder(vectors))[0]
    files.write(count=SIZE - 1, prefix="new-")
    after = retriever.search(asking("1"), RowEmbedder(vectors))[0]
    assert before.hits is not None
    assert after.hits is not None
    assert (before.hits[0].doc_id, after.hits[0].doc_id) == ("doc-1", "new-1")
    assert before.versions["index"] != after.versions["index"]


def test_an_untouched_index_is_read_once(files: Files, vectors: NDArray[np.float32]) -> None:
    retriever = files.write().retriever()
    retriever.search(asking("1"), RowEmbedder(vectors))
    first = retriever._loaded
    retriever.search(asking("2"), RowEmbedder(vectors))
    assert retriever._loaded is first


def test_a_rewrite_caught_in_the_middle_is_an_error_and_then_forgotten(
    files: Files, vectors: NDArray[np.float32]
) -> None:
    retriever = files.write().retriever()
    retriever.search(asking("1"), RowEmbedder(vectors))
    whole = files.index.read_bytes()
    files.index.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RetrieverError):
        retriever.search(asking("1"), RowEmbedder(vectors))
    files.index.write_bytes(whole)
    assert retriever.search(asking("1"), RowEmbedder(vectors))[0].hits


def test_the_same_content_has_the_same_version(files: Files, vectors: NDArray[np.float32]) -> None:
    retriever = files.write().retriever()
    before = retriever.search(asking("1"), RowEmbedder(vectors))[0].versions
    os.utime(files.index, (1, 1))
    assert retriever.search(asking("1"), RowEmbedder(vectors))[0].versions == before


def test_missing_documents_are_named(files: Files) -> None:
    retriever = files.write(count=5).retriever()
    assert retriever.missing(["doc-1", "doc-5", "other"]) == {"doc-5", "other"}
    assert files.write("IDMap,Flat", count=5).retriever(ids=None).missing(["4", "5"]) == {"5"}


def test_reach_says_what_is_in_the_file(files: Files) -> None:
    assert files.write().retriever().reach() == "docs.faiss: 1500 vectors of 24 numbers, 1500 ids"


def test_quantised_vectors_can_be_searched_exactly_as_far_as_they_are_stored(files: Files) -> None:
    found = files.write("IVF16,PQ8x4").ask("3", exact=True)[0]
    assert len(found) == 10


def test_files_lie_beside_the_yaml(files: Files) -> None:
    settings = {"kind": "faiss", "index": "docs.faiss", "ids": "ids.txt"}
    files.write()
    retriever = Faiss.model_validate(settings, context={"base": files.folder})
    assert retriever.reach().startswith("docs.faiss")


def test_a_setting_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError, match="n_probe"):
        Faiss(kind="faiss", index="x", n_probe=3)  # type: ignore[call-arg]
