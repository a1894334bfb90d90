"""Where queries come from."""

from __future__ import annotations

from typing import ClassVar

from driftwatch.plugins import Kind
from driftwatch.schedule import Schedule


class Source(Kind):
    """The settings that every source has."""

    room: ClassVar[str] = "sources"
    gives: ClassVar[str]
    """`runs` (canaries: queries to ask), `traffic` (queries that somebody asked), `probes` (looks into the index) or
    `comparisons` (two retrievers asked the same)."""

    name: str = ""
    """Taken from the key under `sources:`."""
    every: Schedule
    """How often to read it."""
