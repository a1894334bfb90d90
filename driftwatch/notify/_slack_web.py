"""The calls of Slack's Web API that incidents, questions and reports need, and what their errors mean."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify._http import seconds
from driftwatch.notify._text import clean
from driftwatch.schedule import show_duration

_CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{7,}")
_SKEW = 3600.0
"""Seconds by which Slack's clock and ours may differ."""
_PAGES = 5

_REFUSED = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "metadata_too_large",
        "invalid_metadata_format",
        "invalid_metadata_schema",
    }
)
_HEAD_IS_GONE = frozenset({"message_not_found", "thread_not_found"})
_HEAD_IS_FIXED = frozenset({"edit_window_closed", "cant_update_message", "is_inactive"})
_NO_SEARCH = frozenset(
    {"missing_scope", "not_allowed_token_type", "no_permission", "channel_not_found", "not_in_channel"}
)
_REMEDIES = {
    "invalid_auth": "Check `token`: it is the app's Bot User OAuth Token and begins with xoxb-.",
    "not_authed": "Check `token`: it is empty or did not arrive.",
    "account_inactive": "The bot or its app was removed; install it again and set its new `token`.",
    "token_revoked": "Install the app again and set its new `token`.",
    "token_expired": "Install the app again and set its new `token`.",
    "missing_scope": "Give the app the scope chat:write and install it again.",
    "not_allowed_token_type": "Use the bot token (xoxb-), not an app-level (xapp-) or user token.",
    "channel_not_found": "Check `channel`, and invite the bot to it if it is private.",
    "not_in_channel": "Invite the bot to the channel: /invite @<its name>.",
    "is_archived": "Unarchive the channel, or name another as `channel`.",
}


class SlackSaid(DeliveryError):
    """Slack's own error ``code``, for callers that treat some codes in their own way."""

    def __init__(self, code: str, problem: str, *, retry_after: float | None = None, remedy: str = "") -> None:
        self.code = code
        super().__init__(problem, retry_after=retry_after, remedy=remedy)


class SlackWeb:
    """Posts, updates and finds messages; nothing in here sleeps or tries again."""

    def __init__(self, token: str, base_url: str, timeout: timedelta) -> None:
        from slack_sdk import WebClient

        # At DEBUG it logs what it sends and gets, and what opens a socket is as good as a token.
        logging.getLogger("slack_sdk").setLevel(logging.INFO)
        # The outbox is the one place that retries: a retry in here would sleep with a claim in its hand.
        self._client = WebClient(token, base_url=base_url, retry_handlers=[])
        self._client.timeout = timeout.total_seconds()  # type: ignore[assignment]  # its sockets take fractions as well
        self._timeout = show_duration(timeout)

    def who_am_i(self) -> tuple[str, frozenset[str]]:
        """``bot 'driftwatch' in workspace 'Acme'``, and the scopes that the token says it has."""
        answer = self._call(self._client.auth_test)
        scopes = next((value for name, value in answer.headers.items() if name.lower() == "x-oauth-scopes"), "")
        name = f"bot '{clean(str(answer.get('user')), 60)}' in workspace '{clean(str(answer.get('team')), 60)}'"
        return name, frozenset(scope.strip() for scope in scopes.split(",") if scope.strip())

    def post(self, channel: str, **message: Any) -> tuple[str, str]:
        """Post; returns the channel's id and the ``ts`` that names the message in it."""
        answer = self._call(
            self._client.chat_postMessage,
            channel=channel,
            unfurl_links=False,
            unfurl_media=False,
            mrkdwn=False,
            parse="none",
            link_names=False,
            **message,
        )
        return str(answer["channel"]), str(answer["ts"])

    def update(self, channel: str, ts: str, **message: Any) -> bool:
        """Change a message in place; False when somebody deleted it."""
        try:
            self._call(self._client.chat_update, channel=channel, ts=ts, parse="none", link_names=False, **message)
        except SlackSaid as said:
            if said.code in _HEAD_IS_GONE:
                return False
            if said.code not in _HEAD_IS_FIXED:
                raise
        return True

    def whisper(self, channel: str, user: str, text: str) -> None:
        """Say something in ``channel`` that only ``user`` sees; Slack reads markup in ``text``."""
        self._call(
            self._client.chat_postEphemeral, channel=channel, user=user, text=text, parse="none", link_names=False
        )

    def socket_address(self) -> str:
        """Where Socket Mode is to be reached this time; the token must be an app-level one."""
        # The client's own method puts the token into the body as well.
        return str(self._call(self._client.api_call, api_method="apps.connections.open")["url"])

    def find(self, channel: str, since: float, wanted: Callable[[Mapping[str, Any]], bool]) -> tuple[str, str] | None:
        """The id and ``ts`` of the message in ``channel`` whose metadata payload is ``wanted``.

        None when there is none, and when the app may not look (scopes channels:history, channels:read).
        """
        try:
            if (channel_id := self._channel_id(channel)) is None:
                return None
            pages = self._pages(self._client.conversations_history, "messages", channel=channel_id, **_since(since))
            ts = _first(pages, wanted)
        except SlackSaid as said:
            if said.code in _NO_SEARCH:
                return None
            raise
        return (channel_id, ts) if ts else None

    def replied(self, channel: str, ts: str, since: float, wanted: Callable[[Mapping[str, Any]], bool]) -> bool:
        """Whether the thread of a message holds a reply whose metadata payload is ``wanted``."""
        try:
            pages = self._pages(self._client.conversations_replies, "messages", channel=channel, ts=ts, **_since(since))
            return any(message.get("ts") != ts and wanted(_payload(message)) for message in pages)
        except SlackSaid as said:
            if said.code in _NO_SEARCH | _HEAD_IS_GONE:
                return False
            raise

    def upload(self, files: Sequence[Mapping[str, Any]], **where: str) -> list[str]:
        """Upload ``files`` (``content``, ``filename``, ``title``, ``alt_txt``); the ids that Slack gave them, in order.

        ``where``: ``channel`` (an id) and ``thread_ts`` to show them at once; else nobody sees them yet.
        """
        wanted = ("content", "filename", "title", "alt_txt")
        uploads = [{name: each[name] for name in wanted} for each in files]
        answer = self._call(self._client.files_upload_v2, file_uploads=uploads, **where)
        return [str(each["id"]) for each in answer["files"]]

    def holds_files(self, channel: str, ts: str, since: float, names: Collection[str]) -> bool:
        """Whether a reply below a message shows a file of one of these names; False where the app may not look."""
        try:
            pages = self._pages(self._client.conversations_replies, "messages", channel=channel, ts=ts, **_since(since))
            return any(file.get("name") in names for message in pages for file in message.get("files") or [])
        except SlackSaid as said:
            if said.code in _NO_SEARCH | _HEAD_IS_GONE:
                return False
            raise

    def _channel_id(self, channel: str) -> str | None:
        """Reading needs the id, where posting takes a name."""
        if _CHANNEL_ID.fullmatch(channel):
            return channel
        listed = self._pages(
            self._client.conversations_list, "channels", exclude_archived=True, types="public_channel,private_channel"
        )
        return next((str(each["id"]) for each in listed if each.get("name") == channel.lstrip("#")), None)

    def _pages(self, method: Callable[..., Any], items: str, **settings: Any) -> Iterator[Mapping[str, Any]]:
        cursor = ""
        for _ in range(_PAGES):
            answer = self._call(method, limit=200, **({"cursor": cursor} if cursor else {}), **settings)
            yield from answer.get(items) or []
            if not (cursor := (answer.get("response_metadata") or {}).get("next_cursor") or ""):
                return

    def _call(self, method: Callable[..., Any], **settings: Any) -> Any:
        """Call Slack once.

        Raises:
            MessageRefused: Slack will never take this message.
            SlackSaid: Slack will not, for a reason outside the message.
            DeliveryError: no answer that could be understood.
        """
        from http.client import HTTPException

        from slack_sdk.errors import SlackApiError, SlackClientError

        try:
            return method(**settings)
        except SlackApiError as error:
            raise _understood(error.response) from None
        except TimeoutError:
            raise DeliveryError(f"Slack did not answer within {self._timeout}.") from None
        except (SlackClientError, HTTPException, OSError, ValueError) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                raise DeliveryError(f"Slack could not be reached within {self._timeout}.") from None
            raise DeliveryError(f"Slack could not be reached: {clean(str(error), 200)}.") from None


def _understood(response: Any) -> DeliveryError:
    """What an answer that is not ok means for the outbox."""
    code = clean(str(response.get("error") or "no reason given"), 80)
    headers = {name.lower(): value for name, value in dict(response.headers).items()}
    wait = seconds(headers.get("retry-after"))
    if response.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return DeliveryError(f"Slack asks to wait {wait or 1:g} s.", retry_after=wait or 1.0)
    if code in _REFUSED:
        return MessageRefused(f"Slack refused the message: {code}.")
    status = "" if response.status_code == 200 else f" (HTTP {response.status_code})"
    return SlackSaid(code, f"Slack answered {code}{status}.", retry_after=wait, remedy=_REMEDIES.get(code, ""))


def _since(moment: float) -> dict[str, Any]:
    return {"oldest": f"{min(moment, time.time()) - _SKEW:.6f}", "include_all_metadata": True}


def _first(messages: Iterator[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], bool]) -> str | None:
    return next((str(message["ts"]) for message in messages if wanted(_payload(message))), None)


def _payload(message: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = message.get("metadata") or {}
    payload: Mapping[str, Any] = metadata.get("event_payload") or {}
    return payload
