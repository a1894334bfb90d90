"""Foreign logs: where each field of the contract is found in a record, as JMESPath."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jmespath
import orjson
from jmespath import functions
from jmespath.exceptions import JMESPathError

from driftwatch.sources._parsing import Malformed
from driftwatch.sources._version1 import NAMES

Getter = Callable[[Any], Any]

_DOTTED = re.compile(r"(?:@\.)?((?:[A-Za-z_]\w*|\"[^\"\\]+\")(?:\.(?:[A-Za-z_]\w*|\"[^\"\\]+\"))*)")
_PART = re.compile(r"[A-Za-z_]\w*|\"[^\"\\]+\"")


class _Functions(functions.Functions):
    """What logs need beyond the functions of JMESPath."""

    @functions.signature({"types": ["string", "null"]})
    def _func_from_json(self, text: str | None) -> Any:
        """The value of a text that holds JSON; null when it does not."""
        try:
            return orjson.loads(text or "null")
        except orjson.JSONDecodeError:
            return None

    @functions.signature({"types": ["object", "null"]}, {"types": ["string"]})
    def _func_numbered(self, record: Mapping[str, Any] | None, prefix: str) -> list[dict[str, Any]] | None:
        """``{"docs.0.id": "a", "docs.1.id": "b"}`` with the prefix ``docs`` is ``[{"id": "a"}, {"id": "b"}]``."""
        found: dict[int, dict[str, Any]] = {}
        for key, value in (record or {}).items():
            place, dot, rest = key.removeprefix(f"{prefix}.").partition(".")
            if dot and key.startswith(f"{prefix}.") and place.isdecimal() and place.isascii() and len(place) < 7:
                found.setdefault(int(place), {})[rest] = value
        return [found[place] for place in sorted(found)] or None


_OPTIONS = jmespath.Options(custom_functions=_Functions())


class FieldMap:
    """Turns a foreign record into one with the names of the contract.

    A name that is not mapped is read under its own name.

    Raises:
        ValueError: an unknown field or a broken expression, with the remedy.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.getters: dict[str, Getter] = {name: getter(name, text) for name, text in fields.items()}
        self.rest = tuple(name for name in NAMES if name not in fields)

    def __call__(self, record: Any) -> Any:
        """The record under the names of the contract; what is no object is returned as it is.

        Raises:
            Malformed: an expression does not fit the record.
        """
        if not isinstance(record, Mapping):
            return record
        mapped = {name: record[name] for name in self.rest if name in record}
        for name, get in self.getters.items():
            mapped[name] = get(record)
        return mapped


def getter(name: str, expression: str) -> Getter:
    """What finds one field in a record.

    Raises:
        ValueError: there is no such field, or the expression is none.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(NAMES)}."
        raise ValueError(f"'{name}' is not a field of a record. {remedy}")
    if plain := _DOTTED.fullmatch(expression):
        return _walk(tuple(part.strip('"') for part in _PART.findall(plain[1])))
    try:
        compiled = jmespath.compile(expression)
    except JMESPathError as error:
        first = str(error).splitlines()[0]
        raise ValueError(
            f"'{name}: {expression}' is not JMESPath: {first}. Names with other signs need double quotes inside, "
            "such as '\"input.value\"'."
        ) from None
    if unknown := sorted(set(_called(compiled.parsed)) - set(_Functions.FUNCTION_TABLE)):
        near = difflib.get_close_matches(unknown[0], _Functions.FUNCTION_TABLE, n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else "See the functions of JMESPath, from_json and numbered."
        raise ValueError(f"'{name}: {expression}' calls '{unknown[0]}', which is no function. {remedy}")
    return _search(name, expression, compiled)


def _called(node: Mapping[str, Any]) -> Iterator[str]:
    """The functions an expression calls."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        yield from _called(child)


def _walk(path: tuple[str, ...]) -> Getter:
    """The commonest expression, names joined by dots, without an interpreter."""

    def get(record: Any) -> Any:
        for key in path:
            if not isinstance(record, dict):
                return None
            record = record.get(key)
        return record

    return get


def _search(name: str, expression: str, compiled: Any) -> Getter:
    def get(record: Any) -> Any:
        try:
            return compiled.search(record, _OPTIONS)
        except (JMESPathError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            # jmespath lets Python's own errors through when a function meets a value it did not expect.
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Malformed(name, f"cannot be had by '{expression}' ({first})") from None

    return get
