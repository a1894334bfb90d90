"""Questions to a person, and the log of everything that was answered.

A click and what it changes are one transaction. Whoever reads an open question may find that somebody else has decided
it meanwhile, so every change is an UPDATE of what is still open, and who changed nothing looks again.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from driftwatch.approval import (
    Action,
    Click,
    Decision,
    Outcome,
    Question,
    decide,
    decided,
    expired,
    key_of,
    moment,
)
from driftwatch.store.database import Database
from driftwatch.store.tables import clicks, questions

EXPIRY = "expiry"
"""The action of a row that nobody's click wrote."""

_QUESTION = tuple(each.name for each in fields(Question))


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one click."""

    decision: Decision
    question: Question | None
    """As it is now."""
    repeat: bool
    """Whether this very click had been answered before; the decision is the one of then."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One row of the log."""

    at: datetime
    question: str
    """The hash of the nonce that was sent."""
    job_id: str
    """Empty where there is no such question."""
    user: str
    name: str
    action: str
    """`approve`, `reject`, or `expiry`, which nobody does."""
    outcome: Outcome
    why: str


class Approvals:
    """What people are asked, and what they said."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, question: Question) -> Question:
        """Keep a question; returns the one that its job has already, where it has one."""
        row = {name: getattr(question, name) for name in _QUESTION} | {"key": question.key}
        with self._database.writing(durable=True) as connection:
            connection.execute(self._database.insert(questions).on_conflict_do_nothing(index_elements=["job_id"]), row)
            kept = _question(connection, questions.c.job_id == question.job_id)
        assert kept is not None
        return kept

    def of(self, job_id: str) -> Question | None:
        """The question of one job."""
        with self._database.reading() as connection:
            return _question(connection, questions.c.job_id == job_id)

    def unfinished(self) -> tuple[Question, ...]:
        """What waits for an answer, or whose message does not yet say how it ended; the oldest first."""
        left = sa.or_(questions.c.state == "open", questions.c.shown.is_(None), questions.c.shown != questions.c.state)
        query = sa.select(questions).where(left).order_by(questions.c.asked_at, questions.c.key)
        with self._database.reading() as connection:
            return tuple(map(_question_of, connection.execute(query).mappings()))

    # --- answers ---------------------------------------------------------------------------------------------------

    def answer(self, click: Click, allowed: Collection[str], now: datetime) -> Answered:
        """Log a click and do what it decides; a repeat of one that was answered before is told the same again."""
        with self._database.writing(durable=True) as connection:
            if (before := self._before(connection, click)) is not None:
                return before
            question, decision = _settle(connection, click, allowed, now)
            if _log(connection, self._database, click, click.action, question, decision, now):
                return Answered(decision, _adopt(connection, question, click), False)
            # Another process answered the same click between our look and now.
            again = self._before(connection, click)
        assert again is not None
        return again

    def decide_by_hand(self, job_id: str, action: Action, who: str, now: datetime) -> Decision | None:
        """Somebody decides on the command line, who needs no leave of Slack's; None where nobody was asked."""
        question = self.of(job_id)
        if question is None:
            return None
        click = Click(f"by hand {secrets.token_hex(8)}", question.nonce, action, who, who)
        return self.answer(click, {who}, now).decision

    def expire_open(self, now: datetime) -> tuple[Question, ...]:
        """Answer what has waited too long with no; returns what was."""
        due = [each for each in self.unfinished() if expired(each, now) is not each]
        return tuple(each for each in (self._expire(question, now) for question in due) if each is not None)

    def log(self, job_id: str | None = None) -> tuple[Logged, ...]:
        """Everything that was answered, to one question or to all, in order."""
        query = sa.select(clicks).order_by(clicks.c.number)
        query = query if job_id is None else query.where(clicks.c.job_id == job_id)
        names = tuple(each.name for each in fields(Logged))
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings()
            return tuple(Logged(**{name: row[name] for name in names}) for row in rows)

    # --- the message -----------------------------------------------------------------------------------------------

    def trying(self, question: Question) -> None:
        """The message is about to be posted: from now on it may be there."""
        self._note(question, {"tried": True})

    def shows(self, question: Question, channel: str, ts: str) -> None:
        """The message at this place says how ``question`` stands."""
        self._note(question, {"channel": channel, "ts": ts, "shown": question.state})

    def shown_nowhere(self, question: Question) -> None:
        """Nobody has a message that would have to say how ``question`` stands."""
        self._note(question, {"shown": question.state})

    def _note(self, question: Question, values: Mapping[str, Any]) -> None:
        with self._database.writing(durable=True) as connection:
            connection.execute(sa.update(questions).where(questions.c.key == question.key).values(**values))

    # --- within one transaction ------------------------------------------------------------------------------------

    def _before(self, connection: Connection, click: Click) -> Answered | None:
        row = connection.execute(sa.select(clicks).where(clicks.c.click_id == click.click_id)).mappings().first()
        if row is None:
            return None
        decision = Decision(row["state"], row["accepted"], row["outcome"], row["why"])
        return Answered(decision, _question(connection, questions.c.key == key_of(click.nonce)), True)

    def _expire(self, question: Question, now: datetime) -> Question | None:
        ended = expired(question, now)
        why = f"Nobody decided this until {moment(question.expires_at)}."
        nobody = Click(f"{EXPIRY} {question.key}", question.nonce, "reject", "")
        with self._database.writing(durable=True) as connection:
            if not _change(connection, ended):
                return None
            _log(connection, self._database, nobody, EXPIRY, ended, Decision("expired", False, "expired", why), now)
        return ended


def _settle(
    connection: Connection, click: Click, allowed: Collection[str], now: datetime
) -> tuple[Question | None, Decision]:
    """The question as it is after the click, and what was decided of it."""
    known = questions.c.key == key_of(click.nonce)
    question = _question(connection, known)
    decision = decide(question, click, allowed, now)
    if question is None:
        return None, decision
    changed = decided(question, click, decision, now)
    if changed is question or _change(connection, changed):
        return changed, decision
    question = _question(connection, known)  # somebody was quicker, and nothing is decided twice
    return question, decide(question, click, allowed, now)


def _change(connection: Connection, question: Question) -> bool:
    """Write down what was decided, unless somebody has decided it before."""
    changed = connection.execute(
        sa.update(questions)
        .where(questions.c.key == question.key, questions.c.state == "open")
        .values(**{name: getattr(question, name) for name in ("state", "decided_by", "decided_name", "decided_at")})
    )
    return changed.rowcount == 1


def _adopt(connection: Connection, question: Question | None, click: Click) -> Question | None:
    """A message whose place nobody knew is found by a click on its button."""
    if question is None or question.ts or not (click.ts and click.channel):
        return question
    found = {"channel": click.channel, "ts": click.ts, "shown": "open"}
    connection.execute(sa.update(questions).where(questions.c.key == question.key).values(**found))
    return replace(question, channel=click.channel, ts=click.ts, shown="open")


def _log(
    connection: Connection,
    database: Database,
    click: Click,
    action: str,
    question: Question | None,
    decision: Decision,
    now: datetime,
) -> bool:
    """Append to the log; whether this click was not in it."""
    row = {
        "click_id": click.click_id,
        "at": now,
        "question": key_of(click.nonce),
        "job_id": question.job_id if question else "",
        "user": click.user,
        "name": click.name,
        "action": action,
        "outcome": decision.outcome,
        "accepted": decision.accepted,
        "state": decision.state,
        "why": decision.why,
    }
    return database.added(connection, database.insert(clicks).on_conflict_do_nothing(), row)


def _question(connection: Connection, which: sa.ColumnElement[bool]) -> Question | None:
    row = connection.execute(sa.select(questions).where(which)).mappings().first()
    return None if row is None else _question_of(row)


def _question_of(row: RowMapping) -> Question:
    return Question(**{name: row[name] for name in _QUESTION} | {"sentences": tuple(row["sentences"])})
