"""Canaries from a table: CSV or TSV with a heading, as spreadsheets and notebooks write them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from driftwatch.sources._canary_lines import Place, Problems, lines
from driftwatch.sources._suites import Entry, canary, language

_DELIMITERS = (",", "\t", ";")
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Columns:
    """How the columns are called."""

    query: str = "query"
    lang: str = "lang"
    relevant: str = "relevant"
    """doc_ids with a semicolon between them."""
    id: str = "query_id"
    """May be missing: then a canary is named after its text."""


def read(path: Path, columns: Columns, lang: str, problems: Problems) -> tuple[list[Entry], list[str]]:
    """The canaries of one table, and notes; ``lang`` is that of rows that name none."""
    entries = []
    for place, row in rows(path, problems, needs=(columns.query, columns.relevant)):
        text = row[columns.query].strip()
        if not text:
            problems.add(place, f"'{columns.query}' is empty.", "Write the question.")
            continue
        spoken = language(row.get(columns.lang, "").strip() or None, lang, place, problems)
        documents = [each.strip() for each in row[columns.relevant].split(";")]
        relevant = {doc_id: 1 for doc_id in documents if doc_id}
        query_id = row.get(columns.id, "").strip() or named_after(text, spoken, "csv")
        entries.append(Entry(canary(query_id, text, spoken, relevant), place))
    return merged(entries)


def rows(path: Path, problems: Problems, needs: tuple[str, ...]) -> Iterator[tuple[Place, dict[str, str]]]:
    """Each row with its place, by the names of the heading; what is no table becomes a problem."""
    source = lines(path, problems)
    first = next(source, None)
    if first is None:
        problems.add(Place(problems.name(path), 0), "the file is empty.", "Write a heading and a row for each canary.")
        return
    pulled: list[Place] = []
    reader = csv.reader(_fed(chain([first], source), pulled), delimiter=_delimiter(first[1]), strict=True)
    records = _records(reader, pulled, first[0], problems)
    _, heading = next(records, (first[0], []))
    names = [name.strip() for name in heading]
    for name in (name for name in needs if name not in names):
        remedy = f"There are: {', '.join(names)[:200]}. Name it with an option, or in the heading."
        problems.add(first[0], f"there is no column '{name}'.", remedy)
    if not set(needs) <= set(names):
        return
    for place, cells in records:
        if len(cells) == len(names):
            yield place, dict(zip(names, cells, strict=True))
        else:
            problem = f"the row has {len(cells)} cells and the heading {len(names)}."
            problems.add(place, problem, 'Put "quotes" around a cell that holds the separator.')


def named_after(text: str, lang: str, form: str) -> str:
    """An id for a canary that has none: the same whenever the same question is read."""
    return f"{form}-{blake2b(f'{lang} {text}'.encode('utf-8', 'replace'), digest_size=5).hexdigest()}"


def merged(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """Rows of one canary as one canary with the documents of all of them, and a note when there were any."""
    first: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        query = entry.query
        key = (query.query_id, query.text, query.lang)
        known = first.get(key)
        both = {**known.query.relevant, **query.relevant} if known else query.relevant
        first[key] = Entry(canary(*key, both), known.place if known else entry.place)
    more = len(entries) - len(first)
    return list(first.values()), [f"{more} rows repeat a question; their documents were put together"] if more else []


def _delimiter(heading: str) -> str:
    return max(_DELIMITERS, key=heading.count)


def _fed(source: Iterator[tuple[Place, str]], pulled: list[Place]) -> Iterator[str]:
    for place, line in source:
        pulled.append(place)
        yield f"{line}\n"


def _records(
    reader: Iterator[list[str]], pulled: list[Place], start: Place, problems: Problems
) -> Iterator[tuple[Place, list[str]]]:
    """Rows with the place of their first line: a quoted cell may have many."""
    while True:
        pulled.clear()
        try:
            cells = next(reader, None)
        except csv.Error as error:
            place = pulled[0] if pulled else start
            problems.add(place, f"the table cannot be read: {str(error)[:_SHOWN]}.", "Check the quotes of this row.")
            return
        if cells is None:
            return
        yield pulled[0], cells
