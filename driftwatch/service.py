"""The daemon in real time: a scheduler, a thread for each receiver, signals and the HTTP server around it.

Canaries are asked in a thread of their own: however slow the watched service is, its log is read and judged meanwhile.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from driftwatch import tracing
from driftwatch.agenda import Agenda, Job
from driftwatch.api import start_server
from driftwatch.config import Watch, load_watch
from driftwatch.daemon import LONGEST_JOB, LONGEST_TELLING, Daemon, open_embedder
from driftwatch.delivery import deliver_one
from driftwatch.errors import DriftwatchError
from driftwatch.notify import Notifier
from driftwatch.reporting import make_by_itself
from driftwatch.store import Store, leader

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that the step in hand gets after SIGTERM."""

IDLE_WAIT = 1.0
"""Seconds between two looks at an empty outbox."""

CLOCK_STEP = 2.0
"""Seconds by which the clock must be set, at once, before the jobs are planned anew."""

ASKING, READING, PULSE = "asking", "default", "pulse"
"""The threads that jobs run in."""


class Service:
    """One daemon with its threads and signals."""

    def __init__(self, daemon: Daemon, path: Path, stack: ExitStack) -> None:
        self.daemon = daemon
        self.path = path
        self.stack = stack
        self.reload_wanted = threading.Event()
        self.lead = stack.enter_context(leader(daemon.store))
        daemon.leading = True
        self.tracing = _export_spans(daemon.watch)
        daemon.store.outbox.reclaim(datetime.now(UTC))
        daemon.store.weekly.reclaim(datetime.now(UTC))
        self.scheduler: Any = None
        self.tellers: list[threading.Thread] = []
        self.in_hand = {name: threading.Lock() for name in (ASKING, READING, PULSE)}
        """Held while a work thread has something in hand."""
        self.coming: Watch | None = None
        """A new configuration that waits for the jobs in hand."""
        self.clock = _clock()
        self.exit_code = 0

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; the exit code."""
        self.heed_signals()
        self.start()
        while not self.daemon.stop.wait(0.25):
            if self.reload_wanted.is_set() or self.daemon.released.is_set():
                self.reload_wanted.clear()
                self.daemon.released.clear()
                self.reload()
            if self.coming is not None:
                self.switch(self.coming)
            self.follow_clock()
        return self.finish()

    def heed_signals(self) -> None:
        """SIGTERM and SIGINT end the work, SIGHUP reads the configuration again.

        A handler runs in the main thread, in the midst of whatever that does: if that is a wait for the event which the
        handler sets, both wait for ever. So a handler only puts into a queue that bears it, and a thread reads that.
        """
        heard: SimpleQueue[int] = SimpleQueue()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _frame: heard.put(number))
        threading.Thread(target=self._heed, args=[heard], name="signals", daemon=True).start()

    def _heed(self, heard: SimpleQueue[int]) -> None:
        while True:
            (self.reload_wanted if heard.get() == signal.SIGHUP else self.daemon.stop).set()

    def start(self) -> None:
        """Start the scheduler and one worker for each receiver."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        # The memory job store, no misfire limit and UTC: a queued job waits its turn, a busy database cannot stop the
        # scheduler, and no hour is skipped or doubled. What must survive a restart is in our own tables.
        self.scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={name: ThreadPoolExecutor(1) for name in self.in_hand},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._schedule()
        self.scheduler.start()
        self._start_tellers()
        where = f", {self.daemon.address}" if self.daemon.address else ""
        log.info("watching %s: %d jobs%s", self.daemon.watch.service, len(self.daemon.agenda.jobs), where)

    def _schedule(self) -> None:
        """Plan every job of the present agenda, and none of the one before."""
        self.scheduler.remove_all_jobs()
        now, agenda = datetime.now(UTC), self.daemon.agenda
        self.scheduler.add_job(self._beat, "interval", seconds=5, executor=PULSE, next_run_time=now)
        for job in agenda.jobs:
            first = {"next_run_time": now} if agenda.is_due(job, now) else {}
            self.scheduler.add_job(
                self._do,
                job.schedule.trigger,
                args=[job, agenda],
                id=job.name,
                name=job.name,
                executor=_thread_of(job),
                **first,
            )

    def _do(self, job: Job, agenda: Agenda) -> None:
        """One run of one job by the scheduler; what breaks is logged and tried again when it is next due."""
        now = datetime.now(UTC)
        with self.in_hand[_thread_of(job)]:
            if self.daemon.stop.is_set() or agenda is not self.daemon.agenda:
                return
            if job.asks and self.coming is not None:
                return  # it is due still, and done by the new configuration
            self.daemon.pulse.beat(f"job {job.name}", LONGEST_JOB)
            try:
                agenda.run(job, now, now)
            except DriftwatchError as error:
                log.error("the job %r failed and will run again when it is next due: %s", job.name, error)
            except Exception:
                # A job that breaks must not end the daemon; the watchdog and the blind alerts make it seen.
                log.exception("the job %r failed and will run again when it is next due", job.name)
            finally:
                self.daemon.pulse.rest(f"job {job.name}")

    def _beat(self) -> None:
        with self.in_hand[PULSE]:
            if self.daemon.stop.is_set():
                return  # the lead is given up, and with it the connection that is asked
            self.daemon.leading = self.lead.still_held()
            if not self.daemon.leading:
                log.error("another driftwatch took over the database; stopping")
                self.exit_code = 1
                self.daemon.stop.set()
            self.daemon.pulse.beat("scheduler")

    def _start_tellers(self) -> None:
        self.tellers = [
            threading.Thread(target=self._tell, args=[notifier], name=f"tell {notifier.name}", daemon=True)
            for notifier in self.daemon.notifiers
        ]
        for teller in self.tellers:
            teller.start()

    def _tell(self, notifier: Notifier) -> None:
        """The outbox worker of one receiver: a slow one delays nobody else."""
        daemon = self.daemon
        # The receiver of a new configuration may be equal to this one and has a worker of its own.
        while not daemon.stop.is_set() and any(notifier is each for each in daemon.notifiers):
            daemon.pulse.beat(f"tell {notifier.name}", LONGEST_TELLING)
            try:
                now, context = datetime.now(UTC), daemon.delivery_context()
                worked = deliver_one(daemon.store, notifier, now, context)
                daemon.retelling.tell(daemon.store, notifier, now, context)
                worked = daemon.tell_report(notifier, now) or worked
            except DriftwatchError as error:
                log.error("telling %s failed and will be tried again: %s", notifier.name, error)
                daemon.stop.wait(GRACE)
                worked = False
            except Exception:
                # Telling must go on whatever one message or one busy database did.
                log.exception("telling %s failed and will be tried again", notifier.name)
                worked = False
            if not worked:
                daemon.stop.wait(IDLE_WAIT)
        daemon.pulse.rest(f"tell {notifier.name}")

    def reload(self) -> None:
        """Read the configuration again; an invalid one changes nothing and says so."""
        try:
            watch = load_watch(self.path)
        except DriftwatchError as error:
            self.daemon.reload_error = str(error)
            log.error("the new configuration is not used, the old one stays:\n%s", error)
            return
        if watch.database != self.daemon.watch.database:
            self.daemon.reload_error = "the database can only be changed by a restart"
            log.error("the new configuration is not used: %s", self.daemon.reload_error)
            return
        self.coming = watch
        if self.in_hand[ASKING].locked():
            log.info("the new configuration is valid and will be used when the canaries in hand have been asked")

    def switch(self, watch: Watch) -> None:
        """Work by ``watch`` if no job is in hand; else this is called again."""
        with ExitStack() as held:
            for lock in self.in_hand.values():
                if not lock.acquire(timeout=0.1):
                    return
                held.callback(lock.release)
            try:
                self._switch(watch)
            except DriftwatchError as error:
                log.error("the new configuration cannot be used yet and will be tried again: %s", error)
                self.daemon.stop.wait(GRACE)
                return
        self.coming = None
        log.info("the new configuration is in use: %d jobs", len(self.daemon.agenda.jobs))

    def _switch(self, watch: Watch) -> None:
        if watch.otel != self.daemon.watch.otel:
            started = _export_spans(watch)
            self.tracing()
            self.tracing = started
        self.daemon.use(watch)
        self.daemon.engine.retire(datetime.now(UTC))
        self.daemon.reload_error = ""
        self._schedule()
        self._start_tellers()

    def follow_clock(self) -> None:
        """Plan the jobs anew when the clock was set: else they would wait until it is again as late as it was."""
        before, self.clock = self.clock, _clock()
        if abs(self.clock - before) > CLOCK_STEP:
            log.warning("the clock was set by %+.0f s; every job is planned anew", self.clock - before)
            self._schedule()

    def finish(self) -> int:
        """Let the step in hand end, for at most five seconds; then nothing is lost either."""
        log.info("stopping")
        self.scheduler.shutdown(wait=False)
        self.daemon.close()
        deadline = time.monotonic() + GRACE - 1
        finished = True
        for lock in self.in_hand.values():
            if lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                lock.release()  # what still waits for its turn sees that we stop, and goes
            else:
                finished = False
        for teller in self.tellers:
            teller.join(max(0.0, deadline - time.monotonic()))
        self.tracing()
        if not finished or any(teller.is_alive() for teller in self.tellers):
            log.warning("a step was still in hand; it will be done again at the next start")
            logging.shutdown()
            os._exit(self.exit_code)  # interpreter exit would wait for the threads without limit
        return self.exit_code


def _export_spans(watch: Watch) -> Callable[[], None]:
    """Export spans where the configuration says so; returns how to stop."""
    if watch.otel is None:
        return lambda: None
    return tracing.export(watch.otel.endpoint, watch.otel.secrets, watch.otel.service_name)


def _thread_of(job: Job) -> str:
    return ASKING if job.asks else READING


def _clock() -> float:
    """How far the clock on the wall is ahead of the one that nobody sets, in seconds."""
    return time.time() - time.monotonic()


def serve(path: Path, ready: Callable[[Daemon], None] | None = None) -> int:
    """Run the daemon of the configuration at ``path`` until it is told to stop."""
    watch = load_watch(path)
    with ExitStack() as stack:
        store = Store.open(watch.database)
        stack.callback(store.close)
        daemon = Daemon(watch, store, embedder=open_embedder(watch), reporter=make_by_itself)
        service = Service(daemon, path, stack)
        daemon.engine.retire(datetime.now(UTC))
        if watch.api is not None:
            stack.callback(start_server(daemon, watch.api))
        if ready is not None:
            ready(daemon)
        return service.run()
