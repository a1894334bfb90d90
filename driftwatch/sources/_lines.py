"""The unread lines of a log's files, in the order of their times, in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from driftwatch.sources._files import Found
from driftwatch.sources._follow import SETTLED, Outlook, unchanged_for, unread
from driftwatch.sources._parsing import too_long
from driftwatch.sources._places import DAMAGED, PRINT, Content, Moved, Place, prints

AT_ONCE = 1 << 17
"""Bytes read at once from one file: they and their lines stay in the processor's cache, and files take turns often."""

When = Callable[[bytes], float | None]
"""The time of a line, in seconds since the epoch."""


@dataclass(slots=True)
class Piece:
    """Some lines of one file, without their line feeds."""

    file: str
    offset: int
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    """Bytes read of the file, line feeds and skipped bytes among them."""
    trouble: str = ""
    """Why what begins at the offset is not in ``lines``."""
    start_of_trouble: bytes = b""


class Stream:
    """One file that has unread lines."""

    def __init__(self, found: Found, outlook: Outlook, max_line: int, *, newest: bool) -> None:
        self.found = found
        self.outlook = outlook
        self.max_line = max_line
        self.newest = newest
        self._content: Content | None = None
        self._head = self._tail = self._ahead = b""

    @property
    def place(self) -> Place:
        """How far it was read."""
        return self.outlook.places[self.found.key]

    @place.setter
    def place(self, place: Place) -> None:
        self.outlook.places[self.found.key] = place

    def close(self) -> None:
        """Let go of the file; reading can go on later."""
        if self._content is not None:
            self._content.close()
        self._content = None
        self._ahead = b""

    def first_line(self) -> bytes:
        """The first unread line, or as much of it as one piece holds."""
        try:
            self._open()
            self._read(AT_ONCE)
        except (Moved, *DAMAGED):
            return b""
        return self._ahead.partition(b"\n")[0]

    def piece(self, size: int) -> Piece | None:
        """The next lines, some ``size`` bytes of them; None: there are no complete ones any more."""
        try:
            self._open()
            return self._piece(size)
        except Moved:
            return None
        except DAMAGED as error:
            return self._damage(error)

    def _open(self) -> Content:
        """The content, at the place.

        Raises:
            Moved: it is no longer what was read before.
        """
        if self._content is None:
            content = Content(self.found)
            if content.likeness(self.place) != "same":
                content.close()
                raise Moved
            self._content = content
            self._head = content.at(0, PRINT)[: self.place.offset]
            self._tail = content.before(self.place.offset)
        return self._content

    def _read(self, size: int) -> bool:
        """Read on; False at the end of the file."""
        assert self._content is not None
        more = self._content.at(self.place.offset + len(self._ahead), size)
        self._ahead += more
        return bool(more)

    def _piece(self, size: int) -> Piece | None:
        if len(self._ahead) < size and not self._read(size) and not self._ahead:
            return self._end()
        if self.place.skipping:
            return self._skip()
        # A writer that goes on at its old place after a truncation leaves a hole of zeros.
        if zeros := len(self._ahead) - len(self._ahead.lstrip(b"\0")):
            return self._take(zeros, lines=False)
        cut = self._ahead.rfind(b"\n") + 1
        while not cut:
            start = len(self._ahead)
            if start > self.max_line:
                return self._too_long()
            if not self._read(max(size, AT_ONCE)):
                return self._end()
            cut = self._ahead.rfind(b"\n", start) + 1
        return self._take(cut)

    def _take(self, count: int, *, lines: bool = True) -> Piece:
        """Move the place over ``count`` bytes."""
        assert self._content is not None
        ahead, place = self._ahead, self.place
        piece = Piece(str(self.found.path), place.offset, size=count)
        if lines:
            # What follows the last line feed is no line yet; without a line feed at the end, all of it is.
            piece.lines = ahead.split(b"\n")
            if count < len(ahead) or ahead.endswith(b"\n"):
                piece.lines.pop()
        if len(self._head) < PRINT:
            self._head = (self._head + ahead[: min(count, PRINT)])[:PRINT]
        self._tail = ahead[count - PRINT : count] if count >= PRINT else (self._tail + ahead[:count])[-PRINT:]
        # Going back is expensive in a gzip file; reading a few bytes of a plain one again is cheaper than joining them.
        self._ahead = ahead[count:] if self._content.packed or not lines else b""
        offset = place.offset + count
        head_size, head, tail = prints(self._head, self._tail, offset)
        self.place = replace(place, offset=offset, head_size=head_size, head=head, tail=tail)
        return piece

    def _too_long(self) -> Piece:
        start = self._ahead[:PRINT]
        piece = self._take(len(self._ahead), lines=False)
        self.place = replace(self.place, skipping=True)
        piece.trouble = too_long(self.max_line)
        piece.start_of_trouble = start
        return piece

    def _skip(self) -> Piece:
        """Go over the rest of a line that is too long."""
        cut = self._ahead.find(b"\n") + 1
        piece = self._take(cut or len(self._ahead), lines=False)
        self.place = replace(self.place, skipping=not cut)
        return piece

    def _end(self) -> Piece | None:
        """At the end of the file. A last line without its line feed waits, unless nobody will complete it."""
        assert self._content is not None
        finished = self._content.packed or (not self.newest and unchanged_for(self.found, SETTLED))
        if self._ahead and finished:
            return self._take(len(self._ahead))
        if self._content.packed:
            self.place = replace(self.place, packed=self._content.packed)
        return None

    def _damage(self, error: Exception) -> Piece | None:
        """What decompresses was read; the rest is given up once nobody writes to the file any more."""
        if self.place.packed > 0 or not unchanged_for(self.found, SETTLED):
            return None
        self.place = replace(self.place, packed=self.found.size)
        reason = f"the gzip file is damaged ({str(error).rstrip('.')}). What follows cannot be read."
        return Piece(str(self.found.path), self.place.offset, trouble=reason)


def pieces(outlook: Outlook, max_line: int, most: int, when: When) -> Generator[Piece]:
    """Every complete unread line, earliest first; ``outlook.places`` has moved on whenever a piece comes out.

    Files take turns by the time of their next line, so that the day being sampled moves with them. A compressed file
    is read in one go, since going back in it is expensive. ``most`` bounds the bytes of a piece, whole lines aside.
    """
    newest = max((found.modified for found in outlook.files.values()), default=0)
    streams = [
        Stream(found, outlook, max_line, newest=found.modified == newest)
        for key, found in outlook.files.items()
        if unread(found, outlook.places[key])
    ]
    turns = [(_starts(stream, when) if len(streams) > 1 else 0.0, turn) for turn, stream in enumerate(streams)]
    heapify(turns)
    while turns:
        at, turn = heappop(turns)
        with closing(streams[turn]) as stream:
            while (piece := stream.piece(min(AT_ONCE, most))) is not None:
                yield piece
                if piece.lines:
                    at = when(piece.lines[-1]) or at
                if turns and turns[0] < (at, turn) and stream.place.packed == 0:
                    heappush(turns, (at, turn))
                    break


def _starts(stream: Stream, when: When) -> float:
    with closing(stream):
        return when(stream.first_line()) or stream.found.modified / 1e9
