"""A recorded stream: query log, canary runs, what happened in it, and the folder that the product reads it from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from _corpora import MODEL, scratch
from numpy.typing import NDArray

START = datetime(2026, 5, 4, tzinfo=UTC)
"""A Monday: the first moment of streams whose data have no time of their own."""

NOBODY = '{kind: http, url: "http://127.0.0.1:9/"}'
"""A replay asks nobody; a configuration with canaries names somebody to ask all the same."""

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)

Record = dict[str, Any]
"""A line of the log, or a canary."""

CONFIG = """\
service: {service}
database: sqlite:///driftwatch.db
baseline: {baseline}
languages: {languages}
embedder: {{model: "{model}", device: cpu, cache: "{cache}"}}
sources: {sources}
{retriever}
checks: {checks}
retention: {{observations: 2000d, tallies: 2000d}}
api: off
notify: []
"""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, and which checks have to say so in which segments."""

    at: datetime
    name: str
    checks: tuple[str, ...]
    segments: tuple[str, ...] = ()
    """Empty: any."""
    until: datetime | None = None
    """When it is over; None: it stays."""

    def marked(self) -> list[Record]:
        """As an ``--events`` file has it: one entry for each check and segment."""
        over = {"until": self.until.isoformat()} if self.until else {}
        common = {"at": self.at.isoformat(), "name": self.name} | over
        return [
            common | {"check": check} | ({"segment": segment} if segment else {})
            for check in self.checks
            for segment in self.segments or ("",)
        ]


@dataclass(frozen=True, slots=True)
class Stream:
    """Recorded time of one service."""

    name: str
    change: str
    """What happens in it, in words; ``nothing`` for a null."""
    records: Sequence[Record]
    """Lines of a query log version 1, by time."""
    checks: Sequence[Record]
    """As they stand in the YAML."""
    baseline: timedelta
    end: datetime
    events: tuple[Event, ...] = ()
    canaries: Sequence[Record] = ()
    """Lines of a canary file."""
    runs: Sequence[Record] = ()
    """Lines of recorded canary runs."""
    languages: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def begin(self) -> datetime:
        """The first recorded hour."""
        first = datetime.fromisoformat(self.records[0]["ts"]).astimezone(UTC)
        return first.replace(minute=0, second=0, microsecond=0)

    @property
    def watched(self) -> timedelta:
        """The time after the baseline."""
        return self.end - self.begin - self.baseline

    def write(self, folder: Path) -> Path:
        """Make ``folder`` a project of driftwatch; the path of its configuration."""
        folder.mkdir(parents=True)
        write_lines(folder / "queries.jsonl", self.records)
        if self.canaries:
            write_lines(folder / "canaries.jsonl", self.canaries)
            write_lines(folder / "runs.jsonl", self.runs)
        there = {check["name"] for check in self.checks}
        marked = [each for event in self.events for each in event.marked() if each["check"] in there]
        (folder / "events.json").write_text(json.dumps(marked))
        live = {"kind": "query_log", "path": "queries.jsonl", "stratify": "lang", "keep_per_day": 2000}
        asked = {"canaries": {"kind": "canaries", "path": "canaries.jsonl", "every": "1d"}} if self.canaries else {}
        config = CONFIG.format(
            service=json.dumps(self.name),
            baseline=f"{self.baseline // HOUR}h",
            languages=json.dumps(self.languages),
            model=MODEL,
            cache=scratch() / "vectors",
            sources=json.dumps({"live": live} | asked),
            retriever=f"retriever: {NOBODY}" if self.canaries else "",
            checks=json.dumps(list(self.checks)),
        )
        path = folder / "driftwatch.yaml"
        path.write_text(config)
        return path


def write_lines(path: Path, lines: Iterable[Record]) -> None:
    """JSON lines."""
    with path.open("w") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def arrivals(random: np.random.Generator, per_day: float, days: int) -> list[datetime]:
    """A Poisson process with quiet nights and weekends, ``per_day`` on average over a week; ascending."""
    hours = np.arange(days * 24)
    shape = 1 + 0.8 * np.cos(2 * np.pi * (hours % 24 - 14) / 24)
    shape *= np.where(hours // 24 % 7 >= 5, 0.5, 1.0) / (6 / 7)
    counts = random.poisson(per_day / 24 * shape)
    seconds = np.sort(np.repeat(hours * 3600, counts) + random.random(counts.sum()) * 3600)
    return [START + timedelta(seconds=float(second)) for second in seconds]


def results(ids: Sequence[str], found: NDArray[np.int64], scores: NDArray[np.float32]) -> list[list[Record]]:
    """For each query its ``results``; ``found`` and ``scores``: shape (n, k), best first."""
    return [
        [{"id": ids[row], "score": round(float(score), 5)} for row, score in zip(*pair, strict=True) if row >= 0]
        for pair in zip(found, scores, strict=True)
    ]


def search(documents: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> tuple[Any, Any]:
    """Exact search: scores and rows, shape (n, k), best first."""
    import faiss

    index = faiss.IndexFlatIP(documents.shape[1])
    index.add(documents)
    return index.search(queries, k)
