"""Do questions with known answers still find them?"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from driftwatch.checks._canaries import ROT_SHOWN, Asked, Change, Steady, compare, read, rot, steady, usual
from driftwatch.checks._counted import Counted
from driftwatch.checks._words import percent, shorten, things
from driftwatch.stats.ir import Measure
from driftwatch.stats.normal import Quantity
from driftwatch.stats.shares import Shares
from driftwatch.types import Finding, Window

TOLERATED = 0.2
"""Of the smallest drop that matters: so much is as good as none."""

FEWEST_LOST = 2.5
"""A segment must lose more than two canaries: one whose document was changed is no drift, and two happen."""

MeasureSetting = Annotated[Measure, BeforeValidator(Measure.parse), PlainSerializer(str, return_type=str)]


class Canary(Counted):
    """Questions with known answers, each against its own baseline.

    Effect: mean change of the measure over the canaries that have a baseline, newest run minus baseline; negative is
    worse.
    """

    kind: Literal["canary"] = "canary"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "runs"
    family: ClassVar[str] = "canaries"
    budget_share: ClassVar[float] = 0.3
    fewest_units: ClassVar[float] = 5.0

    measure: MeasureSetting = Measure("R", 10)
    """`R@k`, `RR@k`, `nDCG@k`, `P@k`, `Success@k` or `AP`."""
    at_least: float | None = Field(default=None, ge=0, le=1)
    """Fails below this value whatever the baseline says, from the first run on."""
    max_drop: float = Field(default=0.02, gt=0, le=1)
    """A drop smaller than this never fails, however certain it is."""
    min_queries: int = Field(default=10, ge=1)
    """With fewer canaries than this, nothing is said."""
    max_rot: float = Field(default=0.2, gt=0, le=1)
    """When this share of the canaries has lost all its documents from the index, that is what fails."""
    max_unasked: float = Field(default=0.2, ge=0, lt=1)
    """When more than this share could not be asked, nothing is said about retrieval."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the newest run of the window."""
        del previous
        if not current.runs or not current.runs[-1].observations:
            return self.unknown(current, "no canary was asked in this window")
        asked = read(current.runs[-1], self.measure)
        if asked.errors.total() > self.max_unasked * asked.total:
            return self._unasked(current, asked)
        if asked.total < self.min_queries:
            why = f"{things(asked.total, 'canary')} in this segment; {self.min_queries} are needed to judge"
            return self.unknown(current, why, n=asked.total)
        if asked.rotten and len(asked.rotten) >= self.max_rot * asked.total:
            return self._rotten(current, asked)
        if len(asked.outcomes) < self.min_queries:
            why = f"only {len(asked.outcomes)} of {asked.total} canaries could be judged; {self.min_queries} are needed"
            return self.unknown(current, why, n=len(asked.outcomes), details=self._asked_details(asked))
        change = compare(asked, usual(reference, self.measure), self.measure) if reference else None
        if change is None or change.n < self.min_queries:
            return self._by_floor(current, asked)
        return self._by_change(current, asked, change)

    # --- what is counted -------------------------------------------------------------------------------------------

    def settle(self, reference: Window) -> Steady | None:
        """The canaries that can be relied on, and how often each of them misses."""
        return steady(reference, self.measure)

    def count(self, window: Window, fixed: Steady) -> Shares:
        """By hour and language: reliable canaries that were asked, and how many of them found less than they do."""
        return fixed.count(window)

    def quantities(self, fixed: Steady) -> tuple[Quantity, ...]:
        """The share of reliable canaries that miss."""
        del fixed
        return (Quantity("missing canaries", 0, +1, self.max_drop, TOLERATED * self.max_drop, 1.0, fewest=FEWEST_LOST),)

    # --- what is shown ---------------------------------------------------------------------------------------------

    def past_floor(self, finding: Finding) -> bool:
        """A drop of at least `max_drop`."""
        return finding.effect is not None and finding.effect <= -self.max_drop

    def _unasked(self, current: Window, asked: Asked) -> Finding:
        reason, _ = min(asked.errors.most_common(), key=lambda item: (-item[1], item[0]))
        missed = asked.errors.total()
        why = f"{missed} of {things(asked.total, 'canary')} could not be asked: {shorten(reason)}"
        return self.unknown(current, why, n=asked.total - missed, details=self._asked_details(asked))

    def _rotten(self, current: Window, asked: Asked) -> Finding:
        share = len(asked.rotten) / asked.total
        message = (
            f"{len(asked.rotten)} of {asked.total} canaries ({percent(share)}) ask for documents that are missing from "
            "the index: they were lost in ingestion or taken down"
        )
        return self.finding(
            current,
            "fail",
            message,
            n=asked.total,
            value=_mean(asked),
            examples=tuple(seen.query_id for seen in asked.rotten[:10]),
            details=self._asked_details(asked),
        )

    def _by_floor(self, current: Window, asked: Asked) -> Finding:
        """Without a baseline only the floor judges."""
        value, n = _mean(asked), len(asked.outcomes)
        facts: dict[str, Any] = {"n": n, "value": value, "details": self._asked_details(asked)}
        if self.at_least is None or value is None:
            return self.learning(current, **facts)
        said = f"{self.measure.words} is {value:.2f} over {things(n, 'canary')}"
        if value < self.at_least:
            lost = [query_id for (query_id, _), outcome in sorted(asked.outcomes.items()) if outcome.value == 0]
            message = f"{said}, below the floor of {self.at_least:.2f}: {len(lost)} find nothing relevant"
            return self.finding(current, "fail", message + _asides(asked), examples=tuple(lost[:10]), **facts)
        message = f"{said}, above the floor of {self.at_least:.2f}; changes are judged once the baseline is full"
        return self.finding(current, "ok", message + _asides(asked), **facts)

    def _by_change(self, current: Window, asked: Asked, change: Change) -> Finding:
        overall = _mean(asked)
        below = self.at_least is not None and overall is not None and overall < self.at_least
        noise = asked.noise or 0.0
        dropped = change.p_value < current.alpha and change.effect <= -self.max_drop + 1e-12 and -change.effect > noise
        dropped = dropped if current.changed is None else current.changed
        facts: dict[str, Any] = {
            "n": change.n,
            "value": change.value,
            "reference": change.reference,
            "effect": change.effect,
            "interval": change.interval,
            "statistic": float(change.lower),
            "p_value": change.p_value,
            "details": {**self._asked_details(asked), **change.details, "value_of_all": overall},
        }
        if below or dropped:
            losses = [flip["query_id"] for flip in change.details["flips"] if flip["change"] < 0]
            message = self._drop_message(change, overall if below else None) + _asides(asked)
            return self.finding(current, "fail", message, examples=tuple(losses[:10]), **facts)
        if change.smallest_p >= current.alpha and self.at_least is None and current.changed is None:
            return self.unknown(current, self._blind_message(change), **facts)
        message = (
            f"{self.measure.words} is {change.value:.2f} over {things(change.n, 'canary')}, "
            f"{change.reference:.2f} in the baseline"
        )
        return self.finding(current, "ok", message + _asides(asked), **facts)

    def _drop_message(self, change: Change, below: float | None) -> str:
        low, high = change.interval
        if change.effect < -0.005:
            said = (
                f"{self.measure.words} fell from {change.reference:.2f} to {change.value:.2f} "
                f"({change.effect:+.2f}, {low:+.2f} to {high:+.2f})"
            )
        else:
            said = f"{self.measure.words} is as in the baseline ({change.reference:.2f})"
        if below is not None:
            said += f", and at {below:.2f} is below the floor of {self.at_least:.2f}"
        if change.lost:
            return f"{said}: {change.lost} of {things(change.n, 'canary')} lost their document"
        if change.lower:
            return f"{said}: {change.lower} of {things(change.n, 'canary')} find less, or find it lower down"
        return said

    def _blind_message(self, change: Change) -> str:
        if not change.details["never_found"] < change.n:
            return f"none of {things(change.n, 'canary')} found its document in the baseline, so no drop can be seen"
        days = things(change.details["baseline_days"], "day")
        return (
            f"blind to any drop: with {things(change.n, 'canary')} and {days} of baseline even losing all of them "
            "could be chance at this error budget; add canaries, or set at_least"
        )

    def _asked_details(self, asked: Asked) -> dict[str, Any]:
        details: dict[str, Any] = {"measure": str(self.measure), "asked": len(asked.outcomes)}
        if asked.errors:
            details["unasked"] = {shorten(reason): times for reason, times in asked.errors.most_common(5)}
        if asked.rotten:
            details["rot"] = rot(asked) | {"message": f"{_rot_clause(asked).removeprefix('; ')}: mend or retire them"}
        if asked.partly:
            details["partly_gone"] = {"query_ids": list(asked.partly[:ROT_SHOWN]), "count": len(asked.partly)}
        if asked.noise is not None:
            details["noise_floor"] = asked.noise
        return details


def _mean(asked: Asked) -> float | None:
    values = [outcome.value for outcome in asked.outcomes.values()]
    return sum(values) / len(values) if values else None


def _asides(asked: Asked) -> str:
    """What is no change of retrieval and is said beside it."""
    return _rot_clause(asked) + _partly_clause(asked)


def _rot_clause(asked: Asked) -> str:
    if not asked.rotten:
        return ""
    number = len(asked.rotten)
    verb = "asks" if number == 1 else "ask"
    return f"; {things(number, 'canary')} {verb} for documents that the index no longer holds"


def _partly_clause(asked: Asked) -> str:
    if not asked.partly:
        return ""
    number = len(asked.partly)
    lost = "lost a document and is" if number == 1 else "lost some of their documents and are"
    return f"; {things(number, 'canary')} {lost} judged by what remains"
