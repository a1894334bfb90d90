"""A person is asked before a new model is switched on: what is asked, who may answer, and what a click does.

::

    open ──Approve, by somebody who may──▶ approved
         ──Reject, by somebody who may───▶ rejected
         ──`expires_at` has come─────────▶ expired, which is a no

Everything here is pure: values in, values out, and ``now`` is an argument. A question is decided once. What comes after
that, what comes too late, and what comes from somebody who may not decide, changes nothing and is told why.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from driftwatch.retrained import Difference, Judgement

State = Literal["open", "approved", "rejected", "expired"]
Action = Literal["approve", "reject"]
Outcome = Literal["approved", "rejected", "expired", "decided already", "not allowed", "unknown question"]
"""What became of a click, in the words of the log."""

_DECIDED: dict[Action, Literal["approved", "rejected"]] = {"approve": "approved", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Question:
    """Whether the model of one job may be switched on."""

    nonce: str = field(repr=False)
    """What the buttons carry: 32 random bytes in hex, which say nothing and cannot be guessed."""
    job_id: str
    title: str
    sentences: tuple[str, ...]
    """What a person must know to decide, in the order of reading."""
    asked_at: datetime
    expires_at: datetime
    state: State = "open"
    decided_by: str = ""
    """Who decided: the id of a user, or a name on the command line; empty while nobody has."""
    decided_name: str = ""
    """How that person is called."""
    decided_at: datetime | None = None
    channel: str = ""
    """Where the message is; empty until it is known to be there."""
    ts: str = ""
    """What names the message in its channel."""
    shown: State | None = None
    """How the message says that things stand; None without a message."""
    tried: bool = False
    """Whether somebody began to post the message, so that it may be there though nobody knows where."""

    @property
    def key(self) -> str:
        """What the question is called where its nonce must not be read: the nonce's hash."""
        return key_of(self.nonce)

    @property
    def unfinished(self) -> bool:
        """Whether there is something left to do: an answer to wait for, or one that its message does not show."""
        return self.state == "open" or self.shown != self.state


@dataclass(frozen=True, slots=True)
class Click:
    """Somebody pressed a button, or says to have done so."""

    click_id: str
    """The same for every repeat of one click."""
    nonce: str = field(repr=False)
    action: Action
    user: str
    """An id, which Slack vouches for."""
    name: str = ""
    """What the user calls himself; never a reason to believe anything."""
    channel: str = ""
    """Of the message that holds the button."""
    ts: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a click led to."""

    state: State | None
    """Of the question from now on; None where there is no such question."""
    accepted: bool
    """Whether it was this click that decided."""
    outcome: Outcome
    why: str
    """One sentence for the one who clicked."""


def key_of(nonce: str) -> str:
    """The hash by which a question is found and logged.

    >>> key_of("")[:8]
    'e3b0c442'
    """
    return hashlib.sha256(nonce.encode("utf-8", "replace")).hexdigest()


def new_question(
    job_id: str,
    title: str,
    sentences: Iterable[str],
    *,
    documents: int,
    now: datetime,
    expires: timedelta,
    nonce: str | None = None,
) -> Question:
    """An open question; its last sentence is what the switch costs: ``documents`` that must be embedded."""
    return Question(
        nonce=nonce or secrets.token_hex(32),
        job_id=job_id,
        title=title,
        sentences=(*sentences, cost(documents)),
        asked_at=now,
        expires_at=now + expires,
    )


def evidence(judgement: Judgement) -> tuple[str, ...]:
    """The gate's reasons, then its figures, those of all languages before those of one, then its notes."""
    overall = [each for each in judgement.differences if each.lang == "all"]
    by_language = [each for each in judgement.differences if each.lang != "all"]
    return (
        *(f"{reason.name}: {reason.sentence}" for reason in judgement.reasons),
        *map(_figures, (*overall, *by_language)),
        *judgement.notes,
    )


def cost(documents: int) -> str:
    """What it takes to switch, in a sentence.

    >>> cost(1), cost(12000)
    ('1 document will be embedded anew.', '12,000 documents will be embedded anew.')
    """
    return f"{documents:,} document{'' if documents == 1 else 's'} will be embedded anew."


def decide(question: Question | None, click: Click, allowed: Collection[str], now: datetime) -> Decision:
    """What ``click`` means for ``question``, which is None where nobody knows the click's nonce.

    ``allowed`` are the ids of those who may decide.
    """
    if question is None or not hmac.compare_digest(question.key, key_of(click.nonce)):
        return Decision(None, False, "unknown question", "driftwatch does not know this question.")
    if not click.user or click.user not in frozenset(allowed):
        why = "You are not among those who may decide this; they are listed as `retrain: approve: users`."
        return Decision(question.state, False, "not allowed", why)
    if question.state != "open":
        return Decision(question.state, False, "decided already", f"{_told(question)} Your click changed nothing.")
    if now >= question.expires_at:
        ended = expired(question, now)
        return Decision(ended.state, False, "expired", f"{_told(ended)} Your click came too late.")
    state = _DECIDED[click.action]
    return Decision(state, True, state, f"You have {state} it.")


def decided(question: Question, click: Click, decision: Decision, now: datetime) -> Question:
    """``question`` after ``decision``; unchanged where that leaves its state as it is."""
    if decision.state is None or decision.state == question.state:
        return question
    if not decision.accepted:
        return expired(question, now)
    return replace(
        question, state=decision.state, decided_by=click.user, decided_name=click.name or click.user, decided_at=now
    )


def expired(question: Question, now: datetime) -> Question:
    """``question`` that nobody answered in time; unchanged while there is time, and where somebody did."""
    if question.state != "open" or now < question.expires_at:
        return question
    return replace(question, state="expired", decided_at=now)


def _told(question: Question) -> str:
    """How things stand, for somebody who clicked in vain."""
    if question.state == "expired":
        return f"Nobody decided this until {moment(question.expires_at)}, so the answer is no."
    at = f" on {moment(question.decided_at)}" if question.decided_at else ""
    return f"This was {question.state} by {question.decided_name or question.decided_by}{at}."


def _figures(difference: Difference) -> str:
    """One measure before and after.

    >>> _figures(Difference("nDCG@10", "canary", "de", 120, 0.61, 0.654, 0.021, 0.067))
    'nDCG@10 of 120 canary questions, language de: 0.610 → 0.654, change +0.044 (interval +0.021 to +0.067).'
    """
    each = difference
    lang = "all languages" if each.lang == "all" else f"language {each.lang}"
    change = f"change {each.gain:+.3f} (interval {each.low:+.3f} to {each.high:+.3f})"
    return f"{each.measure} of {each.n:,} {each.group} questions, {lang}: {each.old:.3f} → {each.new:.3f}, {change}."


def moment(at: datetime) -> str:
    """``2026-05-21, 10:00 UTC``."""
    return f"{at:%Y-%m-%d, %H:%M} UTC"
