"""The peers get what they are due: exact statistics, and thresholds that give the wanted rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from _canaries import CanaryNuisance, RecallDrop, canary_runs
from _streams import Preparation
from _traffic import Nuisance, Traffic
from _tuned import count_pages, cusum, cutoff, poisson_interval, tune, upper_bound
from scipy.stats import ks_2samp, poisson, wasserstein_distance


def test_daily_distances_agree_with_scipy() -> None:
    days = [day.units() for day in Traffic(Nuisance(queries_per_day=3000.0), seed=1).days(29)]
    baseline, today = days[:28], days[28]
    stream = Preparation(baseline).stream([today])
    weekdays = [day for day in baseline if day.index % 7 < 5]
    for lang in (0, 7):
        usual = np.concatenate([day.score[(day.lang == lang) & ~day.empty] for day in weekdays])
        now = today.score[(today.lang == lang) & ~today.empty]
        expected = ks_2samp(now, usual, method="asymp")
        assert stream.ks[0, lang] == pytest.approx(expected.statistic, abs=1e-9)
        assert stream.p[0, lang] == pytest.approx(expected.pvalue, rel=0.1)
        assert stream.wasserstein[0, lang] == pytest.approx(wasserstein_distance(now, usual) / usual.std(), rel=0.1)


def test_quiet_blocks_have_a_mean_of_nothing_and_a_deviation_of_one() -> None:
    traffic = Traffic(Nuisance(queries_per_day=6000.0), seed=2)
    stream = Preparation([day.units() for day in traffic.days(28)]).stream(day.units() for day in traffic.days(28))
    assert np.nanmean(stream.score) == pytest.approx(0, abs=0.4)
    assert np.nanstd(stream.score) == pytest.approx(1, abs=0.25)


def test_a_tuned_threshold_gives_the_wanted_pages() -> None:
    z = np.random.default_rng(0).standard_normal((20, 365, 5))
    for detector in (cusum("CUSUM", 24, 0.5), cutoff("z", 24, 0.1, 50)):
        found = tune(detector, z, wanted=2.0, skip=28)
        assert found.years == pytest.approx(20 * 337 / 365)
        assert 0.9 * 2 * found.years <= found.pages <= 2 * found.years


def test_a_delay_is_counted_from_the_change_to_the_end_of_the_look_that_sees_it() -> None:
    z = np.zeros((2, 10, 1))
    z[0, 6:] = 9
    z[1, 2] = 9
    found = tune(cutoff("z", 24, 0.1, 5), np.zeros((1, 40, 1)), wanted=1.0, skip=0)
    assert found.delays(z, np.array([4.5, 4.5]), np.array([0])).tolist() == [2.5, np.inf]


def test_a_run_of_flags_is_one_page() -> None:
    flags = np.array([[[1], [1], [0], [1], [0], [1]]], bool)
    assert count_pages(flags) == 3


def test_poisson_bounds_cover_exactly() -> None:
    low, high = poisson_interval(7)
    assert poisson.sf(6, low) == pytest.approx(0.025)
    assert poisson.cdf(7, high) == pytest.approx(0.025)
    assert poisson.cdf(3, upper_bound(3)) == pytest.approx(0.05)
    assert poisson_interval(0)[0] == 0


def test_canaries_pass_as_often_as_stated_and_a_drop_takes_its_share() -> None:
    quiet = canary_runs(CanaryNuisance(), 1, 60)
    dropped = canary_runs(CanaryNuisance(), 1, 60, drop=RecallDrop(30.0))
    assert quiet.passed.mean() == pytest.approx(0.95, abs=0.015)
    assert np.array_equal(quiet.passed[: 30 * 24], dropped.passed[: 30 * 24])
    lost = quiet.passed[30 * 24 :].mean() - dropped.passed[30 * 24 :].mean()
    assert lost == pytest.approx(0.05, abs=0.01)


def test_a_blip_is_over_after_an_hour() -> None:
    calm = CanaryNuisance(flaky=0.0, stale_per_month=0.0, blips_per_week=0.0)
    seen = canary_runs(replace(calm, blips_per_week=2.0, blip_share=0.2), 3, 60).passed.mean(axis=1)
    usual = np.median(seen)
    low = np.flatnonzero(seen < usual - 0.025)
    assert 5 <= len(low) <= 40
    assert seen[low].min() > usual - 0.25
