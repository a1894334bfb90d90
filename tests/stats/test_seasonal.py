"""What is to be expected at an hour of the week."""

from __future__ import annotations

import numpy as np
import pytest

from driftwatch.stats.seasonal import SMALLEST, fit, is_weekend
from driftwatch.stats.shares import Shares
from tests.fakes.shares import START, stream

FORTNIGHT = START + np.arange(14 * 24)


def daily(step: np.ndarray, zone: int) -> np.ndarray:
    """More by day than by night, on a clock ``zone`` hours ahead of UTC."""
    return 0.5 + 0.2 * np.sin(2 * np.pi * ((step + zone) % 24) / 24)


def seasonal(share: np.ndarray, volume: np.ndarray | float = 400.0) -> Shares:
    """Counts that are exactly what is to be expected; shape (T, S)."""
    n = np.broadcast_to(np.asarray(volume, float), share.shape).copy()
    return Shares(FORTNIGHT, tuple(f"s{row}" for row in range(share.shape[1])), n, (n * share)[..., None])


def test_the_rhythm_of_the_day_is_expected_again():
    season = fit(seasonal(daily(FORTNIGHT, 0)[:, None]))
    later = FORTNIGHT[-1] + 1 + np.arange(7 * 24)
    assert np.abs(season.expected(later)[:, 0, 0] - daily(later, 0)).max() < 0.01


def test_each_segment_keeps_its_own_clock_and_its_weekend_begins_with_it():
    clocks = np.array([-9, 0, 9])
    local_weekend = np.stack([is_weekend(FORTNIGHT + zone) for zone in clocks], axis=1)
    rhythm = np.stack([1.5 + np.sin(2 * np.pi * ((FORTNIGHT + zone) % 24) / 24) for zone in clocks], axis=1)
    volume = 400 * rhythm * np.where(local_weekend, 0.3, 1.0)
    season = fit(seasonal(np.where(local_weekend, 0.6, 0.4), volume))
    assert season.zone.tolist() == clocks.tolist()
    later = FORTNIGHT + 14 * 24
    expected = season.expected(later)[:, :, 0]
    wanted = np.stack([np.where(is_weekend(later + zone), 0.6, 0.4) for zone in clocks], axis=1)
    assert np.abs(expected - wanted).max() < 0.02


def test_a_weekend_differs_only_where_the_baseline_has_one():
    both = fit(stream(14, 20, 0.5))
    week = fit(stream(5, 20, 0.5))
    steps = START + np.arange(7 * 24)
    assert both.knows(steps).all()
    assert np.array_equal(week.knows(steps), ~is_weekend(steps))


def test_a_source_that_is_asked_once_a_week_knows_every_day():
    season = fit(stream(10 * 7, 50, 0.5, every=24 * 7))
    assert season.knows(START + np.arange(7 * 24)).all()


def test_a_small_segment_keeps_its_level_and_claims_no_season():
    season = fit(stream(14, 1, 0.3, seed=3))
    expected = season.expected(FORTNIGHT)[:, 0, 0]
    level = stream(14, 1, 0.3, seed=3).hits.mean()
    assert expected.mean() == pytest.approx(level, abs=0.02)
    raw = stream(14, 1, 0.3, seed=3).hits[:, 0, 0].reshape(14, 24).mean(axis=0)
    assert expected.std() < raw.std() / 2


def test_a_share_is_never_expected_to_be_none_or_all():
    season = fit(stream(14, 20, [0.0, 1.0], segments=("de", "en")))
    expected = season.expected(FORTNIGHT)
    assert expected.min() == SMALLEST
    assert expected.max() == 1 - SMALLEST


def test_a_segment_without_units_expects_one_half():
    nothing = stream(14, 0, 0.3)
    assert np.allclose(fit(nothing).expected(FORTNIGHT), 0.5)
