import re
from collections import Counter
from pathlib import Path

import pytest

from tests.bad_inputs.registry import Case, all_cases, page

PAGE = Path(__file__).parents[2] / "docs" / "bad-inputs.md"
CASES = all_cases()
OUTDATED = "docs/bad-inputs.md is out of date: run `python -m tests.bad_inputs` and read the difference"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_bad_input_prints_what_the_page_says(case: Case, tmp_path: Path) -> None:
    assert case.row(tmp_path) in PAGE.read_text("utf-8").splitlines(), OUTDATED


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_printed_is_made_for_a_person(case: Case, tmp_path: Path) -> None:
    text = case.printed(tmp_path)
    assert len(text) > 20
    assert not re.search(r"Traceback|pydantic|validation error|type=|NoneType|<class|0x[0-9a-f]{6}|sqlalche\.me", text)
    assert "s3cret" not in text


def test_the_page_holds_nothing_else() -> None:
    written = PAGE.read_text("utf-8").splitlines()
    rows = {line for line in written if line.startswith("| ") and not line.startswith("| what is wrong")}
    assert len(rows) == len(CASES), OUTDATED
    frame = page(
        lambda case: next(line for line in written if line.startswith(f"| {case.wrong.replace('|', chr(92) + '|')} |"))
    )
    assert frame == PAGE.read_text("utf-8"), OUTDATED


def test_there_are_at_least_forty_and_none_twice() -> None:
    assert len(CASES) >= 40
    assert max(Counter((case.area, case.wrong) for case in CASES).values()) == 1
    assert max(Counter(case.name for case in CASES).values()) == 1
