"""Canary measures, flips, rot and flicker of a report, worked out again from the bare runs by other means."""

from __future__ import annotations

import json
import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from scipy import stats

from driftwatch.reported import CanaryMeasure, Estimate
from tests.fakes.four_weeks import BERLIN, BROKE, DAY, END, LAST, LEARNT, START
from tests.report.conftest import History

Key = tuple[str, str]


@dataclass(frozen=True)
class Bare:
    """One run as it lies in the database."""

    at: datetime
    values: Mapping[Key, float]
    """Canary -> what it measures, of those that can be judged."""
    ranks: Mapping[Key, int | None]
    asked: int
    failed: int
    gone: frozenset[str]
    langs: Mapping[Key, str]


def runs(history: History, measure: str, start: datetime, end: datetime) -> list[Bare]:
    found = []
    for at, body in history.rows(
        "SELECT at, body FROM canary_runs WHERE at >= ? AND at < ? ORDER BY at",
        int(start.timestamp()) * 1_000_000,
        int(end.timestamp()) * 1_000_000,
    ):
        told = json.loads(zlib.decompress(body))
        gone = frozenset(told["gone"])
        values: dict[Key, float] = {}
        ranks: dict[Key, int | None] = {}
        langs: dict[Key, str] = {}
        asked = failed = 0
        for place, docs in enumerate(told["docs"]):
            if told.get("attempt", [0] * 999)[place]:
                continue
            asked += 1
            key = (told["query_id"][place], told["digest"][place])
            langs[key] = told["lang"][place]
            relevant = {name: grade for name, grade in told["relevant"][place] if name not in gone}
            if docs is None:
                failed += 1
            elif relevant:
                values[key] = measured(measure, docs, relevant)
                places = [number for number, name in enumerate(docs, 1) if name in relevant]
                ranks[key] = min(places) if places else None
        moment = datetime.fromtimestamp(at / 1_000_000, UTC)
        found.append(Bare(moment, values, ranks, asked, failed, gone, langs))
    return found


def measured(measure: str, docs: list[str], relevant: Mapping[str, int]) -> float:
    name, _, depth = measure.partition("@")
    top = docs[: int(depth)]
    found = [(number, relevant[each]) for number, each in enumerate(top, 1) if each in relevant]
    if name == "R":
        return len(found) / len(relevant)
    if name == "RR":
        return max((1 / number for number, _ in found), default=0.0)
    ideal = sum(grade / math.log2(n + 1) for n, grade in enumerate(sorted(relevant.values(), reverse=True), 1))
    return sum(grade / math.log2(number + 1) for number, grade in found) / ideal


def means(bare: Iterable[Bare]) -> dict[Key, float]:
    told: defaultdict[Key, list[float]] = defaultdict(list)
    for run in bare:
        for key, value in run.values.items():
            told[key].append(value)
    return {key: sum(each) / len(each) for key, each in told.items()}


def near(found: float | None, wanted: float, tolerance: float = 2e-5) -> bool:
    return found is not None and math.isclose(found, wanted, abs_tol=tolerance)


def covers(found: Estimate, values: list[float], low: float, high: float) -> bool:
    """The interval of the Bayesian bootstrap (Rubin 1981) with half a canary at either end, by drawing.

    Ours is an approximation, which for a dozen canaries is off by half a hundredth of the range.
    """
    known = np.array([*values, low, high])
    weights = np.random.default_rng(7).dirichlet([1.0] * len(values) + [0.5, 0.5], 60_000)
    ends = np.quantile(weights @ known, [0.025, 0.975])
    off = 0.004 * (high - low)
    return found.n == len(values) and near(found.low, ends[0], off) and near(found.high, ends[1], off)


def in_lang(run: Bare, lang: str) -> list[float]:
    return [value for key, value in run.values.items() if lang in ("all", run.langs[key])]


def last_of_days(bare: list[Bare]) -> dict[object, Bare]:
    return {run.at.astimezone(BERLIN).date(): run for run in bare}


def is_measure(history: History, found: CanaryMeasure) -> bool:
    now, then = (runs(history, found.measure, *span) for span in ((LAST, END), (START, LEARNT)))
    langs = {key: lang for run in (*then, *now) for key, lang in run.langs.items()}
    mine, usual = (
        {key: value for key, value in means(each).items() if found.lang in ("all", langs[key])} for each in (now, then)
    )
    daily = last_of_days(runs(history, found.measure, END - 28 * DAY - timedelta(hours=1), END))
    usually = [sum(each) / len(each) for run in last_of_days(then).values() if (each := in_lang(run, found.lang))]
    reach = stats.t.ppf(0.975, len(usually) - 1) * np.std(usually, ddof=1) * math.sqrt(1 + 1 / len(usually))
    middle = sum(usually) / len(usually)
    assert found.baseline is not None
    assert found.band is not None
    return (
        near(found.now.value, sum(mine.values()) / len(mine))
        and covers(found.now, list(mine.values()), 0.0, 1.0)
        and near(found.baseline.value, sum(usual.values()) / len(usual))
        and covers(found.baseline, list(usual.values()), 0.0, 1.0)
        and near(found.band[0], max(0.0, middle - reach))
        and near(found.band[1], min(1.0, middle + reach))
        and all(_is_day(each.n, each.value, in_lang(daily[each.day], found.lang)) for each in found.days)
        and [each.day for each in found.days] == sorted(daily)  # type: ignore[type-var]
        and len(found.days) == 28
    )


def _is_day(n: int, value: float | None, told: list[float]) -> bool:
    return n == len(told) and (near(value, sum(told) / n) if n else value is None)


def test_every_measure_is_that_of_the_runs(history: History) -> None:
    found = history.week.canaries
    assert {(each.measure, each.lang) for each in found} == {
        (measure, lang) for measure in ("R@5", "RR@5", "nDCG@5") for lang in ("all", "en", "de", "fr")
    }
    assert [(each.measure, each.lang) for each in found if not is_measure(history, each)] == []


def test_the_change_is_paired_and_of_the_canaries_that_both_have(history: History) -> None:
    german = next(each for each in history.week.canaries if (each.measure, each.lang) == ("R@5", "de"))
    now, then = (means(runs(history, "R@5", *span)) for span in ((LAST, END), (START, LEARNT)))
    moved = [now[key] - then[key] for key in now if key in then and key[0].startswith("de")]
    assert german.change is not None
    assert german.change.n == len(moved) == german.now.n - 1  # one canary is new
    assert near(german.change.value, sum(moved) / len(moved))
    assert covers(german.change, moved, -1.0, 1.0)


def test_a_canary_that_lost_a_document_is_judged_by_what_is_left_on_both_sides(history: History) -> None:
    """`fr-q3` lost the one of its two documents that it used to find: it has not moved by that."""
    french = next(each for each in history.week.canaries if (each.measure, each.lang) == ("R@5", "fr"))
    now, then = (means(runs(history, "R@5", *span)) for span in ((LAST, END), (START, LEARNT)))
    raw = {key[0]: now[key] - then[key] for key in now if key in then and key[0].startswith("fr")}
    assert raw["fr-q3"] < -0.4
    assert french.change is not None
    assert near(french.change.value, sum(raw[name] for name in raw if name != "fr-q3") / len(raw))


def test_askings_are_counted_with_what_came_of_them(history: History) -> None:
    (source,) = history.week.canary_sources
    bare = runs(history, "R@5", LAST, END)
    assert source.runs == len(bare) == 26
    assert source.asked.n == sum(run.asked for run in bare)
    assert source.asked.k == sum(len(run.values) for run in bare)
    assert source.unasked == {"timed out after 10 s": sum(run.failed for run in bare)}
    assert source.canaries == bare[-1].asked == 37


def test_flips_are_the_canaries_that_ended_elsewhere_than_they_usually_are(history: History) -> None:
    bare, usual = runs(history, "R@5", LAST, END), runs(history, "R@5", START, LEARNT)
    last = bare[-1]
    expected = {}
    for key, value in last.values.items():
        told = sorted(run.values[key] for run in usual if key in run.values)
        if told and abs(value - told[len(told) // 2]) > 1e-9 and key[0] not in ("fr-q3", "en-q1"):
            below = [run.values[key] < told[len(told) // 2] for run in bare if key in run.values]
            expected[key[0]] = (value, last.ranks[key], sum(below), len(below))
    found = {
        each.query_id: (each.new, each.new_rank, each.runs.k, each.runs.n)
        for each in history.week.flips
        if each.new < each.old
    }
    lost = {name: each for name, each in expected.items() if name.startswith("de")}
    assert lost.keys() >= {"de-q0", "de-q1", "de-q2"}
    assert {name: found[name] for name in lost} == lost
    first = history.week.flips[0]
    assert (first.lang, first.old_rank, first.old, first.new) == ("de", 1, 0.5, 0.0)


def test_a_canary_that_came_later_is_no_flip(history: History) -> None:
    assert "de-q12" not in {each.query_id for each in history.week.flips}


def test_rotten_canaries_are_named_with_what_is_gone(history: History) -> None:
    found = [(each.query_id, each.documents, each.partly) for each in history.week.rotten]
    assert found == [("fr-q2", ("fr-2", "fr-2b"), False), ("en-q1", ("en-1b",), True), ("fr-q3", ("fr-3",), True)]


def test_a_canary_that_comes_and_goes_flickers_and_one_that_fell_once_does_not(history: History) -> None:
    bare = runs(history, "R@5", LAST, END)
    for each in history.week.flickering:
        told = [run.values[each.query_id, "d1"] for run in bare if (each.query_id, "d1") in run.values]
        assert each.changes == sum(a != b for a, b in pairwise(told)) >= 3
        assert (each.below.k, each.below.n) == (sum(value < max(told) for value in told), len(told))
    assert history.week.flickering[0].query_id == "en-q5"
    assert BROKE > LAST


def test_texts_of_canaries_are_redacted(history: History) -> None:
    texts = {each.text for each in (*history.week.flips, *history.week.rotten, *history.week.flickering)}
    assert any("[email]" in text for text in texts)
    assert not any("example.org" in text for text in texts)
