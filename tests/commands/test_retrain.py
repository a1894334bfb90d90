"""`driftwatch retrain …`: a job by hand, step by step, each with its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from driftwatch.cli import app
from driftwatch.commands import retrain
from driftwatch.config.release import registry_of
from driftwatch.errors import RetrainError
from driftwatch.retrain import _process
from driftwatch.retrain.dataset import write_json
from driftwatch.retrained import Manifest
from driftwatch.retraining.course import STEPS, Course, courses
from tests.fakes.workshop import DAY, NOW, Workshop, hands_out, kill, questions, spec, write_lines, write_project
from tests.fakes.world import RECALL, make_world

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
HANGS = f"  trainer: {{run: {json.dumps([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(300)'])}}}"
VERBS = ("status", "pairs", "mine", "train", "gate", "run", "promote", "reject", "rollback")


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    folder = tmp_path / "handed-in"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def shop(tmp_path: Path, candidate: Path) -> Iterator[Workshop]:
    """A project whose model is never loaded; what runs of its jobs ends with the test."""
    made = Workshop.at(write_project(tmp_path, "base", hands_out(candidate)))
    yield made
    for course in courses(made.steward().folder):
        for folder in (*map(course.step, STEPS), course.training, *course.attempts):
            kill(folder)
    made.store.close()


def config(shop: Workshop) -> Path:
    return shop.watch.path


def printed(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    return json.loads(capsysbinary.readouterr().out)


def too_few(shop: Workshop) -> None:
    rows = [{"query": text, "doc_id": doc_id, "lang": "en"} for text, doc_id in questions()[:5]]
    write_lines(shop.watch.base / "labels.jsonl", rows)


# --- how things stand -------------------------------------------------------------------------------------------------


def test_status_says_what_is_in_use_what_speaks_against_a_job_and_how_far_each_is(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    shop.begun(NOW - 2 * DAY).end("refused", "there were too few pairs.", NOW - DAY)
    course = shop.trained(candidate)
    retrain.status(config(shop), json=True)
    said = printed(capsysbinary)
    assert said["release"] is None
    assert said["start"] is False
    assert {each["name"] for each in said["reasons"]} == {
        "cause", "lasting", "pairs", "one at a time", "cool-down", "jobs a month",
    }  # fmt: skip
    assert "There are 84 pairs" in next(each["sentence"] for each in said["reasons"] if each["name"] == "pairs")
    assert [(each["step"], each["reason"]) for each in said["jobs"]] == [
        ("refused", "there were too few pairs."),
        ("judge", ""),
    ]
    assert said["jobs"][1]["job"] == course.job_id
    retrain.status(config(shop), json=False)
    text = capsysbinary.readouterr().out.decode()
    assert "in use: what the configuration says" in text
    assert course.job_id in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb: str) -> None:
    done = CliRunner().invoke(app, ["retrain", verb, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.output


# --- a step -----------------------------------------------------------------------------------------------------------


def test_a_job_begun_by_hand_with_too_little_ends_with_its_reason_and_exit_code_1(
    shop: Workshop, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    too_few(shop)
    assert retrain.pairs(config(shop), json=True) == 1
    said = printed(capsysbinary)
    assert said["step"] == "refused"
    assert "there are 5 pairs, and 20 are wanted" in said["said"]
    (course,) = courses(shop.steward().folder)
    assert course.job_id == said["job"]
    assert course.wanted["reasons"] == ["It was begun by hand."]


def test_a_step_that_failed_by_hand_is_said_at_once_and_tried_again_by_the_next_command(
    shop: Workshop, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    articles = shop.watch.base / "articles.jsonl"
    away = articles.rename(articles.with_suffix(".away"))
    assert retrain.pairs(config(shop), json=True) == 1
    said = printed(capsysbinary)
    assert said["step"] == "pairs"
    assert "articles.jsonl" in said["said"]
    (course,) = courses(shop.steward().folder)
    assert course.ended is None
    away.rename(articles)
    too_few(shop)
    assert retrain.step(config(shop), "", "", json=True) == 1
    assert "there are 5 pairs" in printed(capsysbinary)["said"]
    assert course.ended is not None
    assert [each.job_id for each in course.tries("pairs")] == ["pairs", "pairs-2"]


def test_one_job_at_a_time_is_true_by_hand_too(shop: Workshop) -> None:
    course = shop.begun()
    with pytest.raises(RetrainError, match=f"{course.job_id} is not over.*reject --job {course.job_id}"):
        retrain.pairs(config(shop), json=False)
    assert shop.jobs == [course.job_id]


@pytest.mark.parametrize("name", ["mine", "train", ""])
def test_without_a_job_no_step_can_be_done(shop: Workshop, name: str) -> None:
    with pytest.raises(RetrainError, match=r"no job is under way.*`driftwatch retrain pairs` begins one"):
        retrain.step(config(shop), "", name, json=False)
    with pytest.raises(RetrainError, match="no job is under way"):
        retrain.gate(config(shop), "", json=False)


@pytest.mark.parametrize("job", ["20261121-ffffffff", "../../etc", "", "a b"])
def test_a_job_that_there_is_not_is_said(shop: Workshop, job: str) -> None:
    with pytest.raises(RetrainError, match=r"there is no job|not the id of a job|no job is under way"):
        retrain.promote(config(shop), job, "ada", json=False)


def test_a_step_that_was_done_is_not_done_again(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    course = shop.judged(candidate)
    for name in ("mine", "train"):
        assert retrain.step(config(shop), "", name, json=True) == 0
        said = printed(capsysbinary)
        assert (said["job"], said["step"]) == (course.job_id, name)
    assert not any(_process.started(each) for each in (*map(course.step, STEPS), course.training))
    assert shop.store.approvals.of(course.job_id) is None


def test_training_is_done_where_the_configuration_says(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    course = shop.done(shop.begun(), "pairs", "mine")
    (course.path / "dataset").mkdir()
    write_json(course.path / "job.json", spec(course))
    assert retrain.step(config(shop), course.job_id, "train", json=True) == 0
    assert printed(capsysbinary)["step"] == "train"
    assert (course.path / "candidate" / "model.safetensors").read_bytes() == b"weights"


def test_every_step_that_is_left_leads_to_the_question(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    course = shop.judged(candidate)
    assert retrain.step(config(shop), "", "", json=True) == 0
    said = printed(capsysbinary)
    assert said["step"] == "ask"
    assert "somebody must say yes or no" in said["said"]
    assert shop.store.approvals.of(course.job_id) is not None


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_the_gate_shows_reasons_figures_and_both_models_side_by_side(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.judged(candidate)
    assert retrain.gate(config(shop), "", json=True) == 0
    said = printed(capsysbinary)
    assert said["judgement"]["passed"] is True
    assert said["judgement"]["reasons"][0]["sentence"] == "nDCG@10 rises by 0.300."
    assert said["comparison"]["canaries"]["all"][0]["better"] == 12
    assert said["comparison"]["differ_most"][0]["query_id"] == "canaries:c7"
    monkeypatch.setenv("COLUMNS", "220")
    retrain.gate(config(shop), "", json=False)
    text = capsysbinary.readouterr().out.decode()
    for shown in ("the gate says yes", "+0.300 (+0.200 to +0.400)", "the candidate", "canaries:c7", "not found → 1"):
        assert shown in text


def test_a_no_of_the_gate_is_exit_code_1_and_nobody_is_asked(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    course = shop.judged(candidate, passed=False)
    for _ in range(2):
        assert retrain.gate(config(shop), course.job_id, json=True) == 1
        assert printed(capsysbinary)["judgement"]["passed"] is False
    assert course.ended is not None
    assert course.ended.how == "refused"
    assert shop.store.approvals.of(course.job_id) is None
    with pytest.raises(RetrainError, match="nobody was asked"):
        retrain.promote(config(shop), course.job_id, "ada", json=False)
    assert registry_of(shop.watch).current() is None


# --- a person ---------------------------------------------------------------------------------------------------------


def test_nothing_is_promoted_before_the_gate_has_spoken(shop: Workshop, candidate: Path) -> None:
    course = shop.trained(candidate)
    with pytest.raises(RetrainError, match=r"nobody was asked about the job .* yet.*driftwatch retrain run"):
        retrain.promote(config(shop), course.job_id, "ada", json=False)
    assert not course.attempts


def test_a_question_that_expired_cannot_be_answered_with_yes(shop: Workshop, candidate: Path) -> None:
    course = shop.asked(candidate, NOW - timedelta(days=400))
    with pytest.raises(RetrainError, match="so the answer is no"):
        retrain.promote(config(shop), course.job_id, "ada", json=False)
    assert not course.attempts


def test_a_no_ends_the_job_and_is_kept_with_who_said_it(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    from driftwatch.show import now_utc

    course = shop.asked(candidate, now_utc())
    assert retrain.reject(config(shop), course.job_id, "ada", json=True) == 0
    assert printed(capsysbinary)["ended"]["how"] == "rejected"
    (logged,) = shop.store.approvals.log(course.job_id)
    assert (logged.user, logged.action, logged.outcome) == ("ada", "reject", "rejected")
    with pytest.raises(RetrainError, match="rejected by ada"):
        retrain.promote(config(shop), course.job_id, "eve", json=False)


def test_a_job_that_runs_is_ended_with_what_runs_of_it(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    shop = Workshop.at(write_project(tmp_path, "base", HANGS))
    course = shop.done(shop.begun(), "pairs", "mine")
    (course.path / "dataset").mkdir()
    write_json(course.path / "job.json", spec(course))
    shop.steward().step(NOW)
    assert _process.is_running(course.training)
    assert retrain.reject(config(shop), course.job_id, "ada", json=False) == 0
    assert not _process.is_running(course.training)
    assert ended(course) == ("rejected", "ada did not want it.")
    shop.store.close()


def ended(course: Course) -> tuple[str, str]:
    assert course.ended is not None
    return course.ended.how, course.ended.reason


def switched(shop: Workshop, candidate: Path) -> str:
    """A release that is in use, and what was in use before it."""
    registry = registry_of(shop.watch)
    registry.adopt(Manifest("20261101T090000Z-00000000", NOW - 20 * DAY, "base"))
    new = Manifest("20261121T090000Z-aaaaaaaa", NOW, "model", index={"kind": "faiss"}, replaces="elsewhere")
    registry.add(candidate, new)
    registry.switch(new.release)
    return new.release


def test_going_back_is_one_step_and_from_one_release_it_is_one_however_often_it_is_said(
    shop: Workshop, candidate: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    left = switched(shop, candidate)
    for _ in range(3):
        assert retrain.rollback(config(shop), "ada", left, json=True) == 0
        assert printed(capsysbinary)["release"]["model"] == "base"
    who = registry_of(shop.watch).rolled_back(left)
    assert who is not None
    assert who["by"] == "ada"
    with pytest.raises(RetrainError, match="there is no release to go back to"):
        retrain.rollback(config(shop), "ada", "", json=False)


def test_where_nothing_was_promoted_there_is_nothing_to_go_back_to(shop: Workshop) -> None:
    with pytest.raises(RetrainError, match="there is no release to go back to"):
        retrain.rollback(config(shop), "ada", "", json=False)
    assert not (registry_of(shop.watch).folder / "current").exists()


# --- as a program -----------------------------------------------------------------------------------------------------


def driftwatch(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "USER": "ada"}
    command = [sys.executable, "-m", "driftwatch.cli", "retrain", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(400)
def test_without_the_section_it_says_where_one_belongs_and_exits_with_3(tmp_path: Path) -> None:
    make_world(tmp_path, RECALL)
    done = driftwatch("pairs", cwd=tmp_path)
    assert done.returncode == 3
    assert "driftwatch.yaml: there is no 'retrain:' section" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(400)
def test_a_rollback_by_the_program_names_who_runs_it(shop: Workshop, candidate: Path) -> None:
    left = switched(shop, candidate)
    done = driftwatch("rollback", "--from", left, "--json", cwd=shop.watch.base)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["release"]["model"] == "base"
    who = registry_of(shop.watch).rolled_back(left)
    assert who is not None
    assert who["by"] == "ada"
