"""The daemon in real time: a scheduler, a thread for each receiver, signals and the HTTP server around it."""

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
from typing import Any

from driftwatch.agenda import Job
from driftwatch.api import start_server
from driftwatch.config import Watch, load_watch
from driftwatch.daemon import LONGEST_JOB, LONGEST_TELLING, Daemon, open_embedder
from driftwatch.delivery import deliver_one
from driftwatch.errors import DriftwatchError
from driftwatch.notify import Notifier
from driftwatch.store import Store, leader

log = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds that the step in hand gets after SIGTERM."""

IDLE_WAIT = 1.0
"""Seconds between two looks at an empty outbox."""


class Service:
    """One daemon with its threads and signals."""

    def __init__(self, daemon: Daemon, path: Path, stack: ExitStack) -> None:
        self.daemon = daemon
        self.path = path
        self.stack = stack
        self.reload_wanted = threading.Event()
        self.lead = stack.enter_context(leader(daemon.store))
        daemon.store.outbox.reclaim(datetime.now(UTC))
        self.scheduler: Any = None
        self.tellers: list[threading.Thread] = []
        self.in_hand = threading.Lock()
        self.exit_code = 0

    def run(self) -> int:
        """Work until SIGTERM or SIGINT; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.daemon.stop.set())
        signal.signal(signal.SIGHUP, lambda *_: self.reload_wanted.set())
        self.start()
        while not self.daemon.stop.wait(0.25):
            if self.reload_wanted.is_set():
                self.reload_wanted.clear()
                self.reload()
        return self.finish()

    def start(self) -> None:
        """Start the scheduler and one worker for each receiver."""
        from apscheduler.executors.pool import ThreadPoolExecutor
        from apscheduler.schedulers.background import BackgroundScheduler

        # The memory job store, no misfire limit and UTC: a queued job waits its turn, a busy database cannot stop the
        # scheduler, and no hour is skipped or doubled. What must survive a restart is in our own tables.
        self.scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1), "pulse": ThreadPoolExecutor(1)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self.scheduler.add_job(self._beat, "interval", seconds=5, executor="pulse", next_run_time=datetime.now(UTC))
        self._schedule()
        self.scheduler.start()
        self._start_tellers()
        where = f", {self.daemon.address}" if self.daemon.address else ""
        log.info("watching %s: %d jobs%s", self.daemon.watch.service, len(self.daemon.agenda.jobs), where)

    def _schedule(self) -> None:
        now = datetime.now(UTC)
        for job in self.daemon.agenda.jobs:
            first = {"next_run_time": now} if self.daemon.agenda.is_due(job, now) else {}
            self.scheduler.add_job(self._do, job.schedule.trigger, args=[job], id=job.name, name=job.name, **first)

    def _do(self, job: Job) -> None:
        """One run of one job by the scheduler; what breaks is logged and tried again when it is next due."""
        now = datetime.now(UTC)
        with self.in_hand:
            if self.daemon.stop.is_set():
                return
            self.daemon.pulse.beat(f"job {job.name}", LONGEST_JOB)
            try:
                self.daemon.agenda.run(job, now, now)
            except Exception:
                # A job that breaks must not end the daemon; the watchdog and the blind alerts make it seen.
                log.exception("the job %r failed and will run again when it is next due", job.name)
            finally:
                self.daemon.pulse.rest(f"job {job.name}")

    def _beat(self) -> None:
        if not self.lead.still_held():
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
        while not daemon.stop.is_set() and notifier in daemon.notifiers:
            daemon.pulse.beat(f"tell {notifier.name}", LONGEST_TELLING)
            try:
                worked = deliver_one(daemon.store, notifier, datetime.now(UTC), daemon.delivery_context())
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
        with self.in_hand:
            self._switch(watch)
        log.info("the new configuration is in use: %d jobs", len(self.daemon.agenda.jobs))

    def _switch(self, watch: Watch) -> None:
        for job in self.daemon.agenda.jobs:
            if self.scheduler.get_job(job.name):
                self.scheduler.remove_job(job.name)
        self.daemon.use(watch)
        self.daemon.engine.retire(datetime.now(UTC))
        self.daemon.reload_error = ""
        self._schedule()
        self._start_tellers()

    def finish(self) -> int:
        """Let the step in hand end, for at most five seconds; then nothing is lost either."""
        log.info("stopping")
        self.scheduler.shutdown(wait=False)
        deadline = time.monotonic() + GRACE - 1
        finished = self.in_hand.acquire(timeout=GRACE - 1)
        if finished:
            self.in_hand.release()  # what still waits for its turn sees that we stop, and goes
        for teller in self.tellers:
            teller.join(max(0.0, deadline - time.monotonic()))
        if not finished or any(teller.is_alive() for teller in self.tellers):
            log.warning("a step was still in hand; it will be done again at the next start")
            logging.shutdown()
            os._exit(self.exit_code)  # interpreter exit would wait for the threads without limit
        return self.exit_code


def serve(path: Path, ready: Callable[[Daemon], None] | None = None) -> int:
    """Run the daemon of the configuration at ``path`` until it is told to stop."""
    watch = load_watch(path)
    with ExitStack() as stack:
        store = Store.open(watch.database)
        stack.callback(store.close)
        daemon = Daemon(watch, store, embedder=open_embedder(watch))
        service = Service(daemon, path, stack)
        daemon.engine.retire(datetime.now(UTC))
        if watch.api is not None:
            stack.callback(start_server(daemon, watch.api))
        if ready is not None:
            ready(daemon)
        return service.run()
