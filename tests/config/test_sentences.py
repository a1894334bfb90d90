"""What pydantic found wrong, in words."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, ValidationError

from driftwatch.config.sentences import complaints, place, shown
from driftwatch.plugins import Settings
from driftwatch.schedule import Duration, Schedule
from driftwatch.sizes import Size
from driftwatch.yamlfile import show


class Inner(Settings):
    size: Size = 1
    deep: dict[str, int] = Field(default_factory=dict)


class Other(Settings):
    path: Path


class Block(Settings):
    """Holds a field of every shape that settings have."""

    text: str = ""
    short: str = Field(default="x", min_length=1, max_length=3)
    code: str = Field(default="a", pattern="^[a-z]$")
    count: int = Field(default=1, gt=0, le=10)
    share: float = Field(default=0.5, ge=0, lt=1)
    flag: bool = False
    wait: Duration | None = None
    every: Schedule | None = None
    choice: Literal["red", "green"] = "red"
    several: tuple[Literal["red", "green"], ...] = ()
    one_or_many: str | list[str] = "x"
    number_or_word: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()
    named: dict[str, Inner] = Field(default_factory=dict)
    either: Inner | Other | None = None
    token: SecretStr | None = Field(default=None, min_length=8)
    origin: str = Field(default="", alias="from")


def said(given: Any, label: str = "Block") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Block.model_validate(given)
    found = complaints(Block, label, caught.value, given)
    return [f"{show(each.where)}: {each.problem} {each.remedy}".strip() for each in found]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"text": None}, "text: Block: 'text' must be text, not empty."),
        ({"text": ["a"]}, "text: Block: 'text' must be text, not a list."),
        ({"text": {}}, "text: Block: 'text' must be text, not a block of settings."),
        ({"short": ""}, "short: Block: 'short' must not be empty."),
        ({"short": "abcd"}, "short: Block: 'short' must be at most 3 characters long, not 'abcd'."),
        ({"code": "7"}, "code: Block: 'code' must be of the form ^[a-z]$, not '7'."),
        ({"count": "many"}, "count: Block: 'count' must be a whole number, not 'many'."),
        ({"count": 1.5}, "count: Block: 'count' must be a whole number, not 1.5."),
        ({"count": 0}, "count: Block: 'count' must be above 0, not 0."),
        ({"count": 11}, "count: Block: 'count' must be 10 or less, not 11."),
        ({"count": []}, "count: Block: 'count' must be a whole number, not an empty list."),
        ({"share": "half"}, "share: Block: 'share' must be a number, not 'half'."),
        ({"share": -0.1}, "share: Block: 'share' must be 0 or more, not -0.1."),
        ({"share": 1}, "share: Block: 'share' must be below 1, not 1."),
        ({"share": float("nan")}, "share: Block: 'share' must be a finite number, not nan."),
        ({"flag": "maybe"}, "flag: Block: 'flag' must be true or false, not 'maybe'."),
        (
            {"wait": "soon"},
            "wait: Block: 'wait': 'soon' is not a length of time. "
            "Write it like '90s', '10m', '1h', '14 days' or '2 weeks'.",
        ),
        ({"choice": "gren"}, "choice: Block: 'choice' must be 'red' or 'green', not 'gren'. Did you mean 'green'?"),
        ({"choice": True}, "choice: Block: 'choice' must be 'red' or 'green', not true."),
        ({"several": ["red", "bleu"]}, "several[1]: Block: 'several[1]' must be 'red' or 'green', not 'bleu'."),
        ({"several": "red"}, "several: Block: 'several' must be a list, not 'red'. Write [red]."),
        ({"one_or_many": {}}, "one_or_many: Block: 'one_or_many' must be text or a list, not a block of settings."),
        ({"one_or_many": ["a", {}]}, "one_or_many[1]: Block: 'one_or_many[1]' must be text, not a block of settings."),
        ({"number_or_word": "x"}, "number_or_word: Block: 'number_or_word' must be a whole number or 'auto', not 'x'."),
        ({"number_or_word": 0}, "number_or_word: Block: 'number_or_word' must be 1 or more or 'auto', not 0."),
        ({"inner": 3}, "inner: Block: 'inner' must be a block of settings, not 3."),
        ({"inner": {"sise": 3}}, "inner.sise: Block: 'inner' has no setting 'sise'. Did you mean 'size'?"),
        (
            {"inners": [{}, {"size": "big"}]},
            "inners[1].size: Block: 'inners[1].size': 'big' is not a size. Write it like '500 MB' or '2 GB'.",
        ),
        ({"named": {"a": {"b": 1}}}, "named.a.b: Block: 'named.a' has no setting 'b'. There are: deep, size."),
        ({"inner": {"deep": {"x": "y"}}}, "inner.deep.x: Block: 'inner.deep.x' must be a whole number, not 'y'."),
        ({"from": 7}, "from: Block: 'from' must be text, not 7."),
        ({"origin": "x"}, "origin: Block has no setting 'origin'. There are: choice,"),
        ({"token": ["s3cret"]}, "token: Block: 'token' must be text (what it is is not shown)."),
        ({"token_fil": "x"}, "token_fil: Block has no setting 'token_fil'. Did you mean 'token_file'?"),
        ({"my_password": 1}, "my_password: Block has no setting 'my_password'."),
        (7, "Block: it must be a block of settings, not 7."),
    ],
)
def test_each_mistake_is_one_sentence(given: Any, sentence: str) -> None:
    found = said(given)
    assert len(found) == 1
    assert found[0].removeprefix(": ").startswith(sentence)


def test_a_union_of_blocks_speaks_for_the_one_that_fits_best() -> None:
    assert said({"either": {"path": "x", "pth": "y"}}) == [
        "either.pth: Block: 'either' has no setting 'pth'. Did you mean 'path'?"
    ]
    assert said({"either": 3}) == ["either: Block: 'either' must be a block of settings, not 3."]


def test_a_misspelt_setting_is_not_also_missing() -> None:
    with pytest.raises(ValidationError) as caught:
        Other.model_validate({"pth": "x"})
    found = complaints(Other, "Other", caught.value, {"pth": "x"})
    assert [each.problem for each in found] == ["Other has no setting 'pth'."]


def test_the_file_itself_needs_no_name() -> None:
    assert said({"count": 0, "cuont": 1}, label="") == [
        "count: 'count' must be above 0, not 0.",
        "cuont: this file has no setting 'cuont'. Did you mean 'count'?",
    ]


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 1000)) < 70


@pytest.mark.parametrize(
    ("loc", "found"),
    [
        (("a", 0, "b"), (("a", 0, "b"), None)),
        (("a", "list[Inner]", 0, "b"), (("a", 0, "b"), 1)),
        (("a", 0, "c"), (("a", 0), 2)),
        (("a", 5), (("a",), 1)),
    ],
)
def test_a_place_is_told_from_the_branch_of_a_union(loc: Any, found: Any) -> None:
    assert place(loc, {"a": [{"b": 1}]}) == found
