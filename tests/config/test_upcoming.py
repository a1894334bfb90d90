from datetime import UTC, datetime
from pathlib import Path

from driftwatch.config import agenda, read_watch, remembered, schedule_of

NOW = datetime(2026, 5, 1, 10, 20, tzinfo=UTC)
TEXT = """\
service: x
sources:
  canaries: {kind: 'tests.fakes.kinds:Questions', every: 6h}
  live: {kind: query_log, path: q.jsonl, every: 1m}
  push: {kind: push}
checks:
  - {kind: 'tests.fakes.kinds:Found', name: recall, source: canaries}
  - {kind: 'tests.fakes.kinds:Freshness', name: fresh, source: live}
  - {kind: 'tests.fakes.kinds:Freshness', name: weekly, source: live, every: mon 08:00}
heartbeat: {url: https://example.org, every: 5m}
"""


def test_the_agenda_shows_the_next_three_times_of_everything(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text(TEXT)
    found = agenda(read_watch(tmp_path / "driftwatch.yaml", {}), NOW)
    assert [(name, every, [f"{run:%d %H:%M}" for run in runs]) for name, every, runs in found] == [
        ("source canaries", "6h", ["01 12:00", "01 18:00", "02 00:00"]),
        ("source live", "1m", ["01 10:21", "01 10:22", "01 10:23"]),
        ("recall", "6h", ["01 12:00", "01 18:00", "02 00:00"]),
        ("fresh", "1h", ["01 11:00", "01 12:00", "01 13:00"]),
        ("weekly", "mon 08:00", ["04 08:00", "11 08:00", "18 08:00"]),
        ("report", "mon 08:00", ["04 08:00", "11 08:00", "18 08:00"]),
        ("heartbeat", "5m", ["01 10:25", "01 10:30", "01 10:35"]),
    ]
    assert all(run.tzinfo is UTC for _, _, runs in found for run in runs)


def test_a_check_looks_with_its_canaries_or_hourly(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text(TEXT)
    watch = read_watch(tmp_path / "driftwatch.yaml", {})
    assert [str(schedule_of(check, watch)) for check in watch.checks] == ["6h", "1h", "mon 08:00"]


def test_a_report_that_is_off_is_never_due(tmp_path: Path) -> None:
    (tmp_path / "driftwatch.yaml").write_text(TEXT + "report: off\n")
    found = agenda(read_watch(tmp_path / "driftwatch.yaml", {}), NOW)
    assert "report" not in {name for name, *_ in found}


def test_what_is_remembered_is_what_asks_and_what_looks(tmp_path: Path) -> None:
    """A check that looks as soon as its canaries have been asked is part of that job."""
    (tmp_path / "driftwatch.yaml").write_text(TEXT)
    found = remembered(read_watch(tmp_path / "driftwatch.yaml", {}))
    assert {name: str(every) for name, every in found.items()} == {
        "source canaries": "6h",
        "checks of live every 1h": "1h",
        "checks of live every mon 08:00": "mon 08:00",
    }
