"""The weekly message is told: one week to one receiver at a time, at least once, however long it takes.

``tell_one`` does one piece of work, beside ``delivery.deliver_one`` and in the same worker: alerts go first, and a
receiver that is down delays nobody else. What is told is what was kept with the report (``message.json`` and the
pictures), so that it is the same however late it is told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from driftwatch.delivery import backoff
from driftwatch.errors import DeliveryError, DriftwatchError, MessageRefused
from driftwatch.report.kept import HTML, Reports
from driftwatch.report.message import MESSAGE, read_announcement
from driftwatch.reported.announced import WeeklyNotice

if TYPE_CHECKING:
    from driftwatch.notify import Notifier
    from driftwatch.store import Store
    from driftwatch.store.weekly import Telling

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)
"""How long a claim is believed to be worked on: two pictures may take a while."""


def tell_one(store: Store, notifier: Notifier, reports: Reports, pages_url: str, now: datetime) -> bool:
    """Tell one receiver of the oldest week that it waits for; whether to go on at once."""
    if "report" not in notifier.tell:
        return False
    telling = store.weekly.claim(notifier.name, now, LEASE)
    if telling is None:
        return False
    try:
        notice = _notice(reports, telling, pages_url)
        notifier.announce(notice, _Memory(store, telling), repeat=telling.repeat)
    except MessageRefused as error:
        log.error("%s will not be told of the report of %s: %s", notifier.name, telling.week, error)
        store.weekly.park(telling, str(error), now)
        return True
    except Exception as error:
        # Whatever a receiver's code does wrong, nothing may be lost; the reason is kept and logged.
        if not isinstance(error, DriftwatchError):
            log.exception("%s failed in an unexpected way", notifier.name)
        _again(store, telling, error, now)
        return False
    store.weekly.done(telling, now)
    return True


def _notice(reports: Reports, telling: Telling, pages_url: str) -> WeeklyNotice:
    """What was kept for it.

    Raises:
        MessageRefused: the report is gone, or was kept by a version that made no message.
    """
    kept = reports.find(telling.week)
    path = kept.files.get(MESSAGE) if kept is not None else None
    if kept is None or path is None:
        raise MessageRefused(f"the report of {telling.week} is no longer kept.")
    try:
        announcement = read_announcement(path.read_bytes())
        pictures = {each.file: kept.files[each.file].read_bytes() for each in announcement.pictures}
    except (OSError, ValueError, KeyError) as error:
        raise MessageRefused(f"the message of {telling.week} cannot be read: {error}.") from None
    return WeeklyNotice(
        key=f"report:{announcement.service}:{telling.week}",
        announcement=announcement,
        announced_at=telling.announced_at,
        url=f"{pages_url}/reports/{telling.week}/{HTML}" if pages_url else "",
        pictures=pictures,
    )


def _again(store: Store, telling: Telling, error: Exception, now: datetime) -> None:
    asked = error.retry_after if isinstance(error, DeliveryError) else None
    wait = backoff(telling.attempts, asked, f"{telling.receiver}:{telling.week}:{telling.attempts}")
    seconds = wait.total_seconds()
    log.warning(
        "%s did not take the report of %s, next try in %.0f s: %s", telling.receiver, telling.week, seconds, error
    )
    store.weekly.failed(telling, f"{type(error).__name__}: {error}"[:500], now + wait)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the receiver has of this week already."""

    store: Store
    telling: Telling

    def get(self, name: str) -> str | None:
        return self.store.weekly.remembered(self.telling, name)

    def keep(self, name: str, value: str) -> None:
        self.store.weekly.remember(self.telling, name, value)
