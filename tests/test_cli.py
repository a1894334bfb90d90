"""The verbs, run as a user runs them: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.fakes.world import RECALL, make_world

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[1]
VERBS = [
    "init",
    "validate",
    "kinds",
    "run",
    "check",
    "demo",
    "test",
    "explain",
    "healthcheck",
    "probe",
    "compare",
    "threshold",
    "canaries",
    "baseline",
    "alerts",
    "notify",
]


def driftwatch(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "driftwatch.cli", *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_world(tmp_path, RECALL)
    return tmp_path


def read(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.stderr == "" or "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout)


def test_help_names_every_verb(tmp_path: Path):
    done = driftwatch("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert not [verb for verb in VERBS if verb not in done.stdout]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(tmp_path: Path, verb: str):
    done = driftwatch(verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage" in done.stdout


def test_help_costs_under_a_quarter_of_a_second_of_cpu(tmp_path: Path):
    code = (
        "import os, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'driftwatch.cli', '--help'], stdout=subprocess.DEVNULL, check=True)\n"
        "used = os.times(); print(used.children_user + used.children_system)\n"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.25, seconds


def test_init_then_validate_then_check_is_all_a_newcomer_needs(tmp_path: Path):
    assert driftwatch("init", "mine", cwd=tmp_path).returncode == 0
    content = read(driftwatch("validate", "--offline", "--json", cwd=tmp_path / "mine", SLACK_BOT_TOKEN="xoxb-1"))
    assert content["ok"], content
    assert content["jobs"]


def test_init_does_not_overwrite(tmp_path: Path):
    driftwatch("init", "mine", cwd=tmp_path)
    done = driftwatch("init", "mine", cwd=tmp_path)
    assert done.returncode == 3
    assert "--force" in done.stderr


def test_a_wrong_configuration_is_one_message_and_exit_code_3(tmp_path: Path):
    (tmp_path / "driftwatch.yaml").write_text("service: x\nretreiver: {}\n")
    done = driftwatch("validate", cwd=tmp_path)
    assert done.returncode == 3
    assert "driftwatch.yaml:2" in done.stderr
    assert "Did you mean 'retriever'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_an_error_quotes_cannot_move_the_terminal(tmp_path: Path):
    (tmp_path / "set.csv").write_text("query_id,query,relevant\na\x07\u202e,Where?,d1\na\x07\u202e,When?,d2\n")
    done = driftwatch("canaries", "import", "set.csv", "--out", "new.jsonl", cwd=tmp_path)
    assert done.returncode == 3
    assert "set.csv:3: the query_id 'a' is also at set.csv:2." in done.stderr
    assert not {"\x07", "\u202e"} & set(done.stderr)


def test_validate_shows_the_next_three_runs(project: Path):
    content = read(driftwatch("validate", "--json", cwd=project))
    assert content["ok"], content
    assert {len(job["next"]) for job in content["jobs"]} == {3}
    assert {each["what"]: each["state"] for each in content["reached"]}["source canaries"] == "ok"
    assert not (project / "driftwatch.db").exists()


def test_validate_says_what_reports_and_retraining_will_do(project: Path):
    path = project / "driftwatch.yaml"
    path.write_text(path.read_text() + "report: {every: mon 08:00}\nretrain: {when: [canary recall]}\n")
    content = read(driftwatch("validate", "--offline", "--json", cwd=project))
    path.write_text(path.read_text().replace("canary recall]", "canary recall], trainer: {run: [train.sh]}"))
    elsewhere = read(driftwatch("validate", "--json", cwd=project))
    said = {each["what"]: each["said"] for each in (*content["reached"], *elsewhere["reached"])}
    assert "mon 08:00" in said["report"] or "driftwatch-rag[report]" in said["report"]
    assert said["retrain"] == "prepared when canary recall asks for it, and trained elsewhere"


def test_validate_shows_utc_and_local_time(project: Path):
    path = project / "driftwatch.yaml"
    path.write_text(path.read_text() + "timezone: Asia/Tokyo\n")
    done = driftwatch("validate", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "UTC" in done.stdout
    assert "JST" in done.stdout


def test_check_is_a_gate_with_an_exit_code(project: Path):
    done = driftwatch("check", "--json", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {finding["verdict"] for finding in read(done)["findings"]} == {"ok"}


def test_check_fails_when_a_floor_is_broken(project: Path):
    canaries = project / "canaries.jsonl"
    canaries.write_text(canaries.read_text().replace('"doc-de-', '"gone-'))
    done = driftwatch("check", "canary recall", cwd=project)
    assert done.returncode == 1
    assert "fail" in done.stdout


def test_check_of_an_unknown_name_says_which_there_are(project: Path):
    done = driftwatch("check", "recal", cwd=project)
    assert done.returncode == 3
    assert "canary recall" in done.stderr


def test_check_does_not_write(project: Path):
    driftwatch("check", cwd=project)
    assert read(driftwatch("alerts", "--json", cwd=project))["alerts"] == []
    assert read(driftwatch("baseline", "show", "--json", cwd=project))["baselines"]["canaries"] == {
        "learning": "0 of 2 days"
    }


def failing(project: Path) -> None:
    canaries = project / "canaries.jsonl"
    canaries.write_text(canaries.read_text().replace('"doc-de-', '"gone-'))
    for _ in range(2):
        assert driftwatch("check", "--record", cwd=project).returncode == 1


def test_recorded_failures_become_an_alert_that_can_be_explained_and_acknowledged(project: Path):
    failing(project)
    (alert,) = read(driftwatch("alerts", "--json", cwd=project))["alerts"]
    assert (alert["segment"], alert["state"]) == ("de", "firing")
    explained = driftwatch("explain", alert["incident"], cwd=project)
    assert explained.returncode == 0, explained.stderr
    assert "de question" in explained.stdout
    content = read(driftwatch("explain", "canary recall:de", "--json", cwd=project))
    assert content["alerts"][0]["examples"]
    done = driftwatch("alerts", "ack", alert["incident"], "--author", "ann", cwd=project)
    assert done.returncode == 0, done.stderr
    (alert,) = read(driftwatch("alerts", "--json", cwd=project))["alerts"]
    assert alert["acknowledged_by"] == "ann"


def test_an_incident_that_was_over_and_fires_again_is_shown_with_all_of_its_openings(project: Path):
    failing(project)
    canaries = project / "canaries.jsonl"
    canaries.write_text(canaries.read_text().replace('"gone-', '"doc-de-'))
    for _ in range(2):
        driftwatch("check", "--record", cwd=project)
    failing(project)
    shown = read(driftwatch("alerts", "--json", cwd=project))
    (alert,) = shown["alerts"]
    assert alert["last_incident"] == alert["incident"]
    assert shown["openings"] == {alert["incident"]: 2}
    assert len(read(driftwatch("explain", alert["incident"], "--json", cwd=project))["openings"]) == 2
    assert f"{alert['incident']} has opened 2 times" in driftwatch("explain", alert["incident"], cwd=project).stdout


def test_a_silence_has_an_end_an_author_and_a_reason(project: Path):
    done = driftwatch(
        "alerts", "silence", "canary recall", "--for", "2h", "--reason", "re-index", "--author", "ann", cwd=project
    )
    assert done.returncode == 0, done.stderr
    (silence,) = read(driftwatch("alerts", "--json", cwd=project))["silences"]
    assert (silence["author"], silence["reason"]) == ("ann", "re-index")
    assert datetime.fromisoformat(silence["until"]) > datetime.now(UTC) + timedelta(minutes=110)


def test_a_change_is_announced_listed_and_ended(project: Path):
    announce = ("alerts", "expect", "release 4", "--author", "ann", "--json")
    made = read(driftwatch(*announce, "--to", "2126-05-04", cwd=project))["expected"]
    assert (made["author"], made["reason"], made["end"]) == ("ann", "release 4", "2126-05-05T00:00:00Z")
    assert [each["change_id"] for each in read(driftwatch("alerts", "--json", cwd=project))["expected"]] == [
        made["change_id"]
    ]
    ended = driftwatch("alerts", "expected-end", made["change_id"], "--author", "ben", cwd=project)
    assert ended.returncode == 0, ended.stderr
    assert read(driftwatch("alerts", "--json", cwd=project))["expected"] == []
    assert driftwatch("alerts", "expected-end", made["change_id"], cwd=project).returncode == 3
    past = driftwatch(*announce, "--from", "2020-01-01", "--to", "2020-01-02", cwd=project)
    assert (past.returncode, "in the past" in past.stderr) == (3, True)


def test_the_baseline_is_moved_by_hand_with_a_reason(project: Path):
    done = driftwatch(
        "baseline", "set", "--from", "2026-05-04", "--to", "2026-05-17", "--reason", "new index", "--json", cwd=project
    )
    made = read(done)["baseline"]
    assert (made["start"], made["end"]) == ("2026-05-04T00:00:00Z", "2026-05-18T00:00:00Z")
    shown = read(driftwatch("baseline", "show", "--json", cwd=project))["baselines"]
    assert shown["canaries"]["reason"] == "new index"


def test_a_baseline_in_the_future_is_refused(project: Path):
    done = driftwatch("baseline", "set", "--from", "2999-01-01", "--to", "2999-01-02", "--reason", "x", cwd=project)
    assert done.returncode == 3
    assert "stretch of the past" in done.stderr


@pytest.mark.parametrize("words", [["explain", "nothing"], ["alerts", "ack", "nothing"]])
def test_an_unknown_alert_says_where_to_look(project: Path, words: list[str]):
    done = driftwatch(*words, cwd=project)
    assert done.returncode == 3
    assert "driftwatch alerts" in done.stderr


def test_kinds_lists_every_kind(tmp_path: Path):
    kinds = {(each["room"], each["kind"]) for each in read(driftwatch("kinds", "--json", cwd=tmp_path))["kinds"]}
    assert {("checks", "canary"), ("sources", "push"), ("retrievers", "http"), ("notify", "slack")} <= kinds


def test_one_kind_shows_its_settings(tmp_path: Path):
    content = read(driftwatch("kinds", "canary", "--json", cwd=tmp_path))
    assert "at_least" in {setting["name"] for setting in content["settings"]}


def test_an_unknown_kind_is_an_error(tmp_path: Path):
    done = driftwatch("kinds", "canery", cwd=tmp_path)
    assert done.returncode == 3


def test_notify_test_sends_a_sample(project: Path):
    done = driftwatch("notify", "test", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "This is a test" in done.stdout + done.stderr


def test_healthcheck_of_nobody_is_1(project: Path):
    done = driftwatch("healthcheck", "--url", "http://127.0.0.1:9", cwd=project)
    assert done.returncode == 1
    assert "unhealthy" in done.stderr
