from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.stats.rescaling import rescaling
from tests.fakes.examples import examples


def pairs(seed: int, queries: int = 50, documents: int = 10) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.normal(0.5, 0.1, queries * documents), np.repeat(np.arange(queries), documents)


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5))
def test_a_line_is_found_again(seed: int, slope: float, intercept: float):
    before, query = pairs(seed)
    found = rescaling(before, slope * before + intercept, query)
    assert found.slope == pytest.approx(slope)
    assert found.intercept == pytest.approx(intercept, abs=1e-9)
    assert found.monotone
    assert found.in_order == 1
    assert found.scatter == pytest.approx(0, abs=1e-6)


def test_what_did_not_move_is_not_called_moved():
    before, query = pairs(1)
    jitter = np.random.default_rng(2).normal(0, 1e-4, len(before))
    found = rescaling(before, before + jitter, query)
    assert found.unmoved
    assert found.monotone


def test_noise_changes_ranks_and_not_the_slope():
    before, query = pairs(3)
    after = before + np.random.default_rng(4).normal(0, 0.05, len(before))
    found = rescaling(before, after, query)
    assert not found.monotone
    assert 0.7 < found.in_order < 0.95
    assert found.slope_interval[0] <= np.sqrt(1.25) <= found.slope_interval[1]


def test_a_reversed_scale_has_a_slope_below_nought():
    before, query = pairs(5)
    found = rescaling(before, 1 - before, query)
    assert found.slope == pytest.approx(-1)
    assert found.in_order == 0


def test_the_order_is_that_within_a_query():
    """Each query by itself is in order, however far the queries moved against each other."""
    before, query = pairs(6)
    after = before + np.random.default_rng(7).normal(0, 5, 50)[query]
    assert rescaling(before, after, query).monotone


def test_one_and_the_same_score_says_nothing():
    with pytest.raises(ValueError, match="one and the same score"):
        rescaling(np.ones(4), np.arange(4.0), np.arange(4))
