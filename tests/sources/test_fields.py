"""Foreign logs are read by JMESPath; two examples are the ones of the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from driftwatch.errors import SourceError
from driftwatch.sampling import Sampler
from driftwatch.sources._fields import FieldMap
from driftwatch.sources._parsing import Malformed
from driftwatch.sources._records import Reading
from driftwatch.sources.query_log import QueryLog
from driftwatch.types import ScoredDoc
from driftwatch.yamlfile import load
from tests.fakes.log_writer import NOW, Follower

DOCS = Path(__file__).parents[2] / "docs" / "sources" / "query_log.md"


def test_names_joined_by_dots_are_found():
    mapped = FieldMap({"ts": "@.time", "query": "request.q", "session": "user.id"})
    record = {"time": "t", "request": {"q": "hello"}, "user": None, "lang": "de"}
    assert mapped(record) == {"ts": "t", "query": "hello", "session": None, "lang": "de"}


def test_a_name_that_is_not_mapped_is_read_under_its_own_name():
    assert FieldMap({"ts": "time"})({"time": 1, "query": "q", "other": 2}) == {"ts": 1, "query": "q"}


def test_quoted_names_may_hold_any_sign():
    assert FieldMap({"query": '"input.value"'})({"input.value": "q"})["query"] == "q"
    assert FieldMap({"query": 'attributes."input.value"'})({"attributes": {"input.value": "q"}})["query"] == "q"


def test_projections_make_results():
    mapped = FieldMap({"results": "docs[].{id: key, score: sim}"})
    assert mapped({"docs": [{"key": "a", "sim": 1}]})["results"] == [{"id": "a", "score": 1}]
    assert mapped({"docs": []})["results"] == []
    assert mapped({})["results"] is None


def test_json_inside_of_text_is_read():
    mapped = FieldMap({"query": "from_json(input).query"})
    assert mapped({"input": '{"query": "q"}'})["query"] == "q"
    assert mapped({"input": "plain"})["query"] is None
    assert mapped({})["query"] is None


def test_numbered_keys_become_a_list_in_the_order_of_their_numbers():
    mapped = FieldMap({"results": "numbered(@, 'docs')[].{id: id, score: score}"})
    record = {"docs.10.id": "k", "docs.2.id": "b", "docs.2.score": 0.5, "docs.x.id": "no", "docs.3": "no"}
    assert mapped(record)["results"] == [{"id": "b", "score": 0.5}, {"id": "k", "score": None}]
    assert mapped({"other": 1})["results"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quary": "q"}, r"'quary' is not a field of a record. Did you mean 'query'\?"),
        ({"xyz": "q"}, "There are: ts, query"),
        ({"query": "a..b"}, "is not JMESPath"),
        ({"query": ""}, "is not JMESPath"),
        ({"query": "a-b"}, "need double quotes"),
        ({"query": "form_json(a)"}, r"calls 'form_json', which is no function. Did you mean 'from_json'\?"),
        ({"query": "a[].b.to_nothing(@)"}, "calls 'to_nothing'"),
    ],
)
def test_a_bad_map_is_refused_when_it_is_loaded(fields, message):
    with pytest.raises(ValidationError, match=message):
        QueryLog(name="live", path="x.jsonl", fields=fields)


def test_an_expression_that_does_not_fit_a_record_says_so():
    with pytest.raises(Malformed, match=r"'query' cannot be had by 'join"):
        FieldMap({"query": "join(' ', words)"})({"words": 7})


def test_what_is_no_object_is_left_for_the_reader_to_reject():
    assert FieldMap({"query": "q"})([1]) == [1]


def test_lines_of_a_foreign_log_that_do_not_fit_are_quarantined(tmp_path):
    rows = [{"time": "2026-11-01T10:00:00Z", "words": ["a", "b"]}, {"time": "2026-11-01T10:00:00Z", "words": 7}, [1]]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    follower = Follower(tmp_path, "q.jsonl", fields={"ts": "time", "query": "join(' ', words)"})
    assert follower.read() == 1
    assert [reject.reason.split()[0] for reject in follower.rejects] == ["'query'", "it"]


def documented(title: str, tmp_path: Path) -> tuple[QueryLog, list[dict[str, object]]]:
    """The settings and the example lines of one section of the documentation."""
    section = DOCS.read_text("utf-8").partition(f"### {title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    yaml, lines = (re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL)[1] for kind in ("yaml", "json"))
    (tmp_path / "driftwatch.yaml").write_text(yaml)
    settings = load(tmp_path / "driftwatch.yaml", {}).data["sources"]["live"] | {"path": "log.jsonl"}
    (tmp_path / "log.jsonl").write_text(lines)
    return QueryLog(name="live", **settings), [json.loads(line) for line in lines.splitlines()]


@pytest.mark.parametrize("title", ["A Langfuse export", "Spans as OpenInference names them"])
def test_the_documented_examples_work(title, tmp_path):
    log, lines = documented(title, tmp_path)
    (batch,) = log.read(tmp_path, None, Sampler(10), Reading(), now=NOW)
    assert batch.rejects == ()
    assert batch.lines == len(lines) == 2
    first, second = sorted((row.observation for row in batch.kept), key=lambda row: row.at)
    assert (first.text, first.session) == ("how do I reset my password", "s-1")
    assert first.hits == (ScoredDoc("doc-7", 0.83), ScoredDoc("doc-2", 0.71))
    assert second.hits == ()


def test_a_source_error_is_not_what_a_bad_line_raises():
    assert not issubclass(Malformed, SourceError)
