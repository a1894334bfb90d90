"""Requests with places for the query: ``{query}``, ``{top_k}``, ``{lang}``, ``{query_id}``.

A value that is one placeholder and nothing else becomes the value itself, so ``"{top_k}"`` is a JSON number and a
query full of quotes stays one string. Doubled braces stand for themselves.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from driftwatch.types import Query

PLACEHOLDERS = ("query", "top_k", "lang", "query_id")

_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_]+)\}")

Substitutes = Mapping[str, str | int]


def substitutes(query: Query, top_k: int) -> Substitutes:
    """What each placeholder stands for."""
    return {"query": query.text, "top_k": top_k, "lang": query.lang, "query_id": query.query_id}


def placeholders(template: Any) -> Iterator[str]:
    """The names of all placeholders in a template, nested ones too."""
    if isinstance(template, str):
        yield from (token[1] for token in _TOKEN.finditer(template) if token[1])
    elif isinstance(template, Mapping):
        for key, value in template.items():
            yield from placeholders(key)
            yield from placeholders(value)
    elif isinstance(template, list):
        for value in template:
            yield from placeholders(value)


def check_placeholders(*templates: Any) -> None:
    """Every placeholder is known, and the query is among them.

    Raises:
        ValueError: with the nearest name, or how to send the query.
    """
    found = [name for template in templates for name in placeholders(template)]
    for name in found:
        if name not in PLACEHOLDERS:
            near = difflib.get_close_matches(name, PLACEHOLDERS, n=1)
            raise ValueError(
                f"there is no placeholder '{{{name}}}'. "
                + (f"Did you mean '{{{near[0]}}}'? " if near else f"There are: {', '.join(PLACEHOLDERS)}. ")
                + f"For the text itself, write '{{{{{name}}}}}'."
            )
    if "query" not in found:
        raise ValueError("the query is not sent. Write '{query}' where it belongs in 'url', 'params' or 'body'.")


def filled(template: Any, values: Substitutes) -> Any:
    """The template with its placeholders replaced, in one pass: a query that looks like a placeholder stays text."""
    if isinstance(template, str):
        whole = _TOKEN.fullmatch(template)
        if whole and whole[1]:
            return values[whole[1]]
        return _TOKEN.sub(lambda token: str(values[token[1]]) if token[1] else token[0][0], template)
    if isinstance(template, Mapping):
        return {str(filled(key, values)): filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template


def filled_url(template: str, values: Substitutes) -> str:
    """The URL with percent-encoded values: a query cannot leave its place in the path."""
    return str(filled(template, {name: quote(str(value), safe="") for name, value in values.items()}))
