"""Reading files of canaries or pairs line by line, and gathering everything that is wrong with them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from driftwatch.errors import SourceError

MOST_SHOWN = 20
LONGEST_LINE = 1 << 20
_LONGEST_VALUE = 60


class Place(NamedTuple):
    """Where something was read: a file as the user would name it, and a line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass
class Problems:
    """What is wrong with the files of one suite, in the order it was met."""

    base: Path
    """What the names of files are shown relative to."""
    each: str = "canary"
    """What one line holds."""
    example: str = '{"query_id": ..., "text": ...}'
    """How such a line looks."""
    shown: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, place: Place, problem: str, remedy: str) -> None:
        """Note a problem; from the 21st on they are only counted."""
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(f"{place}: {problem} {remedy}")
        else:
            self.more += 1

    @property
    def count(self) -> int:
        """How many there are so far."""
        return len(self.shown) + self.more

    def raise_any(self) -> None:
        """Raises SourceError with every problem, one a line, if there are any."""
        if self.shown:
            rest = [f"and {self.more} more like these."] if self.more else []
            raise SourceError("\n".join([*self.shown, *rest]))

    def name(self, path: Path) -> str:
        """``path`` relative to the base where it lies below it."""
        return str(path.relative_to(self.base)) if path.is_relative_to(self.base) else str(path)


def lines(path: Path, problems: Problems) -> Iterator[tuple[Place, str]]:
    """The lines of a UTF-8 file that are not blank, with their places; ``.gz`` is unpacked.

    A line that cannot be read becomes a problem and is left out; so does the rest of a file that breaks off.
    """
    name = problems.name(path)
    number = 0
    try:
        with _opened(path) as file:
            while raw := file.readline(LONGEST_LINE + 1):
                number += 1
                place = Place(name, number)
                if len(raw) > LONGEST_LINE:
                    problems.add(place, "the line is longer than 1 MiB.", f"Write one {problems.each} a line.")
                    return
                if number == 1 and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                    problems.add(place, "the file is UTF-16.", "Save it as UTF-8.")
                    return
                if (text := _decoded(raw, place, problems)) and not text.isspace():
                    yield place, text.rstrip("\r\n")
    except OSError as error:
        problem = f"the file cannot be read: {error.strerror or error}."
        problems.add(Place(name, number), problem, "Check its path and its owner.")
    except (EOFError, zlib.error):
        problems.add(Place(name, number), "the gzip file breaks off or is damaged.", "Pack it again.")


def _opened(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _decoded(raw: bytes, place: Place, problems: Problems) -> str:
    try:
        return raw.decode("utf-8-sig" if place.line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        problem = f"byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is not UTF-8."
        problems.add(place, problem, "Save the file as UTF-8.")
        return ""


def json_object(text: str, place: Place, problems: Problems) -> dict[str, Any] | None:
    """The JSON object on one line; None, and a problem, when it is none."""
    twice: list[str] = []

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice.extend(key for key in dict.fromkeys(keys) if keys.count(key) > 1)
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        why = (
            f"{error.msg} at column {error.colno}"
            if isinstance(error, json.JSONDecodeError)
            else "a value is too large"
        )
        problems.add(place, f"this is not JSON: {why}.", "Write one JSON object a line.")
        return None
    if not isinstance(value, dict):
        problems.add(place, f"this is {kind_of(value)}, not a JSON object.", f"Write {problems.example}.")
        return None
    for key in twice:
        problems.add(place, f"the key '{key}' stands there twice.", "Keep one of them.")
    return None if twice else value


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {bool: "true or false", type(None): "null", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def show(value: Any) -> str:
    """A JSON value as it was written, cut to a length that a message can hold."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"
