"""Documents embedded anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from driftwatch.documents import Documents
from driftwatch.probes.pool import choose, embed_anew, graph, ranked
from driftwatch.probes.vectors import judge_vectors
from driftwatch.types import IndexFacts, Stored
from tests.fakes.small_index import SmallIndex, Topics, small_canaries, small_rows

pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")


@pytest.fixture
def embedder() -> Topics:
    return Topics()


@pytest.fixture
def index(embedder: Topics) -> SmallIndex:
    return SmallIndex.of(small_rows(embedder))


def always() -> bool:
    return True


def test_wanted_documents_come_first_and_a_seeded_sample_fills_up(index: SmallIndex) -> None:
    chosen = choose(index, ["fr-2-0", "de-0-0", "nowhere"], 50, 7, always)
    assert [doc_id for _, doc_id in chosen.entries[:2]] == ["fr-2-0", "de-0-0"]
    assert len(chosen.entries) == len(set(chosen.entries)) == 50
    assert chosen.held == {"fr-2-0", "de-0-0"}
    assert (chosen.listed, chosen.finished, chosen.whole) == (300, True, False)
    assert choose(index, ["fr-2-0", "de-0-0"], 50, 7, always) == chosen
    assert choose(index, ["fr-2-0", "de-0-0"], 50, 8, always).entries[2:] != chosen.entries[2:]


def test_a_small_index_is_taken_whole(index: SmallIndex) -> None:
    chosen = choose(index, ["fr-2-0"], 300, 0, always)
    assert chosen.whole
    assert len(chosen.entries) == 300


def test_a_list_that_takes_too_long_is_left_in_the_middle_and_says_so(index: SmallIndex) -> None:
    chosen = choose(index, [], 300, 0, lambda: False)
    assert (chosen.listed, chosen.finished, chosen.whole) == (100, False, False)


def test_every_entry_of_a_wanted_document_is_chosen(embedder: Topics) -> None:
    rows = small_rows(embedder)
    rows.doc_ids[250:] = ["long"] * 50
    chosen = choose(SmallIndex.of(rows), ["long"], 60, 0, always)
    assert [doc_id for _, doc_id in chosen.entries[:50]] == ["long"] * 50


def test_fresh_and_stored_vectors_stand_row_by_row(index: SmallIndex, embedder: Topics) -> None:
    pool = embed_anew(index, embedder, None, choose(index, ["de-0-0"], 100, 0, always), always)
    assert pool.stored is not None
    np.testing.assert_allclose(pool.fresh, pool.stored, atol=1e-6)
    assert pool.langs["de-0-0"] == "de"
    assert pool.rows["de-0-0"] == 0
    assert (pool.left, pool.without_text) == (0, 0)


def test_what_there_was_no_time_for_is_counted(index: SmallIndex, embedder: Topics) -> None:
    pool = embed_anew(index, embedder, None, choose(index, ["de-0-0"], 300, 0, always), lambda: False)
    assert (len(pool.doc_ids), pool.left) == (64, 236)
    assert pool.doc_ids[0] == "de-0-0"


def test_texts_come_from_the_source_where_the_index_has_none(embedder: Topics, tmp_path: Path) -> None:
    rows = small_rows(embedder)
    texts = dict(zip(rows.doc_ids, rows.texts, strict=True))
    rows.texts = [None] * len(rows.texts)
    lines = [{"id": doc_id, "text": text} for doc_id, text in texts.items() if doc_id != "de-0-1"]
    (tmp_path / "corpus.jsonl").write_bytes(b"\n".join(map(orjson.dumps, lines)))
    corpus = Documents(path="corpus.jsonl").corpus(tmp_path)
    index = SmallIndex.of(rows)
    pool = embed_anew(index, embedder, corpus, choose(index, ["de-0-0"], 300, 0, always), always)
    assert pool.without_text == 1
    assert "de-0-1" not in pool.documents
    assert pool.stored is not None
    np.testing.assert_allclose(pool.fresh, pool.stored, atol=1e-6)


def test_the_whole_text_is_not_taken_for_that_of_a_part(embedder: Topics, tmp_path: Path) -> None:
    rows = small_rows(embedder)
    rows.texts = [None] * len(rows.texts)
    rows.doc_ids[0:2] = ["long", "long"]
    (tmp_path / "corpus.jsonl").write_bytes(orjson.dumps({"id": "long", "text": "both parts"}))
    index = SmallIndex.of(rows)
    pool = embed_anew(
        index,
        embedder,
        Documents(path="corpus.jsonl").corpus(tmp_path),
        choose(index, ["long"], 300, 0, always),
        always,
    )
    assert len(pool.doc_ids) == 0


def test_an_index_that_keeps_its_vectors_to_itself_gives_none(index: SmallIndex, embedder: Topics) -> None:
    chosen = choose(index, [], 10, 0, always)
    assert embed_anew(index.only("ids", "texts"), embedder, None, chosen, always).stored is None


def test_an_entry_without_a_vector_is_one_wrong_vector_and_hides_no_other(index: SmallIndex, embedder: Topics) -> None:
    class Waiting(SmallIndex):
        def stored(self, entry_ids: Sequence[str], **asked: bool) -> dict[str, Stored]:
            found = super().stored(entry_ids, **asked)
            odd = {"de-0-0": None, "de-0-1": np.ones(3, np.float32)}
            return {each: replace(it, vector=odd.get(it.doc_id, it.vector)) for each, it in found.items()}

    pool = embed_anew(Waiting.of(index.rows), embedder, None, choose(index, [], 300, 0, always), always)
    assert pool.stored is not None
    seen = judge_vectors(pool.stored, pool.fresh, {}, pool.fresh)
    assert {str(pool.doc_ids[row]): seen.kinds[row] for row in np.flatnonzero(seen.bad)} == {
        "de-0-0": "no vector",
        "de-0-1": "no vector",
    }


@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean", ""])
def test_every_metric_ranks_vectors_of_length_1_alike(metric: str, index: SmallIndex, embedder: Topics) -> None:
    queries = embedder.encode_queries(["topic-3 de document 0", "topic-7 en document 4"])
    ids = np.array(index.rows.doc_ids, dtype=object)
    found = ranked(queries, ids, index.rows.vectors, metric, 10)
    best = np.argsort(-(queries @ index.rows.vectors.T), axis=1)[:, :10]
    assert [[hit.doc_id for hit in hits] for hits in found] == [list(ids[row]) for row in best]
    assert all(hits[0].score >= hits[1].score for hits in found)  # type: ignore[operator]


def test_a_document_counts_once_with_its_best_entry(index: SmallIndex, embedder: Topics) -> None:
    ids = np.array(["one"] * 299 + ["other"], dtype=object)
    (hits,) = ranked(embedder.encode_queries(["topic-3 de document 0"]), ids, index.rows.vectors, "dot", 10)
    assert [hit.doc_id for hit in hits] == ["one", "other"]


@pytest.mark.parametrize("kind", ["HNSW", "IVFFlat", "Flat", "hnsw", "ivfflat", ""])
def test_an_index_of_the_same_kind_is_built_anew(kind: str, index: SmallIndex, embedder: Topics) -> None:
    pool = embed_anew(index, embedder, None, choose(index, [], 300, 0, always), always)
    facts = IndexFacts(
        metric="cosine", settings={"kind": kind, "nlist": "4", "nprobe": "4", "M": "8", "efSearch": "64"}
    )
    queries = embedder.encode_queries(["topic-3 de document 0", "topic-7 en document 4"])
    exact = ranked(queries, pool.doc_ids, pool.fresh, "cosine", 10)
    found = graph(queries, pool, facts, 10)
    assert [hits[0].doc_id for hits in found] == [hits[0].doc_id for hits in exact]
    assert all(len(hits) == 10 for hits in found)


def test_where_there_is_no_graph_none_is_built_anew(index: SmallIndex, embedder: Topics) -> None:
    pool = embed_anew(index, embedder, None, choose(index, [], 300, 0, always), always)
    queries = embedder.encode_queries([query.text for query in small_canaries()])
    found = graph(queries, pool, IndexFacts(metric="dot", settings={"kind": "none", "m": "2", "ef": "1"}), 10)
    exact = ranked(queries, pool.doc_ids, pool.fresh, "dot", 10)
    assert [[hit.doc_id for hit in hits] for hits in found] == [[hit.doc_id for hit in hits] for hits in exact]


def test_settings_that_are_too_small_lose_documents_in_the_new_index_too(index: SmallIndex, embedder: Topics) -> None:
    pool = embed_anew(index, embedder, None, choose(index, [], 300, 0, always), always)
    queries = embedder.encode_queries([query.text for query in small_canaries()])
    narrow = IndexFacts(metric="cosine", settings={"kind": "IVF", "nlist": "100", "nprobe": "1"})
    exact = ranked(queries, pool.doc_ids, pool.fresh, "cosine", 10)
    found = graph(queries, pool, narrow, 10)
    shared = [len({hit.doc_id for hit in a} & {hit.doc_id for hit in b}) for a, b in zip(exact, found, strict=True)]
    assert np.mean(shared) < 9
