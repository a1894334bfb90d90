"""What pydantic found wrong, as sentences that name the setting, what it may be, what it is, and the remedy.

pydantic's own texts are never shown: they speak of types, and they quote values that may be secrets.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from driftwatch.plugins import secret_fields
from driftwatch.schedule import show_duration
from driftwatch.yamlfile import Where, show

Found = Mapping[str, Any]
"""One of pydantic's errors: type, loc, msg, input, ctx."""

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a block of settings",
    "mapping_type": "a block of settings",
    "model_type": "a block of settings",
    "model_attributes_type": "a block of settings",
    "path_type": "a path",
    "none_required": "left out",
    "literal_error": "{expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "below {lt}",
    "less_than_equal": "{le} or less",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern_mismatch": "of the form {pattern}",
    "too_short": "at least {min_length} long",
    "too_long": "at most {max_length} long",
    "byte_size": "a size such as '2 GB'",
    "byte_size_unit": "a size such as '2 GB'",
}
"""The type of an error -> what the setting must be; the braces are filled from the error's context."""

_SHORT = ("string_too_short", "too_short")
_LIKE_SECRETS = re.compile(r"token|secret|passw|credential|authorization|(api|private|signing)_?key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in a block of settings; ``where`` starts at the block."""

    where: Where
    problem: str
    remedy: str = ""


def complaints(cls: type[BaseModel], label: str, error: ValidationError, given: Any) -> list[Complaint]:
    """What ``error`` says about ``given``, which should have become a ``cls`` and which a person knows as ``label``."""
    return list(_Reader(cls, label, given).read(error.errors(include_url=False)))


def place(loc: Iterable[str | int], given: Any, *, missing: bool = False) -> tuple[Where, int | None]:
    """Where ``loc`` is in ``given``, and after how many steps it names a branch of a union, if it does."""
    where: list[str | int] = []
    branch: int | None = None
    parts = list(loc)
    for position, part in enumerate(parts):
        inside = (isinstance(given, dict) and part in given) or (
            isinstance(given, list) and isinstance(part, int) and part < len(given)
        )
        if inside:
            given = given[part]
        if inside or (missing and position == len(parts) - 1):
            where.append(part)
        elif branch is None:
            branch = len(where)
    return tuple(where), branch


def at(given: Any, where: Where) -> Any:
    """The value at ``where``; None when there is none."""
    for part in where:
        try:
            given = given[part]
        except (KeyError, IndexError, TypeError):
            return None
    return given


def nearest(name: str, names: Iterable[str]) -> str:
    """``Did you mean …?`` or what there is."""
    known = sorted(set(names))
    near = difflib.get_close_matches(name, known, n=1) or [one for one in known if one.lower() == name.lower()]
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"There are: {', '.join(known)}." if known else ""


def shown(value: Any) -> str:
    """A value as a person wrote it, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a block of settings"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…'"


class _Reader:
    """Turns the errors about one block of settings into complaints."""

    def __init__(self, cls: type[BaseModel], label: str, given: Any) -> None:
        self.cls = cls
        self.label = label
        self.given = given

    def read(self, found: Iterable[Any]) -> Iterable[Complaint]:
        plain: list[tuple[Where, Found]] = []
        unions: defaultdict[Where, list[tuple[Where, Found]]] = defaultdict(list)
        for one in found:
            where, branch = place(one["loc"], self.given, missing=one["type"] == "missing")
            if branch is None:
                plain.append((where, one))
            else:
                unions[where[:branch]].append((where, one))
        for where, one in self._without_typos(plain):
            yield self.complaint(where, one)
        for where, branches in unions.items():
            yield from self.union(where, branches)

    def _without_typos(self, found: list[tuple[Where, Found]]) -> Iterable[tuple[Where, Found]]:
        """A missing setting is not worth a word beside its own name misspelt."""
        meant = {
            (*where[:-1], match[1])
            for where, one in found
            if one["type"] == "extra_forbidden"
            and (match := re.match(r"Did you mean '(.*)'", nearest(str(where[-1]), self.names(where[:-1]))))
        }
        return [(where, one) for where, one in found if one["type"] != "missing" or where not in meant]

    def complaint(self, where: Where, one: Found) -> Complaint:
        match one["type"]:
            case "extra_forbidden":
                problem = f"{self.subject(where[:-1])} has no setting '{where[-1]}'."
                return Complaint(where, problem, nearest(str(where[-1]), self.names(where[:-1])))
            case "missing":
                problem = f"{self.subject(where[:-1])} needs '{where[-1]}'."
                return Complaint(where[:-1], problem, f"Add it{self.about(where)}.")
            case "value_error" | "assertion_error":
                said = str(one["ctx"]["error"])
                return Complaint(self.named_by(where, said), f"{self.prefix(where)}{said}")
        return self.wrong(where, [one])

    def union(self, where: Where, found: list[tuple[Where, Found]]) -> Iterable[Complaint]:
        """The branch whose shape fits speaks for itself; else one sentence holds what all of them expect."""
        if all(one["type"] == "value_error" for _, one in found):
            return [self.complaint(where, one) for _, one in found]
        deeper = [(place, one) for place, one in found if len(place) > len(where) or one["type"] == "missing"]
        if deeper:
            labels = [one["loc"][len(where)] for _, one in deeper]
            likeliest = min(set(labels), key=lambda label: (labels.count(label), str(label)))
            own = [pair for pair, label in zip(deeper, labels, strict=True) if label == likeliest]
            return [self.complaint(place, one) for place, one in own]
        return [self.wrong(where, [one for _, one in found])]

    def wrong(self, where: Where, found: list[Found]) -> Complaint:
        name = f"'{show(where)}'" if where else "it"
        problem = f"{self.label}{': ' if self.label else ''}{name} {self.must(where, found)}."
        return Complaint(where, problem, self.remedy(where, found[0]))

    def must(self, where: Where, found: list[Found]) -> str:
        """``must be a whole number or 'auto', not 'lots'``."""
        if all(one["type"] in _SHORT and one["ctx"]["min_length"] == 1 for one in found):
            return "must not be empty"
        wanted = list(dict.fromkeys(expectation(one) for one in found))
        value = " (what it is is not shown)" if self.is_secret(where) else f", not {shown(at(self.given, where))}"
        return f"must be {' or '.join(wanted)}{value}"

    def remedy(self, where: Where, one: Found) -> str:
        value = at(self.given, where)
        if one["type"] == "literal_error" and isinstance(value, str):
            options = re.findall(r"'([^']+)'", one["ctx"]["expected"])
            near = difflib.get_close_matches(value, options, n=1)
            return f"Did you mean '{near[0]}'?" if near else ""
        if one["type"] in ("list_type", "tuple_type") and isinstance(value, str) and not self.is_secret(where):
            return f"Write [{value}]."
        return ""

    def named_by(self, where: Where, said: str) -> Where:
        """A sentence about a whole block that begins with the name of a setting is about that setting."""
        name = re.match(r"'(\w+)'", said)
        block = at(self.given, where)
        return (*where, name[1]) if name and isinstance(block, dict) and name[1] in block else where

    def subject(self, where: Where) -> str:
        return ": ".join(part for part in (self.label, f"'{show(where)}'" if where else "") if part) or "this file"

    def prefix(self, where: Where) -> str:
        return "".join(f"{part}: " for part in (self.label, f"'{show(where)}'" if where else "") if part)

    def names(self, where: Where) -> list[str]:
        """What may be set at ``where``."""
        found: list[str] = []
        for cls in models_at(self.cls, where):
            found += [field.alias or name for name, field in cls.model_fields.items() if not field.exclude]
            found += [f"{name}_file" for name in secret_fields(cls)]
        return found

    def about(self, where: Where) -> str:
        """The first line of what the documentation says about a setting."""
        for cls in models_at(self.cls, where[:-1]):
            for key, field in cls.model_fields.items():
                if where[-1] in (key, field.alias) and field.description:
                    return f" ({field.description.splitlines()[0].rstrip('.')})"
        return ""

    def is_secret(self, where: Where) -> bool:
        """Whether a value must not be shown: its class says so, or its name sounds like it."""
        hidden = {
            name
            for depth in range(len(where))
            for cls in models_at(self.cls, where[:depth])
            for name, field in cls.model_fields.items()
            if _hides(field.annotation)
        }
        return any(part in hidden or _LIKE_SECRETS.search(part) for part in where if isinstance(part, str))


def expectation(one: Found) -> str:
    """What pydantic wanted, in words."""
    if one["type"] in ("value_error", "assertion_error"):
        return str(one["ctx"]["error"]).rstrip(".")
    if template := _EXPECTED.get(one["type"]):
        return template.format_map({name: _worded(value) for name, value in one.get("ctx", {}).items()})
    return str(one["msg"]).removeprefix("Input should be ").removeprefix("Value should be ")


def models_at(cls: type[BaseModel], where: Where) -> list[type[BaseModel]]:
    """The classes that the settings at ``where`` may become."""
    models = [cls]
    for part in where:
        fields = [
            field for model in models for name, field in model.model_fields.items() if part in (name, field.alias)
        ]
        if fields:
            models = [model for field in fields for model in _models_in(field.annotation)]
    return models


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


def _hides(annotation: Any) -> bool:
    return annotation is SecretStr or any(_hides(argument) for argument in get_args(annotation))


def _worded(value: Any) -> str:
    if isinstance(value, timedelta):
        return show_duration(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
