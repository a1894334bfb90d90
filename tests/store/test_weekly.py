"""Weekly messages on their way to receivers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.store import Store

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
LEASE = timedelta(minutes=5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    yield store
    store.close()


def test_a_week_is_announced_once_to_each_receiver(store: Store) -> None:
    store.weekly.announce("2026-W47", ["slack", "console"], NOW)
    telling = store.weekly.claim("slack", NOW, LEASE)
    assert telling is not None
    store.weekly.done(telling, NOW)
    store.weekly.announce("2026-W47", ["slack", "webhook"], NOW)
    assert store.weekly.standing("2026-W47") == {"console": "waiting", "slack": "done", "webhook": "waiting"}
    assert store.weekly.claim("slack", NOW, LEASE) is None
    store.weekly.announce("2026-W48", [], NOW)
    assert store.weekly.standing("2026-W48") == {}


def test_a_claim_is_one_process_s_until_its_lease_is_over_and_then_a_repeat(store: Store) -> None:
    store.weekly.announce("2026-W47", ["slack"], NOW)
    first = store.weekly.claim("slack", NOW, LEASE)
    assert first is not None
    assert not first.repeat
    assert store.weekly.claim("slack", NOW + timedelta(minutes=4), LEASE) is None
    second = store.weekly.claim("slack", NOW + timedelta(minutes=5), LEASE)
    assert second is not None
    assert second.repeat
    store.weekly.done(first, NOW)  # the claim has passed to somebody else
    assert store.weekly.standing("2026-W47") == {"slack": "waiting"}
    store.weekly.failed(second, "down", NOW + timedelta(minutes=10))
    assert store.weekly.claim("slack", NOW + timedelta(minutes=9), LEASE) is None
    third = store.weekly.claim("slack", NOW + timedelta(minutes=10), LEASE)
    assert third is not None
    assert (third.attempts, third.repeat) == (3, True)


def test_a_new_leader_takes_what_the_one_before_had_in_hand(store: Store) -> None:
    store.weekly.announce("2026-W47", ["slack"], NOW)
    assert store.weekly.claim("slack", NOW, LEASE) is not None
    store.weekly.reclaim(NOW)
    found = store.weekly.claim("slack", NOW, LEASE)
    assert found is not None
    assert found.repeat


def test_what_was_remembered_is_there_for_the_next_claim_of_the_same_week_only(store: Store) -> None:
    for week in ("2026-W47", "2026-W48"):
        store.weekly.announce(week, ["slack"], NOW)
    first = store.weekly.claim("slack", NOW, LEASE)
    assert first is not None
    store.weekly.remember(first, "file picture-1.png", "F1")
    store.weekly.remember(first, "message", "C1:2.3")
    store.weekly.failed(first, "down", NOW)
    second = store.weekly.claim("slack", NOW, LEASE)
    assert second is not None
    assert second.week == "2026-W47"
    assert store.weekly.remembered(second, "file picture-1.png") == "F1"
    assert store.weekly.remembered(second, "message") == "C1:2.3"
    store.weekly.park(second, "refused", NOW)
    third = store.weekly.claim("slack", NOW, LEASE)
    assert third is not None
    assert third.week == "2026-W48"
    assert store.weekly.remembered(third, "message") is None
    assert store.weekly.standing("2026-W47") == {"slack": "parked"}
