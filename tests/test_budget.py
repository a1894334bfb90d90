"""What the evidence of all checks together pays for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from driftwatch.budget import LARGEST_ALPHA, Standing, alpha_per_look, decide, limit_of, shares
from driftwatch.checks import Check
from driftwatch.checks.canary import Canary
from driftwatch.checks.mix import Mix
from driftwatch.checks.rate import Rate
from driftwatch.checks.score_drift import ScoreDrift

QUARTER = timedelta(days=90)


def canary(name: str = "recall", **more: Any) -> Check:
    return Canary(kind="canary", name=name, source="canaries", **more)


def rate(name: str = "empty", **more: Any) -> Check:
    return Rate(kind="rate", name=name, source="live", of="empty", **more)


def scores(name: str = "scores", **more: Any) -> Check:
    return ScoreDrift(kind="score_drift", name=name, source="live", **more)


def mix(name: str = "mix", **more: Any) -> Check:
    return Mix(kind="mix", name=name, source="live", **more)


MAKERS = (canary, rate, scores, mix)


def standing(check: str, *evidence: float, segments: tuple[str, ...] = ("de", "en", "all")) -> Standing:
    return Standing(check, segments[: len(evidence)], np.array(evidence), np.full(len(evidence), 0.1))


def decided(limit: float, *standings: Standing, due: Any = None, matters: Any = lambda _check, _segment: True):
    found = {each.check: each for each in standings}
    return decide(found, limit, found.keys() if due is None else due, matters)


# --- shares --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(MAKERS), st.sampled_from(["page", "warn"])), min_size=1, max_size=12))
def test_the_shares_of_a_severity_sum_to_one(wanted):
    checks = [make(f"check {number}", severity=severity) for number, (make, severity) in enumerate(wanted)]
    found = shares(checks)
    assert found.keys() == {check.name for check in checks}
    for severity in {severity for _, severity in wanted}:
        assert sum(found[check.name] for check in checks if check.severity == severity) == pytest.approx(1)


def test_another_check_of_a_family_costs_only_its_family():
    before = shares([canary(), rate(), scores(), mix()])
    after = shares([canary(), canary("precision"), rate(), scores(), mix()])
    assert after["recall"] == after["precision"] == pytest.approx(before["recall"] / 2)
    assert {name: after[name] for name in ("empty", "scores", "mix")} == pytest.approx(
        {name: before[name] for name in ("empty", "scores", "mix")}
    )


def test_a_check_that_only_warns_takes_nothing_from_those_that_page():
    assert shares([canary(), rate()]) | {"low": 1.0} == shares([canary(), rate(), scores("low", severity="warn")])


def test_checks_without_a_ledger_share_a_small_part():
    found = shares([canary(), rate(), scores(), mix()])
    assert found["mix"] < 0.1
    assert found["recall"] > found["empty"] > found["mix"]


# --- what pages ----------------------------------------------------------------------------------------------------


def test_within_the_limit_nothing_pages():
    assert decided(90, standing("a", 40, 49.9)) == []


def test_the_largest_page_until_what_is_left_is_within_the_limit():
    assert decided(90, standing("a", 10, 80, 30), standing("b", 85)) == [("b", "de"), ("a", "en")]


def test_many_small_contributions_page_as_well():
    found = decided(90, *(standing(f"c{number}", 10.0 + number) for number in range(9)))
    assert found[0] == ("c8", "de")
    assert sum(10 + number for number in range(9)) - sum(10 + int(name[1:]) for name, _ in found) < 90


def test_what_is_not_due_is_left_for_its_own_look():
    assert decided(90, standing("a", 200), standing("b", 5), due={"b"}) == []
    assert decided(90, standing("a", 200), standing("b", 100), due={"b"}) == [("b", "de")]


def test_an_effect_below_its_floor_does_not_page_and_makes_nobody_else_page():
    assert decided(90, standing("a", 200, 20), matters=lambda _check, segment: segment != "de") == []


def test_rounding_does_not_decide():
    assert decided(0.3, standing("a", 0.1, 0.1, 0.1)) != []


def test_no_evidence_never_pages():
    assert decided(90, standing("a", 0.0, 100.0), standing("b", 0.0)) == [("a", "en")]


@example([[68719476735.0, 1.9, 2.8054465350158124e-15]], 1.9)
@given(
    st.lists(st.lists(st.floats(0, 1e12), min_size=1, max_size=3), min_size=1, max_size=5),
    st.floats(1, 1e6),
)
def test_what_is_left_is_always_within_the_limit(evidence, limit):
    standings = [standing(f"c{number}", *days) for number, days in enumerate(evidence)]
    found = set(decided(limit, *standings))
    left = sum(
        days
        for each in standings
        for days, segment in zip(each.evidence, each.segments, strict=True)
        if (each.check, segment) not in found
    )
    assert left <= limit
    assert bool(found) == (sum(sum(days) for days in evidence) >= limit * (1 - 1e-9))


# --- lengths of time -----------------------------------------------------------------------------------------------


def test_a_limit_is_a_length_of_time():
    assert limit_of(1, QUARTER) == 90
    assert limit_of(3, QUARTER) == 30


def test_the_p_values_of_a_look_are_its_day_shared_by_all_quantities():
    assert alpha_per_look(1, QUARTER, 9) == pytest.approx(1 / 810)
    assert alpha_per_look(1000, QUARTER, 1) == LARGEST_ALPHA
