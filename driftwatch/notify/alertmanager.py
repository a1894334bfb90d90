"""Alertmanager: each alert pushed to its API, version 2, and again every minute for as long as it is open."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify import AFTERWARDS, Notifier
from driftwatch.notify._episodes import Phase, episode, figures, phases, stamp
from driftwatch.notify._http import Answer, checked_url, request
from driftwatch.notify._languages import segment_name
from driftwatch.notify._render import message
from driftwatch.notify._text import clean, disarmed
from driftwatch.schedule import Duration, duration
from driftwatch.types import Alert, Finding, Notice

TIMES = 3
"""An alert ends by itself when it was not repeated for so many times ``every``."""

MOST_MEMBERS = 9
"""Of a cluster: they are told one after the other, and a delivery has two minutes."""

SEVERITIES = {True: "critical", False: "warning"}
"""What calls somebody -> the label `severity`."""

_REFUSED = (400, 413, 422)
"""Read, and not to be taken: Alertmanager checks every label and time before it answers."""

_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_OURS = frozenset({"alertname", "service", "segment", "family", "severity", "incident"})
_STANDING = {"firing": "is failing", "blind": "cannot be judged", "resolved": "is over"}


class Alertmanager(Notifier):
    """Pushes alerts to Prometheus' Alertmanager, which groups, routes and silences them with your others.

    The label set names an alert and stays the same while it is open; figures and texts are annotations. Alertmanager
    forgets what nobody repeats: open alerts are sent again `every` minute.
    """

    kind: Literal["alertmanager"] = "alertmanager"
    urls: tuple[str, ...] = Field(min_length=1, max_length=MOST_MEMBERS)
    """Alertmanager's address, without `/api/v2`; of a cluster those of all members, as Prometheus has them."""
    user: str = ""
    """For basic authentication, with `password`."""
    password: SecretStr | None = None
    """The password of `user`."""
    token: SecretStr | None = None
    """A bearer token, instead of `user` and `password`."""
    every: Duration = duration("1m")
    """How often open alerts are sent again. One that is not for three times as long is over for Alertmanager."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of your own for every alert, to route by: `team: search`."""
    show_queries: bool = False
    """Whether example questions are sent, as the privacy setting leaves them. Alertmanager hands them on."""
    timeout: Duration = duration("10s")
    """How long to wait for an answer."""

    @field_validator("urls", mode="before")
    @classmethod
    def _may_be_one(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("urls")
    @classmethod
    def _are_addresses(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            checked_url(url, "urls")
            if "@" in url or "?" in url or "#" in url:
                raise ValueError("'urls' holds a password, '?' or '#'. Write 'user' and 'password', or 'token'.")
            if re.search(r"/api/v\d", url):
                raise ValueError("'urls' ends before the API's own path. Leave out '/api/v2…'.")
        return tuple(url.rstrip("/") for url in urls)

    @field_validator("every")
    @classmethod
    def _leaves_time(cls, every: timedelta) -> timedelta:
        if not timedelta(seconds=5) <= every <= timedelta(hours=1):
            raise ValueError("it must be between 5s and 1h.")
        return every

    @field_validator("labels")
    @classmethod
    def _can_be_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for name in labels:
            if not _LABEL.fullmatch(name) or name.startswith("__"):
                raise ValueError(f"{name!r} cannot be a label. Use letters, digits and '_', and no digit first.")
            if name in _OURS:
                raise ValueError(f"the label {name!r} is driftwatch's own. Leave it out.")
        return labels

    @model_validator(mode="after")
    def _one_way_in(self) -> Alertmanager:
        if self.token is not None and (self.user or self.password is not None):
            raise ValueError("'token' and 'user' are both set. Keep one of them.")
        if bool(self.user) != (self.password is not None):
            raise ValueError("'user' and 'password' belong together. Set both, or 'token'.")
        return self

    @property
    def again_every(self) -> timedelta:
        return self.every

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:  # noqa: ARG002 - the labels say it all
        self._push(alerts_of(notice, datetime.now(UTC), self))
        return notice.incident.incident_id

    def tell_again(self, notices: Sequence[Notice], now: datetime) -> None:
        self._push([alert for notice in notices for alert in alerts_of(notice, now, self, now - AFTERWARDS)])

    def reach(self) -> str:
        return "; ".join(f"{url}: {self._version(url)}" for url in self.urls)

    def _version(self, url: str) -> str:
        answer = request(
            f"{url}/api/v2/status",
            receiver=f"Alertmanager at {url}",
            timeout=self.timeout,
            method="GET",
            headers=self._credentials(),
        )
        if not answer.taken:
            raise _not_taken(url, answer)
        return "answers"

    def _push(self, alerts: list[dict[str, Any]]) -> None:
        """Send to every member of the cluster; it is taken when one of them has taken it.

        The members tell each other what was notified, not what was sent: who missed it gets it with the next repeat.
        """
        if not alerts:
            return
        content = json.dumps(alerts, allow_nan=False).encode("ascii")
        errors = [error for url in self.urls if (error := self._send(url, content)) is not None]
        if len(errors) == len(self.urls):
            raise min(errors, key=lambda error: isinstance(error, MessageRefused))

    def _send(self, url: str, content: bytes) -> DeliveryError | None:
        headers = {"Content-Type": "application/json"} | self._credentials()
        try:
            answer = request(
                f"{url}/api/v2/alerts",
                receiver=f"Alertmanager at {url}",
                timeout=self.timeout,
                body=content,
                headers=headers,
            )
        except DeliveryError as error:
            return error
        return None if answer.taken else _not_taken(url, answer)

    def _credentials(self) -> dict[str, str]:
        if self.token is not None:
            return {"Authorization": f"Bearer {self.token.get_secret_value()}"}
        if self.password is not None:
            pair = f"{self.user}:{self.password.get_secret_value()}"
            return {"Authorization": "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")}
        return {}


def _not_taken(url: str, answer: Answer) -> DeliveryError:
    said = f"Alertmanager at {url} answered {answer.status}" + (f": {answer.text}." if answer.text else ".")
    if answer.status in _REFUSED:
        return MessageRefused(said)
    return DeliveryError(said, retry_after=answer.retry_after, remedy=_remedy(answer.status))


def _remedy(status: int) -> str:
    if 300 <= status < 400:
        return "Set `urls` to the address it redirects to."
    if status in (401, 403):
        return "Check `user` and `password`, or `token`."
    return "Check `urls`; the path before /api/v2 belongs to it." if status in (404, 405, 410) else ""


# --- what is pushed ------------------------------------------------------------------------------------------------


def alerts_of(
    notice: Notice, now: datetime, settings: Alertmanager, since: datetime | None = None
) -> list[dict[str, Any]]:
    """Every alert of an incident as it is stored now, but those that nobody is told of; pure.

    What became worse while it was open is two alerts: the milder one ends where the worse one begins. What was over
    before ``since`` is left out.
    """
    shared = _shared(notice, settings.show_queries)
    pushed = []
    for member in notice.incident.members:
        if (member.alert.check, member.alert.segment) not in notice.hushed:
            for phase in phases(member.alert, notice.incident):
                if since is None or phase.end is None or phase.end >= since:
                    until = min(phase.end, now) if phase.end else now + TIMES * settings.every
                    times = {"startsAt": stamp(min(phase.start, until)), "endsAt": stamp(until)}
                    said = _said(member.alert, member.finding, "resolved" if phase.end else member.alert.state)
                    pushed.append(_alert(_labels(member.alert, phase, notice) | settings.labels, said | shared) | times)
    generator = {"generatorURL": notice.url} if notice.url else {}
    return [alert | generator for alert in pushed]


def _alert(labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    """What is empty is left out: Alertmanager drops such labels, and names the alert by the others."""
    return {
        "labels": {name: value for name, value in labels.items() if value},
        "annotations": {name: text for name, text in annotations.items() if text},
    }


def _labels(alert: Alert, phase: Phase, notice: Notice) -> dict[str, str]:
    opening = episode(alert, notice.incident)[:1]
    family = (opening[0].family if opening else "") or notice.incident.family
    return {
        "alertname": clean(alert.check, 200) or "driftwatch",
        "service": clean(notice.service, 200),
        "segment": disarmed(clean(alert.segment, 200)),
        "family": clean(family, 200),
        "severity": SEVERITIES[phase.calls],
        "incident": clean(notice.incident.incident_id, 200),
    }


def _said(alert: Alert, finding: Finding | None, state: str) -> dict[str, str]:
    place = segment_name(alert.segment, rest=bool(finding and finding.details.get("without")))
    return {
        "summary": disarmed(clean(f"{place} · {alert.check} {_STANDING.get(state, 'is failing')}", 240)),
        "description": disarmed(clean(finding.message, 500)) if finding else "",
        "state": state,
    } | figures(finding)


def _shared(notice: Notice, with_queries: bool) -> dict[str, str]:
    """What is known of the whole incident, for each of its alerts."""
    shown = message(notice, with_queries=with_queries)
    said = {
        "acknowledged_by": shown.acknowledged_by,
        "cause": shown.why.cause if shown.why else "",
        "evidence_of_cause": shown.why.sentence if shown.why else "",
        "action": shown.why.action if shown.why else "",
        "documents": ", ".join(shown.why.documents) if shown.why else "",
        "examples": " · ".join(shown.examples),
    }
    return {name: disarmed(text) for name, text in said.items()} | {"command": shown.command}
