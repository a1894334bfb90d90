"""How far a job is stands in its folder, and nowhere else."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.compared import Side
from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import write_json
from driftwatch.retraining.course import JUDGEMENT, STEPS, Course, courses, open_course
from tests.fakes.workshop import NOW, decide, judgement

JOB = "20261121-0a1b2c3d"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    made = Course(tmp_path / "jobs" / JOB)
    made.begin(NOW, "i1", ["It lasts."])
    return made


def test_begun_twice_it_is_as_it_was_begun_first(course: Course) -> None:
    course.begin(NOW + timedelta(days=1), "i2", [])
    assert course.began == NOW
    assert course.wanted["reasons"] == ["It lasts."]


def test_the_first_word_on_how_it_ended_counts(course: Course) -> None:
    assert course.ended is None
    assert course.end("refused", "too little", NOW).how == "refused"
    assert course.end("promoted", "in use", NOW + timedelta(days=1)).how == "refused"
    assert course.ended is not None
    assert (course.ended.reason, course.ended.at) == ("too little", NOW)


def test_each_step_that_is_done_leads_to_the_next(course: Course) -> None:
    reached = [course.reached]
    for folder in (course.step("pairs"), course.step("mine"), course.training, course.step("judge")):
        decide(folder, reason=f"{folder.job_id} is done")
        reached.append(course.reached)
    assert reached == ["pairs", "mine", "train", "judge", "ask or promote"]
    assert [course.said(name) for name in (*STEPS, "train")] == [
        "pairs is done", "mine is done", "judge is done", f"{JOB} is done",
    ]  # fmt: skip


def test_what_has_not_ended_has_said_nothing(course: Course) -> None:
    assert [course.said(name) for name in ("pairs", "train", "ask", "promote")] == ["", "", "", ""]


def test_attempts_are_in_the_order_of_their_numbers_and_other_folders_are_none(course: Course) -> None:
    for name in ("promote-10", "promote-2", "promote-1", "promote-x", "judge"):
        (course.path / "steps" / name).mkdir(parents=True)
    assert [each.job_id for each in course.attempts] == ["promote-1", "promote-2", "promote-10"]


def test_reports_are_named_where_there_are_some(course: Course) -> None:
    report = course.step("mine").path / "made" / "report.json"
    write_json(report, {})
    assert course.reports == {"mine": str(report)}


def test_the_judgement_is_read_back_with_both_models_side_by_side(course: Course) -> None:
    assert not course.judged
    (course.path / "candidate").mkdir()
    (course.path / "candidate" / "model.safetensors").write_bytes(b"weights")
    write_json(course.path / JUDGEMENT, judgement(course))
    assert course.judged
    assert course.judgement.passed
    assert course.judgement.differences[0].gain == pytest.approx(0.3)
    assert course.comparison.new == Side("the candidate", 40)
    assert course.comparison.canaries["all"][0].better == 12


@pytest.mark.parametrize("kept", [None, {}, {"version": 2}, {"version": 1, "at": "tomorrow"}, [1]])
def test_a_comparison_that_cannot_be_read_is_said(course: Course, kept: object) -> None:
    write_json(course.path / JUDGEMENT, {"passed": True, "comparison": kept})
    with pytest.raises(RetrainError, match=r"judgement\.json: this is no comparison|judgement\.json: Invalid|another"):
        _ = course.comparison


def test_a_moment_that_is_none_is_said_and_not_passed_over(course: Course) -> None:
    (course.path / "ended.json").write_text(json.dumps({"version": 1, "how": "failed", "reason": "", "at": "soon"}))
    with pytest.raises(RetrainError, match="'soon' is not a moment"):
        _ = course.ended


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("promoted", "done"),
        ("rolled back", "done"),
        ("failed", "failed"),
        ("refused", "refused"),
        ("rejected", "refused"),
        ("expired", "refused"),
    ],
)
def test_the_trigger_counts_every_end(course: Course, how: str, outcome: str) -> None:
    assert course.as_past().finished is None
    course.end(how, "", NOW + timedelta(hours=3))  # type: ignore[arg-type]
    past = course.as_past()
    assert (past.job_id, past.started, past.finished, past.outcome) == (JOB, NOW, NOW + timedelta(hours=3), outcome)


def test_the_job_that_is_under_way_is_found_among_those_that_are_over(tmp_path: Path) -> None:
    assert open_course(tmp_path) is None
    for day in ("20261101", "20261111", "20261121"):
        Course(tmp_path / "jobs" / f"{day}-00000000").begin(datetime.fromisoformat(f"{day}T09:00:00Z"), "", [])
    for each in courses(tmp_path):
        if "1111" not in each.job_id:
            each.end("failed", "", NOW)
    found = open_course(tmp_path)
    assert found is not None
    assert found.job_id == "20261111-00000000"


def test_a_link_and_a_folder_that_nobody_began_are_no_jobs(tmp_path: Path) -> None:
    elsewhere = Course(tmp_path / "elsewhere")
    elsewhere.begin(NOW, "", [])
    (tmp_path / "jobs" / "20261121-11111111").mkdir(parents=True)
    (tmp_path / "jobs" / "20261121-22222222").symlink_to(elsewhere.path)
    assert list(courses(tmp_path)) == []
