"""Experiments on the live index and embedder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from driftwatch.documents import Corpus
from driftwatch.probed import OFF
from driftwatch.retrievers import Retriever
from driftwatch.types import Embedder, Look, Query, ScoredDoc


@dataclass(frozen=True)
class Target:
    """What is experimented on. What is missing is said in the result, and nothing is guessed."""

    index: Retriever | None = None
    """The vector store behind the service (`index:`), or the retriever itself where it has the capabilities."""
    service: Retriever | None = None
    """The watched service as its users ask it (`retriever:`)."""
    embedder: Embedder | None = None
    corpus: Corpus | None = None
    """The documents as their source has them now (`documents:`)."""
    unread: str = ""
    """Why the documents could not be read; empty: they were, or none are configured."""
    canaries: tuple[Query, ...] = ()
    before: Mapping[str, tuple[ScoredDoc, ...]] = field(default_factory=dict)
    """query_id -> what a canary was answered in the baseline, best first; empty while there is none."""
    normalised: bool | None = None
    """Whether stored vectors had length 1 when the index was first looked into; None: not known."""
    stopping: Callable[[], bool] = lambda: False
    """Whether to leave off."""
    notes: tuple[str, ...] = ()
    """What is missing above and why, a sentence each."""

    @property
    def without_corpus(self) -> Look:
        """Says why there are no documents to compare with."""
        if self.unread:
            return Look(unable=self.unread)
        return Look(unable="no 'documents' are configured to compare with", words={"kind": OFF})
