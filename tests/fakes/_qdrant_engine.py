"""One collection of the fake Qdrant: the engine, and its requests from JSON to what the engine wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qdrant_edge as edge

HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 1, "max_indexing_threads": 1, "on_disk": False}
OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 1,
    "indexing_threshold": 1,
    "flush_interval_sec": 5,
}


class Refused(Exception):
    """A request that a server would refuse, with its status."""

    def __init__(self, code: int, said: str) -> None:
        self.code = code
        super().__init__(said)


def hnsw_of(settings: Mapping[str, Any]) -> Any:
    """`hnsw_config`."""
    names = ("m", "ef_construct", "full_scan_threshold", "max_indexing_threads")
    return edge.HnswIndexConfig(**{name: settings[name] for name in names})


def quantization_of(settings: Mapping[str, Any] | None) -> Any:
    """`quantization_config`."""
    if not settings:
        return None
    ((kind, given),) = settings.items()
    if kind == "product":
        return edge.ProductQuantizationConfig(getattr(edge.CompressionRatio, given["compression"].upper()))
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=given.get("quantile"))
    if kind == "binary":
        return edge.BinaryQuantizationConfig()
    raise Refused(400, f"Wrong input: unknown quantization {kind}")


def params_of(given: Mapping[str, Any] | None) -> Any:
    """`params` of a query."""
    if given is None:
        return None
    quantization = given.get("quantization")
    return edge.SearchParams(
        hnsw_ef=given.get("hnsw_ef"),
        exact=bool(given.get("exact")),
        indexed_only=bool(given.get("indexed_only")),
        quantization=edge.QuantizationSearchParams(
            ignore=bool(quantization.get("ignore")),
            rescore=quantization.get("rescore"),
            oversampling=quantization.get("oversampling"),
        )
        if quantization
        else None,
    )


def payload_of(wanted: Any) -> Any:
    """`with_payload`: true, false, or the names of fields."""
    if isinstance(wanted, Mapping):
        return edge.PayloadSelector.Include(wanted["include"])
    return wanted


def filter_of(given: Mapping[str, Any] | None) -> Any:
    """`filter`: must, should and must_not over fields, ids and emptiness."""
    if given is None:
        return None
    return edge.Filter(
        **{name: [_condition(each) for each in _listed(given.get(name))] for name in ("must", "should", "must_not")}
        | {name: None for name in ("must", "should", "must_not") if given.get(name) is None}
    )


def _listed(conditions: Any) -> list[Any]:
    if conditions is None:
        return []
    return conditions if isinstance(conditions, list) else [conditions]


def _condition(given: Mapping[str, Any]) -> Any:
    if "has_id" in given:
        return edge.HasIdCondition(set(given["has_id"]))
    if "is_empty" in given:
        return edge.IsEmptyCondition(given["is_empty"]["key"])
    if "key" not in given:
        return filter_of(given)
    match = given.get("match")
    if match is None:
        limits = {name: given["range"].get(name) for name in ("gt", "gte", "lt", "lte")}
        return edge.FieldCondition(given["key"], range=edge.RangeFloat(**limits))
    if "any" in match:
        return edge.FieldCondition(given["key"], match=edge.MatchAny(match["any"]))
    return edge.FieldCondition(given["key"], match=edge.MatchValue(match["value"]))


@dataclass
class Collection:
    """One collection: the engine, and the configuration as the protocol shows it."""

    folder: Path
    vectors: dict[str, Any]
    hnsw: dict[str, Any]
    quantization: dict[str, Any] | None
    optimizers: dict[str, Any]
    metadata: dict[str, Any] | None
    indexed: dict[str, Any] = field(default_factory=dict)
    """Field of the payload -> its index, as the protocol shows it."""
    shard: Any = field(init=False)

    def __post_init__(self) -> None:
        self.shard = edge.EdgeShard.create(str(self.folder), self.config())

    def config(self) -> Any:
        """As the engine wants it."""
        named = self.vectors if "size" not in self.vectors else {"": self.vectors}
        params = {
            name: edge.EdgeVectorParams(size=each["size"], distance=getattr(edge.Distance, each["distance"]))
            for name, each in named.items()
        }
        names = ("deleted_threshold", "vacuum_min_vector_number", "default_segment_number", "indexing_threshold")
        return edge.EdgeConfig(
            vectors=params.get("", params),
            hnsw_config=hnsw_of(self.hnsw),
            quantization_config=quantization_of(self.quantization),
            optimizers=edge.EdgeOptimizersConfig(**{name: self.optimizers[name] for name in names}),
        )

    def info(self) -> dict[str, Any]:
        """`GET /collections/{name}`."""
        found = self.shard.info()
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": found.indexed_vectors_count,
            "points_count": found.points_count,
            "segments_count": found.segments_count,
            "config": {
                "params": {
                    "vectors": self.vectors,
                    "shard_number": 1,
                    "replication_factor": 1,
                    "write_consistency_factor": 1,
                    "on_disk_payload": True,
                },
                "hnsw_config": self.hnsw,
                "optimizer_config": self.optimizers,
                "wal_config": {"wal_capacity_mb": 32, "wal_segments_ahead": 0},
                "quantization_config": self.quantization,
                "metadata": self.metadata,
            },
            "payload_schema": self.indexed,
        }

    def rebuild(self) -> None:
        """Build graph and quantized vectors anew, as they are configured now."""
        self.shard.close()
        self.shard = edge.EdgeShard.load(str(self.folder), self.config())
        self.shard.optimize()
