"""Vectors on disk: float16, found by a hash of the text, in a folder a fingerprint.

A folder holds two append-only files of equal records. New vectors go to ``young``; when it is full it becomes ``old``
and the previous ``old`` is dropped. What is found in ``old`` is written to ``young`` again, so vectors in use stay.
Each record carries a checksum: one that a crash tore is never read, and the next writer cuts an unfinished tail off.
Several processes may share a folder: writers hold a file lock, readers map only whole records.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import shutil
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

_MAGIC = b"DWVEC1\0\0"
_HEADER = struct.Struct("<8sII")
"""Magic, dimension, reserved."""

Half = NDArray[np.float16]


def text_key(role: str, text: str) -> bytes:
    """16 bytes that name ``text`` as a query or as a document."""
    return hashlib.blake2b(f"{role}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


class VectorCache:
    """The cached vectors of one fingerprint; never larger than about ``max_bytes`` together with its siblings."""

    def __init__(self, directory: Path, fingerprint: str, max_bytes: int) -> None:
        self._folder = directory / fingerprint
        self._max_bytes = max_bytes
        self._young = _Segment(self._folder / "young.vec")
        self._old = _Segment(self._folder / "old.vec")
        drop_stale(directory, keep=fingerprint, max_bytes=max_bytes)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Half]:
        """The vectors that are known, by key; each of shape (dimension,)."""
        wanted = list(dict.fromkeys(keys))
        found = self._young.find(wanted)
        if aged := self._old.find([key for key in wanted if key not in found]):
            self.add(list(aged), np.stack(list(aged.values())))
        return found | aged

    def add(self, keys: Sequence[bytes], vectors: Half) -> None:
        """Append vectors of shape (n, dimension); a disk that refuses costs the cache, not the vectors."""
        try:
            with self._writing():
                self._young.append(keys, vectors)
                if self._young.size() > self._max_bytes // 2:
                    self._young.path.replace(self._old.path)
        except OSError as error:
            log.warning("vectors are not kept in %s: %s", self._folder, error.strerror or error)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Segment:
    """One append-only file of records, and a sorted index of the keys in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._records: NDArray[np.void] | None = None
        self._prefixes: NDArray[np.uint64] = np.empty(0, np.uint64)
        self._order: NDArray[np.intp] = np.empty(0, np.intp)

    def size(self) -> int:
        """Bytes on disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Half]:
        """The vectors of those ``keys`` that are here and whole."""
        if not keys:
            return {}
        self._refresh()
        records = self._records
        if records is None or not len(records):
            return {}
        wanted = np.frombuffer(b"".join(keys), "<u8")[::2]
        places = np.searchsorted(self._prefixes, wanted, side="right") - 1
        candidates = records[self._order[np.maximum(places, 0)]]
        return {
            key: candidate["vector"]
            for key, candidate in zip(keys, candidates, strict=True)
            if candidate["key"].tobytes() == key and candidate["crc"] == _checksum(candidate)
        }

    def append(self, keys: Sequence[bytes], vectors: Half) -> None:
        """Write records after the last whole one; the caller holds the lock."""
        records = np.zeros(len(keys), _record(vectors.shape[1]))
        records["key"] = np.frombuffer(b"".join(keys), "V16")
        records["vector"] = vectors
        records["crc"] = [_checksum(record) for record in records]
        with self.path.open("ab") as stream:
            if stream.tell() < _HEADER.size or _dimension(self.path) != vectors.shape[1]:
                stream.truncate(0)
                stream.write(_HEADER.pack(_MAGIC, vectors.shape[1], 0))
            else:
                stream.truncate(_whole(stream.tell(), records.dtype))
            stream.write(records.tobytes())

    def _refresh(self) -> None:
        """Map the file again if another process, or this one, has changed it."""
        try:
            status = self.path.stat()
        except OSError:
            self._seen, self._records = None, None
            return
        if (seen := (status.st_ino, status.st_size)) == self._seen:
            return
        dimension = _dimension(self.path)
        self._seen, self._records = seen, None
        if dimension is None:
            return
        record = _record(dimension)
        count = (_whole(status.st_size, record) - _HEADER.size) // record.itemsize
        if count:
            self._records = np.memmap(self.path, record, mode="r", offset=_HEADER.size, shape=(count,))
            prefixes = np.frombuffer(self._records["key"].tobytes(), "<u8")[::2]
            self._order = np.argsort(prefixes, kind="stable")
            self._prefixes = prefixes[self._order]


def _record(dimension: int) -> np.dtype[np.void]:
    return np.dtype([("key", "V16"), ("crc", "<u4"), ("vector", "<f2", (dimension,))])


def _checksum(record: np.void) -> int:
    return zlib.crc32(record["vector"].tobytes(), zlib.crc32(record["key"].tobytes()))


def _whole(size: int, record: np.dtype[np.void]) -> int:
    """``size`` without an unfinished record at the end."""
    return size - (size - _HEADER.size) % record.itemsize


def _dimension(path: Path) -> int | None:
    """The dimension in a file's header; None when it is no file of ours."""
    with path.open("rb") as stream:
        header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, dimension, _reserved = _HEADER.unpack(header)
    return int(dimension) if magic == _MAGIC and dimension else None


def drop_stale(directory: Path, *, keep: str, max_bytes: int) -> None:
    """Delete the longest unused fingerprints until half of ``max_bytes`` is free for the one to ``keep``."""
    folders = [path.parent for path in directory.glob("*/young.vec") if path.parent.name != keep]
    sizes = {folder: sum(file.stat().st_size for file in folder.glob("*.vec")) for folder in folders}
    for folder in sorted(folders, key=lambda folder: (folder / "young.vec").stat().st_mtime):
        if sum(sizes.values()) <= max_bytes // 2:
            return
        log.info("dropping the cached vectors of %s", folder.name)
        shutil.rmtree(folder, ignore_errors=True)
        del sizes[folder]
