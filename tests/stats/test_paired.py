import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from driftwatch.stats.paired import mcnemar_exact, paired_bootstrap, poisson_binomial_tail, sign_flip
from tests.fakes.examples import examples


@pytest.mark.parametrize(("lost", "gained"), [(8, 0), (0, 8), (3, 9), (27, 2), (1, 1), (400, 350)])
def test_mcnemar_is_the_two_sided_sign_test_of_the_flips(lost, gained):
    assert mcnemar_exact(lost, gained) == pytest.approx(stats.binomtest(lost, lost + gained, 0.5).pvalue, rel=1e-9)


def test_mcnemar_without_flips_has_nothing_to_say():
    assert mcnemar_exact(0, 0) == 1


def every_flip(differences, side):
    sums = [sum(s * d for s, d in zip(signs, differences, strict=True)) for signs in _signs(len(differences))]
    total = sum(differences)
    if side == "less":
        return sum(s <= total + 1e-9 for s in sums) / len(sums)
    return sum(abs(s) >= abs(total) - 1e-9 for s in sums) / len(sums)


def _signs(n):
    return itertools.product([-1, 1], repeat=n)


@pytest.mark.parametrize("side", ["less", "two-sided"])
@pytest.mark.parametrize("seed", range(15))
def test_few_differences_are_flipped_in_every_way(seed, side):
    random = np.random.default_rng(seed)
    differences = np.round(random.normal(-0.2, 1, random.integers(1, 11)), 1)
    kept = [d for d in differences if d]
    assert sign_flip(differences, side=side) == pytest.approx(every_flip(kept, side) if kept else 1.0, rel=1e-9)


def test_many_differences_agree_with_scipys_permutation_test():
    differences = np.random.default_rng(3).normal(-0.15, 1, 60)
    oracle = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", alternative="less", n_resamples=50_000, rng=1
    )
    assert sign_flip(differences, side="less") == pytest.approx(oracle.pvalue, abs=0.01)


def test_differences_of_one_size_are_the_sign_test_however_many():
    differences = [-1.0] * 180 + [1.0] * 120 + [0.0] * 500
    assert sign_flip(differences, side="less") == pytest.approx(stats.binomtest(120, 300, alternative="less").pvalue)
    assert sign_flip(differences) == pytest.approx(mcnemar_exact(180, 120))


def test_sign_flips_repeat_themselves():
    differences = np.random.default_rng(0).normal(0, 1, 200)
    assert sign_flip(differences) == sign_flip(differences)


def test_a_drawn_p_value_is_never_zero():
    assert 0 < sign_flip(-np.linspace(1, 2, 100), side="less", draws=999) <= 0.001


def test_no_difference_is_no_evidence():
    assert sign_flip([0.0, 0.0]) == 1
    assert sign_flip([]) == 1


def test_the_bootstrap_interval_agrees_with_scipys_where_there_are_many_differences():
    differences = np.random.default_rng(5).choice([0, -1, 1, -0.5], 800, p=[0.6, 0.2, 0.1, 0.1])
    oracle = stats.bootstrap((differences,), np.mean, method="BCa", n_resamples=20_000, rng=1).confidence_interval
    assert paired_bootstrap(differences) == pytest.approx(tuple(oracle), abs=0.002)


@pytest.mark.parametrize(("count", "chance"), [(20, 0.3), (50, 0.1), (200, 0.02)])
def test_the_bootstrap_covers_the_truth_as_often_as_it_says(count, chance):
    random = np.random.default_rng(8)
    covered = 0
    for _ in range(400):
        low, high = paired_bootstrap(random.choice([0.0, -1.0], count, p=[1 - chance, chance]))
        covered += low <= -chance <= high
    assert 0.92 <= covered / 400 <= 0.98


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
@settings(max_examples=examples(150), deadline=None)
def test_the_bootstrap_interval_holds_the_mean_drawn_a_little_to_nothing(differences):
    low, high = paired_bootstrap(differences)
    mean = sum(differences) / (len(differences) + 1)
    assert -1 <= low < mean < high <= 1


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=40))
@settings(max_examples=examples(60), deadline=None)
def test_better_for_worse_turns_the_interval_around(differences):
    low, high = paired_bootstrap(differences)
    assert paired_bootstrap([-each for each in differences]) == pytest.approx((-high, -low), abs=1e-4)


def test_canaries_none_of_which_moved_still_leave_room_for_one_that_would():
    low, high = paired_bootstrap([0.0] * 100)
    assert -0.025 < low < -0.015
    assert high == pytest.approx(-low)


def test_five_hundred_canaries_have_their_interval_in_under_five_milliseconds():
    differences = np.clip(np.random.default_rng(1).normal(-0.02, 0.2, 500), -1, 1)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        paired_bootstrap(differences)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005


def test_a_bootstrap_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no difference"):
        paired_bootstrap([])


def test_the_poisson_binomial_equals_the_binomial_when_all_rates_are_equal():
    for count in range(12):
        assert poisson_binomial_tail(count, [0.03] * 40) == pytest.approx(stats.binom.sf(count - 1, 40, 0.03), rel=1e-9)


def test_the_poisson_binomial_equals_brute_force():
    rates = [0.1, 0.5, 0.02, 0.9, 0.33]
    for count in range(6):
        brute = sum(
            np.prod([rate if hit else 1 - rate for hit, rate in zip(hits, rates, strict=True)])
            for hits in itertools.product([0, 1], repeat=5)
            if sum(hits) >= count
        )
        assert poisson_binomial_tail(count, rates) == pytest.approx(brute, rel=1e-12)


def test_more_events_than_there_are_never_happen():
    assert poisson_binomial_tail(4, [0.5] * 3) == 0
    assert poisson_binomial_tail(1, []) == 0
