"""What there is to train on and to judge by: feedback, canaries, the forgetting set and the documents of a watch."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from driftwatch.engine import Engine
from driftwatch.errors import RetrainError
from driftwatch.retrained import Pair
from driftwatch.retraining import material
from driftwatch.retraining.material import (
    canaries,
    corpus_of,
    documents_of,
    questions,
    remembered,
    retrain_of,
    said,
    teller_of,
)
from tests.fakes.workshop import DAY, HOUR, MINUTE, NOW, Workshop, write_lines
from tests.retraining.conftest import Make


def rewritten(shop: Workshop, old: str, new: str) -> Workshop:
    path = shop.watch.path
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    shop.store.close()
    return Workshop.at(path)


def test_each_canary_with_an_answer_is_asked_under_a_name_of_its_own(shop: Workshop, tmp_path: Path) -> None:
    rows = [
        {"query_id": "a", "text": "ask1 ask2", "lang": "de", "relevant": ["d1-2"]},
        {"query_id": "b", "text": "ask2 ask3", "lang": "en", "relevant": [], "expect_empty": True},
    ]
    write_lines(tmp_path / "canaries.jsonl", rows)
    (found,) = canaries(shop.watch)
    assert (found.query_id, found.text, found.lang, found.group) == ("canaries:a", "ask1 ask2", "de", "canary")
    assert dict(found.relevant) == {"d1-2": 1}


def test_the_forgetting_set_is_read_where_one_is_named(make: Make, tmp_path: Path) -> None:
    shop = make()
    assert remembered(shop.watch) == ()
    write_lines(tmp_path / "old.jsonl", [{"query_id": "x", "text": "ask3 ask4", "lang": "en", "relevant": ["d3-4"]}])
    again = rewritten(shop, "gate: {least", "gate: {forgetting: old.jsonl, least")
    try:
        (found,) = remembered(again.watch)
        assert (found.query_id, found.group, dict(found.relevant)) == ("forgetting:x", "forgetting", {"d3-4": 1})
    finally:
        again.store.close()


def test_pairs_of_one_question_are_one_question_in_a_stable_order() -> None:
    pairs = [
        Pair("b", "d2", "en"),
        Pair("a", "d1", "en"),
        Pair("b", "d3", "en"),
        Pair("b", "d2", "de"),
        Pair("c", "d9", "en", relevant=False),
        Pair("b", "d4", "en", relevant=False),
    ]
    found = questions(pairs)
    assert [(each.query_id, each.text, each.lang) for each in found] == [
        ("held-out:1", "a", "en"), ("held-out:2", "b", "de"), ("held-out:3", "b", "en"),
    ]  # fmt: skip
    assert found[2].relevant == {"d2": 1, "d3": 1, "d4": 0}
    assert questions(pairs[::-1]) == found


def test_documents_come_in_the_order_of_their_files_however_few_are_held(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = corpus_of(shop.watch)
    whole = [each.doc_id for each in documents_of(corpus)]
    assert whole == list(corpus.ids)
    monkeypatch.setattr(material, "AT_ONCE", 7)
    assert [each.doc_id for each in documents_of(corpus)] == whole


def line(name: str, days_ago: float) -> dict[str, Any]:
    """Somebody accepted an answer so many days ago."""
    at, feedback = NOW - days_ago * DAY, {"value": "accepted", "doc_id": "d0-1"}
    results = [{"id": "d0-1", "score": 0.9}]
    return {
        "ts": at.isoformat(),
        "query": name,
        "lang": "en",
        "session": name,
        "results": results,
        "feedback": feedback,
    }


def read(shop: Workshop, *lines: dict[str, Any]) -> None:
    """Each of them just after it was written."""
    for number, each in enumerate(lines, 1):
        write_lines(shop.watch.base / "queries.jsonl", list(lines[:number]))
        Engine(shop.watch, shop.store).observer.observe("live", datetime.fromisoformat(each["ts"]) + MINUTE)


def test_feedback_counts_as_far_back_as_is_said_and_up_to_the_moment(shop: Workshop) -> None:
    read(shop, line("old", 91), line("long ago", 89), line("today", 0.1))
    assert [each.text for each in said(shop.watch, shop.store, NOW)] == ["long ago", "today"]
    assert [each.text for each in said(shop.watch, shop.store, NOW - 6 * HOUR)] == ["long ago"]


def test_only_sources_that_are_named_count(shop: Workshop) -> None:
    read(shop, line("today", 0.1))
    assert len(list(said(shop.watch, shop.store, NOW))) == 1
    again = rewritten(shop, "  live: {kind", "  other: {kind: query_log, path: other.jsonl, every: 1h}\n  live: {kind")
    again = rewritten(again, "pairs: {files", "pairs: {live: [other], files")
    try:
        assert list(said(again.watch, again.store, NOW)) == []
    finally:
        again.store.close()


def test_what_is_missing_is_named_with_the_remedy(make: Make) -> None:
    shop = make()
    text = shop.watch.path.read_text()
    again = rewritten(shop, "documents: {path: articles.jsonl}\n", "")
    try:
        with pytest.raises(RetrainError, match=r"driftwatch\.yaml: there is no 'documents:' section.*name them"):
            corpus_of(again.watch)
    finally:
        again.store.close()
    shop.watch.path.write_text(text.partition("retrain:")[0])
    without = Workshop.at(shop.watch.path)
    try:
        with pytest.raises(RetrainError, match=r"driftwatch\.yaml: there is no 'retrain:' section.*Add one"):
            retrain_of(without.watch)
    finally:
        without.store.close()


def test_who_is_told_of_releases_is_what_the_configuration_names(make: Make) -> None:
    assert list(teller_of(make("  promote: {run: [systemctl, reload, search]}").watch).receivers) == ["run"]


def test_where_nobody_is_named_nobody_is_told(shop: Workshop) -> None:
    assert not teller_of(shop.watch).receivers
