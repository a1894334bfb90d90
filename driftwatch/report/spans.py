"""ISO weeks in a time zone: from Monday 00:00 to the next one, whatever the clocks do between."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from driftwatch.errors import ConfigError

_NAME = re.compile(r"(\d{4})-?[Ww](\d{2})")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Span:
    """One ISO week (ISO 8601), or what is over of it."""

    name: str
    """``2026-W47``."""
    zone: ZoneInfo
    start: datetime
    """UTC, as all of them."""
    end: datetime
    until: datetime
    """Only what was before it is looked at: ``end``, or the hour up to which the week is over."""

    @property
    def days(self) -> tuple[date, ...]:
        """Monday to Sunday."""
        return days_between(self.start, self.end, self.zone)

    def before(self, weeks: int) -> datetime:
        """The Monday that is so many weeks before this one."""
        return midnight(self.days[0] - weeks * 7 * _DAY, self.zone)


def span_of(name: str, zone: ZoneInfo, now: datetime | None = None) -> Span:
    """The week of that name; of one that is not over at ``now``, what there is up to the last whole hour.

    Raises:
        ConfigError: it names no week, or one that has not begun.

    >>> span_of("2026-W44", ZoneInfo("Europe/Berlin")).start.isoformat()
    '2026-10-25T23:00:00+00:00'
    """
    match = _NAME.fullmatch(name)
    try:
        if match is None:
            raise ValueError
        monday = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        start, end = midnight(monday, zone), midnight(monday + 7 * _DAY, zone)
    except (ValueError, OverflowError):
        raise ConfigError(f"'{name}' is no ISO week.", remedy="Write it like 2026-W47.") from None
    until = end if now is None else min(end, now.replace(minute=0, second=0, microsecond=0))
    if until <= start:
        raise ConfigError(f"the week {name} has not begun.", remedy="Name one that is over.")
    return Span(name_of(monday), zone, start, end, until)


def last_week(now: datetime, zone: ZoneInfo) -> str:
    """The newest week that is over."""
    return name_of(now.astimezone(zone).date() - 7 * _DAY)


def name_of(day: date) -> str:
    """The week that a day is in.

    >>> name_of(date(2027, 1, 1))
    '2026-W53'
    """
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins, in UTC; where the clocks leave midnight out, the first moment after it."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def days_between(start: datetime, end: datetime, zone: ZoneInfo) -> tuple[date, ...]:
    """The days of [start, end)."""
    first, last = start.astimezone(zone).date(), (end - timedelta(microseconds=1)).astimezone(zone).date()
    return tuple(first + number * _DAY for number in range((last - first).days + 1))


def edges(days: Iterable[date], zone: ZoneInfo) -> list[datetime]:
    """When each of ``days``, which follow each other, begins, and when the last one ends."""
    every = list(days)
    return [midnight(day, zone) for day in (*every, every[-1] + _DAY)] if every else []
