"""Who may decide, once, in time: and what everybody else is told."""

from __future__ import annotations

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftwatch.approval import Click, Question, decide, decided, evidence, expired, new_question
from driftwatch.retrained import Difference, Judgement, Reason

ASKED = datetime(2026, 5, 4, 10, tzinfo=UTC)
LATER = ASKED + timedelta(hours=1)
ENDS = ASKED + timedelta(days=7)
ANA, EVE = "U012ANA", "U066EVE"


def question(**more: object) -> Question:
    made = new_question("job-1", "Switch?", ["gain: yes."], documents=3, now=ASKED, expires=timedelta(days=7))
    return replace(made, **more)


def click(asked: Question, user: str = ANA, **more: object) -> Click:
    return replace(Click("click-1", asked.nonce, "approve", user, "ana"), **more)


def test_a_question_is_open_until_it_expires_and_ends_with_what_the_switch_costs() -> None:
    asked = question()
    assert (asked.state, asked.expires_at, asked.decided_by, asked.shown) == ("open", ENDS, "", None)
    assert asked.sentences == ("gain: yes.", "3 documents will be embedded anew.")


def test_a_nonce_is_32_random_bytes_and_shows_neither_in_print_nor_in_its_hash() -> None:
    first, second = question(), question()
    assert first.nonce != second.nonce
    assert len(first.nonce) == 64
    assert set(first.nonce) <= set(string.hexdigits.lower())
    assert first.nonce not in repr(first) + repr(click(first)) + first.key
    assert first.key != second.key


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_a_listed_user_decides(action: str, state: str) -> None:
    asked = question()
    pressed = click(asked, action=action)
    decision = decide(asked, pressed, {ANA}, LATER)
    assert (decision.state, decision.accepted, decision.outcome) == (state, True, state)
    after = decided(asked, pressed, decision, LATER)
    assert (after.state, after.decided_by, after.decided_name, after.decided_at) == (state, ANA, "ana", LATER)


@pytest.mark.parametrize("allowed", [(), [EVE], "U012ANA U066EVE", {""}, {ANA.lower()}])
def test_nobody_else_does(allowed: list[str]) -> None:
    asked = question()
    decision = decide(asked, click(asked), allowed, LATER)
    assert (decision.state, decision.accepted, decision.outcome) == ("open", False, "not allowed")
    assert decided(asked, click(asked), decision, LATER) is asked


def test_a_click_of_nobody_is_of_no_listed_user() -> None:
    asked = question()
    assert decide(asked, click(asked, ""), {""}, LATER).outcome == "not allowed"


def test_somebody_who_may_not_decide_does_not_learn_who_did() -> None:
    asked = question(state="approved", decided_by=ANA, decided_name="ana")
    assert "ana" not in decide(asked, click(asked, EVE), {ANA}, LATER).why


@pytest.mark.parametrize("state", ["approved", "rejected"])
def test_a_decided_question_stays_as_it_is_and_says_who_decided(state: str) -> None:
    asked = question(state=state, decided_by=ANA, decided_name="ana", decided_at=LATER)
    for action in ("approve", "reject"):
        decision = decide(asked, click(asked, EVE, action=action), {ANA, EVE}, LATER)
        assert (decision.state, decision.accepted, decision.outcome) == (state, False, "decided already")
        assert f"{state} by ana on 2026-05-04, 11:00 UTC" in decision.why
        assert decided(asked, click(asked, EVE), decision, LATER) is asked


@pytest.mark.parametrize("late", [timedelta(0), timedelta(days=90)])
def test_a_click_at_its_end_or_later_expires_the_question(late: timedelta) -> None:
    asked = question()
    decision = decide(asked, click(asked), {ANA}, ENDS + late)
    assert (decision.state, decision.accepted, decision.outcome) == ("expired", False, "expired")
    after = decided(asked, click(asked), decision, ENDS + late)
    assert (after.state, after.decided_by, after.decided_at) == ("expired", "", ENDS + late)


def test_a_moment_before_its_end_it_can_be_decided() -> None:
    asked = question()
    assert decide(asked, click(asked), {ANA}, ENDS - timedelta(microseconds=1)).accepted


def test_an_expired_question_cannot_be_approved() -> None:
    asked = expired(question(), ENDS)
    decision = decide(asked, click(asked), {ANA}, ENDS)
    assert (decision.state, decision.outcome) == ("expired", "decided already")
    assert "the answer is no" in decision.why


def test_only_what_is_open_and_over_expires() -> None:
    asked = question()
    assert expired(asked, ENDS - timedelta(microseconds=1)) is asked
    approved = question(state="approved")
    assert expired(approved, ENDS) is approved


@given(st.text(max_size=80))
def test_a_nonce_that_is_not_the_questions_decides_nothing(nonce: str) -> None:
    asked = question()
    decision = decide(asked, click(asked, nonce=nonce), {ANA}, LATER)
    assert (decision.state, decision.accepted, decision.outcome) == (None, False, "unknown question")
    assert decided(asked, click(asked), decision, LATER) is asked
    assert decide(None, click(asked), {ANA}, LATER) == decision


@given(
    st.lists(
        st.tuples(st.sampled_from(["approve", "reject"]), st.sampled_from([ANA, EVE, "U3"]), st.integers(0, 240)),
        max_size=12,
    )
)
def test_of_any_clicks_in_any_order_at_most_one_decides_and_it_was_allowed(clicks: list[tuple[str, str, int]]) -> None:
    asked = question()
    accepted = []
    for action, user, hours in sorted(clicks, key=lambda each: each[2]):
        pressed, now = click(asked, user, action=action), ASKED + timedelta(hours=hours)
        decision = decide(asked, pressed, {ANA, EVE}, now)
        accepted += [(user, decision.state)] if decision.accepted else []
        asked = decided(asked, pressed, decision, now)
        assert asked.state == (decision.state or asked.state)
    first = next(((action, user) for action, user, hours in sorted(clicks, key=lambda e: e[2]) if user != "U3"), None)
    assert len(accepted) <= 1
    if accepted:
        assert first is not None
        assert accepted == [(first[1], {"approve": "approved", "reject": "rejected"}[first[0]])]
        assert asked.decided_by == first[1]


@pytest.mark.parametrize(
    ("state", "shown", "left"),
    [("open", None, True), ("open", "open", True), ("approved", "open", True), ("approved", "approved", False)],
)
def test_a_question_is_finished_when_its_message_says_how_it_ended(state: str, shown: str | None, left: bool) -> None:
    assert question(state=state, shown=shown).unfinished is left


def test_the_evidence_gives_reasons_then_figures_of_all_then_of_each_language() -> None:
    judgement = Judgement(
        True,
        (Reason("gain", True, "nDCG@10 rises by 0.041."),),
        (
            Difference("nDCG@10", "canary", "fr", 40, 0.6, 0.596, -0.012, 0.004),
            Difference("nDCG@10", "canary", "all", 160, 0.61, 0.651, 0.021, 0.061),
        ),
        ("The new model needs sentence-transformers 5.4.",),
    )
    reason, overall, french, note = evidence(judgement)
    assert reason == "gain: nDCG@10 rises by 0.041."
    assert "all languages: 0.610 → 0.651, change +0.041 (interval +0.021 to +0.061)" in overall
    assert "language fr: 0.600 → 0.596, change -0.004" in french
    assert note.endswith("5.4.")
