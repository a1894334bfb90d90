"""A FAISS index file and the ids of its rows, read together and searched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, MissingExtra, RetrieverError
from driftwatch.types import ScoredDoc, ScoreKind

_BLOCK_BYTES = 64 * 2**20
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
    def held(self) -> frozenset[str]:
        """Every document the index holds."""
        if self.ids is not None:
            return frozenset(self.ids.tolist())
        labels = stored_labels(self.index)
        return frozenset(str(label) for label in (range(self.index.ntotal) if labels is None else labels.tolist()))

    def search(self, vectors: NDArray[np.float32], top_k: int, *, exact: bool) -> list[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, shape (n, dimension)."""
        if vectors.shape[1] != self.index.d:
            raise EmbedError(
                f"the embedder gives vectors of {vectors.shape[1]} numbers, and the index holds vectors of "
                f"{self.index.d}.",
                remedy="Set 'embedder: model' (and 'dimension') to what the index was built with.",
            )
        if self.index.ntotal == 0:
            return [()] * len(vectors)
        search = search_exactly if exact else _search_as_built
        scores, labels = search(self.index, np.ascontiguousarray(vectors, dtype=np.float32), top_k)
        names = self._names(labels)
        found = labels >= 0
        if found.all():
            return [tuple(map(ScoredDoc, *row)) for row in zip(names, scores.tolist(), strict=True)]
        return [
            tuple(map(ScoredDoc, names_row[kept].tolist(), scores_row[kept].tolist()))
            for names_row, scores_row, kept in zip(names, scores, found, strict=True)
        ]

    def _names(self, labels: NDArray[np.int64]) -> NDArray[np.object_]:
        if self.ids is not None:
            return self.ids[labels]
        return np.array([str(label) for label in labels.ravel().tolist()], dtype=object).reshape(labels.shape)


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
    if ids is not None:
        _check_together(index, ids, index_path, ids_path)
    return Loaded(index, None if ids is None else np.array(ids, dtype=object), f"{index.ntotal}-{digest}", seen)


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


def _check_together(index: Any, ids: Sequence[str], index_path: Path, ids_path: Path | None) -> None:
    labels = stored_labels(index)
    needed = index.ntotal if labels is None else int(labels.max(initial=-1)) + 1
    if len(ids) < needed or (labels is None and len(ids) != needed):
        raise RetrieverError(
            f"{ids_path} has {len(ids)} ids, and {index_path} needs {needed}.",
            remedy="Write both from the same run; each row of the index has its id at the same place.",
        )


def stored_labels(index: Any) -> NDArray[np.int64] | None:
    """The numbers that an IndexIDMap gives its rows; None when rows are simply counted."""
    import faiss

    concrete = faiss.downcast_index(index)
    if isinstance(concrete, faiss.IndexIDMap):
        labels: NDArray[np.int64] = faiss.vector_to_array(concrete.id_map)
        return labels
    return None


def _search_as_built(
    index: Any, vectors: NDArray[np.float32], top_k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    scores, labels = index.search(vectors, min(top_k, index.ntotal))
    return scores, labels


def search_exactly(
    index: Any, vectors: NDArray[np.float32], top_k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compare with every stored vector, a block at a time; what an approximate index should have found.

    Raises:
        RetrieverError: the index cannot give its vectors back.
    """
    import faiss

    labels = stored_labels(index)
    inner: Any = faiss.downcast_index(index)
    if labels is not None:
        inner = faiss.downcast_index(inner.index)
    if isinstance(inner, faiss.IndexFlat):
        return _search_as_built(index, vectors, top_k)
    best = faiss.ResultHeap(len(vectors), min(top_k, inner.ntotal), inner.metric_type == 0)
    block = max(1, _BLOCK_BYTES // (4 * inner.d))
    for start in range(0, inner.ntotal, block):
        rows = _reconstructed(inner, start, min(block, inner.ntotal - start))
        scores, found = faiss.knn(vectors, rows, min(best.k, len(rows)), inner.metric_type)
        best.add_result(scores, found + start)
    best.finalize()
    return best.D, best.I if labels is None else np.where(best.I >= 0, labels[best.I], -1)


def _reconstructed(index: Any, start: int, count: int) -> NDArray[np.float32]:
    try:
        rows: NDArray[np.float32] = index.reconstruct_n(start, count)
    except RuntimeError:
        raise RetrieverError(
            f"an index of the kind {type(index).__name__} cannot give its vectors back, which 'exact' needs.",
            remedy="Set 'exact: false'.",
        ) from None
    return rows
