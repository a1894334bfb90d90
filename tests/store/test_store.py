from __future__ import annotations

from driftwatch.store import Store


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.decisions.alerts() == {}
    assert store.traffic.cursor("live") is None
    assert store.outbox.waiting() == {}
    assert store.size() > 0
