"""Slack's buttons by Socket Mode: a connection that driftwatch opens, so that nothing need reach it from outside.

A click is acknowledged *after* what it decided is on the disk. What dies before the acknowledgement has either decided
nothing, and Slack shows the one who clicked that it failed, or has decided, and a repeat of the click is recognised and
told the same. Acknowledged first, a click could be lost while its author believes it was heard. Slack allows three
seconds; the transaction takes milliseconds, and everything else (replies, the message's new state) comes after it and
from another thread.

Only what is ours is acknowledged: an app that also serves something else keeps its envelopes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from driftwatch.approval import Action, Click
from driftwatch.errors import DeliveryError, DriftwatchError, StoreError
from driftwatch.notify._slack_question import APPROVE, REJECT, Asking, AskInSlack
from driftwatch.notify._slack_web import SlackWeb
from driftwatch.notify._text import clean
from driftwatch.store import Store

if TYPE_CHECKING:
    from slack_sdk.socket_mode.request import SocketModeRequest

    from driftwatch.notify._slack_connection import Connection

log = logging.getLogger(__name__)

ACTIONS: dict[str, Action] = {APPROVE: "approve", REJECT: "reject"}

TICK = 0.5
"""Seconds between two looks at the connection."""
LOOK = 2.0
"""Seconds between two looks at the questions, unless a click says to look at once."""
OPENINGS, SPAN, GAP = 3, 60.0, 10.0
"""So many connections may be opened in so many seconds; after that one has to wait. Slack allows few a minute."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Beat:
    """How the listener is, for whoever watches over it."""

    alive: bool
    """Whether its thread runs."""
    connected: bool
    connected_at: datetime | None
    """When the connection in use was opened."""
    last_message: datetime | None
    """When Slack was last heard, a greeting included."""
    problem: str
    """Why it is not connected, or why a message could not be told; empty when all is well."""


class Listener:
    """Asks the open questions, hears the clicks and shows what they decided, in a thread of its own.

    To be started while ``store.approvals.unfinished()`` holds anything, and stopped after.
    """

    def __init__(
        self, asking: Asking, store: Store, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._asking = asking
        self._store = store
        self._now = now
        self._thread: threading.Thread | None = None
        self._stop, self._wake, self._renew = threading.Event(), threading.Event(), threading.Event()
        self._connection: Connection | None = None
        self._connected_at: datetime | None = None
        self._last_message: datetime | None = None
        self._opened: deque[float] = deque(maxlen=OPENINGS)
        self._replies: deque[tuple[str, str, str]] = deque(maxlen=100)
        self._calling, self._telling = Patience(), Patience()

    def start(self) -> None:
        """Begin; does nothing where it has begun."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop.clear()
        self._calling, self._telling = Patience(), Patience()
        self._thread = threading.Thread(target=self._run, name="slack-questions", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End, waiting ``timeout`` seconds at most for a call of Slack's Web API that is under way."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def wake(self) -> None:
        """Look at the questions now: there is a new one, or one was decided elsewhere."""
        self._telling.hurry()
        self._wake.set()

    @property
    def beat(self) -> Beat:
        connection = self._connection
        connected = connection is not None and connection.is_alive()
        return Beat(
            alive=self._thread is not None and self._thread.is_alive(),
            connected=connected,
            connected_at=self._connected_at if connected else None,
            last_message=self._last_message,
            problem=self._calling.problem or self._telling.problem,
        )

    # --- its thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        web = SlackWeb(self._asking.app_token, self._asking.base_url, self._asking.timeout)
        ask = AskInSlack(self._asking, self._store)
        try:
            while not self._stop.is_set():
                self._calling.take(lambda: self._keep_connected(web))
                self._telling.take(lambda: self._tell(ask))
                self._wake.wait(TICK)
                self._wake.clear()
        finally:
            if self._connection is not None:
                self._connection.close()

    def _keep_connected(self, web: SlackWeb) -> float:
        """Open a connection where there is none, or where Slack wants another; returns when to look again."""
        from driftwatch.notify._slack_connection import Connection, ask_for_address

        old = self._connection
        if old is not None and old.is_alive() and not self._renew.is_set():
            return 0.0
        self._wait_between()
        self._renew.clear()
        address = ask_for_address(web, encrypted=not self._asking.base_url.startswith("http://"))
        new = Connection(heard=self._heard, envelope=self._envelope, renew=self._wants_renewal)
        try:
            new.open(address)
        except BaseException:
            new.close()
            raise
        self._connection, self._connected_at = new, self._now()
        self._opened.append(time.monotonic())
        log.info("listens for clicks in Slack")
        if old is not None:
            old.close()
        return 0.0

    def _wait_between(self) -> None:
        """Failed attempts wait by themselves; this is for connections that come and go.

        Raises:
            DeliveryError: the next one has to wait.
        """
        now = time.monotonic()
        many = len(self._opened) == OPENINGS and now - self._opened[0] < SPAN
        if many and now - self._opened[-1] < GAP:
            raise DeliveryError("Slack's socket ends as soon as it is opened.", retry_after=GAP)

    def _tell(self, ask: AskInSlack) -> float:
        """Expire, ask, show what was decided and answer those whose click changed nothing."""
        for question in self._store.approvals.expire_open(self._now()):
            log.info("nobody answered the question about job %s in time", question.job_id)
        ask.tell(self._now())
        while self._replies and not self._stop.is_set():
            self._reply(ask, *self._replies.popleft())
        return LOOK

    def _reply(self, ask: AskInSlack, channel: str, user: str, sentence: str) -> None:
        try:
            ask.whisper(channel, user, sentence)
        except DeliveryError as error:
            # The message itself shows how things stand; this was a courtesy.
            log.warning("%s could not be answered: %s", clean(user, 40), error)

    # --- what arrives, in a thread of the connection ---------------------------------------------------------------

    def _heard(self) -> None:
        self._last_message = self._now()

    def _wants_renewal(self) -> None:
        self._renew.set()
        self._wake.set()

    def _envelope(self, request: SocketModeRequest) -> bool:
        click = click_of(request.payload, request.envelope_id) if request.type == "interactive" else None
        if click is None:
            return False
        try:
            answered = self._store.approvals.answer(click, self._asking.users, self._now())
        except StoreError as error:
            log.error("a click in Slack could not be kept, and whoever clicked is told that it failed: %s", error)
            return False
        decision = answered.decision
        log.info("click %s by %s: %s", click.action, clean(click.user, 40), decision.outcome)
        if not decision.accepted and not answered.repeat and click.channel and click.user:
            self._replies.append((click.channel, click.user, decision.why))
        self.wake()
        return True


class Patience:
    """How long one piece of work waits for its next turn: longer after each failure."""

    def __init__(self) -> None:
        self.problem = ""
        self._failures = 0
        self._next = 0.0

    def hurry(self) -> None:
        """Take the next turn at once, unless the last ones failed."""
        if not self._failures:
            self._next = 0.0

    def take(self, work: Callable[[], float]) -> None:
        """Do it if it is time; it returns after how many seconds its next turn is.

        A failure becomes a line in the log and ``problem``, and another turn later.
        """
        if time.monotonic() < self._next:
            return
        try:
            wait = work()
        except Exception as error:
            if not isinstance(error, DriftwatchError):
                log.exception("questions in Slack failed in an unexpected way")
            self._failed(error)
        else:
            self.problem, self._failures, self._next = "", 0, time.monotonic() + wait

    def _failed(self, error: Exception) -> None:
        asked = error.retry_after if isinstance(error, DeliveryError) else None
        wait = max(min(_FIRST_WAIT * 2.0**self._failures, _LONGEST_WAIT), asked or 0.0)
        self._failures += 1
        self.problem = clean(str(error), 300)
        self._next = time.monotonic() + wait
        log.warning("questions in Slack: %s Next try in %.0f s.", self.problem, wait)


def click_of(payload: Any, envelope_id: str) -> Click | None:
    """The click on one of our buttons that an envelope holds, if it holds one."""
    action_id, nonce, at = (text_of(payload, "actions", 0, name) for name in ("action_id", "value", "action_ts"))
    if text_of(payload, "type") != "block_actions" or action_id not in ACTIONS:
        return None
    user = text_of(payload, "user", "id")
    ts = text_of(payload, "container", "message_ts") or text_of(payload, "message", "ts")
    # Slack may send a click again in another envelope; the time of the action stays.
    same = "\0".join((user, action_id, nonce, ts, at or envelope_id))
    return Click(
        click_id=hashlib.sha256(same.encode("utf-8", "replace")).hexdigest(),
        nonce=nonce,
        action=ACTIONS[action_id],
        user=user,
        name=clean(text_of(payload, "user", "name") or text_of(payload, "user", "username"), 80),
        channel=text_of(payload, "container", "channel_id") or text_of(payload, "channel", "id"),
        ts=ts,
    )


def text_of(payload: Any, *path: str | int) -> str:
    """The text at a place of a payload; empty where there is none.

    >>> text_of({"actions": [{"value": "x"}]}, "actions", 0, "value"), text_of({"user": None}, "user", "id")
    ('x', '')
    """
    for step in path:
        if isinstance(step, int):
            payload = payload[step] if isinstance(payload, list) and len(payload) > step else None
        else:
            payload = payload.get(step) if isinstance(payload, Mapping) else None
    return payload if isinstance(payload, str) else ""
