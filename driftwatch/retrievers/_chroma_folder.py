"""A collection in a folder that Chroma wrote, read by Chroma's own code."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import DriftwatchError, MissingExtra, RetrieverError
from driftwatch.retrievers._chroma import Answer
from driftwatch.retrievers._exchange import shown

_DATABASE = "chroma.sqlite3"


@dataclass
class Folder:
    """An opened folder. Chroma does not see what another process adds, so it is opened anew after each change."""

    path: Path
    tenant: str
    database: str
    name: str
    _client: Any = None
    _seen: str = ""
    _turn: Any = field(default_factory=threading.RLock)

    @property
    def shown(self) -> str:
        return f"the collection '{self.name}' in {self.path}"

    @contextmanager
    def opened(self) -> Iterator[FolderCollection]:
        """The collection as it is on disk now; one thread at a time.

        Raises:
            RetrieverError: there is no such folder or collection, or Chroma cannot read it.
            MissingExtra: chromadb is not installed.
        """
        with self._turn, self._errors():
            if self._stamp() != self._seen or self._client is None:
                self.close()
                self._client = self._open()
                self._seen = self._stamp()  # only now: Chroma notes every opening in its database
            collection = self._client.get_collection(self.name, embedding_function=None)
            yield FolderCollection(collection, _described(collection))

    def close(self) -> None:
        """Let go of the files."""
        with self._turn:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _open(self) -> Any:
        try:
            import chromadb
            from chromadb.api.shared_system_client import SharedSystemClient
            from chromadb.config import Settings
        except ImportError:
            raise MissingExtra("chromadb", "chroma", "The retriever 'chroma'") from None
        # With a separator at its end it is not the address of a client that this process may have open elsewhere.
        address = f"{self.path}{os.sep}"
        # Never send anything anywhere, and never upgrade somebody else's files by looking at them.
        settings = Settings(anonymized_telemetry=False, migrations="validate")
        try:
            return chromadb.PersistentClient(address, settings, self.tenant, self.database)
        except Exception:
            # Chroma keeps a client that could not be opened, and would hand it out at the next try.
            SharedSystemClient._identifier_to_system.pop(address, None)
            raise

    def _stamp(self) -> str:
        """Size and time of Chroma's database and of its journal."""
        found = self.path / _DATABASE
        if not found.is_file():  # Chroma would make one
            raise RetrieverError(
                f"there is no Chroma database in {self.path}: it has no {_DATABASE}.", remedy="Check 'path'."
            )
        files = [each for each in (found, found.with_name(f"{_DATABASE}-wal")) if each.exists()]
        return " ".join(f"{each.stat().st_size} {each.stat().st_mtime_ns}" for each in files)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DriftwatchError:
            raise
        except Exception as error:  # noqa: BLE001 - Chroma raises what it likes; a person reads it here
            reason = shown(str(error), 300).rstrip(".")
            remedy = "Check 'collection', 'tenant' and 'database'." if "does not exist" in reason else ""
            if "migrations" in reason:
                remedy = "It was written by another version of Chroma: ask its server, with 'host'."
            raise RetrieverError(f"{self.shown} cannot be read: {reason}.", remedy=remedy) from None


@dataclass(frozen=True)
class FolderCollection:
    """One collection as Chroma's client gives it."""

    collection: Any
    described: Mapping[str, Any]

    def count(self) -> int:
        return int(self.collection.count())

    def get(
        self,
        *,
        include: Sequence[str],
        ids: Sequence[str] | None = None,
        where: Mapping[Any, Any] | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> Answer:
        found: Answer = self.collection.get(ids=ids, where=where, limit=limit, offset=offset, include=list(include))
        return found

    def query(self, vectors: NDArray[np.float32], n_results: int, include: Sequence[str]) -> Answer:
        found: Answer = self.collection.query(query_embeddings=vectors, n_results=n_results, include=list(include))
        return found


def _described(collection: Any) -> Mapping[str, Any]:
    """As a server describes a collection."""
    first = collection.get(limit=1, include=["embeddings"])["embeddings"]
    return {
        "id": str(collection.id),
        "dimension": len(first[0]) if len(first) else None,
        "configuration_json": collection.configuration_json,
        "metadata": collection.metadata,
    }
