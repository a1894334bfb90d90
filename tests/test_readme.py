"""What the README shows is what there is."""

from __future__ import annotations

import re
from pathlib import Path

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
