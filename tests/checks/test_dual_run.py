"""The judgement of a dual run: worse, as good, for how long, and what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import ValidationError

from driftwatch.checks.dual_run import DualRun
from driftwatch.types import Finding, Window
from tests.fakes.compared import MONDAY, comparison, days

DAY = timedelta(days=1)


def check(of: str = "worse", **more: object) -> DualRun:
    return DualRun(name="new index", kind="dual_run", source="migration", of=of, **more)


def judged(found: tuple, of: str = "worse", **more: object) -> Finding:
    end = found[-1].at if found else MONDAY
    return check(of, **more).judge(Window(end - 15 * DAY, end, comparisons=found), None, None)


def test_a_new_retriever_that_loses_a_language_is_worse_and_the_language_is_named():
    finding = judged(days(1, {"de": 30}))
    assert finding.verdict == "warn"
    assert "R@10 of 'migration' is 0.700, of 'retriever' 1.000" in finding.message
    assert "over 100 canaries in de" in finding.message
    assert len(finding.examples) == 10
    assert set(finding.examples) <= {f"de-{n}" for n in range(30)}
    assert finding.details["by_language"]["en"][0]["difference"] == 0


def test_severity_page_makes_it_fail():
    assert judged(days(1, {"de": 30}), severity="page").verdict == "fail"


def test_equal_retrievers_are_not_worse():
    finding = judged(days(1))
    assert finding.verdict == "ok"
    assert finding.effect == 0.0
    assert finding.n == 300


def test_one_lost_canary_is_chance():
    assert judged(days(1, {"de": 1})).verdict == "ok"


def test_what_is_lower_by_less_than_the_margin_is_as_good():
    assert judged(days(1, {"de": 30}), margin=0.5).verdict == "ok"


def test_what_broke_today_is_not_diluted_by_good_days_before():
    broken = days(1, {"de": 30}, start=MONDAY + 10 * DAY)
    assert judged((*days(9.5), *broken)).verdict == "warn"


@pytest.mark.parametrize("elapsed", [0, 3, 6.75])
def test_it_counts_the_days_in_which_it_was_as_good(elapsed: float):
    finding = judged(days(elapsed), "ready")
    assert finding.verdict == "ok"
    assert finding.message == f"'migration' has been at least as good as 'retriever' for {int(elapsed)} of 7 days"


def test_after_enough_days_it_says_that_it_can_be_switched_on():
    finding = judged(days(7), "ready")
    assert finding.verdict == "warn"
    assert finding.message == (
        "'migration' has been at least as good as 'retriever' for 7 days on 8,700 canary answers: it can be switched on"
    )
    assert finding.n == 300


def test_that_it_is_ready_never_pages():
    assert judged(days(7), "ready", severity="page").verdict == "warn"


def test_a_better_one_is_ready_too():
    found = tuple(comparison(MONDAY + timedelta(hours=6 * n), old_lost={"en": 40}) for n in range(29))
    assert judged(found, "ready").verdict == "warn"


def test_a_worse_day_begins_the_count_again():
    found = (*days(4), *days(0.75, {"de": 30}, start=MONDAY + 5 * DAY), *days(3, start=MONDAY + 6 * DAY))
    assert "for 3 of 7 days" in judged(found, "ready").message


def test_a_day_without_a_run_begins_the_count_again():
    assert "for 2 of 7 days" in judged((*days(6), *days(2, start=MONDAY + 8 * DAY)), "ready").message


def test_a_day_on_which_it_could_not_be_asked_begins_the_count_again():
    down = tuple(comparison(MONDAY + 4 * DAY + timedelta(hours=6 * n), failed=200) for n in range(4))
    found = (*days(3.75), *down, *days(3, start=MONDAY + 5 * DAY))
    assert "for 3 of 7 days" in judged(found, "ready").message


def test_a_small_language_that_measures_less_keeps_it_from_being_ready():
    finding = judged(days(7, {"de": 2}), "ready")
    assert finding.verdict == "ok"
    assert "not shown to be at least as good" in finding.message


def test_a_small_language_that_measures_the_same_does_not():
    assert judged(days(7), "ready").verdict == "warn"


def test_too_few_canaries_say_how_many_are_needed_and_are_no_alert():
    finding = judged(tuple(comparison(MONDAY, langs={"en": 60}) for _ in range(2)), "ready")
    assert (finding.verdict, finding.learning) == ("unknown", True)
    assert "cannot be shown with 60 canaries: a margin of 0.01 needs 222" in finding.message


def test_a_silent_dual_run_is_unknown_and_only_one_of_the_two_goes_blind():
    worse, ready = judged(()), judged((), "ready")
    assert (worse.verdict, worse.learning) == ("unknown", False)
    assert (ready.verdict, ready.learning) == ("unknown", True)


def test_a_new_retriever_that_cannot_be_asked_is_unknown_and_not_worse():
    finding = judged((comparison(MONDAY, failed=200),))
    assert finding.verdict == "unknown"
    assert "200 of 300 questions could not be asked of 'migration': connection refused" in finding.message


def test_nine_canaries_judge_nothing():
    finding = judged((comparison(MONDAY, langs={"en": 9}),))
    assert (finding.verdict, finding.message) == ("unknown", "both answered 9 canaries; 10 are needed to judge")


def test_the_same_canaries_asked_again_are_no_further_canaries():
    once, often = judged(days(0, {"de": 9})), judged(days(0.75, {"de": 9}))
    assert once.interval == pytest.approx(often.interval)
    assert once.n == often.n == 300


def test_a_smaller_error_budget_is_slower_to_say_worse():
    found = days(0, {"de": 9})
    window = Window(MONDAY - DAY, MONDAY, comparisons=found)
    assert check().judge(replace(window, alpha=0.01), None, None).verdict == "warn"
    assert check().judge(replace(window, alpha=1e-9), None, None).verdict == "ok"


def test_a_window_that_cannot_hold_the_days_is_refused():
    with pytest.raises(ValidationError, match="must be longer than 'days'"):
        check("ready", days=15)


def test_only_what_is_ready_is_said_once():
    assert check("worse").reminds
    assert not check("ready").reminds
