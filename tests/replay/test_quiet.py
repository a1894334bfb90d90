"""The A/A run and the tuning, over a record of two months."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.course import Page
from driftwatch.errors import DriftwatchError
from driftwatch.ledgers import step_of
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.projects import shipped_watch
from driftwatch.replay.quiet import loud_stretches, opening
from driftwatch.replay.report import Report, Said
from driftwatch.replay.running import Request, replay
from driftwatch.stats.history import Onset

pytestmark = pytest.mark.process

START = datetime(2025, 5, 5, tzinfo=UTC)
"""A Monday."""
NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def lines(days: int, bad_days: range) -> Iterator[str]:
    chance = random.Random(3)
    for n in range(days * 4):
        moment = START + n * 6 * HOUR
        share = 0.4 if n // 4 in bad_days else 0.02
        for _ in range(60):
            found = [] if chance.random() < share else [{"id": "d"}]
            yield json.dumps({"ts": moment.isoformat(), "query": f"q {chance.randrange(10**9)}", "results": found})


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight weeks, one of them bad."""
    path = tmp_path_factory.mktemp("quiet") / "queries.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines(56, range(35, 42))))
    return path


def replayed(log: Path, **more: object) -> Report:
    return replay(Request(config=None, now=NOW, logs=(str(log),), **more))  # type: ignore[arg-type]


def test_quiet_weeks_are_played_again_without_the_bad_one(log: Path) -> None:
    report = replayed(log, quiet_weeks=30)
    assert report.pages.count >= 1
    assert report.quiet is not None
    # Of the six weeks after the baseline one was bad, and its alert was resolved in the next.
    assert (report.quiet.weeks, report.quiet.drawn_from) == (30, 4)
    assert report.quiet.pages.count == 0
    assert report.quiet.pages.days == 30 * 7
    assert any("--events" in note for note in report.quiet.notes)


def test_a_bad_week_that_is_called_quiet_pages_again_and_again(log: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.yaml"
    events.write_text("- {at: 2025-05-06, until: 2025-05-06, name: something else}\n")
    report = replayed(log, quiet_weeks=30, events=events)
    assert report.quiet is not None
    assert report.quiet.drawn_from == 6
    assert report.quiet.pages.count > 2
    assert report.quiet.by_check["empty results"] > 2


def test_the_same_record_draws_the_same_weeks(log: Path) -> None:
    first, second = (replayed(log, quiet_weeks=12).quiet for _ in range(2))
    assert first == second


@pytest.mark.slow
def test_settings_are_proposed_with_the_delay_they_cost(log: Path) -> None:
    (found,) = [each for each in replayed(log, tune=True).proposals if each.check == "empty results"]
    assert found.now.floor == 0.01
    assert found.best.keeps
    floors = [each.floor for each in found.trials if each.every == found.now.every]
    assert floors == sorted(floors)
    delays = [each.delay_days or 99 for each in found.trials if each.every == found.now.every]
    assert delays[0] <= delays[-1]
    assert found.yaml.startswith("- {name: empty results, min_effect: ")


def test_a_record_without_a_whole_quiet_week_says_so(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines(6, range(0))))
    with pytest.raises(DriftwatchError, match="no whole quiet week"):
        replayed(path, quiet_weeks=4)


def said(hours: float, event: str, onset: float | None = None) -> Said:
    since = None if onset is None else START + onset * HOUR
    return Said(START + hours * HOUR, "traffic", "all", event, "page", "x", "", onset=since)  # type: ignore[arg-type]


def test_what_is_marked_is_loud_else_what_fired_since_its_onset() -> None:
    first = step_of(START)
    told = [said(10, "firing", onset=4), said(20, "resolved"), said(40, "firing")]
    watch, end = shipped_watch(), START + 50 * HOUR
    assert loud_stretches(watch, told, (), end) == [(first + 4, first + 20), (first + 40, first + 50)]
    event = MarkedEvent(START + 30 * HOUR, "x", until=START + 31 * HOUR)
    assert loud_stretches(watch, told, (event,), end) == [(first + 30, first + 31)]


def page(step: int, resolved: int | None, check: str = "empty results", segment: str = "de") -> Page:
    return Page(step, check, segment, "higher rate", 100.0, Onset(step, 0.1, (0.0, 0.2), 100.0, 0.02), resolved)


def test_drawn_weeks_count_what_fires_again_as_the_daemon_does() -> None:
    families = {"empty results": "rates", "abstentions": "rates", "top-score drift": "scores"}
    week = dict.fromkeys(families, timedelta(days=7))
    told = [page(100, 110), page(278, 300), page(468, 470), page(639, None), page(900, None, "abstentions")]
    assert opening(told, families, week) == ["empty results", "empty results"]
    assert opening(told, families, dict.fromkeys(families, timedelta(0))) == ["empty results"] * 4
    elsewhere = [page(100, 110), page(120, 130, segment="fr"), page(121, 130, "top-score drift")]
    assert opening(elsewhere, families, week) == ["empty results", "empty results", "top-score drift"]
