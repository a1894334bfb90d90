"""Replays a stream with `driftwatch replay`, and scores what it said."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from _corpora import ROOT
from _recorded import DAY, Event, Stream

COMMAND = [sys.executable, "-m", "driftwatch.cli", "replay", "--json", "--log", "queries.jsonl"]


@dataclass(frozen=True, slots=True)
class Page:
    """The moment at which an alert began to fire."""

    at: datetime
    check: str
    segment: str
    incident: str
    opening: int
    """How often the incident had opened by then: above 1 it had been over, and was reopened."""
    warns: bool
    message: str

    @classmethod
    def of(cls, said: dict[str, Any], opening: int) -> Page:
        """One entry of `said`."""
        at = datetime.fromisoformat(said["at"]).astimezone(UTC)
        warns = said["severity"] == "warn"
        return cls(at, said["check"], said["segment"], said["incident"], opening, warns, said["message"])


@dataclass(frozen=True, slots=True)
class Played:
    """One stream, and what the product said of it."""

    stream: Stream
    pages: tuple[Page, ...]
    """By time; warnings among them."""
    judged: timedelta
    """Time after the baseline."""
    report: dict[str, Any]
    seconds: float

    def first(self, event: Event, check: str = "", late: timedelta = timedelta(0)) -> Page | None:
        """The first alert (of ``check``) that named the event in time."""
        return next((page for page in self.pages if check in ("", page.check) and names(page, event, late)), None)

    def unexplained(self, late: timedelta = timedelta(0), *, reopened: bool = False) -> list[Page]:
        """Alerts that no event explains, one an incident; an event explains what is said ``late`` after it was over.

        ``reopened``: one each time that an incident opened, as if nothing ever reopened one.
        """
        events = self.stream.events
        found = [page for page in self.pages if not any(names(page, event, late) for event in events)]
        return list({(page.incident, reopened and page.opening): page for page in reversed(found)}.values())[::-1]

    def false(self, late: timedelta = timedelta(0), *, reopened: bool = False) -> list[Page]:
        """The unexplained alerts that would have woken somebody."""
        return [page for page in self.unexplained(late, reopened=reopened) if not page.warns]


def names(page: Page, event: Event, late: timedelta = timedelta(0)) -> bool:
    """Whether the page is about the event: in its time, by one of its checks, in one of its segments."""
    until = event.until + late if event.until else datetime.max.replace(tzinfo=UTC)
    named = page.check in event.checks and (not event.segments or page.segment in event.segments)
    return named and event.at < page.at <= until


def play(stream: Stream) -> Played:
    """Write the project, replay its log, read what was said.

    Raises:
        RuntimeError: the replay went wrong, with what it said.
    """
    began = perf_counter()
    with TemporaryDirectory() as place:
        folder = Path(place) / "project"
        stream.write(folder)
        runs = ["--canaries", "runs.jsonl"] if stream.runs else []
        events = ["--events", "events.json"] if stream.events else []
        report = replayed(folder, [*runs, *events])
    return Played(stream, tuple(_pages(report["said"])), report["judged_days"] * DAY, report, perf_counter() - began)


def _pages(said: Sequence[dict[str, Any]]) -> Iterator[Page]:
    """What began to fire, by time, in which opening of its incident."""
    going_on: dict[str, set[tuple[str, str]]] = {}
    openings: Counter[str] = Counter()
    for each in sorted(said, key=lambda each: datetime.fromisoformat(each["at"])):
        alerts = going_on.setdefault(each["incident"], set())
        if each["event"] in ("firing", "blind"):
            openings[each["incident"]] += not alerts
            alerts.add((each["check"], each["segment"]))
        elif each["event"] in ("resolved", "sighted"):
            alerts.discard((each["check"], each["segment"]))
        if each["event"] == "firing":
            yield Page.of(each, openings[each["incident"]])


def replayed(folder: Path, more: Sequence[str]) -> dict[str, Any]:
    """The report of `driftwatch replay --json` in ``folder``."""
    done = subprocess.run(
        [*COMMAND, *more], cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(ROOT)}
    )
    if not done.stdout.startswith("{"):
        raise RuntimeError(f"replay ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
