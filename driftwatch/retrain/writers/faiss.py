"""A FAISS file like another: the same kind, metric and parameters, trained and filled with other vectors."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.dataset import write_array, write_whole
from driftwatch.retrain.folders import sync
from driftwatch.retrain.manifests import settings_of
from driftwatch.retrained import Passage
from driftwatch.retrievers._faiss_index import _ID_KEYS, Loaded, load
from driftwatch.retrievers.faiss import Faiss

TRAINED_ON = 256
"""Vectors for each centroid that a quantizer learns; FAISS uses no more."""
_CENTROIDS = 256
"""Of a product quantizer, where nothing says how many."""


@dataclass(frozen=True)
class Writing:
    """Shards are kept as files until all are there: a quantizer is trained on a sample of all of them."""

    index: Faiss
    release: str
    place: Path

    @property
    def _parts(self) -> Path:
        return self.place / ".parts"

    @property
    def _file(self) -> Path:
        return self.place / self.index.index.name

    @property
    def _ids(self) -> Path | None:
        return None if self.index.ids is None else self.place / self.index.ids.name

    @cached_property
    def _old(self) -> Loaded:
        return load(self.index.index, self.index.ids)

    def begin(self, dimension: int) -> None:
        """A kind that cannot hold such vectors is found out now, and not after they were made."""
        if not self._file.exists():
            _empty_like(self._old, dimension)
            self._parts.mkdir(parents=True, exist_ok=True)

    def write(self, number: int, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """Two files, the vectors first."""
        if self._file.exists():
            return
        write_array(self._parts / f"{number:08}.npy", np.ascontiguousarray(vectors, dtype=np.float32))
        write_whole(self._parts / f"{number:08}.json", [orjson.dumps([each.parent for each in passages])])

    def finish(self) -> Mapping[str, Any]:
        """Train, fill, and write the file beside where it belongs, then move it there."""
        if not self._file.exists():
            self._build()
        if self._parts.exists():
            self._parts.rename(self.place / ".gone")
        for left in self.place.glob(".*"):  # the parts, and what a killed process was writing
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        files = {"index": self._file} | ({} if self._ids is None else {"ids": self._ids})
        return settings_of(self.index) | {
            name: file.relative_to(self.place.parent).as_posix() for name, file in files.items()
        }

    def discard(self) -> None:
        """The folder of the release's index."""
        if self.place.exists():
            shutil.rmtree(self.place)

    def _build(self) -> None:
        import faiss

        parts = sorted(self._parts.glob("*.npy"))
        doc_ids = [doc_id for part in parts for doc_id in orjson.loads(part.with_suffix(".json").read_bytes())]
        numbers = self._numbers(doc_ids)
        made = _empty_like(self._old, int(np.load(parts[0], mmap_mode="r").shape[1]))
        try:
            if not made.is_trained:
                made.train(_sample(parts, _wanted(made)))
            for start, vectors in _filled(parts):
                if numbers is None:
                    made.add(vectors)
                else:
                    made.add_with_ids(vectors, numbers[start : start + len(vectors)])
            draft = self.place / f".{self._file.name}"
            faiss.write_index(made, str(draft))
        except RuntimeError as error:
            said = str(error).rpartition("Error: ")[2].strip()[:200]
            raise RetrainError(
                f"FAISS cannot build an index like {self.index.index}: {said}.", remedy="Are there enough documents?"
            ) from None
        if self._ids is not None and self.index.ids is not None:
            write_whole(self._ids, _ids_like(self.index.ids, doc_ids))
        sync(draft)  # what it was made of is removed next
        draft.replace(self._file)
        sync(self.place)

    def _numbers(self, doc_ids: Sequence[str]) -> NDArray[np.int64] | None:
        """What the rows are called inside the index; None: they are counted.

        Raises:
            RetrainError: documents are known by FAISS's own numbers alone, and these are none.
        """
        counted = self._old.rows.labels is None
        if self._ids is not None:
            return None if counted else np.arange(len(doc_ids), dtype=np.int64)
        try:
            numbers = np.array([int(each) for each in doc_ids], dtype=np.int64)
        except (ValueError, OverflowError):
            numbers = np.zeros(0, np.int64)
        if len(numbers) != len(doc_ids) or (counted and not np.array_equal(numbers, np.arange(len(numbers)))):
            raise RetrainError(
                f"{self.index.index} knows documents by their numbers alone, and those of the new one are others.",
                remedy="Set 'ids' of the index to a file with the document id of each row.",
            )
        return None if counted else numbers


def _empty_like(old: Loaded, dimension: int) -> Any:
    """An index without vectors, of the same kind and with the same parameters.

    Raises:
        RetrainError: there is no such index for vectors of ``dimension`` numbers, or FAISS cannot name its kind.
    """
    import faiss
    from faiss.contrib.factory_tools import reverse_index_factory

    index = faiss.downcast_index(old.index)
    try:
        kind = reverse_index_factory(index)
        made = faiss.index_factory(dimension, kind, index.metric_type)
    except (AssertionError, KeyError, RuntimeError, AttributeError):  # what has no name is a RuntimeError, too
        raise RetrainError(
            f"an index of the kind {type(index).__name__} cannot be made anew for vectors of {dimension} numbers.",
            remedy="Build it by your own means, and name it in 'index:'.",
        ) from None
    _copy_parameters(index, made)
    return made


def _copy_parameters(old: Any, new: Any) -> None:
    """What the name of a kind does not say: how broadly it is built and searched."""
    import faiss

    old, new = faiss.downcast_index(old), faiss.downcast_index(new)
    for name in ("nprobe", "k_factor", "by_residual"):
        if hasattr(old, name) and hasattr(new, name):
            setattr(new, name, getattr(old, name))
    if hasattr(old, "hnsw"):
        new.hnsw.efConstruction, new.hnsw.efSearch = old.hnsw.efConstruction, old.hnsw.efSearch
    for inner in ("index", "base_index", "refine_index", "quantizer"):
        if getattr(old, inner, None) is not None and getattr(new, inner, None) is not None:
            _copy_parameters(getattr(old, inner), getattr(new, inner))


def _wanted(index: Any) -> int:
    """Vectors that training needs at most."""
    import faiss

    lists = faiss.try_extract_index_ivf(index)
    return TRAINED_ON * max(_CENTROIDS, lists.nlist if lists is not None else 0)


def _sample(parts: Sequence[Path], wanted: int) -> NDArray[np.float32]:
    """Rows evenly from all parts."""
    opened = [np.load(part, mmap_mode="r") for part in parts]
    step = max(1, sum(map(len, opened)) // wanted)
    return np.concatenate([np.array(rows[::step], dtype=np.float32) for rows in opened])


def _filled(parts: Sequence[Path]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The vectors of each part, and the number of the first."""
    start = 0
    for part in parts:
        vectors: NDArray[np.float32] = np.load(part)
        yield start, vectors
        start += len(vectors)


def _ids_like(old: Path, doc_ids: Sequence[str]) -> Iterator[bytes]:
    """The ids in the form that the old file has; lines that are objects are copied where the document had one."""
    if old.suffix == ".json":
        yield orjson.dumps(list(doc_ids))
        return
    if old.suffix not in (".jsonl", ".ndjson"):
        yield from (f"{doc_id}\n".encode() for doc_id in doc_ids)
        return
    known, key = _objects(old)
    for doc_id in doc_ids:
        line = doc_id if key is None else known.get(doc_id, {key: doc_id})
        yield orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _objects(path: Path) -> tuple[dict[str, Any], str | None]:
    """doc_id -> its line, and the key of the id; None: the lines are ids alone."""
    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    key = next((key for key in _ID_KEYS if lines and isinstance(lines[0], dict) and key in lines[0]), None)
    known: dict[str, Any] = {}
    for line in lines if key is not None else ():
        if isinstance(line, dict) and key in line:
            known.setdefault(str(line[key]), line)
    return known, key
