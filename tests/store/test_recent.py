"""A window that moves on is the same as one that is read anew, and only what is new is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from driftwatch.store import Store
from driftwatch.store.tables import sampled
from driftwatch.types import Sample
from tests.fakes.batches import DAY, HOUR, MONDAY, batch, docs, kept

TODAY = MONDAY.date()
Read = Callable[[datetime, datetime], Sample]


def same(store: Store, read: Read, start: datetime, end: datetime) -> Sample:
    """What ``read`` gives, which is what the table holds."""
    found, whole = read(start, end), store.traffic.sample("live", start, end)
    assert found.query_id.tolist() == whole.query_id.tolist()
    assert found.at.tolist() == whole.at.tolist()
    assert found.lang.tolist() == whole.lang.tolist()
    assert found.unit.tolist() == whole.unit.tolist()
    assert found.weight.tolist() == pytest.approx(whole.weight.tolist(), rel=1e-15)
    width = whole.scores.shape[1]
    np.testing.assert_array_equal(found.scores[:, :width], whole.scores)
    assert np.isnan(found.scores[:, width:]).all()
    assert rows_by_language(found) == rows_by_language(whole)
    return found


def rows_by_language(sample: Sample) -> dict[str, list[int]]:
    """Of each language that is there."""
    return {lang: rows.tolist() for lang, rows in sample.by_language().items() if len(rows)}


@contextmanager
def rows_read(store: Store) -> Iterator[list[str]]:
    """The statements that take whole rows of the sample."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "sampled.scores" in statement:
            seen.append(statement)

    event.listen(store.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(store.database.engine, "before_cursor_execute", note)


def day(store: Store, *hours: int) -> None:
    """Four queries in each of these hours."""
    rows = [
        kept(
            (hour * 4 + k + 1) / 500,
            f"{hour}.{k}",
            MONDAY + (hour + k / 4) * HOUR,
            lang=("it", "de")[k % 2],
            hits=docs(0.5, 0.25),
        )
        for hour in hours
        for k in range(4)
    ]
    store.traffic.ingest(batch(*rows))


def test_only_the_new_hour_is_read(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, *range(30))
    same(store, read, MONDAY, MONDAY + DAY)
    with rows_read(store) as seen:
        found = read(MONDAY + HOUR, MONDAY + 25 * HOUR)
    assert len(seen) == 1
    assert found.query_id.tolist()[0] == "1.0"
    assert found.query_id.tolist()[-1] == "24.3"
    same(store, read, MONDAY + HOUR, MONDAY + 25 * HOUR)


def test_nothing_new_is_the_same_sample(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, 0, 1, 5)
    first = read(MONDAY, MONDAY + DAY)
    with rows_read(store) as seen:
        assert read(MONDAY, MONDAY + DAY) is first
    assert not seen


def test_rows_that_come_late_are_seen(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, 0, 1, 5)
    same(store, read, MONDAY, MONDAY + DAY)
    store.traffic.ingest(batch(kept(0.9, "late", MONDAY + 1.6 * HOUR, hits=docs(0.1, 0.1, 0.1))))
    assert "late" in same(store, read, MONDAY, MONDAY + DAY).query_id.tolist()


def test_rows_that_a_falling_threshold_drops_are_not_read_again(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, 0, 1, 5)
    before = same(store, read, MONDAY, MONDAY + DAY)
    store.traffic.ingest(batch(thresholds={(TODAY, "*"): 0.01}))
    with rows_read(store) as seen:
        after = read(MONDAY, MONDAY + DAY)
    assert not seen
    assert len(after) < len(before)
    assert after.weight.tolist() == pytest.approx([100.0] * len(after))
    same(store, read, MONDAY, MONDAY + DAY)


def test_rows_that_somebody_deleted_are_gone(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, 0, 1, 5)
    same(store, read, MONDAY, MONDAY + DAY)
    with store.database.writing() as connection:
        connection.execute(sa.delete(sampled).where(sampled.c.query_id == "1.2"))
    assert len(same(store, read, MONDAY, MONDAY + DAY)) == 11


def test_a_window_may_begin_and_end_within_an_hour(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, *range(5))
    assert len(same(store, read, MONDAY + HOUR / 2, MONDAY + 3.3 * HOUR)) == 12
    assert len(same(store, read, MONDAY + HOUR, MONDAY + 4 * HOUR)) == 12


def test_a_window_that_holds_nothing_is_empty(store: Store) -> None:
    read = store.traffic.recent("live")
    assert len(read(MONDAY, MONDAY + DAY)) == 0
    day(store, 0)
    assert len(same(store, read, MONDAY, MONDAY + DAY)) == 4
    assert len(read(MONDAY + DAY, MONDAY + 2 * DAY)) == 0


def test_other_sources_are_not_seen(store: Store) -> None:
    read = store.traffic.recent("live")
    day(store, 0)
    store.traffic.ingest(batch(kept(0.5, "other"), source="elsewhere"))
    assert len(same(store, read, MONDAY, MONDAY + DAY)) == 4


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_it_is_what_the_table_holds(store: Store, seed: int) -> None:
    """Three days whose thresholds fall now and then, with lines that come late."""
    chance, read = random.Random(seed), store.traffic.recent("live")
    for hour in range(72):
        rows = []
        for place in range(chance.randrange(12)):
            at = MONDAY + timedelta(hours=hour - chance.choice([0, 0, 0, 3]), seconds=chance.randrange(3600))
            lang = chance.choice(["de", "fr", "zh-Hans"])
            scores = [chance.random() for _ in range(chance.randrange(4))]
            rows.append(kept(chance.random(), f"{hour}-{place}", at, stratum=lang, lang=lang, hits=docs(*scores)))
        thresholds = {(row.day, row.stratum): chance.uniform(0.3, 1.0) for row in rows if chance.random() < 0.1}
        store.traffic.ingest(batch(*rows, thresholds=thresholds))
        now = MONDAY + (hour + 1) * HOUR
        same(store, read, now - DAY, now)
