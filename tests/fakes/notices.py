"""Notices as delivery makes them, from real transitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from driftwatch.alerts import AlertPolicy, acknowledge, advance, incident_key
from driftwatch.types import Alert, Finding, Incident, Member, Notice, Transition

START = datetime(2026, 5, 21, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
VERDICTS = {"g": "ok", "b": "fail", "w": "warn", "u": "unknown"}
MESSAGES = {
    "ok": "recall R@10 is 0.95, as in the baseline",
    "fail": "recall R@10 fell from 0.95 to 0.41 (-0.54, -0.66 to -0.42): 27 of 50 canaries lost their document",
    "warn": "recall R@10 fell from 0.95 to 0.90",
    "unknown": "the retriever could not be asked: connection refused",
}
TEXTS = {"q1": "Wie ändere ich meine Lieferadresse?", "q2": "Wo finde ich meine Rechnung?"}


def finding(look: str, at: datetime = START, **more: Any) -> Finding:
    verdict: Any = VERDICTS[look]
    own: dict[str, Any] = {
        "check": "canary recall",
        "segment": "de",
        "message": MESSAGES[verdict],
        "family": "canaries",
    }
    if look in "bw":
        own |= {
            "n": 50,
            "value": 0.41,
            "reference": 0.95,
            "effect": -0.54,
            "interval": (-0.66, -0.42),
            "p_value": 1.5e-8,
        }
        own |= {"examples": ("q1", "q2")}
    return Finding(at=at, verdict=verdict, kind="canary", **own | more)


def story(
    looks: str,
    *,
    check: str = "canary recall",
    segment: str = "de",
    ack: str = "",
    reopens: bool = False,
    **more: Any,
) -> list[Notice]:
    """The notices of one alert, one look an hour: g(ood), b(ad), w(arn), u(nknown); ``ack``: by whom, at the end."""
    policy = AlertPolicy(after=2, until=2, blind_after=2)
    alert, history, notices = Alert(check, segment), [], []
    opened = START
    for hour, look in enumerate(looks):
        now = START + hour * HOUR
        found = finding(look, now, **{"check": check, "segment": segment} | more)
        own = reopens and alert.last_incident
        alert, transition = advance(alert, found, policy, now, incident=own or incident_key("canaries", segment, now))
        if transition is not None:
            if not history or (not own and history[-1].after not in ("firing", "blind")):
                opened = now
            history.append(transition)
            notices.append(notice([(alert, found)], transition, history, opened))
    if ack:
        alert, transition = acknowledge(alert, ack, START + len(looks) * HOUR, family="canaries")
        assert transition is not None
        notices.append(notice([(alert, found)], transition, [*history, transition], opened))
    return notices


def notice(
    members: Sequence[tuple[Alert, Finding | None]],
    transition: Transition,
    history: Sequence[Transition],
    opened: datetime,
    texts: Mapping[str, str] = TEXTS,
) -> Notice:
    over = all(alert.state not in ("firing", "blind") for alert, _ in members)
    incident = Incident(
        transition.incident,
        "canaries",
        transition.segment,
        opened,
        transition.at if over else None,
        tuple(Member(alert, found) for alert, found in members),
        tuple(history),
    )
    own = next((found for alert, found in members if alert.check == transition.check), None)
    return Notice(
        transition.key, "help-centre", transition.event, transition.at, incident, transition, dict(texts), finding=own
    )


def with_text(plain: Notice, hostile: str) -> Notice:
    """``plain`` with ``hostile`` wherever a user, a log or a file could have put it."""
    alerts = [
        Member(
            replace(member.alert, check=hostile, acknowledged_by=hostile, segment=hostile),
            member.finding
            and replace(
                member.finding,
                check=hostile,
                segment=hostile,
                message=hostile,
                examples=(hostile, "q2"),
                details={"without": [hostile]},
            ),
        )
        for member in plain.incident.members
    ]
    transition = replace(plain.transition, check=hostile, segment=hostile, actor=hostile)
    incident = replace(plain.incident, segment=hostile, family=hostile, members=tuple(alerts), history=(transition,))
    return replace(
        plain,
        service=hostile,
        incident=incident,
        transition=transition,
        example_texts={hostile: hostile, "q2": hostile},
        finding=alerts[0].finding,
    )
