"""What `references.py` compares: our function, its reference, and the cases."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

from driftwatch.stats.interval import critical
from driftwatch.stats.paired import mcnemar_exact, paired_bootstrap, poisson_binomial_tail, sign_flip
from driftwatch.stats.poisson import rate_interval
from driftwatch.stats.proportion import (
    binomial_test,
    g_test,
    newcombe,
    poisson_ratio,
    ratio_interval,
    total_variation,
    two_proportions,
    wilson,
)
from driftwatch.stats.twosample import Weighted, ks, ks_p_value, shifted_ks_p_value, wasserstein

Floats = NDArray[np.float64]
Case = tuple[Any, ...]
KS_AT_WORK = "ks_2samp, 2,000 against 56,000"
SIDES = {"up": "greater", "down": "less"}


def absolute(ours: Any, theirs: Any) -> float:
    """The largest difference of numbers."""
    return float(np.max(np.abs(np.asarray(ours, float) - np.asarray(theirs, float))))


def relative(ours: Any, theirs: Any) -> float:
    """The largest difference in shares of the reference; below 1e-280 nothing is compared."""
    left, right = np.atleast_1d(np.asarray(ours, float)), np.atleast_1d(np.asarray(theirs, float))
    return float(
        np.max(np.where((right > 1e-280) | (left > 1e-280), np.abs(left - right) / np.maximum(right, 1e-280), 0))
    )


@dataclass(frozen=True)
class Reference:
    """One comparison."""

    ours_name: str
    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    cases: Callable[[], Iterator[Case]]
    at_work: Case
    """What is timed."""
    apart: Callable[[Any, Any], float] = absolute
    exact: bool = True

    def difference(self, case: Case) -> float:
        """Between the two on one case."""
        return self.apart(self.ours(*case), self.theirs(*case))


def seeded(count: int, draw: Callable[[np.random.Generator], Case]) -> Callable[[], Iterator[Case]]:
    """``count`` cases, the same each time."""
    return lambda: (draw(np.random.default_rng([20261121, number])) for number in range(count))


# --- two samples ---------------------------------------------------------------------------------------------------


def sample(random: np.random.Generator) -> Floats:
    """One to eighty values: smooth, tied, constant, or of any size a float can have."""
    n = int(random.choice([1, 2, 3, 10, 80]))
    kind = random.integers(4)
    if kind == 0:
        return random.normal(0.7, 0.1, n)
    if kind == 1:
        return random.integers(-3, 4, n).astype(float)
    if kind == 2:
        return np.full(n, random.integers(3), float)
    return random.choice([-1.0, 1.0], n) * 10 ** random.uniform(-300, 300, n)


def bounded(random: np.random.Generator) -> Floats:
    """The same without values whose differences are infinite, in the range of 1."""
    values = sample(random)
    return values / max(1.0, float(np.abs(values).max()))


def weights(random: np.random.Generator, n: int) -> Floats:
    return random.choice([1.0, 2.0, 7.5, 40.0], n) * random.uniform(0.5, 1.5, n)


def weighted_pair(random: np.random.Generator) -> Case:
    left, right = bounded(random), bounded(random)
    return left, right, weights(random, len(left)), weights(random, len(right))


def d_by_brute_force(left: Floats, right: Floats, left_weight: Floats, right_weight: Floats) -> float:
    """Both distribution functions at every value of either sample."""
    points = np.concatenate([left, right])
    below = [
        (weight[None] * (values[None] <= points[:, None])).sum(axis=1) / weight.sum()
        for values, weight in ((left, left_weight), (right, right_weight))
    ]
    return float(np.abs(below[0] - below[1]).max())


def shifted_by_quadrature(d: float, n: float, shift: float, freedom: float) -> float:
    def both(t: float) -> float:
        return float(2 * stats.t.pdf(t / shift, freedom) / shift * ks_p_value(d - t, n))

    inside, _ = integrate.quad(both, 0, d, limit=400, points=[min(d, k * shift) for k in (0.5, 1, 2, 4)])
    return float(inside + 2 * stats.t.sf(d / shift, freedom))


def two_samples() -> Iterator[Reference]:
    random = np.random.default_rng(1)
    current, baseline = random.normal(0.69, 0.1, 2_000), random.normal(0.7, 0.1, 56_000)
    kept = Weighted.of(baseline)  # as the checks keep it

    def ours(a: Floats, b: Floats) -> tuple[Floats | Weighted, Floats | Weighted]:
        return a, kept if b is baseline else b

    pairs = seeded(3_000, lambda random: (sample(random), sample(random)))
    near = seeded(3_000, lambda random: (bounded(random), bounded(random)))
    smooth = seeded(
        300,
        lambda r: (r.normal(r.uniform(0, 0.6), 1, int(r.integers(20, 300))), r.normal(0, 1, int(r.integers(50, 400)))),
    )
    yield Reference(
        "ks, D", KS_AT_WORK, lambda a, b: ks(*ours(a, b)).d,
        lambda a, b: stats.ks_2samp(a, b, method="asymp").statistic, pairs, (current, baseline),
    )  # fmt: skip
    few, many = current[:200], baseline[:2_000]
    ones = (few, many, np.ones(200), np.ones(2_000))
    yield Reference(
        "ks, D, weighted", "brute force", lambda *c: ks(*c).d, d_by_brute_force, seeded(3_000, weighted_pair), ones
    )
    yield Reference(
        "ks_p_value", "kstwobign at Stephens' argument", ks_p_value,
        lambda d, n: stats.kstwobign.sf((np.sqrt(n) + 0.12 + 0.11 / np.sqrt(n)) * d),
        seeded(3_000, lambda r: (r.uniform(0, 1), 10 ** r.uniform(0, 3))), (0.05, 900.0), relative,
    )  # fmt: skip
    yield Reference(
        "ks, p", "ks_2samp, exact", lambda a, b: ks(a, b).p_value,
        lambda a, b: stats.ks_2samp(a, b, method="exact").pvalue, smooth, (few, many), absolute, False,
    )  # fmt: skip
    yield Reference(
        "shifted_ks_p_value", "adaptive quadrature", shifted_ks_p_value, shifted_by_quadrature,
        seeded(200, lambda r: (r.uniform(0.02, 0.4), 10 ** r.uniform(1, 4), r.uniform(0.005, 0.06), r.uniform(3, 40))),
        (0.12, 400.0, 0.03, 8.0), absolute, False,
    )  # fmt: skip
    yield Reference(
        "wasserstein", "wasserstein_distance, 2,000 against 56,000", lambda a, b: wasserstein(*ours(a, b)),
        stats.wasserstein_distance, near, (current, baseline),
    )  # fmt: skip
    yield Reference(
        "wasserstein, weighted", "wasserstein_distance", wasserstein, stats.wasserstein_distance,
        seeded(3_000, weighted_pair), ones,
    )  # fmt: skip


# --- the same queries twice ----------------------------------------------------------------------------------------


def flips(random: np.random.Generator) -> Case:
    """A few differences, some of them 0, tied, or of very different size."""
    n = int(random.integers(1, 12))
    scale = random.choice([1e-9, 1.0, 1e9])
    return (np.round(random.normal(-0.3, 1, n), int(random.integers(0, 3))) * scale,)


def every_flip(differences: Floats) -> float:
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    sums = np.array(list(itertools.product([-1, 1], repeat=len(moved)))) @ moved
    return float((sums <= moved.sum() + 1e-9 * np.abs(moved).sum()).mean())


def permuted(differences: Floats) -> float:
    found = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", alternative="less", n_resamples=20_000, rng=1
    )
    return float(found.pvalue)


def drawn_bootstrap(differences: Floats) -> Floats:
    """Rubin's bootstrap by a hundred thousand draws."""
    values, counts = np.unique(np.append(differences, [-1, 1]), return_counts=True)
    alpha = counts.astype(float)
    alpha[[0, -1]] -= 0.5
    gammas = np.random.default_rng(1).standard_gamma(alpha, (100_000, len(values)))
    return np.quantile(gammas @ values / gammas.sum(axis=1), [0.025, 0.975])


def scipy_bootstrap(differences: Floats) -> Floats:
    found = stats.bootstrap((differences,), np.mean, method="BCa", n_resamples=10_000, rng=1).confidence_interval
    return np.array([found.low, found.high])


def some_canaries(random: np.random.Generator) -> Case:
    n, lost = int(random.integers(20, 500)), random.uniform(0.01, 0.4)
    graded = random.choice([-1, -0.5, -2 / 3, -0.1, 0.1, 0.5], n)
    return (np.where(random.random(n) < lost, -1.0 if random.random() < 0.5 else graded, 0.0),)


def events_by_brute_force(count: int, rates: Floats) -> float:
    every = np.array(list(itertools.product([0, 1], repeat=len(rates))))
    mass = np.where(every == 1, rates, 1 - rates).prod(axis=1)
    return float(mass[every.sum(axis=1) >= count].sum())


def paired() -> Iterator[Reference]:
    random = np.random.default_rng(2)
    graded, rates = random.choice([0, -1.0, -0.5, 0.1], 500, p=[0.8, 0.05, 0.05, 0.1]), random.uniform(0, 0.1, 200)
    few = np.round(np.random.default_rng(4).normal(-0.3, 1, 12), 2)
    yield Reference(
        "mcnemar_exact", "binomtest", mcnemar_exact,
        lambda lost, gained: stats.binomtest(lost, lost + gained, 0.5).pvalue if lost + gained else 1.0,
        seeded(3_000, lambda r: (int(10 ** r.uniform(0, 3)) - 1, int(10 ** r.uniform(0, 3)) - 1)), (8, 2), relative,
    )  # fmt: skip
    yield Reference(
        "sign_flip", "every flip", lambda d: sign_flip(d, side="less"), every_flip, seeded(1_500, flips), (few,)
    )
    yield Reference(
        "sign_flip, 10,000 draws", "permutation_test, 20,000 draws", lambda d: sign_flip(d, side="less"),
        permuted,
        seeded(20, lambda r: (r.normal(r.uniform(-0.3, 0.1), 1, 60),)), (graded,), absolute, False,
    )  # fmt: skip
    yield Reference(
        "paired_bootstrap", "Rubin's, 100,000 draws", paired_bootstrap, drawn_bootstrap,
        seeded(60, some_canaries), (graded,), absolute, False,
    )  # fmt: skip
    yield Reference(
        "paired_bootstrap", "scipy's bootstrap, BCa", paired_bootstrap, scipy_bootstrap,
        seeded(20, lambda r: (r.choice([0, -1.0, 0.5], 500, p=[0.7, 0.2, 0.1]),)), (graded,), absolute, False,
    )  # fmt: skip
    yield Reference(
        "poisson_binomial_tail", "every outcome", poisson_binomial_tail, events_by_brute_force,
        seeded(1_000, lambda r: (int(r.integers(0, 11)), r.choice([0.0, 1e-9, 0.02, 0.5, 1.0], 10) * r.random(10))),
        (3, rates[:10]), relative,
    )  # fmt: skip
    yield Reference(
        "poisson_binomial_tail", "poisson_binom", poisson_binomial_tail,
        lambda count, chances: stats.poisson_binom(chances).sf(count - 1),
        seeded(300, lambda r: (int(r.integers(1, 20)), r.uniform(0, 0.3, int(r.integers(30, 300))))), (20, rates),
    )  # fmt: skip


# --- counts --------------------------------------------------------------------------------------------------------


def binomial(random: np.random.Generator) -> Case:
    n = int(10 ** random.uniform(0, 5))
    p = float(random.choice([1e-6, 0.005, 0.1, 0.5, 0.97]))
    return int(random.binomial(n, min(1.0, p * random.uniform(0.3, 3)))), n, p, str(random.choice(["up", "down"]))


def two_counts(random: np.random.Generator) -> Case:
    n1, n2 = int(10 ** random.uniform(0, 4)), int(10 ** random.uniform(0, 5))
    p = float(random.choice([0.002, 0.05, 0.5]))
    x1 = int(random.binomial(n1, min(1.0, p * random.uniform(0.5, 2))))
    return x1, n1, int(random.binomial(n2, p)), n2, str(random.choice(["up", "down"]))


def traffic(random: np.random.Generator) -> Case:
    seen = int(random.integers(1, 5_000))
    return int(random.integers(0, 400)), 10 ** random.uniform(-1, 3), seen, str(random.choice(["up", "down"]))


def fisher(x1: int, n1: int, x2: int, n2: int, side: str) -> float:
    return float(stats.fisher_exact([[x1, n1 - x1], [x2, n2 - x2]], alternative=SIDES[side]).pvalue)


def conditional(x: int, expected: float, seen: int, side: str) -> float:
    return float(stats.binomtest(x, x + seen, expected / (expected + seen), alternative=SIDES[side]).pvalue)


def wilson_of_scipy(x: int, n: int) -> tuple[float, float]:
    found = stats.binomtest(x, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def newcombe_of_scipy(x1: int, n1: int, x2: int, n2: int) -> tuple[float, float]:
    (low1, high1), (low2, high2) = wilson_of_scipy(x1, n1), wilson_of_scipy(x2, n2)
    p1, p2 = x1 / n1, x2 / n2
    return p1 - p2 - np.hypot(p1 - low1, high2 - p2), p1 - p2 + np.hypot(high1 - p1, p2 - low2)


def ratio_of_scipy(x: int, expected: float, seen: int) -> tuple[float, float]:
    low, high = stats.beta(x + 0.5, seen + 0.5).ppf([0.025, 0.975])
    return (low / (1 - low) * seen / expected if x else 0.0), high / (1 - high) * seen / expected


def contingency(now: Floats, before: Floats) -> tuple[float, float]:
    found = stats.chi2_contingency([now, before], lambda_="log-likelihood", correction=False)
    return float(found.statistic), float(found.pvalue)


def garwood(count: int, exposure: float) -> tuple[float, float]:
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return low / exposure, stats.chi2.ppf(0.975, 2 * count + 2) / 2 / exposure


def counts() -> Iterator[Reference]:
    yield Reference(
        "binomial_test", "binomtest", binomial_test,
        lambda x, n, p, side: stats.binomtest(x, n, p, alternative=SIDES[side]).pvalue,
        seeded(3_000, binomial), (30, 1_000, 0.02, "up"), relative,
    )  # fmt: skip
    yield Reference(
        "two_proportions", "fisher_exact", two_proportions, fisher, seeded(2_000, two_counts),
        (144, 2_400, 672, 33_600, "up"), relative,
    )  # fmt: skip
    yield Reference(
        "poisson_ratio", "binomtest, given the sum", poisson_ratio, conditional,
        seeded(3_000, traffic),
        (40, 100.0, 1_400, "down"), relative,
    )  # fmt: skip
    yield Reference(
        "ratio_interval", "beta, given the sum", ratio_interval, ratio_of_scipy,
        seeded(1_000, lambda r: (int(r.integers(0, 400)), 10 ** r.uniform(0, 3), int(r.integers(20, 5_000)))),
        (40, 100.0, 1_400), relative,
    )  # fmt: skip
    yield Reference(
        "wilson", "proportion_ci", wilson, wilson_of_scipy,
        seeded(3_000, lambda r: (lambda n: (int(r.integers(0, n + 1)), n))(int(10 ** r.uniform(0, 6)))), (30, 1_000),
    )  # fmt: skip
    yield Reference(
        "newcombe", "proportion_ci, twice", newcombe, newcombe_of_scipy,
        seeded(1_000, lambda r: two_counts(r)[:4]), (144, 2_400, 672, 33_600),
    )  # fmt: skip
    tables = seeded(2_000, lambda r: (r.integers(1, 400, 8).astype(float), r.integers(1, 40_000, 8).astype(float)))
    at_work = next(iter(tables()))
    yield Reference("g_test", "chi2_contingency", g_test, contingency, tables, at_work, relative)
    yield Reference(
        "total_variation", "half the sum of differences", total_variation,
        lambda a, b: float(np.abs(a / a.sum() - b / b.sum()).sum() / 2), tables, at_work,
    )  # fmt: skip
    yield Reference(
        "rate_interval", "chi2", rate_interval, garwood,
        seeded(1_000, lambda r: (int(10 ** r.uniform(0, 4)) - 1, 10 ** r.uniform(-1, 2))), (7, 4.0), relative,
    )  # fmt: skip
    yield Reference(
        "critical", "t.ppf", critical, lambda level, freedom: stats.t.ppf((1 + level) / 2, freedom),
        seeded(500, lambda r: (r.uniform(0.5, 0.999), 10 ** r.uniform(0, 4))), (0.95, 13.0), relative,
    )  # fmt: skip


def references() -> Iterator[Reference]:
    """Every comparison."""
    return itertools.chain(two_samples(), paired(), counts())
