"""Transitions on their way to receivers: at least once, and in order.

Of one incident a receiver is told strictly in the order of what happened: what cannot be delivered stays at the head
and is tried again, while other incidents go on. What a silence holds back stands aside for the other alerts of its
incident, never for its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store.database import Database
from driftwatch.store.rows import transition_of
from driftwatch.store.tables import deliveries, threads, transitions
from driftwatch.types import Silence, Transition

_TOLD = ("firing", "blind")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One transition that somebody has taken to deliver it to one receiver."""

    delivery_id: int
    receiver: str
    transition: Transition
    attempts: int
    """This one included; it also says whose claim this is."""
    repeat: bool
    """Whether an earlier claim never reported back, so that the receiver may know already."""


class Message(NamedTuple):
    """One message about an incident to one receiver."""

    receiver: str
    event: str
    check: str
    segment: str
    state: str
    """`waiting`, `done`, `dropped` or `parked`."""
    finished_at: datetime | None
    outcome: str
    """Why it was not told, or not yet."""


class Outbox:
    """What is still to be said, to whom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, receiver: str, now: datetime, lease: timedelta) -> Delivery | None:
        """Take the oldest delivery that may go out now; nobody else gets it until the lease is over."""
        while True:
            with self._database.reading() as connection:
                found = connection.execute(_deliverable(receiver, now)).first()
            if found is None:
                return None
            with self._database.writing(durable=True) as connection:
                if (claimed := _claim(connection, found.delivery_id, now, now + lease)) is not None:
                    return claimed

    def done(self, delivery: Delivery, thread: str | None, now: datetime) -> None:
        """The receiver was told; ``thread`` is what it calls the incident's message from now on."""
        with self._database.writing(durable=True) as connection:
            _finish(connection, delivery, "done", "", now)
            if thread is not None:
                statement = self._database.insert(threads).values(
                    receiver=delivery.receiver, incident=delivery.transition.incident, thread=thread
                )
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["receiver", "incident"], set_={"thread": statement.excluded.thread}
                    )
                )

    def failed(self, delivery: Delivery, error: str, retry_at: datetime) -> None:
        """The receiver was not told; try again then. Without effect when the claim has passed to somebody else."""
        with self._database.writing(durable=True) as connection:
            connection.execute(
                sa.update(deliveries)
                .where(*_waiting(delivery), deliveries.c.attempts == delivery.attempts)
                .values(leased_until=None, retry_at=retry_at, outcome=error)
            )

    def dropped(self, delivery: Delivery, why: str, now: datetime) -> None:
        """The receiver will never be told, and why."""
        with self._database.writing(durable=True) as connection:
            _finish(connection, delivery, "dropped", why, now)

    def park(self, delivery: Delivery, why: str, now: datetime) -> None:
        """The receiver has read it and will never take it, and why."""
        with self._database.writing(durable=True) as connection:
            _finish(connection, delivery, "parked", why, now)

    def reclaim(self, now: datetime) -> None:
        """End every claim: for a new leader, whose predecessor reports back to nobody."""
        with self._database.writing(durable=True) as connection:
            connection.execute(
                sa.update(deliveries)
                .where(deliveries.c.state == "waiting", deliveries.c.leased_until > now)
                .values(leased_until=now)
            )

    def told(self, receiver: str, incident_id: str) -> bool:
        """Whether the receiver knows of the incident: it was told that something fires or is blind."""
        query = (
            sa.select(deliveries.c.delivery_id)
            .join(transitions, transitions.c.key == deliveries.c.transition)
            .where(deliveries.c.receiver == receiver, deliveries.c.incident == incident_id)
            .where(deliveries.c.state == "done", transitions.c.event.in_(_TOLD))
        )
        with self._database.reading() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def told_of(self, incident_id: str) -> list[Message]:
        """What became of every message about an incident, in the order of what happened."""
        news = (transitions.c.event, transitions.c.check, transitions.c.segment)
        fate = (deliveries.c.state, deliveries.c.finished_at, deliveries.c.outcome)
        told = sa.select(deliveries.c.receiver, *news, *fate)
        query = told.join(transitions, transitions.c.key == deliveries.c.transition)
        query = query.where(transitions.c.incident == incident_id).order_by(transitions.c.number, deliveries.c.receiver)
        with self._database.reading() as connection:
            return [Message(*row) for row in connection.execute(query)]

    def thread(self, receiver: str, incident_id: str) -> str | None:
        """What the receiver calls the incident's message."""
        query = sa.select(threads.c.thread).where(threads.c.receiver == receiver, threads.c.incident == incident_id)
        with self._database.reading() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def waiting(self, now: datetime | None = None) -> dict[str, int]:
        """Receiver -> how many deliveries wait; with ``now``, without those that a silence holds back."""
        query = sa.select(deliveries.c.receiver, sa.func.count()).where(deliveries.c.state == "waiting")
        query = query.where(not_held(now)).group_by(deliveries.c.receiver)
        with self._database.reading() as connection:
            return dict(connection.execute(query).all())

    def parked(self) -> dict[str, int]:
        """Receiver -> how many deliveries it has refused for good."""
        query = sa.select(deliveries.c.receiver, sa.func.count()).where(deliveries.c.state == "parked")
        with self._database.reading() as connection:
            return dict(connection.execute(query.group_by(deliveries.c.receiver)).all())

    def oldest_waiting(self, receiver: str, now: datetime | None = None) -> datetime | None:
        """When that happened of which the receiver has waited longest to be told."""
        query = (
            sa.select(sa.func.min(transitions.c.at))
            .join(deliveries, transitions.c.key == deliveries.c.transition)
            .where(deliveries.c.receiver == receiver, deliveries.c.state == "waiting")
            .where(not_held(now))
        )
        with self._database.reading() as connection:
            found: datetime | None = connection.execute(query).scalar()
        return found


# --- filling it, within the transaction that decides ---------------------------------------------------------------


def post(
    connection: Connection,
    news: Iterable[Transition],
    receivers: Mapping[str, frozenset[str]],
    held: Mapping[str, datetime],
) -> None:
    """One delivery for each thing that happened, to every receiver that is told of such events.

    What happens to several alerts of one incident in one moment is one thing: the first of these transitions stands
    for all of them, and a receiver is told once.
    """
    happened: dict[tuple[object, ...], Transition] = {}
    for each in news:
        happened.setdefault((each.incident, each.event, each.at, held.get(each.key)), each)
    rows = [
        {
            "transition": each.key,
            "receiver": receiver,
            "incident": each.incident,
            "check": each.check,
            "segment": each.segment,
            "state": "waiting",
            "attempts": 0,
            "repeat": False,
            "held_until": held.get(each.key),
            "outcome": "",
        }
        for each in happened.values()
        for receiver, events in receivers.items()
        if each.event in events
    ]
    if rows:
        connection.execute(sa.insert(deliveries), rows)


def hold(connection: Connection, silence: Silence) -> None:
    """What waits is held back by this silence too; what is being told just now is not stopped."""
    longer = sa.or_(deliveries.c.held_until.is_(None), deliveries.c.held_until < silence.until)
    covered = sa.update(deliveries).where(deliveries.c.state == "waiting", longer)
    if silence.check != "*":
        covered = covered.where(deliveries.c.check == silence.check)
    if silence.segment != "*":
        covered = covered.where(deliveries.c.segment == silence.segment)
    connection.execute(covered.values(held_until=silence.until))


def hold_again(connection: Connection, silences: list[Silence], now: datetime) -> None:
    """What is held back is held by these silences only."""
    held = sa.select(deliveries.c.delivery_id, deliveries.c.check, deliveries.c.segment).where(
        deliveries.c.state == "waiting", deliveries.c.held_until > now
    )
    for delivery_id, check, segment in connection.execute(held).fetchall():
        ends = [s.until for s in silences if s.check in ("*", check) and s.segment in ("*", segment)]
        connection.execute(
            sa.update(deliveries)
            .where(deliveries.c.delivery_id == delivery_id)
            .values(held_until=max(ends, default=None))
        )


# --- taking from it ------------------------------------------------------------------------------------------------


def _deliverable(receiver: str, now: datetime) -> sa.Select[tuple[int]]:
    """The oldest delivery that is free, due, and first of its incident."""
    earlier = deliveries.alias("earlier")
    blocked = sa.exists().where(
        earlier.c.receiver == receiver,
        earlier.c.state == "waiting",
        earlier.c.incident == deliveries.c.incident,
        earlier.c.delivery_id < deliveries.c.delivery_id,
        sa.or_(
            earlier.c.held_until.is_(None),
            earlier.c.held_until <= now,
            sa.and_(earlier.c.check == deliveries.c.check, earlier.c.segment == deliveries.c.segment),
        ),
    )
    return (
        sa.select(deliveries.c.delivery_id)
        .where(deliveries.c.receiver == receiver, deliveries.c.state == "waiting")
        .where(*(_is_past(deliveries.c[name], now) for name in ("held_until", "retry_at", "leased_until")))
        .where(~blocked)
        .order_by(deliveries.c.delivery_id)
        .limit(1)
    )


def _claim(connection: Connection, delivery_id: int, now: datetime, until: datetime) -> Delivery | None:
    """Take it if nobody else did; an expired lease means that somebody took it and was never heard of again."""
    taken = connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.delivery_id == delivery_id, deliveries.c.state == "waiting")
        .where(_is_past(deliveries.c.leased_until, now), _is_past(deliveries.c.retry_at, now))
        .values(
            attempts=deliveries.c.attempts + 1,
            repeat=sa.or_(deliveries.c.repeat, deliveries.c.leased_until.is_not(None)),
            leased_until=until,
        )
    )
    if not taken.rowcount:
        return None
    query = sa.select(deliveries.c.receiver, deliveries.c.attempts, deliveries.c.repeat, transitions).join(
        transitions, transitions.c.key == deliveries.c.transition
    )
    row = connection.execute(query.where(deliveries.c.delivery_id == delivery_id)).mappings().one()
    return Delivery(delivery_id, row["receiver"], transition_of(row), row["attempts"], bool(row["repeat"]))


def _finish(connection: Connection, delivery: Delivery, state: str, outcome: str, now: datetime) -> None:
    connection.execute(
        sa.update(deliveries)
        .where(*_waiting(delivery))
        .values(state=state, outcome=outcome, finished_at=now, leased_until=None)
    )


def _waiting(delivery: Delivery) -> tuple[sa.ColumnElement[bool], ...]:
    return deliveries.c.delivery_id == delivery.delivery_id, deliveries.c.state == "waiting"


def _is_past(column: sa.Column[Any], now: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(column.is_(None), column <= now)


def not_held(now: datetime | None) -> sa.ColumnElement[bool]:
    """Deliveries that no silence holds back at ``now``; every one without it."""
    return sa.true() if now is None else _is_past(deliveries.c.held_until, now)
