"""What a baseline says about the counts to come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from driftwatch.stats.normal import BUCKETS, SMALLEST_RHO, Quantity, bucket_of, learn
from driftwatch.stats.shares import Shares
from tests.fakes.shares import HALF, START, stream

SIX = tuple(f"s{row}" for row in range(6))


def test_coins_are_hardly_correlated():
    rho = learn(stream(28, 20, 0.3, segments=SIX), (HALF,)).rho
    assert rho[0, -1].max() < 0.01


def test_days_that_differ_are_found_to_differ_and_not_underrated():
    rho = learn(stream(28, 20, 0.3, segments=SIX, rho=0.05, seed=1), (HALF,)).rho[0, -1, :-1, 0]
    assert (rho > 0.04).all()
    assert (rho < 0.2).all()


def test_a_longer_stretch_is_never_more_correlated_than_a_shorter_one():
    rho = learn(stream(28, 20, 0.3, segments=SIX, rho=0.05, seed=1), (HALF,)).rho
    assert (np.diff(rho, axis=1) <= 1e-15).all()
    assert (rho >= SMALLEST_RHO).all()


def test_a_segment_that_was_quiet_by_luck_is_as_restless_as_the_others_on_average():
    calm, restless = stream(28, 20, 0.3, segments=("s0",)), stream(28, 20, 0.3, segments=SIX[1:], rho=0.05, seed=2)
    both = Shares(calm.step, SIX, np.hstack([calm.n, restless.n]), np.concatenate([calm.hits, restless.hits], axis=1))
    rho = learn(both, (HALF,)).rho[0, -1, :-1, 0]
    alone = learn(calm, (HALF,)).rho[0, -1, 0, 0]
    assert rho[0] > 10 * alone
    assert rho[0] >= 0.5 * rho[1:].mean()


def test_the_error_of_the_level_covers_it():
    off = []
    for seed in range(10):
        normal = learn(stream(14, 10, 0.3, segments=SIX, rho=0.02, seed=seed), (HALF,))
        off.append((normal.level - 0.3)[:-1, 0] / normal.error[:-1, 0])
    assert 0.5 < np.std(off) < 1.4


@pytest.mark.parametrize(("every", "block"), [(1, 24), (6, 24), (24, 24), (48, 48), (7 * 24, 7 * 24)])
def test_a_slow_source_has_blocks_of_its_own_length(every: int, block: int):
    normal = learn(stream(20 * every / 24 if every > 24 else 28, 50, 0.3, every=every), (HALF,))
    assert normal.block == block
    assert normal.steps == pytest.approx(block / every, rel=0.1)


def test_the_pooled_row_expects_what_its_segments_do():
    baseline = stream(14, 20, [0.1, 0.5], segments=("de", "en"))
    normal = learn(baseline, (HALF,))
    n, hits, expected = normal.totals(baseline, np.array([True, True]))
    for counts in (n, hits, expected):
        assert np.allclose(counts[:, -1], counts[:, :-1].sum(axis=1))
    more_german = replace(baseline, n=baseline.n * [9, 1], hits=baseline.hits * np.array([9, 1])[:, None])
    n, hits, expected = normal.totals(more_german, np.array([True, True]))
    assert hits[:, -1].sum() == pytest.approx(expected[:, -1].sum(), rel=0.01)


def test_a_segment_that_is_left_out_is_no_part_of_the_pooled_row():
    baseline = stream(14, 20, [0.1, 0.5], segments=("de", "en"))
    n, *_ = learn(baseline, (HALF,)).totals(baseline, np.array([False, True]))
    assert np.array_equal(n[:, -1], n[:, 1])


def test_an_unseen_weekend_is_not_judged():
    normal = learn(stream(5, 20, 0.3), (HALF,))
    n, hits, expected = normal.totals(stream(3, 20, 0.9, day=4), np.array([True]))
    assert n[:24].all()
    assert not n[24:].any()
    assert not hits[24:].any()
    assert not expected[24:].any()


def test_a_check_that_knows_what_to_expect_needs_no_season():
    told = stream(14, 20, 0.3)
    told = replace(told, expected=told.n[..., None] * 0.4)
    normal = learn(told, (HALF,))
    assert normal.season is None
    _, _, expected = normal.totals(told, np.array([True]))
    assert np.allclose(expected, 8.0)


def test_a_unit_may_be_worth_several_coins():
    mean_rank = Quantity("lower", 0, -1, 0.05, 0.0, 1.0, units=3.0)
    normal = learn(stream(14, 20, 0.5), (mean_rank,))
    n, *_ = normal.totals(stream(1, 20, 0.5, day=14), np.array([True]))
    assert np.allclose(n, 60)
    assert normal.per_day[0] == pytest.approx(480)


@pytest.mark.parametrize("block", [6, 24, 42, 168])
def test_only_a_block_that_is_over_is_in_the_last_bucket(block: int):
    buckets = bucket_of(START // block * block + np.arange(block), block)
    assert (np.diff(buckets) >= 0).all()
    assert buckets[-1] == BUCKETS - 1
    assert (buckets[:-1] < BUCKETS - 1).all()
    assert buckets.min() >= 0
