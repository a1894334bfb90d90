"""The only place where an alert changes its state.

::

    ok ──enough evidence─────────────────────────▶ firing ──`until` good in a row──▶ ok (resolved)
    ok ──bad──▶ pending ──`after` bad in a row──▶ firing
                   └───────────good────────────▶ ok
    any ──`blind_after` unknown in a row──▶ blind ──known again──▶ where the finding says

Everything here is pure: values in, values out, and ``now`` is an argument. An unknown look says nothing against a
suspicion (the bad looks before it still count) and nothing for trust (good looks must follow each other). Blindness
hides a state and does not end it: when an alert that was firing is known again, it is firing again, and only
`until` good looks resolve it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from driftwatch.schedule import Duration, duration
from driftwatch.types import Alert, AlertState, Event, Finding, Silence, Transition, Verdict

OPEN: tuple[AlertState, ...] = ("firing", "blind")
"""The states in which an alert belongs to an incident."""

Looks = Annotated[int, Field(ge=1)]


class AlertPolicy(BaseModel):
    """How many looks it takes to believe something, and how often to repeat it."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)

    after: Looks = 2
    """Bad looks in a row before an alert fires."""
    until: Looks = 3
    """Good looks in a row before it is resolved."""
    blind_after: Looks = 6
    """Unknown looks in a row before it is called blind."""
    remind: Duration | None = duration("24h")
    """How often an incident that nobody has acknowledged is repeated; null for never."""
    reopen_within: Duration | None = duration("7 days")
    """An alert that fires again so soon after it was resolved reopens its incident: it is told in the same thread and
    counts as the same page. null for never.
    """

    def override(
        self, *, after: int | None = None, until: int | None = None, blind_after: int | None = None
    ) -> AlertPolicy:
        """The policy of a check that says something for itself."""
        own = {"after": after, "until": until, "blind_after": blind_after}
        return self.model_copy(update={name: looks for name, looks in own.items() if looks is not None})


def advance(
    alert: Alert, finding: Finding, policy: AlertPolicy, now: datetime, *, incident: str
) -> tuple[Alert, Transition | None]:
    """What ``alert`` becomes after one more look.

    A learning finding changes nothing; `warn` is as bad as `fail`. ``incident`` is the incident to join if the alert
    opens now; one that it already has is kept.
    """
    if finding.learning:
        return alert, None
    counted = _count(alert, finding)
    if finding.pages:
        # The evidence was gathered over many looks already: it waits for no second one.
        counted = replace(counted, bad=max(counted.bad, policy.after))
    state, event = _next(counted, finding, policy)
    if state == alert.state:
        return counted, None
    entered = _enter(counted, state, now, incident)
    if event is None:
        return entered, None
    return entered, _transition(alert, entered, event, now, family=finding.family, verdict=finding.verdict)


def _count(alert: Alert, finding: Finding) -> Alert:
    """The looks in a row, with this one."""
    if finding.verdict == "unknown":
        return replace(alert, unknown=alert.unknown + 1, good=0)
    # What was seen before a blindness is too old to be "in a row" with what is seen after it.
    bad, good = (0, 0) if alert.state == "blind" else (alert.bad, alert.good)
    if finding.verdict == "ok":
        # Good looks count towards the end of something: an alert that is well stays as it is, and is not written.
        well = good + 1 if alert.fired_at is not None else 0
        is_same = (alert.unknown, alert.bad, alert.good) == (0, 0, well)
        return alert if is_same else replace(alert, unknown=0, bad=0, good=well)
    return replace(alert, unknown=0, bad=bad + 1, good=0)


def _next(alert: Alert, finding: Finding, policy: AlertPolicy) -> tuple[AlertState, Event | None]:
    """The state after the looks counted in ``alert``, and the event of getting there (None: nobody is told)."""
    if finding.verdict == "unknown":
        goes_blind = alert.state != "blind" and alert.unknown >= policy.blind_after
        return ("blind", "blind") if goes_blind else (alert.state, None)
    if alert.fired_at is not None:
        if alert.good >= policy.until:
            return "ok", "resolved"
        return "firing", "sighted" if alert.state == "blind" else None
    seen_again: Event | None = "sighted" if alert.state == "blind" else None
    if alert.bad == 0:
        return "ok", seen_again
    if alert.bad >= policy.after:
        return "firing", "firing"
    return "pending", seen_again


def _enter(alert: Alert, state: AlertState, now: datetime, incident: str) -> Alert:
    """``alert`` as it enters ``state``."""
    entered = replace(alert, state=state, since=now)
    if state not in OPEN:
        if alert.fired_at is not None:
            entered = replace(entered, last_incident=alert.incident, resolved_at=now)
        return replace(entered, fired_at=None, reminded_at=None, acknowledged_by="", incident="")
    fired_at = alert.fired_at or now if state == "firing" else alert.fired_at
    return replace(entered, fired_at=fired_at, incident=alert.incident or incident)


def remind(alert: Alert, policy: AlertPolicy, now: datetime, *, family: str = "") -> tuple[Alert, Transition | None]:
    """Repeat an open alert that nobody has acknowledged, `policy.remind` after it was last heard of.

    However long nobody looked, one reminder is due and not many. A silenced alert is not reminded of: ask
    ``silenced_until`` first.
    """
    if policy.remind is None or alert.state not in OPEN or alert.acknowledged_by or alert.since is None:
        return alert, None
    if now - max(alert.since, alert.reminded_at or alert.since) < policy.remind:
        return alert, None
    reminded = replace(alert, reminded_at=now)
    return reminded, _transition(alert, reminded, "reminded", now, family=family)


def acknowledge(alert: Alert, actor: str, now: datetime, *, family: str = "") -> tuple[Alert, Transition | None]:
    """``actor`` looks after an open alert: no more reminders until it is over. Nothing to do gives no transition."""
    if alert.state not in OPEN or not actor or alert.acknowledged_by == actor:
        return alert, None
    known = replace(alert, acknowledged_by=actor)
    return known, _transition(alert, known, "acknowledged", now, family=family, actor=actor)


def explain(alert: Alert, now: datetime, *, family: str = "") -> Transition:
    """The news that another cause was found of the incident of ``alert``, which stays as it is."""
    return _transition(alert, alert, "explained", now, family=family)


def retire(alert: Alert, now: datetime) -> tuple[Alert, Transition | None]:
    """End the alert of a check that is watched no longer; a resolution only where somebody was told."""
    ended = _enter(replace(alert, bad=0, good=0, unknown=0), "ok", now, "")
    if alert.state not in OPEN:
        return ended, None
    return ended, _transition(alert, ended, "resolved", now, family="", actor="configuration")


def _transition(
    before: Alert,
    after: Alert,
    event: Event,
    now: datetime,
    *,
    family: str,
    actor: str = "",
    verdict: Verdict | Literal[""] = "",
) -> Transition:
    incident = after.incident or before.incident
    # Who acknowledged is no part of the key: the same moment of the same alert is the same change.
    named = (before.check, before.segment, event, now.astimezone(UTC).isoformat(), incident)
    return Transition(
        key=_digest(*named)[:32],
        check=before.check,
        segment=before.segment,
        event=event,
        before=before.state,
        after=after.state,
        at=now,
        incident=incident,
        family=family,
        actor=actor,
        verdict=verdict,
    )


def _digest(*parts: str) -> str:
    """Hex; parts cannot run into each other."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()


# --- incidents -----------------------------------------------------------------------------------------------------

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: nothing in it is mistaken for something else when read aloud or typed."""


def incident_key(family: str, segment: str, opened_at: datetime) -> str:
    """A short name that a person can type, the same for the same opening: ``canaries-de-qhykxw``.

    The last six letters count seconds, scrambled by an odd factor: openings of one family and segment less than 34
    years apart never share a name.

    >>> incident_key("canaries", "de", datetime(2026, 5, 21, 10, tzinfo=UTC))
    'canaries-de-qhykxw'
    """
    offset = int(_digest(family, segment)[:8], 16)
    number = (int(opened_at.timestamp()) * 0x2545F491 + offset) % 2**30
    code = "".join(_LETTERS[number >> shift & 31] for shift in range(25, -1, -5))
    return "-".join((_slug(family), _slug(segment), code))


def _slug(text: str) -> str:
    """Lower-case letters and digits of ``text``, for a command line."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:16].strip("-") or "x"


# --- silences ------------------------------------------------------------------------------------------------------


def matches(silence: Silence, check: str, segment: str) -> bool:
    """Whether ``silence`` is about this alert."""
    return silence.check in ("*", check) and silence.segment in ("*", segment)


def silenced_until(silences: Iterable[Silence], check: str, segment: str, now: datetime) -> datetime | None:
    """When the last silence that covers this alert now ends; None when it may be heard."""
    ends = [each.until for each in silences if matches(each, check, segment) and each.created <= now < each.until]
    return max(ends, default=None)
