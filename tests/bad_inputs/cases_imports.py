"""What can be wrong in an evaluation set that `canaries import` reads, and in a file of proposals."""

from __future__ import annotations

import json
from pathlib import Path

from driftwatch.commands.canary_files import evaluation_set
from driftwatch.sources.canaries import Canaries
from tests.bad_inputs.registry import case

COLUMNS = ("query", "lang", "relevant", "query_id")


def said(tmp: Path, name: str, content: str, form: str = "auto") -> str:
    """What reading this file prints."""
    (tmp / name).write_text(content)
    evaluation_set(tmp / name, form, None, "test", "und", COLUMNS).load(tmp)
    return "nothing"


@case("evaluation sets", "an evaluation set that is not there")
def no_file(tmp: Path) -> str:
    evaluation_set(tmp / "set.csv", "auto", None, "test", "und", COLUMNS)
    return "nothing"


@case("evaluation sets", "a form that there is not")
def no_form(tmp: Path) -> str:
    return said(tmp, "set.csv", "query,relevant\n", form="mteb")


@case("evaluation sets", "questions without their judgements")
def no_qrels(tmp: Path) -> str:
    return said(tmp, "topics.txt", "301\tOrganized crime\n")


@case("evaluation sets", "a column under another name")
def no_column(tmp: Path) -> str:
    return said(tmp, "set.csv", "question,docs\nWhere is my order?,doc-2\n")


@case("evaluation sets", "a comma in a cell without quotes")
def too_many_cells(tmp: Path) -> str:
    return said(tmp, "set.csv", "query,relevant\nWell, where is my order?,doc-2\n")


@case("evaluation sets", "a quote of a table that is never closed")
def open_quote(tmp: Path) -> str:
    return said(tmp, "set.csv", 'query,relevant\n"Where is my order?,doc-2\n')


@case("evaluation sets", "a row without a question")
def no_question(tmp: Path) -> str:
    return said(tmp, "set.csv", "query,relevant\n,doc-2\n")


@case("evaluation sets", "Ragas: contexts without ids, and no documents to find them in")
def no_ids(tmp: Path) -> str:
    sample = {"user_input": "Where is my order?", "reference_contexts": ["It takes three days."]}
    return said(tmp, "set.jsonl", json.dumps(sample))


@case("evaluation sets", "Ragas: a conversation of several turns")
def many_turns(tmp: Path) -> str:
    return said(tmp, "set.jsonl", json.dumps({"user_input": [{"type": "human", "content": "hi"}]}))


@case("evaluation sets", "Ragas: ids that are no list")
def ids_no_list(tmp: Path) -> str:
    return said(tmp, "set.csv", "user_input,reference_context_ids\nWhere is my order?,doc-2\n")


@case("evaluation sets", "proposed canaries that nobody has labelled")
def unlabelled(tmp: Path) -> str:
    row = {"query_id": "live-1", "text": "Where is my order?", "relevant": [], "proposed": {"why": "no canary is near"}}
    (tmp / "proposed.jsonl").write_text(json.dumps(row))
    Canaries(path="proposed.jsonl").load(tmp)
    return "nothing"
