"""Bad inputs and what each prints: cases register here, and docs/bad-inputs.md is what they really print.

A case is a function in a file ``cases_<area>.py`` beside this one, found by itself::

    @case("secrets", "a secret file that is empty")
    def empty_secret_file(tmp: Path) -> str:
        (tmp / "token").write_text("")
        return text_of_the_real_error(tmp)

It gets an empty directory and returns the printed text, or lets a ``DriftwatchError`` escape: then its text is taken.
The directory's path is left out of the text. A case needs no network, no clock and nothing optional.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from driftwatch.errors import DriftwatchError

Provoke = Callable[[Path], str]

AREAS = ("configuration", "schedules", "secrets", "canaries", "logs", "pushes", "retriever answers", "database")
"""The order of the areas on the page; an area that is not named here comes last."""

HEAD = """\
# Bad inputs

What driftwatch prints when something is wrong, area by area. The tests provoke each of these and compare it with this
page; `python -m tests.bad_inputs` writes it anew.
"""


@dataclass(frozen=True)
class Case:
    area: str
    wrong: str
    provoke: Provoke

    @property
    def name(self) -> str:
        return f"{self.area.replace(' ', '_')}-{self.provoke.__name__}"

    def printed(self, tmp: Path) -> str:
        """What a person reads, without the directory."""
        try:
            text = self.provoke(tmp)
        except DriftwatchError as error:
            text = str(error)
        return text.replace(f"{tmp}/", "").replace(str(tmp), ".").strip()

    def row(self, tmp: Path) -> str:
        lines = (f"`` {line} ``".replace("|", "\\|") for line in self.printed(tmp).splitlines())
        return f"| {self.wrong.replace('|', chr(92) + '|')} | {'<br>'.join(lines)} |"


_cases: list[Case] = []


def case(area: str, wrong: str) -> Callable[[Provoke], Provoke]:
    """Register a bad input: which area, and what is wrong with it (Markdown)."""

    def register(provoke: Provoke) -> Provoke:
        _cases.append(Case(area, wrong, provoke))
        return provoke

    return register


def all_cases() -> list[Case]:
    """Every case of every ``cases_*.py``, in the order of the page."""
    for file in sorted(Path(__file__).parent.glob("cases_*.py")):
        importlib.import_module(f"tests.bad_inputs.{file.stem}")
    order = {area: place for place, area in enumerate(AREAS)}
    return sorted(_cases, key=lambda one: order.get(one.area, len(order)))


def page(row: Callable[[Case], str]) -> str:
    """The whole page, each case as ``row`` shows it."""
    parts = [HEAD]
    cases = all_cases()
    for area in dict.fromkeys(one.area for one in cases):
        rows = [row(one) for one in cases if one.area == area]
        parts.append(
            f"\n## {area.capitalize()}\n\n| what is wrong | what is printed |\n|---|---|\n" + "\n".join(rows) + "\n"
        )
    return "".join(parts)
