"""What the forms of the pages do: read a form, do it as the command line does, say where to go next."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from driftwatch import acting
from driftwatch.alerts import OPEN
from driftwatch.errors import DriftwatchError
from driftwatch.schedule import duration

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Alert, ExpectedChange, Silence

SAID = {
    "acknowledged": "It is noted that you look after it.",
    "silenced": "Nobody is told of it until then.",
    "unsilenced": "The silence is over.",
    "expected": "The change is announced: nothing in its time is evidence.",
    "ended": "The expected change is over: everything is evidence again.",
}
"""What a page says of what was just done, by the word in its address."""
LONGEST_REASON = 300
Form = Mapping[str, str]


def place_key(alert: Alert) -> str:
    """Names an alert in a form, whatever its check is called."""
    return hashlib.sha256(f"{alert.check}\0{alert.segment}".encode("utf-8", "replace")).hexdigest()[:16]


def silence(watch: Watch, store: Store, form: Form, author: str, now: datetime) -> list[Silence]:
    """Silence what the form names: open alerts of an incident, or a check and a segment.

    Raises:
        DriftwatchError: it names nothing that there is, no length, or no reason.
    """
    reason = _reason(form)
    try:
        until = now + duration(form.get("for", ""))
    except ValueError as error:
        raise DriftwatchError(str(error)) from None
    places = _named(store, form)
    return [acting.silence(watch, store, *place, until, reason, author, now) for place in places]


def _named(store: Store, form: Form) -> list[tuple[str, str]]:
    if not form.get("incident"):
        return [(form.get("check", ""), form.get("segment") or "*")]
    alerts = [alert for alert in acting.alerts_called(store, form["incident"]) if alert.state in OPEN]
    wanted = form.get("what", "all")
    chosen = [(each.check, each.segment) for each in alerts if wanted in ("all", place_key(each))]
    if not chosen:
        raise DriftwatchError("that alert is not open any more.", remedy="Look at the page again.")
    return chosen


def end_silence(store: Store, silence_id: str, now: datetime) -> None:
    """Let people hear of it again.

    Raises:
        DriftwatchError: no such silence holds.
    """
    if not store.decisions.expire_silence(silence_id, now):
        raise DriftwatchError("that silence is over already.")


def expect(watch: Watch, store: Store, form: Form, author: str, now: datetime) -> ExpectedChange:
    """Announce the change that the form describes; times without an offset are in the time zone of the pages.

    Raises:
        DriftwatchError: a time cannot be read, it is over before it begins, or nobody says why.
    """
    start = _moment(watch, form["from"]) if form.get("from") else now
    return acting.expect(store, start, _moment(watch, form.get("to", "")), _reason(form), author, now)


def _reason(form: Form) -> str:
    reason = " ".join(form.get("reason", "").split())[:LONGEST_REASON]
    if not reason:
        raise DriftwatchError("a reason is needed: whoever looks next must know why.")
    return reason


def _moment(watch: Watch, given: str) -> datetime:
    try:
        read = datetime.fromisoformat(given)
        return (read if read.tzinfo else read.replace(tzinfo=watch.zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise DriftwatchError(
            f"'{given[:40]}' is not a day or time.", remedy="Write it like 2026-05-04T08:00."
        ) from None
