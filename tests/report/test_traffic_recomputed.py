"""Rates, mix and scores of a report, worked out again from the bare rows by other means."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from scipy import stats

from driftwatch.reported import Estimate, Rate, Rates, Scores
from tests.fakes.four_weeks import BERLIN, END, LAST, LEARNT, START
from tests.report.conftest import History

COLUMNS = {
    "empty": ("units_results_known", "units_empty"),
    "abstained": ("units_abstention_known", "units_abstained"),
    "negative_feedback": ("units_feedback_known", "units_down"),
}
CLOSE = 2e-5
"""The report keeps six digits."""


def near(found: float | None, wanted: float, tolerance: float = CLOSE) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=tolerance, abs_tol=tolerance)


def hour(moment: datetime) -> int:
    return int(moment.timestamp()) // 3600


# --- intervals, written out ----------------------------------------------------------------------------------------


def wilson(x: float, n: float, freedom: float) -> tuple[float, float]:
    """The two rates at which a score test of ``x`` in ``n`` is just not refused, by bisection."""
    z, share = stats.t.ppf(0.975, freedom), x / n

    def refused(p: float) -> float:
        return abs(share - p) - z * math.sqrt(p * (1 - p) / n)

    def edge(inside: float, outside: float) -> float:
        for _ in range(200):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if refused(middle) > 0 else (middle, outside)
        return inside

    return edge(share, 0.0), edge(share, 1.0)


def with_few(x: float, n: float, low: float, high: float) -> tuple[float, float]:
    """The ends for at most three hits or misses (Brown, Cai and DasGupta 2001)."""
    if 0 < x <= 3 < n:
        low = min(low, stats.chi2.ppf(0.05, 2 * x) / 2 / n)
    if 0 < n - x <= 3 < n:
        high = max(high, 1 - stats.chi2.ppf(0.05, 2 * (n - x)) / 2 / n)
    return low, high


def days_vary(days: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(design effect, its degrees of freedom) of (hits, of how many) a day, by Pearson's chi-square."""
    share = sum(k for k, _ in days) / sum(n for _, n in days)
    chi_square = sum((k - n * share) ** 2 / (n * share * (1 - share)) for k, n in days if n)
    freedom = len([n for _, n in days if n]) - 1
    assert freedom >= 5
    effect = max(1.0, chi_square / freedom)
    return effect, freedom * (effect / (effect - 1 + 0.6)) ** 2


def is_rate(found: Rate, k: int, n: int, effect: float = 1.0, freedom: float = 1e12) -> bool:
    if (found.k, found.n) != (k, n) or not n:
        return (found.k, found.n, found.low) == (k, n, None)
    x, m = k / effect, n / effect
    low, high = with_few(x, m, *wilson(x, m, freedom))
    return near(found.low, low) and near(found.high, high) and found.value == k / n


def is_change(found: Estimate | None, now: tuple[int, int], before: tuple[int, int], vary: tuple[float, float]) -> bool:
    """Newcombe's method 10 on as many units as the counts are worth."""
    assert found is not None
    effect, freedom = vary
    (x, n), (x0, n0) = now, before
    low, high = wilson(x / effect, n / effect, freedom)
    low0, high0 = wilson(x0 / effect, n0 / effect, freedom)
    difference = x / n - x0 / n0
    below = math.sqrt((x / n - low) ** 2 + (high0 - x0 / n0) ** 2)
    above = math.sqrt((high - x / n) ** 2 + (x0 / n0 - low0) ** 2)
    ends = near(found.low, difference - below) and near(found.high, difference + above)
    return found.n == n and near(found.value, difference) and ends


# --- rates ---------------------------------------------------------------------------------------------------------


def counted(history: History, outcome: str, lang: str, start: datetime, end: datetime) -> dict[int, tuple[int, int]]:
    """Hour -> (ended so, known)."""
    if outcome == "no_click":
        names = "units_feedback_known, units_feedback_known - units_click - units_accepted"
    else:
        names = ", ".join(COLUMNS[outcome])
    rows = history.rows(f"SELECT hour, lang, {names} FROM tallies WHERE hour >= ? AND hour < ?", hour(start), hour(end))
    found: dict[int, tuple[int, int]] = {}
    for at, its_lang, known, hits in rows:
        if lang in ("all", its_lang):
            k, n = found.get(at, (0, 0))
            found[at] = k + hits, n + known
    return found


def added(parts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    every = list(parts)
    return sum(k for k, _ in every), sum(n for _, n in every)


def recomputed(history: History, found: Rates) -> bool:
    now = counted(history, found.of, found.lang, LAST, END)
    before = counted(history, found.of, found.lang, START, LEARNT)
    utc_days: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for at, each in before.items():
        utc_days[at // 24].append(each)
    if not added(before.values())[1]:  # a language that the baseline did not hear
        return found.baseline is None and found.change is None and is_rate(found.now, *added(now.values()))
    vary = days_vary([added(each) for each in utc_days.values()])
    local: defaultdict[Any, list[tuple[int, int]]] = defaultdict(list)
    for at, each in now.items():
        local[datetime.fromtimestamp(at * 3600, BERLIN).date()].append(each)
    return (
        is_rate(found.now, *added(now.values()), *vary)
        and found.baseline is not None
        and is_rate(found.baseline, *added(before.values()), *vary)
        and is_change(found.change, added(now.values()), added(before.values()), vary)
        and all(is_rate(each.rate, *added(local[each.day])) for each in found.days)
        and [each.day for each in found.days] == sorted(local)
    )


def test_every_rate_is_that_of_the_tallies(history: History) -> None:
    wrong = [(each.of, each.lang) for each in history.week.rates if not recomputed(history, each)]
    assert wrong == []


def test_every_language_that_says_anything_of_an_outcome_is_there(history: History) -> None:
    said = {(each.of, each.lang) for each in history.week.rates}
    everybody = {"all", "en", "de", "fr", "ja"}
    silent = {("abstained", "fr")}
    wanted = {(of, lang) for of in (*COLUMNS, "no_click") for lang in everybody} - silent
    assert said == wanted


# --- the mix -------------------------------------------------------------------------------------------------------


def test_the_mix_is_that_of_the_sessions(history: History) -> None:
    (mix,) = history.week.mixes
    spoken = {}
    for name, (start, end) in {"now": (LAST, END), "then": (START, LEARNT)}.items():
        rows = history.rows(
            "SELECT lang, sum(units), sum(queries), sum(detected), count(DISTINCT hour) FROM tallies "
            "WHERE hour >= ? AND hour < ? GROUP BY lang",
            hour(start),
            hour(end),
        )
        spoken[name] = {lang: units for lang, units, *_ in rows}
        if name == "now":
            assert mix.queries == sum(row[2] for row in rows)
            assert (mix.detected.k, mix.detected.n) == (sum(row[3] for row in rows), mix.queries)
        else:
            assert mix.baseline_queries == sum(row[2] for row in rows)
            assert mix.baseline_days == 14.0
    now, then = spoken["now"], spoken["then"]
    for each in mix.shares:
        assert (each.now.k, each.now.n) == (now.get(each.lang, 0), sum(now.values()))
        assert each.baseline is not None
        assert (each.baseline.k, each.baseline.n) == (then.get(each.lang, 0), sum(then.values()))
        assert 0 <= each.now.low <= each.now.value <= each.now.high <= 1  # type: ignore[operator]
    assert {each.lang for each in mix.shares} == {*now, *then}
    apart = [abs(now.get(lang, 0) / sum(now.values()) - then.get(lang, 0) / sum(then.values())) for lang in now | then]
    assert near(mix.total_variation, sum(apart) / 2)


@pytest.mark.parametrize(("start", "end"), [(LAST, END), (START, LEARNT)])
def test_the_interval_of_a_language_is_as_wide_as_its_days_vary(
    history: History, start: datetime, end: datetime
) -> None:
    (mix,) = history.week.mixes
    assert len(mix.shares) > 3
    for each in mix.shares:
        rows = history.rows(
            "SELECT sum(CASE lang WHEN ? THEN units ELSE 0 END), sum(units) FROM tallies "
            "WHERE hour >= ? AND hour < ? GROUP BY hour / 24",
            each.lang,
            hour(start),
            hour(end),
        )
        k, n = added(rows)
        shown = each.now if start == LAST else each.baseline
        assert shown is not None
        vary = days_vary(rows) if 0 < k < n else (1.0, 5 / 0.6**2)  # of what never happened: as coins, of six days
        assert is_rate(shown, k, n, *vary), each.lang


# --- scores --------------------------------------------------------------------------------------------------------

Row = tuple[float, float, int]
"""Score, weight, day since 1970."""


def sessions(history: History, score: str, lang: str, start: datetime, end: datetime) -> list[Row]:
    """Of every session the first row with a score."""
    thresholds = {
        (day, stratum): each for day, stratum, each in history.rows("SELECT day, stratum, threshold FROM thresholds")
    }
    rows = history.rows(
        "SELECT at, lang, unit, day, stratum, scores FROM sampled WHERE at >= ? AND at < ? ORDER BY at, row_id",
        int(start.timestamp()) * 1_000_000,
        int(end.timestamp()) * 1_000_000,
    )
    found: dict[int, Row] = {}
    for at, its_lang, unit, day, stratum, blob in rows:
        values = [each for each in array("f", blob) if not math.isnan(each)]
        if lang in ("all", its_lang) and values and unit not in found:
            value = max(values) if score == "top1" else sum(values) / len(values)
            found[unit] = value, 1 / thresholds.get((day, stratum), 1.0), at // 86_400_000_000
    return list(found.values())


def share_below(rows: Sequence[Row], point: float, *, include: bool = True) -> float:
    inside = sum(weight for value, weight, _ in rows if value < point or (include and value == point))
    return inside / sum(weight for _, weight, _ in rows)


def quantile(rows: Sequence[Row], q: float) -> float:
    ordered, total, before = sorted(rows), sum(weight for _, weight, _ in rows), 0.0
    for value, weight, _ in ordered:
        before += weight
        if before >= (q - 1e-12) * total - 1e-9:
            return value
    return ordered[-1][0]


def reach(rows: Sequence[Row], of: Sequence[float]) -> float:
    """Half the interval of the weighted mean of ``of``, days differing by themselves (DerSimonian and Laird 1986).

    Student's t with Satterthwaite's degrees of freedom.
    """
    total = sum(weight for _, weight, _ in rows)
    by_day: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for (_, weight, day), value in zip(rows, of, strict=True):
        by_day[day].append((value, weight))
    means = {day: sum(v * w for v, w in each) / sum(w for _, w in each) for day, each in by_day.items()}
    share = {day: sum(w for _, w in each) / total for day, each in by_day.items()}
    kish = total**2 / sum(weight**2 for _, weight, _ in rows)
    inflation = len(rows) / (len(rows) - len(by_day))
    noise = {
        day: inflation * sum((w / total) ** 2 * (v - means[day]) ** 2 for v, w in each) for day, each in by_day.items()
    }
    whole = sum(share[day] * means[day] for day in by_day)
    uneven = sum(each**2 for each in share.values())
    chance = sum(noise.values())
    by_chance = sum((1 - share[day]) / share[day] * noise[day] for day in by_day) / (1 - uneven)
    between = sum(share[day] * (means[day] - whole) ** 2 for day in by_day) / (1 - uneven)
    spread, freedom = max(0.0, between - by_chance), max(1.0, 1 / uneven - 1)
    variance = uneven * spread + chance
    unsure = (uneven * (spread + 0.6 * by_chance)) ** 2 / freedom + chance**2 / max(kish - len(by_day), 1.0)
    return float(stats.t.ppf(0.975, max(1.0, variance**2 / unsure))) * math.sqrt(variance)


def is_shape(found: Any, rows: Sequence[Row]) -> bool:
    mean = sum(v * w for v, w, _ in rows) / sum(w for _, w, _ in rows)
    half = reach(rows, [value for value, _, _ in rows])
    said = [(found.mean, mean, mean - half, mean + half)]
    for q, estimate in ((0.5, found.median), (0.95, found.p95)):
        middle = quantile(rows, q)
        wide = reach(rows, [float(value <= middle) for value, _, _ in rows])
        low, high = quantile(rows, max(0.0, q - wide)), quantile(rows, min(1.0, q + wide))
        said.append((estimate, middle, low, high))
    return all(
        each.n == len(rows) and near(each.value, value) and near(each.low, low) and near(each.high, high)
        for each, value, low, high in said
    )


def distances(now: Sequence[Row], then: Sequence[Row]) -> dict[tuple[float, bool], float]:
    points = {value for value, _, _ in (*now, *then)}
    return {
        (point, inside): share_below(now, point, include=inside) - share_below(then, point, include=inside)
        for point in points
        for inside in (True, False)
    }


def is_scores(history: History, found: Scores) -> bool:
    now = sessions(history, found.score, found.segment, LAST, END)
    then = sessions(history, found.score, found.segment, START, LEARNT)
    apart = distances(now, then)
    d = max(map(abs, apart.values()))
    sizes = [sum(w for _, w, _ in rows) ** 2 / sum(w**2 for _, w, _ in rows) for rows in (now, then)]
    root = math.sqrt(sizes[0] * sizes[1] / sum(sizes))
    moved = stats.wasserstein_distance(
        [v for v, _, _ in now], [v for v, _, _ in then], [w for _, w, _ in now], [w for _, w, _ in then]
    )
    assert found.gap is not None
    at_gap = [gap for (point, _), gap in apart.items() if near(found.gap_at, point)]
    return (
        is_shape(found.now, now)
        and found.baseline is not None
        and is_shape(found.baseline, then)
        and near(found.ks, d)
        and any(near(abs(gap), d) for gap in at_gap)
        and near(abs(found.gap[0] - found.gap[1]), d)
        and found.direction == ("lower" if found.gap[0] > found.gap[1] else "higher")
        and near(found.p_value, stats.kstwobign.sf((root + 0.12 + 0.11 / root) * d), 1e-4)
        and near(found.wasserstein, moved)
        and all(
            near(here, share_below(now, point)) and near(there, share_below(then, point))
            for point, here, there in _points(found, now, then)
        )
    )


def _points(found: Scores, now: Sequence[Row], then: Sequence[Row]) -> list[tuple[float, float, float]]:
    """The grid at full precision: the report rounds it, and half of these scores lie on ties."""
    exact = sorted({value for value, _, _ in (*now, *then)})
    nearest = [min(exact, key=lambda value: abs(value - point)) for point in found.ecdf.at]
    assert all(near(point, value) for point, value in zip(found.ecdf.at, nearest, strict=True))
    return list(zip(nearest, found.ecdf.now, found.ecdf.baseline, strict=True))


def test_every_distribution_is_that_of_the_sample(history: History) -> None:
    wrong = [(each.score, each.segment) for each in history.week.scores if not is_scores(history, each)]
    assert wrong == []


def test_both_scores_are_there_for_every_language(history: History) -> None:
    said = [(each.score, each.segment) for each in history.week.scores]
    assert set(said) == {(score, lang) for score in ("top1", "topk_mean") for lang in ("all", "en", "de", "fr")}
    assert said[0] == ("top1", "all")
    assert said[1] == ("top1", "de")  # what moved most comes first


def test_a_distribution_function_is_drawn_with_few_points_and_reaches_both_ends(history: History) -> None:
    for each in history.week.scores:
        at = each.ecdf.at
        assert 2 < len(at) <= 201
        assert list(at) == sorted(at)
        assert each.gap_at in at
        assert each.ecdf.now[-1] == each.ecdf.baseline[-1] == 1.0


@pytest.mark.parametrize("moment", [LAST, END])
def test_the_week_is_cut_where_the_clocks_of_its_zone_say(moment: datetime) -> None:
    assert moment.astimezone(BERLIN).strftime("%a %H:%M") == "Mon 00:00"
    assert (END - LAST, moment.tzinfo) == (timedelta(days=7), UTC)
