"""Documents in three languages with seeded vectors, and an embedder that gives each text its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSION = 16


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry to put into an index."""

    number: int
    """Counts from 1; what the store calls it where it wants a number."""
    doc_id: str
    vector: NDArray[np.float32]
    text: str
    lang: str


def seeded_entries(documents: int = 200, dimension: int = DIMENSION, twice: int = 10) -> list[Entry]:
    """Entries of ``documents`` documents in turn in de, en and fr, not normalised; every ``twice``-th has two."""
    rng = np.random.default_rng(7)
    found: list[Entry] = []
    for place in range(documents):
        for part in range(2 if place % twice == 0 else 1):
            vector = rng.normal(size=dimension).astype(np.float32) * np.float32(rng.uniform(0.5, 2))
            text = f"text {part} of document {place}"
            found.append(Entry(len(found) + 1, f"doc-{place:03}", vector, text, ("de", "en", "fr")[place % 3]))
    return found


def seeded_queries(count: int = 8, dimension: int = DIMENSION) -> NDArray[np.float32]:
    """Unit vectors, shape (count, dimension)."""
    rows = np.random.default_rng(11).normal(size=(count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def best_documents(
    entries: list[Entry], queries: NDArray[np.float32], top_k: int, metric: str
) -> list[list[tuple[str, float]]]:
    """(doc_id, score) of the best documents of each query by plain arithmetic in float64, each with its best entry.

    Scores are similarities for `cosine` and `dot`, distances for `euclidean`.
    """
    rows = np.stack([entry.vector for entry in entries]).astype(np.float64)
    asked = queries.astype(np.float64)
    if metric == "euclidean":
        scores = np.linalg.norm(asked[:, None, :] - rows[None, :, :], axis=2)
    else:
        scores = asked @ rows.T
        if metric == "cosine":
            scores /= np.linalg.norm(asked, axis=1)[:, None] * np.linalg.norm(rows, axis=1)[None, :]
    sign = 1 if metric == "euclidean" else -1
    found = []
    for line in scores:
        best: dict[str, float] = {}
        for place in np.argsort(sign * line, kind="stable"):
            best.setdefault(entries[place].doc_id, float(line[place]))
        found.append(list(best.items())[:top_k])
    return found


class HashEmbedder:
    """A unit vector for each text, the same each time; knows nothing of meaning."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        self.dimension = dimension

    @property
    def fingerprint(self) -> str:
        return f"hash-{self.dimension}"

    def encode_queries(self, texts: list[str]) -> NDArray[np.float32]:
        return np.stack([self._encode(text) for text in texts])

    encode_documents = encode_queries

    def _encode(self, text: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        row = np.random.default_rng(seed).normal(size=self.dimension)
        return (row / np.linalg.norm(row)).astype(np.float32)
