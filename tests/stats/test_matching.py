from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.stats.matching import Scored, kept, like, match, share_where, total_variation
from tests.fakes.examples import examples


def traffic(
    seed: int, sessions: int = 400, *, slope: float = 1.0, intercept: float = 0.0, weighted: bool = False
) -> Scored:
    """One to three queries a session, alike within it."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(sessions), random.integers(1, 4, sessions))
    score = random.normal(0.6, 0.06, sessions)[unit] + random.normal(0, 0.08, len(unit))
    weight = random.choice([1.0, 4.0], sessions)[unit] if weighted else np.ones(len(unit))
    return Scored(slope * score + intercept, unit, weight)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.8), st.booleans())
def test_a_cut_off_that_keeps_as_much_is_found_row_by_row(seed: int, current: float, weighted: bool):
    before, after = traffic(seed, 60, weighted=weighted), traffic(seed + 1, 60, slope=0.5, weighted=weighted)
    if not (before.score >= current).any():
        return
    found = match(before, after, current, resamples=2)
    share = before.weight[before.score >= current].sum() / before.weight.sum()
    assert found.share == pytest.approx(share)
    assert found.value is not None
    now = after.weight[after.score >= found.value].sum() / after.weight.sum()
    dearest = after.weight.max() / after.weight.sum()
    assert share - 1e-9 <= now < share + dearest + 1e-9


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([np.exp, np.arctan, lambda x: 9 * x + 4]))
def test_a_monotone_change_of_the_scale_changes_nothing_that_is_kept(seed: int, change):
    before, after = traffic(seed, 60), traffic(seed + 1, 60)
    other = Scored(change(after.score), after.unit, after.weight)
    one, two = match(before, after, 0.6, resamples=20), match(before, other, 0.6, resamples=20)
    assert one.value is not None
    assert two.value is not None
    assert ((after.score >= one.value) == (other.score >= two.value)).all()


def test_nothing_changed_gives_the_old_cut_off_back():
    found = match(traffic(1, 3000), traffic(2, 3000), 0.55, resamples=200)
    assert found.interval[0] <= 0.55 <= found.interval[1]
    assert found.now == pytest.approx(found.share, abs=0.03)


@pytest.mark.slow
def test_an_interval_of_95_percent_holds_the_true_cut_off_in_95_percent():
    held = 0
    for seed in range(400):
        found = match(traffic(seed), traffic(10_000 + seed, slope=0.7, intercept=0.1), 0.55, seed=seed, resamples=400)
        low, high = found.interval
        held += low <= 0.7 * 0.55 + 0.1 <= high
    assert 0.93 <= held / 400 <= 0.97, held / 400


def moved(seed: int, noise: float) -> tuple[Scored, Scored]:
    """Ten documents of each of a hundred queries, before and after every score rose by 0.03 and some noise."""
    random = np.random.default_rng(seed)
    old = (random.normal(0.5, 0.1, (100, 10)) + random.normal(0, 0.05, (100, 1))).ravel()
    query, once = np.repeat(np.arange(100), 10), np.ones(1000)
    return Scored(old, query, once), Scored(old + 0.03 + noise * random.normal(size=1000), query, once)


def test_rows_that_are_the_same_before_and_after_are_drawn_together():
    paired, apart = (match(*moved(1, 0.0), 0.55, resamples=200, paired=each).interval for each in (True, False))
    assert paired[0] is not None
    assert paired[1] is not None
    assert paired[0] <= 0.58 <= paired[1]
    assert paired[1] - paired[0] < 0.005 < 0.03 < apart[1] - apart[0]  # type: ignore[operator]


def test_rows_that_did_not_move_leave_the_old_cut_off_within_its_interval():
    for seed in range(20):
        before, _ = moved(seed, 0.0)
        low, high = match(before, before, 0.55, seed=seed, resamples=100, paired=True).interval
        assert low is not None
        assert high is not None
        assert low <= 0.55 <= high


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "most"), [(0.005, 1.0), (0.02, 0.975)])
def test_a_paired_interval_holds_the_true_cut_off_in_at_least_93_percent(noise: float, most: float):
    held = 0
    for seed in range(400):
        low, high = match(*moved(seed, noise), 0.55, seed=seed, resamples=300, paired=True).interval
        assert low is not None
        assert high is not None
        held += low <= 0.58 <= high
    assert 0.93 <= held / 400 <= most, held / 400


def test_sessions_are_the_unit():
    one = traffic(3, 200)
    five = Scored(np.tile(one.score, 5), np.tile(one.unit, 5), np.tile(one.weight, 5))
    assert match(five, five, 0.6, resamples=100).interval == pytest.approx(match(one, one, 0.6, resamples=100).interval)
    assert kept(five, 0.6) == kept(one, 0.6)


def test_what_is_below_every_logged_score_is_not_guessed():
    before, after = traffic(4), traffic(5)
    dropped = Scored(np.where(after.score >= 0.65, after.score, -np.inf), after.unit, after.weight)
    found = match(before, dropped, 0.55, resamples=50)
    assert found.value is None
    assert found.interval == (None, None)


def test_a_share_to_keep_needs_nothing_before():
    nothing = Scored(np.empty(0), np.empty(0, np.int64), np.empty(0))
    found = match(nothing, traffic(6), share=0.8, resamples=50)
    assert found.now is None
    assert found.value is not None
    assert kept(traffic(6), found.value).value == pytest.approx(0.8, abs=0.01)


def test_a_cut_off_that_kept_nothing_matches_nothing():
    with pytest.raises(ValueError, match="kept nothing"):
        match(traffic(1), traffic(2), 99.0)
    with pytest.raises(ValueError, match="nothing was scored"):
        match(traffic(1), traffic(2).take(np.zeros(len(traffic(2)), bool)), 0.5)


def test_the_interval_of_a_share_holds_it_in_95_percent_of_samples_of_sessions():
    true = kept(traffic(77, 200_000), 0.5).value
    held = 0
    for seed in range(400):
        share = kept(traffic(seed, 120), 0.5)
        held += share.low <= true <= share.high
    assert 0.92 <= held / 400 <= 0.98, held / 400


def test_a_share_of_nothing_seen_has_an_upper_end():
    share = share_where(np.zeros(50, bool), np.arange(50), np.ones(50))
    assert share.value == share.low == 0
    assert 0.03 < share.high < 0.1
    assert share.units == 50
    with pytest.raises(ValueError, match="no rows"):
        share_where(np.empty(0, bool), np.empty(0, np.int64), np.empty(0))


def test_like_gives_each_cell_the_share_that_the_target_has():
    cell, target_cell = np.array([0, 0, 0, 1]), np.array([0, 1, 1])
    weight = like(np.ones(4), cell, np.ones(3), target_cell)
    assert weight[3] / weight.sum() == pytest.approx(2 / 3)


def test_what_the_target_never_saw_counts_nothing():
    assert like(np.ones(4), np.array([0, 1, 2, 2]), np.ones(2), np.array([0, 1])).tolist() == [1, 1, 0, 0]


def test_two_that_have_nothing_in_common_are_left_as_they_are():
    assert like(np.ones(2), np.array([0, 0]), np.ones(1), np.array([5])).tolist() == [1, 1]


def test_total_variation_is_half_of_what_moved():
    one, other = np.array(["de", "de", "en", "en"]), np.array(["de", "fr"])
    assert total_variation(one, np.ones(4), one, np.ones(4)) == 0
    assert total_variation(one, np.ones(4), other, np.ones(2)) == pytest.approx(0.5)
