"""A release brings its own normal, and whoever goes back gets the old one back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from driftwatch.retrained import Manifest
from driftwatch.retraining.normal import renewed
from driftwatch.types import Baseline

NOW = datetime(2026, 6, 26, tzinfo=UTC)
LENGTH = timedelta(days=14)
LEARNT = Baseline(NOW - 3 * LENGTH, NOW - 2 * LENGTH, "learnt once, at the start", "driftwatch", NOW, "live")
RELEASE = Manifest("20260626T200000Z-0cd4a108", NOW, "model", job="20260626-4a8b35a3", approved_by="U1")


def after(current: Manifest | None, known: list[Baseline], since: datetime | None = None, now: datetime = NOW):
    return [*known, *renewed(current, known, {"live": LEARNT}, LENGTH, since, now)]


def test_a_release_brings_the_questions_it_was_made_for_and_learns_its_scores() -> None:
    _, questions, scores = after(RELEASE, [LEARNT], since=NOW - timedelta(days=10))
    assert (questions.of, questions.start, questions.end) == ("questions", NOW - timedelta(days=10), NOW)
    assert (scores.of, scores.start, scores.end) == ("scores", NOW, NOW + LENGTH)
    assert {questions.author, scores.author} == {"U1"}


def test_questions_are_those_since_the_drift_began_but_at_least_a_week_and_at_most_a_baseline() -> None:
    assert after(RELEASE, [LEARNT], NOW - timedelta(days=2))[1].start == NOW - timedelta(days=7)
    assert after(RELEASE, [LEARNT], NOW - timedelta(days=90))[1].start == NOW - LENGTH
    assert after(RELEASE, [LEARNT])[1].start == NOW - LENGTH


def test_the_same_release_sets_nothing_twice() -> None:
    once = after(RELEASE, [LEARNT])
    assert after(RELEASE, once, now=NOW + LENGTH) == once


def test_nothing_is_set_before_the_first_release() -> None:
    adopted = replace(RELEASE, job="", approved_by="")
    assert after(None, [LEARNT]) == [LEARNT]
    assert after(adopted, [LEARNT]) == [LEARNT]


def test_going_back_brings_back_what_was_normal_and_going_on_again_what_the_release_had() -> None:
    once = after(RELEASE, [LEARNT])
    back = after(replace(RELEASE, release="the old one", job=""), once, now=NOW + LENGTH)
    assert [(each.of, each.start, each.end) for each in back[3:]] == [
        ("questions", LEARNT.start, LEARNT.end),
        ("scores", LEARNT.start, LEARNT.end),
    ]
    again = after(RELEASE, back, now=NOW + 2 * LENGTH)
    assert [(each.of, each.start, each.end) for each in again[5:]] == [
        (each.of, each.start, each.end) for each in once[1:]
    ]


def test_another_release_after_it_has_its_own() -> None:
    other = replace(RELEASE, release="20260901T000000Z-11111111")
    found = after(other, after(RELEASE, [LEARNT]), now=NOW + 3 * LENGTH)
    assert found[-1].start == NOW + 3 * LENGTH
