"""May a job begin? Mostly no, and always with every reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from driftwatch.checks.canary import Canary
from driftwatch.checks.rate import Rate
from driftwatch.checks.volume import Volume
from driftwatch.retrain.settings import Retrain
from driftwatch.retrain.trigger import (
    MOST,
    Evidence,
    Firing,
    Job,
    Look,
    Passed,
    decide,
    disjoint,
    stretches,
)
from driftwatch.types import Alert, Diagnosis, Finding

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
BEGAN = datetime(2026, 5, 4, 9, tzinfo=UTC)
SETTINGS = Retrain(when=("canary recall",))
NOW = BEGAN + 22 * DAY
MISMATCH = Diagnosis("model mismatch", "it does not fit", "train", at=BEGAN)


def daily(days, beyond=True, *, every=DAY, long=DAY, began=BEGAN):
    """One look after another, each of them ``long``."""
    count = int(days * DAY / every)
    return tuple(Look(began + n * every, began + n * every + long, beyond) for n in range(count))


def firing(looks=None, **more):
    more = {"diagnoses": (MISMATCH,)} | more
    return Firing("canary recall", "de", BEGAN, daily(22) if looks is None else looks, **more)


def evidence(*firings, **more):
    return Evidence(firings or (firing(),), **({"pairs": 200} | more))


def against(found):
    return {reason.name: reason.sentence for reason in found.reasons if not reason.passed}


def test_a_drift_that_shows_itself_in_three_weeks_begins_a_job():
    found = decide(evidence(), SETTINGS, NOW)
    assert found.start
    assert not against(found)
    lasting = next(each for each in found.reasons if each.name == "lasting")
    assert lasting.sentence == (
        "'canary recall' (de) showed the drift anew in each of the last 3 windows of 7 days, "
        "since 2026-05-04 09:00 UTC."
    )


def test_three_weeks_are_not_over_a_minute_before():
    found = decide(evidence(), SETTINGS, BEGAN + 21 * DAY - timedelta(minutes=1))
    assert not found.start
    assert against(found)["lasting"].endswith(
        "in 2 windows of 7 days in a row, and 3 are needed: the next ends 2026-05-25 09:00 UTC."
    )


def test_an_alert_that_merely_fires_on_is_no_evidence():
    found = decide(evidence(firing(daily(22, beyond=False))), SETTINGS, NOW)
    assert against(found).keys() == {"lasting"}
    assert "past the floor in 0 of 7 looks" in against(found)["lasting"]


def test_every_reason_against_it_is_given():
    job = Job("20260520-ab", BEGAN + 16 * DAY)
    past = Job("20260510-cd", BEGAN + 6 * DAY, BEGAN + 7 * DAY, "refused")
    other = firing(diagnoses=(replace(MISMATCH, cause="mixed vectors"),))
    found = decide(evidence(other, pairs=12, jobs=(past, job)), SETTINGS, NOW)
    assert not found.start
    assert against(found).keys() == {"cause", "lasting", "pairs", "one at a time", "cool-down", "jobs a month"}
    assert "'mixed vectors'" in against(found)["cause"]
    assert "12 pairs to train on, and 50 are needed" in against(found)["pairs"]
    assert "20260520-ab is running" in against(found)["one at a time"]
    assert "(refused); the next may begin 2026-06-10 09:00 UTC" in against(found)["cool-down"]
    assert "2 jobs were begun" in against(found)["jobs a month"]


def test_a_check_that_is_not_named_asks_for_nothing():
    found = decide(evidence(replace(firing(), check="traffic")), SETTINGS, NOW)
    assert against(found).keys() == {"cause", "lasting"}
    assert against(found)["lasting"] == "None of 'canary recall' is firing."


@pytest.mark.parametrize("quiet", [0, 1, 2])
def test_one_window_without_it_breaks_the_row(quiet):
    looks = [replace(each, beyond=n // 7 != quiet) for n, each in enumerate(daily(21))]
    found = decide(evidence(firing(tuple(looks))), SETTINGS, NOW)
    assert not found.start
    assert f"in {2 - quiet} window" in against(found)["lasting"]


def test_the_row_may_begin_later_than_the_alert():
    looks = [replace(each, beyond=n >= 7) for n, each in enumerate(daily(30))]
    assert decide(evidence(firing(tuple(looks))), SETTINGS, BEGAN + 28 * DAY).start


# --- what belongs to a window -----------------------------------------------------------------------------------------


def test_a_look_that_reaches_back_over_the_border_counts_in_neither_window():
    across = Look(BEGAN + 6 * DAY, BEGAN + 8 * DAY, True)
    first, second = stretches(firing((across,)), BEGAN, 7 * DAY, BEGAN + 14 * DAY)
    assert (first.looks, second.looks) == (0, 0)


def test_looks_that_overlap_are_one_look():
    hourly = daily(7, every=HOUR)
    assert len(disjoint(hourly)) == 7
    (only,) = stretches(firing(hourly), BEGAN, 7 * DAY, BEGAN + 8 * DAY)
    assert only.looks == 7


def test_which_looks_are_taken_does_not_depend_on_what_they_found():
    hourly = daily(7, every=HOUR)
    flipped = [replace(each, beyond=n % 5 == 0) for n, each in enumerate(hourly)]
    assert [each.start for each in disjoint(hourly)] == [each.start for each in disjoint(reversed(flipped))]


def test_one_loud_day_of_a_week_is_no_window():
    (only,) = stretches(firing(daily(1)), BEGAN, 7 * DAY, BEGAN + 7 * DAY)
    assert (only.looks, only.beyond, only.shows) == (1, 1, False)


def test_looks_of_a_whole_window_are_enough_for_it():
    weekly = daily(21, every=7 * DAY, long=7 * DAY)
    assert [each.shows for each in stretches(firing(weekly), BEGAN, 7 * DAY, NOW)] == [True] * 3


def test_half_of_the_looks_are_not_most():
    looks = [replace(each, beyond=n % 2 == 0) for n, each in enumerate(daily(8))]
    (only,) = stretches(firing(tuple(looks)), BEGAN, 8 * DAY, BEGAN + 8 * DAY)
    assert not only.shows


def test_a_ledger_that_began_in_the_window_and_passed_in_it_shows_the_drift():
    passed = tuple(Passed(BEGAN + n * 7 * DAY, BEGAN + (n * 7 + 4) * DAY) for n in range(3))
    assert decide(evidence(firing((), passed=passed)), SETTINGS, NOW).start


def test_a_ledger_that_still_holds_what_came_before_shows_nothing():
    old = tuple(Passed(BEGAN + (n * 7 - 1) * DAY, BEGAN + (n * 7 + 4) * DAY) for n in range(3))
    found = decide(evidence(firing((), passed=old)), SETTINGS, NOW)
    assert against(found).keys() == {"lasting"}
    assert "in no look, since there was none" in against(found)["lasting"]


def test_deciding_every_hour_is_no_further_try():
    looks = daily(60)
    borders = {stretches(firing(looks), BEGAN, 7 * DAY, BEGAN + hour * HOUR)[:2] for hour in range(14 * 24, 40 * 24)}
    assert len(borders) == 1


def test_what_began_one_job_never_begins_another():
    settings = Retrain(when=("canary recall",), cool_down="1 day", jobs_a_month=9)
    done = Job("first", BEGAN + 21 * DAY, BEGAN + 22 * DAY, "done")
    looks = daily(60)
    early = decide(evidence(firing(looks), jobs=(done,)), settings, BEGAN + 42 * DAY)
    assert against(early).keys() == {"lasting"}
    assert decide(evidence(firing(looks), jobs=(done,)), settings, BEGAN + 43 * DAY).start


# --- the cause --------------------------------------------------------------------------------------------------------


def test_windows_count_from_when_nothing_but_the_model_was_suspected():
    late = (replace(MISMATCH, cause="new topic"), replace(MISMATCH, at=BEGAN + 8 * DAY))
    looks = daily(40)
    early = decide(evidence(firing(looks, diagnoses=late)), SETTINGS, BEGAN + 28 * DAY)
    assert against(early).keys() == {"lasting"}
    assert decide(evidence(firing(looks, diagnoses=late)), SETTINGS, BEGAN + 29 * DAY).start


def test_another_cause_in_between_begins_the_count_again():
    changed = (
        MISMATCH,
        replace(MISMATCH, cause="outage", at=BEGAN + 10 * DAY),
        replace(MISMATCH, at=BEGAN + 11 * DAY),
    )
    found = decide(evidence(firing(daily(40), diagnoses=changed)), SETTINGS, BEGAN + 31 * DAY)
    assert against(found).keys() == {"lasting"}


def test_a_mismatch_that_is_only_found_beside_another_cause_is_not_the_cause():
    beside = replace(MISMATCH, cause="bot", causes=("bot", "model mismatch"))
    assert "cause" in against(decide(evidence(firing(diagnoses=(beside,))), SETTINGS, NOW))


def test_what_is_thought_tomorrow_is_not_known_today():
    tomorrow = replace(MISMATCH, at=NOW + DAY)
    found = against(decide(evidence(firing(diagnoses=(tomorrow,))), SETTINGS, NOW))
    assert found["cause"].startswith("Nothing is thought of 'canary recall' (de)")
    assert found["lasting"].endswith("nothing counts before the cause is a model mismatch.")


def test_nothing_known_begins_nothing():
    found = decide(Evidence(), SETTINGS, NOW)
    assert against(found).keys() == {"cause", "lasting", "pairs"}


def test_the_alert_that_comes_nearest_to_a_job_is_told_of():
    short = replace(firing(daily(8)), segment="en")
    other = replace(firing(diagnoses=(replace(MISMATCH, cause="outage"),)), segment="fr")
    assert decide(evidence(short, firing(), other), SETTINGS, NOW).start


# --- what it costs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pairs", "enough"), [(49, False), (50, True)])
def test_pairs_are_counted(pairs, enough):
    assert decide(evidence(pairs=pairs), SETTINGS, NOW).start is enough


def test_a_running_job_is_alone():
    found = decide(evidence(jobs=(Job("j", NOW - 60 * DAY),)), SETTINGS, NOW)
    assert "one at a time" in against(found)


@pytest.mark.parametrize("outcome", ["done", "failed", "refused"])
def test_any_end_of_a_job_begins_the_cool_down(outcome):
    def passes(ended):
        found = decide(evidence(jobs=(Job("j", ended - HOUR, ended, outcome),)), SETTINGS, NOW)
        return "cool-down" not in against(found)

    assert not passes(NOW - 30 * DAY + HOUR)
    assert passes(NOW - 30 * DAY)


def test_jobs_are_counted_over_any_thirty_days():
    settings = Retrain(when=("canary recall",), cool_down="1 hour", jobs_a_month=1)

    def month(started):
        found = decide(evidence(jobs=(Job("j", started, started + HOUR, "done"),)), settings, NOW)
        return "jobs a month" not in against(found)

    assert not month(NOW - 30 * DAY + HOUR)
    assert month(NOW - 30 * DAY)


def test_names_from_elsewhere_cannot_move_the_cursor():
    found = decide(evidence(jobs=(Job("\x1b[2Jjob", NOW - DAY),)), SETTINGS, NOW)
    assert "\x1b" not in "".join(each.sentence for each in found.reasons)


# --- from findings ----------------------------------------------------------------------------------------------------

CANARY = Canary(name="canary recall", source="canaries", max_drop=0.03)
RATE = Rate(name="empty", source="live", of="empty", side="both", min_effect=0.01, min_ratio=0.0)


def finding(effect, interval, check=CANARY, verdict="fail", **more):
    return Finding(check.name, "de", BEGAN + DAY, verdict, "", effect=effect, interval=interval, **more)


@pytest.mark.parametrize(
    ("effect", "interval", "beyond"),
    [
        (-0.2, (-0.3, -0.1), True),
        (-0.05, (-0.08, -0.02), False),  # it may be less than matters
        (0.2, (0.1, 0.3), False),  # it got better
        (-0.05, (-0.2, 0.1), False),
    ],
)
def test_a_look_shows_the_drift_where_all_that_it_may_be_matters(effect, interval, beyond):
    look = Look.of(finding(effect, interval), CANARY)
    assert look is not None
    assert look.beyond is beyond
    assert (look.start, look.end) == (BEGAN, BEGAN + DAY)


def test_a_change_in_either_direction_is_none_when_its_direction_is_not_known():
    look = Look.of(finding(0.05, (-0.05, 0.15), RATE, reference=0.2), RATE)
    assert look is not None
    assert not look.beyond


def test_a_ratio_around_one_is_no_drift():
    volume = Volume(name="traffic", source="live")
    look = Look.of(finding(1.0, (0.05, 30.0), volume), volume)
    assert look is not None
    assert not look.beyond


def test_an_unknown_finding_tells_nothing():
    assert Look.of(finding(-0.2, (-0.3, -0.1), verdict="unknown"), CANARY) is None
    assert Look.of(finding(-0.2, None), CANARY) is None


def test_a_verdict_that_still_says_fail_is_not_believed():
    look = Look.of(finding(0.0, (-0.02, 0.02), verdict="fail"), CANARY)
    assert look is not None
    assert not look.beyond


def test_an_alert_and_its_findings_make_a_firing():
    alert = Alert("canary recall", "de", "firing", BEGAN, fired_at=BEGAN)
    own = finding(-0.2, (-0.3, -0.1))
    made = Firing.of(alert, [own, replace(own, segment="fr"), replace(own, check="other")], CANARY, [MISMATCH])
    assert made is not None
    assert made == Firing("canary recall", "de", BEGAN, made.looks, diagnoses=(MISMATCH,))
    assert len(made.looks) == 1


@pytest.mark.parametrize("state", ["ok", "pending", "blind"])
def test_what_is_not_firing_makes_none(state):
    assert Firing.of(Alert("canary recall", "de", state, BEGAN, fired_at=BEGAN), [], CANARY) is None


# --- how rarely by chance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
def test_chance_shows_a_drift_in_at_most_one_window_of_twenty(together):
    """Looks of which one in forty is beyond the floor by chance, from independent to all alike."""
    random = np.random.default_rng(7)
    shared, own = random.normal(size=(4000, 1)), random.normal(size=(4000, 7))
    beyond = np.sqrt(together) * shared + np.sqrt(1 - together) * own > 1.96
    weeks = [tuple(replace(each, beyond=bool(b)) for each, b in zip(daily(7), row, strict=True)) for row in beyond]
    shown = sum(stretches(firing(week), BEGAN, 7 * DAY, BEGAN + 7 * DAY)[0].shows for week in weeks)
    assert shown <= 0.025 / MOST * len(weeks)
    if not together:
        assert shown == 0
