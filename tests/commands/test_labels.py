from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.commands._labels import read_labels
from driftwatch.errors import SourceError
from driftwatch.threshold import Label


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_lines_and_csv_say_the_same(tmp_path: Path):
    lines = written(
        tmp_path,
        "a.jsonl",
        '{"query_id": "q1", "doc_id": "d1", "score": 0.5, "relevant": true, "lang": "de"}\n\n'
        '{"query_id": "q1", "doc_id": "d2", "score": 0.25, "relevant": 0, "lang": "de", "weight": 2}\n',
    )
    table = written(
        tmp_path, "a.csv", "query_id,doc_id,score,relevant,lang,weight\nq1,d1,0.5,yes,de,\nq1,d2,0.25,no,de,2\n"
    )
    expected = (Label("q1", 0.5, True, "de"), Label("q1", 0.25, False, "de", 2.0))
    assert read_labels(lines) == read_labels(table) == expected


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.jsonl", '{"query_id": "q1", "score": 0.5}\n', "a.jsonl:1: 'relevant' is missing."),
        ("a.jsonl", '\n{"query_id": "q1", "score": "high", "relevant": 1}\n', "a.jsonl:2: 'score' is 'high'."),
        ("a.jsonl", '{"query_id": "q1", "score": NaN, "relevant": 1}\n', "a.jsonl:1: 'score' is 'nan'."),
        ("a.jsonl", '{"query_id": "q1", "score": 1, "relevant": "maybe"}\n', "a.jsonl:1: 'relevant' is 'maybe'."),
        ("a.jsonl", '{"query_id": "q1", "score": 1, "relevant": 1, "weight": -1}\n', "a.jsonl:1: 'weight' is -1."),
        ("a.jsonl", "[1]\n", "a.jsonl:1: this is no JSON object."),
        ("a.jsonl", "{\n", "a.jsonl:1: this is no JSON."),
        ("a.csv", "query_id,score\nq1,1\n", "a.csv:1: there is no column 'relevant'."),
        ("a.csv", "query_id,score,relevant\nq1,1,\n", "a.csv:2: 'relevant' is empty."),
        ("a.csv", "query_id,score,relevant\nq1,1," + "x" * 200_000 + "\n", "a.csv cannot be read: field larger"),
        ("a.jsonl", "[" * 100_000 + "\n", "a.jsonl:1: this is no JSON."),
        ("a.jsonl", '{"query_id": "q1", "score": 1' + "0" * 400 + ', "relevant": 1}\n', "a.jsonl:1: 'score' is '1000"),
        ("a.jsonl", '{"query_id": "q1", "score": 1, "relevant": 1, "weight": 0}\n', "a.jsonl:1: 'weight' is 0."),
        ("a.jsonl", "", "holds no labels"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path: Path, name: str, text: str, said: str):
    path = written(tmp_path, name, text)
    with pytest.raises(SourceError) as failed:
        read_labels(path)
    assert said in str(failed.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(SourceError, match="cannot be read"):
        read_labels(tmp_path / "none.jsonl")
