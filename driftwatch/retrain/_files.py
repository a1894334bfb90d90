"""Labelled pairs: JSON lines with a question and its documents, and data sets as BEIR has them."""

from __future__ import annotations

import glob
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from driftwatch.errors import RetrainError, SourceError
from driftwatch.retrained import Pair
from driftwatch.sources import _beir, _qrels
from driftwatch.sources._canary_lines import Place, Problems, json_object, lines, show
from driftwatch.sources._suites import language
from driftwatch.types import UNDETERMINED

EXAMPLE = '{"query": ..., "doc_id": ...}'
TRAIN, TEST = "train", "test"
MOST_QUERIES = 1_000_000
"""Judged queries of one data set."""

_DOCUMENTS = ("doc_id", "doc_ids", "positives")
_JSON_LINES = (".jsonl", ".jsonl.gz")
_SETTING = "Check 'retrain: pairs: files'."

Found = Iterator[tuple[Place, Pair]]


def read(patterns: Sequence[str], base: Path, same: Callable[[str], str]) -> list[Pair]:
    """Every pair of every file, once; ``same`` is what two spellings of a question have in common.

    Raises:
        RetrainError: a pattern that matches nothing, files without a pair, or everything that is wrong in them.
    """
    problems = Problems(base, "pair", EXAMPLE)
    first: dict[tuple[str, str], tuple[Place, Pair]] = {}
    try:
        for path in _matched(patterns, base):
            for place, pair in _pairs(path, problems):
                where, earlier = first.setdefault((same(pair.query), pair.doc_id), (place, pair))
                if earlier.relevant != pair.relevant:
                    said = "relevant" if earlier.relevant else "not relevant"
                    problems.add(place, f"'{pair.doc_id}' is {said} for this query at {where}.", "Keep one of them.")
        problems.raise_any()
    except SourceError as error:
        raise RetrainError(error.problem, remedy=error.remedy) from None
    if patterns and not first:
        raise RetrainError(f"{', '.join(patterns)}: the labelled files hold no pair.", remedy=f"Write {EXAMPLE}.")
    return [pair for _, pair in first.values()]


def _matched(patterns: Sequence[str], base: Path) -> list[Path]:
    matched: dict[Path, None] = {}
    for pattern in patterns:
        whole = Path(glob.escape(str(base))) / Path(pattern).expanduser()
        found = sorted(glob.glob(str(whole), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not found:
            raise RetrainError(f"{pattern}: there is no such file or folder.", remedy=_SETTING)
        matched |= dict.fromkeys(map(Path, found))
    return list(matched)


def _pairs(path: Path, problems: Problems) -> Found:
    if path.is_dir():
        return _folder(path, problems)
    if path.name.endswith(_JSON_LINES) and path.parent.name != "qrels":
        return _json_lines(path, problems)
    return _judged(path, problems)


# --- JSON lines ----------------------------------------------------------------------------------------------------


def _json_lines(path: Path, problems: Problems) -> Found:
    for place, line in lines(path, problems):
        given = json_object(line, place, problems)
        if given is None:
            continue
        before = problems.count
        query = _text(given.get("query"), "query", place, problems)
        doc_ids = _doc_ids(given, place, problems)
        relevant = _relevant(given.get("relevant"), place, problems)
        query_id = _identifier(given.get("query_id", ""), "query_id", place, problems)
        lang = language(given.get("lang"), UNDETERMINED, place, problems)
        if problems.count == before:
            for doc_id in doc_ids:
                yield place, Pair(query, doc_id, lang, relevant, query_id=query_id)


def _text(value: Any, name: str, place: Place, problems: Problems) -> str:
    if isinstance(value, str) and value.strip() and _whole(value):
        return value.strip()
    problems.add(place, f"'{name}' is {show(value)}.", f"Write {EXAMPLE}.")
    return ""


def _doc_ids(given: dict[str, Any], place: Place, problems: Problems) -> list[str]:
    named = [name for name in _DOCUMENTS if given.get(name) is not None]
    if len(named) != 1:
        problem = "the pair names no document." if not named else f"documents stand in {' and '.join(named)}."
        problems.add(place, problem, f"Write {EXAMPLE}, or 'doc_ids' with a list.")
        return []
    value = given[named[0]]
    values = value if isinstance(value, list) and named[0] != _DOCUMENTS[0] else [value]
    if not values:
        problems.add(place, f"'{named[0]}' is empty.", "Name at least one document, or leave the line out.")
    return [_identifier(each, named[0], place, problems) for each in values]


def _identifier(value: Any, name: str, place: Place, problems: Problems) -> str:
    """Text or a whole number, as text; only a ``query_id`` may be empty."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        text = str(value)
        if _whole(text) and (text or name == "query_id"):
            return text
    problems.add(place, f"'{name}' is {show(value)}.", "Write an id: a text or a whole number.")
    return ""


def _relevant(value: Any, place: Place, problems: Problems) -> bool:
    """True, false, or a grade: more than 0 is relevant."""
    if value is None:
        return True
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value > 0
    problems.add(place, f"'relevant' is {show(value)}.", "Write true or false, or a grade: more than 0 is relevant.")
    return True


def _whole(text: str) -> bool:
    """JSON can say halves of surrogate pairs, which no file and no database takes."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


# --- BEIR ----------------------------------------------------------------------------------------------------------


def _folder(folder: Path, problems: Problems) -> Found:
    """The split to train on; the one to judge by is read only where its file is named."""
    splits = {_split(file): file for file in (folder / "qrels").glob("*") if file.name.endswith(_qrels.ENDINGS)}
    if TRAIN not in splits:
        there = f" There is: {', '.join(sorted(splits))}." if splits else ""
        problem = f"this folder has no qrels/{TRAIN}.tsv to train on.{there}"
        remedy = f"Name the file where another one is meant: {problems.name(folder)}/qrels/<split>.tsv"
        if TEST in splits:
            remedy = f"'{TEST}' is to judge by; whoever trains on it all the same names its file."
        problems.add(Place(problems.name(folder), 0), problem, remedy)
        return iter(())
    return _judged(splits[TRAIN], problems)


def _judged(qrels: Path, problems: Problems) -> Found:
    """The judgements of one file, with the questions of the ``queries.jsonl`` beside it or one folder up."""
    names = ("queries.jsonl", "queries.jsonl.gz")
    places = [folder / name for folder in (qrels.parent, qrels.parent.parent) for name in names]
    queries = next((file for file in places if file.is_file()), None)
    if queries is None:
        problems.add(
            Place(problems.name(qrels), 0), "there is no queries.jsonl beside it.", "Judgements need their questions."
        )
        return
    entries, _ = _beir.files(queries, qrels, "", UNDETERMINED, problems, _refuse_too_many)
    for place, query in ((entry.place, entry.query) for entry in entries):
        if not all(map(_whole, (query.text, query.query_id, *query.relevant))):
            problems.add(place, "a text or an id holds half of a surrogate pair.", "Write each character whole.")
            continue
        for doc_id, grade in query.relevant.items():
            yield place, Pair(query.text, doc_id, query.lang, grade > 0, query_id=query.query_id)


def _split(file: Path) -> str:
    return file.name.removesuffix(".gz").rpartition(".")[0]


def _refuse_too_many(count: int) -> None:
    if count > MOST_QUERIES:
        raise SourceError(f"there are more than {MOST_QUERIES:,} judged queries.", remedy="Name fewer of them.")
