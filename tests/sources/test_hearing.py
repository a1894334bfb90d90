"""What is kept of lines with feedback, and that nothing else knows of it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from driftwatch.errors import RecordsRefused
from driftwatch.feedback import Votes
from driftwatch.privacy import hashed
from driftwatch.sampling import Batch, Sampler
from driftwatch.sources._hearing import ALONE
from driftwatch.sources._records import Intake, Reading
from driftwatch.sources.push import Push
from tests.sources.test_records import BASE, NOW, tally

ALONE_LINE = {"query": None, "query_id": "q-1", "session": "s", "feedback": "up"}


def take(*lines: dict[str, Any], reading: Reading | None = None, most: int = 1000, **settings: Any) -> Batch:
    intake = Intake("live", Sampler(most), reading or Reading(), NOW, votes=Votes(most), **settings)
    intake.add_lines([json.dumps(BASE | line).encode() for line in lines], "queries.jsonl", 0)
    return intake.batch({})


def said(batch: Batch) -> list[tuple[str, Any, str]]:
    return [(vote.observation.text, vote.observation.feedback, vote.observation.feedback_doc) for vote in batch.votes]


def heard(batch: Batch) -> int:
    return sum(each.lines for each in batch.heard.values())


def test_feedback_on_a_later_line_of_a_session_is_kept():
    batch = take(
        {"session": "s", "query": "a"},
        {"session": "s", "query": "b", "feedback": {"value": "click", "doc_id": "d"}},
        {"session": "s", "query": "c", "feedback": "down"},
    )
    assert [kept.observation.text for kept in batch.kept] == ["a"]
    assert said(batch) == [("b", "click", "d"), ("c", "down", "")]
    assert heard(batch) == 2


def test_lines_that_say_nothing_are_not_kept():
    batch = take({"session": "s"}, {"session": "s", "feedback": "none"}, {"session": "s", "feedback": "nonsense"})
    assert (batch.votes, batch.heard) == ((), {})


def test_a_line_in_the_sample_is_the_same_row_in_both():
    batch = take({"session": "s", "feedback": "up", "results": [{"id": "d", "score": 0.5}]})
    assert batch.votes[0].observation is batch.kept[0].observation
    assert batch.votes[0].priority == batch.kept[0].priority


@pytest.mark.parametrize("earlier", [{"session": "other"}, {"session": "s"}])
@pytest.mark.parametrize("ranked", [False, True])
def test_the_best_hits_are_kept(earlier: dict[str, Any], ranked: bool):
    results: list[dict[str, Any]] = [{"id": f"d{n}", "score": n / 10} for n in range(9)]
    if ranked:
        results = [{**each, "rank": 9 - n} for n, each in enumerate(results)]
    (vote,) = take(earlier, {"session": "s", "feedback": "up", "results": results}).votes
    best = range(9)[::-1] if ranked else range(9)
    assert [hit.doc_id for hit in vote.observation.hits or ()] == [f"d{n}" for n in best][:5]


def test_without_votes_nothing_is_kept():
    intake = Intake("live", Sampler(10), Reading(), NOW)
    intake.add_record(BASE | {"feedback": "up"})
    intake.add_record(ALONE_LINE | {"ts": BASE["ts"]})
    batch = intake.batch({})
    assert (batch.votes, batch.heard, batch.notes) == ((), {}, {ALONE: 1})


def test_a_later_line_is_as_private_as_the_sample():
    lines = {"session": "s"}, {"session": "s", "query": "mail jane@example.org", "feedback": "up"}
    key = b"k" * 32
    (vote,) = take(*lines, reading=Reading(keep_text="redacted")).votes
    assert vote.observation.text == "mail [email]"
    (vote,) = take(*lines, reading=Reading(keep_text="hash", key=key)).votes
    assert vote.observation.text == hashed("mail jane@example.org", key)


def test_only_what_is_in_the_sample_is_heard_of_by_who_embeds():
    texts: list[str] = []
    reading = Reading(hear=lambda _shown, text: texts.append(text))
    take({"session": "s", "query": "a"}, {"session": "s", "query": "b", "feedback": "up"}, reading=reading)
    assert texts == ["a"]


def test_a_foreign_log_has_its_feedback_kept():
    batch = take({"session": "s"}, {"session": "s", "rating": "👍"}, translate=_translated)
    assert [vote.observation.feedback for vote in batch.votes] == ["up"]


def _translated(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "feedback": record.get("rating")}


# --- feedback in a line of its own -----------------------------------------------------------------------------------


def test_a_line_without_a_query_speaks_of_the_one_with_its_id():
    batch = take({"session": "s"}, ALONE_LINE | {"feedback": {"value": "click", "doc_id": "d"}})
    (vote,) = batch.votes
    seen = vote.observation
    assert (seen.text, seen.query_id, seen.session, seen.feedback, seen.feedback_doc) == ("", "q-1", "s", "click", "d")
    assert vote.priority == batch.kept[0].priority
    assert batch.notes == {ALONE: 1}
    assert (batch.lines, batch.rejected) == (2, 0)


def test_a_line_without_a_query_is_no_query():
    alone, with_it = take({"session": "s"}), take({"session": "s"}, ALONE_LINE, ALONE_LINE | {"lang": "de"})
    assert replace(with_it, votes=(), heard={}, notes={}, lines=1) == alone
    assert tally(with_it) == {"queries": 1}
    assert heard(with_it) == 2


@pytest.mark.parametrize("keep_text", ["full", "redacted", "hash"])
def test_a_line_without_a_query_has_no_text(keep_text: Any):
    (vote,) = take(ALONE_LINE, reading=Reading(keep_text=keep_text, key=b"k" * 32)).votes
    assert vote.observation.text == ""


@pytest.mark.parametrize(
    "line",
    [
        {"query": None, "feedback": "up"},
        {"query": None, "query_id": "q", "feedback": "none"},
        {"query": None, "query_id": "q", "feedback": "nonsense"},
        {"query": None, "query_id": "q"},
        {"query": None, "query_id": ["q"], "feedback": "up"},
        {"query": " ", "query_id": "q", "feedback": "up"},
        {"query": 7, "query_id": "q", "feedback": "up"},
        {"query": None, "query_id": "q", "feedback": "up", "ts": "yesterday"},
    ],
)
def test_what_names_no_query_or_says_nothing_is_rejected_as_ever(line: dict[str, Any]):
    batch = take(line)
    assert (batch.lines, batch.rejected, batch.votes, batch.tallies) == (1, 1, (), {})


def test_a_line_without_a_query_and_session_belongs_to_its_query():
    batch = take({**ALONE_LINE, "session": None}, {**ALONE_LINE, "session": None, "query_id": "q-2"})
    assert len({vote.priority for vote in batch.votes}) == 2


# --- pushed ----------------------------------------------------------------------------------------------------------


def test_feedback_may_be_pushed_after_its_query():
    push, votes, sampler = Push(name="live"), Votes(10), Sampler(10)
    asked = BASE | {"query_id": "q-1", "session": "s"}
    first = push.batch([asked], sampler, Reading(), NOW, votes)
    later = push.batch([{"ts": BASE["ts"], "query_id": "q-1", "session": "s", "feedback": "up"}], sampler, Reading(),
                       NOW, votes)  # fmt: skip
    assert (first.votes, later.kept, later.lines) == ((), (), 1)
    assert [vote.observation.feedback for vote in later.votes] == ["up"]
    with pytest.raises(RecordsRefused, match="query"):
        push.batch([{"ts": BASE["ts"], "feedback": "up"}], sampler, Reading(), NOW, votes)


# --- what checks judge stays as it is --------------------------------------------------------------------------------


def a_log(count: int, seed: int) -> list[bytes]:
    """Lines of two languages over five days, a third with feedback, some of it in lines of its own."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        at = datetime(2026, 10, 27 + 5 * number // count, chance.randrange(24), chance.randrange(60), tzinfo=UTC)
        line: dict[str, Any] = {
            "ts": at.isoformat().replace("+00:00", "Z"),
            "query": f"q {chance.randrange(400)}",
            "query_id": f"id-{chance.randrange(count)}",
            "session": chance.choice([None, f"s{chance.randrange(300)}"]),
            "lang": chance.choice(["de", "en", "en", None]),
            "results": chance.choice([None, [], [{"id": "d", "score": chance.random()}]]),
            "abstained": chance.choice([None, True, False]),
        }
        if chance.random() < 0.35:
            line["feedback"] = chance.choice(["up", "down", "none", {"value": "click", "doc_id": "d"}])
        lines.append(line)
    return [json.dumps(line).encode() for line in lines]


def batches(lines: Sequence[bytes], votes: Votes | None, *, stratify: bool) -> list[Batch]:
    sampler, found = Sampler(60), []
    for start in range(0, len(lines), 170):
        intake = Intake("live", sampler, Reading(), NOW, stratify=stratify, votes=votes)
        intake.add_lines(lines[start : start + 170], "q", start)
        found.append(intake.batch({"offset": start}))
    return found


@pytest.mark.parametrize("stratify", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_counts_sample_and_weights_are_the_same_with_feedback_kept_and_without(seed: int, stratify: bool):
    lines = a_log(2500, seed)
    without, kept = (batches(lines, votes, stratify=stratify) for votes in (None, Votes(40)))
    assert sum(len(batch.votes) for batch in kept) > 100
    assert [replace(batch, votes=(), heard={}) for batch in kept] == without


@pytest.mark.parametrize("stratify", [False, True])
def test_lines_of_feedback_alone_change_no_count_sample_or_weight(stratify: bool):
    chance = random.Random(9)
    lines = a_log(1500, 4)
    alone = {"ts": "2026-10-31T12:00:00Z", "query_id": "id-7", "feedback": "down", "lang": "fr"}
    mixed = [*lines]
    for _ in range(300):
        mixed.insert(chance.randrange(len(mixed)), json.dumps(alone | {"session": f"s{chance.random()}"}).encode())
    sampler, whole = Sampler(60), []
    for some in (lines, mixed):
        sampler = Sampler(60)
        intake = Intake("live", sampler, Reading(), NOW, stratify=stratify, votes=Votes(40))
        intake.add_lines(some, "q", 0)
        batch = intake.batch({})
        whole.append((batch.tallies, batch.kept, batch.thresholds))
    assert whole[0] == whole[1]
