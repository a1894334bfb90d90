"""The documents as their source has them: what an index should hold, read without keeping the texts in memory."""

from __future__ import annotations

import glob
import threading
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field, PrivateAttr

from driftwatch.errors import SourceError
from driftwatch.plugins import Settings
from driftwatch.types import Document

DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a document stands, and what it held when it was read."""

    file: Path
    offset: int
    digest: bytes
    lang: str


@dataclass(frozen=True)
class Corpus:
    """Every document of the source as it was when the files were read; of a doc_id that comes twice, the last line."""

    places: dict[str, _Place]
    settings: Documents
    seen: tuple[tuple[str, int, int], ...]
    """Name, size and time of each file when it was read."""

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self.places

    @property
    def ids(self) -> tuple[str, ...]:
        """Every doc_id, in the order of the files."""
        return tuple(self.places)

    def lang(self, doc_id: str) -> str:
        """The language of a document; empty: not known."""
        place = self.places.get(doc_id)
        return place.lang if place else ""

    def digest(self, doc_id: str) -> bytes:
        """Names the text of a document: another text, another digest."""
        return self.places[doc_id].digest

    def get(self, doc_ids: Sequence[str]) -> dict[str, Document]:
        """doc_id -> the document; those that the source does not have are left out.

        Raises:
            SourceError: a file changed while it was read, or went away.
        """
        wanted = sorted(
            ((self.places[each].file, self.places[each].offset, each) for each in doc_ids if each in self.places),
            key=lambda place: (str(place[0]), place[1]),
        )
        found: dict[str, Document] = {}
        for file, offset, doc_id in wanted:
            try:
                with file.open("rb") as stream:
                    stream.seek(offset)
                    read = self.settings.document(orjson.loads(stream.readline()))
            except (OSError, ValueError) as error:
                raise SourceError(f"{file}: changed while it was read ({error}).", remedy="Try again.") from None
            if read is None or read.doc_id != doc_id or _digest(read.text) != self.digest(doc_id):
                raise SourceError(f"{file}: changed while it was read.", remedy="Try again.")
            found[doc_id] = read
        return found


class Documents(Settings):
    """The `documents:` section: what the index should hold, as JSON lines (BEIR's `corpus.jsonl` among them).

    With it probes find documents that the index lost, entries whose document is gone, and vectors of a text that has
    changed. Where a doc_id comes twice, the last line counts, of files in the order of `path` and then of their names.
    """

    path: str | tuple[str, ...]
    """Files of JSON lines, by name or pattern (`corpus/*.jsonl`); one or a list."""
    id: str = "id"
    """The field that holds the doc_id, as canaries and the index name it; `_id` is found too."""
    text: tuple[str, ...] | str = ("title", "text")
    """The field, or the fields joined by a blank line's worth of space, that are embedded."""
    lang: str = "lang"
    """The field that holds the language (BCP 47), where there is one."""
    join: str = Field(default=" ", max_length=8)
    """What stands between the fields of `text`."""

    _kept: Corpus | None = PrivateAttr(default=None)
    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    def corpus(self, base: Path) -> Corpus:
        """Every document as it is now; read again only when a file has changed. Paths are relative to ``base``.

        Raises:
            SourceError: a file that is missing or is not JSON lines, naming file and line.
        """
        with self._turn:
            files = self._files(base)
            seen = tuple(_stamp(file) for file in files)
            if self._kept is None or self._kept.seen != seen:
                self._kept = Corpus(dict(self._places(files)), self, seen)
            return self._kept

    def lacking(self, base: Path, doc_ids: Iterable[str]) -> frozenset[str]:
        """Those of ``doc_ids`` that no line holds; the files are read once, and nothing of them is kept in memory.

        Raises:
            SourceError: a file that is missing or is not JSON lines, naming file and line.
        """
        left = set(doc_ids)
        for file in self._files(base):
            try:
                for _, read in self._lines(file):
                    left.discard(read.doc_id)
            except OSError as error:
                raise _unreadable(file, error) from None
        return frozenset(left)

    def document(self, row: Any) -> Document | None:
        """What one line holds; None when it names no document."""
        if not isinstance(row, dict):
            return None
        doc_id = row.get(self.id, row.get("_id"))
        if not isinstance(doc_id, str | int) or isinstance(doc_id, bool) or doc_id == "":
            return None
        fields = (self.text,) if isinstance(self.text, str) else self.text
        text = self.join.join(str(row[name]) for name in fields if row.get(name))
        lang = row.get(self.lang)
        return Document(str(doc_id), text, lang if isinstance(lang, str) else "")

    def _files(self, base: Path) -> list[Path]:
        matched: dict[Path, None] = {}
        for pattern in (self.path,) if isinstance(self.path, str) else self.path:
            whole = Path(glob.escape(str(base))) / Path(pattern).expanduser()
            found = sorted(glob.glob(str(whole), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            files = [path for each in found if not (path := Path(each)).is_dir()]
            if not files:
                raise SourceError(f"{pattern}: there is no such file.", remedy="Check 'path' of 'documents'.")
            matched |= dict.fromkeys(files)
        return list(matched)

    def _places(self, files: Sequence[Path]) -> Iterator[tuple[str, _Place]]:
        langs: dict[str, str] = {}  # one string for all documents of a language, however many there are
        for file in files:
            try:
                for offset, read in self._lines(file):
                    yield read.doc_id, _Place(file, offset, _digest(read.text), langs.setdefault(read.lang, read.lang))
            except OSError as error:
                raise _unreadable(file, error) from None

    def _lines(self, file: Path) -> Iterator[tuple[int, Document]]:
        """Where each document of a file begins, and the document."""
        with file.open("rb") as stream:
            offset = len(BOM_UTF8) if stream.read(len(BOM_UTF8)) == BOM_UTF8 else 0
            stream.seek(offset)
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield offset, self._read(line, file, number)
                offset += len(line)

    def _read(self, line: bytes, file: Path, number: int) -> Document:
        try:
            read = self.document(orjson.loads(line))
        except ValueError as error:
            raise SourceError(
                f"{file}:{number}: not a line of JSON: {error}.", remedy="Write one object a line."
            ) from None
        if read is None:
            raise SourceError(
                f"{file}:{number}: there is no document id in '{self.id}'.", remedy="Name the field: 'documents: id'."
            )
        return read


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from None
    return str(file), found.st_size, found.st_mtime_ns


def _unreadable(file: Path, error: OSError) -> SourceError:
    return SourceError(f"{file}: {error.strerror}.", remedy="Check 'path' of 'documents'.")


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "replace"), digest_size=DIGEST_BYTES).digest()
