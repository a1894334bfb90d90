"""A collection of Chroma like another, with the entries' own ids and metadata, and other vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrieverError
from driftwatch.retrain.manifests import settings_of
from driftwatch.retrain.writers import Old, Placed, by_document, by_name, new_name
from driftwatch.retrained import Passage
from driftwatch.retrievers._chroma import Reader
from driftwatch.retrievers._chroma_folder import Folder
from driftwatch.retrievers._chroma_server import Server
from driftwatch.retrievers.chroma import Chroma

LONGEST = 128
"""Characters of a collection's name."""
ENTRIES = 200
"""Entries of one request."""
_OLDER = {"M": "max_neighbors", "construction_ef": "ef_construction", "search_ef": "ef_search"}
"""What an older Chroma called its options in the metadata."""
_OPTIONS = {
    "hnsw": ("space", "ef_construction", "max_neighbors", "ef_search", "batch_size", "sync_threshold", "resize_factor"),
    "spann": ("space", "search_nprobe", "write_nprobe", "ef_construction", "ef_search", "max_neighbors"),
}


@dataclass(frozen=True)
class Writing:
    """Needs a token that may write."""

    index: Chroma
    release: str
    place: Path

    @property
    def name(self) -> str:
        """Of the new collection."""
        return new_name(self.index.collection, self.release, LONGEST)

    def begin(self, dimension: int) -> None:
        """A collection with the old one's index and metadata; its first vectors say how long they are."""
        del dimension
        with self._opened() as (reader, store):
            kind, options = reader._index()
            options = {_OLDER.get(name, name): value for name, value in options.items()}
            set_up = {name: options[name] for name in _OPTIONS[kind] if options.get(name) is not None}
            said = reader.collection.described.get("metadata") or {}
            metadata = {name: value for name, value in said.items() if not name.startswith("hnsw:")}
            store.make(self.name, {kind: set_up}, metadata or None)

    def write(self, number: int, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """Entries of the same name are written over."""
        del number
        rows = {each.passage_id: row for each, row in zip(passages, vectors, strict=True)}
        with self._opened() as (reader, store):
            placed = self._placed(reader, passages)
            for start in range(0, len(placed), ENTRIES):
                some = placed[start : start + ENTRIES]
                store.put(
                    self.name,
                    ids=[each.entry_id or each.passage.passage_id for each in some],
                    embeddings=np.stack([rows[each.passage.passage_id] for each in some]),
                    metadatas=[self._metadata(each) for each in some],
                    documents=[each.passage.text for each in some],
                )

    def finish(self) -> Mapping[str, Any]:
        """Chroma's index is built as it is filled."""
        self.index.close()  # what reads it next opens it anew
        return settings_of(self.index) | {"collection": self.name}

    def discard(self) -> None:
        """The collection with the name of the release."""
        with self._opened() as (_, store):
            store.remove(self.name)

    def _placed(self, reader: Reader, passages: Sequence[Passage]) -> list[Placed]:
        ids = [each.passage_id for each in passages]
        pages = [reader.collection.get(ids=some, include=["metadatas", "documents"]) for some in _pieces(ids)]
        placed, rest = by_name(passages, self._olds(reader, pages))
        parents = list(dict.fromkeys(each.parent for each in rest)) if self.index.doc_key else []
        pages = [
            reader.collection.get(where=reader._any_of(some), include=["metadatas", "documents"])
            for some in _pieces(parents)
        ]
        return placed + by_document(rest, self._olds(reader, pages))

    def _olds(self, reader: Reader, pages: Sequence[Mapping[str, Any]]) -> Iterator[Old]:
        for page in pages:
            doc_ids = reader._doc_ids(page["ids"], page["metadatas"])
            for row in zip(page["ids"], doc_ids, page["documents"], page["metadatas"], strict=True):
                yield Old(*row)

    def _metadata(self, placed: Placed) -> dict[str, Any] | None:
        if placed.like is not None:
            return placed.like.carried or None
        names = {self.index.doc_key: placed.passage.parent, self.index.lang_key: placed.passage.lang}
        return {name: value for name, value in names.items() if name and value} or None

    @contextmanager
    def _opened(self) -> Iterator[tuple[Reader, _Store]]:
        place = self.index._place
        with self.index._reading() as reader:
            yield reader, _OnServer(place) if isinstance(place, Server) else _InFolder(place)


class _Store(Protocol):
    """Where collections are made and filled."""

    def make(self, name: str, configuration: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> None:
        """A collection, unless it is there."""

    def put(self, name: str, **columns: Any) -> None:
        """`ids`, `embeddings`, `metadatas`, `documents` of entries, instead of those of the same id."""

    def remove(self, name: str) -> None:
        """A collection, if it is there."""


@dataclass(frozen=True)
class _InFolder:
    """Through the client that has the folder open."""

    folder: Folder

    def make(self, name: str, configuration: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> None:
        self.folder._client.get_or_create_collection(
            name, configuration=dict(configuration), metadata=metadata, embedding_function=None
        )

    def put(self, name: str, **columns: Any) -> None:
        self.folder._client.get_collection(name, embedding_function=None).upsert(**columns)

    def remove(self, name: str) -> None:
        if name in {each.name for each in self.folder._client.list_collections()}:
            self.folder._client.delete_collection(name)


@dataclass(frozen=True)
class _OnServer:
    """Over Chroma's own protocol."""

    server: Server

    def make(self, name: str, configuration: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> None:
        body = {"name": name, "configuration": configuration, "metadata": metadata, "get_or_create": True}
        self.server.ask("POST", "collections", body)

    def put(self, name: str, **columns: Any) -> None:
        known = self.server.ask("GET", f"collections/{quote(name, safe='')}")
        body = {**columns, "embeddings": columns["embeddings"].tolist()}
        self.server.ask("POST", f"collections/{quote(known['id'], safe='')}/upsert", body)

    def remove(self, name: str) -> None:
        try:
            self.server.ask("DELETE", f"collections/{quote(name, safe='')}")
        except RetrieverError as error:
            if "status 404" not in str(error):
                raise


def _pieces(names: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), ENTRIES):
        yield list(names[start : start + ENTRIES])
