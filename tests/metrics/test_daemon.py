"""What a daemon leaves for the metrics: outcomes of looks, languages, the lock, and spans where they are wanted."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from driftwatch.api import start_server
from driftwatch.config import Api, load_watch
from driftwatch.daemon import Daemon
from driftwatch.engine import outcome_of
from driftwatch.errors import MissingExtra
from driftwatch.metrics import exposition
from driftwatch.segments import BROKE
from driftwatch.service import Service
from driftwatch.store import Store
from driftwatch.store.tables_totals import Outcome
from driftwatch.types import Finding, Verdict
from tests.fakes.batches import batch, counts, hours
from tests.fakes.world import BROKEN, EMPTY, RECALL, START, make_world

SIX_HOURS = timedelta(hours=6)
EXPECTED = "expected: [{from: 2026-05-04, to: 2026-05-05, reason: launch}]\n"

Open = Callable[..., Daemon]


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Daemon] = []

    def open_(*checks: str, more: str = "", without: str = "") -> Daemon:
        path = make_world(tmp_path, *(checks or (RECALL,)), more=more).path
        path.write_text(path.read_text().replace(without, ""))
        watch = load_watch(path)
        made.append(Daemon(watch, Store.open(watch.database)))
        return made[-1]

    yield open_
    for daemon in made:
        daemon.close()
        daemon.store.close()


def finding(verdict: Verdict, message: str = "said") -> Finding:
    return Finding("recall", "de", START, verdict, message)


def outcomes(daemon: Daemon, check: str) -> dict[str, int]:
    found = daemon.store.numbers(START).looks[check].outcomes
    return {outcome: count for outcome, count in found.items() if count}


# --- what becomes of a look ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "trouble", "expected", "outcome"),
    [
        ([finding("ok")], False, False, "success"),
        ([finding("unknown"), finding("fail")], True, False, "success"),
        ([finding("unknown")], False, False, "insufficient_data"),
        ([finding("unknown")], True, False, "failure"),
        ([finding("unknown")], False, True, "skipped"),
        ([finding("ok"), finding("unknown", f"{BROKE}: ZeroDivisionError")], False, False, "failure"),
        ([], False, False, "insufficient_data"),
    ],
)
def test_a_look_has_one_of_four_outcomes(found: list[Finding], trouble: bool, expected: bool, outcome: Outcome):
    assert outcome_of(found, trouble, expected) == outcome


def test_looks_of_a_daemon_are_counted(opened: Open):
    daemon = opened(RECALL, EMPTY)
    daemon.run_due(START)
    assert outcomes(daemon, "canary recall") == {"success": 1}
    assert outcomes(daemon, "empty results") == {"insufficient_data": 1}
    assert daemon.store.numbers(START).looks["canary recall"].seconds > 0
    BROKEN.add("down")
    daemon.run_due(START + SIX_HOURS)
    assert outcomes(daemon, "canary recall") == {"success": 1, "failure": 1}


def test_what_is_expected_to_be_different_is_skipped(opened: Open):
    daemon = opened(EMPTY, more=EXPECTED)
    daemon.run_due(START)
    assert outcomes(daemon, "empty results") == {"skipped": 1}


# --- a restart, and the languages ----------------------------------------------------------------------------------


def lasting(daemon: Daemon) -> list[str]:
    """The lines of a scrape that are about the watched service, not about this process."""
    passing = ("driftwatch_time", "driftwatch_source_up", "driftwatch_database_bytes", "process_")
    return [
        line
        for line in exposition(daemon)[0].decode().splitlines()
        if not line.removeprefix("# HELP ").startswith(passing) and not line.removeprefix("# TYPE ").startswith(passing)
    ]


def test_after_a_restart_every_number_is_there_at_once(opened: Open):
    daemon = opened(RECALL, EMPTY)
    tallies = {(hours(START), "de"): counts(queries=10, results_known=10, empty=3)}
    daemon.store.traffic.ingest(batch(tallies=tallies, lines=10), ("de",))
    BROKEN.add("de")
    daemon.run_due(START)
    daemon.run_due(START + SIX_HOURS)
    before = lasting(daemon)
    assert any(line.startswith("driftwatch_canary_recall{") for line in before)
    again = Daemon(daemon.watch, Store.open(daemon.watch.database))
    assert lasting(again) == before
    again.store.close()


def test_without_a_list_of_languages_the_daily_care_chooses_them(opened: Open):
    daemon = opened(RECALL, without="languages: [en, de, fr]\n")
    tallies = {(hours(START), f"{one}{two}"): counts(queries=10) for one in "abcd" for two in "abcde"}
    daemon.store.traffic.ingest(batch(tallies=tallies))
    daemon.store.traffic.ingest(batch(tallies={(hours(START), "zz"): counts(queries=1000)}))
    assert "zz" not in daemon.store.numbers(START).named
    daemon._maintain(START + SIX_HOURS)
    assert "zz" in daemon.store.numbers(START).named


# --- the process ---------------------------------------------------------------------------------------------------


def service_of(daemon: Daemon, stack: ExitStack) -> Service:
    return Service(daemon, daemon.watch.path, stack)


def test_who_lost_the_lock_is_no_leader_any_more(opened: Open):
    daemon = opened()
    assert b"driftwatch_leader 0.0" in exposition(daemon)[0]
    with ExitStack() as stack:
        service = service_of(daemon, stack)
        assert b"driftwatch_leader 1.0" in exposition(daemon)[0]
        Path(daemon.watch.database.removeprefix("sqlite:///") + ".lock").unlink()
        service._beat()
    assert b"driftwatch_leader 0.0" in exposition(daemon)[0]
    assert daemon.stop.is_set()


@pytest.mark.process
def test_a_scrape_over_http_asks_for_no_token_and_says_its_format(opened: Open):
    daemon = opened()
    stop = start_server(daemon, Api(port=0, token="s3cret"))
    with httpx.Client(base_url=daemon.address, timeout=20, follow_redirects=False) as client:
        plain = client.get("/metrics")
        modern = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    stop()
    assert (plain.status_code, plain.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert modern.text.endswith("# EOF\n")


@pytest.mark.process
def test_the_section_otel_exports_spans_and_a_reload_ends_it(opened: Open):
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otel` is not installed")
    from tests.fakes.otlp import FakeCollector

    collector = FakeCollector()
    daemon = opened(more=f"otel: {{endpoint: {collector.endpoint}, service_name: watcher}}\n")
    with ExitStack() as stack:
        service = service_of(daemon, stack)
        service.scheduler = type("Idle", (), {"remove_all_jobs": lambda _: None, "add_job": lambda *_, **__: None})()
        daemon.run_due(START)
        path = daemon.watch.path
        path.write_text(path.read_text().partition("otel:")[0])
        service._switch(load_watch(path))
        assert collector.wait(
            lambda: {"driftwatch.observe", "driftwatch.check"} <= {each.name for each in collector.spans}
        )
        assert collector.resources[0]["service.name"] == "watcher"
        sent = len(collector.requests)
        daemon.run_due(START + SIX_HOURS)
        assert not collector.wait(lambda: len(collector.requests) > sent, 0.2)
        daemon.stop.set()
    collector.close()


def test_without_the_extra_the_daemon_says_so_when_it_starts(opened: Open, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    daemon = opened(more="otel: {}\n")
    with ExitStack() as stack, pytest.raises(MissingExtra, match=r"driftwatch-rag\[otel\]"):
        service_of(daemon, stack)
