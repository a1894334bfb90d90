from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from driftwatch.alerts import (
    OPEN,
    AlertPolicy,
    acknowledge,
    advance,
    incident_key,
    matches,
    remind,
    silenced_until,
)
from driftwatch.types import Alert, Finding, Silence, Transition
from tests.fakes.examples import examples

START = datetime(2026, 5, 21, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = AlertPolicy(after=2, until=3, blind_after=3)
VERDICTS = {"g": "ok", "b": "fail", "w": "warn", "u": "unknown", "l": "unknown"}


def finding(look: str, at: datetime = START) -> Finding:
    return Finding("canary recall", "de", at, VERDICTS[look], look, family="canaries", learning=look == "l")  # type: ignore[arg-type]


def play(looks: str, alert: Alert | None = None, policy: AlertPolicy = POLICY) -> tuple[Alert, list[Transition]]:
    """One look an hour: g(ood), b(ad), w(arn), u(nknown), l(earning)."""
    alert = alert or Alert("canary recall", "de")
    told = []
    for hour, look in enumerate(looks):
        now = START + hour * HOUR
        alert, transition = advance(
            alert, finding(look, now), policy, now, incident=incident_key("canaries", "de", now)
        )
        told += [transition] if transition else []
    return alert, told


def events(looks: str, policy: AlertPolicy = POLICY) -> list[str]:
    return [f"{each.event}:{each.before}>{each.after}" for each in play(looks, policy=policy)[1]]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ("ggggg", []),
        ("b", []),
        ("bgbgbg", []),
        ("bb", ["firing:pending>firing"]),
        ("ww", ["firing:pending>firing"]),
        ("bw", ["firing:pending>firing"]),
        ("bbbbbb", ["firing:pending>firing"]),
        ("bbgg", ["firing:pending>firing"]),
        ("bbggg", ["firing:pending>firing", "resolved:firing>ok"]),
        ("bbggbgg", ["firing:pending>firing"]),
        ("bub", ["firing:pending>firing"]),
        ("bbgguggg", ["firing:pending>firing", "resolved:firing>ok"]),
        ("bbggug", ["firing:pending>firing"]),
        ("uu", []),
        ("uugu", []),
        ("uuu", ["blind:ok>blind"]),
        ("uuuuuu", ["blind:ok>blind"]),
        ("buuu", ["blind:pending>blind"]),
        ("uuug", ["blind:ok>blind", "sighted:blind>ok"]),
        ("uuub", ["blind:ok>blind", "sighted:blind>pending"]),
        ("uuubb", ["blind:ok>blind", "sighted:blind>pending", "firing:pending>firing"]),
        ("buuub", ["blind:pending>blind", "sighted:blind>pending"]),
        ("bbuuu", ["firing:pending>firing", "blind:firing>blind"]),
        ("bbuuub", ["firing:pending>firing", "blind:firing>blind", "sighted:blind>firing"]),
        ("bbuuug", ["firing:pending>firing", "blind:firing>blind", "sighted:blind>firing"]),
        (
            "bbuuuggg",
            ["firing:pending>firing", "blind:firing>blind", "sighted:blind>firing", "resolved:firing>ok"],
        ),
        ("lllllllll", []),
        ("blb", ["firing:pending>firing"]),
    ],
)
def test_the_diagram_holds(looks: str, expected: list[str]) -> None:
    assert events(looks) == expected


def test_with_one_look_each_way_a_single_look_decides() -> None:
    eager = AlertPolicy(after=1, until=1, blind_after=1)
    assert events("bg", eager) == ["firing:ok>firing", "resolved:firing>ok"]
    assert events("bug", eager) == ["firing:ok>firing", "blind:firing>blind", "resolved:blind>ok"]
    assert events("ub", eager) == ["blind:ok>blind", "firing:blind>firing"]


@pytest.mark.parametrize("after", [1, 2, 50])
def test_what_the_budget_pages_for_fires_at_once_whatever_after_says(after: int) -> None:
    policy = AlertPolicy(after=after, until=2)
    found = replace(finding("b"), pages=True)
    alert, told = advance(Alert("canary recall", "de"), found, policy, START, incident="i1")
    assert (alert.state, told.event if told else "") == ("firing", "firing")
    waiting, _ = advance(Alert("canary recall", "de"), finding("b"), policy, START, incident="i1")
    assert waiting.state == ("firing" if after == 1 else "pending")


def test_in_a_window_of_expected_difference_not_even_the_budget_pages() -> None:
    found = replace(finding("l"), pages=True)
    assert advance(Alert("canary recall", "de"), found, POLICY, START, incident="i1") == (
        Alert("canary recall", "de"),
        None,
    )


def test_learning_changes_nothing_at_all() -> None:
    pending, _ = play("b")
    assert advance(pending, finding("l"), POLICY, START + 9 * HOUR, incident="x") == (pending, None)


def test_what_was_firing_is_not_forgotten_while_blind() -> None:
    fired, _ = play("bb")
    blind, _ = play("bbuuu")
    assert blind.state == "blind"
    assert blind.fired_at == fired.fired_at == START + HOUR
    assert blind.incident == fired.incident


def test_an_incident_is_named_on_every_transition_of_it_and_left_at_its_end() -> None:
    alert, told = play("bbuuuggg")
    assert len({each.incident for each in told}) == 1
    assert told[0].incident == incident_key("canaries", "de", START + HOUR)
    assert (alert.incident, alert.fired_at, alert.acknowledged_by) == ("", None, "")


def test_an_alert_joins_the_incident_it_is_given() -> None:
    pending, _ = play("b")
    fired, transition = advance(pending, finding("b"), POLICY, START, incident="canaries-de-open00")
    assert transition is not None
    assert fired.incident == transition.incident == "canaries-de-open00"


def test_the_same_change_has_the_same_key_and_others_have_others() -> None:
    again = [each.key for each in play("bbuuugggbbggg")[1]]
    assert again == [each.key for each in play("bbuuugggbbggg")[1]]
    assert len(set(again)) == len(again)
    other_segment = play("bb", Alert("canary recall", "fr"))[1]
    assert other_segment[0].key not in again


# --- reminders, acknowledging, silences ----------------------------------------------------------------------------


def test_an_open_alert_is_reminded_of_once_a_day_and_only_once_for_a_long_absence() -> None:
    alert, _ = play("bb")
    assert remind(alert, POLICY, START + 24 * HOUR) == (alert, None)
    alert, first = remind(alert, POLICY, START + 25 * HOUR, family="canaries")
    assert first is not None
    assert (first.event, first.before, first.after, first.family) == ("reminded", "firing", "firing", "canaries")
    assert remind(alert, POLICY, START + 26 * HOUR)[1] is None
    alert, second = remind(alert, POLICY, START + 100 * HOUR)
    assert second is not None
    assert remind(alert, POLICY, START + 101 * HOUR)[1] is None


def test_what_is_well_or_acknowledged_or_never_to_be_repeated_is_not_reminded_of() -> None:
    later = START + 1000 * HOUR
    assert remind(play("g")[0], POLICY, later)[1] is None
    assert remind(play("b")[0], POLICY, later)[1] is None
    assert remind(play("bb")[0], AlertPolicy(remind=None), later)[1] is None
    known, _ = acknowledge(play("bb")[0], "ana", START + 2 * HOUR)
    assert remind(known, POLICY, later)[1] is None


def test_blindness_is_reminded_of_too_counted_from_its_own_beginning() -> None:
    blind, _ = play("bbuuu")
    assert remind(blind, POLICY, START + 27 * HOUR)[1] is None
    assert remind(blind, POLICY, START + 28 * HOUR)[1] is not None


def test_acknowledging_is_told_once_by_name_and_ends_with_the_incident() -> None:
    alert, _ = play("bb")
    known, told = acknowledge(alert, "ana", START + 2 * HOUR, family="canaries")
    assert told is not None
    assert (told.event, told.actor, told.incident, told.family) == ("acknowledged", "ana", alert.incident, "canaries")
    assert acknowledge(known, "ana", START + 3 * HOUR) == (known, None)
    assert acknowledge(known, "ben", START + 3 * HOUR)[0].acknowledged_by == "ben"
    assert play("bbb", known)[0].acknowledged_by == "ana"
    assert play("ggg", known)[0].acknowledged_by == ""


def test_there_is_nothing_to_acknowledge_in_what_is_not_open() -> None:
    for looks in ("", "g", "b", "bbggg"):
        alert, _ = play(looks)
        assert acknowledge(alert, "ana", START) == (alert, None)
    assert acknowledge(play("bb")[0], "", START)[1] is None


def test_a_silence_covers_its_alerts_between_its_beginning_and_its_end() -> None:
    silence = Silence("s", "canary recall", "*", START + 2 * HOUR, "ana", "re-index", START)
    longer = replace(silence, segment="de", until=START + 5 * HOUR)
    assert matches(silence, "canary recall", "fr")
    assert not matches(silence, "top-score drift", "fr")
    assert silenced_until([silence, longer], "canary recall", "de", START) == START + 5 * HOUR
    assert silenced_until([silence, longer], "canary recall", "fr", START) == START + 2 * HOUR
    assert silenced_until([silence], "canary recall", "de", START - HOUR) is None
    assert silenced_until([silence], "canary recall", "de", START + 2 * HOUR) is None


# --- the policy ----------------------------------------------------------------------------------------------------


def test_a_check_may_have_a_policy_of_its_own() -> None:
    own = POLICY.override(after=1, blind_after=9)
    assert (own.after, own.until, own.blind_after) == (1, 3, 9)
    assert POLICY.override() == POLICY


@pytest.mark.parametrize("wrong", [{"after": 0}, {"until": 0}, {"blind_after": 0}, {"remind": "soon"}, {"befor": 2}])
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AlertPolicy(**wrong)  # type: ignore[arg-type]


def test_a_policy_reads_what_yaml_gives_it() -> None:
    assert AlertPolicy.model_validate({"remind": "12h"}).remind == 12 * HOUR
    assert AlertPolicy.model_validate({"remind": None}).remind is None


# --- incident names ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.integers(0, 2**32))
def test_an_incident_has_a_name_that_can_be_typed(family: str, segment: str, seconds: int) -> None:
    name = incident_key(family, segment, START + timedelta(seconds=seconds % 10**9))
    assert name.isascii()
    assert len(name) <= 40
    assert all(letter.isalnum() or letter == "-" for letter in name)
    assert not name.startswith("-")


@settings(deadline=None)
@given(st.sets(st.integers(0, 10**9), min_size=2, max_size=50))
def test_two_openings_never_share_a_name(seconds: set[int]) -> None:
    assert len({incident_key("canaries", "de", START + timedelta(seconds=each)) for each in seconds}) == len(seconds)


# --- the state machine, whatever happens ---------------------------------------------------------------------------

LEGAL = {
    "firing": {("ok", "firing"), ("pending", "firing"), ("blind", "firing")},
    "resolved": {("firing", "ok"), ("blind", "ok")},
    "blind": {("ok", "blind"), ("pending", "blind"), ("firing", "blind")},
    "sighted": {("blind", "ok"), ("blind", "pending"), ("blind", "firing")},
}
policies = st.builds(AlertPolicy, after=st.integers(1, 4), until=st.integers(1, 4), blind_after=st.integers(1, 4))
stories = st.text("gbwul", max_size=60)


@given(stories, policies)
@settings(max_examples=examples(120), deadline=None)
def test_every_transition_is_one_of_the_diagram(looks: str, policy: AlertPolicy) -> None:
    _, told = play(looks, policy=policy)
    for each in told:
        assert (each.before, each.after) in LEGAL[each.event]
        assert each.incident


@given(stories, policies)
@settings(max_examples=examples(120), deadline=None)
def test_incidents_open_once_and_every_one_that_ended_was_said_to(looks: str, policy: AlertPolicy) -> None:
    alert, told = play(looks, policy=policy)
    for name in {each.incident for each in told}:
        own = [each for each in told if each.incident == name]
        assert own[0].event in ("firing", "blind")
        assert all(each.after in OPEN for each in own[:-1])
        assert own[-1].after not in OPEN or alert.incident == name
        fired = [each.event for each in own if each.event in ("firing", "resolved")]
        assert fired in ([], ["firing"], ["firing", "resolved"])
        if own[-1].after not in OPEN and "firing" in fired:
            assert own[-1].event == "resolved"


@given(stories, policies)
@settings(max_examples=examples(120), deadline=None)
def test_each_transition_leaves_from_where_the_one_before_arrived(looks: str, policy: AlertPolicy) -> None:
    _, told = play(looks, policy=policy)
    for earlier, later in pairwise(told):
        if earlier.after in OPEN:
            assert later.before == earlier.after


@given(stories, policies, st.integers(0, 60))
@settings(max_examples=examples(120), deadline=None)
def test_starting_again_from_what_was_stored_changes_nothing(looks: str, policy: AlertPolicy, stop: int) -> None:
    alert, whole = Alert("canary recall", "de"), []
    for hour, look in enumerate(looks):
        now = START + hour * HOUR
        if hour == stop:
            alert = Alert(**{name: getattr(alert, name) for name in Alert.__slots__})
        alert, transition = advance(
            alert, finding(look, now), policy, now, incident=incident_key("canaries", "de", now)
        )
        whole += [transition] if transition else []
    assert (alert, whole) == play(looks, policy=policy)


@given(stories, policies)
@settings(max_examples=examples(120), deadline=None)
def test_an_alert_resolves_only_after_enough_good_looks_in_a_row(looks: str, policy: AlertPolicy) -> None:
    known = looks.replace("l", "")
    _, told = play(known, policy=policy)
    for each in told:
        if each.event == "resolved":
            hour = (each.at - START) // HOUR
            assert known[hour + 1 - policy.until : hour + 1] == "g" * policy.until


def test_an_alert_that_is_well_stays_as_it_is():
    well, _ = play("g")
    assert advance(well, finding("g"), POLICY, START, incident="")[0] is well
    recovering, _ = play("bbg")
    assert play("g", recovering)[0].good == 2
