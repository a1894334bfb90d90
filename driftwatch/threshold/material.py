"""Observations and labels as the arrays that a cut-off is chosen on. Scores are higher is better from here on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import DriftwatchError
from driftwatch.stats.abstaining import Answers
from driftwatch.stats.cutoff import Floats, Judged
from driftwatch.stats.matching import Scored
from driftwatch.types import UNDETERMINED, Observation, ScoreKind

Decides = Literal["documents", "answers"]
"""What the cut-off decides: which documents are kept, or whether there is an answer, by the best score."""

RIGHT, WRONG = frozenset({"up", "accepted"}), frozenset({"down"})
"""Feedback that says that an answer was right to give, or wrong. A click says neither."""


@dataclass(frozen=True, slots=True)
class Label:
    """One judged score: of a document, or of the best document of a query."""

    query_id: str
    score: float
    """Higher is better."""
    relevant: bool
    lang: str = UNDETERMINED
    weight: float = 1.0
    origin: str = "labels"


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Judged rows with their languages."""

    judged: Judged
    lang: NDArray[np.str_]
    """shape (n,)."""
    queries: dict[str, int]
    """Origin -> queries: `canaries`, `labels`, `feedback`."""

    @classmethod
    def of(cls, labels: Sequence[Label]) -> Labelled:
        """Queries of one origin and name are one unit."""
        names: dict[tuple[str, str], int] = {}
        unit = [names.setdefault((each.origin, each.query_id), len(names)) for each in labels]
        judged = Judged(
            np.array([each.score for each in labels], np.float64),
            np.array([each.relevant for each in labels], bool),
            np.array(unit, np.int64),
            np.array([each.weight for each in labels], np.float64),
        )
        counts: dict[str, int] = {}
        for origin, _ in names:
            counts[origin] = counts.get(origin, 0) + 1
        return cls(judged, np.array([each.lang for each in labels], np.str_), counts)


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Live queries as columns, one row a query."""

    top: Floats
    """shape (n,): the best score; minus infinity where nothing was retrieved."""
    documents: Sequence[Floats]
    """The scores of each query."""
    unit: NDArray[np.int64]
    """shape (n,): rows of one session and day carry the same number."""
    weight: Floats
    lang: NDArray[np.str_]
    cell: NDArray[np.int64]
    """shape (n,): the quarter of the day, on a working day (0 to 3) or a weekend (4 to 7), UTC."""
    abstained: Floats
    """shape (n,): 0 or 1, NaN where the service does not say."""

    def __len__(self) -> int:
        return len(self.top)

    def scored(self, decides: Decides, rows: NDArray[np.bool_] | None = None, weight: Floats | None = None) -> Scored:
        """What the cut-off decides about, of some of the rows."""
        weight = self.weight if weight is None else weight
        chosen = np.arange(len(self)) if rows is None else np.flatnonzero(rows)
        if decides == "answers":
            return Scored(self.top[chosen], self.unit[chosen], weight[chosen])
        scores = [self.documents[row] for row in chosen.tolist()]
        counts = np.array([len(each) for each in scores], np.intp)
        each = np.repeat(chosen, counts)
        return Scored(np.concatenate(scores) if scores else np.empty(0), self.unit[each], weight[each])

    def answers(self) -> Answers:
        """The rows of which the service says whether it answered."""
        says = np.isfinite(self.abstained)
        return Answers(self.top[says], self.abstained[says], self.unit[says], self.weight[says], self.lang[says])


def score_kind_of(*observed: Iterable[Observation]) -> ScoreKind | None:
    """Of all that have hits; None when none has.

    Raises:
        DriftwatchError: some are similarities and some distances.
    """
    kinds = {seen.score_kind for part in observed for seen in part if seen.hits}
    if len(kinds) > 1:
        raise DriftwatchError(
            "some scores are similarities and some are distances: no cut-off fits both.",
            remedy="Look at one stretch of time with --after, or set `score_kind` of the source right.",
        )
    return next(iter(kinds), None)


def scores_of(seen: Observation) -> list[tuple[str, float]]:
    """(doc_id, score) of the hits that have a finite score, higher is better."""
    sign = -1.0 if seen.score_kind == "distance" else 1.0
    known = [(hit.doc_id, hit.score) for hit in seen.hits or () if hit.score is not None]
    return [(doc_id, sign * score) for doc_id, score in known if np.isfinite(score)]


def from_canaries(observed: Iterable[Observation], decides: Decides) -> list[Label]:
    """Hits of canaries, each relevant or not; what nobody judged counts as not relevant.

    For answers one row a canary, its best score: right when a relevant document is among the hits, wrong when none is
    or nothing should have been found.
    """
    labels: list[Label] = []
    for seen in observed:
        if seen.attempt or seen.hits is None or not (seen.relevant or seen.expect_empty):
            continue
        rows = [
            (score, seen.relevant.get(doc_id, 0) > 0 and not seen.expect_empty) for doc_id, score in scores_of(seen)
        ]
        if decides == "answers" and rows:
            rows = [(max(score for score, _ in rows), any(relevant for _, relevant in rows))]
        labels += [Label(seen.query_id, score, right, seen.lang, origin="canaries") for score, right in rows]
    return labels


def from_labels(labels: Iterable[Label], decides: Decides, sign: int) -> list[Label]:
    """Labels whose scores are as the service calls them; for answers the best of each query, right when any is."""
    turned = [replace(each, score=sign * each.score) for each in labels]
    if decides == "documents":
        return turned
    best: dict[str, Label] = {}
    for each in turned:
        other = best.setdefault(each.query_id, each)
        best[each.query_id] = replace(
            other, score=max(other.score, each.score), relevant=other.relevant or each.relevant
        )
    return list(best.values())


def from_feedback(observed: Iterable[Observation]) -> list[Label]:
    """Answers that somebody praised, accepted or found bad, by their best score."""
    labels = []
    for seen in observed:
        scores = scores_of(seen)
        if scores and seen.feedback in RIGHT | WRONG:
            unit = f"{seen.at.date()} {seen.session}" if seen.session else f"{seen.query_id} {seen.at.isoformat()}"
            best, right = max(score for _, score in scores), seen.feedback in RIGHT
            labels.append(Label(unit, best, right, seen.lang, seen.weight, "feedback"))
    return labels


def traffic_of(observed: Iterable[Observation]) -> Traffic:
    """Live queries whose hits and scores are known; the others are left out."""
    units: dict[tuple[str, str] | int, int] = {}
    kept: list[tuple[Observation, Floats]] = []
    for seen in observed:
        scores = np.array([score for _, score in scores_of(seen)])
        if seen.hits is not None and seen.error is None and bool(len(scores)) == bool(seen.hits):
            kept.append((seen, scores))
    unit = [
        units.setdefault((str(seen.at.date()), seen.session) if seen.session else row, len(units))
        for row, (seen, _) in enumerate(kept)
    ]
    return Traffic(
        top=np.array([scores.max(initial=-np.inf) for _, scores in kept], np.float64),
        documents=[scores for _, scores in kept],
        unit=np.array(unit, np.int64),
        weight=np.array([seen.weight for seen, _ in kept], np.float64),
        lang=np.array([seen.lang for seen, _ in kept], np.str_),
        cell=np.array([seen.at.hour // 6 + 4 * (seen.at.weekday() >= 5) for seen, _ in kept], np.int64),
        abstained=np.array([np.nan if seen.abstained is None else seen.abstained for seen, _ in kept], np.float64),
    )
