from __future__ import annotations

import numpy as np
import pytest

from driftwatch.stats.resampling import FEWEST_RESAMPLES, affordable, resampled, resampled_sums

UNIT = np.array([7, 7, 3, 3, 3, 9])


def test_a_unit_is_drawn_whole():
    weights: list[np.ndarray] = []
    resampled(UNIT, np.ones(6), 1, 50, lambda weight: weights.append(weight) or 0.0)
    for weight in weights:
        drawn = [set(weight[unit == UNIT].tolist()) for unit in (3, 7, 9)]
        assert all(len(each) == 1 for each in drawn)
        assert sum(each.pop() for each in drawn) == 3


def test_sums_are_resampled_as_rows_are():
    value = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    by_row = resampled(UNIT, np.ones(6), 4, 30, lambda weight: float(weight @ value))
    sums = np.bincount(np.unique(UNIT, return_inverse=True)[1], value)
    assert resampled_sums(sums[None], 4, 30)[0] == pytest.approx(by_row)


def test_the_spread_is_that_of_a_mean_of_units():
    value = np.random.default_rng(1).normal(size=400)
    means = resampled(np.arange(400), np.ones(400), 2, 2000, lambda weight: float(weight @ value) / 400)
    assert means.std() == pytest.approx(value.std() / 20, rel=0.06)


def test_many_rows_are_drawn_less_often():
    assert affordable(1000, 2_000) == 1000
    assert affordable(1000, 50_000) == 400
    assert affordable(1000, 10_000_000) == FEWEST_RESAMPLES
    assert affordable(40, 10_000_000) == 40
