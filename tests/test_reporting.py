"""Weekly reports of a watched service: made, kept, drawn again, on the command line and by the daemon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from driftwatch.agenda import Agenda
from driftwatch.cli import app
from driftwatch.config import Watch, load_watch, remembered
from driftwatch.daemon import Daemon
from driftwatch.engine import Engine
from driftwatch.errors import ConfigError, ReportError
from driftwatch.report.kept import Reports
from driftwatch.reported import Rate
from driftwatch.reported.form import as_json
from driftwatch.reporting import Made, about_of, make, make_by_itself
from driftwatch.retraining.course import Course
from driftwatch.store import CheckRun, Store
from tests.fakes import four_weeks
from tests.fakes.four_weeks import DAY, END, HOUR, LAST
from tests.fakes.world import EMPTY, RECALL, SCORES, make_world

MONDAY = datetime(2026, 11, 2, 8, tzinfo=UTC)
"""When the report of the last of the four weeks is due."""
MORE = "timezone: Europe/Berlin\nreport: {every: mon 08:00, keep: 52 weeks, evidently: false}\n"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the four weeks, to be copied."""
    path = tmp_path_factory.mktemp("filled") / "driftwatch.db"
    store = Store.open(f"sqlite:///{path}", lasting=False)
    four_weeks.fill(store)
    store.close()
    return path


@pytest.fixture
def world(tmp_path: Path, filled: Path) -> Iterator[tuple[Watch, Store]]:
    """The four weeks, behind a configuration."""
    watch = make_world(tmp_path, RECALL, EMPTY, SCORES, more=MORE)
    shutil.copy(filled, watch.database.removeprefix("sqlite:///"))
    store = Store.open(watch.database, lasting=False)
    yield watch, store
    store.close()


# --- made and kept -------------------------------------------------------------------------------------------------


def test_the_report_of_the_week_that_is_over_is_made_and_kept(world: tuple[Watch, Store]) -> None:
    watch, store = world
    made = make(watch, store, "", MONDAY)
    assert made.week.name == "2026-W44"
    assert made.kept is not None
    assert {"report.html", "report.md", "report.json"} <= set(made.kept.files)
    assert Reports(watch.state).week("2026-W44") == made.week


@pytest.mark.process
def test_what_is_kept_is_drawn_again_from_its_numbers_to_the_byte(world: tuple[Watch, Store]) -> None:
    watch, store = world
    first = make(watch, store, "2026-W44", MONDAY)
    before = _content(first)
    store.canaries.add(next(iter(four_weeks._runs())))  # whatever is in the store by now
    again = make(watch, store, "2026-W44", MONDAY + 200 * DAY)
    assert again.week == first.week
    assert _content(again) == before


@pytest.mark.process
def test_a_report_is_made_anew_from_the_store_where_that_is_asked_for(world: tuple[Watch, Store]) -> None:
    watch, store = world
    made = make(watch, store, "2026-W44", MONDAY)
    path = Path(watch.state) / "reports" / "2026-W44" / "report.json"
    path.write_bytes(path.read_bytes().replace(b'"service": "help-centre"', b'"service": "another"'))
    assert make(watch, store, "2026-W44", MONDAY).week.service == "another"
    assert as_json(make(watch, store, "2026-W44", MONDAY, anew=True).week) == as_json(made.week)


def test_a_damaged_report_is_not_silently_replaced(world: tuple[Watch, Store]) -> None:
    watch, store = world
    make(watch, store, "2026-W44", MONDAY)
    (Path(watch.state) / "reports" / "2026-W44" / "report.json").write_text("{}")
    with pytest.raises(ReportError, match="--anew"):
        make(watch, store, "2026-W44", MONDAY)


def test_a_week_that_is_not_over_is_shown_and_not_kept(world: tuple[Watch, Store]) -> None:
    watch, store = world
    made = make(watch, store, "2026-W44", LAST + 2 * DAY)
    assert (made.kept, made.week.complete) == (None, False)
    assert Reports(watch.state).list() == ()


def test_a_week_before_the_first_is_not_kept(world: tuple[Watch, Store]) -> None:
    watch, store = world
    assert make(watch, store, "2026-W30", MONDAY).kept is None


def test_a_week_that_is_to_come_is_refused(world: tuple[Watch, Store]) -> None:
    with pytest.raises(ConfigError, match="not begun"):
        make(*world, "2027-W01", MONDAY)


def _content(made: Made) -> dict[str, bytes]:
    assert made.kept is not None
    return {name: path.read_bytes() for name, path in made.kept.files.items()}


# --- what it knows of the configuration ----------------------------------------------------------------------------


def test_the_jobs_that_a_report_expects_are_those_that_the_daemon_remembers(world: tuple[Watch, Store]) -> None:
    watch, store = world
    agenda = Agenda(Engine(watch, store), store)
    known = {job.name: str(job.schedule) for job in agenda.jobs if job.remembered}
    assert {name: str(each) for name, each in remembered(watch).items()} == known
    assert "source canaries" in known


def test_a_report_that_was_not_made_is_missed_by_the_next_one(world: tuple[Watch, Store]) -> None:
    watch, store = world
    assert "report" in about_of(watch).jobs
    monday = LAST - 7 * DAY + 9 * HOUR
    store.decisions.record_run(CheckRun("report", monday, monday, monday, "done"))
    made = make(watch, store, "2026-W44", MONDAY)
    missed = [each.share for each in made.week.not_seen if (each.what, each.name) == ("run missed", "report")]
    assert missed == [Rate(1, 1)]


def test_queries_are_not_shown_where_only_their_hashes_are_kept(tmp_path: Path) -> None:
    watch = make_world(tmp_path, RECALL, more="privacy: {keep_text: hash}\n")
    assert not about_of(watch).shows_queries
    assert about_of(make_world(tmp_path, RECALL)).shows_queries


def test_a_baseline_given_by_dates_is_what_the_report_compares_with(tmp_path: Path) -> None:
    watch = make_world(tmp_path, RECALL)
    text = (tmp_path / "driftwatch.yaml").read_text()
    (tmp_path / "driftwatch.yaml").write_text(text.replace("baseline: 2 days", "baseline: 2026-10-05 .. 2026-10-18"))
    given = about_of(load_watch(tmp_path / "driftwatch.yaml")).baseline
    assert given == (datetime(2026, 10, 5, tzinfo=UTC), datetime(2026, 10, 19, tzinfo=UTC))
    assert about_of(watch).baseline == timedelta(days=2)


def _retraining(tmp_path: Path) -> Watch:
    more = "embedder: {model: some/model, device: cpu}\nretrain: {when: [canary recall], pairs: {files: [l.jsonl]}}\n"
    (tmp_path / "l.jsonl").write_text("")
    return make_world(tmp_path, RECALL, more=more)


def test_jobs_of_retraining_are_told_when_they_began_and_how_they_ended(tmp_path: Path) -> None:
    watch = _retraining(tmp_path)
    job = Course(Path(watch.state) / "retrain" / "jobs" / "20261027-aa")
    job.path.mkdir(parents=True)
    job.begin(LAST + DAY, "i1", ["The model no longer fits."])
    job.end("refused", "the gate said no.", LAST + 2 * DAY)
    found = [(each.at, each.what, each.outcome, each.reason) for each in about_of(watch).retraining]
    assert found == [
        (LAST + DAY, "job", "begun", "The model no longer fits."),
        (LAST + 2 * DAY, "job", "refused", "the gate said no."),
    ]


def test_a_damaged_job_is_said_in_the_report_and_does_not_stop_it(tmp_path: Path) -> None:
    watch = _retraining(tmp_path)
    job = Path(watch.state) / "retrain" / "jobs" / "20261027-aa"
    job.mkdir(parents=True)
    (job / "wanted.json").write_text("nothing")
    assert about_of(watch).retraining == ()
    store = Store.open(watch.database, lasting=False)
    made = make(watch, store, "2026-W44", MONDAY)
    store.close()
    assert any("could not be read" in each.sentence for each in made.week.not_seen if each.name == "retraining")


# --- the daemon ----------------------------------------------------------------------------------------------------


def _noted(seen: list[datetime]) -> Callable[..., None]:
    def reporter(watch: Watch, store: Store, due: datetime, stopping: Callable[[], bool]) -> None:
        assert not stopping()
        seen.append(due)
        store.decisions.record_run(CheckRun("report", due, due, due, "done"))

    return reporter


def test_the_report_is_made_every_monday_and_once_for_all_that_were_missed(tmp_path: Path) -> None:
    watch = make_world(tmp_path, more=MORE)
    store = Store.open(watch.database, lasting=False)
    seen: list[datetime] = []
    daemon = Daemon(watch, store, reporter=_noted(seen))
    daemon.run_due(MONDAY - HOUR)
    seen.clear()
    for hours in range(3):
        daemon.run_due(MONDAY + hours * HOUR)
    assert seen == [MONDAY]
    after_a_holiday = Daemon(watch, store, reporter=_noted(seen))  # down for three weeks
    after_a_holiday.run_due(MONDAY + 22 * DAY)
    assert seen == [MONDAY, MONDAY + 21 * DAY]
    store.close()


def test_a_daemon_that_is_to_make_no_reports_makes_none(tmp_path: Path) -> None:
    watch = make_world(tmp_path, more="report: off\n")
    store = Store.open(watch.database, lasting=False)
    seen: list[datetime] = []
    names = [job.name for job in Daemon(watch, store, reporter=_noted(seen)).agenda.jobs]
    assert "report" not in names
    store.close()


@pytest.mark.process
def test_a_process_of_its_own_makes_the_report_and_old_ones_go(world: tuple[Watch, Store]) -> None:
    watch, store = world
    old = Path(watch.state) / "reports" / "2025-W30"
    old.mkdir(parents=True)
    make_by_itself(watch, store, MONDAY, lambda: False)
    assert [each.name for each in Reports(watch.state).list()] == ["2026-W44"]
    assert store.decisions.last_runs()["report"] == MONDAY
    week = Reports(watch.state).week("2026-W44")
    assert week == make(watch, store, "2026-W44", MONDAY, anew=True).week


@pytest.mark.process
def test_a_process_that_fails_says_why_and_is_not_taken_for_done(world: tuple[Watch, Store]) -> None:
    watch, store = world
    assert watch.path is not None
    watch.path.write_text("service: [")
    with pytest.raises(ReportError, match=r"2026-W44 could not be made: .*driftwatch\.yaml"):
        make_by_itself(watch, store, MONDAY, lambda: False)
    assert store.decisions.last_runs().get("report") is None


@pytest.mark.process
def test_a_process_that_is_told_to_stop_is_ended_and_the_report_made_another_time(world: tuple[Watch, Store]) -> None:
    watch, store = world
    make_by_itself(watch, store, MONDAY, lambda: True)
    assert Reports(watch.state).list() == ()
    assert store.decisions.last_runs().get("report") is None


def test_before_anything_was_seen_no_process_is_started(tmp_path: Path) -> None:
    watch = make_world(tmp_path, RECALL, more=MORE)
    store = Store.open(watch.database, lasting=False)
    make_by_itself(watch, store, MONDAY, lambda: True)  # a process would be told to stop, and the run not be done
    assert store.decisions.last_runs()["report"] == MONDAY
    store.close()


# --- the command line ----------------------------------------------------------------------------------------------


def _run(watch: Watch, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["report", *arguments, "-c", str(watch.path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_summary_says_what_the_week_was_and_where_the_report_is(world: tuple[Watch, Store]) -> None:
    said = _run(world[0], "--week", "2026-W44")
    assert said.startswith("2026-W44, fail: 1 incident")
    assert "kept in" in said


@pytest.mark.process
def test_json_is_the_week_itself(world: tuple[Watch, Store]) -> None:
    for arguments in (("--json",), ("--format", "json")):
        content = json.loads(_run(world[0], "--week", "2026-W44", *arguments))
        assert (content["version"], content["name"], content["complete"]) == (1, "2026-W44", True)


@pytest.mark.process
def test_a_report_is_written_where_it_is_wanted_in_the_form_of_its_name(
    world: tuple[Watch, Store], tmp_path: Path
) -> None:
    for name, begins in {"a.html": "<!doctype html>", "a.md": "# ", "a.json": "{"}.items():
        _run(world[0], "--week", "2026-W44", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_text().lower().startswith(begins)
    assert not list(tmp_path.glob("*.draft"))


@pytest.mark.process
def test_kept_reports_are_listed(world: tuple[Watch, Store]) -> None:
    watch, _ = world
    assert "No report is kept yet" in _list(watch)
    _run(watch, "--week", "2026-W44")
    (found,) = json.loads(_list(watch, "--json"))["reports"]
    assert (found["week"], found["level"]) == ("2026-W44", "fail")
    assert Path(found["files"]["report.html"]).is_file()
    assert "2026-W44" in _list(watch)


def _list(watch: Watch, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["report", "list", *arguments, "-c", str(watch.path)], catch_exceptions=False)
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--format", "pdf"), "html, markdown, json"),
        (("--week", "yesterday"), "2026-W47"),
        (("--out", "/nowhere/a.html"), "--out"),
    ],
)
def test_what_cannot_be_is_an_error_in_words(world: tuple[Watch, Store], arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises((ConfigError, ReportError), match=said):
        CliRunner().invoke(app, ["report", *arguments, "-c", str(world[0].path)], catch_exceptions=False)


def test_reports_are_made_of_the_last_week_that_is_over(world: tuple[Watch, Store]) -> None:
    """The clock of this machine says when that was; nothing was seen then, so it is shown and not kept."""
    assert datetime.now(UTC) > END
    assert "not kept" in _run(world[0]) or "2026-W44" in _run(world[0])
