"""A service that writes a query log, and what rotates it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from driftwatch.sampling import Batch, Reject, Sampler, Stratum
from driftwatch.sources._records import Reading
from driftwatch.sources.query_log import QueryLog

NOW = datetime(2026, 11, 2, tzinfo=UTC)
LONG_AGO = (NOW - timedelta(days=300)).timestamp()


def line(number: int, **fields: Any) -> bytes:
    """A line that no other number has; a minute later than the one before."""
    at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=number % 80_000)
    record = {"ts": at.isoformat(), "query": f"query {number}", "lang": "en", "results": [{"id": "a", "score": 0.5}]}
    return json.dumps(record | fields).encode() + b"\n"


class Writer:
    """Appends numbered lines to a file and rotates it the way logrotate and others do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0

    def append(self, count: int = 1) -> None:
        with self.path.open("ab") as log:
            for _ in range(count):
                log.write(line(self.written))
                self.written += 1

    def begin_line(self) -> bytes:
        """Write half a line; returns the other half."""
        whole = line(self.written)
        with self.path.open("ab") as log:
            log.write(whole[:30])
        self.written += 1
        return whole[30:]

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as log:
            log.write(data)

    def rename(self) -> None:
        """Move every rotated file up one number and the log to ``.1``."""
        for number in range(60, 0, -1):
            for ending in ("", ".gz"):
                old = self.path.with_name(f"{self.path.name}.{number}{ending}")
                if old.exists():
                    old.rename(self.path.with_name(f"{self.path.name}.{number + 1}{ending}"))
        if self.path.exists():
            self.path.rename(self.path.with_name(f"{self.path.name}.1"))

    def copy_truncate(self) -> None:
        """Copy the log to ``.1`` and empty it; the others move up."""
        if not self.path.exists():
            return
        moved = self.path.with_name("kept.tmp")
        self.path.rename(moved)
        self.rename()
        moved.rename(self.path)
        shutil.copy2(self.path, self.path.with_name(f"{self.path.name}.1"))
        os.truncate(self.path, 0)

    def compress(self, number: int) -> None:
        """gzip one rotated file, as ``gzip`` does: the new file is complete before the old one goes."""
        plain = self.path.with_name(f"{self.path.name}.{number}")
        if plain.exists():
            packed = plain.with_name(f"{plain.name}.gz")
            packed.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
            stat = plain.stat()
            os.utime(packed, ns=(stat.st_atime_ns, stat.st_mtime_ns))
            plain.unlink()


class Follower:
    """Reads a log as the engine does, with a store in memory that commits a batch or does not."""

    def __init__(self, base: Path, path: str | tuple[str, ...] = "queries.jsonl", keep: int = 1000, **settings: Any):
        self.base = base
        self.settings: dict[str, Any] = {"name": "live", "path": path, "keep_per_day": keep, **settings}
        self.cursor: Mapping[str, Any] | None = None
        self.counted = 0
        self.rejects: list[Reject] = []
        self.notes: Counter[str] = Counter()
        self.batches: list[Batch] = []
        self.reading = Reading()
        self.restart()

    def restart(self) -> None:
        """A new process: nothing is left but what was committed."""
        self.log = QueryLog(**self.settings)
        self.sampler = Sampler(self.log.keep_per_day, self.strata())

    def strata(self) -> dict[Any, Stratum]:
        thresholds: dict[Any, float] = {}
        rows: dict[Any, list[float]] = {}
        for batch in self.batches:
            thresholds |= batch.thresholds
            for row in batch.kept:
                rows.setdefault((row.day, row.stratum), []).append(row.priority)
        return {
            key: Stratum(least, tuple(p for p in rows.get(key, ()) if p < least)) for key, least in thresholds.items()
        }

    def read(self, *, crash_after: int | None = None, limit_bytes: int = 32 << 20) -> int:
        """Read everything there is; lines counted. ``crash_after`` batches the process dies before committing."""
        before = self.counted
        batches = self.log.read(self.base, self.cursor, self.sampler, self.reading, now=NOW, limit_bytes=limit_bytes)
        for number, batch in enumerate(batches):
            if number == crash_after:
                batches.close()
                self.restart()
                break
            self.commit(batch)
        return self.counted - before

    def commit(self, batch: Batch) -> None:
        self.cursor = json.loads(json.dumps(batch.cursor))
        self.counted += sum(counts[0] for counts in batch.tallies.values())
        self.rejects += batch.rejects
        self.notes.update(batch.notes)
        self.batches.append(batch)

    def queries(self) -> list[str]:
        """The texts of the sampled rows, in the order they came."""
        return [row.observation.text for batch in self.batches for row in batch.kept]


def age(path: Path) -> None:
    """Nobody wrote to this file for a long time."""
    os.utime(path, (LONG_AGO, LONG_AGO))
