"""The evidence ledger: what it promises when nothing changes, and what it finds when something does."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from scipy.stats import binom

from driftwatch.stats.book import LAG, STEADY_BETS, Book
from driftwatch.stats.history import History
from driftwatch.stats.ledger import MOST, Ledger, stakes
from driftwatch.stats.normal import Quantity, learn
from driftwatch.stats.shares import Shares
from tests.fakes.shares import HALF, START, known, nobody, stream, watched_of

pytestmark = pytest.mark.process

NO_CAP = 50.0
MANY = tuple(f"s{row}" for row in range(10))


def folded(ledger: Ledger, shares: Shares, at: int | None = None) -> tuple[Book, np.ndarray]:
    """All of ``shares``, in one go, when nothing fires."""
    normal = ledger.normal
    return ledger.fold(Book.empty(normal, START if at is None else at), shares, nobody(normal))


def same(book: Book, other: Book) -> bool:
    return all(
        np.allclose(getattr(book, each.name), getattr(other, each.name), rtol=1e-9, atol=1e-12) for each in fields(Book)
    )


def broken(days: float, before: float, names: tuple[str, ...], rows: list[int], share: float, base: float = 0.3):
    """Counts after a fortnight of baseline, of which ``rows`` change after ``before`` days; and what was learnt."""
    normal = learn(stream(28, 20, base, segments=names, day=-28, rho=0.005), (HALF,))
    shares = np.full(len(names), base)
    quiet = stream(before, 20, shares, segments=names, rho=0.005, seed=5)
    shares[rows] = share
    changed = stream(days - before, 20, shares, segments=names, day=before, rho=0.005, seed=6)
    return Ledger(normal, cap=4.0), Shares.joined([quiet, changed])


@pytest.mark.parametrize(
    ("side", "share", "floor"), [(+1, 0.02, 0.01), (+1, 0.995, 0.0025), (-1, 0.995, 0.01), (-1, 0.004, 0.002)]
)
def test_an_absolute_floor_asks_for_no_more_than_half_of_what_can_be_lost(side, share, floor):
    """The relative floor, a tenth of the rarer of the two, is smaller everywhere here."""
    rare = Quantity("rate", 0, side, 0.1, 0.0, 1.0, relative=True, least=0.01)
    assert stakes(known(1, share, quantity=rare)).floor == pytest.approx(floor, rel=0.05)


# --- when nothing changes ------------------------------------------------------------------------------------------


def test_without_change_a_ledger_grows_by_one_day_a_day_on_average():
    """Without tolerance and with exact parameters the mean over 6,000 ledgers is their age, no more and no less.

    But for the bets on what is left without the oddest step, which is less than was expected: they stay behind.
    """
    days, streams = 4, 6000
    small = Quantity("more", 0, +1, 0.006, 0.0, 1.0)
    normal = known(streams, 0.3, quantity=small, units=4)
    shares = stream(days, 4, 0.3, segments=normal.segments)
    ledger, book = Ledger(normal, cap=NO_CAP), Book.empty(normal, START)
    for day in range(1, days + 1):
        book, _ = ledger.fold(book, shares.keep(slice(24 * day - 24, 24 * day)), nobody(normal))
        bets = book.ledgers[:-1, 0]
        whole = bets[:, : -len(STEADY_BETS)].mean(axis=1)
        error = whole.std() / np.sqrt(streams)
        assert whole.mean() < day + 4 * error
        assert whole.mean() == pytest.approx(day, abs=max(5 * error, 0.05 * day))
        assert bets[:, -len(STEADY_BETS) :].mean() < 0.95 * day


def test_blocks_of_one_bad_day_do_not_pass_for_many_days():
    """A share that is 28 % on some days and 0 on the others: the six blocks of such a day are one piece of news."""
    bad = np.zeros(28)
    bad[[1, 3, 4, 11, 22, 25]] = 1
    hits = np.repeat(bad, 24) * np.tile([3.0, 4, 3, 3, 4, 3], 112)
    n = np.full(hits.shape, 12.0)
    steps = START - 28 * 24 + np.arange(len(hits))
    quantity = Quantity("higher rate", 0, +1, 1.0, 0.2, 1.0, relative=True, least=0.1)
    normal = learn(Shares(steps, ("en",), n[:, None], hits[:, None, None]), (quantity,))
    assert (normal.temper[1] < 0.5).all()
    ledger = Ledger(normal, cap=2.6)
    day = Shares(START + np.arange(24), ("en",), n[:24, None], hits[24:48, None, None])
    _, days = folded(ledger, day)
    assert days.max() < 10


def test_with_a_tolerance_a_ledger_stays_behind_its_age():
    normal = known(3000, 0.3, quantity=replace(HALF, floor=0.02, tolerance=0.008), units=10)
    _, found = folded(Ledger(normal, cap=NO_CAP), stream(6, 10, 0.3, segments=normal.segments))
    assert found[-1, :-1, 0].mean() < 6 * 0.9


@pytest.mark.parametrize("side", [1, -1])
def test_a_limit_is_passed_no_oftener_than_it_says(side: int):
    days, streams, limit = 15, 2000, 60.0
    normal = known(streams, 0.3, quantity=replace(HALF, side=side, tolerance=0.0), units=10)
    _, found = folded(Ledger(normal, cap=NO_CAP), stream(days, 10, 0.3, segments=normal.segments, seed=side + 1))
    crossed = int((found[:, :-1, 0] >= limit).any(axis=0).sum())
    assert 0 < crossed <= binom.ppf(0.999, streams, (days + 1) / limit)


def test_days_that_vary_more_than_coins_cross_only_where_that_is_ignored():
    days, streams, limit = 15, 300, 60.0
    names = tuple(f"s{row}" for row in range(streams))
    normal = learn(stream(28, 20, 0.3, segments=names, day=-28, rho=0.03, seed=1), (HALF,))
    shares = stream(days, 20, 0.3, segments=names, rho=0.03, seed=2)
    most = binom.ppf(0.999, streams, (days + 1) / limit)

    def crossings(of: float) -> int:
        less = replace(normal, rho=np.maximum(normal.rho * of, 1e-5), steady=np.maximum(normal.steady * of, 1e-5))
        _, found = folded(Ledger(less, cap=NO_CAP), shares)
        return int((found[:, :-1, 0] >= limit).any(axis=0).sum())

    assert crossings(1.0) <= most
    assert crossings(1e-5) > most


# --- looking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [1, 7, 24])
def test_folding_piece_by_piece_is_folding_in_one_go(hours: int):
    ledger, shares = broken(20, 10, MANY[:4], [1], 0.34)
    whole, found = folded(ledger, shares)
    book, pieces = Book.empty(ledger.normal, START), []
    for first in range(0, len(shares), hours):
        book, days = ledger.fold(book, shares.keep(slice(first, first + hours)), nobody(ledger.normal))
        pieces.append(days)
    assert same(book, whole)
    assert np.allclose(np.concatenate(pieces), found, rtol=1e-9, atol=0)


def test_looking_more_often_changes_nothing_at_looks_in_common():
    ledger, shares = broken(12, 6, MANY[:4], [1], 0.36)
    _, hourly = folded(ledger, shares)
    normal, book = ledger.normal, Book.empty(ledger.normal, START)
    for day in range(12):
        book, _ = ledger.fold(book, shares.keep(slice(24 * day, 24 * (day + 1))), nobody(normal))
        assert np.allclose(ledger.standing(book, nobody(normal)), hourly[24 * day + 23], rtol=1e-9)


def test_nothing_new_leaves_the_book_as_it_is():
    ledger, shares = broken(3, 1, MANY[:2], [], 0.3)
    book, _ = folded(ledger, shares)
    again, days = ledger.fold(book, shares.keep(slice(0, 0)), nobody(ledger.normal))
    assert same(again, book)
    assert len(days) == 0


def test_a_book_without_counts_holds_no_evidence():
    normal = known(3, 0.3)
    assert not Ledger(normal, cap=NO_CAP).standing(Book.empty(normal), nobody(normal)).any()


def test_hours_that_are_missing_say_nothing():
    ledger, shares = broken(10, 10, MANY[:2], [], 0.3)
    gone = (shares.step < START + 72) | (shares.step >= START + 96)
    empty = replace(shares, n=shares.n * gone[:, None], hits=shares.hits * gone[:, None, None])
    _, left_out = folded(ledger, shares.keep(gone))
    _, nothing_in = folded(ledger, empty)
    before, after = left_out[71], nothing_in[95]
    assert (after <= before + 1 + 1e-9).all()


# --- when something changes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "share"), [(1, 0.42), (-1, 0.18)])
def test_a_change_is_found_dated_and_measured(side: int, share: float):
    ledger, shares = broken(24, 18, MANY, [3], share)
    ledger = Ledger(replace(ledger.normal, quantities=(replace(HALF, side=side),)), cap=4.0)
    book, found = folded(ledger, shares)
    assert found[18 * 24 - 1, 3, 0] < 60
    assert found[: 21 * 24, 3, 0].max() > 400
    onset = History(ledger, book).onset(3, 0)
    assert abs(onset.step - (START + 18 * 24)) <= 24
    low, high = onset.interval
    assert low < share - 0.3 < high
    assert low < onset.effect < high
    assert onset.n == pytest.approx(20 * (START + 24 * 24 - onset.step))
    others = np.delete(np.arange(len(MANY)), 3)
    assert found[-1, others, 0].max() < found[-1, 3, 0] / 100


def test_a_change_in_the_middle_of_a_day_is_dated_to_that_day():
    ledger, shares = broken(18.5, 15.5, MANY[:3], [0], 0.5)
    book, _ = folded(ledger, shares)
    assert abs(History(ledger, book).onset(0, 0).step - (START + 15.5 * 24)) <= 24


def test_the_interval_covers_the_effect_in_most_worlds():
    missed = 0
    for seed in range(30):
        normal = learn(stream(28, 20, 0.3, segments=MANY[:4], day=-28, rho=0.01, seed=seed), (HALF,))
        ledger = Ledger(normal, cap=4.0)
        quiet, changed = (
            stream(4, 20, p, day=day, segments=MANY[:4], rho=0.01, seed=seed + 100) for day, p in ((0, 0.3), (4, 0.4))
        )
        book, _ = folded(ledger, Shares.joined([quiet, changed]))
        low, high = History(ledger, book).onset(1, 0).interval
        missed += not low <= 0.1 <= high
    assert missed <= 4


def test_after_days_without_counts_a_change_is_dated_by_the_clock():
    ledger, shares = broken(20, 17, MANY[:3], [0], 0.5)
    silent = (shares.step < START + 8 * 24) | (shares.step >= START + 14 * 24)
    book, _ = folded(ledger, shares.keep(silent))
    assert abs(History(ledger, book).onset(0, 0).step - (START + 17 * 24)) <= 24


def test_a_change_does_not_begin_before_anything_was_counted():
    ledger, shares = broken(2, 0, MANY[:3], [0], 0.6)
    book, _ = folded(ledger, shares)
    assert History(ledger, book).onset(0, 0).step >= START


@pytest.mark.parametrize("hours", [1, 5, 13, 22])
def test_an_abrupt_change_is_dated_to_a_few_hours(hours: int):
    ledger, shares = broken(16 + (hours + 6) / 24, 16 + hours / 24, MANY[:3], [0], 0.9)
    book, _ = folded(ledger, shares)
    onset = History(ledger, book).onset(0, 0)
    assert abs(onset.step - (START + 16 * 24 + hours)) <= 4
    low, high = onset.interval
    assert low < 0.6 * 6 / (START + 16 * 24 + hours + 6 - onset.step) < high


def test_overwhelming_evidence_stays_a_number_and_can_be_cleared():
    normal = known(2, 0.1, units=5000)
    ledger = Ledger(normal, cap=NO_CAP)
    book, found = folded(ledger, stream(20, 5000, 0.9, segments=normal.segments))
    assert np.isfinite(found).all()
    assert found[-1, 0, 0] == pytest.approx(MOST)
    assert book.fine[:, 0].any()
    cleared = book.cleared(np.ones(3, bool))
    assert not cleared.carry.any()
    assert not cleared.fine.any()


def test_one_odd_hour_of_an_hourly_source_does_not_pass_the_cap_by_itself():
    normal = known(2, 0.3, units=200)
    odd = stream(0.125, 200, 0.3, segments=normal.segments)
    odd.hits[0] = 200.0
    _, one = folded(Ledger(normal, cap=3.0), odd.keep(slice(0, 1)))
    assert one.max() <= np.exp(3.0) + 1e-9
    odd.hits[1] = 200.0
    _, two = folded(Ledger(normal, cap=3.0), odd.keep(slice(0, 2)))
    assert two.max() > 1000


def test_what_lasts_is_seen_through_hours_that_are_odd_now_and_then():
    """Ten of two hundred are lost; an hour a week in which thirty are is part of the baseline, and no evidence."""
    usual = stream(28, 200, 0.005, day=-28)
    usual.hits[30::168, 0] = 30
    rare = Quantity("lost", 0, +1, 0.02, 0.004, 1.0)
    normal = learn(usual, (rare,))
    days = stream(4, 200, 0.005)
    days.hits[20, 0] = 30
    ledger = Ledger(normal, cap=4.0)
    book, quiet = folded(ledger, days)
    assert quiet[:, 0, 0].max() < 30
    lost = stream(0.5, 200, 0.05, day=4)
    _, found = ledger.fold(book, lost, nobody(normal))
    assert found[5, 0, 0] > 100
    blind = Ledger(replace(normal, steady=normal.rho[1]), cap=4.0)
    assert blind.fold(book, lost, nobody(normal))[1][5, 0, 0] < found[5, 0, 0] / 10


def test_one_odd_daily_run_does_not_page_and_two_that_agree_do():
    """A run a day: one in the baseline that met an index refresh hides nothing, and the next that does is no page."""
    usual = stream(28, 200, 0.005, day=-28, every=24)
    usual.hits[9, 0] = 30
    normal = learn(usual, (Quantity("lost", 0, +1, 0.02, 0.004, 1.0),))
    assert normal.rho[0, -1, 0, 0] < 0.01
    ledger = Ledger(normal, cap=4.0)
    days = stream(6, 200, 0.005, every=24)
    days.hits[2, 0] = 40
    _, refreshed = folded(ledger, days)
    assert refreshed[:, 0, 0].max() < 3 * np.exp(4.0)
    assert refreshed[-1, 0, 0] < 3
    days.hits[2:, 0] = 10
    _, lost = folded(ledger, days)
    assert lost[3, 0, 0] > 10 * np.exp(4.0)
    days.hits[2, 0] = 120
    _, gone = folded(ledger, days)
    assert gone[2, 0, 0] > 1e6


# --- who it is -----------------------------------------------------------------------------------------------------


def explained(rows: list[int], share: float = 0.5, names: tuple[str, ...] = (*MANY, "*")) -> list[int]:
    ledger, shares = broken(18, 15, names, rows, share)
    book, found = folded(ledger, shares)
    pooled = len(names)
    assert found[-1, pooled, 0] > 20
    return sorted(History(ledger, book).explaining(0, History(ledger, book).onset(pooled, 0)))


def test_one_broken_language_of_many_explains_what_all_show():
    assert explained([3], 0.95) == [3]


def test_two_broken_languages_explain_it_together():
    assert explained([3, 7], 0.95) == [3, 7]


@pytest.mark.parametrize("seed", range(6))
def test_what_all_share_is_everybodys_though_few_show_it_by_themselves(seed: int):
    """All fall alike: those in which chance makes it look largest are no culprits, however little the rest can show."""
    names = (*(f"s{row}" for row in range(20)), "*")
    normal = learn(stream(28, 20, 0.3, segments=names, day=-28, rho=0.005, seed=100 * seed), (HALF,))
    quiet = stream(15, 20, 0.3, segments=names, rho=0.005, seed=100 * seed + 5)
    fallen = stream(1, 20, 0.36, segments=names, day=15, rho=0.005, seed=100 * seed + 6)
    book, _ = folded(Ledger(normal, cap=4.0), Shares.joined([quiet, fallen]))
    history = History(Ledger(normal, cap=4.0), book)
    assert history.explaining(0, history.onset(len(names), 0)) == []


def test_when_all_are_broken_none_explains_it():
    assert explained(list(range(11)), 0.42) == []


def test_what_is_too_small_for_a_ledger_is_never_named():
    assert explained([10], 0.95) == []


# --- what was told -------------------------------------------------------------------------------------------------


def test_cleared_rows_start_from_zero_and_the_others_go_on():
    ledger, shares = broken(10, 5, MANY[:3], [0], 0.5)
    book, _ = folded(ledger, shares)
    before = ledger.standing(book, nobody(ledger.normal))
    rows = np.array([True, False, False, True])
    cleared = book.cleared(rows)
    after = ledger.standing(cleared, nobody(ledger.normal))
    assert (after[rows] <= 1 + 1e-9).all()
    assert np.array_equal(after[~rows], before[~rows])
    quiet = stream(2, 20, 0.3, segments=MANY[:3], day=10, rho=0.005)
    _, later = ledger.fold(cleared, quiet, nobody(ledger.normal))
    assert later[:, 0].max() < 10


def test_a_firing_segment_gives_no_evidence_and_is_no_part_of_the_pooled_row():
    ledger, shares = broken(10, 5, MANY[:3], [0], 0.9)
    firing = np.array([True, False, False, False])
    book, found = ledger.fold(Book.empty(ledger.normal, START), shares, firing)
    assert not found[:, 0].any()
    assert found[:, 3].max() < 20
    units = book.counts[0, 0, :, 0]
    assert units[3] == units[1] + units[2]
    _, all_in = folded(ledger, shares)
    assert all_in[-1, 3, 0] > 1000


def test_while_all_together_fire_no_language_gives_evidence():
    ledger, shares = broken(10, 5, MANY[:3], [0, 1, 2], 0.5)
    _, found = ledger.fold(Book.empty(ledger.normal, START), shares, np.array([False, False, False, True]))
    assert not found.any()


def test_a_change_is_over_only_when_the_counts_say_so():
    ledger, shares = broken(20, 15, MANY[:3], [0], 0.45)
    firing = np.array([True, False, False, False])
    book, _ = folded(ledger, shares)
    effect = History(ledger, book).onset(0, 0).effect
    book = book.cleared(firing)
    assert not History(ledger, book).recovered(0, 0, effect)
    still = stream(3, 20, [0.45, 0.3, 0.3], segments=MANY[:3], day=20, rho=0.005)
    assert not History(ledger, ledger.fold(book, still, firing)[0]).recovered(0, 0, effect)
    well = stream(2, 20, 0.3, segments=MANY[:3], day=20, rho=0.005)
    assert History(ledger, ledger.fold(book, well, firing)[0]).recovered(0, 0, effect)
    silence = stream(3, 0, 0.3, segments=MANY[:3], day=20)
    assert not History(ledger, ledger.fold(book, silence, firing)[0]).recovered(0, 0, effect)


@pytest.mark.parametrize("effect", [0.0, 0.001, -0.02])
def test_also_what_fired_for_hardly_anything_can_be_over(effect: float):
    ledger, shares = broken(10, 10, MANY[:3], [], 0.3)
    book, _ = folded(ledger, shares)
    assert History(ledger, book).recovered(0, 0, effect)


# --- a baseline that is better known later -------------------------------------------------------------------------


def test_what_followed_the_baseline_refines_its_level():
    """A baseline that was off by luck costs evidence only until enough is known."""
    normal = known(1, 0.30, units=20)
    normal = replace(normal, error=np.full((2, 1), 0.01), rho=np.full_like(normal.rho, 1e-4))
    book, found = folded(Ledger(normal, cap=NO_CAP), stream(80, 20, 0.315, segments=normal.segments))
    assert book.settled[3, 0, 0] > 40
    offset, shrink = Ledger(normal, cap=NO_CAP)._refined(book)
    assert offset[0, 0] == pytest.approx(0.015 * 0.75, abs=0.005)
    assert shrink[0, 0] < 0.6
    assert found[-1, 0, 0] < 60


def test_recent_days_are_no_part_of_what_refines_the_baseline():
    ledger, shares = broken(LAG, 0, MANY[:2], [0], 0.6)
    book, _ = folded(ledger, shares)
    assert not book.settled.any()


@pytest.mark.parametrize(("every", "block"), [(24, 24), (7 * 24, 7 * 24)])
def test_daily_and_weekly_sources_gather_evidence_step_by_step(every: int, block: int):
    days = 12 * every / 24
    normal = learn(stream(2 * days, 200, 0.3, day=-2 * days, every=every, segments=MANY[:2]), (HALF,))
    ledger = Ledger(normal, cap=4.0)
    assert ledger.lengths.tolist() == [block, block // normal.fast]
    quiet = stream(days / 2, 200, 0.3, every=every, segments=MANY[:2], seed=2)
    changed = stream(days / 2, 200, [0.6, 0.3], day=days / 2, every=every, segments=MANY[:2], seed=3)
    book, found = folded(ledger, Shares.joined([quiet, changed]))
    assert found[5, 0, 0] < 10 * block / 24
    assert found[-1, 0, 0] > 1000
    assert abs(History(ledger, book).onset(0, 0).step - changed.step[0]) <= block


def test_the_same_ledgers_are_weighed_by_what_is_watched():
    watched = watched_of(known(4, 0.3))
    days = np.ones((1, 5, 1))
    assert watched.evidence(days).sum() == pytest.approx(1.0)
