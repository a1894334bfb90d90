"""How the watched service is asked."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from driftwatch.errors import RetrieverError
from driftwatch.plugins import Kind
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, ScoreKind, Stored


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

    # --- what lets an experiment run: every method below is there where ``capabilities`` names it --------------------

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this retriever can do beside answering queries, with these settings; asks nobody."""
        return frozenset()

    def search_vectors(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> list[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, shape (n, dimension), best first.

        `by vector`: as the index is searched for the service. `exact`: by comparing with every stored vector, in memory
        that does not grow with the index. Scores are the index's own (see ``score_kind``); a document that has several
        entries is named once, with its best.

        Raises:
            RetrieverError: the search failed, or this is not among the ``capabilities``.
        """
        del vectors, top_k, exact
        raise self._cannot("search by a vector")

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        """`vectors`, `texts`: entry_id -> what is stored; what the index does not hold is left out.

        Raises:
            RetrieverError: it could not be asked, or this is not among the ``capabilities``.
        """
        del entry_ids, vectors, texts
        raise self._cannot("give stored vectors or texts")

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """`ids`: (entry_id, doc_id) of everything the index holds, in blocks, in an order that stays the same.

        Raises:
            RetrieverError: it could not be asked, or this is not among the ``capabilities``.
        """
        raise self._cannot("list what it holds")

    def facts(self) -> IndexFacts:
        """`facts`: what the index says of itself.

        Raises:
            RetrieverError: it could not be asked, or this is not among the ``capabilities``.
        """
        raise self._cannot("say what its index is")

    def close(self) -> None:
        """Let go of connections and memory."""

    def _cannot(self, what: str) -> RetrieverError:
        return RetrieverError(f"the retriever '{self.kind}' cannot {what}.", remedy="See its page for what it can do.")
