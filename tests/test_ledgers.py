"""Evidence between looks: kept, folded on, started again."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch import acting
from driftwatch.budget import Standing
from driftwatch.config import Watch, load_watch
from driftwatch.engine import Engine
from driftwatch.ledgers import ARRAYS, Account, Fired, State, folded, moment_of, reopened, step_of
from driftwatch.stats.book import Book
from driftwatch.stats.normal import learn
from driftwatch.stats.shares import Shares
from driftwatch.store import Store
from driftwatch.types import POOLED, Baseline
from tests.fakes.recorded import BREAKS, END, HOUR, copied, ticked
from tests.fakes.shares import HALF, START, known, stream, watched_of
from tests.fakes.world import SCORES, append, make_world
from tests.fakes.world import START as FIRST

pytestmark = pytest.mark.process

NAMES = ("de", "en", "fr", "*")
READY = FIRST + timedelta(days=2)
FOREVER = 2**62
NOBODY: frozenset[str] = frozenset()
WATCHED = watched_of(learn(stream(28, 20, 0.3, segments=NAMES, day=-28, rho=0.005), (HALF,)), cap=4.0)


def nothing(share: float = 1.0) -> State:
    weights = WATCHED.weights * share
    standing = Standing(WATCHED.check.name, WATCHED.segments, np.zeros(len(weights)), weights)
    return State("key", Book.empty(WATCHED.normal, START - 1), standing)


def broken(days: float = 4, share: tuple[float, ...] = (0.5, 0.3, 0.3, 0.3)) -> Shares:
    quiet = stream(6, 20, 0.3, segments=NAMES, rho=0.005)
    return Shares.joined([quiet, stream(days, 20, share, segments=NAMES, day=6, rho=0.005)])


def account(state: State | None = None, counted: Shares | None = None, firing: frozenset[str] = NOBODY) -> Account:
    return folded(WATCHED, state or nothing(), broken() if counted is None else counted, FOREVER, firing, 1.0)


def same(state: State, other: State) -> bool:
    arrays = all(np.array_equal(getattr(state.book, name), getattr(other.book, name)) for name in ARRAYS)
    standing = np.array_equal(state.standing.evidence, other.standing.evidence)
    rest = (state.key, state.book.at, state.standing.check, state.standing.segments, dict(state.fired))
    return arrays and standing and rest == (
        other.key, other.book.at, other.standing.check, other.standing.segments, dict(other.fired)
    )  # fmt: skip


# --- kept between looks --------------------------------------------------------------------------------------------


@given(
    key=st.text(max_size=20),
    at=st.integers(-(2**62), 2**62),
    seed=st.integers(0, 2**32 - 1),
    fired=st.dictionaries(st.text(max_size=8), st.builds(Fired, st.integers(0, 5), st.floats(-1, 1)), max_size=3),
)
def test_a_state_comes_back_as_it_was(key: str, at: int, seed: int, fired: dict[str, Fired]):
    random = np.random.default_rng(seed)
    normal = known(int(random.integers(1, 5)), 0.3)
    book = Book.empty(normal, at)
    filled = {name: np.array(getattr(book, name)) for name in ARRAYS}
    for array in filled.values():
        array += (random.normal(size=array.shape) * 1e6).astype(array.dtype)
    names = (*normal.segments, POOLED)
    standing = Standing("recall", names, random.random(len(names)) * 1e12, random.random(len(names)))
    state = State(key, Book(at=at, **filled), standing, fired)
    assert same(State.unpacked(state.packed()), state)


def test_evidence_goes_on_after_it_was_kept_as_if_it_had_never_been():
    shares = broken()
    whole = account(counted=shares)
    state = nothing()
    for first in range(0, len(shares), 13):
        piece = shares.keep(slice(first, first + 13))
        state = State.unpacked(account(State.unpacked(state.packed()), piece).state.packed())
    assert np.allclose(state.standing.evidence, whole.standing.evidence, rtol=1e-9)
    assert np.allclose(state.book.carry, whole.state.book.carry, rtol=1e-9)


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"\x00\xff\n\x01", b"{}\n", b"[]\n", b"null\n", b'{"version": 0, "key": "k"}\nabc', b"\n\n\n"],
)
def test_what_another_version_kept_starts_again_and_is_logged(body: bytes, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        assert State.known("recall", body) is None
    assert "'recall'" in caplog.text


@given(st.data())
def test_a_body_that_was_cut_off_or_scribbled_on_never_raises(data: st.DataObject):
    body = bytearray(account().state.packed())
    if data.draw(st.booleans()):
        body = body[: data.draw(st.integers(0, len(body) - 1))]
    else:
        place = data.draw(st.integers(0, body.index(b"\n")))
        body[place : place + 1] = data.draw(st.binary(max_size=3))
    State.known("recall", bytes(body))


# --- one look ------------------------------------------------------------------------------------------------------


def test_the_hour_that_is_not_over_counts_and_is_not_kept():
    shares = broken()
    now = int(shares.step[-1])
    found = folded(WATCHED, nothing(), shares, now, NOBODY, 1.0)
    assert found.state.book.at == now - 1
    assert found.open_book.at == now
    assert np.allclose(found.standing.evidence, account(counted=shares).standing.evidence)


def test_the_evidence_of_a_check_is_its_part_of_the_budget():
    whole = account()
    third = folded(WATCHED, nothing(1 / 3), broken(), FOREVER, NOBODY, 1 / 3)
    assert np.allclose(third.standing.evidence * 3, whole.standing.evidence)
    assert third.standing.share.sum() == pytest.approx(1 / 3)


def test_one_broken_language_is_named_and_not_all():
    found = account()
    assert found.named({"de", POOLED}) == {"de"}
    assert found.named({POOLED}) == {"de"}
    assert found.named(set()) == set()


def test_when_all_are_broken_it_is_all_whoever_showed_it_first():
    found = account(counted=broken(share=(0.5, 0.5, 0.5, 0.5)))
    assert found.named({"de"}) == {POOLED}
    assert found.named({"de", "en", POOLED}) == {POOLED}


def test_what_paged_starts_from_zero_with_the_pooled_one_and_the_others_go_on():
    found = account()
    kept = found.paged({"de"})
    at = dict(zip(WATCHED.segments, kept.standing.evidence, strict=True))
    before = dict(zip(WATCHED.segments, found.standing.evidence, strict=True))
    assert at["de"] == at[POOLED] == 0
    assert at["en"] == before["en"] > 0
    assert not kept.book.carry[[0, 4]].any()
    assert kept.fired.keys() == {"de"}
    assert kept.fired["de"].effect == pytest.approx(0.2, abs=0.06)


def test_when_all_page_every_ledger_starts_from_zero():
    kept = account(counted=broken(share=(0.5, 0.5, 0.5, 0.5))).paged({POOLED})
    assert not kept.standing.evidence.any()
    assert not kept.book.carry.any()


def test_a_firing_language_recovers_only_when_its_counts_say_so():
    fired, firing = account().paged({"de"}), frozenset({"de"})
    still = stream(3, 20, [0.5, 0.3, 0.3, 0.3], segments=NAMES, day=10, rho=0.005)
    assert account(fired, still, firing).recovered("de") is False
    assert account(fired, still.keep(slice(0, 0)), firing).recovered("de") is False
    well = stream(3, 20, 0.3, segments=NAMES, day=10, rho=0.005)
    assert account(fired, well, firing).recovered("de") is True
    assert account(fired, well, firing).recovered("en") is None


def test_when_its_alert_is_over_a_language_gathers_evidence_again_from_zero():
    fired = account().paged({"de"})
    well = account(fired, stream(3, 20, 0.3, segments=NAMES, day=10), frozenset({"de"})).state
    assert well.standing.evidence[0] == 0
    again = reopened(well, WATCHED, NOBODY)
    assert again.fired == {}
    assert not again.book.carry[0].any()
    assert np.array_equal(again.book.carry[1], well.book.carry[1])
    later = account(again, stream(1, 20, 0.3, segments=NAMES, day=13)).standing.evidence[0]
    assert 0 < later < 5
    assert reopened(well, WATCHED, frozenset({"de"})) is well


# --- over a store --------------------------------------------------------------------------------------------------


def engine_of(found: tuple[Watch, Store], stores: list[Store]) -> Engine:
    stores.append(found[1])
    return Engine(*found)


def state_of(engine: Engine) -> State:
    return State.unpacked(engine.store.decisions.ledgers()["empty results"])


def test_a_daemon_that_looked_seldom_knows_what_one_that_looked_hourly_knows(recorded, tmp_path, stores):
    hourly, seldom = (engine_of(copied(recorded, tmp_path / name), stores) for name in ("hourly", "seldom"))
    ticked(hourly, READY, BREAKS)
    ticked(seldom, READY, BREAKS, every=6 * HOUR)
    assert np.allclose(state_of(hourly).standing.evidence, state_of(seldom).standing.evidence, rtol=1e-9)
    assert np.allclose(state_of(hourly).book.carry, state_of(seldom).book.carry, rtol=1e-9)


def test_a_restart_in_between_changes_nothing(recorded, tmp_path, stores):
    through, again = (engine_of(copied(recorded, tmp_path / name), stores) for name in ("through", "again"))
    said = ticked(through, READY, END)
    restarted = []
    for hour in range((END - READY) // HOUR + 1):
        fresh = Engine(again.watch, again.store)
        restarted += ticked(fresh, READY + hour * HOUR, READY + hour * HOUR)
    assert restarted == said
    assert [event for _, event, _ in said] == ["firing", "resolved"]
    assert same(state_of(through), state_of(again))


def test_another_setting_or_baseline_starts_from_nothing(recorded, tmp_path, stores):
    engine = engine_of(copied(recorded, tmp_path / "one"), stores)
    ticked(engine, BREAKS + 2 * HOUR, BREAKS + 2 * HOUR)
    before = state_of(engine)
    path = engine.watch.path
    path.write_text(path.read_text().replace("by: lang, window", "by: lang, min_ratio: 0.4, window"))
    changed = Engine(load_watch(path), engine.store)
    ticked(changed, BREAKS + 3 * HOUR, BREAKS + 3 * HOUR)
    keys = [before.key, state_of(changed).key]
    engine.store.decisions.set_baseline(Baseline(FIRST + HOUR, READY, "moved", "me", BREAKS + 4 * HOUR, "live"))
    moved = Engine(changed.watch, engine.store)
    ticked(moved, BREAKS + 4 * HOUR, BREAKS + 4 * HOUR)
    keys.append(state_of(moved).key)
    assert len(set(keys)) == 3


def test_expected_hours_gather_no_evidence(recorded, tmp_path, stores):
    def evidence(more: str) -> float:
        engine = engine_of(copied(recorded, tmp_path / f"e{len(stores)}", more=more), stores)
        found = engine.evidence.ledgers.look(engine.watch.checks[0], END, None, ())
        assert found is not None
        return float(found.days.max())

    assert evidence("") > 1000
    assert evidence("expected: [{from: 2026-05-06, to: 2026-05-08, reason: launch}]\n") < 10


def test_hours_of_a_change_that_was_announced_gather_no_evidence_until_it_was_ended(recorded, tmp_path, stores):
    def evidence(ended: datetime | None) -> float:
        engine = engine_of(copied(recorded, tmp_path / f"a{len(stores)}"), stores)
        change = acting.expect(engine.store, BREAKS - 24 * HOUR, END, "launch", "ann", BREAKS)
        if ended is not None:
            acting.end_expected(engine.store, change.change_id, "ben", ended)
        found = engine.evidence.ledgers.look(engine.watch.checks[0], END, None, ())
        assert found is not None
        return float(found.days.max())

    assert evidence(None) < 10
    assert evidence(BREAKS) > 1000


def test_while_the_baseline_is_filling_there_is_no_evidence(recorded, tmp_path, stores):
    engine = engine_of(copied(recorded, tmp_path / "early"), stores)
    assert engine.evidence.ledgers.look(engine.watch.checks[0], READY - HOUR, None, ()) is None


def test_a_session_that_goes_on_is_counted_in_its_first_hour_however_often_one_looks(tmp_path, stores):
    hourly = SCORES.replace("every: 6h", "every: 1h")
    watch = make_world(tmp_path, hourly)
    line = '{"ts": "%s", "query": "q %d", "lang": "de", "session": "s%d", "results": [{"id": "d", "score": %f}]}'
    random = np.random.default_rng(1)
    lines = [
        line % ((FIRST + hour * HOUR).isoformat(), hour * 40 + n, n, random.normal(0.8, 0.05))
        for hour in range(72)
        for n in range(40)
    ]
    append(tmp_path, lines)
    store = Store.open(watch.database)
    stores.append(store)
    engine = Engine(watch, store)
    engine.observe("live", FIRST + 73 * HOUR)
    check = watch.checks[0]
    at_once = engine.evidence.ledgers.look(check, FIRST + 72 * HOUR, None, ())
    assert at_once is not None
    state = None
    for hour in range(48, 73):
        found = engine.evidence.ledgers.look(check, FIRST + hour * HOUR, state, ())
        assert found is not None
        state = found.state
    assert np.allclose(state.book.counts, at_once.state.book.counts)
    assert state.book.counts[0, 0, 0, 1] == pytest.approx(40)


def test_hours_and_moments_are_the_same_thing():
    assert moment_of(step_of(BREAKS)) == BREAKS
    assert step_of(datetime.fromisoformat("1970-01-02T00:59:59+00:00")) == 24
