"""New indexes beside old ones: the same kind and parameters, the same ids and payloads, other vectors."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from driftwatch.errors import DriftwatchError, RetrainError
from driftwatch.retrain.held import Held
from driftwatch.retrain.manifests import index_of
from driftwatch.retrain.rebuild import Rebuilt, rebuild
from driftwatch.retrain.writers import Old as OldEntry
from driftwatch.retrain.writers import Writer, by_document, by_name, new_name, writer_for
from driftwatch.retrained import Manifest, Passage
from driftwatch.retrievers import Retriever
from driftwatch.retrievers.chroma import Chroma
from driftwatch.retrievers.faiss import Faiss
from driftwatch.retrievers.http import Http
from driftwatch.retrievers.pgvector import Pgvector
from driftwatch.retrievers.qdrant import Qdrant
from tests.fakes.chroma import ChromaServer, chroma_folder, fill_collection
from tests.fakes.dies import Dying, killed
from tests.fakes.rebuilt import OLD_WIDTH, WIDTH, Model, faiss_index, passages
from tests.fakes.vectors import seeded_entries
from tests.retrain.test_registry import NOW

RELEASE = "20260504T120000Z-1aafbb77"
ENTRIES = seeded_entries(40)


def built(index: Retriever, tmp_path: Path, documents: Any = None, shard: int = 15) -> Retriever:
    """The new index, made of what the old one holds, or of ``documents``."""
    place = tmp_path / RELEASE
    writer = writer_for(index, RELEASE, place / "index")
    done = rebuild(Held(index) if documents is None else documents, Model(), writer, tmp_path / "work", shard=shard)
    assert done is not None
    return index_of(Manifest(RELEASE, NOW, "model", index=done.index), place, index)


def finds_itself(index: Retriever, texts: Sequence[str], *, exact: bool = True) -> list[str]:
    """The document that is nearest to the new model's vector of each text."""
    found = index.search_vectors(Model().encode_queries(texts), 1, exact=exact)
    return [hits[0].doc_id for hits in found]


def twice_written(writer: Writer, documents: Sequence[Passage]) -> None:
    """Every call twice, as after a kill."""
    vectors = Model().encode_documents([each.text for each in documents])
    for _ in range(2):
        writer.begin(WIDTH)
        writer.write(0, documents, vectors)
    writer.finish()
    writer.finish()


# --- names and places ----------------------------------------------------------------------------------------------


def test_a_new_index_is_named_after_the_first_one_and_the_release():
    once = new_name("docs", RELEASE, 63)
    assert new_name(once, "20270101T000000Z-00000000", 63) == "docs__20270101T000000Z-00000000"


def test_long_names_that_begin_alike_stay_two_names():
    long = ["a" * 60 + ending for ending in ("x", "y")]
    made = {new_name(each, RELEASE, 63) for each in long}
    assert len(made) == 2
    assert all(len(each) <= 63 and each.endswith(RELEASE) for each in made)


def test_what_cannot_be_written_is_said_with_what_can(tmp_path):
    service = Http(kind="http", url="http://localhost:8000/retrieve")
    with pytest.raises(RetrainError, match="faiss, qdrant, pgvector, chroma"):
        writer_for(service, RELEASE, tmp_path)


def test_an_entry_of_the_same_name_and_document_is_the_same():
    olds = [OldEntry("1", "a", "text", None), OldEntry("2", "b", "text", None)]
    placed, rest = by_name([Passage("1", "a", "new"), Passage("2", "other", "new")], olds)
    assert [(each.entry_id, each.like) for each in placed] == [("1", olds[0])]
    assert [each.passage_id for each in rest] == ["2"]


def test_passages_take_the_entries_with_their_text_each_once_and_the_rest_are_like_the_first():
    olds = [OldEntry("10", "a", "same", None), OldEntry("9", "a", "same", None)]
    wanted = [Passage(f"a#{part}", "a", text) for part, text in enumerate(["same", "same", "same", "else"])]
    placed = by_document([*wanted, Passage("b", "b", "same")], olds)
    assert [each.entry_id for each in placed] == ["9", "10", None, None, None]
    assert [each.like and each.like.entry_id for each in placed] == ["9", "10", "9", "9", None]


# --- FAISS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["Flat", "HNSW12", "IVF4,Flat", "SQ8", "IVF4,PQ8x4", "HNSW8,SQ8", "IVF4,SQ4,RFlat", "PCA12,Flat", "PCAR8,IVF4,SQ8"],
)
def test_a_faiss_file_is_built_anew_as_the_kind_that_it_was(tmp_path, spec):
    import faiss

    corpus = passages(200)
    index = faiss_index(tmp_path / "old", corpus, spec)
    before = index.facts()
    new = built(index, tmp_path, corpus)
    after = new.facts()
    assert isinstance(new, Faiss)
    assert (after.count, after.dimension, after.metric) == (len(corpus), WIDTH, before.metric)
    assert after.settings == before.settings
    assert type(faiss.read_index(str(new.index))) is type(faiss.read_index(str(index.index)))
    assert new.ids is not None
    assert new.ids.read_text() == (tmp_path / "old/ids.txt").read_text()
    assert index.facts() == before


def test_how_broadly_a_faiss_index_is_searched_stays(tmp_path):
    import faiss

    index = faiss_index(tmp_path / "old", passages(200), "IVF8,Flat", nprobe=5)
    stored = faiss.read_index(str(index.index))
    stored.nprobe = 3
    faiss.write_index(stored, str(index.index))
    new = built(index, tmp_path, passages(200))
    assert isinstance(new, Faiss)
    assert new.nprobe == 5
    assert faiss.read_index(str(new.index)).nprobe == 3


@pytest.mark.parametrize("spec", ["Flat", "HNSW16"])
def test_each_text_finds_its_document_in_the_new_faiss_index(tmp_path, spec):
    corpus = passages()
    new = built(faiss_index(tmp_path / "old", corpus, spec), tmp_path, corpus)
    assert finds_itself(new, [each.text for each in corpus], exact=False) == [each.parent for each in corpus]


@pytest.mark.parametrize("form", ["ids.json", "ids.jsonl", "objects.jsonl"])
def test_the_ids_are_written_in_the_form_that_the_service_reads(tmp_path, form):
    corpus = passages(20)
    index = faiss_index(tmp_path / "old", corpus)
    names = [each.parent for each in corpus]
    lines = [{"doc_id": name, "url": f"https://docs/{name}"} for name in names] if form == "objects.jsonl" else names
    text = json.dumps(lines) if form.endswith(".json") else "".join(json.dumps(each) + "\n" for each in lines)
    (tmp_path / "old" / form).write_text(text)
    index = Faiss(kind="faiss", index=index.index, ids=tmp_path / "old" / form)
    new = built(index, tmp_path, [*corpus, Passage("doc-new", "doc-new", "new")])
    assert isinstance(new, Faiss)
    assert new.ids is not None
    read = new.ids.read_text()
    written = json.loads(read) if form.endswith(".json") else [json.loads(line) for line in read.splitlines()]
    assert written == [*lines, {"doc_id": "doc-new"} if form == "objects.jsonl" else "doc-new"]


def test_numbers_that_faiss_was_given_stay(tmp_path):
    import faiss

    numbers = np.array([7, 3, 900])
    index = faiss.IndexIDMap(faiss.IndexFlatIP(OLD_WIDTH))
    index.add_with_ids(np.eye(3, OLD_WIDTH, dtype=np.float32), numbers)
    faiss.write_index(index, str(tmp_path / "docs.faiss"))
    old = Faiss(kind="faiss", index=tmp_path / "docs.faiss")
    new = built(old, tmp_path, [Passage(str(each), str(each), f"text {each}") for each in numbers])
    assert finds_itself(new, ["text 900", "text 7"]) == ["900", "7"]


def test_documents_that_faiss_cannot_number_are_an_error(tmp_path):
    import faiss

    faiss.write_index(faiss.index_factory(OLD_WIDTH, "Flat"), str(tmp_path / "docs.faiss"))
    old = Faiss(kind="faiss", index=tmp_path / "docs.faiss", score_kind="distance")
    with pytest.raises(RetrainError, match="by their numbers alone"):
        built(old, tmp_path, passages(10))


def test_a_kind_that_cannot_hold_the_new_vectors_is_found_out_before_they_are_made(tmp_path):
    index = faiss_index(tmp_path / "old", passages(200), "PQ16x4")
    with pytest.raises(RetrainError, match="for vectors of 24 numbers"):
        writer_for(index, RELEASE, tmp_path / RELEASE / "index").begin(24)


def test_too_few_documents_for_a_quantizer_are_an_error(tmp_path):
    index = faiss_index(tmp_path / "old", passages(200), "IVF64,Flat")
    with pytest.raises(RetrainError, match="FAISS cannot build"):
        built(index, tmp_path, passages(30))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing says which file is open (Linux does)")
def test_a_faiss_file_is_on_the_disk_before_what_it_was_made_of_is_removed(tmp_path, monkeypatch):
    done: list[str] = []

    def noted(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        synced(descriptor)

    synced = os.fsync
    monkeypatch.setattr(os, "fsync", noted)
    held = passages(30)
    writer = writer_for(faiss_index(tmp_path, held), RELEASE, tmp_path / RELEASE / "index")
    writer.begin(WIDTH)
    writer.write(0, held, Model().encode_documents([each.text for each in held]))
    done.clear()
    writer.finish()
    assert done[-2:] == [".docs.faiss", "index"]


def test_discarding_leaves_the_old_faiss_index_alone(tmp_path):
    index = faiss_index(tmp_path / "old", passages(30))
    built(index, tmp_path, passages(30))
    writer_for(index, RELEASE, tmp_path / RELEASE / "index").discard()
    assert not (tmp_path / RELEASE / "index").exists()
    assert index.facts().count == len(passages(30))


# --- Qdrant --------------------------------------------------------------------------------------------------------


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[Any]:
    pytest.importorskip("qdrant_edge", reason="qdrant-edge-py is not installed (extra 'test')")
    from tests.fakes.qdrant_server import QdrantServer

    with QdrantServer(tmp_path / "qdrant") as server:
        server.create("docs", OLD_WIDTH, "Dot", quantization={"scalar": {"type": "int8"}}, m=6, ef_construct=33,
                      metadata={"team": "search"})  # fmt: skip
        payloads = [
            {"meta": {"doc": each.doc_id}, "text": each.text, "lang": each.lang, "n": each.number} for each in ENTRIES
        ]
        server.upsert("docs", [each.number for each in ENTRIES], np.stack([each.vector for each in ENTRIES]), payloads)
        yield server


def of_qdrant(server: Any, **settings: Any) -> Qdrant:
    return Qdrant(
        kind="qdrant", **{"url": server.url, "collection": "docs", "doc_key": "meta.doc", "ef": 50, **settings}
    )


def points_of(server: Any, name: str) -> dict[str, Any]:
    from driftwatch.retrievers._qdrant_place import Place

    place = Place(server.url, None, None, name, 30)
    with place.asking() as client:
        found = {point.id: point for point in client.scroll(name, limit=1000, with_vectors=True)[0]}
    place.close()
    return found


@pytest.mark.process
def test_a_collection_is_made_with_the_old_ones_parameters_ids_and_payloads(qdrant, tmp_path):
    index = of_qdrant(qdrant)
    new = built(index, tmp_path)
    assert isinstance(new, Qdrant)
    assert (new.collection, new.ef) == (f"docs__{RELEASE}", 50)
    old, made = qdrant.info("docs")["config"], qdrant.info(new.collection)["config"]
    assert made["params"]["vectors"]["size"] == WIDTH
    assert made["params"]["vectors"]["distance"] == "Dot"
    assert made["quantization_config"] == old["quantization_config"]
    assert {name: made["hnsw_config"][name] for name in ("m", "ef_construct")} == {"m": 6, "ef_construct": 33}
    assert made["metadata"] == {"team": "search"}
    before, after = points_of(qdrant, "docs"), points_of(qdrant, new.collection)
    assert {name: point.payload for name, point in before.items()} == {n: p.payload for n, p in after.items()}
    for each in ENTRIES:
        np.testing.assert_allclose(after[each.number].vector, Model().encode_documents([each.text])[0], atol=1e-6)
    assert finds_itself(new, [each.text for each in ENTRIES]) == [each.doc_id for each in ENTRIES]
    index.close()
    new.close()


@pytest.mark.process
def test_indexes_of_payload_fields_are_made_also_after_a_kill_between_them_and_the_collection(qdrant, tmp_path):
    from qdrant_client import models

    index = of_qdrant(qdrant)
    with index._place().asking() as client:
        client.create_payload_index("docs", "lang", "keyword")
        client.create_payload_index("docs", "n", models.IntegerIndexParams(type="integer", lookup=True, range=False))
    writer = writer_for(index, RELEASE, tmp_path)
    writer.begin(WIDTH)
    made = qdrant.collections[f"docs__{RELEASE}"].indexed
    wanted = dict(made)
    assert {name: each["data_type"] for name, each in wanted.items()} == {"lang": "keyword", "n": "integer"}
    assert wanted["n"]["params"]["range"] is False
    del made["n"]  # killed before the second one
    writer.begin(WIDTH)
    assert made == wanted
    index.close()


@pytest.mark.process
def test_a_collection_can_be_filled_with_passages_cut_otherwise(qdrant, tmp_path):
    index = of_qdrant(qdrant, filter={"tenant": "a"})
    qdrant.set_payload("docs", [each.number for each in ENTRIES], {"tenant": "a"})
    cut = [Passage("doc-001#0", "doc-001", "the first half"), Passage("doc-001#1", "doc-001", "text 0 of document 1"),
           Passage("doc-new", "doc-new", "a new one", "nl")]  # fmt: skip
    new = built(index, tmp_path, cut)
    assert isinstance(new, Qdrant)
    found = sorted((point.payload for point in points_of(qdrant, new.collection).values()), key=lambda p: p["text"])
    number = next(each.number for each in ENTRIES if each.doc_id == "doc-001")
    old = {"meta": {"doc": "doc-001"}, "lang": "en", "n": number, "tenant": "a"}
    assert found == [
        {"meta": {"doc": "doc-new"}, "text": "a new one", "lang": "nl", "tenant": "a"},
        {**old, "text": "text 0 of document 1"},
        {**old, "text": "the first half"},
    ]
    assert number in points_of(qdrant, new.collection)
    assert new.facts().count == 3
    index.close()
    new.close()


@pytest.mark.process
def test_shards_written_twice_are_there_once_and_discarding_removes_one_collection(qdrant, tmp_path):
    index = of_qdrant(qdrant)
    writer = writer_for(index, RELEASE, tmp_path)
    twice_written(writer, [Passage(str(each.number), each.doc_id, each.text) for each in ENTRIES])
    assert qdrant.info(f"docs__{RELEASE}")["points_count"] == len(ENTRIES)
    writer.discard()
    writer.discard()
    assert list(qdrant.collections) == ["docs"]
    index.close()


@pytest.mark.process
def test_other_vectors_of_a_point_are_kept(qdrant, tmp_path):
    from driftwatch.retrievers._qdrant_place import Place

    params = {"text": {"size": OLD_WIDTH, "distance": "Cosine"}, "image": {"size": 2, "distance": "Dot"}}
    qdrant.create_collection("both", {"vectors": params})
    import qdrant_edge as edge

    point = edge.Point(1, {"text": [1.0] * OLD_WIDTH, "image": [3.0, 4.0]}, {"text": "one"})
    qdrant._update("both", edge.UpdateOperation.upsert_points([point]))
    index = of_qdrant(qdrant, collection="both", using="text", doc_key=None)
    new = built(index, tmp_path)
    assert isinstance(new, Qdrant)
    (kept,) = points_of(qdrant, new.collection).values()
    assert kept.vector["image"] == [3.0, 4.0]
    assert len(kept.vector["text"]) == WIDTH
    assert isinstance(index._place(), Place)
    index.close()
    new.close()


@pytest.mark.process
def test_points_that_nothing_but_their_id_names_take_no_other_name(qdrant, tmp_path):
    index = of_qdrant(qdrant, doc_key=None)
    with pytest.raises(RetrainError, match="Set 'doc_key'"):
        built(index, tmp_path, [Passage("doc-1#1", "doc-1", "a part")])
    index.close()


@pytest.mark.process
def test_a_key_that_may_only_read_is_refused_by_the_server_and_shown_without_the_key(qdrant, tmp_path):
    from tests.fakes.search_service import status

    index = of_qdrant(qdrant, api_key="geheim")
    qdrant.trouble = status(403)
    with pytest.raises(DriftwatchError, match="api_key") as raised:
        writer_for(index, RELEASE, tmp_path).begin(WIDTH)
    assert "geheim" not in str(raised.value)
    index.close()


def killed_story(folder: Path) -> Callable[[], object]:
    """Every run has a release of its own, so that all can use one server."""
    folder.mkdir(exist_ok=True)
    index = Qdrant(kind="qdrant", url=os.environ["QDRANT_OF_THE_TEST"], collection="docs", doc_key="meta.doc")
    release = f"20260504T12{int(folder.name):04}Z-1aafbb77"
    writer = Dying(writer_for(index, release, folder / "index"))
    return lambda: rebuild(Held(index), Model(), writer, folder / "work", shard=30)


@pytest.mark.process
@pytest.mark.timeout(600)
def test_killed_at_any_write_the_collection_is_that_of_a_run_without_a_kill(qdrant, tmp_path, monkeypatch):
    monkeypatch.setenv("QDRANT_OF_THE_TEST", qdrant.url)
    folders = killed("tests.retrain.test_writers:killed_story", tmp_path / "runs", "qdrant_client", step=2)
    made = []
    for folder in folders:
        done = killed_story(folder)()
        assert isinstance(done, Rebuilt)
        found = points_of(qdrant, done.index["collection"])
        made.append({name: (point.payload, point.vector) for name, point in found.items()})
    assert len(made[-1]) == len(ENTRIES)
    assert all(each == made[-1] for each in made)
    assert len(qdrant.collections) == 1 + len(folders)
    assert len(folders) > 10


def test_a_collection_in_a_folder_is_made_anew(tmp_path):
    pytest.importorskip("qdrant_client", reason="qdrant-client is not installed (extra 'qdrant')")
    from qdrant_client import QdrantClient, models

    with_folder = QdrantClient(path=str(tmp_path / "qdrant"))
    with_folder.create_collection("docs", models.VectorParams(size=OLD_WIDTH, distance=models.Distance.COSINE))
    for each in ENTRIES:
        payload = {"doc": each.doc_id, "text": each.text}
        with_folder.upsert("docs", [models.PointStruct(id=each.number, vector=each.vector.tolist(), payload=payload)])
    with_folder.close()
    index = Qdrant(kind="qdrant", path=tmp_path / "qdrant", collection="docs", doc_key="doc")
    new = built(index, tmp_path)
    index.close()
    assert finds_itself(new, [each.text for each in ENTRIES]) == [each.doc_id for each in ENTRIES]
    assert new.facts().count == len(ENTRIES)
    new.close()


# --- Chroma --------------------------------------------------------------------------------------------------------


def of_chroma(**settings: Any) -> Chroma:
    return Chroma(kind="chroma", **{"collection": "docs", "doc_key": "doc", "lang_key": "lang", **settings})


def check_chroma(index: Chroma, tmp_path: Path) -> None:
    before = index.facts()
    new = built(index, tmp_path)
    assert isinstance(new, Chroma)
    assert new.collection == f"{index.collection}__{RELEASE}"
    after = new.facts()
    assert (after.count, after.dimension) == (len(ENTRIES), WIDTH)
    assert (after.metric, after.settings) == (before.metric, before.settings)
    names = [entry_id for block in index.entries() for entry_id, _ in block]
    assert [entry for block in new.entries() for entry in block] == [
        entry for block in index.entries() for entry in block
    ]
    old, made = index.stored(names), new.stored(names)
    assert {name: (each.text, each.lang) for name, each in old.items()} == {
        n: (e.text, e.lang) for n, e in made.items()
    }
    assert finds_itself(new, [each.text for each in ENTRIES]) == [each.doc_id for each in ENTRIES]
    again = writer_for(index, RELEASE, tmp_path)
    twice_written(again, [Passage(f"entry-{each.number}", each.doc_id, each.text) for each in ENTRIES])
    assert new.facts().count == len(ENTRIES)
    new.close()
    again.discard()
    again.discard()
    with pytest.raises(DriftwatchError):
        new.facts()
    assert index.facts().count == len(ENTRIES)
    new.close()
    index.close()


@pytest.mark.process
def test_a_chroma_collection_in_a_folder_is_made_with_the_old_ones_space_ids_and_metadata(tmp_path):
    pytest.importorskip("chromadb")
    with chroma_folder(tmp_path / "chroma") as client:
        fill_collection(client, "docs", ENTRIES, "ip")
    check_chroma(of_chroma(path=tmp_path / "chroma"), tmp_path)


@pytest.mark.process
def test_a_chroma_collection_on_a_server_is_made_with_the_old_ones_space_ids_and_metadata(chroma_server, tmp_path):
    server, name = ChromaServer(chroma_server), f"docs-{secrets.token_hex(4)}"
    server.fill(name, ENTRIES, "ip")
    server.close()
    check_chroma(of_chroma(host="127.0.0.1", port=chroma_server, collection=name), tmp_path)


@pytest.mark.process
def test_chroma_keeps_the_metadata_of_a_document_that_is_cut_otherwise(tmp_path):
    pytest.importorskip("chromadb")
    with chroma_folder(tmp_path / "chroma") as client:
        fill_collection(client, "docs", ENTRIES)
    index = of_chroma(path=tmp_path / "chroma")
    new = built(index, tmp_path, [Passage("doc-001#0", "doc-001", "half"), Passage("doc-new", "doc-new", "new", "nl")])
    found = new.stored(["doc-001#0", "doc-new"])
    assert {name: (each.doc_id, each.text, each.lang) for name, each in found.items()} == {
        "doc-001#0": ("doc-001", "half", "en"), "doc-new": ("doc-new", "new", "nl"),
    }  # fmt: skip
    index.close()
    new.close()


# --- pgvector ------------------------------------------------------------------------------------------------------


class Database:
    """A table of the tests, with more in it than driftwatch knows of."""

    def __init__(self, url: str, id_type: str = "int GENERATED ALWAYS AS IDENTITY") -> None:
        self.url = url
        self.run(
            f"CREATE TABLE docs (id {id_type} PRIMARY KEY, doc text, body text, lang text, "
            f"embedding vector({OLD_WIDTH}), "
            "about jsonb NOT NULL DEFAULT '{}', words int GENERATED ALWAYS AS (length(body)) STORED)"
        )
        self.run(
            "CREATE INDEX nearest ON docs USING hnsw (embedding vector_cosine_ops) WITH (m = 7, ef_construction = 31)"
        )
        self.run("CREATE INDEX by_doc ON docs (doc)")

    def fill(self) -> None:
        rows = [
            (each.number, each.doc_id, each.text, each.lang, str(each.vector.tolist()), f'{{"n": {each.number}}}')
            for each in ENTRIES
        ]
        with psycopg.connect(self.url.replace("+psycopg", "")) as connection:
            connection.cursor().executemany(
                "INSERT INTO docs OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, %s, %s, %s)", rows
            )

    def run(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url.replace("+psycopg", "")) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def index(self, **settings: Any) -> Pgvector:
        names = {"doc_column": "doc", "text_column": "body", "lang_column": "lang"}
        return Pgvector(kind="pgvector", **{"url": self.url, "table": "docs", **names, **settings})


@pytest.fixture
def database(pgvector_url: str) -> Database:
    made = Database(pgvector_url)
    made.fill()
    return made


@pytest.mark.postgres
def test_a_table_is_made_with_the_old_ones_columns_indexes_and_rows(database, tmp_path):
    index = database.index(ef_search=77)
    new = built(index, tmp_path)
    assert isinstance(new, Pgvector)
    assert (new.table, new.ef_search) == (f"docs__{RELEASE}", 77)
    facts = new.facts()
    assert (facts.count, facts.dimension) == (len(ENTRIES), WIDTH)
    assert {name: facts.settings[name] for name in ("kind", "m", "ef_construction")} == {
        "kind": "hnsw", "m": "7", "ef_construction": "31",
    }  # fmt: skip
    everything = "SELECT id, doc, body, lang, about, words FROM {} ORDER BY id"
    assert database.run(everything.format(f'"{new.table}"')) == database.run(everything.format("docs"))
    defined = database.run(
        f"SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '{new.table}' ORDER BY 1"
    )
    assert sorted(each.partition(" USING ")[2] for (each,) in defined) == [
        "btree (doc)", "btree (id)", "hnsw (embedding vector_cosine_ops) WITH (m='7', ef_construction='31')",
    ]  # fmt: skip
    assert finds_itself(new, [each.text for each in ENTRIES]) == [each.doc_id for each in ENTRIES]
    assert database.run(
        "SELECT obj_description(oid) FROM pg_class WHERE relname LIKE 'docs__2%' AND relkind = 'r'"
        " AND relnamespace = current_schema()::regnamespace"
    ) == [(None,)]


@pytest.mark.postgres
def test_rows_written_twice_are_there_once_and_discarding_removes_one_table(database, tmp_path):
    writer = writer_for(database.index(), RELEASE, tmp_path)
    twice_written(writer, [Passage(str(each.number), each.doc_id, each.text) for each in ENTRIES])
    assert database.run(f'SELECT count(*) FROM "docs__{RELEASE}"') == [(len(ENTRIES),)]
    writer.discard()
    writer.discard()
    ours = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'docs%'"
    assert database.run(ours) == [("docs",)]


@pytest.mark.postgres
def test_passages_cut_otherwise_are_new_rows_like_the_documents_first(pgvector_url, tmp_path):
    database = Database(pgvector_url, "bigint")
    database.fill()
    index = database.index(filter={"lang": "en"})
    cut = [Passage("doc-001#0", "doc-001", "half"), Passage("doc-001#1", "doc-001", "text 0 of document 1"),
           Passage("doc-new", "doc-new", "new", "en")]  # fmt: skip
    new = built(index, tmp_path, cut)
    assert isinstance(new, Pgvector)
    number = next(each.number for each in ENTRIES if each.doc_id == "doc-001")
    found = database.run(f'SELECT doc, body, lang, about, id = {number}, id > 0 FROM "{new.table}" ORDER BY body')
    assert found == [
        ("doc-001", "half", "en", {"n": number}, False, False),
        ("doc-new", "new", "en", {}, False, False),
        ("doc-001", "text 0 of document 1", "en", {"n": number}, True, True),
    ]
    assert new.facts().count == 3


@pytest.mark.postgres
def test_a_key_that_takes_no_new_names_is_an_error(database, tmp_path):
    with pytest.raises(RetrainError, match="takes no name for a new one"):
        built(database.index(), tmp_path, [Passage("doc-new", "doc-new", "new")])


@pytest.mark.postgres
def test_who_may_read_the_old_table_may_read_the_new_one(database, tmp_path):
    database.run("DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'read'; EXCEPTION WHEN duplicate_object THEN END $$")
    database.run("GRANT SELECT ON docs TO reader")
    new = built(database.index(), tmp_path)
    assert isinstance(new, Pgvector)
    assert database.run(f"SELECT has_table_privilege('reader', '\"{new.table}\"', 'SELECT')") == [(True,)]
    assert database.run(f"SELECT has_table_privilege('reader', '\"{new.table}\"', 'DELETE')") == [(False,)]


@pytest.mark.postgres
def test_a_table_with_row_security_is_not_copied(database, tmp_path):
    database.run("ALTER TABLE docs ENABLE ROW LEVEL SECURITY")
    with pytest.raises(RetrainError, match="row security"):
        writer_for(database.index(), RELEASE, tmp_path).begin(WIDTH)


@pytest.mark.postgres
def test_a_user_who_may_only_read_is_told_what_is_missing(database, tmp_path):
    schema = database.url.rpartition("%3D")[2].partition(",")[0]
    database.run("DO $$ BEGIN CREATE ROLE reader LOGIN PASSWORD 'read'; EXCEPTION WHEN duplicate_object THEN END $$")
    database.run(f"GRANT USAGE ON SCHEMA {schema} TO reader")
    database.run("GRANT SELECT ON docs TO reader")
    index = database.index(url=database.url.replace("driftwatch:correct%20horse", "reader:read"))
    with pytest.raises(RetrainError, match="Grant the user CREATE"):
        writer_for(index, RELEASE, tmp_path).begin(WIDTH)
