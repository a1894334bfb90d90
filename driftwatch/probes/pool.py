"""Documents embedded anew: which of them, from what text, and how they are searched."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import cast

import numpy as np
from numpy.typing import NDArray

from driftwatch.documents import Corpus
from driftwatch.errors import MissingExtra
from driftwatch.probes.cells import Ranking, oriented
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._exact import Metric, best_of
from driftwatch.types import Embedder, IndexFacts, ScoredDoc

Vectors = NDArray[np.float32]

EMBEDDED_AT_ONCE = 64
EF_CONSTRUCTION = ("efConstruction", "ef_construction", "ef_construct", "construction_ef")
EF_SEARCH = ("efSearch", "ef_search", "hnsw_ef", "search_ef", "ef")
PROBES = ("nprobe", "probes")
LISTS = ("nlist", "lists")
LINKS = ("M", "m", "max_neighbors")
"""What the kinds of index call the same setting."""
MOST_ENTRIES = 64
"""Entries of one document that are embedded at most."""


@dataclass(frozen=True)
class Chosen:
    """Entries of the index that are worth embedding anew, what matters most first."""

    entries: tuple[tuple[str, str], ...]
    """(entry_id, doc_id)."""
    held: frozenset[str]
    """Those of the wanted documents that the index lists."""
    listed: int
    """Entries that were listed."""
    finished: bool
    """Whether the list was read to its end."""

    @property
    def whole(self) -> bool:
        """Whether these are all the entries there are."""
        return self.finished and len(self.entries) == self.listed


@dataclass(frozen=True)
class Pool:
    """Entries with the vectors that are stored and with fresh ones, row by row."""

    doc_ids: NDArray[np.object_]
    """shape (n,)."""
    fresh: Vectors
    """shape (n, dimension)."""
    stored: Vectors | None
    """shape (n, dimension of the index); None when the index does not give its vectors."""
    texts: tuple[str, ...] = ()
    """What the fresh vectors are of."""
    langs: Mapping[str, str] = field(default_factory=dict)
    """doc_id -> language, where it is known."""
    without_text: int = 0
    """Entries left out because neither the index nor the source has their text."""
    left: int = 0
    """Entries left out because there was no time for them."""

    @cached_property
    def documents(self) -> frozenset[str]:
        """The documents in it."""
        return frozenset(self.doc_ids.tolist())

    @cached_property
    def rows(self) -> dict[str, int]:
        """doc_id -> its first row."""
        return {doc_id: row for row, doc_id in reversed(list(enumerate(self.doc_ids.tolist())))}


def choose(index: Retriever, wanted: Sequence[str], most: int, seed: int, go_on: Callable[[], bool]) -> Chosen:
    """Every entry of ``wanted``, in that order, filled up to ``most`` entries by a seeded sample of the rest.

    The list is read once and not kept: memory grows with ``most`` alone.

    Raises:
        RetrieverError: the index could not be asked, or does not list what it holds.
    """
    mine: defaultdict[str, list[str]] = defaultdict(list)
    place = {doc_id: number for number, doc_id in enumerate(wanted)}
    rest: list[tuple[int, str, str]] = []
    listed, finished = 0, True
    for block in index.entries():
        for entry_id, doc_id in block:
            if doc_id in place and len(mine[doc_id]) < MOST_ENTRIES:
                mine[doc_id].append(entry_id)
            elif doc_id not in place:
                _keep_smallest(rest, (-_hash(seed, entry_id), entry_id, doc_id), most)
        listed += len(block)
        if not go_on():
            finished = False
            break
    first = [(entry_id, doc_id) for doc_id in sorted(mine, key=place.__getitem__) for entry_id in mine[doc_id]]
    others = [(entry_id, doc_id) for _, entry_id, doc_id in sorted(rest, reverse=True)]
    return Chosen(tuple((first + others)[:most]), frozenset(mine), listed, finished)


def embed_anew(
    index: Retriever, embedder: Embedder, corpus: Corpus | None, chosen: Chosen, go_on: Callable[[], bool]
) -> Pool:
    """Embed what was chosen from its text, as long as ``go_on`` says, what matters most first.

    The text is the index's own; the source's where the index has none and the document is one entry.

    Raises:
        DriftwatchError: the index or the source could not be asked, or nothing can be embedded.
    """
    several = _several(doc_id for _, doc_id in chosen.entries)
    names: list[str] = []
    texts: list[str] = []
    fresh: list[Vectors] = []
    stored: list[Vectors | None] = []
    langs: dict[str, str] = {}
    without, done = 0, 0
    for block in _blocks(chosen.entries, EMBEDDED_AT_ONCE):
        if done and not go_on():
            break
        done += len(block)
        found = _fetched(index, corpus, block, several)
        without += len(block) - len(found)
        if found:
            names += [doc_id for doc_id, *_ in found]
            texts += [text for _, text, *_ in found]
            langs |= {doc_id: lang for doc_id, _, lang, _ in found if lang}
            stored += [vector for *_, vector in found]
            fresh.append(embedder.encode_documents(texts[-len(found) :]))
    width = fresh[0].shape[1] if fresh else 0
    size = next((vector.shape for vector in stored if vector is not None), None)
    # An entry that has no vector like the others' is like nothing here, as it is in the index.
    nothing = np.zeros(size or 0, np.float32)
    kept = [vector if vector is not None and vector.shape == size else nothing for vector in stored] if size else []
    return Pool(
        np.array(names, dtype=object),
        np.concatenate(fresh) if fresh else np.empty((0, width), np.float32),
        np.stack(kept) if kept else None,
        tuple(texts),
        langs,
        without,
        len(chosen.entries) - done,
    )


def ranked(queries: Vectors, doc_ids: NDArray[np.object_], vectors: Vectors, metric: str, depth: int) -> list[Ranking]:
    """The best ``depth`` documents of each query, every vector compared; a document counts with its best entry.

    ``queries``: shape (n, dimension); ``vectors``: shape (m, dimension); ``metric``: cosine | dot | euclidean |
    manhattan, or empty, which is taken for cosine. Scores are higher is better.

    Raises:
        EmbedError: the dimensions differ.
        MissingExtra: faiss is not installed.
    """
    measured = cast("Metric", metric or "cosine")
    kind = "distance" if measured in ("euclidean", "manhattan") else "similarity"
    return [oriented(hits, kind) for hits in best_of([(doc_ids, vectors)], queries, depth, measured)]


def graph(queries: Vectors, pool: Pool, facts: IndexFacts, depth: int) -> list[Ranking]:
    """The same over a newly built index of the kind and settings that ``facts`` tell, on the fresh vectors.

    Raises:
        MissingExtra: faiss is not installed.
    """
    try:
        import faiss
    except ImportError:
        raise MissingExtra("faiss-cpu", "embed", "building an index anew") from None
    metric = faiss.METRIC_L2 if facts.metric == "euclidean" else faiss.METRIC_INNER_PRODUCT
    built = faiss.index_factory(pool.fresh.shape[1], _factory(facts, len(pool.fresh)), metric)
    if hasattr(built, "hnsw"):
        built.hnsw.efConstruction = _setting(facts, EF_CONSTRUCTION, 100)
        built.hnsw.efSearch = _setting(facts, EF_SEARCH, max(16, depth))
    if hasattr(built, "nprobe"):
        built.nprobe = _setting(facts, PROBES, 1)
    rows = np.ascontiguousarray(pool.fresh)
    built.train(rows)
    built.add(rows)
    asked = min(len(rows), depth * max(_several(pool.doc_ids.tolist()).values(), default=1))
    scores, places = built.search(np.ascontiguousarray(queries), asked)
    signed = -scores if metric == faiss.METRIC_L2 else scores
    return [
        _documents(pool.doc_ids[place[place >= 0]], row[place >= 0], depth)
        for place, row in zip(places, signed, strict=True)
    ]


def _factory(facts: IndexFacts, count: int) -> str:
    kind = facts.settings.get("kind", "").upper()
    if kind == "NONE" or ("FLAT" in kind and "IVF" not in kind and "HNSW" not in kind):
        return "Flat"
    if "IVF" in kind:
        return f"IVF{max(1, min(_setting(facts, LISTS, 64), count // 39))},Flat"
    return f"HNSW{max(2, _setting(facts, LINKS, 16))},Flat"


def _setting(facts: IndexFacts, names: Iterable[str], otherwise: int) -> int:
    said = next((facts.settings[name] for name in names if facts.settings.get(name)), "")
    return int(said) if said.isdecimal() and int(said) > 0 else otherwise


def _fetched(
    index: Retriever, corpus: Corpus | None, block: Sequence[tuple[str, str]], several: Mapping[str, int]
) -> list[tuple[str, str, str, NDArray[np.float32] | None]]:
    """(doc_id, text, lang, stored vector) of those whose text is known."""
    can = index.capabilities
    ids = [entry_id for entry_id, _ in block]
    asks = can & {"texts", "vectors"}
    held = index.stored(ids, vectors="vectors" in can, texts="texts" in can) if asks else {}
    lacking = [
        doc_id
        for entry_id, doc_id in block
        if several[doc_id] == 1 and ((entry := held.get(entry_id)) is None or entry.text is None)
    ]
    source = corpus.get(lacking) if corpus is not None and lacking else {}
    found = []
    for entry_id, doc_id in block:
        entry, document = held.get(entry_id), source.get(doc_id)
        text = entry.text if entry is not None and entry.text is not None else document.text if document else None
        if text is not None:
            lang = (entry.lang if entry else "") or (corpus.lang(doc_id) if corpus is not None else "")
            found.append((doc_id, text, lang, entry.vector if entry else None))
    return found


def _documents(doc_ids: NDArray[np.object_], scores: NDArray[np.float32], depth: int) -> Ranking:
    best: dict[str, float] = {}
    for doc_id, score in zip(doc_ids, scores, strict=True):
        if doc_id not in best:
            best[doc_id] = float(score)
            if len(best) == depth:
                break
    return tuple(ScoredDoc(doc_id, score) for doc_id, score in best.items())


def _several(doc_ids: Iterable[str]) -> dict[str, int]:
    count: defaultdict[str, int] = defaultdict(int)
    for doc_id in doc_ids:
        count[doc_id] += 1
    return count


def _blocks(entries: Sequence[tuple[str, str]], size: int) -> Iterator[Sequence[tuple[str, str]]]:
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


def _keep_smallest(heap: list[tuple[int, str, str]], entry: tuple[int, str, str], most: int) -> None:
    if len(heap) < most:
        heapq.heappush(heap, entry)
    elif entry > heap[0]:
        heapq.heapreplace(heap, entry)


def _hash(seed: int, entry_id: str) -> int:
    named = f"{seed}:{entry_id}".encode("utf-8", "replace")
    return int.from_bytes(blake2b(named, digest_size=8).digest(), "big")
