"""How the watched service is asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from driftwatch.plugins import Kind
from driftwatch.types import Embedder, Query, Reply, ScoreKind


class Retriever(Kind):
    """The settings that every retriever has."""

    room: ClassVar[str] = "retrievers"
    needs_embedder: ClassVar[bool] = False

    top_k: int = Field(default=20, ge=1, le=1000)
    """How many documents to ask for."""
    score_kind: ScoreKind = "similarity"
    """`similarity`: a higher score is better. `distance`: a lower one is."""

    @abstractmethod
    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """One reply a query, in order. A query that could not be asked is a Reply with ``error``; never raises for one.

        Raises:
            RetrieverError: nothing at all could be asked (a missing file, a function that does not import).
        """

    @abstractmethod
    def reach(self) -> str:
        """Ask once, change nothing; what was reached, in a few words, for `validate`.

        Raises:
            RetrieverError: with the reason.
        """

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those of ``doc_ids`` that the index certainly does not hold; empty when the retriever cannot say."""
        del doc_ids
        return frozenset()

    def close(self) -> None:
        """Let go of connections and memory."""
