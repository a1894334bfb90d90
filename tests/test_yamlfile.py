import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch import yamlfile
from driftwatch.errors import ConfigError
from driftwatch.yamlfile import parse


def data(text: str, **env: str) -> Any:
    return parse(text, "watch.yaml", env).data


def error(text: str, **env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "watch.yaml", env)
    return str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("NO", "NO"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("10:30", "10:30"),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("0.90", 0.9),
        (".5", 0.5),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("017", 17),
        ("1_000", "1_000"),
        ("2026-05-04", "2026-05-04"),
        ("2026-05-04 10:30:00", "2026-05-04 10:30:00"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("-.inf", float("-inf")),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("<<", "<<"),
        ("9" * 400, float("9" * 400)),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, meant: Any) -> None:
    assert data(f"a: {written}") == {"a": meant}
    assert type(data(f"a: {written}")["a"]) is type(meant)


def test_keys_are_always_text() -> None:
    assert data("on: 1\nno: 2\n7: 3\n1.5: 4\ntrue: 5\nnull: 6\n10:30: 7") == {
        "on": 1,
        "no": 2,
        "7": 3,
        "1.5": 4,
        "true": 5,
        "null": 6,
        "10:30": 7,
    }


LINE_ENDS = "\u2028\u2029"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters=f"$ {LINE_ENDS}"), max_size=40))
def test_a_quoted_text_is_always_that_text(text: str) -> None:
    assert data("a: '{}'".format(text.replace("'", "''"))) == {"a": text}


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    with suppress(ConfigError):
        parse(text, "watch.yaml", {})


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("yaml") / "watch.yaml"
    path.write_bytes(content)
    with suppress(ConfigError):
        yamlfile.load(path, {})


def test_equal_keys_are_an_error_that_names_both_lines() -> None:
    assert error("a: 1\nb: 2\na: 3") == "watch.yaml:3: 'a' is set twice; the first is on line 1. Keep one of them."


def test_keys_that_only_look_different_are_equal() -> None:
    assert "'a' is set twice" in error("a: 1\n'a': 3")


def test_all_equal_keys_and_unset_variables_are_reported_together() -> None:
    assert error("a: 1\na: ${X}\nb: {c: ${Y}}".replace("{c: ${Y}}", "\n  c: ${Y}")).splitlines() == [
        "watch.yaml:2: 'a' is set twice; the first is on line 1. Keep one of them.",
        "watch.yaml:4: 'b.c' needs the environment variable Y, which is not set. Set it, or write ${Y:-default}.",
    ]


def test_a_line_is_known_for_every_setting_and_item() -> None:
    document = parse("a:\n  b:\n    - 1\n    - c: 2\n      d: 3\n", "watch.yaml", {})
    lines = [document.line(where) for where in ((), ("a",), ("a", "b"), ("a", "b", 1), ("a", "b", 1, "d"))]
    assert lines == [1, 1, 2, 4, 5]
    assert document.line(("a", "b", 1, "d", "not there", 3)) == 5
    assert document.line(("nothing",)) == 1


# --- variables -----------------------------------------------------------------------------------------------------


def test_variables_are_filled_in_after_parsing() -> None:
    assert data("a: ${X}\nb: before ${X} after", X="1]\nc: {") == {"a": "1]\nc: {", "b": "before 1]\nc: { after"}


def test_a_plain_scalar_is_resolved_again_and_a_quoted_one_stays_text() -> None:
    assert data("a: ${X}\nb: '${X}'\nc: \"${X}\"\nd: ${X}5", X="20") == {"a": 20, "b": "20", "c": "20", "d": 205}


def test_a_default_stands_in_for_an_unset_or_empty_variable() -> None:
    assert data("a: ${X:-5}\nb: ${Y:-}\nc: '${Y:-a:-b}'", Y="") == {"a": 5, "b": None, "c": "a:-b"}


def test_two_dollars_are_one() -> None:
    assert data("a: $$HOME\nb: $${X}\nc: $5\nd: a$\ne: $$$${X}") == {
        "a": "$HOME",
        "b": "${X}",
        "c": "$5",
        "d": "a$",
        "e": "$${X}",
    }


def test_what_a_variable_holds_is_not_filled_in_again() -> None:
    assert data("a: ${X}", X="${Y} $$") == {"a": "${Y} $$"}


def test_an_empty_variable_is_as_bad_as_an_unset_one() -> None:
    said = "watch.yaml:1: 'a[0]' needs the environment variable X, which is empty. Set it, or write ${X:-default}."
    assert error("a: ['${X}']", X="") == said


@pytest.mark.parametrize("written", ["${}", "${a b}", "${1X}", "${X", "${X-5}", "${:-5}"])
def test_what_only_looks_like_a_variable_is_an_error(written: str) -> None:
    assert "which is no variable. Write ${NAME} or ${NAME:-default}; $$ is a plain $." in error(f"a: '{written}'")


def test_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "watch.yaml").write_text("a: ${DRIFTWATCH_TEST}")
    monkeypatch.setenv("DRIFTWATCH_TEST", "from outside")
    assert yamlfile.load(tmp_path / "watch.yaml").data == {"a": "from outside"}


def test_a_document_shows_no_values() -> None:
    assert "secret" not in repr(parse("a: ${X}", "watch.yaml", {"X": "secret"}))


# --- anchors -------------------------------------------------------------------------------------------------------


def test_an_alias_is_what_it_names_and_a_copy_of_it() -> None:
    found = data("a: &x [1, {b: 2}]\nc: *x")
    assert found == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}
    assert found["a"] is not found["c"]


def test_merged_settings_give_way_to_those_beside_them_and_earlier_ones() -> None:
    text = "x: &x {a: 1, b: 1}\ny: &y {a: 2, c: 2}\nz:\n  b: 3\n  <<: [*x, *y]"
    assert data(text)["z"] == {"b": 3, "a": 1, "c": 2}


def test_a_merged_setting_keeps_the_line_where_it_was_written() -> None:
    document = parse("x: &x\n  a: 1\nz:\n  <<: *x\n  b: 2", "watch.yaml", {})
    assert document.line(("z", "a")) == 2


@pytest.mark.parametrize("written", ["<<: 3", "<<: [*x, 3]", "<<: text"])
def test_only_blocks_can_be_merged(written: str) -> None:
    assert "'<<' takes the alias of a block of settings" in error(f"x: &x {{a: 1}}\nz:\n  {written}")


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    started = time.process_time()
    assert "unfolds to more than 50000 values" in error(bomb)
    assert time.process_time() - started < 3


def test_aliases_cannot_nest_deeper_than_text_can() -> None:
    chain = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [[*a{n - 1}]]\n" for n in range(1, 40))
    assert "or 50 levels" in error(chain)


def test_an_alias_cannot_hold_itself() -> None:
    assert error("a: &x\n  - 1\n  - *x") == "watch.yaml:3: '*x' would hold itself. Remove the alias."


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a:\n\tb: 1", 2, "a tab stands in the indentation. Indent with spaces."),
        ("a: b: c", 1, "a ':' stands where none can be."),
        ("a: [1, 2\nb: 3", 1, "a bracket is not closed or a comma is missing."),
        ("a: {b: ${C}}", 1, 'quote "${VAR}" inside brackets.'),
        ("a: 1\nb: 'x\nc: 3\n", 2, "a quote is opened and never closed. Close it."),
        ('a: "C:\\data"', 1, "an escape in double quotes is unknown. Use single quotes"),
        ("a: @home", 1, "a character that YAML keeps for itself. Put it in quotes."),
        ("a: `x`", 1, "Put it in quotes."),
        ("a: 1\nb: *x", 2, "'*x' is defined nowhere above."),
        ("a: *", 1, "a '*' or '&' stands before no name."),
        ("a: !!python/object/apply:os.system ['id']", 1, "the tag '!!python/object/apply:os.system' is not supported."),
        ("a: !x 1", 1, "the tag '!x' is not supported. Remove it; quote what should be text."),
        ("a: 1\n---\nb: 1", 2, "a second document begins here. Keep one document a file; remove the '---'."),
        ("a: 1\n? [b, c]\n: 1", 2, "stands where the name of a setting should."),
        ("a: 1\n'': 1", 2, "stands where the name of a setting should."),
        ("a: 1\nb: \x00", 2, "the character '\\x00' is not allowed in YAML. Remove it."),
        ("a: \x1b[31m", 1, "the character '\\x1b' is not allowed in YAML."),
        ("[" * 60, 1, "nested more than 50 levels deep."),
        ("[" * 100_000, 1, "nested more than 50 levels deep."),
        ("a: - b", 1, "a '-' stands where no list can begin."),
        ("a: 1\n   b: 2", 2, "a ':' stands where none can be. Check the indentation"),
        ("- a\nb: 1", 2, "the indentation does not fit the lines above."),
        ("a: 1\nb", 2, "a setting has no ':' after its name. Write 'name: value'."),
        ("%YAML 3.0\n---\na: 1", 1, "this is not YAML:"),
        ("[" + "1," * 60_000 + "]", 1, "more than 50000 values"),
    ],
)
def test_what_is_no_yaml_is_explained_at_its_line(text: str, line: int, said: str) -> None:
    message = error(text)
    assert message.startswith(f"watch.yaml:{line}: ")
    assert said in message


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "---\n", "\ufeff", "~"])
def test_an_empty_file_holds_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "watch.yaml").write_text(text, "utf-8")
    assert yamlfile.load(tmp_path / "watch.yaml", {}).data is None


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "watch.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: |\r\n  x\r\n  y\r\nc: 3\r\n")
    document = yamlfile.load(path, {})
    assert document.data == {"a": 1, "b": "x\ny\n", "c": 3}
    assert document.line(("c",)) == 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: 1\nb: \xff\xfe\n", "watch.yaml:2: it is not UTF-8 text: byte 0xff. Save it as UTF-8."),
        ("a: 1".encode("utf-16"), "watch.yaml:1: it is not UTF-8 text: byte 0xff. Save it as UTF-8."),
        (b"#" * 10_000_000, "watch.yaml: it is larger than 1 MB. Check that it is a configuration."),
    ],
)
def test_a_file_that_is_no_text_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "watch.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        yamlfile.load(path, {})
    assert str(caught.value) == f"{tmp_path}/{said}"


def test_a_file_that_is_not_there_or_a_directory_is_refused(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError) as caught:
            yamlfile.load(path, {})
        assert str(caught.value) == f"{path}: it cannot be read: {why}. Check the path and its owner."
