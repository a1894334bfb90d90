"""What docs/scenarios.md shows is what there is."""

import re
from pathlib import Path

import pytest

from driftwatch.scenarios.form import CHANGES, Change, Expectation, Scenario
from driftwatch.scenarios.outcomes import outcomes
from driftwatch.scenarios.play import play
from driftwatch.scenarios.reading import Script, read_script
from driftwatch.starter import write_starter

PAGE = (Path(__file__).parents[2] / "docs" / "scenarios.md").read_text("utf-8")
EXAMPLES = [block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if not block.startswith("- run")]


def read_example(folder: Path, text: str) -> Script:
    """An example in the project that `driftwatch init` writes, without the check that needs an embedder."""
    write_starter(folder)
    (folder / "checks" / "query-drift.yaml").unlink(missing_ok=True)
    (folder / "scenarios").mkdir()
    path = folder / "scenarios" / "lost-documents.yaml"
    path.write_text(text)
    return read_script(path)


@pytest.mark.process
def test_the_first_example_holds_and_prints_what_the_page_shows(tmp_path):
    told = outcomes(play(read_example(tmp_path, EXAMPLES[0]), tmp_path))
    lines = [f"held     {each.line.removeprefix(f'{tmp_path}/')}: {each.sentence}" for each in told]
    assert all(each.held for each in told), told
    assert [line for line in lines if line not in PAGE] == []


@pytest.mark.parametrize("text", EXAMPLES[1:], ids=lambda text: text.splitlines()[0])
def test_the_other_examples_can_be_read(text, tmp_path):
    head = "checks: ../checks/*.yaml\nquiet: [traffic]\n"
    assert read_example(tmp_path, head + text).scenario.change


def test_every_key_has_its_line():
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows >= set(CHANGES)
    assert rows >= set(Scenario.model_fields) - {"change", "expect"} | {"change", "expect"}
    names = [field.alias or name for name, field in Expectation.model_fields.items()]
    assert [name for name in (*names, *Change.model_fields) if f"`{name}" not in PAGE] == []
