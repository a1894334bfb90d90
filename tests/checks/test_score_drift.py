import time

import numpy as np
import pytest
from scipy import stats

from driftwatch.checks.score_drift import ScoreDrift
from tests.fakes.windows import same_hours, sample_window, tally_window


def score_drift(**settings):
    return ScoreDrift(name="top-score drift", source="live", **settings)


def scores(n, mean=0.7, seed=0):
    return np.random.default_rng(seed).normal(mean, 0.1, n)


def baseline(n=5_600, days=14, seed=9, **more):
    return sample_window(scores(n, seed=seed), day=0, days=days, **more)


def test_lower_scores_fail_and_say_by_how_much_and_where():
    finding = score_drift().judge(sample_window(scores(2_000, 0.6)), baseline(), None)
    assert finding.verdict == "fail"
    assert finding.message.startswith("top-1 scores fell: median 0.7")
    assert "more of 2,000 queries lie below 0.6" in finding.message
    assert finding.message.endswith("farther off than any of 14 baseline days")
    assert finding.effect == pytest.approx(0.38, abs=0.03)
    assert finding.details["ks"]["direction"] == "lower"
    assert finding.details["wasserstein"] == pytest.approx(0.1, abs=0.01)
    assert finding.interval[0] < finding.effect < finding.interval[1]


def test_higher_scores_fail_too():
    finding = score_drift().judge(sample_window(scores(2_000, 0.8)), baseline(), None)
    assert finding.verdict == "fail"
    assert "top-1 scores rose" in finding.message


def test_d_is_that_of_scipy():
    now, before = scores(500, 0.68), scores(5_600, seed=9)
    finding = score_drift().judge(sample_window(now), baseline(), None)
    oracle = stats.ks_2samp(now.astype(np.float32), before.astype(np.float32), method="asymp")
    assert finding.effect == pytest.approx(oracle.statistic, abs=1e-12)
    assert finding.details["ks"]["p_value"] == pytest.approx(oracle.pvalue, rel=0.1)


def test_scores_as_in_the_baseline_are_ok():
    finding = score_drift().judge(sample_window(scores(2_000)), baseline(), None)
    assert finding.verdict == "ok"
    assert "as in the baseline" in finding.message


def test_segments_that_are_compared_together_are_judged_as_each_alone():
    def pairs():
        reference = baseline()
        sizes = (2_000, 40, 1, 0, 700)
        return [(sample_window(scores(n, 0.65, seed=n)), baseline(90 * n, seed=n) if n else reference) for n in sizes]

    check, together = score_drift(), pairs()
    check.prepare(together)
    alone = [score_drift().judge(current, reference, None) for current, reference in pairs()]
    assert [check.judge(current, reference, None) for current, reference in together] == alone
    assert [finding.verdict for finding in alone] == ["fail", "unknown", "unknown", "unknown", "fail"]


def test_a_certain_but_small_gap_does_not_fail():
    finding = score_drift(min_effect=0.1).judge(sample_window(scores(20_000, 0.68)), baseline(20_000), None)
    assert finding.p_value < 0.001
    assert (finding.verdict, finding.effect < 0.1) == ("ok", True)


def test_rows_of_one_session_are_one_unit_of_evidence():
    values = np.repeat(scores(40), 50)
    finding = score_drift().judge(sample_window(values, unit=np.repeat(np.arange(40), 50)), baseline(), None)
    assert finding.n == 40
    assert finding.verdict == "unknown"
    assert finding.message.startswith("only 40 scored queries: blind below an effect of D = 0.")


def test_weights_count_for_the_distribution_and_against_the_evidence():
    values = np.concatenate([scores(1_000, 0.7), scores(1_000, 0.4, seed=1)])
    rare = np.concatenate([np.full(1_000, 100.0), np.full(1_000, 1.0)])
    finding = score_drift().judge(sample_window(values, weight=rare), baseline(), None)
    assert finding.verdict == "ok"
    assert finding.details["effective_n"] == pytest.approx(1_020, abs=1)


def test_days_that_differ_in_the_baseline_take_evidence_away():
    random = np.random.default_rng(3)
    restless = np.concatenate([random.normal(0.7 + shift, 0.1, 400) for shift in random.normal(0, 0.05, 14)])
    unrest = score_drift().judge(sample_window(scores(400, 0.66)), sample_window(restless, day=0, days=14), None)
    calm = score_drift().judge(sample_window(scores(400, 0.66)), baseline(), None)
    assert calm.verdict == "fail"
    assert unrest.details["day_shift"] > 3 * calm.details["day_shift"]
    assert unrest.verdict != "fail"
    assert unrest.details["larger_than_days"][0] < 14


def test_the_mean_over_all_documents_is_another_score():
    rows = np.stack([scores(500), scores(500, 0.2, seed=2), np.full(500, np.nan)], axis=1)
    one = score_drift(score="topk_mean").judge(sample_window(rows), baseline(), None)
    assert one.value == pytest.approx(0.45, abs=0.02)
    assert one.verdict == "fail"
    assert score_drift().judge(sample_window(rows), baseline(), None).verdict == "ok"


def test_a_log_without_scores_says_so():
    finding = score_drift().judge(sample_window(np.full(300, np.nan)), baseline(), None)
    assert finding.verdict == "unknown"
    assert finding.message == "the log of 'live' has no scores for any of 300 sampled queries"


def test_a_baseline_without_scores_says_so():
    finding = score_drift().judge(sample_window(scores(300)), sample_window([], day=0), None)
    assert finding.verdict == "unknown"
    assert "the baseline of 'live' has no scores" in finding.message


def test_without_a_baseline_it_is_learning():
    finding = score_drift().judge(sample_window(scores(300)), None, None)
    assert (finding.verdict, finding.learning) == ("unknown", True)


def test_a_thin_baseline_is_what_is_thin():
    finding = score_drift().judge(sample_window(scores(300)), baseline(30), None)
    assert "only 30 scored queries in the same hours of the baseline" in finding.message


def test_the_examples_are_the_queries_that_moved_farthest():
    now = scores(2_000, 0.6)
    finding = score_drift().judge(sample_window(now), baseline(), None)
    assert finding.examples[0] == f"query-{int(np.argmin(now))}"


def test_the_share_of_detected_languages_is_told_when_it_is_large():
    window = sample_window(scores(2_000, 0.5))
    counted = tally_window(same_hours({"queries": 100, "detected": 64}))
    window = type(window)(window.start, window.end, sample=window.sample, tallies=counted.tallies)
    finding = score_drift().judge(window, baseline(), None)
    assert finding.message.endswith("(language detected by driftwatch for 64% of them)")
    assert finding.details["detected_share"] == 0.64


def test_a_second_look_at_a_fortnight_is_quick():
    reference = baseline(28_000)
    window = sample_window(scores(2_000, 0.69))
    check = score_drift()
    first = check.judge(window, reference, None)
    start = time.process_time()
    assert check.judge(window, reference, None) == first
    assert time.process_time() - start < 0.05
