"""What each field of a record may hold: version 1 of the contract with the watched service.

The reader's fast path takes records that are exactly as the contract says. Everything else comes here once: it becomes
such a record, or the reason why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson

from driftwatch.language import primary_subtag
from driftwatch.sources._parsing import Malformed, shown
from driftwatch.sources._results import identifier
from driftwatch.sources._times import AHEAD, OLDEST, moment
from driftwatch.types import ScoreKind

NAMES = (
    "ts",
    "query",
    "query_id",
    "session",
    "lang",
    "results",
    "score_kind",
    "answer",
    "abstained",
    "feedback",
    "versions",
    "latency_ms",
    "error",
    "metadata",
)
"""Every field; only `ts` and `query` are required."""

FEEDBACK = {"up": "up", "down": "down", "click": "click", "accepted": "accepted", "none": "none"} | {
    other: value
    for value, others in {
        "up": ("thumbs_up", "thumbs-up", "thumbsup", "positive", "like", "liked", "helpful", "+1", "👍"),
        "down": (
            "thumbs_down",
            "thumbs-down",
            "thumbsdown",
            "negative",
            "dislike",
            "disliked",
            "unhelpful",
            "-1",
            "👎",
        ),
        "click": ("clicked",),
        "accepted": ("accept",),
    }.items()
    for other in others
}
"""What a service calls its feedback -> what it is called here."""

MOST_VERSIONS = 16

LEFT_OUT = "lines whose '{}' could not be understood were read without it"

Note = Callable[[str], None]
"""Takes what was understood with a reservation."""


def plain(record: Any, now: datetime, note: Note, *, strict: bool = False) -> dict[str, Any]:
    """A record that holds nothing but what the contract says; its query is None where it only says what somebody
    thought of the one that its query_id names.

    ``strict`` (what a client pushes, and can correct) refuses what a log line is forgiven with a note.

    Raises:
        Malformed: with the first thing that is wrong.
    """
    if not isinstance(record, Mapping):
        raise Malformed("", "it is not a JSON object", record, 'Write {"ts": ..., "query": ...}.')
    forgive = None if strict else note
    if strict:
        _storable(record)
    return {
        "ts": _time(record.get("ts"), now, note),
        "query": None if _speaks_of_another(record) else _query(record.get("query")),
        "session": identifier("session", record.get("session")),
        "results": _results(record.get("results")),
        "answer": _text("answer", record.get("answer")),
        "abstained": _flag(record.get("abstained")),
        "error": _error(record.get("error")),
        "query_id": _or_nothing(lambda given: identifier("query_id", given), record.get("query_id"), forgive),
        "lang": _or_nothing(_lang, record.get("lang"), forgive),
        "score_kind": _or_nothing(score_kind, record.get("score_kind"), forgive),
        "feedback": _or_nothing(lambda given: _feedback(given, forgive), record.get("feedback"), forgive),
        "versions": _or_nothing(versions, record.get("versions"), forgive),
    }


def _storable(record: Mapping[Any, Any]) -> None:
    """Lines come from a parser that lets nothing else through; records come from anywhere."""
    for name in NAMES:
        try:
            orjson.dumps(record.get(name))
        except TypeError as error:
            raise Malformed(name, f"cannot be stored ({error})", remedy="Send what JSON in UTF-8 can hold.") from None


def _or_nothing(read: Callable[[Any], Any], value: Any, forgive: Note | None) -> Any:
    """What a field says, or None and a note where a line is forgiven a field that says nothing readable."""
    try:
        return read(value)
    except Malformed as error:
        if forgive is None:
            raise
        forgive(LEFT_OUT.format(error.field))
        return None


def _time(value: Any, now: datetime, note: Note) -> str:
    if value is None:
        raise Malformed("ts", "is missing", remedy="Give the time as RFC 3339, such as 2026-11-01T09:30:00Z.")
    try:
        at, assumed = moment(value)
    except ValueError as error:
        remedy = "Write RFC 3339, such as 2026-11-01T09:30:00Z, or seconds since 1970."
        raise Malformed("ts", str(error), value, remedy) from None
    if at >= now + AHEAD:
        raise Malformed("ts", "is more than a day ahead of now", value, "Set the clock that wrote it.")
    if at <= OLDEST:
        raise Malformed("ts", "is before the year 2000", value, "Set the clock that wrote it.")
    if assumed:
        note(assumed)
    return at.isoformat()


def _query(value: Any) -> str:
    if value is None:
        raise Malformed("query", "is missing", remedy="Give the text that was asked.")
    if not isinstance(value, str):
        raise Malformed("query", "is not text", value, "Give the text that was asked.")
    if not value.strip():
        raise Malformed("query", "is empty", value, "Give the text that was asked.")
    return value


def _speaks_of_another(record: Mapping[Any, Any]) -> bool:
    """Is this feedback on a query that was logged before, and no query itself?"""
    if record.get("query") is not None:
        return False
    try:
        said = _feedback(record.get("feedback"), _silent)
        named = identifier("query_id", record.get("query_id"))
    except Malformed:
        return False
    return bool(named) and said not in (None, "none")


def _silent(_note: str) -> None:
    """It is noted when the field is read."""


def _text(field: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise Malformed(field, "is not text", value)
    return value


def _lang(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        return primary_subtag(value if isinstance(value, str) else str(value))
    except ValueError as error:
        raise Malformed("lang", "is not a language", value, str(error)) from None


def _results(value: Any) -> list[Any] | None:
    if value is not None and not isinstance(value, list):
        raise Malformed("results", "is not a list", value, 'Write [{"id": ..., "score": ...}], or [] for no results.')
    return value


def score_kind(value: Any) -> ScoreKind | None:
    """``similarity`` or ``distance``.

    Raises:
        Malformed: something else.
    """
    if value is None or value == "similarity" or value == "distance":
        return value  # type: ignore[no-any-return]
    raise Malformed("score_kind", "is not a kind of score", value, "Write similarity or distance.")


def _flag(value: Any) -> bool | None:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise Malformed("abstained", "is not true or false", value)


def _feedback(value: Any, forgive: Note | None) -> str | dict[str, str] | None:
    """One of ``FEEDBACK``'s values; with the document where one is named: ``{"value": "click", "doc_id": "doc-7"}``."""
    given = value.get("value", value.get("type")) if isinstance(value, Mapping) else value
    if given is None or given == "":
        return None
    known = FEEDBACK.get(given.strip().lower()) if isinstance(given, str) else None
    if known is None:
        raise Malformed("feedback", "is unknown", given, "Write up, down, click, accepted or none.")
    doc_id = _or_nothing(feedback_document, value, forgive)
    return {"value": known, "doc_id": doc_id} if doc_id else known


def feedback_document(value: Any) -> str | None:
    """The document that feedback names; None where it names none.

    Raises:
        Malformed: what it names is no identifier.
    """
    return identifier("feedback.doc_id", value.get("doc_id")) if isinstance(value, Mapping) else None


def versions(value: Any) -> dict[str, str]:
    """What the service says it runs, each as text.

    Raises:
        Malformed: not an object.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Malformed("versions", "is not an object", value, 'Write {"index": "v7", "embedder": "e5-small"}.')
    some = list(value.items())[:MOST_VERSIONS]
    return {str(name)[:64]: (it if isinstance(it, str) else shown(it))[:200] for name, it in some if it is not None}


def _error(value: Any) -> str | None:
    """Why retrieval failed, in words; false, 0, {} and "" are no error."""
    if not value:
        return None
    return value if isinstance(value, str) else shown(value, 500)
