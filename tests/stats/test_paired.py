import itertools

import numpy as np
import pytest
from scipy import stats

from driftwatch.stats.paired import mcnemar_exact, paired_bootstrap, poisson_binomial_tail, sign_flip


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


def test_the_bootstrap_interval_agrees_with_scipys():
    differences = np.random.default_rng(5).choice([0, -1, 1, -0.5], 80, p=[0.6, 0.2, 0.1, 0.1])
    oracle = stats.bootstrap((differences,), np.mean, method="percentile", n_resamples=20_000, rng=1)
    assert paired_bootstrap(differences) == pytest.approx(tuple(oracle.confidence_interval), abs=0.02)


def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(8)
    covered = 0
    for seed in range(300):
        low, high = paired_bootstrap(random.choice([0.0, -1.0], 100, p=[0.7, 0.3]), seed=seed, draws=500)
        covered += low <= -0.3 <= high
    assert covered >= 300 * 0.9


def test_differences_that_are_all_equal_have_an_interval_of_one_point():
    assert paired_bootstrap([0.25, 0.25]) == (0.25, 0.25)


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
