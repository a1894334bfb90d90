"""Evidence as counts: how many independent units of an hour are inside each watched share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Counts of independent units (sessions, else distinct queries of a day), by step of time and segment."""

    step: NDArray[np.int64]
    """shape (T,), ascending: hours since 1970 UTC; only hours that hold something need be there."""
    segments: tuple[str, ...]
    """S names; never the pooled one, which is the sum of all."""
    n: Floats
    """shape (T, S): units."""
    hits: Floats
    """shape (T, S, J): of them, inside share j. May be fractional."""
    expected: Floats | None = None
    """shape (T, S, J): hits to expect, where the check knows them better than the season does; else None."""

    def __len__(self) -> int:
        return len(self.step)

    def keep(self, mask: NDArray[np.bool_] | slice) -> Shares:
        """The steps where ``mask`` holds."""
        expected = None if self.expected is None else self.expected[mask]
        return Shares(self.step[mask], self.segments, self.n[mask], self.hits[mask], expected)

    def after(self, step: int) -> Shares:
        """The steps later than ``step``."""
        return self.keep(slice(int(np.searchsorted(self.step, step, side="right")), None))

    def of(self, segments: tuple[str, ...]) -> Shares:
        """The same counts with ``segments`` in that order; a segment without counts has none."""
        if segments == self.segments:
            return self
        at = {name: place for place, name in enumerate(self.segments)}
        known = [place for place, name in enumerate(segments) if name in at]
        source = [at[segments[place]] for place in known]

        def laid(counts: Floats) -> Floats:
            out = np.zeros((len(self.step), len(segments), *counts.shape[2:]))
            out[:, known] = counts[:, source]
            return out

        expected = None if self.expected is None else laid(self.expected)
        return Shares(self.step, segments, laid(self.n), laid(self.hits), expected)

    @staticmethod
    def joined(parts: list[Shares]) -> Shares:
        """Parts with the same segments, one after the other in time."""
        first = parts[0]
        expected = None
        if first.expected is not None:
            expected = np.concatenate([part.expected for part in parts if part.expected is not None])
        return Shares(
            np.concatenate([part.step for part in parts]),
            first.segments,
            np.concatenate([part.n for part in parts]),
            np.concatenate([part.hits for part in parts]),
            expected,
        )


def binned(hour: NDArray[np.int64], lang: NDArray[np.str_], inside: Floats, segments: tuple[str, ...]) -> Shares:
    """Counts of units given one row each.

    ``hour``: shape (n,), hours since 1970; ``lang``: shape (n,); ``inside``: shape (n, J), in [0, 1]. Rows of other
    languages than ``segments`` are left out.
    """
    return summed(hour, lang, np.ones(len(hour)), inside, segments)


def summed(
    hour: NDArray[np.int64], lang: NDArray[np.str_], n: Floats, hits: Floats, segments: tuple[str, ...]
) -> Shares:
    """Counts given as rows of ``n`` units, shape (rows,), and ``hits``, shape (rows, J), in any order."""
    names, code = np.unique(lang, return_inverse=True)
    places = {name: place for place, name in enumerate(segments)}
    column = np.array([places.get(name, -1) for name in names.tolist()], dtype=np.int64)[code]
    known = column >= 0
    hour, n, hits, column = hour[known], n[known], hits[known], column[known]
    step, row = np.unique(hour, return_inverse=True)
    shape = (len(step), len(segments))
    cell = row * len(segments) + column

    def counted(weights: Floats) -> Floats:
        return np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)

    parts = [counted(hits[:, share]) for share in range(hits.shape[1])]
    return Shares(step.astype(np.int64), segments, counted(n), np.stack(parts, axis=2))
