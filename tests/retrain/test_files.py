"""Labelled pairs are read from JSON lines and from data sets as BEIR has them, and all that is wrong is said."""

from __future__ import annotations

import gzip
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.errors import RetrainError
from driftwatch.retrain import _files
from driftwatch.retrain._files import read
from driftwatch.retrain.pairs import from_files, same_text
from driftwatch.retrained import Pair

DATA = Path(os.environ.get("DRIFTWATCH_DATA", Path(__file__).parents[3] / "shared" / "data"))


def pairs(folder: Path, *patterns: str) -> list[Pair]:
    return read(patterns or ("*.jsonl",), folder, same_text)


def lines(folder: Path, *rows: str, name: str = "pairs.jsonl") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return folder


def said(folder: Path, *patterns: str) -> str:
    with pytest.raises(RetrainError) as raised:
        pairs(folder, *patterns)
    return str(raised.value)


# --- JSON lines ----------------------------------------------------------------------------------------------------


def test_a_line_is_a_question_and_its_document(tmp_path):
    line = '{"query": " how do I pay ", "doc_id": "doc-7", "lang": "de-AT", "query_id": 3, "anything": []}'
    assert pairs(lines(tmp_path, line)) == [Pair("how do I pay", "doc-7", "de", query_id="3")]


@pytest.mark.parametrize("name", ["doc_ids", "positives"])
def test_a_line_may_name_several_documents(tmp_path, name):
    found = pairs(lines(tmp_path, f'{{"query": "pay", "{name}": ["doc-1", 2]}}'))
    assert [pair.doc_id for pair in found] == ["doc-1", "2"]


@pytest.mark.parametrize(
    ("relevant", "is_so"),
    [
        *((each, True) for each in ("true", "1", "0.5", "2.0", "null", "1" + "0" * 400)),
        *((each, False) for each in ("false", "0", "-1", "0.0")),
    ],
)
def test_a_grade_may_be_true_whole_or_broken(tmp_path, relevant, is_so):
    (found,) = pairs(lines(tmp_path, f'{{"query": "pay", "doc_id": "doc-1", "relevant": {relevant}}}'))
    assert found.relevant is is_so


def test_a_label_that_stands_there_twice_is_one(tmp_path):
    row = '{"query": "pay", "doc_id": "doc-1"}'
    assert pairs(lines(tmp_path, row, "", row.replace("pay", "PAY"))) == [Pair("pay", "doc-1")]


def test_patterns_find_files_packed_or_not_each_once(tmp_path):
    lines(tmp_path, '{"query": "pay", "doc_id": "doc-1"}', name="labels/a.jsonl")
    (tmp_path / "labels" / "b.jsonl.gz").write_bytes(gzip.compress(b'{"query": "refund", "doc_id": "doc-2"}'))
    assert len(pairs(tmp_path, "labels/*.jsonl*", "labels/a.jsonl", str(tmp_path / "labels" / "a.jsonl"))) == 2


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "pairs.jsonl:2: this is not JSON: "),
        ("[1]", 'pairs.jsonl:2: this is a list, not a JSON object. Write {"query": ..., "doc_id": ...}.'),
        ('{"doc_id": "doc-1"}', """pairs.jsonl:2: 'query' is null. Write {"query": ..., "doc_id": ...}."""),
        ('{"query": " ", "doc_id": "doc-1"}', """pairs.jsonl:2: 'query' is " "."""),
        ('{"query": ["pay"], "doc_id": "doc-1"}', """pairs.jsonl:2: 'query' is ["pay"]."""),
        ('{"query": "half \\ud800", "doc_id": "doc-1"}', "pairs.jsonl:2: 'query' is "),
        ('{"query": "pay"}', "pairs.jsonl:2: the pair names no document. Write"),
        ('{"query": "pay", "doc_id": null}', "pairs.jsonl:2: the pair names no document."),
        ('{"query": "pay", "doc_id": "a", "doc_ids": ["b"]}', "pairs.jsonl:2: documents stand in doc_id and doc_ids."),
        ('{"query": "pay", "doc_id": ["a"]}', """pairs.jsonl:2: 'doc_id' is ["a"]. Write an id:"""),
        ('{"query": "pay", "doc_id": ""}', """pairs.jsonl:2: 'doc_id' is ""."""),
        ('{"query": "pay", "doc_id": true}', "pairs.jsonl:2: 'doc_id' is true."),
        ('{"query": "pay", "doc_ids": []}', "pairs.jsonl:2: 'doc_ids' is empty. Name at least one"),
        ('{"query": "pay", "doc_ids": ["a", 1.5]}', "pairs.jsonl:2: 'doc_ids' is 1.5."),
        ('{"query": "pay", "doc_id": "a", "lang": "english"}', "pairs.jsonl:2: 'english' is not a BCP 47 language."),
        ('{"query": "pay", "doc_id": "a", "relevant": "yes"}', """pairs.jsonl:2: 'relevant' is "yes". Write true or"""),
        ('{"query": "pay", "doc_id": "a", "relevant": NaN}', "pairs.jsonl:2: 'relevant' is NaN."),
        ('{"query": "pay", "doc_id": "a", "query_id": [1]}', "pairs.jsonl:2: 'query_id' is [1]."),
        ('{"query": "pay", "query": "x", "doc_id": "a"}', "pairs.jsonl:2: the key 'query' stands there twice."),
        (
            '{"query": "OK", "doc_id": "fine", "relevant": 0}',
            "pairs.jsonl:2: 'fine' is relevant for this query at pairs.jsonl:1. Keep one of them.",
        ),
        ('"' + "x" * (1 << 20) + '"', "pairs.jsonl:2: the line is longer than 1 MiB. Write one pair a line."),
    ],
)
def test_what_is_wrong_is_said_with_its_line_value_and_remedy(tmp_path, line, problem):
    assert problem in said(lines(tmp_path, '{"query": "ok", "doc_id": "fine"}', line))


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    lines(tmp_path, '{"query": 1, "doc_id": "a"}', '{"query": "pay"}')
    assert said(tmp_path).count("\n") == 1
    lines(tmp_path, *["[]"] * 30)
    assert said(tmp_path).endswith("and 10 more like these.")


def test_a_pattern_that_matches_nothing_is_said(tmp_path):
    assert said(tmp_path, "labels/*.jsonl").startswith(
        "labels/*.jsonl: there is no such file or folder. Check 'retrain"
    )


def test_files_without_a_pair_are_said(tmp_path):
    assert "pairs.jsonl: the labelled files hold no pair." in said(lines(tmp_path, ""), "pairs.jsonl")


def test_no_files_are_no_pairs(tmp_path):
    assert read((), tmp_path, same_text) == []
    assert from_files((), tmp_path, frozenset()).pairs == ()


@given(st.binary(max_size=200))
def test_any_bytes_are_pairs_or_a_retrain_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "pairs.jsonl").write_bytes(content)
    with suppress(RetrainError):
        assert all(pair.query and pair.doc_id for pair in pairs(folder))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3)


@given(
    st.dictionaries(st.sampled_from(["query", "doc_id", "doc_ids", "positives", "relevant", "lang", "query_id"]), JSON)
)
def test_any_object_is_pairs_or_a_retrain_error(tmp_path_factory, row):
    folder = lines(tmp_path_factory.mktemp("rows"), json.dumps(row))
    with suppress(RetrainError):
        assert all(pair.query.encode() and pair.doc_id.encode() for pair in pairs(folder))


# --- BEIR ----------------------------------------------------------------------------------------------------------


def beir(folder: Path, **splits: str) -> Path:
    paid = '{"_id": "1", "text": "how do I pay", "metadata": {"lang": "en-GB"}}'
    lines(folder, paid, '{"_id": "2", "text": "refund"}', name="set/queries.jsonl")
    for split, rows in splits.items():
        lines(folder, "query-id\tcorpus-id\tscore", *rows.split(";"), name=f"set/qrels/{split}.tsv")
    return folder


def test_of_a_beir_folder_the_train_split_is_read(tmp_path):
    beir(tmp_path, train="1\tdoc-1\t1;2\tdoc-2\t2.0;2\tdoc-3\t0", test="1\tsecret\t1")
    assert pairs(tmp_path, "set") == [
        Pair("how do I pay", "doc-1", "en", query_id="1"),
        Pair("refund", "doc-2", query_id="2"),
        Pair("refund", "doc-3", relevant=False, query_id="2"),
    ]


def test_the_split_to_judge_by_is_refused_unless_its_file_is_named(tmp_path):
    beir(tmp_path, test="1\tsecret\t1", dev="2\tdoc-2\t1")
    assert said(tmp_path, "set") == (
        "set: this folder has no qrels/train.tsv to train on. There is: dev, test. "
        "'test' is to judge by; whoever trains on it all the same names its file."
    )
    assert [pair.doc_id for pair in pairs(tmp_path, "set/qrels/test.tsv")] == ["secret"]
    assert [pair.doc_id for pair in pairs(tmp_path, "set/qrels/dev.tsv")] == ["doc-2"]


def test_a_folder_that_is_no_data_set_says_so(tmp_path):
    (tmp_path / "set").mkdir()
    assert said(tmp_path, "set").startswith("set: this folder has no qrels/train.tsv to train on. Name the file")


def test_judgements_may_be_json_lines_and_packed(tmp_path):
    beir(tmp_path)
    rows = b'{"query-id": 1, "corpus-id": "doc-1", "score": 1.0}\n'
    (tmp_path / "set" / "qrels").mkdir()
    (tmp_path / "set" / "qrels" / "train.jsonl.gz").write_bytes(gzip.compress(rows))
    assert [pair.doc_id for pair in pairs(tmp_path, "set")] == ["doc-1"]
    assert [pair.doc_id for pair in pairs(tmp_path, "set/qrels/*.jsonl.gz")] == ["doc-1"]


def test_judgements_in_another_place_find_the_questions_beside_them(tmp_path):
    beir(tmp_path)
    lines(tmp_path, "1 0 doc-1 1", name="set/train.qrels")
    assert [pair.doc_id for pair in pairs(tmp_path, "set/train.qrels")] == ["doc-1"]


def test_judgements_without_questions_are_said(tmp_path):
    lines(tmp_path, "1\tdoc-1\t1", name="deep/down/train.tsv")
    assert said(tmp_path, "deep/down/train.tsv") == (
        "deep/down/train.tsv: there is no queries.jsonl beside it. Judgements need their questions."
    )


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("1\tdoc-1\t0.5", "set/qrels/train.tsv:2: the relevance '0.5' is not an integer."),
        ("1\tdoc-1", "set/qrels/train.tsv:2: the line has 2 columns."),
        ("1\tdoc-1\t1;1\tdoc-1\t0", "set/qrels/train.tsv:3: 'doc-1' has the grade 0 for '1', and 1 at set/qrels"),
    ],
)
def test_what_is_wrong_with_judgements_is_said(tmp_path, rows, problem):
    assert problem in said(beir(tmp_path, train=rows), "set")


def test_half_a_character_is_said(tmp_path):
    beir(tmp_path, train="1\tdoc-1\t1")
    lines(tmp_path, '{"_id": "1", "text": "half \\ud800"}', name="set/queries.jsonl")
    assert "set/queries.jsonl:1: a text or an id holds half of a surrogate pair." in said(tmp_path, "set")


def test_a_training_set_may_be_larger_than_a_canary_suite(tmp_path, monkeypatch):
    monkeypatch.setattr(_files, "MOST_QUERIES", 1)
    beir(tmp_path, train="1\tdoc-1\t1;2\tdoc-2\t1")
    assert said(tmp_path, "set") == "there are more than 1 judged queries. Name fewer of them."


@pytest.mark.skipif(not (DATA / "scifact" / "qrels_train.tsv").is_file(), reason="no scifact in DRIFTWATCH_DATA")
def test_scifact_has_its_training_pairs():
    found = read(("scifact/qrels_train.tsv",), DATA, same_text)
    assert len(found) == len({(pair.query, pair.doc_id) for pair in found}) > 900
    assert all(pair.relevant for pair in found)
