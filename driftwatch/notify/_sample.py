"""A notice about nothing, to see whether and how a receiver shows one."""

from __future__ import annotations

from datetime import datetime, timedelta

from driftwatch.alerts import incident_key
from driftwatch.types import Alert, Finding, Incident, Member, Notice, Transition


def sample_notice(service: str, now: datetime) -> Notice:
    """A firing incident that says that it is a test."""
    check, segment, family = "canary recall", "de", "canaries"
    opened = now - timedelta(minutes=1)
    incident_id = incident_key(family, segment, opened)
    finding = Finding(
        check=check,
        segment=segment,
        at=opened,
        verdict="fail",
        message="This is a test and nothing is wrong: recall R@10 fell from 0.95 to 0.41, and 27 of 50 canaries lost"
        " their document.",
        kind="canary",
        family=family,
        n=50,
        value=0.41,
        reference=0.95,
        effect=-0.54,
        interval=(-0.66, -0.42),
        p_value=1.5e-8,
        examples=("sample-1", "sample-2"),
    )
    alert = Alert(check, segment, "firing", since=opened, bad=2, fired_at=opened, incident=incident_id)
    fired = Transition(
        f"sample-{incident_id}", check, segment, "firing", "pending", "firing", opened, incident_id, family
    )
    incident = Incident(incident_id, family, segment, opened, None, (Member(alert, finding),), (fired,))
    texts = {"sample-1": "Wie ändere ich meine Lieferadresse?", "sample-2": "Wo finde ich meine Rechnung?"}
    return Notice(fired.key, service, "firing", opened, incident, fired, texts, finding=finding)
