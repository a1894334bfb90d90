"""The sampled queries that the Evidently page compares, of the week and of the baseline, as plain columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.reported import Week
from driftwatch.store import Store
from driftwatch.types import Sample

MOST_ROWS = 20_000
"""Of both together: the page grows with them, and says no more with a million."""

MOST_VECTORS = 2_000
"""Of both together: Evidently draws a map of them (t-SNE), which takes ten seconds for so many."""

Column = NDArray[Any]
Columns = Mapping[str, Column]
Piece = tuple[str, Sample]
"""A source, and some of its sample."""
Fill = Callable[[Sample, str, int], Sample]

VECTORS_A_DAY = 150
NO_VECTORS = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class DriftRows:
    """Two sets of the same columns: numbers as float64, names as text. No text of any query is among them."""

    now: Columns
    usual: Columns
    now_vectors: NDArray[np.float32] = field(default_factory=lambda: NO_VECTORS)
    """shape (n, dimension): embeddings of some of the week's queries; none where nothing is embedded."""
    usual_vectors: NDArray[np.float32] = field(default_factory=lambda: NO_VECTORS)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Name -> array, for ``attached.attach``."""
        columns = {
            f"{side}/{name}": column for side in ("now", "usual") for name, column in getattr(self, side).items()
        }
        return columns | {"now_vectors": self.now_vectors, "usual_vectors": self.usual_vectors}


def drift_rows(now: Iterable[Piece], usual: Iterable[Piece], seed: int) -> DriftRows:
    """Every source and day of both, drawn evenly by ``seed`` where there are more rows than are shown.

    Where a sample has ``contents``, vectors that are there already are taken along; nothing is embedded for it.
    """
    random = np.random.default_rng(seed)
    (current, vectors), (before, usual_vectors) = map(_joined, (now, usual))
    half = MOST_ROWS // 2
    return DriftRows(
        _drawn(current, half, random),
        _drawn(before, half, random),
        _few(vectors, MOST_VECTORS // 2, random),
        _few(usual_vectors, MOST_VECTORS // 2, random),
    )


def week_rows(store: Store, week: Week, fill: Fill | None = None, seed: int = 0) -> DriftRows:
    """The rows of ``week`` and of what it is compared with; ``fill`` adds what is embedded (``contents.Asked.fill``).

    The same week gives the same rows as long as the store keeps them.
    """
    sources = list(dict.fromkeys(each.source for each in week.mixes))
    usual = {source: _normal(week, source) for source in sources}
    return drift_rows(
        _pieces(store, {source: (week.start, min(week.end, week.seen_until)) for source in sources}, fill),
        _pieces(store, {source: span for source, span in usual.items() if span is not None}, fill),
        seed,
    )


def _normal(week: Week, source: str) -> tuple[datetime, datetime] | None:
    """The baseline of a source's scores: the one for just that, before the general one."""
    found = [each for each in week.normals if each.source in (source, "*")]
    found.sort(key=lambda each: (each.aspect != "scores", each.source == "*"))
    return next(((each.start, each.end) for each in found if each.aspect in ("", "scores")), None)


def _pieces(store: Store, spans: Mapping[str, tuple[datetime, datetime]], fill: Fill | None) -> Iterator[Piece]:
    """A day at a time, which bounds what is in memory at once."""
    for source, (start, end) in spans.items():
        while start < end:
            until = min(end, start + timedelta(days=1))
            sample = store.traffic.sample(source, start, until, ids=fill is not None)
            if len(sample):
                yield source, sample if fill is None else fill(sample, source, VECTORS_A_DAY)
            start = until


def _joined(pieces: Iterable[Piece]) -> tuple[dict[str, Column], NDArray[np.float32]]:
    """The columns of every piece, one below the other, and its vectors."""
    parts, vectors = [], []
    for source, sample in pieces:
        parts.append(_columns(source, sample))
        vectors.append(_vectors(sample))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}
    there = [each for each in vectors if len(each) and each.shape[1] == max(one.shape[1] for one in vectors)]
    return columns, np.concatenate(there) if there else NO_VECTORS


def _columns(source: str, sample: Sample) -> dict[str, Column]:
    scores = sample.scores.astype(np.float64)
    known = ~np.isnan(scores)
    results = known.sum(axis=1).astype(np.float64)
    best = scores[:, 0] if scores.shape[1] else np.full(len(sample), np.nan)
    total = np.where(known, scores, 0.0).sum(axis=1)
    mean = np.divide(total, results, out=np.full(len(sample), np.nan), where=results > 0)
    hour = sample.at.astype("datetime64[h]").astype(np.int64) % 24
    return {
        "best score": best,
        "mean score": mean,
        "results with a score": np.where(results > 0, results, np.nan),
        "hour of the day (UTC)": hour.astype(np.float64),
        "language": sample.lang.astype(np.str_),
        "source": np.full(len(sample), source),
    }


def _drawn(columns: Mapping[str, Column], most: int, random: np.random.Generator) -> dict[str, Column]:
    rows = len(next(iter(columns.values()), ()))
    if rows <= most:
        return dict(columns)
    chosen = np.sort(random.choice(rows, most, replace=False))
    return {name: column[chosen] for name, column in columns.items()}


def _vectors(sample: Sample) -> NDArray[np.float32]:
    contents = sample.contents
    there = np.flatnonzero(contents.embedded) if contents is not None else np.empty(0, np.intp)
    return contents.vectors(there).astype(np.float32) if contents is not None and len(there) else NO_VECTORS


def _few(vectors: NDArray[np.float32], most: int, random: np.random.Generator) -> NDArray[np.float32]:
    return vectors if len(vectors) <= most else vectors[np.sort(random.choice(len(vectors), most, replace=False))]
