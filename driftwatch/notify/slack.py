"""Slack: one message an incident, kept up to date in place, its history in the thread below."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import PrivateAttr, SecretStr, field_validator, model_validator

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify import Notifier
from driftwatch.notify._blocks import fallback, incident_blocks, news_blocks
from driftwatch.notify._http import checked_url, request
from driftwatch.notify._render import calls, message, news, pages, reopens
from driftwatch.notify._slack_web import SlackWeb
from driftwatch.notify._weekly import lock_screen, weekly_blocks
from driftwatch.reported.announced import Remembered, WeeklyNotice
from driftwatch.schedule import Duration, duration
from driftwatch.types import Notice

EVENT_TYPE = "driftwatch_incident"

_MENTION = re.compile(r"[UWS][A-Z0-9]{2,20}|here|channel|everyone")
_THREAD = re.compile(r"[A-Z0-9]+:[0-9]+\.[0-9]+")
_LOST = "no updates in place, no threads, and a repeat after a lost reply is posted twice"
_WEBHOOK_REFUSED = ("invalid_blocks", "invalid_payload", "no_text", "msg_too_long", "too_many_attachments")


class Slack(Notifier):
    """Tells a Slack channel, by bot token (`channel` and `token`) or, with less to it, by `webhook_url`.

    With a token an incident is one message that always shows how things stand; every change is a reply in its thread. A
    webhook can only post, so every change is a message of its own.
    """

    kind: Literal["slack"] = "slack"
    channel: str = ""
    """The channel, by name (`"#assistant-quality"`) or id; with a token."""
    token: SecretStr | None = None
    """The app's bot token (`xoxb-…`): scope chat:write, and channels:history and channels:read to never post twice."""
    webhook_url: SecretStr | None = None
    """An incoming webhook, instead of `channel` and `token`."""
    mention: tuple[str, ...] = ()
    """Who is called when an incident pages: ids of users (U…), groups (S…), or `here`. Nothing else in it can."""
    show_queries: bool = True
    """Whether example questions are shown, as the privacy setting leaves them."""
    base_url: str = "https://slack.com/api/"
    """Slack's Web API, or a proxy in front of it."""
    timeout: Duration = duration("10s")
    """How long to wait for an answer."""

    _web: SlackWeb | None = PrivateAttr(default=None)
    _heads: dict[str, str] = PrivateAttr(default_factory=dict)
    """Notice key -> thread, of notices whose message was posted and whose reply was not."""

    @field_validator("mention")
    @classmethod
    def _ids_only(cls, mention: tuple[str, ...]) -> tuple[str, ...]:
        for who in mention:
            if not _MENTION.fullmatch(who):
                raise ValueError(
                    f"{who!r} cannot be mentioned. Write ids of users (U…) or groups (S…), or here, channel, everyone;"
                    " an id is in a profile's menu under 'Copy member ID'."
                )
        return mention

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, base_url: str) -> str:
        return checked_url(base_url, "base_url")

    @model_validator(mode="after")
    def _one_way(self) -> Slack:
        if self.webhook_url is not None:
            if self.token is not None:
                raise ValueError("'token' and 'webhook_url' are both set. Keep the token; it can do more.")
            checked_url(self.webhook_url.get_secret_value(), "webhook_url")
        elif self.token is None or not self.token.get_secret_value().strip():
            raise ValueError("Slack needs 'token' and 'channel', or 'webhook_url'. Set one of them.")
        elif not self.channel.strip():
            raise ValueError("Slack needs a 'channel' with its token. Write its name in quotes: channel: \"#quality\".")
        return self

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        if self.webhook_url is not None:
            return self._post_to_webhook(notice, first=thread is None)
        known = thread if thread and _THREAD.fullmatch(thread) else self._heads.get(notice.key)
        known = known or (self._find_head(notice) if repeat else None)
        head = self._update_head(known, notice) if known else self._post_head(notice)
        self._heads[notice.key] = head
        if not (repeat and self._has_reply(head, notice)):
            self._post_reply(head, notice, self.mention if known and pages(notice) else ())
        del self._heads[notice.key]
        return head

    def announce(self, notice: WeeklyNotice, remembered: Remembered, *, repeat: bool) -> None:
        if self.webhook_url is None:
            from driftwatch.notify._slack_weekly import SlackWeekly

            SlackWeekly(self._slack(), self.channel, notice, remembered).tell(repeat=repeat)
            return
        note = "A webhook shows no pictures: they are in the report." if notice.announcement.pictures else ""
        self._to_webhook({"text": lock_screen(notice.announcement), "blocks": weekly_blocks(notice, {}, note)})

    def reach(self) -> str:
        if self.webhook_url is not None:
            return self._reach_webhook()
        name, scopes = self._slack().who_am_i()
        if scopes and "chat:write" not in scopes:
            raise DeliveryError(
                f"{name} may not post.", remedy="Give the app the scope chat:write and install it again."
            )
        unsafe = bool(scopes) and not scopes & {"channels:history", "groups:history"}
        return name + ("; without channels:history a repeat after a lost reply is posted twice" if unsafe else "")

    # --- by token --------------------------------------------------------------------------------------------------

    def _post_head(self, notice: Notice) -> str:
        channel, ts = self._slack().post(self.channel, **self._head(notice))
        return f"{channel}:{ts}"

    def _update_head(self, thread: str, notice: Notice) -> str:
        channel, _, ts = thread.partition(":")
        updated = self._slack().update(channel, ts, **self._head(notice))
        return thread if updated else self._post_head(notice)

    def _post_reply(self, thread: str, notice: Notice, mention: tuple[str, ...]) -> None:
        channel, _, ts = thread.partition(":")
        seen = {"reply_broadcast": True} if reopens(notice) else {}
        self._slack().post(channel, thread_ts=ts, **self._reply(notice, mention), **seen)

    def _find_head(self, notice: Notice) -> str | None:
        wanted = self._payload(notice, "incident")

        def is_head(payload: Mapping[str, Any]) -> bool:
            return all(payload.get(name) == wanted[name] for name in ("part", "incident", "service"))

        found = self._slack().find(self.channel, notice.incident.opened_at.timestamp(), is_head)
        return ":".join(found) if found else None

    def _has_reply(self, thread: str, notice: Notice) -> bool:
        channel, _, ts = thread.partition(":")
        return self._slack().replied(
            channel, ts, notice.at.timestamp(), lambda payload: payload.get("key") == notice.key
        )

    def _slack(self) -> SlackWeb:
        if self._web is None:
            assert self.token is not None
            self._web = SlackWeb(self.token.get_secret_value().strip(), self.base_url, self.timeout)
        return self._web

    # --- what is said ----------------------------------------------------------------------------------------------

    def _head(self, notice: Notice) -> dict[str, Any]:
        shown = message(notice, with_queries=self.show_queries)
        sentence = shown.why.cause if shown.why else shown.parts[0].sentence if shown.parts else ""
        return {
            "text": fallback(shown.title, sentence),
            "blocks": incident_blocks(shown, self.mention if calls(notice.incident) else ()),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": self._payload(notice, "incident")},
        }

    def _reply(self, notice: Notice, mention: tuple[str, ...]) -> dict[str, Any]:
        told = news(notice)
        return {
            "text": fallback(told.title, told.sentence),
            "blocks": news_blocks(told, mention),
            "metadata": {"event_type": EVENT_TYPE, "event_payload": self._payload(notice, "history")},
        }

    def _payload(self, notice: Notice, part: str) -> dict[str, str]:
        return {
            "key": notice.key,
            "part": part,
            "incident": notice.incident.incident_id,
            "service": notice.service,
            "event": notice.event,
        }

    # --- by webhook ------------------------------------------------------------------------------------------------

    def _post_to_webhook(self, notice: Notice, *, first: bool) -> str:
        shown, told = message(notice, with_queries=self.show_queries), news(notice)
        # An incident whose first time was silenced is new to the channel when it fires again.
        called = pages(notice) or (first and notice.event == "firing" and calls(notice.incident))
        blocks = incident_blocks(shown, self.mention if called else ())
        if notice.event != "firing":
            blocks = [*news_blocks(told), {"type": "divider"}, *blocks]
        self._to_webhook({"text": fallback(told.title, told.sentence), "blocks": blocks})
        return notice.incident.incident_id

    def _to_webhook(self, body: Mapping[str, Any]) -> None:
        assert self.webhook_url is not None
        answer = request(
            self.webhook_url.get_secret_value(),
            receiver="Slack's webhook",
            timeout=self.timeout,
            body=json.dumps(body).encode("ascii"),
            headers={"Content-Type": "application/json"},
        )
        if answer.taken:
            return
        said = answer.text or "nothing"
        if answer.status == 400 and said.startswith(_WEBHOOK_REFUSED):
            raise MessageRefused(f"Slack's webhook refused the message: {said}.")
        raise DeliveryError(
            f"Slack's webhook answered {answer.status}: {said}.",
            retry_after=answer.retry_after,
            remedy="Create the webhook again and set its new `webhook_url`."
            if answer.status in (403, 404, 410)
            else "",
        )

    def _reach_webhook(self) -> str:
        """A message without text is refused by a webhook that works, so nobody is told."""
        try:
            self._to_webhook({"text": ""})
        except MessageRefused:
            return f"webhook reached; a webhook does less than a bot token: {_LOST}"
        return f"webhook reached, but it took an empty message; a webhook does less than a bot token: {_LOST}"
