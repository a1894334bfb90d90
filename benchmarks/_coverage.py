"""What `coverage.py` draws: data whose truth is known, and whether each interval holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtr

from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift
from driftwatch.checks.volume import Volume
from driftwatch.stats.interval import (
    Days,
    Design,
    Quantile,
    Spread,
    critical,
    design_effect,
    dispersed_share,
    mean_change,
    quantile_change,
    share_below,
    share_interval,
)
from driftwatch.stats.paired import paired_bootstrap
from driftwatch.stats.poisson import rate_interval
from driftwatch.stats.ppi import ppi_mean
from driftwatch.stats.proportion import newcombe, wilson
from driftwatch.stats.twosample import Weighted
from tests.fakes.windows import sample_window, tally_window

Random = np.random.Generator
Floats = NDArray[np.float64]
Draw = Callable[[Random], tuple[bool, bool]]
"""One simulation: is the truth inside our interval, and inside the textbook's?"""
BASIC: dict[str, Any] = {"name": "coverage", "source": "live"}
Z = 1.959964
THIN = 3
"""With fewer expected hits than this no interval of whole counts can cover 94 to 97 %: it can hardly miss at all."""


@dataclass(frozen=True)
class Setting:
    """One interval on one kind of data."""

    interval: str
    text: str
    draw: Draw
    draws: int
    thin: bool = False


def inside(interval: tuple[float, float], truth: float) -> bool:
    """Whether the interval holds the truth."""
    return bool(interval[0] - 1e-12 <= truth <= interval[1] + 1e-12)


def near(random: Random, rate: float) -> float:
    """A rate within a fifth of ``rate``: what counts cover jumps from one rate to the next."""
    return float(rate * random.uniform(0.8, 1.2))


def student(values: Floats) -> tuple[float, float]:
    """Student's interval of a mean."""
    mean, n = float(values.mean()), len(values)
    reach = critical(0.95, n - 1) * float(values.std(ddof=1)) / np.sqrt(n)
    return mean - reach, mean + reach


def welch(left: Floats, right: Floats) -> tuple[float, float]:
    """Welch's interval of a difference of means, of samples large enough for the normal distribution."""
    change = float(left.mean() - right.mean())
    reach = Z * float(np.sqrt(left.var() / len(left) + right.var() / len(right)))
    return change - reach, change + reach


# --- canaries ------------------------------------------------------------------------------------------------------

RANKS, RANK_SHARES = np.array([1, 2, 3, 4, 5]), np.array([0.6, 0.15, 0.1, 0.1, 0.05])
RUNS = 14


def canaries(n: int, lost: float, flaky: float, graded: bool) -> Draw:
    """A suite drawn from the population of such canaries; each loses its document with the chance ``lost``."""

    def draw(random: Random) -> tuple[bool, bool]:
        share = near(random, lost)
        chance = np.where(random.random(n) < flaky, random.beta(9, 1, n), 1.0)
        rank = random.choice(RANKS, n, p=RANK_SHARES) if graded else np.ones(n, int)
        restless = graded & (random.random(n) < 0.3)

        def asked(found: Floats) -> Floats:
            return (random.random(n) < found) / (rank + restless * random.integers(0, 3, n))

        usual = np.mean([asked(chance) for _ in range(RUNS)], axis=0)
        differences = asked(np.where(random.random(n) < share, 0.0, chance)) - usual
        truth = -share * (1 - 0.1 * flaky) * (_mean_reciprocal() if graded else 1.0)
        return inside(paired_bootstrap(differences), truth), inside(student(differences), truth)

    return draw


def _mean_reciprocal() -> float:
    restless = sum(share / 3 / (RANKS + step) for step, share in enumerate((1, 1, 1)))
    return float(RANK_SHARES @ (0.7 / RANKS + 0.3 * restless))


def canary_settings() -> Iterator[Setting]:
    for graded, n, lost, flaky in product((False, True), (20, 50, 200, 500), (0.0, 0.02, 0.05, 0.1, 0.3), (0.0, 0.2)):
        if lost or flaky:
            text = f"{'RR@10' if graded else 'R@10'}, {n} canaries, {lost:.0%} lost, {flaky:.0%} flaky"
            thin = n * (lost + 0.1 * flaky) < THIN
            yield Setting("canary change", text, canaries(n, lost, flaky, graded), 1_500, thin)


# --- counts --------------------------------------------------------------------------------------------------------


def blocks(n: int, p: float, rho: float, count: int) -> Draw:
    """Hits of ``n`` units in ``count`` beta-binomial blocks, the correlation known."""
    sizes = np.full(count, n // count)
    k = (1 - rho) / rho if rho else 0.0

    def draw(random: Random) -> tuple[bool, bool]:
        share = min(near(random, p), 0.999)
        hits = float(random.binomial(sizes, random.beta(share * k, (1 - share) * k, count) if rho else share).sum())
        units = int(sizes.sum())
        effect = dispersed_share(hits, 0.8 * p * units, units, rho, count)
        low, high = wilson(hits, units)
        return inside(effect, share - 0.8 * p), inside((low, high), share)

    return draw


def learnt_blocks(n: int, p: float, rho: float, days: int) -> Draw:
    """One day against a baseline of ``days`` from which both its share and its correlation are estimated."""
    k = (1 - rho) / rho

    def draw(random: Random) -> tuple[bool, bool]:
        share = min(near(random, p), 0.999)
        past = random.binomial(n, random.beta(share * k, (1 - share) * k, days))
        hits = float(random.binomial(n, random.beta(share * k, (1 - share) * k)))
        usual = past.mean() / n
        found = max(0.0, (past.var(ddof=1) / max(n * usual * (1 - usual), 1e-9) - 1) / (n - 1))
        design = Design.of((days - 1) * design_effect(n, found, 1), days - 1)
        error = np.sqrt(n * usual * (1 - usual) * design.effect / days)
        effect = dispersed_share(hits, usual * n, n, found, 1, error=error, freedom=design.freedom)
        return inside(effect, 0.0), inside(newcombe(hits, n, past.sum(), n * days), 0.0)

    return draw


def shares(n: int, p: float) -> Draw:
    def draw(random: Random) -> tuple[bool, bool]:
        share = near(random, p)
        found = random.binomial(n, share) / n
        reach = Z * np.sqrt(found * (1 - found) / n)
        return inside(share_interval(found * n, n), share), inside((found - reach, found + reach), share)

    return draw


def share_settings() -> Iterator[Setting]:
    for n, p in product((30, 100, 300, 1_000, 5_000), (0.005, 0.02, 0.1, 0.5)):
        yield Setting("a rate by itself", f"{n:,} units, {p:.1%}", shares(n, p), 6_000, n * p < THIN)
    for n, p, rho, count in product(
        (30, 200, 1_000, 5_000), (0.01, 0.05, 0.2, 0.5), (0.0, 0.002, 0.01, 0.05), (1, 7, 28)
    ):
        units = n / design_effect(n, rho, count)
        text = f"{n:,} units in {count} blocks, {p:.0%}, correlation {rho}"
        yield Setting("dispersed share", text, blocks(n, p, rho, count), 4_000, units * p < THIN)
    for n, p, rho, days in product((100, 1_000, 5_000), (0.02, 0.1, 0.5), (0.001, 0.01), (14, 28)):
        units = n / design_effect(n, rho, 1)
        text = f"a day of {n:,} units, {p:.0%}, correlation {rho} learnt in {days} days"
        yield Setting("dispersed share, learnt", text, learnt_blocks(n, p, rho, days), 3_000, units * p < THIN)


# --- whole checks --------------------------------------------------------------------------------------------------


def uneven(random: Random, spread: float, days: int) -> Floats:
    """Levels of days that vary by ``spread`` around 1."""
    return random.gamma(1 / spread**2, spread**2, days) if spread else np.ones(days)


def rate_of_days(n: int, p: float, spread: float, days: int) -> Draw:
    """A day against ``days``, through the check; the rate of each day varies."""
    check = Rate(**BASIC, of="empty", min_n=1)

    def window(hits: NDArray[np.int64], day: int) -> Any:
        rows = [[{"en": {"queries": n, "results_known": n, "empty": int(x)}}, *[{}] * 23] for x in hits]
        return tally_window([hour for row in rows for hour in row], day=day)

    def draw(random: Random) -> tuple[bool, bool]:
        hits = random.binomial(n, np.minimum(near(random, p) * uneven(random, spread, days + 1), 1))
        finding = check.judge(window(hits[:1], 0), window(hits[1:], -days), None)
        assert finding.interval is not None
        return inside(finding.interval, 0.0), inside(newcombe(hits[0], n, hits[1:].sum(), n * days), 0.0)

    return draw


def traffic_of_days(n: int, spread: float, days: int) -> Draw:
    """A day of about ``n`` queries against the same weekday of a baseline, through the check."""
    check = Volume(**BASIC, min_n=1)

    def window(totals: NDArray[np.int64], day: int) -> Any:
        hours = [[{"en": {"queries": int(total)}} if total else {}, *[{}] * 23] for total in totals]
        return tally_window([hour for day_hours in hours for hour in day_hours], day=day)

    def draw(random: Random) -> tuple[bool, bool]:
        totals = random.poisson(near(random, n) * uneven(random, spread, days + 1))
        finding = check.judge(window(totals[:1], 0), window(totals[1:], -days), None)
        assert finding.interval is not None
        same = totals[1:][::7]
        now, before = float(totals[0]), float(same.sum())
        ends = betaincinv(now, before + 1, 0.025), betaincinv(now + 1, before, 0.975)
        low, high = (float(end / (1 - end) * len(same)) for end in ends)
        return inside(finding.interval, 1.0), inside((low, high), 1.0)

    return draw


def check_settings() -> Iterator[Setting]:
    even = ((0.0, 14), (0.1, 14), (0.25, 14), (0.1, 28), (0.25, 28))
    for n, p, (spread, days) in product((100, 1_000, 5_000), (0.005, 0.02, 0.1), even):
        text = f"{n:,} a day, {p:.1%}, days vary by {spread:.0%}, {days} days of baseline"
        yield Setting("rate change (check)", text, rate_of_days(n, p, spread, days), 800, n * p < THIN)
    for n, spread, days in product((30, 300, 3_000), (0.0, 0.05, 0.1, 0.15), (14, 28)):
        text = f"{n:,} a day, days vary by {spread:.0%}, {days} days of baseline"
        yield Setting("ratio of traffic (check)", text, traffic_of_days(n, spread, days), 800, n < THIN)


# --- scores --------------------------------------------------------------------------------------------------------


def scores(
    random: Random, days: int, rows: int, shift: float, session: float
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Skewed scores of one query a session, their days, and the same with every query of each session."""
    tilt = np.repeat(random.normal(0, shift * 0.15, days), rows)
    base = 0.3 + 0.7 * random.beta(6, 2, days * rows) + tilt
    lengths = random.geometric(1 / session, days * rows)
    repeats = np.repeat(base, lengths) + random.normal(0, 0.02, int(lengths.sum())) * (session > 1)
    return base, np.repeat(np.arange(days), rows), repeats


def score_change(
    days: int, rows: int, shift: float, session: float = 1.0, alike: int = 1, median: bool = False
) -> Draw:
    """A day against a baseline; with ``alike`` = 7 against the same weekdays only, the spread from all days."""

    def draw(random: Random) -> tuple[bool, bool]:
        now, now_day, now_rows = scores(random, 1, rows, shift, session)
        then, day, then_rows = scores(random, days, rows, shift, session)
        textbook = inside(welch(now_rows, then_rows), 0.0)
        if median:
            left, right = Weighted.of(now), Weighted.of(then)
            order = np.argsort(then, kind="stable")
            spread = Spread.of(share_below(right, day[order], right.quantile(0.5)))
            sides = Quantile.of(left, now_day, 0.5, spread), Quantile.of(right, day[order], 0.5, spread)
            return inside(quantile_change(*sides), 0.0), textbook
        whole = Days.of(then, np.ones(len(then)), day)
        same = day % alike == 0
        part = whole if alike == 1 else Days.of(then[same], np.ones(int(same.sum())), day[same])
        return inside(mean_change(Days.of(now, np.ones(rows), now_day), part, Spread.of(whole)), 0.0), textbook

    return draw


def gap(rows: int, moved: float, shift: float) -> Draw:
    """A day whose normal scores moved by ``moved`` deviations, through the check: D, and the change of the median."""
    check = ScoreDrift(**BASIC, min_n=2)

    def draw(random: Random) -> tuple[bool, bool]:
        tilt = random.normal(0, shift, 15)
        past = random.normal(np.repeat(tilt[1:], rows), 1)
        now = random.normal(tilt[0] - moved, 1, rows)
        finding = check.judge(sample_window(0.7 + 0.1 * now), sample_window(0.7 + 0.1 * past, day=0, days=14), None)
        assert finding.interval is not None
        true_gap = 2 * float(ndtr(moved / 2)) - 1
        return inside(finding.interval, true_gap), inside(finding.details["median_change"]["interval"], -0.1 * moved)

    return draw


def swapped(draw: Draw) -> Draw:
    """The second interval of a pair in the place of ours."""
    return lambda random: (draw(random)[1], False)


def gap_settings() -> Iterator[Setting]:
    for rows, moved, shift in product((100, 400), (0.0, 0.1, 0.3), (0.0, 0.1)):
        text = f"{rows} sessions a day, moved by {moved} deviations, days vary by {shift}, 14 days"
        yield Setting("D, a band (check)", text, gap(rows, moved, shift), 400, True)
        yield Setting("median (check)", text, swapped(gap(rows, moved, shift)), 400)


def score_settings() -> Iterator[Setting]:
    for days, rows, shift in product((14, 28), (30, 300, 1_000), (0.0, 0.05, 0.1, 0.3)):
        text = f"{rows:,} sessions a day, days vary by {shift} deviations, {days} days"
        yield Setting("change of the mean score", text, score_change(days, rows, shift), 800)
        yield Setting("change of the median score", text, score_change(days, rows, shift, median=True), 800)
        if rows < 1_000:
            text += ", only the same weekday to compare with"
            yield Setting("change of the mean score", text, score_change(days, rows, shift, alike=7), 800)
    for session in (1.0, 1.5, 3.0, 5.0):
        text = f"300 sessions of {session} queries, days vary by 0.05 deviations, 28 days"
        yield Setting("change of the mean score, sessions", text, score_change(28, 300, 0.05, session), 1_000)


# --- and the rest --------------------------------------------------------------------------------------------------


def labels_and_predictions(labels: int, others: int, skill: float) -> Draw:
    """Graded quality of which a prediction explains a part."""

    def draw(random: Random) -> tuple[bool, bool]:
        hidden = random.normal(0, 1, labels + others)
        said = 0.7 + 0.15 * (skill * hidden + np.sqrt(1 - skill**2) * random.normal(0, 1, labels + others))
        truth = 0.7 + 0.15 * hidden
        ours = ppi_mean(truth[:labels], said[:labels], said[labels:])
        return inside(ours.interval(), 0.7), inside(student(truth[:labels]), 0.7)

    return draw


def events(rate: float, quarters: float) -> Draw:
    def draw(random: Random) -> tuple[bool, bool]:
        true = near(random, rate)
        count = int(random.poisson(true * quarters))
        reach = Z * np.sqrt(count)
        return inside(rate_interval(count, quarters), true), inside(
            ((count - reach) / quarters, (count + reach) / quarters), true
        )

    return draw


def other_settings() -> Iterator[Setting]:
    for labels, skill in product((30, 100, 400), (0.0, 0.6, 0.9)):
        text = f"{labels} labels, 2,000 predictions with correlation {skill}"
        yield Setting("predicted quality", text, labels_and_predictions(labels, 2_000, skill), 2_000)
    for rate, quarters in product((0.5, 2.0, 20.0), (1.0, 4.0)):
        text = f"{rate} pages a quarter, {quarters:.0f} quarters"
        yield Setting("pages a quarter (exact)", text, events(rate, quarters), 4_000, True)
