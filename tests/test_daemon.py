"""What runs for a long time, with the clock as an argument; and its threads, against real receivers."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from driftwatch.config import load_watch
from driftwatch.daemon import STALE, Daemon, Pulse
from driftwatch.notify import Notifier
from driftwatch.retrievers import Retriever
from driftwatch.service import Service
from driftwatch.store import Store
from driftwatch.types import Alert, Embedder, Finding, Notice, Query, Reply, Transition
from tests.fakes.webhook import Answer, FakeWebhook
from tests.fakes.world import BROKEN, RECALL, START, make_world

HOUR = timedelta(hours=1)


class Told(Notifier):
    """Keeps what it is told."""

    kind: Literal["told"] = "told"
    notices: list[Notice]

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        self.notices.append(notice)
        return None

    @property
    def events(self) -> list[str]:
        return [notice.event for notice in self.notices]


class Shelf(Retriever):
    """Finds nothing, and knows how often it was closed."""

    kind: Literal["shelf"] = "shelf"
    closed: list[bool]

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        return [Reply(()) for _ in queries]

    def reach(self) -> str:
        return "nothing"

    def close(self) -> None:
        self.closed.append(True)


@pytest.fixture(autouse=True)
def _whole() -> Iterator[None]:
    BROKEN.clear()
    yield
    BROKEN.clear()


Make = Callable[..., Daemon]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    opened: list[Daemon] = []

    def made(more: str = "", notify: str = "{kind: console, name: terminal}", **given: Any) -> Daemon:
        path = make_world(tmp_path, RECALL, more=more).path
        path.write_text(path.read_text().replace("{kind: console, name: terminal}", notify))
        watch = load_watch(path)
        opened.append(Daemon(watch, Store.open(watch.database), **given))
        return opened[-1]

    yield made
    for daemon in opened:
        daemon.store.close()


@pytest.fixture
def told() -> Told:
    return Told(kind="told", name="terminal", notices=[])


# --- jobs ----------------------------------------------------------------------------------------------------------


def test_what_is_due_is_done_and_everybody_is_told_of_it(make: Make, told: Told):
    daemon = make(notifiers=(told,))
    BROKEN.add("de")
    assert daemon.run_due(START) == ["source canaries", "remind", "maintain"]
    assert told.events == []
    assert "source canaries" in daemon.run_due(START + 6 * HOUR)
    assert told.events == ["firing"]
    assert told.notices[0].incident.segment == "de"


def test_what_has_been_open_for_a_day_is_said_again_once(make: Make, told: Told):
    daemon = make(notifiers=(told,))
    BROKEN.add("de")
    for hour in range(0, 36, 6):
        daemon.run_due(START + hour * HOUR)
    assert told.events == ["firing", "reminded"]
    assert told.notices[1].at == START + 30 * HOUR
    daemon.run_due(START + 30 * HOUR + timedelta(minutes=1))
    assert told.events == ["firing", "reminded"]
    BROKEN.clear()
    for hour in (36, 42):
        daemon.run_due(START + hour * HOUR)
    assert told.events == ["firing", "reminded", "resolved"]


def test_notices_link_to_where_people_reach_the_pages_and_never_to_this_machine(make: Make):
    daemon = make()
    daemon.address = "http://127.0.0.1:9464"
    assert daemon.delivery_context().pages_url == ""
    path = daemon.watch.path
    path.write_text(path.read_text().replace("api: off", "api: {public_url: 'https://driftwatch.example.org/'}"))
    daemon.use(load_watch(path))
    assert daemon.delivery_context().pages_url == "https://driftwatch.example.org"


def test_a_retriever_that_is_replaced_lets_go_of_its_connections(make: Make):
    daemon = make()
    shelf = Shelf(kind="shelf", closed=[])
    daemon.use(daemon.watch.model_copy(update={"retriever": shelf}))
    assert shelf.closed == []
    daemon.use(load_watch(daemon.watch.path))
    assert shelf.closed == [True]


def test_another_model_in_the_configuration_is_used_from_then_on(make: Make):
    daemon = make()
    assert daemon.embedder is None
    path = daemon.watch.path
    path.write_text(path.read_text() + "embedder: {model: acme/small}\n")
    daemon.use(load_watch(path))
    first = daemon.embedder
    assert first is not None
    daemon.use(load_watch(path))
    assert daemon.embedder is first
    path.write_text(path.read_text().replace("acme/small", "acme/large"))
    daemon.use(load_watch(path))
    assert daemon.embedder is not first
    assert daemon.engine.observer.embedder is daemon.embedder


# --- the dead man's switch -----------------------------------------------------------------------------------------


def test_the_heartbeat_is_sent_as_long_as_every_part_lives(make: Make):
    with FakeWebhook() as switch:
        daemon = make(f"heartbeat: {{url: '{switch.url}', every: 10m}}\n")
        for minute in (0, 1, 10, 19, 20):
            daemon.run_due(START + timedelta(minutes=minute))
        assert [each.method for each in switch.received] == ["GET"] * 3


def test_the_heartbeat_stops_when_a_part_is_dead(make: Make):
    with FakeWebhook() as switch:
        daemon = make(f"heartbeat: {{url: '{switch.url}', every: 1m}}\n")
        daemon.pulse.beat("tell terminal")
        daemon.pulse.beats["scheduler"] = time.monotonic() - STALE - 1
        daemon.run_due(START)
        assert switch.received == []
        assert daemon.health()["dead"] == ["scheduler"]
        daemon.pulse.beat("scheduler")
        daemon.run_due(START + timedelta(minutes=1))
        assert len(switch.received) == 1


def test_a_switch_that_does_not_answer_is_logged_without_its_address(make: Make, caplog: pytest.LogCaptureFixture):
    with FakeWebhook() as switch:
        switch.script(Answer(status=500))
        daemon = make(f"heartbeat: '{switch.url}'\n")
        assert "heartbeat" in daemon.run_due(START)
    assert "the heartbeat was not taken: HTTPStatusError" in caplog.text
    assert "in-the-address" not in "".join(
        each.getMessage() for each in caplog.records if each.name == "driftwatch.daemon"
    )


def test_a_part_may_take_its_time_as_long_as_it_was_given():
    pulse = Pulse()
    pulse.beat("scheduler")
    pulse.beat("job source canaries", 3600)
    for part in pulse.beats:
        pulse.beats[part] -= 100
    assert pulse.dead() == ["scheduler"]
    pulse.beats["job source canaries"] -= 3600
    assert pulse.dead() == ["job source canaries", "scheduler"]
    pulse.rest("job source canaries")
    assert pulse.dead() == ["scheduler"]


# --- threads -------------------------------------------------------------------------------------------------------


def fire(daemon: Daemon, *receivers: str) -> None:
    """One alert has just fired, which these receivers are to be told."""
    now = datetime.now(UTC)
    finding = Finding("canary recall", "de", now, "fail", "recall fell", "canary", "canaries", 20, 0.4, 0.9)
    alert = Alert("canary recall", "de", "firing", now, bad=2, fired_at=now, incident="canaries-de-abc")
    fired = Transition("k1", "canary recall", "de", "firing", "pending", "firing", now, "canaries-de-abc", "canaries")
    told = dict.fromkeys(receivers, frozenset({"firing"}))
    daemon.store.decisions.record(findings=[finding], alerts=[alert], transitions=[fired], receivers=told)


def until(holds: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_receiver_that_hangs_keeps_nobody_else_waiting(make: Make, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.CRITICAL)
    with FakeWebhook() as free, ExitStack() as stack:
        with FakeWebhook() as stuck:
            stuck.script(Answer(hang=60))
            notify = ", ".join(
                f"{{kind: webhook, name: {name}, url: '{hook.url}', timeout: 30s}}"
                for name, hook in (("stuck", stuck), ("free", free))
            )
            daemon = make(notify=notify)
            service = Service(daemon, daemon.watch.path, stack)
            fire(daemon, "stuck", "free")
            service.start()
            until(lambda: stuck.received and free.taken())
            until(lambda: daemon.store.outbox.waiting() == {"stuck": 1})
            assert daemon.health()["dead"] == []
            until(lambda: daemon.store.canaries.latest("canaries"))
        daemon.stop.set()
        assert service.finish() == 0
    assert not any(teller.is_alive() for teller in service.tellers)
    assert daemon.store.outbox.waiting() == {"stuck": 1}, "it is told at the next start"
