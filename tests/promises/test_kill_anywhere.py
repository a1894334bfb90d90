"""Kill -9 at every write and every send of the real daemon: nothing is lost, nothing is counted twice.

The story: German canaries fail until somebody has been told, then they are mended. The daemon is killed at the n-th
write or send of that story and started again; whatever n is, the receiver learns of the failure and of the end, repeats
carry the same key, and every line of the log is counted exactly once.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
DAEMON = ROOT / "tests" / "faults" / "daemon_that_dies.py"
LINES = 400
PATIENCE = 60.0
"""Seconds for one story."""

CONFIG = """
service: help-centre
database: sqlite:///driftwatch.db
retriever: {{kind: http, url: "http://127.0.0.1:{port}/search", retries: 0, timeout: 5s}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: 1s}}
  live: {{kind: query_log, path: queries.jsonl, every: 1s}}
alerts: {{after: 1, until: 1, blind_after: 50}}
api: off
notify: [{{kind: webhook, name: hook, url: "http://127.0.0.1:{port}/hook"}}]
checks: [{{name: canary recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, by: lang}}]
"""


@dataclass
class World:
    """The watched service and the receiver, in one server."""

    mended: bool = False
    told: list[tuple[str, str]] = field(default_factory=list)
    """(idempotency key, status) of every delivery that was taken."""

    def status(self) -> set[str]:
        return {status for _, status in self.told}


def handler_of(world: World) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            answer = self.search(body) if self.path == "/search" else self.hook(body)
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def search(self, body: dict) -> dict:
            lang, _, number = body["query"].split()
            found = world.mended or lang != "de"
            return {"results": [{"id": f"doc-{lang}-{number}" if found else "other", "score": 0.9}]}

        def hook(self, body: dict) -> dict:
            world.told.append((self.headers["webhook-id"], body["status"]))
            world.mended = True
            return {}

        def log_message(self, *_args: object) -> None:
            return

    return Handler


class ForgivingServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_who: object) -> None:
        """A client that was killed resets its connections; that is no news here."""


@contextmanager
def served(world: World) -> Iterator[int]:
    server = ForgivingServer(("127.0.0.1", 0), handler_of(world))
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def prepare(folder: Path, port: int) -> None:
    (folder / "driftwatch.yaml").write_text(CONFIG.format(port=port))
    canaries = [
        {"query_id": f"{lang}-{n}", "text": f"{lang} question {n}", "lang": lang, "relevant": [f"doc-{lang}-{n}"]}
        for lang in ("en", "de")
        for n in range(10)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in canaries))
    now = datetime.now(UTC) - timedelta(hours=3)
    lines = [
        {"ts": (now + timedelta(seconds=20 * n)).isoformat(), "query": f"question {n}", "lang": "en", "results": []}
        for n in range(LINES)
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@contextmanager
def started(folder: Path, die_at: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "DIE_AT": str(die_at),
        "POINTS": str(folder / f"points-{die_at}"),
        "PYTHONPATH": str(ROOT),
    }
    with (folder / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, DAEMON, "run", "--config", folder / "driftwatch.yaml"], env=environment, stderr=log
        )
        try:
            yield daemon
        finally:
            daemon.kill()
            daemon.wait()


def finished(world: World, daemon: subprocess.Popen[bytes]) -> bool:
    """Wait for the end of the story; False when the daemon died before."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if "resolved" in world.status():
            return True
        if daemon.poll() is not None:
            return False
        time.sleep(0.02)
    return False


def rows(folder: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "driftwatch.db")) as connection:
        return connection.execute(query).fetchall()


def play(folder: Path, die_at: int) -> World:
    """The whole story with one death in it."""
    world = World()
    with served(world) as port:
        prepare(folder, port)
        with started(folder, die_at) as daemon:
            if finished(world, daemon) and ended(folder, daemon):
                return world
            assert daemon.returncode == -signal.SIGKILL, said(folder)
        with started(folder, 0) as daemon:
            assert finished(world, daemon), said(folder)
            assert ended(folder, daemon), said(folder)
    return world


def ended(folder: Path, daemon: subprocess.Popen[bytes]) -> bool:
    """Until the outbox is empty (the receiver answers a moment before that is written down), then SIGTERM."""
    deadline = time.monotonic() + PATIENCE
    unfinished = "select count(*) from deliveries where finished_at is null"
    while "watching" not in said(folder) or rows(folder, unfinished)[0][0]:
        if daemon.poll() is not None:
            return False
        assert time.monotonic() < deadline, "the outbox never emptied"
        time.sleep(0.02)
    daemon.send_signal(signal.SIGTERM)
    return daemon.wait(10) == 0


def said(folder: Path) -> str:
    return (folder / "daemon.log").read_text()


def assert_nothing_lost(folder: Path, world: World) -> None:
    transitions = rows(folder, "select key, event from transitions order by number")
    assert [event for _, event in transitions] == ["firing", "resolved"]
    assert {key for key, _ in world.told} == {key for key, _ in transitions}
    assert [status for _, status in dict.fromkeys(world.told)] == ["firing", "resolved"]
    assert rows(folder, "select sum(queries) from tallies") == [(LINES,)]
    assert rows(folder, "pragma integrity_check") == [("ok",)]
    assert rows(folder, "select state from alerts where state != 'ok'") == []


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Every write and send of one whole story, in order."""
    folder = tmp_path_factory.mktemp("counted")
    world = play(folder, 0)
    assert_nothing_lost(folder, world)
    return (folder / "points-0").read_text().splitlines()


def test_the_story_has_writes_and_sends_to_die_at(points: list[str]):
    words = " ".join(points)
    assert "before commit" in words
    assert "before telling hook firing" in words
    assert "after telling hook resolved" in words


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.6, 0.8, 0.97])
def test_a_death_now_and_then_loses_nothing(tmp_path: Path, points: list[str], share: float):
    world = play(tmp_path, max(1, round(share * len(points))))
    assert_nothing_lost(tmp_path, world)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_death_at_every_point_loses_nothing(tmp_path: Path, points: list[str]):
    for number in range(1, len(points) + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        world = play(folder, number)
        assert_nothing_lost(folder, world)
