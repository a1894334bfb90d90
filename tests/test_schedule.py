import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from driftwatch.schedule import Duration, Schedule, duration, show_duration

FRIDAY = datetime(2026, 5, 1, 10, 20, tzinfo=UTC)


def runs(text: str, moment: datetime = FRIDAY, count: int = 3) -> list[str]:
    return [run.strftime("%a %d %H:%M") for run in Schedule.parse(text).next_runs(moment, count)]


# --- lengths of time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1 second", 1),
        ("10m", 600),
        ("10 min", 600),
        ("10 mins", 600),
        ("1h", 3600),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1.5 hours", 5400),
        ("1 Day", 86400),
        ("14 days", 14 * 86400),
        ("2w", 14 * 86400),
        ("52 weeks", 364 * 86400),
        ("2 years", 730 * 86400),
        ("  1h  ", 3600),
    ],
)
def test_a_length_of_time_is_read(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "1",
        "h",
        "1 fortnight",
        "-1h",
        "1h and",
        "1h, 2m",
        "1e3s",
        "1" + "0" * 400 + "s",
        "١h",
        "ss",
        "1 h h",
    ],
)
def test_what_is_no_length_of_time_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a length of time\. Write it like '90s', '10m', '1h'"):
        duration(text)


@pytest.mark.parametrize("text", ["0s", "0 days", "0h 0m"])
def test_no_time_at_all_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no time at all"):
        duration(text)


@pytest.mark.parametrize("text", ["101 years", "99999999999 years", "9" * 15 + "w"])
def test_more_time_than_there_is_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="longer than"):
        duration(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_length_of_time_is_shown_as_it_is_read(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert duration(show_duration(length)) == length


def test_a_setting_that_is_a_length_of_time_is_dumped_as_text() -> None:
    class Block(BaseModel):
        wait: Duration

    assert Block.model_validate({"wait": "90m"}).model_dump() == {"wait": "1h 30m"}
    with pytest.raises(ValidationError, match="is not a length of time"):
        Block.model_validate({"wait": 3})


# --- periods -------------------------------------------------------------------------------------------------------


def test_periods_are_counted_from_a_fixed_monday_so_that_a_restart_does_not_move_them() -> None:
    assert runs("1h") == ["Fri 01 11:00", "Fri 01 12:00", "Fri 01 13:00"]
    assert runs("7h")[0] == runs("7h", FRIDAY + timedelta(minutes=13))[0]
    assert runs("1 week") == ["Mon 04 00:00", "Mon 11 00:00", "Mon 18 00:00"]


def test_a_run_is_never_at_the_moment_that_is_asked_about() -> None:
    for text in ("1h", "0 * * * *", "@hourly"):
        assert Schedule.parse(text).next_after(datetime(2026, 5, 1, 11, tzinfo=UTC)).hour == 12


def test_every_is_a_word_that_may_be_left_out() -> None:
    assert runs("every 6h") == runs("6h")


def test_a_period_under_a_second_is_refused() -> None:
    with pytest.raises(ValueError, match="more often than once a second"):
        Schedule.parse("0.5s")


# --- days and times ------------------------------------------------------------------------------------------------


def test_a_day_and_a_time() -> None:
    assert runs("mon 08:00") == ["Mon 04 08:00", "Mon 11 08:00", "Mon 18 08:00"]
    assert runs("Sun 8:05", count=1) == ["Sun 03 08:05"]
    assert runs("daily 08:00") == runs("08:00") == ["Sat 02 08:00", "Sun 03 08:00", "Mon 04 08:00"]


@pytest.mark.parametrize("text", ["mon 25:00", "mon 08:60", "noday 08:00", "8:0"])
def test_times_that_no_clock_shows_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (crontab|schedule|length of time)"):
        Schedule.parse(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_the_short_forms_of_cron(text: str, same: str) -> None:
    assert runs(text) == runs(same)


def test_weekly_is_sunday_as_in_cron() -> None:
    assert runs("@weekly", count=1) == ["Sun 03 00:00"]


@pytest.mark.parametrize("text", ["@reboot", "@fortnightly", "@"])
def test_other_short_forms_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a schedule"):
        Schedule.parse(text)


# --- crontabs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("1", ["Mon"]),
        ("6", ["Sat"]),
        ("sun", ["Sun"]),
        ("MON", ["Mon"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("mon-fri", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("0-6", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
        ("1-7", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
        ("0-7", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
        ("5-7", ["Fri", "Sat", "Sun"]),
        ("6-1", ["Mon", "Sat", "Sun"]),
        ("fri-mon", ["Mon", "Fri", "Sat", "Sun"]),
        ("sun-tue", ["Mon", "Tue", "Sun"]),
        ("1,3", ["Mon", "Wed"]),
        ("0,6", ["Sat", "Sun"]),
        ("*/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("1-5/2", ["Mon", "Wed", "Fri"]),
        ("mon-fri/2", ["Mon", "Wed", "Fri"]),
        ("mon,3", ["Mon", "Wed"]),
        ("1/2", ["Mon", "Wed", "Fri"]),
        ("7/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("*", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
    ],
)
def test_weekdays_are_numbered_from_sunday_as_everywhere_but_in_apscheduler(weekday: str, days: list[str]) -> None:
    fortnight = {run[:3] for run in runs(f"0 8 * * {weekday}", count=14)}
    assert sorted(fortnight) == sorted(days)


def test_a_crontab_of_five_fields() -> None:
    assert runs("*/15 9-17 * * mon-fri") == ["Fri 01 10:30", "Fri 01 10:45", "Fri 01 11:00"]
    assert runs("0 8 1 * *", count=2) == ["Mon 01 08:00", "Wed 01 08:00"]
    assert runs("  30   6  *  *  *  ", count=1) == ["Sat 02 06:30"]
    assert runs("0 0 29 2 *", count=1) == ["Tue 29 00:00"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 8 * * 8", "'8' is not a weekday: write 0-7"),
        ("0 8 * * mo", "'mo'"),
        ("0 8 * * 1-", "is not a weekday"),
        ("0 8 * * -", "is not a weekday"),
        ("0 8 * * 1-3-5", "is not a weekday"),
        ("0 8 * * 1/0", "step"),
        ("0 8 * * */0", "step"),
        ("0 8 * * 1/x", "'1/x' is not a weekday"),
        ("60 8 * * *", "is not a crontab"),
        ("0 24 * * *", "is not a crontab"),
        ("0 8 32 * *", "is not a crontab"),
        ("0 8 * 13 *", "is not a crontab"),
        ("x 8 * * *", "is not a crontab"),
        ("* * * *", "is not a"),
        ("0 0 8 * * 1", "has six fields; a crontab here has five"),
        ("*/5 0 8 * * mon", "has six fields"),
        ("0 0 13 * 5", "names days of the month and weekdays. Name one of them"),
        ("0 0 30 2 *", "never comes due"),
        ("0 0 31 4 *", "never comes due"),
        ("", "is not a"),
    ],
)
def test_what_is_no_crontab_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        Schedule.parse(text)
    assert said in str(caught.value)
    assert repr(text) in str(caught.value)


@given(st.text(alphabet="0123456789*/,-@: monsundailyh", max_size=25))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        Schedule.parse(text).next_after(FRIDAY)
    except ValueError:
        return


def test_a_date_that_never_comes_is_refused_soon() -> None:
    started = time.process_time()
    with pytest.raises(ValueError):
        Schedule.parse("0 0 31 2 *")
    assert time.process_time() - started < 2


def test_no_hour_is_skipped_or_doubled_when_the_clocks_change() -> None:
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)
    for start in (spring, autumn):
        for text in ("30 * * * *", "1h"):
            found = Schedule.parse(text).next_runs(start, 48)
            assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_runs_are_utc_whatever_the_zone_of_the_question() -> None:
    tokyo = FRIDAY.astimezone(__import__("zoneinfo").ZoneInfo("Asia/Tokyo"))
    for text in ("mon 08:00", "6h"):
        found = Schedule.parse(text).next_after(tokyo)
        assert found == Schedule.parse(text).next_after(FRIDAY)
        assert found.utcoffset() == timedelta(0)


# --- gaps, catching up ---------------------------------------------------------------------------------------------


def test_the_shortest_gap_is_between_the_closest_runs() -> None:
    assert Schedule.parse("6h").shortest_gap(FRIDAY) == timedelta(hours=6)
    assert Schedule.parse("*/15 9-17 * * mon-fri").shortest_gap(FRIDAY) == timedelta(minutes=15)
    assert Schedule.parse("mon 08:00").shortest_gap(FRIDAY) == timedelta(days=7)
    assert Schedule.parse("0 8 * * 1,2").shortest_gap(FRIDAY) == timedelta(days=1)


@pytest.mark.parametrize("text", ["6h", "0 */6 * * *"])
def test_the_latest_run_is_the_last_one_up_to_now(text: str) -> None:
    schedule = Schedule.parse(text)
    six, noon = FRIDAY.replace(hour=6, minute=0), FRIDAY.replace(hour=12, minute=0)
    assert schedule.latest(FRIDAY, FRIDAY - timedelta(days=3)) == six
    assert schedule.latest(noon, six) == noon
    assert schedule.latest(FRIDAY, six) is None


def test_a_schedule_is_shown_as_it_was_written() -> None:
    assert str(Schedule.parse("Mon 08:00")) == "Mon 08:00"
    assert Schedule.parse("mon 08:00") == Schedule.parse(Schedule.parse("mon 08:00"))


@pytest.mark.parametrize("text", ["90m", "*/15 9-17 * * 1-5", "mon 08:00"])
def test_apscheduler_agrees_about_what_comes_next(text: str) -> None:
    schedule = Schedule.parse(text)
    moment = FRIDAY
    for expected in schedule.next_runs(FRIDAY, 5):
        assert schedule.trigger.get_next_fire_time(None, moment + timedelta(microseconds=1)) == expected
        moment = expected
