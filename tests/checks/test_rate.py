import numpy as np
import pytest
from scipy import stats

from driftwatch.checks.rate import Rate
from tests.fakes.windows import same_hours, tally_window


def rate(of="empty", **settings):
    return Rate(name="empty results", source="live", of=of, **settings)


def window(x, n=100, hours=24, day=14, **more):
    return tally_window(same_hours({"queries": n, "results_known": n, "empty": x, **more}, hours), day=day)


BASELINE = window(2, hours=336, day=0)


def test_more_empty_results_fail_with_rate_change_and_interval():
    finding = rate().judge(window(6), BASELINE, None)
    assert finding.verdict == "fail"
    assert finding.message == (
        "queries without results rose from 2% to 6% (+4.0 points, +3.1 to +5.1): 144 of 2,400 queries"
    )
    assert (finding.value, finding.reference, finding.effect) == (0.06, 0.02, pytest.approx(0.04))
    oracle = stats.hypergeom.sf(143, 33_600 + 2_400, 672 + 144, 2_400)
    assert finding.details["fisher_p"] == pytest.approx(oracle, rel=1e-6)
    assert oracle < finding.p_value < 1e-6


def test_the_same_rate_is_ok():
    finding = rate().judge(window(2), BASELINE, None)
    assert finding.verdict == "ok"
    assert finding.message == "queries without results are at 2% of 2,400 queries, 2% in the same hours of the baseline"


def test_fewer_empty_results_are_not_bad_unless_asked_for():
    assert rate().judge(window(0), BASELINE, None).verdict == "ok"
    assert rate(side="down").judge(window(0), BASELINE, None).verdict == "fail"
    assert rate(side="both").judge(window(0), BASELINE, None).verdict == "fail"


def test_a_certain_change_below_the_floors_does_not_fail():
    large = tally_window(same_hours({"queries": 10**6, "results_known": 10**6, "empty": 28_000}), alpha=0.02)
    before = tally_window(same_hours({"queries": 10**6, "results_known": 10**6, "empty": 20_000}, 96), day=0)
    finding = rate(min_effect=0).judge(large, before, None)
    assert finding.p_value < 0.02
    assert finding.verdict == "ok"
    assert rate(min_effect=0, min_ratio=0.2).judge(large, before, None).verdict == "fail"


def clicks(hourly, days, day, n=10_000):
    """``hourly`` clicks of ``n`` shown results."""
    hours = same_hours({"queries": n, "feedback_known": n, "click": hourly}, 24 * days)
    return tally_window(hours, day=day, alpha=0.01)


def test_clicks_that_are_rare_are_seen_to_halve_with_the_settings_as_they_come():
    usual, ours = clicks(46, 14, 0), Rate(name="clicks", source="live", of="no_click")
    finding = ours.judge(clicks(20, 1, 14), usual, None)
    assert finding.effect < ours.min_effect / 1.5
    assert ours.past_floor(finding)
    assert not ours.past_floor(ours.judge(clicks(30, 1, 14), usual, None))


def test_a_rise_from_almost_nothing_still_has_to_pass_the_absolute_floor():
    usual = window(1, n=1000, hours=336, day=0)
    assert rate().judge(window(5, n=1000), usual, None).verdict == "ok"
    assert rate().judge(window(7, n=1000), usual, None).verdict == "fail"


def test_days_that_differ_in_the_baseline_take_evidence_away():
    random = np.random.default_rng(2)
    hours = [
        {"en": {"queries": 100, "results_known": 100, "empty": int(share)}}
        for share in np.repeat(random.integers(0, 9, 14), 24)
    ]
    finding = rate().judge(window(7), tally_window(hours, day=0), None)
    assert finding.details["day_dispersion"] > 10
    assert finding.verdict == "ok"


def test_a_log_that_does_not_say_is_unknown_and_not_zero():
    silent = tally_window(same_hours({"queries": 100}))
    finding = rate("negative_feedback").judge(silent, BASELINE, None)
    assert finding.verdict == "unknown"
    assert finding.value is None
    assert finding.message == (
        "the log of 'live' does not say what people made of the answer (feedback) for any of 2,400 queries"
    )


def test_a_baseline_that_does_not_say_is_nothing_to_compare_with():
    before = tally_window(same_hours({"queries": 100}, 336), day=0)
    finding = rate().judge(window(2), before, None)
    assert finding.verdict == "unknown"
    assert "the baseline of 'live' does not say" in finding.message


def test_a_ceiling_works_from_the_first_window():
    assert rate(at_most=0.1).judge(window(20), None, None).verdict == "fail"
    within = rate(at_most=0.1).judge(window(5), None, None)
    assert (within.verdict, within.learning) == ("ok", False)
    assert rate().judge(window(20), None, None).learning


def test_a_ceiling_also_judges_what_the_baseline_takes_for_normal():
    finding = rate(at_most=0.1).judge(window(20), window(20, hours=336, day=0), None)
    assert finding.message == "queries without results are at 20% of 2,400 queries, above the ceiling of 10%"


@pytest.mark.parametrize(
    ("of", "row", "count"),
    [
        ("abstained", {"abstention_known": 50, "abstained": 5}, 5),
        ("negative_feedback", {"feedback_known": 50, "up": 20, "down": 7}, 7),
        ("no_click", {"feedback_known": 50, "click": 20, "accepted": 10, "up": 3}, 20),
    ],
)
def test_each_rate_has_its_own_counts_and_denominator(of, row, count):
    finding = rate(of).judge(tally_window(same_hours({"queries": 100, **row})), None, None)
    assert finding.n == 24 * 50
    assert finding.details["count"] == 24 * count
    assert finding.details["known_share"] == 0.5


def test_thin_windows_are_unknown():
    finding = rate().judge(window(1, n=2, hours=10), BASELINE, None)
    assert finding.message == "only 20 queries with known outcome in this window; 100 are needed to judge"
    assert finding.verdict == "unknown"


def test_thin_baselines_are_unknown_but_for_the_ceiling():
    thin = window(1, n=5, hours=4, day=0)
    assert "in the same hours of the baseline" in rate().judge(window(2), thin, None).message
    assert rate(at_most=0.01).judge(window(2), thin, None).verdict == "fail"


def test_no_queries_are_unknown():
    assert rate().judge(tally_window([{}] * 24), BASELINE, None).message == "no queries in this window"
