"""Collections of Chroma in a folder and on a server, filled for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.fakes.vectors import Entry


@contextmanager
def chroma_folder(folder: Path) -> Iterator[Any]:
    """A client of a folder that sends nothing anywhere, closed at the end."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(folder, Settings(anonymized_telemetry=False))
    try:
        yield client
    finally:
        client.close()


def fill_collection(client: Any, name: str, entries: Sequence[Entry], space: str = "cosine") -> None:
    """A new collection with these entries: `entry-<number>`, with the metadata `doc` and `lang`."""
    collection = client.create_collection(name, configuration={"hnsw": {"space": space}}, embedding_function=None)
    put = _laid_out(entries)
    collection.add(**{**put, "embeddings": np.array(put["embeddings"], dtype=np.float32)})


class ChromaServer:
    """What tests do to a server. Chroma's own client never closes its connections."""

    def __init__(self, port: int) -> None:
        place = f"http://127.0.0.1:{port}/api/v2/tenants/default_tenant/databases/default_database/"
        self.client = httpx.Client(base_url=place, timeout=60, trust_env=False)

    def fill(self, name: str, entries: Sequence[Entry], space: str = "cosine") -> None:
        """As ``fill_collection``."""
        self._ask("collections", {"name": name, "configuration": {"hnsw": {"space": space}}})
        self._ask(f"collections/{self._id(name)}/add", _laid_out(entries))

    def delete(self, name: str, doc_id: str) -> None:
        """All entries of a document."""
        self._ask(f"collections/{self._id(name)}/delete", {"where": {"doc": doc_id}})

    def close(self) -> None:
        self.client.close()

    def _id(self, name: str) -> str:
        return str(self.client.get(f"collections/{name}").raise_for_status().json()["id"])

    def _ask(self, path: str, body: dict[str, Any]) -> None:
        self.client.post(path, json=body).raise_for_status()


def _laid_out(entries: Sequence[Entry]) -> dict[str, Any]:
    return {
        "ids": [f"entry-{each.number}" for each in entries],
        "embeddings": [each.vector.tolist() for each in entries],
        "documents": [each.text for each in entries],
        "metadatas": [{"doc": each.doc_id, "lang": each.lang} for each in entries],
    }
