"""What people asked in a week, and what came back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from driftwatch.reported.numbers import DayRate, Estimate, Rate


@dataclass(frozen=True, slots=True)
class Shape:
    """One distribution of scores. Intervals take the days of the stretch to differ by themselves."""

    mean: Estimate
    median: Estimate
    p95: Estimate


@dataclass(frozen=True, slots=True)
class Ecdf:
    """Two empirical distribution functions on one grid: columns of equal length, at most 201."""

    at: tuple[float, ...] = ()
    """Scores, ascending; the place of the gap is one of them."""
    now: tuple[float, ...] = ()
    """Share of sessions with a score of at most ``at`` ..."""
    baseline: tuple[float, ...] = ()
    """... and of the baseline's; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Scores:
    """The retrieval scores of one source in one segment, of the week and of the baseline, one row a session."""

    source: str
    score: Literal["top1", "topk_mean"]
    segment: str
    """A language, or ``all``."""
    now: Shape
    baseline: Shape | None
    ecdf: Ecdf
    ks: float | None = None
    """D of the two-sample Kolmogorov-Smirnov test, in [0, 1]; None without a baseline, as are those that follow."""
    p_value: float | None = None
    """Of that test, two-sided, asymptotic: as if days did not differ by themselves, which they do."""
    gap_at: float | None = None
    """The score at which the two functions are farthest apart."""
    gap: tuple[float, float] | None = None
    """How high the two functions stand there, the week's and the baseline's: ``ks`` apart."""
    direction: Literal["lower", "higher", "same"] = "same"
    """Whether scores fell or rose there."""
    wasserstein: float | None = None
    """Mean distance that a score moved, in units of the score."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often queries of one language ended badly, counted exactly; the unit is a session (or a distinct query)."""

    source: str
    of: Literal["empty", "abstained", "negative_feedback", "no_click"]
    words: str
    """In words, such as `empty results`."""
    lang: str
    """A language, or ``all``."""
    now: Rate
    baseline: Rate | None
    change: Estimate | None
    """now - baseline, with its interval; None without baseline."""
    days: tuple[DayRate, ...]
    """The days of the week, oldest first."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of one language in the traffic of one source."""

    lang: str
    now: Rate
    baseline: Rate | None


@dataclass(frozen=True, slots=True)
class Mix:
    """Which languages were spoken."""

    source: str
    queries: int
    """Lines counted in the week ..."""
    baseline_queries: int | None
    """... and in the baseline."""
    baseline_days: float | None
    detected: Rate
    """Lines whose language driftwatch guessed."""
    shares: tuple[Share, ...]
    """In sessions, the most spoken first; at most 40, the rest together as ``other``."""
    total_variation: float | None
    """Half the sum of the absolute differences of the shares, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query to look at."""

    query_id: str
    text: str = ""
    """Redacted; empty where texts are not shown or no longer kept."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Queries that there are more of than there used to be, and that are alike."""

    check: str
    segment: str
    words: tuple[str, ...]
    """What it is about; empty where texts are not shown, or nothing is distinctive."""
    share: Rate
    """Of the sessions of the look that saw the most of it."""
    before: float
    """Its share in the baseline."""
    first: datetime
    """The first look of the week that named it ..."""
    last: datetime
    """... and the last."""
    looks: int
    """How many did."""
    examples: tuple[Example, ...]
