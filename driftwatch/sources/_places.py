"""How far each file of a log was read, and how a file is known again under another name, copied or compressed."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from hashlib import blake2b
from io import FileIO
from types import TracebackType
from typing import Any, Literal

from driftwatch.errors import SourceError
from driftwatch.sources._files import Found, unreadable

VERSION = 1
PRINT = 1024
"""Bytes at the start, and before the place where reading stopped, that a content is known by."""

MOST_GONE = 1000
"""Contents remembered after their files are gone."""

DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)

Likeness = Literal["same", "shorter", "other"]


class Moved(Exception):
    """Another file is behind the name than a moment ago; the next look will sort it out."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far one content was read, and what it is known by."""

    offset: int
    """Bytes read, uncompressed."""
    head_size: int
    head: str
    """Hash of the first ``head_size`` bytes: ``PRINT``, or the first line while less than that was read."""
    tail: str
    """Hash of the last ``PRINT`` bytes before the offset, or of all of them."""
    packed: int = 0
    """0: not compressed; -1: a gzip file that was not read to its end; else its size on the disk when it was."""
    open: bool = False
    """More was expected when it was last seen: if it vanishes, lines may be lost."""
    skipping: bool = False
    """The offset is inside a line that is too long."""
    name: str = ""


START = Place(0, 0, "", "")
"""Nothing was read yet."""


def hashed(data: bytes) -> str:
    """16 hex digits of a hash."""
    return blake2b(data, digest_size=8).hexdigest()


def prints(head: bytes, tail: bytes, offset: int) -> tuple[int, str, str]:
    """``head_size``, ``head`` and ``tail`` of a place, from the first and the last ``PRINT`` bytes before it."""
    size = PRINT if offset >= PRINT else head.find(b"\n") + 1 or len(head)
    return size, hashed(head[:size]), hashed(tail)


def to_cursor(places: Mapping[str, Place], gone: Iterable[Place]) -> dict[str, Any]:
    """The JSON that the store keeps: one short list a file."""
    return {
        "version": VERSION,
        "files": {key: list(astuple(place)) for key, place in places.items()},
        "gone": [list(astuple(place)) for place in gone],
    }


def from_cursor(cursor: Mapping[str, Any] | None) -> tuple[dict[str, Place], list[Place]]:
    """Key -> place, and the places of files that are gone.

    Raises:
        SourceError: the cursor is of another version.
    """
    if not cursor:
        return {}, []
    if cursor.get("version") != VERSION:
        raise SourceError(
            f"the stored place in this log is of version {cursor.get('version')}, which this driftwatch cannot read.",
            remedy="Run the driftwatch that wrote it, or give the source a new name to start anew.",
        )
    files = {key: Place(*values) for key, values in cursor["files"].items()}
    return files, [Place(*values) for values in cursor["gone"]]


class Content:
    """The bytes of a file, uncompressed.

    Raises:
        Moved: another file is behind the name by now, or none.
        SourceError: it may not be read.
    """

    def __init__(self, found: Found) -> None:
        self._path = found.path
        try:
            self._raw = FileIO(found.path)
        except FileNotFoundError:
            raise Moved from None
        except OSError as error:
            raise unreadable(found.path, error) from None
        now = os.fstat(self._raw.fileno())
        if f"{now.st_dev}:{now.st_ino}" != found.key:
            self._raw.close()
            raise Moved
        self.packed = now.st_size if self._raw.read(2) == b"\x1f\x8b" else 0
        self._raw.seek(0)
        self._file: Any = gzip.GzipFile(fileobj=self._raw, mode="rb") if self.packed else self._raw

    def __enter__(self) -> Content:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
        self._raw.close()

    def at(self, offset: int, count: int) -> bytes:
        """Up to ``count`` bytes from ``offset``; fewer at the end.

        Raises:
            SourceError: the disk does not give them.
        """
        try:
            if self._file.tell() != offset and self._file.seek(offset) != offset:
                return b""
            data: bytes = self._unpacked(count) if self.packed else self._file.read(count)
        except gzip.BadGzipFile:
            raise
        except OSError as error:
            raise unreadable(self._path, error) from None
        return data

    def _unpacked(self, count: int) -> bytes:
        """The next bytes of a gzip file; those before a damage come out before the damage is raised."""
        parts: list[bytes] = []
        while count > 0:
            try:
                part = self._file.read1(count)
            except DAMAGED:
                if not parts:
                    raise
                break
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def raw_size(self) -> int:
        """Bytes of the file now, as they are on the disk."""
        return os.fstat(self._raw.fileno()).st_size

    def size(self) -> int:
        """Bytes, uncompressed; a gzip file is read through."""
        if not self.packed:
            return self.raw_size()
        while self._file.read(1 << 20):
            pass
        return int(self._file.tell())

    def likeness(self, place: Place) -> Likeness:
        """Is this what was read up to that place, a shorter copy of it, or something else?"""
        if not place.offset:
            return "same"
        if hashed(self.at(0, place.head_size)) != place.head:
            return "other"
        tail = self.before(place.offset)
        if len(tail) < min(PRINT, place.offset):
            return "shorter"
        return "same" if hashed(tail) == place.tail else "other"

    def before(self, offset: int) -> bytes:
        """The last ``PRINT`` bytes before ``offset``."""
        count = min(PRINT, offset)
        return self.at(offset - count, count)
