"""What waits for what in the daemon: canaries, the log, a new configuration and the clock."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.agenda import Job
from driftwatch.daemon import Daemon
from driftwatch.errors import StoreError
from driftwatch.schedule import Schedule
from driftwatch.service import PULSE, Service
from driftwatch.store import Store
from tests.fakes.world import EMPTY, RECALL, append, log_lines, make_world

pytestmark = pytest.mark.process

GATE = threading.Event()
ASKED = threading.Event()


def search(text: str, top_k: int) -> list[str]:
    """Answers only when the gate is open."""
    ASKED.set()
    GATE.wait(20)
    return ["doc"]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service whose jobs run and whose main loop does not: tests take its steps."""
    GATE.clear()
    ASKED.clear()
    make_world(tmp_path, RECALL, EMPTY)
    edit(tmp_path, "tests.fakes.world:search", f"{__name__}:search")
    edit(tmp_path, "every: 10s", "every: 1s")
    append(tmp_path, log_lines(datetime.now(UTC) - timedelta(hours=2), 1))
    watch = make_watch(tmp_path)
    store = Store.open(watch.database)
    with ExitStack() as stack:
        stack.callback(store.close)
        service = Service(Daemon(watch, store), watch.path, stack)
        yield service
        GATE.set()
        service.daemon.stop.set()
        if service.scheduler is not None:
            service.scheduler.shutdown()
        for teller in service.tellers:
            teller.join(5)


def make_watch(folder: Path):
    from driftwatch.config import load_watch

    return load_watch(folder / "driftwatch.yaml", {})


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "driftwatch.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counted(service: Service) -> int:
    return service.daemon.store.traffic.line_counts().get("live", 0)


@pytest.fixture
def signals() -> Iterator[None]:
    """The handlers of the tests are there again afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_in_the_midst_of_a_wait_for_its_event_is_heard(service: Service, number: signal.Signals):
    event = service.reload_wanted if number == signal.SIGHUP else service.daemon.stop
    service.heed_signals()
    with event._cond:  # held for moments of every wait, by the very thread that runs the handler
        signal.raise_signal(number)
        assert not event.is_set()
    assert event.wait(5)


def test_who_stops_does_not_look_for_the_lead_again(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "lead", None)  # to look would raise
    service.daemon.stop.set()
    service._beat()
    assert service.exit_code == 0


def test_a_database_that_no_longer_answers_does_not_hold_up_the_end(service: Service, monkeypatch: pytest.MonkeyPatch):
    ended: list[int] = []
    monkeypatch.setattr("driftwatch.service.os._exit", ended.append)
    monkeypatch.setattr("driftwatch.service.logging.shutdown", lambda: None)
    monkeypatch.setattr("driftwatch.service.GRACE", 1.2)
    asked, answers = threading.Event(), threading.Event()

    class Lead:
        def still_held(self) -> bool:
            asked.set()
            return answers.wait(20)

    monkeypatch.setattr(service, "lead", Lead())
    GATE.set()
    service.start()
    assert asked.wait(10)
    service.daemon.stop.set()
    service.finish()
    service.scheduler = None  # it is shut down
    answers.set()
    assert ended == [0]


def test_the_log_is_read_while_canaries_wait_for_a_slow_service(tmp_path: Path, service: Service):
    service.start()
    assert ASKED.wait(10)
    until(lambda: counted(service) == 180)
    append(tmp_path, log_lines(datetime.now(UTC) - timedelta(hours=2), 1))
    until(lambda: counted(service) == 360)
    assert service.daemon.store.canaries.latest("canaries") is None


def test_a_new_configuration_waits_for_the_canaries_in_hand_and_holds_up_nothing(tmp_path: Path, service: Service):
    service.start()
    assert ASKED.wait(10)
    edit(tmp_path, "service: help-centre", "service: help-desk")
    service.reload()
    started = time.monotonic()
    service.switch(service.coming)
    assert time.monotonic() - started < 1
    assert service.daemon.watch.service == "help-centre"
    append(tmp_path, log_lines(datetime.now(UTC) - timedelta(hours=2), 1))
    until(lambda: counted(service) == 360)
    GATE.set()
    until(lambda: service.coming is None or service.switch(service.coming))
    assert service.daemon.watch.service == "help-desk"


def test_what_was_planned_by_the_old_configuration_is_not_done_by_it(service: Service):
    service.start()
    GATE.set()
    old = service.daemon.agenda
    service.reload()
    until(lambda: service.coming is None or service.switch(service.coming))
    done: list[datetime] = []
    judged = next(job for job in old.jobs if job.name.startswith("checks of live"))
    watched = replace(judged, work=lambda due, _now: done.append(due))
    service._do(watched, old)
    assert done == []
    service._do(watched, service.daemon.agenda)
    assert len(done) == 1


def test_each_receiver_keeps_one_worker_however_often_the_configuration_is_read(service: Service):
    GATE.set()
    service.start()
    for _ in range(3):
        service.reload()
        until(lambda: service.coming is None or service.switch(service.coming))
    until(lambda: [thread.name for thread in threading.enumerate()].count("tell terminal") == 1)


def test_a_new_configuration_that_meets_a_busy_database_is_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    GATE.set()
    service.start()
    service.reload()
    service.daemon.stop.wait = lambda _seconds: False  # type: ignore[method-assign]

    def busy() -> None:
        raise StoreError("the database is busy.")

    with monkeypatch.context() as patch:
        patch.setattr(service.daemon.store.decisions, "last_runs", busy)
        until(lambda: service.switch(service.coming) or "will be tried again" in caplog.text)
        assert service.coming is not None
    until(lambda: service.coming is None or service.switch(service.coming))
    assert service.daemon.agenda.engine.watch is service.daemon.watch


def test_a_database_that_refuses_is_one_line_and_no_traceback(service: Service, caplog: pytest.LogCaptureFixture):
    def refuses(_due: datetime, _now: datetime) -> None:
        raise StoreError("the disk is full.", remedy="Make room.")

    service._do(Job("read", Schedule.parse("1h"), refuses), service.daemon.agenda)
    (said,) = [record for record in caplog.records if "'read' failed" in record.message]
    assert "the disk is full. Make room." in said.message
    assert said.exc_info is None


def test_a_clock_that_is_set_back_holds_up_no_job(service: Service, caplog: pytest.LogCaptureFixture):
    GATE.set()
    service.start()
    an_hour_ahead = datetime.now(UTC) + timedelta(hours=1)
    for job in service.scheduler.get_jobs():  # as they are after the clock went back by an hour
        job.modify(next_run_time=an_hour_ahead)
    service.clock += 3600
    with caplog.at_level(logging.WARNING):
        service.follow_clock()
    assert "the clock was set by -3600 s" in caplog.text
    planned = {job.name: job.next_run_time for job in service.scheduler.get_jobs()}
    assert planned["source live"] <= datetime.now(UTC) + timedelta(seconds=1)
    beats = [job for job in service.scheduler.get_jobs() if job.executor == PULSE]
    assert [job.next_run_time <= datetime.now(UTC) + timedelta(seconds=5) for job in beats] == [True]


def test_a_clock_that_is_corrected_bit_by_bit_plans_nothing_anew(service: Service, caplog: pytest.LogCaptureFixture):
    service.clock += 0.5
    service.follow_clock()
    assert "the clock" not in caplog.text
