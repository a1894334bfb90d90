"""A small corpus in a FAISS index, and models whose vectors are known, for tests that build it anew."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrained import Passage
from driftwatch.retrievers.faiss import Faiss

OLD_WIDTH, WIDTH = 16, 24


class Model:
    """A unit vector for each text, another one for each model; counts what it embeds."""

    def __init__(self, name: str = "new", width: int = WIDTH) -> None:
        self.name, self.width = name, width
        self.embedded: list[str] = []

    @property
    def fingerprint(self) -> str:
        return f"{self.name}-{self.width}"

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    encode_queries = encode_documents

    def _vector(self, text: str) -> NDArray[np.float32]:
        digest = hashlib.blake2b(f"{self.name} {text}".encode(), digest_size=8).digest()
        row = np.random.default_rng(int.from_bytes(digest, "big")).normal(size=self.width)
        return (row / np.linalg.norm(row)).astype(np.float32)


def passages(count: int = 120, changed: frozenset[int] = frozenset()) -> list[Passage]:
    """``count`` documents; every tenth has two passages."""
    found = []
    for number in range(count):
        said = "another text" if number in changed else "text"
        for part in range(2 if number % 10 == 0 else 1):
            name = f"doc-{number:03}"
            passage_id = name if part == 0 else f"{name}#{len(found)}"
            found.append(Passage(passage_id, name, f"{said} {part} of document {number}", "en"))
    return found


def faiss_index(folder: Path, held: Sequence[Passage], spec: str = "HNSW8", **settings: object) -> Faiss:
    """An index of ``held`` by the model `old`, with the ids beside it."""
    import faiss

    folder.mkdir(parents=True, exist_ok=True)
    vectors = Model("old", OLD_WIDTH).encode_documents([each.text for each in held])
    index = faiss.index_factory(OLD_WIDTH, spec, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(folder / "docs.faiss"))
    (folder / "ids.txt").write_text("".join(f"{each.parent}\n" for each in held))
    return Faiss(kind="faiss", index=folder / "docs.faiss", ids=folder / "ids.txt", **settings)


def corpus_file(path: Path, held: Sequence[Passage]) -> Path:
    """JSON lines for `documents:`, of documents with one passage."""
    path.write_text("".join(json.dumps({"id": each.parent, "text": each.text}) + "\n" for each in held))
    return path
