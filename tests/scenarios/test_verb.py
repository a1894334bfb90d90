"""`driftwatch test`, run as a user runs it: a process in a folder of the user's own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]

FLOOR = "- {name: recall, kind: canary, source: canaries, measure: R@10, at_least: 0.9, by: lang, after: 1, until: 1}\n"
LOST = """\
checks: checks.yaml
days: 6
every: 12h
traffic: {en: 120}
change:
  - {day: 3, until: 4, recall: 0.5}
expect:
  - {day: 3, check: recall, segment: [en, all], is: firing}
  - {day: 5, check: recall, segment: [en, all], is: resolved}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / "temporary").mkdir()
    (folder / "checks.yaml").write_text(FLOOR)
    (folder / "lost.yaml").write_text(LOST)
    return folder


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "driftwatch.cli", "test", *words]


def environment(project: Path) -> dict[str, str]:
    temporary = str(project.parent / "temporary")
    return {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": temporary, "COLUMNS": "80"}


def ran(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*words), cwd=project, env=environment(project), capture_output=True, text=True, check=False, timeout=100
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def left_behind(project: Path) -> set[str]:
    """What a run leaves in the temporary folder, and in the user's beside what was there."""
    there = {path.name for path in project.iterdir()} - {"checks.yaml", "lost.yaml"}
    return there | {path.name for path in (project.parent / "temporary").iterdir()}


def test_each_expectation_is_a_line_and_the_exit_code_is_0_when_all_hold(project):
    done = ran(project, "lost.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, summary = done.stdout.splitlines()
    assert lines == [
        "held     lost.yaml:8: day 3: recall in en is firing since day 3 12:00",
        "held     lost.yaml:8: day 3: recall in all is firing since day 3 12:00",
        "held     lost.yaml:9: day 5: recall in en is resolved since day 4 12:00",
        "held     lost.yaml:9: day 5: recall in all is resolved since day 4 12:00",
    ]
    assert summary.startswith("1 scenario: 4 held, none not held; 12 looks in ")
    assert not left_behind(project)


def test_what_does_not_hold_is_told_with_what_was_seen_and_the_exit_code_is_1(project):
    (project / "wrong.yaml").write_text(
        LOST.replace("{day: 3, check: recall, segment: [en, all]", "{day: 2, check: recall")
    )
    done = ran(project, "wrong.yaml")
    assert done.returncode == 1
    missed = (
        "not held wrong.yaml:8: day 2: recall in all is ok, expected firing; it came on day 3 12:00; what it said: "
    )
    assert missed in done.stdout
    assert "not held wrong.yaml:7: day 3 12:00: recall in en is firing, which nobody expected; " in done.stdout
    assert "2 held, 3 not held" in done.stdout


def test_an_error_in_any_file_is_told_before_anything_is_played(project):
    (project / "typo.yaml").write_text(LOST.replace("recall: 0.5", "recal: 0.5"))
    (project / "name.yaml").write_text(LOST.replace("check: recall", "check: recal"))
    done = ran(project, "lost.yaml", "typo.yaml", "name.yaml", "nowhere.yaml")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "typo.yaml:6: 'change[0]' has no setting 'recal'. Did you mean 'recall'?" in done.stderr
    assert "name.yaml:8: there is no check 'recal'. Did you mean 'recall'?" in done.stderr
    assert "nowhere.yaml: it cannot be read: No such file or directory." in done.stderr


def test_a_pace_that_is_none_is_an_error(project):
    done = ran(project, "lost.yaml", "--looks", "5h")
    assert done.returncode == 3
    assert "--looks 5h: it must be whole hours that a day is made of. Write '1h', '6h' or '12h'." in done.stderr


def test_the_pace_of_the_command_line_goes_before_that_of_the_file(project):
    assert "24 looks" in ran(project, "lost.yaml", "--looks", "6h").stdout


def test_json_is_one_object_on_standard_output(project):
    told = json.loads(ran(project, "lost.yaml", "--json").stdout)
    (scenario,) = told["scenarios"]
    assert (told["ok"], scenario["file"], scenario["looks"], scenario["ok"]) == (True, "lost.yaml", 12, True)
    assert scenario["outcomes"][0] == {
        "kind": "expect",
        "line": "lost.yaml:8",
        "check": "recall",
        "segment": "en",
        "wanted": "day 3: recall in en is firing",
        "held": True,
        "seen": "firing",
        "at": "2026-05-08T12:00:00Z",
        "day": "day 3 12:00",
        "said": scenario["outcomes"][0]["said"],
    }
    assert "0.50" in scenario["outcomes"][0]["said"]


def test_several_processes_say_the_same_in_the_same_order(project):
    (project / "other.yaml").write_text(LOST.replace("until: 4, ", "").replace("day: 5", "day: 6"))
    files = ("other.yaml", "lost.yaml")
    one = json.loads(ran(project, *files, "--json").stdout)
    two = json.loads(ran(project, *files, "--json", "--jobs", "2").stdout)
    assert one["scenarios"] == two["scenarios"]
    assert [each["file"] for each in two["scenarios"]] == list(files)
    assert [each["ok"] for each in two["scenarios"]] == [False, True]
    assert left_behind(project) == {"other.yaml"}


def test_a_check_of_the_users_own_beside_the_file_is_tested_and_may_break(project):
    (project / "acme.py").write_text(
        "from driftwatch.checks.volume import Volume\n\n\n"
        "class Fresh(Volume):\n    kind: str\n\n"
        "    def judge(self, current, reference, previous):\n        return 1 / 0\n"
    )
    (project / "checks.yaml").write_text("- {name: fresh, kind: 'acme:Fresh', source: live, window: 12h}\n")
    (project / "own.yaml").write_text("checks: checks.yaml\ndays: 2\nevery: 12h\nquiet: [fresh]\n")
    for jobs in ("1", "2"):
        done = ran(project, "own.yaml", "own.yaml", "--jobs", jobs)
        assert done.returncode == 1
        assert (
            "fresh is not quiet, it never judged anything; what it said: this check broke: ZeroDivision" in done.stdout
        )
    assert left_behind(project) == {"acme.py", "own.yaml"}


def test_being_told_to_stop_leaves_nothing_behind(project):
    (project / "long.yaml").write_text(LOST.replace("days: 6", "days: 400").replace("every: 12h\n", ""))
    files = ("long.yaml", "lost.yaml")
    for jobs in ("1", "2"):
        with subprocess.Popen(
            command(*files, "--jobs", jobs), cwd=project, env=environment(project), stderr=subprocess.PIPE, text=True
        ) as running:
            temporary = project.parent / "temporary"
            deadline = time.monotonic() + 60
            while not list(temporary.glob("driftwatch-test-*/*/queries.jsonl")) and time.monotonic() < deadline:
                time.sleep(0.05)
            try:
                assert list(temporary.iterdir())
                running.send_signal(signal.SIGTERM)
                _, said = running.communicate(timeout=30)
            finally:
                running.kill()
        assert running.returncode == 128 + signal.SIGTERM, said
        assert "Traceback" not in said
        assert left_behind(project) == {"long.yaml"}
