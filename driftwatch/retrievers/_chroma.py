"""One collection of Chroma, wherever it is, and what its answers mean."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrievers._exact import MOST_ENTRIES, best_of
from driftwatch.types import IndexFacts, ScoredDoc, ScoreKind, Stored

Answer = Mapping[str, Any]
"""Chroma's own: `ids`, `embeddings`, `metadatas`, `documents`, `distances`, each a list or None."""
Metric = Literal["cosine", "dot", "euclidean"]
METRICS: Mapping[str, Metric] = {"cosine": "cosine", "ip": "dot", "l2": "euclidean"}

_PAGE = 1000
"""Entries listed at once."""
_FETCHED = 2000
"""Entries whose vectors are fetched at once."""
_ASKED = 200
"""Ids, or queries, in one question; SQLite behind Chroma takes only so many values."""
_ANSWERED = 200_000
"""Entries that the answer to one question may name."""
_LISTED = 200_000
"""Entries up to which a fingerprint is made of all their ids."""
_LOOKED_AT = 64
"""Entries whose vectors are in a fingerprint."""
_OPTIONS = ("max_neighbors", "ef_construction", "ef_search", "search_nprobe", "write_nprobe")


class Collection(Protocol):
    """What a folder and a server both can."""

    @property
    def described(self) -> Mapping[str, Any]:
        """`id`, `dimension`, `configuration_json`, `metadata`."""

    def count(self) -> int:
        """Entries."""

    def get(
        self,
        *,
        include: Sequence[str],
        ids: Sequence[str] | None = None,
        where: Mapping[Any, Any] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Answer:
        """Entries by id, by metadata, or a page of all in the order in which they came."""

    def query(self, vectors: NDArray[np.float32], n_results: int, include: Sequence[str]) -> Answer:
        """For each row of ``vectors`` the nearest entries, best first."""


@dataclass(frozen=True)
class Listed:
    """How far a list of all entries was read."""

    count: int = 0
    ids: tuple[str, ...] = ()
    """Of the last page."""


@dataclass(frozen=True)
class Reader:
    """A collection with the names under which its entries keep what we ask for."""

    collection: Collection
    shown: str
    """The collection and where it is, for messages."""
    doc_key: str | None
    lang_key: str | None

    @property
    def metric(self) -> Metric:
        """As the collection was made."""
        space = str(self._index()[1].get("space", "l2"))
        if space not in METRICS:
            raise RetrieverError(f"{self.shown} uses the metric '{space}', which driftwatch does not know.")
        return METRICS[space]

    def check_scores(self, score_kind: ScoreKind) -> None:
        """The collection's metric gives what `score_kind` says.

        Raises:
            RetrieverError: it gives the other.
        """
        given: ScoreKind = "distance" if self.metric == "euclidean" else "similarity"
        if given != score_kind:
            measured = {"euclidean": "squared L2 distances", "cosine": "cosine similarities", "dot": "inner products"}
            raise RetrieverError(
                f"{self.shown} gives {measured[self.metric]}, and 'score_kind' is '{score_kind}'.",
                remedy=f"Set 'score_kind: {given}'.",
            )

    def search(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> Iterator[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, shape (n, dimension)."""
        self._check_dimension(vectors)
        if exact:
            yield from best_of(self._blocks(), vectors, top_k, self.metric)
            return
        count = self.collection.count()
        for start in range(0, len(vectors), _ASKED):
            yield from self._nearest(vectors[start : start + _ASKED], top_k, count)

    def _nearest(self, vectors: NDArray[np.float32], top_k: int, count: int) -> list[tuple[ScoredDoc, ...]]:
        """More entries are asked for, for those rows alone that lack ``top_k`` different documents, until
        ``MOST_ENTRIES``, or there are no more.
        """
        found: list[tuple[ScoredDoc, ...]] = [()] * len(vectors)
        short, most = list(range(len(vectors) if count else 0)), min(count, max(top_k, MOST_ENTRIES))
        ask = min(top_k, count)
        while short:
            for place, hits in zip(short, self._answers(vectors[short], ask), strict=True):
                found[place] = hits[:top_k]
            again = self.doc_key is not None and ask < most
            short = [place for place in short if again and len(found[place]) < top_k]
            ask = min(2 * ask, most)
        return found

    def _answers(self, vectors: NDArray[np.float32], ask: int) -> Iterator[tuple[ScoredDoc, ...]]:
        """The documents of the ``ask`` nearest entries of each row."""
        at_once = max(1, _ANSWERED // ask)
        for start in range(0, len(vectors), at_once):
            some = vectors[start : start + at_once]
            answer = self.collection.query(some, ask, ["distances", *self._metadata()])
            metadatas = answer.get("metadatas") or [None] * len(some)
            for ids, distances, each in zip(answer["ids"], answer["distances"], metadatas, strict=True):
                yield self._documents(ids, distances, each)

    def _documents(
        self, ids: Sequence[str], distances: Sequence[float], metadatas: Sequence[Any] | None
    ) -> tuple[ScoredDoc, ...]:
        """One hit a document, with its best entry."""
        self.check_key(ids, metadatas)
        best: dict[str, float] = {}
        for doc_id, distance in zip(self._doc_ids(ids, metadatas), distances, strict=True):
            best.setdefault(doc_id, float(distance))
        return tuple(ScoredDoc(doc_id, self._score(distance)) for doc_id, distance in best.items())

    def _score(self, distance: float) -> float:
        """Chroma's distance is 1 - similarity for `cosine` and `ip`, and the squared distance for `l2`."""
        return distance if self.metric == "euclidean" else 1 - distance

    def stored(self, entry_ids: Sequence[str], *, vectors: bool, texts: bool) -> dict[str, Stored]:
        """entry_id -> what Chroma keeps of it."""
        include = [*(["embeddings"] * vectors), *(["documents"] * texts), "metadatas"]
        found: dict[str, Stored] = {}
        for start in range(0, len(entry_ids), _ASKED):
            answer = self.collection.get(ids=list(dict.fromkeys(entry_ids[start : start + _ASKED])), include=include)
            ids, metadatas = answer["ids"], answer["metadatas"]
            rows = np.asarray(answer["embeddings"], dtype=np.float32) if vectors and ids else [None] * len(ids)
            words = answer["documents"] if texts else [None] * len(ids)
            for entry_id, doc_id, metadata, vector, text in zip(
                ids, self._doc_ids(ids, metadatas), metadatas, rows, words, strict=True
            ):
                lang = (metadata or {}).get(self.lang_key) if self.lang_key else None
                found[entry_id] = Stored(entry_id, doc_id, vector, text, str(lang or ""))
        return found

    def page(self, listed: Listed) -> tuple[list[tuple[str, str]], Listed]:
        """(entry_id, doc_id) of what comes after what was ``listed``, and how far the list is read then; empty at the
        end.
        """
        found, listed = self._turned(listed, _PAGE, self._metadata())
        return list(zip(found["ids"], self._doc_ids(found["ids"], found.get("metadatas")), strict=True)), listed

    def _turned(self, listed: Listed, size: int, include: Sequence[str]) -> tuple[Answer, Listed]:
        """The next page, begun with the last entry of the one before: what was deleted meanwhile moves the rest up."""
        again = min(1, len(listed.ids))
        page = self.collection.get(limit=size + again, offset=listed.count - again, include=include)
        if again and page["ids"][:1] != list(listed.ids[-1:]):
            listed, again = Listed(self._continued(listed)), 0
            page = self.collection.get(limit=size, offset=listed.count, include=include)
        kept = {name: page[name][again:] for name in ("ids", *include) if page.get(name) is not None}
        return kept, Listed(listed.count + len(kept["ids"]), tuple(kept["ids"]))

    def _continued(self, listed: Listed) -> int:
        """Where the list goes on: behind the last entry of the page before that is still there.

        Raises:
            RetrieverError: none of them is.
        """
        known, end = set(listed.ids), listed.count
        while end > 0:
            start = max(0, end - _PAGE)
            ids = self.collection.get(limit=end - start, offset=start, include=[])["ids"]
            places = [place for place, each in enumerate(ids) if each in known]
            if places:
                return start + places[-1] + 1
            end = start
        raise RetrieverError(f"too much of {self.shown} was deleted while it was listed.", remedy="Ask again later.")

    def holds(self, doc_ids: Sequence[str]) -> set[str]:
        """Those of ``doc_ids`` that some entry belongs to."""
        found: set[str] = set()
        for start in range(0, len(doc_ids), _ASKED):
            some = list(doc_ids[start : start + _ASKED])
            if self.doc_key is None:
                found.update(self.collection.get(ids=some, include=[])["ids"])
                continue
            answer = self.collection.get(where=self._any_of(some), include=["metadatas"])
            found.update(self._doc_ids(answer["ids"], answer["metadatas"]))
            if others := [each for each in some if each not in found]:  # an entry may be a document of its own
                answer = self.collection.get(ids=others, include=["metadatas"])
                found.update(self._doc_ids(answer["ids"], answer["metadatas"]))
        return found

    def facts(self) -> IndexFacts:
        """What the collection says of itself."""
        kind, index = self._index()
        count = self.collection.count()
        dimension = self.collection.described.get("dimension")
        options = {name: str(index[name]) for name in _OPTIONS if index.get(name) is not None}
        return IndexFacts(
            count=count,
            dimension=int(dimension) if dimension else None,
            metric=self.metric,
            fingerprint=self._fingerprint(count),
            settings={"kind": kind, **options},
            model=self._model(),
        )

    def check_key(self, ids: Sequence[str], metadatas: Sequence[Any] | None) -> None:
        """Some of these entries have the metadata that names their document.

        Raises:
            RetrieverError: none has; `doc_key` is likely another.
        """
        if self.doc_key and ids and not any(self.doc_key in (metadata or {}) for metadata in metadatas or ()):
            names = sorted({str(name) for metadata in metadatas or () for name in metadata or {}})[:12]
            raise RetrieverError(
                f"no entry of {self.shown} that was looked at has the metadata '{self.doc_key}'.",
                remedy=f"Set 'doc_key' to one of: {', '.join(names)}." if names else "Leave 'doc_key' out.",
            )

    def _doc_ids(self, ids: Sequence[str], metadatas: Sequence[Any] | None) -> list[str]:
        """The document of each entry; an entry that names none is a document of its own."""
        if self.doc_key is None:
            return list(ids)
        named = [(metadata or {}).get(self.doc_key) for metadata in metadatas or [None] * len(ids)]
        return [entry_id if name is None else str(name) for entry_id, name in zip(ids, named, strict=True)]

    def _metadata(self) -> list[str]:
        return ["metadatas"] if self.doc_key else []

    def _any_of(self, doc_ids: Sequence[str]) -> Mapping[Any, Any]:
        """Chroma tells "7" from 7, and doc_ids are always text."""
        texts: dict[Any, Any] = {self.doc_key: {"$in": list(doc_ids)}}
        whole = [int(each) for each in doc_ids if re.fullmatch(r"-?[1-9][0-9]{0,17}|0", each, re.ASCII)]
        return {"$or": [texts, {self.doc_key: {"$in": whole}}]} if whole else texts

    def _pages(self, size: int, include: Sequence[str]) -> Iterator[Answer]:
        page, listed = self._turned(Listed(), size, include)
        while page["ids"]:
            yield page
            page, listed = self._turned(listed, size, include)

    def _blocks(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        for page in self._pages(_FETCHED, ["embeddings", *self._metadata()]):
            yield (
                self._doc_ids(page["ids"], page.get("metadatas")),
                np.asarray(page["embeddings"], dtype=np.float32),
            )

    def _check_dimension(self, vectors: NDArray[np.float32]) -> None:
        dimension = self.collection.described.get("dimension")
        if dimension and vectors.shape[1] != dimension:
            raise RetrieverError(
                f"the embedder gives vectors of {vectors.shape[1]} numbers, and {self.shown} holds vectors of "
                f"{dimension}.",
                remedy="Set 'embedder: model' (and 'dimension') to what the collection was filled with.",
            )

    def _index(self) -> tuple[str, Mapping[str, Any]]:
        """(kind, how it is set up); a collection of an older Chroma says it in its metadata."""
        configuration = self.collection.described.get("configuration_json") or {}
        for kind in ("hnsw", "spann"):
            if configuration.get(kind):
                return kind, configuration[kind]
        said = self.collection.described.get("metadata") or {}
        return "hnsw", {name.removeprefix("hnsw:"): value for name, value in said.items() if name.startswith("hnsw:")}

    def _model(self) -> str:
        """What the collection would embed texts with, where its maker let Chroma do that."""
        function = (self.collection.described.get("configuration_json") or {}).get("embedding_function") or {}
        settings = function.get("config") or {}
        return str(settings.get("model_name") or settings.get("model") or function.get("name") or "")

    def _fingerprint(self, count: int) -> str:
        """Of the ids in their order, and of vectors evenly spaced: Chroma does not say when something was written."""
        digest = hashlib.blake2b(f"{self.collection.described['id']} {count}".encode(), digest_size=8)
        ids: list[str] = []
        for page in self._pages(_PAGE, []) if count <= _LISTED else ():
            ids += page["ids"]
        looked_at = ids[:: max(1, len(ids) // _LOOKED_AT)][:_LOOKED_AT]
        for place in range(_LOOKED_AT if count > _LISTED else 0):
            looked_at += self.collection.get(limit=1, offset=place * count // _LOOKED_AT, include=[])["ids"]
        digest.update(repr(ids or looked_at).encode())
        for entry_id, each in sorted(self.stored(looked_at, vectors=True, texts=False).items()):
            digest.update(entry_id.encode() + (b"" if each.vector is None else each.vector.tobytes()))
        return digest.hexdigest()
