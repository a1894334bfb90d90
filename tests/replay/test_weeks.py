import numpy as np
import pytest

from driftwatch.replay.weeks import FIRST_MONDAY, WEEK, Draw, quiet_weeks
from driftwatch.stats.shares import Shares
from driftwatch.types import TALLY_FIELDS, Tallies

MONDAY = FIRST_MONDAY + 2900 * WEEK


def recorded(weeks: int) -> Shares:
    """Every hour says in its counts which week and which hour of the week it was."""
    step = np.arange(MONDAY, MONDAY + weeks * WEEK)
    number, hour = np.divmod(step - MONDAY, WEEK)
    n = np.stack([1.0 + number, 1000.0 + hour], axis=1)
    return Shares(step, ("de", "en"), n, n[:, :, None] / 2)


def test_an_hour_keeps_its_hour_of_the_week_and_its_whole_week() -> None:
    weeks = quiet_weeks(MONDAY, MONDAY + 6 * WEEK, [])
    draw = Draw.of(weeks, 40, MONDAY + 6 * WEEK, np.random.default_rng(1))
    drawn = draw.shares(recorded(6))
    assert len(drawn) == 40 * WEEK
    assert (np.diff(drawn.step) == 1).all()
    assert ((drawn.step - FIRST_MONDAY) % WEEK == drawn.n[:, 1] - 1000).all()
    each = drawn.n[:, 0].reshape(40, WEEK)
    assert (each == each[:, :1]).all()
    assert set(each[:, 0] - 1) == set(range(6))
    assert (drawn.hits == drawn.n[:, :, None] / 2).all()


def test_what_is_drawn_follows_the_record() -> None:
    end = MONDAY + 6 * WEEK + 30
    draw = Draw.of(quiet_weeks(MONDAY, end, []), 3, end, np.random.default_rng(1))
    assert draw.start == MONDAY + 7 * WEEK
    assert draw.end == draw.start + 3 * WEEK


def test_weeks_in_which_something_happened_are_never_drawn() -> None:
    loud = [(MONDAY + 2 * WEEK + 5, MONDAY + 2 * WEEK + 6), (MONDAY + 5 * WEEK - 1, MONDAY + 5 * WEEK + 1)]
    weeks = quiet_weeks(MONDAY, MONDAY + 8 * WEEK, loud)
    assert (weeks.numbers - 2900).tolist() == [0, 1, 3, 6, 7]


def test_of_few_weeks_only_the_loud_hours_are_cut_out() -> None:
    loud = [(MONDAY + 5, MONDAY + 10), (MONDAY + WEEK, MONDAY + 2 * WEEK)]
    weeks = quiet_weeks(MONDAY, MONDAY + 3 * WEEK, loud)
    assert (weeks.numbers - 2900).tolist() == [0, 2]
    drawn = Draw.of(weeks, 20, MONDAY + 3 * WEEK, np.random.default_rng(3)).shares(recorded(3))
    hours = (drawn.step - FIRST_MONDAY) % WEEK
    assert not ((drawn.n[:, 0] == 1) & (hours >= 5) & (hours < 10)).any()
    assert ((drawn.n[:, 0] == 3) & (hours == 7)).any()


def test_weeks_that_are_not_whole_are_left_out() -> None:
    weeks = quiet_weeks(MONDAY + 1, MONDAY + 3 * WEEK - 1, [])
    assert (weeks.numbers - 2900).tolist() == [1]


def test_a_monthly_record_is_drawn_in_blocks_that_hold_a_month() -> None:
    weeks = quiet_weeks(MONDAY, MONDAY + 60 * WEEK, [], pace=744)
    assert weeks.block == 5 * WEEK


def test_without_a_whole_week_there_is_nothing_to_draw() -> None:
    assert len(quiet_weeks(MONDAY, MONDAY + WEEK - 1, [])) == 0


@pytest.mark.parametrize("pace", [1, 168])
def test_tallies_are_drawn_as_shares_are(pace: int) -> None:
    shares = recorded(6).keep(slice(None, None, pace))
    counts = np.zeros((len(shares), len(TALLY_FIELDS)), dtype=np.int64)
    counts[:, 0] = shares.n[:, 0]
    tallies = Tallies(shares.step.astype("datetime64[h]"), np.full(len(shares), "en"), counts)
    draw = Draw.of(quiet_weeks(MONDAY, MONDAY + 6 * WEEK, []), 12, MONDAY + 6 * WEEK, np.random.default_rng(5))
    drawn = draw.tallies(tallies)
    assert (drawn.counts[:, 0] == draw.shares(shares).n[:, 0]).all()
    assert (drawn.hour.astype(np.int64) == draw.shares(shares).step).all()
