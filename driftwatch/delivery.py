"""What was decided is told: one transition to one receiver at a time, in order, at least once, however long it takes.

``deliver_one`` does one piece of work; the loop around it belongs to whoever has a clock. A delivery is marked done
only after its receiver answered, so what is cut short in between is sent again, with the same key. Nothing here gives
up and nothing switches a receiver off; only a message that a receiver has read and refused, and refused again in its
shortest form, is parked with the reason: it is not tried again, and ``Outbox.parked`` counts it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from driftwatch import tracing
from driftwatch.alerts import OPEN, silenced_until
from driftwatch.errors import DeliveryError, DriftwatchError, MessageRefused
from driftwatch.privacy import redact
from driftwatch.types import Diagnosis, Finding, Incident, Notice, Silence, Transition

if TYPE_CHECKING:
    from driftwatch.notify import Notifier
    from driftwatch.store import Delivery, Store

log = logging.getLogger(__name__)

LONGEST_WAIT = 300.0
"""Seconds between two attempts at most, unless the receiver itself asks for more."""

_FIRST_WAIT = 5.0
_LONGEST_ASKED = 3600.0
_SILENCE_CHECK = timedelta(minutes=5)
"""How often a delivery held by a silence looks whether the silence was lifted."""


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What a delivery needs beside the outbox."""

    service: str
    redact: bool = True
    """Whether example texts are redacted before they leave the machine."""
    texts: Callable[[Finding], Mapping[str, str]] | None = None
    """query_id -> text of a finding's examples; None where no text is kept."""
    pages_url: str = ""
    """Where people reach driftwatch's own pages; empty when nobody said so."""
    lease: timedelta = timedelta(minutes=2)
    """How long a claim is believed to be worked on: longer than the slowest receiver is given."""
    seed: int = 0
    """Of the jitter."""


def deliver_one(store: Store, notifier: Notifier, now: datetime, context: DeliveryContext) -> bool:
    """Claim the oldest deliverable transition of one receiver and see it through.

    Returns whether to go on at once: False when there is nothing to do, and when the receiver did not take it, so that
    a loop does not run through all that waits against a receiver that is down.
    """
    delivery = store.outbox.claim(notifier.name, now, context.lease)
    if delivery is None:
        return False
    incident = store.decisions.incident(delivery.transition.incident)
    if incident is None:
        return _drop(store, delivery, "its incident is no longer kept", now)
    thread = store.outbox.thread(notifier.name, incident.incident_id)
    fate = judge(delivery.transition, incident.history, store.decisions.silences, thread is not None, now)
    if isinstance(fate, Drop):
        return _drop(store, delivery, fate.why, now)
    if isinstance(fate, Hold):
        store.outbox.failed(delivery, fate.why, min(fate.until, now + _SILENCE_CHECK))
        return True
    notice = notice_of(store, delivery.transition, incident, context, now)
    return _send(store, notifier, delivery, notice, thread, now, context)


def _send(
    store: Store,
    notifier: Notifier,
    delivery: Delivery,
    notice: Notice,
    thread: str | None,
    now: datetime,
    context: DeliveryContext,
) -> bool:
    # An attempt that failed may have arrived all the same: a reply can be lost on its way back.
    repeat = delivery.repeat or delivery.attempts > 1
    try:
        with tracing.span("deliver", receiver=notifier.name, event=notice.event, attempt=delivery.attempts):
            told = _tell(notifier, notice, thread, repeat)
    except MessageRefused as error:
        log.error("%s will not be told %s: %s", notifier.name, notice.key, error)
        store.outbox.park(delivery, str(error), now)
        return True
    except Exception as error:
        # Whatever a receiver's code does wrong, nothing may be lost; the reason is kept where a person sees it.
        if not isinstance(error, DriftwatchError):
            log.exception("%s failed in an unexpected way", notifier.name)
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        wait = backoff(delivery.attempts, asked, f"{context.seed}:{notifier.name}:{notice.key}:{delivery.attempts}")
        log.warning(
            "%s did not take %s, next try in %.0f s: %s", notifier.name, notice.key, wait.total_seconds(), error
        )
        store.outbox.failed(delivery, f"{type(error).__name__}: {error}"[:500], now + wait)
        return False
    # A receiver without threads has been told all the same, and its resolution depends on our knowing that.
    store.outbox.done(delivery, told or thread or notice.incident.incident_id, now)
    return True


def _tell(notifier: Notifier, notice: Notice, thread: str | None, repeat: bool) -> str | None:
    try:
        return notifier.deliver(notice, thread, repeat=repeat)
    except MessageRefused as error:
        log.warning("%s refused %s, which is sent again in short: %s", notifier.name, notice.key, error)
        return notifier.deliver(shortened(notice), thread, repeat=repeat)


def _drop(store: Store, delivery: Delivery, why: str, now: datetime) -> bool:
    log.warning("%s is not told %s: %s", delivery.receiver, delivery.transition.key, why)
    store.outbox.dropped(delivery, why, now)
    return True


# --- what becomes of a delivery ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hold:
    """Not yet."""

    until: datetime
    why: str = "silenced"


@dataclass(frozen=True, slots=True)
class Drop:
    """Not at all."""

    why: str


def judge(
    transition: Transition,
    history: Sequence[Transition],
    silences: Callable[[datetime], Sequence[Silence]],
    told: bool,
    now: datetime,
) -> Hold | Drop | None:
    """Whether to tell a transition now (None), later, or never; pure.

    ``silences`` are those in force at a moment; ``told``: the receiver knows of the incident. An alert whose whole life
    lay inside a silence is never told of, beginning or end; an end is told to those who know of the incident.
    """
    if until := silenced_until(silences(now), transition.check, transition.segment, now):
        return Drop("a reminder of what is silenced") if transition.event == "reminded" else Hold(until)
    if _hushed(transition, history, silences):
        return Drop("it was over before its silence was")
    if not told and transition.event in ("resolved", "sighted", "acknowledged", "explained"):
        return Drop("the receiver was not told of the incident")
    return None


def _hushed(
    transition: Transition, history: Sequence[Transition], silences: Callable[[datetime], Sequence[Silence]]
) -> bool:
    """Whether the alert's episode began in a silence and ended before it did."""
    episode = _episode(transition, history)
    return episode[-1].after not in OPEN and episode[-1].at < _silent_until(episode[0], silences)


def _silent_until(opening: Transition, silences: Callable[[datetime], Sequence[Silence]]) -> datetime:
    """The end of the silences, one after the other, that an alert opened in; its opening where there were none."""
    end = opening.at
    while (later := silenced_until(silences(end), opening.check, opening.segment, end)) is not None:
        end = later
    return end


def _episode(transition: Transition, history: Sequence[Transition]) -> list[Transition]:
    """The changes of one alert from its opening to its end, or to now, around ``transition``."""
    episode: list[Transition] = []
    for each in history:
        if (each.check, each.segment) != (transition.check, transition.segment):
            continue
        if episode and episode[-1].after not in OPEN:
            if any(one.key == transition.key for one in episode):
                break
            episode = []
        episode.append(each)
    return episode or [transition]


def backoff(attempts: int, asked: float | None, seed: str) -> timedelta:
    """How long to wait after so many failed attempts: doubling to five minutes, spread by ``seed``.

    ``asked``: seconds that the receiver asked for; it gets at least these, up to an hour.
    """
    spread = random.Random(seed).random()  # noqa: S311 - spreads attempts in time, keeps no secret
    if asked is not None:
        return timedelta(seconds=min(max(asked, 1.0), _LONGEST_ASKED) * (1 + 0.1 * spread))
    return timedelta(seconds=min(LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempts - 1, 10)) * (0.5 + 0.5 * spread))


# --- what is told --------------------------------------------------------------------------------------------------


def notice_of(
    store: Store, transition: Transition, incident: Incident, context: DeliveryContext, now: datetime
) -> Notice:
    """The incident as it is stored now, with what was found when ``transition`` happened."""
    page = f"{context.pages_url}/incidents/{incident.incident_id}" if context.pages_url else ""
    return Notice(
        key=transition.key,
        service=context.service,
        event=transition.event,
        at=transition.at,
        incident=incident,
        transition=transition,
        example_texts=_texts(incident, context),
        url=page,
        finding=_found_then(store, transition),
        hushed=hushed(incident, store.decisions.silences, now),
    )


def hushed(
    incident: Incident, silences: Callable[[datetime], Sequence[Silence]], now: datetime
) -> frozenset[tuple[str, str]]:
    """(check, segment) of the alerts that a silence has covered since they opened, up to now or to their end; pure."""
    last = {(each.check, each.segment): each for each in incident.history}
    episodes = {place: _episode(each, incident.history) for place, each in last.items()}
    heard_until = {place: now if each[-1].after in OPEN else each[-1].at for place, each in episodes.items()}
    return frozenset(place for place, each in episodes.items() if heard_until[place] < _silent_until(each[0], silences))


def _texts(incident: Incident, context: DeliveryContext) -> dict[str, str]:
    texts: dict[str, str] = {}
    for member in incident.members:
        if member.finding is not None and context.texts is not None and member.alert.state in OPEN:
            texts |= context.texts(member.finding)
    return {query_id: redact(text) for query_id, text in texts.items()} if context.redact else texts


def _found_then(store: Store, transition: Transition) -> Finding | None:
    """The newest finding of the alert that is not younger than the transition; a finding is as old as its window."""
    since = transition.at - timedelta(days=1)
    found = store.decisions.findings(check=transition.check, segment=transition.segment, since=since)
    return next((finding for finding in found if finding.at <= transition.at), None)


def shortened(notice: Notice) -> Notice:
    """A notice in its shortest form, for a receiver that refused the full one: no figures, examples or documents."""
    members = tuple(replace(member, finding=_short(member.finding)) for member in notice.incident.members)
    thought = notice.incident.diagnosis
    if thought is not None:
        thought = Diagnosis(thought.cause[:100], thought.sentence[:100], thought.action[:100], thought.segment[:100])
    incident = replace(notice.incident, members=members, diagnosis=thought)
    return replace(notice, incident=incident, example_texts={}, finding=_short(notice.finding))


def _short(finding: Finding | None) -> Finding | None:
    if finding is None:
        return None
    return Finding(
        check=finding.check,
        segment=finding.segment,
        at=finding.at,
        verdict=finding.verdict,
        message=finding.message[:100],
        kind=finding.kind,
        family=finding.family,
    )
