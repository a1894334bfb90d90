"""A step that failed is tried again: what it needs may be out of reach for a while, and a job costs weeks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from driftwatch.pages.jobs import shown
from driftwatch.retrain import _process
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retraining.course import Course, Step
from driftwatch.retraining.steward import MOST_FAILURES
from tests.fakes.jobs import until
from tests.fakes.workshop import DAY, MINUTE, NOW, Workshop, decide, kill, questions, write_lines

pytestmark = pytest.mark.process


def fail(folder: JobFolder, reason: str) -> None:
    """The program of a step said itself that it failed, and was seen to."""
    decide(folder, "failed", reason)
    said = {"version": 1, "job_id": folder.job_id, "outcome": "failed", "reason": reason}
    write_json(folder.path / "result.json", said)


FAILING: dict[Step, Callable[[Workshop, Path], Course]] = {
    "pairs": lambda shop, _: shop.begun(),
    "mine": lambda shop, _: shop.done(shop.begun(), "pairs"),
    "judge": lambda shop, candidate: shop.trained(candidate),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_step_that_failed_is_tried_again_later_and_later(shop: Workshop, candidate: Path, name: Step) -> None:
    course = FAILING[name](shop, candidate)
    fail(course.another(name) if course.tries(name)[0].outcome else course.step(name), "the database is down.")
    for minutes in (10, 20):
        stand = shop.steward().step(NOW + minutes * MINUTE - MINUTE)
        assert (stand.job, stand.doing, course.reached) == (course.job_id, name, name)
        assert f"again 2026-11-21 09:{minutes} UTC" in stand.sentence
        assert "the database is down" in stand.sentence
        page = shown(course, shop.store)
        (stage,) = (each for each in page.stages if each.state == "going")
        assert (page.state, stage.name, stage.said) == ("going", name, "the database is down.")
        tries = len(course.tries(name))
        assert shop.steward().step(NOW + minutes * MINUTE).doing == name
        assert len(course.tries(name)) == tries + 1
        assert _process.started(course.step(name)) is not None
        kill(course.step(name))
        fail(course.step(name), "the database is down.")
    assert shop.jobs == [course.job_id]


def test_a_step_that_always_fails_ends_the_job(shop: Workshop) -> None:
    course = shop.begun()
    for number in range(1, MOST_FAILURES + 1):
        fail(course.another("pairs") if number > 1 else course.step("pairs"), f"failure {number}")
    stand = shop.steward().step(NOW + DAY)
    assert (stand.doing, stand.sentence) == ("failed", f"failure {MOST_FAILURES}")
    assert len(course.tries("pairs")) == MOST_FAILURES


def test_a_step_that_was_stopped_is_not_tried_again(shop: Workshop) -> None:
    course = shop.begun()
    course.step("pairs").path.mkdir(parents=True)
    course.step("pairs").stop("somebody did not want it.", NOW)
    fail(course.step("pairs"), "it was stopped.")
    assert shop.steward().step(NOW + DAY).doing == "failed"
    assert len(course.tries("pairs")) == 1


def test_what_was_out_of_reach_is_there_again_and_the_same_job_goes_on(shop: Workshop) -> None:
    """The documents are on a share that is gone for a while."""
    course, articles = shop.begun(), shop.watch.base / "articles.jsonl"
    away = articles.rename(articles.with_suffix(".away"))
    until(lambda: "again" in shop.steward().step(NOW).sentence, 60)
    assert "articles.jsonl" in shop.steward().step(NOW).sentence
    away.rename(articles)
    labels = [{"query": text, "doc_id": doc_id, "lang": "en"} for text, doc_id in questions()[:5]]
    write_lines(shop.watch.base / "labels.jsonl", labels)  # too few, so that it ends before a model is loaded
    until(lambda: shop.steward().step(NOW + 10 * MINUTE).job == "", 60)
    assert course.ended is not None
    assert course.ended.how == "refused"
    assert [each.job_id for each in course.tries("pairs")] == ["pairs", "pairs-2"]
    assert shop.jobs == [course.job_id]
