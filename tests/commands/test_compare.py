"""`driftwatch compare`, run as a user runs it: words, tables, JSON, a section, the trend, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftwatch.cli import app
from driftwatch.commands.compare import as_content
from driftwatch.config import load_watch
from driftwatch.engine import Engine
from driftwatch.errors import ConfigErrors, DriftwatchError
from driftwatch.migration import keep_comparison
from driftwatch.store import Store
from tests.fakes.compared import comparison
from tests.fakes.search_service import SearchService, answers
from tests.fakes.world import EMPTY, append, log_lines, make_world

pytestmark = pytest.mark.process

NEW = """
def search(text, top_k):
    lang, _, number = text.partition(" question ")
    if lang == "de":
        return [("doc-xx-0", 0.2)]
    return [(f"doc-{lang}-{number}", 0.9), ("doc-yy-1", 0.1)][:top_k]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of ``tests.fakes.world`` with a read log, and a new retriever in a file."""
    watch = make_world(tmp_path, EMPTY)
    now = datetime.now(UTC)
    append(tmp_path, log_lines(now - timedelta(hours=4), 4, an_hour=20))
    store = Store.open(watch.database)
    Engine(watch, store).observe("live", now)
    store.close()
    (tmp_path / "new_search_of_a_user.py").write_text(NEW)
    (tmp_path / "new.yaml").write_text("kind: python\ncallable: new_search_of_a_user:search\npythonpath: .\ntop_k: 5\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def run(*words: str) -> str:
    done = CliRunner().invoke(app, ["compare", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_file_with_one_retriever_is_compared_with_the_one_in_use(project: Path):
    content = json.loads(run("retriever", "new.yaml", "-k", "5", "--json"))
    found = content["comparison"]
    assert (found["old"]["name"], found["new"]["name"]) == ("retriever", "new")
    german = found["canaries"]["de"][0]
    assert (german["measure"], german["old"], german["new"], german["difference"]) == ("R@5", 1.0, 0.0, -1.0)
    assert (german["n"], german["better"], german["worse"]) == (20, 0, 20)
    assert found["canaries"]["en"][0]["difference"] == 0
    assert found["queries"]["en"]["top1"]["value"] == 1.0
    assert found["queries"]["de"]["top1"]["value"] == 0.0
    assert content["verdict"].startswith("new against retriever: is worse over 60 canaries, R@5 0.667 against 1.000")
    assert {each["lang"] for each in found["differ_most"]} == {"de"}


def test_two_files_of_one_name_are_told_apart_by_their_folders(project: Path):
    for folder in ("old", "new"):
        (project / folder).mkdir()
        (project / folder / "index.yaml").write_text((project / "new.yaml").read_text().replace(": .", ": .."))
    found = json.loads(run("old/index.yaml", "new/index.yaml", "--queries", "0", "--json"))["comparison"]
    assert (found["old"]["name"], found["new"]["name"]) == ("old/index.yaml", "new/index.yaml")


def test_a_person_reads_tables(project: Path):
    shown = run("retriever", "new.yaml", "-k", "5")
    for heading in ("canaries, paired", "sampled queries", "they disagree most about", "median latency"):
        assert heading in shown
    assert "it is worse in de" in shown
    assert "doc-xx-0" in shown


def test_texts_stay_hidden_where_the_configuration_says_so(project: Path):
    assert "de question 1" in run("retriever", "new.yaml", "--queries", "0")
    path = project / "driftwatch.yaml"
    path.write_text(path.read_text() + "\nprivacy: {show_queries: false}\n")
    assert " question " not in run("retriever", "new.yaml")


def test_a_section_is_written_for_a_report(project: Path):
    run("retriever", "new.yaml", "--section", "section.md")
    assert (project / "section.md").read_text().startswith("## new against retriever\n")


def test_a_section_is_never_written_over_a_file(project: Path):
    (project / "section.md").write_text("mine")
    with pytest.raises(DriftwatchError, match=r"section\.md exists already"):
        run("retriever", "new.yaml", "--section", "section.md")
    assert (project / "section.md").read_text() == "mine"


def test_canaries_that_two_sources_ask_are_no_further_evidence(project: Path):
    path = project / "driftwatch.yaml"
    again = "  nightly: {kind: canaries, path: canaries.jsonl, every: 24h}\n"
    path.write_text(path.read_text().replace("alerts:", again + "alerts:"))
    found = json.loads(run("retriever", "new.yaml", "--queries", "0", "--json"))["comparison"]
    assert found["canaries"]["all"][0]["n"] == 60


def test_a_document_id_that_is_no_text_does_not_end_the_comparison(project: Path):
    (project / "half_an_id.py").write_text('def search(text, top_k):\n    return [("doc-\\ud800", 0.9)]\n')
    (project / "half.yaml").write_text("kind: python\ncallable: half_an_id:search\npythonpath: .\n")
    found = json.loads(run("retriever", "half.yaml", "--queries", "0", "--json", "--section", "half.md"))
    assert found["comparison"]["differ_most"][0]["new"] == ["doc-?"]


def test_without_live_queries_only_canaries_are_asked(project: Path):
    found = json.loads(run("retriever", "new.yaml", "--queries", "0", "--json"))["comparison"]
    assert found["queries"] == {}
    assert found["old"]["asked"] == 60


def test_a_retriever_with_a_service_of_its_own_is_asked_over_a_socket(project: Path):
    with SearchService() as service:
        service.does(answers("doc-en-1"))
        (project / "service.yaml").write_text(f"retriever:\n  kind: http\n  url: {service.url}\n")
        found = json.loads(run("retriever", "service.yaml", "--queries", "0", "--json"))["comparison"]
        assert len(service.asked) == 60
    assert found["new"]["latency_ms"] > 0
    assert found["canaries"]["en"][0]["new"] == pytest.approx(1 / 20)


def test_when_nothing_could_be_compared_the_exit_code_says_so(project: Path):
    (project / "gone.yaml").write_text("kind: python\ncallable: nowhere:search\n")
    done = CliRunner().invoke(app, ["compare", "retriever", "gone.yaml", "--queries", "0"])
    assert done.exit_code == 3
    assert "nothing could be compared" in done.stdout
    assert "nowhere" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["retriever", "nothing.yaml"],
            "there is nothing called 'nothing.yaml' to ask. There are: retriever; or name a",
        ),
        (["retriever", "index"], "there is nothing called 'index' to ask."),
        (["retriever", "new.yaml", "--source", "canaries"], "'canaries' is no source of queries. There are: live."),
        (["retriever", "new.yaml", "--canaries", "live"], "'live' is no source of canaries. There are: canaries."),
        (["--trend"], "there are 0 dual runs. Name one of: none is configured."),
        (["--trend", "live"], "'live' is no dual run."),
        (["retriever", "new.yaml", "--section", "no/such/folder.md"], "the folder no/such does not exist."),
    ],
)
def test_what_cannot_be_done_says_what_can(project: Path, words: list[str], said: str):
    with pytest.raises(DriftwatchError) as caught:
        CliRunner().invoke(app, ["compare", *words], catch_exceptions=False)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: pyton\n", "broken.yaml:1: there is no kind 'pyton' in retrievers. Did you mean 'python'?"),
        ("kind: python\ncallabel: a:b\n", "broken.yaml:2: Python has no setting 'callabel'. Did you mean 'callable'?"),
        ("[1, 2]\n", "broken.yaml:1: it holds no retriever."),
        (
            "retriever: {kind: python, callable: a:b}\ntop_k: 3\n",
            "broken.yaml:2: a file with one retriever has no setting 'top_k'.",
        ),
        (
            "kind: python\ncallable: a:b\nembedder: {modell: x}\n",
            "broken.yaml:3: the embedder has no setting 'modell'.",
        ),
        ("callable: a:b\n", "this retriever has no 'kind'"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(project: Path, text: str, said: str):
    (project / "broken.yaml").write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        CliRunner().invoke(app, ["compare", "retriever", "broken.yaml"], catch_exceptions=False)
    assert said in str(caught.value)


def test_both_sides_must_be_named(project: Path):
    done = CliRunner().invoke(app, ["compare", "retriever"])
    assert done.exit_code == 2
    assert "Name both" in done.output


# --- the trend -----------------------------------------------------------------------------------------------------


@pytest.fixture
def migrating(project: Path) -> Path:
    path = project / "driftwatch.yaml"
    dual = "  migration: {kind: dual_run, canaries: canaries, retriever: {kind: python, callable: 'a:b'}}\n"
    path.write_text(path.read_text().replace("alerts:", dual + "alerts:"))
    return project


def test_the_trend_of_a_dual_run_is_printed_day_by_day(migrating: Path):
    store = Store.open(load_watch(migrating / "driftwatch.yaml").database)
    start = datetime(2026, 5, 4, tzinfo=UTC)
    for hours, lost in ((0, {}), (6, {"de": 10}), (24, {"de": 10})):
        keep_comparison(store, "migration", comparison(start + timedelta(hours=hours), lost))
    store.close()
    days = json.loads(run("--trend", "--json"))["days"]
    assert [(day["day"], day["runs"]) for day in days] == [("2026-05-04", 2), ("2026-05-05", 1)]
    assert [day["canaries"]["de"][0]["new"] for day in days] == [0.95, 0.9]
    assert days[0]["canaries"]["all"][0]["n"] == 300
    shown = run("--trend", "migration")
    assert "trend of migration" in shown
    assert "2026-05-05" in shown


def test_a_dual_run_that_has_compared_nothing_says_so(migrating: Path):
    with pytest.raises(DriftwatchError, match="'migration' has compared nothing yet"):
        CliRunner().invoke(app, ["compare", "--trend"], catch_exceptions=False)


def test_what_json_holds_is_what_the_page_says():
    page = (Path(__file__).parents[2] / "docs" / "compare.md").read_text()
    found = as_content(comparison(datetime(2026, 5, 4, tzinfo=UTC), {"de": 1}))
    named = {*found, *found["old"], *found["canaries"]["all"][0], *found["differ_most"][0]}
    assert not [name for name in named if f"`{name}`" not in page]
