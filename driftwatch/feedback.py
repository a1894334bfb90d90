"""What users said, kept by whole sessions: at most so many lines of feedback a day, and how many there were.

The sample holds one row of a session and day, because that is one unit of evidence. What a user says of an answer often
comes later in the session, and the last of it is what counts. So lines that carry feedback are kept beside the sample,
all lines of a session or none. A session has the priority that it has in the sample: what is found in one is found in
the other. The sample knows nothing of it and stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import heapify, heappop, heappush
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from driftwatch.sampling import DAYS_OPEN, limit_of, salt_of
from driftwatch.types import Observation

MOST_A_DAY = 50
"""Feedbacks that one session gives on one day; whoever gives more is taken for a program. One more is kept, so that it
can be told."""

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Vote:
    """A line that carries feedback and is kept."""

    priority: float
    """Of its session, in [0, 1); the session stays while this is below the threshold of its stratum."""
    day: date
    stratum: str
    line: int
    """Tells it from the other lines of its session; a signed number of 64 bits, the same each time it is read."""
    observation: Observation


@dataclass(frozen=True, slots=True)
class Heard:
    """What one batch heard on one day of one stratum."""

    threshold: float
    """Sessions whose priority is not below it are kept no longer."""
    lines: int
    """Lines that carried feedback, whether they are kept or not; to be added."""


@dataclass(frozen=True, slots=True)
class HeldVotes:
    """One day of one stratum as the store remembers it."""

    threshold: float
    lines: Mapping[float, Iterable[int]]
    """Priority of a session -> its lines."""


class Ballot:
    """One day of one stratum while what is kept of it may still change."""

    __slots__ = ("_heap", "_said", "_votes", "changed", "day", "heard", "limit", "salt", "size", "stratum", "threshold")

    def __init__(self, votes: Votes, day: date, stratum: str, held: HeldVotes) -> None:
        self._votes = votes
        self.day = day
        self.stratum = stratum
        self.salt = salt_of(day, stratum)
        self.heard = 0
        """Lines since the last batch."""
        self.changed = False
        self._said = {each: set(lines) for each, lines in held.lines.items() if each < held.threshold}
        self._heap = [-priority for priority in self._said]
        heapify(self._heap)
        self.size = sum(map(len, self._said.values()))
        self.threshold = held.threshold
        self.limit = limit_of(held.threshold)
        """Digests of sessions that are kept are below it, byte by byte."""

    def offer(self, priority: float, line: int) -> bool:
        """Keep this line of the session with this priority?"""
        if priority >= self.threshold:
            return False
        if (said := self._said.get(priority)) is None:
            said = self._said[priority] = set()
            heappush(self._heap, -priority)
        if line in said or len(said) > MOST_A_DAY:
            return False
        said.add(line)
        self.size += 1
        self._votes.make_room(self.day)
        return priority < self.threshold

    def holds(self, priority: float) -> bool:
        """Is the session of this priority kept (also after the day was closed)?"""
        return priority in self._said

    def lower(self) -> int:
        """Let go of the session with the largest priority, which becomes the threshold; returns how many lines."""
        self.threshold = -heappop(self._heap)
        self.limit = limit_of(self.threshold)
        self.changed = True
        gone = len(self._said.pop(self.threshold))
        self.size -= gone
        return gone

    def close(self) -> None:
        """Keep no more; lines are still counted."""
        self.limit = b""


_size_and_name = attrgetter("size", "stratum")


class Votes:
    """Keeps at most ``keep_per_day`` lines of feedback a day of one source, shared fairly between its strata.

    It changes as lines are offered, before they are stored: when a batch was not committed, build a new one from the
    store. ``held``: what the store has of the days from ``since`` on; lines of earlier days are counted and not kept.
    """

    def __init__(
        self,
        keep_per_day: int,
        held: Mapping[tuple[date, str], HeldVotes] = _NOTHING,
        since: date = date.min,
    ) -> None:
        self.keep_per_day = keep_per_day
        self._oldest = since
        self._days: dict[date, dict[str, Ballot]] = {}
        self._rows: Counter[date] = Counter()
        self._late: dict[tuple[date, str], Ballot] = {}
        for day, stratum in sorted(held):
            self._open(day, stratum, held[day, stratum])

    def ballot(self, day: date, stratum: str) -> Ballot:
        """Where lines of this day and stratum are offered; a closed one when the day is too old."""
        found = self._days.get(day, _NOTHING).get(stratum) or self._late.get((day, stratum))
        return found or self._open(day, stratum, HeldVotes(1.0, {}))

    def drain(self) -> dict[tuple[date, str], Heard]:
        """What was heard since the last call, and the thresholds that changed."""
        ballots = [*(ballot for day in self._days.values() for ballot in day.values()), *self._late.values()]
        found = {}
        for ballot in ballots:
            if ballot.heard or ballot.changed:
                found[ballot.day, ballot.stratum] = Heard(ballot.threshold, ballot.heard)
                ballot.heard, ballot.changed = 0, False
        self._late.clear()
        return found

    def make_room(self, day: date) -> None:
        """A line was added: let sessions of the day's largest strata go until its lines fit."""
        self._rows[day] += 1
        while self._rows[day] > self.keep_per_day:
            largest = max(self._days[day].values(), key=_size_and_name)
            self._rows[day] -= largest.lower()

    def _open(self, day: date, stratum: str, held: HeldVotes) -> Ballot:
        ballot = Ballot(self, day, stratum, held)
        if day < self._oldest:
            ballot.close()
            self._late[day, stratum] = ballot
            return ballot
        self._days.setdefault(day, {})[stratum] = ballot
        self._rows[day] += ballot.size
        self._oldest = max(self._oldest, day - timedelta(days=DAYS_OPEN))
        for old in [each for each in self._days if each < self._oldest]:
            self._close(old)
        return ballot

    def _close(self, day: date) -> None:
        del self._rows[day]
        for ballot in self._days.pop(day).values():
            ballot.close()
            self._late[day, ballot.stratum] = ballot
