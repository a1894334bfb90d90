"""How often each check fails when nothing has changed, at an error budget of one look in a hundred.

    python benchmarks/null_rates.py    # a minute; prints, and writes benchmarks/results/null_rates.{json,md}

Every look has fresh data from the process that its baseline came from. The smallest effect that counts is set to
almost nothing, so that the p-value decides alone; with a real `min_effect` there are fewer fails. Each row is checked
against the exact binomial bound: as many fails or more would come from a true rate of one in a hundred with a
probability below one in a thousand. "Alone" is what the textbook test says of the same data without what the check does
about flaky canaries and uneven days; it is there to be seen failing. Ends with 1 when a check breaks its promise.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from driftwatch.checks import Check
from driftwatch.checks.canary import Canary
from driftwatch.checks.mix import Mix
from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift
from driftwatch.checks.volume import Volume
from driftwatch.stats.proportion import binomial_test, g_test, two_proportions
from driftwatch.types import Finding, Window
from tests.fakes.windows import DAY, MONDAY, run, sample_window, tally_window

RESULTS = Path(__file__).resolve().parent / "results"
ALPHA = 0.01
BASELINES, LOOKS = 25, 40
TINY = 1e-6
BASIC: dict[str, Any] = {"name": "null", "source": "live"}

Random = np.random.Generator
Pairs = Iterator[tuple[Window, Window]]


@dataclass(frozen=True)
class Row:
    """One check on one kind of data without any change."""

    check: str
    data: str
    looks: int
    fails: int
    naive: int | None
    """What the textbook test alone would have failed."""

    @property
    def kept(self) -> bool:
        return binomial_test(self.fails, self.looks, ALPHA, "up") > 0.001


def main() -> int:
    start = time.perf_counter()
    rows = [measure(*each) for each in SCENARIOS]
    table = _table(rows)
    print(table)
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)
    RESULTS.mkdir(exist_ok=True)
    RESULTS.joinpath("null_rates.md").write_text(table + "\n", "utf-8")
    facts = [{**vars(row), "kept": row.kept} for row in rows]
    RESULTS.joinpath("null_rates.json").write_text(
        json.dumps({"alpha": ALPHA, "rows": facts}, indent=1) + "\n", "utf-8"
    )
    return 0 if all(row.kept for row in rows) else 1


def measure(
    check: Check, data: str, pairs: Callable[[Random], Pairs], naive: Callable[[Finding], float] | None = None
) -> Row:
    looks = fails = alone = 0
    for current, reference in pairs(np.random.default_rng(20260504)):
        finding = check.judge(current, reference, None)
        looks += 1
        fails += finding.verdict == "fail"
        alone += naive is not None and naive(finding) < ALPHA
    return Row(check.kind, data, looks, fails, alone if naive else None)


def canary_runs(canaries: int, flaky: float, graded: bool) -> Callable[[Random], Pairs]:
    """Canaries of which a share is found only most of the time, each with its own rate; the others always."""

    def ranks(random: Random, rates: np.ndarray) -> list[int | None]:
        where = random.integers(1, 4, canaries) if graded else np.ones(canaries, dtype=int)
        found = random.random(canaries) < rates
        return [int(rank) if hit else None for rank, hit in zip(where, found, strict=True)]

    def pairs(random: Random) -> Pairs:
        for _ in range(BASELINES):
            rates = np.where(random.random(canaries) < flaky, random.beta(9, 1, canaries), 1.0)
            past = tuple(run(ranks(random, rates), MONDAY + day * DAY) for day in range(14))
            reference = Window(MONDAY, MONDAY + 14 * DAY, runs=past)
            for _ in range(LOOKS):
                today = run(ranks(random, rates), MONDAY + 14 * DAY)
                yield Window(today.at, today.at + DAY, alpha=ALPHA, runs=(today,)), reference

    return pairs


def score_samples(day_shift: float) -> Callable[[Random], Pairs]:
    """Scores of 400 sessions a day; every day is moved by its own amount."""

    def day(random: Random) -> np.ndarray:
        return random.normal(random.normal(0.7, day_shift) if day_shift else 0.7, 0.1, 400)

    def pairs(random: Random) -> Pairs:
        for _ in range(BASELINES):
            past = np.concatenate([day(random) for _ in range(14)])
            reference = sample_window(past, day=0, days=14)
            for _ in range(LOOKS):
                yield sample_window(day(random), alpha=ALPHA), reference

    return pairs


def empty_results(spread: float) -> Callable[[Random], Pairs]:
    """2 % of 100 queries an hour are empty; the rate of a day varies by ``spread`` of itself."""

    def days(random: Random, count: int) -> list[dict[str, dict[str, int]]]:
        rates = 0.02 * random.gamma(1 / spread**2, spread**2, count) if spread else np.full(count, 0.02)
        empty = random.binomial(100, np.repeat(rates, 24))
        return [{"en": {"queries": 100, "results_known": 100, "empty": int(x)}} for x in empty]

    def pairs(random: Random) -> Pairs:
        for _ in range(BASELINES):
            reference = tally_window(days(random, 14), day=0)
            for _ in range(LOOKS):
                yield tally_window(days(random, 1), alpha=ALPHA), reference

    return pairs


def languages(concentration: float) -> Callable[[Random], Pairs]:
    """Five languages; their shares on a day are drawn around the usual ones, less closely the smaller the number."""
    usual = np.array([0.5, 0.25, 0.15, 0.08, 0.02])

    def days(random: Random, count: int) -> list[dict[str, dict[str, int]]]:
        hours = []
        for _ in range(count):
            shares = random.dirichlet(usual * concentration) if concentration else usual
            counts = random.multinomial(2_400, shares)
            hours += [{f"l{'abcde'[i]}": {"queries": int(n)} for i, n in enumerate(counts) if n}, *[{}] * 23]
        return hours

    def pairs(random: Random) -> Pairs:
        for _ in range(BASELINES):
            reference = tally_window(days(random, 14), day=0)
            for _ in range(LOOKS):
                yield tally_window(days(random, 1), alpha=ALPHA), reference

    return pairs


def traffic(spread: float) -> Callable[[Random], Pairs]:
    """50 queries an hour by night and 100 by day; the level of a day varies by ``spread`` of itself."""
    shape = np.array([100 if 8 <= hour < 20 else 50 for hour in range(24)])

    def days(random: Random, count: int) -> list[dict[str, dict[str, int]]]:
        levels = random.gamma(1 / spread**2, spread**2, count) if spread else np.ones(count)
        return [{"en": {"queries": int(n)}} for n in random.poisson(np.outer(levels, shape).ravel()) if n]

    def pairs(random: Random) -> Pairs:
        for _ in range(BASELINES):
            reference = tally_window(days(random, 14), day=0)
            for _ in range(LOOKS):
                yield tally_window(days(random, 1), alpha=ALPHA), reference

    return pairs


def mcnemar_alone(finding: Finding) -> float:
    return float(finding.details["mcnemar_p"]) if (finding.effect or 0) < 0 else 1.0


def ks_alone(finding: Finding) -> float:
    return float(finding.details["ks"]["p_value"])


def fisher_alone(finding: Finding) -> float:
    facts = finding.details
    return two_proportions(facts["count"], facts["known"], facts["reference_count"], facts["reference_known"], "up")


def g_alone(finding: Finding) -> float:
    shares, before = finding.details["shares"], finding.details["reference_shares"]
    return g_test([2_400 * n for n in shares.values()], [14 * 2_400 * before[lang] for lang in shares])[1]


CANARY = Canary(**BASIC, max_drop=TINY)
RANKED = Canary(**BASIC, measure="RR@10", max_drop=TINY)
RATE = Rate(**BASIC, of="empty", min_effect=0, min_ratio=0)
SCENARIOS: list[tuple[Any, ...]] = [
    (CANARY, "200 canaries, a fifth found 9 times in 10", canary_runs(200, 0.2, False), mcnemar_alone),
    (CANARY, "200 canaries, all found 9 times in 10", canary_runs(200, 1.0, False), mcnemar_alone),
    (CANARY, "15 canaries, a fifth found 9 times in 10", canary_runs(15, 0.2, False), mcnemar_alone),
    (
        Canary(**BASIC, measure="RR@10", max_drop=TINY),
        "60 canaries, ranks 1 to 3 at random",
        canary_runs(60, 0.2, True),
    ),
    (ScoreDrift(**BASIC, min_effect=TINY), "every day alike", score_samples(0), ks_alone),
    (ScoreDrift(**BASIC, min_effect=TINY), "days that differ by a fifth of a deviation", score_samples(0.02), ks_alone),
    (RATE, "every day alike", empty_results(0), fisher_alone),
    (RATE, "days that differ by a quarter", empty_results(0.25), fisher_alone),
    (Mix(**BASIC, min_effect=TINY), "every day alike", languages(0), g_alone),
    (Mix(**BASIC, min_effect=TINY), "days that differ", languages(300), g_alone),
    (Volume(**BASIC, at_least_ratio=1, at_most_ratio=1), "every day alike", traffic(0)),
    (Volume(**BASIC, at_least_ratio=1, at_most_ratio=1), "days that differ by 15 %", traffic(0.15)),
]


def _table(rows: list[Row]) -> str:
    lines = [
        f"# False fails where nothing has changed, at an error budget of {ALPHA:.0%} a look",
        "",
        "| check | data | looks | the check fails | the textbook test alone | promise kept |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        naive = "" if row.naive is None else f"{row.naive / row.looks:.1%}"
        kept = "yes" if row.kept else "**no**"
        lines.append(f"| {row.check} | {row.data} | {row.looks:,} | {row.fails / row.looks:.2%} | {naive} | {kept} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
