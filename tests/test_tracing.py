"""Spans of driftwatch's own work, against a real collector on this machine."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftwatch import tracing
from driftwatch.config.sections import OpenTelemetry
from driftwatch.errors import MissingExtra
from tests.fakes.jobs import until
from tests.fakes.otlp import FakeCollector, facts_of

ROOT = Path(__file__).parents[1]
SECRET = "s3cret-t0ken"


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra `otel` is not installed")
    made = FakeCollector()
    yield made
    made.close()


def test_without_an_exporter_a_span_only_takes_the_time():
    with tracing.span("check", check="recall") as work:
        work.note(segments=3)
        assert work.seconds >= 0
    taken = work.seconds
    time.sleep(0.01)
    assert work.seconds == taken
    assert work.facts == {"check": "recall", "segments": 3}


@pytest.mark.parametrize(
    ("module", "part"), [("tracing", "opentelemetry"), ("service", "opentelemetry.sdk"), ("service", "google.protobuf")]
)
def test_nothing_of_opentelemetry_is_loaded_for_it(module: str, part: str):
    code = f"import sys, driftwatch.{module}; print([name for name in sys.modules if name.startswith({part!r})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtra, match=r"pip install 'driftwatch-rag\[otel\]'"):
        tracing.export("http://127.0.0.1:9", {}, "driftwatch")


@pytest.mark.process
def test_spans_arrive_with_what_was_done_in_what(collector: FakeCollector):
    stop = tracing.export(collector.endpoint + "/", {"authorization": f"Bearer {SECRET}"}, "watcher")
    with tracing.span("tick", checks=2), tracing.span("check", check="recall", kind="canary") as work:
        work.note(segments=3)
    stop()
    assert collector.wait(lambda: len(collector.spans) == 2)
    spans = {span.name: span for span in collector.spans}
    assert facts_of(spans["driftwatch.check"]) == {
        "driftwatch.check": "recall",
        "driftwatch.kind": "canary",
        "driftwatch.segments": 3,
    }
    assert spans["driftwatch.check"].parent_span_id == spans["driftwatch.tick"].span_id
    assert spans["driftwatch.check"].trace_id == spans["driftwatch.tick"].trace_id
    ((path, headers),) = collector.requests
    assert (path, headers["authorization"]) == ("/v1/traces", f"Bearer {SECRET}")
    assert collector.resources[0]["service.name"] == "watcher"
    assert SECRET not in str([facts_of(span) for span in collector.spans]) + str(collector.resources)


@pytest.mark.process
def test_of_an_error_only_its_class_is_told(collector: FakeCollector):
    stop = tracing.export(collector.endpoint, {}, "driftwatch")
    with suppress(ValueError), tracing.span("deliver", receiver="slack"):
        raise ValueError("jane@example.org asked about her invoice")
    stop()
    assert collector.wait(lambda: bool(collector.spans))
    (span,) = collector.spans
    assert (span.status.code, span.status.message, list(span.events)) == (2, "ValueError", [])
    assert "jane" not in str(span)


@pytest.mark.process
def test_after_stopping_nothing_is_sent(collector: FakeCollector):
    tracing.export(collector.endpoint, {}, "driftwatch")()
    with tracing.span("tick"):
        pass
    assert not collector.wait(lambda: bool(collector.requests), 0.3)


@pytest.mark.process
def test_a_new_exporter_takes_the_place_of_the_one_before(collector: FakeCollector):
    before = tracing.export("http://127.0.0.1:9", {}, "before")
    after = tracing.export(collector.endpoint, {}, "after")
    before()
    with tracing.span("tick"):
        pass
    after()
    assert collector.wait(lambda: bool(collector.spans))


@pytest.mark.process
@pytest.mark.parametrize("answer", ["nobody", 503, 400])
def test_a_collector_that_takes_nothing_delays_nobody_and_is_said_once(
    collector: FakeCollector, answer: str | int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    collector.status = 200 if answer == "nobody" else int(answer)
    endpoint = "http://127.0.0.1:9" if answer == "nobody" else collector.endpoint
    caplog.set_level(logging.INFO)
    stop = tracing.export(endpoint, {}, "driftwatch")
    began = time.monotonic()
    for _ in range(5000):  # more than the queue holds
        with tracing.span("tick"):
            pass
    worked = time.monotonic() - began
    time.sleep(0.3)
    began = time.monotonic()
    stop()
    assert time.monotonic() - began < tracing.LAST_WORDS + 1
    until(lambda: not [each for each in threading.enumerate() if "spans" in each.name or "Otel" in each.name], 10)
    assert worked < 10
    assert [record.levelname for record in caplog.records].count("WARNING") <= 1
    assert {record.name.partition(".")[0] for record in caplog.records} <= {"driftwatch"}


@pytest.mark.process
def test_a_collector_that_comes_back_is_said_too(
    collector: FakeCollector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    caplog.set_level(logging.INFO)
    collector.status = 400
    stop = tracing.export(collector.endpoint, {}, "driftwatch")
    with tracing.span("tick"):
        pass
    assert collector.wait(lambda: len(collector.requests) == 1)
    collector.status = 200
    deadline = time.monotonic() + 20
    while not collector.spans and time.monotonic() < deadline:
        with tracing.span("tick"):
            time.sleep(0.02)
    stop()
    said = [record.getMessage() for record in caplog.records if record.name == "driftwatch.tracing"]
    assert said == [
        "the collector does not take spans; they are dropped until it does",
        "the collector takes spans again",
    ]


# --- before it starts ----------------------------------------------------------------------------------------------


@pytest.mark.process
def test_a_collector_is_asked_with_no_span_at_all(collector: FakeCollector):
    said = tracing.reach(collector.endpoint, {"authorization": SECRET})
    assert said == f"{collector.endpoint}/v1/traces takes spans"
    ((path, headers),) = collector.requests
    assert (path, headers["authorization"], collector.spans) == ("/v1/traces", SECRET, [])


@pytest.mark.process
@pytest.mark.parametrize("answer", ["nobody", 401])
def test_a_collector_that_is_away_is_a_warning_of_validate_and_no_more(
    tmp_path: Path, collector: FakeCollector, capsys: pytest.CaptureFixture[str], answer: str | int
):
    import json

    from driftwatch.commands.project import validate
    from tests.fakes.world import RECALL, make_world

    collector.status = 200 if answer == "nobody" else int(answer)
    endpoint = "http://127.0.0.1:9" if answer == "nobody" else collector.endpoint
    path = make_world(
        tmp_path, RECALL, more=f"otel: {{endpoint: {endpoint}, headers: {{authorization: {SECRET}}}}}\n"
    ).path
    assert validate(path, offline=False, json=True) == 0
    shown = capsys.readouterr().out
    (reached,) = [each for each in json.loads(shown)["reached"] if each["what"] == "otel"]
    assert reached["state"] == "warn"
    assert ("cannot be reached" if answer == "nobody" else "answers 401") in reached["said"]
    assert SECRET not in shown


# --- the work that has spans ---------------------------------------------------------------------------------------


@pytest.mark.process
def test_observing_judging_finding_out_and_telling_have_spans_without_any_text(
    tmp_path: Path, collector: FakeCollector
):
    from driftwatch.daemon import Daemon
    from driftwatch.store import Store
    from tests.fakes.world import BROKEN, RECALL, START, make_world

    watch = make_world(tmp_path, RECALL)
    daemon = Daemon(watch, Store.open(watch.database))
    stop = tracing.export(collector.endpoint, {}, "driftwatch")
    BROKEN.add("de")
    for hours in (0, 6):
        daemon.run_due(START + timedelta(hours=hours))
    BROKEN.clear()
    stop()
    daemon.store.close()
    names = {"observe", "tick", "check", "experiment", "deliver"}
    assert collector.wait(lambda: {f"driftwatch.{name}" for name in names} <= {span.name for span in collector.spans})
    facts = [facts_of(span) for span in collector.spans]
    assert {"driftwatch.receiver": "terminal", "driftwatch.event": "firing", "driftwatch.attempt": 1} in facts
    values = {value for each in facts for value in each.values() if isinstance(value, str)}
    assert values <= {"canaries", "canary recall", "canary", "terminal", "firing"}


# --- the section ---------------------------------------------------------------------------------------------------


def test_the_section_may_be_empty_and_hides_its_secrets():
    assert OpenTelemetry().endpoint == "http://127.0.0.1:4318"
    given = OpenTelemetry(endpoint="https://otlp.example.org/v1/traces/", headers={"authorization": SECRET})
    assert given.endpoint == "https://otlp.example.org"
    assert SECRET not in repr(given) + str(given.model_dump())


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "collector:4317"},
        {"endpoint": "http://user:password@host"},
        {"protocol": "grpc"},
        {"headers": {"a b": "c"}},
        {"headers": {"authorization": "one\r\ntwo: three"}},
        {"service_name": ""},
    ],
)
def test_what_cannot_work_is_refused_when_it_is_read(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        OpenTelemetry.model_validate(wrong)
