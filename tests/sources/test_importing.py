"""Evaluation sets of other tools as canaries: BEIR, TREC, Ragas and tables, and what is wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import SourceError
from driftwatch.sources._canary_lines import Problems
from driftwatch.sources._csv import Columns
from driftwatch.sources._importing import EvaluationSet, form_of
from driftwatch.sources._native import read, written
from driftwatch.sources._suites import Suite, canary
from driftwatch.types import Query


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def load(path: Path, base: Path, **more: Any) -> Suite:
    qrels = more.pop("qrels", None)
    return EvaluationSet(path, form_of(path, qrels), qrels, **more).load(base)


def asked(suite: Suite) -> dict[str, tuple[str, str, dict[str, int]]]:
    return {query.query_id: (query.text, query.lang, dict(query.relevant)) for query in suite.queries}


def relevant(suite: Suite) -> list[list[str]]:
    return [list(query.relevant) for query in suite.queries]


def refused(path: Path, base: Path, **more: Any) -> str:
    with pytest.raises(SourceError) as raised:
        load(path, base, **more)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", r'{"user_input": "half \ud800", "reference_context_ids": ["d1"]}'),
        ("a.json", r'[{"user_input": "Where?", "reference_context_ids": ["d\udfff"]}]'),
    ],
)
def test_half_of_a_surrogate_pair_is_refused(tmp_path: Path, name: str, content: str):
    assert "a text or an id holds half of a surrogate pair." in refused(put(tmp_path / name, content), tmp_path)


def test_a_damaged_file_is_refused_before_its_form_is_known(tmp_path: Path):
    packed = bytearray(gzip.compress(bytes(range(256)) * 400))
    packed[20:40] = b"\xff" * 20
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    assert "the file cannot be read" in refused(tmp_path / "a.jsonl.gz", tmp_path)


# --- BEIR and TREC -------------------------------------------------------------------------------------------------

QUERIES = '{"_id": "1", "text": "Zinc helps?", "metadata": {}}\n{"_id": "2", "text": "Not judged"}\n'


@pytest.mark.parametrize(
    ("name", "qrels"),
    [
        ("test.tsv", "query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n"),
        ("test.tsv", "1\td1\t1\n1\td2\t0\n"),
        ("test.tsv", "query-id\tcorpus-id\tscore\n1\td1\t1.0\n1\td2\t0.0\n"),
        (
            "test.jsonl",
            '{"query-id": "1", "corpus-id": "d1", "score": 1}\n{"query-id": 1, "corpus-id": "d2", "score": 0.0}\n',
        ),
    ],
    ids=["headings", "no headings", "float grades", "JSON lines"],
)
def test_a_beir_directory_is_read_whatever_its_judgements_look_like(tmp_path: Path, name: str, qrels: str) -> None:
    put(tmp_path / "set" / "queries.jsonl", QUERIES)
    put(tmp_path / "set" / "qrels" / name, qrels)
    assert asked(load(tmp_path / "set", tmp_path)) == {"1": ("Zinc helps?", "und", {"d1": 1, "d2": 0})}


def test_the_files_of_beir_may_lie_anywhere(tmp_path: Path) -> None:
    queries = put(tmp_path / "a.jsonl.gz", QUERIES)
    qrels = put(tmp_path / "b.tsv", "1\td1\t2\n")
    assert asked(load(queries, tmp_path, qrels=qrels, lang="en")) == {"1": ("Zinc helps?", "en", {"d1": 2})}


def test_trec_topics_come_with_their_judgements(tmp_path: Path) -> None:
    topics = put(tmp_path / "topics.txt", "<top>\n<num> Number: 301\n<title> Organized crime\n</top>\n")
    qrels = put(tmp_path / "qrels.txt", "301 0 FT-1 1\n301 0 FT-2 2\n")
    assert asked(load(topics, tmp_path, qrels=qrels)) == {"301": ("Organized crime", "und", {"FT-1": 1, "FT-2": 2})}


def test_questions_without_judgements_are_no_canaries(tmp_path: Path) -> None:
    topics = put(tmp_path / "topics.txt", "301\tOrganized crime\n")
    assert refused(topics, tmp_path) == (
        "topics.txt: there are only questions in this file. Name the judgements with --qrels."
    )


# --- Ragas ---------------------------------------------------------------------------------------------------------

SAMPLE = {"user_input": "Where is my parcel?", "reference_context_ids": ["d1", 7], "response": "On its way."}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set.jsonl", json.dumps(SAMPLE) + "\n"),
        ("set.jsonl.gz", json.dumps(SAMPLE) + "\n"),
        ("set.json", json.dumps([SAMPLE], indent=2)),
        ("set.json", json.dumps({"name": "testset", "samples": [SAMPLE]})),
        ("set.json", json.dumps(SAMPLE) + "\n"),
        ("set.csv", "user_input,reference_context_ids\nWhere is my parcel?,\"['d1', '7']\"\n"),
        ("set.csv", 'user_input,reference_context_ids\nWhere is my parcel?,"[""d1"", 7]"\n'),
    ],
)
def test_a_ragas_set_is_read_in_each_form_that_ragas_writes(tmp_path: Path, name: str, content: str) -> None:
    (query,) = load(put(tmp_path / name, content), tmp_path, lang="en").queries
    assert (query.text, query.lang, dict(query.relevant)) == ("Where is my parcel?", "en", {"d1": 1, "7": 1})


def test_a_ragas_question_keeps_its_id_however_the_set_is_ordered(tmp_path: Path) -> None:
    other = SAMPLE | {"user_input": "How do I pay?"}
    ids = [
        {query.query_id for query in load(put(tmp_path / "set.json", json.dumps(rows)), tmp_path).queries}
        for rows in ([SAMPLE, other], [other, SAMPLE])
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_contexts_without_ids_are_found_by_their_text(tmp_path: Path) -> None:
    known = {"It takes three days.": ("d9",), "From Berlin.": ("d4", "d5")}
    sample = {"user_input": "How long?", "reference_contexts": ["It takes three days.", "From Berlin."]}
    suite = load(put(tmp_path / "set.jsonl", json.dumps(sample)), tmp_path, match=lambda text: known.get(text, ()))
    assert relevant(suite) == [["d9", "d4", "d5"]]


def test_contexts_without_ids_and_without_documents_say_what_is_missing(tmp_path: Path) -> None:
    sample = {"user_input": "How long?", "reference_contexts": ["It takes three days."]}
    said = refused(put(tmp_path / "set.jsonl", json.dumps(sample)), tmp_path)
    assert said.startswith("set.jsonl:1: there are no 'reference_context_ids', and without the documents nobody knows")
    assert "a 'documents:' section" in said


def test_a_context_that_is_no_documents_text_is_named(tmp_path: Path) -> None:
    sample = {"user_input": "How long?", "reference_contexts": ["It takes"]}
    said = refused(put(tmp_path / "set.jsonl", "\n" + json.dumps(sample)), tmp_path, match=lambda _: ())
    assert 'set.jsonl:2: the reference context "It takes" is the text of no document' in said


def test_conversations_of_several_turns_are_refused(tmp_path: Path) -> None:
    sample = {"user_input": [{"content": "hi", "type": "human"}]}
    said = refused(put(tmp_path / "set.json", json.dumps([SAMPLE, sample])), tmp_path)
    assert said == (
        "set.json, sample 2: 'user_input' is a list. Keep samples of a single turn, with the question as a text."
    )


@pytest.mark.parametrize(
    "cell", ["__import__('os').system('x')", "[open('/etc/passwd')]", "{'a': 1}", "[[1]]", "[" * 5000]
)
def test_a_cell_is_data_and_is_never_run(tmp_path: Path, cell: str) -> None:
    table = put(tmp_path / "set.csv", f'user_input,reference_context_ids\nWhere?,"{cell}"\n')
    assert "set.csv:2: 'reference_context_ids' is" in refused(table, tmp_path)


# --- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "query,lang,relevant\nWo ist es?,de-AT,d1;d2\n"),
        ("a.csv", "\ufeffquery,lang,relevant\r\nWo ist es?,de,d1; d2 ;\r\n"),
        ("a.tsv", "query\tlang\trelevant\nWo ist es?\tde\td1;d2\n"),
        ("a.csv", 'query;lang;relevant\nWo ist es?;de;"d1;d2"\n'),
    ],
    ids=["commas", "as Excel writes it", "tabs", "semicolons"],
)
def test_a_table_is_read_whatever_separates_its_cells(tmp_path: Path, name: str, content: str) -> None:
    (query,) = load(put(tmp_path / name, content), tmp_path).queries
    assert (query.text, query.lang, list(query.relevant)) == ("Wo ist es?", "de", ["d1", "d2"])


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    table = put(tmp_path / "a.csv", "nr,frage,sprache,treffer\nf1,Wo?,de,d1\n")
    suite = load(table, tmp_path, columns=Columns("frage", "sprache", "treffer", "nr"))
    assert asked(suite) == {"f1": ("Wo?", "de", {"d1": 1})}


def test_rows_of_one_question_are_one_canary(tmp_path: Path) -> None:
    suite = load(put(tmp_path / "a.csv", "query,relevant\nWhere?,d1\nWhen?,d3\nWhere?,d2\n"), tmp_path)
    assert relevant(suite) == [["d1", "d2"], ["d3"]]
    assert "1 rows repeat a question; their documents were put together" in suite.notes


def test_a_quoted_cell_may_have_lines_and_places_stay_right(tmp_path: Path) -> None:
    table = put(tmp_path / "a.csv", 'query,relevant\n"Where\nis it?",d1\n,d2\n')
    assert refused(table, tmp_path) == "a.csv:4: 'query' is empty. Write the question."


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("frage,relevant\nWo?,d1\n", "a.csv:1: there is no column 'query'. There are: frage, relevant."),
        ("query,relevant\nWhere, when?,d1\n", "a.csv:2: the row has 3 cells and the heading 2."),
        ('query,relevant\n"Where?,d1\n', "a.csv:2: the table cannot be read: unexpected end of data."),
        ("query,relevant,lang\nWhere?,d1,german\n", "a.csv:2: 'german' is not a BCP 47 language."),
        ("", "a.csv: the file is empty."),
        (b"query,relevant\nWo f\xfcr?,d1\n", "a.csv:2: byte 5 of the line (0xfc) is not UTF-8."),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    assert refused(put(tmp_path / "a.csv", content), tmp_path).startswith(said)


def test_two_canaries_of_one_id_are_refused(tmp_path: Path) -> None:
    table = put(tmp_path / "a.csv", "query_id,query,relevant\nq,Where?,d1\nq,When?,d2\n")
    assert refused(table, tmp_path) == (
        "a.csv:3: the query_id 'q' is also at a.csv:2. Give each canary an id of its own."
    )


def test_the_form_is_told_by_the_file(tmp_path: Path) -> None:
    forms = {
        "queries.jsonl": (QUERIES, True, "beir"),
        "topics.txt": ("301\tcrime\n", True, "trec"),
        "set.jsonl": (json.dumps(SAMPLE), False, "ragas"),
        "set.csv": ("user_input,reference\n", False, "ragas"),
        "table.tsv": ("query\trelevant\n", False, "csv"),
    }
    for name, (content, judged, form) in forms.items():
        assert form_of(put(tmp_path / name, content), tmp_path if judged else None) == form
    assert form_of(tmp_path, None) == "beir"


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the file cannot be read: No such file or directory"):
        form_of(tmp_path / "none.csv", None)


# --- what is written -----------------------------------------------------------------------------------------------

texts = st.text(min_size=1).filter(lambda text: text.strip() == text != "")
queries = st.builds(
    canary,
    texts,
    texts,
    st.sampled_from(["de", "en", "und"]),
    st.dictionaries(texts, st.integers(-1, 3), min_size=1),
    tags=st.lists(texts, max_size=2).map(tuple),
)


@given(queries | st.builds(canary, texts, texts, st.just("de"), st.just({}), st.just(value=True)))
def test_what_is_written_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, query: Query) -> None:
    path = tmp_path_factory.mktemp("written") / "a.jsonl"
    path.write_text(json.dumps(written(query)) + "\n")
    problems = Problems(path.parent)
    assert [entry.query for entry in read(path, "und", problems)] == [query]
    assert problems.count == 0


PROPOSAL = {
    "query_id": "live-1",
    "text": "Where?",
    "lang": "en",
    "relevant": [],
    "proposed": {"why": "no canary is near"},
}


def native(tmp_path: Path, row: dict[str, Any]) -> list[Query]:
    problems = Problems(tmp_path)
    path = put(tmp_path / "proposed.jsonl", json.dumps(row))
    entries = [entry.query for entry in read(path, "und", problems)]
    problems.raise_any()
    return entries


def test_a_proposal_that_nobody_has_labelled_is_no_canary(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as raised:
        native(tmp_path, PROPOSAL)
    assert str(raised.value) == (
        "proposed.jsonl:1: this is a proposal that nobody has labelled yet: 'relevant' is empty. "
        'Name the documents that answer it, or write "expect_empty": true; or delete the line.'
    )


def test_a_labelled_proposal_is_a_canary_as_it_is(tmp_path: Path) -> None:
    assert native(tmp_path, PROPOSAL | {"relevant": ["d1"]}) == [canary("live-1", "Where?", "en", {"d1": 1})]
    empty = {key: value for key, value in PROPOSAL.items() if key != "relevant"} | {"expect_empty": True}
    assert native(tmp_path, empty) == [canary("live-1", "Where?", "en", {}, expect_empty=True)]
