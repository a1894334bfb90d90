"""The new topics of a window: what its strange queries have in common, how many they are, and what they are called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._familiar import SEED, Familiar, Measured
from driftwatch.checks._words import percent
from driftwatch.privacy import redact
from driftwatch.stats.clusters import nearest, spherical_kmeans
from driftwatch.stats.terms import distinctive
from driftwatch.types import Contents

STRANGE = 0.9
"""Units beyond this share of the baseline are looked through."""
ROWS_A_TOPIC, MOST_CLUSTERS, MOST_SHOWN = 20, 12, 5
SMALLEST, CERTAIN = 3, 2.5
"""Units of a topic, and standard errors by which there are more of them than usual."""
EXAMPLES, ALL_EXAMPLES = 5, 10
"""Query ids of a topic, and of all topics together."""
NAMED, NAMED_BY = 2, 3
"""Topics that a message names, by so many terms each."""
SAME = 3
"""Terms that two clusters share when they are about the same."""
READ_FOR_TERMS = 200
"""Texts of a topic that are read for its name."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Queries that there are more of than there used to be, and that are alike."""

    share: float
    """Of the window's units."""
    before: float
    """Of the baseline's."""
    terms: tuple[str, ...]
    """The most distinctive first; none where texts are not kept, or where nothing is distinctive."""
    examples: tuple[str, ...]
    """query_ids, the most typical first."""

    @property
    def growth(self) -> float:
        """What is new of it, as a share of the window's units."""
        return self.share - self.before

    def as_details(self) -> dict[str, Any]:
        """For the details of a finding."""
        return {
            "share": round(self.share, 5),
            "before": round(self.before, 5),
            "terms": list(self.terms),
            "examples": list(self.examples),
        }


def new_topics(now: Measured, then: Measured, familiar: Familiar, grown: Collection[int]) -> list[Topic]:
    """What there is more of among the strange units and in the clusters that have ``grown``, the most certain first."""
    contents = now.sample.contents
    odd_now = np.flatnonzero(_odd(now, grown))
    at, remembered = _remembered(then, familiar)
    if contents is None or len(odd_now) < SMALLEST or not len(at):
        return []
    odd_then = _odd(then, grown)[at]
    vectors = contents.vectors(now.rows[odd_now])
    centres = spherical_kmeans(vectors, int(np.clip(len(vectors) // ROWS_A_TOPIC, 1, MOST_CLUSTERS)), SEED)
    belongs, similarity = nearest(vectors, centres)
    usual = np.bincount(nearest(familiar.vectors[remembered[odd_then]], centres)[0], minlength=len(centres)) / len(at)
    found: list[Topic] = []
    for number in _grown_most(np.bincount(belongs, minlength=len(centres)), len(now), usual, len(at)):
        members = odd_now[belongs == number]
        typical = members[np.argsort(-similarity[belongs == number] - now.strangeness[members], kind="stable")]
        examples = tuple(dict.fromkeys(str(query_id) for query_id in now.query_id[typical]))[:EXAMPLES]
        terms = _terms(contents, now.rows[typical], familiar)
        found.append(Topic(len(members) / len(now), float(usual[number]), terms, examples))
    return _joined(found)


def _joined(topics: Sequence[Topic]) -> list[Topic]:
    """Clusters that are called the same are one topic; the one that is named first gives its name and examples."""
    kept: list[Topic] = []
    for topic in topics:
        same = [at for at, one in enumerate(kept) if len(set(one.terms) & set(topic.terms)) >= SAME]
        if same:
            one = kept[same[0]]
            kept[same[0]] = replace(one, share=one.share + topic.share, before=one.before + topic.before)
        else:
            kept.append(topic)
    return kept


def _odd(measured: Measured, grown: Collection[int]) -> NDArray[np.bool_]:
    return (measured.strangeness > STRANGE) | np.isin(measured.topic, list(grown))


def _remembered(then: Measured, familiar: Familiar) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which units of the baseline are in memory, and where."""
    _, at, where = np.intersect1d(then.rows, familiar.remembered, assume_unique=True, return_indices=True)
    return at, where


def _grown_most(counts: NDArray[np.intp], n: int, usual: NDArray[np.float64], n_usual: int) -> Iterator[int]:
    """The clusters that have certainly grown, the most certain first."""
    share = counts / n
    error = np.sqrt(np.maximum(usual, 1 / n) / n + np.maximum(usual, 1 / n_usual) / n_usual)
    z = np.where(counts >= SMALLEST, (share - usual) / error, 0.0)
    yield from (int(number) for number in np.argsort(-z, kind="stable")[:MOST_SHOWN] if z[number] > CERTAIN)


def _terms(contents: Contents, rows: NDArray[np.intp], familiar: Familiar) -> tuple[str, ...]:
    if contents.texts is None or familiar.background is None:
        return ()
    texts = [redact(text) for text in contents.texts(rows[:READ_FOR_TERMS])]
    return tuple(distinctive(texts, familiar.background))


def examples_of(topics: Sequence[Topic], now: Measured, *, strangest: bool) -> tuple[str, ...]:
    """The queries to look at first: the strangest of all, or the most typical of each topic in turn."""
    if strangest:
        farthest = np.argsort(-now.strangeness, kind="stable")[: 2 * ALL_EXAMPLES]
        found = [str(query_id) for query_id in now.query_id[farthest]]
    else:
        rounds = zip_longest(*(topic.examples for topic in topics))
        found = [query_id for each in rounds for query_id in each if query_id is not None]
    return tuple(dict.fromkeys(found))[:ALL_EXAMPLES]


def named(topics: Sequence[Topic], familiar: Familiar) -> str:
    """The largest topics by their terms, as the end of a sentence; what was written by others stands in quotes."""
    if familiar.background is None:
        return "; texts are not kept, so look at the examples"
    told = [f'"{", ".join(topic.terms[:NAMED_BY])}" {percent(topic.share)}' for topic in topics if topic.terms]
    return f": {', '.join(told[:NAMED])}" if told else ""
