"""A source that looks into an index: a real FAISS file and real documents, from the first look to the diagnosis."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from driftwatch.agenda import Agenda
from driftwatch.cli import app
from driftwatch.config import Watch, load_watch, problems, read_watch
from driftwatch.engine import Engine
from driftwatch.errors import EmbedError
from driftwatch.replay.projects import only_sources, shipped_watch
from driftwatch.scenarios.reading import read_script
from driftwatch.store import Store
from driftwatch.types import Finding, Probe
from driftwatch.windows import Learning
from tests.fakes.indexed import HOUR, MONDAY, Indexed, TextsInTopics

pytestmark = pytest.mark.process

EVER = (MONDAY - timedelta(days=10_000), MONDAY + timedelta(days=10_000))
BAD = tuple(f"doc-{n:04}" for n in range(0, 120, 9))
"""Every ninth document."""

CONFIG = """\
service: help-centre
baseline: 7 days
retriever: {kind: faiss, index: docs.faiss, ids: ids.txt}
documents: {path: corpus.jsonl}
embedder: {model: made-up}
sources:
  canaries: {kind: canaries, path: canaries.jsonl, every: 1h}
  index: {kind: index, every: 1h, documents: 64, queries: 16, at_k: [1, 10]}
alerts: {after: 2, until: 2, blind_after: 3}
api: "off"
notify: [{kind: console, name: terminal}]
checks:
  - {name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.2}
  - {name: index integrity, kind: integrity, source: index}
"""


@dataclass
class Project:
    """A configuration beside a real index, and the engine that watches it."""

    folder: Path
    indexed: Indexed
    watch: Watch
    store: Store
    engine: Engine

    @property
    def config(self) -> Path:
        return self.folder / "driftwatch.yaml"

    def probes(self) -> tuple[Probe, ...]:
        return self.store.experiments.probes("index", *EVER)

    def integrity(self) -> list[Finding]:
        """What was found, oldest first."""
        return list(reversed(self.store.decisions.findings("index integrity")))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    indexed = Indexed(tmp_path, documents=120)
    rows = [
        {"query_id": each.query_id, "text": each.text, "lang": each.lang, "relevant": list(each.relevant)}
        for each in indexed.canaries
    ]
    (tmp_path / "canaries.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "driftwatch.yaml").write_text(CONFIG)
    watch = load_watch(tmp_path / "driftwatch.yaml")
    store = Store.open(watch.database)
    yield Project(tmp_path, indexed, watch, store, Engine(watch, store, embedder=indexed.embedder))
    store.close()


# --- observing and judging -----------------------------------------------------------------------------------------


def test_a_look_is_stored_and_the_next_one_goes_on_where_it_left_off(project: Project) -> None:
    seen = project.engine.observe("index", MONDAY)
    assert (seen.trouble, seen.count > 120) == ("", True)
    (first,) = project.probes()
    assert first.at == MONDAY
    assert first.looks["stored vectors"].n == 64
    assert first.looks["missing documents"].n == 120
    assert not [name for name, look in first.looks.items() if look.bad]
    project.engine.observe("index", MONDAY + HOUR)
    last = project.store.experiments.last_probe("index")
    assert last is not None
    assert last.state["turn"] == 2
    assert [each.at for each in project.probes()] == [MONDAY, MONDAY + HOUR]


def test_the_index_is_judged_in_the_first_minute_without_any_baseline(project: Project) -> None:
    agenda = Agenda(project.engine, project.store)
    assert "source index" in agenda.run_due(MONDAY)
    (finding,) = project.integrity()
    assert (finding.verdict, finding.learning, finding.at) == ("ok", False, MONDAY)
    assert "the index holds what it should" in finding.message
    assert isinstance(project.engine.windows.baseline("canaries", "runs", MONDAY), Learning)
    assert "source index" not in agenda.run_due(MONDAY + timedelta(minutes=30))
    assert "source index" in agenda.run_due(MONDAY + HOUR)
    assert len(project.integrity()) == 2


def test_a_check_of_the_index_with_a_rhythm_of_its_own_judges_what_was_stored(project: Project) -> None:
    every = project.config.read_text().replace("source: index}", "source: index, every: 2h}")
    project.config.write_text(every)
    watch = load_watch(project.config)
    agenda = Agenda(Engine(watch, project.store, embedder=project.indexed.embedder), project.store)
    assert [job.name for job in agenda.jobs if "index" in job.name] == ["source index", "checks of index every 2h"]
    for hour in range(3):
        agenda.run_due(MONDAY + hour * HOUR)
    assert len(project.probes()) == 3
    assert [each.at - MONDAY for each in project.integrity()] == [0 * HOUR, 2 * HOUR]


def test_an_index_that_cannot_be_read_is_unknown_with_the_reason_and_never_well(project: Project) -> None:
    agenda = Agenda(project.engine, project.store)
    agenda.run_due(MONDAY)
    (project.folder / "docs.faiss").write_bytes(b"torn off")
    agenda.run_due(MONDAY + HOUR)
    well, torn = project.integrity()
    assert (well.verdict, torn.verdict) == ("ok", "unknown"), "an hour ago it was well"
    assert "the index could not be looked into" in torn.message
    assert "docs.faiss" in torn.message
    assert project.probes()[1].looks["stored vectors"].bad == 0
    for hour in (2, 3):
        agenda.run_due(MONDAY + hour * HOUR)
    alert = project.store.decisions.alerts()["index integrity", "all"]
    assert alert.state == "blind"


def test_what_was_wrong_is_not_over_because_the_index_cannot_be_read_any_more(project: Project) -> None:
    project.indexed.spoil(BAD)
    agenda = Agenda(project.engine, project.store)
    for hour in range(2):
        agenda.run_due(MONDAY + hour * HOUR)
    assert project.store.decisions.alerts()["index integrity", "all"].state == "firing"
    (project.folder / "docs.faiss").write_bytes(b"torn off")
    for hour in (2, 30, 31, 32):
        agenda.run_due(MONDAY + hour * HOUR)
    assert [each.verdict for each in project.integrity()][-3:] == ["unknown"] * 3
    assert project.store.decisions.alerts()["index integrity", "all"].state in ("firing", "blind")


def test_damage_that_nobody_can_see_for_days_is_not_over_before_it_is_seen_to_be(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.indexed.spoil(BAD)
    agenda = Agenda(project.engine, project.store)
    for hour in range(2):
        agenda.run_due(MONDAY + hour * HOUR)
    (incident,) = project.store.decisions.open_incidents()

    def broken(*_given: object) -> None:
        raise EmbedError("the model cannot be loaded.")

    with monkeypatch.context() as patched:
        patched.setattr(project.indexed.embedder, "encode_as", broken)
        for hour in (2, 20, 30, 40, 50, 60):
            agenda.run_due(MONDAY + hour * HOUR)
    finding = project.integrity()[-1]
    assert finding.verdict == "unknown"
    assert "do not belong to their texts" in finding.message
    alert = project.store.decisions.alerts()["index integrity", "all"]
    assert (alert.state, alert.incident) == ("blind", incident.incident_id)
    agenda.run_due(MONDAY + 61 * HOUR)
    assert project.store.decisions.alerts()["index integrity", "all"].state == "firing"
    project.indexed.instead.clear()
    project.indexed.write()
    for hour in (62, 63, 64):
        agenda.run_due(MONDAY + hour * HOUR)
    assert project.store.decisions.open_incidents() == []


def test_documents_that_cannot_be_read_are_said_and_mend_nothing(project: Project) -> None:
    for gone in list(project.indexed.held)[20:60]:
        del project.indexed.held[gone]
    project.indexed.write()
    agenda = Agenda(project.engine, project.store)
    agenda.run_due(MONDAY)
    with (project.folder / "corpus.jsonl").open("a") as file:
        file.write("{torn off\n")
    for hour in (1, 2, 3):
        agenda.run_due(MONDAY + hour * HOUR)
    looks = project.probes()[-1].looks
    assert all("corpus.jsonl:121" in looks[name].unable for name in ("orphans", "texts", "missing documents"))
    assert [each.verdict for each in project.integrity()] == ["fail"] * 4
    assert project.store.decisions.alerts()["index integrity", "all"].state == "firing"


# --- what broke ----------------------------------------------------------------------------------------------------


def test_replaced_vectors_are_one_incident_with_their_cause_and_documents(project: Project) -> None:
    agenda = Agenda(project.engine, project.store)
    for hour in range(3):
        agenda.run_due(MONDAY + hour * HOUR)
    assert project.store.decisions.open_incidents() == []
    project.indexed.spoil(BAD)
    for hour in range(3, 6):
        agenda.run_due(MONDAY + hour * HOUR)
    (incident,) = project.store.decisions.open_incidents()
    assert "index integrity" in {member.alert.check for member in incident.members}
    diagnosis = incident.diagnosis
    assert diagnosis is not None
    assert diagnosis.cause == "mixed vectors"
    assert diagnosis.documents
    assert set(diagnosis.documents) <= set(BAD)
    assert ("index integrity", "all") in diagnosis.silences
    assert sum(each.event == "firing" and each.check == "index integrity" for each in incident.history) == 1
    project.indexed.instead.clear()
    project.indexed.write()
    for hour in range(6, 10):
        agenda.run_due(MONDAY + hour * HOUR)
    assert project.store.decisions.open_incidents() == []


# --- the verbs -----------------------------------------------------------------------------------------------------


def driftwatch(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture
def _looks_vectors_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of a model that would have to be loaded."""
    monkeypatch.setattr("driftwatch.daemon.open_embedder", lambda _watch: TextsInTopics())


@pytest.mark.usefixtures("_looks_vectors_up")
def test_check_looks_now_says_what_is_wrong_and_stores_nothing(project: Project) -> None:
    done = driftwatch("check", "index integrity", "--config", project.config, "--json")
    assert done.exit_code == 0, done.output
    project.indexed.spoil(BAD)
    done = driftwatch("check", "index integrity", "--config", project.config, "--json")
    assert done.exit_code == 1, done.output
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["check"] == "index integrity"
    assert set(finding["details"]["looks"]["stored vectors"]["ids"]) <= set(BAD)
    assert project.probes() == ()
    assert project.store.experiments.keepsake("probes", "index") is None
    assert project.store.decisions.findings() == []


@pytest.mark.usefixtures("_looks_vectors_up")
def test_check_goes_on_from_the_last_stored_look_and_leaves_it_as_it_was(project: Project) -> None:
    project.engine.observe("index", MONDAY)
    before = project.store.experiments.keepsake("probes", "index")
    assert driftwatch("check", "index integrity", "--config", project.config).exit_code == 0
    assert project.store.experiments.keepsake("probes", "index") == before
    assert len(project.probes()) == 1


def test_validate_reaches_index_and_documents(project: Project) -> None:
    text = project.config.read_text()
    project.config.write_text(f"index: {{kind: faiss, index: docs.faiss, ids: ids.txt}}\n{text}")
    done = driftwatch("validate", "--config", project.config, "--json")
    said = {each["what"]: (each["state"], each["said"]) for each in json.loads(done.stdout)["reached"]}
    assert done.exit_code == 0, done.output
    assert said["documents"] == ("ok", "120 documents")
    assert said["index (faiss)"][0] == "ok"
    assert "120 vectors" in said["index (faiss)"][1]
    assert "vectors" in said["source index"][1]


def test_validate_says_which_of_them_cannot_be_reached(project: Project) -> None:
    text = project.config.read_text()
    project.config.write_text(f"index: {{kind: faiss, index: gone.faiss}}\n{text}")
    (project.folder / "corpus.jsonl").write_text('{"id": "a", "text": "x"}\n{broken\n')
    done = driftwatch("validate", "--config", project.config, "--json")
    said = {each["what"]: (each["state"], each["said"]) for each in json.loads(done.stdout)["reached"]}
    assert done.exit_code == 3
    assert said["documents"][0] == said["index (faiss)"][0] == "fail"
    assert "corpus.jsonl:2" in said["documents"][1]
    assert "gone.faiss" in said["index (faiss)"][1]


# --- configurations that cannot work -------------------------------------------------------------------------------


SWAPPED: list[tuple[Callable[[str], str], int, str]] = [
    (
        lambda text: text.replace("kind: integrity, source: index", "kind: integrity, source: canaries"),
        14,
        "judges looks into the index, but 'canaries' gives canary runs. Name index.",
    ),
    (
        lambda text: text.replace("source: canaries, measure: R@10", "source: index, measure: R@10"),
        13,
        "judges canary runs, but 'index' gives looks into the index. Name canaries.",
    ),
    (
        lambda text: re.sub(r"  index: .*\n", "  live: {kind: query_log, path: log.jsonl}\n", text).replace(
            "source: index", "source: live"
        ),
        14,
        "judges looks into the index, but 'live' gives traffic. Add a source that gives looks into the index.",
    ),
    (
        lambda text: re.sub(r"retriever: .*\n", "\n", text),
        8,
        "'index' looks into the index, but there is neither an 'index' nor a 'retriever'. Add one.",
    ),
    (
        lambda text: text.replace("retriever:", "index: {kind: http, url: 'http://127.0.0.1:1'}\nretriever:", 1),
        3,
        "nothing can be looked into through 'http'. Name a vector store, or leave 'index' out.",
    ),
    (
        lambda text: re.sub(r"embedder: .*\n", "\n", text),
        3,
        "the retriever 'faiss' embeds the queries itself and needs an 'embedder'. Add one.",
    ),
]


@pytest.mark.parametrize(("change", "line", "message"), SWAPPED)
def test_what_cannot_look_or_judge_is_refused_with_file_and_line(
    tmp_path: Path, change: Callable[[str], str], line: int, message: str
) -> None:
    (tmp_path / "driftwatch.yaml").write_text(change(CONFIG))
    found = problems(read_watch(tmp_path / "driftwatch.yaml", {}))
    errors = [each for each in found if each.severity == "error" and message in each.message]
    assert [(Path(each.file).name, each.line) for each in errors] == [("driftwatch.yaml", line)], found


def test_the_configuration_of_these_tests_has_no_problem(project: Project) -> None:
    assert problems(project.watch) == []


# --- what plays the past, or a made-up service ---------------------------------------------------------------------


def test_a_replay_leaves_the_index_out_and_says_why(project: Project) -> None:
    watch, left = only_sources(project.watch, ["canaries", "index"])
    assert [each.name for each in watch.checks] == ["canary recall"]
    assert left == {"index integrity": "an index cannot be looked into as it was"}
    _, left = only_sources(shipped_watch(), ["live"])
    assert left["index integrity"] == "an index cannot be looked into as it was"
    assert left["canary recall"] == "nothing was recorded of 'canaries'"


@pytest.mark.parametrize("head", ["config: driftwatch.yaml\n", "checks: checks.yaml\n"])
def test_a_scenario_leaves_out_what_looks_into_an_index(project: Project, head: str) -> None:
    recall = "- {name: canary recall, kind: canary, source: canaries, at_least: 0.9}\n"
    integrity = "- {name: index integrity, kind: integrity, source: index}\n"
    (project.folder / "checks.yaml").write_text(recall + integrity)
    (project.folder / "scenario.yaml").write_text(
        f"{head}every: 12h\ntraffic: {{en: 120}}\ndays: 21\nquiet: [canary recall]\n"
    )
    watch = read_script(project.folder / "scenario.yaml").watch
    assert [each.name for each in watch.checks] == ["canary recall"]
    assert "index" not in watch.sources
    assert watch.index is None
    assert watch.documents is None
