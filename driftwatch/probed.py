"""What was found out about an index: the nouns of probes, experiments and diagnoses, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Capability = Literal["by vector", "exact", "vectors", "texts", "ids", "facts"]
"""What a retriever can do beside answering queries: search by a vector as the index was built, and by comparing with
every stored vector; give stored vectors, and texts; list what it holds; say what it is."""

MOST_IDS = 200
"""Documents that one look names."""

OFF = "off"
"""The `kind` of a look that is not taken because nothing is configured for it."""


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """What an index says of itself; what it cannot say is None or empty."""

    count: int | None = None
    """Entries (points, rows, chunks)."""
    dimension: int | None = None
    metric: str = ""
    """cosine | dot | euclidean | manhattan."""
    fingerprint: str = ""
    """Changes when what is stored may have changed."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """How it was built and is searched: `kind`, `M`, `efSearch`, `nprobe`, `quantization` ... as words."""
    model: str = ""
    """The embedding model that the index says it was built with."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """One entry of an index."""

    entry_id: str
    """What the index calls it: a point id, a row's key. Made anew by re-indexing."""
    doc_id: str
    """The stable key of its document, as hits and canaries name it."""
    vector: NDArray[np.float32] | None = None
    """shape (dimension,), as it is stored: not normalised. None: not asked for, or there is none."""
    text: str | None = None
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One document as its source has it now."""

    doc_id: str
    text: str
    lang: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What one probe saw of one thing."""

    n: int = 0
    """How many were looked at ..."""
    bad: int = 0
    """... and how many of them are not as they should be."""
    ids: tuple[str, ...] = ()
    """doc_ids of the bad ones, at most ``MOST_IDS``; of queries where queries were looked at."""
    by: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Language -> (n, bad)."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Numbers worth keeping, such as quantiles of a similarity."""
    words: Mapping[str, str] = field(default_factory=dict)
    """What was before and is now, where that is no number."""
    why: str = ""
    """What is wrong, one sentence; empty when nothing is."""
    unable: str = ""
    """Why it could not be looked at; empty when it was."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One run of the probes on the live index and the embedder."""

    probe_id: str
    source: str
    at: datetime
    looks: Mapping[str, Look]
    """`stored vectors` | `finds itself` | `recall of the index` | `facts` | `missing documents` | `orphans` |
    `texts` | `probe strings` | `service` -> what was seen."""
    facts: IndexFacts | None = None
    embedder: str = ""
    """Fingerprint of the embedder that the stored vectors were compared with."""
    took: float = 0.0
    """Seconds."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """JSON: handed to the next run (where it goes on in the list of documents, what it suspects)."""


@dataclass(frozen=True, slots=True)
class Flip:
    """One canary whose best relevant document moved between two ways of searching."""

    query_id: str
    lang: str
    expected: str
    """The relevant document that was, or is, found highest."""
    old_rank: int | None
    """1 is the best; None: not among those asked for."""
    new_rank: int | None
    displaced_by: tuple[str, ...] = ()
    """What stands above it now and did not before, best first."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The canaries through one way of searching."""

    name: str
    """`service`, `stored x approximate`, `stored x exact`, `fresh x approximate`, `fresh x exact`."""
    n: int
    value: float | None
    """Mean of the measure."""
    by: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """Language -> (n, mean)."""
    unable: str = ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two ways of searching, paired by canary."""

    old: str
    new: str
    """Names of cells; the difference is new minus old."""
    n: int
    difference: float
    interval: tuple[float, float]
    """95 %, paired."""
    by: Mapping[str, tuple[int, float, float, float]] = field(default_factory=dict)
    """Language -> (n, difference, low, high)."""
    flips: tuple[Flip, ...] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """The canaries through {stored vectors, fresh re-embedding} x {approximate, exact}, and through the service.

    Contrasts, old to new: `baseline` -> `service`; `stored x approximate` -> `service`; `stored x exact` -> `stored x
    approximate`; `fresh x exact` -> `stored x exact` (among the documents that were embedded anew); `fresh x exact` ->
    `fresh x approximate`. Where the new one of two is worse, that step loses.
    """

    at: datetime
    measure: str
    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    notes: tuple[str, ...] = ()
    """What could not be looked at, and what was looked at only in part."""
    signs: Mapping[str, Look] = field(default_factory=dict)
    """What else the answers and vectors show, by name: `outage`, `service ranking`, `service scores`, `scores over
    time`, `left out`, `query side`, `gone`, `displaced`, `stored vectors`. What each Look holds is said by the function
    of ``probes.answers`` or ``probes.scores`` that makes it."""
    verdict: str = ""
    """One sentence."""

    @property
    def measured(self) -> Experiment:
        """Only what was measured: the cells and the steps between them, without what is named query by query."""
        return replace(self, contrasts=tuple(replace(each, flips=()) for each in self.contrasts), signs={})

    def cell(self, name: str) -> Cell | None:
        """The cell of that name."""
        return next((cell for cell in self.cells if cell.name == name), None)

    def contrast(self, old: str, new: str) -> Contrast | None:
        """The contrast of these two cells."""
        return next((each for each in self.contrasts if (each.old, each.new) == (old, new)), None)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What most likely broke."""

    cause: str
    """The name of a rule, such as `mixed vectors`; `unknown` when none fits."""
    sentence: str
    """The evidence, in one sentence."""
    action: str
    """What to do next."""
    segment: str = ""
    """The language it is in; empty: all of them."""
    documents: tuple[str, ...] = ()
    """doc_ids to look at first."""
    queries: tuple[str, ...] = ()
    """query_ids to look at first."""
    silences: tuple[tuple[str, str], ...] = ()
    """(check, segment) of the alerts that it explains."""
    beside: tuple[str, ...] = ()
    """Further causes, each as one sentence, that were found at the same time."""
    causes: tuple[str, ...] = ()
    """Names of all of them, this one first."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at."""
    at: datetime | None = None
    experiment: Experiment | None = None
    """What was measured to find it out (``Experiment.measured``); None: nothing was, or it was not kept."""
