"""What came to a list and what left it, from a sketch of its former state whose size does not grow with the list.

An invertible Bloom lookup table: Eppstein, Goodrich, Uyeda and Varghese (2011), "What's the difference? Efficient set
reconciliation without prior context", SIGCOMM, section 3.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]

CELLS = 1536
"""A difference of up to about 1,000 keys can be read."""
PLACES = 3
"""Cells that a key is written to."""
_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


@dataclass(frozen=True, eq=False)
class Sketch:
    """Keys, added up in cells."""

    counts: NDArray[np.int32]
    sums: Keys
    checks: NDArray[np.uint32]

    @classmethod
    def empty(cls) -> Sketch:
        """Of nothing."""
        return cls(np.zeros(CELLS, np.int32), np.zeros(CELLS, np.uint64), np.zeros(CELLS, np.uint32))

    def add(self, keys: Keys) -> None:
        """Write ``keys`` into the cells."""
        for place in _places(keys):
            np.add.at(self.counts, place, 1)
            np.bitwise_xor.at(self.sums, place, keys)
            np.bitwise_xor.at(self.checks, place, _check(keys))

    def came_and_left(self, former: Sketch) -> tuple[Keys, Keys] | None:
        """(keys that are here and were not, keys that were and are not); None: more than the sketch can tell."""
        counts, sums, checks = self.counts - former.counts, self.sums ^ former.sums, self.checks ^ former.checks
        came: list[Keys] = []
        left: list[Keys] = []
        while True:
            pure = (np.abs(counts) == 1) & (_check(sums) == checks)
            keys, first = np.unique(sums[pure], return_index=True)
            if not len(keys):
                break
            signs = counts[pure][first]
            came.append(keys[signs > 0])
            left.append(keys[signs < 0])
            for place in _places(keys):
                np.subtract.at(counts, place, signs)
                np.bitwise_xor.at(sums, place, keys)
                np.bitwise_xor.at(checks, place, _check(keys))
        if counts.any() or sums.any():
            return None
        return _joined(came), _joined(left)

    def dump(self) -> str:
        """As text."""
        packed = (
            self.counts.astype("<i4").tobytes()
            + self.sums.astype("<u8").tobytes()
            + self.checks.astype("<u4").tobytes()
        )
        return base64.b64encode(packed).decode()

    @classmethod
    def read(cls, text: object) -> Sketch | None:
        """What ``dump`` wrote; None when it is something else."""
        try:
            packed = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except ValueError:
            return None
        if len(packed) != 16 * CELLS:
            return None
        return cls(
            np.frombuffer(packed[: 4 * CELLS], "<i4").astype(np.int32),
            np.frombuffer(packed[4 * CELLS : 12 * CELLS], "<u8").astype(np.uint64),
            np.frombuffer(packed[12 * CELLS :], "<u4").astype(np.uint32),
        )


def mixed(keys: Keys, salt: int) -> Keys:
    """Another number for each key, one to one: in the order of these, the keys are shuffled."""
    found = keys ^ np.uint64((salt * 0x9E3779B97F4A7C15) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(found ^ (found >> np.uint64(31)))


def _places(keys: Keys) -> list[NDArray[np.int64]]:
    """The cells of each key: one in each third of the table."""
    part = CELLS // PLACES
    shuffled = [mixed(keys, salt) % np.uint64(part) for salt in _SALTS[:PLACES]]
    return [number * part + each.astype(np.int64) for number, each in enumerate(shuffled)]


def _check(keys: Keys) -> NDArray[np.uint32]:
    return (mixed(keys, _SALTS[PLACES]) >> np.uint64(32)).astype(np.uint32)


def _joined(parts: list[Keys]) -> Keys:
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)
