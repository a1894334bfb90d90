"""PagerDuty: one alert an incident, opened, acknowledged and resolved through the Events API, version 2."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify import Notifier
from driftwatch.notify._episodes import stamp
from driftwatch.notify._http import Answer, checked_url, request
from driftwatch.notify._render import Message, message, pages
from driftwatch.notify._text import clean, cut, disarmed
from driftwatch.schedule import Duration, duration
from driftwatch.types import Incident, Notice

Standing = Literal["fail", "again", "warn", "blind"]
Severity = Literal["critical", "error", "warning", "info", "none"]

DEFAULTS: dict[Standing, Severity] = {"fail": "critical", "again": "warning", "warn": "none", "blind": "warning"}

LONGEST_SUMMARY = 1024
_MARK = "driftwatch:"
_KEY = re.compile(r"[A-Za-z0-9]{32}")
_REFUSED = (400, 413, 422)


class PagerDuty(Notifier):
    """Opens a PagerDuty alert for each incident that pages, and resolves it when the incident is over.

    Whatever happens to an incident carries the same `dedup_key`, so that a repeat opens nothing twice. Warnings page
    nobody, and what fires again soon after it was resolved comes back as a warning; `severities` may say otherwise.
    """

    kind: Literal["pagerduty"] = "pagerduty"
    routing_key: SecretStr
    """The integration key of an Events API v2 integration: 32 letters and digits."""
    severities: dict[Standing, Severity] = Field(default_factory=dict)
    """Which severity what has: `fail` (critical), `again` (warning), `warn` (none) and `blind` (warning); `none` is not
    sent. Whether a severity wakes somebody is set in PagerDuty.
    """
    url: str = "https://events.pagerduty.com/v2/enqueue"
    """The Events API; `https://events.eu.pagerduty.com/v2/enqueue` in the EU service region."""
    show_queries: bool = False
    """Whether example questions are sent, as the privacy setting leaves them. PagerDuty keeps and forwards them."""
    timeout: Duration = duration("10s")
    """How long to wait for an answer."""

    @field_validator("routing_key")
    @classmethod
    def _is_a_key(cls, routing_key: SecretStr) -> SecretStr:
        if not _KEY.fullmatch(routing_key.get_secret_value().strip()):
            raise ValueError(
                "'routing_key' is not 32 letters and digits. Copy the integration key of an 'Events API v2'."
            )
        return SecretStr(routing_key.get_secret_value().strip())

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        return checked_url(url, "url")

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        known = thread if thread and thread.startswith(_MARK) else None
        key = known or dedup_key(notice)
        events = events_of(notice, key, self, known=known is not None, repeat=repeat)
        for event in events:
            self._send(event)
        return key if events or known or repeat else None

    def reach(self) -> str:
        """An empty event is refused by an API that works, so nobody is told."""
        answer = self._post({})
        if answer.status != 400:
            raise _not_taken(answer)
        return "answers; whether it knows the routing key shows with the first event"

    def _send(self, event: dict[str, Any]) -> None:
        answer = self._post({"routing_key": self.routing_key.get_secret_value()} | event)
        if not answer.taken:
            raise _not_taken(answer)

    def _post(self, content: dict[str, Any]) -> Answer:
        return request(
            self.url,
            receiver="PagerDuty",
            timeout=self.timeout,
            body=json.dumps(content, allow_nan=False).encode("ascii"),
            headers={"Content-Type": "application/json"},
        )


def _not_taken(answer: Answer) -> DeliveryError:
    said = f"PagerDuty answered {answer.status}" + (f": {answer.text}." if answer.text else ".")
    if answer.status in _REFUSED and "routing_key" not in answer.text:
        return MessageRefused(said)
    return DeliveryError(said, retry_after=answer.retry_after, remedy=_remedy(answer.status))


def _remedy(status: int) -> str:
    if 300 <= status < 400:
        return "Set `url` to the address it redirects to."
    if status in (400, 401, 402, 403):
        return "Check `routing_key`: it is that of an 'Events API v2' integration that is switched on."
    return "Check `url`." if status in (404, 405, 410) else ""


# --- what is sent --------------------------------------------------------------------------------------------------


def dedup_key(notice: Notice) -> str:
    """What PagerDuty knows the incident by: the same for everything that happens to it."""
    return f"{_MARK}{clean(notice.service, 150)}:{clean(notice.incident.incident_id, 60)}"


def events_of(
    notice: Notice, key: str, settings: PagerDuty, *, known: bool, repeat: bool = False
) -> tuple[dict[str, Any], ...]:
    """What to send of ``notice``, as its incident stands now; nothing where PagerDuty need not know; pure.

    ``known``: PagerDuty was told of the incident; ``repeat``: perhaps it was, by an attempt whose answer was lost.
    """
    may_be_open = known or repeat
    over = notice.incident.state == "resolved"
    if notice.event == "resolved" or (over and notice.event not in ("firing", "blind")):
        return (_of("resolve", key),) if over and may_be_open and notice.event in ("resolved", "sighted") else ()
    if notice.event == "acknowledged":
        return (_of("acknowledge", key),) if may_be_open else ()
    severity = _severity(notice.incident, settings, known)
    if severity == "none":
        return ()
    # An alert that is open already calls nobody again: what was blind and fails now has to open another one.
    worse = (_of("resolve", key),) if known and pages(notice) else ()
    return (*worse, _trigger(notice, key, severity, settings))


def _of(action: str, key: str) -> dict[str, Any]:
    return {"event_action": action, "dedup_key": key}


def _severity(incident: Incident, settings: PagerDuty, known: bool) -> Severity:
    """What is over before PagerDuty heard of it is of the least; what was never to be sent stays here."""
    chosen = DEFAULTS | settings.severities
    if incident.state == "resolved":
        return "none" if chosen[_was(incident)] == "none" else "info"
    if incident.state == "blind":
        return chosen["blind"]
    if not _called(incident):
        return chosen["warn"]
    return chosen["again" if known and len(incident.openings) > 1 else "fail"]


def _was(incident: Incident) -> Standing:
    """The worst that an incident has been."""
    if _called(incident):
        return "fail"
    return "blind" if any(each.event == "blind" for each in incident.history) else "warn"


def _called(incident: Incident) -> bool:
    return any(each.event == "firing" and each.verdict != "warn" for each in incident.history)


def _trigger(notice: Notice, key: str, severity: Severity, settings: PagerDuty) -> dict[str, Any]:
    shown = message(notice, with_queries=settings.show_queries)
    first = shown.why.cause if shown.why else shown.parts[0].sentence if shown.parts else ""
    link = {"links": [{"href": notice.url, "text": "The incident in driftwatch"}], "client_url": notice.url}
    payload = {
        "summary": disarmed(cut(f"{shown.title}. {first}".strip(), LONGEST_SUMMARY // 2)),
        "source": shown.service or "driftwatch",
        "severity": severity,
        "timestamp": stamp(notice.at),
        "component": disarmed(clean(notice.transition.check, 100)),
        "group": disarmed(clean(notice.incident.segment, 100)),
        "class": disarmed(clean(notice.incident.family, 100)),
        "custom_details": _details(notice, shown),
    }
    event = _of("trigger", key) | {"client": "driftwatch"} | (link if notice.url else {})
    return event | {"payload": {name: value for name, value in payload.items() if value}}


def _details(notice: Notice, shown: Message) -> dict[str, Any]:
    """What a person reads below the summary: bounded, since a ``Message`` is."""
    found = [
        {"check": disarmed(part.heading or shown.title), "found": disarmed(part.sentence)} | dict(part.numbers)
        for part in shown.parts
    ]
    details: dict[str, Any] = {
        "incident": shown.incident_id,
        "event": notice.event,
        "key": notice.key,
        "opened": stamp(shown.opened_at),
        "openings": len(shown.openings),
        "found": found,
        "and_also": disarmed(shown.more),
        "examples": [disarmed(each) for each in shown.examples],
        "command": shown.command,
    }
    if shown.why is not None:
        details |= {"cause": disarmed(shown.why.cause), "evidence": disarmed(shown.why.sentence)}
        details |= {"action": disarmed(shown.why.action), "documents": [disarmed(each) for each in shown.why.documents]}
    return {name: value for name, value in details.items() if value}
