"""A record that enters the sample becomes an observation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from driftwatch.privacy import KeepText, kept
from driftwatch.sources._parsing import Malformed
from driftwatch.sources._results import hits
from driftwatch.sources._version1 import LEFT_OUT, feedback_document, score_kind, versions
from driftwatch.types import UNDETERMINED, Observation, ScoredDoc, ScoreKind

LONGEST_QUERY = 10_000
"""Characters kept of one query."""
LONGEST_NAME = 300
"""Characters kept of an id."""
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Rows:
    """Makes the rows of one source."""

    source: str
    score_kind: ScoreKind
    """Of lines that do not say theirs."""
    keep_text: KeepText
    key: bytes | None
    note: Callable[[str], None]
    """Takes what was left out."""
    hear: Callable[[str, str], None] | None = None
    """Takes what is kept of a text, and the text."""

    def row(self, record: Mapping[str, Any], at: datetime, lang: str, abstained: bool | None) -> Observation:
        """A row of the sample. Nothing here may raise: the record is counted already."""
        text, error, session = record["query"], record.get("error"), record.get("session")
        feedback = record.get("feedback")
        given = record.get("query_id")
        query_id = clean(str(given)) if isinstance(given, str | int) and given != "" else _derived_id(record)
        text = clean(text[:LONGEST_QUERY])
        shown = kept(text, self.keep_text, self.key) if text else ""  # feedback without its query has none
        if self.hear is not None:
            self.hear(shown, text)
        return Observation(
            at=at.astimezone(UTC),
            source=self.source,
            query_id=query_id[:LONGEST_NAME],
            text=shown,
            lang=lang,
            lang_detected=record.get("lang") is None and lang != UNDETERMINED,
            session=clean(session)[:LONGEST_NAME] if session else None,
            hits=None if error else self._hits(record.get("results")),
            score_kind=self._or_left_out(score_kind, record.get("score_kind")) or self.score_kind,
            abstained=abstained,
            feedback=feedback["value"] if isinstance(feedback, Mapping) else feedback,
            feedback_doc=clean(self._or_left_out(feedback_document, feedback) or "")[:LONGEST_NAME],
            versions=self._or_left_out(versions, record.get("versions")) or {},
            error=clean(error)[:LONGEST_ERROR] if error else None,
        )

    def _hits(self, results: list[Any] | None) -> tuple[ScoredDoc, ...] | None:
        found = None if results is None else self._or_left_out(hits, results)
        if found is None:
            return None
        if any("\0" in doc.doc_id or len(doc.doc_id) > LONGEST_NAME for doc in found):
            return tuple(ScoredDoc(clean(doc.doc_id)[:LONGEST_NAME], doc.score) for doc in found)
        return found  # type: ignore[no-any-return]

    def _or_left_out(self, read: Callable[[Any], Any], value: Any) -> Any:
        """What a field of a sampled line says; None with a note when it cannot be understood."""
        try:
            return read(value)
        except Malformed as error:
            self.note(LEFT_OUT.format(error.field.partition("[")[0]))
            return None


def _derived_id(record: Mapping[str, Any]) -> str:
    """An id for a query without one, the same each time the line is read."""
    parts = (record["ts"], record.get("session") or "", record["query"])
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def clean(text: str) -> str:
    """Without the one character that PostgreSQL does not take."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
