"""Old against new on what neither has seen: a yes or a no with its reasons, and both models side by side."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from driftwatch.engine import Engine
from driftwatch.retrain.dataset import read_json
from driftwatch.retrain.folders import folder_hash
from driftwatch.retraining.course import Course
from driftwatch.retraining.judging import candidate_model, judge_candidate
from driftwatch.retraining.preparing import collect
from driftwatch.retraining.work import Refused
from tests.fakes.workshop import DAY, HOUR, MINUTE, NOW, Workshop, questions, write_lines
from tests.retraining.conftest import Models

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

Real = Callable[..., Workshop]


def handed_in(shop: Workshop, model: Path) -> Course:
    """A job whose pairs are collected, and whose trainer gave ``model`` out."""
    course = shop.begun()
    collect(shop.work(course, "pairs"))
    shutil.copytree(model, course.path / "candidate")
    return course


def test_a_better_model_is_let_through_with_every_reason(real: Real, models: Models) -> None:
    shop = real()
    course = handed_in(shop, models.good)
    said = judge_candidate(shop.work(course, "judge"))
    assert said.startswith("the gate says yes: ")
    assert course.judgement.passed
    names = [each.name for each in course.judgement.reasons]
    assert {"enough evidence", "gain", "gain beyond the canaries", "nothing forgotten"} <= set(names)
    together = next(each for each in course.judgement.differences if each.group == "unseen" and each.lang == "all")
    assert together.new > together.old + 0.1
    assert read_json(course.path / "judgement.json")["candidate"] == folder_hash(course.path / "candidate")


@pytest.mark.parametrize("model", ["bad", "base"])
def test_a_model_that_is_worse_or_no_better_is_refused_for_good(real: Real, models: Models, model: str) -> None:
    shop = real()
    course = handed_in(shop, getattr(models, model))
    with pytest.raises(Refused, match="the gate says no: ") as first:
        judge_candidate(shop.work(course, "judge"))
    assert not course.judgement.passed
    shutil.rmtree(course.path / "candidate")  # what was said is not looked for again
    with pytest.raises(Refused) as second:
        judge_candidate(shop.work(course, "judge", NOW + DAY))
    assert str(second.value) == str(first.value)


def test_both_models_are_kept_side_by_side_with_live_queries_and_without_any_text(
    real: Real, models: Models, tmp_path: Path
) -> None:
    shop = real()
    live = [text for text, _ in questions()[1::2]]
    rows = [
        {
            "ts": (NOW - DAY + number * MINUTE).isoformat(), "query": text, "lang": "en", "session": f"s{number}",
            "results": [{"id": "d0-1", "score": 0.5}],
        }
        for number, text in enumerate(live)
    ]  # fmt: skip
    write_lines(tmp_path / "queries.jsonl", rows)
    Engine(shop.watch, shop.store).observer.observe("live", NOW - DAY + 2 * HOUR)
    course = handed_in(shop, models.good)
    judge_candidate(shop.work(course, "judge"))
    found = course.comparison
    assert (found.old.name, found.new.name) == ("the model in use", "the candidate")
    assert found.canaries["all"][0].better > found.canaries["all"][0].worse
    assert found.queries["all"].n == len(live)
    assert 0 < found.queries["all"].overlap.value < 1
    assert found.differ_most
    assert not any(each.text for each in found.differ_most)
    kept = json.dumps(read_json(course.path / "judgement.json")["comparison"])
    assert not any(text in kept for text in live)


def test_the_candidate_is_asked_as_the_model_in_use_is(real: Real, models: Models) -> None:
    shop = real()
    course = shop.begun()
    model = candidate_model(shop.work(course, "judge"))
    assert model.model == str(course.path / "candidate")
    assert shop.watch.embedder is not None
    assert model.model_dump(exclude={"model"}) == shop.watch.embedder.model_dump(exclude={"model"})
