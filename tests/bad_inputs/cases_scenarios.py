"""What can be wrong in a scenario for `driftwatch test`."""

from __future__ import annotations

from pathlib import Path

from driftwatch.scenarios.reading import read_script
from tests.bad_inputs.registry import case

TRAFFIC = "- {name: traffic, kind: volume, source: live}\n"
HEAD = "checks: checks.yaml\ndays: 21\n"
QUIET = "quiet: [traffic]\n"


def said(tmp: Path, text: str, checks: str = TRAFFIC) -> str:
    """What reading ``text`` as a scenario prints."""
    (tmp / "checks.yaml").write_text(checks)
    (tmp / "scenario.yaml").write_text(text)
    read_script(tmp / "scenario.yaml")
    return "nothing"


@case("scenarios", "there is no such scenario")
def missing_scenario(tmp: Path) -> str:
    read_script(tmp / "scenario.yaml")
    return "nothing"


@case("scenarios", "a list of steps")
def list_of_steps(tmp: Path) -> str:
    return said(tmp, "- {day: 20, recall: 0.5}\n")


@case("scenarios", "neither checks nor a configuration")
def no_checks(tmp: Path) -> str:
    return said(tmp, QUIET)


@case("scenarios", "its `checks:` matches no file")
def no_files(tmp: Path) -> str:
    return said(tmp, "checks: cheks/*.yaml\n" + QUIET)


@case("scenarios", "a configuration that is not there")
def no_configuration(tmp: Path) -> str:
    return said(tmp, "config: ../driftwach.yaml\n" + QUIET)


@case("scenarios", "a variable that matters is not set")
def unset_variable(tmp: Path) -> str:
    (tmp / "driftwatch.yaml").write_text('service: x\nfalse_pages: "${PAGES_OF_NOBODY}"\nchecks: checks.yaml\n')
    return said(tmp, "config: driftwatch.yaml\n" + QUIET)


@case("scenarios", "nothing is expected")
def nothing_expected(tmp: Path) -> str:
    return said(tmp, HEAD)


@case("scenarios", "a change of something that there is not")
def unknown_change(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 20, recal: 0.5}]\n" + QUIET)


@case("scenarios", "a change that changes nothing")
def empty_change(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 20, lang: de}]\n" + QUIET)


@case("scenarios", "a share above one")
def large_share(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 20, recall: 50}]\n" + QUIET)


@case("scenarios", "a change after the end")
def late_change(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 25, volume: 0}]\n" + QUIET)


@case("scenarios", "late lines that never arrive")
def never_late(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 20, log: late}]\n" + QUIET)


@case("scenarios", "a language that nobody speaks")
def unspoken_language(tmp: Path) -> str:
    return said(tmp, HEAD + "change: [{day: 20, lang: it, empty: 0.5}]\n" + QUIET)


@case("scenarios", "a check that there is not")
def unknown_check(tmp: Path) -> str:
    return said(tmp, HEAD + "quiet: [trafic]\n")


@case("scenarios", "a state that there is not")
def unknown_state(tmp: Path) -> str:
    return said(tmp, HEAD + "expect:\n  - {day: 20, check: traffic, is: fireing}\n")


@case("scenarios", "an expectation after the end")
def late_expectation(tmp: Path) -> str:
    return said(tmp, HEAD + "expect:\n  - {day: 21, within: 2d, check: traffic, is: firing}\n")


@case("scenarios", "firing and quiet at once")
def firing_and_quiet(tmp: Path) -> str:
    return said(tmp, HEAD + "expect:\n  - {day: 20, check: traffic, is: firing}\n" + QUIET)


@case("scenarios", "looks that no day is made of")
def odd_looks(tmp: Path) -> str:
    return said(tmp, HEAD + "every: 5h\n" + QUIET)


@case("scenarios", "a check that is wrong")
def wrong_check(tmp: Path) -> str:
    return said(tmp, HEAD + QUIET, "# Are queries still arriving?\n- {name: traffic, kind: volume, source: livee}\n")
