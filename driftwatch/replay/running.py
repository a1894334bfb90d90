"""One replay from what was asked for to its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from driftwatch.config import BaselineSettings, Expected, Watch, load_watch
from driftwatch.errors import DriftwatchError
from driftwatch.ledgers import step_of
from driftwatch.replay import projects
from driftwatch.replay.cadence import HOUR, named
from driftwatch.replay.detections import attributed, detections
from driftwatch.replay.events import MarkedEvent, read_events
from driftwatch.replay.looks import Group, groups
from driftwatch.replay.playing import Player, cannot_feed, play
from driftwatch.replay.quiet import loud_stretches, quiet_run, weeks_of
from driftwatch.replay.reading import Progress, Taken, read_logs
from driftwatch.replay.record import Extent, Record
from driftwatch.replay.recorded_runs import read_runs
from driftwatch.replay.remembered import Rehearsal
from driftwatch.replay.report import DAY, QUARTER, Proposal, Quiet, Rate, Recorded, Report, Said, opened, said_of
from driftwatch.replay.traffic import FOREVER
from driftwatch.replay.tuning import proposals
from driftwatch.replay.weeks import Weeks
from driftwatch.store import Store
from driftwatch.types import Baseline, Embedder
from driftwatch.windows import Learning

LEAST_STEPS = 12
"""A source that is written daily or more slowly has so many of its steps as a baseline, where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asks for."""

    config: Path | None
    """None: the shipped checks."""
    now: datetime
    logs: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    start: datetime | None = None
    end: datetime | None = None
    every: str = ""
    baseline: str = ""
    events: Path | None = None
    quiet_weeks: int = 0
    tune: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def replay(
    request: Request,
    progress: Progress = lambda _what, _count: None,
    *,
    watch: Watch | None = None,
    embedder: Embedder | None = None,
) -> Report:
    """Replay recorded time; nothing is written but to a folder that is gone afterwards.

    ``watch``: the configuration, where it was read already; ``embedder``: its model, where a check needs one.

    Raises:
        DriftwatchError: what was asked for is not there, or cannot be replayed.
    """
    if watch is None:
        watch = projects.shipped_watch() if request.config is None else load_watch(request.config)
    events = read_events(request.events, [check.name for check in watch.checks]) if request.events else ()
    with _opened(request, watch, progress) as (watch, store, taken):
        return _Replay(request, watch, store, taken, events, progress, embedder).report()


@contextmanager
def _opened(request: Request, watch: Watch, progress: Progress) -> Iterator[tuple[Watch, Store, dict[str, Taken]]]:
    """The stored history as it is, or a store of its own for what was given."""
    if not (request.logs or request.canaries):
        if request.config is None:
            raise DriftwatchError(
                "there is nothing to replay: no driftwatch.yaml here, and no log was given.",
                remedy="Name a log (--log queries.jsonl) or a configuration (--config).",
            )
        Store.probe(watch.database)
        store = Store.open(watch.database, migrate=False)
        try:
            yield _with_announced(watch, store), store, {}
        finally:
            store.close()
        return
    with TemporaryDirectory(prefix="driftwatch-replay-") as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'replay.db'}")
        try:
            yield _read(request, watch, store, progress)
        finally:
            store.close()


def _with_announced(watch: Watch, store: Store) -> Watch:
    """``watch`` with the changes that were announced while the daemon ran."""
    known = [(each.start, each.end, each.reason) for each in store.expected.changes() if each.start < each.end]
    announced = [Expected.model_validate({"from": start, "to": end, "reason": why}) for start, end, why in known]
    return watch.model_copy(update={"expected": (*watch.expected, *announced)})


def _read(request: Request, watch: Watch, store: Store, progress: Progress) -> tuple[Watch, Store, dict[str, Taken]]:
    taken = {}
    if request.logs:
        watch, name = projects.with_logs(watch, request.logs, request.fields, request.source)
        taken[name] = read_logs(watch, store, name, request.now, progress)
    if request.canaries:
        watch, name = projects.with_runs(watch)
        taken[name] = read_runs(store, name, request.canaries, request.now, progress)
    return watch, store, taken


class _Replay:
    """One replay on its way."""

    def __init__(
        self,
        request: Request,
        watch: Watch,
        store: Store,
        taken: dict[str, Taken],
        events: tuple[MarkedEvent, ...],
        progress: Progress,
        embedder: Embedder | None,
    ) -> None:
        self.request = request
        self.store = Rehearsal(store)
        self.taken = taken
        self.events = events
        self.progress = progress
        self.embedder = embedder
        self.notes: list[str] = []
        self.span = (request.start or FOREVER[0], request.end or FOREVER[1])
        extents = Record(self.store, watch, self.span).extents
        if not extents:
            raise DriftwatchError(
                "nothing was recorded in this time.", remedy="Check --from and --to, or let `driftwatch run` record."
            )
        watch, self.left_out = projects.only_sources(watch, list(extents))
        watch = projects.at_pace(watch, request.every) if request.every else watch
        self.watch = projects.at_least(watch, {name: extent.pace for name, extent in extents.items()}, set(taken))
        baselines = self._baselines(extents)
        if request.config is None:
            unfed = cannot_feed(self.watch, self.store, Record(self.store, self.watch, self.span, baselines))
            self.left_out |= unfed
            fed = tuple(check for check in self.watch.checks if check.name not in unfed)
            self.watch = self.watch.model_copy(update={"checks": fed})
        self.record = Record(self.store, self.watch, self.span, baselines)
        self.end = self._end()

    def report(self) -> Report:
        looks = groups(self.watch, self.record, self.end)
        player = play(self.watch, self.store, self.record, looks, self.progress, self.embedder)
        said = attributed(said_of(self.watch, player.remembered.changes), self.events)
        judged = self._judged_from()
        days = max(0.0, (self.end - judged) / DAY)
        pages = opened(said, "page")
        budget = self.watch.false_pages
        return Report(
            service=self.watch.service,
            start=min(extent.start for extent in self.record.extents.values()),
            end=self.end,
            judged_days=days,
            budget=budget.count * (QUARTER / budget.per),
            recorded=tuple(self._recorded(extent) for extent in self.record.extents.values()),
            said=said,
            pages=Rate.of(len(pages), days),
            warnings=Rate.of(len(opened(said, "warn")), days),
            false_pages=Rate.of(sum(each.belongs_to is None for each in pages), days) if self.events else None,
            events=detections(said, self.events),
            quiet=self._quiet(player, looks, said, judged) if self.request.quiet_weeks else None,
            proposals=self._proposals(player, looks, said, judged) if self.request.tune else (),
            left_out=self.left_out,
            notes=tuple(self.notes),
        )

    def _baselines(self, extents: Mapping[str, Extent]) -> dict[str, Baseline]:
        """What takes the place of the baselines that the store knows: always where logs were given."""
        wanted = self.request.baseline
        if not wanted and not self.taken:
            return {}
        settings = projects.baseline_settings(wanted) if wanted else self.watch.baseline
        found = {}
        for name, extent in extents.items():
            own = settings if wanted or self.request.config else _long_enough(settings, extent.pace)
            found[name], odd = projects.first_days(own, extent.start, extent.end, name)
            self.notes += [odd] if odd else []
        return found

    def _end(self) -> datetime:
        """The end of the record; of a stored history when the daemon last worked, since it sees that a log stops."""
        end = max(extent.end for extent in self.record.extents.values())
        if not self.taken:
            end = max(end, *self.store.decisions.last_runs().values(), end)
        return min(end, self.span[1])

    def _quiet(self, player: Player, looks: Sequence[Group], said: Sequence[Said], judged: datetime) -> Quiet:
        """The A/A run."""
        weeks, notes = self._weeks(said, judged)
        self.progress("drawing quiet weeks", self.request.quiet_weeks)
        found = quiet_run(player, looks, weeks, self.request.quiet_weeks, self.end)
        if said and not self.events:
            notes += ("stretches in which an alert was firing were left out; mark what was real with --events",)
        return replace(found, notes=notes)

    def _proposals(
        self, player: Player, looks: Sequence[Group], said: Sequence[Said], judged: datetime
    ) -> tuple[Proposal, ...]:
        """The tuning."""
        weeks, _ = self._weeks(said, judged)
        return tuple(proposals(player, looks, weeks, step_of(self.end), self.progress))

    def _weeks(self, said: Sequence[Said], judged: datetime) -> tuple[Weeks, tuple[str, ...]]:
        """The quiet weeks of the record."""
        weeks, notes = weeks_of(self.record, judged, self.end, loud_stretches(self.watch, said, self.events, self.end))
        if not len(weeks):
            raise DriftwatchError(
                "the record holds no whole quiet week to draw from.",
                remedy="Record for longer, or mark what happened (--events), so that the rest counts as quiet.",
            )
        return weeks, notes

    def _judged_from(self) -> datetime:
        """From when on something could be judged against a baseline."""
        known = [each.end for each in map(self._baseline, self.record.extents.values()) if each is not None]
        first = min(extent.start for extent in self.record.extents.values())
        return max(min(known, default=self.end), first)

    def _baseline(self, extent: Extent) -> Baseline | None:
        known = self.record.baseline(extent.source, "runs" if extent.gives == "runs" else "tallies", self.end)
        return None if isinstance(known, Learning) else known

    def _recorded(self, extent: Extent) -> Recorded:
        taken = self.taken.get(extent.source)
        return Recorded(extent.source, extent.start, extent.end, named(extent.pace), self._baseline(extent), taken)


def _long_enough(settings: BaselineSettings, pace: timedelta) -> BaselineSettings:
    """A baseline that holds some steps of a slow record."""
    if settings.length is None or pace <= HOUR:
        return settings
    return settings.model_copy(update={"length": max(settings.length, LEAST_STEPS * pace)})
