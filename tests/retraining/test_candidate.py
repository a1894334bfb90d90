"""What a trainer hands in lies where it says, and is foreign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftwatch.errors import RetrainError
from driftwatch.retraining.judging import candidate_model
from driftwatch.retraining.promoting import _versions
from tests.fakes.workshop import Workshop, decide, write_project


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "base").mkdir()
    shop = Workshop.at(write_project(tmp_path, tmp_path / "base"))
    yield shop
    shop.store.close()


def test_the_model_that_is_judged_lies_where_the_trainer_says(shop: Workshop) -> None:
    course = shop.done(shop.begun(), "pairs", "mine")
    assert course.candidate == course.path / "candidate"
    decide(course.training, candidate="out/best")
    assert course.candidate == course.path / "out" / "best"
    assert candidate_model(shop.work(course, "judge")).model == str(course.path / "out" / "best")


def test_a_folder_that_became_a_link_out_of_the_job_is_no_candidate(shop: Workshop, tmp_path: Path) -> None:
    course = shop.begun()
    decide(course.training, candidate="out")
    (course.path / "out").rmdir()
    (course.path / "out").symlink_to(tmp_path)
    with pytest.raises(RetrainError, match="not inside the folder of the job"):
        _ = course.candidate


@pytest.mark.parametrize("said", [{}, {"versions": None}, {"versions": [1]}, {"versions": "5.0"}])
def test_versions_that_are_none_are_left_out(tmp_path: Path, said: object) -> None:
    (tmp_path / "driftwatch_model.json").write_text(json.dumps(said))
    assert _versions(tmp_path) == {}


def test_versions_are_kept_in_bounds_and_on_one_line(tmp_path: Path) -> None:
    said = {"torch": "2.9\n\x1b[2J", **{f"package {number}": "x" * 5000 for number in range(500)}}
    (tmp_path / "driftwatch_model.json").write_text(json.dumps({"versions": said}))
    found = _versions(tmp_path)
    assert len(found) == 100
    assert found["torch"] == "2.9 [2J"
    assert max(map(len, found.values())) == 100
