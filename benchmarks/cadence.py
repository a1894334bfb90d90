"""Cadence: looking every five minutes, hourly, daily or weekly draws on the same budget, and oftener is never slower.

    python benchmarks/cadence.py            # about half an hour on one processor
    python benchmarks/cadence.py --quick    # some minutes

Units of an hour are spread over its twelve five-minute slices, and the very ledgers of the shipped score and rate
checks are folded slice by slice; a cadence sees every so many of them, at its own times. After a page all evidence
starts again from zero. The same streams for every cadence. Delays: median (90 %) in days, streams in which a page
before the change would blur it start from nothing at the change.
"""

from __future__ import annotations

import argparse
import copy
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from _cases import ALL_QUIET, CASES, QUIET
from _families import BASELINE_DAYS, Nuisances, Service
from _ours import LIMIT, window_of
from _report import show_and_keep
from _streams import start_of
from _traffic import MONDAY, Day, Floats, Traffic
from _tuned import upper_bound

from driftwatch.stats.book import Book
from driftwatch.stats.shares import Shares

SLICES = 12
CADENCES = {"every 5 minutes": 1, "every hour": 12, "every day": 288, "every week": 7 * 288}
"""Slices between looks."""
FAMILIES = ("scores", "rates")
SHOWN = ("outage", "top score -.03, a middle", "top score to -.03 in 28 days, all", "empty 2 % to 4 %, all")
"""Beginnings of the names of the cases."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=6)
    parser.add_argument("--streams", type=int, default=12, help="streams with each change")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a quarter of a year, two streams")
    given = parser.parse_args(arguments)
    days = 91 if given.quick else 365
    if given.quick:
        given.years, given.streams = 1, 2
    years = given.years * days / 365
    pages = dict.fromkeys(CADENCES, 0)
    for seed in range(given.seed, given.seed + given.years):
        watcher = Watcher(seed)
        for name, count in watcher.pages(days).items():
            pages[name] += count
        sys.stderr.write(f"quiet, seed {seed}: {pages}\n")
    cases = [case for case in CASES if case.name.startswith(SHOWN)]
    delays: dict[str, dict[str, list[float]]] = {case.name: {name: [] for name in CADENCES} for case in cases}
    for seed in range(given.seed, given.seed + given.streams):
        watcher = Watcher(ALL_QUIET + seed)
        for case in cases:
            assert case.scenario is not None
            for name, wait in watcher.waits(
                case.scenario.change(start_of(ALL_QUIET + seed)), max(15, case.days), seed
            ).items():
                delays[case.name][name].append(wait)
        sys.stderr.write(f"changed, seed {seed}\n")
    rows = [
        {
            "looks": name,
            "false pages a year (95 % bound)": f"{pages[name] / years:.2f} ({upper_bound(pages[name]) / years:.2f})",
            **{case: shown(waits[name]) for case, waits in delays.items()},
        }
        for name in CADENCES
    ]
    names = list(CADENCES)
    slower = sum(
        fast > slow
        for waits in delays.values()
        for often, seldom in pairwise(names)
        for fast, slow in zip(waits[often], waits[seldom], strict=True)
    )
    raw = {"years": years, "pages": pages, "delays": delays, "oftener_was_slower": slower, "seed": given.seed}
    title = (
        f"How often one looks; {years:g} quiet years, the budget of scores and rates is {365 / LIMIT / 2:.2f} a year"
    )
    show_and_keep("cadence", title, rows, raw)
    return 0 if slower == 0 else 1


class Watcher:
    """One service, seen in slices of five minutes."""

    def __init__(self, seed: int) -> None:
        self.service = Service(seed, Nuisances(), FAMILIES)
        self.random = np.random.default_rng([seed, 5])

    def pages(self, days: int) -> dict[str, int]:
        """Quiet pages of each cadence."""
        traffic = copy.deepcopy(self.service.traffic)
        found = dict.fromkeys(CADENCES, 0)
        books = {name: self._nothing() for name in CADENCES}
        for number, day in enumerate(traffic.days(days)):
            sliced = self._sliced(day.units())
            quiet: dict[int, tuple[dict[str, Book], Floats]] = {}
            for name, every in CADENCES.items():
                before = books[name]
                # Cadences that have not paged since their books last agreed share one fold.
                if id(before) not in quiet:
                    quiet[id(before)] = self._folded(before, sliced)
                after, total = quiet[id(before)]
                looks = np.flatnonzero((number * 288 + np.arange(288) + 1) % every == 0)
                over = looks[total[looks] >= LIMIT]
                books[name] = after
                while len(over):
                    found[name] += 1
                    rest = {check: each.keep(slice(int(over[0]) + 1, None)) for check, each in sliced.items()}
                    books[name], tail = self._folded(self._nothing(), rest)
                    total = np.concatenate([np.zeros(288 - len(tail)), tail])
                    over = looks[(looks > over[0]) & (total[looks] >= LIMIT)]
        return found

    def waits(self, change: object, days: int, seed: int) -> dict[str, float]:
        """Days from the change to the first look that sees enough evidence."""
        traffic: Traffic = copy.deepcopy(self.service.traffic)
        traffic.changes = (change,)  # type: ignore[assignment]
        start = start_of(ALL_QUIET + seed)
        self.random = np.random.default_rng([seed, 6])
        books, waits = self._nothing(), dict.fromkeys(CADENCES, float("inf"))
        for day in traffic.days(QUIET + 1 + days):
            if day.index == int(start) and self._standing(books) >= LIMIT:
                books = self._nothing()
            books, total = self._folded(books, self._sliced(day.units()))
            ends = day.index + (np.arange(288) + 1) / 288
            number = (day.index - BASELINE_DAYS) * 288 + np.arange(288) + 1
            for name, every in CADENCES.items():
                seen = ends[(number % every == 0) & (ends > start) & (total >= LIMIT)]
                if len(seen) and np.isinf(waits[name]):
                    waits[name] = float(seen[0] - start)
            if not any(np.isinf(each) for each in waits.values()):
                break
        return waits

    def _nothing(self) -> dict[str, Book]:
        return {name: Book.empty(watched.normal) for name, watched in self.service.watched.items()}

    def _standing(self, books: dict[str, Book]) -> float:
        total = 0.0
        for name, watched in self.service.watched.items():
            nobody = np.zeros(len(watched.segments), bool)
            held = watched.ledger.standing(books[name], nobody)
            total += float(watched.evidence(held[None]).sum()) * self.service.share[name]
        return total

    def _sliced(self, units: Day) -> dict[str, Shares]:
        """Counts of a day in 288 slices; the step of a slice is its hour."""
        slot = self.random.integers(0, SLICES, len(units))
        windows = [window_of([units.take(slot == k)]) for k in range(SLICES)]
        steps = (MONDAY + units.index) * 24 + np.arange(24)
        found = {}
        for name, watched in self.service.watched.items():
            parts = [_laid(watched.count(window), steps) for window in windows]
            shape = parts[0].n.shape[1:], parts[0].hits.shape[1:]
            n = np.stack([part.n for part in parts], axis=1).reshape(-1, *shape[0])
            hits = np.stack([part.hits for part in parts], axis=1).reshape(-1, *shape[1])
            found[name] = replace(parts[0], step=np.repeat(steps, SLICES), n=n, hits=hits)
        return found

    def _folded(self, books: dict[str, Book], sliced: dict[str, Shares]) -> tuple[dict[str, Book], Floats]:
        """The books after these slices, and the evidence of all checks together after each of them."""
        after, total = {}, np.zeros(len(next(iter(sliced.values()))))
        for name, watched in self.service.watched.items():
            nobody = np.zeros(len(watched.segments), bool)
            after[name], days = watched.ledger.fold(books[name], sliced[name], nobody)
            total += watched.evidence(days).sum(axis=1) * self.service.share[name]
        return after, total


def _laid(given: Shares, steps: np.ndarray) -> Shares:
    """The same counts with a row for each of ``steps``."""
    n = np.zeros((len(steps), *given.n.shape[1:]))
    hits = np.zeros((len(steps), *given.hits.shape[1:]))
    place = np.searchsorted(steps, given.step)
    n[place], hits[place] = given.n, given.hits
    return replace(given, step=steps, n=n, hits=hits)


def shown(waits: Sequence[float]) -> str:
    """Median and ninetieth percentile."""
    values = (float(np.quantile(waits, share, method="inverted_cdf")) for share in (0.5, 0.9))
    median, late = ("never" if np.isinf(value) else f"{value:.2f}" for value in values)
    return f"{median} ({late})"


if __name__ == "__main__":
    sys.exit(main())
