"""A sample of the traffic with exactly known weights, and what one reading of a source hands to the store.

Every unit (a session, or a distinct query of a day) draws a stable pseudo-random priority in [0, 1). A row is kept when
its priority is below the threshold of its stratum (day, language). When a day holds more rows than allowed, the
threshold of its largest stratum falls to the largest priority in it, so small languages keep everything until the
large ones have shrunk to their size. Thresholds only fall and never depend on the priorities of the rows that stay, so
the weight of a kept row is 1 / threshold and weighted totals are unbiased: Ting (2021), *Simple, optimal algorithms
for random sampling without replacement*; *Adaptive threshold sampling*, section 4 (substitutable thresholds).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from math import ceil
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import Observation

if TYPE_CHECKING:
    from driftwatch.feedback import Heard, Vote

EVERYTHING = "*"
"""The stratum of a source that is not stratified."""

DAYS_OPEN = 3
"""How many days before the newest one a sample may still change; older lines are counted and not sampled."""

_NOTHING: Mapping[Any, Any] = MappingProxyType({})
_STEP = 2.0**-53
_NO_LIMIT = b"\xff" * 9
"""Above every digest of 8 bytes."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that could not be read, and why."""

    file: str
    offset: int
    """Where the line begins, in bytes of the uncompressed file; the record's index for what was pushed."""
    reason: str
    line: str
    """Its first 500 characters, invalid bytes replaced; empty when the privacy setting keeps no text."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row that enters the sample."""

    priority: float
    """In [0, 1); the row stays while this is below the threshold of its stratum."""
    day: date
    observation: Observation
    stratum: str = EVERYTHING
    """With ``day`` the key of its threshold: a language, or ``*``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction writes: all of it or nothing."""

    source: str
    cursor: Mapping[str, Any]
    """JSON; where reading goes on."""
    tallies: Mapping[tuple[int, str], Sequence[int]] = field(default_factory=dict)
    """(hours since the epoch, language) -> counts in the order of ``types.TALLY_FIELDS``, to be added."""
    kept: tuple[Kept, ...] = ()
    thresholds: Mapping[tuple[date, str], float] = field(default_factory=dict)
    """(day, stratum) -> new threshold; rows of that stratum whose priority is not below it leave the sample."""
    rejects: tuple[Reject, ...] = ()
    """The first of the rejected lines; ``rejected`` counts all of them."""
    lines: int = 0
    """Lines read, the rejected ones among them."""
    rejected: int = 0
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was understood with a reservation (times without an offset, say) -> how many lines."""
    votes: tuple[Vote, ...] = ()
    """The lines with feedback that are kept, beside the sample."""
    heard: Mapping[tuple[date, str], Heard] = field(default_factory=dict)
    """(day, stratum) -> how many there were, and the threshold of those that are kept."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One day of one language as the store remembers it."""

    threshold: float
    priorities: tuple[float, ...]


class OpenStratum:
    """One day of one language while its sample may still change; with a threshold of 0 it is closed for good."""

    __slots__ = ("_heap", "_held", "_sampler", "_threshold", "closed", "day", "lang", "limit", "salt", "seen", "size")

    def __init__(
        self,
        sampler: Sampler,
        day: date,
        lang: str,
        threshold: float,
        priorities: Sequence[float],
        seen: SeenUnits,
    ) -> None:
        self._sampler = sampler
        self.seen = seen
        self.day = day
        self.lang = lang
        self.threshold = threshold
        self.salt = salt_of(day, lang)
        self._held = {priority for priority in priorities if priority < threshold}
        self._heap = [-priority for priority in self._held]
        heapify(self._heap)
        self.size = len(self._heap)

    @property
    def threshold(self) -> float:
        """Rows whose priority is below it are kept."""
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._threshold = threshold
        self.closed = threshold == 0
        # Digests are compared with this, byte by byte: no arithmetic for rows that are not kept, which are most.
        self.limit = limit_of(threshold)

    def priority(self, unit: str) -> float:
        """A multiple of 2**-53 in [0, 1), the same for the same unit of the same day and language on any machine."""
        return fraction(blake2b(self.salt + unit.encode(), digest_size=8).digest())

    def offer(self, priority: float) -> bool:
        """Keep this row? A unit has one row, its first: a priority that is already held says no."""
        if priority >= self._threshold or priority in self._held:
            return False
        self._held.add(priority)
        self.size += 1
        heappush(self._heap, -priority)
        self._sampler.make_room(self.day)
        return priority < self._threshold

    def holds(self, priority: float) -> bool:
        """Is the row of this priority in the sample (also after the day was closed)?"""
        return priority in self._held

    def lower(self) -> None:
        """Let go of the row with the largest priority, which becomes the threshold."""
        self.threshold = -heappop(self._heap)
        self._held.discard(self._threshold)
        self.size -= 1


def salt_of(day: date, stratum: str) -> bytes:
    """What goes before the name of a unit, in the digest that its priority is."""
    return f"{day.isoformat()}\x1f{stratum}\x1f".encode()


def limit_of(threshold: float) -> bytes:
    """Digests whose ``fraction`` is below the threshold are below this, byte by byte."""
    return _NO_LIMIT if threshold >= 1 else (ceil(threshold / _STEP) << 11).to_bytes(8, "big")


def fraction(digest: bytes) -> float:
    """A digest of 8 bytes as a number in [0, 1); it keeps the order of the digests."""
    return (int.from_bytes(digest, "big") >> 11) * _STEP


_FLAGS = np.uint64(15)
_LEAST_SLOTS = 1 << 10
_MOST_SLOTS = 1 << 21


class SeenUnits:
    """What each unit of one day has said something about: a hash table of their digests, with four flags each.

    It takes 16 bytes a unit, and grows up to 16 MB. On a day with more units than that holds, a million, it goes on
    with every second unit, then with every fourth, chosen by their digests: rates stay what they are, of fewer units.
    Two units are taken for one with a probability of less than 1e-6 a day (60 bits of their digests are compared).

    It lives with the sampler, in memory: after a restart, or after a batch that was not committed, the units of the
    days that are still open may count once more.
    """

    __slots__ = ("_highest", "_most_slots", "_slots", "size")

    def __init__(self, most_slots: int = _MOST_SLOTS) -> None:
        self.size = 0
        """Units that it remembers."""
        self._most_slots = most_slots
        self._slots = np.zeros(min(_LEAST_SLOTS, most_slots), dtype=np.uint64)
        self._highest = np.uint64(2**64 - 1)

    def first(self, digests: NDArray[np.uint64], flags: NDArray[np.int64]) -> NDArray[np.int64]:
        """Of the flags of each row those that no earlier row of its unit had; shape (n,).

        Args:
            digests: shape (n,), of the rows' units, in the order of the rows.
            flags: shape (n,), in [1, 15].
        """
        self._make_room(digests)
        new = np.zeros(len(digests), dtype=np.int64)
        rows = np.flatnonzero(digests <= self._highest)
        units, of_row = np.unique(digests[rows] & ~_FLAGS, return_inverse=True)
        places = self._places(units)
        known = (self._slots[places] & _FLAGS).astype(np.int64)
        self.size += int(np.count_nonzero(known == 0))
        for flag in (1, 2, 4, 8):
            having = np.flatnonzero(flags[rows] & flag)[::-1]
            earliest = np.full(len(units), -1)
            earliest[of_row[having]] = having  # of equal places the last is kept: the earliest row
            fresh = (earliest >= 0) & (known & flag == 0)
            new[rows[earliest[fresh]]] |= flag
            known[fresh] |= flag
        self._slots[places] = units | known.astype(np.uint64)
        return new

    def _places(self, units: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Where each unit stands in the table; one that is new is put there, without flags."""
        slots, last = self._slots, len(self._slots) - 1
        places = ((units >> 4) & last).astype(np.intp)
        left = np.arange(len(units))
        while left.size:
            here = places[left]
            empty = slots[here] == 0
            slots[here[empty]] = units[left[empty]]  # of two that want one place the last gets it
            left = left[slots[here] >> 4 != units[left] >> 4]
            places[left] = (places[left] + 1) & last
        return places

    def _make_room(self, digests: NDArray[np.uint64]) -> None:
        """Keep half of the table empty, also when all of these are new: by a larger table, then by fewer units."""
        while 2 * (self.size + np.count_nonzero(digests <= self._highest)) > len(self._slots):
            held = self._slots[self._slots != 0]
            if len(self._slots) < self._most_slots:
                self._slots = np.zeros(2 * len(self._slots), dtype=np.uint64)
            else:
                self._highest >>= np.uint64(1)
                held = held[held <= self._highest]
                self._slots[:] = 0
            self.size = len(held)
            self._slots[self._places(held & ~_FLAGS)] = held


_NOTHING_SEEN = SeenUnits()
"""Of days that are too old: nothing is asked of it."""


_size_and_name = attrgetter("size", "lang")


class Sampler:
    """Keeps at most ``keep_per_day`` rows a day of one source, shared fairly between its strata.

    It changes as rows are offered, before they are stored: when a batch was not committed, build a new sampler from the
    store. ``strata`` must reach back ``DAYS_OPEN`` days from the newest day that the store holds of the source.
    """

    def __init__(self, keep_per_day: int, strata: Mapping[tuple[date, str], Stratum] = _NOTHING) -> None:
        self.keep_per_day = keep_per_day
        self._days: dict[date, dict[str, OpenStratum]] = {}
        self._rows: Counter[date] = Counter()
        self._seen: defaultdict[date, SeenUnits] = defaultdict(SeenUnits)
        self._changed: set[OpenStratum] = set()
        self._final: dict[tuple[date, str], float] = {}
        self._oldest = date.min
        for day, lang in sorted(strata):
            self._open(day, lang, strata[day, lang])
        self.drain()

    def stratum(self, day: date, lang: str) -> OpenStratum:
        """The stratum that rows of this day and language are offered to; a closed one when the day is too old."""
        layer = self._days.get(day, _NOTHING).get(lang)
        return layer if layer is not None else self._open(day, lang, Stratum(1.0, ()))

    def priority(self, day: date, lang: str, unit: str) -> float:
        """The stable priority of a unit in [0, 1)."""
        return self.stratum(day, lang).priority(unit)

    def offer(self, day: date, lang: str, priority: float) -> bool:
        """Keep this row? One row a unit; never a row of a day that is too old to change."""
        return self.stratum(day, lang).offer(priority)

    def drain(self) -> dict[tuple[date, str], float]:
        """The thresholds that changed since the last call, new strata (threshold 1) among them."""
        changed = self._final | {(layer.day, layer.lang): layer.threshold for layer in self._changed}
        self._changed.clear()
        self._final.clear()
        return changed

    def make_room(self, day: date) -> None:
        """A row was added: lower the thresholds of the day's largest strata until its rows fit."""
        self._rows[day] += 1
        while self._rows[day] > self.keep_per_day:
            largest = max(self._days[day].values(), key=_size_and_name)
            largest.lower()
            self._rows[day] -= 1
            self._changed.add(largest)

    def _open(self, day: date, lang: str, known: Stratum) -> OpenStratum:
        if day < self._oldest:
            return OpenStratum(self, day, lang, 0.0, (), _NOTHING_SEEN)
        layer = OpenStratum(self, day, lang, known.threshold, known.priorities, self._seen[day])
        self._days.setdefault(day, {})[lang] = layer
        self._rows[day] += layer.size
        self._changed.add(layer)
        self._oldest = max(self._oldest, day - timedelta(days=DAYS_OPEN))
        for old in [held for held in self._days if held < self._oldest]:
            self._close(old)
        return layer

    def _close(self, day: date) -> None:
        """Forget a day; readers that still hold its strata find them closed."""
        del self._rows[day], self._seen[day]
        for layer in self._days.pop(day).values():
            if layer in self._changed:
                self._changed.discard(layer)
                self._final[day, layer.lang] = layer.threshold
            layer.threshold = 0.0
