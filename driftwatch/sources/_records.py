"""Lines become counts and a sample: what the query log and the push source share.

Every line costs a parse, a few additions and one hash; only rows that enter the sample become objects.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from driftwatch.language import primary_subtag
from driftwatch.privacy import KeepText, kept
from driftwatch.sampling import EVERYTHING, Batch, Kept, OpenStratum, Reject, Sampler
from driftwatch.sources._times import AHEAD, OLDEST
from driftwatch.sources._version1 import LEFT_OUT, Malformed, hits, plain, score_kind, versions
from driftwatch.types import TALLY_FIELDS, UNDETERMINED, Observation, ScoredDoc, ScoreKind

Translate = Callable[[Any], Any]

QUERIES, RESULTS_KNOWN, EMPTY, ABSTENTION_KNOWN, ABSTAINED, FEEDBACK_KNOWN = range(6)
DETECTED, ERRORS = TALLY_FIELDS.index("detected"), TALLY_FIELDS.index("errors")
FEEDBACK_PLACES = {name: TALLY_FIELDS.index(name) for name in ("up", "down", "click", "accepted")} | {"none": 0}

TOO_OLD = "lines older than the days whose sample is still open were counted and not sampled"

MOST_REJECTS = 200
"""Rejects shown of one batch; all are counted."""
REJECT_SHOWN = 500
LONGEST_QUERY = 10_000
"""Characters kept of one query."""
LONGEST_NAME = 300
"""Characters kept of an id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ODD = (KeyError, TypeError, ValueError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a record is understood, the same for every source of a watch."""

    languages: tuple[str, ...] = ()
    """What detection is restricted to."""
    detect: Callable[[str], str] | None = None
    """Text -> language or ``und``, for records that do not say; None: never guess."""
    abstained: Callable[[str, str], bool | None] | None = None
    """(answer, language) -> does it decline to answer? For records without the flag."""
    keep_text: KeepText = "full"
    key: bytes | None = None
    """Of the text hashes; None draws one a process."""


@dataclass(slots=True)
class _Cell:
    """One hour of one language in a batch."""

    layer: OpenStratum
    counts: list[int] = field(default_factory=lambda: [0] * len(TALLY_FIELDS))


class Intake:
    """One batch in the making."""

    def __init__(
        self,
        source: str,
        sampler: Sampler,
        reading: Reading,
        now: datetime,
        *,
        stratify: bool = False,
        score_kind: ScoreKind = "similarity",
        translate: Translate | None = None,
        max_line: int = 1 << 30,
    ) -> None:
        self.source = source
        self.sampler = sampler
        self.reading = reading
        self.now = now
        self.latest = now + AHEAD
        self.stratify = stratify
        self.score_kind: ScoreKind = score_kind
        self.translate = translate
        self.max_line = max_line
        self.lines = 0
        self.rejected = 0
        self.rejects: list[Reject] = []
        self.notes: Counter[str] = Counter()
        self.kept: list[Kept] = []
        self.cells: dict[tuple[int, str], _Cell] = {}
        self._langs: dict[str, str] = {}

    # --- lines -----------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Iterable[bytes], file: str, offset: int) -> None:
        """Count and sample lines of a file, given without their line feeds; ``offset``: where the first one begins."""
        loads, translate, take, longest = orjson.loads, self.translate, self._take, self.max_line
        for line in lines:
            try:
                if len(line) > longest:
                    raise ValueError
                record = loads(line)
                take(record if translate is None else translate(record))
            except _ODD:
                self._add_odd(line, file, offset)
            else:
                self.lines += 1
            offset += len(line) + 1

    def _add_odd(self, line: bytes, file: str, offset: int) -> None:
        """A line that is not exactly as the contract says: read with patience, or rejected."""
        text = line.strip(b"\0 \t\r\n").removeprefix(_BYTE_ORDER_MARK)
        if not text:
            return
        self.lines += 1
        try:
            if len(line) > self.max_line:
                raise Malformed("", f"the line is longer than max_line ({self.max_line} bytes)")
            record = salvaged(text)
            self.add_record(record if self.translate is None else self.translate(record))
        except Malformed as error:
            private = self.reading.keep_text != "full"
            self.reject(file, offset, error.bare if private else str(error), line)

    def reject(self, file: str, offset: int, reason: str, line: bytes = b"") -> None:
        """Count a line that cannot be read, and quarantine it with its place."""
        self.rejected += 1
        if len(self.rejects) < MOST_REJECTS:
            shown = line[: 4 * REJECT_SHOWN].decode("utf-8", "replace")[:REJECT_SHOWN]
            self.rejects.append(Reject(file, offset, reason, _clean(shown) if self.reading.keep_text == "full" else ""))

    # --- records ---------------------------------------------------------------------------------------------------

    def add_record(self, record: Any, *, strict: bool = False) -> None:
        """Count and sample one record; ``strict`` refuses what a log line is forgiven.

        Raises:
            Malformed: it is none.
        """
        self._take(plain(record, self.now, self.note, strict=strict))

    def note(self, what: str) -> None:
        self.notes[what] += 1

    def _take(self, record: Any) -> None:
        """Count and maybe keep a record that is exactly as the contract says.

        Raises:
            KeyError, TypeError, ValueError, IndexError or AttributeError, before anything is counted: it is not.
        """
        text = record["query"]
        at = datetime.fromisoformat(record["ts"])
        get = record.get
        results, session, error, abstained = get("results"), get("session"), get("error"), get("abstained")
        if not (OLDEST < at < self.latest and text.strip()) or (results is not None and type(results) is not list):
            raise ValueError
        if (session is not None and type(session) is not str) or (error is not None and type(error) is not str):
            raise TypeError
        given = get("lang")
        lang = self._detected(text) if given is None else self._langs.get(given) or self._tag(given)
        feedback = get("feedback")
        place = None if feedback is None else FEEDBACK_PLACES[feedback]
        if abstained is None:
            abstained = self._abstained(get("answer"), lang)
        elif type(abstained) is not bool:
            raise TypeError

        hour = (at - _EPOCH) // _HOUR
        cell = self.cells.get((hour, lang)) or self._cell(hour, lang)
        counts = cell.counts
        counts[QUERIES] += 1
        if error:
            counts[ERRORS] += 1
        elif results is not None:
            counts[RESULTS_KNOWN] += 1
            counts[EMPTY] += not results
        if abstained is not None:
            counts[ABSTENTION_KNOWN] += 1
            counts[ABSTAINED] += abstained
        if place is not None:
            counts[FEEDBACK_KNOWN] += 1
            if place:
                counts[place] += 1
        if given is None and lang != UNDETERMINED:
            counts[DETECTED] += 1

        priority = cell.layer.priority(session or distinct(text))
        if priority < cell.layer.threshold:
            if cell.layer.offer(priority):
                row = self._observation(record, at, lang, abstained)
                self.kept.append(Kept(priority, cell.layer.day, row, cell.layer.lang))
        elif not cell.layer.threshold:
            self.notes[TOO_OLD] += 1

    def _detected(self, text: str) -> str:
        detect = self.reading.detect
        return UNDETERMINED if detect is None else detect(text)

    def _tag(self, given: str) -> str:
        """The primary subtag of a tag as lines write it, remembered."""
        self._langs[given] = lang = primary_subtag(given)
        return lang

    def _abstained(self, answer: Any, lang: str) -> bool | None:
        if answer is None or self.reading.abstained is None:
            return None
        if type(answer) is not str:
            raise TypeError
        return self.reading.abstained(answer, lang)

    def _cell(self, hour: int, lang: str) -> _Cell:
        day = (_EPOCH + hour * _HOUR).date()
        layer = self.sampler.stratum(day, lang if self.stratify else EVERYTHING)
        self.cells[hour, lang] = cell = _Cell(layer)
        return cell

    def _observation(self, record: Mapping[str, Any], at: datetime, lang: str, abstained: bool | None) -> Observation:
        """A row of the sample. Nothing here may raise: the record is counted already."""
        text, error, session = record["query"], record.get("error"), record.get("session")
        given = record.get("query_id")
        query_id = _clean(str(given)) if isinstance(given, str | int) and given != "" else _derived_id(record)
        return Observation(
            at=at.astimezone(UTC),
            source=self.source,
            query_id=query_id[:LONGEST_NAME],
            text=kept(_clean(text[:LONGEST_QUERY]), self.reading.keep_text, self.reading.key),
            lang=lang,
            lang_detected=record.get("lang") is None and lang != UNDETERMINED,
            session=_clean(session)[:LONGEST_NAME] if session else None,
            hits=None if error else self._hits(record.get("results")),
            score_kind=self._or_left_out(score_kind, record.get("score_kind")) or self.score_kind,
            abstained=abstained,
            feedback=record.get("feedback"),
            versions=self._or_left_out(versions, record.get("versions")) or {},
            error=_clean(error)[:REJECT_SHOWN] if error else None,
        )

    def _hits(self, results: list[Any] | None) -> tuple[ScoredDoc, ...] | None:
        found = None if results is None else self._or_left_out(hits, results)
        if found is None:
            return None
        return tuple(ScoredDoc(_clean(doc.doc_id)[:LONGEST_NAME], doc.score) for doc in found)

    def _or_left_out(self, read: Callable[[Any], Any], value: Any) -> Any:
        """What a field of a sampled line says; None with a note when it cannot be understood."""
        try:
            return read(value)
        except Malformed as error:
            self.note(LEFT_OUT.format(error.field.partition("[")[0]))
            return None

    # --- the batch -------------------------------------------------------------------------------------------------

    def batch(self, cursor: Mapping[str, Any]) -> Batch:
        """Everything since the intake was made, for one transaction."""
        thresholds = self.sampler.drain()
        return Batch(
            source=self.source,
            cursor=cursor,
            tallies={key: cell.counts for key, cell in self.cells.items()},
            kept=tuple(row for row in self.kept if row.priority < thresholds.get((row.day, row.stratum), 1.0)),
            thresholds=thresholds,
            rejects=tuple(self.rejects),
            lines=self.lines,
            rejected=self.rejected,
            notes=dict(self.notes),
        )


def distinct(text: str) -> str:
    """What two queries that ask the same have in common: the words, in small letters."""
    return " ".join(text.lower().split())


def salvaged(text: bytes) -> Any:
    """The value of a line that the fast parser refuses, where it is JSON as Python's and JavaScript's writers write it.

    NaN and infinities become null.

    Raises:
        Malformed: it is no JSON, with the place.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        reason = str(error)
    try:
        # Back and forth: null instead of NaN, and an error for halves of surrogate pairs, which no database takes.
        return orjson.loads(orjson.dumps(json.loads(text.decode("utf-8"))))
    except UnicodeDecodeError as error:
        raise Malformed("", f"it is not UTF-8 (byte {error.start})") from None
    except (ValueError, TypeError, RecursionError):
        raise Malformed("", f"it is not JSON ({reason})") from None


def _derived_id(record: Mapping[str, Any]) -> str:
    """An id for a query without one, the same each time the line is read."""
    parts = (record["ts"], record.get("session") or "", record["query"])
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _clean(text: str) -> str:
    """Without the one character that PostgreSQL does not take."""
    return text.replace("\0", "\ufffd") if "\0" in text else text
