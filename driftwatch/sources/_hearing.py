"""The lines of a batch that carry feedback: what is kept of them beside the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Any

from driftwatch.feedback import Ballot, Heard, Vote, Votes
from driftwatch.sampling import EVERYTHING, fraction
from driftwatch.sources._rows import Rows
from driftwatch.types import UNDETERMINED, Observation

ALONE = "lines of feedback without a query were taken for what was said of the query with their query_id"

MOST_HITS = 5
"""Kept of a line, the best: feedback without a document speaks of the first, a person may choose among the others."""

CROWDED = 1000
"""Lines that are looked through for those whose session was let go."""

_Read = tuple[Callable[[Any], Any], Any, datetime, str, bool | None]
"""(how to parse it, the line, its time, its language, whether it abstained): held as it was read, which is a tenth"""


class Hearing:
    """The lines with feedback of one batch; without ``votes`` none are kept."""

    def __init__(self, votes: Votes | None, rows: Rows, *, stratify: bool) -> None:
        self._votes = votes
        # A reservation is noted where the line is counted, and only what is in the sample is embedded.
        self._rows = replace(rows, note=_unheard, hear=None)
        self._stratify = stratify
        self._lines: list[tuple[float, int, Ballot, _Read]] = []
        """(priority, number, ballot, line)"""
        self._crowded = CROWDED

    def __len__(self) -> int:
        return len(self._lines)

    def ballot(self, day: date, stratum: str) -> Ballot | None:
        """Where lines of this day and stratum are taken."""
        return None if self._votes is None else self._votes.ballot(day, stratum)

    def take(self, ballot: Ballot, digest: bytes, record: Mapping[str, Any], read: _Read) -> None:
        """Keep a line, if its session is among those that are kept; its ``digest`` is below the ballot's limit."""
        priority, number = fraction(digest), _number(record)
        if ballot.offer(priority, number):
            self._lines.append((priority, number, ballot, read))
            if len(self._lines) >= self._crowded:
                self.let_go()

    def alone(self, record: Mapping[str, Any]) -> None:
        """Take a record that holds no query: what was said of the one with its query_id. It is counted in no rate."""
        at, lang = datetime.fromisoformat(record["ts"]), record["lang"] or UNDETERMINED
        ballot = self.ballot(at.astimezone(UTC).date(), lang if self._stratify else EVERYTHING)
        if ballot is None:
            return
        ballot.heard += 1
        unit = record["session"] or record["query_id"]
        digest = blake2b(ballot.salt + unit.encode(), digest_size=8).digest()
        if digest < ballot.limit:
            asked = {**record, "query": ""}
            self.take(ballot, digest, asked, (_as_it_is, asked, at, lang, record["abstained"]))

    def let_go(self) -> None:
        """Drop lines of sessions that are kept no longer."""
        self._lines[:] = [line for line in self._lines if line[2].holds(line[0])]
        self._crowded = 2 * max(len(self._lines), CROWDED)

    def votes(self, made: Mapping[int, Observation]) -> tuple[Vote, ...]:
        """The lines that are kept; ``made``: by the ``id`` of a line, what was made of it for the sample."""
        self.let_go()
        return tuple(
            Vote(priority, ballot.day, ballot.stratum, number, _short(made.get(id(read[1])) or self._made(*read)))
            for priority, number, ballot, read in self._lines
        )

    def _made(
        self, load: Callable[[Any], Any], item: Any, at: datetime, lang: str, abstained: bool | None
    ) -> Observation:
        record = load(item)
        found = record.get("results")
        if found and not (isinstance(found[0], Mapping) and "rank" in found[0]):  # as they stand is as they are ranked
            record = {**record, "results": found[:MOST_HITS]}
        return self._rows.row(record, at, lang, abstained)

    def heard(self) -> dict[tuple[date, str], Heard]:
        """How many lines with feedback there were, by day and stratum."""
        return {} if self._votes is None else self._votes.drain()


def _number(record: Mapping[str, Any]) -> int:
    """What tells two lines of a session apart: when it was said, of which query, and what."""
    feedback = record["feedback"]
    what = feedback if type(feedback) is str else f"{feedback['value']}\x1f{feedback.get('doc_id')}"
    said = f"{record['ts']}\x1f{record.get('query_id')}\x1f{record['query']}\x1f{what}"
    return int.from_bytes(blake2b(said.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _short(seen: Observation) -> Observation:
    return replace(seen, hits=seen.hits[:MOST_HITS]) if seen.hits and len(seen.hits) > MOST_HITS else seen


def _as_it_is(record: Any) -> Any:
    return record


def _unheard(_note: str) -> None:
    """Nothing is noted twice."""
