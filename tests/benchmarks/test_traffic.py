"""Simulated traffic is what the benchmarks say it is."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from _counts import QUANTILES, joined, outcome_shares, quantile_cuts, score_shares
from _traffic import DOUBLES, Change, Day, Nuisance, Traffic

SMALL = Nuisance(queries_per_day=4000.0)


@pytest.fixture(scope="module")
def week() -> list[Day]:
    return list(Traffic(SMALL, seed=1).days(7))


def test_the_same_seed_makes_the_same_days(week: list[Day]) -> None:
    again = list(Traffic(SMALL, seed=1).days(7))
    assert all(np.array_equal(a.score, b.score, equal_nan=True) for a, b in zip(week, again, strict=True))
    other = next(Traffic(SMALL, seed=2).days(1))
    assert len(other) != len(week[0]) or not np.array_equal(other.score, week[0].score, equal_nan=True)


def test_a_change_alters_nothing_before_it_and_nothing_else_after_it(week: list[Day]) -> None:
    change = Change(start_day=3.5, what="score", size=0.05, langs=(0,))
    changed = list(Traffic(SMALL, seed=1, changes=[change]).days(7))
    for before, after in zip(week[:3], changed[:3], strict=True):
        assert np.array_equal(before.score, after.score, equal_nan=True)
    last, moved = week[6], changed[6]
    mine = (last.lang == 0) & ~last.empty & (last.score < 1) & (moved.score > 0)
    assert np.array_equal(last.score[last.lang != 0], moved.score[last.lang != 0], equal_nan=True)
    assert np.allclose(last.score[mine] - moved.score[mine], 0.05, atol=0.051)
    assert np.median(last.score[mine] - moved.score[mine]) == pytest.approx(0.05)


def test_a_gradual_change_grows_from_nothing_to_its_size() -> None:
    change = Change(start_day=10, what="score", size=0.1, ramp_days=20)
    assert change.progress(np.array([0.0, 240.0, 480.0, 720.0, 9999.0])).tolist() == [0, 0, 0.5, 1, 1]


def test_twice_as_many_are_empty_when_the_rate_is_doubled(week: list[Day]) -> None:
    changed = Traffic(SMALL, seed=1, changes=[Change(0, "empty", 2.0)]).days(7)
    before, after = (sum(int(day.empty.sum()) for day in days) for days in (week, changed))
    assert after / before == pytest.approx(2.0, rel=0.15)


def test_volume_rates_and_scores_are_the_stated_ones() -> None:
    days = list(Traffic(Nuisance(bots_per_day=0.0), seed=3).days(14))
    assert np.mean([len(day) for day in days]) == pytest.approx(24_000, rel=0.1)
    empty = np.concatenate([day.empty for day in days])
    assert empty.mean() == pytest.approx(0.02, rel=0.3)
    score = np.concatenate([day.score[day.lang == 5] for day in days])
    assert np.nanstd(score) == pytest.approx(0.1, rel=0.25)
    assert np.isnan(score).sum() == sum(int(day.empty[day.lang == 5].sum()) for day in days)


def test_a_weekend_is_quieter(week: list[Day]) -> None:
    assert np.mean([len(day) for day in week[5:]]) < 0.75 * np.mean([len(day) for day in week[:5]])


def test_a_unit_is_the_first_row_of_its_session_and_of_its_text(week: list[Day]) -> None:
    day = next(Traffic(replace(SMALL, session_length=3.0), seed=4).days(1))
    units = day.units()
    assert len(np.unique(units.session)) == len(units) == len(np.unique(units.query))
    assert len(day.units("session")) == len(np.unique(day.session))
    assert len(day.units("query")) == len(np.unique(day.query))
    assert len(day.units("row")) == len(day)
    assert len(day) / len(day.units("session")) == pytest.approx(3.0, rel=0.2)


def test_rows_with_one_text_have_one_standing_that_day(week: list[Day]) -> None:
    day = next(Traffic(replace(SMALL, hour_effect=0.0, score_cycle=0.0, outcome_hour_effect=0.0), seed=5).days(1))
    text = np.bincount(day.query).argmax()
    mine = (day.query == text) & ~day.empty
    assert mine.sum() > 20
    assert np.ptp(day.score[mine]) < 0.02


def test_hourly_counts_are_those_of_counting_one_by_one(week: list[Day]) -> None:
    units = [day.units() for day in week]
    cuts = quantile_cuts(units, QUANTILES)
    counts = joined(score_shares(day, cuts) for day in units)
    assert counts.n.shape == (168, 20)
    assert np.diff(counts.step).tolist() == [1] * 167
    for at, lang, j in ((30, 0, 3), (100, 9, 0), (167, 2, 6)):
        day = units[at // 24]
        mine = (day.hour == counts.step[at]) & (day.lang == lang) & ~day.empty
        assert counts.n[at, lang] == mine.sum()
        assert counts.hits[at, lang, j] == (day.score[mine] < cuts[lang, j]).sum()
    rates = outcome_shares(units[2])
    asked = units[2].feedback != 0
    assert rates["down"].n.sum() == asked.sum()
    assert rates["empty"].hits.sum() == units[2].empty.sum()


def test_cuts_divide_the_baseline_as_they_say(week: list[Day]) -> None:
    units = [day.units() for day in week]
    counts = joined(score_shares(day, quantile_cuts(units, QUANTILES)) for day in units)
    assert counts.hits[:, 0].sum(axis=0) / counts.n[:, 0].sum() == pytest.approx(QUANTILES, abs=0.01)


def test_every_nuisance_that_can_be_doubled_is_one() -> None:
    names = {field.name for field in fields(Nuisance)}
    for name, doubled in DOUBLES.items():
        assert set(doubled) <= names
        twice = Nuisance().doubled(name)
        assert [getattr(twice, each) for each in doubled] == [2 * getattr(Nuisance(), each) for each in doubled]
    assert Nuisance().doubled().hot_share == 0.5
