"""Query performance prediction: how well a query was probably answered, from the scores of its answer alone.

Predictors are noisy for a single query (a Kendall's tau of 0.2 to 0.5 with the true quality is usual) and useful in the
mean over many. What they are worth is measured on queries whose quality is known, never assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

PREDICTORS = ("top", "gap_2", "gap_k", "nqc", "wig")
"""The columns of ``predictors``."""

PAIRED_AT_MOST = 2_000
"""Values that ``kendall_tau`` compares each with each; of more, so many spread evenly."""

PERSISTENCE = 0.9
"""Of ``rank_biased_overlap``: the first ten ranks then carry 86 % of the weight."""


def predictors(scores: ArrayLike, depth: int) -> NDArray[np.float64]:
    """What the best ``depth`` scores of each query say, shape (n, len(PREDICTORS)).

    ``scores``: shape (n, k), best first, higher is better, NaN-padded. A row without a finite score is NaN throughout;
    what takes two scores is 0 in a row that has one.

    - top: the best score. gap_2, gap_k: by how much it leads the second, and the last.
    - nqc: the deviation of the scores (Shtok and others 2012, Predicting query performance by query-drift estimation).
    - wig: their mean (Zhou and Croft 2007, Query performance prediction in web search environments).

    The papers also divide NQC, and reduce WIG, by the score of the whole corpus, and divide WIG by the root of the
    query's length. A log holds neither, and scores of dense retrieval do not grow with the length: a calibration takes
    up what is constant.
    """
    rows = np.asarray(scores, dtype=np.float64)
    rows = np.where(np.isfinite(rows), rows, np.nan)[:, :depth]
    known = np.isfinite(rows)
    number = known.sum(axis=1)
    found = np.full((len(rows), len(PREDICTORS)), np.nan)
    some = number > 0
    if not some.any():
        return found
    rows, known, number = rows[some], known[some], number[some]
    # A missing score may come before a known one: ranks count the known ones only.
    ranked = -np.sort(np.where(known, -rows, np.inf), axis=1)
    each = np.arange(len(ranked))
    top, last = ranked[:, 0], ranked[each, number - 1]
    second = ranked[each, np.minimum(number, 2) - 1]
    mean = np.where(known, rows, 0.0).sum(axis=1) / number
    deviation = np.sqrt((np.where(known, rows - mean[:, None], 0.0) ** 2).sum(axis=1) / number)
    found[some] = np.column_stack([top, top - second, top - last, deviation, mean])
    return found


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], persistence: float = PERSISTENCE) -> float:
    """How far two rankings agree, in [0, 1], the top ranks counting most; 1 when both are empty.

    Webber, Moffat and Zobel (2010), A similarity measure for indefinite rankings, equation 32: extrapolated to the end
    from the depth of the longer one. Each id counts once.

    >>> rank_biased_overlap(["a", "b"], ["a", "b"]), round(rank_biased_overlap(["a", "b"], ["b", "a"]), 3)
    (1.0, 0.9)
    """
    short, long = sorted((list(dict.fromkeys(first)), list(dict.fromkeys(second))), key=len)
    if not short:
        return 0.0 if long else 1.0
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    total, shared, at_short = 0.0, 0, 0
    for depth, doc_id in enumerate(long, 1):
        seen_long.add(doc_id)
        if depth <= len(short):
            seen_short.add(short[depth - 1])
            shared = len(seen_short & seen_long)
            at_short = shared
            agreed = shared / depth
        else:
            shared += doc_id in seen_short
            agreed = shared / depth + at_short * (depth - len(short)) / (depth * len(short))
        total += agreed * persistence**depth
    tail = ((shared - at_short) / len(long) + at_short / len(short)) * persistence ** len(long)
    return min(1.0, (1 - persistence) / persistence * total + tail)


def kendall_tau(one: ArrayLike, other: ArrayLike) -> float:
    """Kendall's tau-b (1945) of two sequences, in [-1, 1]; 0 when either is constant."""
    pair = np.column_stack([np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)])
    if len(pair) > PAIRED_AT_MOST:
        pair = pair[np.linspace(0, len(pair) - 1, PAIRED_AT_MOST).astype(np.intp)]
    ups = [np.sign(values[:, None] - values[None, :]).astype(np.int8) for values in pair.T]
    both = [int(np.count_nonzero(up)) for up in ups]
    if not all(both):
        return 0.0
    agreed = int(np.count_nonzero((ups[0] == ups[1]) & (ups[0] != 0)))
    opposed = int(np.count_nonzero((ups[0] == -ups[1]) & (ups[0] != 0)))
    return (agreed - opposed) / float(np.sqrt(both[0]) * np.sqrt(both[1]))


def tau_noise(n: int) -> float:
    """The standard deviation of Kendall's tau over ``n`` pairs that have nothing to do with each other.

    Kendall (1938), A new measure of rank correlation.
    """
    return float(np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))) if n > 1 else float("inf")
