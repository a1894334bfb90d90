"""What the baseline asked about, as centres of clusters, and how far a query is from all of it.

How far is far? A query of the baseline lies nearer to centres that it helped to place than any later one does, so its
own distance would make everything new look strange. The baseline is therefore measured by cross-fitting: its days are
split into a few blocks, and each block is measured with centres that were placed without it. A later query is measured
with one of the same sets of centres, drawn by its hash; nothing has changed, so its distance is one of the same
distribution. (Cross-fitting: Chernozhukov and others 2018, *Double/debiased machine learning*, section 3.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.privacy import redact
from driftwatch.stats.clusters import ROWS_A_CENTRE, Vectors, nearest, spherical_kmeans
from driftwatch.stats.terms import Background
from driftwatch.types import Contents, Sample

BLOCKS = 4
"""Of days; each has its own set of centres."""
CENTRES, ROWS_A_CENTRE_AT_LEAST = 128, 10
TOPICS, ROWS_A_TOPIC_AT_LEAST = 32, 40
OWN_SCALE = 500
"""Units that a language must bring to be measured on its own scale; smaller ones share that of all."""
REMEMBERED = 6000
"""Vectors of the baseline that are kept in memory, to tell a new topic from what was always odd."""
ROWS_READ = 4096
"""Vectors in memory at once while the baseline is measured."""
SEED = 4711


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Units of a sample, one row each, oldest first."""

    sample: Sample
    place: NDArray[np.intp]
    """shape (n,): which rows of the sample they are."""
    strangeness: NDArray[np.float64]
    """shape (n,), in [0, 1]: the share of the baseline's units that lie nearer to what they are compared with."""
    topic: NDArray[np.intp]
    """shape (n,): the coarse cluster."""

    def __len__(self) -> int:
        return len(self.place)

    @property
    def lang(self) -> NDArray[np.str_]:
        """shape (n,)."""
        return self.sample.lang[self.place]

    @property
    def hour(self) -> NDArray[np.int64]:
        """shape (n,): hours since 1970."""
        hours: NDArray[np.int64] = self.sample.at[self.place].astype("datetime64[h]").astype(np.int64)
        return hours

    @property
    def query_id(self) -> NDArray[np.str_]:
        """shape (n,)."""
        return self.sample.query_id[self.place]

    @property
    def rows(self) -> NDArray[np.intp]:
        """shape (n,): their rows in the sample's contents."""
        return self.sample.rows[self.place]


@dataclass(frozen=True, slots=True, eq=False)
class Familiar:
    """What the baseline asked about."""

    centres: Vectors
    """shape (blocks, centres, dimension): the sets of centres, each placed without one block of days."""
    block: Mapping[int, int]
    """Day (since 1970) -> the set that was placed without it."""
    topics: Vectors
    """shape (topics, dimension): the coarse clusters."""
    scales: Mapping[str, NDArray[np.float32]]
    """Language -> distances of the baseline's units, ascending; of all units together under the empty name."""
    strangeness: NDArray[np.float64]
    """shape (rows of the baseline,): NaN where a row is not the first of its unit, or not embedded."""
    topic: NDArray[np.intp]
    """shape (rows of the baseline,)."""
    remembered: NDArray[np.intp]
    """Some rows of the baseline."""
    vectors: NDArray[np.float16]
    """shape (len(remembered), dimension)."""
    background: Background | None
    """None where the texts are not kept."""

    def measure(self, sample: Sample) -> Measured:
        """How far the units of a later sample are from what the baseline asked about."""
        place = units_of(sample)
        distance, topic = _distances(sample, place, self.centres, self.block, self.topics)
        return Measured(sample, place, _ranks(distance, sample.lang[place], self.scales), topic)

    def known(self, reference: Sample) -> Measured:
        """The same of a part of the baseline, as it was measured once."""
        place = np.flatnonzero(np.isfinite(self.strangeness[reference.rows]))
        rows = reference.rows[place]
        return Measured(reference, place, self.strangeness[rows], self.topic[rows])


def units_of(sample: Sample) -> NDArray[np.intp]:
    """The first embedded row of each unit: rows of one session are not independent. Ascending."""
    if sample.contents is None or not len(sample):
        return np.empty(0, np.intp)
    embedded = np.flatnonzero(sample.contents.embedded[sample.rows])
    _, first = np.unique(sample.unit[embedded], return_index=True)
    return embedded[np.sort(first)]


def learn(contents: Contents) -> Familiar | None:
    """What a whole baseline asked about; None when too little of it is embedded, or only one day."""
    sample = replace(contents.whole, contents=contents)
    place = units_of(sample)
    days = np.unique(_day(sample, place))
    if len(days) < 2 or len(place) < 2 * ROWS_A_TOPIC_AT_LEAST:
        return None
    random = np.random.default_rng(SEED)
    blocks = np.array_split(days, min(BLOCKS, len(days)))
    block = {int(day): number for number, part in enumerate(blocks) for day in part}
    fitted = _some(place, CENTRES * ROWS_A_CENTRE, random)
    vectors = contents.vectors(fitted)
    centres = _sets_of_centres(vectors, np.array([block[day] for day in _day(sample, fitted).tolist()]))
    topics = spherical_kmeans(vectors, int(np.clip(len(fitted) // ROWS_A_TOPIC_AT_LEAST, 2, TOPICS)), SEED)
    distance, topic = _distances(sample, place, centres, block, topics)
    scales = _scales(distance, sample.lang[place])
    strangeness, topic_of = np.full(len(sample), np.nan), np.full(len(sample), -1, np.intp)
    strangeness[place], topic_of[place] = _ranks(distance, sample.lang[place], scales), topic
    remembered = _some(place, REMEMBERED, random)
    background = Background.of(_texts(contents.texts, place)) if contents.texts is not None else None
    return Familiar(
        centres, block, topics, scales, strangeness, topic_of, remembered, contents.vectors(remembered), background
    )


def _some(place: NDArray[np.intp], most: int, random: np.random.Generator) -> NDArray[np.intp]:
    return place if len(place) <= most else np.sort(random.choice(place, most, replace=False))


def _day(sample: Sample, place: NDArray[np.intp]) -> NDArray[np.int64]:
    """Days since 1970."""
    days: NDArray[np.int64] = sample.at[place].astype("datetime64[D]").astype(np.int64)
    return days


def _sets_of_centres(vectors: NDArray[np.float16], block: NDArray[np.intp]) -> Vectors:
    """For each block of days the centres of everything else, shape (blocks, centres, dimension)."""
    parts = [vectors[block != number] for number in range(int(block.max()) + 1)]
    fewest = min(len(part) for part in parts)
    k = int(np.clip(fewest // ROWS_A_CENTRE_AT_LEAST, 1, CENTRES))
    sets = [spherical_kmeans(part, k, SEED + number) for number, part in enumerate(parts)]
    k = min(len(found) for found in sets)
    return np.stack([found[:k] for found in sets])


def _distances(
    sample: Sample, place: NDArray[np.intp], centres: Vectors, block: Mapping[int, int], topics: Vectors
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """1 - cosine to the nearest centre of the set that fits, and the coarse cluster, of the rows at ``place``."""
    distance, topic = np.empty(len(place), np.float32), np.empty(len(place), np.intp)
    drawn = sample.unit[place] % len(centres)
    fits = np.array([block.get(int(day), -1) for day in _day(sample, place)], np.int64)
    chosen = np.where(fits >= 0, fits, drawn)
    assert sample.contents is not None
    for start in range(0, len(place), ROWS_READ):
        part = slice(start, start + ROWS_READ)
        vectors = sample.contents.vectors(sample.rows[place[part]])
        for number in range(len(centres)):
            of_set = chosen[part] == number
            distance[part][of_set] = 1 - nearest(vectors[of_set], centres[number])[1]
        topic[part] = nearest(vectors, topics)[0]
    return distance, topic


def _scales(distance: NDArray[np.float32], lang: NDArray[np.str_]) -> dict[str, NDArray[np.float32]]:
    """Languages differ in how well the model knows them, so each that brings enough has a scale of its own."""
    names, counts = np.unique(lang, return_counts=True)
    own = [str(name) for name in names[counts >= OWN_SCALE]]
    return {"": np.sort(distance)} | {name: np.sort(distance[lang == name]) for name in own}


def _ranks(
    distance: NDArray[np.float32], lang: NDArray[np.str_], scales: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float64]:
    """The share of the scale below each distance; of equal ones, half."""
    ranks = np.empty(len(distance))
    for name in np.unique(lang):
        here = lang == name
        scale = scales.get(str(name), scales[""])
        below, upto = (np.searchsorted(scale, distance[here], side=side) for side in ("left", "right"))
        ranks[here] = (below + upto) / (2 * len(scale))
    return ranks


def _texts(texts: Callable[[NDArray[np.intp]], Sequence[str]], place: NDArray[np.intp]) -> Iterator[str]:
    """The texts of those rows, a few thousand in memory at once."""
    for start in range(0, len(place), ROWS_READ):
        yield from (redact(text) for text in texts(place[start : start + ROWS_READ]))
