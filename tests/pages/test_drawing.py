"""Pictures hold what was measured, and nothing that somebody else wrote."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftwatch.pages import drawing
from driftwatch.pages.drawing import MOST_MOMENTS, MOST_POINTS, SECOND, Frame

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def test_a_line_stops_where_nothing_is_known() -> None:
    x, y = np.arange(5.0), np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    assert drawing.path(x, y) == "M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0"


def test_a_small_line_needs_two_points() -> None:
    assert drawing.sparkline(np.array([np.nan, 0.5])) == ""
    assert "<circle" in drawing.sparkline(np.array([0.4, np.nan, 0.5]))
    assert drawing.sparkline(np.array([0.5, 0.5])).count("NaN") == 0


@given(st.integers(1, 5000), st.integers(0, 10_000))
def test_thinning_keeps_the_extremes_and_the_order(length: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=length)
    at, kept = drawing.thinned(np.arange(length), values)
    assert len(at) <= max(length if length <= 2 * MOST_POINTS else 0, 2 * MOST_POINTS)
    assert (kept.min(), kept.max()) == (values.min(), values.max())
    assert (np.diff(at) > 0).all()


@pytest.mark.parametrize("days", [0.2, 1, 3, 14, 30, 91, 366])
def test_as_many_moments_stand_below_a_chart_as_can_be_read(days: float) -> None:
    start = (NOW - timedelta(days=days)).timestamp() * SECOND
    drawn = drawing.days(Frame((start, NOW.timestamp() * SECOND), (0, 1), 200), UTC)
    assert drawn.count("<text") <= MOST_MOMENTS
    assert drawn.count("<text") >= 1 or days < 1


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@example(-879609.9999999999, 1e-6)
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    found = drawing.ticks(low, low + width)
    assert 1 <= len(found) <= 8
    near = max(1e-6 * width, 2 * np.spacing(abs(low) + width))  # floats so large are no closer together
    assert all(low - near <= each <= low + width + near for each in found)


def test_what_others_wrote_is_escaped_in_a_chart() -> None:
    hostile = '</svg><script>alert(1)</script>\u202e\x1b[31m"'
    made = drawing.chart(Frame((0, 1), (0, 1), 100), hostile, drawing.words(1, 2, hostile))
    assert made.count("<") == 4
    assert "script&gt;" in made
    assert "\u202e" not in made


def test_a_strip_shows_each_verdict_for_as_long_as_it_lasted() -> None:
    frame = Frame((0.0, 4.0), (0.0, 1.0), 100)
    drawn = drawing.strip(frame, np.arange(4), ("ok", "ok", "fail", "unknown"))
    assert [drawn.count(f"v-{name}") for name in ("ok", "fail", "unknown")] == [1, 1, 1]
    assert drawing.strip(frame, np.empty(0, np.int64), ()) == ""
