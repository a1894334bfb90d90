"""How scores are distributed now and in the baseline, and where the two lie farthest apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._scores import Score, shape, units
from driftwatch.pages import drawing
from driftwatch.pages.drawing import Figure, Frame
from driftwatch.show import number
from driftwatch.stats.twosample import Together, Weighted
from driftwatch.types import POOLED, Baseline, Sample
from driftwatch.windows import HOUR, WEEK, Learning, Windows, floor_hour, hour_of_week, matching_hours

if TYPE_CHECKING:
    from driftwatch.checks import Check
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Finding

POINTS = 200
"""Of a drawn distribution."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """The scores of one window beside those of the same hours of the baseline."""

    segment: str
    now: Weighted
    normal: Weighted | None
    """None while the baseline is being learnt."""
    d: float = 0.0
    p_value: float = 1.0
    at: float = 0.0
    """The score at which the gap is widest."""


def distribution(watch: Watch, store: Store, check: Check, finding: Finding) -> Distribution | None:
    """What ``finding`` was found in; None where the check judges no scores, or there are none."""
    score: Score | None = getattr(check, "score", None)
    if check.needs != "sample" or score not in ("top1", "topk_mean"):
        return None
    end = floor_hour(finding.at)
    now = _scores(store, check, score, finding.segment, [(end - check.window, end)])
    if now is None:
        return None
    known = Windows(store, watch, learns=False).baseline(check.source, check.needs, finding.at, check.aspect)
    if isinstance(known, Learning):
        return Distribution(finding.segment, now, None)
    stretches = list(_stretches(check, end, known))
    normal = _scores(store, check, score, finding.segment, stretches)
    if normal is None:
        return Distribution(finding.segment, now, None)
    test = Together.of(now, normal).ks()
    return Distribution(finding.segment, now, normal, test.d, test.p_value, test.at)


def drawn(found: Distribution, source: str) -> Figure:
    """The two as steps that rise from 0 to 1, with the widest gap where it is."""
    sides = [each for each in (found.now, found.normal) if each is not None]
    ends = np.concatenate([np.array(each.quantiles((0.001, 0.999))) for each in sides])
    frame = Frame(drawing.around(ends), (0.0, 1.0), 250)
    parts = [drawing.scale(frame, percent=True)]
    for value in drawing.ticks(*frame.x, most=7):
        x = float(frame.across(value))
        parts.append(drawing.words(x, frame.height - 8, number(value), "", "middle"))
    if found.normal is not None:
        parts.append(drawing.line("normal", _steps(frame, found.normal)))
    parts.append(drawing.line("now", _steps(frame, found.now)))
    said = _said(found)
    if found.normal is not None:
        parts += _gap(frame, found)
    rows = list(_rows(found))
    columns = ("", "now", "baseline") if found.normal is not None else ("", "now")
    caption = f"How the scores are distributed: the share of queries below each score. {said}"
    return Figure("Distribution", caption, drawing.chart(frame, caption, *parts), "distribution", source, columns, rows)


def distribution_data(found: Distribution) -> dict[str, Any]:
    """The same for the script and for programs."""

    def side(sample: Weighted | None) -> dict[str, Any] | None:
        if sample is None:
            return None
        x, y = _ecdf(sample)
        return {"score": x, "share_below": y, "n": len(sample.values)}

    gap = {"d": found.d, "p_value": found.p_value, "at": found.at} if found.normal is not None else None
    return {"segment": found.segment, "now": side(found.now), "baseline": side(found.normal), "ks": gap}


def _said(found: Distribution) -> str:
    if found.normal is None:
        return f"{len(found.now.values)} queries; there is no baseline to compare with yet."
    return (
        f"{len(found.now.values):,} now, {len(found.normal.values):,} in the same hours of the baseline: "
        f"Kolmogorov-Smirnov D = {found.d:.2f} at {number(found.at)} (p = {found.p_value:.2g}, of unrelated queries)."
    )


def _gap(frame: Frame, found: Distribution) -> Iterator[str]:
    assert found.normal is not None
    x = float(np.clip(frame.across(found.at), frame.left, drawing.WIDTH - drawing.RIGHT))
    ends = [float(frame.up(_below(each, found.at))) for each in (found.now, found.normal)]
    yield drawing.line("gap", f"M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}")
    right = x < drawing.WIDTH - 140
    yield drawing.words(
        x + (6 if right else -6), sum(ends) / 2 + 4, f"D = {found.d:.2f}", "t-gap", "start" if right else "end"
    )
    left, high = (found.now, found.normal) if ends[0] < ends[1] else (found.normal, found.now)
    for sample, anchor, off, share in ((left, "end", -8, 0.75), (high, "start", 8, 0.62)):
        name, kind = ("now", "t-now") if sample is found.now else ("baseline", "")
        across = float(frame.across(sample.quantile(share)))
        yield drawing.words(across + off, float(frame.up(share)), name, kind, anchor)


def _rows(found: Distribution) -> Iterator[tuple[str, ...]]:
    sides = [each for each in (found.now, found.normal) if each is not None]
    yield "queries", *(f"{len(each.values):,}" for each in sides)
    shapes = [shape(each) for each in sides]
    for name in ("mean", "p05", "median", "p95"):
        yield name, *(number(each[name]) for each in shapes)


def _steps(frame: Frame, sample: Weighted) -> str:
    x, y = _ecdf(sample)
    return drawing.steps(np.clip(frame.across(x), frame.left, drawing.WIDTH - drawing.RIGHT), frame.up(y))


def _ecdf(sample: Weighted) -> tuple[Floats, Floats]:
    """(score, share of queries at or below it), ascending, few enough to be drawn."""
    rows = np.unique(np.linspace(0, len(sample.values) - 1, POINTS).astype(np.intp))
    return sample.values[rows], sample.share[rows + 1]


def _below(sample: Weighted, score: float) -> float:
    return float(sample.below(np.array([score]))[0])


def _stretches(check: Check, end: datetime, baseline: Baseline) -> Iterator[tuple[datetime, datetime]]:
    """The parts of the baseline that a window which ends then is compared with."""
    if check.window >= WEEK or check.compares == "all hours":
        yield baseline.start, baseline.end
        return
    wanted = matching_hours(end - check.window, end, baseline)
    first = floor_hour(baseline.start)
    count = -(-(baseline.end - first) // HOUR)
    hours = np.datetime64(first.replace(tzinfo=None), "h") + np.arange(count)
    inside = np.isin(hour_of_week(hours), list(wanted))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]])))
    for begin, until in edges.reshape(-1, 2).tolist():
        yield max(first + begin * HOUR, baseline.start), min(first + until * HOUR, baseline.end)


def _scores(
    store: Store, check: Check, score: Score, segment: str, stretches: list[tuple[datetime, datetime]]
) -> Weighted | None:
    """One score a session, in ascending order; None where there is none."""
    found = [_part(store.traffic.sample(check.source, *each, ids=False), segment, score) for each in stretches]
    values, weights = (np.concatenate([each[side] for each in found] or [np.empty(0)]) for side in (0, 1))
    order = values.argsort(kind="stable")
    return Weighted.in_order(values[order], weights[order]) if len(values) else None


def _part(sample: Sample, segment: str, score: Score) -> tuple[Floats, Floats]:
    if segment != POOLED:
        sample = sample.take(sample.by_language().get(segment, np.empty(0, np.intp)))
    found = units(sample, score)
    return found.values, found.weights
