"""Clicks in Slack against a real socket: who may decide does, once, and nothing that was decided is lost."""

from __future__ import annotations

import base64
import gc
import hashlib
import logging
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.approval import Question, new_question
from driftwatch.errors import DeliveryError
from driftwatch.notify._slack_connection import Connection, checked_address
from driftwatch.notify._slack_question import APPROVE, REJECT, Asking
from driftwatch.notify._slack_socket import Listener, click_of
from driftwatch.store import Store
from tests.fakes.slack import CHANNEL_NAME, TOKEN, Posted, hangs, rate_limited, reply_lost, says
from tests.fakes.slack_socket import APP_TOKEN, FakeSlackSocket, again, interactive

pytestmark = pytest.mark.process

ANA, EVE = "U012ANA", "U066EVE"
SENTENCES = ("gain: nDCG@10 rises by 0.041.", "no language loses: the worst is fr with -0.004.")


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlackSocket]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlackSocket() as slack:
        yield slack


class Clock:
    """The time that the listener is told."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asking(slack: FakeSlackSocket, **more: Any) -> Asking:
    known = {"channel": f"#{CHANNEL_NAME}", "users": (ANA,), "token": TOKEN, "app_token": APP_TOKEN}
    return Asking(**known | {"base_url": slack.base_url, "timeout": timedelta(seconds=2)} | more)


@pytest.fixture
def listener(slack: FakeSlackSocket, sqlite_store: Store, clock: Clock) -> Iterator[Listener]:
    listening = Listener(asking(slack), sqlite_store, now=clock)
    yield listening
    listening.stop()
    assert not listening.beat.alive


def ask(store: Store, job: str = "job-1") -> Question:
    asked = new_question(
        job, "Switch help-centre to a new model?", SENTENCES, documents=12_000, now=datetime.now(UTC),
        expires=timedelta(days=7),
    )  # fmt: skip
    return store.approvals.ask(asked)


def until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def asked(slack: FakeSlackSocket, listener: Listener) -> Posted:
    """The message of the one question, when the listener hears."""
    listener.start()
    assert slack.has_opened(1)
    until(lambda: slack.heads())
    return slack.heads()[0]


def buttons(message: Posted) -> list[dict[str, Any]]:
    return [each for block in message.blocks if block["type"] == "actions" for each in block["elements"]]


def state(store: Store, job: str = "job-1") -> str:
    question = store.approvals.of(job)
    assert question is not None
    return question.state


def outcomes(store: Store) -> list[tuple[str, str, str]]:
    return [(row.user, row.action, row.outcome) for row in store.approvals.log()]


def test_a_user_who_may_approves_and_the_message_says_so_without_buttons(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    question = ask(sqlite_store)
    message = asked(slack, listener)
    assert {each["value"] for each in buttons(message)} == {question.nonce}
    envelope = slack.press(APPROVE, ANA, name="ana")
    assert slack.has_ack(envelope)
    assert slack.acked[envelope["envelope_id"]] < 3
    assert state(sqlite_store) == "approved"
    until(lambda: not buttons(message))
    assert "Approved by ana (U012ANA)" in message.said.replace("\u2060", "")
    until(lambda: not sqlite_store.approvals.unfinished())
    assert outcomes(sqlite_store) == [(ANA, "approve", "approved")]
    assert len(slack.messages) == 1


def test_a_rejected_question_stays_rejected(slack: FakeSlackSocket, sqlite_store: Store, listener: Listener) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    approve, reject = (interactive(each, message.ts, ANA) for each in buttons(message))
    assert slack.has_ack(slack.deliver(reject))
    assert slack.has_ack(slack.deliver(approve))
    assert state(sqlite_store) == "rejected"
    until(lambda: slack.whispers)
    assert "rejected by" in slack.whispers[0]["text"]
    assert outcomes(sqlite_store) == [(ANA, "reject", "rejected"), (ANA, "approve", "decided already")]


def test_the_confirm_dialog_stands_before_both_buttons(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    approve, reject = buttons(asked(slack, listener))
    assert "12,000 documents will be embedded anew" in approve["confirm"]["text"]["text"]
    assert reject["confirm"]["title"]["text"]
    assert reject["style"] == reject["confirm"]["style"] == "danger"


def test_somebody_who_may_not_decide_is_told_and_nothing_changes(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    until(lambda: (found := sqlite_store.approvals.of("job-1")) and found.shown)
    before = sqlite_store.approvals.of("job-1")
    assert slack.has_ack(slack.press(APPROVE, EVE, name="<!channel> ana"))
    until(lambda: slack.whispers)
    assert slack.whispers[0]["user"] == EVE
    assert "not among those who may decide" in slack.whispers[0]["text"]
    assert sqlite_store.approvals.of("job-1") == before
    assert buttons(message)
    assert outcomes(sqlite_store) == [(EVE, "approve", "not allowed")]
    assert slack.has_ack(slack.press(APPROVE, ANA))
    assert state(sqlite_store) == "approved"


def test_a_double_click_decides_once(slack: FakeSlackSocket, sqlite_store: Store, listener: Listener) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    first, second = slack.press(APPROVE, ANA), slack.press(APPROVE, ANA)
    assert slack.has_ack(first)
    assert slack.has_ack(second)
    assert outcomes(sqlite_store) == [(ANA, "approve", "approved"), (ANA, "approve", "decided already")]


def test_a_click_that_is_sent_again_is_receipted_again_and_logged_once(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    envelope = slack.press(APPROVE, ANA)
    assert slack.has_ack(envelope)
    assert slack.has_ack(slack.deliver(again(envelope)))
    assert outcomes(sqlite_store) == [(ANA, "approve", "approved")]
    listener.stop()
    assert slack.whispers == []


def test_a_refused_click_that_is_sent_again_is_answered_once(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    envelope = slack.press(APPROVE, EVE)
    assert slack.has_ack(envelope)
    assert slack.has_ack(slack.deliver(again(envelope)))
    assert slack.has_ack(slack.press(REJECT, EVE))
    until(lambda: len(slack.whispers) >= 2)
    assert [row.action for row in sqlite_store.approvals.log()] == ["approve", "reject"]
    listener.stop()
    assert len(slack.whispers) == 2


def test_a_click_that_comes_too_late_is_a_no(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, clock: Clock
) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    clock.ahead = timedelta(days=7)
    assert slack.has_ack(slack.press(APPROVE, ANA))
    assert state(sqlite_store) == "expired"
    until(lambda: not buttons(message))
    assert "Nobody decided" in message.said
    assert outcomes(sqlite_store)[-1] in [(ANA, "approve", "expired"), (ANA, "approve", "decided already")]


def test_a_question_that_nobody_answers_expires_by_itself(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, clock: Clock
) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    clock.ahead = timedelta(days=7)
    listener.wake()
    until(lambda: not buttons(message))
    assert outcomes(sqlite_store) == [("", "expiry", "expired")]


@pytest.mark.parametrize("nonce", ["", "0" * 64, "x" * 2000, "' OR 1=1 --", "\ud800\0"])
def test_a_button_that_driftwatch_did_not_make_decides_nothing(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, nonce: str
) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    forged = interactive({"action_id": APPROVE, "value": nonce}, message.ts, ANA)
    assert slack.has_ack(slack.deliver(forged))
    assert state(sqlite_store) == "open"
    assert outcomes(sqlite_store) == [(ANA, "approve", "unknown question")]


@pytest.mark.parametrize(
    "change",
    [
        {"type": "events_api"},
        {"type": "slash_commands"},
        {"payload": {"type": "block_actions", "actions": [{"action_id": "somebody_elses", "value": "x"}]}},
        {"payload": {"type": "view_submission", "actions": [{"action_id": APPROVE}]}},
        {"payload": {"type": "block_actions", "actions": "none"}},
        {"payload": "text"},
        {"payload": []},
    ],
)
def test_what_is_not_ours_is_neither_receipted_nor_logged(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, change: dict[str, Any]
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    foreign = slack.deliver(interactive({"action_id": APPROVE, "value": "x"}, "1.0", ANA) | change)
    slack.say("not JSON")
    slack.say("{not JSON either")
    slack.say({"type": "something new"})
    assert slack.has_ack(slack.press(APPROVE, ANA))
    assert foreign["envelope_id"] not in slack.acked
    assert outcomes(sqlite_store) == [(ANA, "approve", "approved")]


@pytest.mark.parametrize("end", ["drop", "hang_up"])
def test_a_click_while_nobody_is_connected_arrives_after_the_next_connection(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, end: str
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    getattr(slack, end)()
    envelope = slack.press(APPROVE, ANA)
    assert slack.has_ack(envelope)
    assert len(slack.opened) == 2
    assert state(sqlite_store) == "approved"


def test_slack_refreshes_the_connection_and_the_new_one_is_there_before_the_old_one_ends(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    slack.refresh("warning")
    assert slack.has_opened(2)
    until(lambda: slack.open_now == 1)
    assert listener.beat.connected
    assert slack.has_ack(slack.press(APPROVE, ANA))


def test_a_socket_that_ends_at_once_is_not_opened_again_and_again(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    for count in (2, 3):
        slack.drop()
        assert slack.has_opened(count)
    slack.drop()
    until(lambda: "as soon as" in listener.beat.problem)
    assert not slack.has_opened(4, 1.5)
    assert len(slack.called("apps.connections.open")) == 3


def test_a_click_that_cannot_be_kept_is_not_receipted(
    slack: FakeSlackSocket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/locked.db?timeout=0.2")
    ask(store)
    listener = Listener(asking(slack), store)
    asked(slack, listener)
    until(lambda: (found := store.approvals.of("job-1")) and found.shown == "open")
    locked = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")
    envelope = slack.press(APPROVE, ANA)
    until(lambda: "could not be kept" in caplog.text)
    locked.execute("ROLLBACK")
    locked.close()
    assert envelope["envelope_id"] not in slack.acked
    assert state(store) == "open"
    assert slack.has_ack(slack.deliver(again(envelope)))
    assert state(store) == "approved"
    listener.stop()
    store.close()


def test_killed_between_decision_and_update_the_next_start_updates_the_message(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    message = asked(slack, listener)
    listener.stop()
    click = click_of(interactive(buttons(message)[0], message.ts, ANA, name="ana")["payload"], "e1")
    assert click is not None
    assert sqlite_store.approvals.answer(click, {ANA}, datetime.now(UTC)).decision.accepted
    assert buttons(message)
    (left,) = sqlite_store.approvals.unfinished()
    assert left.state == "approved"
    listener.start()
    until(lambda: not buttons(message))
    until(lambda: not sqlite_store.approvals.unfinished())
    assert len(slack.messages) == 1


LISTENING = """
import sys, time
from datetime import timedelta
from driftwatch.notify._slack_question import Asking
from driftwatch.notify._slack_socket import Listener
from driftwatch.store import Store
database, base_url, channel, user, token, app_token = sys.argv[1:]
Listener(Asking(channel, (user,), token, app_token, base_url, timedelta(seconds=20)), Store.open(database)).start()
time.sleep(60)
"""


def test_killed_with_the_update_on_its_way_another_process_finishes_it(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    slack.script("chat.update", hangs())
    ask(sqlite_store)
    arguments = (str(sqlite_store.database.url), slack.base_url, f"#{CHANNEL_NAME}", ANA, TOKEN, APP_TOKEN)
    with subprocess.Popen([sys.executable, "-c", LISTENING, *arguments]) as doomed:
        try:
            assert slack.has_opened(1, 30)
            until(lambda: slack.heads())
            (message,) = slack.heads()
            assert slack.has_ack(slack.press(APPROVE, ANA))
            until(lambda: slack.called("chat.update"))
        finally:
            doomed.kill()
    assert state(sqlite_store) == "approved"
    assert buttons(message)
    listener.start()
    until(lambda: not buttons(message))
    until(lambda: not sqlite_store.approvals.unfinished())
    assert len(slack.messages) == 1
    assert outcomes(sqlite_store) == [(ANA, "approve", "approved")]


def test_a_lost_reply_does_not_ask_twice(slack: FakeSlackSocket, sqlite_store: Store, listener: Listener) -> None:
    slack.script("chat.postMessage", reply_lost())
    ask(sqlite_store)
    listener.start()
    until(lambda: (found := sqlite_store.approvals.of("job-1")) and found.ts)
    assert len(slack.messages) == 1
    assert slack.has_opened(1)
    assert slack.has_ack(slack.press(APPROVE, ANA))


def test_a_click_on_a_message_whose_place_was_never_learnt_tells_it(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    slack.scopes = frozenset({"chat:write"})
    slack.script("chat.postMessage", reply_lost(), *[says("internal_error")] * 20)
    ask(sqlite_store)
    message = asked(slack, listener)
    assert slack.has_ack(slack.press(APPROVE, ANA))
    until(lambda: not buttons(message))
    assert len(slack.messages) == 1


def test_a_new_question_is_asked_while_the_listener_runs(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    ask(sqlite_store)
    asked(slack, listener)
    ask(sqlite_store, "job-2")
    listener.wake()
    until(lambda: len(slack.heads()) == 2)
    first, second = slack.heads()
    assert slack.has_ack(slack.press(REJECT, ANA, message=first))
    assert slack.has_ack(slack.press(APPROVE, ANA, message=second))
    assert (state(sqlite_store, "job-1"), state(sqlite_store, "job-2")) == ("rejected", "approved")


def test_it_tries_again_and_says_why_while_slack_is_away(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    slack.script("apps.connections.open", says("internal_error"))
    slack.script("chat.postMessage", rate_limited(0.1))
    ask(sqlite_store)
    listener.start()
    until(lambda: listener.beat.problem)
    assert not listener.beat.connected
    assert slack.has_opened(1)
    until(lambda: slack.heads() and listener.beat.connected and not listener.beat.problem)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [({"app_token": TOKEN}, "must be an App-Level Token"), ({"app_token": "xapp-revoked"}, "begins with xapp-")],
)
def test_a_wrong_token_is_said_with_its_remedy_and_never_shown(
    slack: FakeSlackSocket, sqlite_store: Store, wrong: dict[str, Any], remedy: str
) -> None:
    listener = Listener(asking(slack, **wrong), sqlite_store)
    listener.start()
    until(lambda: remedy in listener.beat.problem)
    assert wrong["app_token"] not in listener.beat.problem
    listener.stop()


def test_a_server_that_is_no_socket_is_said_and_left(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    slack.address = "ws://127.0.0.1:9/link/?ticket=secret-ticket"
    listener = Listener(asking(slack), sqlite_store)
    listener.start()
    until(lambda: "could not be reached" in listener.beat.problem)
    assert "secret-ticket" not in listener.beat.problem
    listener.stop()


@contextmanager
def answering(answer: Callable[[str], str]) -> Iterator[str]:
    """The address of a server that answers a handshake with this, of its key, and then says no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connected, _ = server.accept()
                    held.append(connected)
                    asked = connected.recv(4096).decode()
                    key = next(
                        line.split(": ")[1] for line in asked.splitlines() if line.startswith("Sec-WebSocket-Key")
                    )
                    connected.sendall(answer(key).encode())

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"ws://127.0.0.1:{server.getsockname()[1]}/link/?ticket=secret-ticket"
        server.shutdown(socket.SHUT_RDWR)
        serving.join(5)
        for each in held:
            each.close()


def greeting(key: str) -> str:
    proof = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Accept: {proof}\r\n\r\n"


def a_connection() -> Connection:
    return Connection(heard=lambda: None, envelope=lambda _request: False, renew=lambda: None)


def test_a_connection_that_never_answers_is_dead_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(greeting) as address:
        connection = a_connection()
        connection.open(address)
        assert connection.is_alive()
        monkeypatch.setattr("driftwatch.notify._slack_connection.SILENT_FOR", 0.1)
        until(lambda: not connection.is_alive())
        connection.close()


@pytest.mark.parametrize(
    "answer", ["HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP/1.1 101 OK\r\nSec-WebSocket-Accept: forged\r\n\r\n", "rubbish"]
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaves its socket to Python
def test_what_is_no_socket_mode_is_not_taken_for_it(answer: str) -> None:
    with answering(lambda _key: answer) as address:
        connection = a_connection()
        with pytest.raises(DeliveryError, match="could not be reached") as refused:
            connection.open(address)
        assert "secret-ticket" not in str(refused.value)
        connection.close()
        gc.collect()


@pytest.mark.parametrize(
    ("address", "encrypted", "good"),
    [
        ("wss://wss-primary.slack.com/link/?ticket=t", True, True),
        ("wss://proxy.example:443/link/?ticket=t", True, True),
        ("wss://proxy.example:8443/link/?ticket=t", True, False),
        ("wss://proxy.example:8443/link/?ticket=t", False, False),
        ("ws://wss-primary.slack.com/link/?ticket=t", True, False),
        ("ws://127.0.0.1:9/link/?ticket=t", False, True),
        ("https://slack.com/?ticket=t", False, False),
        ("wss://[/?ticket=t", True, False),
        ("", False, False),
    ],
)
def test_an_address_that_would_be_reached_in_the_clear_is_refused(address: str, encrypted: bool, good: bool) -> None:
    if good:
        assert checked_address(address, encrypted=encrypted) == address
    else:
        with pytest.raises(DeliveryError, match="cannot be reached encrypted") as refused:
            checked_address(address, encrypted=encrypted)
        assert "ticket" not in str(refused.value)


def test_the_beat_says_whether_and_since_when_it_hears(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener
) -> None:
    silent = listener.beat
    assert (silent.alive, silent.connected, silent.connected_at, silent.last_message) == (False, False, None, None)
    ask(sqlite_store)
    asked(slack, listener)
    until(lambda: listener.beat.last_message)
    beat = listener.beat
    assert beat.alive
    assert beat.connected
    assert beat.connected_at is not None
    assert beat.problem == ""
    listener.stop()
    assert not listener.beat.connected


def test_it_stops_promptly_and_leaves_no_thread(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    before = set(threading.enumerate())
    listener = Listener(asking(slack), sqlite_store)
    ask(sqlite_store)
    asked(slack, listener)
    started = time.monotonic()
    listener.stop()
    assert time.monotonic() - started < 2
    assert slack.has_closed()
    until(lambda: not [each for each in set(threading.enumerate()) - before if ours(each)], 5)
    listener.start()
    assert slack.has_opened(2)
    listener.stop()


def ours(thread: threading.Thread) -> bool:
    target = str(getattr(thread, "_target", ""))
    return "slack_sdk" in target or "IntervalRunner" in target or thread.name.startswith(("slack-", "ThreadPool"))


def test_it_stops_promptly_while_slack_hangs(slack: FakeSlackSocket, sqlite_store: Store) -> None:
    listener = Listener(replace(asking(slack), base_url="http://127.0.0.1:9/api/"), sqlite_store)
    listener.start()
    until(lambda: listener.beat.problem)
    started = time.monotonic()
    listener.stop()
    assert time.monotonic() - started < 2


def test_no_token_ticket_or_nonce_is_ever_logged(
    slack: FakeSlackSocket, sqlite_store: Store, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    slack.script("apps.connections.open", says("invalid_auth"))
    question = ask(sqlite_store)
    asked(slack, listener)
    assert slack.has_ack(slack.press(APPROVE, EVE))
    slack.refresh()
    assert slack.has_opened(2)
    slack.drop()
    assert slack.has_ack(slack.press(APPROVE, ANA))
    until(lambda: not sqlite_store.approvals.unfinished())
    listener.stop()
    assert "listens for clicks" in caplog.text
    assert not [record.name for record in caplog.records if record.name.startswith("slack_sdk.socket_mode")]
    for secret in (TOKEN, APP_TOKEN, question.nonce, "ticket=", "response_url"):
        assert secret not in caplog.text
    assert TOKEN not in repr(asking(slack))
    assert APP_TOKEN not in repr(asking(slack))
