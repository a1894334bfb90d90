import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.errors import DriftwatchError
from driftwatch.replay.report import Report
from driftwatch.replay.running import Request, replay

pytestmark = pytest.mark.process

START = datetime(2025, 5, 5, tzinfo=UTC)
"""A Monday."""
NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def lines(
    days: int, *, bad_from: float = 1e9, a_step: int = 60, step: timedelta = timedelta(hours=6), **more: Any
) -> Iterator[str]:
    """A log whose queries find nothing twenty times as often from day ``bad_from`` on."""
    chance = random.Random(1)
    for moment in (START + n * step for n in range(int(days * DAY / step))):
        share = 0.4 if (moment - START) / DAY >= bad_from else 0.02
        for _ in range(a_step):
            found = [] if chance.random() < share else [{"id": "d", "score": round(chance.gauss(0.7, 0.05), 4)}]
            query = f"question {chance.randrange(10**9)}"
            yield json.dumps({"ts": moment.isoformat(), "query": query, "lang": "en", "results": found} | more)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "queries.jsonl"


def write(path: Path, rows: Iterator[str]) -> str:
    path.write_text("".join(f"{row}\n" for row in rows))
    return str(path)


def replayed(log: str, **more: Any) -> Report:
    return replay(Request(config=None, now=NOW, logs=(log,), **more))


def test_a_log_is_judged_by_the_shipped_checks_without_any_configuration(log: Path) -> None:
    report = replayed(write(log, lines(24, bad_from=18)))
    fired = [each for each in report.said if each.event == "firing" and each.check == "empty results"]
    assert fired[0].segment in ("en", "all")
    assert START + 18 * DAY < fired[0].at < START + 20 * DAY
    assert "queries without results rose" in fired[0].message
    assert report.pages.count >= 1
    assert report.recorded[0].baseline is not None
    assert report.recorded[0].baseline.end == START + 14 * DAY
    assert report.judged_days == pytest.approx(10, abs=0.3)


def test_checks_that_the_log_cannot_feed_are_left_out_and_said(log: Path) -> None:
    report = replayed(write(log, lines(16)))
    assert "canary recall" in report.left_out
    assert "does not say whether the assistant abstained" in report.left_out["abstentions"]
    assert not {each.check for each in report.said} & set(report.left_out)
    assert "empty results" not in report.left_out


def test_lines_that_cannot_be_read_are_counted_and_shown(log: Path) -> None:
    rows = [*lines(3), "no json", json.dumps({"query": "x"})]
    taken = replayed(write(log, iter(rows))).recorded[0].taken
    assert taken is not None
    assert (taken.count, taken.rejected) == (len(rows), 2)
    assert "byte" in taken.rejects[0]


def test_a_foreign_log_is_read_where_its_fields_are_named(log: Path) -> None:
    rows = (json.dumps({"time": row["ts"], "request": {"q": row["query"]}}) for row in map(json.loads, lines(3)))
    name = write(log, rows)
    with pytest.raises(DriftwatchError, match="none of 720 lines can be read") as caught:
        replayed(name)
    assert "--field" in str(caught.value)
    taken = replayed(name, fields={"ts": "time", "query": "request.q"}).recorded[0].taken
    assert taken is not None
    assert (taken.count, taken.rejected) == (720, 0)


def test_a_record_no_longer_than_the_baseline_is_compared_with_its_first_half(log: Path) -> None:
    report = replayed(write(log, lines(6, bad_from=5)))
    assert report.recorded[0].baseline is not None
    assert report.recorded[0].baseline.end == START + 3 * DAY
    assert any("first half" in note for note in report.notes)


@pytest.mark.parametrize(("days", "pace"), [(1, "daily"), (7, "weekly")])
def test_a_slow_record_is_looked_at_as_often_as_it_is_written(log: Path, days: int, pace: str) -> None:
    rows = lines(40 * days, bad_from=30 * days, a_step=400, step=days * DAY)
    report = replayed(write(log, rows))
    assert report.recorded[0].cadence == pace
    fired = [each for each in report.said if each.event == "firing" and each.check == "empty results"]
    assert START + 30 * days * DAY < fired[0].at <= START + 33 * days * DAY
    assert not [each for each in report.said if each.event == "blind"]


def test_marked_events_are_found_and_what_belongs_to_none_is_false(log: Path, tmp_path: Path) -> None:
    events = tmp_path / "events.yaml"
    events.write_text(
        f"- {{at: {(START + 18 * DAY).date()}, name: filter broke}}\n- {{at: 2025-05-20, name: nothing}}\n"
    )
    report = replayed(write(log, lines(24, bad_from=18)), events=events)
    nothing, broke = sorted(report.events, key=lambda each: each.event.name, reverse=True)
    assert broke.event.name == "filter broke"
    assert broke.check in ("empty results", "top-score drift")
    assert broke.after_hours is not None
    assert 0 < broke.after_hours < 48
    assert report.false_pages is not None
    assert report.false_pages.count == 0
    assert {each.belongs_to for each in report.said if each.event == "firing"} == {"filter broke"}
    assert nothing.event.name == "nothing"


def test_only_the_time_that_was_asked_for_is_replayed(log: Path) -> None:
    name = write(log, lines(24, bad_from=18))
    report = replayed(name, end=START + 17 * DAY)
    assert report.end == START + 17 * DAY
    assert not [each for each in report.said if each.event == "firing"]
    with pytest.raises(DriftwatchError, match="nothing was recorded in this time"):
        replayed(name, start=NOW)


def test_a_baseline_of_ones_own_may_be_named(log: Path) -> None:
    report = replayed(write(log, lines(12)), baseline="2025-05-07 .. 2025-05-10")
    assert report.recorded[0].baseline is not None
    assert report.recorded[0].baseline.start == START + 2 * DAY
    with pytest.raises(DriftwatchError, match="--baseline"):
        replayed(str(log), baseline="lately")


def test_without_log_and_configuration_there_is_nothing_to_replay() -> None:
    with pytest.raises(DriftwatchError, match="there is nothing to replay"):
        replay(Request(config=None, now=NOW))


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DriftwatchError, match="there is no log"):
        replayed(str(tmp_path / "nothing.jsonl"))
