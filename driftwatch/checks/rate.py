"""Do more queries end empty, in an abstention, in a thumbs-down?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from driftwatch.checks._blocks import PRIOR_VARIATION, Dispersion, by_day, of_days
from driftwatch.checks._counted import Counted
from driftwatch.checks._words import count, detected, percent
from driftwatch.stats.interval import rate_change, share_interval
from driftwatch.stats.ledger import WITHIN_REACH
from driftwatch.stats.normal import Quantity
from driftwatch.stats.proportion import sided, tails
from driftwatch.stats.shares import Shares, summed
from driftwatch.types import TALLY_FIELDS, Finding, Tallies, Window

Outcome = Literal["empty", "abstained", "negative_feedback", "no_click"]

TOLERATED = 0.2
"""Of the smallest change that matters: so much is as good as none."""

_NOUN = {
    "empty": "queries without results",
    "abstained": "abstentions",
    "negative_feedback": "negative feedback",
    "no_click": "queries without a click",
}
_COLUMNS = {
    "empty": ("results_known", "empty"),
    "abstained": ("abstention_known", "abstained"),
    "negative_feedback": ("feedback_known", "down"),
    "no_click": ("feedback_known", "click", "accepted"),
}
_SILENT = {
    "empty": "what was retrieved (results)",
    "abstained": "whether the assistant abstained (abstained, or answer)",
    "negative_feedback": "what people made of the answer (feedback)",
    "no_click": "what people made of the answer (feedback)",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """What a window's counts say beside those of the baseline, whichever side is bad."""

    effect: float
    usual: float
    """The baseline's rate."""
    reference_count: int
    reference_known: int
    vary: Dispersion
    tempered: tuple[float, float]
    """P-values of a rise and of a fall, on as many coins as the counts are worth."""
    exact: tuple[float, float]
    """The same if every query were a coin."""
    interval: tuple[float, float]
    interval_of_value: tuple[float, float]


class Rate(Counted):
    """The share of queries that end badly, counted over everything and not over a sample.

    Effect: change of the rate, window minus baseline.
    """

    kind: Literal["rate"] = "rate"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "tallies"
    family: ClassVar[str] = "rates"
    budget_share: ClassVar[float] = 0.2

    of: Outcome
    """Which rate: of queries without results, of abstentions, of thumbs-downs, of queries without a click."""
    side: Literal["up", "down", "both"] = "up"
    """Which change is bad."""
    min_effect: float = Field(default=0.005, ge=0, le=1)
    """A change smaller than this never fails, however certain it is, unless it is half of all that can be lost."""
    min_ratio: float = Field(default=0.5, ge=0)
    """Nor does one smaller than this share of the baseline's rate: 0.5 lets 2 % become 3 %."""
    at_most: float | None = Field(default=None, ge=0, le=1)
    """Fails above this rate whatever the baseline says."""
    min_n: int = Field(default=100, ge=1)
    """With fewer queries than this in the window, or in the baseline, nothing is said."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the counts of the window."""
        del previous
        queries = current.tallies.total("queries")
        x, n = self._counted(current.tallies)
        if queries == 0:
            return self.unknown(current, "no queries in this window")
        if n == 0:
            why = f"the log of '{self.source}' does not say {_SILENT[self.of]} for any of {count(queries)} queries"
            return self.unknown(current, why)
        details, remark = detected(current.tallies)
        details |= {"of": self.of, "count": x, "known": n, "known_share": round(min(1.0, n / queries), 4)}
        facts: dict[str, Any] = {"n": n, "value": x / n, "details": details}
        if n < self.min_n:
            why = f"{_only(n)} with known outcome in this window; {count(self.min_n)} are needed to judge{remark}"
            return self.unknown(current, why, **facts)
        if reference is None or not (known := self._counted(reference.tallies)[1]):
            return self._by_ceiling(current, reference, facts, remark)
        if known < self.min_n:
            why = f"{_only(known)} in the same hours of the baseline; {count(self.min_n)} are needed to compare"
            return self._breach(current, facts, remark) or self.unknown(current, why, **facts)
        return self._by_change(current, reference, facts, remark)

    def _by_ceiling(self, current: Window, reference: Window | None, facts: dict[str, Any], remark: str) -> Finding:
        """Without a baseline only the ceiling judges."""
        if breach := self._breach(current, facts, remark):
            return breach
        if self.at_most is not None:
            message = f"{self._said(facts)}, within the ceiling of {percent(self.at_most)}{remark}"
            return self.finding(current, "ok", message, **facts)
        if reference is None:
            return self.learning(current, **facts)
        why = f"the baseline of '{self.source}' does not say {_SILENT[self.of]}, so there is nothing to compare with"
        return self.unknown(current, why, **facts)

    def _breach(self, current: Window, facts: dict[str, Any], remark: str) -> Finding | None:
        if self.at_most is None or facts["value"] <= self.at_most:
            return None
        message = f"{self._said(facts)}, above the ceiling of {percent(self.at_most)}{remark}"
        return self.finding(current, "fail", message, **facts)

    def _by_change(self, current: Window, reference: Window, facts: dict[str, Any], remark: str) -> Finding:
        found = current.tallies.once(
            ("beside", self.of, reference.tallies), lambda: self._beside(current.tallies, reference.tallies)
        )
        p_value = found.vary.temper(sided(*found.tempered, self.side), two_sided=self.side == "both")
        effect, usual = found.effect, found.usual
        facts |= {
            "reference": usual,
            "effect": effect,
            "interval": found.interval,
            "statistic": float(facts["details"]["count"]),
            "p_value": p_value,
            "details": {
                **facts["details"],
                "reference_count": found.reference_count,
                "reference_known": found.reference_known,
                "day_dispersion": round(found.vary.factor, 3),
                "fisher_p": sided(*found.exact, self.side),
                "interval_of_value": list(found.interval_of_value),
            },
        }
        changed = p_value < current.alpha and self._is_past_floor(effect, usual)
        if changed if current.changed is None else current.changed:
            return self.finding(current, "fail", self._change_message(facts) + remark, **facts)
        if breach := self._breach(current, facts, remark):
            return breach
        message = f"{self._said(facts)}, {percent(usual)} in the same hours of the baseline{remark}"
        return self.finding(current, "ok", message, **facts)

    def _beside(self, current: Tallies, reference: Tallies) -> Beside:
        (x, n), (x0, n0) = self._counted(current), self._counted(reference)
        vary = self._dispersion(reference, x0, n0)
        # Counts that vary so many times more than coins carry as much evidence as so many times fewer coins.
        m, m0 = max(1, round(n / vary.factor)), max(1, round(n0 / vary.factor))
        return Beside(
            effect=x / n - x0 / n0,
            usual=x0 / n0,
            reference_count=x0,
            reference_known=n0,
            vary=vary,
            tempered=tails(round(x / n * m), m, round(x0 / n0 * m0), m0),
            exact=tails(x, n, x0, n0),
            interval=rate_change(x, n, x0, n0, vary.design),
            interval_of_value=share_interval(x, n, vary.design),
        )

    # --- what is counted -------------------------------------------------------------------------------------------

    def settle(self, reference: Window) -> tuple[str, ...] | None:
        """The languages of the baseline."""
        known, *_ = self._columns(reference.tallies)
        return tuple(np.unique(reference.tallies.lang[known > 0]).tolist()) or None

    def count(self, window: Window, fixed: tuple[str, ...]) -> Shares:
        """Units by hour and language, and how many of them ended badly."""
        return window.tallies.once(("counted", self.of, fixed), lambda: self._count(window.tallies, fixed))

    def quantities(self, fixed: tuple[str, ...]) -> tuple[Quantity, ...]:
        """The rate itself, on the side that is bad."""
        del fixed
        weights = {"up": {+1: 1.0}, "down": {-1: 1.0}, "both": {+1: 0.8, -1: 0.2}}[self.side]
        return tuple(
            Quantity(
                "higher rate" if side > 0 else "lower rate",
                0,
                side,
                max(self.min_ratio, 0.05),
                TOLERATED * self.min_ratio,
                weight,
                relative=True,
                least=self.min_effect,
            )
            for side, weight in weights.items()
        )

    def _count(self, tallies: Tallies, fixed: tuple[str, ...]) -> Shares:
        known, hits = self._columns(tallies)
        return summed(tallies.hour.astype(np.int64), tallies.lang, known, hits[:, None], fixed)

    def _columns(self, tallies: Tallies) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Units of which the outcome is known, and those that ended badly, one a row of ``tallies``."""
        places = [TALLY_FIELDS.index(f"units_{column}") for column in _COLUMNS[self.of]]
        known, *parts = tallies.counts[:, places].T.astype(np.float64)
        hits = known - sum(parts) if self.of == "no_click" else parts[0]
        return known, np.clip(hits, 0, known)

    # --- what is shown ---------------------------------------------------------------------------------------------

    def past_floor(self, finding: Finding) -> bool:
        """A change of at least `min_effect` (or half of what can be lost) and of `min_ratio` times the usual rate."""
        known = finding.effect is not None and finding.reference is not None
        return known and self._is_past_floor(finding.effect or 0.0, finding.reference or 0.0)

    def _is_past_floor(self, effect: float, usual: float) -> bool:
        wrong_way = {"up": effect, "down": -effect, "both": abs(effect)}[self.side]
        reach = WITHIN_REACH * (1 - usual if effect > 0 else usual)
        return wrong_way >= max(min(self.min_effect, reach), self.min_ratio * min(usual, 1 - usual)) - 1e-12

    def _change_message(self, facts: dict[str, Any]) -> str:
        low, high = (100 * bound for bound in facts["interval"])
        verb = "rose" if facts["effect"] > 0 else "fell"
        return (
            f"{_NOUN[self.of]} {verb} from {percent(facts['reference'])} to {percent(facts['value'])} "
            f"({100 * facts['effect']:+.1f} points, {low:+.1f} to {high:+.1f}): "
            f"{count(facts['details']['count'])} of {count(facts['n'])} queries"
        )

    def _said(self, facts: dict[str, Any]) -> str:
        return f"{_NOUN[self.of]} are at {percent(facts['value'])} of {count(facts['n'])} queries"

    def _counted(self, tallies: Tallies) -> tuple[int, int]:
        """How many ended badly, and of how many that is known."""
        known, *parts = (tallies.total(column) for column in _COLUMNS[self.of])
        hits = known - sum(parts) if self.of == "no_click" else parts[0]
        return min(max(hits, 0), known), known

    def _dispersion(self, tallies: Tallies, hits: int, known: int) -> Dispersion:
        days = by_day(tallies, _COLUMNS[self.of])
        marked = days[:, 1:].sum(axis=1)
        split = np.stack([marked, np.maximum(days[:, 0] - marked, 0)], axis=1)
        prior = 1 + PRIOR_VARIATION**2 * hits / len(days) * known / max(known - hits, 1)
        return of_days(split, prior)


def _only(n: int) -> str:
    return "only 1 query" if n == 1 else f"only {count(n)} queries"
