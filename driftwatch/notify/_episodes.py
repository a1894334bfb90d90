"""One alert of an incident over time: when it opened last, whether that is over, and how bad it was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftwatch.notify._render import figure
from driftwatch.types import Alert, Finding, Incident, Transition

_OPEN = ("firing", "blind")


def episode(alert: Alert, incident: Incident) -> tuple[Transition, ...]:
    """What happened to ``alert`` since it opened the last time, oldest first; empty when nothing of it is known."""
    found: list[Transition] = []
    for each in incident.history:
        if (each.check, each.segment) == (alert.check, alert.segment):
            found = [*found, each] if found and found[-1].after in _OPEN else [each]
    return tuple(found)


def began(alert: Alert, incident: Incident) -> datetime:
    """When the alert opened the last time, as far as the incident's history knows."""
    lately = episode(alert, incident)
    return lately[0].at if lately else alert.fired_at or alert.since or incident.opened_at


def ended(alert: Alert, incident: Incident) -> datetime | None:
    """When it was over; None: it is open, in this incident."""
    here = alert.incident in ("", incident.incident_id)
    if alert.state in _OPEN and here and incident.resolved_at is None:
        return None
    lately = episode(alert, incident)
    return lately[-1].at if lately else incident.resolved_at or incident.opened_at


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of an alert's life in which it was equally bad."""

    calls: bool
    """Whether it is one to call somebody for: it failed, and was not only a warning or blind."""
    start: datetime
    end: datetime | None
    """None: it goes on."""


def phases(alert: Alert, incident: Incident) -> tuple[Phase, ...]:
    """The alert since it opened the last time: one phase, or two where it became worse while it was open."""
    lately, start, over = episode(alert, incident), began(alert, incident), ended(alert, incident)
    worse = next((each.at for each in lately if each.event == "firing" and each.verdict != "warn"), None)
    if worse is None:
        return (Phase(not lately and alert.state == "firing", start, over),)
    milder = (Phase(False, start, worse),) if start < worse else ()
    return (*milder, Phase(True, worse, over))


def figures(finding: Finding | None) -> dict[str, str]:
    """The figures of a finding by the names of its fields; what is missing or not finite is left out."""
    if finding is None:
        return {}
    names = ("value", "reference", "effect", "p_value", "evidence", "share")
    shown = {name: figure(getattr(finding, name)) for name in names if figure(getattr(finding, name))}
    return shown | ({"onset": stamp(finding.onset)} if finding.onset is not None else {})


def stamp(at: datetime) -> str:
    """RFC 3339, in UTC.

    >>> from datetime import UTC
    >>> stamp(datetime(2026, 5, 21, 10, tzinfo=UTC))
    '2026-05-21T10:00:00Z'
    """
    return at.isoformat().replace("+00:00", "Z")
