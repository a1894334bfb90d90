"""Probes and comparisons come back as they were stored, and what they hand on is kept once."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import pytest

from driftwatch.store import Store
from driftwatch.store.experiments import packed, unpacked
from driftwatch.types import IndexFacts, Look, Probe
from tests.fakes.batches import DAY, HOUR, MONDAY
from tests.fakes.probed import hourly, probe
from tests.store.test_maintenance import NOW, Kept

EVER = (MONDAY - 1000 * DAY, MONDAY + 1000 * DAY)

HOSTILE = ["\x00", "\ud800", "';--", "<script>\u202e\u2028", "x" * 100_000]

SEEN = Look(
    n=64,
    bad=2,
    ids=("doc-1", "dôc 🤖"),
    by={"de": (32, 2), "": (32, 0)},
    values={"displacement p50": 0.25, "exactly": 0.1 + 0.2},
    words={"before": "a", "now": "b"},
    why="two of them are wrong.",
)
WHOLE = Probe(
    probe_id="index@1",
    source="index",
    at=MONDAY + timedelta(microseconds=1),
    looks={"stored vectors": SEEN, "facts": Look(unable="it does not answer")},
    facts=IndexFacts(5000, 384, "cosine", "f1", {"kind": "HNSW", "M": "16"}, "minilm"),
    embedder="minilm@2",
    took=1.25,
    state={"turn": 7, "waiting": {"doc-1": "2026-05-04T00:00:00+00:00"}, "facts": [[1, 2.5], None]},
)


def test_a_probe_with_every_field_comes_back_as_it_was(store: Store) -> None:
    store.experiments.add_probe(WHOLE)
    assert store.experiments.last_probe("index") == WHOLE
    assert store.experiments.probes("index", *EVER) == (replace(WHOLE, state={}),)


def test_a_probe_that_saw_nothing_comes_back_too(store: Store) -> None:
    bare = Probe("p", "index", MONDAY, {})
    store.experiments.add_probe(bare)
    assert store.experiments.last_probe("index") == bare
    assert store.experiments.last_probe("another") is None
    assert store.experiments.probes("another", *EVER) == ()


def test_numbers_that_are_no_numbers_come_back_as_such(store: Store) -> None:
    odd = Look(values={"gap": math.nan, "far": math.inf, "known": 0.0})
    store.experiments.add_probe(probe(MONDAY, texts=odd))
    values = store.experiments.probes("index", *EVER)[0].looks["texts"].values
    assert math.isnan(values["gap"])
    assert not math.isfinite(values["far"])
    assert values["known"] == 0.0


def test_whatever_documents_are_called_and_indexes_say_it_is_kept(store: Store) -> None:
    for hour, text in enumerate(HOSTILE):
        hostile = Look(1, 1, (text,), {text: (1, 1)}, {text: 1.0}, {text: text}, text, text)
        seen = Probe(text, "index", MONDAY + hour * HOUR, {text: hostile}, embedder=text, state={text: text})
        store.experiments.add_probe(seen)
        found = store.experiments.last_probe("index")
        assert found is not None
        readable = text.encode("utf-8", "replace").decode()
        assert found.looks[readable].ids == (readable,)
        assert found.state == {readable: readable}


def test_a_probe_that_another_version_kept_is_read_as_far_as_it_is_known(store: Store) -> None:
    plain = unpacked(packed(replace(WHOLE, state={})))
    newer = plain | {"weather": "fine", "facts": plain["facts"] | {"shards": 3}}
    newer["looks"] = {name: look | {"mood": "good"} for name, look in plain["looks"].items()}
    store.experiments.add("probes", "index", WHOLE.at, packed(newer), packed(WHOLE.state))
    assert store.experiments.last_probe("index") == WHOLE
    older = {name: plain[name] for name in ("probe_id", "source", "at")} | {"looks": {"texts": {"n": 3, "bad": 1}}}
    store.experiments.add("probes", "index", WHOLE.at, packed(older))
    assert store.experiments.probes("index", *EVER) == (Probe("index@1", "index", WHOLE.at, {"texts": Look(3, 1)}),)


def test_runs_come_oldest_first_and_those_of_other_times_and_sources_do_not(store: Store) -> None:
    for each in reversed(hourly(MONDAY, 5)):
        store.experiments.add_probe(each)
    store.experiments.add_probe(replace(probe(MONDAY), source="other"))
    found = store.experiments.probes("index", MONDAY + HOUR, MONDAY + 3 * HOUR)
    assert [each.at for each in found] == [MONDAY + HOUR, MONDAY + 2 * HOUR]
    last = store.experiments.last_probe("index")
    assert last is not None
    assert last.at == MONDAY + 4 * HOUR


def test_a_second_run_of_the_same_time_takes_the_place_of_the_first(store: Store) -> None:
    store.experiments.add_probe(replace(WHOLE, state={"turn": 1}))
    again = replace(WHOLE, probe_id="again", looks={}, state={"turn": 2})
    store.experiments.add_probe(again)
    assert store.experiments.probes("index", *EVER) == (replace(again, state={}),)
    assert store.experiments.last_probe("index") == again


def test_the_state_is_kept_once_and_handed_to_the_next_run(store: Store) -> None:
    large = {"walked": list(range(5000))}
    for hour in range(10):
        store.experiments.add_probe(replace(probe(MONDAY + hour * HOUR), state=large | {"turn": hour}))
    assert {len(body) for _, body in store.experiments.bodies("probes", "index", *EVER)} < set(range(2000))
    assert store.experiments.keepsake("probes", "index") == packed(large | {"turn": 9})
    last = store.experiments.last_probe("index")
    assert last is not None
    assert last.state == large | {"turn": 9}


def test_what_one_kind_hands_on_is_not_what_another_does(store: Store) -> None:
    store.experiments.add("probes", "s", MONDAY, b"probe", b"of probes")
    store.experiments.add("comparisons", "s", MONDAY, b"comparison")
    assert store.experiments.keepsake("probes", "s") == b"of probes"
    assert store.experiments.keepsake("comparisons", "s") is None
    assert store.experiments.newest("comparisons", "s") == (MONDAY, b"comparison")
    store.experiments.add("probes", "s", MONDAY + HOUR, b"next")
    assert store.experiments.keepsake("probes", "s") == b"of probes"
    assert store.experiments.newest("probes", "s") == (MONDAY + HOUR, b"next")


def test_what_is_found_and_what_is_handed_on_are_kept_together_or_not_at_all(store: Store) -> None:
    store.experiments.add("probes", "s", MONDAY, b"first", b"kept")
    with pytest.raises(Exception, match=r"(?i)text|str|bytes|buffer|type"):
        store.experiments.add("probes", "s", MONDAY + HOUR, b"second", object())  # type: ignore[arg-type]
    assert store.experiments.newest("probes", "s") == (MONDAY, b"first")
    assert store.experiments.keepsake("probes", "s") == b"kept"


def test_what_is_old_is_deleted_and_what_was_handed_on_stays(store: Store) -> None:
    for day in range(40):
        store.experiments.add_probe(replace(probe(MONDAY + day * DAY), state={"turn": day}))
    store.maintain(Kept(), NOW)
    assert [(each.at - MONDAY) // DAY for each in store.experiments.probes("index", *EVER)] == list(range(30, 40))
    last = store.experiments.last_probe("index")
    assert last is not None
    assert last.state == {"turn": 39}


def test_what_is_packed_is_small_and_unpacks_to_the_same() -> None:
    plain = {"ids": [f"doc-{n}" for n in range(200)], "none": None, "nested": {"a": [1, 2.5, "ü"]}}
    assert unpacked(packed(plain)) == plain
    assert len(packed(plain)) < 800
