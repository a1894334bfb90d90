import numpy as np
import pytest
from scipy import special, stats

from driftwatch.stats.dirichlet import dirichlet_mean_interval, normal_score


def drawn(values, weights, draws=200_000):
    gammas = np.random.default_rng(2).standard_gamma(weights, (draws, len(weights)))
    return gammas @ values / gammas.sum(axis=1)


@pytest.mark.parametrize("seed", range(12))
def test_the_interval_is_what_two_hundred_thousand_draws_say(seed):
    random = np.random.default_rng(seed)
    values = np.unique(random.uniform(-1, 1, random.integers(3, 12)))
    weights = random.integers(1, 40, len(values)) / 2
    means = drawn(values, weights)
    tolerance = 0.05 * means.std()
    assert dirichlet_mean_interval(values, weights) == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=tolerance)


@pytest.mark.parametrize(("hits", "misses"), [(0.5, 20.5), (3, 17), (40, 460)])
def test_two_values_are_a_beta_distribution(hits, misses):
    low, high = dirichlet_mean_interval(np.array([0.0, 1.0]), np.array([misses, hits]))
    oracle = stats.beta(hits, misses)
    assert oracle.cdf(low) == pytest.approx(0.025, abs=0.004)
    assert oracle.cdf(high) == pytest.approx(0.975, abs=0.004)


def test_the_score_at_the_ends_is_the_level():
    values, weights = np.array([-1.0, -0.4, 0.0, 0.1, 1.0]), np.array([0.5, 6, 70, 9, 0.5])
    for level in (0.5, 0.9, 0.99):
        ends = np.array(dirichlet_mean_interval(values, weights, level))
        assert special.ndtr(normal_score(values, weights, ends)) == pytest.approx(
            [(1 - level) / 2, (1 + level) / 2], abs=1e-4
        )


def test_the_score_is_smooth_through_the_mean():
    values, weights = np.array([-1.0, 0.0, 0.5]), np.array([2.0, 30.0, 5.0])
    mean = values @ weights / weights.sum()
    before, at, after = normal_score(values, weights, mean + np.array([-1e-5, 0.0, 1e-5]))
    assert before < at < after
    assert at == pytest.approx((before + after) / 2, abs=1e-4)


def test_values_that_are_all_equal_have_an_interval_of_one_point():
    assert dirichlet_mean_interval(np.array([0.25, 0.25]), np.ones(2)) == (0.25, 0.25)
