"""The many ways in which logs write a time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from driftwatch.sources._times import WITHOUT_OFFSET, moment

AT = datetime(2026, 11, 1, 9, 30, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T09:30:00Z",
        "2026-11-01t09:30:00z",
        "2026-11-01 09:30:00Z",
        "2026-11-01T09:30:00.000000000Z",
        "2026-11-01T09:30:00,0Z",
        "2026-11-01T10:30:00+01:00",
        "2026-11-01T15:00:00+0530",
        "2026-11-01T10:30:00 +01",
        "2026-10-31T23:30:00-10:00",
        "2026-11-01 09:30:00 UTC",
        "20261101T093000Z",
        "1793525400",
        "1793525400.0",
        1793525400,
        1793525400.0,
        1793525400000,
        1793525400000000,
        1793525400000000000,
    ],
)
def test_one_moment_in_many_dresses(text):
    assert moment(text) == (AT, "")


@pytest.mark.parametrize("text", ["2026-11-01T09:30:00", "2026-11-01 09:30", "2026-11-01T09:30:00.000"])
def test_a_time_without_an_offset_is_utc_and_says_so(text):
    assert moment(text) == (AT, WITHOUT_OFFSET)


def test_a_leap_second_is_counted_with_the_second_before():
    assert moment("2016-12-31T23:59:60Z")[0] == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_more_than_six_digits_of_a_second_are_cut():
    assert moment("2026-11-01T09:30:00.1234567Z")[0].microsecond == 123456


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            "yesterday",
            "2026-11-01",
            "2026-13-01T00:00:00Z",
            "2026-11-01T25:00:00Z",
            "2026-11-01T09:60:00Z",
            "12:30",
        ),
        *(None, True, [], {}, float("nan"), float("inf"), 1e300, 10**400, -(10**20), "0001-01-01T00:00:00+05:00"),
    ],
)
def test_what_is_no_time_is_an_error(value):
    with pytest.raises(ValueError, match="is not a time"):
        moment(value)
