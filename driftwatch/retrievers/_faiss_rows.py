"""What a FAISS index stores: its vectors by row, and what can be said of how it was built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import _exact


@dataclass(frozen=True)
class Rows:
    """The stored vectors of an index: row 0, 1, 2 ... in the order of its labels."""

    index: Any

    @cached_property
    def inner(self) -> Any:
        """The index inside an IndexIDMap, as the kind that it is."""
        import faiss

        index = faiss.downcast_index(self.index)
        return faiss.downcast_index(index.index) if isinstance(index, faiss.IndexIDMap) else index

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        """The number that a search gives for each row; None when rows are simply counted."""
        import faiss

        index = faiss.downcast_index(self.index)
        if isinstance(index, faiss.IndexIDMap):
            mapped: NDArray[np.int64] = faiss.vector_to_array(index.id_map)
            return mapped
        return self._keys

    @cached_property
    def able(self) -> bool:
        """Whether vectors come back; asking makes the map that an IVF index needs for it, in memory.

        One vector is asked for alone: asked for several, FAISS would end the process on a kind that cannot.
        """
        import faiss

        library: Any = faiss  # its annotations know no DirectMap
        try:
            if self._ivf is not None and self._ivf.direct_map.type == library.DirectMap.NoMap:
                kind = library.DirectMap.Array if self._keys is None else library.DirectMap.Hashtable
                self._ivf.set_direct_map_type(kind)
            if self.inner.ntotal:
                self.inner.reconstruct(0 if self._keys is None else int(self._keys[0]))
        except RuntimeError:
            return False
        return True

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """shape (rows, dimension), as far as they are stored.

        Raises:
            RetrieverError: this kind of index cannot give vectors back.
        """
        if len(rows) == 0:
            return np.empty((0, self.inner.d), np.float32)
        self._check()
        found: NDArray[np.float32] = self.inner.reconstruct_batch(rows if self._keys is None else self._keys[rows])
        return found

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows and their vectors; each row once, in an order that means nothing.

        Raises:
            RetrieverError: this kind of index cannot give vectors back.
        """
        import faiss

        self._check()
        flat = self._flat
        if flat is not None:
            yield np.arange(flat.ntotal), _view(flat.get_xb(), flat.ntotal * flat.d).reshape(-1, flat.d)
        elif isinstance(self.inner, faiss.IndexIVFFlat):
            for each in range(self.inner.nlist):
                keys, vectors = self._list(each, vectors=True)
                yield keys if self._keys is None else np.searchsorted(self._keys, keys), vectors
        else:
            step = max(1, _exact.BLOCK_BYTES // (4 * self.inner.d))
            for start in range(0, self.inner.ntotal, step):
                rows = np.arange(start, min(start + step, self.inner.ntotal))
                yield rows, self.vectors(rows)

    @property
    def _flat(self) -> Any:
        """The index that holds the vectors as they were given, one after the other; None when none does."""
        import faiss

        stored = _storage(self.inner)
        return stored if isinstance(stored, faiss.IndexFlat) and stored.ntotal == self.inner.ntotal else None

    @cached_property
    def _ivf(self) -> Any:
        import faiss

        return faiss.try_extract_index_ivf(self.inner)

    @cached_property
    def _keys(self) -> NDArray[np.int64] | None:
        """What the rows are called inside an IVF index that was given numbers of its own; None: their place."""
        if self._ivf is None:
            return None
        lists = [self._list(number)[0] for number in range(self._ivf.nlist)]
        keys = np.sort(np.concatenate([np.zeros(0, np.int64), *lists]))
        return None if np.array_equal(keys, np.arange(len(keys))) else keys

    def _list(self, number: int, *, vectors: bool = False) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Keys and, of an IndexIVFFlat, vectors of one list."""
        lists, d = self._ivf.invlists, self._ivf.d
        count = lists.list_size(number)
        none = np.empty((0, d), np.float32)
        if count == 0:
            return np.empty(0, np.int64), none
        keys = _view(lists.get_ids(number), count)
        return keys, _view(lists.get_codes(number), count * 4 * d).view(np.float32).reshape(-1, d) if vectors else none

    def _check(self) -> None:
        if not self.able:
            raise RetrieverError(
                f"an index of the kind {type(self.inner).__name__} cannot give its vectors back.",
                remedy="Set 'exact: false'; what needs stored vectors cannot be looked at.",
            )


def _view(pointer: Any, size: int) -> NDArray[Any]:
    import faiss

    seen: NDArray[Any] = faiss.rev_swig_ptr(pointer, size)
    return seen


def _storage(index: Any) -> Any:
    """What holds the vectors of a graph; otherwise the index itself."""
    import faiss

    return faiss.downcast_index(index.storage) if hasattr(index, "storage") else index


def settings_of(index: Any) -> dict[str, str]:
    """How an index was built and is searched, as words: `kind`, `nlist`, `nprobe`, `M`, `efSearch`, `PQ M`,
    `PQ nbits`, `compressed` ...
    """
    import faiss

    index = faiss.downcast_index(index)
    found = {"kind": "Flat" if isinstance(index, faiss.IndexFlat) else type(index).__name__.removeprefix("Index")}
    if isinstance(index, faiss.IndexIDMap):
        return settings_of(index.index)
    if isinstance(index, faiss.IndexPreTransform):
        chain: Any = index.chain
        steps = [faiss.downcast_VectorTransform(chain.at(each)) for each in range(chain.size())]
        names = ", ".join(f"{type(step).__name__.removesuffix('Matrix')} to {step.d_out}" for step in steps)
        lossy = any(step.d_out < step.d_in for step in steps)
        return settings_of(index.index) | {"transforms": names} | ({"compressed": "yes"} if lossy else {})
    if isinstance(index, faiss.IndexRefine):
        exact = settings_of(index.refine_index)
        base = settings_of(index.base_index)
        return {**base, "refined by": exact["kind"], "compressed": exact["compressed"]}
    if isinstance(index, faiss.IndexIVF):
        found |= {"nlist": str(index.nlist), "nprobe": str(index.nprobe)}
    if isinstance(index, faiss.IndexHNSW):
        graph: Any = index.hnsw
        found |= {
            "M": str(graph.nb_neighbors(1)),
            "efSearch": str(graph.efSearch),
            "efConstruction": str(graph.efConstruction),
        }
    return found | _coding(index)


def _coding(index: Any) -> dict[str, str]:
    """How the vectors are stored, and whether something of them is lost."""
    import faiss

    stored = _storage(index)
    found = {"compressed": "no" if isinstance(stored, faiss.IndexFlat | faiss.IndexIVFFlat) else "yes"}
    quantizer = getattr(stored, "pq", None)
    if quantizer is not None:
        found |= {"PQ M": str(quantizer.M), "PQ nbits": str(quantizer.nbits)}
    if hasattr(stored, "sq"):
        found["SQ bits"] = str(stored.sq.bits)
    return found
