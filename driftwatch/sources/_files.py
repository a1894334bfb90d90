"""Which files a log is made of: those that the configuration names, and what they were rotated to."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftwatch.errors import SourceError
from driftwatch.plugins import below

_ROTATION = re.compile(r"[._-](?:\d[\dT_.:+Z-]*?|old)((?:\.[A-Za-z]\w*)*)")
"""What rotation puts into a name: a number or a date, perhaps before the suffix."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it was when the directory was read."""

    path: Path
    key: str
    """``device:inode``: the file, whatever its name."""
    size: int
    modified: int
    """Nanoseconds."""
    live: bool
    """Named by the configuration; else what such a file was rotated to."""


@dataclass(slots=True)
class Scan:
    """What is there now."""

    files: list[Found] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    """Rotated file -> why it cannot be read."""


def scan(base: Path, patterns: Sequence[str]) -> Scan:
    """Every file of a log, each once however many names lead to it.

    Raises:
        SourceError: what the configuration names is a directory or no regular file, or may not be read.
    """
    found = Scan()
    seen: set[str] = set()
    named = [path for pattern in patterns for path in _named(base, pattern)]
    for path in named:
        if (file := _look(path, live=True)) is not None and file.key not in seen:
            seen.add(file.key)
            found.files.append(file)
    for path in _rotated(named):
        try:
            file = _look(path, live=False)
        except SourceError as error:
            found.unreadable[str(path)] = str(error)
            continue
        if file is not None and file.key not in seen:
            seen.add(file.key)
            found.files.append(file)
    return found


def live_names(name: str) -> Iterator[str]:
    """What a rotated file may have been called before.

    >>> sorted(live_names("queries.jsonl-20261101.gz"))
    ['queries.jsonl', 'queries.jsonl-20261101']
    >>> sorted(live_names("queries.1.jsonl"))
    ['queries.jsonl']
    """
    packed = name.endswith(".gz")
    name = name.removesuffix(".gz")
    if packed:
        yield name
    for place, sign in enumerate(name):
        if place and sign in "._-" and (rotation := _ROTATION.fullmatch(name, place)):
            yield name[:place] + rotation[1]


def _named(base: Path, pattern: str) -> list[Path]:
    """The files a pattern of the configuration names; one without a wildcard names a file that may come later."""
    if not glob.has_magic(pattern) or below(base, pattern).exists():
        return [below(base, pattern)]
    # Not Path.glob: that takes no absolute pattern, and a bracket in the base is no wildcard here.
    hits = sorted(glob.glob(str(below(Path(), pattern)), root_dir=base, recursive=True))  # noqa: PTH207
    return [base / hit for hit in hits if not (base / hit).is_dir()]


def _look(path: Path, *, live: bool) -> Found | None:
    """The file behind a name, links followed; None when there is none.

    Raises:
        SourceError: it is a directory or no regular file, or may not be read.
    """
    try:
        seen = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from None
    if stat.S_ISDIR(seen.st_mode):
        raise SourceError(f"{path} is a directory.", remedy=f"Name a file, or write '{path}/*.jsonl'.")
    if not stat.S_ISREG(seen.st_mode):
        raise SourceError(f"{path} is not a regular file.", remedy="Let the service write its log to a file.")
    return Found(path, f"{seen.st_dev}:{seen.st_ino}", seen.st_size, seen.st_mtime_ns, live)


def unreadable(path: Path, error: OSError) -> SourceError:
    """The error of a file that is there and does not open."""
    reason = error.strerror or str(error)
    return SourceError(f"{path} cannot be read: {reason}.", remedy="Let the user that driftwatch runs as read it.")


def _rotated(named: Sequence[Path]) -> Iterator[Path]:
    """Files beside the named ones (and beside what they link to) whose names say that they were rotated."""
    families: dict[Path, set[str]] = {}
    for path in named:
        families.setdefault(path.parent, set()).add(path.name)
        if path.is_symlink():
            target = path.resolve()
            # A link to queries-20261102.jsonl moves on: the family is that of queries.jsonl.
            families.setdefault(target.parent, set()).update({target.name, *live_names(target.name)})
    for folder, names in families.items():
        try:
            with os.scandir(folder) as entries:
                beside = sorted(entry.name for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise unreadable(folder, error) from None
        yield from (folder / name for name in beside if not names.isdisjoint(live_names(name)))
