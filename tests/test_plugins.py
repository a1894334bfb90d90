import sys
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from driftwatch.checks import Check
from driftwatch.errors import ConfigError
from driftwatch.plugins import ROOMS, Settings, below, find_kind, kind_names, secret_fields
from tests.fakes import kinds as fakes


class Vault(Settings):
    token: SecretStr | None = None
    key: SecretStr = SecretStr("default")
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    file: Path | None = None


def refusal(room: str, kind: str) -> str:
    with pytest.raises(ConfigError) as caught:
        find_kind(room, kind)
    return str(caught.value)


# --- finding a kind ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ROOMS)
def test_every_module_of_a_room_holds_a_kind_of_its_name(room: str) -> None:
    for kind in kind_names(room):
        cls = find_kind(room, kind)
        assert cls.__module__ == f"driftwatch.{room}.{kind}"
        assert cls.room == room


def test_names_with_an_underscore_are_no_kinds() -> None:
    assert not [kind for room in ROOMS for kind in kind_names(room) if kind.startswith("_")]


def test_the_kinds_of_a_room_are_listed_without_importing_them() -> None:
    module = "driftwatch.notify.webhook"
    loaded = sys.modules.pop(module, None)
    kind_names.cache_clear()
    assert "webhook" in kind_names("notify")
    assert module not in sys.modules
    if loaded is not None:
        sys.modules[module] = loaded


def test_an_unknown_kind_is_told_the_nearest_one() -> None:
    assert refusal("retrievers", "htpp") == "there is no kind 'htpp' in retrievers. Did you mean 'http'?"


def test_a_kind_like_no_other_is_told_what_there_is() -> None:
    assert refusal("retrievers", "qqqq").endswith(f"There are: {', '.join(kind_names('retrievers'))}.")


@pytest.mark.parametrize("kind", ["_http", "__init__", ""])
def test_what_is_no_kind_is_refused(kind: str) -> None:
    assert f"there is no kind '{kind}' in retrievers." in refusal("retrievers", kind)


def test_a_dotted_kind_is_the_users_own_class() -> None:
    assert find_kind("checks", "tests.fakes.kinds:Freshness") is fakes.Freshness


def test_a_module_without_a_class_name_must_hold_exactly_one_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_one.py").write_text("from tests.fakes.kinds import Pager\nclass Mine(Pager):\n    pass\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "one.py").write_text("from tests.fakes.kinds import Pager\nclass Mine(Pager):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_kind("notify", "package.one").__name__ == "Mine"
    assert "must hold exactly one Check, not 2" in refusal("checks", "tests.fakes.kinds")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("acme.checks:Freshness", "ModuleNotFoundError: No module named 'acme'."),
        ("tests.fakes.kinds:Nothing", "has no attribute 'Nothing'."),
        (":Freshness", "'' is not the name of a module."),
        (".kinds:Freshness", "'.kinds' is not the name of a module."),
        ("a..b", "'a..b' is not the name of a module."),
        ("a/b:C", "'a/b' is not the name of a module."),
    ],
)
def test_a_dotted_kind_that_cannot_be_imported_is_refused_with_the_reason(kind: str, said: str) -> None:
    message = refusal("checks", kind)
    assert message.startswith(f"the kind '{kind}' cannot be imported: ")
    assert said in message
    assert message.endswith("Write package.module:Class, importable from where driftwatch runs.")


@pytest.mark.parametrize("content", ["import no_such_module", "syntax error here", "1 / 0"])
def test_a_module_that_breaks_is_a_configuration_error(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"broken_{abs(hash(content))}"
    (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "cannot be imported" in refusal("checks", f"{name}:Mine")


@pytest.mark.parametrize("kind", ["tests.fakes.kinds:NotAKind", "tests.fakes.kinds:Pager", "tests.fakes.kinds:Path"])
def test_a_class_of_another_room_is_refused(kind: str) -> None:
    assert refusal("checks", kind) == f"the kind '{kind}' is not a driftwatch.checks.Check. Derive it from that."


# --- settings ------------------------------------------------------------------------------------------------------


def test_unknown_settings_are_errors_and_a_loaded_object_never_changes() -> None:
    with pytest.raises(ValidationError):
        Vault.model_validate({"tokn": "x"})
    with pytest.raises(ValidationError):
        Vault().token = SecretStr("x")  # type: ignore[misc]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_are_finite(value: float) -> None:
    settings = {"kind": "x", "name": "x", "source": "x", "share": value}
    with pytest.raises(ValidationError):
        fakes.Freshness.model_validate(settings)


def test_every_setting_says_what_it_does() -> None:
    assert Check.model_fields["source"].description == "The source whose observations it judges."


def test_only_plain_secrets_may_come_from_files() -> None:
    assert secret_fields(Vault) == ["token", "key"]


def test_a_secret_may_come_from_a_file_relative_to_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("  s3cret\n\n")
    vault = Vault.model_validate({"token_file": "token"}, context={"base": tmp_path})
    assert vault.token is not None
    assert vault.token.get_secret_value() == "s3cret"
    assert Vault.model_validate({"token_file": str(tmp_path / "token")}, context={"base": Path("/")}) == vault


def test_a_secret_cannot_be_given_twice(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret")
    with pytest.raises(ValidationError, match="both set"):
        Vault.model_validate({"token": "x", "token_file": "token"}, context={"base": tmp_path})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "which cannot be read: No such file or directory. Check its path and owner."),
        (b"", "which is empty. Write the secret into it."),
        (b" \n", "which is empty."),
        (b"\xff\xfe", "which cannot be read: it is not UTF-8 text."),
    ],
)
def test_a_secret_file_that_holds_no_secret_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(ValidationError) as caught:
        Vault.model_validate({"token_file": "token"}, context={"base": tmp_path})
    assert f"'token_file' names token, {said}" in str(caught.value)


def test_secrets_are_never_shown() -> None:
    vault = Vault.model_validate({"token": "s3cret", "headers": {"X": "s3cret"}})
    for shown in (repr(vault), str(vault), str(vault.model_dump()), vault.model_dump_json()):
        assert "s3cret" not in shown
    with pytest.raises(ValidationError) as caught:
        Vault.model_validate({"token": ["s3cret"]})
    assert "s3cret" not in str(caught.value)


def test_a_path_is_below_the_yaml_file(tmp_path: Path) -> None:
    assert Vault.model_validate({"file": "a/b"}, context={"base": tmp_path}).file == tmp_path / "a/b"
    assert Vault.model_validate({"file": "/a/b"}, context={"base": tmp_path}).file == Path("/a/b")


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert below(Path("/etc"), "~/token") == tmp_path / "token"
    assert below(Path("/etc"), "~other/token") == Path("/etc/~other/token")
