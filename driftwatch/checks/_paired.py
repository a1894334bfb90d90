"""Canaries that two retrievers answered: measured in pairs, and pooled over several comparisons."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.compared import ALL, Comparison, Measured, Paired
from driftwatch.stats.paired import paired_bootstrap

Floats = NDArray[np.float64]
LOWEST_LEVEL, HIGHEST_LEVEL = 0.0, 1 - 1e-9


def measured(paired: Paired, lang: str = ALL, level: float = 0.95) -> tuple[Measured, ...]:
    """Each measure over the canaries of one language; empty where there are none."""
    rows = _rows(paired, lang)
    if not len(rows):
        return ()
    return tuple(
        _measured(measure, np.array(paired.old[measure])[rows], np.array(paired.new[measure])[rows], level)
        for measure in paired.old
    )


@lru_cache(maxsize=32)
def needed(margin: float) -> int:
    """The fewest canaries that can show a measure to be no more than ``margin`` lower: with none that differs.

    >>> needed(0.01), needed(0.05)
    (222, 44)
    """
    numbers = range(1, int(2.5 / margin) + 2)
    return numbers[bisect_left(numbers, True, key=lambda n: paired_bootstrap(np.zeros(n))[0] > -margin)]


def languages(paired: Paired) -> dict[str, int]:
    """Language -> canaries, the largest first."""
    names, counts = np.unique(np.array(paired.langs, dtype=np.str_), return_counts=True)
    found = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def pooled(comparisons: Sequence[Comparison]) -> Paired:
    """Every canary once, with the mean of what it measured: asked again, it is no further canary.

    Only what the newest comparison measures counts.
    """
    measures = tuple(comparisons[-1].paired.old) if comparisons else ()
    sums: defaultdict[tuple[str, str], Floats] = defaultdict(lambda: np.zeros(2 * len(measures) + 1))
    for each in comparisons:
        paired = each.paired
        if not set(measures) <= set(paired.old):
            continue
        columns = [side[measure] for side in (paired.old, paired.new) for measure in measures]
        for key, *values in zip(zip(paired.query_ids, paired.langs, strict=True), *columns, strict=True):
            sums[key] += [*values, 1.0]
    means = {key: total[:-1] / total[-1] for key, total in sorted(sums.items())}
    table = np.array(list(means.values())).reshape(len(means), 2 * len(measures))
    halves = [tuple(column) for column in table.T.tolist()]
    half = len(measures)
    return Paired(
        tuple(query_id for query_id, _ in means),
        tuple(lang for _, lang in means),
        dict(zip(measures, halves[:half], strict=True)),
        dict(zip(measures, halves[half:], strict=True)),
    )


def _rows(paired: Paired, lang: str) -> NDArray[np.intp]:
    if lang == ALL:
        return np.arange(len(paired.query_ids))
    return np.flatnonzero(np.array(paired.langs, dtype=np.str_) == lang)


def _measured(measure: str, old: Floats, new: Floats, level: float) -> Measured:
    moved = np.round(new - old, 12)
    low, high = _interval(np.sort(moved).tobytes(), min(max(level, LOWEST_LEVEL), HIGHEST_LEVEL))
    return Measured(
        measure,
        len(moved),
        float(old.mean()),
        float(new.mean()),
        low,
        high,
        better=int((moved > 0).sum()),
        worse=int((moved < 0).sum()),
    )


@lru_cache(maxsize=512)
def _interval(differences: bytes, level: float) -> tuple[float, float]:
    """The days of a window are looked at again with every look, and canaries that never differ are all alike."""
    return paired_bootstrap(np.frombuffer(differences), level=level)
