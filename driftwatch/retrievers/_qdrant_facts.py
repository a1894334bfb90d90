"""What Qdrant says of a collection, as words."""

from __future__ import annotations

from typing import Any

METRICS = {"Cosine": "cosine", "Dot": "dot", "Euclid": "euclidean", "Manhattan": "manhattan"}
DISTANCES = ("euclidean", "manhattan")
_MODEL_KEYS = ("embedding_model", "embedder", "model", "model_name")
_INDEXED = 0.9
"""Share of the points from which a graph counts as built: the newest ones always wait for a while."""


def settings_of(info: Any, params: Any, count: int, ef: int | None) -> dict[str, str]:
    """How the collection is built and searched: `kind`, `m`, `ef_construct`, `ef`, `quantization`, `indexed` ..."""
    hnsw = {**_given(info.config.hnsw_config), **_given(params.hnsw_config)}
    found = {"kind": "hnsw" if hnsw.get("m") else "none", "compressed": "yes" if _is_coarse(params) else "no"}
    found |= {name: str(hnsw[name]) for name in ("m", "ef_construct", "full_scan_threshold") if name in hnsw}
    found["ef"] = str(ef) if ef else "as built"
    found["quantization"] = _quantization(params.quantization_config or info.config.quantization_config)
    found["on_disk"] = "yes" if params.on_disk or hnsw.get("on_disk") else "no"
    found["indexed"] = _indexed(info.indexed_vectors_count or 0, count)
    found["status"] = str(getattr(info.status, "value", info.status))
    found["optimizer"] = _optimizer(info.optimizer_status)
    return found


def model_of(info: Any) -> str:
    """The embedding model that the collection's metadata names; empty: it names none."""
    metadata = getattr(info.config, "metadata", None) or {}
    return next((str(metadata[key]) for key in _MODEL_KEYS if metadata.get(key)), "")


def _given(settings: Any) -> dict[str, Any]:
    return {} if settings is None else settings.model_dump(mode="json", exclude_none=True)


def _is_coarse(params: Any) -> bool:
    """Whether less than 32 bits of each number are kept. Quantized vectors are kept beside the original ones."""
    return getattr(params.datatype, "value", params.datatype) not in (None, "float32")


def _quantization(settings: Any) -> str:
    """Such as `product x16`, `scalar int8`, `binary`; `none`."""
    for kind, given in _given(settings).items():
        return " ".join([kind, *(str(given[name]) for name in ("compression", "type", "encoding") if given.get(name))])
    return "none"


def _indexed(indexed: int, count: int) -> str:
    if indexed >= _INDEXED * count:
        return "all"
    return "part" if indexed else "none"


def _optimizer(status: Any) -> str:
    error = getattr(status, "error", None)
    return f"error: {error}"[:200] if error else str(getattr(status, "value", status))
