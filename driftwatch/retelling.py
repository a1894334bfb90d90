"""Receivers that forget are told again: an Alertmanager takes to be over what nobody repeats.

What is said is how things stand in the store, so a restart changes nothing; when it was said last is only remembered by
the one who says it, so a restart says it at once. It is said by whoever works off the receiver's outbox: what is over
cannot be said to be open after its end was told.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from driftwatch.delivery import DeliveryContext, notice_of
from driftwatch.errors import DriftwatchError
from driftwatch.notify import AFTERWARDS
from driftwatch.types import Notice

if TYPE_CHECKING:
    from driftwatch.notify import Notifier
    from driftwatch.store import Store

log = logging.getLogger(__name__)


@dataclass
class Retelling:
    """When each receiver was told again, and whether it took it."""

    said_at: dict[str, datetime] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Receiver -> why it did not take it the last time."""

    def tell(self, store: Store, notifier: Notifier, now: datetime, context: DeliveryContext) -> bool:
        """Say how things stand if that is due; whether it was said and taken."""
        every = notifier.again_every
        last = self.said_at.get(notifier.name)
        if every is None or (last is not None and last <= now < last + every):
            return False
        self.said_at[notifier.name] = now
        notices = standing(store, notifier.name, now, context)
        return bool(notices) and self._say(notifier, notices, now)

    def _say(self, notifier: Notifier, notices: list[Notice], now: datetime) -> bool:
        try:
            notifier.tell_again(notices, now)
        except DriftwatchError as error:
            level = logging.DEBUG if self.refused.get(notifier.name) == str(error) else logging.WARNING
            log.log(level, "%s was not told again of what is open: %s", notifier.name, error)
            self.refused[notifier.name] = str(error)
            return False
        if self.refused.pop(notifier.name, ""):
            log.info("%s is told again of what is open", notifier.name)
        return True


def standing(store: Store, receiver: str, now: datetime, context: DeliveryContext) -> list[Notice]:
    """A notice of the newest transition of each incident that ``receiver`` was told of and may not forget yet."""
    return [
        notice_of(store, each.history[-1], each, context, now)
        for each in store.decisions.unforgotten(now - AFTERWARDS)
        if each.history and store.outbox.thread(receiver, each.incident_id) is not None
    ]
