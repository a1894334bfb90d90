"""Have the retrieval scores changed shape?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from driftwatch.checks._counted import Counted
from driftwatch.checks._scores import Comparison, Ranks, Score, compared, compared_each, ranks_of, shape, units
from driftwatch.checks._words import count, detected, percent, score
from driftwatch.stats.normal import Quantity
from driftwatch.stats.shares import Shares, binned
from driftwatch.stats.twosample import Weighted
from driftwatch.types import Aspect, Finding, Sample, Window

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
    aspect: ClassVar[Aspect] = "scores"
    family: ClassVar[str] = "scores"
    budget_share: ClassVar[float] = 0.3

    score: Score = "top1"
    """`top1`: the score of the best document. `topk_mean`: the mean over all documents returned."""
    min_effect: float = Field(default=0.04, gt=0, le=1)
    """A gap D smaller than this never fails, however certain it is."""
    min_n: int = Field(default=50, ge=2)
    """With fewer sessions than this in the window, or in the baseline, nothing is said."""

    def prepare(self, windows: Sequence[tuple[Window, Window | None]]) -> None:
        """Compare all segments at once: most of them are so small that the calls would cost more than the counting."""
        pairs = [
            (current.sample, reference.sample)
            for current, reference in windows
            if reference is not None and len(units(current.sample, self.score).values)
        ]
        if pairs:
            compared_each(pairs, self.score, windows[0][0].alpha)

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
        if reference is None:
            return self._alone(current, Weighted.in_order(found.values, found.weights), facts)
        beside = compared(current.sample, reference.sample, self.score, current.alpha)
        if beside is None:
            now = Weighted.in_order(found.values, found.weights)
            facts |= {"value": now.quantile(0.5), "details": {**details, "current": shape(now)}}
            why = f"the baseline of '{self.source}' has no scores, so there is nothing to compare with"
            return self.unknown(current, why, **facts)
        return self._compare(current, beside, facts, remark)

    # --- what is counted -------------------------------------------------------------------------------------------

    def settle(self, reference: Window) -> Ranks | None:
        """The baseline's scores of every language, in order."""
        return ranks_of(reference.sample, self.score)

    def count(self, window: Window, fixed: Ranks) -> Shares:
        """By hour and language: the sum of the units' ranks among the baseline's, and how many are in either tail."""
        return window.sample.once(("counted", self.score, fixed, window.since), lambda: self._count(window, fixed))

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

    def _count(self, window: Window, fixed: Ranks) -> Shares:
        found = units(window.sample, self.score)
        hour = window.sample.hour[found.rows]
        late = hour >= (0 if window.since is None else int(window.since.timestamp()) // 3600)
        lang = window.sample.lang[found.rows[late]]
        rank = fixed.of(found.values[late], lang)
        inside = np.stack([rank, rank < TAIL, rank > 1 - TAIL], axis=1).astype(np.float64)
        return binned(hour[late], lang, inside, fixed.segments)

    def _alone(self, current: Window, now: Weighted, facts: dict[str, Any]) -> Finding:
        """While the baseline is being learnt."""
        facts |= {"value": now.quantile(0.5), "details": {**facts["details"], "current": shape(now)}}
        if now.n < self.min_n:
            return self.unknown(current, f"{self._thin(now.n)}; {self.min_n} are needed", **facts)
        return self.learning(current, **facts)

    def _compare(self, current: Window, beside: Comparison, facts: dict[str, Any], remark: str) -> Finding:
        now, before, test = beside.now, beside.before, beside.test
        facts |= _evidence(beside)
        facts["details"] = {**facts["details"], **beside.facts}
        fewest = min(now.n, before.n)
        if fewest < self.min_n or beside.blind_below >= 1:
            where = "" if now.n <= before.n else " in the same hours of the baseline"
            why = f"{self._thin(fewest)}{where}" if fewest < self.min_n else "days of the baseline differ very much"
            return self.unknown(current, f"{why}: blind below an effect of D = {beside.blind_below:.2f}", **facts)
        found_changed = beside.p_value < current.alpha and test.d >= self.min_effect
        if found_changed if current.changed is None else current.changed:
            examples = _examples(current.sample, self.score, lowest=test.direction != "higher")
            return self.finding(current, "fail", self._change_message(beside) + remark, examples=examples, **facts)
        message = (
            f"{_WORDS[self.score]} are distributed as in the baseline (KS D = {test.d:.2f}, "
            f"median {score(facts['value'])}, over {count(len(now.values))} queries)"
        )
        return self.finding(current, "ok", message + remark, **facts)

    def _change_message(self, beside: Comparison) -> str:
        now, before, test = beside.now, beside.before, beside.test
        verb = "fell" if test.direction == "lower" else "rose"
        side = "more" if test.direction == "lower" else "fewer"
        low, high = beside.facts["median_change"]["interval"]
        message = (
            f"{_WORDS[self.score]} {verb}: median {score(before.quantile(0.5))} to {score(now.quantile(0.5))} "
            f"(change {score(low)} to {score(high)}), "
            f"{percent(test.d)} {side} of {count(len(now.values))} queries lie below {score(test.at)} "
            f"(KS D = {test.d:.2f})"
        )
        larger, days = beside.facts["larger_than_days"]
        if not days:
            return message
        return f"{message}, farther off than {'any' if larger == days else larger} of {days} baseline days"

    def _thin(self, n: float) -> str:
        return f"only {count(max(n, 1))} scored {'query' if round(n) <= 1 else 'queries'}"


def _evidence(beside: Comparison) -> dict[str, Any]:
    """The numbers of the finding; days differ by more than chance even when nothing changed."""
    d = beside.test.d
    spread = float(np.hypot(1.358 / np.sqrt(beside.test.n), 1.96 * beside.usual.day_shift))
    return {
        "value": beside.facts["current"]["median"],
        "reference": beside.facts["reference"]["median"],
        "effect": d,
        "interval": (max(0.0, d - spread), min(1.0, d + spread)),
        "statistic": d,
        "p_value": beside.p_value,
    }


def _examples(sample: Sample, by: Score, *, lowest: bool) -> tuple[str, ...]:
    """The queries farthest on the side that grew: look at these first."""
    found = units(sample, by)
    order = np.lexsort((found.rows, found.values))
    rows = found.rows[order if lowest else order[::-1]][:10]
    return tuple(str(query_id) for query_id in sample.query_id[rows])
