"""Pages a year and delay of today's tools as they come: Evidently, river, and the textbook's KS test.

    python benchmarks/peers.py             # about half an hour; prints, and writes results/peers.{md,json}
    python benchmarks/peers.py --quick     # some minutes

Each is fed with rows as they come, one stream a language, by its documented settings. A page is the first flagged look
of a run of flagged looks in one language; a look is a day (Evidently, KS) or an hour (river, which is fed row by row).
"Days with a flag" says how often somebody would see red. Delays stand beside the wait for a flag on the same days
without any change: a detector that is always red finds everything at once. Intervals are exact, 95 %.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from _canaries import CanaryNuisance, RecallDrop, Runs, canary_runs
from _defaults import EMBEDDING_LIMITS, Default, Evidently, defaults, evidently_embeddings, evidently_itself
from _rare import mmd_p_value
from _report import RESULTS, show_and_keep
from _streams import BASELINE_DAYS, Scenario, start_of
from _topics import NewTopic, Questions, TopicNuisance
from _traffic import Bools, Floats, Nuisance, Traffic
from _tuned import poisson_interval

MIDDLE = 9
SCENARIOS = {
    "score": Scenario("-.03 in a middle language", "score", 0.03, (MIDDLE,), days=30),
    "empty": Scenario("2 % to 4 % in all", "empty", 2.0, None, days=30),
}
PARTS = ("traffic", "canaries", "questions")
Measured = dict[str, Any]
"""What was seen of one tool: the numbers behind a line of the table."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, default=5.0, help="quiet years for what can be given so many")
    parser.add_argument("--changes", type=int, default=20, help="streams with a change")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="the rest is kept from the last time")
    parser.add_argument("--quick", action="store_true", help="a quarter of a year, three changes")
    given = parser.parse_args(arguments)
    if given.quick:
        given.years, given.changes = 0.25, 3
    fresh: list[Measured] = []
    if "traffic" in given.only:
        fresh += [traffic_row(each, given.years, given.changes, given.seed) for each in defaults()]
    if "canaries" in given.only:
        fresh += canary_rows(given.years, given.changes, given.seed)
    if "questions" in given.only:
        fresh += topic_rows(4 if given.quick else 14, given.seed)
    known = _before() | {each["name"]: each for each in fresh}
    raw = {"evidently_agrees_within": agreement(given.seed), "rows": list(known.values())}
    show_and_keep(
        "peers", "Today's tools as they come: pages a year and delay", [_row(each) for each in known.values()], raw
    )
    return 0


def _before() -> dict[str, Measured]:
    """What was measured last, by name."""
    path = RESULTS / "peers.json"
    known = json.loads(path.read_text("utf-8"))["rows"] if path.exists() else []
    return {each["name"]: each for each in known}


def agreement(seed: int) -> float:
    """Largest relative difference between Evidently's distances and the formulas that stand for them here."""
    traffic = Traffic(Nuisance(), seed)
    baseline, (day,) = list(traffic.days(7)), traffic.days(1)
    worst = 0.0
    for of in ("score", "empty"):
        ours = Evidently(baseline, of).distances(day)[[0, MIDDLE]]
        theirs = evidently_itself(baseline, day, of, [0, MIDDLE])
        worst = max(worst, float(np.max(np.abs(ours - theirs) / theirs)))
    return worst


def traffic_row(default: Default, years: float, changes: int, seed: int) -> Measured:
    """One tool on scores or empty results."""
    start = time.perf_counter()
    days = int(min(default.quiet_days, years * 365))
    flags = np.concatenate(list(quiet_flags(default, days, seed)))
    # A tool that needs a second a day gets fewer changes too.
    changes = max(1, min(changes, default.quiet_days // 4))
    waits = np.array([change_waits(default, seed + 10_000 + k) for k in range(changes)])
    sys.stderr.write(f"{default.name}, {default.watches}: {time.perf_counter() - start:.0f} s\n")
    name = f"{default.name} ({default.settings}), {default.watches}"
    return measured(name, flags, default.look_hours, waits, SCENARIOS[default.watches].name)


def quiet_flags(default: Default, days: int, seed: int) -> Iterator[Bools]:
    """Flags of years without change, each with a baseline of its own."""
    while days > 0:
        traffic = Traffic(Nuisance(), seed)
        watcher = default.start(list(traffic.days(BASELINE_DAYS)))
        yield from (watcher.flags(day) for day in traffic.days(min(days, 365)))
        days, seed = days - 365, seed + 1


def change_waits(default: Default, seed: int) -> tuple[float, float]:
    """Days to the first flag about the change after it, with the change and on the same days without it."""
    scenario, at = SCENARIOS[default.watches], start_of(seed)
    traffic = Traffic(Nuisance(), seed)
    watcher = default.start(list(traffic.days(BASELINE_DAYS)))
    before = list(traffic.days(int(at) - BASELINE_DAYS))
    for day in before[len(before) - min(len(before), default.quiet_days // 4) :]:
        watcher.flags(day)
    segments = scenario.segments()[:-1]
    days = min(scenario.days, default.quiet_days)
    found = []
    for changed in (True, False):
        again, observer = copy.deepcopy((traffic, watcher))
        again.changes = (scenario.change(at),) if changed else ()
        flags = np.concatenate([observer.flags(day) for day in again.days(days)])[:, segments].any(axis=1)
        found.append(_wait(flags, default.look_hours, at % 1))
    return found[0], found[1]


def canary_rows(years: float, changes: int, seed: int) -> list[Measured]:
    """Hourly runs of 200 canaries: the recall of a run for river, results against the baseline's for Evidently."""
    from river.drift import ADWIN, KSWIN, PageHinkley

    def evidently(runs: Runs) -> Bools:
        rate = runs.passed.mean(axis=1)
        usual = rate[: BASELINE_DAYS * 24].mean()
        return np.abs(rate - usual) / np.sqrt(usual * (1 - usual)) >= 0.1

    def river(make: Any) -> Any:
        def flags(runs: Runs) -> Bools:
            detector, found = make(), []
            for value in runs.passed.mean(axis=1).tolist():
                detector.update(value)
                found.append(detector.drift_detected)
            return np.array(found)

        return flags

    tools = {
        "Evidently (normed Wasserstein >= .1), canaries": evidently,
        "river ADWIN (delta .002), recall of a run": river(ADWIN),
        "river PageHinkley (threshold 50, delta .005), recall of a run": river(PageHinkley),
        "river KSWIN (alpha .005, window 100), recall of a run": river(lambda: KSWIN(seed=1)),
    }
    first, rows = BASELINE_DAYS * 24, []
    for name, flags in tools.items():
        length = 1 if "KSWIN" in name else max(1, round(years))
        quiet = [canary_runs(CanaryNuisance(), seed + k, BASELINE_DAYS + 365) for k in range(length)]
        found = np.concatenate([flags(runs)[first:] for runs in quiet])[:, None]
        waits = []
        for k in range(changes):
            at = start_of(seed + 10_000 + k)
            pair = [
                canary_runs(CanaryNuisance(), seed + 10_000 + k, BASELINE_DAYS + 45, drop=drop)
                for drop in (RecallDrop(at), None)
            ]
            waits.append([_wait(flags(runs)[int(at * 24) :], 1, 0.0) for runs in pair])
        rows.append(measured(name, found, 1, np.array(waits), "recall .95 to .90"))
    return rows


def topic_rows(days: int, seed: int) -> list[Measured]:
    """2,000 sampled questions a day; the reference is as many of the baseline's."""
    flags: dict[bool, list[list[bool]]] = {False: [], True: []}
    names = [
        *(f"Evidently embeddings, {name} > {limit}" for name, limit in EMBEDDING_LIMITS.items()),
        "MMD permutation, p < .05",
    ]
    for changed, found in flags.items():
        questions = Questions(TopicNuisance(), seed, NewTopic(BASELINE_DAYS, 0.05, "far") if changed else None)
        sample = np.concatenate([day[:100] for day in questions.days(BASELINE_DAYS)])[:2000]
        random = np.random.default_rng(seed)
        for day in questions.days(days):
            values = evidently_embeddings(sample, day)
            beyond = [values[name] > limit for name, limit in EMBEDDING_LIMITS.items()]
            found.append([*beyond, mmd_p_value(day, sample, random) < 0.05])
    rows = []
    for column, name in enumerate(names):
        quiet = np.array(flags[False])[:, column]
        waits = [[_wait(np.array(flags[changed])[:, column], 24, 0.0) for changed in (True, False)]]
        rows.append(measured(f"{name}, questions", quiet[:, None], 24, np.array(waits), "a far new topic at 5 %"))
    return rows


def _wait(flags: Bools, look_hours: int, since: float) -> float:
    """Days from ``since`` (days after the first look began) to the end of the first flagged look after it."""
    ends = (np.arange(len(flags)) + 1) * look_hours / 24
    later = ends[flags & (ends > since)]
    return float(later[0] - since) if len(later) else float("inf")


def measured(name: str, flags: Bools, look_hours: int, waits: Floats, change: str) -> Measured:
    """``flags``: shape (looks, segments), of quiet days; ``waits``: shape (streams, 2), with the change and without."""
    looks = flags.any(axis=1)
    a_day = 24 // look_hours
    red = looks[: len(looks) // a_day * a_day].reshape(-1, a_day).any(axis=1).mean()
    return {
        "name": name,
        "pages": int(flags[0].sum() + (flags[1:] & ~flags[:-1]).sum()),
        "years": len(flags) * look_hours / 24 / 365,
        "red": float(red),
        "change": change,
        "waits": waits.tolist(),
    }


def _row(seen: Measured) -> dict[str, object]:
    """One line of the table."""
    years, waits = seen["years"], np.array(seen["waits"])
    rate, low, high = (count / years for count in (seen["pages"], *poisson_interval(seen["pages"])))
    digits = 0 if rate >= 10 else 1
    return {
        "tool, settings, what it watches": seen["name"],
        "pages a year": f"{rate:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})",
        "days with a flag": f"{seen['red']:.0%}",
        "looked at": f"{years:.1f} years" if years >= 0.5 else f"{years * 365:.0f} days",
        "change": f"{seen['change']} ({len(waits)} x)",
        "days to a flag: median (90 %)": shown(waits[:, 0]),
        "without the change": shown(waits[:, 1]),
    }


def shown(waits: Floats) -> str:
    """Median and ninetieth percentile; those never found are infinite."""
    values = (np.quantile(waits, share, method="inverted_cdf") for share in (0.5, 0.9))
    median, late = ("never" if np.isinf(value) else f"{value:.2f}" if value < 1 else f"{value:.1f}" for value in values)
    return f"{median} ({late})"


if __name__ == "__main__":
    sys.exit(main())
