"""A question is decided once, whoever asks how many at a time, and every click is in the log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from driftwatch.approval import Click, Question, new_question
from driftwatch.errors import StoreError
from driftwatch.store import Store
from driftwatch.store.tables import questions

ASKED = datetime(2026, 5, 4, 10, tzinfo=UTC)
LATER = ASKED + timedelta(hours=1)
ENDS = ASKED + timedelta(days=7)
ANA, BEN, EVE = "U012ANA", "U034BEN", "U066EVE"
HOSTILE = "<!channel> \0 \ud800 ' OR 1=1; DROP TABLE clicks; --"


def ask(store: Store, job: str = "job-1", title: str = "Switch?") -> Question:
    made = new_question(job, title, ["gain: yes."], documents=3, now=ASKED, expires=timedelta(days=7))
    return store.approvals.ask(made)


def click(asked: Question, user: str = ANA, number: int = 1, **more: object) -> Click:
    return replace(Click(f"click-{user}-{number}", asked.nonce, "approve", user, user.lower()), **more)


def test_a_question_comes_back_as_it_was_asked(store: Store) -> None:
    asked = ask(store)
    assert store.approvals.of("job-1") == asked
    assert store.approvals.of("job-2") is None
    assert asked.sentences == ("gain: yes.", "3 documents will be embedded anew.")


def test_a_job_is_asked_about_once(store: Store) -> None:
    first = ask(store)
    assert ask(store, title="Another?") == first
    assert store.approvals.unfinished() == (first,)


def test_an_answer_and_its_line_in_the_log_are_there_together(store: Store) -> None:
    asked = ask(store)
    answered = store.approvals.answer(click(asked), {ANA}, LATER)
    assert answered.decision.accepted
    assert not answered.repeat
    kept = store.approvals.of("job-1")
    assert kept is not None
    assert kept == answered.question
    assert (kept.state, kept.decided_by, kept.decided_name, kept.decided_at) == ("approved", ANA, ANA.lower(), LATER)
    (row,) = store.approvals.log()
    assert (row.at, row.question, row.job_id, row.user, row.name) == (LATER, asked.key, "job-1", ANA, ANA.lower())
    assert (row.action, row.outcome) == ("approve", "approved")
    assert asked.nonce not in repr(row)


def test_what_cannot_be_logged_is_not_decided(sqlite_store: Store) -> None:
    asked = ask(sqlite_store)
    with sqlite_store.database.writing() as connection:
        connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON clicks BEGIN SELECT RAISE(ABORT, 'full'); END")
    with pytest.raises(StoreError, match="full"):
        sqlite_store.approvals.answer(click(asked), {ANA}, LATER)
    assert sqlite_store.approvals.of("job-1") == asked


def test_a_repeat_of_a_click_is_told_the_same_and_logged_once(store: Store) -> None:
    asked = ask(store)
    first = store.approvals.answer(click(asked), {ANA}, LATER)
    again = store.approvals.answer(click(asked), {ANA}, ENDS)
    assert again == replace(first, repeat=True)
    assert len(store.approvals.log()) == 1


def test_a_repeat_of_a_click_that_was_refused_stays_refused(store: Store) -> None:
    asked = ask(store)
    first = store.approvals.answer(click(asked), {EVE}, LATER)
    again = store.approvals.answer(click(asked), {ANA}, LATER)  # who may decide was changed meanwhile
    assert again == replace(first, repeat=True)
    assert store.approvals.of("job-1") == asked


@pytest.mark.parametrize(
    ("pressed", "outcome"),
    [
        ({"user": EVE}, "not allowed"),
        ({"nonce": "0" * 64}, "unknown question"),
        ({"nonce": HOSTILE}, "unknown question"),
    ],
)
def test_what_is_refused_changes_nothing_and_is_logged(store: Store, pressed: dict[str, str], outcome: str) -> None:
    asked = ask(store)
    answered = store.approvals.answer(click(asked, **pressed), {ANA}, LATER)
    assert answered.decision.outcome == outcome
    assert store.approvals.of("job-1") == asked
    (row,) = store.approvals.log()
    assert row.outcome == outcome


def test_hostile_names_are_kept_as_text(store: Store) -> None:
    asked = ask(store, title=HOSTILE)
    store.approvals.answer(click(asked, EVE, name=HOSTILE * 500), {ANA}, LATER)
    (row,) = store.approvals.log("job-1")
    assert "DROP TABLE clicks" in row.name
    assert store.approvals.log("job-2") == ()


def test_of_many_who_click_at_once_one_decides(store: Store, store_url: str) -> None:
    asked = ask(store)
    others = [Store.open(store_url) for _ in range(4)]
    clicks = [
        click(asked, user, n, action=action) for n in range(3) for user, action in ((ANA, "approve"), (BEN, "reject"))
    ]
    with ThreadPoolExecutor(6) as pressing:
        answers = list(
            pressing.map(
                lambda each: others[each[0] % 4].approvals.answer(each[1], {ANA, BEN}, LATER), enumerate(clicks)
            )
        )
    for other in others:
        other.close()
    (accepted,) = [each for each in answers if each.decision.accepted]
    kept = store.approvals.of("job-1")
    assert kept is not None
    assert kept.state == accepted.decision.state
    assert {each.decision.state for each in answers} == {kept.state}
    log = store.approvals.log()
    assert len(log) == 6
    assert sorted({row.outcome for row in log}) == sorted({"decided already", kept.state})


def test_one_click_that_two_processes_hear_is_logged_once(store: Store, store_url: str) -> None:
    asked = ask(store)
    others = [Store.open(store_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as hearing:
        answers = list(hearing.map(lambda each: each.approvals.answer(click(asked), {ANA}, LATER), others))
    for other in others:
        other.close()
    assert all(each.decision.accepted for each in answers)
    assert sorted(each.repeat for each in answers) == [False, True, True, True]
    assert len(store.approvals.log()) == 1


def test_what_nobody_answered_expires_once_and_is_logged(store: Store) -> None:
    asked, answered = ask(store), ask(store, "job-2")
    store.approvals.answer(click(answered), {ANA}, LATER)
    assert store.approvals.expire_open(ENDS - timedelta(seconds=1)) == ()
    (ended,) = store.approvals.expire_open(ENDS)
    assert (ended.job_id, ended.state, ended.decided_at) == (asked.job_id, "expired", ENDS)
    assert store.approvals.expire_open(ENDS) == ()
    assert store.approvals.of("job-1") == ended
    (row,) = store.approvals.log("job-1")
    assert (row.user, row.action, row.outcome) == ("", "expiry", "expired")


def test_a_click_that_comes_too_late_expires_the_question(store: Store) -> None:
    asked = ask(store)
    assert store.approvals.answer(click(asked), {ANA}, ENDS).decision.outcome == "expired"
    assert store.approvals.answer(click(asked, number=2), {ANA}, ENDS).decision.outcome == "decided already"
    assert store.approvals.expire_open(ENDS) == ()


def test_somebody_on_the_command_line_decides_without_slack(store: Store) -> None:
    ask(store)
    decision = store.approvals.decide_by_hand("job-1", "approve", "ana at the shell", LATER)
    assert decision is not None
    assert decision.accepted
    again = store.approvals.decide_by_hand("job-1", "reject", "ben", LATER)
    assert again is not None
    assert "approved by ana at the shell" in again.why
    assert store.approvals.decide_by_hand("job-2", "approve", "ana", LATER) is None
    assert [row.outcome for row in store.approvals.log()] == ["approved", "decided already"]


def test_a_question_is_unfinished_until_its_message_says_how_it_ended(store: Store) -> None:
    asked = ask(store)
    store.approvals.trying(asked)
    store.approvals.shows(asked, "C1", "1.5")
    (waiting,) = store.approvals.unfinished()
    assert (waiting.channel, waiting.ts, waiting.shown, waiting.tried) == ("C1", "1.5", "open", True)
    store.approvals.answer(click(asked), {ANA}, LATER)
    (untold,) = store.approvals.unfinished()
    assert (untold.state, untold.shown) == ("approved", "open")
    store.approvals.shows(untold, "C1", "1.5")
    assert store.approvals.unfinished() == ()


def test_a_message_that_showed_an_earlier_state_is_not_taken_for_the_newest(store: Store) -> None:
    asked = ask(store)
    store.approvals.answer(click(asked), {ANA}, LATER)
    store.approvals.shows(asked, "C1", "1.5")  # posted as open, noted after the click
    assert [each.shown for each in store.approvals.unfinished()] == ["open"]


def test_a_click_says_where_the_message_is_if_nobody_knew(store: Store) -> None:
    asked = ask(store)
    answered = store.approvals.answer(click(asked, EVE, channel="C1", ts="1.5"), {ANA}, LATER)
    assert answered.question == store.approvals.of("job-1")
    assert answered.question is not None
    assert (answered.question.channel, answered.question.ts, answered.question.shown) == ("C1", "1.5", "open")
    elsewhere = store.approvals.answer(click(asked, EVE, 2, channel="C2", ts="9.9"), {ANA}, LATER)
    assert elsewhere.question is not None
    assert elsewhere.question.ts == "1.5"


def test_no_question_is_found_by_its_nonce_in_the_clear(store: Store) -> None:
    asked = ask(store)
    with store.database.reading() as connection:
        assert connection.execute(sa.select(questions.c.key)).scalars().all() == [asked.key]
