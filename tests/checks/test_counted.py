"""What a counted check watches: its segments, their weights and its evidence."""

from __future__ import annotations

import numpy as np
import pytest

from driftwatch.checks._counted import POOLED_WEIGHT, REST, lumped, segments_of, watch
from driftwatch.checks.rate import Rate
from driftwatch.stats.shares import Shares
from driftwatch.types import POOLED, UNDETERMINED, Window
from tests.fakes.shares import known, stream, watched_of
from tests.fakes.windows import tally_window

LANGS = {"de": 40, "en": 60, "fr": 10, "ja": 0, UNDETERMINED: 30}


def check(by: str | None = "lang") -> Rate:
    return Rate(kind="rate", name="empty results", source="live", of="empty", by=by)


def baseline(days: int = 14, thin: int = 10) -> Window:
    """Hours of four languages, and of one query in ``thin`` hours of a fifth."""
    hours = []
    for hour in range(days * 24):
        units = LANGS | {"ja": int(hour % thin == 0)}
        hours.append(
            {lang: {"units_results_known": n, "units_empty": (n + hour % 2) // 10} for lang, n in units.items() if n}
        )
    return tally_window(hours, day=0)


def test_languages_with_enough_units_have_a_ledger_and_the_others_share_the_last():
    watched = watch(check(), baseline(), 90.0)
    assert watched is not None
    assert watched.segments == ("de", "en", "fr", REST, POOLED)
    assert watched.normal.per_day[3] == pytest.approx(30 * 24 + 2.4, rel=0.05)


def test_the_weights_of_all_segments_sum_to_one_and_the_rest_has_none_of_its_own():
    watched = watch(check(), baseline(), 90.0)
    assert watched is not None
    assert watched.weights.sum() == pytest.approx(1)
    assert watched.weights[-1] == POOLED_WEIGHT
    assert watched.weights[3] == 0
    assert np.ptp(watched.weights[:3]) == 0


def test_without_by_languages_are_expected_one_by_one_and_only_the_pooled_ledger_counts():
    watched = watch(check(by=None), baseline(), 90.0)
    assert watched is not None
    assert watched.segments == ("de", "en", "fr", REST, POOLED)
    assert watched.weights.tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("by", ["lang", None])
def test_nothing_is_counted_twice_and_nothing_is_lost(by: str | None):
    watched = watch(check(by), baseline(), 90.0)
    assert watched is not None
    counted = watched.count(baseline(days=2))
    hours = 48
    assert counted.n.sum() == (40 + 60 + 10 + 30) * hours + 5
    assert counted.segments == watched.normal.segments


def test_a_baseline_that_says_nothing_is_not_watched():
    silent = tally_window([{"de": {"queries": 10}} for _ in range(24)], day=0)
    assert watch(check(), silent, 90.0) is None


def test_a_language_that_came_later_is_counted_with_the_rest():
    counted = stream(1, 10, 0.3, segments=("de", "xx"))
    found = lumped(counted, ("de", "en", REST))
    assert np.array_equal(found.n[:, 2], counted.n[:, 1])
    assert not found.n[:, 1].any()


def test_what_the_rest_is_expected_to_hold_is_summed_as_well():
    counted = stream(1, 10, 0.3, segments=("de", "xx", "yy"))
    counted = Shares(counted.step, counted.segments, counted.n, counted.hits, counted.hits * 0 + 2.0)
    found = lumped(counted, ("de", REST))
    assert found.expected is not None
    assert np.allclose(found.expected[:, 1], 4.0)


def test_how_much_a_language_brings_is_judged_by_its_average_day():
    counted = stream(10, 2, 0.3, segments=("de", "en"))
    counted.n[:, 1] = 0.1
    assert segments_of(counted, check()) == ("de", REST)
    assert segments_of(counted, check(by=None)) == ("de", REST)


def test_one_block_of_small_bets_cannot_pass_the_limit():
    watched = watch(check(), baseline(), 90.0)
    assert watched is not None
    smallest = watched.weights[watched.weights > 0].min() * 0.125
    assert np.exp(2 * watched.ledger.cap) * smallest == pytest.approx(90.0)


def test_evidence_is_weighed_by_segment_and_quantity():
    watched = watched_of(known(4, 0.3))
    days = np.zeros((1, 5, 1))
    days[0, 1] = 100.0
    assert watched.evidence(days)[0].tolist() == [0, 100 * watched.weights[1], 0, 0, 0]
    assert watched.strongest(days[0]).tolist() == [0] * 5
