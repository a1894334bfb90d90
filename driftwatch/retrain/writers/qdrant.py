"""A collection of Qdrant like another, with the points' own ids and payloads, and other vectors."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import RetrainError
from driftwatch.retrain.manifests import settings_of
from driftwatch.retrain.writers import Old, Placed, by_document, by_name, new_name
from driftwatch.retrained import Passage
from driftwatch.retrievers._qdrant import Fields, _point_id
from driftwatch.retrievers.qdrant import Qdrant

LONGEST = 255
"""Bytes of a collection's name."""
POINTS = 256
"""Points of one request."""
_NAMED = uuid.UUID("6d0c2f4e-6f0b-4f57-8f0e-6f2a3c1d9b84")
"""What ids of points are derived from that Qdrant cannot call by their passage."""


@dataclass(frozen=True)
class Writing:
    """Needs a key that may write. A folder of the local mode is only open to one process, so the monitor must not be
    running on it.
    """

    index: Qdrant
    release: str
    place: Path

    @property
    def name(self) -> str:
        """Of the new collection."""
        return new_name(self.index.collection, self.release, LONGEST)

    def begin(self, dimension: int) -> None:
        """A collection with the old one's parameters and indexes of payload fields, each unless it is there."""
        with self._asking() as client:
            info = client.get_collection(self.index.collection)
            if not client.collection_exists(self.name):
                parameters = _parameters(info.config, self.index.using, dimension)
                client.create_collection(
                    self.name, **{name: value for name, value in parameters.items() if value is not None}
                )
            if self.index.path is None:  # the local mode has no such indexes, and says so as a warning
                there = client.get_collection(self.name).payload_schema or {}
                for field, kept in (info.payload_schema or {}).items():
                    if field not in there:
                        client.create_payload_index(self.name, field, kept.params or kept.data_type, wait=True)

    def write(self, number: int, passages: Sequence[Passage], vectors: NDArray[np.float32]) -> None:
        """Points of the same name are written over."""
        del number
        rows = {each.passage_id: row for each, row in zip(passages, vectors.tolist(), strict=True)}
        with self._asking() as client:
            points = [self._point(each, rows[each.passage.passage_id]) for each in self._placed(client, passages)]
            for start in range(0, len(points), POINTS):
                client.upsert(self.name, points[start : start + POINTS], wait=True)

    def finish(self) -> Mapping[str, Any]:
        """Graphs are built by the server, in its own time; until then it compares every vector."""
        return settings_of(self.index) | {"collection": self.name}

    def discard(self) -> None:
        """The collection with the name of the release."""
        with self._asking() as client:
            if client.collection_exists(self.name):
                client.delete_collection(self.name)

    def _placed(self, client: Any, passages: Sequence[Passage]) -> list[Placed]:
        ids = [each for each in (_point_id(passage.passage_id) for passage in passages) if each is not None]
        found = [point for start in range(0, len(ids), POINTS) for point in self._named(client, ids, start)]
        placed, rest = by_name(passages, map(self._old, found))
        return placed + by_document(rest, map(self._old, self._of_documents(client, rest)))

    def _named(self, client: Any, ids: Sequence[int | str], start: int) -> Any:
        some = list(ids[start : start + POINTS])
        others = self._others(client)
        return client.retrieve(self.index.collection, some, with_payload=True, with_vectors=others)

    def _of_documents(self, client: Any, passages: Sequence[Passage]) -> Iterator[Any]:
        """Every point of the old collection that belongs to a document of these."""
        from qdrant_client import models

        key = self.index.doc_key
        parents = list(dict.fromkeys(each.parent for each in passages))
        others = self._others(client)
        for start in range(0, len(parents) if key else 0, POINTS):
            some = parents[start : start + POINTS]
            numbers = [int(each) for each in some if isinstance(_point_id(each), int) and int(each) < 2**63]
            matches = [models.MatchAny(any=some), *([models.MatchAny(any=numbers)] if numbers else [])]
            fields: list[Any] = [models.FieldCondition(key=str(key), match=match) for match in matches]
            after = None
            while True:
                points, after = client.scroll(
                    self.index.collection,
                    scroll_filter=models.Filter(should=fields),
                    limit=POINTS,
                    offset=after,
                    with_payload=True,
                    with_vectors=others,
                )
                yield from points
                if after is None:
                    break

    def _others(self, client: Any) -> Any:
        """Names of the vectors that the new model does not make."""
        params = client.get_collection(self.index.collection).config.params
        dense = set(params.vectors) if isinstance(params.vectors, dict) else set()
        return sorted((dense | set(params.sparse_vectors or {})) - {self.index.using or ""}) or False

    def _old(self, point: Any) -> Old:
        vectors = point.vector if isinstance(point.vector, dict) else {}
        carried = (point.payload or {}, vectors)
        return Old(str(point.id), self._fields.doc_id(point), self._fields.text(point), carried)

    def _point(self, placed: Placed, row: list[float]) -> Any:
        from qdrant_client import models

        passage = placed.passage
        payload, others = ({}, {}) if placed.like is None else placed.like.carried
        payload = dict(payload)
        if placed.like is None:
            for name, value in (self.index.filter or {}).items():
                _put(payload, name, value)
            _put(payload, self.index.lang_key, passage.lang or None)
            _put(payload, self.index.doc_key, passage.parent)
        if placed.entry_id is None:  # vectors of another text do not fit this one
            others = {}
            _put(payload, self.index.text_key, passage.text)
        vector: Any = {**others, self.index.using or "": row} if others or self.index.using else row
        return models.PointStruct(id=self._id(placed), vector=vector, payload=payload)

    def _id(self, placed: Placed) -> int | str:
        passage = placed.passage
        if placed.entry_id is not None and (known := _point_id(placed.entry_id)) is not None:
            return known
        named = _point_id(passage.passage_id)
        if self.index.doc_key is None and (named is None or passage.passage_id != passage.parent):
            raise RetrainError(
                f"Qdrant cannot call a point '{passage.passage_id}', and nothing else of it says its document.",
                remedy="Set 'doc_key' of the index.",
            )
        return str(uuid.uuid5(_NAMED, passage.passage_id)) if named is None else named

    @property
    def _fields(self) -> Fields:
        return Fields(self.index.doc_key, self.index.text_key, self.index.lang_key)

    @contextmanager
    def _asking(self) -> Iterator[Any]:
        with self.index._place().asking() as client:
            yield client


def _parameters(config: Any, using: str | None, dimension: int) -> dict[str, Any]:
    """What ``create_collection`` takes, for a collection like the one with ``config``."""
    from qdrant_client import models

    params = config.params
    vectors = params.vectors
    if isinstance(vectors, dict):
        name = using or ""
        vectors = {**vectors, name: vectors[name].model_copy(update={"size": dimension})}
    else:
        vectors = vectors.model_copy(update={"size": dimension})
    if str(getattr(params.sharding_method, "value", "")) == "custom":
        raise RetrainError(
            "the collection has shards of its own keys, and nobody knows which point belongs to which.",
            remedy="Build the new collection by your own means.",
        )
    same = ("shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload")
    return {
        "vectors_config": vectors,
        "sparse_vectors_config": params.sparse_vectors,
        **{name: getattr(params, name, None) for name in same},
        "hnsw_config": _as(models.HnswConfigDiff, config.hnsw_config),
        "optimizers_config": _as(models.OptimizersConfigDiff, config.optimizer_config),
        "wal_config": _as(models.WalConfigDiff, config.wal_config),
        "quantization_config": config.quantization_config,
        "strict_mode_config": _as(models.StrictModeConfig, getattr(config, "strict_mode_config", None)),
        "metadata": getattr(config, "metadata", None),
    }


def _as(wanted: Any, given: Any) -> Any:
    """The same settings as the class that creating takes; None: nothing is set."""
    if given is None:
        return None
    known = given.model_dump(exclude_none=True)
    return wanted(**{name: value for name, value in known.items() if name in wanted.model_fields})


def _put(payload: dict[str, Any], key: str | None, value: Any) -> None:
    """``payload["metadata"]["source"] = value`` for `metadata.source`, unless there is a field of just that name."""
    if key is None or value is None:
        return
    if key not in payload:
        *outer, key = key.split(".")
        for part in outer:
            payload[part] = dict(payload[part]) if isinstance(payload.get(part), dict) else {}
            payload = payload[part]
    payload[key] = value
