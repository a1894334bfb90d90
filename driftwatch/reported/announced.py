"""The weekly message: what a receiver is told of a week, and the pictures that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from driftwatch.reported.checked import Level


@dataclass(frozen=True, slots=True)
class Picture:
    """One PNG beside the report."""

    file: str
    """Its name in the report's folder, such as ``picture-1.png``."""
    title: str
    words: str
    """What is to be seen in it, for who cannot see it."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """A week in a message. Texts hold what others wrote: hostile, redacted, on one line each, and not escaped."""

    service: str
    week: str
    """``2026-W47``."""
    dates: str
    """In words, such as `16 to 22 November 2026`."""
    level: Level
    sentence: str
    """The verdict, without full stop."""
    reasons: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    """Label and figure: driftwatch's own words and digits; at most eight."""
    incidents: tuple[str, ...] = ()
    """One line each, the worst first; at most five."""
    more_incidents: int = 0
    not_seen: str = ""
    """What did not run or could not see; empty when everything could."""
    pictures: tuple[Picture, ...] = ()
    """At most two, what matters most first."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class WeeklyNotice:
    """A week on its way to one receiver."""

    key: str
    """The same however often it is told."""
    announcement: Announcement
    announced_at: datetime
    """When it was first to be told."""
    url: str = ""
    """Where a person reads the report; empty when nobody said where the pages are reached."""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    """File -> PNG, of the pictures of the announcement."""


class Remembered(Protocol):
    """What one receiver has of one week already, across attempts, restarts and crashes."""

    def get(self, name: str) -> str | None:
        """What was kept under this name."""

    def keep(self, name: str, value: str) -> None:
        """Keep it at once."""
