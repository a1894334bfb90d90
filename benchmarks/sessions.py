"""Sessions: rows of one person are no independent evidence. False pages at mean session lengths of 1 to 5 rows.

    python benchmarks/sessions.py            # some twenty minutes on one processor
    python benchmarks/sessions.py --quick    # two

The same quiet traffic of 24,000 rows a day is counted once by units (one row a session and text) and once row by row,
as if each were independent. Ours: pages a year of the scores and rates at their half of the budget (2.0 a year).
Beside it the share of languages and days that a season-matched KS test calls different at p < .05, on the very same
rows, and two-sample z tests of neighbouring half days, where no day effect hides what sessions do.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from _families import BASELINE_DAYS, Nuisances, Service
from _ours import LIMIT
from _report import show_and_keep
from _streams import Preparation
from _traffic import Day, Floats, Nuisance, Traffic
from _tuned import upper_bound
from scipy.special import ndtr

LENGTHS = (1.0, 1.5, 2.0, 3.0, 5.0)
COUNTED = {"units": "both", "rows": "row"}
FAMILIES = ("scores", "rates")


@dataclass
class Tally:
    """What one way of counting gave at one length."""

    pages: int = 0
    different: int = 0
    looks: int = 0
    halves: int = 0
    pairs: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a quarter of a year at each length")
    given = parser.parse_args(arguments)
    days = 91 if given.quick else 365
    seeds = range(given.seed, given.seed + (1 if given.quick else given.years))
    years = len(seeds) * days / 365
    rows, raw = [], []
    for length in LENGTHS:
        tallies = {name: tally(length, by, seeds, days) for name, by in COUNTED.items()}
        sys.stderr.write(f"sessions of {length} rows: {tallies}\n")
        rows.append(row(length, tallies, years))
        raw.append({"length": length, **{name: vars(each) for name, each in tallies.items()}})
    title = (
        f"False pages by session length; {years:g} years each, the budget of scores and rates is {365 / LIMIT / 2:.2f}"
    )
    show_and_keep("sessions", title, rows, {"years": years, "seed": given.seed, "rows": raw})
    return 0


def tally(length: float, by: str, seeds: range, days: int) -> Tally:
    """Years of traffic with sessions of this mean length."""
    found = Tally()
    nuisance = replace(Nuisance(), session_length=length)
    for seed in seeds:
        service = Service(seed, Nuisances(traffic=nuisance), FAMILIES, unit=by)
        found.pages += len(service.pages(service.counts(days)))
        traffic = Traffic(nuisance, seed)
        baseline = [day.units(by) for day in traffic.days(BASELINE_DAYS)]  # type: ignore[arg-type]
        later = [day.units(by) for day in traffic.days(28)]  # type: ignore[arg-type]
        p = Preparation(baseline).stream(later).p
        found.different += int((p < 0.05).sum())
        found.looks += p.size
        for day in later:
            z = neighbouring_halves(day)
            found.halves += int((2 * ndtr(-np.abs(z)) < 0.05).sum())
            found.pairs += len(z)
    return found


def neighbouring_halves(day: Day) -> Floats:
    """z of the mean score of each language, rows of sessions of even against odd number: the same hours, no change."""
    found = ~day.empty
    half = day.session[found] % 2
    cell = day.lang[found] * 2 + half
    score = day.score[found]
    n = np.bincount(cell, minlength=40)
    mean = np.bincount(cell, score, 40) / np.maximum(1, n)
    variance = np.bincount(cell, score**2, 40) / np.maximum(1, n) - mean**2
    error = variance / np.maximum(1, n)
    return (mean[::2] - mean[1::2]) / np.sqrt(error[::2] + error[1::2])


def row(length: float, tallies: dict[str, Tally], years: float) -> dict[str, object]:
    """One line of the table."""
    cells: dict[str, object] = {"mean rows of a session": f"{length:g}"}
    for name, each in tallies.items():
        cells[f"ours on {name}: pages a year (95 % bound)"] = (
            f"{each.pages / years:.2f} ({upper_bound(each.pages) / years:.2f})"
        )
    for name, each in tallies.items():
        cells[f"z test of two halves, p < .05, on {name}"] = f"{each.halves / each.pairs:.1%}"
    for name, each in tallies.items():
        cells[f"KS against the baseline, p < .05, on {name}"] = f"{each.different / each.looks:.1%}"
    return cells


if __name__ == "__main__":
    sys.exit(main())
