"""A Slack on loopback with Socket Mode: a real WebSocket server that hands out clicks and waits for their receipts."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.fakes.slack import CHANNEL_ID, CHANNEL_NAME, FakeSlack, Posted, _no, _yes

APP_TOKEN = "xapp-fake-token"
QUIET = logging.Logger("websockets.fake", logging.CRITICAL + 1)


@dataclass
class FakeSlackSocket(FakeSlack):
    """``with FakeSlackSocket() as slack: Asking(base_url=slack.base_url, token=TOKEN, app_token=APP_TOKEN, ...)``.

    A click that nobody listens for waits for the next connection, as Slack's own does for a while.
    """

    app_token: str = APP_TOKEN
    whispers: list[dict[str, Any]] = field(default_factory=list)
    opened: list[ServerConnection] = field(default_factory=list)
    acked: dict[str, float] = field(default_factory=dict)
    """envelope_id -> seconds from sending to receipt."""
    greets: bool = True
    address: str = ""
    """What apps.connections.open answers instead of the real one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tickets: set[str] = set()
        self._waiting: deque[dict[str, Any]] = deque()
        self._sent: dict[str, float] = {}
        self._open: list[ServerConnection] = []
        self._changed = threading.Condition()
        self._sockets: Server | None = None

    # --- for tests ---------------------------------------------------------------------------------------------------

    def press(self, action_id: str, user: str, *, message: Posted | None = None, **more: Any) -> dict[str, Any]:
        """Somebody presses a button of a message and confirms; returns the envelope."""
        shown = message or self.heads()[-1]
        button = next(
            each
            for block in shown.blocks
            if block["type"] == "actions"
            for each in block["elements"]
            if each["action_id"] == action_id
        )
        return self.deliver(interactive(button, shown.ts, user, **more))

    def deliver(self, envelope: dict[str, Any]) -> dict[str, Any]:
        """Send to the newest connection; without one, to the next."""
        with self._changed:
            if self._open:
                self._send_envelope(self._open[-1], envelope)
            else:
                self._waiting.append(envelope)
        return envelope

    def has_ack(self, envelope: dict[str, Any], seconds: float = 15.0) -> bool:
        """Wait for the receipt of an envelope."""
        with self._changed:
            return self._changed.wait_for(lambda: envelope["envelope_id"] in self.acked, seconds)

    def has_opened(self, count: int, seconds: float = 10.0) -> bool:
        """Wait until so many connections have been opened, all of them counted."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.opened) >= count, seconds)

    def has_closed(self, seconds: float = 5.0) -> bool:
        """Wait until no connection is open."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, seconds)

    @property
    def open_now(self) -> int:
        return len(self._open)

    def say(self, message: dict[str, Any] | str) -> None:
        """Send anything to the newest connection."""
        self._open[-1].send(message if isinstance(message, str) else json.dumps(message))

    def refresh(self, reason: str = "refresh_requested") -> None:
        self.say({"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}})

    def drop(self) -> None:
        """Every connection ends without a word."""
        with self._changed:
            dropped, self._open = self._open, []
        for each in dropped:
            with suppress(OSError):
                each.socket.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """Every connection ends politely."""
        with self._changed:
            ended, self._open = self._open, []
        for each in ended:
            each.close(1001, "going away")

    # --- serving -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        super().start()
        self._sockets = serve(self._serve, "127.0.0.1", 0, logger=QUIET, close_timeout=1)
        threading.Thread(target=self._sockets.serve_forever, daemon=True).start()

    def stop(self) -> None:
        super().stop()
        assert self._sockets is not None
        self.drop()
        self._sockets.shutdown()

    def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        ticket = parse_qs(urlsplit(connection.request.path).query).get("ticket", [""])[0]
        if ticket not in self._tickets:
            connection.close(1008, "unknown ticket")
            return
        self._tickets.discard(ticket)
        if self.greets:
            connection.send(json.dumps({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}))
        with self._changed:
            self._open.append(connection)
            self.opened.append(connection)
            self._changed.notify_all()
            while self._waiting:
                self._send_envelope(connection, self._waiting.popleft())
        with suppress(ConnectionClosed, OSError):
            for message in connection:
                self._receipt(json.loads(message))
        with self._changed:
            if connection in self._open:
                self._open.remove(connection)
            self._changed.notify_all()

    def _send_envelope(self, connection: ServerConnection, envelope: dict[str, Any]) -> None:
        self._sent[envelope["envelope_id"]] = time.monotonic()
        connection.send(json.dumps(envelope))

    def _receipt(self, message: dict[str, Any]) -> None:
        with self._changed:
            sent = self._sent[message["envelope_id"]]
            self.acked[message["envelope_id"]] = time.monotonic() - sent
            self._changed.notify_all()

    # --- the methods -------------------------------------------------------------------------------------------------

    def _carry_out(
        self, method: str, path: str, arguments: dict[str, Any], request: BaseHTTPRequestHandler
    ) -> tuple[int, bytes]:
        if method != "apps.connections.open":
            return super()._carry_out(method, path, arguments, request)
        if request.headers.get("Authorization") != f"Bearer {self.app_token}":
            return 200, _no("not_allowed_token_type" if "xoxb" in str(request.headers) else "invalid_auth")
        assert self._sockets is not None
        ticket = uuid.uuid4().hex
        self._tickets.add(ticket)
        port = self._sockets.socket.getsockname()[1]
        return 200, _yes(url=self.address or f"ws://127.0.0.1:{port}/link/?ticket={ticket}&app_id=A1")

    def _chat_postEphemeral(self, given: dict[str, Any]) -> bytes:
        if given.get("channel") != CHANNEL_ID:
            return _no("channel_not_found")
        if not given.get("text"):
            return _no("no_text")
        self.whispers.append(given)
        return _yes(message_ts=f"{time.time():.6f}")


def interactive(
    button: dict[str, Any], ts: str, user: str, *, name: str = "", action_ts: str = "", kind: str = "block_actions"
) -> dict[str, Any]:
    """The envelope of a click, as Slack sends it."""
    return {
        "envelope_id": str(uuid.uuid4()),
        "type": "interactive",
        "accepts_response_payload": False,
        "payload": {
            "type": kind,
            "user": {"id": user, "username": name or user.lower(), "name": name or user.lower(), "team_id": "T1"},
            "api_app_id": "A1",
            "token": "old-verification-token",
            "container": {"type": "message", "message_ts": ts, "channel_id": CHANNEL_ID, "is_ephemeral": False},
            "trigger_id": f"{time.time_ns()}.1.2",
            "team": {"id": "T1", "domain": "acme"},
            "channel": {"id": CHANNEL_ID, "name": CHANNEL_NAME},
            "message": {"type": "message", "ts": ts, "text": "…"},
            "response_url": "https://hooks.slack.com/actions/T1/1/secret",
            "actions": [
                {
                    "action_id": button["action_id"],
                    "block_id": "b1",
                    "text": button.get("text", {}),
                    "value": button.get("value", ""),
                    "style": button.get("style", "primary"),
                    "type": "button",
                    "action_ts": action_ts or f"{time.time_ns() / 1e9:.6f}",
                }
            ],
        },
    }


def again(envelope: dict[str, Any]) -> dict[str, Any]:
    """The same click in another envelope."""
    return envelope | {"envelope_id": str(uuid.uuid4()), "retry_attempt": 1, "retry_reason": "timeout"}
