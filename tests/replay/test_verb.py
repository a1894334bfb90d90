"""`driftwatch replay` as a user runs it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from driftwatch.daemon import Daemon
from driftwatch.store import Store
from tests.fakes.world import EMPTY, START, append, log_lines, make_world

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def replayed(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "driftwatch.cli", "replay", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    quiet = log_lines(START, 24 * 4, an_hour=20)
    return write(
        tmp_path / "yesterday.jsonl", [*quiet, *log_lines(START + timedelta(days=4), 48, an_hour=20, empty=0.5)]
    )


def test_one_command_judges_a_log_without_any_configuration(log: Path) -> None:
    done = replayed("--log", log.name, cwd=log.parent)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "live: 8,640 lines" in done.stdout
    assert "queries without results rose" in done.stdout
    assert "pages: " in done.stdout
    assert "Left out: abstentions:" in done.stdout
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_the_same_as_one_json_object(log: Path, tmp_path: Path) -> None:
    write(
        tmp_path / "events.jsonl", [json.dumps({"at": (START + timedelta(days=4)).isoformat(), "name": "filter broke"})]
    )
    done = replayed("--log", log.name, "--events", "events.jsonl", "--json", cwd=log.parent)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert "firing" in [each["event"] for each in report["said"]]
    assert report["events"][0]["event"]["name"] == "filter broke"
    assert report["events"][0]["check"]
    assert report["pages"]["count"] >= 1
    assert report["pages"]["interval"][0] <= report["pages"]["per_quarter"] <= report["pages"]["interval"][1]
    assert report["recorded"][0]["taken"]["rejected"] == 0


def test_a_mistake_is_one_sentence_and_exit_code_3(tmp_path: Path) -> None:
    done = replayed(cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is nothing to replay" in done.stderr
    named = replayed("--config", "other.yaml", cwd=tmp_path)
    assert (named.returncode, named.stdout) == (3, "")
    assert "there is no such file" in named.stderr
    assert replayed("--log", "x", "--field", "ts", cwd=tmp_path).stderr.startswith(
        "driftwatch: --field ts names no field"
    )


def test_a_stored_history_is_replayed_and_left_as_it_is(tmp_path: Path) -> None:
    watch = make_world(tmp_path, EMPTY)
    append(tmp_path, log_lines(START, 24 * 3, an_hour=40))
    append(tmp_path, log_lines(START + timedelta(days=3), 24, an_hour=40, empty=0.4))
    store = Store.open(watch.database)
    daemon = Daemon(watch, store, notifiers=())
    for hour in range(24 * 4 + 1):
        daemon.run_due(START + timedelta(hours=hour))
    live = {(each.check, each.segment, each.state) for each in store.decisions.alerts().values() if each.state != "ok"}
    store.close()
    before = (tmp_path / "driftwatch.db").read_bytes()
    done = replayed("--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["said"]
    assert {(each["check"], each["segment"], each["event"]) for each in said} == live
    assert (tmp_path / "driftwatch.db").read_bytes() == before
