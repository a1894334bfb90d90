"""A question to a person as one Slack message: buttons while it is open, then who decided and when.

What is asked is hostile text: it goes into ``plain_text`` and ``rich_text`` only, where Slack reads no markup. The
buttons carry the question's nonce and nothing else. What the message must say is a row in the store before it is sent,
and what it says is one afterwards, so a process that dies in between is followed by one that does the rest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from driftwatch.approval import Question, State, moment
from driftwatch.errors import DeliveryError
from driftwatch.notify._blocks import Block, fallback
from driftwatch.notify._slack_web import SlackWeb
from driftwatch.notify._text import clean, cut, inert, units, unlinked
from driftwatch.store import Store

APPROVE, REJECT = "driftwatch_approve", "driftwatch_reject"
EVENT_TYPE = "driftwatch_question"

GIVEN_UP = timedelta(days=7)

TEXT_AT_MOST = 9000
"""UTF-16 units of all sentences as JSON; Slack takes some 13,200 of a whole message."""
SENTENCE_AT_MOST = 600
TITLE_AT_MOST = 140

_ICONS: Mapping[State, str] = {"open": "\u2753", "approved": "\u2705", "rejected": "\u26d4", "expired": "\u231b"}


@dataclass(frozen=True, slots=True)
class Asking:
    """Where people are asked, who may decide, and by which tokens."""

    channel: str
    users: Collection[str]
    """Ids of those who may decide."""
    token: str = field(repr=False)
    """The app's bot token (`xoxb-…`): scope chat:write, and channels:history and channels:read to never ask twice."""
    app_token: str = field(repr=False)
    """The app-level token of Socket Mode (`xapp-…`): scope connections:write."""
    base_url: str = "https://slack.com/api/"
    timeout: timedelta = timedelta(seconds=10)
    """How long to wait for an answer of the Web API."""


class AskInSlack:
    """Keeps the messages of questions as the store says that they stand; nothing in here waits or tries again."""

    def __init__(self, asking: Asking, store: Store) -> None:
        self._channel = asking.channel
        self._store = store
        self._web = SlackWeb(asking.token, asking.base_url, asking.timeout)

    def tell(self, now: datetime) -> int:
        """Bring every message up to date that is not; returns how many were.

        One that Slack does not take holds up no other. Where Slack will never have it (the channel is archived, the bot
        was removed), nothing is tried any more a week after the decision.

        Raises:
            DeliveryError: Slack did not take one of them, the first of which this is. They stay to be told.
            StoreError: what was told could not be noted, and will be told again.
        """
        untold = [each for each in self._store.approvals.unfinished() if each.shown != each.state]
        failures: list[DeliveryError] = []
        for question in untold:
            try:
                self._tell(question, now)
            except DeliveryError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return len(untold)

    def whisper(self, channel: str, user: str, sentence: str) -> None:
        """Answer somebody whose click changed nothing, so that nobody else sees it."""
        self._web.whisper(channel, user, inert(clean(sentence, 600)))

    def _tell(self, question: Question, now: datetime) -> None:
        if question.decided_at is not None and now - question.decided_at > GIVEN_UP:
            self._store.approvals.shown_nowhere(question)
        elif question.ts:
            self._update(question, question.channel, question.ts)
        elif question.state == "open":
            self._post(question)
        else:
            self._end_unseen(question)

    def _post(self, question: Question) -> None:
        place = self._find(question)
        if place is None:
            self._store.approvals.trying(question)
            place = self._web.post(self._channel, **message(question))
        self._store.approvals.shows(question, *place)

    def _update(self, question: Question, channel: str, ts: str) -> None:
        # A message that somebody deleted has nobody left to tell.
        self._web.update(channel, ts, **message(question))
        self._store.approvals.shows(question, channel, ts)

    def _end_unseen(self, question: Question) -> None:
        """It was decided before anybody knew where its message is, or whether there is one."""
        place = self._find(question)
        if place is None:
            self._store.approvals.shown_nowhere(question)
        else:
            self._update(question, *place)

    def _find(self, question: Question) -> tuple[str, str] | None:
        """The message of an earlier attempt whose reply was lost."""
        if not question.tried:
            return None
        return self._web.find(
            self._channel, question.asked_at.timestamp(), lambda payload: payload.get("question") == question.key
        )


# --- what is shown -------------------------------------------------------------------------------------------------


def message(question: Question) -> dict[str, Any]:
    """What ``chat.postMessage`` and ``chat.update`` are given."""
    payload = {"question": question.key, "job": clean(question.job_id, 200)}
    return {
        "text": fallback(clean(question.title, TITLE_AT_MOST), _standing(question)),
        "blocks": question_blocks(question),
        "metadata": {"event_type": EVENT_TYPE, "event_payload": payload},
    }


def question_blocks(question: Question) -> list[Block]:
    """The message as it stands: at most 6 blocks, 12,000 characters in all."""
    title = clean(question.title, TITLE_AT_MOST) or "Switch to a new model?"
    blocks = [
        {"type": "header", "text": _plain(f"{_ICONS[question.state]} {title}", 150)},
        *_sentences(question.sentences),
        {"type": "context", "elements": [_plain(_standing(question), 300)]},
        {"type": "context", "elements": [_plain(f"Job {clean(question.job_id, 100)}", 300)]},
    ]
    if question.state == "open":
        blocks.append({"type": "actions", "elements": [_approve(question), _reject(question)]})
    return blocks


def _sentences(sentences: Sequence[str]) -> list[Block]:
    """A list, cut where it would be too long for one message, the last sentence always with it."""
    lines = [_line(clean(each, SENTENCE_AT_MOST) or "-") for each in sentences]
    if not lines:
        return []
    left = TEXT_AT_MOST - _length(lines[-1])
    shown: list[Block] = []
    for line in lines[:-1]:
        if (left := left - _length(line)) < 0:
            shown.append(_line(f"{len(lines) - 1 - len(shown)} more: see `driftwatch retrain gate`."))
            break
        shown.append(line)
    items = {"type": "rich_text_list", "style": "bullet", "elements": [*shown, lines[-1]]}
    return [{"type": "rich_text", "elements": [items]}]


def _standing(question: Question) -> str:
    """How things stand, in a sentence."""
    if question.state == "open":
        return f"Asked on {moment(question.asked_at)}; without an answer until {moment(question.expires_at)} it is no."
    if question.state == "expired":
        return f"Nobody decided until {moment(question.expires_at)}: the model in use stays."
    name, who = clean(question.decided_name, 80), clean(question.decided_by, 40)
    by = f"{name} ({who})" if name and name != who else who
    at = f" on {moment(question.decided_at)}" if question.decided_at else ""
    stays = "" if question.state == "approved" else ": the model in use stays"
    return f"{question.state.capitalize()} by {by}{at}{stays}."


def _approve(question: Question) -> Block:
    cost = clean(question.sentences[-1], 160) if question.sentences else ""
    said = f"{cost} Then the new model, its index and its cut-off are switched on together."
    return _button(APPROVE, "Approve", "primary", question, "Switch the new model on?", said)


def _reject(question: Question) -> Block:
    said = "The model in use stays. This cannot be taken back; another model would have to be trained."
    return _button(REJECT, "Reject", "danger", question, "Keep the model in use?", said)


def _button(action: str, label: str, style: str, question: Question, title: str, said: str) -> Block:
    return {
        "type": "button",
        "action_id": action,
        "style": style,
        "text": _plain(label, 75),
        "value": question.nonce,
        "confirm": {
            "title": _plain(title, 100),
            "text": _plain(said.strip(), 300),
            "confirm": _plain(label, 30),
            "deny": _plain("Cancel", 30),
            "style": style,
        },
    }


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": cut(unlinked(text), limit), "emoji": False}


def _line(text: str) -> Block:
    return {"type": "rich_text_section", "elements": [{"type": "text", "text": unlinked(text)}]}


def _length(line: Block) -> int:
    return units(json.dumps(line, ensure_ascii=False))
