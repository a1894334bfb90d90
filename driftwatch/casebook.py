"""The evidence of one moment, gathered: what checks said, what probes saw, and an experiment made now."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from driftwatch.case import Asked, Case, Traffic, Watched
from driftwatch.config import Watch
from driftwatch.probes import Target
from driftwatch.stats.ir import Measure
from driftwatch.store import Store
from driftwatch.targets import target_of
from driftwatch.types import (
    UNDETERMINED,
    Alert,
    Baseline,
    Embedder,
    Experiment,
    Finding,
    Observation,
    Run,
    Tallies,
)
from driftwatch.windows import JUST_AFTER, Windows

log = logging.getLogger(__name__)

DAY = timedelta(days=1)
WEEK = timedelta(days=7)
NEWS = timedelta(hours=12)
"""How far back the languages of queries are looked at when something opens ..."""
REPEATS = timedelta(hours=4)
"""... and their repetition."""
NOTABLE = 0.05
"""The share of the traffic from which on a language that is five times as large as it was counts as new."""
LOOKED_AT = 1000
"""Sampled queries among which the one that is asked most often is looked for."""
USUAL = Measure("R", 10)
"""What an experiment measures where no check of canaries says."""
HALF = 0.5
"""Of the canaries unanswered: there is nothing to experiment on."""
LONGER = 60.0
"""Seconds beyond its time that what an experiment has begun is waited for: what never returns holds no alert back."""


class Casebook:
    """Gathers the evidence of one watched service; nothing that is missing or broken stops it."""

    def __init__(
        self, watch: Watch, store: Store, windows: Windows, embedder: Embedder | None, stopping: Callable[[], bool]
    ) -> None:
        self.watch = watch
        self.store = store
        self.windows = windows
        self.embedder = embedder
        self.stopping = stopping
        self.checks = {
            check.name: Watched(check.kind, check.family, str(getattr(check, "of", ""))) for check in watch.checks
        }
        self._under_way: Future[Experiment] | None = None

    def case(self, findings: Iterable[Finding], alerts: Mapping[tuple[str, str], Alert], now: datetime) -> Case:
        """Everything that is known at ``now``; ``findings`` are newer than what is stored."""
        newest = self.store.decisions.last_findings() | {(each.check, each.segment): each for each in findings}
        target = target_of(self.watch, self.store, self.embedder, now=now, stopping=self.stopping)
        asked = self._asked(target, now)
        experiment, broke = None, ""
        if asked.failed + asked.empty < HALF * max(asked.n, 1):
            experiment, broke = self._experiment(target, self._measure(newest.values()), now)
        return Case(
            now=now,
            findings={place: each for place, each in newest.items() if each.check in self.checks},
            checks=self.checks,
            probes=self._probes(now),
            experiment=experiment,
            asked=asked,
            traffic=self._traffic(now),
            lasting=_lasting(alerts, now),
            unseen=experiment.notes if experiment else (*target.notes, *filter(None, [broke])),
        )

    def _measure(self, findings: Iterable[Finding]) -> Measure:
        """That of the first check of canaries that fails, else of the first there is."""
        failing = {finding.check for finding in findings if finding.verdict in ("fail", "warn")}
        known = {
            check.name: each for check in self.watch.checks if isinstance(each := getattr(check, "measure", 0), Measure)
        }
        moved = [measure for name, measure in known.items() if name in failing]
        return next(iter([*moved, *known.values()]), USUAL)

    def _experiment(self, target: Target, measure: Measure, now: datetime) -> tuple[Experiment | None, str]:
        """The experiment, and why there is none where it broke."""
        settings = self.watch.diagnosis
        if settings is None or not target.canaries:
            return None, ""
        from driftwatch.probes.experiment import run

        if self._under_way is not None and not self._under_way.done():
            return None, "No experiment was made: the one before has not ended."
        work = partial(run, target, measure=measure, now=now, documents=settings.documents, seconds=settings.seconds)
        self._under_way = under_way = _begun(work)
        try:
            return under_way.result(settings.seconds + LONGER), ""
        except Exception as error:
            # Whatever an experiment breaks on, the alert must go out; the log says why its cause is not known.
            if not under_way.done():
                log.error("the experiment has not ended; the alert goes out without it")
                return None, f"The experiment had not ended {LONGER:g} seconds after its time was over."
            log.exception("the experiment broke")
            return None, f"The experiment broke ({type(error).__name__}); the log says on what."

    def _probes(self, now: datetime) -> Any:
        names = [name for name, source in self.watch.sources.items() if source.gives == "probes"]
        found = [self.store.experiments.probes(name, now - DAY, now + JUST_AFTER) for name in names]
        return found[0] if found else ()

    # --- canaries --------------------------------------------------------------------------------------------------

    def _asked(self, target: Target, now: datetime) -> Asked:
        """The newest run of the first source of canaries that was asked in the last day."""
        for name, source in self.watch.sources.items():
            runs = self.store.canaries.one_a_day(name, now - WEEK, now + JUST_AFTER) if source.gives == "runs" else ()
            if runs and now - runs[-1].at <= DAY:
                return _asked(runs, target)
        return Asked()

    # --- traffic ---------------------------------------------------------------------------------------------------

    def _traffic(self, now: datetime) -> Traffic:
        """Of the first source of traffic that has a baseline."""
        for name, source in self.watch.sources.items():
            if source.gives != "traffic":
                continue
            baseline = self.windows.baseline(name, "tallies", now)
            if isinstance(baseline, Baseline):
                lately = self.store.traffic.recent_queries(name, now - DAY, now + JUST_AFTER, LOOKED_AT)
                query_id, share = _loudest(lately)
                new = self.store.traffic.tallies(name, now - NEWS, now)
                usual = self.store.traffic.tallies(name, baseline.start, baseline.end)
                lately_rows = self.store.traffic.tallies(name, now - REPEATS, now)
                return Traffic(
                    _rows_a_unit(lately_rows), _rows_a_unit(usual), query_id, share, _new_language(new, usual)
                )
        return Traffic()


def _begun(work: Callable[[], Experiment]) -> Future[Experiment]:
    """``work`` in a thread that nobody has to wait for, not even at the end of the process."""
    promised: Future[Experiment] = Future()

    def do() -> None:
        try:
            promised.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            promised.set_exception(error)

    threading.Thread(target=do, name="experiment", daemon=True).start()
    return promised


def _rows_a_unit(counts: Tallies) -> float:
    return counts.total("queries") / max(counts.total("units"), 1) if len(counts.hour) else 1.0


def _new_language(counts: Tallies, usual: Tallies) -> str:
    now, before = counts.by_lang("units"), usual.by_lang("units")
    total, total_before = max(sum(now.values()), 1), max(sum(before.values()), 1)
    shares = {lang: n / total for lang, n in now.items() if lang != UNDETERMINED}
    risen = {
        lang: share for lang, share in shares.items() if share >= max(NOTABLE, 5 * before.get(lang, 0) / total_before)
    }
    return max(risen, key=lambda lang: risen[lang], default="")


def _asked(runs: tuple[Run, ...], target: Target) -> Asked:
    first = [each for each in runs[-1].observations if each.attempt == 0]
    errors = Counter(each.error or "no answer" for each in first if each.hits is None)
    empty = sum(each.hits == () and bool(target.before.get(each.query_id)) for each in first)
    was, now = _versions(runs[0].observations), _versions(runs[-1].observations)
    changed = {name: (was[name], now[name]) for name in was.keys() & now.keys() if was[name] != now[name]}
    since = next((run.at for run in runs if _versions(run.observations) == now), None) if changed else None
    reason = errors.most_common(1)[0][0] if errors else ""
    return Asked(len(first), errors.total(), empty, reason, changed, since)


def _versions(observations: Iterable[Observation]) -> dict[str, str]:
    """What most of the answers say of their index, embedder and prompt."""
    said: dict[str, Counter[str]] = {}
    for each in observations:
        for name, version in each.versions.items():
            said.setdefault(name, Counter())[version] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in said.items()}


def _loudest(observations: list[Observation]) -> tuple[str, float]:
    """The query_id of the text that was asked most often, and its share of the rows."""
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    for each in observations:
        counts[each.text or each.query_id] += 1
        names.setdefault(each.text or each.query_id, each.query_id)
    if not counts:
        return "", 0.0
    text, times = counts.most_common(1)[0]
    return names[text], times / counts.total()


def _lasting(alerts: Mapping[tuple[str, str], Alert], now: datetime) -> dict[str, float]:
    lasting: dict[str, float] = {}
    for alert in alerts.values():
        if alert.fired_at is not None:
            lasting[alert.check] = max(lasting.get(alert.check, 0.0), (now - alert.fired_at) / DAY)
    return lasting
