"""What a line counts as, and what becomes of it in the sample."""

from __future__ import annotations

import json
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.privacy import hashed
from driftwatch.sampling import Batch, Sampler
from driftwatch.sources._parsing import Malformed
from driftwatch.sources._records import MOST_REJECTS, TOO_OLD, Intake, Reading
from driftwatch.sources._times import WITHOUT_OFFSET
from driftwatch.types import TALLY_FIELDS, Observation, ScoredDoc
from tests.fakes.examples import examples

NOW = datetime(2026, 11, 2, tzinfo=UTC)
BASE = {"ts": "2026-11-01T10:30:00Z", "query": "how do I reset my password"}
HOUR = int(datetime(2026, 11, 1, 10, tzinfo=UTC).timestamp()) // 3600


def take(*lines: Any, reading: Reading | None = None, keep: int = 1000, **settings: Any) -> Batch:
    """A batch of these lines; what is not bytes is written as JSON."""
    intake = Intake("live", Sampler(keep), reading or Reading(), NOW, **settings)
    raw = [line if isinstance(line, bytes) else json.dumps(BASE | line).encode() for line in lines]
    intake.add_lines(raw, "queries.jsonl", 0)
    return intake.batch({})


def sums(batch: Batch) -> dict[str, int]:
    """Column -> its sum, where that is not zero."""
    totals = [sum(column) for column in zip(*batch.tallies.values(), strict=True)]
    return {name: count for name, count in zip(TALLY_FIELDS, totals, strict=True) if count}


def tally(batch: Batch) -> dict[str, int]:
    """What was counted of lines."""
    return {name: count for name, count in sums(batch).items() if not name.startswith("units")}


def units(batch: Batch) -> dict[str, int]:
    """What was counted of units, called as it is called of lines."""
    counted = {name: count for name, count in sums(batch).items() if name.startswith("units")}
    return {name.removeprefix("units_").replace("units", "queries"): count for name, count in counted.items()}


def row(line: dict[str, Any], **settings: Any) -> Observation:
    (kept,) = take(line, **settings).kept
    return kept.observation


def why(line: Any, **settings: Any) -> str:
    (reject,) = take(line, **settings).rejects
    return reject.reason


def test_the_smallest_line_is_one_query_and_nothing_is_known_of_it():
    assert tally(take({})) == units(take({})) == {"queries": 1}


def test_a_line_is_counted_in_its_hour_and_language():
    batch = take({"lang": "de"}, {"lang": "de-AT", "ts": "2026-11-01T12:59:59+01:00"}, {"lang": "en"})
    assert {key: counts[0] for key, counts in batch.tallies.items()} == {
        (HOUR, "de"): 1,
        (HOUR + 1, "de"): 1,
        (HOUR, "en"): 1,
    }


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({"results": []}, {"results_known": 1, "empty": 1}),
        ({"results": ["a"]}, {"results_known": 1}),
        ({"results": None}, {}),
        ({"abstained": True}, {"abstention_known": 1, "abstained": 1}),
        ({"abstained": False}, {"abstention_known": 1}),
        ({"abstained": 1}, {"abstention_known": 1, "abstained": 1}),
        ({"feedback": "none"}, {"feedback_known": 1}),
        ({"feedback": "up"}, {"feedback_known": 1, "up": 1}),
        ({"feedback": "down"}, {"feedback_known": 1, "down": 1}),
        ({"feedback": "click"}, {"feedback_known": 1, "click": 1}),
        ({"feedback": "accepted"}, {"feedback_known": 1, "accepted": 1}),
        ({"feedback": "Thumbs_Down"}, {"feedback_known": 1, "down": 1}),
        ({"feedback": {"value": "click", "doc_id": "doc-7"}}, {"feedback_known": 1, "click": 1}),
        ({"feedback": {"type": "Clicked", "doc_id": "doc-7"}}, {"feedback_known": 1, "click": 1}),
        ({"feedback": {"value": "click", "doc_id": ["doc-7"]}}, {"feedback_known": 1, "click": 1}),
        ({"feedback": {"value": None, "doc_id": "doc-7"}}, {}),
        ({"feedback": {"doc_id": "doc-7"}}, {}),
        ({"feedback": {"value": ["click"]}}, {}),
        ({"feedback": None}, {}),
        ({"feedback": "meh"}, {}),
        ({"error": "timeout", "results": []}, {"errors": 1}),
        ({"error": {"code": 500}}, {"errors": 1}),
        ({"error": "", "results": []}, {"results_known": 1, "empty": 1}),
        ({"error": False, "results": ["a"]}, {"results_known": 1}),
        ({"metadata": {"a": [1]}, "latency_ms": "slow", "anything": 1}, {}),
    ],
)
def test_what_each_field_counts_as(fields, counted):
    batch = take(fields)
    assert tally(batch) == {"queries": 1} | counted
    counted.pop("errors", None)  # of lines only
    assert units(batch) == {"queries": 1} | counted


def test_an_answer_is_judged_only_where_the_line_has_no_flag():
    reading = Reading(abstained=lambda answer, lang: {"I cannot say": True, "42": False}.get(answer))
    batch = take(
        {"answer": "I cannot say"},
        {"answer": "42"},
        {"answer": "hm"},
        {"answer": "I cannot say", "abstained": False},
        {},
        reading=reading,
    )
    assert tally(batch) == {"queries": 5, "abstention_known": 3, "abstained": 1}


def test_an_answer_is_judged_in_the_language_of_the_line():
    asked = []
    take({"answer": "a", "lang": "pt-BR"}, reading=Reading(abstained=lambda answer, lang: asked.append(lang)))
    assert asked == ["pt"]


def test_a_language_that_is_not_given_is_detected_and_counted_as_such():
    reading = Reading(detect=lambda text: "de" if "wie" in text else "und")
    batch = take(
        {"query": "wie geht das"}, {"query": "xyz"}, {"lang": "en"}, {"lang": "", "query": "42"}, reading=reading
    )
    assert tally(batch) == {"queries": 4, "detected": 1}
    assert Counter(lang for _, lang in batch.tallies) == {"de": 1, "und": 1, "en": 1}
    assert Counter(kept.observation.lang_detected for kept in batch.kept) == {False: 3, True: 1}


def test_a_language_that_is_none_is_taken_as_not_given_and_noted():
    batch = take({"lang": "English"}, {"lang": 7}, reading=Reading(detect=lambda text: "en"))
    assert tally(batch) == {"queries": 2, "detected": 2}
    assert batch.notes == {"lines whose 'lang' could not be understood were read without it": 2}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "it is not JSON"),
        (b'{"ts": "2026-11-01T10:30:00Z", "query": "x"', "it is not JSON"),
        (b"[1, 2]", "it is not a JSON object: [1,2]"),
        (b"null", "it is not a JSON object"),
        (b'"text"', "it is not a JSON object"),
        (b'{"query": "caf\xe9"}', "it is not UTF-8 (byte 14)"),
        (b"[" * 50_000, "it is not JSON"),
        (b'{"query": "\\ud800", "ts": "2026-11-01T10:30:00Z", "x": NaN}', "it is not JSON"),
        ({"ts": None}, "'ts' is missing. Give the time as RFC 3339"),
        ({"ts": "soon"}, "'ts' is not a time: \"soon\""),
        ({"ts": True}, "'ts' is not a time"),
        ({"ts": "2026-11-03T00:00:01Z"}, "'ts' is more than a day ahead of now"),
        ({"ts": "1970-01-01T00:00:00Z"}, "'ts' is before the year 2000"),
        ({"ts": "0001-01-01T00:00:00Z"}, "'ts' is before the year 2000"),
        ({"query": None}, "'query' is missing. Give the text that was asked."),
        ({"query": ["a"]}, "'query' is not text"),
        ({"query": " \t"}, "'query' is empty"),
        ({"results": "doc-7"}, "'results' is not a list"),
        ({"results": {"a": 1}}, "'results' is not a list"),
        ({"session": ["s"]}, "'session' is not an identifier"),
        ({"session": True}, "'session' is not an identifier"),
        ({"abstained": "yes"}, "'abstained' is not true or false"),
        ({"answer": {"text": "a"}}, "'answer' is not text"),
    ],
)
def test_a_line_that_cannot_be_read_is_quarantined_with_its_reason(line, reason):
    if isinstance(line, dict) and "answer" in line:
        assert reason in why(line, reading=Reading(abstained=lambda answer, lang: None))
    else:
        assert reason in why(line)


@pytest.mark.parametrize(
    "line",
    [
        b'{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": [{"id": "a", "score": NaN}]}',
        b'{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": [{"id": "a", "score": -Infinity}]}',
        b'{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": [{"id": "a", "score": 1e999}]}',
        b'{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": [{"id": "a", "score": null}]}',
        b'\xef\xbb\xbf{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": ["a"]}',
        b'  {"ts": "2026-11-01T10:30:00Z", "query": "x", "results": ["a"]}\r',
        b'\0\0{"ts": "2026-11-01T10:30:00Z", "query": "x", "results": ["a"]}',
        b'{"ts": "2020-01-01T10:30:00Z", "ts": "2026-11-01T10:30:00Z", "query": "x", "results": ["a"]}',
    ],
)
def test_odd_lines_are_read_with_patience(line):
    batch = take(line)
    assert batch.rejects == ()
    assert tally(batch) == {"queries": 1, "results_known": 1}
    assert batch.kept[0].observation.hits == (ScoredDoc("a", None),)
    assert batch.kept[0].day == date(2026, 11, 1)


def test_blank_lines_are_no_lines():
    batch = take(b"", b"  ", b"\r", {}, b"\0\0\0")
    assert (batch.lines, batch.rejected, tally(batch)) == (1, 0, {"queries": 1})


def test_a_reject_names_its_file_and_offset():
    good = json.dumps(BASE).encode()
    batch = take(good, b"bad one", good, good, b"\xff worse", good)
    first, second = batch.rejects
    assert (first.file, first.offset, first.line) == ("queries.jsonl", len(good) + 1, "bad one")
    assert second.offset == 3 * (len(good) + 1) + len(b"bad one") + 1
    assert second.line == "\ufffd worse"
    assert (batch.lines, batch.rejected) == (6, 2)


def test_all_rejects_are_counted_and_the_first_ones_shown():
    batch = take(*[b"x" * 2000] * (MOST_REJECTS + 50))
    assert batch.rejected == MOST_REJECTS + 50
    assert len(batch.rejects) == MOST_REJECTS
    assert {len(reject.line) for reject in batch.rejects} == {500}


def test_a_reject_holds_no_text_where_texts_are_private():
    batch = take({"ts": "my secret"}, b"my secret", reading=Reading(keep_text="redacted"))
    assert "secret" not in repr(batch.rejects)
    assert batch.rejected == 2


def test_a_clock_that_goes_back_is_fine():
    assert tally(take({"ts": "2026-11-01T10:30:00Z"}, {"ts": "2026-10-31T23:00:00Z"})) == {"queries": 2}


def test_lines_of_days_that_are_closed_are_counted_and_not_sampled():
    batch = take({}, {"ts": "2026-10-20T10:30:00Z"})
    assert tally(batch) == {"queries": 2}
    assert len(batch.kept) == 1
    assert batch.notes == {TOO_OLD: 1}


def test_times_without_an_offset_are_utc_and_noted():
    batch = take({"ts": "2026-11-01T10:30:00"}, {"ts": "2026-11-01 10:30:00"})
    assert batch.notes == {WITHOUT_OFFSET: 2}
    assert batch.tallies[HOUR, "und"][0] == 2


def test_a_time_up_to_a_day_ahead_is_counted_to_the_second():
    batch = take({"ts": "2026-11-02T23:59:59Z", "lang": "en"}, {"ts": "2026-11-03T00:00:00Z", "lang": "en"})
    assert (tally(batch), batch.rejected) == ({"queries": 1}, 1)


def test_the_limit_of_the_future_holds_inside_of_an_hour():
    """The fast path remembers hours; the one that the limit cuts must not be remembered."""
    intake = Intake("live", Sampler(10), Reading(), NOW + timedelta(minutes=30))
    lines = [json.dumps(BASE | {"lang": "en", "ts": f"2026-11-03T00:{minute}:00Z"}).encode() for minute in (10, 50)]
    intake.add_lines(lines, "q", 0)
    assert (intake.batch({}).lines, intake.rejected) == (2, 1)


def test_garbage_after_the_hour_is_rejected_also_when_the_hour_is_known():
    batch = take(
        {"lang": "en"}, {"lang": "en", "ts": "2026-11-01T10:99:00Z"}, {"lang": "en", "ts": "2026-11-01T10:xxZ"}
    )
    assert (tally(batch), batch.rejected) == ({"queries": 1}, 2)


def test_a_row_holds_what_the_line_says():
    seen = row(
        {
            "ts": "2026-11-01T11:30:00.5+01:00",
            "query_id": "q-1",
            "session": "s-1",
            "lang": "de",
            "results": [{"id": "b", "score": 0.5, "rank": 2}, {"id": 7, "score": 1, "rank": 1}],
            "score_kind": "distance",
            "abstained": False,
            "feedback": "thumbs_up",
            "versions": {"index": "v7", "embedder": 3, "prompt": None},
        }
    )
    assert seen == Observation(
        at=datetime(2026, 11, 1, 10, 30, 0, 500_000, tzinfo=UTC),
        source="live",
        query_id="q-1",
        text=BASE["query"],
        lang="de",
        session="s-1",
        hits=(ScoredDoc("7", 1.0), ScoredDoc("b", 0.5)),
        score_kind="distance",
        abstained=False,
        feedback="up",
        versions={"index": "v7", "embedder": "3"},
    )


@pytest.mark.parametrize(
    ("feedback", "kept"),
    [
        ("click", ("click", "")),
        ({"value": "click"}, ("click", "")),
        ({"value": "click", "doc_id": "doc-7"}, ("click", "doc-7")),
        ({"value": "thumbs_up", "doc_id": 7}, ("up", "7")),
        ({"type": "clicked", "doc_id": "doc-7"}, ("click", "doc-7")),
        ({"value": "accepted", "doc_id": None}, ("accepted", "")),
        ({"value": "accepted", "doc_id": ""}, ("accepted", "")),
        ({"value": "click", "doc_id": "d\0"}, ("click", "d\ufffd")),
        ({"value": "click", "doc_id": "d" * 1000}, ("click", "d" * 300)),
        ({"value": "meh", "doc_id": "doc-7"}, (None, "")),
        (None, (None, "")),
    ],
)
def test_feedback_keeps_the_document_that_it_names(feedback, kept):
    seen = row({"feedback": feedback})
    assert (seen.feedback, seen.feedback_doc) == kept


@pytest.mark.parametrize("value", ["click", "clicked"])  # as the contract says, and as it is forgiven
def test_feedback_on_a_document_without_a_name_is_kept_without_it_and_noted(value):
    batch = take({"feedback": {"value": value, "doc_id": ["doc-7"]}})
    assert (batch.kept[0].observation.feedback, batch.kept[0].observation.feedback_doc) == ("click", "")
    assert batch.notes == {"lines whose 'feedback.doc_id' could not be understood were read without it": 1}


def test_who_pushes_is_told_of_a_document_that_has_no_name():
    intake = Intake("live", Sampler(10), Reading(), NOW)
    with pytest.raises(Malformed, match=r"'feedback.doc_id' is not an identifier: \[\]\. Write it as text\."):
        intake.add_record(BASE | {"feedback": {"value": "click", "doc_id": []}}, strict=True)
    intake.add_record(BASE | {"feedback": {"value": "click", "doc_id": 7}}, strict=True)
    assert intake.batch({}).kept[0].observation.feedback_doc == "7"


@pytest.mark.parametrize(
    ("results", "hits"),
    [
        (["a", "b"], (ScoredDoc("a"), ScoredDoc("b"))),
        ([{"id": "a", "score": 0.5}], (ScoredDoc("a", 0.5),)),
        ([{"id": "a", "score": 2}], (ScoredDoc("a", 2.0),)),
        ([{"id": "a"}, {"id": "b", "score": 0.5}], (ScoredDoc("a"), ScoredDoc("b", 0.5))),
        ([{"score": 0.5}], (ScoredDoc("", 0.5),)),
        ([{"id": "a", "rank": 2}, {"id": "b", "rank": 1}], (ScoredDoc("b"), ScoredDoc("a"))),
        ([{"id": "a", "rank": 2}, {"id": "b"}], (ScoredDoc("a"), ScoredDoc("b"))),
        ([{"id": "a", "score": 0.5, "text": "long"}], (ScoredDoc("a", 0.5),)),
        ([{"id": "a\0", "score": 0.5}], (ScoredDoc("a\ufffd", 0.5),)),
        ([], ()),
        ([{"id": ["a"]}], None),
        ([{"text": "neither"}], None),
        ([None], None),
        ([{"id": "a", "score": "high"}], None),
        ([{"id": "a", "score": True}], None),
    ],
)
def test_results_are_ids_or_objects_best_first(results, hits):
    batch = take({"results": results})
    assert batch.kept[0].observation.hits == hits
    assert bool(batch.notes) == (hits is None)
    assert tally(batch)["results_known"] == 1


def test_results_of_a_failed_retrieval_are_not_empty_results():
    assert row({"results": [], "error": "timeout"}).hits is None
    assert row({"results": [], "error": "timeout"}).error == "timeout"


def test_the_kind_of_score_is_the_sources_unless_the_line_says():
    assert row({}, score_kind="distance").score_kind == "distance"
    assert row({"score_kind": "similarity"}, score_kind="distance").score_kind == "similarity"


def test_a_query_without_an_id_gets_the_same_one_each_time():
    assert row({}).query_id == row({}).query_id != row({"query": "other"}).query_id
    assert row({"query_id": 17}).query_id == "17"


def test_texts_are_kept_as_the_privacy_setting_says():
    line = {"query": "mail jane@example.org"}
    assert row(line).text == "mail jane@example.org"
    assert "jane" not in row(line, reading=Reading(keep_text="redacted")).text
    key = b"k" * 32
    assert row(line, reading=Reading(keep_text="hash", key=key)).text == hashed("mail jane@example.org", key)


def test_a_session_is_one_row_and_a_session_a_day():
    lines = [{"session": "s", "query": f"q {number}"} for number in range(5)]
    batch = take(*lines, {"session": "s", "ts": "2026-10-31T10:00:00Z"})
    assert [kept.observation.text for kept in batch.kept] == ["q 0", BASE["query"]]
    assert tally(batch)["queries"] == 6


def test_without_sessions_a_distinct_query_is_one_row_a_day():
    assert len(take({"query": "Reset  password"}, {"query": "reset password "}, {"query": "other"}).kept) == 2


def test_with_stratify_each_language_is_a_stratum():
    assert {kept.stratum for kept in take({"lang": "de"}, {"lang": "en"}, stratify=True).kept} == {"de", "en"}
    assert {kept.stratum for kept in take({"lang": "de"}, {"lang": "en", "query": "b"}).kept} == {"*"}


def test_rows_that_left_in_the_same_batch_are_not_handed_over():
    batch = take(*[{"query": f"q {number}"} for number in range(500)], keep=20)
    assert len(batch.kept) == 20
    assert all(kept.priority < batch.thresholds[kept.day, kept.stratum] for kept in batch.kept)


def test_a_line_is_too_long_above_the_limit_only():
    line = json.dumps(BASE).encode()
    assert take(line, max_line=len(line)).rejected == 0
    assert "raise max_line" in take(line, max_line=len(line) - 1).rejects[0].reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=examples(300), deadline=None)
@given(
    record=st.dictionaries(
        st.sampled_from(["query", "query_id", "session", "lang", "results", "answer", "abstained", "feedback"])
        | st.sampled_from(["versions", "error", "score_kind", "ts", "latency_ms", "metadata"]),
        JSON,
        max_size=6,
    )
)
def test_any_json_is_counted_or_rejected_and_never_both(record):
    batch = take(
        json.dumps(BASE | record).encode(), reading=Reading(detect=lambda text: "de", abstained=lambda a, b: None)
    )
    counted = sum(counts[0] for counts in batch.tallies.values())
    assert counted + batch.rejected == batch.lines == 1
    assert len(batch.kept) == counted
    for kept in batch.kept:
        assert "\0" not in kept.observation.text + kept.observation.query_id + (kept.observation.session or "")


@settings(max_examples=examples(200), deadline=None)
@given(line=st.binary(max_size=60))
def test_any_bytes_are_counted_or_rejected(line):
    batch = take(line)
    assert batch.rejected == batch.lines <= 1


@settings(max_examples=examples(40), deadline=None)
@given(cuts=st.lists(st.integers(1, 40), max_size=8), seed=st.integers(0, 1000))
def test_batches_cut_anywhere_give_the_same_counts_and_the_same_sample(cuts, seed):
    chance = random.Random(seed)
    lines = [
        orjson.dumps(
            BASE
            | {
                "ts": f"2026-11-01T{chance.randrange(24):02}:00:00Z",
                "lang": chance.choice(["de", "en"]),
                "session": str(chance.randrange(40)),
                "results": chance.choice([[], ["a"]]),
            }
        )
        for _ in range(120)
    ]
    (counts, rows), (counts_of_parts, rows_of_parts) = read_in_parts(lines, []), read_in_parts(lines, cuts)
    assert counts == counts_of_parts
    assert rows == rows_of_parts
    by_hand = Counter((json.loads(line)["lang"], json.loads(line)["session"]) for line in lines)
    assert sum(n for (_, place), n in counts.items() if TALLY_FIELDS[place] == "units") == len(by_hand)


def read_in_parts(lines: list[bytes], cuts: list[int]) -> tuple[Any, Any]:
    """Tallies, and the rows that are left when the thresholds have been applied as the store does."""
    sampler, counts, rows = Sampler(15), Counter(), {}
    for size in [*cuts, len(lines)]:
        part, lines = lines[:size], lines[size:]
        intake = Intake("live", sampler, Reading(), NOW, stratify=True)
        intake.add_lines(part, "q", 0)
        batch = intake.batch({})
        for key, values in batch.tallies.items():
            counts.update({(key, place): value for place, value in enumerate(values)})
        rows |= {(kept.day, kept.stratum, kept.priority): kept.observation for kept in batch.kept}
        rows = {key: seen for key, seen in rows.items() if key[2] < batch.thresholds.get(key[:2], 1.0)}
    return counts, rows
