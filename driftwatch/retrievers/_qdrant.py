"""What is asked of a collection of Qdrant, once it is reached."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.errors import EmbedError, RetrieverError
from driftwatch.retrievers._exact import MOST_ENTRIES
from driftwatch.retrievers._qdrant_facts import DISTANCES, METRICS, model_of, settings_of
from driftwatch.types import IndexFacts, ScoredDoc, ScoreKind, Stored

SEARCHES = 64
"""Queries of one request."""
ANSWERED = 64_000
"""Points that the answer to one request may name."""
POINTS = 256
"""Points of one request that are fetched with their vectors."""
LISTED = 1000
"""Points of one page of the list."""
SAMPLED = 64
"""Points that the fingerprint is made of."""


@dataclass(frozen=True)
class Fields:
    """Where things are in a payload; None: nowhere."""

    doc_key: str | None
    text_key: str | None
    lang_key: str | None

    def doc_id(self, point: Any) -> str:
        """The stable key of the point's document; the point's own id where its payload has none."""
        found = _at(point.payload, self.doc_key)
        return str(point.id) if found is None or isinstance(found, dict | list) else str(found)

    def text(self, point: Any) -> str | None:
        """The text that was embedded."""
        found = _at(point.payload, self.text_key)
        return found if isinstance(found, str) else None

    def lang(self, point: Any) -> str:
        """The language; empty: not known."""
        found = _at(point.payload, self.lang_key)
        return found if isinstance(found, str) else ""


def _at(payload: Mapping[str, Any] | None, key: str | None) -> Any:
    """``payload["metadata"]["source"]`` for `metadata.source`, unless there is a field of just that name."""
    if payload is None or key is None:
        return None
    if key in payload:
        return payload[key]
    found: Any = payload
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


class Reader:
    """One collection, as it was described when this was made."""

    ef: int | None = None
    searched: bool = True
    """Whether there is anything to say of how to search: the local mode compares every vector."""
    equal: Mapping[str, str | int | bool] = {}
    """Payload fields and their values: points without them are not held."""

    def __init__(self, client: Any, shown: str, collection: str, using: str | None, fields: Fields) -> None:
        self.client, self.shown, self.collection, self.using, self.fields = client, shown, collection, using, fields
        self.info = client.get_collection(collection)
        self.params = self._params()
        self.size = int(self.params.size)
        self.metric = METRICS[self.params.distance.value]

    def _params(self) -> Any:
        """How the vectors that are meant are kept."""
        there = self.info.config.params.vectors
        named = there if isinstance(there, dict) else {} if there is None else {"": there}
        if found := named.get(self.using or ""):
            if found.multivector_config is not None:
                which = f"the vector '{self.using}' of {self.shown}" if self.using else self.shown
                raise RetrieverError(
                    f"{which} has several vectors a point, and the embedder gives one a text.",
                    remedy="Set 'using' to a vector with one a point, if there is one.",
                )
            return found
        if list(named) == [""]:
            raise RetrieverError(f"{self.shown} has one vector without a name.", remedy="Leave 'using' out.")
        if not named:
            raise RetrieverError(f"{self.shown} has no dense vectors.", remedy="Check 'collection'.")
        asked = f"no vector '{self.using}'" if self.using else "vectors by name"
        raise RetrieverError(f"{self.shown} has {asked}.", remedy=f"Set 'using' to one of: {', '.join(sorted(named))}.")

    def check_scores(self, score_kind: ScoreKind) -> None:
        """Raises RetrieverError where the collection's scores run against ``score_kind``."""
        kind = "distance" if self.metric in DISTANCES else "similarity"
        if kind != score_kind:
            raise RetrieverError(
                f"{self.shown} compares by {self.params.distance.value}, which gives a {kind}, and 'score_kind' is "
                f"'{score_kind}'.",
                remedy=f"Set 'score_kind: {kind}'.",
            )

    def check_key(self) -> None:
        """Raises RetrieverError where none of the first points has the `doc_key`."""
        key = self.fields.doc_key
        points, _ = self.client.scroll(self.collection, scroll_filter=self._filter(), limit=100, with_payload=True)
        if key is None or not points or any(_at(point.payload, key) is not None for point in points):
            return
        names = sorted({name for point in points for name in point.payload or {}})
        raise RetrieverError(
            f"{self.shown}: no point that was looked at has '{key}' in its payload.",
            remedy=f"Set 'doc_key' to one of: {', '.join(names)[:300]}." if names else "Leave 'doc_key' out.",
        )

    def count(self) -> int:
        """Points, counted and not estimated."""
        return int(self.client.count(self.collection, count_filter=self._filter(), exact=True).count)

    def search(self, vectors: NDArray[np.float32], top_k: int, *, exact: bool) -> Iterator[tuple[ScoredDoc, ...]]:
        """The best ``top_k`` documents of each row of ``vectors``, each of them once, best first."""
        if vectors.shape[1] != self.size:
            raise EmbedError(
                f"the embedder gives vectors of {vectors.shape[1]} numbers, and {self.shown} holds vectors of "
                f"{self.size}.",
                remedy="Set 'embedder: model' (and 'dimension') to what it was built with, or another 'using'.",
            )
        for start in range(0, len(vectors), SEARCHES):
            yield from self._batch(vectors[start : start + SEARCHES].tolist(), top_k, exact=exact)

    def _batch(self, rows: list[list[float]], top_k: int, *, exact: bool) -> list[tuple[ScoredDoc, ...]]:
        """Documents with many points may fill an answer: then more points are asked for, of those queries alone.

        Never more than ``MOST_ENTRIES``: a collection of a few long documents has no ``top_k`` different ones.
        """
        found: list[tuple[ScoredDoc, ...]] = [()] * len(rows)
        short, limit = list(range(len(rows))), top_k
        while short:
            answers = self._asked([rows[place] for place in short], limit, exact=exact)
            again = []
            for place, points in zip(short, answers, strict=True):
                best: dict[str, float] = {}
                for point in points:
                    best.setdefault(self.fields.doc_id(point), point.score)
                found[place] = tuple(ScoredDoc(name, score) for name, score in list(best.items())[:top_k])
                if len(best) < top_k and len(points) == limit < MOST_ENTRIES:
                    again.append(place)
            short, limit = again, min(2 * limit, MOST_ENTRIES)
        return found

    def _asked(self, rows: list[list[float]], limit: int, *, exact: bool) -> Iterator[list[Any]]:
        from qdrant_client import models

        shared: dict[str, Any] = {
            "using": self.using,
            "limit": limit,
            "params": self._search_params(exact=exact) if self.searched else None,
            "filter": self._filter(),
            "with_payload": self._payload(self.fields.doc_key),
        }
        requests = [models.QueryRequest(query=row, **shared) for row in rows]
        at_once = max(1, ANSWERED // limit)
        for start in range(0, len(requests), at_once):
            for answer in self.client.query_batch_points(self.collection, requests[start : start + at_once]):
                yield answer.points

    def _search_params(self, *, exact: bool) -> Any:
        """Exact is by what was stored: quantized vectors are passed over too."""
        from qdrant_client import models

        if exact:
            return models.SearchParams(exact=True, quantization=models.QuantizationSearchParams(ignore=True))
        return models.SearchParams(hnsw_ef=self.ef, exact=False)

    def _filter(self, *more: Any, should: list[Any] | None = None) -> Any:
        """What `filter` says, and ``more``, and one of ``should``; None: nothing."""
        from qdrant_client import models

        fields = [
            models.FieldCondition(key=key, match=models.MatchValue(value=value)) for key, value in self.equal.items()
        ]
        must = [*fields, *more]
        return models.Filter(must=must or None, should=should) if must or should else None

    def _payload(self, *keys: str | None) -> Any:
        wanted = [key for key in keys if key is not None]
        return wanted or False

    def stored(self, entry_ids: Sequence[str], *, vectors: bool, texts: bool) -> dict[str, Stored]:
        """Points by id; those that are not there are left out."""
        fields = self.fields
        keys = self._payload(fields.doc_key, fields.text_key if texts else None, fields.lang_key)
        wanted: Any = ([self.using] if self.using else True) if vectors else False
        found = {}
        for point in self._points(entry_ids, keys, wanted):
            vector = self._vector(point)
            found[str(point.id)] = Stored(
                str(point.id),
                fields.doc_id(point),
                None if vector is None else np.asarray(vector, dtype=np.float32),
                fields.text(point) if texts else None,
                fields.lang(point),
            )
        return found

    def _vector(self, point: Any) -> Any:
        """The vector that is meant; the one without a name is called so only beside sparse ones."""
        return point.vector.get(self.using or "") if isinstance(point.vector, dict) else point.vector

    def _points(self, entry_ids: Sequence[str], payload: Any, vectors: Any) -> Iterator[Any]:
        from qdrant_client import models

        ids = [each for each in map(_point_id, entry_ids) if each is not None]
        for start in range(0, len(ids), POINTS):
            some = ids[start : start + POINTS]
            wanted = {"with_payload": payload, "with_vectors": vectors}
            if self.equal:
                only = self._filter(models.HasIdCondition(has_id=some))
                yield from self.client.scroll(self.collection, scroll_filter=only, limit=len(some), **wanted)[0]
            else:
                yield from self.client.retrieve(self.collection, some, **wanted)

    def page(self, after: Any) -> tuple[list[tuple[str, str]], Any]:
        """(entry_id, doc_id) of some points, and where the next ones begin; None: there are none."""
        points, following = self.client.scroll(
            self.collection,
            scroll_filter=self._filter(),
            limit=LISTED,
            offset=after,
            with_payload=self._payload(self.fields.doc_key),
            with_vectors=False,
        )
        return [(str(point.id), self.fields.doc_id(point)) for point in points], following

    def holds(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those of ``doc_ids`` that a point belongs to."""
        found: set[str] = set()
        for start in range(0, len(doc_ids) if self.fields.doc_key else 0, POINTS):
            found |= self._named(doc_ids[start : start + POINTS])
        others = [doc_id for doc_id in doc_ids if doc_id not in found]
        by_id = self._points(others, self._payload(self.fields.doc_key), vectors=False)
        return frozenset(found) | {self.fields.doc_id(point) for point in by_id}

    def _named(self, doc_ids: Sequence[str]) -> set[str]:
        from qdrant_client import models

        key = self.fields.doc_key
        numbers = [int(each) for each in doc_ids if _is_number(each, most=2**63)]
        matches = [models.MatchAny(any=list(doc_ids))] + ([models.MatchAny(any=numbers)] if numbers else [])
        should: list[Any] = [models.FieldCondition(key=str(key), match=match) for match in matches]
        found: set[str] = set()
        after = None
        while True:
            points, after = self.client.scroll(
                self.collection,
                scroll_filter=self._filter(should=should),
                limit=LISTED,
                offset=after,
                with_payload=self._payload(key),
            )
            found |= {self.fields.doc_id(point) for point in points}
            if after is None or found >= set(doc_ids):
                return found

    def facts(self, ef: int | None) -> IndexFacts:
        """What the collection says of itself."""
        count = self.count()
        return IndexFacts(
            count=count,
            dimension=self.size,
            metric=self.metric,
            fingerprint=f"{count}-{self._fingerprint(count)}",
            settings=settings_of(self.info, self.params, self.info.points_count or count, ef),
            model=model_of(self.info),
        )

    def _fingerprint(self, count: int) -> str:
        vectors: Any = [self.using] if self.using else True
        points, _ = self.client.scroll(
            self.collection, scroll_filter=self._filter(), limit=SAMPLED, with_payload=False, with_vectors=vectors
        )
        digest = hashlib.blake2b(str(count).encode(), digest_size=6)
        digest.update(orjson.dumps(self._configured, option=orjson.OPT_SORT_KEYS))
        for point in points:
            vector = self._vector(point)
            digest.update(str(point.id).encode() + np.asarray(vector or [], dtype=np.float32).tobytes())
        return digest.hexdigest()

    @cached_property
    def _configured(self) -> Any:
        config = self.info.config
        return [config.params.model_dump(mode="json"), config.model_dump(mode="json").get("metadata")]


def _point_id(entry_id: str) -> int | str | None:
    """What Qdrant calls a point, a whole number or a UUID; None: it calls none so."""
    if _is_number(entry_id, most=2**64):
        return int(entry_id)
    try:
        named = str(uuid.UUID(entry_id))
    except ValueError:
        return None
    return named if named == entry_id else None


def _is_number(text: str, *, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20 and int(text) < most and str(int(text)) == text
