"""One run of the probes after another on a real FAISS index."""

import json
from dataclasses import replace

import numpy as np
import pytest

from driftwatch.checks.integrity import Integrity
from driftwatch.errors import RetrieverError
from driftwatch.probes.index import look_at
from driftwatch.probes.vectors import judge_vectors
from driftwatch.retrievers import Retriever
from driftwatch.retrievers.faiss import Faiss
from driftwatch.types import IndexFacts, Window
from tests.fakes.indexed import DIMENSION, HOUR, MONDAY, Indexed, TextsInTopics, drawn

pytestmark = pytest.mark.process

LOOKS = {
    "facts",
    "stored vectors",
    "texts",
    "finds itself",
    "recall of the index",
    "missing documents",
    "orphans",
    "probe strings",
    "service",
}


class Dead(Retriever):
    """A store that is down."""

    kind: str = "dead"

    def search(self, queries, embedder=None):
        raise RetrieverError("no connection to 127.0.0.1:1.")

    def reach(self):
        raise RetrieverError("no connection to 127.0.0.1:1.")

    @property
    def capabilities(self):
        return frozenset({"by vector", "exact", "vectors", "texts", "ids", "facts"})

    def facts(self):
        raise RetrieverError("no connection to 127.0.0.1:1.")


@pytest.fixture
def indexed(tmp_path):
    return Indexed(tmp_path)


def bad(probe):
    return {name: look.bad for name, look in probe.looks.items() if look.bad}


def test_an_index_that_is_well_has_nothing_bad(indexed):
    for _ in range(6):
        probe = indexed.look()
        assert set(probe.looks) == LOOKS
        assert not bad(probe)
        assert {name for name, look in probe.looks.items() if look.unable} == {"texts"}
    assert probe.looks["stored vectors"].n == 64
    assert probe.looks["recall of the index"].values["recall@10"] == pytest.approx(1)
    assert probe.facts == indexed.target().index.facts()
    assert probe.embedder == "made up"


def test_every_entry_is_looked_at_once_before_any_is_twice(indexed):
    seen = []
    read = indexed.target().index

    class Noting(type(read)):
        def stored(self, entry_ids, **more):
            seen.extend(entry_ids)
            return super().stored(entry_ids, **more)

    noting = Noting(kind="faiss", index=read.index, ids=read.ids)
    for _ in range(5):
        indexed.look(index=noting)
    first, second = seen[:300], seen[300:]
    assert len(set(first)) == 300
    assert len(set(second)) == len(second)
    indexed.look(index=noting)
    assert seen[300:364] != seen[:64]


def test_the_same_state_gives_the_same_look(indexed):
    indexed.look()
    first = indexed.look(service=None)
    indexed.probes.pop()
    again = indexed.look(service=None)
    assert (first.looks, first.facts) == (again.looks, again.facts)
    clocked = ("walk", "latency")  # which say how long it took
    assert {k: v for k, v in first.state.items() if k not in clocked} == {
        k: v for k, v in again.state.items() if k not in clocked
    }


def test_the_state_is_small_and_json(tmp_path):
    indexed = Indexed(tmp_path, 500)
    for _ in range(3):
        probe = indexed.look()
    indexed.spoil([f"doc-{n:04}" for n in range(300)])
    indexed.texts |= {f"new-{n:04}": f"topic1: new {n}" for n in range(300)}
    indexed.write()
    for _ in range(3):
        probe = indexed.look()
    assert len(json.dumps(probe.state)) < 100_000
    assert json.loads(json.dumps(probe.state)) == probe.state


def test_one_wrong_vector_counts_when_it_is_still_wrong_at_the_next_run(indexed):
    indexed.source = indexed.source.model_copy(update={"documents": 300})
    indexed.look()
    indexed.spoil(["doc-0007"])
    look = indexed.look().looks["stored vectors"]
    assert (look.bad, look.ids, look.values["suspects"]) == (0, (), 1)
    look = indexed.look().looks["stored vectors"]
    assert (look.bad, look.ids, look.values["known"]) == (1, ("doc-0007",), 1)
    assert look.words["kind"] == "other model"
    assert indexed.look().looks["stored vectors"].ids == ("doc-0007",)
    indexed.instead.clear()
    indexed.write()
    look = indexed.look().looks["stored vectors"]
    assert (look.ids, look.values["mended"]) == ((), 1)


def test_many_wrong_vectors_count_at_once_and_the_sample_grows(tmp_path):
    indexed = Indexed(tmp_path, 800)
    indexed.look()
    indexed.spoil([f"doc-{n:04}" for n in range(0, 800, 10)])
    look = indexed.look().looks["stored vectors"]
    assert look.n == 512
    assert 30 < look.bad < 75
    assert all(int(doc_id[-4:]) % 10 == 0 for doc_id in look.ids)
    assert look.values["known"] == look.bad
    assert sum(n for n, _ in look.by.values()) == 512


def test_new_entries_come_first(tmp_path):
    indexed = Indexed(tmp_path, 1000)
    indexed.look()
    added = {f"new-{n:04}": f"topic3: new {n}" for n in range(8)}
    indexed.texts |= added
    indexed.held |= added
    indexed.spoil(list(added))
    look = indexed.look().looks["stored vectors"]
    assert set(look.ids) == set(added)


def test_a_text_that_changed_counts_only_when_the_index_lags_for_too_long(indexed):
    indexed.source = indexed.source.model_copy(update={"documents": 300})
    indexed.look()
    for doc_id in ("doc-0001", "doc-0002", "doc-0003", "doc-0004"):
        indexed.texts[doc_id] = f"topic9: rewritten {doc_id}"
    indexed.write()
    assert indexed.look().looks["stored vectors"].bad == 0
    look = indexed.look().looks["stored vectors"]
    assert look.words["kind"] == "other text"
    assert sorted(look.ids) == ["doc-0001", "doc-0002", "doc-0003", "doc-0004"]


def test_an_ingestion_that_is_done_within_the_hour_is_no_defect(indexed):
    indexed.look()
    for hour in range(5):
        indexed.held = dict(indexed.texts)
        indexed.texts |= {f"new-{hour}{n:03}": f"topic{n}: {hour}" for n in range(9)}
        indexed.texts[f"doc-{hour:04}"] = f"topic2: anew {hour}"
        indexed.texts.pop(f"doc-{100 + hour:04}")
        indexed.write()
        assert not bad(indexed.look())


def test_missing_documents_and_leftovers_are_named_by_language(indexed):
    indexed.look()
    lost = [f"doc-{n:04}" for n in range(0, 60, 3)]
    for doc_id in lost:
        indexed.held.pop(doc_id)
    for doc_id in ("doc-0100", "doc-0200"):
        indexed.texts.pop(doc_id)
    indexed.write()
    assert indexed.look().looks["missing documents"].values["waiting"] == 20
    probe = indexed.look()
    missing, orphans = probe.looks["missing documents"], probe.looks["orphans"]
    assert (missing.n, missing.bad, sorted(missing.ids)) == (298, 20, lost)
    assert missing.by == {"de": (100, 20), "en": (99, 0), "fr": (99, 0)}
    assert (orphans.bad, sorted(orphans.ids)) == (2, ["doc-0100", "doc-0200"])


def test_without_a_source_the_documents_of_canaries_are_missed(indexed):
    indexed.look(corpus=None)
    indexed.held.pop("doc-0003")
    indexed.write()
    look = indexed.look(corpus=None).looks["missing documents"]
    assert (look.n, look.bad, look.ids) == (12, 1, ("doc-0003",))


def test_what_changed_of_the_facts_is_said_for_a_day(indexed):
    indexed.look()
    indexed.form = "IVF4,SQ8"
    indexed.held = {each: text for each, text in indexed.held.items() if int(each[-4:]) % 9}
    indexed.write()
    for _ in range(23):
        look = indexed.look().looks["facts"]
    assert "count" in look.words
    assert look.bad >= 2
    assert "300 -> 266" in look.why
    indexed.look()
    indexed.look()
    assert indexed.look().looks["facts"].bad == 0


def test_entries_that_leave_with_their_documents_are_no_loss(indexed):
    indexed.look()
    indexed.texts = {each: text for each, text in indexed.texts.items() if int(each[-4:]) % 9}
    indexed.held = dict(indexed.texts)
    indexed.write()
    assert indexed.look().looks["facts"].bad == 0


def test_an_embedder_that_moves_is_seen_by_the_fixed_texts_and_by_all_vectors(indexed):
    indexed.look()
    indexed.embedder = TextsInTopics(moved=0.02)
    probe = indexed.look()
    strings = probe.looks["probe strings"]
    assert strings.bad == strings.n == 40
    assert "stayed the same" in strings.why
    assert 0.005 < probe.looks["stored vectors"].values["displacement p50"] < 0.05
    assert probe.looks["stored vectors"].words["kind"] == "moved"
    indexed.embedder = TextsInTopics(moved=0.02, fingerprint="made up 2")
    strings = indexed.look().looks["probe strings"]
    assert strings.words["fingerprint"] == "made up -> made up 2"


def test_a_lost_document_prompt_is_named(indexed):
    texts = list(indexed.held)
    bare = indexed.embedder.encode_as("", list(indexed.held.values()))
    indexed.instead = dict(zip(texts, bare, strict=True))
    indexed.write()
    look = indexed.look().looks["stored vectors"]
    assert look.words["kind"] == "no document prompt"
    assert look.bad == look.n


def test_a_graph_without_most_of_its_links_loses_neighbours(tmp_path):
    indexed = Indexed(tmp_path, 900)
    indexed.form = "IVF64,Flat"  # one list of 64 is searched: an index that is tuned far too tight
    indexed.write()
    probe = indexed.look()
    look = probe.looks["recall of the index"]
    assert look.values["recall@10"] < 0.9
    assert look.values["recall@1"] > look.values["recall@100"]


def test_a_dead_store_leaves_looks_that_could_not_be_taken(indexed):
    probe = indexed.look(index=Dead(), service=Dead())
    unable = {name: look.unable for name, look in probe.looks.items() if look.unable}
    assert set(unable) == LOOKS - {"probe strings"}
    assert "no connection" in unable["stored vectors"]
    assert not bad(indexed.look())


def test_what_is_not_configured_is_said(indexed):
    probe = indexed.look(index=None, service=None, embedder=None, corpus=None, canaries=())
    assert {name for name, look in probe.looks.items() if look.unable} == LOOKS
    probe = indexed.look(embedder=None)
    assert probe.looks["stored vectors"].unable == "no embedder is configured"
    assert probe.looks["finds itself"].n == 16


def test_when_it_is_to_stop_it_stops_and_goes_on_later(tmp_path):
    indexed = Indexed(tmp_path, 900)
    indexed.stopping = True
    probe = indexed.look()
    assert probe.looks["stored vectors"].n <= 64
    indexed.stopping = False
    assert not bad(indexed.look())


def test_a_state_that_somebody_damaged_is_no_trouble(indexed):
    first = indexed.look()
    damaged = {**first.state, "walk": {**first.state["walk"], "sketch": "?!"}, "missing documents": "x"}
    indexed.probes = [replace(first, state=damaged)]
    assert not bad(indexed.look())


def test_longer_vectors_that_come_first_are_no_defect_of_the_search(indexed):
    lengths = np.random.default_rng(0).uniform(0.5, 3, len(indexed.held))
    rows = indexed.embedder.encode_documents(list(indexed.held.values()))
    indexed.instead = {each: row * size for each, row, size in zip(indexed.held, rows, lengths, strict=True)}
    indexed.write()
    indexed.embedder.normalises = False
    look = indexed.look().looks
    assert look["finds itself"].bad == 0
    assert look["stored vectors"].bad == 0


def test_the_time_of_a_run_is_kept(indexed):
    probe = indexed.look()
    assert 0 < probe.took < 60
    assert probe.at == MONDAY
    assert indexed.look().at == MONDAY + HOUR
    assert isinstance(probe.facts, IndexFacts)
    assert drawn("a").shape == (48,)


# --- indexes that are not as one expects them ----------------------------------------------------------------------


def test_a_change_of_the_facts_is_told_for_a_day_also_after_nobody_looked_for_two(indexed):
    indexed.look()
    indexed.held = {each: text for each, text in indexed.held.items() if int(each[-4:]) % 9}
    indexed.write()
    last = indexed.probes[-1]
    for hour in (50, 51, 52, 73):
        last = look_at(indexed.source, indexed.target(), last, MONDAY + hour * HOUR)
        assert "300 -> 266" in last.looks["facts"].why, hour


def test_vectors_that_nobody_can_ask_with_are_not_asked_with(indexed):
    class Strict(Faiss):
        def search_vectors(self, vectors, top_k, *, exact=False):
            if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
                raise RetrieverError("400: not a vector.")
            return super().search_vectors(vectors, top_k, exact=exact)

    indexed.instead = {
        "doc-0003": np.full(DIMENSION, np.nan, np.float32),
        "doc-0004": np.zeros(DIMENSION, np.float32),
    }
    indexed.write()
    indexed.source = indexed.source.model_copy(update={"documents": 300, "queries": 300})
    strict = Strict(kind="faiss", index=indexed.folder / "docs.faiss", ids=indexed.folder / "ids.txt")
    looks = indexed.look(index=strict, service=None).looks
    assert (looks["stored vectors"].words["kind"], looks["stored vectors"].bad) == ("no vector", 2)
    assert (looks["finds itself"].n, looks["finds itself"].unable) == (298, "")
    assert looks["recall of the index"].n == 298 + 12


def test_entries_that_have_no_vector_at_all_are_counted(indexed):
    class Waiting(Faiss):
        def stored(self, entry_ids, **more):
            found = super().stored(entry_ids, **more)
            return {each: replace(entry, vector=None) for each, entry in found.items()}

    waiting = Waiting(kind="faiss", index=indexed.folder / "docs.faiss", ids=indexed.folder / "ids.txt")
    assert indexed.look(index=waiting).looks["stored vectors"].unable == "no entry that was read has a vector"


def test_an_index_of_which_every_vector_is_wrong_is_wrong_at_every_later_look(tmp_path):
    indexed = Indexed(tmp_path, 100)
    indexed.spoil(list(indexed.texts))
    looks = [indexed.look().looks["stored vectors"] for _ in range(6)]
    assert [look.values["known"] for look in looks][2:] == [100] * 4
    assert looks[-1].n == 0
    check = Integrity(name="i", source="index")
    window = Window(MONDAY, MONDAY + HOUR, probes=tuple(indexed.probes[-2:]))
    assert check.judge(window, None, None).verdict == "fail"


def test_a_large_sample_is_compared_in_memory_that_grows_with_it_and_not_with_its_square(tmp_path, monkeypatch):
    monkeypatch.setattr("driftwatch.probes.stored.MOST_OTHERS", 50)
    indexed = Indexed(tmp_path, 400)
    indexed.source = indexed.source.model_copy(update={"documents": 400})
    indexed.spoil(["doc-0007", "doc-0011", "doc-0200"])
    seen = []
    monkeypatch.setattr(
        "driftwatch.probes.stored.judge_vectors",
        lambda *given, **more: seen.append(given[3].shape) or judge_vectors(*given, **more),
    )
    assert sorted(indexed.look().looks["stored vectors"].ids) == ["doc-0007", "doc-0011", "doc-0200"]
    assert max(rows for rows, _ in seen) == 50 + 20


def test_what_was_wrong_is_over_at_once_when_all_of_it_was_embedded_anew_under_other_names(tmp_path):
    indexed = Indexed(tmp_path, 400)
    indexed.spoil([f"doc-{n:04}" for n in range(150)])
    while indexed.look().looks["stored vectors"].values["known"] < 150:
        assert len(indexed.probes) < 20
    indexed.instead.clear()
    indexed.texts = {f"new-{doc_id[-4:]}": text for doc_id, text in indexed.texts.items()}
    indexed.held = dict(indexed.texts)
    indexed.write()
    assert indexed.look().looks["stored vectors"].values["known"] == 0


def test_recall_at_another_depth_is_not_held_against_that_of_the_days_before(indexed):
    indexed.look()
    assert "usual recall" in indexed.look().looks["recall of the index"].values
    indexed.source = indexed.source.model_copy(update={"at_k": (1,)})
    assert "usual recall" not in indexed.look().looks["recall of the index"].values
    assert "usual recall" in indexed.look().looks["recall of the index"].values
