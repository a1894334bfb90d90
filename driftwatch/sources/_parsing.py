"""From the bytes of a line to its value, or the reason why not."""

from __future__ import annotations

import json
from typing import Any

import orjson

from driftwatch.sizes import show_size


class Malformed(ValueError):
    """A record that is not one: which field, what it holds, and what to write instead."""

    def __init__(self, field: str, problem: str, value: Any = None, remedy: str = "") -> None:
        self.field = field
        self.problem = problem
        self.value = shown(value)
        self.remedy = remedy
        self.bare = f"'{field}' {problem}" if field else problem
        """Without the value, which may be private."""
        self.message = f"{self.bare}: {self.value}." if self.value else f"{self.bare}."
        super().__init__(f"{self.message} {remedy}".strip())


def shown(value: Any, most: int = 80) -> str:
    """A value as JSON, cut to a length a person reads; empty for None."""
    if value is None:
        return ""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:
        text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def too_long(max_line: int) -> str:
    """Why a line was not read."""
    return f"the line is longer than {show_size(max_line)}. Log less, or raise max_line."


def salvaged(text: bytes) -> Any:
    """The value of a line that the fast parser refuses, where it is JSON as Python's and JavaScript's writers write it.

    NaN and infinities become null.

    Raises:
        Malformed: it is no JSON, with the place.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    try:
        # Back and forth: null instead of NaN, and an error for halves of surrogate pairs, which no database takes.
        return orjson.loads(orjson.dumps(json.loads(text.decode("utf-8"))))
    except UnicodeDecodeError as error:
        raise Malformed("", f"it is not UTF-8 (byte {error.start})") from None
    except (ValueError, TypeError, RecursionError):
        raise Malformed("", f"it is not JSON ({reason})") from None
