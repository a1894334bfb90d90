"""A PagerDuty on loopback: its Events API version 2, with the limits it documents and alerts that share a key.

What is invalid is answered as the real one does: 400 with ``status``, ``message`` and ``errors``; 413 above 512 KB; 202
for everything else, also for the end of an alert that it does not know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.fakes.receiver import Answer, Loopback, Request, json_answer

ROUTING_KEY = "0123456789abcdef0123456789abcdef"
LARGEST = 512 * 1024
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
SLOW_DOWN = Answer(
    429, b'{"status":"throttle exceeded","message":"Requests for this service are arriving too quickly"}'
)


@dataclass
class Opened:
    """One alert, from its first trigger to its end: what calls somebody."""

    key: str
    summary: str
    severity: str
    details: dict[str, Any]
    links: list[dict[str, str]]
    state: str = "triggered"
    triggers: int = 1
    log: list[str] = field(default_factory=lambda: ["trigger"])


class FakePagerDuty(Loopback):
    """``with FakePagerDuty() as pager: PagerDuty(routing_key=ROUTING_KEY, url=pager.url)``."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        """Every event that was taken, in order."""
        self.alerts: list[Opened] = []
        """Every alert that was ever opened, in order."""

    @property
    def url(self) -> str:
        return f"{self.base}/v2/enqueue"

    def open(self) -> list[Opened]:
        return [each for each in self.alerts if each.state != "resolved"]

    def actions(self) -> list[str]:
        return [event["event_action"] for event in self.events]

    def carry_out(self, request: Request) -> Answer:
        if request.path != "/v2/enqueue":
            return json_answer(404, {"message": "Not Found"})
        if request.method != "POST":
            return json_answer(405, {"message": "Method Not Allowed"})
        if len(request.content) > LARGEST:
            return json_answer(413, {"status": "invalid event", "message": "Event exceeds 512KB", "errors": []})
        try:
            event = json.loads(request.content.decode("utf-8"))
        except ValueError:
            return _invalid("JSON cannot be parsed")
        errors = _errors(event) if isinstance(event, dict) else ["Event must be an object"]
        if errors:
            return _invalid("Event object is invalid", *errors)
        self.events.append(event)
        self._take(event)
        return json_answer(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})

    def _take(self, event: dict[str, Any]) -> None:
        action, key = event["event_action"], event["dedup_key"]
        known = next((each for each in self.alerts if each.key == key and each.state != "resolved"), None)
        if known is not None:
            known.log.append(action)
        if action == "trigger":
            self._trigger(known, event)
        elif known is not None:
            known.state = "resolved" if action == "resolve" else "acknowledged"

    def _trigger(self, known: Opened | None, event: dict[str, Any]) -> None:
        """An open alert of that key takes the event into its log, and calls nobody again."""
        if known is not None:
            known.triggers += 1
            return
        sent = event["payload"]
        links = event.get("links", [])
        self.alerts.append(
            Opened(event["dedup_key"], sent["summary"], sent["severity"], sent.get("custom_details", {}), links)
        )


def _invalid(message: str, *errors: str) -> Answer:
    return json_answer(400, {"status": "invalid event", "message": message, "errors": list(errors)})


def _errors(event: dict[str, Any]) -> list[str]:
    errors = []
    key = event.get("routing_key")
    if not isinstance(key, str):
        errors.append("'routing_key' is missing or blank")
    elif len(key) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ACTIONS:
        errors.append("'event_action' is missing or invalid (must be one of 'trigger', 'acknowledge' or 'resolve')")
    dedup = event.get("dedup_key")
    if dedup is None and action != "trigger":
        errors.append("'dedup_key' is missing or blank")
    elif dedup is not None and (not isinstance(dedup, str) or len(dedup) > 255):
        errors.append("'dedup_key' is too long (should be 255 characters or fewer)")
    if action == "trigger":
        errors += _payload_errors(event.get("payload")) + _link_errors(event.get("links", []))
    return errors


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source", "severity")
        if not isinstance(payload.get(name), str) or not payload[name].strip()
    ]
    if len(payload.get("summary") or "") > 1024:
        errors.append("'payload.summary' is too long (should be 1024 characters or fewer)")
    if payload.get("severity") not in SEVERITIES:
        errors.append("'payload.severity' is invalid (must be one of the following: 'critical', 'warning', …)")
    if "timestamp" in payload:
        try:
            datetime.fromisoformat(str(payload["timestamp"]).replace("Z", "+00:00"))
        except ValueError:
            errors.append("'payload.timestamp' is invalid")
    if not isinstance(payload.get("custom_details", {}), dict):
        errors.append("'payload.custom_details' is invalid")
    return errors


def _link_errors(links: Any) -> list[str]:
    good = isinstance(links, list) and all(isinstance(each, dict) and each.get("href") for each in links)
    return [] if good else ["'links' is invalid"]
