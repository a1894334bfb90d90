from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, SecretStr

from driftwatch.checks.canary import Canary
from driftwatch.config import Watch
from driftwatch.plugins import ROOMS, Settings, find_kind, kind_names
from driftwatch.schedule import Duration, Schedule, duration
from driftwatch.settings_docs import in_page, kinds_page, pages, settings_of, table
from driftwatch.sizes import Size
from driftwatch.sources import Source

DOCS = Path(__file__).parents[1] / "docs"
KINDS = [(room, kind) for room in ROOMS for kind in kind_names(room)]


class Block(Settings):
    needed: str
    """Must be given."""
    wait: Duration = duration("90m")
    """How long; `a | b`."""
    every: Schedule | None = None
    mode: Literal["fast", "slow", "off"] = "fast"
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    share: float = Field(default=0.5, gt=0, le=1)
    names: tuple[str, ...] = ("a", "b")
    disk: Size = 2_000_000_000
    token: SecretStr | None = None
    inner: Watch | None = None
    paths: tuple[Path, ...] = ()
    hidden: int = Field(default=1, exclude=True)


def test_a_table_says_it_in_words() -> None:
    assert [(each.name, each.type, each.default, each.about) for each in settings_of(Block)] == [
        ("needed", "text", "**required**", "Must be given."),
        ("wait", "length of time", "`1h 30m`", "How long; `a | b`."),
        ("every", "schedule", "", ""),
        ("mode", "`fast`, `slow` or `off`", "`fast`", ""),
        ("batch", "whole number, at least 1 or `auto`", "`auto`", ""),
        ("share", "number, above 0, at most 1", "`0.5`", ""),
        ("names", "list of text", "`[a, b]`", ""),
        ("disk", "size", "`2 GB`", ""),
        ("token", "secret (or `token_file`)", "", ""),
        ("inner", "block of settings", "", ""),
        ("paths", "list of paths", "", ""),
    ]


def test_a_pipe_does_not_end_a_cell() -> None:
    assert "| `wait` | length of time | `1h 30m` | How long; `a \\| b`. |" in table(Block)


def test_a_kind_shows_its_own_settings_first_and_not_its_name() -> None:
    names = [each.name for each in settings_of(Canary)]
    assert names[0] == "measure"
    assert "kind" not in names
    assert names.index("at_least") < names.index("source")


@pytest.mark.parametrize(("room", "kind"), KINDS)
def test_every_setting_of_every_kind_says_what_it_does(room: str, kind: str) -> None:
    cls = find_kind(room, kind)
    assert cls.__doc__
    assert [each.name for each in settings_of(cls) if not each.about] == []
    if issubclass(cls, Source):
        assert "name" not in [each.name for each in settings_of(cls)]


def test_every_setting_of_the_file_says_what_it_does() -> None:
    assert [each.name for each in settings_of(Watch) if not each.about] == []


def test_only_what_is_between_the_markers_is_made_new() -> None:
    page = "# Canary\n<!-- settings -->\nold\n<!-- /settings -->\nmine\n"
    made = in_page(page, Canary)
    assert made.startswith("# Canary\n<!-- settings -->\n| setting |")
    assert made.endswith("|\n<!-- /settings -->\nmine\n")
    assert in_page(made, Canary) == made
    assert in_page("no markers", Canary) == "no markers"


def test_the_page_of_kinds_names_them_all() -> None:
    page = kinds_page()
    for room, kind in KINDS:
        if room != "checks":
            assert f"### {kind}\n" in page
    assert table(find_kind("retrievers", "http")) in page


@pytest.mark.parametrize("path", pages(DOCS), ids=lambda path: path.stem)
def test_no_page_is_out_of_date(path: Path) -> None:
    assert path.read_text("utf-8") == pages(DOCS)[path], "run `python -m driftwatch.settings_docs`"


def test_every_check_has_a_page_with_its_settings() -> None:
    for kind in kind_names("checks"):
        assert table(find_kind("checks", kind)) in (DOCS / "checks" / f"{kind}.md").read_text("utf-8")
