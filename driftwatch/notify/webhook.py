"""A webhook: the body that Alertmanager's receivers read, signed as Standard Webhooks says."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify import Notifier
from driftwatch.notify._episodes import began, ended, figures, stamp
from driftwatch.notify._http import checked_url, request
from driftwatch.notify._render import message, news
from driftwatch.notify._text import clean
from driftwatch.notify._weekly import weekly_body
from driftwatch.notify._why import Why
from driftwatch.reported.announced import Remembered, WeeklyNotice
from driftwatch.schedule import Duration, duration
from driftwatch.signing import signature, signing_key
from driftwatch.types import Diagnosis, Member, Notice

_NEVER = "0001-01-01T00:00:00Z"
"""How Alertmanager writes that something has not ended."""

_REFUSED = (413, 422)
"""Read, and not to be taken. Another 4xx is more often a wrong address than a wrong message: it is tried again."""

MOST_CAUSES = 10

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RESERVED = frozenset(
    {"content-type", "content-length", "host", "webhook-id", "webhook-timestamp", "webhook-signature"}
)


class Webhook(Notifier):
    """Posts each change of an incident as JSON to an address of yours.

    The body is Alertmanager's webhook, version 4, with one entry an alert; the key `driftwatch` holds what that format
    has no place for. `webhook-id` is the same however often a change is sent: keep it, and skip what you have seen.
    """

    kind: Literal["webhook"] = "webhook"
    url: SecretStr
    """Where to post. Redirects are not followed; only a 2xx answer counts as taken."""
    secret: SecretStr | None = None
    """`whsec_` and base64: signs each message (Standard Webhooks, HMAC-SHA256) in the header `webhook-signature`."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """More headers to send, such as `Authorization`."""
    show_queries: bool = True
    """Whether example questions are sent, as the privacy setting leaves them."""
    timeout: Duration = duration("10s")
    """How long to wait for an answer."""

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: SecretStr) -> SecretStr:
        checked_url(url.get_secret_value(), "url")
        return url

    @field_validator("secret")
    @classmethod
    def _can_sign(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            signing_key(secret.get_secret_value())
        return secret

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not _HEADER.fullmatch(name) or not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
                raise ValueError(f"the header {name!r} cannot be sent. Use ASCII, without line breaks.")
            if name.lower() in _RESERVED:
                raise ValueError(f"the header {name!r} is driftwatch's own. Leave it out.")
        return headers

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:  # noqa: ARG002 - the key says it all
        self._send(notice.key, body(notice, self.name or self.kind, self.show_queries))
        return notice.incident.incident_id

    def announce(self, notice: WeeklyNotice, remembered: Remembered, *, repeat: bool) -> None:
        del remembered, repeat  # the key says it all
        self._send(notice.key, weekly_body(notice, self.name or self.kind))

    def reach(self) -> str:
        answer = request(
            self.url.get_secret_value(),
            receiver="the webhook",
            timeout=self.timeout,
            method="OPTIONS",
            headers=self._own_headers(),
        )
        return f"answers ({answer.status} to OPTIONS); whether it takes messages shows with the first one"

    def _own_headers(self) -> dict[str, str]:
        return {name: value.get_secret_value() for name, value in self.headers.items()}

    def _send(self, key: str, said: dict[str, Any]) -> None:
        """Post ``said`` as JSON, signed where there is a secret."""
        content = json.dumps(said, allow_nan=False).encode("ascii")
        sent_at = int(time.time())
        headers = {"Content-Type": "application/json", "webhook-id": key, "webhook-timestamp": str(sent_at)}
        if self.secret is not None:
            headers["webhook-signature"] = signature(self.secret.get_secret_value(), key, sent_at, content)
        self._post(content, headers)

    def _post(self, content: bytes, headers: dict[str, str]) -> None:
        answer = request(
            self.url.get_secret_value(),
            receiver="the webhook",
            timeout=self.timeout,
            body=content,
            headers=self._own_headers() | headers,
        )
        if answer.taken:
            return
        said = f"the webhook answered {answer.status}" + (f": {answer.text}." if answer.text else ".")
        if answer.status in _REFUSED:
            raise MessageRefused(said)
        raise DeliveryError(said, retry_after=answer.retry_after, remedy=_remedy(answer.status))


def _remedy(status: int) -> str:
    if 300 <= status < 400:
        return "Set `url` to the address it redirects to."
    if status in (401, 403):
        return "Check `secret` and `headers`."
    return "Check `url`." if status in (404, 405, 410) else ""


# --- the body ------------------------------------------------------------------------------------------------------


def body(notice: Notice, receiver: str, show_queries: bool = True) -> dict[str, Any]:
    """Alertmanager's webhook body, version 4. Labels name the alert; what changes is in the annotations."""
    incident = notice.incident
    alerts = [_alert(member, notice) for member in incident.members]
    common = {"service": clean(notice.service, 200), "family": clean(incident.family, 200)}
    group = common | {"segment": clean(incident.segment, 200), "incident": clean(incident.incident_id, 200)}
    shown, told = message(notice, with_queries=show_queries), news(notice)
    return {
        "version": "4",
        "groupKey": f"driftwatch:{group['service']}:{group['incident']}",
        "truncatedAlerts": 0,
        "status": "resolved" if incident.state == "resolved" else "firing",
        "receiver": clean(receiver, 200),
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": {"summary": shown.title},
        "externalURL": _external(notice.url),
        "alerts": alerts,
        "driftwatch": {
            "key": notice.key,
            "event": notice.event,
            "at": stamp(notice.at),
            "state": incident.state,
            "openings": len(incident.openings),
            "title": told.title,
            "sentence": told.sentence,
            "examples": list(shown.examples),
            "command": shown.command,
            "diagnosis": _diagnosis(shown.why, incident.diagnosis),
        },
    }


def _diagnosis(shown: Why | None, diagnosis: Diagnosis | None) -> dict[str, Any] | None:
    """What a person is told, and the same for a program: names of causes as `docs/causes` has them, and the segment."""
    if shown is None or diagnosis is None:
        return None
    causes = [clean(name, 100) for name in (diagnosis.causes or (diagnosis.cause,))[:MOST_CAUSES]]
    return {"causes": causes, "segment": clean(diagnosis.segment, 200)} | asdict(shown)


def _alert(member: Member, notice: Notice) -> dict[str, Any]:
    alert, finding, incident = member.alert, member.finding, notice.incident
    labels = {
        "alertname": clean(alert.check, 200),
        "service": clean(notice.service, 200),
        "segment": clean(alert.segment, 200),
        "family": clean(incident.family, 200),
    }
    annotations = {"state": alert.state, "description": clean(finding.message, 500) if finding else ""}
    over = ended(alert, incident)
    return {
        "status": "resolved" if over else "firing",
        "labels": labels,
        "annotations": annotations | figures(finding),
        "startsAt": stamp(began(alert, incident)),
        "endsAt": stamp(over) if over else _NEVER,
        "generatorURL": _external(notice.url),
        "fingerprint": hashlib.sha256(json.dumps(labels, sort_keys=True).encode("ascii")).hexdigest()[:16],
    }


def _external(url: str) -> str:
    return clean(url, 2000)
