"""What can be wrong in what is given to a replay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from driftwatch.replay.events import read_events
from driftwatch.replay.running import Request, replay
from tests.bad_inputs.registry import case

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def events(tmp: Path, text: str, name: str = "events.yaml") -> str:
    (tmp / name).write_text(text)
    return str(read_events(tmp / name, ["canary recall", "traffic"]))


def logged(tmp: Path, *lines: object, **more: Any) -> str:
    """What is said of a replay of these lines."""
    path = tmp / "queries.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return str(replay(Request(config=None, now=NOW, logs=(str(path),), **more)))


def runs(tmp: Path, *lines: object) -> str:
    path = tmp / "runs.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return str(replay(Request(config=None, now=NOW, canaries=(str(path),))))


GOOD = {"ts": "2026-05-04T10:00:00Z", "query": "how do I reset my password"}


@case("replay", "nothing to replay")
def nothing(tmp: Path) -> str:
    del tmp
    return str(replay(Request(config=None, now=NOW)))


@case("replay", "`--log` names no file")
def no_log(tmp: Path) -> str:
    return str(replay(Request(config=None, now=NOW, logs=(str(tmp / "querys.jsonl"),))))


@case("replay", "`--log` names a directory")
def log_directory(tmp: Path) -> str:
    return str(replay(Request(config=None, now=NOW, logs=(str(tmp),))))


@case("replay", "`--log` names a foreign log")
def foreign_log(tmp: Path) -> str:
    return logged(tmp, {"time": "2026-05-04T10:00:00Z", "q": "x"})


@case("replay", "`--log` names an empty file")
def empty_log(tmp: Path) -> str:
    return logged(tmp)


@case("replay", "`--field` names a field that no record has")
def unknown_field(tmp: Path) -> str:
    return logged(tmp, GOOD, fields={"tss": "time"})


@case("replay", "`--every` is no length of time")
def bad_every(tmp: Path) -> str:
    return logged(tmp, GOOD, every="often")


@case("replay", "`--baseline` is neither a length nor two dates")
def bad_baseline(tmp: Path) -> str:
    return logged(tmp, GOOD, baseline="last month")


@case("replay", "`--baseline` names days that were not recorded")
def foreign_baseline(tmp: Path) -> str:
    return logged(tmp, GOOD, baseline="2025-05-04 .. 2025-05-17")


@case("replay", "`--from` is later than the record")
def nothing_recorded(tmp: Path) -> str:
    return logged(tmp, GOOD, start=NOW)


@case("replay", "`--ab` without a whole quiet week")
def no_quiet_week(tmp: Path) -> str:
    lines = [GOOD | {"ts": f"2026-05-04T{hour:02}:00:00Z"} for hour in range(20)]
    return logged(tmp, *lines, quiet_weeks=4)


@case("replay", "`--canaries` names no file")
def no_runs(tmp: Path) -> str:
    return str(replay(Request(config=None, now=NOW, canaries=(str(tmp / "runs"),))))


@case("replay", "a recorded canary run without results")
def run_without_results(tmp: Path) -> str:
    return runs(tmp, {"ts": "2026-05-04T10:00:00Z", "query_id": "q1", "relevant": ["doc-7"]})


@case("replay", "a recorded canary run without relevant documents")
def run_without_relevant(tmp: Path) -> str:
    return runs(tmp, {"ts": "2026-05-04T10:00:00Z", "query_id": "q1", "results": ["doc-7"]})


@case("replay", "an event without `at`")
def event_without_time(tmp: Path) -> str:
    return events(tmp, "- {at: 2026-05-04, name: rebuild}\n- {name: launch}\n")


@case("replay", "an event at no time that there is")
def event_at_no_time(tmp: Path) -> str:
    return events(tmp, '{"at": "2026-05-32", "name": "rebuild"}\n', "events.jsonl")


@case("replay", "an event of a check that there is not")
def event_of_unknown_check(tmp: Path) -> str:
    return events(tmp, "- at: 2026-05-04\n  name: rebuild\n  check: canary recal\n")


@case("replay", "an event that is over before it begins")
def event_over_too_early(tmp: Path) -> str:
    return events(tmp, "- {at: 2026-05-04, until: 2026-05-01, name: rebuild}\n")


@case("replay", "a file of events that holds no list")
def events_no_list(tmp: Path) -> str:
    return events(tmp, "at: 2026-05-04\nname: rebuild\n")
