"""Every noun of driftwatch, frozen.

Terms of the field only: TREC for retrieval, statistics for evidence, Prometheus for alerts, BCP 47 for languages
(``und`` when unknown). Times are aware UTC datetimes, scores are *higher is better* wherever they are numbers in an
array, and ``now`` is always an argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from driftwatch.columns import TALLY_FIELDS as TALLY_FIELDS
from driftwatch.columns import Contents as Contents
from driftwatch.columns import Sample as Sample
from driftwatch.columns import Tallies as Tallies
from driftwatch.columns import once_each as once_each
from driftwatch.compared import Comparison as Comparison
from driftwatch.probed import Capability as Capability
from driftwatch.probed import Cell as Cell
from driftwatch.probed import Contrast as Contrast
from driftwatch.probed import Diagnosis as Diagnosis
from driftwatch.probed import Document as Document
from driftwatch.probed import Experiment as Experiment
from driftwatch.probed import Flip as Flip
from driftwatch.probed import IndexFacts as IndexFacts
from driftwatch.probed import Look as Look
from driftwatch.probed import Probe as Probe
from driftwatch.probed import Stored as Stored

Verdict = Literal["ok", "warn", "fail", "unknown"]
AlertState = Literal["ok", "pending", "firing", "blind"]
Event = Literal["firing", "resolved", "blind", "sighted", "reminded", "acknowledged", "explained"]
ScoreKind = Literal["similarity", "distance"]
Aspect = Literal["", "questions", "scores"]
"""What a check compares that a new model changes by itself: which questions it was made for, and its scores."""
ASPECTS: tuple[Aspect, ...] = ("questions", "scores")

POOLED = "all"
"""The name of the segment that holds every query that no failing segment explains."""

UNDETERMINED = "und"
"""BCP 47 for a language that nobody knows."""

PERTURBED = 2
"""The attempt that asks a canary with a slip of the pen: how many of its documents come back all the same?"""


# --- what happened -------------------------------------------------------------------------------------------------


class ScoredDoc(NamedTuple):
    """One retrieved document; its rank is its place in the list that holds it.

    A tuple, since searches and logs make hundreds of thousands: a frozen dataclass takes four times as long to make.
    """

    doc_id: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A question to ask the retriever: a canary, or a sampled query asked again."""

    query_id: str
    text: str
    lang: str = UNDETERMINED
    relevant: Mapping[str, int] = field(default_factory=dict)
    """doc_id -> relevance (qrels); a relevance of 0 or less is judged and not relevant."""
    expect_empty: bool = False
    tags: tuple[str, ...] = ()
    digest: str = ""
    """Hash of what is asked and expected: a canary whose digest changes starts a baseline of its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the retriever answered to one query. ``hits is None`` means that it could not be asked: see ``error``."""

    hits: tuple[ScoredDoc, ...] | None
    error: str | None = None
    abstained: bool | None = None
    latency_ms: float | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """One query as the retriever answered it. Observations are only appended."""

    at: datetime
    source: str
    query_id: str
    text: str = ""
    """Empty when the privacy setting keeps no text."""
    lang: str = UNDETERMINED
    lang_detected: bool = False
    session: str | None = None
    hits: tuple[ScoredDoc, ...] | None = ()
    """Best first. None: not asked, or the log does not say. ``()``: asked, and nothing came back."""
    score_kind: ScoreKind = "similarity"
    relevant: Mapping[str, int] = field(default_factory=dict)
    expect_empty: bool = False
    abstained: bool | None = None
    """None: the service does not say."""
    feedback: str | None = None
    feedback_doc: str = ""
    """The document that the feedback is about; empty when the service does not say."""
    weight: float = 1.0
    """1 / probability of having been kept."""
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    """Why the query could not be asked; such a query counts as *not asked*, never as recall 0."""
    digest: str = ""
    """The canary's own digest (see ``Query.digest``); empty for live queries."""
    attempt: int = 0
    """0; 1 for the second asking of a run that measures its own noise floor; ``PERTURBED`` when asked with a slip."""


@dataclass(frozen=True, slots=True)
class Run:
    """One asking of a whole canary suite."""

    run_id: str
    source: str
    at: datetime
    suite: str
    """Content hash of the suite."""
    observations: tuple[Observation, ...]
    gone: frozenset[str] = frozenset()
    """Relevant doc_ids that the retriever says it no longer holds (canary rot); empty when it cannot say."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Window:
    """What a check judges: a stretch of time in one segment. Only what the check ``needs`` is filled."""

    start: datetime
    end: datetime
    segment: str = POOLED
    alpha: float = 0.001
    """The error budget of this look in this segment: the p-value below which a change counts."""
    runs: tuple[Run, ...] = ()
    """Canary runs, oldest first, holding the observations of this segment only."""
    sample: Sample = field(default_factory=Sample.none)
    tallies: Tallies = field(default_factory=Tallies.none)
    canaries: Window | None = None
    """The last canary run of each day of the same time, in every segment, for a check that learns from canaries what
    it says of the sample. None: none was asked, or what they usually answer is not known yet."""
    changed: bool | None = None
    """What the evidence ledger has decided about this segment; None: the p-value decides."""
    since: datetime | None = None
    """Only what came from this hour on is to be counted for the ledger: the rows before it were. None: everything."""
    probes: tuple[Probe, ...] = ()
    """Runs of the index probes, oldest first."""
    comparisons: tuple[Comparison, ...] = ()
    """Comparisons of two retrievers, oldest first."""


# --- what it means -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says about one segment at one moment."""

    check: str
    segment: str
    at: datetime
    """The end of the window that was judged."""
    verdict: Verdict
    message: str
    """One sentence that a person on call understands."""
    kind: str = ""
    family: str = ""
    """canaries | scores | rates | mix | volume: alerts of one family and segment are one incident."""
    n: int = 0
    """Independent units behind the finding."""
    value: float | None = None
    reference: float | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    """Of the effect, 95 %."""
    statistic: float | None = None
    p_value: float | None = None
    e_value: float | None = None
    examples: tuple[str, ...] = ()
    """query_ids to look at first."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """JSON: what `explain` shows beyond the numbers above (flips, where the KS gap is, share of detected languages)."""
    state: Mapping[str, float] = field(default_factory=dict)
    """Handed back to the check at the next tick."""
    learning: bool = False
    """Unknown only because the baseline is not full yet: says so, and is never an alert."""
    evidence: float | None = None
    """Days: traffic without drift says as much once in so many days. None: not kept in a ledger."""
    share: float | None = None
    """Its weight in the false-page budget, in [0, 1]."""
    onset: datetime | None = None
    """Since when it has most likely been so."""
    pages: bool = False
    """The budget decided that somebody is told now, without waiting for further looks."""


# --- what is decided -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alert:
    """The state of one check in one segment, as Prometheus would name it, plus ``blind``."""

    check: str
    segment: str
    state: AlertState = "ok"
    since: datetime | None = None
    """When this state was entered."""
    bad: int = 0
    good: int = 0
    unknown: int = 0
    """Looks in a row."""
    fired_at: datetime | None = None
    """When it went from pending to firing; kept while blind, so that a resolution is never forgotten."""
    reminded_at: datetime | None = None
    acknowledged_by: str = ""
    incident: str = ""
    """The incident it belongs to while it is firing or blind."""
    last_incident: str = ""
    """The incident that it was resolved in last; reopened when it soon fires again."""
    resolved_at: datetime | None = None
    """When that was."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of an alert: the row that everything driftwatch *does* is read from."""

    key: str
    """Idempotency key: the same change carries the same key however often it is delivered."""
    check: str
    segment: str
    event: Event
    before: AlertState
    after: AlertState
    at: datetime
    incident: str
    family: str = ""
    actor: str = ""
    """Who acknowledged; empty for what driftwatch saw itself."""
    verdict: Verdict | Literal[""] = ""
    """What was found at the look that made it: what fires with `warn` pages nobody. Empty where no look did."""


@dataclass(frozen=True, slots=True)
class Silence:
    """No notification for matching alerts until ``until``; transitions are still recorded."""

    silence_id: str
    check: str
    """A check's name, or ``*``."""
    segment: str
    """A segment, or ``*``."""
    until: datetime
    author: str
    reason: str
    created: datetime


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """A stretch of time in which things are expected to be different, as somebody said while driftwatch ran."""

    change_id: str
    start: datetime
    end: datetime
    """When it is over: earlier than was said at first, where somebody has ended it."""
    reason: str
    author: str
    created: datetime
    ended_by: str = ""
    """Who ended it before its time; empty: nobody."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What normal is: a stretch of recorded time, learnt once or set by hand."""

    start: datetime
    end: datetime
    reason: str
    author: str
    set_at: datetime
    source: str = "*"
    """The source it was learnt from; ``*`` when a person set it for all of them."""
    of: Aspect = ""
    """Only for the checks that compare this: set when a new model goes into use, which changes it. Empty: for all."""


# --- what is done --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of an incident with its newest finding."""

    alert: Alert
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts of one check family and segment, as a receiver is shown them."""

    incident_id: str
    family: str
    segment: str
    opened_at: datetime
    resolved_at: datetime | None
    members: tuple[Member, ...]
    history: tuple[Transition, ...]
    """Every transition so far, oldest first."""
    diagnosis: Diagnosis | None = None
    """What most likely broke; None: nothing has been thought of it."""
    suspected: tuple[str, ...] = ()
    """Every cause that was ever thought of it, the first first."""

    @property
    def openings(self) -> tuple[datetime, ...]:
        """When it opened, and when it opened again after all of its alerts had been over; never empty."""
        found: list[datetime] = []
        going_on: set[tuple[str, str]] = set()
        closed: datetime | None = None
        for each in self.history:
            if each.after not in ("firing", "blind"):
                going_on.discard((each.check, each.segment))
                closed = closed if going_on else each.at
                continue
            if not going_on and each.at != closed:  # one look may end an alert and begin another
                found.append(each.at)
            going_on.add((each.check, each.segment))
        return tuple(found) or (self.opened_at,)

    @property
    def state(self) -> Literal["firing", "blind", "resolved"]:
        """The worst state among the members."""
        if self.resolved_at is not None:
            return "resolved"
        return "firing" if any(member.alert.state == "firing" for member in self.members) else "blind"


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition on its way to one receiver."""

    key: str
    """The transition's key; a repeated delivery carries the same one."""
    service: str
    event: Event
    at: datetime
    incident: Incident
    transition: Transition
    example_texts: Mapping[str, str] = field(default_factory=dict)
    """query_id -> text, already redacted by the privacy setting; hostile all the same."""
    url: str = ""
    """Where a person reads more; empty when nobody said where the pages are reached."""
    finding: Finding | None = None
    """What was found when it happened (``incident`` holds what is found now); None when that is no longer kept."""
    hushed: frozenset[tuple[str, str]] = frozenset()
    """(check, segment) of the alerts that a silence has covered since they opened: nobody is told of them."""


# --- what is plugged in --------------------------------------------------------------------------------------------


class Embedder(Protocol):
    """Text to vectors. Rows are float32 and L2-normalised, in the order of the texts."""

    @property
    def fingerprint(self) -> str:
        """Names the model, revision, library versions, dtype, prompts and dimension: equal means equal vectors."""

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, dimension)."""

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, dimension)."""
