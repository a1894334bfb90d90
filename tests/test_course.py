"""The course of the evidence over recorded time is what the daemon says hour by hour."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from driftwatch.course import Page, Part, course
from driftwatch.engine import Engine
from driftwatch.ledgers import moment_of, step_of
from driftwatch.stats.normal import learn
from driftwatch.stats.shares import Shares
from driftwatch.types import Baseline
from tests.fakes.recorded import BREAKS, END, MENDED, copied, record, ticked
from tests.fakes.shares import HALF, START, stream, watched_of
from tests.fakes.world import START as FIRST

pytestmark = pytest.mark.process

NAMES = ("de", "en", "fr", "*")


def part(shares: Shares, every: int = 1, share: float = 1.0) -> Part:
    normal = learn(stream(28, 20, 0.3, segments=NAMES, day=-28, rho=0.005), (HALF,))
    looks = np.arange(START, shares.step[-1] + 1)
    return Part(watched_of(normal, cap=4.0), shares, share, looks[every - 1 :: every])


def broken(days: float, since: float, until: float, rows: tuple[int, ...] = (0,)) -> Shares:
    shares = np.full(4, 0.3)
    shares[list(rows)] = 0.6
    pieces = ((0, since, 0.3), (since, until, shares), (until, days, 0.3))
    return Shares.joined(
        [stream(end - start, 20, p, segments=NAMES, day=start, rho=0.005) for start, end, p in pieces if end > start]
    )


def paged(shares: Shares, **more: float) -> list[Page]:
    return course({"empty results": part(shares, **more)}, 90.0, START, int(shares.step[-1]) + 1)


@pytest.mark.parametrize("langs", [("de",), ("de", "en", "fr")], ids=["one language", "all languages"])
def test_the_course_has_the_pages_of_an_engine_that_ticks_hour_by_hour(tmp_path: Path, langs: tuple[str, ...]):
    record(tmp_path / "recorded", langs=langs)
    watch, store = copied(tmp_path / "recorded", tmp_path / "hourly")
    try:
        engine = Engine(watch, store)
        ready = FIRST + timedelta(days=2)
        said = [each for each in ticked(engine, ready, END) if each[1] in ("firing", "resolved")]
        check = watch.checks[0]
        baseline = engine.windows.baseline("live", check.needs, END)
        assert isinstance(baseline, Baseline)
        ledgers = engine.evidence.ledgers
        watched = ledgers.watched(check, baseline)
        assert watched is not None
        counted = watched.count(engine.windows.read(check, baseline.end, END))
        start, end = step_of(baseline.end), step_of(END)
        looks = np.arange(start, end)
        parts = {check.name: Part(watched, counted, ledgers.shares[check.name], looks, until=2)}
        pages = course(parts, ledgers.limit("page"), start, end)
    finally:
        store.close()
    told = [(moment_of(page.step + 1), "firing", page.segment) for page in pages]
    told += [(moment_of(page.resolved + 1), "resolved", page.segment) for page in pages if page.resolved is not None]
    assert sorted(told) == sorted(said)
    firing = {segment for _, event, segment in said if event == "firing"}
    assert firing == {"de"} if len(langs) == 1 else "all" in firing
    assert all(BREAKS < at < BREAKS + timedelta(days=1) for at, event, _ in said if event == "firing")
    assert all(MENDED < at < MENDED + timedelta(days=1) for at, event, _ in said if event == "resolved")
    assert len(said) == 2 * len(firing)


def test_a_quiet_month_has_no_page():
    assert paged(broken(30, 30, 30)) == []


def test_one_break_is_one_page_that_ends():
    (page,) = paged(broken(20, 10, 14))
    assert (page.check, page.segment, page.quantity) == ("empty results", "de", "more")
    assert 0 <= page.step - (START + 10 * 24) <= 24
    assert abs(page.onset.step - (START + 10 * 24)) <= 24
    assert page.resolved is not None
    assert 0 <= page.resolved - (START + 14 * 24) <= 24


def test_a_break_that_lasts_is_not_resolved():
    (page,) = paged(broken(14, 10, 14))
    assert page.resolved is None


def test_when_all_break_it_is_one_page_for_all():
    assert [page.segment for page in paged(broken(14, 10, 14, (0, 1, 2, 3)))] == ["all"]


def test_who_looks_once_a_day_hears_of_it_once_a_day():
    (page,) = paged(broken(14, 10, 14), every=24)
    assert (page.step - START) % 24 == 23


def test_a_small_part_of_the_budget_needs_more_evidence():
    (whole,) = paged(broken(20, 10, 20))
    (tenth,) = paged(broken(20, 10, 20), share=0.02)
    assert tenth.step > whole.step


def test_counts_before_the_start_are_no_evidence():
    shares = broken(20, 2, 4)
    pages = course({"empty results": part(shares)}, 90.0, START + 10 * 24, int(shares.step[-1]) + 1)
    assert pages == []


def test_nothing_recorded_has_no_pages():
    assert course({}, 90.0, START, START + 100) == []
