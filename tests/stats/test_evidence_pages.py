import ast
import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "evidence-mathematics.md").read_text("utf-8")
PARAMETERS = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| `([a-z_.]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("name", "value", "module"), PARAMETERS, ids=[name for name, *_ in PARAMETERS])
def test_the_page_of_mathematics_says_what_the_code_does(name, value, module):
    assert getattr(importlib.import_module(module), name) == ast.literal_eval(value)


def test_every_parameter_that_the_page_names_is_in_its_table():
    named = set(re.findall(r"`([A-Z][A-Z_]{2,})`", PAGE))
    assert named == {name for name, *_ in PARAMETERS}
    assert len(PARAMETERS) > 10


def test_every_source_that_the_page_cites_is_in_its_list():
    text, _, sources = PAGE.partition("## Sources")
    cited = set(re.findall(r"([A-Z][a-z]+)(?: and [A-Z][a-z]+)? \(?((?:19|20)\d\d)", text))
    for author, year in cited:
        assert any(author in line and f"({year})" in line for line in sources.splitlines()), (author, year)
