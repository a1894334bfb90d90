from __future__ import annotations

import doctest
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.store import columns, samples
from driftwatch.store.columns import clean, dump, dump_floats, load_floats, micros, moment, short_name

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@pytest.mark.parametrize("module", [columns, samples])
def test_the_examples_in_the_docstrings_hold(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


@given(st.timedeltas(timedelta(days=-30_000), timedelta(days=80_000)))
def test_a_time_comes_back_to_the_microsecond(since: timedelta) -> None:
    assert moment(micros(columns.EPOCH + since)) == columns.EPOCH + since


def test_a_time_of_another_zone_is_the_same_moment_in_utc() -> None:
    there = datetime(2026, 5, 4, 12, tzinfo=timezone(timedelta(hours=2)))
    assert moment(micros(there)).isoformat() == "2026-05-04T10:00:00+00:00"


@given(ANY_TEXT)
def test_clean_text_is_utf8_without_nul(text: str) -> None:
    assert "\0" not in clean(text).encode().decode()


@given(ANY_TEXT)
def test_a_short_name_stays_as_it_is_when_shortened_again(text: str) -> None:
    assert short_name(short_name(text)) == short_name(text)


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert short_name("x" * 500 + "a") != short_name("x" * 500 + "b")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": float("nan"), "b": float("inf")}, {"a": None, "b": None}),
        ({"n": np.float64(0.5), "k": np.int64(3), "all": np.array([1, 2])}, {"n": 0.5, "k": 3, "all": [1, 2]}),
        ({"half": "\ud800"}, {"half": "?"}),
        ({"big": 2**70}, {"big": str(2**70)}),
        ({1: {"b", "a"}}, {"1": ["a", "b"]}),
        ({"zero": "\0"}, {"zero": "\0"}),
        (("x", (1, 2)), ["x", [1, 2]]),
    ],
)
def test_json_is_made_of_anything(value: Any, stored: Any) -> None:
    assert orjson.loads(dump(value)) == stored


@given(st.dictionaries(st.text(max_size=5), st.floats(), max_size=5))
def test_the_state_of_a_check_comes_back_with_nan_and_infinity(state: dict[str, float]) -> None:
    back = load_floats(dump_floats(state))
    assert back.keys() == state.keys()
    assert all(back[name] == value or (math.isnan(back[name]) and math.isnan(value)) for name, value in state.items())
