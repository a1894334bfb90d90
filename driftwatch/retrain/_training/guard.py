"""Which texts of a batch a question must not be pushed away from: its answers, and what is likely one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrain._training.data import Numbered, Texts

MARGIN = 0.05
"""How much less like a question than its answer a text must be, as a share of the answer's similarity."""
NOTHING = -1
"""In place of a negative that a row does not have."""


@dataclass(frozen=True)
class Rows:
    """The rows of one stage as arrays; what is missing is ``NOTHING``."""

    queries: NDArray[np.int64]
    """shape (n,)"""
    documents: NDArray[np.int64]
    """shape (n, 1 + negatives): the answer first."""

    @classmethod
    def of(cls, rows: Sequence[Numbered]) -> Rows:
        """As wide as the row with the most negatives."""
        wide = 1 + max((len(row.negatives) for row in rows), default=0)
        documents = np.full((len(rows), wide), NOTHING, np.int64)
        for number, row in enumerate(rows):
            documents[number, : 1 + len(row.negatives)] = (row.positive, *row.negatives)
        return cls(np.array([row.query for row in rows], np.int64), documents)

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True)
class Guide:
    """What the model in use, frozen, thinks of the texts: GIST's guide (Solatorio 2024), asked once for each text.

    A text that the guide finds more like the question than its answer, less a relative margin, is likely another
    answer. Where the guide rates the answer itself lower than answers usually are, it is the guide that is wrong, and
    just such questions have most to teach: the similarity that answers usually have stands in for it.
    """

    queries: NDArray[np.float32]
    """shape (questions, dimension), rows of length 1."""
    passages: NDArray[np.float32]
    """shape (passages, dimension), rows of length 1."""
    usual: float
    """The median similarity of a question to its answer."""
    margin: float = MARGIN

    @classmethod
    def of(cls, queries: NDArray[np.float32], passages: NDArray[np.float32], rows: Rows) -> Guide:
        """A guide whose ``usual`` is the median over these rows."""
        similar = np.einsum("nd,nd->n", queries[rows.queries], passages[rows.documents[:, 0]])
        return cls(queries, passages, float(np.median(similar)))

    def doubts(self, queries: NDArray[np.int64], documents: NDArray[np.int64]) -> NDArray[np.bool_]:
        """shape (n, m): what is likely another answer; the answer of the n-th question is the n-th document."""
        similar = self.queries[queries] @ self.passages[documents].T
        answer = np.maximum(similar[np.arange(len(queries)), np.arange(len(queries))], self.usual)
        doubted: NDArray[np.bool_] = similar > (answer - np.abs(answer) * self.margin)[:, None]
        return doubted


@dataclass(frozen=True)
class Guard:
    """Decides for a batch what counts as a negative of which question."""

    rows: Rows
    parents: NDArray[np.int64]
    """shape (passages,): the document of each."""
    known: Mapping[int, frozenset[int]]
    """Question -> every document that is known to answer it."""
    guide: Guide | None = None

    @classmethod
    def of(cls, texts: Texts, rows: Rows, guide: Guide | None) -> Guard:
        """With what all rows of the dataset know, not those of one stage alone."""
        return cls(rows, texts.parents, texts.known(), guide)

    def left_out(self, batch: NDArray[np.int64]) -> NDArray[np.bool_]:
        """shape (b, b * columns): what is no negative, for rows ``batch``; columns as the loss has them, answers first.

        Left out are gaps, every part of a document that is known to answer the question, what stands in the batch
        twice (it counts once), and what the guide doubts; but never the row's own answer, and of its own negatives,
        which were looked for, only known answers.
        """
        queries, documents = self.rows.queries[batch], self.rows.documents[batch].T.reshape(-1)
        size = len(batch)
        gaps = documents == NOTHING
        parents = np.where(gaps, NOTHING, self.parents[documents])
        own = np.tile(np.eye(size, dtype=bool), len(documents) // size)
        again = np.ones(len(documents), bool)
        again[np.unique(documents, return_index=True)[1]] = False
        out = np.broadcast_to(again, own.shape) & ~own
        if self.guide is not None:
            out |= self.guide.doubts(queries, documents) & ~own
        out |= np.stack([np.isin(parents, list(self.known[int(query)])) for query in queries])
        out |= gaps
        out[np.arange(size), np.arange(size)] = False
        found: NDArray[np.bool_] = out
        return found
