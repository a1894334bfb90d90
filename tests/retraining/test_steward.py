"""What drives the jobs of a watch knows nothing but disk and store, so it may be killed between any two steps."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.config.release import registry_of
from driftwatch.errors import RetrainError
from driftwatch.retrain import _process
from driftwatch.retrain import promote as promotion
from driftwatch.retrain.dataset import write_json
from driftwatch.retrain.jobs import JobFolder
from driftwatch.retrained import Manifest
from driftwatch.retraining.course import Course, courses
from driftwatch.retraining.steward import MOST_FAILURES, UNASKED, Steward
from tests.fakes.jobs import until
from tests.fakes.workshop import (
    DAY,
    HOUR,
    INCIDENT,
    MINUTE,
    NOW,
    Workshop,
    decide,
    judgement,
    kill,
    questions,
    spec,
    write_lines,
)
from tests.retraining.conftest import Make

pytestmark = pytest.mark.process

HANGS = f"  trainer: {{run: {json.dumps([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(300)'])}}}"


def at_training(shop: Workshop) -> Course:
    course = shop.done(shop.begun(), "pairs", "mine")
    (course.path / "dataset").mkdir()
    write_json(course.path / "job.json", spec(course))
    return course


def promoting(shop: Workshop, candidate: Path, stage: str, **said: Any) -> Course:
    """The switch is as far as that; nobody promotes at the moment."""
    course = shop.approved(candidate)
    judged = judgement(course)["candidate"]
    manifest = Manifest("20261121T090000Z-aaaaaaaa", NOW, "model", approved_by="U1", job=course.job_id)
    promotion.begin(
        course.path,
        manifest,
        candidate=course.path / "candidate",
        judged=judged,
        judgement=course.judgement,
        registry=registry_of(shop.watch),
        now=NOW,
    )
    path = course.path / promotion.FILE
    known = json.loads(path.read_text())
    write_json(path, {**known, "stage": stage, "at": {**known["at"], stage: NOW.isoformat()}, **said})
    return course


# --- killed between any two steps -------------------------------------------------------------------------------------

WORKED: dict[str, tuple[Callable[[Workshop, Path], Course], Callable[[Course], JobFolder]]] = {
    "pairs": (lambda shop, _: shop.begun(), lambda course: course.step("pairs")),
    "mine": (lambda shop, _: shop.done(shop.begun(), "pairs"), lambda course: course.step("mine")),
    "train": (lambda shop, _: at_training(shop), lambda course: course.training),
    "judge": (lambda shop, candidate: shop.trained(candidate), lambda course: course.step("judge")),
    "promote": (lambda shop, candidate: shop.approved(candidate), lambda course: course.attempt(1)),
}


@pytest.mark.parametrize("step", WORKED)
def test_a_daemon_that_was_killed_between_two_steps_goes_on_with_the_same_job(
    make: Make, candidate: Path, step: str
) -> None:
    shop = make(trainer=HANGS)
    build, place = WORKED[step]
    course = build(shop, candidate)
    for start in (1, 2):
        stand = shop.steward().step(NOW)
        assert (stand.job, stand.doing) == (course.job_id, step)
        begun = _process.started(place(course))
        assert begun is not None
        assert begun.start == start
        shop.steward().step(NOW + MINUTE)  # a third daemon adopts what runs
        assert _process.started(place(course)) == begun
        kill(place(course))
        assert not _process.is_running(place(course))
    assert shop.jobs == [course.job_id]
    assert len(course.attempts) <= 1


def test_a_daemon_that_was_killed_before_it_asked_asks_once(shop: Workshop, candidate: Path) -> None:
    course = shop.judged(candidate)
    nonces = set()
    for _ in range(3):
        stand = shop.steward().step(NOW)
        assert (stand.job, stand.doing) == (course.job_id, "ask")
        (question,) = shop.store.approvals.unfinished()
        nonces.add(question.nonce)
    assert len(nonces) == 1
    assert shop.jobs == [course.job_id]


def test_a_daemon_that_was_killed_after_the_switch_says_that_it_is_done(shop: Workshop, candidate: Path) -> None:
    course = promoting(shop, candidate, "told")
    for _ in range(2):
        shop.steward().go_on(course, NOW)
        assert course.ended is not None
        assert (course.ended.how, course.ended.at) == ("promoted", NOW)
    assert not course.attempts


def test_a_step_whose_end_nobody_saw_is_not_done_again(shop: Workshop) -> None:
    course = shop.begun()
    folder = course.step("pairs")
    (folder.path / "made").mkdir(parents=True)
    first = _process.Started(job_id="pairs", trainer="local", start=1, first=NOW, at=NOW)
    folder.write("started.json", first)
    write_json(folder.path / "result.json", {"version": 1, "job_id": "pairs", "outcome": "done", "candidate": "made"})
    assert shop.steward().step(NOW).doing == "mine"
    assert _process.started(folder) == first


def test_a_step_that_wrote_nonsense_has_failed_and_holds_up_no_other_job(shop: Workshop) -> None:
    course = shop.begun()
    folder = course.step("pairs")
    folder.path.mkdir(parents=True)
    folder.write("started.json", _process.Started(job_id="pairs", trainer="local", start=1, first=NOW, at=NOW))
    (folder.path / "result.json").write_text("[]")
    stand = shop.steward().step(NOW)
    assert stand.doing == "failed"
    assert "result.json" in stand.sentence
    assert shop.steward().step(NOW + MINUTE).job == ""


def test_a_step_that_is_killed_again_and_again_ends_the_job(shop: Workshop) -> None:
    course = shop.begun()
    folder = course.step("pairs")
    folder.path.mkdir(parents=True)
    most = _process.MOST_STARTS
    folder.write("started.json", _process.Started(job_id="pairs", trainer="local", start=most, first=NOW, at=NOW))
    stand = shop.steward().step(NOW)
    assert (stand.job, stand.doing) == (course.job_id, "failed")
    assert f"killed {most} times" in stand.sentence


def test_what_is_over_is_left_as_it_is(shop: Workshop, candidate: Path) -> None:
    course = shop.judged(candidate)
    course.end("failed", "the disk broke", NOW)
    stand = shop.steward().go_on(course, NOW + DAY)
    assert (stand.doing, stand.sentence) == ("failed", "the disk broke")
    assert shop.store.approvals.of(course.job_id) is None


# --- a no -------------------------------------------------------------------------------------------------------------


def test_what_the_gate_refused_is_never_offered(shop: Workshop, candidate: Path) -> None:
    course = shop.judged(candidate, passed=False)
    stand = shop.steward().step(NOW)
    assert (stand.job, stand.doing) == (course.job_id, "refused")
    assert "the gate says no" in stand.sentence
    shop.steward().go_on(course, NOW + DAY)
    assert shop.steward().step(NOW + DAY).job == ""
    assert not shop.store.approvals.unfinished()
    assert not course.attempts


def test_a_trainer_that_would_not_is_a_refusal_and_one_that_broke_is_a_failure(shop: Workshop) -> None:
    ends = {}
    for outcome, now in (("refused", NOW), ("failed", NOW + DAY)):
        course = shop.done(shop.begun(now), "pairs", "mine")
        decide(course.training, outcome, "no.")
        ends[outcome] = shop.steward().go_on(course, now).doing
    assert ends == {"refused": "refused", "failed": "failed"}


def test_a_question_that_nobody_answers_is_answered_with_no(make: Make, candidate: Path) -> None:
    approve = "approve: {users: [U024BE7LH], channel: '#search', token: xoxb-1, app_token: xapp-1, expires: 2 days}"
    shop = make(f"  {approve}")
    course = shop.asked(candidate)
    assert shop.steward().step(NOW + 2 * DAY - MINUTE).doing == "ask"
    stand = shop.steward().step(NOW + 2 * DAY)
    assert stand.doing == "expired"
    assert "nobody answered" in stand.sentence
    too_late = shop.store.approvals.decide_by_hand(course.job_id, "approve", "U1", NOW + 2 * DAY)
    assert too_late is not None
    assert not too_late.accepted
    assert not course.attempts


def test_where_nobody_is_asked_in_slack_there_is_a_month(shop: Workshop, candidate: Path) -> None:
    shop.asked(candidate)
    assert shop.steward().step(NOW + UNASKED - MINUTE).doing == "ask"
    assert shop.steward().step(NOW + UNASKED).doing == "expired"


def test_a_person_who_says_no_ends_the_job_and_begins_the_cool_down(shop: Workshop, candidate: Path) -> None:
    course = shop.asked(candidate)
    shop.store.approvals.decide_by_hand(course.job_id, "reject", "ada", NOW + HOUR)
    stand = shop.steward().step(NOW + HOUR)
    assert (stand.doing, stand.sentence) == ("rejected", "it was rejected by ada.")
    changed_mind = shop.store.approvals.decide_by_hand(course.job_id, "approve", "ada", NOW + 2 * HOUR)
    assert changed_mind is not None
    assert not changed_mind.accepted
    shop.steward().go_on(course, NOW + 2 * HOUR)
    assert not course.attempts
    against = [each.name for each in shop.steward().decision(NOW + DAY).reasons if not each.passed]
    assert "cool-down" in against


def test_a_job_that_is_stopped_takes_what_runs_with_it(make: Make) -> None:
    shop = make(trainer=HANGS)
    course = at_training(shop)
    assert shop.steward().step(NOW).doing == "train"
    assert _process.is_running(course.training)
    shop.steward().stop(course, "ada did not want it.", NOW)
    assert not _process.is_running(course.training)
    stand = shop.steward().go_on(course, NOW)
    assert (stand.doing, stand.sentence) == ("rejected", "ada did not want it.")


# --- the question -----------------------------------------------------------------------------------------------------


def test_who_is_asked_reads_reasons_figures_and_both_models_side_by_side(shop: Workshop, candidate: Path) -> None:
    course = shop.asked(candidate)
    question = shop.store.approvals.of(course.job_id)
    assert question is not None
    assert question.title == f"shop: switch on the model of {course.job_id}?"
    assert question.sentences == (
        "gain: nDCG@10 rises by 0.300.",
        "nDCG@10 of 40 unseen questions, all languages: 0.500 → 0.800, change +0.300 (interval +0.200 to +0.400).",
        "side by side: of 40 questions with known answers 12 are answered better and 1 worse (nDCG@10).",
        "side by side: of 200 live queries, old and new share 40% of the first 10 documents, and name the same one"
        " first for 40%.",
        "old and new differ: canaries:c7 (en), d0-1 → d3-4; the answer: not found → place 1.",
        "105 documents will be embedded anew.",
    )


# --- may one begin? ---------------------------------------------------------------------------------------------------


def test_a_drift_that_lasts_begins_one_job_however_many_daemons_see_it(make: Make) -> None:
    shop = make(trainer=HANGS)
    shop.fire()
    first, second = shop.steward(), shop.steward()
    stands = [first.step(NOW), second.step(NOW + MINUTE)]
    (course,) = courses(first.folder)
    assert {each.job for each in stands} == {course.job_id}
    assert {each.doing for each in stands} == {"pairs"}
    assert course.wanted["incident"] == INCIDENT
    assert any("showed the drift anew" in each for each in course.wanted["reasons"])


def test_nothing_begins_for_another_cause_and_the_reason_is_said(shop: Workshop) -> None:
    shop.fire(cause="mixed vectors")
    stand = shop.steward().step(NOW)
    assert (stand.job, stand.doing) == ("", "nothing")
    assert "'mixed vectors', and only 'model mismatch'" in stand.sentence
    assert shop.jobs == []


def test_nothing_begins_while_the_first_stretch_is_not_over(shop: Workshop) -> None:
    shop.fire(days=1, since=NOW - DAY)
    assert "and 2 are needed" in shop.steward().step(NOW).sentence
    assert shop.jobs == []


def test_one_job_at_a_time_is_true_for_a_daemon_that_just_started(make: Make) -> None:
    shop = make(trainer=HANGS)
    shop.fire()
    course = shop.steward().begin(NOW - DAY, ["It was begun by hand."], "by hand")
    assert shop.steward().step(NOW).job == course.job_id
    assert shop.jobs == [course.job_id]
    reasons = {each.name: each.passed for each in shop.steward().decision(NOW).reasons}
    assert not reasons["one at a time"]


def ended(shop: Workshop, *days_ago: int) -> None:
    for number in days_ago:
        at = NOW - number * DAY
        shop.steward().begin(at - HOUR, [], f"i{number}").end("refused", "too little", at)


@pytest.mark.parametrize(
    ("days_ago", "against"), [((6,), {"cool-down"}), ((8,), set()), ((10, 20), {"jobs a month"}), ((10, 31), set())]
)
def test_cool_down_and_budget_count_by_the_folders_alone(
    shop: Workshop, days_ago: tuple[int, ...], against: set[str]
) -> None:
    shop.fire(days=40, since=NOW - 40 * DAY)
    ended(shop, *days_ago)
    decision = shop.steward().decision(NOW)
    assert {each.name for each in decision.reasons if not each.passed} == against
    assert decision.start is not bool(against)


def test_a_disk_that_is_full_forgets_neither_the_cool_down_nor_the_budget_nor_what_the_gate_said(
    shop: Workshop, candidate: Path
) -> None:
    course = shop.judged(candidate, passed=False)
    write_json(course.path / "result.json", {"version": 1, "job_id": course.job_id, "outcome": "done"})
    registry = registry_of(shop.watch)
    tiny = type(registry)(registry.folder, keep=2, disk=1)
    assert tiny.prune() == ()  # it is not over
    shop.steward().go_on(course, NOW)
    assert tiny.prune() == (course.job_id,)
    assert sorted(each.name for each in course.path.iterdir()) == ["ended.json", "judgement.json", "wanted.json"]
    (past,) = courses(registry.folder)
    assert not past.judgement.passed
    assert past.as_past().outcome == "refused"
    assert tiny.prune() == ()


def test_pairs_are_counted_once_an_hour_and_for_whoever_asks(shop: Workshop) -> None:
    shop.fire(days=5)
    asked = questions()
    labels = [{"query": text, "doc_id": doc_id, "lang": "en"} for text, doc_id in asked]
    write_lines(shop.watch.base / "labels.jsonl", labels[:5])
    steward = shop.steward()
    assert "There are 5 pairs" in steward.step(NOW).sentence
    write_lines(shop.watch.base / "labels.jsonl", labels)
    assert "There are 5 pairs" in steward.step(NOW + HOUR - MINUTE).sentence
    assert steward.decision(NOW + MINUTE, counting=True).start
    write_lines(shop.watch.base / "labels.jsonl", labels[:7])
    assert "There are 7 pairs" in steward.step(NOW + 2 * HOUR).sentence


# --- the switch -------------------------------------------------------------------------------------------------------


def test_a_switch_that_failed_is_tried_again_later_and_later(shop: Workshop, candidate: Path) -> None:
    course = shop.approved(candidate)
    decide(course.attempt(1), "failed", "the store is down")
    decide(course.attempt(2), "failed", "the store is down")
    stand = shop.steward().go_on(course, NOW + 19 * MINUTE)
    assert stand.doing == "promote"
    assert "it goes on 2026-11-21 09:20 UTC" in stand.sentence
    assert len(course.attempts) == 2
    shop.steward().go_on(course, NOW + 20 * MINUTE)
    assert [each.job_id for each in course.attempts] == ["promote-1", "promote-2", "promote-3"]


def test_a_switch_that_always_fails_ends_the_job(shop: Workshop, candidate: Path) -> None:
    course = shop.approved(candidate)
    for number in range(1, MOST_FAILURES + 1):
        decide(course.attempt(number), "failed", f"failure {number}")
    stand = shop.steward().go_on(course, NOW + DAY)
    assert (stand.doing, stand.sentence) == ("failed", f"failure {MOST_FAILURES}")
    assert len(course.attempts) == MOST_FAILURES


def test_a_switch_that_was_refused_is_not_tried_again(shop: Workshop, candidate: Path) -> None:
    course = shop.approved(candidate)
    decide(course.attempt(1), "refused", "it is not the model that was judged.")
    stand = shop.steward().go_on(course, NOW + DAY)
    assert (stand.doing, stand.sentence) == ("refused", "it is not the model that was judged.")
    assert len(course.attempts) == 1


@pytest.mark.parametrize("stage", ["refused", "rolled back"])
def test_a_switch_that_ended_otherwise_is_no_success(shop: Workshop, candidate: Path, stage: str) -> None:
    course = promoting(shop, candidate, stage, waiting="ada went back")
    stand = shop.steward().go_on(course, NOW)
    assert (stand.doing, stand.sentence) == (stage, "ada went back")


def test_the_dual_run_is_waited_for_without_a_process(make: Make, candidate: Path) -> None:
    shop = make("  promote: {dual_run: 2 days}")
    course = promoting(shop, candidate, "checked", waiting="old and new are both asked")
    decide(course.attempt(1))
    assert "it goes on 2026-11-23 09:00 UTC" in shop.steward().go_on(course, NOW + DAY).sentence
    assert len(course.attempts) == 1
    shop.steward().go_on(course, NOW + 2 * DAY)
    assert len(course.attempts) == 2


def test_another_release_in_use_is_noticed_once(shop: Workshop, candidate: Path) -> None:
    seen: list[str] = []
    registry = registry_of(shop.watch)
    registry.adopt(Manifest("20261101T090000Z-00000000", NOW - 20 * DAY, "base"))
    steward = Steward(shop.watch, shop.store, lambda: seen.append("released"))
    steward.step(NOW)
    assert seen == []
    new = Manifest("20261121T090000Z-aaaaaaaa", NOW, "other", index={"kind": "faiss"})
    registry.add(candidate, new)
    registry.switch(new.release)
    steward.step(NOW)
    steward.step(NOW)
    assert seen == ["released"]


def test_a_service_that_was_not_told_of_a_rollback_is_told_by_the_next_daemon(make: Make, tmp_path: Path) -> None:
    told = tmp_path / "told"
    run = [sys.executable, "-I", "-S", "-c", f"import pathlib; pathlib.Path({str(told)!r}).touch()"]
    shop = make(f"  promote: {{run: {json.dumps(run)}}}")
    registry_of(shop.watch).adopt(Manifest("20261101T090000Z-00000000", NOW - 20 * DAY, "base"))
    shop.steward().step(NOW)
    until(told.exists)


# --- what it cannot do ------------------------------------------------------------------------------------------------


def test_a_source_that_gives_no_live_queries_has_no_pairs(make: Make) -> None:
    shop = make()
    path = shop.watch.path
    path.write_text(path.read_text().replace("pairs: {files", "pairs: {live: [canaries], files"))
    again = Workshop.at(path)
    try:
        with pytest.raises(RetrainError, match="'canaries', which gives no live queries"):
            again.steward().pairs(NOW)
    finally:
        again.store.close()


def test_the_pairs_of_labels_and_of_feedback_are_counted_together(shop: Workshop) -> None:
    assert shop.steward().pairs(NOW) == 84
    assert timedelta(days=shop.steward().settings.pairs.days) == 90 * DAY
