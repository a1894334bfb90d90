"""Qdrant's REST protocol over a real socket, on top of the real engine (`qdrant_edge`).

with QdrantServer(tmp_path) as server:
    server.create("docs", 384, m=16, ef_construct=100)          # or QdrantClient(url=server.url).create_collection(...)
    server.upsert("docs", range(1000), vectors, [{"doc_id": "a"}, ...])
    server.optimize("docs")                                     # builds the HNSW graph and the quantized vectors
    Qdrant(kind="qdrant", url=server.url, collection="docs", doc_key="doc_id")...

What is the engine's own: HNSW graphs (`m`, `ef_construct`, `hnsw_ef`), exact search, scalar, product and binary
quantization, filters, the four distances. What differs from a server: optimizing happens when `optimize()` is called
and not in the background, so that vectors are compared one by one until then; the status is always green; a graph is
built over the smallest collections too (a server leaves those under 10 MB without one); there is one shard.

The engine searches with `max(hnsw_ef, limit)`: a tiny `hnsw_ef` costs recall only of a small `limit`. A graph that has
lost its links is had by `rebuild("docs", m=4, ef_construct=8)`, which takes recall to nearly nothing.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from tests.fakes._qdrant_engine import HNSW, OPTIMIZERS, Collection, Refused, filter_of, params_of, payload_of
from tests.fakes.search_service import Act, Asked, Handler, SearchService, says

PointId = int | str
BATCH = 1000
KEPT = 100
"""Requests that ``asked`` remembers: they hold whole batches of vectors."""
_WHERE = re.compile(r"/collections/(?P<name>[^/]+)(?P<rest>/.*)?$")


class QdrantServer(SearchService):
    """A Qdrant on any free port of 127.0.0.1, keeping its collections under ``folder``."""

    def __init__(self, folder: Path, *, api_key: str | None = None, port: int = 0) -> None:
        super().__init__(port)
        self.folder = folder
        self.api_key = api_key
        self.collections: dict[str, Collection] = {}
        self.trouble: Act | None = None
        """Done instead of answering: ``status(500)``, ``hang()``, ``reset()`` of ``tests.fakes.search_service``."""
        self._one_at_a_time = threading.RLock()

    @property
    def url(self) -> str:
        return self.origin

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        for collection in self.collections.values():
            collection.shard.close()
        self.collections.clear()

    # --- for tests, without the protocol ---------------------------------------------------------------------------

    def create(
        self,
        name: str,
        dimension: int,
        distance: str = "Cosine",
        *,
        quantization: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        using: str = "",
        indexing_threshold: int = 1,
        **hnsw: int,
    ) -> None:
        """A collection. ``quantization``: as in the protocol, `{"product": {"compression": "x16"}}`,
        `{"scalar": {"type": "int8"}}`, `{"binary": {}}`; ``hnsw``: `m`, `ef_construct`, `full_scan_threshold`."""
        params: dict[str, Any] = {"size": dimension, "distance": distance}
        self.create_collection(
            name,
            {
                "vectors": {using: params} if using else params,
                "quantization_config": quantization,
                "metadata": metadata,
                "hnsw_config": hnsw,
                "optimizers_config": {"indexing_threshold": indexing_threshold},
            },
        )

    def upsert(
        self,
        name: str,
        ids: Iterable[PointId],
        vectors: NDArray[np.float32],
        payloads: Sequence[Mapping[str, Any]] | None = None,
        *,
        using: str = "",
    ) -> None:
        """Points in batches; ``ids`` are whole numbers or UUIDs."""
        points = [
            edge.Point(each, {using: row} if using else row, dict(payloads[place]) if payloads is not None else None)
            for place, (each, row) in enumerate(zip(ids, vectors.tolist(), strict=True))
        ]
        for start in range(0, len(points), BATCH):
            self._update(name, edge.UpdateOperation.upsert_points(points[start : start + BATCH]))

    def update_vectors(
        self, name: str, ids: Iterable[PointId], vectors: NDArray[np.float32], *, using: str = ""
    ) -> None:
        """Other vectors for points that are there; their payload stays."""
        points = [
            edge.PointVectors(each, {using: row} if using else row)
            for each, row in zip(ids, vectors.tolist(), strict=True)
        ]
        for start in range(0, len(points), BATCH):
            self._update(name, edge.UpdateOperation.update_vectors(points[start : start + BATCH]))

    def delete(self, name: str, ids: Iterable[PointId]) -> None:
        """Points by id."""
        self._update(name, edge.UpdateOperation.delete_points(list(ids)))

    def set_payload(self, name: str, ids: Iterable[PointId], payload: Mapping[str, Any]) -> None:
        """The same fields for all of ``ids``; other fields stay."""
        self._update(name, edge.UpdateOperation.set_payload(list(ids), dict(payload)))

    def optimize(self, name: str) -> None:
        """Build the graph over everything, as a server does in the background."""
        with self._one_at_a_time:
            self._collection(name).shard.optimize()

    def rebuild(self, name: str, quantization: Mapping[str, Any] | None = None, **hnsw: int) -> None:
        """Build the graph (and the quantized vectors) again with other settings."""
        with self._one_at_a_time:
            collection = self._collection(name)
            collection.hnsw |= hnsw
            collection.quantization = dict(quantization) if quantization else collection.quantization
            collection.rebuild()

    def info(self, name: str) -> dict[str, Any]:
        """What the protocol says of a collection: `points_count`, `indexed_vectors_count` ..."""
        with self._one_at_a_time:
            return self._collection(name).info()

    # --- the protocol ------------------------------------------------------------------------------------------------

    def act_for(self, asked: Asked) -> Act:
        """Answer from the engine, or do what ``trouble`` says."""
        self.asked.append(asked)
        del self.asked[:-KEPT]
        if self.trouble is not None:
            return self.trouble
        if self.api_key and asked.headers.get("api-key") != self.api_key:
            return _text(401, "Must provide an API key or an Authorization bearer token")
        try:
            with self._one_at_a_time:
                return says({"result": self._answer(asked), "status": "ok", "time": 0.001})
        except Refused as error:
            return _error(error.code, str(error))
        except Exception as error:  # the engine raises bare Exceptions; the client is shown them
            if type(error) is not Exception:
                raise
            return _error(400, f"Wrong input: {error}")

    def _answer(self, asked: Asked) -> Any:
        if asked.path == "/":
            return {"title": "qdrant - vector search engine", "version": "1.20.0"}
        if asked.path == "/collections":
            return {"collections": [{"name": name} for name in self.collections]}
        place = _WHERE.match(asked.path)
        if place is None:
            raise Refused(404, "Not found")
        return self._route(asked, place["name"], place["rest"] or "")

    def _route(self, asked: Asked, name: str, rest: str) -> Any:
        routes: dict[tuple[str, str], Callable[[str, Any], Any]] = {
            ("GET", ""): lambda name, _: self._collection(name).info(),
            ("GET", "/exists"): lambda name, _: {"exists": name in self.collections},
            ("PUT", ""): self.create_collection,
            ("PATCH", ""): self._patch,
            ("DELETE", ""): self._drop,
            ("PUT", "/index"): self._put_index,
            ("PUT", "/points"): self._put_points,
            ("POST", "/points"): self._retrieve,
            ("POST", "/points/delete"): self._delete_points,
            ("POST", "/points/payload"): self._set_payload,
            ("PUT", "/points/vectors"): self._put_vectors,
            ("POST", "/points/scroll"): self._scroll,
            ("POST", "/points/count"): self._count,
            ("POST", "/points/query"): lambda name, body: {"points": self._query(name, [body])[0]},
            ("POST", "/points/query/batch"): lambda name, body: [
                {"points": points} for points in self._query(name, body["searches"])
            ],
        }
        route = routes.get((asked.method, rest))
        if route is None:
            raise Refused(404, f"no route {asked.method} {rest}")
        return route(name, asked.body)

    def create_collection(self, name: str, body: Mapping[str, Any]) -> bool:
        """`PUT /collections/{name}`."""
        if name in self.collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        self.collections[name] = Collection(
            self.folder / f"{name}-{uuid.uuid4().hex[:8]}",
            vectors=dict(body["vectors"]),
            hnsw=HNSW | _given(body.get("hnsw_config")),
            quantization=body.get("quantization_config") or None,
            optimizers=OPTIMIZERS | _given(body.get("optimizers_config")),
            metadata=body.get("metadata"),
        )
        return True

    def _patch(self, name: str, body: Mapping[str, Any]) -> bool:
        self.rebuild(name, body.get("quantization_config"), **_given(body.get("hnsw_config")))
        return True

    def _drop(self, name: str, _: Any) -> bool:
        self._collection(name).shard.close()
        del self.collections[name]
        return True

    def _collection(self, name: str) -> Collection:
        if name not in self.collections:
            raise Refused(404, f"Not found: Collection `{name}` doesn't exist!")
        return self.collections[name]

    def _update(self, name: str, operation: Any) -> dict[str, Any]:
        with self._one_at_a_time:
            self._collection(name).shard.update(operation)
        return {"operation_id": 0, "status": "completed"}

    def _put_index(self, name: str, body: Any) -> dict[str, Any]:
        schema = body["field_schema"]
        kind = schema if isinstance(schema, str) else schema["type"]
        params = {} if isinstance(schema, str) else {"params": schema}
        self._collection(name).indexed[body["field_name"]] = {"data_type": kind, "points": 0, **params}
        return {"operation_id": 0, "status": "completed"}

    def _put_points(self, name: str, body: Any) -> Any:
        points = [edge.Point(each["id"], each["vector"], each.get("payload")) for each in body["points"]]
        return self._update(name, edge.UpdateOperation.upsert_points(points))

    def _put_vectors(self, name: str, body: Any) -> Any:
        points = [edge.PointVectors(each["id"], each["vector"]) for each in body["points"]]
        return self._update(name, edge.UpdateOperation.update_vectors(points))

    def _delete_points(self, name: str, body: Any) -> Any:
        if "points" in body:
            return self._update(name, edge.UpdateOperation.delete_points(body["points"]))
        return self._update(name, edge.UpdateOperation.delete_points_by_filter(filter_of(body["filter"])))

    def _set_payload(self, name: str, body: Any) -> Any:
        return self._update(name, edge.UpdateOperation.set_payload(body["points"], body["payload"], body.get("key")))

    def _retrieve(self, name: str, body: Any) -> Any:
        found = self._collection(name).shard.retrieve(
            body["ids"], payload_of(body.get("with_payload", True)), body.get("with_vector", False)
        )
        return [_record(each) for each in found]

    def _scroll(self, name: str, body: Any) -> Any:
        request = edge.ScrollRequest(
            offset=body.get("offset"),
            limit=body.get("limit", 10),
            filter=filter_of(body.get("filter")),
            with_payload=payload_of(body.get("with_payload", True)),
            with_vector=body.get("with_vector", False),
        )
        points, after = self._collection(name).shard.scroll(request)
        return {"points": [_record(each) for each in points], "next_page_offset": _id(after)}

    def _count(self, name: str, body: Any) -> Any:
        request = edge.CountRequest(exact=body.get("exact", True), filter=filter_of(body.get("filter")))
        return {"count": self._collection(name).shard.count(request)}

    def _query(self, name: str, bodies: Sequence[Any]) -> list[list[dict[str, Any]]]:
        collection = self._collection(name)
        requests = [self._request(collection, body) for body in bodies]
        found = collection.shard.query_batch(edge.QueryBatchRequest(requests))
        return [
            [{**_record(each), "version": each.version, "score": each.score} for each in points] for points in found
        ]

    def _request(self, collection: Collection, body: Any) -> Any:
        asked = body["query"]
        vector = asked["nearest"] if isinstance(asked, dict) else asked
        using = body.get("using")
        if "size" not in collection.vectors and using not in collection.vectors:
            raise Refused(400, f"Wrong input: Not existing vector name error: {using or ''}")
        return edge.QueryRequest(
            limit=body.get("limit", 10),
            offset=body.get("offset", 0),
            query=edge.Query.Nearest(vector, using),
            filter=filter_of(body.get("filter")),
            params=params_of(body.get("params")),
            score_threshold=body.get("score_threshold"),
            with_payload=payload_of(body.get("with_payload", False)),
            with_vector=body.get("with_vector", False),
        )


def _record(point: Any) -> dict[str, Any]:
    vector = point.vector
    if isinstance(vector, dict) and set(vector) == {""}:
        vector = vector[""]
    return {"id": _id(point.id), "payload": point.payload, "vector": vector}


def _id(found: Any) -> Any:
    return str(found) if isinstance(found, uuid.UUID) else found


def _given(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (settings or {}).items() if value is not None}


def _error(code: int, said: str) -> Act:
    return says({"status": {"error": said}, "time": 0.001}, code=code)


def _text(code: int, said: str) -> Act:
    def act(handler: Handler, _: Asked) -> None:
        handler.reply(code, said.encode(), {"Content-Type": "text/plain"})

    return act
