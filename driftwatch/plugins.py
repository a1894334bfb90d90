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
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from driftwatch.errors import ConfigError, DriftwatchError

ROOMS = {"checks": "Check", "sources": "Source", "retrievers": "Retriever", "notify": "Notifier"}
"""Room -> the name of its base class, which ``driftwatch.<room>`` exports."""


class Kind(BaseModel):
    """The settings of one plug-in; unknown settings are errors, and a loaded object never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, arbitrary_types_allowed=True)

    room: ClassVar[str] = ""
    kind: str

    @model_validator(mode="before")
    @classmethod
    def read_secret_files(cls, settings: Any) -> Any:
        """``token_file: /run/secrets/slack`` stands for ``token:`` with the file's text, stripped."""
        if not isinstance(settings, dict):
            return settings
        settings = dict(settings)
        for name in secret_fields(cls):
            if (given := settings.pop(f"{name}_file", None)) is None:
                continue
            if settings.get(name) is not None:
                raise ValueError(f"'{name}' and '{name}_file' are both set. Keep one of them.")
            settings[name] = read_secret(Path(str(given)), f"{name}_file")
        return settings


def secret_fields(cls: type[BaseModel]) -> list[str]:
    """The fields that hold a secret, each of which may also be given as ``<name>_file``."""
    return [
        name
        for name, field in cls.model_fields.items()
        if field.annotation is SecretStr or SecretStr in get_args(field.annotation)
    ]


def read_secret(path: Path, setting: str) -> str:
    """The text of a secret file without surrounding blanks; an empty or unreadable file is a ``ValueError``."""
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(
            f"'{setting}' names {path}, which cannot be read: {reason}. Check the path and its owner."
        ) from None
    if not secret:
        raise ValueError(f"'{setting}' names {path}, which is empty. Write the secret into it.")
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
        module = importlib.import_module(module_name)
        cls = getattr(module, class_name) if class_name else _class_in(room, module)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"the kind '{kind}' cannot be imported: {error}.",
            remedy="Write package.module:Class, importable from here.",
        ) from None
    if not (inspect.isclass(cls) and issubclass(cls, _base(room))):
        raise ConfigError(f"the kind '{kind}' is not a driftwatch.{room}.{ROOMS[room]}.", remedy="Derive it from that.")
    return cls
