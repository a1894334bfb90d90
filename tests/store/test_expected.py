"""What was announced is kept for ever; what is ended is over from then on."""

from __future__ import annotations

from datetime import timedelta

from driftwatch.store import Store
from driftwatch.types import ExpectedChange
from tests.fakes.batches import DAY, HOUR, MONDAY

CHANGE = ExpectedChange("c1", MONDAY, MONDAY + 2 * DAY, "release <4> \u202e", "ann", MONDAY - HOUR)


def test_what_was_announced_comes_back_as_it_was(store: Store) -> None:
    later = ExpectedChange("c2", MONDAY + DAY, MONDAY + 9 * DAY, "move", "ben", MONDAY)
    store.expected.add(later)
    store.expected.add(CHANGE)
    store.expected.add(CHANGE)
    assert store.expected.changes() == (CHANGE, later)
    assert store.expected.changes(MONDAY + 2 * DAY) == (later,)


def test_one_that_goes_on_is_over_when_it_is_ended(store: Store) -> None:
    store.expected.add(CHANGE)
    assert store.expected.end("c1", "ben", MONDAY + DAY)
    (ended,) = store.expected.changes()
    assert (ended.start, ended.end, ended.author, ended.ended_by) == (MONDAY, MONDAY + DAY, "ann", "ben")
    assert not store.expected.end("c1", "eve", MONDAY + DAY)
    assert store.expected.changes()[0].ended_by == "ben"


def test_one_that_has_not_begun_never_does(store: Store) -> None:
    store.expected.add(CHANGE)
    assert store.expected.end("c1", "ben", MONDAY - timedelta(minutes=1))
    (ended,) = store.expected.changes()
    assert ended.start == ended.end


def test_what_is_over_or_was_never_announced_cannot_be_ended(store: Store) -> None:
    store.expected.add(CHANGE)
    assert not store.expected.end("c1", "ben", MONDAY + 2 * DAY)
    assert not store.expected.end("c2", "ben", MONDAY)
