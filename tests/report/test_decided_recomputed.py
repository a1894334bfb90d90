"""Checks, incidents, budgets, topics, the index and what was not seen: against the bare rows, and against the story."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from driftwatch.reported import NotSeen, Rate
from tests.fakes.four_weeks import BLIND, BROKE, DAY, END, HOUR, INCIDENT, LAST, MENDED, WARNING
from tests.report.conftest import History
from tests.report.test_traffic_recomputed import is_rate

MICROS = 1_000_000


def micros(moment: datetime) -> int:
    return int(moment.timestamp()) * MICROS


def moment(value: int) -> datetime:
    return datetime.fromtimestamp(value / MICROS, UTC)


# --- checks --------------------------------------------------------------------------------------------------------


def test_every_look_of_the_week_is_counted_under_its_verdict(history: History) -> None:
    rows = history.rows(
        'SELECT "check", segment, verdict, learning FROM findings WHERE at >= ? AND at < ?', micros(LAST), micros(END)
    )
    told: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for check, segment, verdict, learning in rows:
        told[check, segment]["learning" if learning and verdict == "unknown" else verdict] += 1
    found = {(each.check, each.segment): Counter(each.verdicts) for each in history.week.checks}
    assert found == dict(told)
    assert all(each.looks == sum(each.verdicts.values()) for each in history.week.checks)


def test_the_last_look_of_each_check_is_shown_with_its_numbers(history: History) -> None:
    for each in history.week.checks:
        (row,) = history.rows(
            'SELECT at, verdict, message, n, value, effect, low, high FROM findings WHERE "check" = ? AND segment = ? '
            "AND at < ? ORDER BY at DESC LIMIT 1",
            each.check,
            each.segment,
            micros(END),
        )
        shown = (each.at, each.last, each.message, each.n, each.value, each.effect, each.low, each.high)
        rounded = [float(f"{value:.6g}") for value in row[4:]]
        assert shown == (moment(row[0]), row[1], row[2], row[3], *rounded)


def test_the_worst_check_comes_first(history: History) -> None:
    order = ["fail", "warn", "unknown", "learning", "ok"]
    ranks = [order.index(each.last) for each in history.week.checks]
    assert ranks == sorted(ranks)
    assert (history.week.checks[0].check, history.week.checks[0].segment) == ("empty results", "fr")


# --- incidents -----------------------------------------------------------------------------------------------------


def test_the_incidents_of_the_week_are_there_and_those_of_other_weeks_are_not(history: History) -> None:
    assert [each.incident_id for each in history.week.incidents] == [WARNING, INCIDENT, BLIND]


def test_an_incident_that_opened_twice_lasted_as_long_as_it_was_open(history: History) -> None:
    found = next(each for each in history.week.incidents if each.incident_id == INCIDENT)
    fired = BROKE + 2 * HOUR
    assert (found.opened, found.resolved, found.openings) == (fired, MENDED, 2)
    assert timedelta(seconds=found.seconds) == 20 * HOUR + (MENDED - fired - 30 * HOUR)
    assert (found.state, found.pages, found.segment, found.family) == ("resolved", True, "de", "scores")
    assert (found.cause, found.causes) == ("index decay", ("index decay", "mixed vectors"))
    assert (found.because, found.action) == ("Exact search finds them.", "Rebuild it.")
    assert found.onset == BROKE - 2 * HOUR


def test_what_was_done_is_told_in_order_and_by_whom(history: History) -> None:
    found = next(each for each in history.week.incidents if each.incident_id == INCIDENT)
    fired = BROKE + 2 * HOUR
    assert [(each.at, each.what, each.by, each.said) for each in found.done] == [
        (fired, "opened", "", ""),
        (fired, "diagnosed", "", "mixed vectors"),
        (fired + HOUR + timedelta(minutes=5), "silenced", "ben", "known"),
        (fired + 3 * HOUR, "acknowledged", "ana", ""),
        (fired + 20 * HOUR, "repaired", "", ""),
        (fired + 30 * HOUR, "reopened", "", ""),
        (fired + 30 * HOUR, "diagnosed", "", "index decay"),
        (MENDED - HOUR, "released", "ana", "20261030-bb"),
        (MENDED, "repaired", "", ""),
    ]


def test_the_effect_of_an_incident_is_the_largest_while_it_was_open(history: History) -> None:
    (found,) = next(each for each in history.week.incidents if each.incident_id == INCIDENT).symptoms
    rows = history.rows(
        "SELECT effect, low, high, at, evidence FROM findings WHERE \"check\" = 'top-score drift' AND segment = 'de' "
        "AND verdict = 'fail' AND at >= ? AND at <= ? ORDER BY effect DESC LIMIT 1",
        micros(BROKE + 2 * HOUR),
        micros(MENDED),
    )
    assert [(found.effect, found.low, found.high, micros(found.at or END), found.evidence)] == [
        (round(effect, 4), round(low, 4), round(high, 4), at, evidence) for effect, low, high, at, evidence in rows
    ]
    assert found.state == "ok"


def test_what_was_still_open_at_the_end_is_open_whatever_came_later(history: History) -> None:
    """It was resolved two days into the next week."""
    found = next(each for each in history.week.incidents if each.incident_id == WARNING)
    assert (found.state, found.resolved, found.pages) == ("firing", None, False)
    assert timedelta(seconds=found.seconds) == END - (BROKE + 5 * HOUR)
    assert found.done[-1].what == "released"


def test_a_week_in_which_a_check_was_blind_says_so(history: History) -> None:
    found = next(each for each in history.week.incidents if each.incident_id == BLIND)
    assert (found.state, found.pages, found.seconds) == ("resolved", False, 4 * 3600)
    assert found.symptoms[0].verdict == "unknown"


# --- budgets -------------------------------------------------------------------------------------------------------


def test_pages_are_openings_that_failed_and_warnings_those_that_warned(history: History) -> None:
    page, warn = history.week.budgets
    rows = history.rows("SELECT verdict, at FROM transitions WHERE event = 'firing'")
    for budget, verdict, days in ((page, "fail", 90), (warn, "warn", 14)):
        mine = [moment(at) for said, at in rows if said == verdict]
        assert budget.told == sum(LAST <= at < END for at in mine)
        assert budget.told_in_period == sum(END - days * DAY <= at < END for at in mine)
        assert (budget.limit, budget.days, budget.count) == (days, days, 1)
    assert (page.told, page.told_in_period, warn.told) == (2, 3, 1)


def test_the_most_evidence_of_the_week_stands_against_the_limit(history: History) -> None:
    for budget, checks in (
        (history.week.budgets[0], ("canary recall", "top-score drift", "new questions")),
        (history.week.budgets[1], ("score spread", "empty results")),
    ):
        marks = ", ".join("?" * len(checks))
        (row,) = history.rows(
            f'SELECT evidence, "check", segment, at FROM findings WHERE "check" IN ({marks}) AND at >= ? AND at < ? '
            "ORDER BY evidence DESC LIMIT 1",
            *checks,
            micros(LAST),
            micros(END),
        )
        assert (budget.highest, budget.check, budget.segment, budget.at) == (*row[:3], moment(row[3]))


# --- topics --------------------------------------------------------------------------------------------------------


def test_a_topic_that_was_seen_every_day_is_told_once_with_its_largest_share(history: History) -> None:
    found = history.week.topics[0]
    rows = history.rows(
        "SELECT at, n, details FROM findings WHERE \"check\" = 'new questions' AND at >= ? AND at < ? ORDER BY at",
        micros(LAST),
        micros(END),
    )
    told = [(moment(at), n, json.loads(details)["topics"][0]) for at, n, details in rows]
    _, n, largest = max(told, key=lambda each: each[2]["share"])
    assert found.words == ("roaming", "spain", "sim")
    assert (found.share.k, found.share.n) == (round(largest["share"] * n), n)
    assert (found.first, found.last, found.looks) == (told[0][0], told[-1][0], len(told))
    assert found.before == 0.01
    assert is_rate(found.share, found.share.k, n)


def test_the_examples_of_a_topic_are_redacted_and_those_that_are_not_kept_have_no_text(history: History) -> None:
    known, gone = history.week.topics[0].examples
    assert known.text == "<script>alert(1)</script> write to [email]"
    assert (gone.query_id, gone.text) == ("gone", "")


# --- the index -----------------------------------------------------------------------------------------------------


def test_the_probes_of_the_week_are_told_at_their_last_and_at_their_worst(history: History) -> None:
    (index,) = history.week.indexes
    looked = {each.name: each for each in index.looked}
    stored = looked["stored vectors"]
    assert (index.runs, stored.runs) == (7, 6)
    assert (stored.bad.k, stored.bad.n, stored.worst.k, stored.worst.n) == (0, 60, 6, 60)
    assert stored.by["de"].n == 20
    shares = [
        each for one in index.looked for each in (one.bad, one.worst, *one.by.values(), *(d.rate for d in one.days))
    ]
    assert len(shares) > 20
    assert all(is_rate(each, each.k, each.n) for each in shares)
    assert [(each.rate.k, each.day.day) for each in stored.days] == [
        (0, 26),
        (0, 27),
        (0, 28),
        (6, 29),
        (0, 31),
        (0, 1),
    ]
    assert looked["probe strings"].unable == "no embedder runs here"
    assert "missing documents" not in looked  # it is switched off
    assert looked["recall of the index"].values == {"recall@10": 0.981}


def test_what_the_index_says_of_itself_is_compared_with_what_it_said_when_the_week_began(history: History) -> None:
    (index,) = history.week.indexes
    assert (index.entries_before, index.entries) == (5021, 5027)
    assert index.changed == ("efSearch 32, before 64",)


# --- retraining ----------------------------------------------------------------------------------------------------


def test_what_was_done_about_models_is_there_up_to_the_end_of_the_week(history: History) -> None:
    assert [(each.job, each.what, each.in_week) for each in history.week.retraining] == [
        ("20261030-bb", "promoted", True),
        ("20261017-aa", "job", False),
    ]


# --- what was not seen ---------------------------------------------------------------------------------------------


def unseen(history: History) -> dict[tuple[str, str], NotSeen]:
    return {(each.what, each.name): each for each in history.week.not_seen}


def test_everything_that_did_not_run_or_could_not_see_is_named(history: History) -> None:
    assert set(unseen(history)) == {
        ("blind", "canary recall"),
        ("never looked", "no clicks"),
        ("never looked", "index integrity"),
        ("run missed", "source canaries"),
        ("run failed", "source canaries"),
        ("no traffic", "live"),
        ("unknown", "canary recall"),
        ("unasked", "canaries"),
        ("unasked", "live"),
        ("no probe", "index"),
        ("no probe", "second index"),
        ("feedback not kept", "live"),
        ("delivery parked", "pager"),
        ("delivery late", "slack"),
        ("expected", "a launch"),
    }


def test_what_left_something_unwatched_comes_first(history: History) -> None:
    first = [each.what for each in history.week.not_seen][:6]
    assert first == ["blind", "never looked", "never looked", "run missed", "run failed", "no traffic"]


def test_runs_that_were_missed_or_failed_are_counted_against_those_that_were_due(history: History) -> None:
    rows = history.rows(
        "SELECT status, count(*) FROM runs WHERE \"check\" = 'source canaries' AND scheduled_for >= ? "
        "AND scheduled_for < ? GROUP BY status",
        micros(LAST),
        micros(END),
    )
    done = dict(rows)
    found = unseen(history)
    assert found["run missed", "source canaries"].share == Rate(1, sum(done.values()) + 1)
    assert found["run failed", "source canaries"].share == Rate(done["failed"], sum(done.values()))
    assert ("run missed", "checks of live every 1h") not in found  # each ran a moment after it was due


def test_the_silent_hour_of_the_log_is_found(history: History) -> None:
    assert unseen(history)["no traffic", "live"].share == Rate(1, 168)


def test_looks_that_saw_nothing_are_counted_with_their_languages(history: History) -> None:
    found = unseen(history)["unknown", "canary recall"]
    assert found.share == Rate(5 * 4, 168 * 4)
    assert set(found.segments) == {"all", "en", "de", "fr"}


def test_canaries_that_could_not_be_asked_or_judged_are_counted(history: History) -> None:
    (source,) = history.week.canary_sources
    found = unseen(history)["unasked", "canaries"]
    assert found.share == Rate(source.asked.n - source.asked.k, source.asked.n)
    assert "timed out" in found.sentence


def test_feedback_that_is_counted_and_not_kept_is_said(history: History) -> None:
    heard = history.rows("SELECT sum(lines) FROM feedback_days WHERE day >= 20751 AND day <= 20758")[0][0]
    kept = history.rows("SELECT count(*) FROM feedback WHERE day >= 20751 AND day <= 20758")[0][0]
    assert unseen(history)["feedback not kept", "live"].share == Rate(heard - kept, heard)


def test_messages_that_were_refused_or_came_late_are_said(history: History) -> None:
    found = unseen(history)
    assert found["delivery parked", "pager"].share == Rate(2, 3)
    assert "unknown routing key" in found["delivery parked", "pager"].sentence
    assert found["delivery late", "slack"].share == Rate(5, 7)


def test_an_expected_window_that_touches_the_week_is_said_and_another_is_not(history: History) -> None:
    found = unseen(history)["expected", "a launch"]
    assert (found.since, found.until) == (END - DAY, END + DAY)


# --- the verdict ---------------------------------------------------------------------------------------------------


def test_the_verdict_names_the_incident_that_paged(history: History) -> None:
    verdict = history.week.verdict
    assert verdict.level == "fail"
    assert verdict.sentence.startswith("1 incident, over by now: top-score drift")
    assert verdict.sentence.endswith("in de; most likely index decay")
    assert verdict.reasons[0].startswith("also a warning, still open")
    assert len(verdict.reasons) <= 5
