from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from driftwatch.replay.traffic import RecordedTraffic
from driftwatch.sampling import Batch, Kept
from driftwatch.store import Store
from driftwatch.types import TALLY_FIELDS, Observation, ScoredDoc

START = datetime(2026, 5, 1, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three months of a query an hour; the last month's have more documents."""
    opened = Store.open(f"sqlite:///{tmp_path_factory.mktemp('recorded') / 'driftwatch.db'}")
    moments = [START + hour * HOUR for hour in range(90 * 24)]
    kept = [
        Kept(
            (n % 97) / 100,
            at.date(),
            Observation(
                at + timedelta(minutes=n % 60),
                "live",
                f"q{n}",
                lang="en" if n % 3 else "de",
                hits=tuple(ScoredDoc(f"d{place}", 0.9 - place / 10) for place in range(2 + (n > 60 * 24))),
            ),
        )
        for n, at in enumerate(moments)
    ]
    tallies = {((at - EPOCH) // HOUR, "en"): [n] * len(TALLY_FIELDS) for n, at in enumerate(moments)}
    opened.traffic.ingest(Batch("live", {}, tallies, tuple(kept), {(START.date(), "*"): 0.5}))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 24), (5, 1), (100, 24 * 7), (24 * 58, 24 * 7), (24 * 10, 24 * 60), (24 * 200, 24), (24 * 89, 24 * 9)],
)
def test_a_window_of_memory_is_a_window_of_the_store(store: Store, start: int, length: int) -> None:
    recorded = RecordedTraffic(store.database)
    first = START.replace(hour=0) + start * HOUR
    for _ in range(2):
        ours, theirs = (each.sample("live", first, first + length * HOUR) for each in (recorded, store.traffic))
        for column in ("query_id", "at", "lang", "unit", "weight", "scores"):
            np.testing.assert_array_equal(getattr(ours, column), getattr(theirs, column))
        counted, expected = (each.tallies("live", first, first + length * HOUR) for each in (recorded, store.traffic))
        np.testing.assert_array_equal(counted.hour, expected.hour)
        np.testing.assert_array_equal(counted.counts, expected.counts)


def test_however_much_was_recorded_only_some_weeks_are_in_memory(store: Store) -> None:
    recorded = RecordedTraffic(store.database)
    for day in range(89):
        recorded.sample("live", START + day * 24 * HOUR, START + (day + 1) * 24 * HOUR)
    assert len(recorded._samples) <= 12
