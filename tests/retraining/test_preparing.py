"""From what people said and what labels say to a sealed dataset; nothing that the gate asks is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from driftwatch.engine import Engine
from driftwatch.errors import TooLittle
from driftwatch.retrain.dataset import read_json, read_nouns, sealed
from driftwatch.retrained import Asked, Pair, Passage, Row
from driftwatch.retraining.course import Course
from driftwatch.retraining.preparing import collect, mine_rows
from tests.fakes.workshop import DAY, MINUTE, NOW, Workshop, questions, write_lines

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

Real = Callable[..., Workshop]


def prepared(shop: Workshop, now: datetime = NOW) -> Course:
    course = shop.begun(now)
    collect(shop.work(course, "pairs", now))
    mine_rows(shop.work(course, "mine", now))
    return course


def pairs_of(course: Course) -> tuple[Pair, ...]:
    return tuple(read_nouns(course.path / "dataset", Pair))


def asked_of(course: Course) -> tuple[Asked, ...]:
    return tuple(read_nouns(course.path / "dataset", Asked))


def test_what_trains_and_what_judges_have_nothing_in_common(real: Real) -> None:
    shop = real()
    course = shop.begun()
    said = collect(shop.work(course, "pairs"))
    pairs, asked = pairs_of(course), asked_of(course)
    assert said == f"{len(pairs)} pairs to train on, {len(asked)} questions to judge by."
    assert {each.group for each in asked} == {"canary", "held-out"}
    assert not {each.query for each in pairs} & {each.text for each in asked}
    held_out = {doc for each in asked if each.group == "held-out" for doc in each.relevant}
    assert not {each.doc_id for each in pairs} & held_out
    assert len(pairs) >= 20


def test_a_canary_among_the_labels_never_trains(real: Real, tmp_path: Path) -> None:
    shop = real()
    everything = [{"query": text, "doc_id": doc_id, "lang": "en"} for text, doc_id in questions()]
    write_lines(tmp_path / "labels.jsonl", everything)
    course = shop.begun()
    collect(shop.work(course, "pairs"))
    canaries = {json.loads(line)["text"] for line in (tmp_path / "canaries.jsonl").read_text().splitlines()}
    assert len(canaries) == 21
    assert not {each.query for each in pairs_of(course)} & canaries
    report = read_json(course.step("pairs").path / "made" / "report.json")
    assert report["pairs"] == {"file": 105}
    assert report["judged"]["canary"] == 21
    judged = {each.text for each in asked_of(course) if each.group == "held-out"}
    removed = sum(each["count"] for each in report["removed"])
    assert len(pairs_of(course)) + len(judged) + removed >= 105 - len(judged & canaries)
    assert removed >= len(canaries - judged)


def test_collected_once_it_is_not_collected_again(real: Real, tmp_path: Path) -> None:
    shop = real()
    course = shop.begun()
    collect(shop.work(course, "pairs"))
    before = pairs_of(course)
    write_lines(tmp_path / "labels.jsonl", [])
    assert collect(shop.work(course, "pairs")) == "the pairs were collected."
    assert pairs_of(course) == before


def test_killed_before_the_pairs_were_written_they_are_collected_anew_and_the_same(real: Real) -> None:
    shop = real()
    course = shop.begun()
    collect(shop.work(course, "pairs"))
    pairs, asked = pairs_of(course), asked_of(course)
    (course.path / "dataset" / "pairs.jsonl").unlink()
    collect(shop.work(course, "pairs"))
    assert (pairs_of(course), asked_of(course)) == (pairs, asked)


def test_without_a_known_answer_nothing_is_trained_and_it_says_why(real: Real) -> None:
    shop = real()
    path = shop.watch.path
    path.write_text(path.read_text().replace("pairs: {files: [labels.jsonl]}", "pairs: {}"))
    again = Workshop.at(path)
    try:
        with pytest.raises(TooLittle, match=r"unlabelled|answer"):
            collect(again.work(again.begun(), "pairs"))
    finally:
        again.store.close()


def test_with_nothing_to_hold_out_nothing_is_trained_that_the_gate_could_only_refuse(
    real: Real, tmp_path: Path
) -> None:
    shop = real()
    labels = [{"query": text, "doc_id": "d0-1", "lang": "en"} for text, _ in questions()]
    write_lines(tmp_path / "labels.jsonl", labels)
    with pytest.raises(TooLittle, match="can be held out"):
        collect(shop.work(shop.begun(), "pairs"))


def test_what_somebody_clicked_is_no_negative_though_it_is_no_pair_either(real: Real, tmp_path: Path) -> None:
    shop = real()
    pairs = dict(questions())
    text = next(text for number, text in enumerate(pairs) if number % 5 == 1)
    at = NOW - DAY
    line = {
        "ts": at.isoformat(), "query": text, "lang": "en", "session": "s1",
        "results": [{"id": "d3-4", "score": 0.9}], "feedback": {"value": "click", "doc_id": "d3-4"},
    }  # fmt: skip
    write_lines(tmp_path / "queries.jsonl", [line])
    Engine(shop.watch, shop.store).observer.observe("live", at + MINUTE)
    course = prepared(shop)
    assert read_json(course.path / "dataset" / "clicked.json") == {text: ["d3-4"]}
    assert all("d3-4" not in row.negatives for row in read_nouns(course.path / "dataset", Row) if row.query == text)


def test_the_dataset_is_sealed_and_names_every_passage_of_its_rows(real: Real) -> None:
    course = prepared(real())
    dataset = course.path / "dataset"
    rows, passages = tuple(read_nouns(dataset, Row)), {each.passage_id for each in read_nouns(dataset, Passage)}
    known = {each.query: each.doc_id for each in pairs_of(course)}
    assert rows
    assert all(row.positive == known[row.query] and row.positive not in row.negatives for row in rows)
    assert {name for row in rows for name in (row.positive, *row.negatives)} == passages
    job = course.training.job
    assert job.data == sealed(dataset)
    assert (job.job_id, job.service, job.output) == (course.job_id, "shop", course.path / "candidate")
    assert job.strategy["allowed"] is True
    assert read_json(course.step("mine").path / "made" / "report.json").keys() == {"mined", "removed"}


def test_the_same_data_make_the_same_dataset(real: Real) -> None:
    shop = real()
    first = prepared(shop)
    first.end("failed", "", NOW)
    second = prepared(shop, NOW + DAY)
    assert first.job_id != second.job_id
    assert first.training.job.data == second.training.job.data


def test_killed_before_the_job_was_written_the_rows_are_mined_again_and_the_same(real: Real) -> None:
    shop = real()
    course = prepared(shop)
    data = course.training.job.data
    (course.path / "job.json").unlink()
    mine_rows(shop.work(course, "mine"))
    assert course.training.job.data == data
    assert mine_rows(shop.work(course, "mine")) == "the rows were mined."


def test_killed_after_the_dataset_was_sealed_it_is_what_trains_though_documents_changed(
    real: Real, tmp_path: Path
) -> None:
    shop = real()
    course = prepared(shop)
    data = course.training.job.data
    (course.path / "job.json").unlink()
    write_lines(tmp_path / "articles.jsonl", [{"id": "d0-1", "text": "something else by now"}])
    mine_rows(shop.work(course, "mine"))
    assert course.training.job.data == data
    assert course.training.job.strategy["allowed"] is True


def test_too_few_rows_are_an_error_and_not_a_small_training_set(real: Real) -> None:
    shop = real()
    path = shop.watch.path
    path.write_text(path.read_text().replace("least_rows: 20", "least_rows: 500"))
    again = Workshop.at(path)
    try:
        course = again.begun()
        collect(again.work(course, "pairs"))
        with pytest.raises(TooLittle, match="500"):
            mine_rows(again.work(course, "mine"))
        assert not (course.path / "job.json").exists()
    finally:
        again.store.close()
