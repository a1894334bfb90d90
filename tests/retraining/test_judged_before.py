"""How often candidates were judged against one model is counted, so that who knocks often enough is not let in."""

from __future__ import annotations

from pathlib import Path

from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.gate import ENOUGH
from driftwatch.retraining.course import JUDGEMENT, Course
from driftwatch.retraining.judging import judged_before
from tests.fakes.workshop import NOW

IN_USE = "base@"


def judged(jobs: Path, name: str, against: str = IN_USE, *, enough: bool = True) -> Course:
    course = Course(jobs / name)
    course.begin(NOW, "i1", [])
    reasons = [{"name": ENOUGH, "passed": enough, "sentence": ""}, {"name": "gain", "passed": False, "sentence": ""}]
    write_json(course.path / JUDGEMENT, {"version": 1, "against": against, "passed": False, "reasons": reasons})
    return course


def test_every_other_candidate_that_was_judged_against_this_model_counts(tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    for number in range(3):
        judged(jobs, f"20260{number + 1}01-0a1b2c3d")
    judged(jobs, "20260401-0a1b2c3d", against="another@")
    judged(jobs, "20260501-0a1b2c3d", enough=False)  # with so few questions the answer could only be no
    Course(jobs / "20260601-0a1b2c3d").begin(NOW, "i1", [])
    assert judged_before(Course(jobs / "20260701-0a1b2c3d"), IN_USE) == 3


def test_a_job_that_was_killed_after_it_was_judged_does_not_count_itself(tmp_path: Path) -> None:
    course = judged(tmp_path / "jobs", "20260101-0a1b2c3d")
    assert judged_before(course, IN_USE) == 0
