"""The week in one sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from driftwatch.report.verdict import verdict_of
from driftwatch.reported import (
    CanaryMeasure,
    Checked,
    Estimate,
    Incident,
    Normal,
    NotSeen,
    Rate,
    Rotten,
    Symptom,
    Topic,
    Verdict,
    Week,
)

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
END = MONDAY + timedelta(days=7)


def week(**more: Any) -> Week:
    """A week in which everything was looked at and all was well."""
    known: dict[str, Any] = {"checks": (looked(ok=168),)}
    nothing = Verdict("unknown", "")
    return Week("help-centre", "2026-W47", "UTC", MONDAY, END, True, END, nothing, **(known | more))


def looked(**verdicts: int) -> Checked:
    last = next(iter(verdicts))
    looks = sum(verdicts.values())
    return Checked("recall", "canary", "canaries", "canaries", "all", looks, verdicts, last, MONDAY, "so it is", 20)


def incident(
    name: str = "i1", *, pages: bool = True, over: bool = False, cause: str = "", said: str = "it fell"
) -> Incident:
    symptom = Symptom("recall", "de", "ok" if over else "firing", message=said)
    resolved = MONDAY + timedelta(hours=1) if over else None
    state: Any = "resolved" if over else "firing"
    return Incident(name, "canaries", "de", None, MONDAY, resolved, 60.0, 1, state, pages, cause, symptoms=(symptom,))


def measure(value: float = 0.95, change: float = 0.0, lang: str = "all") -> CanaryMeasure:
    apart = Estimate(20, change, change - 0.04, change + 0.04)
    usual, now = Estimate(20, value - change, 0.9, 1.0), Estimate(20, value, 0.9, 0.99)
    return CanaryMeasure("canaries", "R@10", "recall R@10", lang, now, usual, None, apart, ())


def test_a_quiet_week_says_how_good_retrieval_is_over_how_many_canaries() -> None:
    found = verdict_of(week(canaries=(measure(),)))
    assert (found.level, found.reasons) == ("ok", ())
    assert found.sentence == (
        "Retrieval was as usual: recall R@10 is 0.95 (0.90 to 0.99) over 20 canaries, 0.95 in the baseline"
    )


def test_a_quiet_week_without_canaries_says_no_number() -> None:
    assert verdict_of(week()).sentence == "Retrieval was as usual"


@pytest.mark.parametrize(
    ("incidents", "sentence"),
    [
        ((incident(),), "1 incident, still open: it fell in de"),
        ((incident(over=True),), "1 incident, over by now: it fell in de"),
        ((incident(), incident("i2")), "2 incidents, all of them still open: it fell in de"),
        ((incident(), incident("i2", over=True)), "2 incidents, 1 of them still open: it fell in de"),
        ((incident(over=True), incident("i2", over=True)), "2 incidents, none of them still open: it fell in de"),
        ((incident(cause="mixed vectors"),), "1 incident, still open: it fell in de; most likely mixed vectors"),
        ((incident(cause="unknown"),), "1 incident, still open: it fell in de"),
        ((incident(said=""),), "1 incident, still open: canaries fired in de"),
    ],
)
def test_incidents_are_counted_and_the_first_is_told(incidents: tuple[Incident, ...], sentence: str) -> None:
    found = verdict_of(week(incidents=incidents))
    assert (found.level, found.sentence) == ("fail", sentence)


def test_a_warning_is_no_incident_and_is_told_beside_one() -> None:
    warning = incident("w1", pages=False)
    alone = verdict_of(week(incidents=(warning,)))
    assert (alone.level, alone.sentence) == ("warn", "1 warning, still open: it fell in de")
    both = verdict_of(week(incidents=(warning, incident())))
    assert both.level == "fail"
    assert both.reasons == ("also a warning, still open: it fell in de",)


def test_that_nothing_could_be_seen_is_an_alert_and_no_warning() -> None:
    blind = incident("b1", pages=False, over=True, said="no canary was asked")
    blind = replace(blind, symptoms=(replace(blind.symptoms[0], verdict="unknown"),))
    alone = verdict_of(week(incidents=(blind,)))
    assert (alone.level, alone.sentence) == ("warn", "1 alert, over by now: no canary was asked in de")
    both = verdict_of(week(incidents=(incident("w1", pages=False), blind)))
    assert both.sentence == "2 alerts, 1 of them still open: it fell in de"
    assert both.reasons == ("also an alert, over by now: no canary was asked in de",)


def test_canaries_without_any_document_are_worth_a_look() -> None:
    gone = Rotten("canaries", "q1", "de", "", ("doc-1",), False)
    assert verdict_of(week(rotten=(gone,))).level == "warn"
    partly = verdict_of(week(rotten=(replace(gone, partly=True),)))
    assert partly.level == "ok"
    assert partly.reasons == ("1 canary lost documents from the index: mend or retire them",)


def test_a_week_in_which_nothing_was_looked_at_is_never_ok() -> None:
    found = verdict_of(week(checks=()))
    assert (found.level, found.sentence) == ("unknown", "No check looked in this week, so nothing is known of it")


def test_a_week_in_which_most_looks_saw_nothing_is_never_ok() -> None:
    found = verdict_of(week(checks=(looked(ok=50, unknown=118),)))
    assert (found.level, found.sentence) == ("unknown", "Too little could be seen: 70% of 168 looks saw nothing")
    assert verdict_of(week(checks=(looked(ok=118, unknown=50),))).level == "ok"


def test_a_week_of_learning_is_called_so() -> None:
    found = verdict_of(week(checks=(looked(learning=168),)))
    assert (found.level, found.sentence) == ("unknown", "What is normal is still being learnt; nothing fired")


def test_a_measure_that_certainly_fell_is_a_reason_and_one_that_may_not_have_is_none() -> None:
    fell = verdict_of(week(canaries=(measure(), measure(0.80, -0.15, "de"), measure(0.90, -0.05, "fr"))))
    assert fell.reasons == ("recall R@10 in de is 0.80, -0.15 against the baseline (-0.19 to -0.11, 20 canaries)",)
    assert verdict_of(week(canaries=(measure(0.93, -0.02),))).reasons == ()


def test_topics_overlaps_and_what_was_not_seen_are_reasons() -> None:
    topic = Topic("new", "all", ("roaming", "spain"), Rate(7, 100), 0.0, MONDAY, MONDAY, 1, ())
    normal = Normal("live", "", MONDAY, END, "by hand", "ana", True)
    missed = NotSeen("run missed", "source canaries", "3 runs of 168 were missed")
    found = verdict_of(week(topics=(topic,), normals=(normal,), not_seen=(missed,)))
    assert found.reasons == (
        "1 new topic, the largest 7%: roaming, spain",
        "a part of this week belongs to the baseline, so it is partly compared with itself",
        "1 thing did not run or could not see: 3 runs of 168 were missed",
    )


def test_there_are_never_more_than_five_reasons() -> None:
    many = tuple(incident(f"i{number}") for number in range(9))
    assert len(verdict_of(week(incidents=many)).reasons) == 5


def test_what_others_said_is_one_line_and_redacted() -> None:
    found = verdict_of(week(incidents=(incident(said="timed out.\nWrite to jane.doe@example.org"),)))
    assert found.sentence == "1 incident, still open: timed out; Write to [email] in de"
