"""What one tick decides: every finding moves its alert, and alerts of one family and segment share an incident."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from driftwatch.alerts import OPEN, AlertPolicy, advance, explain, incident_key, remind, retire, silenced_until
from driftwatch.types import POOLED, Alert, Finding, Silence, Transition

Alerts = Mapping[tuple[str, str], Alert]


@dataclass(frozen=True, slots=True)
class Decision:
    """The alerts that changed in any way, and what of it is news."""

    alerts: tuple[Alert, ...]
    transitions: tuple[Transition, ...]


def decide(
    findings: Sequence[Finding],
    alerts: Alerts,
    policy: Callable[[str], AlertPolicy],
    families: Mapping[str, str],
    now: datetime,
    severities: Mapping[str, str] | None = None,
    together: Mapping[tuple[str, str], str] | None = None,
) -> Decision:
    """Advance the alert of every finding; pure.

    A segment's alert joins the pooled segment's incident when that one is in the same trouble: the cause is not in the
    segment. What fires soon after it was resolved reopens the incident that it was resolved in.

    Args:
        findings: what the checks said.
        alerts: the alerts as they are.
        policy: the alert policy of a check.
        families: check -> its family.
        now: the time of the look.
        severities: check -> `page` or `warn`: a page never reopens what was only a warning. None: all are alike.
        together: (check, segment) -> the open incident of the cause that explains its alert; empty: of one that opens
            now, which all of these share.
    """
    together = together or {}
    opening = ""
    kin = {check: (family, (severities or {}).get(check, "")) for check, family in families.items()}
    everywhere = {found.check: _trouble(found) for found in findings if found.segment == POOLED}
    current = dict(alerts)
    transitions: list[Transition] = []
    for finding in findings:
        key = (finding.check, finding.segment)
        alert, own = current.get(key) or Alert(*key), policy(finding.check)
        incident = ""
        if (trouble := _trouble(finding)) != "none" and not alert.incident:
            place = POOLED if trouble == everywhere.get(finding.check) else finding.segment
            home = together.get(key)
            near = open_incident(finding.family, place, current.values(), families)
            incident = near if home is None else home or opening  # what has a cause of its own joins nothing else
            if not incident and trouble == "bad":
                incident = incident_to_reopen(finding.check, place, current.values(), kin, own.reopen_within, now)
            incident = incident or incident_key(finding.family, place, now)
        current[key], transition = advance(alert, finding, own, now, incident=incident)
        if transition is not None:
            transitions.append(transition)
            if not opening and together.get(key) == "" and transition.incident == incident:
                opening = incident
    transitions.sort(key=lambda each: each.segment != POOLED)  # the first one speaks for those of its incident
    moved = ((alert, alerts.get(key)) for key, alert in current.items())
    changed = tuple(alert for alert, before in moved if alert is not before and alert != before)
    return Decision(changed, tuple(transitions))


def _trouble(finding: Finding) -> str:
    """What an alert about it would say: that something is bad, or that nothing can be seen."""
    return {"fail": "bad", "warn": "bad", "unknown": "unseen"}.get(finding.verdict, "none")


def open_incident(family: str, segment: str, alerts: Iterable[Alert], families: Mapping[str, str]) -> str:
    """The open incident of a family and segment; empty: there is none."""
    for alert in alerts:
        if alert.incident and alert.segment == segment and families.get(alert.check) == family:
            return alert.incident
    return ""


def incident_to_reopen(
    check: str,
    segment: str,
    alerts: Iterable[Alert],
    kin: Mapping[str, tuple[str, str]],
    within: timedelta | None,
    now: datetime,
) -> str:
    """The incident in which an alert of this segment was resolved last, not longer than ``within`` ago; else empty.

    ``kin``: check -> its family and severity; only an alert of the same kin as ``check`` counts.
    """
    if within is None or check not in kin:
        return ""
    lately = [
        (alert.resolved_at, alert.last_incident)
        for alert in alerts
        if alert.segment == segment
        and alert.resolved_at is not None
        and now - alert.resolved_at <= within
        and kin.get(alert.check) == kin[check]
    ]
    return max(lately, default=(now, ""))[1]


def explained(
    alerts: Alerts, incidents: Collection[str], told: Collection[str], families: Mapping[str, str], now: datetime
) -> tuple[Transition, ...]:
    """One transition for each of ``incidents`` of which another thing is thought now; ``told`` have news anyhow."""
    news = []
    for incident in incidents:
        speaking = [each for each in alerts.values() if each.incident == incident and each.state in OPEN]
        if incident not in told and speaking:
            first = min(speaking, key=lambda each: (each.state != "firing", each.segment != POOLED, each.check))
            news.append(explain(first, now, family=families.get(first.check, "")))
    return tuple(news)


def going_blind(alerts: Alerts) -> set[str]:
    """The incidents that fired and of which nothing could be judged in the last look."""
    firing = [each for each in alerts.values() if each.state == "firing"]
    return {each.incident for each in firing} - {each.incident for each in firing if not each.unknown}


def reminders(
    alerts: Alerts,
    policy: Callable[[str], AlertPolicy],
    families: Mapping[str, str],
    silences: Sequence[Silence],
    now: datetime,
) -> Decision:
    """What has been open for long enough to be said again, and is not silenced.

    An incident is repeated as a whole: not while any of its alerts was heard of lately.
    """
    audible = [
        alert
        for alert in alerts.values()
        if alert.state in OPEN and silenced_until(silences, alert.check, alert.segment, now) is None
    ]
    due = [(alert, *remind(alert, policy(alert.check), now, family=families.get(alert.check, ""))) for alert in audible]
    lately = {alert.incident for alert, _, said in due if said is None and not alert.acknowledged_by}
    return _told([(moved, said) for alert, moved, said in due if alert.incident not in lately])


def retired(alerts: Alerts, families: Mapping[str, str], now: datetime) -> Decision:
    """Resolve what belongs to checks that are watched no longer (``families``: check name -> family)."""
    gone = [alert for alert in alerts.values() if alert.state != "ok" and alert.check not in families]
    moved = [retire(alert, now) for alert in gone]
    return Decision(tuple(alert for alert, _ in moved), _told(moved).transitions)


def held_back(transitions: Iterable[Transition], silences: Sequence[Silence], now: datetime) -> dict[str, datetime]:
    """Transition key -> not before, for what a silence covers."""
    ends = {each.key: silenced_until(silences, each.check, each.segment, now) for each in transitions}
    return {key: end for key, end in ends.items() if end is not None}


def _told(moved: Sequence[tuple[Alert, Transition | None]]) -> Decision:
    told = [(alert, transition) for alert, transition in moved if transition is not None]
    return Decision(tuple(alert for alert, _ in told), tuple(transition for _, transition in told))
