from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.probes.contents import MOST_WAITING, Waiting, overdue_look, same_text

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)


def waited(names, hours):
    """Missing at every one of these hours."""
    waiting = Waiting()
    for hour in hours:
        waiting = Waiting.read(waiting.seen(names, MONDAY + hour * HOUR).dump())
    return waiting


def look(names, waiting, hour):
    return overdue_look(names, waiting, MONDAY + hour * HOUR, HOUR, {"": 10_000}, lambda _: "", 200)


def test_what_is_missing_for_an_hour_is_missing():
    names = ["a", "b"]
    assert look(names, waited(names, [0]), 0).bad == 0
    assert look(names, waited(names, [0, 1]), 1).ids == ("a", "b")


def test_what_was_there_in_between_waits_again():
    waiting = waited(["a"], [0]).seen([], MONDAY + HOUR).seen(["a"], MONDAY + 2 * HOUR)
    assert look(["a"], waiting, 2).bad == 0
    assert look(["a"], waiting.seen(["a"], MONDAY + 3 * HOUR), 3).bad == 1


@pytest.mark.parametrize("late", [1.0, 0.5])
def test_of_very_many_the_number_is_taken_from_a_sample(late):
    old = [f"old-{n}" for n in range(int(4000 * late))]
    new = [f"new-{n}" for n in range(4000 - len(old))]
    waiting = waited(old, [0]).seen([*old, *new], MONDAY + HOUR)
    assert len(waiting.keys) == MOST_WAITING
    assert look([*old, *new], waiting, 1).bad == pytest.approx(4000 * late, rel=0.35)


def test_what_is_kept_may_be_damaged():
    assert len(Waiting.read("?!").keys) == len(Waiting.read(None).keys) == len(Waiting.read("AAAA").keys) == 0


@pytest.mark.parametrize(
    ("stored", "source", "same"),
    [
        ("two words", "two  words\n", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("a part", "this is a part of it", True),
        ("Title: and all", "and all", True),
        ("another", "one", False),
        ("something", "", False),
    ],
)
def test_texts_are_the_same_but_for_spaces_and_parts(stored, source, same):
    assert same_text(stored, source) is same
