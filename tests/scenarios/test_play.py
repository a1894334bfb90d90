"""The player itself: that it can say no, where, and why."""

import json
from pathlib import Path

import pytest

from driftwatch.errors import ConfigErrors
from tests.scenarios.form import START, Script, read_scenario
from tests.scenarios.play import HOUR, SHARED, Stage
from tests.scenarios.simulated import Simulation

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
    return read_scenario(folder / "scenario.yaml")


def failures(folder: Path, *lines: str, days: int = 21, checks: str = RECALL) -> list[str]:
    (folder / "stage").mkdir(exist_ok=True)
    return Stage(folder, folder / "stage").play(scripted(folder, *lines, days=days, checks=checks)).failures()


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
    early = "expect: [{day: 20, within: 12h, check: canary recall, segment: de, is: firing}]\n"
    missed, unexpected = failures(tmp_path, LOST, early)
    assert "day 20 to day 20 12:00: canary recall in de is pending, expected to have been firing by then" in missed
    assert "day 21 00:00: canary recall in de is firing, which nobody expected" in unexpected


def test_an_alert_that_nobody_expected_is_a_failure_with_what_was_said(tmp_path):
    (failure,) = failures(tmp_path, LOST, "quiet: [canary recall]\n")
    assert failure.startswith(f"{tmp_path}/scenario.yaml:6: day 21 00:00: canary recall in de is firing, ")
    assert "which nobody expected; what it said: recall R@10 fell from 1.00 to 0.50" in failure


def test_an_alert_after_it_had_to_be_over_is_a_failure(tmp_path):
    twice = "change: [{day: 20, until: 21, lang: de, recall: 0.5}, {day: 23, lang: de, recall: 0.5}]\n"
    once = "expect:\n  - {day: 20, check: canary recall, segment: de, is: firing}\n"
    over = "  - {day: 22, check: canary recall, segment: de, is: resolved}\n"
    (failure,) = failures(tmp_path, twice, once, over, days=24)
    assert "day 24 00:00: canary recall in de is firing, which nobody expected" in failure


def test_a_false_alarm_before_anything_changed_is_not_excused_by_what_comes_later(tmp_path):
    flaky = HEAD.replace("en: 120", "en: 300")  # languages with more traffic have canaries that come and go
    (tmp_path / "checks.yaml").write_text(NERVOUS)
    (tmp_path / "stage").mkdir()
    later = "days: 3\nchange: [{day: 3, recall: 0.5}]\nexpect: [{day: 3, check: nervous, is: firing}]\n"
    (tmp_path / "scenario.yaml").write_text(flaky + later)
    said = Stage(tmp_path, tmp_path / "stage").play(read_scenario(tmp_path / "scenario.yaml")).failures()
    assert "day 1 12:00: nervous in all is firing, which nobody expected" in said[0]


def test_a_check_that_never_knows_anything_is_not_quiet(tmp_path):
    (failure,) = failures(tmp_path, "quiet: [deaf]\n", days=16, checks=DEAF)
    assert "deaf is not quiet, it never judged anything; it said: " in failure


def test_silence_about_what_is_unknown_is_not_ok(tmp_path):
    (failure,) = failures(tmp_path, "expect: [{day: 16, check: deaf, is: ok}]\n", days=16, checks=DEAF)
    assert "deaf in all is unknown, expected ok" in failure


def test_resolved_needs_that_it_was_open(tmp_path):
    (failure,) = failures(tmp_path, "expect: [{day: 16, check: traffic, is: resolved}]\n", days=16, checks=TRAFFIC)
    assert "traffic in all is ok, expected resolved" in failure


def test_what_scenarios_share_is_played_once_and_changes_nothing(tmp_path, monkeypatch):
    expect = "expect: [{day: 20, check: canary recall, segment: de, is: firing}]\nquiet: [traffic]\n"
    script = scripted(tmp_path, LOST, expect, checks=RECALL + TRAFFIC)
    (tmp_path / "alone").mkdir()
    (tmp_path / "stage").mkdir()
    stage = Stage(tmp_path, tmp_path / "stage")
    other = Script(script.scenario.model_copy(update={"change": (), "expect": ()}), script.document)
    assert stage.play(other).looks[:38] == stage.play(script).looks[:38]
    again = stage.play(script)
    monkeypatch.setattr("tests.scenarios.play.SHARED", script.scenario.end)
    alone = Stage(tmp_path, tmp_path / "alone").play(script)
    assert [look.states for look in again.looks] == [look.states for look in alone.looks]
    assert again.looks[-1].newest == alone.looks[-1].newest
    assert sum(1 for _ in (tmp_path / "stage").iterdir()) == 1


WRONG = {
    "change: [{day: 20, lang: de, recal: 0.5}]": "5: 'change[0]' has no setting 'recal'. Did you mean 'recall'?",
    "change: [{day: 20, lang: de, recall: 1.5}]": "5: 'change[0].recall' must be 1 or less, not 1.5.",
    "change: [{day: 20, lang: de}]": "5: 'change[0]': it changes nothing. Name one of recall, empty,",
    "change: [{day: 20, share: 0.5}]": "5: 'change[0]': 'share' needs 'lang'",
    "change: [{day: 20, until: 19, volume: 0}]": "5: 'change[0]': 'until' (19) is not after 'day' (20).",
    "change: [{day: 22, volume: 0}]": "5: the scenario ends with day 21.",
    "change: [{day: 20, lang: xx, volume: 0}]": "5: nobody speaks 'xx' in this scenario. There are: de, en.",
    "expect:\n  - {day: 20, check: deaf, is: fireing}": "6: 'expect[0].is' must be 'firing', ",
    "expect:\n  - {day: 20, check: deaf}": "6: 'expect[0]' needs 'is'.",
    "expect:\n  - {day: 21, within: 2d, check: deaf, is: ok}": "6: the scenario ends with day 21.",
    "expect:\n  - {day: 20, check: deaf, segment: fr, is: ok}": "6: nobody speaks 'fr' in this scenario.",
    "expect:\n  - {day: 20, check: traffic, is: firing}": "6: 'traffic' cannot be firing and quiet.",
}


@pytest.mark.parametrize(("lines", "said"), WRONG.items(), ids=WRONG.values())
def test_a_scenario_that_cannot_be_meant_is_refused_with_its_line(lines, said, tmp_path):
    with pytest.raises(ConfigErrors) as refused:
        scripted(tmp_path, lines, "\nquiet: [traffic]\n")
    assert f"{tmp_path}/scenario.yaml:{said}" in str(refused.value).replace("be one of", "be")


def test_a_scenario_that_expects_nothing_is_refused(tmp_path):
    with pytest.raises(ConfigErrors, match=r"scenario\.yaml:1: nothing is expected, so nothing can go wrong"):
        scripted(tmp_path, LOST)


@pytest.mark.parametrize("every", ["5h", "90m", "2d"])
def test_a_step_that_no_day_is_made_of_is_refused(every, tmp_path):
    (tmp_path / "scenario.yaml").write_text(f"checks: x.yaml\nevery: {every}\nquiet: [traffic]\n")
    with pytest.raises(ConfigErrors, match=r"scenario\.yaml:2: 'every': it must be whole hours"):
        read_scenario(tmp_path / "scenario.yaml")


def test_a_check_that_does_not_exist_is_refused_before_the_month_is_played(tmp_path):
    script = scripted(
        tmp_path, "expect: [{day: 2, check: canary recal, is: ok}]\nquiet: [trafic]\n", checks=RECALL + TRAFFIC
    )
    (tmp_path / "stage").mkdir()
    with pytest.raises(ConfigErrors) as refused:
        Stage(tmp_path, tmp_path / "stage").play(script)
    assert ":5: there is no check 'canary recal'. Did you mean 'canary recall'?" in str(refused.value)
    assert ":6: there is no check 'trafic'. Did you mean 'traffic'?" in str(refused.value)


def logged(folder: Path, change: str, day: int = 20) -> list[dict]:
    simulation = Simulation(scripted(folder, change, "quiet: [canary recall]\n").scenario)
    start = START + (day - 1) * 24 * HOUR
    return [json.loads(line) for line in simulation.log(start, start + 24 * HOUR).splitlines()]


def test_the_simulated_log_does_what_the_change_says(tmp_path):
    usual, changed = (logged(tmp_path, "change: [{day: 20, lang: de, empty: 0.5}]\n", day) for day in (19, 20))

    def empty(rows: list[dict], lang: str) -> float:
        found = [not row["results"] for row in rows if row["lang"] == lang]
        return sum(found) / len(found)

    assert empty(usual, "de") < 0.1
    assert abs(empty(changed, "de") - 0.5) < 0.2
    assert empty(changed, "en") < 0.1
    assert not logged(tmp_path, "change: [{day: 20, volume: 0}]\n")


def test_a_share_of_one_language_leaves_the_number_of_queries_as_it_was(tmp_path):
    rows = logged(tmp_path, "change: [{day: 20, lang: de, share: 0.9}]\n")
    assert abs(sum(row["lang"] == "de" for row in rows) / len(rows) - 0.9) < 0.1
    assert 180 < len(rows) < 310


def test_the_same_hour_brings_the_same_queries_however_the_clock_goes(tmp_path):
    simulation = Simulation(scripted(tmp_path, "quiet: [traffic]\n").scenario)
    in_one = simulation.log(SHARED, SHARED + 6 * HOUR)
    assert in_one == b"".join(simulation.log(SHARED + n * HOUR, SHARED + (n + 1) * HOUR) for n in range(6))
