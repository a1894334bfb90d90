"""A FAISS index file and the ids of its rows, read together and searched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, MissingExtra, RetrieverError
from driftwatch.retrievers._exact import MOST_ENTRIES, Block, best_of
from driftwatch.retrievers._faiss_rows import Rows
from driftwatch.types import ScoredDoc, ScoreKind

ANSWERED = 1_000_000
"""Rows that one search may name, of all its queries."""
_ID_KEYS = ("id", "doc_id", "_id", "document_id")


@dataclass(frozen=True)
class Loaded:
    """An index in memory. Row ``i`` of the index is the document ``ids[i]``."""

    index: Any
    ids: NDArray[np.object_] | None
    """shape (ntotal,); None: the index's own numbers are the ids."""
    version: str
    """Names the content of the index file."""
    seen: tuple[tuple[int, int], ...] = field(compare=False)
    """Size and time of the files when they were read."""

    @property
    def score_kind(self) -> ScoreKind | None:
        """What the index's metric gives; None for a metric other than L2 and inner product."""
        import faiss

        kinds: dict[int, ScoreKind] = {faiss.METRIC_INNER_PRODUCT: "similarity", faiss.METRIC_L2: "distance"}
        return kinds.get(self.index.metric_type)

    @cached_property
    def rows(self) -> Rows:
        """What the index stores."""
        return Rows(self.index)

    @cached_property
    def doc_ids(self) -> NDArray[np.object_]:
        """shape (ntotal,): the document of each row."""
        labels = self.rows.labels
        if self.ids is not None:
            return self.ids if labels is None else self.ids[labels]
        numbers = range(self.index.ntotal) if labels is None else labels.tolist()
        return np.array(list(map(str, numbers)), dtype=object)

    @cached_property
    def held(self) -> frozenset[str]:
        """Every document the index holds."""
        return frozenset(self.doc_ids.tolist())

    @cached_property
    def entries(self) -> dict[str, int]:
        """entry_id -> row, in the order of the rows.

        An entry is called what its document is; where a document has several, all but the first by their row as well.
        """
        found: dict[str, int] = {}
        for row, doc_id in enumerate(self.doc_ids.tolist()):
            entry_id = doc_id
            if doc_id in found:
                entry_id = f"{doc_id}#{row}"
                while entry_id in self.held or entry_id in found:
                    entry_id += "#"
            found[entry_id] = row
        return found

    @property
    def _several(self) -> bool:
        """Whether some document has several rows."""
        return len(self.held) < int(self.index.ntotal)

    def search(self, vectors: NDArray[np.float32], top_k: int, *, exact: bool) -> list[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, shape (n, dimension), each of them once."""
        if vectors.shape[1] != self.index.d:
            raise EmbedError(
                f"the embedder gives vectors of {vectors.shape[1]} numbers, and the index holds vectors of "
                f"{self.index.d}.",
                remedy="Set 'embedder: model' (and 'dimension') to what the index was built with.",
            )
        if self.index.ntotal == 0:
            return [()] * len(vectors)
        if exact:
            return best_of(self._blocks(), vectors, top_k, self.metric, distinct=not self._several)
        return self._search_as_built(np.ascontiguousarray(vectors, dtype=np.float32), top_k)

    @property
    def metric(self) -> Literal["dot", "euclidean"]:
        """What is compared: inner products or (squared) Euclidean distances."""
        return "dot" if self.score_kind == "similarity" else "euclidean"

    def _blocks(self) -> Iterator[Block]:
        for rows, vectors in self.rows.blocks():
            yield self.doc_ids[rows], vectors

    def _search_as_built(self, vectors: NDArray[np.float32], top_k: int) -> list[tuple[ScoredDoc, ...]]:
        """Documents with many rows may fill an answer: then more rows are asked for, of those queries alone."""
        wanted, most = min(top_k, len(self.held)), min(max(top_k, MOST_ENTRIES), self.index.ntotal)
        found: list[tuple[ScoredDoc, ...]] = [()] * len(vectors)
        short, count = np.arange(len(vectors)), min(top_k, most)
        while len(short):
            again = []
            for start in range(0, len(short), max(1, ANSWERED // count)):
                places = short[start : start + max(1, ANSWERED // count)]
                scores, labels = self.index.search(vectors[places], count)
                answers = self._documents(scores, labels, several=self._several)
                for place, hits, complete in zip(places.tolist(), answers, (labels >= 0).all(axis=1), strict=True):
                    found[place] = hits[:top_k]
                    if complete and len(hits) < wanted and count < most:
                        again.append(place)
            short, count = np.array(again, dtype=np.intp), min(2 * count, most)
        return found

    def _documents(
        self, scores: NDArray[np.float32], labels: NDArray[np.int64], *, several: bool
    ) -> list[tuple[ScoredDoc, ...]]:
        names = self._names(labels)
        found = labels >= 0
        if found.all() and not several:
            return [tuple(map(ScoredDoc, *row)) for row in zip(names.tolist(), scores.tolist(), strict=True)]
        answers = []
        for names_row, scores_row, kept in zip(names, scores, found, strict=True):
            pairs = list(zip(names_row[kept].tolist(), scores_row[kept].tolist(), strict=True))
            answers.append(tuple(ScoredDoc(name, score) for name, score in _first_of_each(pairs)))
        return answers

    def _names(self, labels: NDArray[np.int64]) -> NDArray[np.object_]:
        if self.ids is not None:
            return self.ids[labels]
        return np.array([str(label) for label in labels.ravel().tolist()], dtype=object).reshape(labels.shape)


def _first_of_each(pairs: Sequence[tuple[str, float]]) -> Iterable[tuple[str, float]]:
    found: dict[str, float] = {}
    for name, score in pairs:
        found.setdefault(name, score)
    return found.items()


def load(index_path: Path, ids_path: Path | None) -> Loaded:
    """Read both files.

    Raises:
        RetrieverError: one is missing, unreadable, or they do not belong together.
        MissingExtra: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss-cpu", "embed", "The retriever 'faiss'") from None
    seen = stamps(index_path, ids_path)
    try:
        index = faiss.read_index(str(index_path))
        with index_path.open("rb") as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=6)).hexdigest()
    except (OSError, RuntimeError) as error:
        reason = str(error).rpartition("Error: ")[2].rpartition(": ")[2].strip()[:200]
        raise RetrieverError(
            f"{index_path} cannot be read as a FAISS index: {reason or type(error).__name__}.",
            remedy="Is it complete, and written by faiss.write_index?",
        ) from None
    ids = read_ids(ids_path) if ids_path else None
    loaded = Loaded(index, None if ids is None else np.array(ids, dtype=object), f"{index.ntotal}-{digest}", seen)
    if ids is not None:
        _check_together(loaded, index_path, ids_path)
    _ = loaded.rows.able, loaded.entries  # here and not when first needed, which may be in two threads at once
    return loaded


def stamps(*paths: Path | None) -> tuple[tuple[int, int], ...]:
    """Size and modification time of each file.

    Raises:
        RetrieverError: one of them cannot be looked at.
    """
    try:
        return tuple((path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path)
    except OSError as error:
        raise RetrieverError(
            f"{error.filename}: {error.strerror}.", remedy="Check 'index' and 'ids', and who may read them."
        ) from None


def tune(index: Any, name: str, value: int) -> None:
    """Set ``nprobe`` or ``efSearch``.

    Raises:
        RetrieverError: this kind of index has no such setting.
    """
    import faiss

    try:
        faiss.ParameterSpace().set_index_parameter(index, name, value)
    except RuntimeError:
        setting = {"nprobe": "nprobe", "efSearch": "ef_search"}[name]
        kind = type(faiss.downcast_index(index)).__name__
        raise RetrieverError(f"'{setting}' does not fit an index of the kind {kind}.", remedy="Leave it out.") from None


def read_ids(path: Path) -> list[str]:
    """Document ids in the order of the index's rows: a JSON list, JSON lines, or one id a line.

    Raises:
        RetrieverError: naming file and line.
    """
    try:
        if path.suffix == ".json":
            return _from_json(orjson.loads(path.read_bytes()), path)
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not what its name says"
        raise RetrieverError(f"{path} cannot be read: {reason}.", remedy="It should hold one id a line.") from None
    read = _from_json_line if path.suffix in (".jsonl", ".ndjson") else str.strip
    ids = []
    for place, line in enumerate(lines, 1):
        try:
            doc_id = read(line)
        except ValueError:
            doc_id = ""
        if not doc_id:
            raise RetrieverError(f"{path}:{place}: there is no document id.", remedy="Write one a line, without gaps.")
        ids.append(doc_id)
    return ids


def _from_json(listed: Any, path: Path) -> list[str]:
    if not isinstance(listed, list) or not all(isinstance(item, str | int) for item in listed):
        raise RetrieverError(f"{path} is not a JSON list of ids.", remedy='Write it like ["doc-1", "doc-2"].')
    return [str(item) for item in listed]


def _from_json_line(line: str) -> str:
    item = orjson.loads(line)
    if isinstance(item, dict):
        item = next((item[key] for key in _ID_KEYS if key in item), "")
    return str(item) if isinstance(item, str | int) else ""


def _check_together(loaded: Loaded, index_path: Path, ids_path: Path | None) -> None:
    labels = loaded.rows.labels
    ids = 0 if loaded.ids is None else len(loaded.ids)
    needed = loaded.index.ntotal if labels is None else int(labels.max(initial=-1)) + 1
    if ids < needed or (labels is None and ids != needed):
        raise RetrieverError(
            f"{ids_path} has {ids} ids, and {index_path} needs {needed}.",
            remedy="Write both from the same run; each row of the index has its id at the same place.",
        )
