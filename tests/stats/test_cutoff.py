from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.stats.cutoff import (
    FEWEST_KEPT,
    FLAT,
    Aim,
    Judged,
    Ranked,
    averaged,
    choose,
    confusion,
)
from tests.fakes.examples import examples

AIMS = (Aim("F", 1.0), Aim("F", 2.0), Aim("F", 0.5), Aim("precision", 0.5), Aim("recall", 0.8))


def judged(seed: int, queries: int = 40, documents: int = 8, lead: float = 1.5, decimals: int = 6) -> Judged:
    """Queries of different difficulty; about one document in four is relevant."""
    random = np.random.default_rng(seed)
    relevant = random.random((queries, documents)) < 0.15 * (1 + (random.random((queries, 1)) < 0.5))
    score = random.normal(0, 0.5, (queries, 1)) + random.normal(0, 1, (queries, documents)) + lead * relevant
    return Judged(
        score.ravel().round(decimals),
        relevant.ravel(),
        np.repeat(np.arange(queries), documents),
        np.ones(queries * documents),
    )


def measured(rows: Judged, cutoff: float, aim: Aim) -> float:
    """By counting, a row at a time."""
    kept = [(y, w) for s, y, w in zip(rows.score, rows.relevant, rows.weight, strict=True) if s >= cutoff]
    hits = sum(w for y, w in kept if y)
    every = sum(w for y, w in zip(rows.relevant, rows.weight, strict=True) if y)
    precision, recall = hits / sum(w for _, w in kept), hits / every
    if aim.measure == "F":
        square = aim.level**2
        return (1 + square) * precision * recall / (square * precision + recall) if hits else 0.0
    return precision if aim.measure == "precision" else recall


def everywhere(rows: Judged, aim: Aim) -> dict[float, float]:
    """The measure at each distinct score, highest score first."""
    return {cut: measured(rows, cut, aim) for cut in sorted(set(rows.score.tolist()), reverse=True)}


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20), st.sampled_from([0, 1, 6]), st.sampled_from(AIMS))
def test_the_best_that_is_said_is_the_best_of_all_cut_offs(seed: int, queries: int, decimals: int, aim: Aim):
    rows = judged(seed, queries, decimals=decimals)
    if rows.relevant.all() or not rows.relevant.any():
        return
    table = everywhere(rows, aim)
    if aim.measure == "precision":
        enough = min(FEWEST_KEPT, len(rows))
        table = {cut: value for cut, value in table.items() if (rows.score >= cut).sum() >= enough}
    assert choose(rows, aim, resamples=2).best == pytest.approx(max(table.values()))


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 6]), st.floats(0.3, 0.99))
def test_a_wanted_recall_is_reached_by_the_highest_cut_off_that_does(seed: int, decimals: int, level: float):
    rows, aim = judged(seed, 20, decimals=decimals), Aim("recall", level)
    found = choose(rows, aim, resamples=2)
    highest = max(cut for cut, value in everywhere(rows, aim).items() if value >= level - 1e-12)
    assert found.plateau is not None
    assert found.plateau[1] == highest
    assert found.measured is not None
    assert found.measured.value >= level - 1e-12


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 6]), st.floats(0.25, 0.8))
def test_a_wanted_precision_is_reached_by_the_lowest_cut_off_that_does(seed: int, decimals: int, level: float):
    rows, aim = judged(seed, 20, decimals=decimals), Aim("precision", level)
    reaching = [
        cut
        for cut, value in everywhere(rows, aim).items()
        if value >= level - 1e-12 and (rows.score >= cut).sum() >= FEWEST_KEPT
    ]
    found = choose(rows, aim, resamples=2)
    assert (found.plateau[1] if found.plateau else None) == min(reaching, default=None)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(AIMS[:3]))
def test_an_f_is_chosen_where_its_average_over_neighbours_is_largest(seed: int, aim: Aim):
    rows = judged(seed, 20)
    values = np.array(list(everywhere(rows, aim).values()))
    half = Ranked.of(rows).half
    for _ in range(2):
        reach = [min(place, len(values) - 1 - place, half) for place in range(len(values))]
        values = np.array([values[place - r : place + r + 1].mean() for place, r in enumerate(reach)])
    found = choose(rows, aim, resamples=2)
    assert found.plateau is not None
    place = list(everywhere(rows, aim)).index(found.plateau[1])
    assert values[place] == pytest.approx(values.max())


def test_an_f_that_is_averaged_costs_next_to_nothing_of_the_largest():
    for seed in range(20):
        found = choose(judged(seed, 200), Aim(), resamples=2)
        assert found.measured is not None
        assert found.measured.value > found.best - 0.02


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(AIMS), st.sampled_from([np.exp, np.arctan, lambda x: 3 * x - 7]))
def test_a_monotone_change_of_the_scale_changes_nothing_that_is_kept(seed: int, aim: Aim, change):
    rows = judged(seed)
    other = Judged(change(rows.score), rows.relevant, rows.unit, rows.weight)
    one, two = (choose(each, aim, resamples=20, seed=3) for each in (rows, other))
    if one.value is None or two.value is None:
        assert one.value is two.value
        return
    assert ((rows.score >= one.value) == (other.score >= two.value)).all()
    assert one.held_out == two.held_out
    assert one.held_out_interval == two.held_out_interval
    assert one.reached == two.reached


def test_the_cut_off_lies_in_the_middle_of_what_keeps_the_same_rows():
    rows = Judged(
        np.array([0.9, 0.8, 0.4, 0.3] * 5), np.array([True, True, False, False] * 5), np.arange(20), np.ones(20)
    )
    found = choose(rows, Aim(), resamples=50)
    assert found.plateau == (0.4, 0.8)
    assert found.value == pytest.approx(0.6)
    assert found.measured is not None
    assert found.measured.value == 1.0


def test_equal_scores_are_kept_or_dropped_together():
    rows = judged(1, 30, decimals=0)
    assert len(Ranked.of(rows).cut) == len(set(rows.score.tolist()))
    found = choose(rows, Aim(), resamples=10)
    assert found.value not in set(rows.score.tolist()) | {None} or found.value == rows.score.min()


def test_a_weight_of_two_is_a_row_seen_twice():
    rows = judged(4)
    doubled = Judged(rows.score, rows.relevant, rows.unit, np.where(rows.unit % 2, 2.0, 1.0))
    twice = rows.take(np.concatenate([np.arange(len(rows)), np.flatnonzero(rows.unit % 2)]))
    for aim in AIMS[3:]:
        one, two = choose(doubled, aim, resamples=2), choose(twice, aim, resamples=2)
        assert one.value == two.value
        assert one.measured == two.measured or one.measured == pytest.approx(two.measured)


def test_what_cannot_be_reached_is_said_with_the_most_that_can():
    rows = judged(2, 60, lead=0.0)
    found = choose(rows, Aim("precision", 0.99), resamples=50)
    assert found.value is None
    assert found.measured is None
    assert found.held_out is None
    assert 0.1 < found.best < 0.9
    assert measured(rows, found.best_at, Aim("precision")) == pytest.approx(found.best)
    assert found.reached < 0.1


def test_one_lucky_hit_is_not_a_precision():
    rows = judged(2, 60, lead=0.0)
    top = int(rows.score.argmax())
    lucky = Judged(rows.score, np.where(np.arange(len(rows)) == top, True, rows.relevant), rows.unit, rows.weight)
    assert choose(lucky, Aim("precision", 0.99), resamples=2).value is None


def test_an_interval_is_open_where_many_resamples_do_not_reach_what_is_wanted():
    rows = judged(3, 60, lead=0.8)
    best = choose(rows, Aim("precision", 0.99), resamples=2).best
    found = choose(rows, Aim("precision", round(best - 0.01, 3)), resamples=200)
    assert found.value is not None
    assert found.interval[1] is None
    assert 0.2 < found.reached < 0.95


def test_the_same_seed_gives_the_same_interval():
    rows = judged(5)
    assert choose(rows, Aim(), seed=1, resamples=50) == choose(rows, Aim(), seed=1, resamples=50)
    assert choose(rows, Aim(), seed=1, resamples=50).interval != choose(rows, Aim(), seed=2, resamples=50).interval


def test_the_query_is_the_unit():
    rows = judged(6, 100)
    copies = Judged(*(np.concatenate([each] * 5) for each in (rows.score, rows.relevant, rows.unit, rows.weight)))
    one, five = choose(rows, Aim("recall", 0.8), resamples=300), choose(copies, Aim("recall", 0.8), resamples=300)
    assert five.units == one.units == 100
    assert five.interval == pytest.approx(one.interval)


def test_cut_offs_that_are_as_good_surround_the_one_chosen():
    rows = judged(7, 200)
    found = choose(rows, Aim(), resamples=2)
    assert found.flat is not None
    assert found.value is not None
    assert found.measured is not None
    low, high = found.flat
    assert low <= found.value <= high
    inside = [value for cut, value in everywhere(rows, Aim()).items() if low < cut <= high]
    assert min(inside) >= found.measured.value - FLAT - 1e-12


def test_rows_of_one_kind_choose_nothing():
    rows = judged(8)
    for relevant in (True, False):
        with pytest.raises(ValueError, match="some rows are right and some are wrong"):
            choose(Judged(rows.score, np.full(len(rows), relevant), rows.unit, rows.weight), Aim())


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(0, 8))
def test_an_average_over_neighbours_takes_as_many_on_either_side(values: list[float], half: int):
    found = averaged(np.array(values), half)
    for place in range(len(values)):
        reach = min(place, len(values) - 1 - place, half)
        assert found[place] == pytest.approx(np.mean(values[place - reach : place + reach + 1]), abs=1e-9)


def test_held_out_queries_do_not_flatter():
    """Few queries and a rugged curve: what was best on them is not what new ones will show."""
    world = judged(999, 20_000)
    flattered, honest = [], []
    for seed in range(60):
        found = choose(judged(seed, 30), Aim("F", 1.0), seed=seed, resamples=2)
        assert found.value is not None
        assert found.measured is not None
        assert found.held_out is not None
        really = confusion(world, found.value, Aim()).value
        flattered.append(found.measured.value - really)
        honest.append(found.held_out - really)
    assert np.mean(flattered) > 0.01
    assert abs(np.mean(honest)) < np.mean(flattered) / 2 + 0.01


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "aim", [Aim("F", 1.0), Aim("F", 2.0), Aim("precision", 0.6), Aim("recall", 0.9)], ids=lambda aim: f"{aim}"
)
def test_an_interval_of_95_percent_holds_the_true_cut_off_in_95_percent(aim: Aim):
    world = Ranked.of(judged(12_345, 400_000, 10))
    right, wrong, _ = world.kept()
    values = aim.of(right, wrong, right[-1])
    if aim.measure == "F":
        place = int(averaged(averaged(values, 5_000), 5_000).argmax())
    else:
        reached = np.flatnonzero(values >= aim.level)
        place = int(reached[-1] if aim.measure == "precision" else reached[0])
    true, value = world.middle(place), float(values[place])
    held = measure_held = 0
    for seed in range(400):
        found = choose(judged(seed, 200, 10), aim, seed=seed, resamples=400)
        low, high = found.interval
        held += (low if low is not None else -np.inf) <= true <= (high if high is not None else np.inf)
        assert found.held_out_interval is not None
        measure_held += found.held_out_interval[0] <= value <= found.held_out_interval[1]
    assert 0.93 <= held / 400 <= 0.97, held / 400
    assert measure_held / 400 >= 0.90, measure_held / 400
