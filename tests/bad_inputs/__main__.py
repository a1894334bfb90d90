"""Writes docs/bad-inputs.md anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bad_inputs.registry import Case, all_cases, page

PAGE = Path(__file__).parents[2] / "docs" / "bad-inputs.md"


def row(one: Case) -> str:
    with tempfile.TemporaryDirectory() as directory:
        return one.row(Path(directory))


if __name__ == "__main__":
    PAGE.write_text(page(row), "utf-8")
    print(f"{PAGE}: {len(all_cases())} cases")
