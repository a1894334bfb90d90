"""What runs for a long time: jobs and receivers, with the clock as an argument, and a watchdog over all of it.

Killing it at any moment loses nothing: whatever it decides is in the store before it acts, and whatever it has to tell
stays in the outbox until the receiver has answered.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch import tracing
from driftwatch.agenda import Agenda, Job
from driftwatch.config import Watch, load_watch
from driftwatch.delivery import DeliveryContext, deliver_one
from driftwatch.engine import Engine
from driftwatch.evidence import texts_of
from driftwatch.notify import Notifier
from driftwatch.report.kept import Reports
from driftwatch.retelling import Retelling
from driftwatch.schedule import Schedule
from driftwatch.store import Store
from driftwatch.telling import tell_one
from driftwatch.types import Embedder

if TYPE_CHECKING:
    from driftwatch.retraining.asking import Ears
    from driftwatch.retraining.steward import Steward

log = logging.getLogger(__name__)

STALE = 60.0
"""Seconds without a pulse after which a part counts as dead."""

NAMED_BY = timedelta(days=28)
"""What was asked in so long decides which languages the metrics name, where the configuration lists none."""

LONGEST_TELLING = 180.0
"""Seconds that a receiver may take for one message, with its retries: longer than the lease of a delivery."""

Reporter = Callable[[Watch, Store, datetime, Callable[[], bool]], None]
"""Makes the report of the week that was over at a time, unless it is told to stop meanwhile."""

LONGEST_JOB = 3600.0
"""Seconds that one job may take: a retriever that never returns holds up everything behind it."""


@dataclass
class Pulse:
    """When each part of the daemon last showed that it lives (monotonic seconds)."""

    beats: dict[str, float] = field(default_factory=dict)
    patience: dict[str, float] = field(default_factory=dict)
    """Seconds until the part counts as dead."""

    def beat(self, part: str, patience: float = STALE) -> None:
        """Note that ``part`` lives."""
        self.patience[part] = patience
        self.beats[part] = time.monotonic()

    def rest(self, part: str) -> None:
        """Note that ``part`` has nothing to do."""
        self.beats.pop(part, None)

    def dead(self) -> list[str]:
        """The parts that have not shown themselves for too long."""
        now = time.monotonic()
        beats = list(self.beats.items())  # other threads beat meanwhile
        return sorted(part for part, beat in beats if now - beat > self.patience.get(part, STALE))


class Daemon:
    """One watched service, its store and its receivers, with the clock as an argument."""

    def __init__(
        self,
        watch: Watch,
        store: Store,
        *,
        embedder: Embedder | None = None,
        notifiers: tuple[Notifier, ...] | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        self.store = store
        self.embedder = embedder
        self.stop = threading.Event()
        self.released = threading.Event()
        """Set when another model was switched on, which the configuration follows when it is read again."""
        self.ears: Ears | None = None
        self.pulse = Pulse()
        self.retelling = Retelling()
        self.reload_error = ""
        self.leading = False
        """Whether this process is the one that writes to the database, when that was last looked at."""
        self.address = ""
        """Where the API listens on this machine; people may reach it elsewhere (``api.public_url``)."""
        self.started = datetime.now(UTC)
        self._given_notifiers = notifiers
        self.reporter = reporter
        self.use(watch)

    def use(self, watch: Watch) -> None:
        """Work by ``watch`` from now on; the retrievers of the one before let go of theirs."""
        before: Watch | None = getattr(self, "watch", None)
        if before is not None and watch.embedder != before.embedder:
            getattr(self.embedder, "close", lambda: None)()
            self.embedder = open_embedder(watch)
        shadows = [getattr(each, "retriever", None) for each in before.sources.values()] if before is not None else []
        for retriever in (before.retriever, before.index, *shadows) if before is not None else ():
            if retriever is not None:
                retriever.close()
        self.watch = watch
        self.notifiers = watch.notify if self._given_notifiers is None else self._given_notifiers
        self.engine = Engine(watch, self.store, embedder=self.embedder, stopping=self.stop.is_set)
        self.close()
        self.retraining, self.ears = self._retraining(watch)
        self.agenda = Agenda(self.engine, self.store, self._care())

    def close(self) -> None:
        """Stop what was started beside the jobs."""
        if self.ears is not None:
            self.ears.close()

    def run_due(self, now: datetime) -> list[str]:
        """Do everything that is due at ``now``, then tell everybody; the names of the jobs that ran."""
        ran = self.agenda.run_due(now)
        self.deliver(now)
        if self.released.is_set():
            self.released.clear()
            self.use(load_watch(self.watch.path))
        return ran

    def deliver(self, now: datetime) -> int:
        """Work off the outbox of every receiver as far as they take it; how many deliveries were tried."""
        context = self.delivery_context()
        tried = sum(_while_there_is_work(self.store, notifier, now, context) for notifier in self.notifiers)
        for notifier in self.notifiers:
            self.retelling.tell(self.store, notifier, now, context)
            while self.tell_report(notifier, now):
                tried += 1
        return tried

    def tell_report(self, notifier: Notifier, now: datetime) -> bool:
        """Tell one receiver of the oldest weekly report that it waits for; whether to go on at once."""
        pages_url = self.watch.api.public_url if self.watch.api else ""
        return tell_one(self.store, notifier, Reports(self.watch.state), pages_url, now)

    def delivery_context(self) -> DeliveryContext:
        """What delivery needs to know beside the outbox."""
        texts = partial(texts_of, watch=self.watch, store=self.store) if self.watch.privacy.show_queries else None
        pages_url = self.watch.api.public_url if self.watch.api else ""
        return DeliveryContext(service=self.watch.service, texts=texts, pages_url=pages_url)

    def _care(self) -> tuple[Job, ...]:
        """What the daemon does for itself."""
        jobs = [
            Job("remind", Schedule.parse("1m"), lambda _due, now: self._ignore(self.engine.remind(now))),
            Job("maintain", Schedule.parse("daily 03:10"), lambda _due, now: self._maintain(now)),
        ]
        if self.watch.heartbeat is not None:
            jobs.append(Job("heartbeat", self.watch.heartbeat.every, lambda _due, _now: self._send_heartbeat()))
        if self.reporter is not None and self.watch.report is not None:
            every = self.watch.report.every
            jobs.append(Job("report", every, lambda due, _now: self._report(due), remembered=True, asks=True))
        if self.retraining is not None:
            jobs.append(Job("retrain", Schedule.parse("1m"), lambda _due, now: self._retrain(now)))
        return tuple(jobs)

    def _retraining(self, watch: Watch) -> tuple[Steward | None, Ears | None]:
        """Who looks after retraining, and who hears what people say of it; imported only where it is configured."""
        if watch.retrain is None:
            return None, None
        from driftwatch.retraining.asking import Ears
        from driftwatch.retraining.steward import Steward

        return Steward(watch, self.store, self.released.set), Ears(watch, self.store)

    def _retrain(self, now: datetime) -> None:
        assert self.retraining is not None
        assert self.ears is not None
        try:
            stand = self.retraining.step(now)
        finally:
            self.ears.prick()  # whatever is wrong with a job, who was asked is heard
        log.log(logging.INFO if stand.job else logging.DEBUG, "retraining %s: %s. %s", *astuple(stand))

    def _report(self, due: datetime) -> None:
        assert self.reporter is not None
        with tracing.span("report", due=due.date().isoformat()):
            self.reporter(self.watch, self.store, due, self.stop.is_set)

    @staticmethod
    def _ignore(_result: object) -> None:
        return None

    def _maintain(self, now: datetime) -> None:
        self.store.maintain(self.watch.retention, now)
        if not self.watch.languages:
            self.store.totals.choose_languages(now - NAMED_BY)

    def _send_heartbeat(self) -> None:
        """Tell a dead-man's switch that we live; that it does not answer is its own affair, but is logged."""
        import httpx

        assert self.watch.heartbeat is not None
        if self.health()["dead"]:
            return
        try:
            httpx.get(self.watch.heartbeat.url.get_secret_value(), timeout=10).raise_for_status()
        except httpx.HTTPError as error:
            log.warning("the heartbeat was not taken: %s", type(error).__name__)

    def health(self) -> dict[str, Any]:
        """What ``/healthz`` says: only about ourselves, never about the watched service."""
        return {
            "service": self.watch.service,
            "started": self.started.isoformat(),
            "dead": self.pulse.dead(),
            "reload_error": self.reload_error,
            "outbox": self.store.outbox.waiting(),
            "parked": self.store.outbox.parked(),
        }


def _while_there_is_work(store: Store, notifier: Notifier, now: datetime, context: DeliveryContext) -> int:
    tried = 0
    while deliver_one(store, notifier, now, context):
        tried += 1
    return tried


def open_embedder(watch: Watch) -> Embedder | None:
    """The embedder, if the configuration has one; the model itself is loaded when something is first embedded."""
    if watch.embedder is None:
        return None
    from driftwatch.embed import TextEmbedder

    return TextEmbedder(watch.embedder, state_folder(watch))


def state_folder(watch: Watch) -> Path:
    """Where driftwatch may write: beside a SQLite database, else beside the configuration."""
    return watch.state
