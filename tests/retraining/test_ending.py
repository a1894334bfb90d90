"""Jobs that end before their model is in use, or cannot go on: nothing of them is in the way of the next one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.commands import retrain
from driftwatch.config import load_watch
from driftwatch.config.release import registry_of
from driftwatch.errors import ConfigErrors, RetrainError
from driftwatch.retrain import promote as promotion
from driftwatch.retrain._promotion import moved
from driftwatch.retrain.folders import folder_hash
from driftwatch.retrain.manifests import in_use
from driftwatch.retrain.promote import Promotion
from driftwatch.retrained import Manifest
from driftwatch.retraining.course import Course
from driftwatch.retraining.preparing import collect
from driftwatch.retraining.promoting import promote
from driftwatch.retraining.steward import MOST_FAILURES
from tests.fakes.workshop import DAY, NOW, Workshop, decide, known_model, write_index, write_project

RELEASE = "20261121T090000Z-aaaaaaaa"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    (tmp_path / "base").mkdir()
    shop = Workshop.at(write_project(tmp_path, tmp_path / "base"))
    yield shop
    shop.store.close()


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "given"


def begun(shop: Workshop, course: Course, stage: promotion.Stage = "added") -> Manifest:
    """Its promotion was begun, and came as far as that."""
    model = course.path / "candidate"
    wanted = Manifest(
        RELEASE, NOW, "model", job=course.job_id, approved_by="U1", replaces=str(shop.watch.base / "base")
    )
    registry = registry_of(shop.watch)
    registry.adopt(in_use("base", shop.watch.index, NOW - DAY))
    registry.add(model, wanted)
    promotion.begin(
        course.path, wanted, candidate=model, judged=folder_hash(model), judgement=course.judgement, registry=registry,
        now=NOW,
    )  # fmt: skip
    moved(course.path, stands(course), stage, NOW)
    return wanted


def stands(course: Course) -> Promotion:
    known = promotion.read(course.path)
    assert known is not None
    return known


def switched_on(shop: Workshop, release: str) -> None:
    registry = registry_of(shop.watch)
    registry.amend(release, index={"kind": "faiss", "index": "index/docs.faiss", "ids": "index/ids.txt"})
    registry.switch(release)


def test_a_job_whose_switch_failed_too_often_is_not_in_the_way_of_the_next_one(shop, candidate):
    course = shop.approved(candidate)
    begun(shop, course)
    for number in range(1, MOST_FAILURES + 1):
        decide(course.attempt(number), "failed", "the disk is full")
    stand = shop.steward().go_on(course, NOW + DAY)
    assert (stand.doing, stand.sentence) == ("failed", "the disk is full")
    assert (stands(course).stage, stands(course).waiting) == ("refused", "the disk is full")
    later = shop.approved(candidate, NOW + 30 * DAY)
    assert later.job_id != course.job_id
    model = later.path / "candidate"
    promotion.begin(
        later.path, Manifest("20261222T090000Z-bbbbbbbb", NOW, "model", approved_by="U1"), candidate=model,
        judged=folder_hash(model), judgement=later.judgement, registry=registry_of(shop.watch), now=NOW,
    )  # fmt: skip


def test_a_job_whose_model_is_in_use_all_the_same_is_promoted_whatever_failed_after_that(shop, candidate):
    course = shop.approved(candidate)
    switched_on(shop, begun(shop, course, "switched").release)
    for number in range(1, MOST_FAILURES + 1):
        decide(course.attempt(number), "failed", "no such folder")
    assert shop.steward().go_on(course, NOW + DAY).doing == "promoted"
    assert stands(course).stage == "told"


def test_until_its_model_is_in_use_a_job_can_be_ended_although_it_was_approved(shop, candidate, capsys):
    course = shop.approved(candidate)
    begun(shop, course, "checked")  # the dual run, which takes days
    assert retrain.reject(shop.watch.path, course.job_id, "ada", json=False) == 0
    assert course.ended is not None
    assert (course.ended.how, course.ended.reason) == ("rejected", "ada did not want it.")
    assert stands(course).stage == "refused"


def test_a_model_in_use_is_not_rejected_but_left(shop, candidate):
    course = shop.approved(candidate)
    switched_on(shop, begun(shop, course, "switched").release)
    with pytest.raises(RetrainError, match="is in use"):
        retrain.reject(shop.watch.path, course.job_id, "ada", json=False)
    assert course.ended is None


def test_a_switch_that_was_killed_goes_on_by_the_same_command(shop, candidate, capsys):
    course = shop.approved(candidate)
    switched_on(shop, begun(shop, course, "told").release)
    assert retrain.promote(shop.watch.path, course.job_id, "ada", json=False) == 0
    assert course.ended is not None
    assert course.ended.how == "promoted"
    question = shop.store.approvals.of(course.job_id)
    assert question is not None
    assert question.decided_by == "U1"


def test_a_model_that_somebody_left_is_not_said_to_be_in_use(shop, candidate, capsys):
    course = shop.approved(candidate)
    switched_on(shop, begun(shop, course, "told").release)
    assert retrain.promote(shop.watch.path, course.job_id, "ada", json=False) == 0
    registry_of(shop.watch).rollback(now=NOW, by="ada")
    with pytest.raises(RetrainError, match="another one is since"):
        retrain.promote(shop.watch.path, course.job_id, "ada", json=False)


def test_somebody_who_said_no_is_not_overruled_by_a_yes(shop, candidate):
    course = shop.asked(candidate)
    shop.store.approvals.decide_by_hand(course.job_id, "reject", "U1", NOW + timedelta(hours=1))
    with pytest.raises(RetrainError, match="rejected by U1"):
        retrain.promote(shop.watch.path, course.job_id, "ada", json=False)


def test_one_can_go_back_from_a_release_that_cannot_be_read(shop, candidate, capsys):
    course = shop.approved(candidate)
    wanted = begun(shop, course, "told")
    switched_on(shop, wanted.release)
    registry = registry_of(shop.watch)
    (registry.place(wanted.release) / "manifest.json").write_text("{")
    with pytest.raises(ConfigErrors):
        retrain.status(shop.watch.path, json=False)
    assert retrain.rollback(shop.watch.path, "ada", "", json=False) == 0
    current = registry.current()
    assert current is not None
    assert current.model == "base"


def test_of_a_daemon_and_a_person_who_begin_at_once_one_begins_a_job(shop):
    stewards = [shop.steward() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        begun_by = list(pool.map(lambda number: stewards[number].begin(NOW, [], f"incident {number}").job_id, range(8)))
    assert len(set(begun_by)) == 1
    assert shop.jobs == begun_by[:1]
    Course(shop.steward().folder / "jobs" / begun_by[0]).end("refused", "there were too few pairs.", NOW)
    assert shop.steward().begin(NOW, [], "incident 9").job_id not in begun_by


def test_jobs_that_are_over_make_room_when_another_one_begins(shop, tmp_path):
    retraining = shop.watch.retrain
    tiny = retraining.promote.model_copy(update={"disk": 1})
    full = shop.watch.model_copy(update={"retrain": retraining.model_copy(update={"promote": tiny})})
    over = shop.begun(NOW - 40 * DAY)
    (over.path / "dataset").mkdir()
    (over.path / "dataset" / "pairs.jsonl").write_text("{}\n")
    over.end("refused", "there were too few pairs.", NOW - 39 * DAY)  # so there was no training, and no result of it
    course = shop.begun(NOW)
    (course.path / "dataset").mkdir()
    (course.path / "dataset" / "pairs.jsonl").write_text("")
    small = Workshop(full, shop.store)
    assert collect(small.work(course, "pairs")) == "the pairs were collected."
    assert sorted(each.name for each in over.path.iterdir()) == ["ended.json", "wanted.json"]
    assert (course.path / "dataset" / "pairs.jsonl").exists()
    assert [each.job_id for each in map(Course.as_past, (over, course))] == [over.job_id, course.job_id]


@pytest.mark.process
def test_a_dual_run_begins_when_the_new_index_stands_and_not_when_its_making_began(shop, tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed (extra 'embed')")
    model = known_model(tmp_path / "model", 20)
    config = write_project(tmp_path, model, "  promote: {dual_run: 1h}")
    write_index(tmp_path, model)
    lasting = Workshop(load_watch(config), shop.store)
    course = lasting.approved(model)
    work = lasting.work(course, "promote-1")
    work.made.mkdir(parents=True)
    assert "both asked until" in promote(work)
    at = {stage: datetime.fromisoformat(text) for stage, text in stands(course).at.items()}
    assert at["approved"] < at["added"] < at["rebuilt"] < at["checked"]


@pytest.mark.process
def test_who_could_not_be_told_of_a_rollback_is_told_also_while_a_job_waits_for_an_answer(shop, candidate, tmp_path):
    says = f"import os; open({str(tmp_path / 'told')!r}, 'w').write(os.environ['DRIFTWATCH_RELEASE'])"
    retraining = shop.watch.retrain
    run = retraining.promote.model_copy(update={"run": (sys.executable, "-c", says)})
    watch = shop.watch.model_copy(update={"retrain": retraining.model_copy(update={"promote": run})})
    adopted = in_use("base", watch.index, NOW - DAY)
    registry_of(watch).adopt(adopted)
    shop.asked(candidate)
    steward = Workshop(watch, shop.store).steward()
    assert steward.step(NOW).doing == "ask"
    assert steward._telling is not None
    steward._telling.join(30)
    assert (tmp_path / "told").read_text() == adopted.release
