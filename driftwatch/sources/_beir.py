"""Canaries from a data set in the form of BEIR: ``queries.jsonl`` and ``qrels/<split>.tsv``, packed or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from driftwatch.sources import _qrels
from driftwatch.sources._canary_lines import Place, Problems, json_object, lines, show
from driftwatch.sources._suites import Entry, canary, language, refuse_too_many

_ID = ("_id", "id", "query_id", "query-id", "qid")
_TEXT = ("text", "query")
_LANG = ("lang", "language")


def directory(folder: Path, split: str, lang: str, problems: Problems) -> tuple[list[Entry], list[str]]:
    """The judged queries of a BEIR directory, and notes."""
    queries = next((file for name in ("queries.jsonl", "queries.jsonl.gz") if (file := folder / name).is_file()), None)
    if queries is None:
        remedy = (
            f"A BEIR directory holds it; driftwatch's own files are named one by one: {problems.name(folder)}/*.jsonl"
        )
        problems.add(Place(problems.name(folder), 0), "there is no queries.jsonl in this directory.", remedy)
        return [], []
    return files(queries, folder / "qrels", split, lang, problems)


def files(
    queries: Path,
    qrels: Path,
    split: str,
    lang: str,
    problems: Problems,
    refuse: Callable[[int], None] = refuse_too_many,
) -> tuple[list[Entry], list[str]]:
    """The judged queries of ``queries``; ``qrels`` is a file, or a directory with one for each split."""
    judgements = qrels if qrels.is_file() else _qrels.find(qrels, split, problems)
    if judgements is None:
        return [], []
    judged = _qrels.read(judgements, problems, refuse)
    entries = list(_read(queries, judged, lang, problems))
    return entries, unasked(judged, entries, problems.name(queries))


def unasked(judged: _qrels.Judged, entries: list[Entry], file: str) -> list[str]:
    """A note when judgements name queries that are not there."""
    lost = sorted(judged.keys() - {entry.query.query_id for entry in entries})
    return [f"{len(lost)} judged queries are not in {file}, such as {lost[0]}"] if lost else []


def _read(path: Path, judged: _qrels.Judged, lang: str, problems: Problems) -> Iterator[Entry]:
    for place, line in lines(path, problems):
        given = json_object(line, place, problems)
        if given is None:
            continue
        query_id = _first(given, _ID)
        if query_id is None or isinstance(query_id, (bool, float, dict, list)):
            problems.add(place, f"the query's id is {show(query_id)}.", f"Write it under '{_ID[0]}'.")
        elif str(query_id) in judged:
            text = _first(given, _TEXT)
            if not isinstance(text, str) or not text.strip():
                problems.add(place, f"the query '{query_id}' has no text.", f"Write it under '{_TEXT[0]}'.")
                continue
            spoken = language(_spoken(given), lang, place, problems)
            yield Entry(canary(str(query_id), text.strip(), spoken, judged[str(query_id)]), place)


def _spoken(given: dict[str, Any]) -> Any:
    metadata = given.get("metadata")
    return _first(given, _LANG) or (_first(metadata, _LANG) if isinstance(metadata, dict) else None)


def _first(given: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((given[name] for name in names if given.get(name) is not None), None)
