"""Reports on the disk: written whole or not at all, listed, and let go of when they are old.

::

    reports/2026-W47/report.json     the week; whatever else is here was drawn from it
    reports/2026-W47/summary.json    what a list of reports says of it, so that a list reads little
    reports/2026-W47/…               what ``render`` made
    reports/.draft-2026-W47          being written
    reports/.before-2026-W47         the one before, while the new one takes its place
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from driftwatch.errors import ReportError
from driftwatch.report.spans import name_of
from driftwatch.reported import Week
from driftwatch.reported.form import as_json, read_json

REPORTS = "reports"
JSON, SUMMARY, HTML, MARKDOWN = "report.json", "summary.json", "report.html", "report.md"
MOST_BYTES = 64 << 20
"""Of one file; what is larger is none of ours."""

_NAME = re.compile(r"\d{4}-W\d{2}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Kept:
    """One report in the list."""

    name: str
    """``2026-W47``."""
    level: str
    """``ok`` ...; empty where nothing can be read of it."""
    sentence: str
    start: datetime | None
    end: datetime | None
    files: Mapping[str, Path]
    """File name -> where it is."""


class Reports:
    """The reports below one folder."""

    def __init__(self, state: Path) -> None:
        self.folder = state / REPORTS

    def list(self) -> tuple[Kept, ...]:
        """Every report, the newest week first; what somebody else put there is left out."""
        self._restore()
        names = [each.name for each in self.folder.iterdir()] if self.folder.is_dir() else []
        return tuple(self._kept(name) for name in sorted(names, reverse=True) if self._is_one(name))

    def find(self, name: str) -> Kept | None:
        """One of them."""
        self._restore()
        return self._kept(name) if self._is_one(name) else None

    def week(self, name: str) -> Week | None:
        """The numbers of a kept report, from which it is drawn again; None where none is kept.

        Raises:
            ReportError: what is kept cannot be read.
        """
        self._restore()
        path = self.folder / name / JSON
        if not self._is_one(name) or not path.is_file():
            return None
        try:
            if path.stat().st_size > MOST_BYTES:
                raise ValueError("it is too large")
            return read_json(path.read_bytes())
        except (OSError, ValueError) as error:
            remedy = f"Make it again: driftwatch report --week {name} --anew"
            raise ReportError(f"{path}: {error}.", remedy=remedy) from None

    def keep(self, week: Week, files: Mapping[str, bytes]) -> Kept:
        """Write a report with ``files``, in the place of the one that there may be.

        Raises:
            ReportError: the disk refuses; nothing has changed then.
        """
        if not _NAME.fullmatch(week.name) or not all(map(_FILE.fullmatch, files)):
            raise ReportError(f"{week.name} or one of {', '.join(sorted(files))} is no name of a report.")
        self._restore()
        try:
            draft = self._draft(week.name)
            for name, content in {**files, SUMMARY: _summary(week), JSON: as_json(week)}.items():
                _write(draft / name, content)
            self._replace(week.name, draft)
        except OSError as error:
            raise ReportError(f"{self.folder}: {error.strerror}.", remedy="Make room, or grant the right.") from None
        return self._kept(week.name)

    def prune(self, keep: timedelta, now: datetime) -> tuple[str, ...]:
        """Let go of the weeks that ended longer ago than ``keep``; their names."""
        oldest = name_of((now - keep).date())
        gone = [each.name for each in self.list() if each.name < oldest]
        for name in gone:
            shutil.rmtree(self.folder / name)
        return tuple(gone)

    # --- how -------------------------------------------------------------------------------------------------------

    def _is_one(self, name: str) -> bool:
        path = self.folder / name
        return _NAME.fullmatch(name) is not None and path.is_dir() and not path.is_symlink()

    def _kept(self, name: str) -> Kept:
        files = {each.name: each for each in sorted((self.folder / name).iterdir()) if _is_plain(each)}
        said = _said(files.get(SUMMARY))
        shown = {each: path for each, path in files.items() if each != SUMMARY}
        level, sentence = str(said.get("level", "")), str(said.get("sentence", ""))
        return Kept(name, level, sentence, _time(said, "start"), _time(said, "end"), shown)

    def _draft(self, name: str) -> Path:
        draft = self.folder / f".draft-{name}"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(parents=True)
        return draft

    def _replace(self, name: str, draft: Path) -> None:
        place, before = self.folder / name, self.folder / f".before-{name}"
        _sync(draft)
        if place.exists():
            place.replace(before)
        draft.replace(place)
        _sync(self.folder)
        if before.exists():
            shutil.rmtree(before)

    def _restore(self) -> None:
        """A process was killed between taking the old report away and putting the new one in its place."""
        for before in self.folder.glob(".before-*") if self.folder.is_dir() else ():
            place = self.folder / before.name.removeprefix(".before-")
            if place.exists():
                shutil.rmtree(before, ignore_errors=True)
            else:
                before.replace(place)


def _summary(week: Week) -> bytes:
    said = {
        "version": 1,
        "name": week.name,
        "service": week.service,
        "level": week.verdict.level,
        "sentence": week.verdict.sentence,
        "start": week.start.isoformat(),
        "end": week.end.isoformat(),
    }
    return json.dumps(said, ensure_ascii=False, indent=2).encode("utf-8", "replace") + b"\n"


def _said(path: Path | None) -> dict[str, object]:
    """What a summary says; nothing where there is none that can be read."""
    try:
        said = json.loads(path.read_bytes()) if path is not None else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _time(said: Mapping[str, object], name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(said.get(name)))
    except ValueError:
        return None


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _FILE.fullmatch(path.name) is not None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
