"""The player itself: that it can say no, where, and why."""

from pathlib import Path

import pytest

from driftwatch.scenarios.outcomes import failures as failures_of
from driftwatch.scenarios.outcomes import outcomes
from driftwatch.scenarios.play import Stage, play
from driftwatch.scenarios.reading import Script, read_script

pytestmark = pytest.mark.process

RECALL = "- {name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.9, by: lang}\n"
TRAFFIC = "- {name: traffic, kind: volume, source: live, window: 6h, at_least_ratio: 0.3, min_n: 20}\n"
NERVOUS = "- {name: nervous, kind: canary, source: canaries, at_least: 1, after: 1}\n"
DEAF = "- {name: deaf, kind: rate, of: no_click, source: live, min_n: 1000000, blind_after: 1000}\n"

HEAD = "checks: checks.yaml\nevery: 12h\ntraffic: {en: 120, de: 120}\n"
LOST = "change: [{day: 20, lang: de, recall: 0.5}]\n"


def scripted(folder: Path, *lines: str, days: int = 21, checks: str = RECALL) -> Script:
    (folder / "checks.yaml").write_text(checks)
    (folder / "scenario.yaml").write_text(f"{HEAD}days: {days}\n" + "".join(lines))
    return read_script(folder / "scenario.yaml")


def failures(folder: Path, *lines: str, days: int = 21, checks: str = RECALL) -> list[str]:
    (folder / "stage").mkdir(exist_ok=True)
    return failures_of(play(scripted(folder, *lines, days=days, checks=checks), folder / "stage"))


def test_what_happens_as_expected_is_no_failure(tmp_path):
    assert not failures(tmp_path, LOST, "expect: [{day: 20, check: canary recall, segment: de, is: firing}]\n")


def test_an_alert_that_does_not_come_is_a_failure_with_its_line_and_what_was_said(tmp_path):
    firing = "expect:\n  - {day: 20, check: canary recall, segment: en, is: firing}\n"
    also = "  - {day: 20, check: canary recall, segment: de, is: firing}\n"
    (failure,) = failures(tmp_path, LOST, firing, also)
    assert failure.startswith(
        f"{tmp_path}/scenario.yaml:7: day 20: canary recall in en is ok, expected firing; what it said: "
    )
    assert "R@10 is 1.00" in failure


def test_an_alert_that_comes_too_late_is_a_failure(tmp_path):
    early = "expect: [{day: 19, within: 12h, check: canary recall, segment: de, is: firing}]\n"
    missed, unexpected = failures(tmp_path, LOST, early)
    assert "day 19 to day 19 12:00: canary recall in de is ok, expected to have been firing by then" in missed
    assert "day 20 12:00: canary recall in de is firing, which nobody expected" in unexpected


def test_an_alert_that_nobody_expected_is_a_failure_with_what_was_said(tmp_path):
    (failure,) = failures(tmp_path, LOST, "quiet: [canary recall]\n")
    assert failure.startswith(f"{tmp_path}/scenario.yaml:6: day 20 12:00: canary recall in de is firing, ")
    assert "which nobody expected; what it said: recall R@10 fell from 1.00 to 0.50" in failure


def test_an_alert_after_it_had_to_be_over_is_a_failure(tmp_path):
    twice = "change: [{day: 20, until: 21, lang: de, recall: 0.5}, {day: 23, lang: de, recall: 0.5}]\n"
    once = "expect:\n  - {day: 20, check: canary recall, segment: de, is: firing}\n"
    over = "  - {day: 22, check: canary recall, segment: de, is: resolved}\n"
    (failure,) = failures(tmp_path, twice, once, over, days=24)
    assert "day 23 12:00: canary recall in de is firing, which nobody expected" in failure


def test_a_false_alarm_before_anything_changed_is_not_excused_by_what_comes_later(tmp_path):
    flaky = HEAD.replace("en: 120", "en: 300")  # languages with more traffic have canaries that come and go
    (tmp_path / "checks.yaml").write_text(NERVOUS)
    later = "days: 3\nchange: [{day: 3, recall: 0.5}]\nexpect: [{day: 3, check: nervous, is: firing}]\n"
    (tmp_path / "scenario.yaml").write_text(flaky + later)
    said = failures_of(play(read_script(tmp_path / "scenario.yaml"), tmp_path))
    assert "day 1 12:00: nervous in all is firing, which nobody expected" in said[0]


def test_a_check_that_never_knows_anything_is_not_quiet(tmp_path):
    (failure,) = failures(tmp_path, "quiet: [deaf]\n", days=16, checks=DEAF)
    assert "deaf is not quiet, it never judged anything; what it said: " in failure


def test_silence_about_what_is_unknown_is_not_ok(tmp_path):
    (failure,) = failures(tmp_path, "expect: [{day: 16, check: deaf, is: ok}]\n", days=16, checks=DEAF)
    assert "deaf in all is unknown, expected ok" in failure


def test_resolved_needs_that_it_was_open(tmp_path):
    (failure,) = failures(tmp_path, "expect: [{day: 16, check: traffic, is: resolved}]\n", days=16, checks=TRAFFIC)
    assert "traffic in all is ok, expected resolved" in failure


def test_what_held_says_since_when(tmp_path):
    script = scripted(tmp_path, LOST, "expect: [{day: 20, check: canary recall, segment: de, is: firing}]\n")
    (outcome,) = outcomes(play(script, tmp_path))
    assert (outcome.held, outcome.seen, outcome.line) == (True, "firing", f"{tmp_path}/scenario.yaml:6")
    assert outcome.sentence == "day 20: canary recall in de is firing since day 20 12:00"


def test_an_alert_that_came_too_late_is_told_with_the_day_on_which_it_came(tmp_path):
    early = "expect: [{day: 19, within: 12h, check: canary recall, segment: de, is: firing}]\nmay: []\n"
    missed, _ = failures(tmp_path, LOST, early)
    assert "expected to have been firing by then; it came on day 20 12:00; what it said: " in missed


def test_a_check_that_may_say_something_is_no_failure(tmp_path):
    nothing = "expect: [{day: 20, check: canary recall, segment: en, is: ok}]\n"
    assert len(failures(tmp_path, LOST, nothing)) == 1
    assert not failures(tmp_path, LOST, nothing, "may: canary recall\n")


def test_what_scenarios_share_is_played_once_and_changes_nothing(tmp_path):
    expect = "expect: [{day: 20, check: canary recall, segment: de, is: firing}]\nquiet: [traffic]\n"
    script = scripted(tmp_path, LOST, expect, checks=RECALL + TRAFFIC)
    other = Script(script.scenario.model_copy(update={"change": (), "expect": ()}), script.document, script.watch)
    looks = []
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path / "stage", [other, script], lambda: looks.append(1))
    assert stage.play(other).looks[:38] == stage.play(script).looks[:38]
    again = stage.play(script)
    assert len(looks) == 38 + 3 * 4
    alone = play(script, tmp_path)
    assert [look.states for look in again.looks] == [look.states for look in alone.looks]
    assert again.looks[-1].newest == alone.looks[-1].newest
    assert sum(1 for _ in (tmp_path / "stage").iterdir()) == 1


def test_scenarios_of_other_checks_share_nothing(tmp_path):
    quiet = "quiet: [canary recall]\n"
    script = scripted(tmp_path, quiet)
    stricter = scripted(tmp_path, quiet, checks=RECALL.replace("0.9", "0.95"))
    played = []
    stage = Stage(tmp_path / "stage", [script, stricter], lambda: played.append(1))
    (tmp_path / "stage").mkdir()
    stage.play(script)
    stage.play(stricter)
    assert len(played) == 2 * 42
