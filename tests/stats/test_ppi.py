import numpy as np
import pytest
from scipy import stats

from driftwatch.stats.ppi import Estimate, power, ppi_mean, weighted_mean

TRUTH = 0.4
"""The mean of what ``drawn`` draws."""


def drawn(random, n, noise):
    """(qualities, predictions) of ``n`` queries; the predictions are off by 0.1 and noisy."""
    quality = random.beta(2, 3, n)
    return quality, quality + 0.1 + random.normal(0, noise, n)


def test_a_mean_has_the_interval_of_student():
    values = np.array([0.1, 0.4, 0.5, 0.9])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert weighted_mean(values).interval() == pytest.approx(expected)


def test_a_value_that_weighs_double_is_a_value_seen_twice_in_the_mean_and_not_in_the_evidence():
    doubled = weighted_mean([0.2, 0.8, 0.5], [2, 1, 1])
    assert doubled.value == pytest.approx(np.mean([0.2, 0.2, 0.8, 0.5]))
    assert doubled.freedom == pytest.approx(16 / 6 - 1)


def test_a_weighted_interval_covers_the_truth():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        weights = random.choice([1.0, 4.0], 60)
        low, high = weighted_mean(random.beta(2, 3, 60), weights).interval()
        covered += low <= TRUTH <= high
    assert 930 <= covered <= 970


def test_an_interval_of_a_share_stays_inside_and_covers_the_truth_near_the_edge():
    random = np.random.default_rng(3)
    plain = covered = 0
    for _ in range(1000):
        found = weighted_mean(random.random(40) < 0.92)
        if found.error:
            low, high = found.share_interval()
            assert 0 < low < found.value < high < 1
        plain += found.interval()[0] <= 0.92 <= found.interval()[1]
        covered += found.share_interval()[0] <= 0.92 <= found.share_interval()[1]
    assert plain < 930 <= covered + 0.92**40 * 1000  # now and then all 40 are alike, and nothing is known of the spread


def test_an_interval_beyond_the_edge_is_cut():
    assert Estimate(1.02, 0.02, 1e9).share_interval() == pytest.approx((0.98, 1.0), abs=0.001)
    assert Estimate(0.3, 0.0, 5).share_interval() == (0.3, 0.3)


def test_a_sum_has_the_freedom_of_welch():
    one, other = np.array([1.0, 2.0, 4.0, 7.0]), np.array([2.0, 2.5, 3.0])
    difference = weighted_mean(one) + weighted_mean(other) * -1
    test = stats.ttest_ind(one, other, equal_var=False)
    assert difference.freedom == pytest.approx(test.df)
    assert difference.value / difference.error == pytest.approx(test.statistic)
    assert difference.p_below() == pytest.approx(1 - test.pvalue / 2)


def test_the_smallest_drop_is_where_the_p_value_is_the_error_budget():
    drop = Estimate(0.3, 0.02, 9).smallest_drop(0.001)
    assert Estimate(-drop, 0.02, 9).p_below() == pytest.approx(0.001)


def test_without_any_doubt_there_is_no_chance():
    assert Estimate(-0.1, 0.0, 5).p_below() == 0
    assert Estimate(0.0, 0.0, 5).p_below() == 1
    assert (Estimate(1.0, 0.0, 5) + Estimate(1.0, 0.0, 7)).interval() == (2.0, 2.0)


def test_perfect_predictions_are_trusted_and_worthless_ones_are_not():
    random = np.random.default_rng(1)
    quality = random.random(2000)
    assert power(quality, quality, 1e9) == pytest.approx(1, abs=1e-5)
    assert power(quality, quality, 2000) == pytest.approx(0.5)
    assert power(quality, random.random(2000), 1e9) < 0.06
    assert power(quality, -quality, 1e9) == 0
    assert power(quality, np.full(2000, 0.3), 1e9) == 0
    assert power(quality, quality, 0) == 0


def test_labels_alone_are_the_mean_of_the_labels():
    quality, said = drawn(np.random.default_rng(3), 50, 0.1)
    assert ppi_mean(quality, said, said, trust=0.0).interval() == pytest.approx(weighted_mean(quality).interval())


@pytest.mark.parametrize("noise", [0.02, 0.2, 2.0])
def test_the_interval_covers_the_truth_however_good_the_predictions_are_and_is_not_wider_than_labels_alone(noise):
    random = np.random.default_rng(9)
    covered, widths = 0, []
    for _ in range(1000):
        quality, said = drawn(random, 60, noise)
        found = ppi_mean(quality, said, drawn(random, 2000, noise)[1])
        low, high = found.interval()
        covered += low <= TRUTH <= high
        widths.append(found.error / weighted_mean(quality).error)
    assert 930 <= covered <= 970
    assert np.mean(widths) < {0.02: 0.3, 0.2: 0.8, 2.0: 1.02}[noise]


def test_what_all_predictions_are_off_by_is_put_right():
    random = np.random.default_rng(5)
    quality, said = drawn(random, 400, 0.02)
    _, others = drawn(random, 5000, 0.02)
    assert np.mean(others) == pytest.approx(0.5, abs=0.01)
    assert ppi_mean(quality, said, others).value == pytest.approx(TRUTH, abs=0.01)
    assert ppi_mean(quality, said + 7, others + 7).value == pytest.approx(TRUTH, abs=0.01)
