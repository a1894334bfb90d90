"""Relevance judgements: query -> document -> grade; in BEIR's form (3 columns, or JSON lines) or TREC's (4 columns)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from driftwatch.sources._canary_lines import Place, Problems, json_object, lines
from driftwatch.sources._suites import refuse_too_many

_QUERY = ("query-id", "query_id", "qid")
_DOCUMENT = ("corpus-id", "corpus_id", "doc_id", "docid")
_GRADE = ("score", "relevance", "rel")
ENDINGS = (".tsv", ".jsonl", ".tsv.gz", ".jsonl.gz", ".txt", ".qrels")

Judged = dict[str, dict[str, int]]


def read(path: Path, problems: Problems, refuse: Callable[[int], None] = refuse_too_many) -> Judged:
    """query_id -> doc_id -> grade.

    Raises:
        SourceError: more queries are judged than ``refuse`` lets pass, 100,000 for canaries.
    """
    judged: Judged = {}
    first: dict[tuple[str, str], Place] = {}
    for place, row in _rows(path, problems):
        query_id, doc_id, grade = row
        relevance = _grade(grade, place, problems)
        documents = judged.setdefault(query_id, {})
        if documents.setdefault(doc_id, relevance) != relevance:
            problem = f"'{doc_id}' has the grade {relevance} for '{query_id}', and {documents[doc_id]} at {{}}."
            problems.add(place, problem.format(first[query_id, doc_id]), "Keep one of them.")
        first.setdefault((query_id, doc_id), place)
        refuse(len(judged))
    return judged


def find(folder: Path, split: str, problems: Problems) -> Path | None:
    """The judgements of ``split`` in a BEIR directory's ``qrels/``; None, and a problem, when there are none."""
    there = sorted(file for file in folder.glob("*") if file.name.endswith(ENDINGS)) if folder.is_dir() else []
    for file in there:
        if file.name.removesuffix(".gz").rpartition(".")[0] == split:
            return file
    names = sorted({file.name.removesuffix(".gz").rpartition(".")[0] for file in there})
    remedy = f"Set 'split' to one of: {', '.join(names)}." if names else "It needs <split>.tsv with three columns."
    problems.add(Place(problems.name(folder), 0), f"there are no judgements of the split '{split}'.", remedy)
    return None


def _rows(path: Path, problems: Problems) -> Iterator[tuple[Place, tuple[str, str, Any]]]:
    heading = True
    for place, line in lines(path, problems):
        row = _object(line, place, problems) if line.lstrip().startswith("{") else _columns(line, place, problems)
        if row is not None and not (heading and row[0] in _QUERY):
            yield place, row
        heading = False


def _object(line: str, place: Place, problems: Problems) -> tuple[str, str, Any] | None:
    given = json_object(line, place, problems)
    if given is None:
        return None
    query_id, doc_id, grade = (
        next((given[name] for name in names if name in given), None) for names in (_QUERY, _DOCUMENT, _GRADE)
    )
    if query_id is None or doc_id is None or grade is None:
        remedy = 'Write {"query-id": ..., "corpus-id": ..., "score": 1}.'
        problems.add(place, "a judgement needs a query, a document and a score.", remedy)
        return None
    return str(query_id), str(doc_id), grade


def _columns(line: str, place: Place, problems: Problems) -> tuple[str, str, Any] | None:
    """Three columns (query, document, grade), or TREC's four (query, iteration, document, grade)."""
    cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
    if len(cells) == 4:
        del cells[1]
    if len(cells) != 3 or not all(cells):
        problem = f"the line has {len(cells)} columns."
        problems.add(place, problem, "Write query, document, grade; or query, 0, document, grade.")
        return None
    return cells[0], cells[1], cells[2]


def _grade(value: Any, place: Place, problems: Problems) -> int:
    """A whole number; data sets on the hub write 1.0."""
    try:
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("nan")
    if not number.is_integer():
        problems.add(
            place, f"the relevance '{value}' is not an integer.", "Write a whole number: 1 or more is relevant."
        )
        return 0
    return int(number)
