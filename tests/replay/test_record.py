from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.config import BaselineSettings
from driftwatch.errors import DriftwatchError
from driftwatch.replay.projects import first_days, shipped_watch, with_logs
from driftwatch.replay.record import Record
from driftwatch.replay.remembered import Rehearsal
from driftwatch.replay.traffic import FOREVER
from driftwatch.sampling import Batch
from driftwatch.store import Store
from driftwatch.types import TALLY_FIELDS, Baseline
from driftwatch.windows import Learning

START = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST_HOUR = int((START - FOREVER[0]) / timedelta(hours=1))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    hours = range(FIRST_HOUR, FIRST_HOUR + 60 * 24)
    opened.traffic.ingest(Batch("live", {}, {(hour, "en"): [1] * len(TALLY_FIELDS) for hour in hours}))
    yield opened
    opened.close()


def record(store: Store, tmp_path: Path, **more: object) -> Record:
    (tmp_path / "queries.jsonl").touch()
    watch, _ = with_logs(shipped_watch(), [str(tmp_path / "queries.jsonl")], {})
    return Record(Rehearsal(store), watch, FOREVER, **more)  # type: ignore[arg-type]


def test_the_baseline_of_a_moment_is_the_one_that_was_known_then(store: Store, tmp_path: Path) -> None:
    learnt = Baseline(START, START + 14 * DAY, "learnt", "driftwatch", START + 14 * DAY, "live")
    by_hand = Baseline(START + 20 * DAY, START + 30 * DAY, "new index", "me", START + 31 * DAY)
    store.decisions.set_baseline(learnt)
    store.decisions.set_baseline(by_hand)
    found = record(store, tmp_path)
    assert isinstance(found.baseline("live", "tallies", START + 3 * DAY), Learning)
    assert found.baseline("live", "tallies", START + 15 * DAY) == learnt
    assert found.baseline("live", "tallies", START + 30 * DAY) == learnt
    assert found.baseline("live", "tallies", START + 31 * DAY) == by_hand


def test_a_baseline_that_was_given_takes_the_place_of_all_others(store: Store, tmp_path: Path) -> None:
    store.decisions.set_baseline(Baseline(START, START + 14 * DAY, "learnt", "driftwatch", START, "live"))
    given = Baseline(START + DAY, START + 3 * DAY, "given", "me", START)
    found = record(store, tmp_path, given={"live": given})
    assert isinstance(found.baseline("live", "tallies", START + 2 * DAY), Learning)
    assert found.baseline("live", "tallies", START + 3 * DAY) == given


def test_a_replay_decides_nothing_for_the_daemon(store: Store, tmp_path: Path) -> None:
    found = record(store, tmp_path)
    found.baseline("live", "tallies", START + 20 * DAY)
    found.store.decisions.set_baseline(Baseline(START, START + DAY, "x", "y", START))
    found.store.decisions.record(findings=(), alerts=(), transitions=(), receivers={})
    assert store.decisions.baselines() == []


def test_what_was_recorded_of_a_source_has_its_bounds(store: Store, tmp_path: Path) -> None:
    extent = record(store, tmp_path).extents["live"]
    assert (extent.start, extent.end, len(extent.hours)) == (START, START + 60 * DAY, 60 * 24)


@pytest.mark.parametrize(
    ("text", "days", "expected", "odd"),
    [("14 days", 60, 14, False), ("14 days", 14, 7, True), ("14 days", 5, 2, True), ("2 days", 3, 2, False)],
)
def test_the_first_days_of_a_record_are_its_baseline(text: str, days: int, expected: int, odd: bool) -> None:
    found, said = first_days(BaselineSettings.model_validate(text), START, START + days * DAY, "live")
    assert (found.start, found.end) == (START, START + expected * DAY)
    assert bool(said) == odd


def test_yesterday_alone_is_compared_with_its_own_morning() -> None:
    found, said = first_days(BaselineSettings.model_validate("14 days"), START, START + DAY, "live")
    assert found.end == START + DAY / 2
    assert "weaker" in said


def test_a_baseline_outside_of_the_record_is_an_error() -> None:
    with pytest.raises(DriftwatchError, match="holds nothing of what was recorded"):
        first_days(BaselineSettings.model_validate("2025-01-01 .. 2025-01-14"), START, START + DAY, "live")
