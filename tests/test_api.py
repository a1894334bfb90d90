"""The HTTP side, asked over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

import httpx
import pytest

from driftwatch.api import start_server
from driftwatch.config import Api
from driftwatch.daemon import Daemon
from driftwatch.store import Store
from driftwatch.types import Alert, Finding, Transition
from tests.fakes.world import RECALL, START, make_world

pytestmark = pytest.mark.process

HOSTILE = "<script>alert(1)</script> <!channel> \x1b[31m"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    watch = make_world(tmp_path, RECALL)
    store = Store.open(watch.database)
    yield Daemon(watch, store)
    store.close()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[httpx.Client]:
    stop = start_server(daemon, Api(port=0))
    with httpx.Client(base_url=daemon.address, timeout=10) as made:
        yield made
    stop()


def record_failure(
    daemon: Daemon, message: str = "recall fell", receivers: Mapping[str, frozenset[str]] = MappingProxyType({})
) -> None:
    finding = Finding(
        "canary recall", "de", START, "fail", message, "canary", "canaries", 20, 0.4, 0.9, examples=(HOSTILE,)
    )
    alert = Alert("canary recall", "de", "firing", START, bad=2, fired_at=START, incident="canaries-de-abc")
    fired = Transition("k1", "canary recall", "de", "firing", "pending", "firing", START, "canaries-de-abc", "canaries")
    daemon.store.decisions.record(findings=[finding], alerts=[alert], transitions=[fired], receivers=receivers)


def test_health_is_about_the_daemon_only(client: httpx.Client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["dead"] == []


def test_a_part_without_a_pulse_makes_it_unhealthy(client: httpx.Client, daemon: Daemon):
    daemon.pulse.beats["scheduler"] = -1000.0
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["dead"] == ["scheduler"]


def test_what_a_receiver_refused_is_in_the_health_and_in_the_metrics(client: httpx.Client, daemon: Daemon):
    record_failure(daemon, receivers={"terminal": frozenset({"firing"})})
    delivery = daemon.store.outbox.claim("terminal", START, timedelta(minutes=1))
    daemon.store.outbox.park(delivery, "invalid_blocks", START)
    assert client.get("/healthz").json()["parked"] == {"terminal": 1}
    assert 'driftwatch_notifications_total{outcome="refused",receiver="terminal"} 1.0' in client.get("/metrics").text


def test_metrics_speak_the_prometheus_text_format(client: httpx.Client, daemon: Daemon):
    from prometheus_client.parser import text_string_to_metric_families

    record_failure(daemon)
    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}
    values = {tuple(sample.labels.values()): sample.value for sample in families["driftwatch_finding_value"].samples}
    assert values == {("canary recall", "canary", "de"): 0.4}
    states = {sample.labels["state"]: sample.value for sample in families["driftwatch_alert_active"].samples}
    assert states == {"pending": 0.0, "firing": 1.0, "blind": 0.0}


def test_pages_escape_what_a_query_wrote(client: httpx.Client, daemon: Daemon):
    record_failure(daemon, HOSTILE)
    for path in ("/", "/incidents/canaries-de-abc"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script>" not in answer.text
        assert "&lt;script&gt;" in answer.text
        assert "\x1b" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_unknown_incident_is_not_found(client: httpx.Client):
    assert client.get("/incidents/nothing").status_code == 404
    assert client.get("/v1/incidents/nothing").json() == {"error": "there is no such incident"}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "..%2f..%2fetc%2fpasswd", "%00", "'\"><img src=x>", "a" * 5000]
)
def test_a_made_up_incident_in_the_address_is_not_repeated(client: httpx.Client, name: str):
    for path in ("/incidents/", "/v1/incidents/"):
        answer = client.get(path + quote(name, safe="%"))
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"
        assert unquote(name) not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_incidents_and_findings_are_json(client: httpx.Client, daemon: Daemon):
    record_failure(daemon)
    assert client.get("/v1/findings").json()["findings"][0]["message"] == "recall fell"
    assert client.get("/v1/alerts").json()["alerts"][0]["state"] == "firing"
    assert client.get("/v1/incidents/canaries-de-abc").json()["history"][0]["event"] == "firing"


def test_a_foreign_host_name_is_refused_on_loopback(client: httpx.Client):
    assert client.get("/v1/findings", headers={"host": "evil.example"}).status_code == 421


def test_with_a_token_only_health_and_metrics_are_open(daemon: Daemon):
    stop = start_server(daemon, Api(port=0, token="s3cret"))
    with httpx.Client(base_url=daemon.address, timeout=10) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert client.get("/").status_code == 401
        assert client.get("/v1/findings", headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/v1/findings", headers={"authorization": "Bearer s3cret"}).status_code == 200
    stop()


def test_a_port_in_use_says_what_to_do(daemon: Daemon):
    from driftwatch.errors import DriftwatchError

    stop = start_server(daemon, Api(port=0))
    port = int(daemon.address.rpartition(":")[2])
    with pytest.raises(DriftwatchError, match=r"Address already in use.*port"):
        start_server(daemon, Api(port=port))
    stop()


# --- pushed queries ------------------------------------------------------------------------------------------------

PUSH = "  pushed: {kind: push, token: s0urce-t0ken, max_body: 1 MB, max_waiting: 2}\n"
GOOD = {"ts": "2026-05-04T10:00:00Z", "query": "wie lange dauert der versand", "lang": "de", "results": []}


@pytest.fixture
def pushed(tmp_path: Path) -> Iterator[tuple[Daemon, httpx.Client]]:
    from driftwatch.config import load_watch

    make_world(tmp_path, RECALL)
    path = tmp_path / "driftwatch.yaml"
    path.write_text(path.read_text().replace("sources:\n", "sources:\n" + PUSH).replace("api: off", "api: {port: 0}"))
    watch = load_watch(path)
    daemon = Daemon(watch, Store.open(watch.database))
    stop = start_server(daemon, Api(port=0))
    with httpx.Client(base_url=daemon.address, headers={"authorization": "Bearer s0urce-t0ken"}, timeout=10) as client:
        yield daemon, client
    stop()
    daemon.store.close()


def counted(daemon: Daemon) -> int:
    return daemon.store.traffic.tallies("pushed", START, START + timedelta(days=1)).total("queries")


def test_pushed_queries_are_stored_when_the_answer_comes(pushed):
    daemon, client = pushed
    answer = client.post("/v1/queries", json=[GOOD, {**GOOD, "query": "wo ist meine rechnung"}])
    assert (answer.status_code, answer.json()) == (200, {"stored": 2})
    assert counted(daemon) == 2


def test_one_object_a_line_is_taken_too(pushed):
    daemon, client = pushed
    body = "\n".join(json.dumps(GOOD) for _ in range(3))
    answer = client.post("/v1/queries", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 200
    assert counted(daemon) == 3


def test_a_session_is_one_unit_over_many_requests_also_after_a_refused_one(pushed):
    daemon, client = pushed
    for number, status in enumerate((200, 422, 200)):
        record = {**GOOD, "session": "s", "query": f"question {number}"} if status == 200 else {"query": "no time"}
        assert client.post("/v1/queries", json=[record]).status_code == status
    tallies = daemon.store.traffic.tallies("pushed", START, START + timedelta(days=1))
    assert (tallies.total("queries"), tallies.total("units")) == (2, 1)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "text/plain", 415),
        (b'[{"query": "no time"}]', "application/json", 422),
        (b"[3]", "application/json", 422),
        (b'"' + b"x" * 1_100_000 + b'"', "application/json", 413),
    ],
)
def test_a_bad_request_stores_nothing_and_says_why(pushed, body: bytes, content_type: str, status: int):
    daemon, client = pushed
    answer = client.post("/v1/queries", content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert counted(daemon) == 0


def test_one_bad_record_refuses_the_whole_request(pushed):
    daemon, client = pushed
    assert client.post("/v1/queries", json=[GOOD, {"query": "no time"}]).status_code == 422
    assert counted(daemon) == 0


@pytest.mark.parametrize("token", ["", "Bearer wrong", "s0urce-t0ken-and-more"])
def test_without_the_source_token_nothing_is_taken(pushed, token: str):
    daemon, client = pushed
    assert client.post("/v1/queries", json=[GOOD], headers={"authorization": token}).status_code == 401
    assert counted(daemon) == 0


def test_when_too_many_wait_the_client_is_asked_to_come_back(pushed):
    daemon, client = pushed
    answers = []
    with daemon.engine.observer.lock_of("pushed"):
        for _ in range(3):
            try:
                answers.append(client.post("/v1/queries", json=[GOOD], timeout=0.5))
            except httpx.ReadTimeout:
                continue
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "1")]


def test_the_api_listens_on_loopback_unless_told_otherwise():
    assert Api().host == "127.0.0.1"
