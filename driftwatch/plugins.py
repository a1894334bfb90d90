"""A kind is a class, and the class is its settings: its fields are the YAML, its docstring is the documentation.

The kinds of a room (``checks``, ``sources``, ``retrievers``, ``notify``) are its modules: ``driftwatch/checks/rate.py``
holds the kind ``rate``. Modules whose names begin with an underscore hold no kind. A dotted kind is the user's own:
``kind: acme.checks:Freshness`` is the class ``Freshness`` of the module ``acme.checks``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, model_validator

from driftwatch.errors import ConfigError, DriftwatchError

ROOMS = {"checks": "Check", "sources": "Source", "retrievers": "Retriever", "notify": "Notifier"}
"""Room -> the name of its base class, which ``driftwatch.<room>`` exports."""


class Settings(BaseModel):
    """A block of settings; unknown settings are errors, and a loaded object never changes.

    Files are relative to the YAML file that names them: validation takes its directory as the context ``base``. A field
    of the type ``Path`` is made absolute by it.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        arbitrary_types_allowed=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def read_files(cls, settings: Any, info: ValidationInfo) -> Any:
        """``token_file: /run/secrets/slack`` stands for ``token:`` with the file's text, stripped."""
        if not isinstance(settings, dict):
            return settings
        base = (info.context or {}).get("base", Path())
        settings = dict(settings)
        for name in secret_fields(cls):
            if (given := settings.pop(f"{name}_file", None)) is None:
                continue
            if settings.get(name) is not None:
                raise ValueError(f"'{name}' and '{name}_file' are both set. Keep one of them.")
            settings[name] = read_secret(base, str(given), f"{name}_file")
        for name in path_fields(cls):
            if isinstance(given := settings.get(name), str) and given:
                settings[name] = below(base, given)
        return settings


class Kind(Settings):
    """The settings of one plug-in."""

    room: ClassVar[str] = ""
    nested: ClassVar[Mapping[str, str]] = {}
    """Setting -> the room of the kind that it holds."""
    kind: str


def secret_fields(cls: type[BaseModel]) -> list[str]:
    """The fields that hold a secret, each of which may also be given as ``<name>_file``."""
    return _fields_of(cls, SecretStr)


def path_fields(cls: type[BaseModel]) -> list[str]:
    """The fields that hold one path."""
    return _fields_of(cls, Path)


def _fields_of(cls: type[BaseModel], wanted: type) -> list[str]:
    """Names of the fields annotated ``wanted`` or ``wanted | None``."""
    return [
        name
        for name, field in cls.model_fields.items()
        if field.annotation is wanted or set(get_args(field.annotation)) == {wanted, type(None)}
    ]


def below(base: Path, given: str) -> Path:
    """``given`` as an absolute path or below ``base``; ``~/`` is the home directory."""
    return base / (Path.home() / given[2:] if given.startswith("~/") else given)


def read_secret(base: Path, given: str, setting: str) -> str:
    """The text of a secret file without surrounding blanks; an empty or unreadable file is a ``ValueError``."""
    try:
        secret = below(base, given).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(
            f"'{setting}' names {given}, which cannot be read: {reason}. Check its path and owner."
        ) from None
    if not secret:
        raise ValueError(f"'{setting}' names {given}, which is empty. Write the secret into it.")
    return secret


K = TypeVar("K", bound=Kind)


@cache
def kind_names(room: str) -> tuple[str, ...]:
    """The kinds of a room, by file name; imports nothing."""
    package = importlib.util.find_spec(f"driftwatch.{room}")
    assert package is not None
    assert package.submodule_search_locations is not None
    found = pkgutil.iter_modules(list(package.submodule_search_locations))
    return tuple(sorted(module.name for module in found if not module.name.startswith("_")))


@cache
def find_kind(room: str, kind: str) -> type[Kind]:
    """The class behind ``kind: <kind>``.

    Raises:
        ConfigError: nothing of that name, with the nearest name as the remedy.
    """
    if ":" in kind or "." in kind:
        return _dotted_kind(room, kind)
    if kind not in kind_names(room):
        near = difflib.get_close_matches(kind, kind_names(room), n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(kind_names(room))}."
        raise ConfigError(f"there is no kind '{kind}' in {room}.", remedy=remedy)
    return _class_in(room, importlib.import_module(f"driftwatch.{room}.{kind}"))


def _base(room: str) -> type[Kind]:
    base: type[Kind] = getattr(importlib.import_module(f"driftwatch.{room}"), ROOMS[room])
    return base


def _class_in(room: str, module: Any) -> type[Kind]:
    """The one class of ``module`` that is a kind of ``room``."""
    base = _base(room)
    found = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, base) and cls.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise DriftwatchError(f"{module.__name__} must hold exactly one {base.__name__}, not {len(found)}.")
    return found[0]


def _dotted_kind(room: str, kind: str) -> type[Kind]:
    module_name, _, class_name = kind.partition(":")
    try:
        if not all(part.isidentifier() for part in module_name.split(".")):
            raise ImportError(f"'{module_name}' is not the name of a module")
        module = importlib.import_module(module_name)
        cls = getattr(module, class_name) if class_name else _class_in(room, module)
    except Exception as error:  # noqa: BLE001 - a module of the user's may raise anything; a person reads it here
        raise ConfigError(
            f"the kind '{kind}' cannot be imported: {type(error).__name__}: {error}".rstrip(".") + ".",
            remedy="Write package.module:Class, importable from where driftwatch runs.",
        ) from None
    if not (inspect.isclass(cls) and issubclass(cls, _base(room))):
        raise ConfigError(f"the kind '{kind}' is not a driftwatch.{room}.{ROOMS[room]}.", remedy="Derive it from that.")
    return cls
