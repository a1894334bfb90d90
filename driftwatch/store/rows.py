"""Findings, alerts and transitions as rows, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
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
_ALERT = tuple(each.name for each in fields(Alert))
ALERT_COLUMNS = tuple(alerts.c[name] for name in _ALERT)
_TRANSITION = tuple(each.name for each in fields(Transition))


def finding_row(finding: Finding) -> dict[str, Any]:
    """The row of ``tables.findings``."""
    low, high = finding.interval or (None, None)
    row = {name: getattr(finding, name) for name in _FINDING}
    flags = {"learning": bool(finding.learning), "pages": bool(finding.pages)}
    return row | flags | {"n": int(finding.n), "low": low, "high": high}


def finding_of(row: RowMapping) -> Finding:
    """The finding that ``finding_row`` was given."""
    low, high = row["low"], row["high"]
    nan = float("nan")
    interval = None if low is None and high is None else (nan if low is None else low, nan if high is None else high)
    known = {name: row[name] for name in _FINDING} | {"examples": tuple(row["examples"])}
    return Finding(interval=interval, **known)


def alert_row(alert: Alert) -> dict[str, Any]:
    """The row of ``tables.alerts``."""
    return {name: getattr(alert, name) for name in _ALERT}


def alert_of(row: Sequence[Any]) -> Alert:
    """The alert that ``alert_row`` was given, of ``ALERT_COLUMNS``."""
    return Alert(*row)


def transition_row(transition: Transition) -> dict[str, Any]:
    """The row of ``tables.transitions``."""
    return {name: getattr(transition, name) for name in _TRANSITION}


def transition_of(row: RowMapping) -> Transition:
    """The transition that ``transition_row`` was given."""
    return Transition(**{name: row[name] for name in _TRANSITION})
