"""The real daemon as a process: signals, reload, a second one, health."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.world import RECALL, make_world

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
SLOW = "tests.fakes.slow_search:search"


class Running:
    """A daemon process and what it logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "daemon.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "driftwatch.cli", "run"],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"},
                stderr=log,
                stdout=log,
            )

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, words: str, seconds: float = 20) -> str:
        return self.until(lambda: re.search(words, self.said()), seconds).group(0)

    def until(self, holds: Callable[[], object], seconds: float = 20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := holds():
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.02)
        raise AssertionError(self.said())

    def stop(self) -> tuple[int, float]:
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20), time.monotonic() - started
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # which shows where each thread is
            self.process.wait()
            raise AssertionError(self.said()) from None


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[], Running]]:
    started: list[Running] = []

    def start() -> Running:
        started.append(Running(tmp_path))
        return started[-1]

    yield start
    for running in started:
        running.process.kill()
        running.process.wait()


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "driftwatch.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_sigterm_ends_it_cleanly(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    daemon = run()
    daemon.wait_for("watching help-centre")
    code, seconds = daemon.stop()
    assert code == 0
    assert seconds < 5
    assert "Traceback" not in daemon.said()


def test_sigterm_in_the_middle_of_a_slow_canary_run_takes_at_most_five_seconds(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    edit(tmp_path, "tests.fakes.world:search", SLOW)
    daemon = run()
    daemon.until(lambda: (tmp_path / "asked").exists())
    code, seconds = daemon.stop()
    assert code == 0
    assert seconds < 5.5


def test_a_job_in_hand_and_every_receiver_are_watched(tmp_path: Path):
    from contextlib import ExitStack

    from driftwatch.agenda import Job
    from driftwatch.daemon import Daemon
    from driftwatch.schedule import Schedule
    from driftwatch.service import Service
    from driftwatch.store import Store

    watch = make_world(tmp_path, RECALL)
    store = Store.open(watch.database)
    with ExitStack() as stack:
        stack.callback(store.close)
        service = Service(Daemon(watch, store), watch.path, stack)
        seen: list[list[str]] = []
        job = Job("long", Schedule.parse("1h"), lambda _due, _now: seen.append(list(service.daemon.pulse.beats)))
        service._do(job, service.daemon.agenda)
        assert seen == [["job long"]]
        assert list(service.daemon.pulse.beats) == []


def test_a_second_daemon_on_the_same_database_refuses_to_start(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    first = run()
    first.wait_for("watching help-centre")
    second = Running(tmp_path)
    assert second.process.wait(20) == 3
    assert "another driftwatch" in second.said()
    assert first.process.poll() is None


def test_sighup_takes_a_new_configuration(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    daemon = run()
    daemon.wait_for(r"watching help-centre: \d+ jobs")
    edit(tmp_path, "service: help-centre", "service: help-desk")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("the new configuration is in use")


def test_sighup_with_an_invalid_file_keeps_the_old_one_and_says_so(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    edit(tmp_path, "api: off", "api: {port: 0}")
    daemon = run()
    address = daemon.wait_for(r"http://127\.0\.0\.1:\d+")
    edit(tmp_path, "retriever:", "retreiver:")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("the old one stays")
    daemon.wait_for(r"driftwatch.yaml:\d+: .*Did you mean 'retriever'")
    health = httpx.get(f"{address}/healthz").json()
    assert "retriever" in health["reload_error"]
    metrics = httpx.get(f"{address}/metrics").text
    assert "driftwatch_config_last_reload_successful 0.0" in metrics
    edit(tmp_path, "retreiver:", "retriever:")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("the new configuration is in use")
    assert httpx.get(f"{address}/healthz").json()["reload_error"] == ""


def test_healthcheck_asks_the_running_daemon(tmp_path: Path, run):
    make_world(tmp_path, RECALL)
    edit(tmp_path, "api: off", "api: {port: 0}")
    daemon = run()
    address = daemon.wait_for(r"http://127\.0\.0\.1:\d+")
    done = subprocess.run(
        [sys.executable, "-m", "driftwatch.cli", "healthcheck", "--url", address],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "healthy: help-centre\n")


def test_what_came_due_while_down_is_done_once_at_the_start(tmp_path: Path, run):
    watch = make_world(tmp_path, RECALL)
    daemon = run()
    daemon.wait_for("watching help-centre")
    from driftwatch.store import Store

    store = Store.open(watch.database)
    daemon.until(lambda: store.canaries.latest("canaries"))
    daemon.stop()
    first = store.canaries.latest("canaries").at
    again = run()
    again.wait_for("(?s)watching help-centre.*watching help-centre")
    time.sleep(0.5)
    again.stop()
    assert store.canaries.latest("canaries").at == first, "the run of this period was made before the restart"
    store.close()


@pytest.mark.postgres
def test_on_postgres_it_asks_tells_stops_and_suffers_no_second_one(tmp_path: Path, run, postgres_url: str):
    from driftwatch.store import Store

    make_world(tmp_path, RECALL)
    (tmp_path / "database.url").write_text(postgres_url)
    edit(tmp_path, "database: sqlite:///driftwatch.db", "database_file: database.url")
    edit(tmp_path, "at_least: 0.8", "after: 1, at_least: 0.8")
    edit(tmp_path, "tests.fakes.world:search", "tests.fakes.world:search_that_finds_nothing")
    daemon = run()
    daemon.wait_for("watching help-centre")
    daemon.wait_for("(?i)canary recall is failing")
    second = Running(tmp_path)
    assert second.process.wait(20) == 3
    assert "another driftwatch" in second.said()
    code, seconds = daemon.stop()
    assert code == 0
    assert seconds < 5.5
    assert "Traceback" not in daemon.said()
    store = Store.open(postgres_url)
    assert len(store.canaries.latest("canaries").observations) == 60
    assert {alert.state for alert in store.decisions.alerts().values()} == {"firing"}
    assert store.outbox.waiting() == {}
    store.close()
    again = run()
    again.wait_for("(?s)watching help-centre.*watching help-centre")
