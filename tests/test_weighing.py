"""What one look weighs, decides, keeps and says."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.engine import Engine
from driftwatch.ledgers import State
from driftwatch.store import Store
from driftwatch.types import Finding
from tests.fakes.recorded import BREAKS, END, HOUR, HOURLY, copied, ticked
from tests.fakes.world import START

READY = START + timedelta(days=2)
LATER = BREAKS + 20 * HOUR
NAME = "empty results"


@pytest.fixture
def engine(recorded: Path, tmp_path: Path, stores: list[Store]) -> Engine:
    return opened(recorded, tmp_path, stores)


def opened(recorded: Path, folder: Path, stores: list[Store], more: str = "", checks: str = HOURLY) -> Engine:
    watch, store = copied(recorded, folder / f"copy-{len(stores)}", more=more, instead=(HOURLY, checks))
    stores.append(store)
    return Engine(watch, store)


def looked(engine: Engine, now: datetime) -> dict[str, Finding]:
    return {finding.segment: finding for finding in engine.tick(engine.watch.checks, now).findings}


def open_segments(engine: Engine) -> set[str]:
    return {segment for (_, segment), alert in engine.store.decisions.alerts().items() if alert.state == "firing"}


def test_a_page_fires_at_its_first_look_and_says_evidence_share_onset_and_budget(engine: Engine):
    looked(engine, BREAKS)
    assert open_segments(engine) == set()
    found = looked(engine, LATER)["de"]
    assert open_segments(engine) == {"de"}
    assert found.pages
    assert found.evidence is not None
    assert found.evidence > 90
    assert found.share == pytest.approx(0.25)
    assert found.onset is not None
    assert abs(found.onset - BREAKS) <= timedelta(hours=4)
    assert found.details["evidence"]["budget"] == 90
    low, high = found.details["evidence"]["interval"]
    assert low < 0.28 < high
    assert f"since {found.onset:%a} {found.onset.day}" in found.message


def test_a_language_that_is_well_says_its_evidence_and_no_onset(engine: Engine):
    found = looked(engine, BREAKS)["all"]
    assert found.verdict == "ok"
    assert found.evidence is not None
    assert 0 <= found.evidence < 9
    assert (found.onset, found.pages) == (None, False)


def test_a_weekend_that_the_baseline_has_not_seen_says_that_it_is_no_evidence(engine: Engine):
    assert "no evidence" not in looked(engine, END)["all"].message
    found = looked(engine, END + 2 * HOUR)["all"]
    assert found.verdict == "ok"
    assert found.message.endswith("the baseline has no such kind of day (weekend or week), so this one is no evidence")


def test_what_was_told_is_told_once_and_its_evidence_starts_again(engine: Engine):
    looked(engine, BREAKS)
    looked(engine, LATER)
    said = ticked(engine, LATER + HOUR, LATER + 6 * HOUR)
    assert said == []
    state = State.unpacked(engine.store.decisions.ledgers()[NAME])
    at = dict(zip(state.standing.segments, state.standing.evidence, strict=True))
    assert at["de"] == 0
    assert state.fired.keys() == {"de"}
    assert looked(engine, LATER + 7 * HOUR)["de"].verdict == "fail"


def test_the_same_evidence_warns_where_only_the_smaller_budget_is_drawn_on(recorded, tmp_path, stores):
    checks = HOURLY.replace("every: 1h", "every: 1h, severity: warn")
    engine = opened(recorded, tmp_path, stores, checks=checks, more="false_warnings: 1 per 14 days\n")
    looked(engine, BREAKS)
    found = looked(engine, LATER)["de"]
    assert (found.verdict, found.pages) == ("warn", True)
    assert found.details["evidence"]["budget"] == 14


def test_a_check_that_is_not_due_neither_pages_nor_loses_its_evidence(recorded, tmp_path, stores):
    second = HOURLY.replace(NAME, "other")
    engine = opened(recorded, tmp_path, stores, checks=HOURLY + second)
    looked(engine, BREAKS)
    before = engine.store.decisions.ledgers()
    first, _ = engine.watch.checks
    engine.tick([first], LATER)
    after = engine.store.decisions.ledgers()
    alerts = engine.store.decisions.alerts().items()
    assert {name for (name, _), alert in alerts if alert.state == "firing"} == {NAME}
    assert after["other"] == before["other"]
    assert after[NAME] != before[NAME]


def test_evidence_from_before_an_expected_window_is_told_after_it(recorded, tmp_path, stores):
    since, until = LATER - timedelta(minutes=30), LATER + 5 * HOUR
    window = f"expected: [{{from: {since:%Y-%m-%dT%H:%M:%SZ}, to: {until:%Y-%m-%dT%H:%M:%SZ}, reason: launch}}]\n"
    engine = opened(recorded, tmp_path, stores, more=window)
    looked(engine, BREAKS)
    looked(engine, LATER)
    assert open_segments(engine) == set()
    assert ticked(engine, LATER + HOUR, until - HOUR) == []
    assert [event for _, event, _ in ticked(engine, until, until)] == ["firing"]


@pytest.mark.parametrize("body", [b"garbage", b'{"version": 0}\n', b""])
def test_garbage_in_place_of_evidence_is_logged_and_starts_again(
    engine: Engine, body: bytes, caplog: pytest.LogCaptureFixture
):
    looked(engine, BREAKS)
    engine.store.decisions.record(
        findings=(), alerts=(), transitions=(), receivers={}, ledgers={NAME: body, "a check that is gone": body}
    )
    with caplog.at_level(logging.WARNING):
        found = looked(engine, LATER)
    assert f"'{NAME}'" in caplog.text
    assert found["de"].pages
    assert State.unpacked(engine.store.decisions.ledgers()[NAME]).standing.check == NAME


def test_a_dry_look_says_the_same_and_keeps_nothing(engine: Engine):
    looked(engine, BREAKS)
    before = engine.store.decisions.ledgers()
    dry = Engine(engine.watch, engine.store, learns=False).judge(engine.watch.checks, LATER)
    assert engine.store.decisions.ledgers() == before
    wet = looked(engine, LATER)
    assert {each.segment: (each.evidence, each.pages) for each in dry} == {
        segment: (each.evidence, each.pages) for segment, each in wet.items()
    }
