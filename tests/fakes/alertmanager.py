"""An Alertmanager on loopback: its API version 2, strict where the real one is, with its memory for open alerts.

It answers as the real one does, with which tests compare it: what the OpenAPI description forbids
is 400, 415 or 422 with a code and a message, what its own checks forbid is 400 with a sentence, and the other alerts of
the same request are kept all the same.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.receiver import Answer, Loopback, Request, json_answer

RESOLVE_TIMEOUT = timedelta(minutes=5)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")

Labels = frozenset[tuple[str, str]]


@dataclass
class Kept:
    """One alert as Alertmanager keeps it: the label set is the alert."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    ends_at: datetime
    updated_at: datetime
    generator_url: str = ""

    def is_firing(self, now: datetime) -> bool:
        return self.ends_at > now


class Wrong(Exception):
    """A request that the OpenAPI description does not allow."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = json_answer(status, {"code": code, "message": message})


class FakeAlertmanager(Loopback):
    """``with FakeAlertmanager() as manager: Alertmanager(urls=[manager.url])``; asks for ``credentials`` if given."""

    def __init__(self, credentials: str = "", prefix: str = "") -> None:
        super().__init__()
        self.credentials = credentials
        self.prefix = prefix
        self.alerts: dict[Labels, Kept] = {}
        self.pushed: list[list[dict[str, Any]]] = []
        """Every body that was taken, in order."""
        self.now: datetime | None = None
        """What its clock shows; None: the time."""

    @property
    def url(self) -> str:
        return self.base + self.prefix

    @property
    def clock(self) -> datetime:
        return self.now or datetime.now(UTC)

    def firing(self, **labels: str) -> list[Kept]:
        """What it would show as active now."""
        return [
            each
            for each in self.alerts.values()
            if each.is_firing(self.clock) and labels.items() <= each.labels.items()
        ]

    def carry_out(self, request: Request) -> Answer:
        if not self._let_in(request):
            return Answer(401, b"Unauthorized\n", {"WWW-Authenticate": "Basic", "Content-Type": "text/plain"})
        path = urlsplit(request.path).path
        if path == f"{self.prefix}/api/v2/status" and request.method == "GET":
            return json_answer(200, {"versionInfo": {"version": "0.28.1"}, "cluster": {"status": "ready", "peers": []}})
        if path != f"{self.prefix}/api/v2/alerts":
            return json_answer(404, {"code": 404, "message": f"path {path} was not found"})
        if request.method != "POST":
            return json_answer(405, {"code": 405, "message": f"method {request.method} is not allowed"})
        try:
            return self._take(_parsed(request))
        except Wrong as wrong:
            return wrong.answer

    def _let_in(self, request: Request) -> bool:
        if not self.credentials:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        try:
            shown = base64.b64decode(given).decode() if scheme == "Basic" else given
        except ValueError:
            return False
        return shown == self.credentials

    def _take(self, posted: list[dict[str, Any]]) -> Answer:
        """As ``postAlertsHandler`` does: the valid ones are kept whatever is wrong with the others."""
        complaints = []
        for each in posted:
            alert = self._alert(each)
            if complaint := _complaint(alert):
                complaints.append(complaint)
            else:
                self._put(alert)
        if complaints:
            return json_answer(400, "; ".join(complaints))
        self.pushed.append(posted)
        return Answer(200)

    def _alert(self, posted: dict[str, Any]) -> Kept:
        starts, ends = _moment(posted.get("startsAt")), _moment(posted.get("endsAt"))
        now = self.clock
        return Kept(
            labels={name: value for name, value in posted["labels"].items() if value},
            annotations=dict(posted.get("annotations") or {}),
            starts_at=starts or ends or now,
            ends_at=ends or now + RESOLVE_TIMEOUT,
            updated_at=now,
            generator_url=posted.get("generatorURL", ""),
        )

    def _put(self, alert: Kept) -> None:
        """What overlaps with what is kept is the same occurrence of the alert: it began when that began."""
        key = frozenset(alert.labels.items())
        old = self.alerts.get(key)
        if old is not None and alert.starts_at <= old.ends_at and old.starts_at <= alert.ends_at:
            alert.starts_at = min(alert.starts_at, old.starts_at)
        self.alerts[key] = alert


def _parsed(request: Request) -> list[dict[str, Any]]:
    media = request.headers.get("content-type", "").split(";")[0].strip()
    if media != "application/json":
        message = f'unsupported media type "{media}", only [application/json] are allowed'
        raise Wrong(415, 415, message)
    try:
        posted = json.loads(request.content.decode("utf-8"), parse_constant=_no_constant)
    except ValueError as error:
        raise Wrong(400, 400, f'parsing alerts body from "" failed, because {error}') from None
    if not isinstance(posted, list):
        raise Wrong(400, 400, 'parsing alerts body from "" failed, because json: cannot unmarshal')
    for number, each in enumerate(posted):
        _checked(number, each)
    return posted


def _no_constant(name: str) -> float:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _checked(number: int, posted: Any) -> None:
    """As the OpenAPI description of a ``postableAlert`` says."""
    if not isinstance(posted, dict):
        raise Wrong(400, 400, 'parsing alerts body from "" failed, because json: cannot unmarshal')
    for name in ("labels", "annotations"):
        texts = posted.get(name, {})
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise Wrong(400, 400, f'parsing alerts body from "" failed, because json: cannot unmarshal into {name}')
    if "labels" not in posted:
        raise Wrong(422, 602, f"{number}.labels in body is required")
    for name in ("startsAt", "endsAt"):
        if name in posted and not (isinstance(posted[name], str) and _TIME.fullmatch(posted[name])):
            raise Wrong(400, 400, f'parsing alerts body from "" failed, because parsing time "{posted[name]}"')
    url = posted.get("generatorURL", "")
    if not isinstance(url, str) or (url and not (urlsplit(url).scheme or url.startswith("/"))):
        raise Wrong(422, 601, f'{number}.generatorURL in body must be of type uri: "{url}"')


def _moment(text: str | None) -> datetime | None:
    return None if text is None or text.startswith("0001-") else datetime.fromisoformat(text.replace("Z", "+00:00"))


def _complaint(alert: Kept) -> str:
    """What Alertmanager's own ``Validate`` says."""
    if alert.ends_at < alert.starts_at:
        return "start time must be before end time"
    if not alert.labels:
        return "at least one label pair required"
    for kind, pairs in (("label set", alert.labels), ("annotations", alert.annotations)):
        for name, value in pairs.items():
            if not _NAME.fullmatch(name):
                return f'invalid {kind}: invalid name "{name}"'
            if any("\ud800" <= char <= "\udfff" for char in value):
                return f'invalid {kind}: invalid value "{value!r}"'
    return ""
