import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftwatch.stats.twosample import (
    GRID,
    Weighted,
    block_distances,
    block_distances_each,
    ks,
    ks_p_value,
    shifted_ks_p_value,
    smallest_d,
    wasserstein,
)
from tests.fakes.examples import examples

samples = st.lists(st.integers(-20, 20), min_size=1, max_size=60)


@given(samples.filter(lambda rows: len(rows) > 1), samples.filter(lambda rows: len(rows) > 1))
@settings(max_examples=examples(200), deadline=None)
def test_d_equals_scipys_with_ties_and_any_sizes(left, right):
    assert ks(left, right).d == pytest.approx(stats.ks_2samp(left, right, method="asymp").statistic, abs=1e-12)


@given(samples, samples)
@settings(max_examples=examples(200), deadline=None)
def test_the_gap_is_where_it_says(left, right):
    found = ks(left, right)
    after = np.mean(np.array(left) <= found.at) - np.mean(np.array(right) <= found.at)
    before = np.mean(np.array(left) < found.at) - np.mean(np.array(right) < found.at)
    gap = max(after, before, key=abs)
    assert abs(gap) == pytest.approx(found.d, abs=1e-12)
    assert found.direction == ("same" if not found.d else "lower" if gap > 0 else "higher")


@pytest.mark.parametrize(("m", "n"), [(50, 60), (80, 2000), (400, 500)])
def test_p_is_close_to_the_exact_one_and_not_below_it_where_it_matters(m, n):
    random = np.random.default_rng(m)
    for shift in (0.0, 0.2, 0.3, 0.5):
        left, right = random.normal(shift, 1, m), random.normal(0, 1, n)
        exact = stats.ks_2samp(left, right, method="exact").pvalue
        found = ks(left, right).p_value
        assert found == pytest.approx(exact, rel=0.25, abs=1e-12)


def test_a_shift_down_is_seen_as_lower():
    random = np.random.default_rng(1)
    found = ks(random.normal(0.6, 0.1, 300), random.normal(0.7, 0.1, 3000))
    assert found.direction == "lower"
    assert 0.6 < found.at < 0.7
    assert found.p_value < 1e-6


def test_a_weight_of_two_is_two_rows_for_d_and_less_than_two_for_the_evidence():
    doubled = ks([1, 2, 2, 3], [2, 3, 4])
    weighted = ks([1, 2, 3], [2, 3, 4], current_weight=[1, 2, 1])
    assert weighted.d == pytest.approx(doubled.d)
    assert weighted.n < doubled.n


def test_equal_weights_change_nothing():
    left, right = np.arange(50.0), np.arange(10.0, 80.0)
    assert ks(left, right, np.full(50, 7.0), np.full(70, 0.5)).p_value == pytest.approx(ks(left, right).p_value)


def test_the_smallest_d_is_where_p_crosses_alpha():
    for n in (10.0, 100.0, 5000.0):
        assert ks_p_value(smallest_d(1e-4, n), n) == pytest.approx(1e-4, rel=0.1)
        assert ks_p_value(smallest_d(1e-4, n) - 2e-4, n) > 1e-4
    assert smallest_d(1e-9, 2.0) == 1


def test_a_day_of_its_own_makes_the_same_distance_less_surprising():
    random = np.random.default_rng(7)
    d, n, shift, freedom = 0.12, 400.0, 0.03, 8
    distances = kstwobign_draws(random, 200_000) / np.sqrt(n) + shift * np.abs(random.standard_t(freedom, 200_000))
    assert shifted_ks_p_value(d, n, shift, freedom) == pytest.approx((distances >= d).mean(), rel=0.05)
    assert shifted_ks_p_value(d, n, shift, freedom) > 20 * ks_p_value(d, n)
    assert shifted_ks_p_value(d, n, 0.0, freedom) == ks_p_value(d, n)


def kstwobign_draws(random, count):
    return stats.kstwobign.ppf(random.random(count))


@given(samples, samples)
@settings(max_examples=examples(200), deadline=None)
def test_wasserstein_equals_scipys(left, right):
    assert wasserstein(left, right) == pytest.approx(stats.wasserstein_distance(left, right), abs=1e-9)


def test_wasserstein_with_weights_equals_scipys():
    random = np.random.default_rng(2)
    a, b, wa, wb = random.random(40), random.random(90), random.random(40) + 0.1, random.random(90) + 0.1
    assert wasserstein(a, b, wa, wb) == pytest.approx(stats.wasserstein_distance(a, b, wa, wb), abs=1e-9)


def test_quantiles_and_mean_of_a_weighted_sample():
    sample = Weighted.of([3.0, 1.0, 2.0], [1, 1, 2])
    assert sample.mean() == 2
    assert [sample.quantile(q) for q in (0.0, 0.25, 0.5, 0.9, 1.0)] == [1, 1, 2, 3, 3]


@pytest.mark.parametrize("values", [[], [float("nan")], [float("inf")]])
def test_what_is_no_sample_is_refused(values):
    with pytest.raises(ValueError):
        Weighted.of(values)


def test_each_day_is_compared_with_the_others():
    random = np.random.default_rng(4)
    values, day, weights = random.normal(0, 1, 600), np.repeat(np.arange(6), 100), random.random(600) + 0.5
    values[day == 2] += 1
    distances, sizes = block_distances(values, weights, day)
    for number in range(6):
        inside = day == number
        one = ks(values[inside], values[~inside], weights[inside], weights[~inside])
        assert distances[number] == pytest.approx(one.d, abs=1e-12)
        assert sizes[number] == pytest.approx(one.n)
    assert np.argmax(distances) == 2


def test_several_samples_at_once_give_the_distances_that_each_has_alone():
    random = np.random.default_rng(8)
    sizes = [1, 2, 300, 40, 7]
    values = [np.sort(random.normal(0, 1, size).round(1)) for size in sizes]
    weights = [random.uniform(0.5, 3, size) for size in sizes]
    block = [random.integers(0, 4, size) for size in sizes]
    edges = [0, *np.cumsum(sizes).tolist()]
    together = block_distances_each(*map(np.concatenate, (values, weights, block)), edges)
    for place, one in enumerate(zip(values, weights, block, strict=True)):
        for found, alone in zip(together, block_distances(*one), strict=True):
            assert found[place, : len(alone)] == pytest.approx(alone, abs=1e-12)
            assert not found[place, len(alone) :].any()


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("n", [3.0, 60.0, 4_000.0])
def test_the_smallest_d_is_the_first_of_its_grid_that_is_certain(n, shift):
    for alpha in (0.01, 1e-7):
        found = smallest_d(alpha, n, shift, 9.0)
        assert found == 1 or shifted_ks_p_value(found, n, shift, 9.0) < alpha
        assert shifted_ks_p_value(found - 1 / GRID, n, shift, 9.0) >= alpha


def test_two_thousand_against_twenty_eight_thousand_takes_under_five_milliseconds():
    random = np.random.default_rng(6)
    current, reference = random.normal(0, 1, 2_000), Weighted.of(random.normal(0, 1, 28_000))
    ks(current, reference)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        ks(current, reference)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005
