"""One Socket Mode connection: opened once, and thrown away when it ends.

The client that comes with slack_sdk does the protocol. Left to itself it also connects again on its own, from three of
its threads; waits inside them where Slack asks it to; reads from a connection that was closed without a word, again and
again, until its next ping; never misses a greeting that does not come; and reaches any port but 443 unencrypted. Here
it does none of these.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from slack_sdk.socket_mode import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from driftwatch.errors import DeliveryError
from driftwatch.notify._slack_web import SlackSaid, SlackWeb
from driftwatch.notify._text import clean

log = logging.getLogger(__name__)

PING_EVERY = 5.0
"""Seconds."""
SILENT_FOR = 20.0
"""Seconds without an answer to a ping, after which a connection is dead."""

_RECEIVE = 16_384
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR

# What the client logs holds messages and addresses; what matters of it is said by its owner.
_MUTE = logging.Logger("slack_sdk.socket_mode.mute", logging.CRITICAL + 1)

_REMEDIES = {
    "invalid_auth": "Check `app_token`: it is an App-Level Token and begins with xapp-.",
    "not_authed": "Check `app_token`: it is empty or did not arrive.",
    "not_allowed_token_type": "`app_token` must be an App-Level Token (xapp-), not the bot's.",
    "missing_scope": "Give the App-Level Token the scope connections:write.",
    "token_revoked": "Make a new App-Level Token and set it as `app_token`.",
    "forbidden_socket_mode": "Turn on Socket Mode in the app's settings.",
    "too_many_websockets": "Too many programs listen with this app; give driftwatch an app of its own.",
}


class Connection(SocketModeClient):
    """Hands over what arrives, one envelope at a time, and says when Slack wants it replaced."""

    def __init__(
        self, *, heard: Callable[[], None], envelope: Callable[[SocketModeRequest], bool], renew: Callable[[], None]
    ) -> None:
        """``heard`` is called with every message; ``envelope`` says whether to acknowledge one."""
        super().__init__(
            app_token="",  # its owner asks for the address
            logger=_MUTE,
            auto_reconnect_enabled=False,
            ping_interval=PING_EVERY,
            receive_buffer_size=_RECEIVE,
            concurrency=1,
            on_message_listeners=[lambda _message: heard()],
            on_error_listeners=[self._note],
        )
        self._envelope = envelope
        self._renew = renew
        self._reason = "what answers is none"
        self._opened = 0.0
        self.socket_mode_request_listeners.append(self._take)

    def open(self, address: str) -> None:
        """Connect.

        Raises:
            DeliveryError: nobody answers there as Slack would.
        """
        self.wss_uri = address
        self.connect()
        self._opened = time.monotonic()
        if not self.is_connected():
            raise DeliveryError(f"Slack's socket could not be reached: {self._reason}.")

    def connect_to_new_endpoint(self, force: bool = False) -> None:  # noqa: ARG002 - the client decides what it passes
        """Slack refreshes the connection, and the client would like to connect again."""
        if not self.closed:
            self._renew()

    def is_alive(self) -> bool:
        """Whether it is open at both ends, as far as can be known."""
        session = self.current_session
        connected = None if session is None else session.sock
        if session is None or connected is None or _hung_up(connected):
            return False
        silent = session.last_ping_pong_time is None and time.monotonic() - self._opened > SILENT_FOR
        return not silent

    def close(self) -> None:
        """See the click in hand through, and let go of everything else."""
        self.message_workers.shutdown(wait=True)
        self.closed = True
        self.current_session_state.terminated = True
        session = self.current_session
        if session is not None and session.sock is not None:
            with suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)  # its reader wakes, and lets go of the lock that closing needs
        self.disconnect()
        self.message_queue.put(None)
        # They end by themselves; waiting for them can take for ever, when one begins to read in this very moment.
        for runner in (self.current_session_runner, self.current_app_monitor, self.message_processor):
            runner.event.set()

    def _take(self, _client: object, request: SocketModeRequest) -> None:
        try:
            if self._envelope(request):
                self.send_socket_mode_response({"envelope_id": request.envelope_id})
        except Exception:
            # In the client it would go unseen. What is not acknowledged fails before the eyes of whoever clicked.
            log.exception("a message of Slack's socket could not be dealt with or acknowledged")

    def _note(self, error: Exception) -> None:
        self._reason = clean(str(error), 200)  # the error itself would keep the client's socket open


def ask_for_address(web: SlackWeb, *, encrypted: bool) -> str:
    """Where Socket Mode is to be reached this time; ``encrypted`` is whether it must not be in the clear.

    Raises:
        DeliveryError: Slack does not say, or what it says cannot be used.
    """
    try:
        return checked_address(web.socket_address(), encrypted=encrypted)
    except SlackSaid as said:
        if (remedy := _REMEDIES.get(said.code)) is None:
            raise
        raise DeliveryError(said.problem, retry_after=said.retry_after, remedy=remedy) from None


def checked_address(url: str, *, encrypted: bool) -> str:
    """``url`` if the client reaches it as it should.

    Raises:
        DeliveryError: it does not. The address is not repeated, for it opens the socket.
    """
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if host and ((scheme == "wss" and port in (None, 443)) or (scheme == "ws" and not encrypted)):
        return url
    raise DeliveryError(
        "Slack's socket has an address that cannot be reached encrypted.",
        remedy="A proxy given as `base_url` must answer apps.connections.open with wss:// on port 443.",
    )


def _hung_up(connected: socket.socket) -> bool:
    """Whether the other side has closed."""
    if (descriptor := connected.fileno()) < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, _HUNG_UP)
    return bool(poll.poll(0))
