"""The promise: how many false pages a year there are on traffic that does not drift and has every nuisance.

    python benchmarks/promise.py                   # sixty years, then each nuisance doubled: hours on one processor
    python benchmarks/promise.py --years 5 --families scores rates
    python benchmarks/promise.py --quick           # one quarter of a year of each, some minutes

All shipped checks that keep a ledger draw on one budget of one page in 90 days (4.06 a year), with canaries asked every
hour. Each simulated year is a service of its own with four weeks of baseline. The same recorded year is looked at every
hour and once a day. The bound is the exact one-sided 95 % Poisson bound; the promise is kept when the pages are within
the budget and the bound is below one and a half of it. "Doubled": the same with one nuisance twice as large. Stopped
with Ctrl-C, it shows what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import _canaries
import _topics
import _traffic
from _families import FAMILIES, Nuisances, Service, checks
from _ours import LIMIT
from _report import RESULTS, show_and_keep
from _tuned import upper_bound

BUDGET = 365 / LIMIT
LOOKS = {"every hour": 1, "once a day": 24}
EXTRAS = {"ten unknown holidays a year": {"holidays_per_year": 10.0}, "a benign wander of .1": {"wander": 0.1}}
"""What no season knows of: no method can tell the second from a gradual drift."""
FAMILY_OF = {check.name: family for family in FAMILIES for check in checks([family])}


@dataclass(frozen=True)
class Year:
    """One simulated service for a year, or a part of it."""

    what: str
    seed: int
    days: int
    families: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The pages of one year."""

    year: Year
    pages: dict[str, list[str]]
    """How often it was looked at -> the check of each page."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=60)
    parser.add_argument("--doubled", type=int, default=6, help="years with each nuisance doubled")
    parser.add_argument("--families", nargs="*", default=FAMILIES, choices=FAMILIES, help="fewer, with their budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--rows", nargs="*", default=doubles(), choices=doubles(), help="only these are made worse")
    parser.add_argument("--keep", action="store_true", help="beside the years that results/promise.json has already")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    if given.quick:
        given.years = given.doubled = 1
    days = 91 if given.quick else 365
    families = tuple(given.families)
    plan = [Year("as it is", given.seed + k, days, families) for k in range(given.years)]
    plan += [Year(name, given.seed + 1000 + k, days, families) for name in given.rows for k in range(given.doubled)]
    known = {each.year: each for each in _before()} if given.keep else {}
    known |= {each.year: each for each in _until_stopped(_all(plan, given.jobs))}
    found = list(known.values())
    rows = [row(what, looks, found) for what in ["as it is", *doubles()] for looks in LOOKS]
    rows = [each for each in rows if each]
    raw = {"budget": BUDGET, "found": [{**vars(each.year), **each.pages} for each in found]}
    show_and_keep("promise", f"False pages where nothing drifts; the budget is {BUDGET:.2f} a year", rows, raw)
    return 0 if all("no" not in str(each["kept"]) for each in rows if each["traffic"] == "as it is") else 1


def _before() -> list[Found]:
    """What was measured last."""
    path = RESULTS / "promise.json"
    raw = json.loads(path.read_text("utf-8"))["found"] if path.exists() else []
    return [
        Found(
            Year(each["what"], each["seed"], each["days"], tuple(each["families"])),
            {looks: each[looks] for looks in LOOKS},
        )
        for each in raw
    ]


def doubles() -> list[str]:
    """What is made worse, one after the other; then all nuisances together, and what no season or floor knows of."""
    names = [f"{name} doubled" for room in (_traffic, _canaries, _topics) for name in room.DOUBLES]
    return [*names, "everything doubled", *EXTRAS]


def nuisances(what: str) -> Nuisances:
    """Of a row of the table."""
    usual, name = Nuisances(), what.removesuffix(" doubled")
    if what in EXTRAS:
        return replace(usual, traffic=replace(usual.traffic, **EXTRAS[what]))
    if name == "everything":
        return Nuisances(usual.traffic.doubled(), usual.canaries.doubled(), usual.topics.doubled())
    if name in _traffic.DOUBLES:
        return replace(usual, traffic=usual.traffic.doubled(name))
    if name in _canaries.DOUBLES:
        return replace(usual, canaries=usual.canaries.doubled(name))
    if name in _topics.DOUBLES:
        return replace(usual, topics=usual.topics.doubled(name))
    return usual


def pages_of(year: Year) -> Found:
    """Simulate it and look."""
    start = time.process_time()
    service = Service(year.seed, nuisances(year.what), year.families)
    counts = service.counts(year.days)
    pages = {name: [page.check for page in service.pages(counts, every)] for name, every in LOOKS.items()}
    told = ", ".join(f"{name} {dict(Counter(each))}" for name, each in pages.items())
    sys.stderr.write(f"{year.what}, seed {year.seed}: {told}; {time.process_time() - start:.0f} s\n")
    return Found(year, pages)


def row(what: str, looks: str, found: Sequence[Found]) -> dict[str, object]:
    """One line of the table; empty when there is nothing to say."""
    mine = [each for each in found if each.year.what == what]
    if not mine:
        return {}
    years = sum(each.year.days for each in mine) / 365
    pages = [FAMILY_OF[check] for each in mine for check in each.pages[looks]]
    bound = upper_bound(len(pages)) / years
    kept = len(pages) / years <= BUDGET and bound < 1.5 * BUDGET
    return {
        "traffic": what,
        "looks": looks,
        "years": f"{years:.1f}",
        "pages a year": f"{len(pages) / years:.2f}",
        "95 % bound": f"{bound:.2f}",
        "kept": "yes" if kept else "no",
        **{f"of {family}": f"{pages.count(family) / years:.2f}" for family in FAMILIES},
    }


def _all(plan: Iterable[Year], jobs: int) -> Iterator[Found]:
    if jobs == 1:
        yield from map(pages_of, plan)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(pages_of, plan)


def _until_stopped(found: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from found
    except KeyboardInterrupt:
        sys.stderr.write("stopped: this is what there is\n")


if __name__ == "__main__":
    sys.exit(main())
