"""One row of the sample: narrow columns for the checks, a body for people."""

from __future__ import annotations

from array import array
from datetime import datetime
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.sampling import Kept
from driftwatch.store.columns import dump, short_name
from driftwatch.types import Observation, ScoredDoc

_BODY = (
    "text",
    "lang_detected",
    "session",
    "score_kind",
    "relevant",
    "expect_empty",
    "abstained",
    "feedback",
    "feedback_doc",
    "versions",
    "error",
    "digest",
    "attempt",
)


def row_of(source: str, kept: Kept) -> dict[str, Any]:
    """The row of ``tables.sampled`` for one kept observation."""
    seen = kept.observation
    query_id = short_name(seen.query_id)
    unit = f"{kept.day} {seen.session}" if seen.session else f"{source} {kept.day} {kept.stratum} {kept.priority!r}"
    return {
        "source": source,
        "at": seen.at,
        "day": kept.day,
        "stratum": kept.stratum,
        "priority": kept.priority,
        "lang": seen.lang,
        "query_id": query_id,
        "query_hash": query_hash(query_id),
        "unit": int.from_bytes(blake2b(unit.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True),
        "scores": pack_scores(seen),
        "body": body_of(seen),
    }


def body_of(seen: Observation) -> str:
    """What has no column of its own."""
    body = {name: getattr(seen, name) for name in _BODY}
    body["hits"] = None if seen.hits is None else [[hit.doc_id, hit.score] for hit in seen.hits]
    return dump(body)


def query_hash(query_id: str) -> int:
    """What a query is looked up by; whoever finds compares the id as well."""
    return crc32(query_id.encode("utf-8", "replace"))


def pack_scores(seen: Observation) -> bytes:
    """The scores of an observation as float32, higher is better; a hit without a score is NaN."""
    sign = -1.0 if seen.score_kind == "distance" else 1.0
    hits = seen.hits or ()
    return array("f", [float("nan") if hit.score is None else sign * hit.score for hit in hits]).tobytes()


def padded(flat: NDArray[np.float32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
    """Shape (n, k): rows of these lengths that lie one after the other, NaN-padded to the longest.

    >>> padded(np.array([0.5, 0.25], "float32"), np.array([0, 2]))
    array([[ nan,  nan],
           [0.5 , 0.25]], dtype=float32)
    """
    width = int(lengths.max(initial=0))
    if flat.size == width * len(lengths):
        return flat.reshape(len(lengths), width)
    scores = np.full((len(lengths), width), np.nan, dtype=np.float32)
    scores[np.arange(width) < lengths[:, None]] = flat
    return scores


def widened(scores: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Shape (n, width): more columns of NaN."""
    missing = width - scores.shape[1]
    return np.pad(scores, ((0, 0), (0, missing)), constant_values=np.nan) if missing else scores


def text_of(body: str) -> str:
    """What is kept of the query's text."""
    return str(orjson.loads(body)["text"])


def observation_of(source: str, at: datetime, query_id: str, lang: str, weight: float, body: str) -> Observation:
    """The observation that ``row_of`` was given."""
    rest = orjson.loads(body)
    hits = rest.pop("hits")
    return Observation(
        at=at,
        source=source,
        query_id=query_id,
        lang=lang,
        weight=weight,
        hits=None if hits is None else tuple(ScoredDoc(doc_id, score) for doc_id, score in hits),
        **rest,
    )
