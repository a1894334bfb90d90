"""What has to be done when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.agenda import Agenda, Job
from driftwatch.engine import Engine
from driftwatch.schedule import Schedule
from driftwatch.store import Store
from tests.fakes.world import BROKEN, EMPTY, RECALL, SCORES, START, append, load_watch, log_lines, make_world

HOUR = timedelta(hours=1)
SLOW_RECALL = RECALL.replace("name: canary recall,", "name: slow recall, every: 12h,")
PUSHED = "  - {name: pushed empty, kind: rate, of: empty, source: pushed, window: 6h, every: 6h}\n"


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/driftwatch.db")
    yield opened
    opened.close()


def agenda(folder: Path, store: Store, *checks: str, care: tuple[Job, ...] = ()) -> Agenda:
    watch = make_world(folder, *checks)
    return Agenda(Engine(watch, store), store, care)


def names(made: Agenda) -> list[str]:
    return [job.name for job in made.jobs]


def runs_at(store: Store) -> list[datetime]:
    return [run.at for run in store.canaries.runs("canaries", START, START + timedelta(days=30))]


def test_sources_come_before_checks_and_both_before_what_the_daemon_does_for_itself(tmp_path: Path, store: Store):
    care = (Job("maintain", Schedule.parse("6h"), lambda _due, _now: None),)
    made = agenda(tmp_path, store, SCORES, SLOW_RECALL, EMPTY, care=care)
    assert names(made) == [
        "source canaries",
        "source live",
        "checks of live every 6h",
        "checks of canaries every 12h",
        "maintain",
    ]
    assert made.run_due(START) == names(made)


def test_checks_of_one_source_and_rhythm_look_together(tmp_path: Path, store: Store):
    append(tmp_path, log_lines(START - HOUR, 1))
    made = agenda(tmp_path, store, SCORES, EMPTY)
    made.run_due(START)
    assert {check for check, _ in store.decisions.last_findings()} == {"top-score drift", "empty results"}
    assert names(made).count("checks of live every 6h") == 1


def test_canary_checks_look_as_soon_as_the_canaries_have_been_asked(tmp_path: Path, store: Store):
    BROKEN.add("de")
    made = agenda(tmp_path, store, RECALL)
    assert names(made) == ["source canaries"]
    made.run_due(START)
    assert store.decisions.last_findings()["canary recall", "de"].verdict == "fail"


def test_a_canary_check_with_a_rhythm_of_its_own_waits_for_it(tmp_path: Path, store: Store):
    made = agenda(tmp_path, store, SLOW_RECALL)
    made.run_due(START)
    BROKEN.add("de")
    assert made.run_due(START + 6 * HOUR) == ["source canaries"]
    assert store.decisions.last_findings()["slow recall", "de"].verdict == "ok"
    assert made.run_due(START + 12 * HOUR) == ["source canaries", "checks of canaries every 12h"]
    assert store.decisions.last_findings()["slow recall", "de"].verdict == "fail"


def test_a_log_is_read_to_its_end_before_it_is_judged(tmp_path: Path, store: Store):
    made = agenda(tmp_path, store, EMPTY)
    append(tmp_path, log_lines(START - HOUR, 1))
    (checks,) = (job for job in made.jobs if job.name.startswith("checks"))
    made.run(checks, START, START)
    assert store.traffic.tallies("live", START - HOUR, START).total("queries") == 180


def test_a_source_that_clients_push_to_is_not_read_and_is_judged(tmp_path: Path, store: Store):
    path = make_world(tmp_path).path
    text = path.read_text().replace("sources:\n", "sources:\n  pushed: {kind: push}\n", 1) + PUSHED
    path.write_text(text.replace("api: off", "api: {port: 0}"))
    made = Agenda(Engine(load_watch(path), store), store)
    assert names(made) == ["source canaries", "checks of pushed every 6h"]
    made.run_due(START)
    assert ("pushed empty", "all") in store.decisions.last_findings()


def test_what_was_missed_many_times_is_done_once(tmp_path: Path, store: Store):
    made = agenda(tmp_path, store, RECALL)
    made.run_due(START)
    assert made.run_due(START + timedelta(days=3, hours=1)) == ["source canaries"]
    assert runs_at(store) == [START, START + timedelta(days=3, hours=1)]


def test_nothing_is_done_twice_in_its_period_though_the_daemon_was_started_anew(tmp_path: Path, store: Store):
    agenda(tmp_path, store, RECALL, EMPTY).run_due(START + HOUR)
    again = agenda(tmp_path, store, RECALL, EMPTY)
    assert again.run_due(START + 5 * HOUR) == ["source live"], "where a log was read to is in its cursor"
    assert again.run_due(START + 6 * HOUR) == ["source canaries", "source live", "checks of live every 6h"]
    assert runs_at(store) == [START + HOUR, START + 6 * HOUR]


def test_what_came_due_while_the_daemon_was_down_is_due_at_its_start(tmp_path: Path, store: Store):
    agenda(tmp_path, store, RECALL).run_due(START)
    again = agenda(tmp_path, store, RECALL)
    (job,) = again.jobs
    assert not again.is_due(job, START + 5 * HOUR)
    assert again.is_due(job, START + 7 * HOUR)
    again.run(job, START + 7 * HOUR, START + 7 * HOUR)
    assert not again.is_due(job, START + 8 * HOUR)


def test_a_job_that_breaks_is_still_due(tmp_path: Path, store: Store):
    def breaks(_due: datetime, _now: datetime) -> None:
        raise OSError("the disk is full")

    made = agenda(tmp_path, store, care=(Job("maintain", Schedule.parse("6h"), breaks),))
    with pytest.raises(OSError, match="disk is full"):
        made.run_due(START)
    assert made.is_due(made.jobs[-1], START)
