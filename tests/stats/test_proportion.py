import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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
from tests.fakes.examples import examples

ALTERNATIVE = {"up": "greater", "down": "less"}


@st.composite
def two_counts(draw, largest=400):
    n1, n2 = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    return draw(st.integers(0, n1)), n1, draw(st.integers(0, n2)), n2


@given(two_counts(), st.sampled_from(["up", "down"]))
@settings(max_examples=examples(300), deadline=None)
def test_two_proportions_equal_fishers_test(counts, side):
    x1, n1, x2, n2 = counts
    oracle = stats.fisher_exact([[x1, n1 - x1], [x2, n2 - x2]], alternative=ALTERNATIVE[side]).pvalue
    assert two_proportions(x1, n1, x2, n2, side) == pytest.approx(oracle, rel=1e-8, abs=1e-290)


@pytest.mark.parametrize("counts", [(1_900, 100_000, 40_000, 2_800_000), (3_000, 90_000, 900_000, 30_000_000)])
def test_two_proportions_of_millions_equal_the_hypergeometric_tail(counts):
    x1, n1, x2, n2 = counts
    oracle = stats.hypergeom.sf(x1 - 1, n1 + n2, x1 + x2, n1)
    assert two_proportions(x1, n1, x2, n2, "up") == pytest.approx(oracle, rel=1e-4)


def test_a_tail_too_small_to_print_is_still_a_number():
    assert 0 <= two_proportions(5_000, 10_000, 200, 100_000, "up") < 1e-200


@pytest.mark.parametrize("times", [10, 10**6])
def test_counts_of_billions_that_differ_widely_take_little_memory(times):
    tracemalloc.start()
    assert two_proportions(9_000 * times, 10_000 * times, 1_000 * times, 10_000 * times, "up") < 1e-200
    assert two_proportions(1_000 * times, 10_000 * times, 9_000 * times, 10_000 * times, "up") == pytest.approx(1)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 200e6


def test_both_sides_are_twice_the_smaller_tail():
    assert two_proportions(9, 20, 30, 200) == pytest.approx(2 * two_proportions(9, 20, 30, 200, "up"))
    assert two_proportions(5, 50, 5, 50) == 1


def test_nothing_counted_is_no_evidence():
    assert two_proportions(0, 0, 3, 9) == 1
    assert binomial_test(0, 0, 0.3) == 1


@pytest.mark.parametrize(("x", "n", "p"), [(0, 10, 0.1), (10, 10, 0.1), (7, 40, 0.1), (1, 400, 0.02)])
def test_the_binomial_test_equals_scipys(x, n, p):
    for side, alternative in ALTERNATIVE.items():
        assert binomial_test(x, n, p, side) == pytest.approx(stats.binomtest(x, n, p, alternative=alternative).pvalue)


@pytest.mark.parametrize(("x", "n"), [(0, 20), (3, 100), (100, 100), (512, 1024)])
def test_wilsons_interval_equals_scipys(x, n):
    oracle = stats.binomtest(x, n).proportion_ci(method="wilson")
    assert wilson(x, n) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


def test_newcombes_interval_equals_his_own_table():
    # Newcombe (1998), Statistics in Medicine 17, table II, method 10: 56/70 against 48/80, 0/10 against 0/20.
    assert newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe(0, 10, 0, 20) == pytest.approx((-0.1611, 0.2775), abs=5e-5)


def test_newcombes_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(1)
    x1, x2 = random.binomial(400, 0.03, 1000), random.binomial(3000, 0.02, 1000)
    covered = [low <= 0.01 <= high for low, high in (newcombe(a, 400, b, 3000) for a, b in zip(x1, x2, strict=True))]
    assert np.mean(covered) > 0.93


@given(st.integers(0, 60), st.integers(0, 300), st.floats(0.01, 50))
@settings(max_examples=examples(200), deadline=None)
def test_the_ratio_of_two_counts_is_a_conditional_binomial(x, seen, exposure):
    expected = seen * exposure / 100 + 0.001
    if seen == 0:
        return
    chance = expected / (expected + seen)
    for side, alternative in ALTERNATIVE.items():
        oracle = stats.binomtest(x, x + seen, chance, alternative=alternative).pvalue
        assert poisson_ratio(x, expected, seen, side) == pytest.approx(oracle, rel=1e-6, abs=1e-300)


def test_the_interval_of_a_ratio_holds_the_ratio_and_is_inside_the_exact_one():
    low, high = ratio_interval(40, 100.0, 1400.0)
    assert low < 0.4 < high
    assert poisson_ratio(40, 100.0 * high, 1400.0, "down") == pytest.approx(0.0285, abs=0.002)
    assert poisson_ratio(40, 100.0 * low, 1400.0, "up") == pytest.approx(0.0285, abs=0.002)
    assert ratio_interval(0, 100.0, 1400.0)[0] == 0
    assert ratio_interval(5, 100.0, 0.0) == (0, 1e12)


def test_a_ratio_whose_dispersion_is_hardly_known_has_a_wider_interval():
    low, high = ratio_interval(40, 100.0, 1400.0)
    wider_low, wider_high = ratio_interval(40, 100.0, 1400.0, freedom=7)
    assert wider_low < low < high < wider_high


def test_students_t_takes_the_place_of_the_normal_when_a_dispersion_was_estimated():
    low, high = wilson(30, 100)
    wider_low, wider_high = wilson(30, 100, freedom=5)
    assert wider_low < low < high < wider_high
    assert wilson(30, 100, stats.norm.cdf(stats.t.ppf(0.975, 5)) * 2 - 1) == pytest.approx((wider_low, wider_high))


def test_total_variation_is_the_share_that_would_have_to_move():
    assert total_variation([70, 30], [50, 50]) == pytest.approx(0.2)
    assert total_variation([7, 0], [0, 3]) == 1
    assert total_variation([10, 20, 30], [1, 2, 3]) == pytest.approx(0)


def test_the_g_test_equals_scipys():
    table = [[30, 50, 20, 4], [310, 420, 250, 33]]
    oracle = stats.chi2_contingency(table, lambda_="log-likelihood", correction=False)
    g, p = g_test(*table)
    assert (g, p) == (pytest.approx(oracle.statistic), pytest.approx(oracle.pvalue))


def test_a_g_test_of_one_category_or_nothing_has_nothing_to_say():
    assert g_test([5], [9]) == (0.0, 1.0)
    assert g_test([0, 0], [9, 3]) == (0.0, 1.0)


def test_a_g_test_with_known_dispersion_is_chi_square_and_with_an_estimated_one_is_f():
    table = [[30, 50, 20, 4], [310, 420, 250, 33]]
    g, p = g_test(*table, dispersion=2.0)
    assert p == pytest.approx(stats.chi2.sf(g / 2, 3))
    g, p = g_test(*table, dispersion=2.0, freedom=9)
    assert p == pytest.approx(stats.f.sf(g / 2 / 3, 3, 9))
