import pytest

from driftwatch.checks.mix import Mix
from tests.fakes.windows import tally_window


def mix(**settings):
    return Mix(name="languages", source="live", **settings)


def window(day=14, hours=24, **queries):
    return tally_window([{lang: {"queries": n} for lang, n in queries.items()}] * hours, day=day)


BASELINE = window(day=0, hours=336, en=70, de=20, fr=10)


def test_a_language_that_takes_over_is_named():
    finding = mix().judge(window(en=50, de=40, fr=10), BASELINE, None)
    assert finding.verdict == "fail"
    assert finding.message == (
        "the mix of languages changed for 20% of queries: de rose from 20% to 40%, en fell from 70% to 50%"
    )
    assert finding.effect == pytest.approx(0.2)
    assert finding.details["shares"] == {"de": 0.4, "en": 0.5, "fr": 0.1}


def test_the_same_mix_is_ok():
    assert mix().judge(window(en=70, de=20, fr=10), BASELINE, None).verdict == "ok"


def test_twice_the_traffic_in_the_same_mix_is_ok():
    assert mix().judge(window(en=140, de=40, fr=20), BASELINE, None).verdict == "ok"


def test_a_certain_but_small_change_does_not_fail():
    finding = mix().judge(window(en=660, de=240, fr=100), BASELINE, None)
    assert finding.p_value < 0.001
    assert finding.verdict == "ok"


def test_a_language_nobody_spoke_before_is_a_change():
    finding = mix().judge(window(en=50, ja=50), BASELINE, None)
    assert finding.verdict == "fail"
    assert "ja rose from 0% to 50%" in finding.message


def test_queries_of_unknown_language_are_left_out_unless_asked_for():
    muddled = window(en=70, de=20, fr=10, und=100)
    assert mix().judge(muddled, BASELINE, None).verdict == "ok"
    assert mix(ignore_und=False).judge(muddled, BASELINE, None).verdict == "fail"


def test_days_that_differ_in_the_baseline_take_evidence_away():
    weeks = [{"en": {"queries": 90 if day % 2 else 50}, "de": {"queries": 10 if day % 2 else 50}} for day in range(14)]
    restless = tally_window([hour for hour in weeks for _ in range(24)], day=0)
    finding = mix().judge(window(en=50, de=50), restless, None)
    assert finding.effect == pytest.approx(0.2)
    assert finding.verdict == "ok"


def test_what_a_log_calls_a_language_is_not_repeated_to_a_person():
    hostile = tally_window([{"en": {"queries": 50}, "<!channel> http://x": {"queries": 50}}] * 24)
    finding = mix().judge(hostile, BASELINE, None)
    assert finding.verdict == "fail"
    assert "channel" not in finding.message + str(finding.details)


def test_thin_silent_and_unlearnt_windows_are_unknown():
    assert "only 24 queries" in mix().judge(window(en=1), BASELINE, None).message
    assert mix().judge(window(), BASELINE, None).message == "no queries in this window"
    assert mix().judge(window(und=50), BASELINE, None).message == "the language of none of 1,200 queries is known"
    assert mix().judge(window(en=50), None, None).learning
    assert "of the baseline" in mix().judge(window(en=50), window(day=0, hours=1, en=9), None).message


def test_it_is_asked_once_about_all_segments():
    assert Mix.pools is False
