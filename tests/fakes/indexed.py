"""A real FAISS index of made-up documents, its source and an embedder; all can be changed between two looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from driftwatch.documents import Documents
from driftwatch.probes import Target
from driftwatch.probes.index import look_at
from driftwatch.retrievers.faiss import Faiss
from driftwatch.sources.index import Index
from driftwatch.types import Probe, Query

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DIMENSION = 48
LANGS = ("de", "en", "fr")


class TextsInTopics:
    """Gives each text a vector of its own near its topic: the word before the colon. A prompt moves it."""

    normalises = True

    def __init__(self, *, moved: float = 0.0, fingerprint: str = "made up") -> None:
        self.moved, self.fingerprint = moved, fingerprint
        self.documents = 0

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As documents."""
        self.documents += len(texts)
        return self.encode_as("passage: ", texts)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As queries."""
        return self.encode_as("query: ", texts)

    def encode_as(self, prompt: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """With any prompt."""
        found = [
            drawn(text.partition(":")[0])
            + 0.7 * drawn(text)
            + 0.5 * drawn(prompt + text)
            + self.moved * drawn("library" + text)
            for text in texts
        ]
        rows = np.stack(found)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@cache
def drawn(name: str) -> NDArray[np.float64]:
    """A direction for each name."""
    vector = np.random.default_rng(list(name.encode())).normal(size=DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector))


class Indexed:
    """Documents, an index of them, and one look after another."""

    def __init__(self, folder: Path, documents: int = 300, **settings: object) -> None:
        self.folder = folder
        self.embedder = TextsInTopics()
        self.source = Index(name="index", **({"documents": 64, "queries": 16} | settings))
        self.texts = {f"doc-{n:04}": f"topic{n % 10}: text {n}" for n in range(documents)}
        self.held = dict(self.texts)
        """What the index holds: the texts that were embedded."""
        self.instead: dict[str, NDArray[np.float32]] = {}
        """doc_id -> another vector than that of its text."""
        self.form = "Flat"
        self.probes: list[Probe] = []
        self.canaries = tuple(
            Query(f"q{n}", self.texts[f"doc-{n:04}"], LANGS[n % 3], {f"doc-{n:04}": 1}) for n in range(12)
        )
        self.stopping = False
        self.write()

    def write(self) -> None:
        """The files as they are now."""
        lines = [
            json.dumps({"id": each, "text": text, "lang": LANGS[int(each[-4:]) % 3]})
            for each, text in self.texts.items()
        ]
        (self.folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
        plain = TextsInTopics().encode_documents(list(self.held.values()))
        rows = np.stack([self.instead.get(each, row) for each, row in zip(self.held, plain, strict=True)])
        index = faiss.index_factory(rows.shape[1], self.form, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        index.add(np.ascontiguousarray(rows))
        faiss.write_index(index, str(self.folder / "docs.faiss"))
        (self.folder / "ids.txt").write_text("".join(f"{each}\n" for each in self.held))

    def spoil(self, doc_ids: Sequence[str]) -> None:
        """These hold vectors of another model from now on."""
        self.instead |= {each: drawn("other model" + each).astype(np.float32) for each in doc_ids}
        self.write()

    def target(self, **more: object) -> Target:
        """What is looked into."""
        index = Faiss(kind="faiss", index=self.folder / "docs.faiss", ids=self.folder / "ids.txt")
        corpus = Documents(path="corpus.jsonl").corpus(self.folder)
        given = {"index": index, "service": index, "embedder": self.embedder, "corpus": corpus}
        return Target(**(given | {"canaries": self.canaries, "stopping": lambda: self.stopping} | more))

    def look(self, **more: object) -> Probe:
        """One hour later."""
        now = MONDAY + len(self.probes) * HOUR
        self.probes.append(look_at(self.source, self.target(**more), self.probes[-1] if self.probes else None, now))
        return self.probes[-1]
