"""How one score of documents follows from another: equal, on another scale, or not at all."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from driftwatch.probed import MOST_IDS
from driftwatch.probes.cells import Ranking, Rankings
from driftwatch.stats.qpp import kendall_tau
from driftwatch.types import Look

Floats = NDArray[np.float64]

FEWEST = 10
"""Pairs that say anything."""
SAME_SCORE = 0.005
"""Scores are equal that differ by less than this share of the spread of scores: precision of vectors and arithmetic."""
PART = 0.005
"""Share of pairs from which on it is said that part of them moved."""
SAME_ORDER = 0.99
"""Rank correlation from which one score is the other on another scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Two scores of the same (query, document), pair by pair."""

    query: NDArray[np.int64]
    """shape (n,): the number of the query."""
    doc_ids: tuple[str, ...]
    old: Floats
    new: Floats

    @classmethod
    def of(cls, old: Rankings, new: Rankings) -> Scores:
        """The pairs that both sides score; a document that a ranking names more than once counts with its best."""
        found: list[tuple[int, str, float, float]] = []
        for number, name in enumerate(sorted(old.keys() & new.keys())):
            before, after = _best(old[name]), _best(new[name])
            found += [(number, each, before[each], score) for each, score in after.items() if each in before]
        columns = list(zip(*found, strict=True)) if found else [(), (), (), ()]
        return cls(np.array(columns[0], np.int64), tuple(columns[1]), *(np.array(each, float) for each in columns[2:]))

    def __len__(self) -> int:
        return len(self.doc_ids)


def _best(ranking: Ranking) -> dict[str, float]:
    """doc_id -> score, best first."""
    found: dict[str, float] = {}
    for hit in ranking:
        if hit.score is not None:
            found.setdefault(hit.doc_id, hit.score)
    return found


def compare_scores(pairs: Scores, of: str) -> Look:
    """How the new scores follow from the old ones.

    words: `relation` -> `equal`; `rescaled` (one increasing function of them); `rescaled by query` (in the same order
    for each query, and not over all of them); `shifted in part` (equal or rescaled but for some documents); or
    `different`. values: `slope`, `intercept` (of the line through the medians), `rank correlation` (over all pairs),
    `rank correlation by query`, `median change`. bad: pairs off that line; ids: their documents, most often first.
    """
    if len(pairs) < FEWEST:
        return Look(len(pairs), unable=f"only {len(pairs)} pairs of a query and a document have both scores")
    slope, intercept = _line(pairs.old, pairs.new)
    spread = max(float(np.ptp(np.quantile(pairs.new, [0.02, 0.98]))), 1e-9)
    moved = np.abs(pairs.new - pairs.old) > SAME_SCORE * max(spread, float(np.ptp(pairs.old)))
    off = np.abs(pairs.new - slope * pairs.old - intercept) > 2 * SAME_SCORE * spread
    overall, within = _spearman(pairs.old, pairs.new), _within(pairs)
    relation = _relation(moved, off, overall, within)
    bad = moved if relation == "equal" or not moved.mean() > 0.5 else off
    told = Counter(doc_id for doc_id, wrong in zip(pairs.doc_ids, bad.tolist(), strict=True) if wrong)
    values = {
        "slope": slope,
        "intercept": intercept,
        "rank correlation": overall,
        "rank correlation by query": within,
        "median change": float(np.median(pairs.new - pairs.old)),
    }
    return Look(
        n=len(pairs),
        bad=int(bad.sum()),
        ids=tuple(doc_id for doc_id, _ in told.most_common(MOST_IDS)),
        values=values,
        words={"relation": relation},
        why="" if relation == "equal" else _score_sentence(relation, of, slope, intercept),
    )


def unchanged(before: Rankings, now: Rankings) -> dict[tuple[str, str], bool]:
    """(query_id, doc_id) -> whether its score follows from what it was as that of most pairs does.

    Empty when the scores are not comparable: few pairs, or most of them off every line.
    """
    pairs = Scores.of(before, now)
    if len(pairs) < FEWEST:
        return {}
    slope, intercept = _line(pairs.old, pairs.new)
    spread = max(float(np.ptp(np.quantile(pairs.new, [0.02, 0.98]))), 1e-9)
    same = np.abs(pairs.new - slope * pairs.old - intercept) <= 2 * SAME_SCORE * spread
    if same.mean() <= 0.5:
        return {}
    names = sorted(before.keys() & now.keys())
    keys = ((names[number], doc_id) for number, doc_id in zip(pairs.query.tolist(), pairs.doc_ids, strict=True))
    return dict(zip(keys, same.tolist(), strict=True))


def _relation(moved: NDArray[np.bool_], off: NDArray[np.bool_], overall: float, within: float) -> str:
    if moved.mean() <= PART:
        return "equal"
    if overall >= SAME_ORDER or off.mean() <= 0.02:
        return "rescaled"
    if within >= SAME_ORDER:
        return "rescaled by query"
    return "shifted in part" if min(moved.mean(), off.mean()) <= 0.5 else "different"


def _score_sentence(relation: str, of: str, slope: float, intercept: float) -> str:
    told = {
        "rescaled": f"are {of} on another scale ({slope:.3g} x {intercept:+.3g})",
        "rescaled by query": f"are {of} on a scale of each query's own",
        "shifted in part": f"are {of} for some documents only",
        "different": f"have nothing to do with {of}",
    }
    return f"The service's scores {told[relation]}."


def _line(old: Floats, new: Floats) -> tuple[float, float]:
    """Slope and intercept through the medians of groups of ``old`` (Theil 1950): half of the pairs may be off it."""
    order = np.argsort(old, kind="stable")
    groups = [part for part in np.array_split(order, min(20, len(order) // 2)) if len(part)]
    middle = np.array([(np.median(old[part]), np.median(new[part])) for part in groups])
    steps = [
        (middle[later, 1] - middle[early, 1]) / (middle[later, 0] - middle[early, 0])
        for early in range(len(middle))
        for later in range(early + 1, len(middle))
        if middle[later, 0] > middle[early, 0]
    ]
    slope = float(np.median(steps)) if steps else 1.0
    return slope, float(np.median(new - slope * old))


def _within(pairs: Scores) -> float:
    """Mean Kendall's tau of the pairs of one query, over the queries with three or more."""
    ends = np.flatnonzero(np.diff(pairs.query, prepend=-1, append=-1))
    taus = [kendall_tau(pairs.old[a:b], pairs.new[a:b]) for a, b in pairwise(ends.tolist()) if b - a > 2]
    return float(np.mean(taus)) if taus else 0.0


def _spearman(old: Floats, new: Floats) -> float:
    """Spearman's rank correlation (1904); 0 when either is constant."""
    one, other = (each - each.mean() for each in (_ranks(old), _ranks(new)))
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks with ties shared."""
    different, place, count = np.unique(values, return_inverse=True, return_counts=True)
    del different
    return np.asarray((np.cumsum(count) - (count - 1) / 2)[place])
