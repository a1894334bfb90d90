"""Counts of units by hour and segment."""

from __future__ import annotations

import numpy as np
import pytest

from driftwatch.stats.shares import Shares, binned, summed
from tests.fakes.shares import START, stream


def test_units_are_counted_by_hour_and_language_in_any_order():
    hour = np.array([7, 5, 7, 7])
    lang = np.array(["de", "en", "de", "fr"])
    inside = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 1.0], [1.0, 1.0]])
    found = binned(hour, lang, inside, ("en", "de"))
    assert found.step.tolist() == [5, 7]
    assert found.n.tolist() == [[1, 0], [0, 2]]
    assert found.hits[1, 1].tolist() == [1.5, 1.0]


def test_a_language_that_is_not_asked_for_is_left_out():
    found = binned(np.array([5]), np.array(["fr"]), np.ones((1, 1)), ("en",))
    assert (len(found), found.n.sum()) == (0, 0)


def test_rows_of_many_units_are_summed():
    found = summed(np.array([5, 5]), np.array(["de", "de"]), np.array([3.0, 4.0]), np.array([[1.0], [2.0]]), ("de",))
    assert (found.n.tolist(), found.hits.tolist()) == ([[7.0]], [[[3.0]]])


def test_a_piece_after_a_step_and_its_beginning_make_the_whole():
    whole = stream(2, 10, 0.3, segments=("de", "en"))
    cut = START + 13
    early, late = whole.keep(whole.step <= cut), whole.after(cut)
    assert late.step[0] == cut + 1
    again = Shares.joined([early, late])
    assert np.array_equal(again.step, whole.step)
    assert np.array_equal(again.hits, whole.hits)


@pytest.mark.parametrize("expected", [False, True])
def test_segments_are_put_in_another_order_and_new_ones_have_nothing(expected: bool):
    whole = stream(1, 10, [0.1, 0.9], segments=("de", "en"))
    whole = Shares(whole.step, whole.segments, whole.n, whole.hits, whole.hits + 1 if expected else None)
    laid = whole.of(("en", "fr", "de"))
    assert np.array_equal(laid.hits[:, 0], whole.hits[:, 1])
    assert np.array_equal(laid.n[:, 2], whole.n[:, 0])
    assert not laid.n[:, 1].any()
    assert (laid.expected is not None) == expected
    if laid.expected is not None:
        assert np.array_equal(laid.expected[:, 2], whole.hits[:, 0] + 1)
