"""What lines say, counted twice: every line, and the first line of each unit on its day that says something about it.

A line becomes two numbers in the reader's loop, a code of what it says and the digest of its unit; thousands of them
are counted at once.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from driftwatch.sampling import OpenStratum, SeenUnits
from driftwatch.types import TALLY_FIELDS

# The four lowest bits of a code are for what a line is the first of its unit to say: see ``_topics``.
FOUND, NOTHING = 1 << 4, 3 << 4
ANSWERED, ABSTAINED = 1 << 6, 3 << 6
FEEDBACK = {name: place << 8 for place, name in enumerate(("none", "up", "down", "click", "accepted"), 1)}
FAILED, DETECTED = 1 << 11, 1 << 12
CLOSED = 1 << 13
"""Its day is closed: it counts as a line and not as a unit."""
_CELL, _TABLE = 14, 40

AT_ONCE = 1 << 13
"""Lines whose digests are held until they are counted."""


class Counting:
    """The counts of one batch."""

    __slots__ = ("_counted", "_tables", "cells", "codes", "digests")

    def __init__(self) -> None:
        self.cells: list[tuple[int, str]] = []
        """(hour, language) of each row of counts."""
        self.codes: list[int] = []
        """Of each line that is not counted yet: the code of its cell and what it says, added up."""
        self.digests: list[bytes] = []
        """The digest of its unit."""
        self._tables: dict[SeenUnits, int] = {}
        self._counted: Counter[int] = Counter()

    def cell(self, hour: int, lang: str, layer: OpenStratum) -> int:
        """The code of a new row of counts; units are told apart within the layer's day."""
        table = self._tables.setdefault(layer.seen, len(self._tables))
        self.cells.append((hour, lang))
        return table << _TABLE | (len(self.cells) - 1) << _CELL

    def count(self) -> None:
        """Count the lines that are waiting."""
        if not self.codes:
            return
        codes = np.array(self.codes, dtype=np.int64)
        digests = np.frombuffer(b"".join(self.digests), dtype=">u8").astype(np.uint64)
        self.codes.clear()
        self.digests.clear()
        table_of = np.where(codes & CLOSED, -1, codes >> _TABLE)
        seen = tuple(self._tables)
        for table in np.unique(table_of[table_of >= 0]).tolist():
            rows = np.flatnonzero(table_of == table)
            codes[rows] |= seen[table].first(digests[rows], _topics(codes[rows]))
        distinct, times = np.unique(codes, return_counts=True)
        for code, count in zip(distinct.tolist(), times.tolist(), strict=True):
            self._counted[code] += count

    def tallies(self) -> dict[tuple[int, str], list[int]]:
        """(hour, language) -> counts in the order of ``TALLY_FIELDS``."""
        self.count()
        codes = np.fromiter(self._counted, np.int64, len(self._counted))
        times = np.fromiter(self._counted.values(), np.int64, len(self._counted))
        counts = np.zeros((len(self.cells), len(TALLY_FIELDS)), dtype=np.int64)
        np.add.at(counts, (codes & (1 << _TABLE) - 1) >> _CELL, _columns(codes) * times[:, None])
        return dict(zip(self.cells, counts.tolist(), strict=True))


def _topics(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a line says anything about, a bit each: that it was asked, its results, an abstention, feedback."""
    return 1 | (codes >> 4 & 1) << 1 | (codes >> 6 & 1) << 2 | np.where(_feedback(codes), 8, 0)


def _feedback(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return codes >> 8 & 7


_TOPIC = np.array([0, 1, 1, 2, 2, 3, 3, 3, 3, 3])
"""Which bit of ``_topics`` each of the counters below belongs to."""


def _columns(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shape (n, len(TALLY_FIELDS)): what one line of each code adds."""
    asked = np.ones_like(codes)
    results = (codes >> 4 & 1, codes >> 5 & 1)
    abstention = (codes >> 6 & 1, codes >> 7 & 1)
    feedback = [_feedback(codes) > 0, *(_feedback(codes) == place for place in (2, 3, 4, 5))]
    lines = np.stack([asked, *results, *abstention, *feedback], axis=1)
    units = lines * (codes[:, None] >> _TOPIC & 1)
    return np.concatenate([lines, np.stack([codes >> 12 & 1, codes >> 11 & 1], axis=1), units], axis=1)
