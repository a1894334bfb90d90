"""How long, and how often: ``14 days``, ``every: 1h``, ``mon 08:00``, ``*/15 9-17 * * mon-fri``.

All schedules run in UTC, where no hour is skipped or doubled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, PlainSerializer
from pydantic_core import CoreSchema, core_schema

_UNITS = {
    "ms": 0.001,
    "s": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
    "w": 604800,
    "week": 604800,
    "year": 31536000,
}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]+)")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_AT = re.compile(rf"(?:({'|'.join(_DAYS)}|daily)\s+)?(\d{{1,2}}):(\d\d)")
_WEEKDAYS = re.compile(rf"(\*|[0-7]|{'|'.join(_DAYS)})(?:-([0-7]|{'|'.join(_DAYS)}))?(?:/(\d))?")
_SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * sun",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST = 100 * _UNITS["year"]
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


def duration(text: str | timedelta) -> timedelta:
    """Read a length of time.

    >>> duration("1h 30m")
    datetime.timedelta(seconds=5400)
    >>> duration("14 days").days
    14

    Raises:
        ValueError: not a length of time, or not longer than nothing.
    """
    if isinstance(text, timedelta):
        return text
    words = str(text).strip().lower()
    parts = _PART.findall(words)
    units = [unit if unit in _UNITS else unit.rstrip("s") for _, unit in parts]
    if not parts or _PART.sub("", words).strip() or any(unit not in _UNITS for unit in units):
        raise ValueError(f"{text!r} is not a length of time. Write it like '90s', '10m', '1h', '14 days' or '2 weeks'.")
    seconds = sum(float(amount) * _UNITS[unit] for (amount, _), unit in zip(parts, units, strict=True))
    if seconds > _LONGEST:
        raise ValueError(f"{text!r} is longer than 100 years. Write something shorter.")
    if seconds <= 0:
        raise ValueError(f"{text!r} is no time at all. Write a length above zero, such as '1h'.")
    return timedelta(seconds=seconds)


def show_duration(length: timedelta) -> str:
    """The shortest text that ``duration`` reads back.

    >>> show_duration(timedelta(hours=36))
    '1d 12h'
    """
    left = length.total_seconds()
    shown = []
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _UNITS[unit])
        if count:
            shown.append(f"{int(count)}{unit}")
    if left or not shown:
        shown.append(f"{left:g}s")
    return " ".join(shown)


Duration = Annotated[timedelta, BeforeValidator(duration), PlainSerializer(show_duration)]


@dataclass(frozen=True)
class Schedule:
    """When something is due. ``text`` is what the user wrote."""

    text: str
    period: timedelta | None = None
    crontab: str | None = None
    """Five fields, weekdays by name."""

    @classmethod
    def parse(cls, text: str | Schedule) -> Schedule:
        """Read ``1h``, ``mon 08:00``, ``daily 08:00``, a crontab of five fields, or an ``@daily`` form.

        Raises:
            ValueError: none of these, with what to write instead.
        """
        if isinstance(text, Schedule):
            return text
        words = " ".join(str(text).lower().removeprefix("every ").split())
        words = _SHORTHANDS.get(words, words)
        if words.startswith("@"):
            raise ValueError(
                f"{text!r} is not a schedule. Write one of {', '.join(_SHORTHANDS)}, or '1h', or a crontab."
            )
        if at := _AT.fullmatch(words):
            day, hour, minute = at.groups()
            crontab = f"{int(minute)} {int(hour)} * * {day if day and day != 'daily' else '*'}"
            return cls(str(text), crontab=_checked_crontab(str(text), crontab))
        if len(words.split()) == 5 and not _PART.match(words):
            return cls(str(text), crontab=_checked_crontab(str(text), words))
        if len(words.split()) == 6 and words[0] in "0123456789*":
            raise ValueError(f"{text!r} has six fields; a crontab here has five: minute hour day month weekday.")
        if not _PART.match(words):
            raise ValueError(f"{text!r} is not a schedule. Write it like '1h', 'mon 08:00', '@daily' or as a crontab.")
        period = duration(words)
        if period < timedelta(seconds=1):
            raise ValueError(f"{text!r} is more often than once a second. Write '1s' or longer.")
        return cls(str(text), period=period)

    def next_after(self, moment: datetime) -> datetime:
        """The first time strictly after ``moment`` at which this is due.

        Periods are counted from a fixed Monday, so a restart does not move them.
        """
        if self.period is not None:
            return _MONDAY + ((moment - _MONDAY) // self.period + 1) * self.period
        due = self.trigger.get_next_fire_time(None, moment + timedelta(microseconds=1))
        if due is None:
            raise ValueError(f"'{self.text}' never comes due.")
        next_due: datetime = due.astimezone(UTC)
        return next_due

    def latest(self, moment: datetime, since: datetime) -> datetime | None:
        """The last time in ``(since, moment]`` at which this was due."""
        if self.period is not None:
            due = _MONDAY + ((moment - _MONDAY) // self.period) * self.period
            return due if due > since else None
        found, due = None, self.next_after(since)
        while due <= moment:
            found, due = due, self.next_after(due)
        return found

    def next_runs(self, moment: datetime, count: int = 3) -> list[datetime]:
        """The next ``count`` times after ``moment``."""
        runs: list[datetime] = []
        for _ in range(count):
            moment = self.next_after(moment)
            runs.append(moment)
        return runs

    def shortest_gap(self, moment: datetime) -> timedelta:
        """The shortest time between two of the next runs: what a window must be able to work with."""
        if self.period is not None:
            return self.period
        runs = self.next_runs(moment, 15)
        return min(later - earlier for earlier, later in pairwise(runs))

    @cached_property
    def trigger(self) -> Any:
        """The APScheduler trigger, in UTC."""
        if self.period is not None:
            from apscheduler.triggers.interval import IntervalTrigger

            return IntervalTrigger(seconds=self.period.total_seconds(), start_date=_MONDAY, timezone=UTC)
        from apscheduler.triggers.cron import CronTrigger

        assert self.crontab is not None
        return CronTrigger.from_crontab(self.crontab, timezone=UTC)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())


def _checked_crontab(text: str, crontab: str) -> str:
    """``crontab`` with weekdays by name: APScheduler counts them from Monday, everybody else from Sunday."""
    from apscheduler.triggers.cron import CronTrigger

    minute, hour, day, month, weekday = crontab.split()
    try:
        named = f"{minute} {hour} {day} {month} {_named_weekdays(weekday)}"
        trigger = CronTrigger.from_crontab(named, timezone=UTC)
    except ValueError as error:
        why = str(error).rstrip(".")
        raise ValueError(
            f"{text!r} is not a crontab: {why}. It has five fields: minute hour day month weekday."
        ) from None
    if day != "*" and weekday != "*":
        # cron takes days that fit either field, APScheduler days that fit both: whoever wrote it meant one of them.
        raise ValueError(f"{text!r} names days of the month and weekdays. Name one of them, and put * for the other.")
    if trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:
        raise ValueError(f"{text!r} never comes due. Check its day and month.")
    return named


def _named_weekdays(field: str) -> str:
    """``1-5`` becomes ``mon,tue,wed,thu,fri``; 0 and 7 are Sunday. Ranges may wrap and step.

    >>> _named_weekdays("5-7")
    'fri,sat,sun'
    """
    if field == "*":
        return field
    days = [day for part in field.split(",") for day in _weekdays(part)]
    return ",".join(dict.fromkeys(days))


def _weekdays(part: str) -> list[str]:
    """The weekdays of ``1``, ``mon``, ``1-5``, ``*/2``, ``fri-mon/2``."""
    match = _WEEKDAYS.fullmatch(part)
    if match is None:
        raise ValueError(f"'{part}' is not a weekday: write 0-7 (0 and 7 are Sunday) or sun, mon, tue and so on")
    first, last, step = match.groups()
    if step == "0":
        raise ValueError(f"'{part}' has a step of 0")
    if first == "*":
        first, last = "0", "6"
    start, end = _weekday(first), _weekday(last or ("6" if step else first))
    length = 6 if (first, last) == ("0", "7") else (end - start) % 7
    return [_DAYS[(start + offset) % 7] for offset in range(0, length + 1, int(step or 1))]


def _weekday(text: str) -> int:
    return _DAYS.index(text) if text in _DAYS else int(text) % 7
