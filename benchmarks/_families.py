"""All families of checks over one simulated service: what each counts, and every page at any cadence of looking."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from _canaries import CanaryNuisance, RecallDrop, Runs, canary_runs
from _ours import BASELINE_DAYS, LIMIT, window_of
from _topics import NewTopic, Questions, TopicNuisance
from _traffic import LANGUAGES, MONDAY, Change, Nuisance, Traffic

from driftwatch.budget import shares
from driftwatch.checks._canaries import RELIABLE, Usual, _down_rates
from driftwatch.checks._counted import Counted, Watched, watch
from driftwatch.checks.canary import Canary
from driftwatch.checks.query_drift import QueryDrift
from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift
from driftwatch.columns import Contents
from driftwatch.course import Page, Part, course
from driftwatch.stats.shares import Shares
from driftwatch.types import Sample, Window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAMILIES = ("scores", "rates", "canaries", "query drift")
AT_ONCE = 7
"""Days that are counted at once."""
LONGEST = 366
"""Days after the baseline."""


class SimulatedCanaries(Canary):
    """The canary check on arrays: the same canaries are reliable, and as likely to miss, as it would find."""

    def settle(self, reference: Any) -> Any:
        """Which canaries count, and how likely each of them misses."""
        runs: Runs = reference
        down = 1 - runs.passed.mean(axis=0)
        counts = down <= 1 - RELIABLE
        days = len(np.unique(runs.hour // 24))
        known = [Usual(1 - d, d * (1 - d), 1.0, 1, float(d), days) for d in down[counts]]
        return counts, _down_rates(known)

    def count(self, window: Any, fixed: Any) -> Shares:
        """By run and language: reliable canaries, those that miss, and how many usually do."""
        runs: Runs = window
        counts, misses = fixed
        here = np.eye(len(LANGUAGES))[runs.lang[counts]]
        hits = (~runs.passed[:, counts]).astype(np.float64) @ here
        n = np.tile(here.sum(axis=0), (len(runs), 1))
        expected = np.tile(misses @ here, (len(runs), 1))
        return Shares(runs.hour, LANGUAGES, n, hits[..., None], expected[..., None])


def checks(families: Iterable[str] = FAMILIES) -> list[Counted]:
    """What is shipped, with everything waking somebody, so that all of it draws on one budget."""
    basic: dict[str, Any] = {"source": "live", "severity": "page"}
    known: dict[str, list[Counted]] = {
        "scores": [ScoreDrift(name="top-score drift", by="lang", **basic)],
        "rates": [
            Rate(name="empty results", of="empty", by="lang", **basic),
            Rate(name="abstentions", of="abstained", by="lang", **basic),
            Rate(name="negative feedback", of="negative_feedback", **basic),
        ],
        "canaries": [SimulatedCanaries(name="canary recall", by="lang", **basic)],
        "query drift": [QueryDrift(name="new topics", **basic)],
    }
    return [check for family in families for check in known[family]]


@dataclass(frozen=True)
class Nuisances:
    """Of everything that is simulated."""

    traffic: Nuisance = field(default_factory=Nuisance)
    canaries: CanaryNuisance = field(default_factory=CanaryNuisance)
    # Small vectors of few questions: sixty years of them are made, and topics wax and wane as they do in large ones.
    topics: TopicNuisance = field(default_factory=lambda: TopicNuisance(dimensions=64, sampled_per_day=500))


@dataclass(frozen=True)
class Changes:
    """What truly changes, if anything does."""

    traffic: tuple[Change, ...] = ()
    drop: RecallDrop | None = None
    topic: NewTopic | None = None


class Service:
    """One simulated service whose baseline has been learnt."""

    def __init__(
        self,
        seed: int,
        nuisances: Nuisances,
        families: Iterable[str] = FAMILIES,
        *,
        canaries_every: int = 1,
        unit: str = "both",
        budget: Iterable[Counted] | None = None,
    ) -> None:
        """``budget``: all the checks that share it, when that is more than what is simulated."""
        self.seed, self.nuisances, self.every, self.unit = seed, nuisances, canaries_every, unit
        self._first_run = BASELINE_DAYS * 24 // canaries_every
        watched_checks = checks(families)
        self.share = shares(budget if budget is not None else checks())
        self._live = [c for c in watched_checks if not isinstance(c, Canary | QueryDrift)]
        self.traffic = Traffic(nuisances.traffic, seed)
        self.questions = Questions(nuisances.topics, seed + 1)
        self.watched: dict[str, Watched] = {}
        baseline = self._window(self.traffic, BASELINE_DAYS) if self._live else None
        for check in watched_checks:
            reference: Any = baseline
            if isinstance(check, Canary):
                reference = self._runs(None).between(0, self._first_run)
            elif isinstance(check, QueryDrift):
                reference = questions_window(self.questions, BASELINE_DAYS)
            found = watch(check, reference, LIMIT / self.share[check.name])
            assert found is not None
            self.watched[check.name] = found

    def counts(self, days: int, changes: Changes | None = None) -> dict[str, Shares]:
        """What each check counts in the next days: the same nuisance each time it is asked, whatever the changes."""
        changes = changes or Changes()
        found: dict[str, list[Shares]] = {name: [] for name in self.watched}
        traffic, questions = copy.deepcopy((self.traffic, self.questions))
        traffic.changes, questions.new = changes.traffic, changes.topic
        left = days
        while left > 0:
            some = min(left, AT_ONCE)
            live = self._window(traffic, some) if self._live else None
            for name, watched in self.watched.items():
                if isinstance(watched.check, QueryDrift):
                    found[name].append(watched.count(questions_window(questions, some)))
                elif not isinstance(watched.check, Canary):
                    assert live is not None
                    found[name].append(watched.count(live))
            left -= some
        for name, watched in self.watched.items():
            if isinstance(watched.check, Canary):
                runs = self._runs(changes.drop)
                found[name].append(
                    watched.count(runs.between(self._first_run, self._first_run + days * 24 // self.every))
                )
        return {name: Shares.joined(parts) for name, parts in found.items()}

    def pages(self, counts: Mapping[str, Shares], every: int = 1) -> list[Page]:
        """Every page, looking every so many hours."""
        start = min(int(each.step[0]) for each in counts.values())
        end = max(int(each.step[-1]) for each in counts.values()) + 1
        looks = np.arange(start, end)
        looks = looks[(looks + 1) % every == 0]
        parts = {name: Part(self.watched[name], each, self.share[name], looks) for name, each in counts.items()}
        return course(parts, LIMIT, start, end)

    def _window(self, traffic: Traffic, days: int) -> Window:
        return window_of(day.units(self.unit) for day in traffic.days(days))  # type: ignore[arg-type]

    def _runs(self, drop: RecallDrop | None) -> Runs:
        return canary_runs(self.nuisances.canaries, self.seed + 2, BASELINE_DAYS + LONGEST, every=self.every, drop=drop)


def questions_window(questions: Questions, days: int) -> Window:
    """The embedded questions of the next days, a unit each, spread over the hours."""
    first = questions.day
    vectors = np.concatenate(list(questions.days(days))).astype(np.float16)
    n = len(vectors)
    start = EPOCH + timedelta(days=MONDAY + first)
    at = np.datetime64(start.replace(tzinfo=None), "us") + np.arange(n) * (days * 86_400_000_000 // n)
    ids = np.arange(n).astype(str)
    sample = Sample(ids, at, np.full(n, "en"), np.arange(n), np.ones(n), np.empty((n, 0), np.float32))
    everything = np.ones(n, bool)
    contents = Contents(sample, everything, everything, lambda rows: vectors[rows], None)
    return Window(start, start + timedelta(days=days), sample=replace(sample, contents=contents))
