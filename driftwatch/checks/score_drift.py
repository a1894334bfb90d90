"""Have the retrieval scores changed shape?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from driftwatch.checks._counted import Counted
from driftwatch.checks._scores import Normal, Ranks, Score, Units, median_of, normal, ranks_of, units
from driftwatch.checks._words import count, detected, percent, score
from driftwatch.stats.interval import quantile_change
from driftwatch.stats.normal import Quantity
from driftwatch.stats.shares import Shares, binned
from driftwatch.stats.twosample import KS, Weighted, ks, shifted_ks_p_value, smallest_d, wasserstein
from driftwatch.types import Finding, Window

RANK_OF_GAP = 0.75
"""A shift that opens a gap D moves the mean rank by about three quarters of D (0.71 for a normal distribution)."""
MEAN_RANK = 0.7
"""Of the check's evidence, on the mean rank (Wilcoxon 1945; Mann and Whitney 1947)."""
TAIL = 0.1

_WORDS = {"top1": "top-1 scores", "topk_mean": "mean top-k scores"}


class ScoreDrift(Counted):
    """The distribution of retrieval scores against the baseline's, one query a session.

    Effect: D of the two-sample Kolmogorov-Smirnov test, the largest gap between the two distributions, in [0, 1].
    """

    kind: Literal["score_drift"] = "score_drift"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "sample"
    family: ClassVar[str] = "scores"
    budget_share: ClassVar[float] = 0.3

    score: Score = "top1"
    """`top1`: the score of the best document. `topk_mean`: the mean over all documents returned."""
    min_effect: float = Field(default=0.04, gt=0, le=1)
    """A gap D smaller than this never fails, however certain it is."""
    min_n: int = Field(default=50, ge=2)
    """With fewer sessions than this in the window, or in the baseline, nothing is said."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the sampled queries of the window."""
        del previous
        found = units(current.sample, self.score)
        details, remark = detected(current.tallies)
        facts: dict[str, Any] = {"n": len(found.values), "details": details}
        if not len(current.sample):
            return self.unknown(current, "no queries in this window", **facts)
        if not len(found.values):
            queries = count(len(current.sample))
            why = f"the log of '{self.source}' has no scores for any of {queries} sampled queries"
            return self.unknown(current, why, **facts)
        now = Weighted.of(found.values, found.weights)
        facts |= {"value": now.quantile(0.5), "details": {**details, "current": _shape(now)}}
        if reference is None:
            if now.n < self.min_n:
                return self.unknown(current, f"{self._thin(now.n)}; {self.min_n} are needed", **facts)
            return self.learning(current, **facts)
        usual = normal(reference, self.score)
        if usual.units is None:
            why = f"the baseline of '{self.source}' has no scores, so there is nothing to compare with"
            return self.unknown(current, why, **facts)
        return self._compare(current, found, now, usual, usual.units, facts, remark)

    # --- what is counted -------------------------------------------------------------------------------------------

    def settle(self, reference: Window) -> Ranks | None:
        """The baseline's scores of every language, in order."""
        return ranks_of(units(reference.sample, self.score))

    def count(self, window: Window, fixed: Ranks) -> Shares:
        """By hour and language: the sum of the units' ranks among the baseline's, and how many are in either tail."""
        found = units(window.sample, self.score)
        rank = fixed.of(found)
        inside = np.stack([rank, rank < TAIL, rank > 1 - TAIL], axis=1).astype(np.float64)
        return binned(found.hour, found.lang, inside, fixed.segments)

    def quantities(self, fixed: Ranks) -> tuple[Quantity, ...]:
        """Most is bet on the mean rank, the rest on the tails: the rungs of the Kolmogorov-Smirnov ladder that a mean
        does not see.
        """
        del fixed
        floor = RANK_OF_GAP * self.min_effect
        rung = 2 * float(np.sqrt(TAIL * (1 - TAIL))) * floor
        tail = (1 - MEAN_RANK) / 4
        return (
            Quantity("lower scores", 0, -1, floor, 0.0, 0.6 * MEAN_RANK, units=3.0),
            Quantity("higher scores", 0, +1, floor, 0.0, 0.4 * MEAN_RANK, units=3.0),
            Quantity("more low scores", 1, +1, rung, 0.0, tail),
            Quantity("fewer low scores", 1, -1, rung, 0.0, tail),
            Quantity("fewer high scores", 2, -1, rung, 0.0, tail),
            Quantity("more high scores", 2, +1, rung, 0.0, tail),
        )

    # --- what is shown ---------------------------------------------------------------------------------------------

    def past_floor(self, finding: Finding) -> bool:
        """A gap of at least `min_effect`."""
        return finding.effect is not None and finding.effect >= self.min_effect

    def _compare(
        self,
        current: Window,
        found: Units,
        now: Weighted,
        usual: Normal,
        before: Weighted,
        facts: dict[str, Any],
        remark: str,
    ) -> Finding:
        test = ks(now, before)
        blind_below = smallest_d(current.alpha, test.n, usual.day_shift, usual.freedom)
        larger = sum(test.d > d for d in usual.day_distances)
        facts |= _evidence(test, before, usual)
        facts["details"] |= {
            **_shown(test, now, before, usual),
            **_median_change(now, found, usual),
            "larger_than_days": [larger, len(usual.day_distances)],
            "blind_below": round(blind_below, 4),
        }
        fewest = min(now.n, before.n)
        if fewest < self.min_n or blind_below >= 1:
            where = "" if now.n <= before.n else " in the same hours of the baseline"
            why = f"{self._thin(fewest)}{where}" if fewest < self.min_n else "days of the baseline differ very much"
            return self.unknown(current, f"{why}: blind below an effect of D = {blind_below:.2f}", **facts)
        found_changed = facts["p_value"] < current.alpha and test.d >= self.min_effect
        if found_changed if current.changed is None else current.changed:
            message = self._change_message(test, now, before, usual, facts["details"], larger) + remark
            return self.finding(current, "fail", message, examples=_examples(found, test), **facts)
        message = (
            f"{_WORDS[self.score]} are distributed as in the baseline (KS D = {test.d:.2f}, "
            f"median {score(now.quantile(0.5))}, over {count(len(found.values))} queries)"
        )
        return self.finding(current, "ok", message + remark, **facts)

    def _change_message(
        self, test: KS, now: Weighted, before: Weighted, usual: Normal, details: dict[str, Any], larger: int
    ) -> str:
        verb = "fell" if test.direction == "lower" else "rose"
        gap = percent(test.d)
        side = "more" if test.direction == "lower" else "fewer"
        low, high = details["median_change"]["interval"]
        message = (
            f"{_WORDS[self.score]} {verb}: median {score(before.quantile(0.5))} to {score(now.quantile(0.5))} "
            f"(change {score(low)} to {score(high)}), "
            f"{gap} {side} of {count(len(now.values))} queries lie below {score(test.at)} (KS D = {test.d:.2f})"
        )
        if not (days := len(usual.day_distances)):
            return message
        return f"{message}, farther off than {'any' if larger == days else larger} of {days} baseline days"

    def _thin(self, n: float) -> str:
        return f"only {count(max(n, 1))} scored {'query' if round(n) <= 1 else 'queries'}"


def _evidence(test: KS, before: Weighted, usual: Normal) -> dict[str, Any]:
    """The numbers of the finding; days differ by more than chance even when nothing changed."""
    spread = float(np.hypot(1.358 / np.sqrt(test.n), 1.96 * usual.day_shift))
    return {
        "reference": before.quantile(0.5),
        "effect": test.d,
        "interval": (max(0.0, test.d - spread), min(1.0, test.d + spread)),
        "statistic": test.d,
        "p_value": shifted_ks_p_value(test.d, test.n, usual.day_shift, usual.freedom),
    }


def _median_change(now: Weighted, found: Units, usual: Normal) -> dict[str, Any]:
    """The change of the median beyond what days differ by anyway, with its 95 % interval."""
    median = median_of(now, found, usual.spread)
    if median is None or usual.median is None:
        return {}
    change = {"change": median.value - usual.median.value, "interval": list(quantile_change(median, usual.median))}
    return {"median_change": change}


def _shown(test: KS, now: Weighted, before: Weighted, usual: Normal) -> dict[str, Any]:
    return {
        "reference": _shape(before),
        "ks": {"d": test.d, "p_value": test.p_value, "at": test.at, "direction": test.direction},
        "wasserstein": wasserstein(now, before),
        "day_shift": round(usual.day_shift, 4),
        "effective_n": round(now.n, 1),
        "reference_n": usual.rows,
    }


def _shape(sample: Weighted) -> dict[str, float]:
    return {
        "mean": sample.mean(),
        "median": sample.quantile(0.5),
        "p05": sample.quantile(0.05),
        "p95": sample.quantile(0.95),
    }


def _examples(found: Units, test: KS) -> tuple[str, ...]:
    """The queries farthest on the side that grew: look at these first."""
    order = np.argsort(found.values, kind="stable")
    if test.direction == "higher":
        order = order[::-1]
    return tuple(str(query_id) for query_id in found.query_id[order[:10]])
