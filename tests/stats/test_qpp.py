import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from driftwatch.stats.qpp import PREDICTORS, kendall_tau, predictors, rank_biased_overlap, tau_noise

ids = st.lists(st.sampled_from("abcdefgh"), max_size=8)


def one(scores, depth=10):
    return dict(zip(PREDICTORS, predictors([scores], depth)[0].tolist(), strict=True))


# --- predictors ----------------------------------------------------------------------------------------------------


def test_the_predictors_are_what_their_papers_say():
    found = one([0.9, 0.7, 0.6, 0.2])
    assert found == pytest.approx(
        {"top": 0.9, "gap_2": 0.2, "gap_k": 0.7, "nqc": np.std([0.9, 0.7, 0.6, 0.2]), "wig": 0.6}
    )


def test_only_the_best_scores_are_read():
    assert one([0.9, 0.7, 0.6, 0.2], depth=2) == one([0.9, 0.7])


def test_what_is_not_a_number_is_no_score_wherever_it_stands():
    assert one([0.9, np.nan, 0.7, np.inf, -np.inf]) == one([0.9, 0.7])


def test_an_answer_with_one_score_leads_nothing():
    assert one([0.9]) == pytest.approx({"top": 0.9, "gap_2": 0, "gap_k": 0, "nqc": 0, "wig": 0.9})


def test_an_answer_without_scores_predicts_nothing():
    found = predictors([[np.nan, np.nan], [0.5, 0.25]], 10)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()
    assert predictors(np.empty((0, 0)), 10).shape == (0, len(PREDICTORS))


# --- agreement -----------------------------------------------------------------------------------------------------


def test_rankings_that_agree_overlap_wholly_and_strangers_not_at_all():
    assert rank_biased_overlap("abc", "abc") == pytest.approx(1)
    assert rank_biased_overlap("abc", "def") == 0
    assert rank_biased_overlap("", "") == 1
    assert rank_biased_overlap("abc", "") == 0


def test_a_swap_at_the_top_costs_more_than_one_at_the_end():
    assert rank_biased_overlap("bacdef", "abcdef") < rank_biased_overlap("abcdfe", "abcdef") < 1


def test_the_overlap_is_that_of_the_paper():
    # By hand, equation 32 of Webber and others (2010): agreements 0, 2/2, 2/3 at p = 0.5, extrapolated with 2/3.
    by_hand = 0.5 / 0.5 * (0 * 0.5 + 1 * 0.25 + 2 / 3 * 0.125) + 2 / 3 * 0.125
    assert rank_biased_overlap("abc", "bad", 0.5) == pytest.approx(by_hand)


def test_lists_of_different_lengths_are_extrapolated():
    # s = 1, l = 2, X_1 = 1, X_2 = 1: (1-p)/p * (p + (1/2 + 1*1/(1*2)) p^2) + ((1-1)/2 + 1) p^2 = 1.
    assert rank_biased_overlap("a", "ab", 0.5) == pytest.approx(1)


@given(ids, ids)
def test_the_overlap_is_a_share_and_has_no_side(first, second):
    found = rank_biased_overlap(first, second)
    assert 0 <= found <= 1
    assert found == pytest.approx(rank_biased_overlap(second, first))


# --- Kendall's tau -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=30))
def test_tau_is_scipys_tau_b(pairs):
    one, other = zip(*pairs, strict=True)
    expected = 0.0 if min(len(set(one)), len(set(other))) < 2 else kendalltau(one, other).statistic
    assert kendall_tau(one, other) == pytest.approx(expected)


def test_tau_of_very_many_is_that_of_a_part_of_them():
    values = np.arange(100_000) % 997
    assert kendall_tau(values, values) == pytest.approx(1)


def test_tau_between_strangers_varies_as_much_as_is_said():
    random = np.random.default_rng(0)
    taus = [kendall_tau(random.random(40), random.random(40)) for _ in range(400)]
    assert np.std(taus) == pytest.approx(tau_noise(40), rel=0.12)
    assert tau_noise(1) == float("inf")
