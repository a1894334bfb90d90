"""Our own checks on simulated traffic: the product's counting, ledgers, budget and attribution, many looks at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from _traffic import LANGUAGES, Day, Traffic
from numpy.typing import NDArray

from driftwatch.budget import shares
from driftwatch.checks import Check
from driftwatch.checks._counted import Counted, Watched, watch
from driftwatch.course import Page, Part, course
from driftwatch.stats.shares import Shares
from driftwatch.types import TALLY_FIELDS, Sample, Tallies, Window

BASELINE_DAYS = 28
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIMIT = 90.0
"""Days of evidence: one false page in 90 days."""


def window_of(days: Iterable[Day]) -> Window:
    """The window that the daemon would read of these units: the sample and the exact tallies."""
    every = list(days)
    hour = np.concatenate([day.hour for day in every])
    lang = np.array(LANGUAGES)[np.concatenate([day.lang for day in every])]
    score = np.concatenate([day.score for day in every])
    start, end = (EPOCH + timedelta(hours=int(step)) for step in (hour.min(), hour.max() + 1))
    rows = len(hour)
    sample = replace(
        Sample.none(),
        query_id=np.zeros(rows, "<U1"),
        at=hour.astype("datetime64[h]").astype("datetime64[us]"),
        lang=lang,
        unit=np.arange(rows),
        weight=np.ones(rows),
        scores=score.astype(np.float32)[:, None],
    )
    return Window(start, end, sample=sample, tallies=_tallies(every, hour))


def _tallies(days: list[Day], hour: NDArray[np.int64]) -> Tallies:
    lang = np.concatenate([day.lang for day in days])
    cell, place = np.unique(hour * len(LANGUAGES) + lang, return_inverse=True)
    counts = np.zeros((len(cell), len(TALLY_FIELDS)), np.int64)
    feedback = np.concatenate([day.feedback for day in days])
    everyone = np.ones(len(hour), bool)
    columns = {
        "results_known": everyone,
        "empty": np.concatenate([day.empty for day in days]),
        "abstention_known": everyone,
        "abstained": np.concatenate([day.abstained for day in days]),
        "feedback_known": feedback != 0,
        "up": feedback > 0,
        "down": feedback < 0,
    }
    for name, inside in {**columns, "queries": everyone}.items():
        found = np.bincount(place, inside, minlength=len(cell)).astype(np.int64)
        counts[:, TALLY_FIELDS.index(name)] = found
        counts[:, TALLY_FIELDS.index("units" if name == "queries" else f"units_{name}")] = found
    return Tallies((cell // len(LANGUAGES)).astype("datetime64[h]"), np.array(LANGUAGES)[cell % len(LANGUAGES)], counts)


@dataclass(frozen=True)
class Ours:
    """The checks of one watch with a baseline."""

    watched: dict[str, Watched]
    shares: dict[str, float]

    @classmethod
    def learnt(cls, checks: list[Check], baseline: Window) -> Ours:
        """From the windows of the first days."""
        own = shares(checks)
        counted = [check for check in checks if isinstance(check, Counted)]
        found = {check.name: watch(check, baseline, LIMIT / own[check.name]) for check in counted}
        return cls({name: each for name, each in found.items() if each is not None}, own)

    def counts(self, window: Window) -> dict[str, Shares]:
        """What each check counts in a stretch of time."""
        return {name: each.count(window) for name, each in self.watched.items()}

    def pages(self, counts: dict[str, Shares], every: int = 1) -> list[Page]:
        """Every page, looking every so many hours."""
        parts = {}
        for name, shares_of in counts.items():
            first, last = int(shares_of.step[0]), int(shares_of.step[-1]) + 1
            looks = np.arange(first, last)
            parts[name] = Part(self.watched[name], shares_of, self.shares[name], looks[(looks + 1) % every == 0])
        start = min(int(part.counted.step[0]) for part in parts.values())
        end = max(int(part.counted.step[-1]) for part in parts.values()) + 1
        return course(parts, LIMIT, start, end)


def joined(parts: Iterable[dict[str, Shares]]) -> dict[str, Shares]:
    """Counts of stretches that follow each other."""
    every = list(parts)
    return {name: Shares.joined([part[name] for part in every]) for name in every[0]}


def stretches(traffic: Traffic, days: int, at_once: int = 7) -> Iterator[Window]:
    """The windows of the next ``days`` days, some at once."""
    left = days
    while left > 0:
        yield window_of(day.units() for day in traffic.days(min(left, at_once)))
        left -= at_once
