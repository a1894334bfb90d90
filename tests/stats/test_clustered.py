import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.stats.clustered import clustered_interval
from driftwatch.stats.paired import paired_bootstrap
from tests.fakes.examples import examples


def differences(random, n):
    return np.where(random.random(n) < 0.5, 0.0, np.round(random.normal(0.05, 0.3, n), 2)).clip(-1, 1)


@pytest.mark.parametrize("n", [5, 20, 60, 400])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.98])
def test_rows_that_are_each_a_cluster_have_the_interval_of_the_paired_bootstrap(n, level):
    values = differences(np.random.default_rng(n), n)
    assert clustered_interval(values, np.arange(n), level=level) == pytest.approx(
        paired_bootstrap(values, level=level), abs=2e-5
    )


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.37, 0.0, 0.0, 0.5, 1.0]), min_size=2, max_size=60), st.integers(2, 5))
def test_asking_everything_again_changes_nothing(values, times):
    once = clustered_interval(values, np.arange(len(values)))
    again = clustered_interval(np.repeat(values, times), np.repeat(np.arange(len(values)), times))
    assert again == pytest.approx(once, abs=2e-5)


def test_neither_the_order_of_rows_nor_the_names_of_clusters_matter():
    random = np.random.default_rng(2)
    values, cluster = differences(random, 90), random.integers(0, 30, 90)
    order = random.permutation(90)
    assert clustered_interval(values[order], 1000 - cluster[order]) == pytest.approx(
        clustered_interval(values, cluster)
    )


def drawn(values, cluster, level, draws=40_000):
    """The same by drawing, with half a cluster at either end."""
    random = np.random.default_rng(0)
    sums, sizes = np.bincount(cluster, values), np.bincount(cluster)
    sums = np.append(sums, [-sizes.mean(), sizes.mean()])
    sizes = np.append(sizes, [sizes.mean(), sizes.mean()])
    weights = random.standard_gamma(np.append(np.ones(len(sums) - 2), [0.5, 0.5]), (draws, len(sums)))
    return np.quantile(weights @ sums / (weights @ sizes), [(1 - level) / 2, (1 + level) / 2])


@pytest.mark.parametrize("clusters", [8, 25, 120])
def test_it_is_what_drawing_whole_clusters_gives(clusters):
    random = np.random.default_rng(clusters)
    cluster = np.concatenate([np.arange(clusters), np.repeat(np.arange(clusters), random.integers(0, 6, clusters))])
    values = (differences(random, clusters)[cluster] + random.normal(0, 0.05, len(cluster))).clip(-1, 1)
    found = clustered_interval(values, cluster, level=0.95)
    assert found == pytest.approx(drawn(values, cluster, 0.95), abs=0.02 * (found[1] - found[0]))


def test_clusters_that_agree_are_wider_than_rows():
    random = np.random.default_rng(4)
    cluster = np.repeat(np.arange(20), 10)
    values = differences(random, 20)[cluster]
    by_cluster, by_row = clustered_interval(values, cluster), clustered_interval(values, np.arange(200))
    assert by_cluster[1] - by_cluster[0] > 2.5 * (by_row[1] - by_row[0])


@pytest.mark.parametrize("effect", [0.0, 0.05])
def test_it_covers_the_truth_of_clustered_rows_as_often_as_it_says(effect):
    random = np.random.default_rng(9)
    covered = 0
    for _ in range(400):
        sizes = random.integers(1, 8, 40)
        cluster = np.repeat(np.arange(40), sizes)
        own = effect + random.choice([0.0, 0.0, -0.4, 0.4], 40)
        values = own[cluster] + random.choice([0.0, -0.2, 0.2], len(cluster))
        low, high = clustered_interval(values, cluster, level=0.95)
        covered += low <= effect <= high
    assert covered / 400 >= 0.925


@pytest.mark.parametrize("values", [[0.0], [1.0], [-1.0] * 30, [1.0] * 30, [0.0] * 500])
def test_values_that_are_all_alike_still_leave_a_doubt(values):
    low, high = clustered_interval(values, np.arange(len(values)))
    assert -1 < low < high < 1
    assert low - 1e-3 < values[0] < high + 1e-3


def test_no_value_has_no_interval():
    with pytest.raises(ValueError, match="no value"):
        clustered_interval([], np.array([], dtype=np.int64))


def test_thousands_of_rows_take_no_time():
    random = np.random.default_rng(1)
    values, cluster = random.normal(0, 0.2, 20_000).clip(-1, 1), random.integers(0, 9_000, 20_000)
    began = time.process_time()
    clustered_interval(values, cluster)
    assert time.process_time() - began < 2
