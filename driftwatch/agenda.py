"""What has to be done when: one list of jobs, run by the scheduler in real time and by a loop in time lapse."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from driftwatch.checks import Check
from driftwatch.config import job_of, schedule_of
from driftwatch.engine import Engine
from driftwatch.schedule import Schedule
from driftwatch.store import CheckRun, Store

log = logging.getLogger(__name__)

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do again and again."""

    name: str
    schedule: Schedule
    work: Callable[[datetime, datetime], None]
    """Called with the time it was due and the time it is."""
    remembered: bool = False
    """Whether its runs are kept in the store, so that a run missed while down is caught up once."""
    asks: bool = False
    """Whether it waits for the watched service, perhaps for minutes: nothing else may wait behind it."""


class Agenda:
    """All jobs of one daemon, in the order in which jobs due at the same moment run."""

    def __init__(self, engine: Engine, store: Store, care: tuple[Job, ...] = ()) -> None:
        self.engine = engine
        self.store = store
        self.jobs = (*self._sources(), *self._checks(), *care)
        remembered = store.decisions.last_runs()
        self._last = {job.name: remembered.get(job.name, LONG_AGO) for job in self.jobs}

    def run_due(self, now: datetime) -> list[str]:
        """Do once whatever came due since it was last done; the names of what ran."""
        ran = []
        for job in self.jobs:
            if (due := job.schedule.latest(now, max(self._last[job.name], now - timedelta(days=40)))) is not None:
                self.run(job, due, now)
                ran.append(job.name)
        return ran

    def is_due(self, job: Job, now: datetime) -> bool:
        """Whether it came due since it was last done, for example while the daemon was down."""
        return job.schedule.next_after(max(self._last[job.name], now - timedelta(days=40))) <= now

    def run(self, job: Job, due: datetime, now: datetime) -> None:
        """Do one job; it counts as done when it has returned."""
        job.work(due, now)
        self._last[job.name] = max(due, self._last[job.name])

    def _sources(self) -> list[Job]:
        return [
            Job(f"source {name}", source.every, self._reader(name, source.gives), remembered=asks, asks=asks)
            for name, source in self.engine.watch.sources.items()
            if (asks := source.gives != "traffic") or hasattr(source, "read")
        ]

    def _reader(self, name: str, gives: str) -> Callable[[datetime, datetime], None]:
        """Read a source; what is asked of a service is judged as soon as it has answered."""
        at_once = [check for check in self.engine.watch.checks if check.source == name and check.every is None]

        def work(due: datetime, now: datetime) -> None:
            started = datetime.now(UTC)
            observed = self.engine.observe(name, now)
            if gives == "traffic" or self.engine.observer.stopping():
                return  # a run that was broken off is made again at the next start
            run = CheckRun(f"source {name}", due, started, datetime.now(UTC), "failed" if observed.trouble else "done")
            self.engine.tick(at_once, now, run)

        return work

    def _checks(self) -> list[Job]:
        """Checks with a rhythm of their own, those of one source and rhythm together."""
        groups: defaultdict[tuple[str, str], list[Check]] = defaultdict(list)
        for check in self.engine.watch.checks:
            source = self.engine.watch.sources[check.source]
            if check.every is not None or source.gives == "traffic":
                groups[check.source, str(schedule_of(check, self.engine.watch))].append(check)
        return [
            Job(
                job_of(source, every),
                Schedule.parse(every),
                self._judge(source, every, group),
                remembered=True,
            )
            for (source, every), group in groups.items()
        ]

    def _judge(self, source: str, every: str, checks: list[Check]) -> Callable[[datetime, datetime], None]:
        """Look once; a log is read up to now first, so that the last lines of the hour are in."""
        followed = hasattr(self.engine.watch.sources[source], "read")

        def work(due: datetime, now: datetime) -> None:
            started = datetime.now(UTC)
            if followed:
                self.engine.observe(source, now)
            run = CheckRun(job_of(source, every), due, started, datetime.now(UTC), "done")
            self.engine.tick(checks, now, run)

        return work
