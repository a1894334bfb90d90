"""How alike two rankings of the same query are, over many queries at once.

Nobody has to know which documents are relevant: these measures say how much changed, not whether it got better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from driftwatch.stats.dirichlet import dirichlet_mean_interval

Floats = NDArray[np.float64]

PRIOR = 0.5
"""How many pairs that share nothing, and how many that are equal, count beside those that were seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Pairs of rankings, reduced to what every measure of their likeness needs.

    Rankings hold ids, best first; a repeated id counts at its first place only. Two empty rankings are equal, and an
    empty one has nothing in common with any other.
    """

    old: NDArray[np.int64]
    """shape (n,): how many different documents each ranking holds."""
    new: NDArray[np.int64]
    shared: NDArray[np.int64]
    """shape (n, depth + 1): how many documents the first 0, 1, 2 ... of both have in common."""
    same_first: NDArray[np.bool_]
    """shape (n,)."""

    @classmethod
    def of(cls, old: Sequence[Sequence[str]], new: Sequence[Sequence[str]]) -> Overlaps:
        """Pair the rankings of two sides, query by query.

        Raises:
            ValueError: there are not as many on both sides.
        """
        if len(old) != len(new):
            raise ValueError(f"{len(old)} rankings cannot be paired with {len(new)}.")
        left, right = _ranks(old), _ranks(new)
        longest = [np.array([len(ranks) for ranks in side], np.int64) for side in (left, right)]
        depth = int(max(each.max(initial=0) for each in longest))
        met = np.zeros((len(old), depth + 1), np.int64)
        for row, (one, other) in enumerate(zip(left, right, strict=True)):
            for doc_id in one.keys() & other.keys():
                met[row, max(one[doc_id], other[doc_id])] += 1
        shared = np.cumsum(met, axis=1)
        both_empty = (longest[0] == 0) & (longest[1] == 0)
        same_first = both_empty | (shared[:, 1] == 1) if depth else both_empty
        return cls(longest[0], longest[1], shared, same_first)

    def __len__(self) -> int:
        return len(self.old)

    def overlap(self, k: int) -> Floats:
        """overlap@k, shape (n,): what the first ``k`` have in common, over the longer of the two when cut at ``k``.

        The paper of ``rbo`` compares these two lists, depth by depth:

        >>> pair = Overlaps.of(["abcdefg"], ["zcavwxy"])
        >>> [round(pair.overlap(k).item(), 3) for k in range(1, 8)]
        [0.0, 0.0, 0.667, 0.5, 0.4, 0.333, 0.286]
        """
        return self._over(k, np.maximum(*self._cut(k)))

    def jaccard(self, k: int) -> Floats:
        """Jaccard@k, shape (n,): documents among the first ``k`` of both, over those of either (Jaccard 1912).

        >>> Overlaps.of(["abcd"], ["bcde"]).jaccard(4).tolist()
        [0.6]
        """
        old, new = self._cut(k)
        return self._over(k, old + new - self._at(np.full(len(self), k)))

    def top1(self) -> Floats:
        """shape (n,): 1 where both name the same document first."""
        return self.same_first.astype(np.float64)

    def rbo(self, p: float) -> Floats:
        """Extrapolated rank-biased overlap, shape (n,): RBO_EXT for rankings of uneven length.

        Webber, Moffat and Zobel (2010), A Similarity Measure for Indefinite Rankings, ACM TOIS 28(4), equation 32. Each
        rank weighs ``p`` times what the rank above it does, and what is not seen is taken to agree as what is.

        The paper's example of two lists, and the longer of them cut:

        >>> Overlaps.of(["abcdefg", "abcdefg"], ["zcavwxy", "zca"]).rbo(0.9).round(4).tolist()
        [0.2882, 0.54]

        Args:
            p: persistence, in [0, 1); 0 looks at the first rank only.

        Raises:
            ValueError: another ``p``.
        """
        if not 0 <= p < 1:
            raise ValueError(f"the persistence of a reader is at least 0 and below 1, not {p}.")
        short, long = np.minimum(self.old, self.new), np.maximum(self.old, self.new)
        depth = np.arange(1, self.shared.shape[1])
        within_short, within_long = self._at(short)[:, None], self._at(long)
        s = np.maximum(short, 1)[:, None]
        beyond = np.maximum(depth - short[:, None], 0)
        agreed = self.shared[:, 1:] / depth + within_short * beyond / (s * depth)
        seen = np.where(depth <= long[:, None], agreed, 0.0) @ (p ** (depth - 1.0)) * (1 - p)
        tail = (within_long - within_short[:, 0]) / np.maximum(long, 1) + within_short[:, 0] / s[:, 0]
        return np.asarray(np.where(long == 0, 1.0, np.where(short == 0, 0.0, seen + tail * p**long)))

    def _cut(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return np.minimum(self.old, k), np.minimum(self.new, k)

    def _over(self, k: int, size: NDArray[np.int64]) -> Floats:
        return np.asarray(np.where(size == 0, 1.0, self._at(np.full(len(self), k)) / np.maximum(size, 1)))

    def _at(self, depth: NDArray[np.int64]) -> NDArray[np.int64]:
        """What both have in common down to a depth of each pair."""
        return np.asarray(self.shared[np.arange(len(self)), np.minimum(depth, self.shared.shape[1] - 1)])


def _ranks(rankings: Sequence[Sequence[str]]) -> list[dict[str, int]]:
    """Of each ranking, the first rank of each of its documents."""
    return [{doc_id: rank for rank, doc_id in enumerate(dict.fromkeys(each), 1)} for each in rankings]


def persistence(k: int) -> float:
    """The ``p`` of rank-biased overlap under which 85 to 86 % of the weight lies on the first ``k`` ranks, from 10 on.

    >>> persistence(10)
    0.9
    """
    return 1 - 1 / k


def weight_of_top(k: int, p: float) -> float:
    """The share of the weight of rank-biased overlap on the first ``k`` ranks: Webber et al. (2010), equation 21.

    >>> round(weight_of_top(10, 0.9), 4)
    0.8556
    """
    if p == 0:
        return 1.0
    ranks = np.arange(1, k)
    tail = np.log(1 / (1 - p)) - (p**ranks / ranks).sum()
    return float(1 - p ** (k - 1) + (1 - p) / p * k * tail)


def mean_interval(values: ArrayLike, weights: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of values in [0, 1], by the Bayesian bootstrap (Rubin 1981), without drawing.

    ``values``, ``weights``: shape (n,), n at least 1; a weight says how many queries a drawn one stands for, and
    unequal ones are worth fewer rows (Kish 1965). Half a pair that shares nothing and half a pair that is equal are
    added (Jeffreys' prior): without them ten pairs that are equal would show that all are.
    """
    seen, weight = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    mean = float(np.average(seen, weights=weight))
    units = weight * weight.sum() / (weight**2).sum()
    levels, place = np.unique(np.concatenate([np.clip(np.round(seen, 12), 0, 1), [0.0, 1.0]]), return_inverse=True)
    parameters = np.bincount(place, np.concatenate([units, [PRIOR, PRIOR]])).astype(np.float64)
    low, high = dirichlet_mean_interval(levels, parameters, level)
    return mean, min(low, mean), max(high, mean)
