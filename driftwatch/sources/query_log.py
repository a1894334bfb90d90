"""The log of the watched service: JSON lines, followed through rotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, PrivateAttr, field_validator

from driftwatch.feedback import Votes
from driftwatch.sampling import Batch, Sampler
from driftwatch.schedule import Schedule
from driftwatch.sizes import Size, size
from driftwatch.sources import Source
from driftwatch.sources._fields import FieldMap
from driftwatch.sources._files import scan
from driftwatch.sources._follow import Known, Outlook, look
from driftwatch.sources._lines import Piece, pieces
from driftwatch.sources._records import Intake, Reading
from driftwatch.sources._times import moment
from driftwatch.types import ScoreKind

MOST_ROWS = 2700
"""Sampled rows after which a batch is handed over, whatever its bytes."""


class QueryLog(Source):
    """Queries that the watched service wrote to a log, one JSON object a line.

    Everything is counted; a sample with known weights is kept. The log is followed through rotation by rename and by
    copy, truncation and compression with gzip; what was rotated before driftwatch came is read first. Each complete
    line is counted once, also when driftwatch or the service is killed.
    """

    gives: ClassVar[str] = "traffic"
    kind: Literal["query_log"] = "query_log"

    path: str | tuple[str, ...]
    """The log file, or a pattern such as `logs/*.jsonl`, or a list. Files it was rotated to are found beside it:
    `queries.jsonl.1`, `queries.jsonl-20261101.gz`, `queries-2026-11-01.jsonl`."""
    every: Schedule = Schedule.parse("10s")
    """How often to look for new lines."""
    keep_per_day: int = Field(default=2000, ge=1, le=1_000_000)
    """How many queries a day are kept as a sample, and as many lines with feedback; everything is counted."""
    stratify: Literal["lang"] | None = None
    """`lang` samples each language by itself, so that small ones are not lost among large ones."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Where a foreign log holds the fields of the contract, as JMESPath: `{ts: "@.time", query: request.q}`."""
    score_kind: ScoreKind = "similarity"
    """`distance` when a lower score is better; a line may say otherwise."""
    ask_again: bool = False
    """Ask sampled queries again through the retriever, where the log holds no results."""
    max_line: Size = size("1 MB")
    """Longer lines are rejected."""

    _known: Known = PrivateAttr(default_factory=Known)

    @field_validator("path")
    @classmethod
    def _names_something(cls, path: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not path or (isinstance(path, tuple) and "" in path):
            raise ValueError("is empty. Write the path of the log, such as '/var/log/assistant/queries.jsonl'.")
        return path

    @field_validator("fields")
    @classmethod
    def _compiles(cls, fields: dict[str, str]) -> dict[str, str]:
        FieldMap(fields)
        return fields

    def read(
        self,
        base: Path,
        cursor: Mapping[str, Any] | None,
        sampler: Sampler,
        reading: Reading,
        *,
        now: datetime | None = None,
        limit_bytes: int = 64 << 20,
        votes: Votes | None = None,
    ) -> Iterator[Batch]:
        """Every complete line since ``cursor``, in batches of some ``limit_bytes``; nothing new is no batch.

        Lines pass by, so a batch is far smaller than the bytes it was read from.

        Each batch must be committed before the next is asked for. The sampler has moved on when a batch comes out: if
        it could not be committed, read again from the stored cursor with a sampler made from the store; so with
        ``votes``, without which lines with feedback are not kept beside the sample.

        Raises:
            SourceError: the log is there and cannot be read. A log that is not there yet has no lines.
        """
        now = now or datetime.now(UTC)
        translate = FieldMap(self.fields) if self.fields else None
        outlook, unreadable = self._look(base, cursor)

        def intake() -> Intake:
            return Intake(
                self.name,
                sampler,
                reading,
                now,
                stratify=self.stratify == "lang",
                score_kind=self.score_kind,
                translate=translate,
                max_line=self.max_line,
                votes=votes,
            )

        batch = intake()
        _report(batch, outlook, unreadable)
        spent = 0
        with closing(pieces(outlook, self.max_line, limit_bytes, _clock(translate))) as unread:
            for piece in unread:
                _add(batch, piece)
                spent += piece.size
                if spent >= limit_bytes or batch.holds(MOST_ROWS):
                    yield batch.batch(outlook.cursor())
                    batch, spent = intake(), 0
        after = outlook.cursor()
        if batch.lines or batch.rejected or after != (cursor or Outlook({}, {}, []).cursor()):
            yield batch.batch(after)

    def _look(self, base: Path, cursor: Mapping[str, Any] | None) -> tuple[Outlook, dict[str, str]]:
        """What there is to read, and which rotated files cannot be (each is told of once)."""
        patterns = (self.path,) if isinstance(self.path, str) else self.path
        for _ in range(2):
            seen = scan(base, patterns)
            outlook = look(seen, cursor, self._known)
            if not outlook.lost:
                break
            # A rename while the directory was being listed can hide a file from one look, not from two.
        new = {path: why for path, why in seen.unreadable.items() if path not in self._known.told}
        self._known.told.update(new)
        return outlook, new


def _report(batch: Intake, outlook: Outlook, unreadable: Mapping[str, str]) -> None:
    """Say which lines may never have been counted."""
    for place in outlook.lost:
        batch.reject(
            place.name,
            place.offset,
            f"the file was truncated, replaced or removed after its first {place.offset} bytes had been read. "
            "Lines written later than that, if any, are lost.",
        )
    for path, why in unreadable.items():
        batch.reject(path, 0, why)


def _add(batch: Intake, piece: Piece) -> None:
    if piece.trouble:
        batch.lines += bool(piece.start_of_trouble)
        batch.reject(piece.file, piece.offset, piece.trouble, piece.start_of_trouble)
    batch.add_lines(piece.lines, piece.file, piece.offset)


def _clock(translate: FieldMap | None) -> Any:
    """Line -> seconds since the epoch, None when the line does not tell."""

    def when(line: bytes) -> float | None:
        try:
            record = orjson.loads(line)
            return moment((record if translate is None else translate(record))["ts"])[0].timestamp()
        except (ValueError, TypeError, KeyError, IndexError):
            return None

    return when
