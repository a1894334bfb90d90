"""Two retrievers side by side: the nouns of a comparison, frozen, and how one is kept."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

ALL = "all"
"""The name under which the numbers of every language together stand."""

VERSION = 1
MOST_BYTES = 64 << 20
"""Of a kept comparison, unpacked: what claims to be larger is not one."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, and how it answered."""

    name: str
    asked: int = 0
    """Canaries and sampled queries that it was asked."""
    empty: int = 0
    """How many of them it found nothing for."""
    unasked: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many could not be asked."""
    latency_ms: float | None = None
    """Median; None where the retriever does not time its answers."""

    @property
    def failed(self) -> int:
        """How many could not be asked."""
        return sum(self.unasked.values())


@dataclass(frozen=True, slots=True)
class Measured:
    """One measure over the canaries that both sides answered, paired by canary."""

    measure: str
    n: int
    old: float
    new: float
    low: float
    """95 % interval of new - old, paired."""
    high: float
    better: int
    """Canaries for which the new side measures more ..."""
    worse: int
    """... and less."""

    @property
    def difference(self) -> float:
        """New minus old: positive is better."""
        return self.new - self.old


@dataclass(frozen=True, slots=True)
class Share:
    """A mean in [0, 1] with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike the two rankings are over the sampled queries that both sides answered."""

    n: int
    overlap: Share
    """Of the first k."""
    jaccard: Share
    """Of the first k."""
    rbo: Share
    """Rank-biased overlap, extrapolated."""
    top1: Share
    """How often both name the same document first."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A query whose two rankings differ most."""

    query_id: str
    lang: str
    asked_as: Literal["canary", "query"]
    alike: float
    """The smaller of rank-biased overlap and overlap@k."""
    old: tuple[str, ...]
    """doc_ids, best first: the first few."""
    new: tuple[str, ...]
    old_rank: int | None = None
    """Of the best relevant document of a canary; None: not found, or no canary."""
    new_rank: int | None = None
    text: str = ""
    """Redacted; empty where texts are not to be shown. Hostile all the same, and never kept."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Canary by canary what each side measures: columns of equal length, in one order."""

    query_ids: tuple[str, ...] = ()
    langs: tuple[str, ...] = ()
    old: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Measure -> values in [0, 1]."""
    new: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that one asking of both sides showed."""

    at: datetime
    old: Side
    new: Side
    k: int
    """How many documents count."""
    canaries: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)
    """Language, or ``all`` -> each measure."""
    queries: Mapping[str, Agreement] = field(default_factory=dict)
    """Language, or ``all`` -> how alike the answers to sampled queries are."""
    differ_most: tuple[Disagreement, ...] = ()
    """Least alike first."""
    notes: tuple[str, ...] = ()
    """What was not looked at, and what the numbers hide."""
    paired: Paired = field(default_factory=Paired)

    @property
    def same(self) -> int:
        """Canaries that both sides answered."""
        return len(self.paired.query_ids)


def content_of(comparison: Comparison) -> dict[str, Any]:
    """A comparison as it is kept: without any text of a query."""
    content = asdict(comparison) | {"version": VERSION, "at": comparison.at.isoformat()}
    for each in content["differ_most"]:
        each.pop("text")
    return content


def packed(comparison: Comparison) -> bytes:
    """The same as bytes."""
    return zlib.compress(json.dumps(content_of(comparison), separators=(",", ":")).encode("utf-8", "replace"))


def unpacked(body: bytes) -> Comparison:
    """What ``packed`` gave.

    Raises:
        ValueError: it is something else, or of another version.
    """
    try:
        return comparison_of(json.loads(zlib.decompressobj().decompress(body, MOST_BYTES)))
    except (zlib.error, ValueError) as error:
        raise ValueError(f"this is no comparison that can be read: {error!r}") from None


def comparison_of(content: Any) -> Comparison:
    """What ``content_of`` gave.

    Raises:
        ValueError: it is something else, or of another version.
    """
    try:
        if content["version"] != VERSION:
            raise ValueError("another version wrote it")
        return _comparison(content)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no comparison: {error!r}") from None


def _comparison(content: Mapping[str, Any]) -> Comparison:
    return Comparison(
        at=datetime.fromisoformat(content["at"]),
        old=Side(**content["old"]),
        new=Side(**content["new"]),
        k=content["k"],
        canaries={lang: tuple(Measured(**each) for each in rows) for lang, rows in content["canaries"].items()},
        queries={lang: _agreement(each) for lang, each in content["queries"].items()},
        differ_most=tuple(
            Disagreement(**{**each, "old": tuple(each["old"]), "new": tuple(each["new"])})
            for each in content["differ_most"]
        ),
        notes=tuple(content["notes"]),
        paired=_paired(content["paired"]),
    )


def _agreement(content: Mapping[str, Any]) -> Agreement:
    return Agreement(content["n"], **{name: Share(**each) for name, each in content.items() if name != "n"})


def _paired(content: Mapping[str, Any]) -> Paired:
    columns = [{name: tuple(values) for name, values in content[side].items()} for side in ("old", "new")]
    return Paired(tuple(content["query_ids"]), tuple(content["langs"]), *columns)
