import pytest

from driftwatch.stats.poisson import rate_interval

scipy_stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_the_interval_is_where_the_tails_of_the_poisson_distribution_say(count: int) -> None:
    low, high = rate_interval(count, 4.0)
    assert scipy_stats.poisson.cdf(count, high * 4.0) == pytest.approx(0.025)
    if count:
        assert scipy_stats.poisson.sf(count - 1, low * 4.0) == pytest.approx(0.025)
    else:
        assert low == 0


def test_it_covers_the_truth_at_least_as_often_as_it_says() -> None:
    for rate in (0.3, 1.0, 2.7, 12.0):
        chances = [(count, scipy_stats.poisson.pmf(count, rate)) for count in range(60)]
        covered = sum(
            chance for count, chance in chances if rate_interval(count, 1.0)[0] <= rate <= rate_interval(count, 1.0)[1]
        )
        assert covered >= 0.95


def test_without_exposure_nothing_is_known() -> None:
    assert rate_interval(0, 0.0) == (0.0, float("inf"))
