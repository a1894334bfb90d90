"""Every noun of driftwatch, frozen.

Terms of the field only: TREC for retrieval, statistics for evidence, Prometheus for alerts, BCP 47 for languages
(``und`` when unknown). Times are aware UTC datetimes, scores are *higher is better* wherever they are numbers in an
array, and ``now`` is always an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Verdict = Literal["ok", "warn", "fail", "unknown"]
AlertState = Literal["ok", "pending", "firing", "blind"]
Event = Literal["firing", "resolved", "blind", "sighted", "reminded", "acknowledged"]
ScoreKind = Literal["similarity", "distance"]

POOLED = "all"
"""The name of the segment that holds every query that no failing segment explains."""

UNDETERMINED = "und"
"""BCP 47 for a language that nobody knows."""

PERTURBED = 2
"""The attempt that asks a canary with a slip of the pen: how many of its documents come back all the same?"""


# --- what happened -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScoredDoc:
    """One retrieved document; its rank is its place in the list that holds it."""

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


TALLY_FIELDS = (
    "queries",
    "results_known",
    "empty",
    "abstention_known",
    "abstained",
    "feedback_known",
    "up",
    "down",
    "click",
    "accepted",
    "detected",
    "errors",
    "units",
    "units_results_known",
    "units_empty",
    "units_abstention_known",
    "units_abstained",
    "units_feedback_known",
    "units_up",
    "units_down",
    "units_click",
    "units_accepted",
)
"""The columns of ``Tallies.counts``. ``*_known`` are the denominators: lines that say anything about it at all.

``detected`` counts lines whose language driftwatch guessed; ``errors`` counts lines that report a failed retrieval.
``units*`` count independent units instead of lines: of each unit (a session, or a distinct query) the first line of the
day, and for each denominator the first line of the day that says anything about it.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Tallies:
    """Exact counts of everything, one row an hour and language."""

    hour: NDArray[np.datetime64]
    """shape (n,), datetime64[h], UTC, ascending."""
    lang: NDArray[np.str_]
    """shape (n,)."""
    counts: NDArray[np.int64]
    """shape (n, len(TALLY_FIELDS))."""

    def total(self, column: str) -> int:
        """Sum of one column."""
        return int(self.counts[:, TALLY_FIELDS.index(column)].sum())

    def by_hour(self, column: str) -> dict[np.datetime64, int]:
        """Hour -> sum over languages."""
        hours, where = np.unique(self.hour, return_inverse=True)
        sums = np.bincount(where, weights=self.counts[:, TALLY_FIELDS.index(column)], minlength=len(hours))
        return {hour: int(count) for hour, count in zip(hours, sums, strict=True)}

    def by_lang(self, column: str) -> dict[str, int]:
        """Language -> sum over hours."""
        langs, where = np.unique(self.lang, return_inverse=True)
        sums = np.bincount(where, weights=self.counts[:, TALLY_FIELDS.index(column)], minlength=len(langs))
        return {str(lang): int(count) for lang, count in zip(langs, sums, strict=True)}

    def keep(self, mask: NDArray[np.bool_]) -> Tallies:
        """The rows where ``mask`` (shape (n,)) holds."""
        return Tallies(self.hour[mask], self.lang[mask], self.counts[mask])

    @staticmethod
    def none() -> Tallies:
        """No rows."""
        return Tallies(
            np.empty(0, "datetime64[h]"), np.empty(0, "<U1"), np.empty((0, len(TALLY_FIELDS)), dtype=np.int64)
        )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Contents:
    """What was asked, and its embedding: of every row of a whole sample, and read only when it is asked for."""

    whole: Sample
    """The sample whose rows these are, before it was split."""
    chosen: NDArray[np.bool_]
    """shape (n,): the rows that are to have an embedding; the others are more than is embedded of a day."""
    embedded: NDArray[np.bool_]
    """shape (n,): the rows that have one."""
    vectors: Callable[[NDArray[np.intp]], NDArray[np.float16]]
    """Rows of ``whole`` that are embedded -> shape (len(rows), dimension), L2-normalised."""
    texts: Callable[[NDArray[np.intp]], Sequence[str]] | None
    """Rows of ``whole`` -> their texts; None where texts are not kept, or not shown to anybody."""
    trouble: str = ""
    """Why nothing more is embedded, with the remedy; empty when it is, or will be at the next look."""

    @property
    def complete(self) -> bool:
        """Whether everything is embedded that is to be."""
        return bool(self.embedded[self.chosen].all())


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The sampled queries of a window, a column each; rows are ordered by time."""

    query_id: NDArray[np.str_]
    """shape (n,)."""
    at: NDArray[np.datetime64]
    """shape (n,), datetime64[us], UTC."""
    lang: NDArray[np.str_]
    """shape (n,)."""
    unit: NDArray[np.int64]
    """shape (n,): rows of one session carry the same number; a row without a session is a unit of its own."""
    weight: NDArray[np.float64]
    """shape (n,): 1 / probability of having been kept."""
    scores: NDArray[np.float32]
    """shape (n, k): best first, NaN-padded, higher is better. A row of NaN has no scores."""
    contents: Contents | None = None
    """Only where the check ``embeds``."""
    row: NDArray[np.intp] | None = None
    """shape (n,): the rows of ``contents`` that these are; None: all of them."""

    def __len__(self) -> int:
        return len(self.query_id)

    def keep(self, mask: NDArray[np.bool_]) -> Sample:
        """The rows where ``mask`` (shape (n,)) holds."""
        columns = (self.query_id, self.at, self.lang, self.unit, self.weight, self.scores)
        rows = None if self.contents is None else self.rows[mask]
        return Sample(*(column[mask] for column in columns), self.contents, rows)

    @property
    def rows(self) -> NDArray[np.intp]:
        """shape (n,): where the rows are in ``contents``."""
        return np.arange(len(self)) if self.row is None else self.row

    @staticmethod
    def none() -> Sample:
        """No rows."""
        return Sample(
            np.empty(0, "<U1"),
            np.empty(0, "datetime64[us]"),
            np.empty(0, "<U1"),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty((0, 0), np.float32),
        )


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
class Baseline:
    """What normal is: a stretch of recorded time, learnt once or set by hand."""

    start: datetime
    end: datetime
    reason: str
    author: str
    set_at: datetime
    source: str = "*"
    """The source it was learnt from; ``*`` when a person set it for all of them."""


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
