"""What really happened, as a person marked it: events that a replay should have found.

A YAML list, or JSON lines, of::

    {at: 2026-05-20T14:00, name: index rebuilt without French, check: canary recall, segment: fr, until: 2026-05-22}

Only ``at`` and ``name`` are required. A page belongs to an event when it comes in ``[at, until)`` and its check and
segment are the event's, where it names them.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from driftwatch import yamlfile
from driftwatch.config.texts import first_moment, last_moment
from driftwatch.errors import ConfigError, ConfigErrors
from driftwatch.types import POOLED
from driftwatch.yamlfile import Document, Where

LASTS = timedelta(days=30)
"""How long after its beginning a page still belongs to an event that does not say when it was over."""

FIELDS = ("at", "name", "check", "segment", "until")


@dataclass(frozen=True, slots=True)
class MarkedEvent:
    """Something that happened to the watched service."""

    at: datetime
    name: str
    check: str | None = None
    """Only alerts of this check count as having found it."""
    segment: str | None = None
    """Only alerts about this segment, or about everything, count."""
    until: datetime | None = None

    @property
    def over(self) -> datetime:
        """From when on a page no longer belongs to it."""
        return self.until or self.at + LASTS

    def covers(self, check: str, segment: str, moment: datetime) -> bool:
        """Whether an alert at ``moment`` belongs to this event."""
        return (
            self.at <= moment < self.over
            and self.check in (None, check)
            and (self.segment is None or segment in (self.segment, POOLED))
        )


def read_events(path: Path, checks: Collection[str]) -> tuple[MarkedEvent, ...]:
    """The events of a file, oldest first; ``checks`` are the names an event may use.

    Raises:
        ConfigErrors: the first thing that is wrong with each event, by line.
    """
    events: list[MarkedEvent] = []
    errors: list[ConfigError] = []
    for document, where, given in _documents(path):
        try:
            events.append(_event(document, where, given, checks))
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return tuple(sorted(events, key=lambda event: event.at))


def _documents(path: Path) -> list[tuple[Document, Where, Any]]:
    """(document, place in it, event), whichever form the file has."""
    if path.suffix in (".jsonl", ".ndjson"):
        return _json_lines(path)
    document = yamlfile.load(path)
    given = document.data or []
    if not isinstance(given, list):
        raise document.error((), "a file of events holds a list.", "Begin each event with '- at: …'.")
    return [(document, (index,), each) for index, each in enumerate(given)]


def _json_lines(path: Path) -> list[tuple[Document, Where, Any]]:
    """JSON is YAML, so each line is read by the same careful loader; its line number is where it stands."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"it cannot be read: {why}.", file=path, remedy="Check its path and its owner.") from None
    found: list[tuple[Document, Where, Any]] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            # Empty lines before it make the loader count as the file does.
            document = yamlfile.parse("\n" * (number - 1) + line, str(path), os.environ)
            found.append((document, (), document.data))
    return found


def _event(document: Document, where: Where, given: Any, checks: Collection[str]) -> MarkedEvent:
    if not isinstance(given, dict):
        raise document.error(where, "an event is a block of settings.", "Write 'at: …' and 'name: …'.")
    for name in given:
        if name not in FIELDS:
            raise document.error((*where, name), f"an event has no '{name}'.", f"There are: {', '.join(FIELDS)}.")
    for name in ("at", "name"):
        if given.get(name) in (None, ""):
            raise document.error(where, f"the event has no '{name}'.", "Write when it began, and its name.")
    at = _moment(document, where, given, "at")
    until = None if given.get("until") is None else _moment(document, where, given, "until")
    if until is not None and until <= at:
        raise document.error((*where, "until"), "'until' is not later than 'at'.", "Write when it was over.")
    check, segment = given.get("check"), given.get("segment")
    if check is not None and str(check) not in checks:
        there = f"There are: {', '.join(sorted(checks))}."
        raise document.error((*where, "check"), f"there is no check '{check}'.", there)
    return MarkedEvent(at, str(given["name"]), _text(check), _text(segment), until)


def _text(given: Any) -> str | None:
    return None if given is None else str(given)


def _moment(document: Document, where: Where, given: dict[str, Any], name: str) -> datetime:
    try:
        return (last_moment if name == "until" else first_moment)(str(given[name]))
    except ValueError as error:
        raise document.error((*where, name), f"'{name}': {error}") from None
