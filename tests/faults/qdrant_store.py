"""Qdrant's own engine behind its REST interface, changed point by point as an ingestion changes it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson

from tests.faults.material import ROOT
from tests.faults.stores import Build, Entries, Hits, Vectors

NAME = "docs"
SPACE = uuid.UUID("5f0c1d9e-4b5a-4c58-9a0e-6a3f7d1f2c11")
QUANTISED: dict[str, Any] = {"pq": {"product": {"compression": "x64"}}, "binary": {"binary": {}}}


class QdrantStore:
    """One collection of a server that lives as long as this does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.faults.qdrant_process", str(folder)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._client: httpx.Client | None = None
        self._held: tuple[Entries, Build] | None = None
        self._ef = 0

    def write(self, entries: Entries, build: Build) -> None:
        """Put in what is new or different, take out what is gone, and let the graph be built anew."""
        before = self._held
        if before is None or before[0].vectors.shape[1] != entries.vectors.shape[1] or before[1].kind != build.kind:
            before = None
            self._create(entries.vectors.shape[1], build)
        known = (
            dict(zip(before[0].ids, zip(before[0].vectors, before[0].texts, strict=True), strict=True))
            if before
            else {}
        )
        self._put(entries, [row for row, each in enumerate(entries.ids) if not _same(known.get(each), entries, row)])
        gone = [_point(each) for each in known.keys() - set(entries.ids)]
        if gone:
            self._ask("POST", f"/collections/{NAME}/points/delete", {"points": gone})
        self._ask("PATCH", f"/collections/{NAME}", {"hnsw_config": _graph(build)})
        self._held, self._ef = (entries, build), build.ef

    def search(self, vectors: Vectors, top_k: int) -> Hits:
        """The service's own search."""
        asked = [
            {"query": row, "limit": top_k, "params": {"hnsw_ef": self._ef}, "with_payload": {"include": ["doc_id"]}}
            for row in vectors.tolist()
        ]
        found = self._ask("POST", f"/collections/{NAME}/points/query/batch", {"searches": asked})
        return [[(each["payload"]["doc_id"], each["score"]) for each in one["points"]] for one in found]

    def setting(self) -> dict[str, Any]:
        """The collection."""
        return {"kind": "qdrant", "url": self.url, "collection": NAME, "doc_key": "doc_id", "ef": 64, "top_k": 10}

    def rest(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def keep(self) -> None:
        """This process knows what it wrote."""

    def restore(self) -> None:
        """Write it all again."""
        assert self._held is not None
        held, self._held = self._held, None
        self.write(*held)

    def close(self) -> None:
        """End the server."""
        self.rest()
        self._process.communicate(timeout=30)

    def _create(self, dimension: int, build: Build) -> None:
        if any(each["name"] == NAME for each in self._ask("GET", "/collections")["collections"]):
            self._ask("DELETE", f"/collections/{NAME}")
        body = {
            "vectors": {"size": dimension, "distance": "Dot"},
            "quantization_config": QUANTISED.get(build.kind),
            "hnsw_config": _graph(build),
        }
        self._ask("PUT", f"/collections/{NAME}", body)

    def _put(self, entries: Entries, rows: Sequence[int]) -> None:
        points = [
            {
                "id": _point(entries.ids[row]),
                "vector": entries.vectors[row].tolist(),
                "payload": {"doc_id": entries.ids[row], "text": entries.texts[row], "lang": entries.langs[row]},
            }
            for row in rows
        ]
        for start in range(0, len(points), 500):
            self._ask("PUT", f"/collections/{NAME}/points", {"points": points[start : start + 500]})

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        if self._client is None:
            self._client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        answer = self._client.request(method, path, content=None if body is None else orjson.dumps(body))
        answer.raise_for_status()
        return orjson.loads(answer.content)["result"]


def _graph(build: Build) -> dict[str, int]:
    return {"m": 2 * build.links, "ef_construct": build.thoroughness}


def _point(doc_id: str) -> str:
    return str(uuid.uuid5(SPACE, doc_id))


def _same(held: Any, entries: Entries, row: int) -> bool:
    return held is not None and held[1] == entries.texts[row] and np.array_equal(held[0], entries.vectors[row])
