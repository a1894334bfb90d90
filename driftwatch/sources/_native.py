"""Canaries as driftwatch writes them: JSON lines.

``{"query_id": "refund-de", "text": "...", "lang": "de", "relevant": ["doc-7", {"id": "doc-9", "relevance": 2}]}``
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from driftwatch.sources._canary_lines import Place, Problems, json_object, kind_of, lines, show
from driftwatch.sources._suites import Entry, canary, language
from driftwatch.types import Query

KEYS = ("query_id", "text", "lang", "relevant", "expect_empty", "tags")
PROPOSED = "proposed"
"""What `canaries propose` writes beside a question, for the person who labels it; nothing of it is read."""
_MEANT = {
    **dict.fromkeys(("id", "_id", "qid", "query-id"), "query_id"),
    **dict.fromkeys(("query", "question"), "text"),
    **dict.fromkeys(("language", "locale"), "lang"),
    **dict.fromkeys(("relevant_docs", "docs", "doc_ids", "documents", "qrels", "positives"), "relevant"),
}
_MEANT_OF_DOCUMENTS = {
    **dict.fromkeys(("doc_id", "_id", "docid", "document"), "id"),
    **dict.fromkeys(("grade", "score", "rel"), "relevance"),
}


def read(path: Path, lang: str, problems: Problems) -> Iterator[Entry]:
    """The canaries of one file; ``lang`` is that of those that name none."""
    for place, line in lines(path, problems):
        given = json_object(line, place, problems)
        if given is not None:
            before = problems.count
            query = _query(given, lang, place, problems)
            if problems.count == before:
                yield Entry(query, place)


def _query(given: dict[str, Any], lang: str, place: Place, problems: Problems) -> Query:
    """One canary; every setting that is wrong is a problem of its own."""
    is_proposed = given.pop(PROPOSED, None) is not None
    given = _as_meant(given, "a canary", KEYS, _MEANT, place, problems)
    expect_empty = given.get("expect_empty", False)
    if not isinstance(expect_empty, bool):
        problems.add(place, f"'expect_empty' is {show(expect_empty)}.", "Write true or false.")
    relevant = _relevant(given, place, problems)
    if expect_empty is True and relevant:
        problem = "it has 'relevant' documents and expects to find nothing."
        problems.add(place, problem, "Drop 'relevant' or 'expect_empty'.")
    if expect_empty is False and relevant == {}:
        remedy = 'Name the documents that answer it, or write "expect_empty": true.'
        if is_proposed:
            problem = "this is a proposal that nobody has labelled yet: 'relevant' is empty."
            problems.add(place, problem, f"{remedy.removesuffix('.')}; or delete the line.")
        else:
            problems.add(place, "'relevant' is empty.", remedy)
    return canary(
        _query_id(given, place, problems),
        _text(given, place, problems),
        _language(given.get("lang"), lang, place, problems),
        relevant or {},
        expect_empty is True,
        _tags(given, place, problems),
    )


def _as_meant(
    given: dict[str, Any], what: str, keys: tuple[str, ...], meant: dict[str, str], place: Place, problems: Problems
) -> dict[str, Any]:
    """``given`` under the names it should have: each wrong name is one problem, and no second one for what it holds."""
    named = {key: value for key, value in given.items() if key in keys}
    for key in (key for key in given if key not in keys):
        right = meant.get(key) or next(iter(difflib.get_close_matches(key, keys, n=1)), "")
        remedy = f"Did you mean '{right}'?" if right else f"There are: {', '.join(keys)}."
        problems.add(place, f"{what} has no '{key}'.", remedy)
        if right:
            named.setdefault(right, given[key])
    return named


def _query_id(given: dict[str, Any], place: Place, problems: Problems) -> str:
    value = given.get("query_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value.strip()
    if "query_id" not in given:
        problems.add(place, "'query_id' is missing.", "Give the canary a name that stays the same.")
    else:
        problems.add(place, f"'query_id' is {show(value)}.", "Write a text that stays the same.")
    return ""


def _text(given: dict[str, Any], place: Place, problems: Problems) -> str:
    value = given.get("text")
    if isinstance(value, str) and value.strip():
        return value.strip()
    if "text" not in given:
        problems.add(place, "'text' is missing.", "Write the question.")
    elif isinstance(value, str):
        problems.add(place, "'text' is empty.", "Write the question.")
    else:
        problems.add(place, f"'text' is {kind_of(value)}.", "Write the question as a text.")
    return ""


def _language(value: Any, otherwise: str, place: Place, problems: Problems) -> str:
    if value is None or isinstance(value, str):
        return language(value, otherwise, place, problems)
    problems.add(place, f"'lang' is {show(value)}.", 'Write a BCP 47 language such as "de".')
    return otherwise


def _relevant(given: dict[str, Any], place: Place, problems: Problems) -> dict[str, int] | None:
    """doc_id -> relevance; None when it is no list."""
    value = given.get("relevant", [])
    if not isinstance(value, list):
        problems.add(place, f"'relevant' is {kind_of(value)}.", 'Write a list: ["doc-7"].')
        return None
    relevant: dict[str, int] = {}
    for document in value:
        doc_id, relevance = _document(document, place, problems)
        if doc_id in relevant:
            problems.add(place, f"the document '{doc_id}' is named twice in 'relevant'.", "Keep one of them.")
        relevant[doc_id] = relevance
    return relevant


def _document(value: Any, place: Place, problems: Problems) -> tuple[str, int]:
    """``"doc-7"`` or ``{"id": "doc-7", "relevance": 2}``."""
    if isinstance(value, dict):
        value = _as_meant(value, "a relevant document", ("id", "relevance"), _MEANT_OF_DOCUMENTS, place, problems)
        relevance = value.get("relevance", 1)
        if not isinstance(relevance, int) or isinstance(relevance, bool):
            remedy = "Write a whole number: 1 or more is relevant."
            problems.add(place, f"the relevance {show(relevance)} is not an integer.", remedy)
            relevance = 1
        return _doc_id(value.get("id"), place, problems), relevance
    return _doc_id(value, place, problems), 1


def _doc_id(value: Any, place: Place, problems: Problems) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value
    remedy = 'Write "doc-7" or {"id": "doc-7", "relevance": 2}.'
    problems.add(place, f"{show(value)} in 'relevant' is not the id of a document.", remedy)
    return ""


def _tags(given: dict[str, Any], place: Place, problems: Problems) -> tuple[str, ...]:
    value = given.get("tags", [])
    if isinstance(value, list) and all(isinstance(tag, str) and tag for tag in value):
        return tuple(value)
    problems.add(place, f"'tags' is {show(value)}.", 'Write a list of texts: ["billing"].')
    return ()


def written(query: Query) -> dict[str, Any]:
    """The line that is read as ``query``."""
    relevant = [doc if grade == 1 else {"id": doc, "relevance": grade} for doc, grade in query.relevant.items()]
    given: dict[str, Any] = {"query_id": query.query_id, "text": query.text, "lang": query.lang}
    given |= {"expect_empty": True} if query.expect_empty else {"relevant": relevant}
    return given | ({"tags": list(query.tags)} if query.tags else {})
