"""Likeness of rankings, against a direct implementation of the formulas that counts set by set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.stats.overlap import Overlaps, mean_interval, persistence, weight_of_top

RANKING = st.lists(st.sampled_from("abcdefghij"), max_size=8, unique=True)
PAIRS = st.lists(st.tuples(RANKING, RANKING), min_size=1, max_size=6)
P = st.sampled_from([0.0, 0.5, 0.9, 0.98])


def rbo_ext(one: list[str], other: list[str], p: float) -> float:
    """Equation 32 of Webber, Moffat and Zobel (2010), term by term."""
    short, long = sorted((one, other), key=len)
    s, l = len(short), len(long)  # noqa: E741 - the paper's names
    if not l:
        return 1.0
    if not s:
        return 0.0

    def x(d: int) -> int:
        return len(set(short[:d]) & set(long[:d]))

    head = sum(x(d) / d * p ** (d - 1) for d in range(1, l + 1))
    middle = sum(x(s) * (d - s) / (s * d) * p ** (d - 1) for d in range(s + 1, l + 1))
    return (1 - p) * (head + middle) + ((x(l) - x(s)) / l + x(s) / s) * p**l


def jaccard(one: list[str], other: list[str], k: int) -> float:
    old, new = set(one[:k]), set(other[:k])
    return len(old & new) / len(old | new) if old | new else 1.0


def overlap(one: list[str], other: list[str], k: int) -> float:
    old, new = set(one[:k]), set(other[:k])
    return len(old & new) / max(len(old), len(new)) if old | new else 1.0


@given(PAIRS, P, st.integers(1, 10))
def test_every_measure_is_what_its_formula_gives(pairs: list[tuple[list[str], list[str]]], p: float, k: int):
    measured = Overlaps.of([old for old, _ in pairs], [new for _, new in pairs])
    assert measured.rbo(p) == pytest.approx([rbo_ext(old, new, p) for old, new in pairs], abs=1e-12)
    assert measured.overlap(k) == pytest.approx([overlap(old, new, k) for old, new in pairs])
    assert measured.jaccard(k) == pytest.approx([jaccard(old, new, k) for old, new in pairs])
    assert measured.top1().tolist() == [float(old[:1] == new[:1]) for old, new in pairs]


@given(PAIRS, P, st.integers(1, 10))
def test_which_side_is_new_makes_no_difference(pairs: list[tuple[list[str], list[str]]], p: float, k: int):
    there = Overlaps.of([old for old, _ in pairs], [new for _, new in pairs])
    back = Overlaps.of([new for _, new in pairs], [old for old, _ in pairs])
    for one, other in zip(_all(there, p, k), _all(back, p, k), strict=True):
        assert one == pytest.approx(other)


@given(st.lists(RANKING, min_size=1, max_size=6), P, st.integers(1, 10))
def test_a_ranking_is_as_itself(rankings: list[list[str]], p: float, k: int):
    for values in _all(Overlaps.of(rankings, rankings), p, k):
        assert values == pytest.approx(np.ones(len(rankings)))


@given(st.lists(RANKING.filter(bool), min_size=1, max_size=6), P, st.integers(1, 10))
def test_what_shares_no_document_is_not_alike_at_all(rankings: list[list[str]], p: float, k: int):
    strangers = [[doc_id.upper() for doc_id in ranking] for ranking in rankings]
    for values in _all(Overlaps.of(rankings, strangers), p, k):
        assert values.tolist() == [0.0] * len(rankings)


@given(PAIRS, P, st.integers(1, 10))
def test_every_measure_is_a_share(pairs: list[tuple[list[str], list[str]]], p: float, k: int):
    for values in _all(Overlaps.of([old for old, _ in pairs], [new for _, new in pairs]), p, k):
        assert ((values >= -1e-12) & (values <= 1 + 1e-12)).all()


def test_a_disagreement_at_the_top_costs_more_than_one_further_down():
    measured = Overlaps.of(["abcdefgh", "abcdefgh"], ["xbcdefgh", "abcdefgx"]).rbo(0.9)
    assert measured[0] < measured[1]


def test_a_document_that_is_named_twice_counts_once():
    assert Overlaps.of([["a", "a", "b"]], [["a", "b"]]).rbo(0.9).tolist() == pytest.approx([1.0])


def test_an_empty_answer_has_nothing_in_common_with_one_that_is_not():
    measured = Overlaps.of([[], ["a"], []], [["a"], [], []])
    for values in _all(measured, 0.9, 5):
        assert values.tolist() == [0.0, 0.0, 1.0]


def test_no_pairs_give_no_numbers():
    for values in _all(Overlaps.of([], []), 0.9, 5):
        assert values.shape == (0,)


def test_rankings_come_in_pairs():
    with pytest.raises(ValueError, match="1 rankings cannot be paired with 2"):
        Overlaps.of(["a"], ["a", "b"])


@pytest.mark.parametrize("p", [-0.1, 1.0, 2.0])
def test_a_persistence_is_below_one(p: float):
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        Overlaps.of(["a"], ["b"]).rbo(p)


@pytest.mark.parametrize("k", [1, 5, 10, 20, 100])
def test_most_of_the_weight_lies_on_the_ranks_that_are_looked_at(k: int):
    assert 0.84 < weight_of_top(k, persistence(k)) <= 1


def test_the_weight_of_the_top_is_the_change_that_all_further_ranks_can_make():
    """RBO of two lists that agree on the first ten ranks and on nothing further down, however long they are."""
    beyond = [f"{rank}" for rank in range(2000)]
    top = [f"top {rank}" for rank in range(10)]
    p, depths = 0.9, np.arange(1, 11)
    seen = Overlaps.of([top + beyond], [top + [each + "'" for each in beyond]]).rbo(p).item()
    agreed_below = (1 - p) * (10 / np.arange(11, 5000) * p ** np.arange(10.0, 4999.0)).sum()
    assert seen == pytest.approx((1 - p) * (p ** (depths - 1.0)).sum() + agreed_below, abs=1e-9)
    assert seen == pytest.approx(weight_of_top(10, p), abs=1e-9)


def test_equal_pairs_do_not_prove_that_all_are():
    mean, low, high = mean_interval(np.ones(100), np.ones(100))
    assert mean == high == 1.0
    assert 0.95 < low < 0.99


def test_an_interval_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(5)
    held = 0
    for _ in range(400):
        _, low, high = mean_interval(random.beta(4, 1, 80), np.ones(80))
        held += low <= 0.8 <= high
    assert 0.92 <= held / 400 <= 0.98


def test_a_query_that_stands_for_many_is_not_many_queries():
    values = np.tile([0.0, 1.0], 50)
    alike, _, _ = mean_interval(values, np.ones(100))
    uneven = mean_interval(values, np.where(values > 0, 9.0, 1.0))
    assert alike == 0.5
    assert uneven[0] == pytest.approx(0.9)
    small, large = mean_interval(np.ones(20), np.ones(20)), mean_interval(np.ones(20), np.r_[np.ones(19), 200.0])
    assert large[1] < small[1]


def _all(pairs: Overlaps, p: float, k: int) -> list[np.ndarray]:
    return [pairs.rbo(p), pairs.overlap(k), pairs.jaccard(k), pairs.top1()]
