"""Recorded canary runs: JSON lines of what the retriever answered, at any time and by any program.

``{"ts": "2026-05-04T10:00:00Z", "query_id": "refund-de", "lang": "de", "relevant": ["doc-7"], "results": ["doc-7"]}``

``results`` are ids or objects with an id and perhaps a score, best first; ``error`` says that the question could not be
asked. Lines of one run follow each other: a run ends when a question comes again or an hour is over.
"""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import merge
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from driftwatch.errors import SourceError
from driftwatch.language import primary_subtag
from driftwatch.replay.reading import REJECTS_SHOWN, Progress, Taken
from driftwatch.sources._canary_lines import Problems, json_object, lines, show
from driftwatch.sources._results import hits
from driftwatch.sources._suites import canary
from driftwatch.sources._times import AHEAD, OLDEST, moment
from driftwatch.store import Store
from driftwatch.types import UNDETERMINED, Observation, Run

LONGEST_RUN = timedelta(hours=1)
"""What is asked later than this after the first question belongs to the next run."""

MOST_OPEN = 200
"""Files that are read side by side; more are read one after the other."""


def read_runs(store: Store, name: str, given: Sequence[str], now: datetime, progress: Progress) -> Taken:
    """Keep every recorded run of the files ``given`` as runs of the source ``name``.

    Raises:
        SourceError: a file is not there, or no line of it can be read.
    """
    problems = Problems(Path.cwd())
    answers = 0
    for asked, run in enumerate(_runs(name, _merged(name, _files(given), problems, now + AHEAD))):
        store.canaries.add(run)
        answers += len(run.observations)
        if asked % 50 == 0:
            progress(f"reading {name}", answers)
    rejects = tuple(each.rstrip() for each in problems.shown[:REJECTS_SHOWN])
    if not answers:
        said = "\n".join(rejects) or "the files are empty."
        remedy = 'Write {"ts": …, "query_id": …, "relevant": […], "results": […]} a line.'
        raise SourceError(f"no canary run can be read: {said}", remedy=remedy)
    return Taken(name, answers + problems.count, problems.count, rejects)


def _files(given: Sequence[str]) -> list[Path]:
    """Files, patterns and directories as files, each in the order of its name."""
    found: dict[Path, None] = {}
    for pattern in given:
        path = Path(pattern)
        inside = [each for suffix in ("*.jsonl", "*.ndjson", "*.jsonl.gz") for each in path.glob(suffix)]
        matched = sorted(inside) if path.is_dir() else sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207 - absolute
        if not matched:
            remedy = "Name JSON lines, or a directory that holds some."
            raise SourceError(f"there are no recorded runs at '{pattern}'.", remedy=remedy)
        found |= dict.fromkeys(matched)
    return list(found)


def _merged(name: str, files: Sequence[Path], problems: Problems, latest: datetime) -> Iterator[Observation]:
    """The answers of all files: a run may be spread over one file for each language."""
    each = [_answers(name, path, problems, latest) for path in files]
    return merge(*each, key=attrgetter("at")) if len(files) <= MOST_OPEN else chain(*each)


def _answers(name: str, path: Path, problems: Problems, latest: datetime) -> Iterator[Observation]:
    for place, line in lines(path, problems):
        given = json_object(line, place, problems)
        if given is None:
            continue
        try:
            yield _answer(name, given, latest)
        except ValueError as error:
            problems.add(place, f"{str(error).rstrip('.')}.", "")


def _answer(name: str, given: dict[str, Any], latest: datetime) -> Observation:
    """One line.

    Raises:
        ValueError: what is wrong with it.
    """
    at = _time(given.get("ts"), latest)
    query_id = given.get("query_id")
    if not isinstance(query_id, str | int) or isinstance(query_id, bool) or not str(query_id).strip():
        raise ValueError(f"'query_id' is {show(query_id)}. Write a text that stays the same")
    error = given.get("error")
    results = given.get("results")
    if results is not None and not isinstance(results, list):
        raise ValueError(f"'results' is {show(results)}. Write a list: [\"doc-7\"]")
    if results is None and not error:
        raise ValueError("it has neither 'results' nor 'error'. An empty answer is []")
    relevant, expect_empty = _expected(given)
    lang = primary_subtag(str(given.get("lang") or UNDETERMINED))
    query = canary(str(query_id), str(given.get("text") or ""), lang, relevant, expect_empty)
    return Observation(
        at=at,
        source=name,
        query_id=query.query_id,
        text=query.text,
        lang=query.lang,
        hits=None if results is None or error else hits(results),
        relevant=relevant,
        expect_empty=expect_empty,
        abstained=given["abstained"] if isinstance(given.get("abstained"), bool) else None,
        versions=_versions(given.get("versions")),
        error=str(error) if error else None,
        digest=query.digest,
        attempt=1 if given.get("attempt") == 1 else 0,
    )


def _time(given: Any, latest: datetime) -> datetime:
    if given is None:
        raise ValueError("it has no 'ts'. Write when the question was asked, in RFC 3339")
    try:
        at, _ = moment(given)
    except ValueError as error:
        raise ValueError(f"'ts' {error}: {show(given)}") from None
    if not OLDEST < at < latest:
        raise ValueError(f"'ts' is {show(given)}, which no clock shows")
    return at


def _expected(given: dict[str, Any]) -> tuple[dict[str, int], bool]:
    """(doc_id -> relevance, whether nothing should be found)."""
    expect_empty = given.get("expect_empty") is True
    relevant = given.get("relevant", [])
    if isinstance(relevant, dict):
        relevant = [{"id": doc_id, "relevance": grade} for doc_id, grade in relevant.items()]
    if not isinstance(relevant, list):
        raise ValueError(f"'relevant' is {show(relevant)}. Write a list: [\"doc-7\"]")
    judged = dict(map(_document, relevant))
    if not judged and not expect_empty:
        raise ValueError("'relevant' is empty. Name the documents that answer it, or write \"expect_empty\": true")
    return judged, expect_empty


def _document(given: Any) -> tuple[str, int]:
    doc_id, grade = (given.get("id"), given.get("relevance", 1)) if isinstance(given, dict) else (given, 1)
    if not isinstance(doc_id, str | int) or isinstance(doc_id, bool) or not str(doc_id) or not isinstance(grade, int):
        raise ValueError(f'{show(given)} in \'relevant\' is not a document. Write "doc-7" or {{"id": …}}')
    return str(doc_id), int(grade)


def _versions(given: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}


def _runs(name: str, answers: Iterable[Observation]) -> Iterator[Run]:
    """Answers that follow each other, as runs."""
    held: dict[tuple[str, str, int], Observation] = {}
    start: datetime | None = None
    for answer in answers:
        key = (answer.query_id, answer.digest, answer.attempt)
        if start is not None and (key in held or abs(answer.at - start) > LONGEST_RUN):
            yield _run(name, start, held.values())
            held, start = {}, None
        held[key] = answer
        start = answer.at if start is None else start
    if start is not None:
        yield _run(name, start, held.values())


def _run(name: str, start: datetime, answers: Iterable[Observation]) -> Run:
    seen = tuple(answers)
    suite = hashlib.sha256("\x1f".join(sorted(each.query_id + each.digest for each in seen)).encode()).hexdigest()
    return Run(f"{name}:{start.isoformat()}:{suite[:8]}", name, start, suite[:16], seen)
