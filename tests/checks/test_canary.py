import json
import time
from dataclasses import replace

import pytest

from driftwatch.checks.canary import Canary
from driftwatch.types import PERTURBED, Window
from tests.fakes.windows import DAY, MONDAY, asked, hits, run, runs_window, steady_runs

TODAY = MONDAY + 14 * DAY


def canary(**settings):
    return Canary(name="canary recall", source="canaries", **settings)


def judge(check, observations, reference_ranks=(1,) * 50, *, gone=(), alpha=0.001, days=14, a_day=4):
    reference = runs_window(*steady_runs(reference_ranks, days, a_day)) if reference_ranks else None
    return check.judge(runs_window(run(observations, TODAY, gone), alpha=alpha), reference, None)


def test_lost_documents_fail_and_name_the_canaries():
    finding = judge(canary(), [None] * 27 + [1] * 23)
    assert finding.verdict == "fail"
    assert finding.message.startswith("recall R@10 fell from 1.00 to 0.46 (-0.54, -0.67 to -0.3")
    assert finding.message.endswith("27 of 50 canaries lost their document")
    assert finding.effect == pytest.approx(-0.54)
    assert finding.interval[0] < -0.54 < finding.interval[1] < 0
    assert finding.p_value < 1e-6
    assert (finding.n, finding.value, finding.reference) == (50, pytest.approx(0.46), 1.0)
    assert set(finding.examples) <= {f"q{number}" for number in range(27)}


def test_a_suite_that_finds_what_it_always_found_is_ok():
    finding = judge(canary(), [1] * 50)
    assert finding.verdict == "ok"
    assert finding.message == "recall R@10 is 1.00 over 50 canaries, 1.00 in the baseline"


def test_eight_of_two_hundred_lost_has_mcnemars_p():
    reference = runs_window(*steady_runs([1] * 200, days=1, a_day=1))
    finding = canary().judge(runs_window(run([None] * 8 + [1] * 192, TODAY)), reference, None)
    assert finding.details["mcnemar_p"] == pytest.approx(0.0078, abs=5e-5)
    assert 2 * finding.details["sign_flip_p"] == pytest.approx(finding.details["mcnemar_p"])
    assert finding.p_value <= finding.details["mcnemar_p"]


def test_a_certain_but_small_drop_does_not_fail():
    finding = judge(canary(max_drop=0.2), [None] * 9 + [1] * 41)
    assert finding.p_value < 0.001
    assert finding.verdict == "ok"


def test_more_finds_are_not_a_failure():
    finding = judge(canary(), [1] * 50, [1] * 25 + [None] * 25)
    assert finding.verdict == "ok"
    assert finding.effect == pytest.approx(0.5)
    assert finding.details["gained"] == 25


def test_flips_are_listed_with_ranks_hardest_losses_first():
    before = [1, 3, 9, 1, None] + [1] * 45
    after = [4, None, None, 1, 2] + [1] * 45
    finding = judge(canary(measure="RR@10"), after, before)
    assert [(flip["query_id"], flip["old_rank"], flip["new_rank"]) for flip in finding.details["flips"]] == [
        ("q0", 1, 4),
        ("q1", 3, None),
        ("q2", 9, None),
        ("q4", None, 2),
    ]


def test_a_graded_measure_fails_when_documents_slide_down_the_list():
    finding = judge(canary(measure="nDCG@10"), [4] * 50)
    assert finding.verdict == "fail"
    assert "nDCG@10 fell from 1.00 to 0.43" in finding.message
    assert finding.message.endswith("50 of 50 canaries find less, or find it lower down")


def test_a_flaky_canary_weighs_less_and_fails_nothing_by_itself():
    flaky = [run([1] * 30 + [1 if (day + q) % 2 else None for q in range(10)], MONDAY + day * DAY) for day in range(14)]
    finding = canary().judge(runs_window(run([1] * 30 + [None] * 10, TODAY)), runs_window(*flaky), None)
    assert finding.effect == pytest.approx(-0.125)
    assert finding.verdict == "ok"
    assert finding.details["flaky"] == 10


def test_canaries_that_never_found_anything_carry_no_evidence():
    finding = judge(canary(), [None] * 20, [None] * 20)
    assert finding.verdict == "unknown"
    assert "none of 20 canaries found its document in the baseline" in finding.message
    assert finding.details["never_found"] == 20


def test_small_suites_can_fail_at_small_budgets():
    finding = judge(canary(), [None] * 12, [1] * 12, alpha=1e-5)
    assert finding.verdict == "fail"
    assert 0.5**12 > 1e-5  # McNemar alone could not have seen it


def test_a_suite_that_could_never_fail_says_that_it_is_blind():
    finding = judge(canary(min_queries=3), [1] * 3, [1] * 3, alpha=1e-5, days=1, a_day=1)
    assert finding.verdict == "unknown"
    assert "blind to any drop" in finding.message


def test_the_newest_run_is_judged():
    window = runs_window(run([None] * 50, TODAY), run([1] * 50, TODAY + DAY))
    assert canary().judge(window, runs_window(*steady_runs([1] * 50)), None).verdict == "ok"


def test_a_judged_query_without_hits_counts_nothing():
    finding = judge(canary(), [asked(f"q{n}", empty=n < 25) if n < 25 else asked(f"q{n}", 1) for n in range(50)])
    assert finding.value == 0.5
    assert finding.verdict == "fail"


def test_recall_is_never_reported_from_queries_that_could_not_be_asked():
    timed_out = [asked(f"q{n}", error="timed out after 10 s") for n in range(50)]
    finding = judge(canary(at_least=0.9), timed_out)
    assert finding.verdict == "unknown"
    assert finding.value is None
    assert finding.effect is None
    assert finding.message == "50 of 50 canaries could not be asked: timed out after 10 s"


def test_the_most_frequent_reason_is_the_one_that_is_told():
    errors = ["HTTP 500"] * 20 + ["refused"] * 10
    seen = [asked(f"q{n}", error=error) for n, error in enumerate(errors)] + [asked(f"q{n}", 1) for n in range(30, 50)]
    finding = judge(canary(), seen)
    assert finding.message == "30 of 50 canaries could not be asked: HTTP 500"
    assert finding.details["unasked"] == {"HTTP 500": 20, "refused": 10}


def test_a_few_that_could_not_be_asked_are_left_out_of_the_value():
    seen = [asked(f"q{n}", error="HTTP 503") for n in range(5)] + [asked(f"q{n}", 1) for n in range(5, 50)]
    finding = judge(canary(), seen)
    assert (finding.verdict, finding.value, finding.n) == ("ok", 1.0, 45)


def test_a_few_canaries_whose_documents_are_gone_are_rot_and_not_drift():
    seen = [None] * 5 + [1] * 45
    gone = [f"right-q{n}" for n in range(5)]
    finding = judge(canary(), seen, gone=gone)
    assert finding.verdict == "ok"
    assert finding.value == 1.0
    assert finding.message.endswith("; 5 canaries ask for documents that the index no longer holds")
    assert finding.details["rot"]["query_ids"] == [f"q{n}" for n in range(5)]


def test_rot_names_the_documents_and_counts_languages():
    seen = [asked(f"q{n}", None if n < 5 else 1, lang="de" if n < 3 else "en") for n in range(50)]
    rot = judge(canary(), seen, gone=[f"right-q{n}" for n in range(5)]).details["rot"]
    assert rot["doc_ids"] == [f"right-q{n}" for n in range(5)]
    assert rot["by"] == {"de": 3, "en": 2}
    assert (rot["count"], rot["share"]) == (5, 0.1)


def test_a_canary_in_quarantine_is_not_in_the_ledger_and_comes_back_by_itself():
    check = canary()
    fixed = check.settle(runs_window(*steady_runs([1] * 50)))
    lost = run([None] * 5 + [1] * 45, TODAY, [f"right-q{n}" for n in range(5)])
    back = run([1] * 50, TODAY + DAY)
    counted = check.count(runs_window(lost, back), fixed)
    assert counted.n.sum(axis=1).tolist() == [45, 50]
    assert counted.hits.sum() == 0
    missing = check.count(runs_window(run([None] * 5 + [1] * 45, TODAY)), fixed)
    assert (missing.n.sum(), missing.hits.sum()) == (50, 5)  # the documents are there and are not found: that is drift


def two_documents(rank_of_first=1, number=50, gone=(), at=TODAY):
    """Canaries with two documents each, ``kept`` at rank 1 (or where it is said) and ``lost`` at rank 2, or gone."""
    seen = []
    for n in range(number):
        found = (
            list(hits(rank_of_first, f"kept-q{n}")) if gone else [*hits(1, f"kept-q{n}")[:1], *hits(1, f"lost-q{n}")]
        )
        each = asked(f"q{n}", relevant={f"kept-q{n}": 2, f"lost-q{n}": 1})
        seen.append(replace(each, hits=tuple(found)))
    return run(seen, at, gone)


@pytest.mark.parametrize("measure", ["R@10", "nDCG@10", "AP"])
def test_a_canary_that_lost_one_of_two_documents_is_judged_by_the_other(measure):
    gone = [f"lost-q{n}" for n in range(50)]
    check = canary(measure=measure)
    reference = runs_window(*(two_documents(at=MONDAY + day * DAY) for day in range(14)))
    finding = check.judge(runs_window(two_documents(gone=gone)), reference, None)
    assert (finding.verdict, finding.effect) == ("ok", 0.0)
    assert finding.message.endswith("50 canaries lost some of their documents and are judged by what remains")
    assert finding.details["partly_gone"]["count"] == 50
    assert "rot" not in finding.details
    assert check.count(runs_window(two_documents(gone=gone)), check.settle(reference)).hits.sum() == 0


def test_a_canary_that_lost_one_document_and_no_longer_finds_the_other_fails():
    gone = [f"lost-q{n}" for n in range(50)]
    check = canary()
    reference = runs_window(*(two_documents(at=MONDAY + day * DAY) for day in range(14)))
    now = runs_window(two_documents(None, gone=gone))
    assert check.judge(now, reference, None).verdict == "fail"
    assert check.count(now, check.settle(reference)).hits.sum() == 50


def test_a_document_that_comes_back_and_is_not_found_is_no_canary_that_got_better():
    check, gone = canary(), [f"lost-q{n}" for n in range(50)]
    reference = runs_window(*(two_documents(gone=gone, at=MONDAY + day * DAY) for day in range(14)))
    finding = check.judge(runs_window(two_documents()), reference, None)
    assert (finding.reference, finding.value) == (0.5, 1.0)
    assert "partly_gone" not in finding.details


def test_many_canaries_whose_documents_are_gone_fail_as_lost_documents():
    finding = judge(canary(), [None] * 15 + [1] * 35, gone=[f"right-q{n}" for n in range(15)])
    assert finding.verdict == "fail"
    assert "15 of 50 canaries (30%) ask for documents that are missing from the index" in finding.message
    assert "lost in ingestion" in finding.message
    assert finding.examples[0] == "q0"


def test_a_canary_with_one_document_left_is_not_rotten():
    seen = [asked(f"q{n}", 1, relevant={f"right-q{n}": 1, "gone": 1}) for n in range(50)]
    assert "rot" not in judge(canary(measure="Success@10"), seen, gone=["gone"]).details


def test_canaries_that_should_find_nothing_succeed_when_they_find_nothing():
    empty = [asked(f"e{n}", empty=True, expect_empty=True, relevant={}) for n in range(25)]
    full = [asked(f"e{n}", None, expect_empty=True, relevant={}) for n in range(25)]
    others = [asked(f"q{n}", 1) for n in range(25)]
    reference = runs_window(*(run(empty + others, MONDAY + day * DAY) for day in range(14)))
    assert canary().judge(runs_window(run(empty + others, TODAY)), reference, None).value == 1
    assert canary().judge(runs_window(run(full + others, TODAY)), reference, None).verdict == "fail"


def test_a_rewritten_canary_is_learning_and_not_compared():
    seen = [asked(f"q{n}", None, digest="2") for n in range(10)] + [asked(f"q{n}", 1) for n in range(10, 50)]
    finding = judge(canary(), seen)
    assert finding.verdict == "ok"
    assert finding.details["learning"] == 10
    assert (finding.n, finding.effect) == (40, 0.0)
    assert finding.details["value_of_all"] == 0.8


def test_a_floor_judges_what_the_baseline_does_not_know():
    seen = [asked(f"q{n}", None, digest="2") for n in range(50)]
    assert judge(canary(at_least=0.9), seen).verdict == "fail"
    assert judge(canary(), seen).learning


def test_without_a_baseline_it_is_learning():
    finding = judge(canary(), [1] * 50, None)
    assert (finding.verdict, finding.learning, finding.value) == ("unknown", True, 1.0)


def test_a_floor_works_from_the_first_run():
    low = judge(canary(at_least=0.9), [None] * 30 + [1] * 20, None)
    assert (low.verdict, low.message) == (
        "fail",
        "recall R@10 is 0.40 over 50 canaries, below the floor of 0.90: 30 find nothing relevant",
    )
    assert judge(canary(at_least=0.9), [1] * 50, None).verdict == "ok"


def test_a_floor_also_judges_what_the_baseline_takes_for_normal():
    finding = judge(canary(at_least=0.9), [None] * 25 + [1] * 25, [None] * 25 + [1] * 25)
    assert finding.verdict == "fail"
    assert "recall R@10 is as in the baseline (0.50), and at 0.50 is below the floor of 0.90" in finding.message


def test_a_change_within_the_noise_of_asking_twice_does_not_fail():
    def twice(rank_of, at):
        return run([asked(f"q{n}", rank_of(n, attempt), attempt=attempt) for n in range(50) for attempt in (0, 1)], at)

    reference = runs_window(*(twice(lambda n, attempt: 1, MONDAY + day * DAY) for day in range(14)))
    noisy = twice(lambda n, attempt: None if n < 10 and not attempt else 1, TODAY)
    quiet = twice(lambda n, attempt: None if n < 10 else 1, TODAY)
    finding = canary().judge(runs_window(noisy), reference, None)
    assert (finding.verdict, finding.details["noise_floor"]) == ("ok", 0.2)
    assert canary().judge(runs_window(quiet), reference, None).verdict == "fail"


def test_an_answer_to_a_slip_of_the_pen_is_neither_recall_nor_noise():
    slips = [asked(f"q{n}", None, attempt=PERTURBED) for n in range(50)]
    finding = judge(canary(), [*[asked(f"q{n}", 1) for n in range(50)], *slips])
    assert (finding.verdict, finding.value, finding.n) == ("ok", 1.0, 50)
    assert "noise_floor" not in finding.details


def test_too_few_canaries_are_unknown():
    finding = judge(canary(), [None] * 4, [1] * 4)
    assert finding.message == "4 canaries in this segment; 10 are needed to judge"


def test_no_run_is_unknown():
    assert canary().judge(runs_window(), runs_window(*steady_runs([1] * 20)), None).verdict == "unknown"


def test_severity_warn_warns():
    assert judge(canary(severity="warn"), [None] * 50).verdict == "warn"


def test_an_error_that_is_long_or_has_lines_stays_one_line():
    error = "<html>\n" + "x" * 500
    finding = judge(canary(), [asked(f"q{n}", error=error) for n in range(50)])
    assert "\n" not in finding.message
    assert len(finding.message) < 250
    assert judge(canary(), [asked(f"q{n}", error="Down. Try later.") for n in range(50)]).message.endswith(
        "could not be asked: Down; Try later"
    )
    json.dumps(dict(finding.details))


def test_a_second_look_at_the_same_baseline_is_quick():
    ranks = [1, 3, None, 12] * 50
    reference = Window(MONDAY, TODAY, runs=steady_runs(ranks, 14, 4))
    current = runs_window(run([None, 2, 5, 1] * 50, TODAY))
    check = canary(measure="nDCG@10")
    first = check.judge(current, reference, None)
    start = time.process_time()
    assert check.judge(current, reference, None) == first
    assert time.process_time() - start < 0.1
