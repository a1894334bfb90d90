"""What a person reads of the evidence: since when, how certain, and what the newest window does not show."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from driftwatch.budget import Standing
from driftwatch.ledgers import Account, State, folded
from driftwatch.stats.book import Book
from driftwatch.stats.normal import learn
from driftwatch.types import Finding
from driftwatch.weighing import Weighed
from tests.fakes.shares import HALF, START, moment, stream, watched_of

SEGMENTS = ("de", "en", "*")
ROSE = "queries without results rose from 30% to 60% (+30 points)"


@pytest.fixture(scope="module")
def account() -> Account:
    """Three days, of which the last two brought twice as many bad ends in German."""
    normal = learn(stream(28, 20, 0.3, segments=SEGMENTS, day=-28, rho=0.005), (HALF,))
    watched = watched_of(normal, cap=4.0)
    standing = Standing("empty results", watched.segments, np.zeros(4), watched.weights)
    state = State("", Book.empty(normal, START - 1), standing)
    for day, shares in ((0, [0.3] * 3), (1, [0.6, 0.3, 0.3]), (2, [0.6, 0.3, 0.3])):
        counted = stream(1, 20, shares, segments=SEGMENTS, day=day, rho=0.005)
        state = folded(watched, state, counted, START + 24 * (day + 1), frozenset(), 1.0).state
    return folded(watched, state, counted.keep(slice(0, 0)), START + 72, frozenset(), 1.0)


def holding(account: Account, days: float) -> Account:
    """As if only German held evidence, ``days`` of it."""
    standing = replace(account.standing, evidence=np.array([days, 0.0, 0.0, 0.0]))
    return replace(account, state=replace(account.state, standing=standing))


def said(account: Account, *, together: float = 0.0, segment: str = "de", pages: bool = True, **more) -> Finding:
    found = {"verdict": "fail", "message": ROSE, "effect": 0.3, "reference": 0.3} | more
    finding = Finding("empty results", segment, moment(START + 72), **found)
    decided = frozenset({("empty results", segment)} if pages else ())
    sums = {"empty results": together}
    return Weighed({"empty results": account}, decided, {"empty results": 90.0}, {"empty results"}, sums).said(finding)


def test_a_page_says_since_which_day_and_how_certain_it_is(account):
    finding = said(holding(account, 240.3))
    assert finding.message == f"{ROSE}, since Tue 5 May; evidence 240 days, budget 90"
    assert finding.onset == moment(START) + timedelta(days=1)
    assert (finding.verdict, finding.pages) == ("fail", True)


def test_overwhelming_evidence_is_not_counted_out(account):
    assert account.standing.evidence[0] > 10_000
    assert said(account).message.endswith("; evidence more than 10,000 days, budget 90")


def test_a_segment_that_pages_as_part_of_a_sum_is_told_with_the_sum(account):
    finding = said(holding(account, 1.2), together=194.0)
    assert finding.message.endswith(", since Tue 5 May; evidence 194 days in all, budget 90")
    assert finding.evidence == 1.2


@pytest.mark.parametrize(
    "window",
    [
        {"verdict": "ok", "effect": 0.01, "message": "queries without results are at 31% of 480 queries"},
        {"verdict": "unknown", "effect": 0.3, "message": "only 12 queries with known outcome in this window"},
    ],
    ids=["back to normal", "thin"],
)
def test_what_the_newest_window_does_not_show_is_said_of_the_time_since_the_onset(account, window):
    message = said(holding(account, 240.3), **window).message
    told = message.removeprefix(window["message"])
    assert told.startswith("; more by 29 points (2")
    assert told.endswith(" in 960 units since Tue 5 May; evidence 240 days, budget 90")


def test_what_does_not_page_keeps_its_sentence_and_has_the_evidence_in_its_details(account):
    finding = said(holding(account, 80.0), pages=False)
    assert finding.message == ROSE
    assert (finding.evidence, finding.details["evidence"]["budget"]) == (80.0, 90.0)
    assert finding.onset == moment(START) + timedelta(days=1)


def test_evidence_that_is_next_to_nothing_has_no_onset(account):
    finding = said(holding(account, 2.0), pages=False)
    assert (finding.evidence, finding.onset) == (2.0, None)


def test_a_change_that_is_over_is_told_as_over_though_the_window_still_holds_it(account):
    well = stream(0.5, 20, 0.3, segments=SEGMENTS, day=3, rho=0.005)
    mended = folded(account.watched, account.paged({"de"}), well, START + 84, frozenset({"de"}), 1.0)
    assert mended.recovered("de")
    finding = said(mended, verdict="ok", message="queries without results are at 50% of 480 queries", pages=False)
    assert finding.message.endswith("50% of 480 queries; the newest hours are as usual again")
    assert said(mended, verdict="ok", effect=0.01, message="all is well", pages=False).message == "all is well"
