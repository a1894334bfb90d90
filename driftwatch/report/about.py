"""What the report has to know beside the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from driftwatch.checks import Check
from driftwatch.reported import Retraining
from driftwatch.schedule import Schedule

Severity = Literal["page", "warn"]


class Accepted(NamedTuple):
    """So many false pages (or warnings) in so much time."""

    severity: Severity
    times: float
    per: timedelta


class Expected(NamedTuple):
    """A stretch of time in which things were expected to be different."""

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class About:
    """One watched service as it is configured: plain values."""

    service: str
    zone: ZoneInfo
    sources: Mapping[str, str] = field(default_factory=dict)
    """Name -> what it gives: ``traffic`` | ``runs`` | ``probes`` | ``comparisons``."""
    checks: tuple[Check, ...] = ()
    accepted: tuple[Accepted, ...] = ()
    baseline: timedelta | tuple[datetime, datetime] = timedelta(days=14)
    """Learnt for so long from the first recorded moment on, or given."""
    jobs: Mapping[str, Schedule] = field(default_factory=dict)
    """What runs again and again and is remembered: name -> when it is due."""
    expected: tuple[Expected, ...] = ()
    retraining: tuple[Retraining, ...] = ()
    """Everything of it that is known elsewhere than in the store, in any order."""
    unread: tuple[str, ...] = ()
    """What of it could not be read, and why."""
    shows_queries: bool = True
    """Whether any text of a query, redacted, may be in the report."""
