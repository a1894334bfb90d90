"""Vectors of a corpus that is being embedded, on disk: a piece counts once its keys are written, and is never lost.

::

    <work>/vectors/<fingerprint>/00000001.npy         vectors, shape (n, dimension), float32
    <work>/vectors/<fingerprint>/00000001.keys.npy    the key of each: a hash of the text that was embedded

A key knows its text and the model, nothing of places. So whatever changes in the corpus, only new texts are embedded.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import write_array

Keys = NDArray[np.bytes_]
"""dtype S16."""
_BYTES = 16
_OPEN = 32
"""Pieces that are looked into at once."""


def keys_of(texts: Sequence[str]) -> Keys:
    """What names each text, shape (n,)."""
    digests = [blake2b(text.encode("utf-8", "replace"), digest_size=_BYTES).digest() for text in texts]
    return np.frombuffer(b"".join(digests), dtype=f"S{_BYTES}")


@dataclass
class KeptVectors:
    """What one model made of the texts so far. In memory are 24 bytes of each, and no vector."""

    folder: Path
    keys: Keys = field(default_factory=lambda: np.empty(0, f"S{_BYTES}"))
    """Sorted."""
    pieces: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    rows: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    """Where the vector of each key is."""
    count: int = 0
    """Pieces."""
    open: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    """Those that are looked into."""

    @classmethod
    def opened(cls, work: Path, fingerprint: str) -> KeptVectors:
        """What is there of this model; what is there of another one goes."""
        name = blake2b(fingerprint.encode(), digest_size=8).hexdigest()
        folder = work / "vectors" / name
        for other in folder.parent.glob("*"):
            if other.name != name:
                shutil.rmtree(other)
        folder.mkdir(parents=True, exist_ok=True)
        kept = cls(folder)
        while (path := kept._path(kept.count + 1, ".keys")).exists():
            kept.count += 1
            kept._merge(np.load(path), kept.count)
        return kept

    def has(self, keys: Keys) -> NDArray[np.bool_]:
        """Which of ``keys`` have a vector."""
        places = np.searchsorted(self.keys, keys)
        found = np.zeros(len(keys), bool)
        inside = places < len(self.keys)
        found[inside] = self.keys[places[inside]] == keys[inside]
        return found

    def add(self, keys: Keys, vectors: NDArray[np.float32]) -> None:
        """One more piece: both files whole, the keys last."""
        write_array(self._path(self.count + 1), vectors)
        write_array(self._path(self.count + 1, ".keys"), keys)
        self.count += 1
        self._merge(keys, self.count)

    def vectors(self, keys: Keys) -> NDArray[np.float32]:
        """The vector of each key, shape (n, dimension).

        Raises:
            RetrainError: one is not there: somebody removed files.
        """
        if not self.has(keys).all():
            raise RetrainError(
                f"{self.folder}: vectors of some texts are gone.", remedy="Start it again: what lacks is embedded."
            )
        places = np.searchsorted(self.keys, keys)
        pieces, rows = self.pieces[places], self.rows[places]
        found = np.empty((len(keys), self.dimension), np.float32)
        for piece in np.unique(pieces):
            wanted = pieces == piece
            found[wanted] = self._opened(int(piece))[rows[wanted]]
        return found

    @property
    def dimension(self) -> int:
        """Numbers of a vector; 0 while there is none."""
        return int(self._opened(1).shape[1]) if self.count else 0

    def _path(self, number: int, what: str = "") -> Path:
        return self.folder / f"{number:08}{what}.npy"

    def _opened(self, number: int) -> NDArray[np.float32]:
        if number not in self.open:
            if len(self.open) >= _OPEN:
                self.open.clear()
            self.open[number] = np.load(self._path(number), mmap_mode="r")
        return self.open[number]

    def _merge(self, keys: Keys, piece: int) -> None:
        """The first vector of a text stays the one that counts."""
        different, rows = np.unique(keys, return_index=True)
        new = ~self.has(different)
        different, rows = different[new], rows[new]
        places = np.searchsorted(self.keys, different)
        self.keys = np.insert(self.keys, places, different)
        self.pieces = np.insert(self.pieces, places, np.int32(piece))
        self.rows = np.insert(self.rows, places, rows.astype(np.int32))
