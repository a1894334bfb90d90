"""Which lines stand for their unit: the first of its day, and the first that says anything about a topic."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from driftwatch.sampling import Batch, Sampler
from driftwatch.sources._counting import AT_ONCE
from driftwatch.sources._records import Intake, Reading
from driftwatch.types import TALLY_FIELDS

NOW = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = int(datetime(2026, 11, 1, 10, tzinfo=UTC).timestamp()) // 3600


def take(*lines: dict[str, Any], sampler: Sampler | None = None, stratify: bool = False) -> Batch:
    intake = Intake("live", sampler or Sampler(1000), Reading(), NOW, stratify=stratify)
    base = {"ts": "2026-11-01T10:30:00Z", "query": "how do I reset my password"}
    intake.add_lines([json.dumps(base | line).encode() for line in lines], "queries.jsonl", 0)
    return intake.batch({})


def counted(*batches: Batch) -> dict[tuple[int, str], dict[str, int]]:
    """(hours after ten, language) -> the counters of units that are not zero."""
    sums: dict[tuple[int, str], Counter[str]] = {}
    for batch in batches:
        for (hour, lang), counts in batch.tallies.items():
            found = {name: n for name, n in zip(TALLY_FIELDS, counts, strict=True) if n and name.startswith("units")}
            sums.setdefault((hour - HOUR, lang), Counter()).update(found)
    return {key: dict(found) for key, found in sums.items() if found}


def test_a_session_counts_once_a_day_where_it_began():
    first = {"session": "s", "lang": "de", "results": []}
    later = {"session": "s", "lang": "en", "results": ["a"], "ts": "2026-11-01T11:30:00Z"}
    tomorrow = {"session": "s", "lang": "en", "results": ["a"], "ts": "2026-11-02T10:30:00Z"}
    assert counted(take(first, later, later, tomorrow)) == {
        (0, "de"): {"units": 1, "units_results_known": 1, "units_empty": 1},
        (24, "en"): {"units": 1, "units_results_known": 1},
    }


def test_without_a_session_a_distinct_query_counts_once_a_day():
    assert counted(take({"query": "Reset  it"}, {"query": "reset it "}, {"query": "other"})) == {
        (0, "und"): {"units": 2}
    }


def test_feedback_that_comes_later_counts_where_it_is_said_first():
    lines = (
        {"session": "s", "results": ["a"], "abstained": False},
        {"session": "s", "results": [], "abstained": True, "feedback": "down", "ts": "2026-11-01T12:00:00Z"},
        {"session": "s", "feedback": "up", "ts": "2026-11-01T13:00:00Z"},
    )
    expected = {
        (0, "und"): {"units": 1, "units_results_known": 1, "units_abstention_known": 1},
        (2, "und"): {"units_feedback_known": 1, "units_down": 1},
    }
    assert counted(take(*lines)) == expected
    sampler = Sampler(1000)
    assert counted(*(take(line, sampler=sampler) for line in lines)) == expected


def test_a_failed_retrieval_leaves_the_results_to_a_later_line():
    lines = ({"session": "s", "error": "timeout", "results": []}, {"session": "s", "results": ["a"]})
    assert counted(take(*lines)) == {(0, "und"): {"units": 1, "units_results_known": 1}}


def test_a_session_in_two_languages_is_a_unit_of_each_stratum():
    """The same as in the sample, where a stratum draws its own priorities."""
    lines = ({"session": "s", "lang": "de"}, {"session": "s", "lang": "en"})
    assert counted(take(*lines)) == {(0, "de"): {"units": 1}}
    assert counted(take(*lines, stratify=True)) == {(0, "de"): {"units": 1}, (0, "en"): {"units": 1}}
    assert (len(take(*lines).kept), len(take(*lines, stratify=True).kept)) == (1, 2)


def test_a_day_that_is_closed_counts_lines_and_no_units():
    old = {"ts": "2026-10-20T10:30:00Z"}
    assert counted(take({}, old)) == {(0, "und"): {"units": 1}}
    sampler = Sampler(1000)
    opened, late = take(old, {}, sampler=sampler), take(old | {"query": "new"}, sampler=sampler)
    assert [sum(counts[0] for counts in batch.tallies.values()) for batch in (opened, late)] == [2, 1]
    assert len(counted(opened)) == 2
    assert counted(late) == {}


def test_what_was_not_committed_is_counted_when_it_is_read_again():
    """After an error the sampler is made anew from the store; the one that had moved on would know the units."""
    moved = Sampler(1000)
    lost = take({"session": "s", "results": []}, sampler=moved)
    assert counted(take({"session": "s", "results": []}, sampler=Sampler(1000))) == counted(lost)
    assert counted(take({"session": "s", "results": []}, sampler=moved)) == {}


@pytest.mark.parametrize("stratify", [False, True])
def test_every_counter_is_what_a_slow_count_says(stratify):
    chance = random.Random(3)
    start = datetime(2026, 10, 31, 18, tzinfo=UTC)
    lines = [
        {
            "ts": (start + timedelta(seconds=number)).isoformat().replace("+00:00", "Z"),
            "query": f"query {chance.randrange(4000)}",
            "lang": chance.choice(["de", "en", "fr"]),
            "session": chance.choice([None, "", f"session {chance.randrange(2000)}"]),
            "results": chance.choice([None, [], ["a"]]),
            "error": chance.choice([None, None, "timeout"]),
            "abstained": chance.choice([None, True, False]),
            "feedback": chance.choice([None, None, "none", "up", "down", "click", "accepted"]),
        }
        for number in range(3 * AT_ONCE)
    ]
    sampler = Sampler(100)
    cuts = [0, 10, AT_ONCE + 7, 3 * AT_ONCE]
    batches = [take(*lines[a:b], sampler=sampler, stratify=stratify) for a, b in pairwise(cuts)]
    expected = slow_count(lines, stratify)
    assert counted(*batches) == expected
    total = sum((Counter(found) for found in expected.values()), Counter())
    assert total["units"] > total["units_feedback_known"] > total["units_down"] > 1000


def slow_count(lines: list[dict[str, Any]], stratify: bool) -> dict[tuple[int, str], dict[str, int]]:
    said: set[tuple[Any, ...]] = set()
    counts: dict[tuple[int, str], Counter[str]] = {}
    for line in lines:
        at = datetime.fromisoformat(line["ts"])
        cell = counts.setdefault((int(at.timestamp()) // 3600 - HOUR, line["lang"]), Counter())
        unit = (at.date(), line["session"] or line["query"], line["lang"] if stratify else "*")
        results = None if line["error"] else line["results"]
        topics = {
            "units": (True, ""),
            "units_results_known": (results is not None, "units_empty" if results == [] else ""),
            "units_abstention_known": (line["abstained"] is not None, "units_abstained" if line["abstained"] else ""),
            "units_feedback_known": (
                line["feedback"] is not None,
                f"units_{line['feedback']}" if line["feedback"] not in (None, "none") else "",
            ),
        }
        for topic, (known, what) in topics.items():
            if known and (unit, topic) not in said:
                said.add((unit, topic))
                cell.update([topic, what] if what else [topic])
    return {key: dict(found) for key, found in counts.items() if found}
