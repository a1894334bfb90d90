"""An approved model, its index and its cut-off are switched on together, or nothing is; and one step leads back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from driftwatch.config import load_watch
from driftwatch.config.release import registry_of
from driftwatch.embed import TextEmbedder
from driftwatch.errors import RetrainError
from driftwatch.retrain import promote as promotion
from driftwatch.retrain.dataset import read_json, write_json
from driftwatch.retraining.course import Course
from driftwatch.retraining.promoting import promote, roll_back
from driftwatch.retraining.work import Refused
from driftwatch.retraining.worker import work_on
from tests.fakes.workshop import DAY, HOUR, MINUTE, NOW, Workshop, decide, questions
from tests.retraining.conftest import Models

pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]

Real = Callable[..., Workshop]


def stage(course: Course) -> str:
    known = promotion.read(course.path)
    return known.stage if known else ""


def found_by(shop: Workshop) -> float:
    """The share of questions whose document is the best, by what a newly read configuration names."""
    watch = load_watch(shop.watch.path)
    assert watch.embedder is not None
    assert watch.index is not None
    texts = [text for text, _ in questions()]
    vectors = TextEmbedder(watch.embedder, watch.state).encode_queries(texts)
    hits = watch.index.search_vectors(vectors, 1)
    watch.index.close()
    return sum(best[0].doc_id == doc_id for best, (_, doc_id) in zip(hits, questions(), strict=True)) / len(texts)


def test_model_index_and_cut_off_are_in_use_together(real: Real, models: Models) -> None:
    shop = real()
    course = shop.approved(models.good)
    before = found_by(shop)
    said = promote(shop.work(course, "promote-1"))
    assert said.endswith(": told.")
    current = registry_of(shop.watch).current()
    assert current is not None
    assert (current.job, current.approved_by, current.threshold) == (course.job_id, "U1", 0.7)
    assert current.replaces == str(models.base)
    assert current.measures == {"nDCG@10 unseen": 0.8}
    assert found_by(shop) > before + 0.2
    assert promote(shop.work(course, "promote-2", NOW + DAY)) == said  # done, it stays done
    assert len(registry_of(shop.watch).releases()) == 2


def test_a_candidate_that_was_changed_after_the_approval_is_refused_for_good(real: Real, models: Models) -> None:
    shop = real()
    course = shop.approved(models.good)
    shutil.copyfile(models.bad / "model.safetensors", course.path / "candidate" / "model.safetensors")
    with pytest.raises(Refused, match="is not the model that was judged"):
        promote(shop.work(course, "promote-1"))
    assert stage(course) == ""
    assert registry_of(shop.watch).current() is None
    work = shop.work(course, "promote-1")
    assert work_on(work) == "refused"
    (work.folder.path / "result.json").replace(work.folder.path / "outcome.json")
    outcome = read_json(work.folder.path / "outcome.json")
    write_json(work.folder.path / "outcome.json", {**outcome, "at": NOW})
    stand = shop.steward().step(NOW + MINUTE)
    assert stand.doing == "refused"
    assert "is not the model that was judged" in stand.sentence
    assert shop.steward().step(NOW + 2 * MINUTE).job == ""


@pytest.mark.parametrize("change", ["new.json", "model.safetensors"])
def test_a_file_more_or_less_is_another_candidate(real: Real, models: Models, change: str) -> None:
    shop = real()
    course = shop.approved(models.good)
    place = course.path / "candidate" / change
    place.unlink() if place.exists() else place.write_text("{}")
    with pytest.raises(Refused):
        promote(shop.work(course, "promote-1"))


def test_the_dual_run_is_waited_for_and_kept_without_any_text(real: Real, models: Models) -> None:
    shop = real("  promote: {dual_run: 1 day}")
    course = shop.approved(models.good)
    assert "old and new are both asked until" in promote(shop.work(course, "promote-1"))
    assert stage(course) == "checked"
    assert registry_of(shop.watch).manifest(release(course)).index
    work = shop.work(course, "promote-2", NOW + DAY + HOUR)
    promote(work)
    assert stage(course) == "told"
    kept = read_json(work.made / "dual-run.json")
    assert kept["new"]["name"] == release(course)
    assert all("text" not in each for each in kept["differ_most"])


def test_a_dual_run_that_shows_a_loss_leaves_the_old_release_in_use(real: Real, models: Models) -> None:
    shop = real("  promote: {dual_run: 1 day}")
    course = shop.approved(models.bad)
    promote(shop.work(course, "promote-1"))
    assert "of the canaries falls by" in promote(shop.work(course, "promote-2", NOW + DAY + HOUR))
    assert stage(course) == "refused"
    current = registry_of(shop.watch).current()
    assert current is not None
    assert current.model == str(models.base)
    for attempt in course.attempts:
        decide(attempt)
    shop.steward().go_on(course, NOW + 2 * DAY)
    assert course.ended is not None
    assert course.ended.how == "refused"


def release(course: Course) -> str:
    known = promotion.read(course.path)
    assert known is not None
    return known.release


def test_one_step_leads_back_and_said_twice_from_one_release_it_goes_back_once(
    real: Real, models: Models, tmp_path: Path
) -> None:
    shop = real()
    before = found_by(shop)
    course = shop.approved(models.good)
    promote(shop.work(course, "promote-1"))
    registry = registry_of(shop.watch)
    left = release(course)
    for _ in range(2):
        manifest, told = roll_back(shop.watch, "ada", NOW + DAY, left)
        assert (manifest.model, told) == (str(models.base), "")
        assert found_by(shop) == before
    who = registry.rolled_back(left)
    assert who is not None
    assert who["by"] == "ada"
    with pytest.raises(RetrainError, match="there is no release to go back to"):
        roll_back(shop.watch, "ada", NOW + DAY)
    with pytest.raises(RetrainError, match="is not in use"):
        roll_back(shop.watch, "ada", NOW + DAY, "20260101T000000Z-00000000")


def test_without_an_index_there_is_nothing_to_switch(shop: Workshop, candidate: Path) -> None:
    course = shop.approved(candidate)
    without = Workshop(shop.watch.model_copy(update={"index": None, "retriever": None}), shop.store)
    with pytest.raises(RetrainError, match="there is no 'index:' section"):
        promote(without.work(course, "promote-1"))
    assert stage(course) == ""
