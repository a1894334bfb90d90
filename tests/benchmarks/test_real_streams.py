"""Real data become logs without being touched up, and what is said of them is scored fairly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from _real_play import Page, Played, _pages, play
from _real_series import _nab, _nab_rate_checks, _quiet_days
from _real_tables import page_of
from _real_text import intruded, timed
from _recorded import DAY, START, Event, Stream, arrivals

from driftwatch.config import load_watch

HOUR = timedelta(hours=1)
EVENT = Event(START + 3 * DAY, "broken", ("high values",), (), START + 4 * DAY)


def series(days: int, windows: list[list[str]] | None = None) -> dict[str, object]:
    times = [START + step * HOUR for step in range(24 * days)]
    return {
        "id": "made/up",
        "kind": "made",
        "timestamps": [at.strftime("%Y-%m-%dT%H:%M:%S") for at in times],
        "values": [float(at.hour) for at in times],
        "windows": windows or [],
    }


def page(at: datetime, check: str = "high values", incident: str = "1", opening: int = 1) -> Page:
    return Page(at, check, "all", incident, opening, False, "it rose")


def played(*pages: Page) -> Played:
    stream = Stream("s", "c", [{"ts": START.isoformat(), "query": "q"}], [], DAY, START + 9 * DAY, (EVENT,))
    return Played(stream, pages, 8 * DAY, {}, 0.0)


def test_the_limits_of_a_series_come_from_its_first_part_only() -> None:
    raised = series(20)
    raised["values"] = [value + 1000 * (place > 240) for place, value in enumerate(raised["values"])]  # type: ignore
    plain, changed = (_nab(each, "NAB", _nab_rate_checks) for each in (series(20), raised))
    assert plain.facts["high"] == changed.facts["high"]
    assert sum(line["abstained"] for line in changed.records[241:]) == len(changed.records) - 241


def test_days_that_a_window_touches_are_not_quiet() -> None:
    assert len(_quiet_days(series(10))) == 10
    assert len(_quiet_days(series(10, [["2026-05-06T20:00:00", "2026-05-07T03:00:00"]]))) == 8


def test_foreign_lines_come_on_top_and_only_after_the_onset() -> None:
    own = timed([START + step * HOUR for step in range(2000)], ({"query": f"own {n}"} for n in range(2000)))
    onset = START + 1000 * HOUR
    mixed = intruded(np.random.default_rng(1), own, ({"query": f"foreign {n}"} for n in range(999)), 0.2, onset)
    foreign = [line for line in mixed if line["query"].startswith("foreign")]
    assert [line for line in mixed if line["query"].startswith("own")] == own
    assert all(line["ts"] >= onset.isoformat() for line in foreign)
    assert 0.16 < len(foreign) / (len(foreign) + 1000) < 0.24


def test_arrivals_have_their_rate_and_quiet_weekends() -> None:
    times = arrivals(np.random.default_rng(1), 500, 28)
    assert times == sorted(times)
    assert 480 < len(times) / 28 < 520
    assert sum(at.weekday() >= 5 for at in times) / len(times) < 0.2


def test_a_page_in_time_is_the_events_and_others_are_false() -> None:
    before, within, after = (START + days * DAY for days in (2, 3.5, 4.5))
    found = played(page(before, incident="1"), page(within, incident="2"), page(after, incident="3"))
    assert found.first(EVENT) == found.pages[1]
    assert [each.incident for each in found.false()] == ["1", "3"]
    assert [each.incident for each in found.false(late=DAY)] == ["1"]


def test_what_reopens_its_incident_is_one_page_and_each_opening_is_counted_beside_it() -> None:
    def said(day: float, event: str, check: str = "high values") -> dict[str, str]:
        at = (START + day * DAY).isoformat()
        return {"at": at, "check": check, "segment": "all", "incident": "1", "event": event} | {
            "severity": "page",
            "message": "it rose",
        }

    told = [said(1, "firing"), said(1.2, "firing", "low values"), said(1.5, "resolved"), said(2, "firing")]
    told += [said(2.1, "resolved"), said(2.2, "resolved", "low values"), said(6, "firing")]
    found = list(_pages(told))
    assert [each.opening for each in found] == [1, 1, 1, 2]
    assert len(played(*found).false()) == 1
    assert len(played(*found).false(reopened=True)) == 2


def test_a_page_of_another_check_is_not_the_events() -> None:
    found = played(page(START + 3.5 * DAY, check="low values"))
    assert found.first(EVENT) is None
    assert len(found.false()) == 1


def test_one_incident_is_one_false_page() -> None:
    assert len(played(page(START + DAY), page(START + DAY + HOUR)).false()) == 1


def test_a_stream_is_a_project_that_can_be_replayed(tmp_path: Path) -> None:
    stream = _nab(series(20, [["2026-05-20T00:00:00", "2026-05-21T00:00:00"]]), "NAB", _nab_rate_checks)
    watch = load_watch(stream.write(tmp_path / "project"))
    assert watch.baseline.length == 72 * HOUR
    assert [check.name for check in watch.checks] == ["high values", "low values"]


@pytest.mark.process
def test_a_step_in_a_series_is_found_through_replay() -> None:
    broken = series(40, [["2026-06-02T00:00:00", "2026-06-12T00:00:00"]])
    edge = START.replace(month=6, day=2)
    broken["values"] = [
        value + 100 * (datetime.fromisoformat(at).replace(tzinfo=UTC) >= edge)
        for at, value in zip(broken["timestamps"], broken["values"], strict=True)  # type: ignore[call-overload]
    ]
    found = play(_nab(broken, "NAB", _nab_rate_checks, 21 * DAY))
    first = found.first(found.stream.events[0])
    assert first is not None
    assert first.check == "high values"
    assert first.at - edge < 2 * DAY
    assert not found.false()


def test_the_page_counts_what_is_found_and_what_is_false() -> None:
    event = {"delay": 0.5, "delay or late": 0.5, "delays": {"clicks": 0.5}}
    row = {"group": "clicks", "name": "a week", "change": "random to bts", "days": 35.0, "events": [event]}
    false = {"at": "2026-05-04T00:00:00", "check": "clicks", "segment": "all", "message": "it rose"}
    text = page_of([row | {"false": [false], "false, each opening": 3, "false warnings": []}])
    assert "| a week | random to bts | 1 | 1 of 1 | 0.5 | 0.5 | 1 | 3 | 0 | 35 |" in text
    assert "2026-05-04T00:00, clicks, all: it rose" in text
