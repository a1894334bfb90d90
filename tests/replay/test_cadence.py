from datetime import timedelta

import numpy as np
import pytest

from driftwatch.replay.cadence import cadence, named

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("hours", "pace"),
    [
        (np.arange(500), 1),
        (np.arange(0, 500, 6), 6),
        (np.arange(9, 24 * 60, 24), 24),
        (np.arange(9, 168 * 60, 168), 168),
        (np.array([day * 24 + 9 for day in range(60) if day % 7 < 5]), 24),
        (np.cumsum([744, 672, 744, 720, 744, 720, 744, 744, 720]), 744),
        (np.array([day * 24 + hour for day in range(30) for hour in range(8, 18)]), 1),
    ],
    ids=["hourly", "six hours", "daily", "weekly", "working days", "monthly", "working hours"],
)
def test_the_pace_of_a_record_is_the_step_between_its_hours(hours: np.ndarray, pace: int) -> None:
    assert cadence(hours) == pace * HOUR


def test_a_few_queries_a_day_at_any_hour_have_no_pace() -> None:
    hours = np.unique(np.random.default_rng(1).integers(0, 24 * 90, 300))
    assert cadence(hours) == HOUR


def test_two_hours_are_no_pace() -> None:
    assert cadence(np.array([0, 168])) == HOUR


def test_a_pace_is_named() -> None:
    assert [named(hours * HOUR) for hours in (1, 24, 168, 6)] == ["hourly", "daily", "weekly", "every 6h"]
