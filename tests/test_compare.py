"""Comparing what two retrievers answered; asking them; what is drawn of the live queries; how it is kept and told."""

from __future__ import annotations

import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.compare import DIFFER_MOST, Answers, compare, section, verdict
from driftwatch.compared import ALL, Comparison, packed, unpacked
from driftwatch.engine import Engine
from driftwatch.errors import RetrieverError
from driftwatch.retrievers.faiss import Faiss
from driftwatch.retrievers.http import Http
from driftwatch.sidebyside import FEWEST, Drawn, Party, ask_both, draw_live
from driftwatch.stats.paired import paired_bootstrap
from driftwatch.types import Query, Reply, ScoredDoc
from tests.fakes.search_service import SearchService, answers, echoes, status
from tests.fakes.world import EMPTY, START, append, log_lines, make_world

NOW = datetime(2026, 5, 4, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> [x](http://evil.example) | `rm` **b** jane@example.org \x1b[31m\u202e"


def reply(*doc_ids: str, latency: float | None = None) -> Reply:
    return Reply(tuple(ScoredDoc(doc_id) for doc_id in doc_ids), latency_ms=latency)


def silent(why: str = "timed out") -> Reply:
    return Reply(None, error=why)


def canary(query_id: str, *relevant: str, lang: str = "en", expect_empty: bool = False) -> Query:
    return Query(query_id, f"text of {query_id}", lang, dict.fromkeys(relevant, 1), expect_empty)


def compared(canaries: list[Query], old: list[Reply], new: list[Reply], **more: object) -> Comparison:
    return compare(Answers("old", old, []), Answers("new", new, []), canaries, [], NOW, **more)


def live(queries: list[Query], old: list[Reply], new: list[Reply], **more: object) -> Comparison:
    return compare(Answers("old", [], old), Answers("new", [], new), [], queries, NOW, **more)


# --- canaries ------------------------------------------------------------------------------------------------------


def test_canaries_are_measured_on_both_sides_and_paired():
    asked = [canary("a", "1"), canary("b", "2", lang="de")]
    found = compared(asked, [reply("1", "9"), reply("9", "2")], [reply("9", "1"), reply("9")])
    recall, reciprocal, _ = found.canaries[ALL]
    assert (recall.measure, recall.n, recall.old, recall.new) == ("R@10", 2, 1.0, 0.5)
    assert (reciprocal.old, reciprocal.new) == (0.75, 0.25)
    assert (reciprocal.better, reciprocal.worse) == (0, 2)
    assert (recall.low, recall.high) == pytest.approx(paired_bootstrap([0.0, -1.0]))
    assert found.canaries["de"][0].difference == -1.0
    assert found.canaries["en"][0].difference == 0.0


def test_a_canary_that_one_side_could_not_be_asked_counts_for_neither():
    asked = [canary("a", "1"), canary("b", "2"), canary("c", "3")]
    found = compared(asked, [reply("1"), silent("timed out"), reply("3")], [silent("refused"), reply("2"), reply("3")])
    assert found.canaries[ALL][0].n == found.same == 1
    assert (found.old.unasked, found.new.unasked) == ({"timed out": 1}, {"refused": 1})
    assert found.canaries[ALL][0].difference == 0.0


def test_a_canary_that_should_find_nothing_counts_what_it_finds_as_wrong():
    found = compared([canary("a", expect_empty=True)], [reply()], [reply("9")])
    assert (found.canaries[ALL][0].old, found.canaries[ALL][0].new) == (1.0, 0.0)
    assert found.old.empty == 1


def test_only_the_first_k_count():
    found = compared([canary("a", "3")], [reply("1", "2", "3")], [reply("3", "2", "1")], k=2)
    assert found.canaries[ALL][0].measure == "R@2"
    assert (found.canaries[ALL][0].old, found.canaries[ALL][0].new) == (0.0, 1.0)


def test_latencies_are_medians_of_what_was_timed():
    asked = [canary(name, "1") for name in "abc"]
    found = compared(asked, [reply(latency=each) for each in (1.0, 2.0, 300.0)], [reply(), reply(), silent()])
    assert (found.old.latency_ms, found.new.latency_ms) == (2.0, None)


def test_equal_sides_differ_in_nothing():
    asked = [canary(str(n), f"doc-{n}") for n in range(50)]
    same = [reply(f"doc-{n}", "x") for n in range(50)]
    found = compared(asked, same, same)
    assert all(each.difference == 0 and each.low < 0 < each.high for each in found.canaries[ALL])
    assert found.differ_most == ()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_swapping_the_sides_turns_every_difference_round(hits: list[tuple[bool, bool]]):
    asked = [canary(str(n), "1") for n in range(len(hits))]
    old = [reply("1") if each else reply("2") for each, _ in hits]
    new = [reply("1") if each else reply("2") for _, each in hits]
    there, back = compared(asked, old, new), compared(asked, new, old)
    for one, other in zip(there.canaries[ALL], back.canaries[ALL], strict=True):
        assert one.difference == pytest.approx(-other.difference)
        assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=2e-4)  # what the search stops at
        assert (one.better, one.worse) == (other.worse, other.better)


# --- live queries --------------------------------------------------------------------------------------------------


def test_a_log_that_calls_a_language_all_does_not_replace_all_of_them():
    asked = [Query("a", "", "all"), Query("b", "", "de")]
    found = live(asked, [reply("1"), reply("2")], [reply("9"), reply("2")])
    assert (found.queries[ALL].n, found.queries[ALL].top1.value) == (2, 0.5)


def test_live_queries_are_compared_without_labels_language_by_language():
    asked = [Query("a", "", "en"), Query("b", "", "en"), Query("c", "", "de")]
    found = live(asked, [reply("1", "2"), reply("3"), reply("4")], [reply("1", "2"), reply("3"), reply("5")])
    assert found.queries["en"].overlap.value == found.queries["en"].top1.value == 1.0
    assert found.queries["de"].overlap.value == found.queries["de"].rbo.value == 0.0
    assert found.queries[ALL].overlap.value == pytest.approx(2 / 3)
    assert list(found.queries) == [ALL, "en", "de"]


def test_a_query_that_stands_for_many_weighs_as_many():
    asked = [Query("a", "", "en"), Query("b", "", "de")]
    found = live(asked, [reply("1"), reply("2")], [reply("1"), reply("9")], weights=[30.0, 10.0])
    assert found.queries[ALL].overlap.value == pytest.approx(0.75)


def test_the_queries_that_differ_most_come_first_with_what_both_say():
    asked = [canary(str(n), "1") for n in range(40)]
    old = [reply(*"123456") for _ in asked]
    new = [reply(*"123456") if n < 10 else reply(*"213456") if n < 39 else reply(*"abcdef") for n in range(40)]
    found = compared(asked, old, new)
    assert len(found.differ_most) == DIFFER_MOST
    worst = found.differ_most[0]
    assert (worst.query_id, worst.alike, worst.old, worst.new) == ("39", 0.0, ("1", "2", "3"), ("a", "b", "c"))
    assert (worst.old_rank, worst.new_rank) == (1, None)
    assert {each.query_id for each in found.differ_most} <= {str(n) for n in range(10, 40)}


def test_ids_that_have_nothing_in_common_are_remarked_on():
    found = compared([canary("a", "1")], [reply("1")], [reply("point-77")])
    assert any("not one document is named by both sides" in note for note in found.notes)


# --- how it is told ------------------------------------------------------------------------------------------------


def test_texts_are_shown_only_where_that_is_wanted_and_then_redacted():
    query = Query("a", "write to jane.doe@example.org", "en")
    hidden = live([query], [reply("1")], [reply("2")])
    shown = live([query], [reply("1")], [reply("2")], show_queries=True)
    assert hidden.differ_most[0].text == ""
    assert shown.differ_most[0].text == "write to [email]"
    assert "jane" not in section(shown)


def test_nothing_hostile_is_markup_in_a_section():
    query = Query(HOSTILE, HOSTILE, "en")
    found = compare(
        Answers("old", [], [reply(HOSTILE), silent(HOSTILE)]),
        Answers("1. # new|<b>", [], [reply("x"), silent(HOSTILE)]),
        [],
        [query, query],
        NOW,
        show_queries=True,
        notes=[HOSTILE],
    )
    text = section(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not [line for line in text.splitlines() if line.startswith("|") and line.replace("\\|", "").count("|") > 8]
    assert not re.search(r"(?<!\\)[`\[\]*<>](?! )", text)


def test_a_section_holds_the_numbers():
    asked = [canary(str(n), "1") for n in range(20)]
    text = section(compared(asked, [reply("1")] * 20, [reply("1")] * 10 + [silent()] * 10))
    assert text.startswith("## new against old\n")
    assert "| all | R@10 | 1.000 | 1.000 | +0.000 | -0.196 to +0.196 | 10 |" in text
    assert "* new could not be asked 10 of 20 questions\\: timed out" in text


def test_the_verdict_names_what_is_certainly_worse_and_where():
    asked = [canary(f"en{n}", "1") for n in range(50)] + [canary(f"de{n}", "1", lang="de") for n in range(50)]
    said = verdict(compared(asked, [reply("1")] * 100, [reply("1")] * 50 + [reply("2")] * 50))
    assert "new against old: is worse over 100 canaries, R@10 0.500 against 1.000" in said
    assert said.endswith("; it is worse in de")
    assert verdict(compared([], [], [])) == "nothing could be compared"


# --- how it is kept ------------------------------------------------------------------------------------------------


def test_what_is_kept_is_read_again_without_its_texts():
    asked = [canary("a", "1"), canary("b", "2", lang="de")]
    found = compare(
        Answers("old", [reply("1"), silent()], [reply("3")]),
        Answers("new", [reply("9"), reply("2")], [reply("4")]),
        asked,
        [Query("q", "a live text", "en")],
        NOW,
        show_queries=True,
    )
    body = packed(found)
    assert b"live text" not in zlib.decompress(body)
    again = unpacked(body)
    assert again.differ_most[0].text == ""
    assert (again.canaries, again.queries, again.paired, again.at) == (found.canaries, found.queries, found.paired, NOW)
    assert packed(again) == body


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", zlib.compress(b"[]"), zlib.compress(b'{"version": 99}'), zlib.compress(b'{"version": 1}')],
)
def test_what_is_no_comparison_is_refused(body: bytes):
    with pytest.raises(ValueError, match="comparison"):
        unpacked(body)


# --- asking --------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_services():
    with SearchService() as old, SearchService() as new:
        parties = [
            Party(name, Http(kind="http", url=each.url, top_k=5, retries=0))
            for name, each in (("old", old), ("new", new))
        ]
        yield old, new, parties
        for party in parties:
            party.retriever.close()


def test_two_services_are_asked_over_real_sockets(two_services):
    old, new, parties = two_services
    old.does(answers("doc-1", "doc-2"))
    new.does(answers("doc-2", "doc-1"))
    asked = [canary(str(n), "doc-1") for n in range(5)]
    found = ask_both(*parties, asked, Drawn((Query("q", "live", "en"),), (1.0,)), NOW, k=5)
    assert found is not None
    assert (found.canaries[ALL][1].old, found.canaries[ALL][1].new) == (1.0, 0.5)
    assert found.queries[ALL].overlap.value == 1.0
    assert found.queries[ALL].top1.value == 0.0
    assert len(old.asked) == len(new.asked) == 6
    assert found.old.latency_ms > 0


def test_a_service_that_is_down_is_said_and_compares_nothing(two_services):
    old, new, parties = two_services
    old.does(echoes())
    new.does(status(500, "index is rebuilding"))
    found = ask_both(*parties, [canary("a", "1")], Drawn(), NOW)
    assert found is not None
    assert found.canaries == {}
    assert found.new.failed == 1
    assert verdict(found) == "nothing could be compared"


def test_it_stops_when_it_is_told_to(two_services):
    _, _, parties = two_services
    assert ask_both(*parties, [canary("a", "1")], Drawn(), NOW, stopping=lambda: True) is None


class Turned:
    """Embeds each text as a vector of its own, turned as the ``seed`` says: another seed is another model."""

    fingerprint = "turned@1"

    def __init__(self, seed: int) -> None:
        self.turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(26, 26)))[0].astype(np.float32)

    def encode_queries(self, texts):
        own = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=26) for text in texts]
        rows = np.array(own, np.float32)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ self.turn

    encode_documents = encode_queries


WORDS = ["apple", "banana", "cherry", "grape", "lemon", "mango", "olive", "peach", "quince", "plum"]


def faiss_party(folder: Path, name: str, embedder: Turned, words: list[str], *, written_by: Turned | None = None):
    faiss = pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")
    index = faiss.IndexFlatIP(26)
    index.add((written_by or embedder).encode_documents(words))
    faiss.write_index(index, str(folder / f"{name}.faiss"))
    (folder / f"{name}.txt").write_text("\n".join(words))
    files = {"index": folder / f"{name}.faiss", "ids": folder / f"{name}.txt"}
    return Party(name, Faiss(kind="faiss", top_k=5, **files), embedder)


def test_canaries_whose_documents_neither_side_holds_are_in_quarantine(tmp_path):
    model = Turned(1)
    old = faiss_party(tmp_path, "old", model, WORDS)
    new = faiss_party(tmp_path, "new", model, WORDS[1:])
    asked = [canary("apple", "apple"), canary("plum", "plum", "nowhere"), canary("lost", "nowhere")]
    found = ask_both(old, new, asked, Drawn(), NOW)
    assert found is not None
    assert found.paired.query_ids == ("apple", "plum")
    assert found.old.asked == 2
    assert "1 canary is in quarantine: neither side holds a document that answers" in found.notes


def test_two_models_each_with_its_own_index_are_compared_by_document_and_not_by_row(tmp_path):
    """The same vectors, turned another way and written in another order: every ranking is the same."""
    one, other = Turned(1), Turned(2)
    old = faiss_party(tmp_path, "old", one, WORDS)
    new = faiss_party(tmp_path, "new", other, WORDS[::-1])
    found = ask_both(old, new, [canary(word, word) for word in WORDS], Drawn(), NOW, k=5)
    assert found is not None
    assert found.differ_most == ()
    assert found.canaries[ALL][0].n == 10


def test_an_index_that_another_model_wrote_is_worse(tmp_path):
    one = Turned(1)
    old = faiss_party(tmp_path, "old", one, WORDS)
    new = faiss_party(tmp_path, "new", one, WORDS, written_by=Turned(2))
    asked = [Query(word, word, "en", {word: 1}) for word in WORDS]
    found = ask_both(old, new, asked, Drawn(), NOW, k=1)
    assert found is not None
    assert found.canaries[ALL][0].old == 1.0
    assert found.canaries[ALL][0].high < 0


def test_a_retriever_that_embeds_needs_an_embedder(tmp_path):
    party = faiss_party(tmp_path, "old", Turned(1), WORDS)
    with pytest.raises(RetrieverError, match="'old' embeds the queries itself and has no embedder"):
        ask_both(Party("old", party.retriever), party, [canary("a", "1")], Drawn(), NOW)


# --- drawing live queries ------------------------------------------------------------------------------------------


@pytest.fixture
def logged(tmp_path, stores):
    """A store that has read six hours of a log in which one language is rare."""
    from driftwatch.store import Store

    watch = make_world(tmp_path, EMPTY)
    append(tmp_path, log_lines(START, 6, an_hour=60, langs=("en",)) + log_lines(START, 6, an_hour=10, langs=("de",)))
    stores.append(Store.open(watch.database))
    Engine(watch, stores[-1]).observe("live", START + timedelta(hours=7))
    return stores[-1]


def test_each_language_is_drawn_and_stands_for_its_traffic(logged):
    drawn = draw_live(logged, "live", "full", START + timedelta(hours=7), 100)
    counts = {lang: sum(query.lang == lang for query in drawn.queries) for lang in ("en", "de")}
    assert counts == {"en": 86, "de": FEWEST}
    standing = {
        lang: sum(w for q, w in zip(drawn.queries, drawn.weights, strict=True) if q.lang == lang) for lang in counts
    }
    assert standing["en"] == pytest.approx(360, rel=0.1)
    assert standing["de"] == pytest.approx(60, rel=0.1)


def test_the_same_queries_are_drawn_on_the_same_day_and_others_on_the_next(logged):
    now = START + timedelta(hours=7)
    first = draw_live(logged, "live", "full", now, 50)
    assert draw_live(logged, "live", "full", now, 50) == first
    assert draw_live(logged, "live", "full", now + timedelta(days=1), 50).queries != first.queries


def test_no_text_is_asked_where_only_hashes_are_kept(logged):
    drawn = draw_live(logged, "live", "hash", START + timedelta(hours=7), 50)
    assert drawn.queries == ()
    assert "'keep_text: hash' keeps no text" in drawn.note


def test_a_source_that_brought_nothing_says_so(logged):
    drawn = draw_live(logged, "live", "full", START + timedelta(days=30), 50)
    assert drawn.queries == ()
    assert "'live' brought none in the last 7 days" in drawn.note


def test_a_small_language_has_its_queries_though_they_are_asked_every_day(tmp_path, stores):
    from driftwatch.store import Store

    watch = make_world(tmp_path, EMPTY)
    asked = [("en", f"question {n}") for n in range(70)] + [("de", f"Frage {n}") for n in range(FEWEST)]
    for day in range(3):
        lines = [
            {"ts": (START + timedelta(days=day, seconds=n)).isoformat(), "query": text, "lang": lang, "results": []}
            for n, (lang, text) in enumerate(asked)
        ]
        append(tmp_path, [json.dumps(line) for line in lines])
    stores.append(Store.open(watch.database))
    now = START + timedelta(days=2, hours=1)
    Engine(watch, stores[-1]).observe("live", now)
    drawn = draw_live(stores[-1], "live", "full", now, FEWEST)
    assert sum(query.lang == "de" for query in drawn.queries) == FEWEST


def test_a_question_that_is_asked_again_and_again_is_drawn_once(tmp_path, stores):
    from driftwatch.store import Store

    watch = make_world(tmp_path, EMPTY)
    lines = [
        json.dumps({"ts": (START + timedelta(seconds=n)).isoformat(), "query": "the Same", "lang": "en", "results": []})
        for n in range(200)
    ]
    append(tmp_path, lines)
    stores.append(Store.open(watch.database))
    Engine(watch, stores[-1]).observe("live", START + timedelta(hours=1))
    assert len(draw_live(stores[-1], "live", "full", START + timedelta(hours=1), 50).queries) == 1
