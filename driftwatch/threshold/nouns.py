"""What is asked of a recalibration, what it is made on, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from driftwatch.stats.abstaining import Abstention
from driftwatch.stats.cutoff import Aim, Confusion, Cutoff
from driftwatch.stats.matching import Matched, Share
from driftwatch.stats.resampling import RESAMPLES
from driftwatch.stats.rescaling import Rescaling
from driftwatch.threshold.material import Decides, Label
from driftwatch.threshold.reasons import Change, Reason
from driftwatch.types import Finding, IndexFacts, Observation, ScoreKind

Method = Literal["labels", "same documents", "same share"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for; scores as the service calls them."""

    aim: Aim = field(default_factory=Aim)
    decides: Decides = "documents"
    current: float | None = None
    """The cut-off that is in use."""
    keep: float | None = None
    """The share to keep, in (0, 1], where no old cut-off says it."""
    score_kind: ScoreKind | None = None
    """What scores are, whatever the observations say; None: what they say, else similarities."""
    resamples: int = RESAMPLES
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to recalibrate on."""

    canaries: Sequence[Observation] = ()
    """The newest answers to canaries."""
    canaries_before: Sequence[Observation] = ()
    """Answers to canaries before the change."""
    labels: Sequence[Label] = ()
    """Scores as the service calls them."""
    before: Sequence[Observation] = ()
    """Live queries before the change ..."""
    after: Sequence[Observation] = ()
    """... and after it."""
    changes: Sequence[Change] = ()
    facts: tuple[IndexFacts, IndexFacts] | None = None
    """What the index said before, and says now."""
    findings: Sequence[Finding] = ()
    """The newest finding of each check."""

    def of_kind(self, kind: ScoreKind | None) -> Material:
        """With all scores taken for what a person says they are: a log that does not say counts as similarities."""
        if kind is None:
            return self
        observed = {
            name: tuple(replace(seen, score_kind=kind) for seen in getattr(self, name))
            for name in ("canaries", "canaries_before", "before", "after")
        }
        return replace(self, **observed)


@dataclass(frozen=True, slots=True)
class InLanguage:
    """What the common cut-off does in one language, and what that language would want alone."""

    queries: int
    """Judged ones."""
    at_common: Confusion | None = None
    alone: Cutoff | None = None
    matched: Matched | None = None
    sessions: int = 0
    empty: Share | None = None
    empty_before: Share | None = None
    abstained: Abstention | None = None
    why: str = ""
    """Why there is no cut-off for it alone; empty when there is one."""


@dataclass(frozen=True, slots=True)
class Recalibrated:
    """What the cut-off should be, and why."""

    wanted: Wanted
    score_kind: ScoreKind
    method: Method | None
    """What ``value`` comes from; None: there is none to propose."""
    value: float | None
    interval: tuple[float | None, float | None]
    labelled: Cutoff | None
    """From labels."""
    mapped: Matched | None
    """From the same documents for the same canaries before and after."""
    matched: Matched | None
    """From the share of the traffic kept before and after."""
    scale: Rescaling | None
    old: Confusion | None
    """The current cut-off on what is judged."""
    empty: Share | None
    """Predicted share of queries without anything kept."""
    empty_before: Share | None
    """The same before the change, at the current cut-off."""
    abstained: Abstention | None
    by: Mapping[str, InLanguage]
    judged: Mapping[str, int]
    """Origin of the labels -> queries."""
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]

    @property
    def sign(self) -> int:
        """-1 where scores are distances."""
        return -1 if self.score_kind == "distance" else 1

    @property
    def still_good(self) -> bool | None:
        """Whether the current cut-off lies within the interval of the new one; None when either is missing."""
        if self.wanted.current is None or self.value is None:
            return None
        low, high = self.interval
        current = self.sign * self.wanted.current
        return (low is None or low <= current) and (high is None or current <= high)
