import numpy as np
import pytest

from driftwatch.checks.volume import Volume
from driftwatch.types import Window
from tests.fakes.windows import DAY, HOUR, MONDAY, tally_window


def volume(**settings):
    return Volume(name="traffic", source="live", **settings)


def window(*counts, day=14, **more):
    return tally_window([{"en": {"queries": n}} if n else {} for n in counts], day=day, **more)


def fortnight(level=100, seed=0):
    """Twice as busy by day as by night, a quarter on weekends."""
    random = np.random.default_rng(seed)
    means = [
        level * (2 if 8 <= hour < 20 else 1) / (4 if day % 7 > 4 else 1) for day in range(14) for hour in range(24)
    ]
    return window(*random.poisson(means), day=0)


def usual_day(level=100, factor=1.0):
    return [round(factor * level * (2 if 8 <= hour < 20 else 1)) for hour in range(24)]


BASELINE = fortnight()


def test_a_day_like_its_weekday_is_ok():
    finding = volume().judge(window(*usual_day()), BASELINE, None)
    assert finding.verdict == "ok"
    assert finding.effect == pytest.approx(1, abs=0.05)
    assert finding.message.startswith("traffic is as usual: 3,600 queries where 3,")


def test_a_saturday_is_compared_with_saturdays():
    saturday = window(*usual_day(25), day=19)
    finding = volume().judge(saturday, BASELINE, None)
    assert finding.verdict == "ok"
    assert finding.effect == pytest.approx(1, abs=0.1)


def test_less_than_half_of_the_traffic_fails():
    finding = volume().judge(window(*usual_day(factor=0.3)), BASELINE, None)
    assert finding.verdict == "fail"
    assert finding.message.startswith("traffic fell: 1,080 queries where 3,")
    assert "0.30 times" in finding.message
    assert finding.interval[0] < 0.3 < finding.interval[1]


def test_more_than_three_times_the_traffic_fails():
    assert volume().judge(window(*usual_day(factor=4)), BASELINE, None).message.startswith("traffic rose")
    assert volume(at_most_ratio=5).judge(window(*usual_day(factor=4)), BASELINE, None).verdict == "ok"


def test_sixty_percent_of_the_traffic_is_tolerated():
    assert volume().judge(window(*usual_day(factor=0.6)), BASELINE, None).verdict == "ok"


def test_silence_fails_and_says_since_when():
    lively, silent = usual_day()[:18], [0] * 6
    finding = volume().judge(window(*lively, *silent), BASELINE, None)
    assert finding.verdict == "fail"
    assert finding.message.startswith("no queries since 2026-05-18 18:00 UTC, where 6 hours like these usually bring 8")


def test_silence_remembers_when_it_began_after_the_window_has_moved_past():
    check = volume()
    before = check.judge(window(*usual_day()[:18], *[0] * 6), BASELINE, None)
    after = check.judge(window(*[0] * 24, day=15), BASELINE, before)
    assert after.verdict == "fail"
    assert after.message.startswith("no queries since 2026-05-18 18:00 UTC")
    assert after.state == before.state


def test_quiet_hours_at_night_are_not_silence():
    quiet = fortnight(1)
    finding = volume().judge(window(*usual_day(1)[:20], 0, 0, 0, 0), quiet, None)
    assert finding.verdict == "ok"


def test_hours_that_are_always_quiet_are_unknown():
    finding = volume().judge(window(0, 0, 1, 0), window(*[0] * 335, 3, day=0), None)
    assert finding.verdict == "unknown"


def test_an_empty_window_is_never_ok():
    for reference in (None, BASELINE, fortnight(1), window(*[0] * 336, day=0)):
        assert volume().judge(window(*[0] * 24), reference, None).verdict in ("fail", "unknown")


def test_a_restless_baseline_takes_evidence_away():
    random = np.random.default_rng(1)
    days = [30 * random.gamma(1.5, 1) for _ in range(28)]
    restless = window(*random.poisson(np.repeat(days, 24)), day=0)
    calm = window(*random.poisson(np.full(28 * 24, 45)), day=0)
    today = window(*[18] * 24, day=28)
    assert volume().judge(today, calm, None).verdict == "fail"
    assert volume().judge(today, restless, None).verdict == "ok"


def test_hours_without_a_row_in_the_baseline_count_as_hours_without_queries():
    every_other = window(*[40, 0] * 168, day=0)
    finding = volume().judge(window(*[40, 0] * 12), every_other, None)
    assert finding.effect == pytest.approx(1)


def test_only_whole_hours_are_compared():
    whole = window(*usual_day())
    early = Window(whole.start, whole.end - 0.5 * HOUR, tallies=whole.tallies)
    assert volume().judge(early, BASELINE, None).details["compared_hours"] == 23


def test_a_floor_works_from_the_first_window():
    assert volume(at_least=100).judge(window(1, 2, 3), None, None).verdict == "fail"
    assert volume(at_least=5).judge(window(1, 2, 3), None, None).verdict == "ok"
    assert volume(at_least=5).judge(window(0, 0), None, None).message == (
        "no queries in this window, and at least 5 are expected"
    )
    assert volume().judge(window(1, 2, 3), None, None).learning


def test_a_baseline_without_these_hours_is_nothing_to_compare_with():
    mondays = window(*usual_day(), day=0)
    tuesday = window(*usual_day(), day=15)
    assert "no queries in these hours of the week" in volume().judge(tuesday, mondays, None).message


def test_the_reference_may_hold_more_hours_than_the_window():
    week = Window(MONDAY + 14 * DAY, MONDAY + 21 * DAY, tallies=fortnight(seed=4).tallies)
    moved = week.tallies.hour + np.timedelta64(14 * 24, "h")
    inside = moved < np.datetime64("2026-05-25T00", "h")
    tallies = type(week.tallies)(moved, week.tallies.lang, week.tallies.counts).keep(inside)
    finding = volume(window="7 days").judge(Window(week.start, week.end, tallies=tallies), BASELINE, None)
    assert (finding.verdict, finding.effect) == ("ok", pytest.approx(1, abs=0.03))
