"""Findings, alerts and transitions, made by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from driftwatch.types import Alert, Event, Finding, Transition

MINUTE = timedelta(minutes=1)
EVERYTHING = frozenset({"firing", "resolved", "blind", "sighted", "reminded", "acknowledged"})


def finding(check: str, at: datetime, segment: str = "de", verdict: Any = "fail", **more: Any) -> Finding:
    """A finding that says little."""
    return Finding(check, segment, at, verdict, more.pop("message", "it fell"), **more)


def alert(check: str, segment: str = "de", state: Any = "firing", incident: str = "i1", **more: Any) -> Alert:
    """An alert, firing unless told otherwise."""
    return Alert(check, segment, state, incident=incident, **more)


def transition(
    check: str, event: Event, at: datetime, incident: str = "i1", segment: str = "de", **more: Any
) -> Transition:
    """A transition with a key of its own."""
    key = more.pop("key", f"{check}/{segment}/{event}/{at.isoformat()}/{incident}")
    after = more.pop("after", "firing")
    return Transition(key, check, segment, event, "ok", after, at, incident, **more)
