import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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
    rate_change,
    share_below,
    share_interval,
    volume_change,
)
from driftwatch.stats.proportion import newcombe, ratio_interval, wilson
from driftwatch.stats.twosample import Weighted
from tests.fakes.examples import examples


def days_of(values, day=None, weights=None):
    values = np.asarray(values, dtype=float)
    day = np.zeros(len(values), dtype=np.int64) if day is None else day
    return Days.of(values, np.ones(len(values)) if weights is None else weights, day)


def wobbly(random, days, rows, shift):
    """Scores of some days, each moved by its own amount."""
    values = random.normal(0.7, 0.1, (days, rows)) + random.normal(0, shift, (days, 1))
    return values.ravel(), np.repeat(np.arange(days), rows)


def quantiles(now, before, q=0.5):
    """The quantile of both samples, the spread from the days of the second."""
    (left, left_day), (right, right_day) = (
        (Weighted.of(values), day[np.argsort(values, kind="stable")]) for values, day in (now, before)
    )
    spread = Spread.of(share_below(right, right_day, right.quantile(q)))
    return Quantile.of(left, left_day, q, spread), Quantile.of(right, right_day, q, spread)


def test_without_days_the_change_of_a_mean_is_welchs_interval():
    random = np.random.default_rng(1)
    left, right = random.normal(0.6, 0.1, 40), random.normal(0.7, 0.2, 300)
    oracle = stats.ttest_ind(left, right, equal_var=False).confidence_interval()
    found = mean_change(days_of(left), days_of(right), Spread(0.0, np.inf))
    assert found == pytest.approx((oracle.low, oracle.high), abs=1e-4)


def test_a_weight_of_two_counts_twice_in_the_mean():
    assert days_of([1, 2, 4], weights=np.array([1.0, 2.0, 1.0])).whole == 2.25


def test_several_samples_at_once_give_the_days_that_each_has_alone():
    random = np.random.default_rng(3)
    sizes = [2, 50, 9]
    values, weights = ([random.uniform(0.5, 2, size) for size in sizes] for _ in range(2))
    day = [20_000 + random.integers(0, 5, size) for size in sizes]
    edges = [0, *np.cumsum(sizes).tolist()]
    together = Days.each(*map(np.concatenate, (values, weights, day)), edges)
    for found, *one in zip(together, values, weights, day, strict=True):
        alone = Days.of(*one)
        for name in ("share", "mean", "noise", "freedom"):
            assert getattr(found, name) == pytest.approx(getattr(alone, name), rel=1e-12)


def test_days_that_differ_by_chance_only_have_next_to_no_spread():
    random = np.random.default_rng(2)
    alike, apart = Spread.of(days_of(*wobbly(random, 28, 400, 0.0))), Spread.of(days_of(*wobbly(random, 28, 400, 0.05)))
    assert np.sqrt(alike.variance) < 0.004
    assert np.sqrt(apart.variance) == pytest.approx(0.05, rel=0.4)
    assert apart.freedom == pytest.approx(27)


def test_one_day_teaches_nothing_about_days():
    assert Spread.of(days_of([0.1, 0.4, 0.3])) == Spread(0.0, np.inf)


def test_a_mean_of_one_row_is_refused():
    with pytest.raises(ValueError, match="fewer than two rows"):
        days_of([0.5])


@pytest.mark.parametrize("shift", [0.0, 0.03])
def test_the_change_of_a_mean_is_covered_on_even_and_on_uneven_days(shift):
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        before = days_of(*wobbly(random, 14, 100, shift))
        low, high = mean_change(days_of(*wobbly(random, 1, 100, shift)), before)
        covered += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_the_spread_of_the_whole_baseline_serves_where_the_reference_is_two_of_its_days():
    random = np.random.default_rng(4)
    values, day = wobbly(random, 28, 200, 0.03)
    whole, two = days_of(values, day), days_of(values[:400], day[:400])
    now = days_of(*wobbly(random, 1, 200, 0.03))
    low, high = mean_change(now, two, Spread.of(whole))
    alone_low, alone_high = mean_change(now, two)
    assert high - low < alone_high - alone_low or alone_high - alone_low < 0.06


def test_the_median_falls_by_what_was_taken_from_it():
    random = np.random.default_rng(5)
    before, now = wobbly(random, 14, 300, 0.0), wobbly(random, 1, 600, 0.0)
    low, high = quantile_change(*quantiles((now[0] - 0.05, now[1]), before))
    assert low < -0.05 < high
    assert high < -0.02


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.9]))
@settings(max_examples=examples(40), deadline=None)
def test_the_interval_of_a_quantile_holds_the_change_that_is_shown(seed, q):
    random = np.random.default_rng(seed)
    before, now = wobbly(random, 5, 30, 0.02), wobbly(random, 2, 30, 0.02)
    left, right = quantiles(now, before, q)
    low, high = quantile_change(left, right)
    assert low <= left.value - right.value <= high
    assert left.low <= left.value <= left.high


def test_few_days_are_made_up_to_as_many_as_are_needed():
    two = Spread(0.0009, 1.0, 0.0001)
    made = two.made_up(0.0004, 5)
    assert made.variance == pytest.approx((0.0009 + 4 * 0.0004) / 5)
    assert made.freedom == 5
    assert Spread(0.0, np.inf).made_up(0.0004, 5).variance == 0.0004
    assert Spread(0.0009, 13.0).made_up(0.0004, 5) == Spread(0.0009, 13.0)


def test_a_rate_whose_counts_vary_like_coins_has_newcombes_interval():
    assert rate_change(30, 400, 60, 3000) == newcombe(30, 400, 60, 3000)
    assert rate_change(30, 400, 60, 3000, Design(4.0)) == pytest.approx(newcombe(7.5, 100, 15, 750))
    assert share_interval(30, 400, Design(4.0)) == pytest.approx(wilson(7.5, 100))
    assert volume_change(30, 40.0, 560.0, Design(2.0)) == pytest.approx(ratio_interval(15, 20.0, 280.0))


@given(st.floats(0, 500), st.floats(1, 60))
@settings(max_examples=examples(200), deadline=None)
def test_a_design_effect_is_never_below_one_nor_less_certain_than_it_was_estimated(chi_square, freedom):
    design = Design.of(chi_square, freedom)
    assert design.effect == max(1, chi_square / freedom)
    assert freedom <= design.freedom <= freedom / 0.36 + 1e-9


def test_a_design_effect_from_few_days_makes_the_interval_wider():
    few, many = Design.of(12, 6), Design.of(56, 28)
    assert few.effect == many.effect
    assert np.ptp(rate_change(30, 400, 60, 3000, few)) > np.ptp(rate_change(30, 400, 60, 3000, many))


def test_without_correlation_a_share_has_wilsons_interval_around_what_was_expected():
    low, high = dispersed_share(30, 20.0, 400, 0.0, 7)
    assert (low, high) == pytest.approx(tuple(end - 0.05 for end in wilson(30, 400)))


@given(
    n=st.integers(30, 5_000), share=st.floats(0, 1), expected=st.floats(0, 1),
    rho=st.floats(0, 0.3), blocks=st.integers(1, 40), error=st.floats(0, 0.05), freedom=st.floats(2, 1e6),
)  # fmt: skip
@settings(max_examples=examples(300), deadline=None)
def test_the_interval_of_a_share_holds_the_effect_and_grows_with_every_doubt(
    n, share, expected, rho, blocks, error, freedom
):
    hits, usual = round(share * n), expected * n
    low, high = dispersed_share(hits, usual, n, rho, blocks, error=error * n, freedom=freedom)
    plain_low, plain_high = dispersed_share(hits, usual, n, rho, blocks)
    effect = (hits - usual) / n
    assert low - 1e-9 <= plain_low <= effect + 1e-9
    assert effect - 1e-9 <= plain_high <= high + 1e-9


def test_one_hit_is_no_surprise_for_a_rate_that_wilson_leaves_out():
    low, high = share_interval(1, 30)
    assert low < 0.005 < wilson(1, 30)[0]
    assert high == wilson(1, 30)[1]
    assert share_interval(29, 30) == pytest.approx((1 - high, 1 - low))
    assert share_interval(0, 30) == wilson(0, 30)


def test_more_blocks_carry_more_evidence_of_the_same_counts():
    widths = [np.ptp(dispersed_share(100, 50.0, 2_000, 0.02, blocks)) for blocks in (1, 4, 28, 2_000)]
    assert widths == sorted(widths, reverse=True)
    assert np.ptp(dispersed_share(100, 50.0, 2_000, 0.0, 1)) == pytest.approx(widths[-1])


def test_the_design_effect_is_that_of_equal_blocks():
    assert design_effect(2_000, 0.02, 4) == pytest.approx(1 + 499 * 0.02)
    assert design_effect(30, 0.02, 60) == 1


def test_a_share_of_nothing_may_be_anything():
    assert dispersed_share(0, 0.0, 0, 0.1, 3) == (-1, 1)


@pytest.mark.parametrize(
    ("n", "p", "rho", "blocks"), [(60, 0.1, 0.02, 1), (3_000, 0.02, 0.003, 3), (900, 0.5, 0.05, 9)]
)
def test_beta_binomial_blocks_are_covered(n, p, rho, blocks):
    random = np.random.default_rng(6)
    k = (1 - rho) / rho
    covered = 0
    for _ in range(1_000):
        hits = random.binomial(n // blocks, random.beta(p * k, (1 - p) * k, blocks)).sum()
        low, high = dispersed_share(hits, 0.9 * p * n, n, rho, blocks)
        covered += low <= 0.1 * p <= high
    assert 0.93 <= covered / 1_000 <= 0.975


def test_the_critical_value_is_students():
    assert critical(0.95, 7) == pytest.approx(stats.t.ppf(0.975, 7))
    assert critical(0.95, np.inf) == pytest.approx(stats.norm.ppf(0.975))
