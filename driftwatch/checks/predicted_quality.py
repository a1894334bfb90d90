"""How good are the answers to live queries, which nobody has judged?"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator

from driftwatch.checks import Check
from driftwatch.checks._predicted import Lesson, Live, asked, depth_of, lesson, live
from driftwatch.checks._quality_change import Change, compare
from driftwatch.checks._usual_quality import Usual, usual_quality
from driftwatch.checks._words import count, detected, percent, things
from driftwatch.stats.ir import Measure
from driftwatch.stats.qpp import PREDICTORS
from driftwatch.types import Aspect, Finding, Window

MeasureSetting = Annotated[Measure, BeforeValidator(Measure.parse), PlainSerializer(str, return_type=str)]

CERTAIN = 1.645
"""Noise that tau must exceed, in standard deviations: one-sided, 5 %."""
FOREIGN = 0.5
"""When so many live queries have a best score beyond that of every canary, the scores are not of one scale."""
UNLIKE = 0.2
"""From this KS D between what is predicted of canaries and of live queries, the finding says that they differ."""


class PredictedQuality(Check):
    """The quality of live queries as their scores predict it, after what the canaries teach: evidence, never a page.

    Effect: mean change of the predicted measure against the same hours of the baseline, corrected by how far the
    prediction is off on the canaries; negative is worse.
    """

    kind: Literal["predicted_quality"] = "predicted_quality"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "sample"
    aspect: ClassVar[Aspect] = "scores"
    family: ClassVar[str] = "scores"
    compares: ClassVar[Literal["matching hours", "all hours"]] = "all hours"

    canaries: str = "canaries"
    """The source of canaries that teaches what scores are worth."""
    measure: MeasureSetting = Measure("nDCG", 10)
    """What is predicted: `nDCG@k`, `RR@k`, `R@k`, `P@k`, `Success@k` or `AP`."""
    top: int = Field(default=10, ge=2, le=1000)
    """How many scores of each answer are read at most."""
    min_effect: float = Field(default=0.05, gt=0, le=1)
    """A drop smaller than this never warns, however certain it is."""
    min_n: int = Field(default=50, ge=2)
    """With fewer sessions than this in the window, or in the baseline, nothing is said."""
    min_canaries: int = Field(default=20, ge=5)
    """With fewer canaries than this in the languages of the queries, nothing is said."""
    min_tau: float = Field(default=0.15, gt=0, lt=1)
    """Scores that predict the canaries' quality worse than this (Kendall's tau, cross-validated) are not believed."""
    severity: Literal["warn"] = "warn"
    """Always `warn`: a prediction wakes nobody."""

    @field_validator("severity", mode="before")
    @classmethod
    def never_page(cls, severity: object) -> object:
        """Why not, in the words of a person who tried."""
        if severity == "page":
            raise ValueError(
                "predicted quality is evidence and never a page: it is learnt from canaries, and live queries may be "
                "unlike them. Write 'warn' or leave it out, and let a check of canaries, rates or scores page."
            )
        return severity

    @property
    def learns_from(self) -> str:
        """The canaries."""
        return self.canaries

    def past_floor(self, finding: Finding) -> bool:
        """A drop of at least `min_effect`."""
        return finding.effect is not None and finding.effect <= -self.min_effect

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Predict the sampled queries of the window and of the baseline, and compare."""
        del previous
        depth = depth_of((reference or current).sample, self.top)
        found = live(current.sample, depth)
        details, remark = detected(current.tallies)
        facts: dict[str, Any] = {"n": len(found.weight), "details": details}
        if why := self._too_little(current, found):
            return self.unknown(current, why, **facts)
        if reference is None:
            return self.learning(current, **facts)
        if reference.canaries is None:
            why = f"what the canaries of '{self.canaries}' usually answer is not known yet"
            return self.unknown(current, why, learning=True, **facts)
        taught = lesson(reference.canaries, self.measure, depth)
        if taught is None:
            why = f"no canary of '{self.canaries}' has both scores and relevant documents, so nothing can be learnt"
            return self.unknown(current, why, **facts)
        usual = usual_quality(reference, taught, depth)
        if usual is None:
            why = f"the baseline of '{self.source}' has no scores, so there is nothing to compare with"
            return self.unknown(current, why, **facts)
        facts["details"] |= self._learnt(taught, usual, found)
        if why := self._not_believed(taught, usual, found):
            # A fact about this service and its canaries, not news: it is said at every look and is never an alert.
            return self.unknown(current, why, learning=True, **facts)
        return self._compare(current, found, taught, usual, depth, facts, remark)

    def _compare(
        self,
        current: Window,
        found: Live,
        taught: Lesson,
        usual: Usual,
        depth: int,
        facts: dict[str, Any],
        remark: str,
    ) -> Finding:
        now = asked(current.canaries, self.measure, depth) if current.canaries else None
        change = compare(found, taught, usual, now, _days(current)) if now else None
        if change is None:
            why = f"too few canaries of '{self.canaries}' were asked in this window to put the prediction right"
            return self.unknown(current, why, **facts)
        return self._say(current, change, facts, remark)

    def _too_little(self, current: Window, found: Live) -> str:
        if not len(current.sample):
            return "no queries in this window"
        if not len(found.weight):
            return f"the log of '{self.source}' has no scores for any of {count(len(current.sample))} sampled queries"
        if len(found.weight) < self.min_n:
            return f"only {things(len(found.weight), 'scored session')}; {self.min_n} are needed"
        return ""

    def _not_believed(self, taught: Lesson, usual: Usual, found: Live) -> str:
        """Why nothing is predicted; empty when it is."""
        tau, noise, canaries = taught.tau(found.lang)
        if usual.sessions < self.min_n:
            return f"only {things(usual.sessions, 'scored session')} in the baseline; {self.min_n} are needed"
        if canaries < self.min_canaries:
            return (
                f"only {things(canaries, 'canary')} in the languages of these queries; {self.min_canaries} are needed"
            )
        if usual.foreign > FOREIGN:
            return f"{percent(usual.foreign)} of live queries score beyond every canary: the log has another scale"
        if tau < max(self.min_tau, CERTAIN * noise):
            return f"the scores do not predict {self.measure} here, tau = {tau:.2f} over {things(canaries, 'canary')}"
        return ""

    def _learnt(self, taught: Lesson, usual: Usual, found: Live) -> dict[str, Any]:
        tau, _, canaries = taught.tau(found.lang)
        details: dict[str, Any] = {
            "measure": str(self.measure),
            "tau": round(tau, 4),
            "pearson": round(taught.pearson(found.lang), 4),
            "canaries": canaries,
            "predictors": dict(zip(PREDICTORS, taught.calibration.weights.round(4).tolist(), strict=True)),
            "agreement_tau": round(taught.agreement_tau(found.lang), 4),
            "unlike_canaries": round(usual.unlike, 4),
            "beyond_canaries": round(usual.foreign, 4),
        }
        if usual.unlike > UNLIKE:
            details["note"] = (
                "live queries differ from the canaries in what is predicted: trust the change, not the level"
            )
        return details

    def _say(self, current: Window, change: Change, facts: dict[str, Any], remark: str) -> Finding:
        effect, level = change.effect, change.level
        low, high = effect.interval()
        reference, p_value = level.value - effect.value, effect.p_below()
        blind = effect.smallest_drop(current.alpha)
        facts |= {"value": level.value, "reference": reference, "effect": effect.value, "interval": (low, high)}
        facts |= {"statistic": effect.value / effect.error, "p_value": p_value}
        shown = {"level_interval": [round(end, 4) for end in level.share_interval()], "blind_below": round(blind, 4)}
        facts["details"] |= {**change.details, **shown, "lower_than_days": list(change.days)}
        queries = things(facts["n"], "live session")
        if effect.value <= -self.min_effect and p_value < current.alpha:
            said = (
                f"predicted {self.measure} fell from {reference:.2f} to {level.value:.2f} over {queries} "
                f"({effect.value:+.2f}, {low:+.2f} to {high:+.2f}){_rank(change)}"
            )
            return self.finding(current, "fail", said + remark, examples=change.worst, **facts)
        if blind > max(reference, self.min_effect):
            return self.unknown(current, f"blind below a drop of {blind:.2f} in the mean of {queries}", **facts)
        said = f"predicted {self.measure} is {level.value:.2f} over {queries}, {reference:.2f} in the baseline"
        return self.finding(current, "ok", said + remark, **facts)


def _days(window: Window) -> float:
    return (window.end - window.start).total_seconds() / 86_400


def _rank(change: Change) -> str:
    """Without any assumption: whether no day of the baseline was like this."""
    lower, days = change.days
    return f", lower than on any of {days} baseline days" if lower == days > 1 else ""
