"""What the questions with known answers found in a week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftwatch.reported.numbers import DayValue, Estimate, Rate


@dataclass(frozen=True, slots=True)
class CanarySource:
    """How often a suite was asked, and what it could answer."""

    source: str
    canaries: int
    """In the last run of the week."""
    runs: int
    asked: Rate
    """k of the n askings that could be judged: the others met an error, or their documents are gone."""
    unasked: Mapping[str, int] = field(default_factory=dict)
    """Reason (shortened) -> askings; the five most frequent."""


@dataclass(frozen=True, slots=True)
class CanaryMeasure:
    """One small multiple: one measure of one suite in one language. ``n`` counts canaries everywhere."""

    source: str
    measure: str
    """``R@10``, ``RR@10``, ``nDCG@10`` ... (for axes: see ``words``)."""
    words: str
    """The same in words, such as `recall@10`."""
    lang: str
    """BCP 47, or ``all``."""
    now: Estimate
    """Mean over the canaries of their means of the week."""
    baseline: Estimate | None
    """The same of the baseline, over the canaries that it had; None: there is no baseline."""
    band: tuple[float, float] | None
    """Where a day lies with 95 % if nothing changes (of the days of the baseline); None: fewer than two days."""
    change: Estimate | None
    """now - baseline, paired, over the canaries that both have."""
    days: tuple[DayValue, ...]
    """Of the four weeks that end with this one, oldest first: the last run of each day."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A canary that ended the week elsewhere than it usually is."""

    source: str
    query_id: str
    lang: str
    text: str
    """Redacted; empty where texts are not shown."""
    measure: str
    old_rank: int | None
    """Usual rank of the first relevant document, from 1; None: usually not found."""
    new_rank: int | None
    old: float
    """The usual value of the measure ..."""
    new: float
    """... and that of the last run of the week."""
    runs: Rate
    """Of the week's runs: those below (or, for a gain, above) the usual value."""


@dataclass(frozen=True, slots=True)
class Rotten:
    """A canary whose relevant documents have left the index: it is mended or retired, it says nothing of quality."""

    source: str
    query_id: str
    lang: str
    text: str
    documents: tuple[str, ...]
    """doc_ids that are gone; at most ten."""
    partly: bool
    """Whether some are left, by which it is judged."""


@dataclass(frozen=True, slots=True)
class Flicker:
    """A canary that finds its document in one run and not in the next."""

    source: str
    query_id: str
    lang: str
    text: str
    measure: str
    changes: int
    """How often two runs after one another differed."""
    below: Rate
    """Runs of the week below the canary's best."""
