from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.errors import RetrieverError
from driftwatch.retrievers.python import Python
from driftwatch.types import Query, Reply, ScoredDoc

FAKES = "tests.fakes.python_retrievers"


def python(function: str, **settings: Any) -> Python:
    return Python(kind="python", callable=f"{FAKES}:{function}", **settings)


def ask(shape: str, **settings: Any) -> Reply:
    (reply,) = python("shaped", **settings).search([Query("q1", shape)])
    return reply


@pytest.mark.parametrize(
    ("shape", "hits"),
    [
        ("ids", (ScoredDoc("a"), ScoredDoc("b"))),
        ("pairs", (ScoredDoc("a", 0.9), ScoredDoc("b", 0.8))),
        ("numpy pairs", (ScoredDoc("a", 0.5), ScoredDoc("7", 0.25))),
        ("numbers", (ScoredDoc("1"), ScoredDoc("2"))),
        ("uuids", (ScoredDoc("00000000-0000-0000-0000-000000000001"),)),
        ("mappings", (ScoredDoc("a", 0.9), ScoredDoc("b", 0.8))),
        ("generator", (ScoredDoc("a"), ScoredDoc("b"))),
        ("langchain", (ScoredDoc("a"), ScoredDoc("b", 0.5))),
        ("langchain with scores", (ScoredDoc("a", 0.9),)),
        ("llamaindex", (ScoredDoc("a", 0.9), ScoredDoc("b"))),
        ("haystack", (ScoredDoc("a", 0.9), ScoredDoc("b"))),
        ("a response object", (ScoredDoc("7", 0.5),)),
        ("nan", (ScoredDoc("a"),)),
        ("empty", ()),
    ],
)
def test_what_functions_return_is_recognised(shape: str, hits: tuple[ScoredDoc, ...]) -> None:
    reply = ask(shape)
    assert (reply.hits, reply.error) == (hits, None)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("none", "it returned nothing (None), not a list of hits"),
        ("text", "it returned a builtins.str, not a list of hits"),
        ("a number", "it returned a builtins.int"),
        ("no list", "a mapping without a list of hits; it has keys: answer"),
        ("no id", "Set 'id_path', such as 'metadata.source'; its metadata has keys: source, page"),
        ("no id in a mapping", "hit 1, a builtins.dict, has no id that is recognised"),
        ("empty id", "hit 1, a builtins.str, has no id"),
        ("unknown", "KeyError: 'unknown'"),
    ],
)
def test_what_is_not_recognised_is_not_asked_and_says_why(shape: str, words: str) -> None:
    reply = ask(shape)
    assert reply.hits is None
    assert words in (reply.error or "")


def test_the_id_may_lie_elsewhere() -> None:
    assert ask("no id", id_path="metadata.source").hits == (ScoredDoc("faq.md"),)
    assert ask("llamaindex", id_path="node.node_id").error == "hit 2, a tests.fakes.python_retrievers." + (
        "LlamaNodeWithScore, has no id at 'node.node_id'"
    )


def test_a_mapping_may_carry_abstention_and_versions() -> None:
    reply = ask("abstained")
    assert (reply.hits, reply.abstained, reply.versions) == ((), True, {"index": "3"})


def test_no_more_than_top_k_hits_are_taken() -> None:
    (reply,) = python("counted", top_k=3).search([Query("q1", "x")])
    assert [hit.doc_id for hit in reply.hits or ()] == ["x-0", "x-1", "x-2"]


def test_a_query_that_raises_says_so_and_spoils_no_other() -> None:
    replies = python("raises").search([Query("1", "good"), Query("2", "bad"), Query("3", "fine")])
    assert [reply.error for reply in replies] == [None, "ConnectionError: index offline", None]


def test_a_batch_is_one_call() -> None:
    replies = python("batched", batch=True, top_k=5).search([Query("1", "x"), Query("2", "y")])
    assert [reply.hits for reply in replies] == [(ScoredDoc("x:5"),), (ScoredDoc("y:5"),)]


def test_one_bad_answer_in_a_batch_spoils_no_other() -> None:
    replies = python("batched_with_a_bad_one", batch=True).search([Query("1", "x"), Query("2", "y")])
    assert replies[0].hits == (ScoredDoc("x"),)
    assert "nothing (None)" in (replies[1].error or "")


def test_a_batch_of_the_wrong_length_is_no_answer_to_any_query() -> None:
    replies = python("one_answer_too_few", batch=True).search([Query("1", "x"), Query("2", "y")])
    assert [reply.error for reply in replies] == ["it returned 1 answers to 2 queries"] * 2


def test_a_batch_that_raises_is_no_answer_to_any_query() -> None:
    replies = python("shaped", batch=True).search([Query("1", "x"), Query("2", "y")])
    assert all((reply.error or "").startswith("TypeError: unhashable") for reply in replies)


def test_an_async_function_runs_in_one_loop_for_life() -> None:
    retriever = python("asynchronous")
    first, second = retriever.search([Query("1", "x"), Query("2", "y")])
    (third,) = retriever.search([Query("3", "z")])
    retriever.close()
    assert first.hits is not None
    assert second.hits is not None
    assert third.hits is not None
    assert first.hits[0].doc_id == "x"
    assert first.hits[1] == second.hits[1] == third.hits[1]


def test_a_method_of_an_object_is_a_function() -> None:
    (reply,) = python("service.find").search([Query("1", "x")])
    assert reply.hits == (ScoredDoc("found x"),)


def test_the_time_it_took_is_told() -> None:
    assert (ask("ids").latency_ms or -1) >= 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{FAKES}:nowhere", "has no attribute 'nowhere'"),
        ("acme_does_not_exist:find", "No module named 'acme_does_not_exist'"),
        (f"{FAKES}:not_a_function", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_an_error(name: str, words: str) -> None:
    with pytest.raises(RetrieverError, match=words):
        Python(kind="python", callable=name).search([Query("1", "x")])


@pytest.mark.parametrize("name", ["find", "acme.search", "acme search:find", "acme:find()", "acme:"])
def test_a_name_that_names_no_function_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="names no function"):
        Python(kind="python", callable=name)


def test_modules_are_found_beside_the_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "acme_search_beside.py").write_text("def find(text, top_k):\n    return [text]\n")
    settings = {"kind": "python", "callable": "acme_search_beside:find", "pythonpath": "code"}
    retriever = Python.model_validate(settings, context={"base": tmp_path})
    assert retriever.reach().startswith("acme_search_beside:find answered 1 document in ")


def test_a_module_that_breaks_on_import_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "acme_search_broken.py").write_text("1 / 0\n")
    retriever = Python(kind="python", callable="acme_search_broken:find", pythonpath=(tmp_path,))
    with pytest.raises(RetrieverError, match="cannot be imported: ZeroDivisionError"):
        retriever.search([Query("1", "x")])


def test_reach_raises_with_the_reason() -> None:
    with pytest.raises(RetrieverError, match="KeyError"):
        python("shaped").reach()
