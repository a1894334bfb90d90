"""Every shipped check through a month in which its question is asked, and all of them through one in which none is."""

from datetime import timedelta
from pathlib import Path

import pytest

from driftwatch.config import read_watch
from driftwatch.scenarios.outcomes import failures
from driftwatch.scenarios.play import Stage
from driftwatch.scenarios.reading import Script, read_script

HERE = Path(__file__).parent
BY_EXPERIMENT = {"integrity.yaml"}
"""Judged on a real index instead: test_integrity_month.py."""
SHIPPED = sorted({path.name for path in (HERE.parents[1] / "checks").glob("*.yaml")} - BY_EXPERIMENT)
SCENARIOS = sorted(HERE.glob("*.yaml"))


@pytest.fixture(scope="module")
def scripts() -> dict[str, Script]:
    return {path.stem: read_script(path) for path in SCENARIOS}


@pytest.fixture(scope="module")
def stage(scripts: dict[str, Script], tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"), list(scripts.values()))


def shipped_checks(folder: Path, pattern: str = "*.yaml") -> set[str]:
    """The names of the checks in the files that ``pattern`` matches, without those that need an index."""
    known = "canaries: {kind: canaries, path: x}, live: {kind: query_log, path: x}, index: {kind: index}"
    sources = f"retriever: {{kind: http, url: http://x/y}}\nsources: {{{known}}}\n"
    (folder / "driftwatch.yaml").write_text(f"service: x\n{sources}checks: {HERE.parents[1]}/checks/{pattern}\n")
    return {check.name for check in read_watch(folder / "driftwatch.yaml").checks if check.needs != "probes"}


@pytest.mark.process
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [path.stem for path in SCENARIOS])
def test_the_month_is_told_as_it_was(name, stage, scripts):
    told = failures(stage.play(scripts[name]))
    assert not told, "\n" + "\n".join(told)


@pytest.fixture(scope="module")
def hourly() -> dict[str, Script]:
    return {path.stem: read_script(path, every=timedelta(hours=1)) for path in SCENARIOS}


@pytest.fixture(scope="module")
def hourly_stage(hourly: dict[str, Script], tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("hourly"), list(hourly.values()))


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [path.stem for path in SCENARIOS])
def test_the_month_is_told_as_it_was_at_the_pace_of_the_checks(name, hourly_stage, hourly):
    told = failures(hourly_stage.play(hourly[name]))
    assert not told, "\n" + "\n".join(told)


@pytest.mark.parametrize("file", SHIPPED)
def test_every_shipped_file_has_a_scenario_in_which_all_of_its_checks_fire(file, tmp_path, scripts):
    scenario = scripts[Path(file).stem].scenario
    fires = {expected.check for expected in scenario.expect if expected.state == "firing"}
    assert shipped_checks(tmp_path, file) <= fires


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_shipped_check_is_expected_to_say_something_or_to_be_quiet(path, tmp_path, scripts):
    scenario = scripts[path.stem].scenario
    assert shipped_checks(tmp_path) == {expected.check for expected in scenario.expect} | set(scenario.quiet)
