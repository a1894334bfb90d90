"""When a line was written: RFC 3339 in its many dresses, and numbers since the epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Anything before is a clock that was never set (year 1, 1970)."""

AHEAD = timedelta(days=1)
"""How far ahead of now a clock may be."""

WITHOUT_OFFSET = "times without an offset were taken as UTC"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"(\d{4}-?\d\d-?\d\d[Tt ]\d\d:?\d\d)(:?\d\d)?([.,]\d+)?\s*(Z|z|UTC|GMT|[+-]\d\d:?(?:\d\d)?)?")
_NUMBER = re.compile(r"\d{9,19}(?:\.\d+)?")
_NANOSECONDS, _MICROSECONDS, _MILLISECONDS = 1e17, 1e14, 1e11
"""Above which a number since the epoch counts in that unit; as seconds they would be the years 5138 and later."""


def moment(value: Any) -> tuple[datetime, str]:
    """An aware UTC time, and what was assumed to read it (empty: nothing).

    >>> moment("2026-11-01 10:30:00+01:00")[0].isoformat()
    '2026-11-01T09:30:00+00:00'
    >>> moment(1793525400000)[0].isoformat()
    '2026-11-01T09:30:00+00:00'

    Raises:
        ValueError: not a time; the reason is a phrase that follows "'ts'".
    """
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _of_number(value), ""
    raise ValueError("is not a time")


def _of_number(count: float) -> datetime:
    try:
        for least, unit in ((_NANOSECONDS, 1e9), (_MICROSECONDS, 1e6), (_MILLISECONDS, 1e3)):
            if count >= least:
                count /= unit
                break
        return _EPOCH + timedelta(seconds=count)
    except (OverflowError, ValueError):
        raise ValueError("is not a time") from None


def _of_text(text: str) -> tuple[datetime, str]:
    if _NUMBER.fullmatch(text):
        return _of_number(float(text)), ""
    if (parts := _TEXT.fullmatch(text)) is None:
        raise ValueError("is not a time")
    minute, second, fraction, offset = parts.groups()
    if second and second.endswith("60"):
        # A leap second has no place in datetime: it is counted with the second before it.
        second = second.replace("60", "59")
    zone = "+00:00" if offset in ("Z", "z", "UTC", "GMT", None) else offset
    try:
        at = datetime.fromisoformat(minute + (second or "") + (fraction or "") + zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"is not a time ({error})") from None
    return at, "" if offset else WITHOUT_OFFSET
