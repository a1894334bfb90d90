"""What a better model is made of and judged by: the nouns of retraining, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Origin = Literal["accepted", "click", "up", "down", "file", "generated"]
"""Where a pair comes from: what users did with an answer, a labelled file, or a language model's question."""

Band = Literal["random", "bm25", "dense"]
"""How hard a negative is: drawn at random, alike in words, near for the model itself."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and a document that answers it, or, where it is not ``relevant``, one that was said not to."""

    query: str
    doc_id: str
    """A document of the corpus; of a long one, the document and not one of its passages."""
    lang: str = "und"
    """Of the query (BCP 47)."""
    relevant: bool = True
    origin: Origin = "file"
    count: int = 1
    """Sessions that said so; 1 for what a file says."""
    at: datetime | None = None
    """When it was last said; None where nobody knows."""
    query_id: str = ""
    """The file's name for the query; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is embedded: a document, or a part of a long one."""

    passage_id: str
    """The doc_id, or ``<doc_id>#<number>`` of a part."""
    parent: str
    """The doc_id of the document it is from."""
    text: str
    lang: str = ""
    """Empty: not known."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question of the training set with its answer and what must not be taken for it."""

    query: str
    positive: str
    """A passage_id."""
    negatives: tuple[str, ...] = ()
    """passage_ids, the hardest first."""
    bands: tuple[Band, ...] = ()
    """How hard each of them is."""
    lang: str = "und"


@dataclass(frozen=True, slots=True)
class Removed:
    """What one guard took out, for the report."""

    guard: str
    """In a few words, such as `near-duplicate of a canary`."""
    count: int
    examples: tuple[str, ...] = ()
    """A few of them, as ids or redacted texts."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a model is judged by, with its known answers."""

    query_id: str
    text: str
    lang: str = "und"
    relevant: Mapping[str, int] = field(default_factory=dict)
    """doc_id -> relevance."""
    group: str = "held-out"
    """`canary`, `held-out`, or `forgetting` (of the old distribution)."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one model gave for the questions of the gate, and what it costs to run."""

    model: str
    rankings: Mapping[str, tuple[str, ...]]
    """query_id -> doc_ids, best first."""
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """query_id -> the scores of these, where they are known."""
    memory_bytes: int = 0
    """Of its weights."""
    query_ms: float = 0.0
    """Median time of embedding one query on the machine that judged."""
    dimension: int = 0
    libraries: Mapping[str, str] = field(default_factory=dict)
    """The least version that each library of the serving side must have, as far as known."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One measure of the new model minus the old one's, paired by query."""

    measure: str
    group: str
    lang: str
    """`all`, or one language."""
    n: int
    old: float
    new: float
    low: float
    """Interval of the difference at the gate's confidence."""
    high: float

    @property
    def gain(self) -> float:
        """New minus old."""
        return self.new - self.old


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that the gate looked at, and what it says."""

    name: str
    """Such as `gain` or `no language loses`."""
    passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate says of a candidate: yes only where every reason passed."""

    passed: bool
    reasons: tuple[Reason, ...]
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a release is: a model, the index that was built with it, and the cut-off that fits both."""

    release: str
    """`<UTC stamp>-<hash>`; the name of its folder."""
    created: datetime
    model: str
    """A folder below the release's own (relative), or the name of a model that is not ours."""
    base: str = ""
    """The model it was trained from, and its revision."""
    revision: str = ""
    data: str = ""
    """Hash of the dataset."""
    fingerprint: str = ""
    """Of the embedder with this model."""
    index: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the `index:` section that reach the index which was built with this model."""
    threshold: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    """Libraries it was trained with."""
    job: str = ""
    approved_by: str = ""
    note: str = ""
    replaces: str = ""
    """The model that the configuration named when this was made: where it names another by now, that one counts."""
