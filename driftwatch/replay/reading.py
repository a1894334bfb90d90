"""Logs into a store of their own, by the reader, the sampler and the language detection that the daemon has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from driftwatch.config import Watch
from driftwatch.errors import SourceError
from driftwatch.observing import Observer
from driftwatch.sampling import Sampler
from driftwatch.store import Store

READ_AT_ONCE = 32 << 20
"""Bytes of a log in one transaction at most."""

REJECTS_SHOWN = 5

Progress = Callable[[str, int], None]
"""Called with what is being done, and how far it is: lines read, weeks counted."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was read of one source."""

    source: str
    count: int
    """Log lines, or recorded answers of canaries."""
    rejected: int = 0
    rejects: tuple[str, ...] = ()
    """The first lines that could not be read: file, place and reason."""
    notes: Mapping[str, int] = field(default_factory=dict)
    """What was understood with a reservation -> how many lines."""


def read_logs(watch: Watch, store: Store, name: str, now: datetime, progress: Progress) -> Taken:
    """Read the whole log of the source ``name`` into ``store``; memory does not grow with it.

    Raises:
        SourceError: a file cannot be read, or no line of it can be.
    """
    source = cast("Any", watch.sources[name])
    reading = Observer(watch, store, None, lambda: False).reading
    sampler = Sampler(source.keep_per_day)
    lines = rejected = 0
    notes: Counter[str] = Counter()
    rejects: list[str] = []
    for batch in source.read(watch.base, None, sampler, reading, now=now, limit_bytes=READ_AT_ONCE):
        store.traffic.ingest(batch)
        lines += batch.lines
        rejected += batch.rejected
        notes.update(batch.notes)
        wanted = REJECTS_SHOWN - len(rejects)
        rejects += [f"{each.file}, byte {each.offset}: {each.reason}" for each in batch.rejects[:wanted]]
        progress(f"reading {name}", lines)
    if lines == rejected:
        raise _nothing(source.path, lines, rejects)
    notes.update(_cut_off(source.path))
    return Taken(name, lines, rejected, tuple(rejects), dict(notes))


def _nothing(paths: tuple[str, ...], lines: int, rejects: list[str]) -> SourceError:
    if not lines:
        return SourceError(f"there is no line to read in {', '.join(paths)}.", remedy="Name a log that holds queries.")
    said = "\n".join(rejects)
    remedy = "Say where a foreign log holds its fields: --field ts=… --field query=…, or `fields:` of the source."
    return SourceError(f"none of {lines} lines can be read.\n{said}\n", remedy=remedy)


def _cut_off(paths: tuple[str, ...]) -> dict[str, int]:
    """Last lines that the reader leaves for their writer to complete."""
    open_ends = [path for path in paths if not path.endswith(".gz") and _is_cut_off(Path(path))]
    return {"a last line without its line feed was not read": len(open_ends)} if open_ends else {}


def _is_cut_off(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"
