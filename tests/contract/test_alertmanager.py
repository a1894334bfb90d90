"""The Alertmanager of the tests says what the real one says; skipped where that is not installed."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from driftwatch.notify.alertmanager import Alertmanager
from tests.fakes.alertmanager import FakeAlertmanager
from tests.fakes.notices import story, with_text

pytestmark = pytest.mark.process

FIRED, RESOLVED = story("bbgg")
JSON = {"Content-Type": "application/json"}
PROGRAM = os.environ.get("DRIFTWATCH_ALERTMANAGER") or shutil.which("prometheus-alertmanager")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Alertmanager that tells nobody."""
    if PROGRAM is None:
        pytest.skip("there is no Alertmanager; install Debian's package 'prometheus-alertmanager'")
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    arguments = [
        f"--config.file={folder / 'config.yml'}",
        f"--storage.path={folder}",
        f"--web.listen-address={address}",
    ]
    process = subprocess.Popen([PROGRAM, *arguments, "--cluster.listen-address="], stderr=subprocess.DEVNULL)
    try:
        _until_ready(f"http://{address}", process)
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


def _until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert process.poll() is None, "Alertmanager ended at once"
        try:
            if httpx.get(f"{url}/-/ready").is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError("Alertmanager did not become ready")


def receiver(url: str) -> Alertmanager:
    return Alertmanager(kind="alertmanager", urls=(url,), show_queries=True)


def active(url: str) -> list[tuple[str, str]]:
    """Severity and end of what the real one shows as active."""
    shown: list[dict[str, Any]] = httpx.get(f"{url}/api/v2/alerts").json()
    return [(each["labels"]["severity"], each["endsAt"]) for each in shown]


def test_an_alert_is_open_as_long_as_it_is_repeated_and_over_when_it_is(real: str) -> None:
    prom = receiver(real)
    prom.deliver(replace(FIRED, url="https://driftwatch.example.org/incidents/x"), None, repeat=False)
    ((severity, first),) = active(real)
    assert severity == "critical"
    prom.tell_again([FIRED], datetime.now(UTC) + timedelta(minutes=1))
    ((_, second),) = active(real)
    assert second > first
    prom.deliver(RESOLVED, "x", repeat=False)
    assert active(real) == []


def test_what_was_blind_and_fails_then_is_one_alert_that_is_open(real: str) -> None:
    prom = receiver(real)
    for notice, severity in zip(story("uub", pages=True), ("warning", "critical"), strict=True):
        prom.deliver(notice, None, repeat=False)
        assert [each[0] for each in active(real)] == [severity]


@pytest.mark.parametrize("hostile", ["<!channel> \x1b[31m\u202e", "\ud800", "A" * 200_000, "", '"}{', "\\u0000"])
def test_it_takes_whatever_people_wrote(real: str, hostile: str) -> None:
    for notice in (FIRED, RESOLVED, *story("uug")):
        receiver(real).deliver(with_text(notice, hostile), None, repeat=False)


NOW = datetime.now(UTC)
EARLY, LATE = ((NOW + timedelta(minutes=n)).isoformat() for n in (1, 5))
BODIES: list[Any] = [
    [],
    [{"labels": {"a": "b"}, "endsAt": LATE}],
    [{"labels": {"a": "b"}, "startsAt": LATE, "endsAt": EARLY}],
    [{"labels": {"a": "b"}, "startsAt": "yesterday"}],
    [{"labels": {"a": "b"}, "generatorURL": "not a uri"}],
    [{"labels": {"a": "b"}, "generatorURL": "/x"}],
    [{"labels": {"a": "b"}, "annotations": {"x-y": "z"}}],
    [{"labels": {"a": 1}}],
    [{"labels": {"a-b": "c"}}],
    [{"labels": {"a": ""}}],
    [{"labels": {}}],
    [{"annotations": {}}],
    [1],
    {"labels": {}},
    "text",
]


@pytest.mark.parametrize("body", [*map(json.dumps, BODIES), "{"], ids=map(str, range(len(BODIES) + 1)))
def test_both_answer_the_same(real: str, body: str) -> None:
    with FakeAlertmanager() as fake:
        ours, theirs = (httpx.post(f"{url}/api/v2/alerts", content=body, headers=JSON) for url in (fake.url, real))
    assert ours.status_code == theirs.status_code
    known, wanted = _said(ours), _said(theirs)
    if isinstance(wanted, dict):
        assert known["code"] == wanted["code"]
        assert known["message"].split(" because ")[0] == wanted["message"].split(" because ")[0]
    else:
        assert known == wanted


def _said(answer: httpx.Response) -> Any:
    return answer.json() if answer.text.strip() else ""


@pytest.mark.parametrize(("method", "path", "media"), [("POST", "alerts", "text/plain"), ("GET", "nothing", "")])
def test_both_refuse_what_is_no_request_of_the_api(real: str, method: str, path: str, media: str) -> None:
    with FakeAlertmanager() as fake:
        headers = {"Content-Type": media} if media else {}
        codes = [
            httpx.request(method, f"{url}/api/v2/{path}", content=b"[]", headers=headers).status_code
            for url in (fake.url, real)
        ]
    assert codes[0] == codes[1] >= 400
