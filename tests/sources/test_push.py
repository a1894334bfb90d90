"""Pushed records: stored as a whole or refused with every error named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from driftwatch.errors import RecordsRefused, SourceError
from driftwatch.plugins import find_kind
from driftwatch.sampling import Sampler
from driftwatch.sources._records import Reading
from driftwatch.sources.push import MOST_ERRORS, Push
from driftwatch.types import ScoredDoc

NOW = datetime(2026, 11, 2, tzinfo=UTC)
GOOD = {"ts": "2026-11-01T10:30:00Z", "query": "how do I reset my password", "results": [{"id": "a", "score": 0.5}]}
PUSH = Push(name="live")


def refused(*records: object) -> RecordsRefused:
    with pytest.raises(RecordsRefused) as caught:
        PUSH.batch(list(records), Sampler(10), Reading(), NOW)
    return caught.value


def test_it_is_the_kind_push():
    assert find_kind("sources", "push") is Push
    assert PUSH.gives == "traffic"


def test_records_are_counted_and_sampled():
    batch = PUSH.batch([GOOD, GOOD | {"query": "other", "results": []}], Sampler(10), Reading(), NOW)
    (counts,) = batch.tallies.values()
    assert list(counts[:3]) == [2, 2, 1]
    assert (batch.source, batch.lines, len(batch.kept)) == ("live", 2, 2)
    assert batch.kept[0].observation.hits == (ScoredDoc("a", 0.5),)


def test_no_records_are_an_empty_batch():
    assert PUSH.batch([], Sampler(10), Reading(), NOW).lines == 0


@pytest.mark.parametrize(
    ("wrong", "field", "value", "remedy"),
    [
        ({"ts": None}, "ts", "", "Give the time as RFC 3339, such as 2026-11-01T09:30:00Z."),
        ({"ts": "soon"}, "ts", '"soon"', "Write RFC 3339"),
        ({"query": 7}, "query", "7", "Give the text that was asked."),
        ({"lang": "English"}, "lang", '"English"', "Did you mean 'en'?"),
        ({"results": "a"}, "results", '"a"', "[] for no results"),
        ({"results": [{"text": "x"}]}, "results[0]", '{"text":"x"}', '{"id": ..., "score": ...}'),
        ({"results": ["a", {"id": "b", "score": "high"}]}, "results[1].score", '"high"', ""),
        ({"results": ["a", {"id": ["b"]}]}, "results[1].id", '["b"]', "Write it as text."),
        ({"feedback": "meh"}, "feedback", '"meh"', "up, down, click, accepted or none"),
        ({"score_kind": "cosine"}, "score_kind", '"cosine"', "similarity or distance"),
        ({"versions": "v7"}, "versions", '"v7"', '{"index": "v7"'),
        ({"query_id": {}}, "query_id", "{}", "Write it as text."),
        ({"query": "\ud800"}, "query", "", "JSON in UTF-8"),
    ],
)
def test_an_error_names_index_field_value_and_remedy(wrong, field, value, remedy):
    (error,) = refused(GOOD, GOOD | wrong).errors
    assert (error["index"], error["field"]) == (1, field)
    assert value in error["value"]
    assert remedy in error["remedy"]
    assert "nothing was stored" in str(refused(GOOD | wrong))


def test_one_wrong_record_and_nothing_is_counted():
    sampler = Sampler(10)
    with pytest.raises(SourceError):
        PUSH.batch([GOOD, {}], sampler, Reading(), NOW)
    assert sampler.drain() == {}


def test_every_wrong_record_is_counted_and_the_first_ones_told():
    error = refused(*[{}] * 100, GOOD)
    assert str(error).startswith("100 of 101 records are wrong")
    assert len(error.errors) == MOST_ERRORS


def test_what_is_no_object_is_refused():
    assert [error["message"] for error in refused(7, None, "x", []).errors] == [
        'it is not a JSON object: 7. Write {"ts": ..., "query": ...}.',
        'it is not a JSON object. Write {"ts": ..., "query": ...}.',
        'it is not a JSON object: "x". Write {"ts": ..., "query": ...}.',
        'it is not a JSON object: []. Write {"ts": ..., "query": ...}.',
    ]


def test_foreign_records_are_mapped():
    push = Push(name="live", fields={"ts": "time", "query": "input.text"})
    batch = push.batch([{"time": 1793525400, "input": {"text": "q"}}], Sampler(10), Reading(), NOW)
    assert batch.kept[0].observation.text == "q"


@pytest.mark.parametrize(
    ("host", "open_to_others"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True), ("10.0.0.5", True), ("box", True)],
)
def test_a_token_is_needed_wherever_others_can_reach_it(host, open_to_others):
    assert PUSH.needs_token(host) is open_to_others
    assert not Push(name="live", token="long enough").needs_token(host)


def test_settings_that_cannot_work_are_refused():
    for wrong in ({"token": "short"}, {"max_body": "0"}, {"max_waiting": 0}, {"fields": {"quary": "q"}}):
        with pytest.raises(ValidationError):
            Push(name="live", **wrong)


def test_the_token_is_never_shown():
    assert "s3cret-token" not in repr(Push(name="live", token="s3cret-token"))
