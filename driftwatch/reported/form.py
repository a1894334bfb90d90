"""A ``Week`` as JSON, and back: exactly the same, of version 1."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from driftwatch.reported import VERSION, Week

Read = Callable[[Any], Any]


def as_json(week: Week) -> bytes:
    """UTF-8, two spaces deep, the fields in their order; times as ``2026-11-16T00:00:00+00:00``, half surrogates ``?``.

    Raises:
        ValueError: a number is infinite or none.
    """
    return (json.dumps(content_of(week), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "replace"
    )


def content_of(part: Any) -> Any:
    """A week, or a part of one, as plain JSON."""
    if is_dataclass(part):
        return {each.name: content_of(getattr(part, each.name)) for each in fields(part)}
    if isinstance(part, Mapping):
        return {name: content_of(each) for name, each in part.items()}
    if isinstance(part, tuple):
        return [content_of(each) for each in part]
    return part.isoformat() if isinstance(part, date) else part


def read_json(content: bytes) -> Week:
    """What ``as_json`` gave.

    Raises:
        ValueError: it is something else, or of another version.
    """
    try:
        return week_of(json.loads(content))
    except RecursionError:
        raise ValueError("this is no report: it is nested too deep") from None


def week_of(content: Any) -> Week:
    """What ``content_of`` gave for a week.

    Raises:
        ValueError: it is something else, or of another version.
    """
    try:
        if content["version"] != VERSION:
            raise ValueError(f"this report is of version {content['version']!r}, and only {VERSION} can be read")
        return _reader(Week)(content)  # type: ignore[no-any-return]
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no report: {error!r}") from None


@cache
def _reader(kind: Any) -> Read:
    """How a value of this type is read from plain JSON."""
    origin, inside = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return _noun(kind)
    if origin in (Union, types.UnionType):
        return _perhaps(_reader(next(each for each in inside if each is not type(None))))
    if origin is tuple:
        each = _reader(inside[0])
        if inside[1:] == (...,):
            return lambda given: tuple(map(each, _listed(given)))
        return lambda given: tuple(read(one) for read, one in zip(map(_reader, inside), given, strict=True))
    if origin is Literal:
        return _one_of(inside)
    if origin is not None and issubclass(origin, Mapping):
        value = _reader(inside[1])
        return lambda given: {str(name): value(one) for name, one in given.items()}
    return {datetime: datetime.fromisoformat, date: date.fromisoformat}.get(kind) or _plain(kind)


def _noun(kind: Any) -> Read:
    """A dataclass by its fields; what a later version has beside them is left alone."""
    hints = get_type_hints(kind)
    readers = {each.name: _reader(hints[each.name]) for each in fields(kind)}
    return lambda given: kind(**{name: read(given[name]) for name, read in readers.items()})


def _perhaps(read: Read) -> Read:
    return lambda given: None if given is None else read(given)


def _listed(given: Any) -> list[Any]:
    if not isinstance(given, list):
        raise TypeError(f"{given!r:.40} is no list")
    return given


def _one_of(words: tuple[Any, ...]) -> Read:
    def read(given: Any) -> Any:
        if given not in words:
            raise TypeError(f"{given!r:.40} is none of {words}")
        return given

    return read


def _plain(kind: Any) -> Read:
    wanted = (int, float) if kind is float else (kind,)

    def read(given: Any) -> Any:
        if not isinstance(given, wanted) or (isinstance(given, bool) and kind is not bool):
            raise TypeError(f"{given!r:.40} is no {kind.__name__}")
        return float(given) if kind is float else given

    return read
