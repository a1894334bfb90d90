"""ISO weeks in a time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from driftwatch.errors import ConfigError
from driftwatch.report.spans import edges, last_week, midnight, name_of, span_of

BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")


@pytest.mark.parametrize(("name", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W44", 168)])
def test_a_week_has_the_hours_that_its_clocks_have(name: str, hours: int) -> None:
    span = span_of(name, BERLIN)
    assert span.end - span.start == timedelta(hours=hours)
    assert len(span.days) == 7
    assert span.days[0].isoweekday() == 1


def test_a_name_may_be_written_in_small_letters_or_without_hyphen() -> None:
    assert span_of("2026w47", UTC_ZONE).name == "2026-W47"


@pytest.mark.parametrize("name", ["2026-W54", "2026-W00", "last week", "2026-47", "2026-W5", "99999-W01", "9999-W53"])
def test_what_is_no_week_is_refused_with_how_to_write_one(name: str) -> None:
    with pytest.raises(ConfigError, match="2026-W47"):
        span_of(name, UTC_ZONE)


def test_a_week_that_has_not_begun_cannot_be_reported() -> None:
    with pytest.raises(ConfigError, match="not begun"):
        span_of("2026-W47", UTC_ZONE, datetime(2026, 11, 15, 23, tzinfo=UTC))


def test_the_last_week_is_the_one_that_is_over_where_the_service_is() -> None:
    sunday_night = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert last_week(sunday_night, UTC_ZONE) == "2026-W46"
    assert last_week(sunday_night, BERLIN) == "2026-W47"  # there it is Monday


def test_the_first_days_of_a_year_may_be_in_the_last_week_of_the_one_before() -> None:
    assert name_of(date(2027, 1, 3)) == "2026-W53"
    assert span_of("2026-W53", UTC_ZONE).end == datetime(2027, 1, 4, tzinfo=UTC)


def test_a_day_without_midnight_begins_when_its_clocks_do() -> None:
    """In Cairo the clocks went from 23:59 to 01:00 on 24 April 2026."""
    cairo = ZoneInfo("Africa/Cairo")
    begins = midnight(date(2026, 4, 24), cairo)
    assert begins == datetime(2026, 4, 23, 22, tzinfo=UTC)
    assert begins.astimezone(cairo).hour == 1


def test_the_edges_of_days_follow_each_other() -> None:
    span = span_of("2026-W43", BERLIN)
    found = edges(span.days, BERLIN)
    assert (found[0], found[-1], len(found)) == (span.start, span.end, 8)
    assert edges([], BERLIN) == []


def test_weeks_before_are_counted_in_local_days() -> None:
    span = span_of("2026-W44", BERLIN)
    assert span.before(1) == span_of("2026-W43", BERLIN).start
