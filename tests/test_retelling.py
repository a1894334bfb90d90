from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.alerts import AlertPolicy, advance, incident_key
from driftwatch.config import load_watch
from driftwatch.daemon import Daemon
from driftwatch.delivery import DeliveryContext, deliver_one
from driftwatch.notify.alertmanager import Alertmanager
from driftwatch.notify.webhook import Webhook
from driftwatch.retelling import Retelling, standing
from driftwatch.service import Service
from driftwatch.store import Store
from driftwatch.types import Alert, Silence
from tests.fakes.alertmanager import FakeAlertmanager
from tests.fakes.notices import HOUR, START, finding
from tests.fakes.receiver import Answer
from tests.fakes.world import RECALL, make_world

pytestmark = pytest.mark.process

POLICY = AlertPolicy(after=1, until=1, blind_after=1)
CONTEXT = DeliveryContext("help-centre")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    yield store
    store.close()


@pytest.fixture
def manager() -> Iterator[FakeAlertmanager]:
    with FakeAlertmanager() as manager:
        yield manager


def receiver(manager: FakeAlertmanager, **more: Any) -> Alertmanager:
    return Alertmanager(**{"kind": "alertmanager", "name": "prom", "urls": [manager.url], "timeout": "2s"} | more)


def look(store: Store, verdict: str, now: datetime = START, *, check: str = "canary recall") -> None:
    """One look that is decided and waits in the outbox: g(ood) or b(ad)."""
    alert = store.decisions.alerts().get((check, "de")) or Alert(check, "de")
    found = finding(verdict, now, check=check)
    moved, news = advance(alert, found, POLICY, now, incident=incident_key("canaries", "de", START))
    assert news is not None
    silences = store.decisions.silences(now)
    store.decisions.record(
        findings=[found],
        alerts=[moved],
        transitions=[news],
        receivers={"prom": frozenset({"firing", "resolved"})},
        held={news.key: silences[-1].until} if silences else {},
    )


def tell(store: Store, prom: Alertmanager, now: datetime = START) -> None:
    while deliver_one(store, prom, now, CONTEXT):
        pass


def silence(store: Store, now: datetime, length: timedelta) -> None:
    store.decisions.add_silence(Silence(f"s{now}", "*", "*", now + length, "ana", "re-index", now))


def test_what_is_open_is_said_again_once_a_minute(store: Store, manager: FakeAlertmanager) -> None:
    prom, retelling = receiver(manager), Retelling()
    look(store, "b")
    tell(store, prom)
    assert [retelling.tell(store, prom, START + second * SECOND, CONTEXT) for second in (1, 30, 61, 90, 122)] == [
        True,
        False,
        True,
        False,
        True,
    ]
    assert len(manager.pushed) == 1 + 3
    assert len(manager.alerts) == 1


def test_a_restart_says_it_at_once(store: Store, manager: FakeAlertmanager) -> None:
    look(store, "b")
    tell(store, receiver(manager))
    for _ in range(2):
        assert Retelling().tell(store, receiver(manager), START + SECOND, CONTEXT)
    assert len(manager.pushed) == 3


def test_an_alert_stays_open_for_as_long_as_it_is_and_no_longer(store: Store, manager: FakeAlertmanager) -> None:
    """Hours in time lapse: without repeats Alertmanager would take it to be over after three minutes."""
    retelling, prom = Retelling(), receiver(manager, every="10m")
    look(store, "b")
    tell(store, prom)
    for step in range(1, 15):
        manager.now = START + step * 10 * MINUTE
        retelling.tell(store, prom, manager.now, CONTEXT)
        assert manager.firing(), manager.now
    look(store, "g", manager.now)
    tell(store, prom, manager.now)
    assert not manager.firing()
    assert retelling.tell(store, prom, manager.now + MINUTE, CONTEXT) is False
    pushed = len(manager.pushed)
    manager.now += 10 * MINUTE
    assert retelling.tell(store, prom, manager.now, CONTEXT) is False
    assert len(manager.pushed) == pushed


def test_an_end_is_said_again_for_five_minutes_to_members_that_missed_it(
    store: Store, manager: FakeAlertmanager
) -> None:
    with FakeAlertmanager() as other:
        prom = receiver(manager, urls=[manager.url, other.url])
        manager.now = other.now = START + HOUR
        look(store, "b")
        tell(store, prom)
        other.outage(Answer(503))
        look(store, "g", START + HOUR)
        tell(store, prom, START + HOUR)
        assert (len(manager.firing()), len(other.firing())) == (0, 1)
        other.outage(None)
        Retelling().tell(store, prom, START + HOUR + 2 * MINUTE, CONTEXT)
        assert other.firing() == []
    assert standing(store, "prom", START + HOUR + 6 * MINUTE, CONTEXT) == []


def test_what_was_not_told_is_not_said_again(store: Store, manager: FakeAlertmanager) -> None:
    manager.outage(Answer(503))
    look(store, "b")
    prom = receiver(manager)
    tell(store, prom)
    manager.outage(None)
    assert Retelling().tell(store, prom, START + SECOND, CONTEXT) is False
    assert manager.pushed == []


def test_what_a_silence_has_covered_since_it_opened_is_not_said(store: Store, manager: FakeAlertmanager) -> None:
    """Its incident is known by another alert."""
    prom = receiver(manager)
    look(store, "b")
    tell(store, prom)
    silence(store, START + MINUTE, 2 * HOUR)
    look(store, "b", START + HOUR, check="canary nDCG")
    now = START + HOUR + MINUTE
    Retelling().tell(store, prom, now, CONTEXT)
    assert {each["labels"]["alertname"] for each in manager.pushed[-1]} == {"canary recall"}
    now = START + 3 * HOUR
    tell(store, prom, now)
    assert {each["labels"]["alertname"] for each in manager.pushed[-1]} == {"canary recall", "canary nDCG"}


def test_a_receiver_that_is_down_is_said_once_in_the_log_and_breaks_nothing(
    store: Store, manager: FakeAlertmanager, caplog: pytest.LogCaptureFixture
) -> None:
    prom, retelling = receiver(manager), Retelling()
    look(store, "b")
    tell(store, prom)
    manager.outage(Answer(500, b"boom"))
    with caplog.at_level(logging.INFO, logger="driftwatch"):
        assert [retelling.tell(store, prom, START + n * MINUTE, CONTEXT) for n in (1, 2, 3)] == [False] * 3
        manager.outage(None)
        assert retelling.tell(store, prom, START + 4 * MINUTE, CONTEXT)
    said = [record.message for record in caplog.records]
    assert [text.split(":")[0] for text in said] == [
        "prom was not told again of what is open",
        "prom is told again of what is open",
    ]


def test_a_receiver_that_remembers_is_left_alone(store: Store) -> None:
    hook = Webhook(kind="webhook", name="prom", url="http://127.0.0.1:9")  # type: ignore[arg-type]
    look(store, "b")
    assert Retelling().tell(store, hook, START, CONTEXT) is False


def test_a_running_daemon_says_it_again(tmp_path: Path, manager: FakeAlertmanager) -> None:
    path = make_world(tmp_path, RECALL).path
    notify = f"{{kind: alertmanager, name: prom, urls: '{manager.url}', every: 5s}}"
    path.write_text(path.read_text().replace("{kind: console, name: terminal}", notify))
    watch = load_watch(path)
    with ExitStack() as stack:
        store = Store.open(watch.database)
        stack.callback(store.close)
        daemon = Daemon(watch, store)
        look(store, "b", datetime.now(UTC))
        service = Service(daemon, path, stack)
        service.start()
        deadline = time.monotonic() + 30
        while len(manager.pushed) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        daemon.stop.set()
        assert service.finish() == 0
    assert len(manager.pushed) >= 3, "told, at once again after the start, and once more after five seconds"
    assert len({each["labels"]["incident"] for body in manager.pushed for each in body}) == 1
