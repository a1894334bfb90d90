"""The kind `chroma` against a real server and a real folder."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import _chroma, _chroma_server
from driftwatch.retrievers.chroma import Chroma
from driftwatch.types import Query
from tests.fakes.chroma import ChromaServer, chroma_folder, fill_collection
from tests.fakes.search_service import SearchService, says
from tests.fakes.vectors import HashEmbedder, best_documents, seeded_entries, seeded_queries

pytestmark = pytest.mark.process

ENTRIES = seeded_entries(60)
QUERIES = seeded_queries(4)


def in_folder(folder, **settings):
    return Chroma(**{"kind": "chroma", "path": folder, "collection": "docs", "doc_key": "doc", **settings})


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("chromadb")
    with chroma_folder(tmp_path) as client:
        fill_collection(client, "docs", ENTRIES)
    return tmp_path


@pytest.fixture
def retriever(folder):
    made = in_folder(folder)
    yield made
    made.close()


@pytest.mark.parametrize(("space", "metric"), [("cosine", "cosine"), ("ip", "dot"), ("l2", "euclidean")])
@pytest.mark.parametrize("exact", [False, True], ids=["approximate", "exact"])
def test_scores_are_what_the_space_gives(chroma_server, space, metric, exact):
    server, name = ChromaServer(chroma_server), f"docs-{secrets.token_hex(4)}"
    server.fill(name, ENTRIES, space)
    server.close()
    kind = "distance" if space == "l2" else "similarity"
    settings = {"collection": name, "doc_key": "doc", "score_kind": kind}
    retriever = Chroma(kind="chroma", host="127.0.0.1", port=chroma_server, **settings)
    found = retriever.search_vectors(QUERIES, 10, exact=exact)
    assert retriever.facts().metric == metric
    retriever.close()
    for hits, wanted in zip(found, best_documents(ENTRIES, QUERIES, 10, metric), strict=True):
        assert [hit.doc_id for hit in hits] == [doc for doc, _ in wanted]
        scores = [score**2 if space == "l2" else score for _, score in wanted]  # Chroma's l2 is squared
        np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-4)


def test_what_another_process_writes_is_seen(folder, retriever):
    new = replace(ENTRIES[0], number=999, doc_id="doc-new", vector=10 * np.ones(16, dtype=np.float32))
    asked = new.vector[None, :]
    assert retriever.search_vectors(asked, 1)[0][0].doc_id != "doc-new"
    write = (
        "import chromadb, sys; from chromadb.config import Settings\n"
        "client = chromadb.PersistentClient(sys.argv[1], Settings(anonymized_telemetry=False))\n"
        "docs = client.get_collection('docs', embedding_function=None)\n"
        "docs.add(ids=['entry-999'], embeddings=[[10.0] * 16], metadatas=[{'doc': 'doc-new'}])\n"
    )
    subprocess.run([sys.executable, "-c", write, folder], check=True, timeout=60)
    assert retriever.search_vectors(asked, 1)[0][0].doc_id == "doc-new"
    assert retriever.missing(["doc-new"]) == frozenset()


def test_a_folder_may_be_open_elsewhere_in_this_process(folder, retriever):
    with chroma_folder(folder) as client:
        client.get_collection("docs", embedding_function=None).delete(where={"doc": "doc-001"})
        assert retriever.missing(["doc-001", "doc-002"]) == {"doc-001"}
        assert client.get_collection("docs", embedding_function=None).count() == len(ENTRIES) - 1


def test_reading_a_folder_changes_none_of_its_contents(folder):
    def contents():
        with sqlite3.connect(folder / "chroma.sqlite3") as database:
            lines = {line for line in database.iterdump() if '"acquire_write"' not in line}
        database.close()
        return lines

    before = contents()
    retriever = in_folder(folder)
    retriever.search_vectors(QUERIES, 5)
    retriever.search_vectors(QUERIES, 5, exact=True)
    retriever.facts()
    retriever.close()
    assert contents() == before


def test_a_folder_without_a_database_gets_none(tmp_path):
    with pytest.raises(RetrieverError, match=r"there is no Chroma database in .*chroma\.sqlite3"):
        in_folder(tmp_path).facts()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_another_version_is_refused_and_not_upgraded(folder):
    with sqlite3.connect(folder / "chroma.sqlite3") as database:
        database.execute("DELETE FROM migrations WHERE rowid = (SELECT max(rowid) FROM migrations)")
        (kept,) = database.execute("SELECT count(*) FROM migrations").fetchone()
    database.close()
    for _ in range(2):  # a client that could not be opened is not kept
        with pytest.raises(RetrieverError, match="another version of Chroma"):
            in_folder(folder).facts()
    with sqlite3.connect(folder / "chroma.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM migrations").fetchone() == (kept,)
    database.close()


def test_a_folder_that_was_damaged_is_read_again_when_it_is_whole(folder, retriever):
    database = folder / "chroma.sqlite3"
    whole = database.read_bytes()
    database.write_bytes(b"nonsense" * 100)
    with pytest.raises(RetrieverError, match="cannot be read"):
        retriever.facts()
    database.write_bytes(whole)
    assert retriever.facts().count == len(ENTRIES)


def test_a_collection_that_is_not_there_is_named(folder):
    with pytest.raises(RetrieverError, match=r"'nothing' in .*Check 'collection'"):
        in_folder(folder, collection="nothing").facts()


def test_a_space_that_does_not_fit_is_refused(folder):
    with pytest.raises(
        RetrieverError, match=r"cosine similarities, and 'score_kind' is 'distance'.*Set 'score_kind: sim"
    ):
        in_folder(folder, score_kind="distance").search_vectors(QUERIES, 3)


def test_a_wrong_key_of_documents_is_an_error_that_names_the_right_ones(folder):
    retriever = in_folder(folder, doc_key="document")
    for call in (retriever.reach, lambda: retriever.search_vectors(QUERIES, 3)):
        with pytest.raises(RetrieverError, match=r"metadata 'document'.*one of: doc, lang"):
            call()
    retriever.close()


def test_without_a_key_entries_are_documents(folder):
    retriever = in_folder(folder, doc_key=None)
    (hits,) = retriever.search_vectors(QUERIES[:1], 5)
    assert all(hit.doc_id.startswith("entry-") for hit in hits)
    assert retriever.missing(["entry-1", "doc-001"]) == {"doc-001"}
    retriever.close()


def test_an_entry_that_names_no_document_is_one_of_its_own(folder, retriever):
    with chroma_folder(folder) as client:
        client.get_collection("docs", embedding_function=None).add(ids=["stray"], embeddings=[[1.0] * 16])
    assert ("stray", "stray") in [entry for block in retriever.entries() for entry in block]
    assert retriever.missing(["stray", "elsewhere", "entry-1"]) == {"elsewhere", "entry-1"}


def test_a_key_that_is_a_number_is_found_as_text(folder, retriever):
    with chroma_folder(folder) as client:
        collection = client.get_collection("docs", embedding_function=None)
        collection.add(ids=["numbered"], embeddings=[[1.0] * 16], metadatas=[{"doc": 4711}])
    assert retriever.missing(["4711", "4712", "doc-001"]) == {"4712"}
    assert retriever.stored(["numbered"])["numbered"].doc_id == "4711"


def test_a_vector_replaced_in_all_entries_changes_the_fingerprint(folder, retriever):
    before = retriever.facts()
    with chroma_folder(folder) as client:
        collection = client.get_collection("docs", embedding_function=None)
        collection.update(ids=[f"entry-{each.number}" for each in ENTRIES], embeddings=[[1.0] * 16] * len(ENTRIES))
    after = retriever.facts()
    assert after.count == before.count
    assert after.fingerprint != before.fingerprint


def test_a_large_collection_has_a_fingerprint_of_some_of_its_vectors(folder, retriever, monkeypatch):
    monkeypatch.setattr(_chroma, "_LISTED", 10)
    before = retriever.facts().fingerprint
    assert retriever.facts().fingerprint == before
    with chroma_folder(folder) as client:
        collection = client.get_collection("docs", embedding_function=None)
        collection.update(ids=[f"entry-{each.number}" for each in ENTRIES], embeddings=[[1.0] * 16] * len(ENTRIES))
    assert retriever.facts().fingerprint != before


@pytest.mark.parametrize("gone", [[0], [3, 9], [9], [0, 2, 4, 5, 6, 7, 8, 9]])
def test_what_is_deleted_while_it_is_listed_hides_nothing_else(folder, retriever, monkeypatch, gone):
    monkeypatch.setattr(_chroma, "_PAGE", 10)
    everything = [entry for block in retriever.entries() for entry in block]
    listing = retriever.entries()
    listed = next(listing)
    with chroma_folder(folder) as client:
        client.get_collection("docs", embedding_function=None).delete(ids=[listed[place][0] for place in gone])
    assert listed + [entry for block in listing for entry in block] == everything


def test_a_list_that_cannot_be_continued_says_so(folder, retriever, monkeypatch):
    monkeypatch.setattr(_chroma, "_PAGE", 10)
    listing = retriever.entries()
    next(listing)
    second = next(listing)
    with chroma_folder(folder) as client:
        client.get_collection("docs", embedding_function=None).delete(ids=[entry_id for entry_id, _ in second])
    with pytest.raises(RetrieverError, match=r"too much of the collection 'docs' .* was deleted while it was listed"):
        list(listing)


class Recorded:
    """A collection that remembers how many entries of how many vectors were asked for."""

    def __init__(self, collection):
        self.collection, self.asked = collection, []

    def __getattr__(self, name):
        return getattr(self.collection, name)

    def query(self, vectors, n_results, include):
        self.asked.append((len(vectors), n_results))
        return self.collection.query(vectors, n_results, include)


def test_only_what_lacks_documents_is_asked_again_and_not_without_end(folder, retriever, monkeypatch):
    monkeypatch.setattr(_chroma, "MOST_ENTRIES", 20)
    monkeypatch.setattr(_chroma, "_ANSWERED", 30)
    with chroma_folder(folder) as client:
        collection = client.get_collection("docs", embedding_function=None)
        many = {"ids": [f"long-{place}" for place in range(40)], "metadatas": [{"doc": "long"}] * 40}
        collection.add(**many, embeddings=np.repeat(QUERIES[:1], 40, axis=0))
    with retriever._place.opened() as opened:
        recorded = Recorded(opened)
        found = list(_chroma.Reader(recorded, "docs", "doc", "lang").search(QUERIES, 5))
    assert [hit.doc_id for hit in found[0]] == ["long"]
    assert [len(hits) for hits in found[1:]] == [5, 5, 5]
    assert recorded.asked[0] == (4, 5)
    assert recorded.asked[-1] == (1, 20)
    assert all(rows * entries <= 30 for rows, entries in recorded.asked)


def test_facts_say_how_the_graph_was_built_and_with_which_model(tmp_path):
    pytest.importorskip("chromadb")
    with chroma_folder(tmp_path) as client:
        client.create_collection("docs", configuration={"hnsw": {"space": "cosine", "max_neighbors": 9}})
    retriever = in_folder(tmp_path)  # Chroma's own embedding function is configured, and never called
    facts = retriever.facts()
    retriever.close()
    assert (facts.count, facts.dimension, facts.model) == (0, None, "default")
    assert facts.settings == {"kind": "hnsw", "max_neighbors": "9", "ef_construction": "100", "ef_search": "100"}
    assert retriever.search_vectors(QUERIES, 3) == retriever.search_vectors(QUERIES, 3, exact=True) == [()] * 4
    retriever.close()


def test_an_older_collection_says_its_space_in_its_metadata(tmp_path):
    pytest.importorskip("chromadb")
    with chroma_folder(tmp_path) as client:
        client.create_collection("docs", metadata={"hnsw:space": "ip"}, embedding_function=None)
    retriever = in_folder(tmp_path)
    assert retriever.facts().metric == "dot"
    retriever.close()


DESCRIBED = {"id": "0", "dimension": 16, "configuration_json": {"hnsw": {"space": "cosine"}}}


@pytest.mark.parametrize(
    ("header", "sent"), [("Authorization", "Bearer open-sesame"), ("X-Chroma-Token", "open-sesame")]
)
def test_the_token_is_sent_as_the_server_wants_it_and_never_shown(header, sent):
    with SearchService() as service:
        service.does(says({"message": "open-sesame is wrong"}, code=401))
        retriever = Chroma(
            kind="chroma",
            host="127.0.0.1",
            port=service.port,
            collection="a/b",
            token="open-sesame",
            token_header=header,
        )
        with pytest.raises(RetrieverError, match=r"status 401.*Check 'token'") as raised:
            retriever.facts()
        retriever.close()
        (asked,) = service.asked
        assert asked.headers[header.lower()] == sent
        assert asked.path == "/api/v2/tenants/default_tenant/databases/default_database/collections/a%2Fb"
        assert "open-sesame" not in f"{raised.value} {retriever!r}"


def test_what_is_no_chroma_server_is_said(chroma_server):
    with SearchService() as service:
        service.does(says({"results": []}))
        retriever = Chroma(kind="chroma", host="127.0.0.1", port=service.port, collection="docs")
        with pytest.raises(RetrieverError, match="does not answer as Chroma does"):
            retriever.reach()
        retriever.close()
    missing = Chroma(kind="chroma", host="127.0.0.1", port=chroma_server, collection="nothing-here")
    with pytest.raises(RetrieverError, match=r"status 404.*nothing-here.*Check 'collection'"):
        missing.reach()
    missing.close()


@pytest.mark.parametrize("answer", [{}, {"ids": None}, {"ids": ["a"], "metadatas": None}, [], None, "fine"])
def test_an_answer_that_lacks_something_is_no_chromas(answer):
    with SearchService() as service:
        service.does(says(DESCRIBED), says(answer))
        retriever = Chroma(kind="chroma", host="127.0.0.1", port=service.port, collection="docs", doc_key="doc")
        with pytest.raises(RetrieverError, match=r"does not answer as Chroma does. Check 'host' and 'port'"):
            retriever.stored(["a"])
        retriever.close()


def test_an_answer_that_is_too_large_names_no_setting_that_there_is_not(monkeypatch):
    monkeypatch.setattr(_chroma_server, "_LARGEST", 100)
    with SearchService() as service:
        service.does(says({**DESCRIBED, "metadata": {"about": "x" * 1000}}))
        retriever = Chroma(kind="chroma", host="127.0.0.1", port=service.port, collection="docs")
        with pytest.raises(RetrieverError, match=r"the answer is larger than 0.0001 MB\.$"):
            retriever.facts()
        retriever.close()


def test_a_server_that_dies_in_the_middle_leaves_what_it_answered():
    queries = [Query(f"q{place}", f"question {place}") for place in range(450)]
    found = {"ids": [["e"]] * 200, "distances": [[0.25]] * 200}
    answers = [says(DESCRIBED), says(7), says(found), says(found), says("no memory", code=500)]
    with SearchService() as service:
        service.does(*answers)
        retriever = Chroma(kind="chroma", host="127.0.0.1", port=service.port, collection="docs")
        replies = retriever.search(queries, HashEmbedder())
        retriever.close()
    assert [reply.hits is not None for reply in replies] == [True] * 400 + [False] * 50
    assert 'status 500: "no memory"' in replies[-1].error
    assert replies[0].hits[0].score == 0.75


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "set 'host' for a server, or 'path'"),
        ({"host": "a", "path": "b"}, "one of them"),
        ({"path": "b", "token": "x"}, "a folder takes no 'token'"),
        ({"host": "a", "token": "two words"}, "a blank"),
        ({"host": "http://a/"}, "host"),
        ({"host": "chroma.internal:8000"}, "is no host. The port goes into 'port'"),
        ({"host": "[::1]"}, "has no brackets"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValidationError, match=words):
        Chroma(kind="chroma", collection="docs", **settings)


def test_importing_the_kind_loads_no_client():
    code = "import sys, driftwatch.retrievers.chroma, driftwatch.retrievers.pgvector as _\n"
    code += "print(sorted({'chromadb', 'psycopg', 'pgvector', 'httpx', 'sqlalchemy', 'faiss'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=Path.cwd())
    assert said.stdout.strip() == "[]"
