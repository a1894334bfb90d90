"""Weekly messages on their way to receivers: at least once, the oldest week first, and what each receiver has already.

A claim that ends without a word is made again, with ``repeat``: the receiver may know already. What a receiver has
taken of a message in pieces (a picture, the message itself) is remembered the moment it is known, and not sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from driftwatch.store.database import Database
from driftwatch.store.tables_reports import weekly


@dataclass(frozen=True, slots=True)
class Telling:
    """One week that somebody has taken to tell one receiver of it."""

    receiver: str
    week: str
    attempts: int
    """This one included; it also says whose claim this is."""
    repeat: bool
    """Whether an earlier claim never reported back, or failed: the receiver may know already."""
    announced_at: datetime


class Weekly:
    """What is still to be said of which week, to whom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def announce(self, week: str, receivers: Iterable[str], now: datetime) -> None:
        """Tell ``receivers`` of ``week``, once; without effect on those that it was announced to before."""
        fresh = {"state": "waiting", "attempts": 0, "repeat": False, "outcome": "", "remembered": "{}"}
        rows = [fresh | {"receiver": each, "week": week, "announced_at": now} for each in receivers]
        if not rows:
            return
        with self._database.writing(durable=True) as connection:
            connection.execute(
                self._database.insert(weekly).on_conflict_do_nothing(index_elements=["receiver", "week"]), rows
            )

    def claim(self, receiver: str, now: datetime, lease: timedelta) -> Telling | None:
        """Take the oldest week that the receiver waits for and may be told of now; nobody else gets it meanwhile.

        A week that cannot be told holds back those after it: a channel reads its weeks in order.
        """
        query = (
            sa.select(weekly.c.week, weekly.c.retry_at, weekly.c.leased_until)
            .where(weekly.c.receiver == receiver, weekly.c.state == "waiting")
            .order_by(weekly.c.week)
            .limit(1)
        )
        with self._database.reading() as connection:
            first = connection.execute(query).first()
        if first is None or any(moment is not None and moment > now for moment in (first.retry_at, first.leased_until)):
            return None
        return self._take(receiver, first.week, now, now + lease)

    def _take(self, receiver: str, week: str, now: datetime, until: datetime) -> Telling | None:
        free = sa.or_(weekly.c.leased_until.is_(None), weekly.c.leased_until <= now)
        taken = (
            sa.update(weekly)
            .where(*_row(receiver, week), weekly.c.state == "waiting", free)
            .values(
                attempts=weekly.c.attempts + 1,
                repeat=sa.or_(weekly.c.repeat, weekly.c.leased_until.is_not(None), weekly.c.attempts > 0),
                leased_until=until,
            )
        )
        with self._database.writing(durable=True) as connection:
            if not connection.execute(taken).rowcount:
                return None
            row = connection.execute(sa.select(weekly).where(*_row(receiver, week))).mappings().one()
        return Telling(receiver, week, row["attempts"], bool(row["repeat"]), row["announced_at"])

    def remembered(self, telling: Telling, name: str) -> str | None:
        """What ``remember`` was given under this name, by this or an earlier claim."""
        return self._memory(telling).get(name)

    def remember(self, telling: Telling, name: str, value: str) -> None:
        """Keep something that the receiver said, before anything else is asked of it."""
        memory = self._memory(telling) | {name: value}
        self._update(telling, remembered=json.dumps(memory, sort_keys=True))

    def done(self, telling: Telling, now: datetime) -> None:
        """The receiver was told."""
        self._update(telling, state="done", finished_at=now, leased_until=None, outcome="")

    def failed(self, telling: Telling, error: str, retry_at: datetime) -> None:
        """The receiver was not told; try again then. Without effect when the claim has passed to somebody else."""
        self._update(telling, leased_until=None, retry_at=retry_at, outcome=error)

    def park(self, telling: Telling, why: str, now: datetime) -> None:
        """The receiver will never take it, and why."""
        self._update(telling, state="parked", finished_at=now, leased_until=None, outcome=why)

    def reclaim(self, now: datetime) -> None:
        """End every claim: for a new leader, whose predecessor reports back to nobody."""
        with self._database.writing(durable=True) as connection:
            connection.execute(
                sa.update(weekly)
                .where(weekly.c.state == "waiting", weekly.c.leased_until > now)
                .values(leased_until=now)
            )

    def standing(self, week: str) -> dict[str, str]:
        """Receiver -> ``waiting``, ``done`` or ``parked``, of those that are told of ``week``."""
        query = sa.select(weekly.c.receiver, weekly.c.state).where(weekly.c.week == week).order_by(weekly.c.receiver)
        with self._database.reading() as connection:
            return {row.receiver: row.state for row in connection.execute(query)}

    def _memory(self, telling: Telling) -> dict[str, str]:
        query = sa.select(weekly.c.remembered).where(*_row(telling.receiver, telling.week))
        with self._database.reading() as connection:
            found: dict[str, str] = json.loads(connection.execute(query).scalar_one())
        return found

    def _update(self, telling: Telling, **values: object) -> None:
        own = sa.and_(weekly.c.state == "waiting", weekly.c.attempts == telling.attempts)
        with self._database.writing(durable=True) as connection:
            connection.execute(sa.update(weekly).where(*_row(telling.receiver, telling.week), own).values(**values))


def _row(receiver: str, week: str) -> tuple[sa.ColumnElement[bool], ...]:
    return weekly.c.receiver == receiver, weekly.c.week == week
