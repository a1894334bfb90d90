"""What holds for every retriever that lets itself be looked into, found by itself: adding a kind adds it here."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest

from driftwatch.errors import DriftwatchError, RetrieverError
from driftwatch.plugins import find_kind, kind_names
from driftwatch.retrievers import Retriever
from driftwatch.types import Capability, Query
from tests.fakes.chroma import ChromaServer, chroma_folder, fill_collection
from tests.fakes.vectors import DIMENSION, HashEmbedder, best_documents, seeded_entries, seeded_queries

pytestmark = pytest.mark.process

ENTRIES = seeded_entries()
DOCUMENTS = {each.doc_id for each in ENTRIES}
QUERIES = seeded_queries()
SECRET = "xyzzy-plugh"
UNKNOWN = [
    "no such entry",
    "999999999",
    "-1",
    "",
    "'; --",
    "00000000-0000-4000-8000-000000000000",
    "99999999999999999999",
]


@dataclass
class Made:
    """An index with ``ENTRIES`` in it."""

    retriever: Retriever
    metric: str
    where: str
    """What a message names when it is gone."""
    keeps_length: bool = True
    """False: vectors are normalised when they are stored, as its page says."""
    languages: bool = True

    def delete(self, doc_id: str) -> None:
        """Take all entries of a document out of the index."""
        raise AssertionError("every factory says how")

    def gone(self) -> Retriever:
        """The same settings with ``SECRET`` among them, where nothing answers."""
        raise AssertionError("every factory says how")

    def close(self) -> None:
        self.retriever.close()


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def make_faiss(request, folder):
    faiss = pytest.importorskip("faiss")
    settings = {"kind": "faiss", "index": folder / "docs.faiss", "ids": folder / "ids.txt"}

    def write(entries):
        index = faiss.IndexHNSWFlat(DIMENSION, 16, faiss.METRIC_INNER_PRODUCT)
        index.add(np.stack([each.vector for each in entries]))
        faiss.write_index(index, str(settings["index"]))
        settings["ids"].write_text("\n".join(each.doc_id for each in entries))

    class Faiss(Made):
        def delete(self, doc_id):
            write([each for each in ENTRIES if each.doc_id != doc_id])

        def gone(self):
            return find_kind("retrievers", "faiss")(**{**settings, "index": folder / "elsewhere.faiss"})

    write(ENTRIES)
    return Faiss(find_kind("retrievers", "faiss")(**settings), "dot", "elsewhere.faiss", languages=False)


def make_pgvector(request, folder):
    import psycopg

    server = request.getfixturevalue("pgvector_server")
    plain, table = server.replace("+psycopg", ""), f"docs_{secrets.token_hex(4)}"
    settings = {
        "kind": "pgvector",
        "url": server,
        "table": table,
        "doc_column": "doc",
        "text_column": "body",
        "lang_column": "lang",
    }

    def run(statement, *rows):
        with psycopg.connect(plain) as connection:
            connection.cursor().executemany(statement, rows) if rows else connection.execute(statement)

    class Pgvector(Made):
        def delete(self, doc_id):
            run(f"DELETE FROM {table} WHERE doc = %s", (doc_id,))

        def gone(self):
            port = closed_port()
            self.where = f"127.0.0.1:{port}"
            return find_kind("retrievers", "pgvector")(
                **{**settings, "url": f"postgresql://reader:{SECRET}@127.0.0.1:{port}/help"}
            )

        def close(self):
            run(f"DROP TABLE {table}")

    rows = [(each.number, each.doc_id, each.text, each.lang, str(each.vector.tolist())) for each in ENTRIES]
    run(f"CREATE TABLE {table} (id bigint PRIMARY KEY, doc text, body text, lang text, embedding vector({DIMENSION}))")
    run(f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s)", *rows)
    run(f"CREATE INDEX ON {table} USING hnsw (embedding vector_cosine_ops)")
    return Pgvector(find_kind("retrievers", "pgvector")(**settings), "cosine", "")


def make_chroma_server(request, folder):
    port, name = request.getfixturevalue("chroma_server"), f"docs-{secrets.token_hex(4)}"
    settings = {"kind": "chroma", "host": "127.0.0.1", "collection": name, "doc_key": "doc", "lang_key": "lang"}
    server = ChromaServer(port)
    server.fill(name, ENTRIES)

    class Chroma(Made):
        def delete(self, doc_id):
            server.delete(name, doc_id)

        def gone(self):
            elsewhere = closed_port()
            self.where = f"127.0.0.1:{elsewhere}"
            return find_kind("retrievers", "chroma")(**settings, port=elsewhere, token=SECRET)

        def close(self):
            self.retriever.close()
            server.close()

    return Chroma(find_kind("retrievers", "chroma")(**settings, port=port), "cosine", "")


def make_chroma_folder(request, folder):
    pytest.importorskip("chromadb")
    settings = {"kind": "chroma", "path": folder, "collection": "docs", "doc_key": "doc", "lang_key": "lang"}

    class Chroma(Made):
        def delete(self, doc_id):
            with chroma_folder(folder) as client:
                client.get_collection("docs", embedding_function=None).delete(where={"doc": doc_id})

        def gone(self):
            return find_kind("retrievers", "chroma")(**{**settings, "path": folder / "elsewhere"})

    with chroma_folder(folder) as client:
        fill_collection(client, "docs", ENTRIES)
    return Chroma(find_kind("retrievers", "chroma")(**settings), "cosine", "elsewhere")


def make_qdrant(request, folder):
    pytest.importorskip("qdrant_edge")
    pytest.importorskip("qdrant_client")
    from tests.fakes.qdrant_server import QdrantServer

    server = QdrantServer(folder, api_key=SECRET).__enter__()
    server.create("docs", DIMENSION)
    payloads = [{"doc": each.doc_id, "body": each.text, "lang": each.lang} for each in ENTRIES]
    server.upsert("docs", [each.number for each in ENTRIES], np.stack([each.vector for each in ENTRIES]), payloads)
    server.optimize("docs")
    settings = {"kind": "qdrant", "collection": "docs", "api_key": SECRET}
    settings |= {"doc_key": "doc", "text_key": "body", "lang_key": "lang"}

    class Qdrant(Made):
        def delete(self, doc_id):
            server.delete("docs", [each.number for each in ENTRIES if each.doc_id == doc_id])

        def gone(self):
            port = closed_port()
            self.where = f"127.0.0.1:{port}"
            return find_kind("retrievers", "qdrant")(**settings, url=f"http://127.0.0.1:{port}")

        def close(self):
            self.retriever.close()
            server.__exit__(None, None, None)

    retriever = find_kind("retrievers", "qdrant")(**settings, url=server.url)
    return Qdrant(retriever, "cosine", "", keeps_length=False)


FACTORIES = {
    "faiss": {"faiss": make_faiss},
    "pgvector": {"pgvector": make_pgvector},
    "chroma": {"chroma folder": make_chroma_folder, "chroma server": make_chroma_server},
    "qdrant": {"qdrant": make_qdrant},
}
"""Kind -> the ways in which it is tried."""
WITHOUT = {
    "http": {"url": "http://127.0.0.1:9/retrieve"},
    "python": {"callable": "tests.fakes.python_retrievers:shaped"},
}
"""Settings of the kinds that cannot be looked into."""
PARTLY = {"pgvector": {"url": "postgresql://127.0.0.1:9/help", "table": "docs"}}
"""Settings with which a kind can less than usual."""


def is_able(kind):
    return find_kind("retrievers", kind).capabilities is not Retriever.capabilities


ABLE = [kind for kind in kind_names("retrievers") if is_able(kind)]
WAYS = {way: make for kind in ABLE for way, make in FACTORIES.get(kind, {}).items()}
MARKS = {"pgvector": [pytest.mark.postgres]}
EACH = [pytest.param(way, marks=MARKS.get(way, [])) for way in WAYS]


@contextlib.contextmanager
def index(way, request, folder):
    made = WAYS[way](request, folder)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module", params=EACH)
def made(request, tmp_path_factory):
    """An index that no test changes."""
    with index(request.param, request, tmp_path_factory.mktemp("index")) as filled:
        yield filled


@pytest.fixture(params=EACH)
def changing(request, tmp_path):
    """An index of this test alone."""
    with index(request.param, request, tmp_path) as filled:
        yield filled


def everything(retriever):
    return [entry for block in retriever.entries() for entry in block]


def test_every_kind_that_declares_capabilities_is_tried_here_and_every_other_is_known():
    assert set(ABLE) - set(FACTORIES) == set(), "write a factory for it above"
    assert set(kind_names("retrievers")) - set(ABLE) == set(WITHOUT)


def test_what_is_declared_is_among_the_capabilities_there_are(made):
    assert made.retriever.capabilities <= set(get_args(Capability))
    assert "by vector" in made.retriever.capabilities


def test_exact_search_is_plain_arithmetic(made):
    found = made.retriever.search_vectors(QUERIES, 15, exact=True)
    wanted = best_documents(ENTRIES, QUERIES, 15, made.metric)
    assert [[hit.doc_id for hit in hits] for hits in found] == [[doc for doc, _ in each] for each in wanted]
    scores = [[hit.score for hit in hits] for hits in found]
    np.testing.assert_allclose(scores, [[score for _, score in each] for each in wanted], atol=2e-5)


def test_the_index_finds_nearly_the_same_with_the_same_scores(made):
    found = made.retriever.search_vectors(QUERIES, 15)
    wanted = [dict(each) for each in best_documents(ENTRIES, QUERIES, len(DOCUMENTS), made.metric)]
    best = [set(list(each)[:15]) for each in wanted]
    share = np.mean([len(same & {hit.doc_id for hit in hits}) / 15 for same, hits in zip(best, found, strict=True)])
    assert share >= 0.9
    for hits, scores in zip(found, wanted, strict=True):
        np.testing.assert_allclose([hit.score for hit in hits], [scores[hit.doc_id] for hit in hits], atol=2e-5)


@pytest.mark.parametrize("exact", [False, True], ids=["approximate", "exact"])
def test_hits_are_documents_by_their_stable_key_each_once_and_best_first(made, exact):
    for hits in made.retriever.search_vectors(QUERIES, 30, exact=exact):
        assert {hit.doc_id for hit in hits} <= DOCUMENTS
        assert len({hit.doc_id for hit in hits}) == len(hits) == 30
        sign = 1 if made.retriever.score_kind == "similarity" else -1
        assert all(sign * before.score >= sign * after.score for before, after in pairwise(hits))


def test_a_search_for_more_than_there_is_finds_every_document(made):
    for hits in made.retriever.search_vectors(QUERIES[:2], 1000, exact=True):
        assert {hit.doc_id for hit in hits} == DOCUMENTS


def test_no_vectors_find_nothing(made):
    nothing = np.empty((0, DIMENSION), dtype=np.float32)
    assert made.retriever.search_vectors(nothing, 5) == []
    assert made.retriever.search_vectors(nothing, 5, exact=True) == []


def test_queries_find_what_their_vectors_find(made):
    embedder = HashEmbedder()
    queries = [Query(f"q{place}", f"question {place}") for place in range(5)]
    replies = made.retriever.search(queries, embedder)
    vectors = embedder.encode_queries([query.text for query in queries])
    found = made.retriever.search_vectors(vectors, made.retriever.top_k)
    assert [[hit.doc_id for hit in reply.hits] for reply in replies] == [[hit.doc_id for hit in hits] for hits in found]
    assert all(reply.error is None and reply.latency_ms > 0 for reply in replies)
    assert {reply.versions["embedder"] for reply in replies} == {embedder.fingerprint}
    assert made.retriever.search([], embedder) == []


def test_queries_need_an_embedder(made):
    with pytest.raises(RetrieverError, match="embedder"):
        made.retriever.search([Query("q", "question")])


def test_everything_is_listed_once_and_in_the_same_order(made):
    listed = everything(made.retriever)
    assert Counter(doc_id for _, doc_id in listed) == Counter(each.doc_id for each in ENTRIES)
    assert len({entry_id for entry_id, _ in listed}) == len(ENTRIES)
    assert everything(made.retriever) == listed


def test_listing_may_be_broken_off(made):
    listing = made.retriever.entries()
    assert next(listing)
    listing.close()
    assert made.retriever.facts().count == len(ENTRIES)


def test_what_was_put_in_comes_out(made):
    texts = "texts" in made.retriever.capabilities
    listed = dict(everything(made.retriever))
    stored = made.retriever.stored(list(listed))
    assert {entry_id: each.doc_id for entry_id, each in stored.items()} == listed
    seen = set()
    for each in stored.values():
        candidates = [entry for entry in ENTRIES if entry.doc_id == each.doc_id]
        put = [entry.vector / (1 if made.keeps_length else np.linalg.norm(entry.vector)) for entry in candidates]
        (same,) = (place for place, vector in enumerate(put) if np.allclose(vector, each.vector, atol=1e-6))
        seen.add(candidates[same].number)
        assert each.vector.dtype == np.float32
        assert each.text == (candidates[same].text if texts else None)
        assert each.lang == (candidates[same].lang if made.languages else "")
    assert len(seen) == len(ENTRIES)


def test_vectors_or_texts_alone_come_without_the_other(made):
    some = [entry_id for entry_id, _ in everything(made.retriever)[:5]]
    without = made.retriever.stored(some, texts=False)
    assert all(each.text is None and each.vector is not None for each in without.values())
    if "texts" in made.retriever.capabilities:
        texts = made.retriever.stored(some, vectors=False)
        assert all(each.text and each.vector is None for each in texts.values())


def test_what_the_index_does_not_hold_is_left_out(made):
    known = everything(made.retriever)[0][0]
    assert set(made.retriever.stored([*UNKNOWN, known, known])) == {known}
    assert made.retriever.stored([]) == {}
    assert made.retriever.missing([*UNKNOWN, "doc-000", "doc-199"]) == set(UNKNOWN)
    assert made.retriever.missing([]) == frozenset()


def test_facts_are_those_of_the_index(made):
    facts = made.retriever.facts()
    assert (facts.count, facts.dimension, facts.metric) == (len(ENTRIES), DIMENSION, made.metric)
    assert facts.settings["kind"]
    assert facts.fingerprint
    assert all(isinstance(word, str) for pair in facts.settings.items() for word in pair)
    assert made.retriever.facts() == facts


def test_a_document_that_is_deleted_is_missing_everywhere(changing):
    retriever = changing.retriever
    before = retriever.facts()
    assert retriever.missing(["doc-000", "doc-001"]) == frozenset()
    changing.delete("doc-000")  # it has two entries
    assert retriever.missing(["doc-000", "doc-001"]) == {"doc-000"}
    after = retriever.facts()
    assert after.count == before.count - 2
    assert after.fingerprint != before.fingerprint
    assert {doc_id for _, doc_id in everything(retriever)} == DOCUMENTS - {"doc-000"}
    itself = ENTRIES[0].vector[None, :]
    for exact in (False, True):
        (hits,) = retriever.search_vectors(itself, 5, exact=exact)
        assert "doc-000" not in {hit.doc_id for hit in hits}


def test_vectors_of_another_dimension_are_an_error_that_says_both(made):
    for exact in (False, True):
        with pytest.raises(DriftwatchError, match=r"\b9\b.*\b16\b|\b16\b.*\b9\b") as raised:
            made.retriever.search_vectors(np.ones((1, 9), dtype=np.float32), 5, exact=exact)
        assert raised.value.remedy


def test_validate_says_what_was_reached(made):
    said = made.retriever.reach()
    assert str(len(ENTRIES)) in said
    assert str(DIMENSION) in said


CALLS = {
    "by vector": lambda retriever: retriever.search_vectors(QUERIES, 3),
    "exact": lambda retriever: retriever.search_vectors(QUERIES, 3, exact=True),
    "vectors": lambda retriever: retriever.stored(["1"], texts=False),
    "texts": lambda retriever: retriever.stored(["1"], vectors=False),
    "ids": everything,
    "facts": lambda retriever: retriever.facts(),
}
"""What each capability lets be called."""


def test_every_capability_there_is_is_tried_here():
    assert set(CALLS) == set(get_args(Capability))


@pytest.mark.parametrize("capability", CALLS)
def test_what_is_declared_can_be_called(made, capability):
    if capability in made.retriever.capabilities:
        CALLS[capability](made.retriever)
    else:
        with pytest.raises(RetrieverError) as raised:
            CALLS[capability](made.retriever)
        assert raised.value.remedy


@pytest.mark.parametrize("kind", [*WITHOUT, *PARTLY])
@pytest.mark.parametrize("capability", CALLS)
def test_what_is_not_declared_is_refused_with_a_remedy_and_without_asking_anybody(kind, capability):
    if kind not in kind_names("retrievers"):
        pytest.skip(f"there is no kind '{kind}'")
    retriever = find_kind("retrievers", kind)(kind=kind, **{**WITHOUT, **PARTLY}[kind])
    if capability in retriever.capabilities:
        assert kind in PARTLY
        return
    with pytest.raises(RetrieverError, match=f"'{kind}' cannot") as raised:
        CALLS[capability](retriever)
    assert raised.value.remedy


def test_an_index_that_is_gone_is_said_by_name_and_without_secrets(changing):
    gone = changing.gone()
    embedder = HashEmbedder()
    calls = [CALLS[each] for each in CALLS if each in gone.capabilities]
    calls += [lambda retriever: retriever.missing(["doc-000"]), lambda retriever: retriever.reach()]
    calls += [lambda retriever: retriever.search([Query("q", "question")], embedder)]
    for call in calls:
        with pytest.raises(RetrieverError, match=re.escape(changing.where)) as raised:
            call(gone)
        assert SECRET not in str(raised.value)
    assert SECRET not in repr(gone)
    gone.close()
