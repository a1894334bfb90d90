"""What was announced while the daemon ran counts in a replay of that time, too."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from driftwatch import acting
from driftwatch.replay.running import _with_announced
from driftwatch.store import Store
from tests.fakes.world import RECALL, START, make_world

DAY = timedelta(days=1)


def test_a_replay_expects_what_was_announced(tmp_path: Path) -> None:
    watch = make_world(tmp_path, RECALL, more="expected: [{from: 2026-06-01, to: 2026-06-02, reason: a holiday}]\n")
    store = Store.open(watch.database)
    acting.expect(store, START + DAY, START + 2 * DAY, "launch", "ann", START)
    never = acting.expect(store, START + 5 * DAY, START + 6 * DAY, "a mistake", "ann", START)
    acting.end_expected(store, never.change_id, "ann", START)
    replayed = _with_announced(watch, store)
    store.close()
    assert [each.reason for each in replayed.expected] == ["a holiday", "launch"]
    assert replayed.expects(START + DAY) is not None
    assert replayed.expects(START + 2 * DAY) is None
    assert replayed.expects(START + 5 * DAY) is None
