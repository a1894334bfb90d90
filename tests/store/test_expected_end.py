from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from driftwatch.acting import expect
from driftwatch.store import Store
from tests.fakes.notices import HOUR, START


def test_an_expected_change_that_has_begun_ends_now_and_can_be_read_again(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    announced = expect(store, START - HOUR, START + HOUR, "a launch", "ana", START - HOUR)
    assert store.expected.end(announced.change_id, "ben", START)
    (ended,) = store.expected.changes()
    assert (ended.end, ended.ended_by) == (START, "ben")
    assert not store.expected.end(announced.change_id, "ben", START + timedelta(seconds=1))
    store.close()
