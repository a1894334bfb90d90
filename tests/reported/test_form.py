"""A week as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from driftwatch.reported import DayRate, Estimate, Rate, Verdict, Week
from driftwatch.reported.form import as_json, content_of, read_json, week_of

MONDAY, SUNDAY = datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC)
EMPTY = Week(
    service="help-centre",
    name="2026-W47",
    timezone="UTC",
    start=MONDAY,
    end=SUNDAY,
    complete=True,
    seen_until=SUNDAY,
    verdict=Verdict("unknown", "Nothing was seen"),
)


def filled(kind: Any, number: Iterator[int]) -> Any:
    """A value of this type in which nothing is left at its default and no two numbers are the same."""
    origin, inside = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        made = {each.name: filled(hints[each.name], number) for each in fields(kind)}
        return kind(**(made | ({"version": 1} if kind is Week else {})))
    if origin is Literal:
        return inside[-1]
    if origin is tuple:
        return tuple(filled(each, number) for each in (inside if inside[1:] != (...,) else (inside[0], inside[0])))
    if origin is Mapping:
        return {f"a{next(number)}": filled(inside[1], number) for _ in range(2)}
    if type(None) in inside:
        return filled(inside[0], number)
    plain = {str: "ü</script>\u2028 {}", int: next(number), float: next(number) / 7, bool: False}
    dates = {datetime: MONDAY + timedelta(microseconds=next(number)), date: MONDAY.date() + timedelta(next(number))}
    return {**plain, **dates}[kind] if kind is not str else f"{plain[str].format(next(number))}"


def test_every_noun_comes_back_from_json_as_it_was() -> None:
    week = filled(Week, count())
    assert read_json(as_json(week)) == week
    assert week.flips[0] != week.flips[1]


def test_the_same_week_is_the_same_bytes() -> None:
    assert as_json(EMPTY) == as_json(read_json(as_json(EMPTY)))


def test_half_a_surrogate_of_a_hostile_query_does_not_stop_the_report() -> None:
    week = replace(EMPTY, verdict=Verdict("fail", "\ud800 <script>"))
    assert read_json(as_json(week)).verdict.sentence == "? <script>"


def test_a_number_that_is_none_is_refused_before_anything_is_written() -> None:
    broken: Any = (Estimate(1, float("nan")),)
    week = replace(EMPTY, canaries=broken)
    with pytest.raises(ValueError, match="JSON"):
        as_json(week)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]", "no report"),
        (b"{}", "no report"),
        (b"nothing", "Expecting value"),
        (b"[" * 100_000, "nested too deep"),
        (as_json(EMPTY).replace(b'"version": 1', b'"version": 2'), "version 2"),
        (as_json(EMPTY).replace(b'"level": "unknown"', b'"level": "splendid"'), "splendid"),
        (as_json(EMPTY).replace(b'"checks": []', b'"checks": "many"'), "no list"),
        (as_json(EMPTY).replace(b'"complete": true', b'"complete": "yes"'), "no bool"),
        (as_json(EMPTY).replace(b'"start": "2026', b'"start": "once'), "Invalid isoformat"),
    ],
)
def test_what_is_no_report_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_json(content)


def test_a_field_of_a_later_version_is_left_alone() -> None:
    assert week_of({**content_of(EMPTY), "weather": "rain"}) == EMPTY


def test_a_rate_of_nothing_has_no_value() -> None:
    assert Rate(0, 0).value is None
    assert Rate(1, 4).value == 0.25
    assert content_of(DayRate(date(2026, 11, 16), Rate(1, 4)))["day"] == "2026-11-16"
