"""What a step has in its hands, and how it says how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import read_json
from driftwatch.retraining.work import Work
from tests.fakes.workshop import Workshop


@pytest.fixture
def work(shop: Workshop) -> Work:
    course = shop.begun()
    course.step("pairs").path.mkdir(parents=True)
    return shop.work(course, "pairs")


def test_progress_can_be_read_by_who_watches_the_step(work: Work) -> None:
    work.say("mining", 3, 40, 12.5)
    progress = work.folder.progress
    assert progress is not None
    assert (progress.stage, progress.step, progress.steps, progress.eta_seconds) == ("mining", 3, 40, 12.5)
    assert read_json(work.folder.path / "progress.json")["job_id"] == "pairs"


def test_what_it_makes_lies_in_the_folder_of_the_step(work: Work) -> None:
    assert work.made == work.course.path / "steps" / "pairs" / "made"


def test_vectors_are_kept_beside_the_database(work: Work, tmp_path: Path) -> None:
    assert work.embedder().directory == tmp_path / "vectors"


def test_without_a_model_there_is_nothing_to_train(work: Work) -> None:
    without = Work(work.watch.model_copy(update={"embedder": None}), work.store, work.course, work.folder, work.now)
    with pytest.raises(RetrainError, match=r"there is no 'embedder:' section.*Name the model"):
        _ = without.model
