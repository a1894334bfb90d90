"""Canaries from a Ragas evaluation set: SingleTurnSamples as JSON, JSON lines or CSV."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from driftwatch.sources._canary_lines import Place, Problems, json_object, kind_of, lines, show
from driftwatch.sources._csv import merged, named_after, rows
from driftwatch.sources._suites import Entry, canary, language

QUESTION, IDS, CONTEXTS = "user_input", "reference_context_ids", "reference_contexts"
MOST_BYTES = 256 << 20
"""Of one JSON file that is no JSON lines."""

Match = Callable[[str], tuple[str, ...]]
"""A text -> the doc_ids of the documents with that text, whitespace aside."""


def read(path: Path, lang: str, match: Match | None, problems: Problems) -> tuple[list[Entry], list[str]]:
    """The samples of one file, and notes; ``match`` is None where no documents are configured."""
    entries = []
    for place, sample in _samples(path, problems):
        text = sample.get(QUESTION)
        if not isinstance(text, str) or not text.strip():
            said = f"'{QUESTION}' is {show(text) if isinstance(text, str | type(None)) else kind_of(text)}."
            problems.add(place, said, "Keep samples of a single turn, with the question as a text.")
            continue
        relevant = _relevant(sample, match, place, problems)
        given = sample.get("lang") or sample.get("language")
        spoken = language(given if isinstance(given, str) else None, lang, place, problems)
        name = named_after(text.strip(), spoken, "ragas")
        entries.append(Entry(canary(name, text.strip(), spoken, relevant), place))
    return merged(entries)


def _relevant(sample: Mapping[str, Any], match: Match | None, place: Place, problems: Problems) -> dict[str, int]:
    """By ids where there are any; else by the contexts, each of which must be the text of a document."""
    doc_ids = _list(sample, IDS, place, problems)
    if doc_ids:
        return {str(doc_id): 1 for doc_id in doc_ids}
    contexts = _list(sample, CONTEXTS, place, problems)
    if contexts and match is None:
        problem = f"there are no '{IDS}', and without the documents nobody knows whose text a reference context is."
        problems.add(place, problem, f"Add '{IDS}', or name the documents: '--config' with a 'documents:' section.")
        return {}
    found: dict[str, int] = {}
    for context in contexts:
        same = match(str(context)) if match else ()
        if not same:
            problem = f"the reference context {show(context)} is the text of no document, whitespace aside."
            problems.add(place, problem, f"Add '{IDS}', or name the documents that it was taken from.")
        found |= dict.fromkeys(same, 1)
    return found


def _list(sample: Mapping[str, Any], name: str, place: Place, problems: Problems) -> list[str | int]:
    """A list of texts or numbers; a cell of a table holds it as Python or JSON writes it."""
    value = sample.get(name)
    if isinstance(value, str):
        value = _unquoted(value)
    if value is None or value == "":
        return []
    if isinstance(value, list) and all(isinstance(each, str | int) and not isinstance(each, bool) for each in value):
        return value
    problems.add(place, f"'{name}' is {show(value)}.", 'Write a list: ["doc-7"].')
    return []


def _unquoted(cell: str) -> Any:
    """``['doc-7']`` or ``["doc-7"]``: literals only, nothing is run. What is neither stays a text."""
    if not cell.strip() or cell.strip().lower() in ("nan", "none", "null"):
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return cell


def _samples(path: Path, problems: Problems) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    if path.name.removesuffix(".gz").endswith((".csv", ".tsv")):
        yield from rows(path, problems, needs=(QUESTION,))
        return
    whole = _whole(path, problems) if path.suffix == ".json" else None
    if whole is None:
        for place, line in lines(path, problems):
            given = json_object(line, place, problems)
            if given is not None:
                yield place, given
        return
    for number, sample in enumerate(whole, 1):
        place = Place(f"{problems.name(path)}, sample {number}", 0)
        if isinstance(sample, dict):
            yield place, sample
        else:
            problems.add(place, f"this is {kind_of(sample)}, not a JSON object.", 'Write {"user_input": ...}.')


def _whole(path: Path, problems: Problems) -> list[Any] | None:
    """The list that one JSON file holds; None where it is JSON lines, or cannot be read: then its lines say why."""
    try:
        if path.stat().st_size > MOST_BYTES:
            problems.add(Place(problems.name(path), 0), "the file is larger than 256 MB.", "Save it as JSON lines.")
            return []
        value = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(value, dict) and QUESTION not in value:
        value = next((each for each in value.values() if isinstance(each, list)), None)
    return value if isinstance(value, list) else None
