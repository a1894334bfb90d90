"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from driftwatch.config import load_watch
from driftwatch.plugins import kind_names
from driftwatch.starter import write_starter

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def yaml_block() -> str:
    found = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_configuration_loads_as_it_stands(tmp_path: Path):
    write_starter(tmp_path)
    (tmp_path / "driftwatch.yaml").write_text(yaml_block(), "utf-8")
    watch = load_watch(tmp_path / "driftwatch.yaml", {"SLACK_BOT_TOKEN": "xoxb-1"})
    assert watch.service == "help-centre"
    assert len(watch.checks) >= 7


def test_the_configuration_has_twelve_lines():
    assert len(yaml_block().strip().splitlines()) == 12


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str):
    assert (ROOT / target).exists()


def test_every_check_kind_is_in_the_table():
    assert not [kind for kind in kind_names("checks") if f"[`{kind}`]" not in README]


@pytest.mark.parametrize("verb", ["demo", "test"])
def test_the_commands_are_targets(verb: str):
    assert f"make {verb}" in README
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def commands() -> dict[str, Any]:
    """Verb -> the command behind it."""
    from typer.main import get_command

    from driftwatch.cli import app

    group: Any = get_command(app)
    return dict(group.commands)


def test_every_verb_is_in_the_table_and_no_other():
    assert sorted(re.findall(r"^\| `driftwatch (\w+)", README, re.MULTILINE)) == sorted(commands())


def test_the_options_of_a_replay_are_options():
    options = {name for each in commands()["replay"].params for name in each.opts}
    assert {"--log", "--ab", "--tune"} <= options
    assert all(option in README for option in ("--log", "--ab", "--tune"))


def test_the_budgets_are_as_the_readme_says_them(tmp_path: Path):
    write_starter(tmp_path)
    (tmp_path / "driftwatch.yaml").write_text(re.sub(r"false_pages:.*\n", "", yaml_block()), "utf-8")
    watch = load_watch(tmp_path / "driftwatch.yaml", {"SLACK_BOT_TOKEN": "xoxb-1"})
    assert (watch.false_pages.count, watch.false_pages.per.days) == (1, 90)
    assert (watch.false_warnings.count, watch.false_warnings.per.days) == (1, 14)
    assert "`false_pages: 1 per 90 days`" in README
    assert "`false_warnings` (1 per 14 days)" in README
