"""How values are stored: the same in SQLite and Postgres, and no text from a log can make a write fail."""

# ruff: noqa: ARG002 - SQLAlchemy hands every type the dialect, and these are the same in all
from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.date()
_MICROSECOND = timedelta(microseconds=1)
LONGEST_NAME = 128
"""Characters of a name in an index; Postgres refuses index rows of more than 2,700 bytes."""


def micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC.

    >>> micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The aware UTC time that ``micros`` was given."""
    return EPOCH + microseconds * _MICROSECOND


def day_of(number: int) -> date:
    """The day that is ``number`` days after the first of 1970."""
    return EPOCH_DAY + timedelta(days=number)


def clean(text: str) -> str:
    """Text that every database takes: no NUL, which Postgres refuses, and no half of a surrogate pair."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def short_name(text: str) -> str:
    """A name that fits into an index; two long names stay two.

    >>> short_name("doc-7"), len(short_name("x" * 10_000))
    ('doc-7', 128)
    """
    name = clean(text)
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 17]}~{blake2b(name.encode(), digest_size=8).hexdigest()}"


def dump(value: Any) -> str:
    """JSON of anything: NaN and infinity become null, numpy numbers are numbers, unknown things their text."""
    try:
        return orjson.dumps(value, default=_plain, option=_OPTIONS).decode()
    except TypeError:
        return orjson.dumps(_mended(value), default=_plain, option=_OPTIONS).decode()


_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return str(value)


def _mended(value: Any) -> Any:
    """``value`` without what JSON cannot say: half surrogates and integers of more than 64 bits."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_mended(str(key)): _mended(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(each) for each in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def dump_floats(state: Mapping[str, float]) -> str:
    """JSON of a flat mapping of numbers that keeps NaN and infinity, as text."""
    numbers = {name: float(number) for name, number in state.items()}
    return dump({name: number if math.isfinite(number) else str(number) for name, number in numbers.items()})


def load_floats(text: str) -> dict[str, float]:
    """What ``dump_floats`` wrote."""
    return {name: float(number) for name, number in orjson.loads(text).items()}


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, as microseconds since 1970: exact, sortable and an array without parsing."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


class Day(TypeDecorator[date]):
    """A UTC day, as days since 1970."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH_DAY).days

    def process_result_value(self, value: int | None, dialect: Dialect) -> date | None:
        return None if value is None else day_of(value)


class Name(TypeDecorator[str]):
    """A name in an index; see ``short_name``."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else short_name(value)


class Words(TypeDecorator[str]):
    """Text of any length from anywhere; see ``clean``."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else clean(value)


class Number(TypeDecorator[float]):
    """A float from numpy or Python; NaN is no number and is stored as NULL, as SQLite would have it."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None or math.isnan(value) else float(value)


class Json(TypeDecorator[Any]):
    """A value as JSON text; see ``dump``."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return dump(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


class Floats(TypeDecorator[Mapping[str, float]]):
    """A flat mapping of numbers; see ``dump_floats``."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, float] | None, dialect: Dialect) -> str:
        return dump_floats(value or {})

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, float]:
        return load_floats(value or "{}")
