"""Lines become counts and a sample: what the query log and the push source share.

Every line costs a parse, a few additions and one hash; only rows that enter the sample become objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson

from driftwatch.feedback import Ballot, Votes
from driftwatch.language import primary_subtag
from driftwatch.privacy import KeepText
from driftwatch.sampling import EVERYTHING, Batch, Kept, OpenStratum, Reject, Sampler, fraction
from driftwatch.sources._counting import (
    ABSTAINED,
    ANSWERED,
    AT_ONCE,
    CLOSED,
    DETECTED,
    FAILED,
    FEEDBACK,
    FOUND,
    NOTHING,
    Counting,
)
from driftwatch.sources._hearing import ALONE, Hearing
from driftwatch.sources._parsing import Malformed, salvaged, too_long
from driftwatch.sources._rows import Rows, clean
from driftwatch.sources._times import AHEAD, OLDEST
from driftwatch.sources._version1 import plain
from driftwatch.types import UNDETERMINED, ScoreKind

Translate = Callable[[Any], Any]

TOO_OLD = "lines older than the days whose sample is still open were counted and not sampled"

MOST_REJECTS = 200
"""Rejects shown of one batch; all are counted."""
CROWDED = 1000
"""Offered rows that are looked through for those that left again. Rows are made last: that costs most."""
NEARLY = 0.75
"""The share of a full batch from which another pass over its rows is not worth it."""
REJECT_SHOWN = 500

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
    hear: Callable[[str, str], None] | None = None
    """Takes what is kept of each sampled text, and the text, before it is forgotten."""


@dataclass(slots=True)
class _Cell:
    """One hour of one language in a batch."""

    lang: str
    layer: OpenStratum
    code: int
    """What ``Counting`` calls it."""
    ballot: Ballot | None
    """Where its feedback is kept; None: nowhere."""


_Offered = tuple[float, OpenStratum, Callable[[Any], Any], Any, datetime, str, bool | None]
"""(priority, layer, how to parse it, the line, its time, its language, whether it abstained)"""


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
        votes: Votes | None = None,
    ) -> None:
        self.source = source
        self.sampler = sampler
        self.reading = reading
        self.now = now
        self.latest = now + AHEAD
        self.stratify = stratify
        self._rows = Rows(source, score_kind, reading.keep_text, reading.key, self.note, reading.hear)
        self._hearing = Hearing(votes, self._rows, stratify=stratify)
        self.translate = translate
        self.max_line = max_line
        self.lines = 0
        self.rejected = 0
        self.rejects: list[Reject] = []
        self.notes: Counter[str] = Counter()
        self.cells: dict[tuple[int, str], _Cell] = {}
        self._counting = Counting()
        self._quick: dict[tuple[str, str | None], _Cell] = {}
        self._langs: dict[str | None, str] = {}
        # Lines as they were read, not what was parsed of them: that is ten times as large.
        self._offered: list[_Offered] = []
        self._crowded = CROWDED

    def holds(self, most: int) -> bool:
        """Whether so many rows are in the sample now, or as many lines with feedback are kept beside it; what has left
        again is let go first.
        """
        if max(len(self._offered), len(self._hearing)) < most:
            return False
        self._let_go()
        self._hearing.let_go()
        return max(len(self._offered), len(self._hearing)) >= most * NEARLY

    # --- lines -----------------------------------------------------------------------------------------------------

    def add_lines(self, lines: Sequence[bytes], file: str, offset: int) -> None:
        """Count and sample lines of a file, given without their line feeds; ``offset``: where the first one begins."""
        self.lines += len(lines)
        passed = 0

        def odd(index: int) -> None:
            nonlocal offset, passed
            offset += sum(map(len, lines[passed:index])) + index - passed
            passed = index
            self._add_odd(lines[index], file, offset)

        self._count(lines, self._loader(lines), odd)

    def _loader(self, lines: Sequence[bytes]) -> Callable[[bytes], Any]:
        """Line -> record, as quick as these lines allow."""
        loads, translate, longest = orjson.loads, self.translate, self.max_line
        if max(map(len, lines), default=0) > longest:
            return lambda line: self._translated(loads(line if len(line) <= longest else b""))
        return loads if translate is None else lambda line: translate(loads(line))

    def _translated(self, record: Any) -> Any:
        return record if self.translate is None else self.translate(record)

    def _add_odd(self, line: bytes, file: str, offset: int) -> None:
        """A line that is not exactly as the contract says: read with patience, or rejected."""
        text = line.strip(b"\0 \t\r\n").removeprefix(_BYTE_ORDER_MARK)
        if not text:
            self.lines -= 1
            return
        try:
            if len(line) > self.max_line:
                raise Malformed("", too_long(self.max_line).rstrip("."))
            self.add_record(self._translated(salvaged(text)))
        except Malformed as error:
            private = self.reading.keep_text != "full"
            self.reject(file, offset, error.bare if private else str(error), line)

    def reject(self, file: str, offset: int, reason: str, line: bytes = b"") -> None:
        """Count a line that cannot be read, and quarantine it with its place."""
        self.rejected += 1
        if len(self.rejects) < MOST_REJECTS:
            shown = line[: 4 * REJECT_SHOWN].decode("utf-8", "replace")[:REJECT_SHOWN]
            self.rejects.append(Reject(file, offset, reason, clean(shown) if self.reading.keep_text == "full" else ""))

    # --- records ---------------------------------------------------------------------------------------------------

    def add_record(self, record: Any, *, strict: bool = False) -> None:
        """Count and sample one record; ``strict`` refuses what a log line is forgiven.

        Raises:
            Malformed: it is none.
        """
        understood = plain(record, self.now, self.note, strict=strict)
        if understood["query"] is None:
            self.note(ALONE)
            self._hearing.alone(understood)
        else:
            self._count((understood,), _as_it_is, _raise)

    def note(self, what: str) -> None:
        self.notes[what] += 1

    def _count(self, items: Sequence[Any], load: Callable[[Any], Any], odd: Callable[[int], None]) -> None:
        """Count and maybe keep records that are exactly as the contract says; others are ``odd``, before they count.

        One long loop over local names, because every line of every log goes through it.
        """
        quick, offered, codes, digests = self._quick, self._offered, self._counting.codes, self._counting.digests
        feedbacks, unsaid, digest_of, hear = FEEDBACK, FEEDBACK["none"], blake2b, self._hearing.take
        fromisoformat = datetime.fromisoformat
        for index, item in enumerate(items):
            try:
                record = load(item)
                get = record.get
                text, ts, given = record["query"], record["ts"], get("lang")
                if not text.strip():
                    raise ValueError
                at = fromisoformat(ts)
                # With Z at its end, the text of a time up to the hour tells the hour.
                cell = quick.get((ts[:13], given)) if ts[-1] == "Z" else None
                if cell is None:
                    cell = self._cell(text, ts, at, given)
                results, session, error, abstained = get("results"), get("session"), get("error"), get("abstained")
                if session is not None and type(session) is not str:
                    raise ValueError
                if (results is not None and type(results) is not list) or (
                    error is not None and type(error) is not str
                ):
                    raise TypeError
                feedback = get("feedback")
                said = 0 if feedback is None else feedbacks[feedback if type(feedback) is str else feedback["value"]]
                if abstained is None:
                    abstained = self._abstained(get("answer"), cell.lang)
                elif type(abstained) is not bool:
                    raise TypeError
            except _ODD:
                odd(index)
                continue

            says = said
            if error:
                says += FAILED
            elif results is not None:
                says += FOUND if results else NOTHING
            if abstained is not None:
                says += ABSTAINED if abstained else ANSWERED
            if given is None and cell.lang != UNDETERMINED:
                says += DETECTED

            layer = cell.layer
            digest = digest_of(layer.salt + (session or distinct(text)).encode(), digest_size=8).digest()
            if digest < layer.limit:
                if layer.offer(priority := fraction(digest)):
                    offered.append((priority, layer, load, item, at, cell.lang, abstained))
                    if len(offered) >= self._crowded:
                        self._let_go()
            elif layer.closed:
                self.notes[TOO_OLD] += 1
                says += CLOSED
            if said > unsaid and (ballot := cell.ballot) is not None:
                ballot.heard += 1
                if digest < ballot.limit:
                    hear(ballot, digest, record, (load, item, at, cell.lang, abstained))
            codes.append(cell.code + says)
            digests.append(digest)
        if len(codes) >= AT_ONCE:
            self._counting.count()

    def _cell(self, text: str, ts: str, at: datetime, given: str | None) -> _Cell:
        """The hour and language of a record, which is where it is counted.

        Raises:
            ValueError: the clock that wrote it was wrong.
        """
        if not OLDEST < at < self.latest:
            raise ValueError
        lang = self._langs.get(given) or self._tag(given)
        if lang is None:
            detect = self.reading.detect
            lang = UNDETERMINED if detect is None else detect(text)
        hour = (at - _EPOCH) // _HOUR
        if (cell := self.cells.get((hour, lang))) is None:
            day = (_EPOCH + hour * _HOUR).date()
            layer = self.sampler.stratum(day, lang if self.stratify else EVERYTHING)
            code, ballot = self._counting.cell(hour, lang, layer), self._hearing.ballot(day, layer.lang)
            self.cells[hour, lang] = cell = _Cell(lang, layer, code, ballot)
        told = given is not None or self.reading.detect is None
        if told and ts[13] == ":" and _EPOCH + (hour + 1) * _HOUR < self.latest:
            self._quick[ts[:13], given] = cell
        return cell

    def _tag(self, given: str | None) -> str | None:
        """The primary subtag of a tag as lines write it, remembered; None for None."""
        if given is None:
            return None
        self._langs[given] = lang = primary_subtag(given)
        return lang

    def _abstained(self, answer: Any, lang: str) -> bool | None:
        if answer is None or self.reading.abstained is None:
            return None
        if type(answer) is not str:
            raise TypeError
        return self.reading.abstained(answer, lang)

    def _let_go(self) -> None:
        """Drop what was offered and has left the sample again."""
        self._offered[:] = [offered for offered in self._offered if offered[1].holds(offered[0])]
        self._crowded = 2 * max(len(self._offered), CROWDED)

    # --- the batch -------------------------------------------------------------------------------------------------

    def batch(self, cursor: Mapping[str, Any]) -> Batch:
        """Everything since the intake was made, for one transaction."""
        self._let_go()
        made = {
            id(item): self._rows.row(load(item), at, lang, abstained)
            for _, _, load, item, at, lang, abstained in self._offered
        }
        return Batch(
            source=self.source,
            cursor=cursor,
            tallies=self._counting.tallies(),
            kept=tuple(Kept(each[0], each[1].day, made[id(each[3])], each[1].lang) for each in self._offered),
            votes=self._hearing.votes(made),
            heard=self._hearing.heard(),
            thresholds=self.sampler.drain(),
            rejects=tuple(self.rejects),
            lines=self.lines,
            rejected=self.rejected,
            notes=dict(self.notes),
        )


def distinct(text: str) -> str:
    """What two queries that ask the same have in common: the words, in small letters."""
    return " ".join(text.lower().split())


def _as_it_is(record: Any) -> Any:
    return record


def _raise(_index: int) -> None:
    """A record that was made plain and is odd all the same is our mistake: it is not lost in silence."""
    raise
