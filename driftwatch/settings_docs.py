"""Tables of settings, from the classes themselves: for ``driftwatch kinds`` and for the documentation.

``python -m driftwatch.settings_docs [DOCS]`` rewrites what stands between ``<!-- settings -->`` and
``<!-- /settings -->`` in the pages of ``DOCS`` (default: ``docs``) and the whole of ``kinds.md``.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ByteSize, SecretStr
from pydantic.fields import FieldInfo

from driftwatch.plugins import ROOMS, find_kind, kind_names, secret_fields
from driftwatch.schedule import Schedule, show_duration
from driftwatch.sizes import show_size
from driftwatch.sources import Source

START, END = "<!-- settings -->", "<!-- /settings -->"

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    timedelta: "length of time",
    datetime: "date or time",
    date: "date",
    Schedule: "schedule",
    SecretStr: "secret",
    ByteSize: "size",
    Any: "anything",
}
_PLURALS = {"path": "paths", "block of settings": "blocks of settings"}
_BOUNDS = {
    "gt": "above {}",
    "ge": "at least {}",
    "lt": "below {}",
    "le": "at most {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of a table."""

    name: str
    type: str
    default: str
    about: str


def settings_of(cls: type[BaseModel]) -> list[Setting]:
    """The settings of a class without its ``kind``, its own before those that every kind of its room has."""
    elsewhere = {"kind", "name"} if issubclass(cls, Source) else {"kind"}
    fields = {name: field for name, field in cls.model_fields.items() if not field.exclude and name not in elsewhere}
    inherited = {name for base in cls.__mro__[1:] if issubclass(base, BaseModel) for name in base.model_fields}
    own = [name for name in fields if name not in inherited]
    ordered = [*own, *(name for name in fields if name in inherited)]
    return [_setting(cls, name, fields[name]) for name in ordered]


def table(cls: type[BaseModel]) -> str:
    """The settings of a class as a Markdown table."""
    columns = [(f"`{each.name}`", each.type, each.default, each.about) for each in settings_of(cls)]
    rows = [f"| {' | '.join(text.replace('|', chr(92) + '|') for text in row)} |" for row in columns]
    return "\n".join(["| setting | type | default | what it does |", "|---|---|---|---|", *rows]).replace("| |", "|  |")


def in_page(page: str, cls: type[BaseModel]) -> str:
    """``page`` with the table between its markers made new."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{start}\n{table(cls)}\n{end}{after}" if start and end else page


def kinds_page() -> str:
    """``docs/kinds.md``: every kind of source, retriever and receiver."""
    parts = [
        "# Sources, retrievers, receivers",
        "Every kind and its settings, written by `python -m driftwatch.settings_docs` from the classes themselves.\n"
        "The kinds of checks have [pages of their own](checks/); the file itself is [configuration](configuration.md).",
    ]
    for room in (room for room in ROOMS if room != "checks"):
        parts.append(f"## {room}")
        for kind in kind_names(room):
            cls = find_kind(room, kind)
            parts += [f"### {kind}", _literal_blocks(inspect.cleandoc(cls.__doc__ or "")), table(cls)]
    return "\n\n".join(parts) + "\n"


def pages(docs: Path) -> dict[Path, str]:
    """Path -> what the page should hold, for every page with a generated part."""
    from driftwatch.config import Watch
    from driftwatch.embed import EmbedderSettings

    kinds = [(each, kind) for each in ROOMS for kind in kind_names(each)]
    owners: dict[Path, type[BaseModel]] = {docs / room / f"{kind}.md": find_kind(room, kind) for room, kind in kinds}
    owners[docs / "embedder.md"] = EmbedderSettings
    wanted = {page: in_page(page.read_text("utf-8"), owner) for page, owner in owners.items() if page.exists()}
    configuration = docs / "configuration.md"
    return wanted | {
        docs / "kinds.md": kinds_page(),
        configuration: _sections(configuration.read_text("utf-8"), Watch),
    }


def _sections(page: str, watch: type[BaseModel]) -> str:
    """The page of the configuration has one table a section: ``<!-- settings retention -->``."""
    from driftwatch.config.sentences import models_at

    def made(found: re.Match[str]) -> str:
        name = found[1].strip()
        cls = models_at(watch, tuple(name.split(".")) if name else ())[0]
        return f"<!-- settings{found[1]} -->\n{table(cls)}\n{END}"

    return re.sub(rf"<!-- settings((?: [a-z.]+)?) -->.*?{END}", made, page, flags=re.DOTALL)


def _setting(cls: type[BaseModel], name: str, field: FieldInfo) -> Setting:
    about = " ".join((field.description or "").split())
    type_words = _type(field.annotation, tuple(field.metadata))
    if name in secret_fields(cls):
        type_words += f" (or `{name}_file`)"
    return Setting(field.alias or name, type_words, _default(field), about)


def _type(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """An annotation in words."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        told = [each for one in more for each in (one.metadata if isinstance(one, FieldInfo) else [one])]
        return _type(inner, (*told, *metadata))
    words = _unbounded(annotation, metadata)
    bounds = [
        text.format(_plain(value)) for key, text in _BOUNDS.items() if (value := _bound(metadata, key)) is not None
    ]
    return ", ".join([words, *bounds]).replace("at least 1 long", "not empty")


def _unbounded(annotation: Any, metadata: tuple[Any, ...]) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if any("size" in getattr(getattr(each, "func", None), "__name__", "") for each in metadata):
        return "size"
    if origin is Literal:
        return _or([f"`{value}`" for value in arguments])
    if origin in (Union, types.UnionType):
        literals = [f"`{value}`" for each in arguments if get_origin(each) is Literal for value in get_args(each)]
        others = [_type(each) for each in arguments if each is not type(None) and get_origin(each) is not Literal]
        return _or(list(dict.fromkeys([*others, *literals])))
    if origin in (tuple, list):
        return f"list of {_PLURALS.get(inner := _type(arguments[0]), inner)}"
    if origin is dict or annotation is dict:
        return "block of settings"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "block of settings"
    return _WORDS.get(annotation, getattr(annotation, "__name__", "text").lower())


def _or(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


def _bound(metadata: tuple[Any, ...], key: str) -> Any:
    return next((value for each in metadata if (value := getattr(each, key, None)) is not None), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.default if field.default_factory is None else None
    if value in (None, "", (), {}):
        return ""
    if isinstance(value, BaseModel):
        shown = str(value) if type(value).__str__ is not BaseModel.__str__ else ""
        return f"`{shown}`" if shown else ""
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{show_size(value) if _unbounded(field.annotation, tuple(field.metadata)) == 'size' else _plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return show_duration(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _literal_blocks(doc: str) -> str:
    """A docstring as Markdown: what ``::`` indents is code already, its double backticks become single ones."""
    return doc.replace("``", "`").replace("::\n", ":\n")


def main(docs: Path) -> None:
    """Rewrite the pages."""
    for path, text in pages(docs).items():
        path.write_text(text, "utf-8")
        print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
