"""Every shipped check through a month in which its question is asked, and all of them through one in which none is."""

from pathlib import Path

import pytest

from tests.scenarios.form import Script, read_scenario
from tests.scenarios.play import Stage, make_project

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.name for path in (ROOT / "checks").glob("*.yaml"))
SCENARIOS = sorted(Path(__file__).parent.glob("*.yaml"))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(ROOT, tmp_path_factory.mktemp("stage"))


def shipped_checks(folder: Path, file: str = "*.yaml") -> set[str]:
    script = read_scenario(Path(__file__).parent / "quiet-month.yaml")
    only = script.scenario.model_copy(update={"checks": (f"checks/{file}",)})
    return {check.name for check in make_project(Script(only, script.document), ROOT, folder).checks}


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_month_is_told_as_it_was(path, stage):
    played = stage.play(read_scenario(path))
    assert not played.failures(), "\n" + "\n".join(played.failures())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_month_is_told_as_it_was_at_the_pace_of_the_checks(path, stage):
    script = read_scenario(path)
    hourly = Script(script.scenario.model_copy(update={"every": None}), script.document)
    played = stage.play(hourly)
    assert not played.failures(), "\n" + "\n".join(played.failures())


@pytest.mark.parametrize("file", SHIPPED)
def test_every_shipped_file_has_a_scenario_in_which_all_of_its_checks_fire(file, tmp_path):
    scenario = read_scenario(Path(__file__).with_name(file)).scenario
    fires = {expected.check for expected in scenario.expect if expected.state == "firing"}
    assert shipped_checks(tmp_path, file) <= fires


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_check_is_expected_to_say_something_or_to_be_quiet(path, tmp_path):
    scenario = read_scenario(path).scenario
    assert shipped_checks(tmp_path) == {expected.check for expected in scenario.expect} | set(scenario.quiet)
