"""How good a model is on the rows that never train: nDCG@10 among a pool of passages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrain._training.base import Tuned
from driftwatch.retrain._training.data import Numbered, Texts, pool
from driftwatch.stats.ir import Measure
from driftwatch.stats.paired import paired_bootstrap

MEASURE = Measure("nDCG", 10)


@dataclass(frozen=True)
class Validation:
    """Questions with their answers, and what they are searched among; the gate's questions are never here."""

    queries: tuple[str, ...]
    answers: tuple[frozenset[int], ...]
    """Of each question, the documents (by number) that answer it."""
    passages: tuple[str, ...]
    parents: NDArray[np.int64]
    """shape (passages,): the document of each."""
    dimension: int | None = None
    """As served."""

    def __len__(self) -> int:
        return len(self.queries)

    def measure(self, tuned: Tuned, dimension: int | None = None) -> NDArray[np.float64]:
        """shape (questions,): nDCG@10 of each, with vectors of ``dimension`` numbers; without it, as served."""
        kept = dimension or self.dimension
        scores = tuned.encode("query", self.queries, kept) @ tuned.encode("document", self.passages, kept).T
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.array(
            [
                MEASURE([str(each) for each in self.parents[row]], {str(answer): 1 for answer in answers})
                for row, answers in zip(order, self.answers, strict=True)
            ]
        )


NOBODY = Validation((), (), (), np.empty(0, np.int64))
"""Where nothing is chosen."""


def kept_at(before: Sequence[NDArray[np.float64]], now: NDArray[np.float64]) -> int:
    """The number of the measurement ``now`` after those ``before``, each of shape (questions,); -1: it is clearly worse
    than the best of them.

    A slice of a hundred questions errs by more than a measurement differs from the next, and the highest of several is
    the luckiest. The learning rate falls to nothing, so a run is best at its end unless it fell past its best by more
    than chance (paired by question, 95 %).
    """
    if not before:
        return 0
    best = max(before, key=lambda each: float(each.mean()))
    _, high = paired_bootstrap(now - best)
    return -1 if high < 0 else len(before)


def validation_of(texts: Texts, rows: Sequence[Numbered], seed: int, dimension: int | None) -> Validation:
    """The validation that these ``rows`` make; a question that has several rows is asked once."""
    answers = texts.known()
    queries = sorted({row.query for row in rows})
    among = pool(texts, rows, seed)
    return Validation(
        tuple(texts.queries[query] for query in queries),
        tuple(answers[query] for query in queries),
        tuple(texts.passages[place] for place in among),
        texts.parents[among],
        dimension,
    )
