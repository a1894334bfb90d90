"""Findings, alerts and transitions as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy.engine import RowMapping

from driftwatch.store.tables import alerts
from driftwatch.types import Alert, Finding, Transition


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One piece of scheduled work that was done; ``check`` is a check's name, or any other job's."""

    check: str
    scheduled_for: datetime
    started: datetime
    finished: datetime
    status: str


_FINDING = tuple(each.name for each in fields(Finding) if each.name != "interval")
_PLAIN = ("learning", "pages", "n")
"""What a check may have given as a number of numpy."""
_AS_THEY_ARE = tuple(name for name in _FINDING if name not in _PLAIN)
_KNOWN_OF = attrgetter(*_AS_THEY_ARE)
FINDING_COLUMNS = (*_AS_THEY_ARE, *_PLAIN, "low", "high")
_ALERT = tuple(each.name for each in fields(Alert))
_ALERT_OF = attrgetter(*_ALERT)
ALERT_COLUMNS = tuple(alerts.c[name] for name in _ALERT)
_TRANSITION = tuple(each.name for each in fields(Transition))


def finding_row(finding: Finding) -> tuple[Any, ...]:
    """The row of ``tables.findings``, of ``FINDING_COLUMNS``."""
    row = _KNOWN_OF(finding)
    low, high = finding.interval or (None, None)
    return (*row, bool(finding.learning), bool(finding.pages), int(finding.n), low, high)


def finding_of(row: RowMapping) -> Finding:
    """The finding that ``finding_row`` was given."""
    low, high = row["low"], row["high"]
    nan = float("nan")
    interval = None if low is None and high is None else (nan if low is None else low, nan if high is None else high)
    known = {name: row[name] for name in _FINDING} | {"examples": tuple(row["examples"])}
    return Finding(interval=interval, **known)


def alert_row(alert: Alert) -> tuple[Any, ...]:
    """The row of ``tables.alerts``, of ``ALERT_COLUMNS``."""
    row: tuple[Any, ...] = _ALERT_OF(alert)
    return row


def alert_of(row: Sequence[Any]) -> Alert:
    """The alert that ``alert_row`` was given, of ``ALERT_COLUMNS``."""
    return Alert(*row)


def transition_row(transition: Transition) -> dict[str, Any]:
    """The row of ``tables.transitions``."""
    return {name: getattr(transition, name) for name in _TRANSITION}


def transition_of(row: RowMapping) -> Transition:
    """The transition that ``transition_row`` was given."""
    return Transition(**{name: row[name] for name in _TRANSITION})
