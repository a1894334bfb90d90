"""Are queries still arriving?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from driftwatch.checks import Check
from driftwatch.checks._blocks import PRIOR_VARIATION, Dispersion
from driftwatch.checks._words import count, detected
from driftwatch.stats.interval import volume_change
from driftwatch.stats.proportion import poisson_ratio
from driftwatch.types import TALLY_FIELDS, Finding, Tallies, Window

Hours = NDArray[np.int64]
"""Hours since the epoch."""
WEEK = 168


class Volume(Check):
    """The number of queries against the same hours of the week of the baseline.

    Effect: ratio of the count to what those hours usually bring; 1 is as usual.
    """

    kind: Literal["volume"] = "volume"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "tallies"
    family: ClassVar[str] = "volume"
    compares: ClassVar[Literal["matching hours", "all hours"]] = "all hours"

    at_least_ratio: float = Field(default=0.5, ge=0, le=1)
    """Fails below this ratio to the same hours of the week."""
    at_most_ratio: float = Field(default=3.0, ge=1)
    """Fails above this ratio."""
    at_least: int | None = Field(default=None, ge=1)
    """Fails with fewer queries than this in the window, whatever the baseline says."""
    min_n: int = Field(default=20, ge=1)
    """Hours that usually bring fewer queries than this together are too quiet to judge."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the counts of the window's whole hours."""
        hours = _whole_hours(current.start, current.end)
        counts = _counts(current.tallies, hours)
        total = int(counts.sum())
        last = _last_seen(hours, counts, previous)
        details, remark = detected(current.tallies)
        facts: dict[str, Any] = {
            "n": total,
            "value": float(total),
            "details": {**details, "hours": len(hours)},
            "state": {} if last is None else {"last_hour": float(last)},
        }
        if self.at_least is not None and len(hours) and total < self.at_least:
            said = _silence(last) if not total else f"only {count(total)} queries in {len(hours)} hours"
            message = f"{said}, and at least {count(self.at_least)} are expected{remark}"
            return self.finding(current, "fail", message, **facts)
        if reference is None:
            if total and self.at_least is not None:
                message = f"{count(total)} queries in {len(hours)} hours, above the floor of {count(self.at_least)}"
                return self.finding(current, "ok", message + remark, **facts)
            return self.learning(current, **facts)
        usual = _usual_of(reference, hours)
        if usual is None or not usual.seen:
            why = "the baseline has no queries in these hours of the week, so there is nothing to compare with"
            return self.unknown(current, why, **facts)
        return self._compare(current, counts, usual, last, facts, remark)

    def _compare(
        self,
        current: Window,
        counts: NDArray[np.int64],
        usual: Usual,
        last: int | None,
        facts: dict[str, Any],
        remark: str,
    ) -> Finding:
        counts = counts[usual.known]
        total, expected = int(counts.sum()), float(usual.expected.sum())
        vary = usual.dispersion
        x, e, seen = (number / vary.factor for number in (total, expected, usual.seen))
        silent = _silent_tail(counts)
        missed = float(usual.expected[len(counts) - silent :].sum())
        p_silent = poisson_ratio(0.0, missed / vary.factor, seen, "down") if silent else 1.0
        facts |= {
            "reference": expected,
            "effect": total / expected,
            "interval": volume_change(total, expected, usual.seen, vary.design),
            "statistic": float(total),
            "p_value": vary.temper(poisson_ratio(x, e, seen), two_sided=True),
        }
        facts["details"] |= {
            "day_dispersion": round(vary.factor, 3),
            "silent_hours": silent,
            "silent_expected": round(missed, 1),
            "silent_p": p_silent,
            "compared_hours": len(counts),
        }
        # Two looks at one window, the whole and its silent end: half of the error budget each.
        if silent and missed >= self.min_n and p_silent < current.alpha / 2:
            stretch = "an hour like this" if silent == 1 else f"{silent} hours like these"
            message = f"{_silence(last)}, where {stretch} usually bring{'s' * (silent == 1)} {count(missed)}"
            return self.finding(current, "fail", message + remark, **facts)
        return self._by_ratio(current, total, last, facts, remark)

    def past_floor(self, finding: Finding) -> bool:
        """A ratio outside `at_least_ratio` to `at_most_ratio`."""
        return finding.effect is not None and self._is_past_floor(finding.effect)

    def _is_past_floor(self, ratio: float) -> bool:
        return ratio < self.at_least_ratio or ratio > self.at_most_ratio

    def _by_ratio(self, current: Window, total: int, last: int | None, facts: dict[str, Any], remark: str) -> Finding:
        ratio, expected = facts["effect"], facts["reference"]
        if expected < self.min_n:
            why = f"too quiet to judge: these hours usually bring {count(expected)} queries, {self.min_n} are needed"
            return self.unknown(current, why, **facts)
        hours = facts["details"]["compared_hours"]
        said = f"{count(total)} queries where {count(expected)} are usual ({ratio:.2f} times) in {hours} hours"
        if self._is_past_floor(ratio) and facts["p_value"] < current.alpha / 2:
            return self.finding(current, "fail", f"traffic {'fell' if ratio < 1 else 'rose'}: {said}{remark}", **facts)
        if not total:
            return self.unknown(current, f"{_silence(last)}, but that could be chance in hours this quiet", **facts)
        return self.finding(current, "ok", f"traffic is as usual: {said}{remark}", **facts)


@dataclass(frozen=True, slots=True)
class Usual:
    """What the hours of a window usually bring."""

    known: NDArray[np.bool_]
    """shape (hours of the window,): whether the baseline has that hour of the week at all."""
    expected: NDArray[np.float64]
    """shape (known hours,)."""
    seen: float
    """Queries in all hours of the baseline that these are compared with."""
    dispersion: Dispersion
    """How many times more than Poisson the days of the baseline vary."""


def _whole_hours(start: datetime, end: datetime) -> Hours:
    first, last = -int(-start.timestamp() // 3600), int(end.timestamp() // 3600)
    return np.arange(first, max(first, last), dtype=np.int64)


def _counts(tallies: Tallies, hours: Hours) -> NDArray[np.int64]:
    """Queries in each of ``hours``, a consecutive run; an hour without a row had none."""
    place = tallies.hour.astype("datetime64[h]").astype(np.int64) - (hours[0] if len(hours) else 0)
    inside = (place >= 0) & (place < len(hours))
    counts = np.zeros(len(hours), dtype=np.int64)
    np.add.at(counts, place[inside], tallies.counts[inside, TALLY_FIELDS.index("queries")])
    return counts


def _usual_of(reference: Window, hours: Hours) -> Usual | None:
    """Mean count of each hour of the week over the baseline; None when no hour can be compared.

    It depends on the hours of the week alone, and is asked for anew in every week.
    """
    first = int(hours[0]) % WEEK if len(hours) else 0
    key = ("usual", reference.start, reference.end, first, len(hours))
    return reference.tallies.once(key, lambda: _usual(reference, hours))


def _usual(reference: Window, hours: Hours) -> Usual | None:
    past = _whole_hours(reference.start, reference.end)
    counts = _counts(reference.tallies, past)
    same_hour, same_day = np.isin(past % WEEK, hours % WEEK), np.isin(past % 24, hours % 24)
    if not same_hour.any():
        return None
    times = np.bincount(past % WEEK, minlength=WEEK)
    means = np.bincount(past % WEEK, weights=counts, minlength=WEEK) / np.maximum(times, 1)
    known = times[hours % WEEK] > 0
    # A fortnight has two days like this one: how much days vary is learnt from these hours of every day.
    vary = _dispersion(past[same_day], counts[same_day], means)
    return Usual(known, means[hours[known] % WEEK], float(counts[same_hour].sum()), vary)


def _dispersion(past: Hours, counts: NDArray[np.int64], means: NDArray[np.float64]) -> Dispersion:
    """How much more than Poisson the days' totals vary around what their hours usually bring."""
    _, day = np.unique(past // 24, return_inverse=True)
    expected = np.bincount(day, weights=means[past % WEEK])
    totals = np.bincount(day, weights=counts)[expected > 0]
    expected = expected[expected > 0]
    if not len(expected):
        return Dispersion.of(0.0, 0.0, 1.0)
    weekdays = np.unique(past[means[past % WEEK] > 0] % WEEK // 24)
    chi_square = float(((totals - expected) ** 2 / expected).sum())
    prior = 1 + PRIOR_VARIATION**2 * float(expected.mean())
    return Dispersion.of(chi_square, max(len(totals) - len(weekdays), 0), prior)


def _silent_tail(counts: NDArray[np.int64]) -> int:
    """How many hours at the end of the window are without a query."""
    busy = np.flatnonzero(counts)
    return len(counts) - (int(busy[-1]) + 1 if len(busy) else 0)


def _last_seen(hours: Hours, counts: NDArray[np.int64], previous: Finding | None) -> int | None:
    """The last hour with a query, in this window or, by the previous finding, before it."""
    busy = hours[counts > 0]
    if len(busy):
        return int(busy[-1])
    known = previous.state.get("last_hour") if previous else None
    return int(known) if known is not None else None


def _silence(last: int | None) -> str:
    if last is None:
        return "no queries in this window"
    return f"no queries since {datetime.fromtimestamp((last + 1) * 3600, UTC):%Y-%m-%d %H:%M} UTC"
