"""Following a log through rotation, truncation, compression and restarts: which bytes were not read yet.

A file is known by its inode while its content still is what was read of it, and else by its content: a rotated file
that was copied, compressed or moved to another disk goes on where reading stopped. A byte-for-byte copy of a file that
is still there is not read.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from driftwatch.errors import SourceError
from driftwatch.sources._files import Found, Scan
from driftwatch.sources._places import (
    DAMAGED,
    MOST_GONE,
    PRINT,
    START,
    Content,
    Likeness,
    Moved,
    Place,
    from_cursor,
    hashed,
    prints,
    to_cursor,
)

SETTLED = 3600.0
"""Seconds after which a file that nobody wrote to is taken as finished, in the clock of the file system."""

FRESH = 86400.0
"""Seconds after its last line for which a live file is expected to go on."""

_RACY = 2.0
"""Seconds in which a file may change without its time of modification telling."""


@dataclass(slots=True)
class Known:
    """What this process found out about files that have not changed since; only saves work."""

    verified: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    """Key -> size, modified and offset at which its content was what had been read."""
    copies: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """Key -> size, modified, and the key of the file that it copies the beginning of."""
    told: set[str] = field(default_factory=set)
    """Unreadable rotated files that were reported."""


@dataclass(slots=True)
class Outlook:
    """What there is to read, and what can no longer be read."""

    files: dict[str, Found]
    """By key: those whose place is in ``places``."""
    places: dict[str, Place]
    gone: list[Place]
    lost: list[Place] = field(default_factory=list)
    """Places in contents that vanished although more was expected of them."""
    settled: bool = True
    """False: a file changed while it was looked at; what seems lost may only have moved."""

    def cursor(self) -> dict[str, Any]:
        """As the store keeps it; files of which nothing was read need no place."""
        places = {key: self._expected(key, place) for key, place in self.places.items() if place.offset}
        return to_cursor(places, self.gone[-MOST_GONE:])

    def _expected(self, key: str, place: Place) -> Place:
        """The place with its flag ``open`` as it is now."""
        if (found := self.files.get(key)) is None:
            return place
        expected = unread(found, place) or (found.live and not unchanged_for(found, FRESH))
        return place if place.open == expected else replace(place, open=expected)


def unread(found: Found, place: Place) -> bool:
    """Is there more in the file than was read?"""
    return place.packed < 0 or (place.packed == 0 and found.size > place.offset)


def unchanged_for(found: Found, seconds: float) -> bool:
    """Was the last write that long ago?"""
    return time.time() - found.modified / 1e9 > seconds


def look(scan: Scan, cursor: Mapping[str, Any] | None, known: Known) -> Outlook:
    """Find for each file where reading goes on.

    Raises:
        SourceError: a file that the configuration names may not be read.
    """
    stored, gone = from_cursor(cursor)
    outlook = Outlook({}, {}, gone)
    strangers = []
    for found in scan.files:
        place = stored.get(found.key)
        if place is not None and _is_still(found, place, known, scan, outlook):
            grown = place.packed > 0 and place.packed != found.size
            outlook.files[found.key] = found
            outlook.places[found.key] = replace(place, packed=-1) if grown else place
        else:
            strangers.append(found)
    orphans = {key: place for key, place in stored.items() if key not in outlook.places}
    family = _Family(outlook, orphans, known, scan)
    for found in sorted(strangers, key=lambda found: (found.path.name.endswith(".gz"), -found.size)):
        family.place(found)
    if not outlook.settled:
        # Nothing is given up while the picture moves: the next look decides.
        outlook.places |= {key: place for key, place in orphans.items() if key not in outlook.places}
        return outlook
    outlook.lost = [place for place in orphans.values() if place.open]
    outlook.gone += orphans.values()
    return outlook


def _is_still(found: Found, place: Place, known: Known, scan: Scan, outlook: Outlook) -> bool:
    """Is the content of this file what was read of it?"""
    if place.packed == found.size > 0 or known.verified.get(found.key) == (found.size, found.modified, place.offset):
        return True
    try:
        with Content(found) as content:
            still = content.likeness(place) == "same"
    except Moved:
        outlook.settled = False
        return False
    except DAMAGED:
        return False
    except SourceError as error:
        # The place is kept until the file can be read again.
        _unless_live(found, error, scan)
        outlook.places[found.key] = place
        return False
    if still and unchanged_for(found, _RACY):
        known.verified[found.key] = (found.size, found.modified, place.offset)
    return still


def _unless_live(found: Found, error: SourceError, scan: Scan) -> None:
    """A rotated file that cannot be read is reported; a live one stops the source."""
    if found.live:
        raise error
    scan.unreadable[str(found.path)] = str(error)


@dataclass(slots=True, eq=False)
class _Candidate:
    """A known content, and the file that it is read from at present."""

    place: Place
    holder: Found | None
    key: str = ""
    """Where it was read from before, when nothing holds it."""


class _Family:
    """Finds out what each unknown file is: the heir of a known content, a copy of one, or new."""

    def __init__(self, outlook: Outlook, orphans: dict[str, Place], known: Known, scan: Scan) -> None:
        self.outlook = outlook
        self.orphans = orphans
        self.known = known
        self.scan = scan
        self.first_lines: set[bytes] = set()
        self.heads: dict[int, dict[str, list[_Candidate]]] = {}
        for key, place in orphans.items():
            self._add(_Candidate(place, None, key))
        for place in outlook.gone:
            self._add(_Candidate(place, None))
        for key, place in outlook.places.items():
            self._add(_Candidate(place, outlook.files.get(key)))

    def _add(self, candidate: _Candidate) -> None:
        place = candidate.place
        if place.offset:
            self.heads.setdefault(place.head_size, {}).setdefault(place.head, []).append(candidate)

    def place(self, found: Found) -> None:
        """Give one unknown file its place, or none when it has nothing of its own to read."""
        if found.size == 0 or found.key in self.outlook.places or self._is_known_copy(found):
            return
        try:
            with Content(found) as content:
                place = self._place_of(found, content)
        except Moved:
            self.outlook.settled = False
        except DAMAGED:
            # Perhaps it is still being compressed; then the original is there as well.
            if unchanged_for(found, SETTLED):
                self._settle(found, replace(START, packed=-1))
        except SourceError as error:
            _unless_live(found, error, self.scan)
        else:
            if place is not None:
                self._settle(found, place)

    def _settle(self, found: Found, place: Place) -> None:
        self.outlook.files[found.key] = found
        self.outlook.places[found.key] = replace(place, name=str(found.path))

    def _is_known_copy(self, found: Found) -> bool:
        size, modified, original = self.known.copies.get(found.key, (0, 0, ""))
        return (size, modified) == (found.size, found.modified) and original in self.outlook.files

    def _place_of(self, found: Found, content: Content) -> Place | None:
        """Where to go on in this file; None: not now, it is a copy of one that is read anyway."""
        packed = -1 if content.packed else 0
        for candidate in self._alike(content):
            likeness = _likeness(found, content, candidate.place)
            if likeness == "other":
                continue
            if candidate.holder is None:
                self._adopt(found, candidate)
                return replace(_heirloom(found, content, candidate, likeness), packed=packed)
            if self._copies(found, content, candidate.holder, candidate.place, likeness):
                return None
        head = content.at(0, PRINT)
        first_line = head[: head.find(b"\n") + 1] or head
        if first_line in self.first_lines:
            # Two unknown files that begin alike: when the first is read, the next look can tell a copy.
            return None
        self.first_lines.add(first_line)
        return replace(START, packed=packed)

    def _alike(self, content: Content) -> list[_Candidate]:
        """Known contents that begin as this one does, those that nothing holds and the longest first."""
        alike = []
        for size, heads in sorted(self.heads.items()):
            head = content.at(0, size)
            if len(head) == size:
                alike += heads.get(hashed(head), [])
        return sorted(alike, key=lambda candidate: (candidate.holder is not None, -candidate.place.offset))

    def _adopt(self, found: Found, candidate: _Candidate) -> None:
        """A known content lives on in this file."""
        self.orphans.pop(candidate.key, None)
        self.outlook.gone = [place for place in self.outlook.gone if place is not candidate.place]
        candidate.holder = found

    def _copies(self, found: Found, content: Content, holder: Found, place: Place, likeness: Likeness) -> bool:
        """Is this a copy of a file that is still there?

        Raises:
            Moved: it is longer, and the original was cut off just now: the next look finds the heir.
        """
        size = content.size()
        with Content(holder) as original:
            if likeness == "shorter" or size <= place.offset:
                copied = content.before(size) == original.before(size)
                if copied and unchanged_for(found, _RACY):
                    self.known.copies[found.key] = (found.size, found.modified, holder.key)
                return copied
            if original.size() >= size:
                return content.before(size) == original.before(size)
            if original.likeness(place) != "same":
                raise Moved
            return False


def _likeness(found: Found, content: Content, place: Place) -> Likeness:
    try:
        return content.likeness(place)
    except DAMAGED:
        if unchanged_for(found, SETTLED):
            return "shorter"
        raise


def _heirloom(found: Found, content: Content, candidate: _Candidate, likeness: Likeness) -> Place:
    """The place in the heir of a content. A shorter copy may still grow, so it keeps the whole place.

    The same file grown shorter will not: what is appended to it from now on is new.
    """
    place = candidate.place
    if likeness == "same" or found.key != candidate.key:
        return place
    size = content.size()
    head_size, head, tail = prints(content.at(0, PRINT)[:size], content.before(size), size)
    return replace(place, offset=size, head_size=head_size, head=head, tail=tail)
