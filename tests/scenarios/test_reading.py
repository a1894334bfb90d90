"""What a scenario may not say, and which watch it puts to the test."""

from datetime import timedelta
from pathlib import Path

import pytest

from driftwatch.errors import ConfigErrors
from driftwatch.scenarios.reading import Script, read_script

RECALL = "- {name: canary recall, kind: canary, source: canaries, measure: R@10, at_least: 0.9, by: lang}\n"
TRAFFIC = "- {name: traffic, kind: volume, source: live, window: 6h, at_least_ratio: 0.3, min_n: 20}\n"
HEAD = "checks: checks.yaml\nevery: 12h\ntraffic: {en: 120, de: 120}\ndays: 21\n"


def read(folder: Path, text: str, *, checks: str = RECALL + TRAFFIC, config: str = "") -> Script:
    (folder / "checks.yaml").write_text(checks)
    (folder / "scenario.yaml").write_text(text)
    if config:
        (folder / "driftwatch.yaml").write_text(config)
    return read_script(folder / "scenario.yaml")


def refusal(folder: Path, text: str, **more: str) -> str:
    with pytest.raises(ConfigErrors) as refused:
        read(folder, text, **more)
    return str(refused.value).replace(f"{folder}/", "")


WRONG = {
    "change: [{day: 20, lang: de, recal: 0.5}]": "5: 'change[0]' has no setting 'recal'. Did you mean 'recall'?",
    "change: [{day: 20, lang: de, recall: 1.5}]": "5: 'change[0].recall' must be 1 or less, not 1.5.",
    "change: [{day: 20, lang: de}]": "5: 'change[0]': it changes nothing. Name one of recall, empty,",
    "change: [{day: 20, share: 0.5}]": "5: 'change[0]': 'share' needs 'lang'",
    "change: [{day: 20, until: 19, volume: 0}]": "5: 'change[0]': 'until' (19) is not after 'day' (20).",
    "change: [{day: 20, log: late}]": "5: 'change[0]': 'log' needs 'until': when the late lines arrive.",
    "change: [{day: 20, over: 2d, log: silent}]": "5: 'change[0]': 'over' does not go with 'log'",
    "change: [{day: 20, over: soon, recall: 0.5}]": "5: 'change[0].over': 'soon' is not a length of time.",
    "change: [{day: 22, volume: 0}]": "5: the scenario ends with day 21.",
    "change: [{day: 20, lang: xx, volume: 0}]": "5: nobody speaks 'xx' in this scenario. There are: de, en.",
    "expect:\n  - {day: 20, check: traffic, is: fireing}": "6: 'expect[0].is' must be 'firing', ",
    "expect:\n  - {day: 20, check: traffic}": "6: 'expect[0]' needs 'is'.",
    "expect:\n  - {day: 21, within: 2d, check: traffic, is: ok}": "6: the scenario ends with day 21.",
    "expect:\n  - {day: 20, check: traffic, segment: fr, is: ok}": "6: nobody speaks 'fr' in this scenario.",
    "expect:\n  - {day: 20, check: traffic, is: firing}": "6: 'traffic' cannot be firing and quiet.",
    "expect: [{day: 2, check: canary recal, is: ok}]": "5: there is no check 'canary recal'. Did you mean 'canary ",
    "may: [traffic]": "5: 'traffic' is in 'quiet' as well. Take it out of one of them.",
    "config: driftwach.yaml": "5: there is no file 'driftwach.yaml'. Write its path relative to this file.",
}


@pytest.mark.parametrize(("lines", "said"), WRONG.items(), ids=WRONG.values())
def test_a_scenario_that_cannot_be_meant_is_refused_with_its_line(lines, said, tmp_path):
    assert f"scenario.yaml:{said}" in refusal(tmp_path, f"{HEAD}{lines}\nquiet: [traffic]\n").replace("be one of", "be")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("checks: checks.yaml\nquiet: [trafic]\n", "2: there is no check 'trafic'. Did you mean 'traffic'?"),
        ("checks: checks.yaml\n", "1: nothing is expected, so nothing can go wrong."),
        ("quiet: [traffic]\n", "1: it names no checks. Write 'checks: checks/*.yaml'"),
        ("checks: [checks.yaml,\n  cheks/*.yaml]\nquiet: [traffic]\n", "2: 'cheks/*.yaml' matches no file."),
        ("- a list\n", "1: a scenario is a block of settings."),
        ("checks: checks.yaml\ntraffic: {german: 5}\nquiet: [traffic]\n", "2: "),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_with_its_line(text, said, tmp_path):
    assert f"scenario.yaml:{said}" in refusal(tmp_path, text)


@pytest.mark.parametrize("every", ["5h", "90m", "2d"])
def test_a_step_that_no_day_is_made_of_is_refused(every, tmp_path):
    said = refusal(tmp_path, f"checks: checks.yaml\nevery: {every}\nquiet: [traffic]\n")
    assert "scenario.yaml:2: 'every': it must be whole hours" in said


def test_a_check_that_is_wrong_is_told_of_with_its_own_file_and_line(tmp_path):
    said = refusal(
        tmp_path, "checks: checks.yaml\nquiet: [traffic]\n", checks=f"\n{RECALL.replace('measure', 'mesure')}"
    )
    assert "checks.yaml:2: Canary 'canary recall' has no setting 'mesure'. Did you mean 'measure'?" in said


def test_checks_are_found_relative_to_the_file(tmp_path):
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "checks.yaml").write_text(TRAFFIC)
    (tmp_path / "scenarios" / "one.yaml").write_text("checks: ../checks.yaml\nquiet: [traffic]\n")
    assert [check.name for check in read_script(tmp_path / "scenarios" / "one.yaml").watch.checks] == ["traffic"]


CONFIG = """\
service: help-centre
database: ${NOT_SET_ANYWHERE}
false_pages: 2 per 30 days
alerts: {after: 3, until: 5}
baseline: 2026-01-05 .. 2026-01-11
languages: [pl, cs, sk, hu, ro]
retriever: {kind: http, url: "http://127.0.0.1:9/nobody", top_k: 5, token_file: /run/secrets/none}
sources:
  questions: {kind: canaries, path: nowhere/*.jsonl, every: 6h, repeat: 2}
  clicks: {kind: query_log, path: /var/log/nowhere.jsonl, keep_per_day: 777, stratify: lang, every: 1m}
  pushed: {kind: push, token: "${NOT_SET_ANYWHERE}"}
checks: checks.yaml
expected: [{from: 2026-05-20, to: 2026-05-25, reason: a launch}]
notify: [{kind: slack, channel: "#quality", token: "${NOT_SET_ANYWHERE}"}]
"""
OURS = "- {name: recall, kind: canary, source: questions}\n- {name: arrivals, kind: volume, source: clicks}\n"


@pytest.fixture
def tested(tmp_path: Path) -> Script:
    return read(tmp_path, "config: driftwatch.yaml\nquiet: [arrivals]\n", checks=OURS, config=CONFIG)


def test_what_matters_is_taken_from_the_configuration(tested):
    watch = tested.watch
    assert str(watch.false_pages) == "2 per 30 days"
    assert (watch.alerts.after, watch.alerts.until) == (3, 5)
    assert list(watch.sources) == ["questions", "clicks", "pushed"]
    assert (watch.sources["questions"].repeat, str(watch.sources["questions"].every)) == (2, "6h")
    assert (watch.sources["clicks"].keep_per_day, watch.sources["clicks"].stratify) == (777, "lang")
    assert watch.retriever.top_k == 5
    assert [check.name for check in watch.checks] == ["recall", "arrivals"]


def test_a_baseline_of_dates_is_as_long_in_the_scenario(tested):
    assert tested.watch.baseline.length == timedelta(days=7)


def test_nothing_of_the_real_service_is_reached_or_told(tested):
    watch = tested.watch
    assert type(watch.retriever).__name__ == "SimulatedRetriever"
    assert watch.notify == ()
    assert watch.expected == ()
    assert {source.path for source in watch.sources.values()} == {"canaries.jsonl", "queries.jsonl"}


def test_the_languages_of_the_configuration_are_spoken_the_first_most(tested):
    assert tested.scenario.traffic == {"pl": 600, "cs": 400, "sk": 300, "hu": 120, "ro": 120}


def test_a_variable_that_matters_must_be_set(tmp_path):
    config = CONFIG.replace("2 per 30 days", "${NOT_SET_ANYWHERE}")
    said = refusal(tmp_path, "config: driftwatch.yaml\nquiet: [arrivals]\n", checks=OURS, config=config)
    assert said == (
        "driftwatch.yaml:3: 'false_pages' needs the environment variable NOT_SET_ANYWHERE, which is not set. Set it."
    )


def test_a_default_of_a_variable_is_taken(tmp_path):
    config = CONFIG.replace("after: 3", 'after: "${NOT_SET_ANYWHERE_ELSE:-4}"')
    script = read(tmp_path, "config: driftwatch.yaml\nquiet: [arrivals]\n", checks=OURS, config=config)
    assert script.watch.alerts.after == 4


def test_a_mistake_in_the_configuration_is_told_of_with_its_line(tmp_path):
    config = CONFIG.replace("after: 3", "aftr: 3")
    said = refusal(tmp_path, "config: driftwatch.yaml\nquiet: [arrivals]\n", checks=OURS, config=config)
    assert said == "driftwatch.yaml:4: 'alerts' has no setting 'aftr'. Did you mean 'after'?"


def test_checks_of_the_scenario_go_before_those_of_the_configuration(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "own.yaml").write_text("- {name: own, kind: volume, source: clicks}\n")
    text = "config: driftwatch.yaml\nchecks: more/*.yaml\nquiet: [own]\n"
    script = read(tmp_path, text, checks=OURS, config=CONFIG)
    assert [check.name for check in script.watch.checks] == ["own"]


def test_a_check_that_looks_more_often_than_the_clock_steps_is_slowed_down_and_no_other(tmp_path):
    checks = TRAFFIC + TRAFFIC.replace("traffic", "slow").replace("min_n", "every: daily 06:00, min_n")
    every = {
        check.name: str(check.every)
        for check in read(tmp_path, HEAD + "quiet: [traffic]\n", checks=checks).watch.checks
    }
    assert every == {"traffic": "12h", "slow": "daily 06:00"}


def test_the_command_line_may_say_how_often_to_look(tmp_path):
    read(tmp_path, HEAD + "quiet: [traffic]\n")
    script = read_script(tmp_path / "scenario.yaml", every=timedelta(hours=3))
    assert {str(check.every) for check in script.watch.checks if check.name == "traffic"} == {"3h"}
    assert str(script.watch.sources["canaries"].every) == "3h"


def test_a_check_of_the_users_own_beside_the_file_leaves_no_trace_there(tmp_path):
    (tmp_path / "acme_rules_beside.py").write_text(
        "from driftwatch.checks.volume import Volume\nclass Fresh(Volume):\n    kind: str\n"
    )
    own = "- {name: fresh, kind: 'acme_rules_beside:Fresh', source: live, window: 6h}\n"
    script = read(tmp_path, "checks: checks.yaml\nquiet: [fresh]\n", checks=own)
    assert type(script.watch.checks[0]).__module__ == "acme_rules_beside"
    assert {path.name for path in tmp_path.iterdir()} == {"acme_rules_beside.py", "checks.yaml", "scenario.yaml"}
