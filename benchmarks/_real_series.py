"""Streams made of numbers: NAB's labelled series, and the clicks of two ranking policies."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from _corpora import data, rows
from _recorded import DAY, HOUR, START, Event, Record, Stream
from numpy.typing import NDArray

PROBATION = 0.15
"""The first part of each NAB series, in which no detector is scored; here it is the baseline."""

TAIL = 0.05
"""A value counts as high above the baseline's quantile 1 - TAIL, and as low below its quantile TAIL."""

LEAST_DAYS = 5
"""Series with fewer quiet days are not drawn from."""

HIGH, LOW, SHAPE = "high values", "low values", "shape of values"


# --- NAB -----------------------------------------------------------------------------------------------------------


def nab_rates(seed: int) -> Iterator[Stream]:
    """Each value is one query: `abstained` where it is high, thumbed down where it is low. Nothing is drawn."""
    del seed
    for series in rows(data("series_nab") / "series.jsonl.gz"):
        yield _nab(series, "NAB", _nab_rate_checks)


def nab_scores(seed: int) -> Iterator[Stream]:
    """Each value is one query, and the score of its only result. Nothing is drawn."""
    del seed
    for series in rows(data("series_nab") / "series.jsonl.gz"):
        yield _nab(series, "NAB as scores", _nab_score_checks)


def nab_quiet(seed: int) -> Iterator[Stream]:
    """Of each series the days outside its windows, drawn again and again: nothing changes, the nuisance is real."""
    for number, series in enumerate(rows(data("series_nab") / "series.jsonl.gz")):
        if len(days := _quiet_days(series)) >= LEAST_DAYS:
            random = np.random.default_rng([seed, number])
            drawn = [days[row] for row in random.integers(len(days), size=2 * 28)]
            moved = [(START + place * DAY + at, value) for place, day in enumerate(drawn) for at, value in day]
            times, values = zip(*moved, strict=True)
            plain = series | {"timestamps": times, "values": values, "windows": []}
            yield _nab(plain, "NAB, quiet days drawn", _nab_rate_checks, 28 * DAY)


def _quiet_days(series: Record) -> list[list[tuple[timedelta, float]]]:
    """Whole days that no labelled window touches: (time of day, value)."""
    by_day: dict[datetime, list[tuple[timedelta, float]]] = {}
    for at, value in zip(_moments(series["timestamps"]), series["values"], strict=True):
        midnight = at.replace(hour=0, minute=0, second=0)
        by_day.setdefault(midnight, []).append((at - midnight, value))
    usual = np.median([len(day) for day in by_day.values()])
    windows = [_moments(window) for window in series["windows"]]
    return [
        day
        for midnight, day in by_day.items()
        if len(day) >= 0.8 * usual and all(end < midnight or start >= midnight + DAY for start, end in windows)
    ]


def _nab_rate_checks(common: Record) -> list[Record]:
    common |= {"kind": "rate", "min_effect": 0.1, "min_ratio": 1.0}
    return [common | {"name": HIGH, "of": "abstained"}, common | {"name": LOW, "of": "negative_feedback"}]


def _nab_score_checks(common: Record) -> list[Record]:
    return [common | {"kind": "score_drift", "name": SHAPE, "min_effect": 0.1}]


def _nab(series: Record, group: str, checks: Any, baseline: timedelta | None = None) -> Stream:
    times = _moments(series["timestamps"])
    values = np.array(series["values"], float)
    begin = times[0].replace(minute=0, second=0)
    baseline = baseline or max(1, round(PROBATION * (times[-1] - begin) / HOUR)) * HOUR
    first = values[: sum(at < begin + baseline for at in times)]
    low, high = np.quantile(first, [TAIL, 1 - TAIL]).tolist()
    a_day = len(times) / len({at.date() for at in times})
    window = f"{min(24, baseline // HOUR)}h"
    asked = checks({"source": "live", "min_n": max(5, int(a_day / 4)), "window": window})
    judged = tuple(check["name"] for check in asked)
    return Stream(
        f"{group} {series['id']}",
        f"{len(series['windows'])} labelled windows" if series["windows"] else "nothing",
        [_value(at, value, low, high) for at, value in zip(times, values.tolist(), strict=True)],
        asked,
        baseline,
        times[-1] + HOUR,
        tuple(_labelled(judged, *_moments(window)) for window in series["windows"]),
        facts={"kind": series["kind"], "a day": round(a_day), "low": low, "high": high},
    )


def _moments(given: Sequence[Any]) -> list[datetime]:
    """Times without an offset are UTC."""
    return [at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC) for at in given]


def _value(at: datetime, value: float, low: float, high: float) -> Record:
    return {
        "ts": at.isoformat(),
        "query": f"value at {at:%H:%M:%S}",
        "lang": "en",
        "results": [{"id": "value", "score": value}],
        "abstained": bool(value > high),
        "feedback": "down" if value < low else "up",
    }


def _labelled(checks: tuple[str, ...], start: datetime, end: datetime) -> Event:
    return Event(start, f"window of {start:%Y-%m-%d %H:%M}", checks, (), end)


# --- clicks --------------------------------------------------------------------------------------------------------

PLAIN_CLICKS = {"name": "clicks", "kind": "rate", "source": "live", "of": "no_click"}
"""The check as it comes: it asks for half of the clicks."""

CLICKS = PLAIN_CLICKS | {"side": "both", "min_effect": 0.001, "min_ratio": 0}
"""As somebody sets it to whom every fifth click matters, lost or won: a click is rare (0.46 %)."""

Impressions = list[tuple[timedelta, bool]]
"""Since the beginning, and whether it was clicked; by time."""


def clicks(seed: int) -> Iterator[Stream]:
    """The recorded week, then weeks drawn from it day by day: the same policy, the other one, more traffic."""
    week = _week()
    yield _clicks("clicks, the week as it was", "random to bts", week["random"], week["bts"], 7 * DAY)
    for times in (1, 10):
        name = f"clicks, drawn weeks, {1430 * times:,} a day"
        for before, after in (("random", "random"), ("random", "bts"), ("bts", "random")):
            random = np.random.default_rng([seed, times, len(after)] + ([1] if before == "bts" else []))
            first = _drawn(random, week[before], 5 * 7, times)
            later = _drawn(random, week[after], 4 * 7, times)
            change = "nothing" if after == before else f"{before} to {after}"
            yield _clicks(name, change, first, later, 28 * DAY)
        random = np.random.default_rng([seed, times, 0])
        first, later = (_drawn(random, week["random"], days, times) for days in (5 * 7, 4 * 7))
        yield _clicks(f"{name}, default settings", "nothing", first, later, 28 * DAY, PLAIN_CLICKS)
        lost = _without_every_other_click(later)
        yield _clicks(f"{name}, default settings", "every other click is lost", first, lost, 28 * DAY, PLAIN_CLICKS)


def _without_every_other_click(impressions: Impressions) -> Impressions:
    keeps = itertools.cycle((True, False))
    return [(at, click and next(keeps)) for at, click in impressions]


def _week() -> dict[str, Impressions]:
    """Policy -> its impressions of the recorded week."""
    recorded: dict[str, Impressions] = {"random": [], "bts": []}
    begin = datetime(2019, 11, 24, tzinfo=UTC)
    for row in rows(data("clicks_openbandit_men") / "clicks.jsonl.gz"):
        recorded[row["policy"]].append((datetime.fromisoformat(row["timestamp"]) - begin, bool(row["click"])))
    return {policy: sorted(each) for policy, each in recorded.items()}


def _drawn(random: np.random.Generator, week: Impressions, days: int, times: int) -> Impressions:
    """Each day keeps the hours of the same day of the week, and draws its impressions anew with their clicks."""
    drawn = []
    for day in range(days):
        of_day = [each for each in week if each[0] // DAY == day % 7]
        clicked = np.array([click for _, click in week])  # which day a click fell on is chance: 3 to 15 a day
        for _ in range(times):
            for (at, _), click in zip(of_day, random.choice(clicked, len(of_day)), strict=True):
                moved = at + (day - day % 7) * DAY
                drawn.append((moved, bool(click)))
    return sorted(drawn)


def _clicks(
    name: str,
    change: str,
    before: Impressions,
    after: Impressions,
    baseline: timedelta,
    check: Record = CLICKS,
) -> Stream:
    """``after`` begins when the last week of ``before`` is over."""
    edge = (before[-1][0] // DAY + 1) * DAY
    both = before + [(at + edge, click) for at, click in after]
    end = START + (both[-1][0] // DAY + 1) * DAY
    events = (Event(START + edge, change, ("clicks",)),) if change != "nothing" else ()
    records = [_impression(n, at, click) for n, (at, click) in enumerate(both)]
    facts = {"clicked before": _share(before), "clicked after": _share(after)}
    return Stream(name, change, records, [check], baseline, end, events, facts=facts)


def _impression(number: int, at: timedelta, click: bool) -> Record:
    feedback = "click" if click else "none"
    return {"ts": (START + at).isoformat(), "query": f"impression {number}", "lang": "en", "feedback": feedback}


def _share(impressions: Sequence[tuple[timedelta, bool]]) -> float:
    clicked: NDArray[np.bool_] = np.array([click for _, click in impressions])
    return round(float(clicked.mean()), 5)
