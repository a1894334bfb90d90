"""Canary suites: the three forms they are read from, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from driftwatch.errors import SourceError
from driftwatch.sources import _suites
from driftwatch.sources._suites import Suite, canary
from driftwatch.sources.canaries import Canaries
from driftwatch.types import Query
from tests.fakes.examples import examples

DATA = Path(os.environ.get("DRIFTWATCH_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))

REFUND = {"query_id": "refund", "text": "How do I get my money back?", "lang": "en", "relevant": ["doc-7"]}


def write(path: Path, *rows: Any) -> Path:
    """JSON lines; a text is written as it is, bytes too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        row if isinstance(row, bytes) else (row if isinstance(row, str) else json.dumps(row)).encode() for row in rows
    ]
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def load(base: Path, *rows: Any, **given: Any) -> Suite:
    """The suite of one native file with these rows."""
    write(base / "canaries" / "a.jsonl", *rows)
    return Canaries(path="canaries/*.jsonl", **given).load(base)


def problems(base: Path, *rows: Any) -> list[str]:
    """What is wrong with one native file with these rows, a line each."""
    with pytest.raises(SourceError) as raised:
        load(base, *rows)
    return str(raised.value).splitlines()


# --- driftwatch's own form -----------------------------------------------------------------------------------------


def test_a_canary_is_read_as_it_is_written(tmp_path: Path) -> None:
    row = {
        "query_id": "r1",
        "text": "Wo ist mein Geld?",
        "lang": "de-AT",
        "relevant": ["doc-7", {"id": "doc-9", "relevance": 2}, {"id": "doc-1", "relevance": 0}],
        "tags": ["billing"],
    }
    (query,) = load(tmp_path, row).queries
    assert query == canary("r1", "Wo ist mein Geld?", "de", {"doc-7": 1, "doc-9": 2, "doc-1": 0}, tags=("billing",))


def test_a_canary_may_expect_to_find_nothing(tmp_path: Path) -> None:
    (query,) = load(tmp_path, {"query_id": "r1", "text": "Do you sell boats?", "expect_empty": True}).queries
    assert (query.expect_empty, query.relevant, query.lang) == (True, {}, "und")


def test_numbers_are_ids_too(tmp_path: Path) -> None:
    (query,) = load(tmp_path, {"query_id": 17, "text": "x", "relevant": [4711]}).queries
    assert (query.query_id, query.relevant) == ("17", {"4711": 1})


def test_blank_lines_marks_and_line_ends_of_other_systems_are_no_problem(tmp_path: Path) -> None:
    assert len(load(tmp_path, b"\xef\xbb\xbf" + json.dumps(REFUND).encode() + b"\r", "", "  \t").queries) == 1


def test_patterns_lists_and_packed_files_are_one_suite(tmp_path: Path) -> None:
    write(tmp_path / "canaries" / "en.jsonl", REFUND)
    write(tmp_path / "canaries" / "de" / "b.jsonl.gz", REFUND | {"query_id": "r2"})
    suite = Canaries(path=["canaries/*.jsonl", "canaries/**/*.jsonl*"]).load(tmp_path)
    assert sorted(query.query_id for query in suite.queries) == ["r2", "refund"]


def test_a_directory_whose_name_is_a_pattern_is_no_pattern(tmp_path: Path) -> None:
    base = tmp_path / "[a]*"
    assert len(load(base, REFUND).queries) == 1


def test_the_language_of_canaries_that_name_none_can_be_set(tmp_path: Path) -> None:
    row = {key: value for key, value in REFUND.items() if key != "lang"}
    assert load(tmp_path, row, lang="pt-BR").queries[0].lang == "pt"


_IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Z")), min_size=1, max_size=8)
_QUERIES = st.builds(
    canary,
    query_id=_IDS,
    text=st.text(min_size=1, max_size=40).map(str.strip).filter(bool).filter(lambda text: text.isprintable()),
    lang=st.sampled_from(["und", "en", "de", "zh"]),
    relevant=st.dictionaries(_IDS, st.integers(-2, 9), min_size=1, max_size=4),
    tags=st.lists(_IDS, max_size=2).map(tuple),
)


@given(st.lists(_QUERIES, min_size=1, max_size=6, unique_by=lambda query: query.query_id), st.randoms())
@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_what_is_read_in_any_order(tmp_path: Path, queries: list[Query], random: Any) -> None:
    suite = load(tmp_path, *map(as_row, queries))
    assert list(suite.queries) == queries
    random.shuffle(queries)
    assert load(tmp_path, *map(as_row, queries)).digest == suite.digest


def as_row(query: Query) -> dict[str, Any]:
    relevant = [{"id": doc_id, "relevance": grade} for doc_id, grade in query.relevant.items()]
    tags = list(query.tags)
    return {"query_id": query.query_id, "text": query.text, "lang": query.lang, "relevant": relevant, "tags": tags}


# --- what is wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"query_id": "a"', "this is not JSON: Expecting ',' delimiter at column 17. Write one JSON object a line."),
        ("[1]", "this is a list, not a JSON object."),
        ('{"text": "a", "text": "b"}', "the key 'text' stands there twice. Keep one of them."),
        ({"text": "x", "relevant": ["d"]}, "'query_id' is missing. Give the canary a name that stays the same."),
        (REFUND | {"query_id": ""}, "'query_id' is \"\". Write a text that stays the same."),
        (REFUND | {"query_id": True}, "'query_id' is true."),
        ({"query_id": "a", "relevant": ["d"]}, "'text' is missing. Write the question."),
        (REFUND | {"text": " \n"}, "'text' is empty. Write the question."),
        (REFUND | {"text": 7}, "'text' is a number. Write the question as a text."),
        (REFUND | {"lang": "jp"}, "'jp' is not a BCP 47 language. Did you mean 'ja'?"),
        (REFUND | {"lang": "english"}, "'english' is not a BCP 47 language. Did you mean 'en'?"),
        (REFUND | {"lang": "xx"}, "'xx' is not a BCP 47 language. Write it like 'en', 'de', 'pt-BR' or 'zh-Hans'."),
        (REFUND | {"lang": ["de"]}, "'lang' is [\"de\"]. Write a BCP 47 language"),
        (REFUND | {"relevant": []}, "'relevant' is empty. Name the documents that answer it"),
        ({"query_id": "a", "text": "x"}, "'relevant' is empty."),
        (REFUND | {"relevant": "doc-7"}, "'relevant' is a text. Write a list: [\"doc-7\"]."),
        (REFUND | {"relevant": [None]}, "null in 'relevant' is not the id of a document."),
        (REFUND | {"relevant": [{"relevance": 1}]}, "null in 'relevant' is not the id of a document."),
        (REFUND | {"relevant": ["d", "d"]}, "the document 'd' is named twice in 'relevant'. Keep one of them."),
        (REFUND | {"relevant": [{"id": "d", "relevance": 0.5}]}, "the relevance 0.5 is not an integer."),
        (REFUND | {"relevant": [{"id": "d", "relevance": "1"}]}, 'the relevance "1" is not an integer.'),
        (REFUND | {"relevant": [{"id": "d", "grade": 1}]}, "no 'grade'. Did you mean 'relevance'?"),
        (REFUND | {"expect_empty": True}, "it has 'relevant' documents and expects to find nothing."),
        (REFUND | {"expect_empty": "yes"}, "'expect_empty' is \"yes\". Write true or false."),
        (REFUND | {"tags": "a"}, "'tags' is \"a\". Write a list of texts"),
        (REFUND | {"relevent": ["d"]}, "a canary has no 'relevent'. Did you mean 'relevant'?"),
        (REFUND | {"question": "x"}, "a canary has no 'question'. Did you mean 'text'?"),
        (REFUND | {"zzz": 1}, "a canary has no 'zzz'. There are: query_id, text, lang, relevant, expect_empty, tags."),
        (b'{"query_id": "\xff"}', "byte 15 of the line (0xff) is not UTF-8. Save the file as UTF-8."),
        ("[" * 100_000, "this is not JSON"),
        ('"' + "x" * (1 << 20) + '"', "the line is longer than 1 MiB. Write one canary a line."),
    ],
)
def test_a_bad_line_is_named_with_its_value_and_remedy(tmp_path: Path, row: Any, said: str) -> None:
    (problem,) = problems(tmp_path, REFUND | {"query_id": "good"}, row)
    assert problem.startswith("canaries/a.jsonl:2: ")
    assert said in problem


def test_a_utf_16_file_is_named_as_such(tmp_path: Path) -> None:
    assert problems(tmp_path, json.dumps(REFUND).encode("utf-16")) == [
        "canaries/a.jsonl:1: the file is UTF-16. Save it as UTF-8."
    ]


def test_every_problem_of_every_file_is_said_at_once(tmp_path: Path) -> None:
    write(tmp_path / "canaries" / "b.jsonl", REFUND, {"query_id": "x"})
    found = problems(tmp_path, REFUND, "nonsense", {"text": "x"})
    assert len(found) == 6
    assert found[0].startswith("canaries/a.jsonl:2: this is not JSON")
    assert found[-1] == (
        "canaries/b.jsonl:1: the query_id 'refund' is also at canaries/a.jsonl:1. Give each canary an id of its own."
    )


def test_more_than_twenty_problems_are_counted(tmp_path: Path) -> None:
    found = problems(tmp_path, *["nonsense"] * 30)
    assert len(found) == 21
    assert found[-1] == "and 10 more like these."


def test_a_pattern_that_matches_nothing_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"^canaries/\*.jsonl: there is no such file"):
        Canaries(path="canaries/*.jsonl").load(tmp_path)


def test_files_without_a_canary_are_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == [
        "the canary files hold no canary. Write at least one question with its documents."
    ]


def test_a_damaged_packed_file_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", *[REFUND | {"query_id": str(number)} for number in range(500)])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"a.jsonl.gz:\d+: the gzip file breaks off or is damaged"):
        Canaries(path="a.jsonl.gz").load(tmp_path)
    path.write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="cannot be read: Not a gzipped file"):
        Canaries(path="a.jsonl.gz").load(tmp_path)


def test_a_suite_that_is_too_large_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_suites, "MOST_QUERIES", 3)
    with pytest.raises(SourceError, match="there are more than 3 canaries, and every run asks each of them"):
        load(tmp_path, *[REFUND | {"query_id": str(number)} for number in range(4)])


# --- digests and notes ---------------------------------------------------------------------------------------------


def test_a_digest_is_of_what_is_asked_and_expected_only() -> None:
    query = canary("a", "x", "en", {"d": 1, "e": 2})
    assert canary("b", "x", "en", {"e": 2, "d": 1}, tags=("t",)).digest == query.digest
    others = [
        canary("a", "y", "en", {"d": 1, "e": 2}),
        canary("a", "x", "de", {"d": 1, "e": 2}),
        canary("a", "x", "en", {"d": 1}),
        canary("a", "x", "en", {"d": 1, "e": 1}),
        canary("a", "x", "en", {}, expect_empty=True),
        canary("a", "x", "en", {}),
    ]
    assert len({query.digest, *(other.digest for other in others)}) == 7


def test_a_suite_that_loses_or_renames_a_canary_has_another_digest(tmp_path: Path) -> None:
    both = load(tmp_path, REFUND, REFUND | {"query_id": "r2"}).digest
    assert load(tmp_path, REFUND).digest != both
    assert load(tmp_path, REFUND, REFUND | {"query_id": "r3"}).digest != both


def test_twins_small_languages_and_canaries_without_a_document_are_noted(tmp_path: Path) -> None:
    pointless = REFUND | {"query_id": "r3", "lang": "de", "relevant": [{"id": "d", "relevance": 0}]}
    suite = load(tmp_path, REFUND, REFUND | {"query_id": "r2", "text": "how do I get  my money BACK?"}, pointless)
    assert suite.notes == (
        "1 canary repeats another's text: refund and r2",
        "fewer than 20 canaries, so only large changes will show, in: de 1, en 2",
        "1 canary has no relevant document: r3",
    )


def test_a_good_suite_has_nothing_to_note(tmp_path: Path) -> None:
    assert load(tmp_path, *[REFUND | {"query_id": str(n), "text": f"question {n}"} for n in range(20)]).notes == ()


# --- BEIR ----------------------------------------------------------------------------------------------------------

QUERIES = [
    {"_id": "q1", "text": "first", "metadata": {"lang": "de"}},
    {"_id": "q2", "text": "second", "lang": "fr-CA"},
    {"_id": "q3", "text": "never judged"},
]


def beir(base: Path, qrels: str, name: str = "test.tsv") -> Path:
    write(base / "set" / "queries.jsonl", *QUERIES)
    write(base / "set" / "qrels" / name, qrels)
    return base


@pytest.mark.parametrize(
    "qrels",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td 3\t2",
        "q1\td1\t1\nq1\td2\t0\nq2\td 3\t2",
        "query-id\tcorpus-id\tscore\nq1\td1\t1.0\nq1\td2\t0.0\nq2\td 3\t2.0",
        "q1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td 3\t2",
    ],
)
def test_a_beir_directory_gives_its_judged_queries(tmp_path: Path, qrels: str) -> None:
    suite = Canaries(path="set", lang="en").load(beir(tmp_path, qrels))
    assert suite.queries == (
        canary("q1", "first", "de", {"d1": 1, "d2": 0}),
        canary("q2", "second", "fr", {"d 3": 2}),
    )


def test_judgements_may_be_json_lines_and_packed(tmp_path: Path) -> None:
    write(tmp_path / "set" / "queries.jsonl.gz", *QUERIES)
    rows = [{"query-id": "q1", "corpus-id": "d1", "score": 1.0}, {"query_id": "q2", "doc_id": "d2", "relevance": 2}]
    write(tmp_path / "set" / "qrels" / "dev.jsonl.gz", *rows)
    suite = Canaries(path="set", split="dev").load(tmp_path)
    assert [query.relevant for query in suite.queries] == [{"d1": 1}, {"d2": 2}]


def test_a_split_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"set/qrels: there are no judgements of the split 'dev'. Set 'split' to one of: test"
    ):
        Canaries(path="set", split="dev").load(beir(tmp_path, "q1\td1\t1"))


def test_a_directory_that_is_no_beir_directory_says_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "canaries" / "a.jsonl", REFUND)
    with pytest.raises(SourceError, match=r"canaries: there is no queries.jsonl in this directory.*canaries/\*.jsonl"):
        Canaries(path="canaries").load(tmp_path)


@pytest.mark.parametrize(
    ("qrels", "said"),
    [
        ("q1\td1\t0.5", "set/qrels/test.tsv:1: the relevance '0.5' is not an integer."),
        ("q1\td1\t1\nq1\td2\thigh", "set/qrels/test.tsv:2: the relevance 'high' is not an integer."),
        ("q1\td1", "set/qrels/test.tsv:1: the line has 2 columns. Write query, document, grade"),
        ("q1\t\t1", "set/qrels/test.tsv:1: the line has 3 columns."),
        ("q1\td1\t1\nq1\td1\t2", "set/qrels/test.tsv:2: 'd1' has the grade 2 for 'q1', and 1 at set/qrels/test.tsv:1."),
        ('{"query-id": "q1", "score": 1}', "set/qrels/test.tsv:1: a judgement needs a query, a document and a score."),
        ("q1\td1\tnan", "the relevance 'nan' is not an integer."),
        ("q1\td1\tinf", "the relevance 'inf' is not an integer."),
    ],
)
def test_a_bad_judgement_is_named_with_its_line(tmp_path: Path, qrels: str, said: str) -> None:
    with pytest.raises(SourceError) as raised:
        Canaries(path="set").load(beir(tmp_path, qrels))
    assert said in str(raised.value)


def test_judgements_of_queries_that_are_not_there_are_noted(tmp_path: Path) -> None:
    suite = Canaries(path="set").load(beir(tmp_path, "q1\td1\t1\nq9\td1\t1"))
    assert suite.notes[0] == "1 judged queries are not in set/queries.jsonl, such as q9"


def test_a_judged_query_without_a_text_or_id_is_a_problem(tmp_path: Path) -> None:
    beir(tmp_path, "q1\td1\t1")
    write(tmp_path / "set" / "queries.jsonl", {"_id": "q1", "text": " "}, {"text": "x"})
    with pytest.raises(SourceError) as raised:
        Canaries(path="set").load(tmp_path)
    assert str(raised.value).splitlines() == [
        "set/queries.jsonl:1: the query 'q1' has no text. Write it under 'text'.",
        "set/queries.jsonl:2: the query's id is null. Write it under '_id'.",
    ]


@pytest.mark.parametrize(
    ("queries", "qrels", "count"),
    [("xquad/queries.jsonl.gz", "xquad/qrels.tsv", 14280), ("scifact/queries.jsonl", "scifact/qrels_test.tsv", 300)],
)
def test_real_data_sets_are_read_where_they_lie(queries: str, qrels: str, count: int) -> None:
    if not (DATA / queries).exists():
        pytest.skip("needs the data sets: set DRIFTWATCH_DATA")
    suite = Canaries(queries=Path(queries), qrels=Path(qrels), lang="en").load(DATA)
    assert len(suite.queries) == count
    assert all(query.relevant for query in suite.queries)


# --- TREC ----------------------------------------------------------------------------------------------------------

CLASSIC = """
<top>
<num> Number: 301
<title> International
Organized Crime

<desc> Description:
Identify organizations that <b>participate</b>.
</top>

<top>
<num> Number: 302 </num>
<title> Topic: Poliomyelitis </title>
<narr> Narrative:
</top>
"""
TABBED = "301\tInternational Organized Crime\n302\tPoliomyelitis\n"
HEADED = "qid\tquery\n" + TABBED
MARKED = (
    '<topics><topic number="301"><query>International Organized Crime</query><question>x</question></topic>'
    '\n<topic number="302">\n<query>Poliomyelitis</query></topic></topics>'
)


@pytest.mark.parametrize("topics", [CLASSIC, TABBED, HEADED, MARKED])
def test_topics_of_every_form_are_canaries(tmp_path: Path, topics: str) -> None:
    write(tmp_path / "topics.txt", topics)
    write(tmp_path / "qrels.txt", "301 0 FT-1 1\n301 0 FT-2 0\n302 0 FT-3 -2")
    suite = Canaries(topics=Path("topics.txt"), qrels=Path("qrels.txt"), lang="en").load(tmp_path)
    assert suite.queries == (
        canary("301", "International Organized Crime", "en", {"FT-1": 1, "FT-2": 0}),
        canary("302", "Poliomyelitis", "en", {"FT-3": -2}),
    )


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ("301 no tab", "topics.txt:1: there is no tab between a topic's id and its text. Write id<TAB>text."),
        ("301\t ", "topics.txt:1: the topic '301' has no title."),
        ("<top>\n<title> x\n</top>", "topics.txt:1: a topic has no number."),
        ("<top>\n<desc> x\n</top>", "topics.txt:1: a topic has no number."),
        ("<top>\n<num> Number: 301\n</top>", "topics.txt:1: the topic '301' has no title."),
        ("301\tx\n301\ty", "topics.txt:2: the query_id '301' is also at topics.txt:1."),
        (b"301\t\xe9t\xe9", "topics.txt:1: byte 5 of the line (0xe9) is not UTF-8."),
    ],
)
def test_a_bad_topic_is_named_with_its_line(tmp_path: Path, topics: Any, said: str) -> None:
    write(tmp_path / "topics.txt", topics)
    write(tmp_path / "qrels.txt", "301 0 FT-1 1")
    with pytest.raises(SourceError) as raised:
        Canaries(topics=Path("topics.txt"), qrels=Path("qrels.txt")).load(tmp_path)
    assert said in str(raised.value)


# --- settings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "canaries names no files"),
        ({"path": "a", "topics": "b", "qrels": "c"}, "canaries has path and topics"),
        ({"queries": "a"}, "'queries' needs 'qrels'"),
        ({"path": "a", "qrels": "b"}, "'qrels' stands without 'queries' or 'topics'"),
        ({"path": "a", "repeat": 3}, "Input should be 1 or 2"),
        ({"path": "a", "split": "../x"}, "should match pattern"),
        ({"path": "a", "lang": "english"}, "Did you mean 'en'"),
        ({"path": "a", "evry": "1h"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_make_no_suite_are_errors(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Canaries(**given)
