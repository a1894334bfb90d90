"""What a person writes in one line, read: budgets, periods, languages, addresses of databases."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from driftwatch.schedule import duration

_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")


def budget(given: Any) -> dict[str, Any]:
    """Read ``1 per 90 days``.

    >>> budget("1 per 90 days")
    {'count': 1.0, 'per': datetime.timedelta(days=90)}
    """
    count, per, time_span = [*str(given).split(maxsplit=2), "", ""][:3]
    if per != "per" or not re.fullmatch(r"\d+(\.\d+)?", count):
        raise ValueError(f"{given!r} is not a number of pages in a time. Write it like '1 per 90 days'.")
    return {"count": float(count), "per": duration(time_span)}


def period(given: Any) -> dict[str, Any]:
    """Read ``14 days``, or ``2026-05-04 .. 2026-05-17`` with both days inclusive."""
    first, dots, last = str(given).partition("..")
    if not dots:
        return {"length": duration(str(given))}
    start, end = first_moment(first.strip()), last_moment(last.strip())
    if end <= start:
        raise ValueError(f"{given!r} ends before it begins. Write the earlier date first.")
    return {"start": start, "end": end}


def first_moment(given: Any) -> datetime:
    """A date's first moment, or a date and time; UTC unless it says otherwise.

    >>> first_moment("2026-05-04").isoformat()
    '2026-05-04T00:00:00+00:00'
    """
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=UTC)
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        raise ValueError(f"{given!r} is not a date. Write it like 2026-05-04 or 2026-05-04 18:00.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def last_moment(given: Any) -> datetime:
    """The moment after a date, or a date and time.

    >>> last_moment("2026-05-17").isoformat()
    '2026-05-18T00:00:00+00:00'
    """
    moment = first_moment(given)
    whole_day = isinstance(given, date) and not isinstance(given, datetime)
    if whole_day or re.fullmatch(r"\d{4}-?\d\d-?\d\d", str(given)):
        return datetime.combine(moment.date() + timedelta(days=1), time(), UTC)
    return moment


def language(tag: str) -> str:
    """A BCP 47 tag as it is; what is none is a ``ValueError``."""
    if not _TAG.fullmatch(tag):
        raise ValueError(f"'{tag}' is not a language tag (BCP 47). Write it like en, de or pt-BR.")
    return tag


def database_url(url: str, base: Path) -> str:
    """The URL with a driver that is installed, and a SQLite file below ``base``.

    Raises:
        ValueError: a database that driftwatch does not know, or one that forgets.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("postgres", "postgresql"):
        return f"postgresql+psycopg://{rest}"
    if scheme == "postgresql+psycopg":
        return url
    if scheme != "sqlite" or not rest.startswith("/") or not rest.strip("/"):
        raise ValueError(
            "it is not the address of a database. Write sqlite:///driftwatch.db, sqlite:////absolute/driftwatch.db or "
            "postgresql://host/name."
        )
    if ":memory:" in rest:
        raise ValueError("a database in memory forgets its alerts. Write a file, like sqlite:///driftwatch.db.")
    return f"sqlite:///{base.absolute() / rest[1:]}"


def loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
