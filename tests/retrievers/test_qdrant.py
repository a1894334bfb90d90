from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from driftwatch.errors import DriftwatchError, EmbedError, RetrieverError
from driftwatch.retrievers import _qdrant
from driftwatch.retrievers.qdrant import Qdrant
from driftwatch.types import Query
from tests.fakes.search_service import answers, hang, html, reset, status
from tests.fakes.vectors import HashEmbedder

pytest.importorskip("qdrant_edge", reason="qdrant-edge-py is not installed (extra 'test')")

from tests.fakes.qdrant_server import QdrantServer
from tests.needs import needs

needs("qdrant_client", reason="qdrant-client is not installed (extra 'qdrant')")
pytestmark = pytest.mark.process

SIZE, WIDTH = 2000, 32
KEY = "not-for-your-eyes"
RANDOM = np.random.default_rng(5)
VECTORS = RANDOM.normal(size=(SIZE, WIDTH)).astype(np.float32)
QUERIES = RANDOM.normal(size=(40, WIDTH)).astype(np.float32)
PAYLOADS = [
    {"doc": f"doc-{row}", "text": f"text {row}", "lang": ("de", "en")[row % 2], "meta": {"key": row}}
    for row in range(SIZE)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    """A collection that no test changes, with a graph so thin that it misses a part."""
    with QdrantServer(tmp_path_factory.mktemp("qdrant")) as running:
        running.create("docs", WIDTH, m=8, ef_construct=20, metadata={"embedding_model": "acme/e5"})
        running.upsert("docs", range(SIZE), VECTORS, PAYLOADS)
        running.optimize("docs")
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[QdrantServer]:
    """A server of this test alone."""
    with QdrantServer(tmp_path) as running:
        yield running


def asking(server: QdrantServer, **settings: Any) -> Qdrant:
    return Qdrant(kind="qdrant", **{"url": server.url, "collection": "docs", "doc_key": "doc", **settings})


def names(found: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[hit.doc_id for hit in hits] for hits in found]


def truth(vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> list[list[str]]:
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [[f"doc-{row}" for row in np.argsort(-unit @ query)[:k]] for query in queries]


def share_found(retriever: Qdrant, k: int = 10) -> float:
    found, wanted = names(retriever.search_vectors(QUERIES, k)), truth(VECTORS, QUERIES, k)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in zip(found, wanted, strict=True)]))


# --- the fake is a Qdrant ------------------------------------------------------------------------------------------


def test_the_graph_is_built_when_optimized_and_misses_what_exact_search_finds(server: QdrantServer) -> None:
    assert server.info("docs")["indexed_vectors_count"] == SIZE
    assert share_found(asking(server, ef=4)) < 0.9
    assert share_found(asking(server, ef=4)) < share_found(asking(server, ef=200))
    assert share_found(asking(server, exact=True)) == 1.0


def test_a_rebuilt_graph_without_links_finds_next_to_nothing(own: QdrantServer) -> None:
    own.create("docs", WIDTH)
    own.upsert("docs", range(SIZE), VECTORS, PAYLOADS)
    own.optimize("docs")
    assert share_found(asking(own)) > 0.9
    own.rebuild("docs", m=2, ef_construct=4)
    assert share_found(asking(own)) < 0.3
    assert share_found(asking(own, exact=True)) == 1.0
    own.rebuild("docs", {"product": {"compression": "x64"}}, m=16, ef_construct=100)
    assert share_found(asking(own)) < 0.95
    assert share_found(asking(own, exact=True)) == 1.0
    assert asking(own).facts().settings["quantization"] == "product x64"


# --- searching -----------------------------------------------------------------------------------------------------


def test_several_hundred_queries_are_answered_in_order(server: QdrantServer) -> None:
    many = np.tile(QUERIES, (5, 1))
    found = names(asking(server).search_vectors(many, 3, exact=True))
    assert found == truth(VECTORS, QUERIES, 3) * 5


def test_a_filter_is_that_of_the_service(server: QdrantServer) -> None:
    retriever = asking(server, filter={"lang": "en"})
    for exact in (False, True):
        found = names(retriever.search_vectors(QUERIES[:5], 10, exact=exact))
        assert all(int(name[4:]) % 2 for hits in found for name in hits)


def test_points_that_a_filter_leaves_out_are_not_held(server: QdrantServer) -> None:
    retriever = asking(server, filter={"lang": "en"})
    listed = [entry for block in retriever.entries() for entry in block]
    assert [doc_id for _, doc_id in listed] == [f"doc-{row}" for row in range(1, SIZE, 2)]
    assert retriever.missing(["doc-1", "doc-2", "doc-3"]) == {"doc-2"}
    assert asking(server, doc_key=None, filter={"lang": "en"}).missing(["1", "2"]) == {"2"}
    assert set(retriever.stored(["1", "2", "3"])) == {"1", "3"}
    assert f"{SIZE // 2} vectors" in retriever.reach()
    facts, others = retriever.facts(), asking(server, filter={"lang": "de"}).facts()
    assert (facts.count, facts.settings["indexed"]) == (SIZE // 2, "all")
    assert facts.fingerprint != others.fingerprint


def test_the_breadth_of_the_search_is_sent_and_left_out_of_exact_search(server: QdrantServer) -> None:
    retriever = asking(server, ef=7)
    retriever.search_vectors(QUERIES[:1], 3)
    params = server.asked[-1].body["searches"][0]["params"]
    assert (params["hnsw_ef"], params["exact"]) == (7, False)
    retriever.search_vectors(QUERIES[:1], 3, exact=True)
    params = server.asked[-1].body["searches"][0]["params"]
    assert (params.get("hnsw_ef"), params["exact"], params["quantization"]["ignore"]) == (None, True, True)


def test_a_document_of_many_points_leaves_room_for_others(own: QdrantServer) -> None:
    own.create("docs", WIDTH, distance="Dot")
    near = np.repeat(QUERIES[:1] * 10, 60, axis=0)
    own.upsert("docs", range(60), near, [{"doc": "long"}] * 60)
    own.upsert("docs", range(60, 70), VECTORS[:10], [{"doc": f"doc-{row}"} for row in range(10)])
    (hits,) = asking(own).search_vectors(QUERIES[:1], 5, exact=True)
    best = [f"doc-{row}" for row in np.argsort(-VECTORS[:10] @ QUERIES[0])[:4]]
    assert [hit.doc_id for hit in hits] == ["long", *best]


def test_a_collection_of_a_few_long_documents_is_asked_for_no_more_than_so_many_points(
    own: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_qdrant, "MOST_ENTRIES", 300)
    monkeypatch.setattr(_qdrant, "ANSWERED", 1000)
    own.create("docs", WIDTH)
    own.upsert("docs", range(SIZE), VECTORS, [{"doc": f"doc-{row % 2}"} for row in range(SIZE)])
    found = names(asking(own).search_vectors(QUERIES, 5, exact=True))
    assert [sorted(hits) for hits in found] == [["doc-0", "doc-1"]] * len(QUERIES)
    searches = [asked.body["searches"] for asked in own.asked if asked.path.endswith("/query/batch")]
    assert max(search["limit"] for each in searches for search in each) == 300
    assert max(sum(search["limit"] for search in each) for each in searches) <= 1000


def test_without_a_key_points_are_named_by_their_ids(own: QdrantServer) -> None:
    name = str(uuid.uuid4())
    own.create("docs", WIDTH)
    own.upsert("docs", [7, name], VECTORS[:2])
    retriever = asking(own, doc_key=None)
    assert names(retriever.search_vectors(VECTORS[1:2], 2)) == [[name, "7"]]
    assert retriever.missing(["7", "8", name, name.upper(), "07"]) == {"8", name.upper(), "07"}
    assert set(retriever.stored(["7", name, "07", name.upper()])) == {"7", name}


def test_keys_reach_into_the_payload_and_may_be_numbers(server: QdrantServer) -> None:
    retriever = asking(server, doc_key="meta.key")
    assert names(retriever.search_vectors(VECTORS[3:4], 1, exact=True)) == [["3"]]
    assert retriever.missing(["3", "1999", "2000"]) == {"2000"}


def test_one_of_several_vectors_is_meant_by_name(own: QdrantServer) -> None:
    own.create("docs", WIDTH, using="dense")
    own.upsert("docs", range(50), VECTORS[:50], PAYLOADS[:50], using="dense")
    retriever = asking(own, using="dense")
    assert names(retriever.search_vectors(VECTORS[4:5], 1)) == [["doc-4"]]
    assert retriever.stored(["4"])["4"].vector == pytest.approx(VECTORS[4] / np.linalg.norm(VECTORS[4]), abs=1e-6)
    with pytest.raises(RetrieverError, match=r"has vectors by name. Set 'using' to one of: dense"):
        asking(own).facts()
    with pytest.raises(RetrieverError, match=r"has no vector 'other'. Set 'using' to one of: dense"):
        asking(own, using="other").facts()


def test_a_name_for_the_only_vector_is_refused(server: QdrantServer) -> None:
    with pytest.raises(RetrieverError, match=r"has one vector without a name. Leave 'using' out"):
        asking(server, using="dense").reach()


def test_distances_need_to_be_said(own: QdrantServer) -> None:
    own.create("docs", WIDTH, distance="Euclid")
    own.upsert("docs", range(20), VECTORS[:20], PAYLOADS[:20])
    with pytest.raises(RetrieverError, match=r"by Euclid, which gives a distance.*Set 'score_kind: distance'"):
        asking(own).reach()
    retriever = asking(own, score_kind="distance")
    (hits,) = retriever.search_vectors(QUERIES[:1], 3)
    assert [hit.score for hit in hits] == pytest.approx(np.sort(np.linalg.norm(VECTORS[:20] - QUERIES[0], axis=1))[:3])
    assert retriever.facts().metric == "euclidean"


# --- what is stored ------------------------------------------------------------------------------------------------


def test_what_changes_in_the_index_is_seen(own: QdrantServer) -> None:
    own.create("docs", WIDTH)
    own.upsert("docs", range(100), VECTORS[:100], PAYLOADS[:100])
    retriever = asking(own)
    before = retriever.facts().fingerprint
    own.set_payload("docs", [3], {"text": "another text"})
    own.update_vectors("docs", [3], VECTORS[200:201])
    stored = retriever.stored(["3"])["3"]
    assert stored.text == "another text"
    assert stored.vector == pytest.approx(VECTORS[200] / np.linalg.norm(VECTORS[200]), abs=1e-6)
    assert retriever.facts().fingerprint != before
    own.delete("docs", [3])
    assert retriever.stored(["3"]) == {}
    assert retriever.missing(["doc-3", "doc-4"]) == {"doc-3"}
    assert retriever.facts().count == 99


def test_facts_are_told_as_words(server: QdrantServer) -> None:
    facts = asking(server, ef=50).facts()
    assert (facts.count, facts.dimension, facts.metric, facts.model) == (SIZE, WIDTH, "cosine", "acme/e5")
    assert facts.settings == {
        "kind": "hnsw",
        "compressed": "no",
        "m": "8",
        "ef_construct": "20",
        "full_scan_threshold": "1",
        "ef": "50",
        "quantization": "none",
        "on_disk": "no",
        "indexed": "all",
        "status": "green",
        "optimizer": "ok",
    }


def test_texts_are_not_promised_without_a_field(server: QdrantServer) -> None:
    retriever = asking(server, text_key=None)
    assert "texts" not in retriever.capabilities
    assert retriever.stored(["1"])["1"].text is None
    with pytest.raises(RetrieverError, match="cannot give texts without a 'text_key'"):
        retriever.stored(["1"], vectors=False)


def test_a_wrong_key_is_told_with_those_there_are(server: QdrantServer) -> None:
    with pytest.raises(RetrieverError, match=r"has 'article' in its payload. Set 'doc_key' to one of: doc, lang, meta"):
        asking(server, doc_key="article").reach()


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (status(500, "disk full"), "status 500: disk full. See the log"),
        (reset(), "the connection broke"),
        (html(), "answered what is not Qdrant's .* Is 'url' right"),
        (answers("doc-1"), "answered what is not Qdrant's .* Is 'url' right"),
        (status(403, f"{KEY} may not read"), r"status 403: \*\*\* may not read. Check 'api_key'"),
    ],
)
def test_a_server_in_trouble_is_told_by_place_and_remedy(own: QdrantServer, trouble: Any, said: str) -> None:
    own.create("docs", WIDTH)
    own.trouble = trouble
    retriever = asking(own, api_key=KEY)
    with pytest.raises(RetrieverError, match=f"the collection 'docs' at {own.url}: {said}") as raised:
        retriever.facts()
    assert KEY not in str(raised.value)


def test_a_server_that_does_not_answer_is_timed_out(own: QdrantServer) -> None:
    own.trouble = hang()
    with pytest.raises(RetrieverError, match=r"timed out after 1s\. Is the server busy"):
        asking(own, timeout="1s").facts()


def test_what_a_server_says_is_shown_without_its_control_characters(own: QdrantServer) -> None:
    own.trouble = status(500, "\x1b[2J gone \x07")
    with pytest.raises(RetrieverError, match=r"status 500: \[2J gone\. See"):
        asking(own).facts()


def test_a_missing_collection_is_named(server: QdrantServer) -> None:
    with pytest.raises(RetrieverError, match="status 404: Not found: Collection `other` doesn't exist! Check"):
        asking(server, collection="other").facts()


def test_a_key_is_sent_and_asked_for_and_never_shown(tmp_path: Path) -> None:
    with QdrantServer(tmp_path, api_key=KEY) as locked:
        locked.create("docs", WIDTH)
        assert asking(locked, api_key=KEY).facts().count == 0
        with pytest.raises(RetrieverError, match=r"status 401: Must provide an API key.*Check 'api_key'") as raised:
            asking(locked, api_key="wrong-one").facts()
        assert "wrong-one" not in str(raised.value)
        assert KEY not in repr(asking(locked, api_key=KEY))


def test_another_dimension_is_told_before_anything_is_asked(server: QdrantServer) -> None:
    with pytest.raises(EmbedError, match=r"vectors of 8 numbers, and the collection 'docs' .* holds vectors of 32"):
        asking(server).search_vectors(QUERIES[:, :8], 3)


def test_a_search_that_breaks_off_keeps_what_it_found(own: QdrantServer) -> None:
    own.create("docs", WIDTH)
    own.upsert("docs", range(20), VECTORS[:20], PAYLOADS[:20])
    asked = [Query(f"q{place}", f"question {place}") for place in range(100)]
    breaks = status(500, "out of memory")
    serve = own.act_for

    def act_for(each: Any) -> Any:
        over = sum(other.path.endswith("/batch") for other in own.asked)
        return breaks if each.path.endswith("/batch") and over else serve(each)

    own.act_for = act_for  # type: ignore[method-assign]
    replies = asking(own).search(asked, HashEmbedder(WIDTH))  # type: ignore[arg-type]
    kept = [reply for reply in replies if reply.hits is not None]
    assert 0 < len(kept) < len(replies) == 100
    assert {reply.error for reply in replies[len(kept) :]} == {
        f"the collection 'docs' at {own.url}: status 500: out of memory. See the log of the server."
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "set 'url' for a server, or 'path'"),
        ({"url": "http://here:6333", "path": "there"}, "set 'url' for a server, or 'path'"),
        ({"path": "there", "api_key": KEY}, "a folder takes no 'api_key'"),
        ({"url": "http://here:6333", "api_key": "two words"}, "the api_key has a blank"),
        ({"url": "http://me:secret@here:6333"}, "url"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as raised:
        Qdrant(kind="qdrant", collection="docs", **settings)
    assert KEY not in str(raised.value)


# --- a folder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The local mode's, with a hundred points."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(tmp_path / "local"))
    client.create_collection("docs", models.VectorParams(size=WIDTH, distance=models.Distance.COSINE))
    points = [models.PointStruct(id=row, vector=VECTORS[row].tolist(), payload=PAYLOADS[row]) for row in range(100)]
    client.upsert("docs", points)
    client.close()
    return tmp_path / "local"


def test_a_folder_is_read_like_a_server(folder: Path) -> None:
    retriever = Qdrant(kind="qdrant", path=folder, collection="docs", doc_key="doc")
    for exact in (False, True):
        assert names(retriever.search_vectors(QUERIES[:3], 5, exact=exact)) == truth(VECTORS[:100], QUERIES[:3], 5)
    assert retriever.missing(["doc-1", "doc-100"]) == {"doc-100"}
    assert [entry for block in retriever.entries() for entry in block] == [
        (f"{row}", f"doc-{row}") for row in range(100)
    ]
    stored = retriever.stored(["5", "none"])["5"]
    assert (stored.doc_id, stored.text, stored.lang) == ("doc-5", "text 5", "en")
    assert stored.vector == pytest.approx(VECTORS[5] / np.linalg.norm(VECTORS[5]), abs=1e-6)
    facts = retriever.facts()
    assert (facts.count, facts.dimension, facts.metric) == (100, WIDTH, "cosine")
    assert "100 vectors of 32 numbers" in retriever.reach()
    retriever.close()


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # the refused client leaves its lock open
def test_a_folder_is_let_go_of_and_is_not_made(folder: Path, tmp_path: Path) -> None:
    first = Qdrant(kind="qdrant", path=folder, collection="docs")
    first.facts()
    second = Qdrant(kind="qdrant", path=folder, collection="docs")
    with pytest.raises(RetrieverError, match=r"another process has the folder open. Only one can"):
        second.facts()
    first.close()
    assert second.facts().count == 100
    second.close()
    with pytest.raises(DriftwatchError, match=r"there is no Qdrant collection in .*elsewhere"):
        Qdrant(kind="qdrant", path=tmp_path / "elsewhere", collection="docs").facts()
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_opened_while_it_is_closed_can_be_closed_again(folder: Path) -> None:
    retriever = Qdrant(kind="qdrant", path=folder, collection="docs")
    late = retriever._place()  # another thread, which has not yet asked
    retriever.close()
    with late.asking() as client:
        assert client.count("docs").count == 100
    retriever.close()
    again = Qdrant(kind="qdrant", path=folder, collection="docs")
    assert again.facts().count == 100
    again.close()


@pytest.mark.parametrize("name", ["meta.json", "storage.sqlite"])
def test_a_damaged_folder_is_told(folder: Path, name: str) -> None:
    (damaged,) = folder.rglob(name)
    damaged.write_text("{}" * 500 if name != "meta.json" else "{}")
    retriever = Qdrant(kind="qdrant", path=folder, collection="docs")
    with pytest.raises(RetrieverError, match=r"the collection 'docs' in .*Was it written by this version"):
        retriever.facts()
    retriever.close()


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """A vector without a name beside a sparse one (`hybrid`), and several vectors a point (`tokens`)."""
    from qdrant_client import QdrantClient, models

    def size(**more: Any) -> models.VectorParams:
        return models.VectorParams(size=WIDTH, distance=models.Distance.COSINE, **more)

    several = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    sparse = models.SparseVector(indices=[1], values=[0.5])
    rows = VECTORS[:20].tolist()
    client = QdrantClient(path=str(tmp_path / "odd"))
    client.create_collection("hybrid", size(), sparse_vectors_config={"words": models.SparseVectorParams()})
    client.create_collection("tokens", size(multivector_config=several))
    for place, row in enumerate(rows):
        vectors: dict[str, Any] = {"hybrid": {"": row, "words": sparse}, "tokens": [row, rows[0]]}
        for name, vector in vectors.items():
            client.upsert(name, [models.PointStruct(id=place, vector=vector, payload=PAYLOADS[place])])
    client.close()
    return tmp_path / "odd"


def test_a_vector_without_a_name_is_read_beside_sparse_ones(odd_folder: Path) -> None:
    retriever = Qdrant(kind="qdrant", path=odd_folder, collection="hybrid", doc_key="doc")
    assert names(retriever.search_vectors(VECTORS[4:5], 1)) == [["doc-4"]]
    assert retriever.stored(["4"])["4"].vector == pytest.approx(VECTORS[4] / np.linalg.norm(VECTORS[4]), abs=1e-6)
    retriever.close()


def test_several_vectors_a_point_are_refused(odd_folder: Path) -> None:
    retriever = Qdrant(kind="qdrant", path=odd_folder, collection="tokens", doc_key="doc")
    for call in (retriever.facts, retriever.reach, lambda: retriever.stored(["4"])):
        with pytest.raises(RetrieverError, match=r"'tokens' in .* has several vectors a point.*Set 'using'"):
            call()
    retriever.close()


def test_a_collection_that_a_folder_does_not_have_is_named(folder: Path) -> None:
    retriever = Qdrant(kind="qdrant", path=folder, collection="other")
    with pytest.raises(RetrieverError, match=r"Collection other not found. Check 'collection' and 'path'"):
        retriever.facts()
    retriever.close()
