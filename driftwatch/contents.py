"""What was asked: the texts and the embeddings of the sampled queries, for the checks that look at them.

Only a random part of each day's sample is embedded, each text once, and some of what is missing at each look: a
baseline that was recorded long ago is caught up with over a few looks. Nothing is loaded when no check asks for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from driftwatch.embed import QueryVectors
from driftwatch.errors import DriftwatchError
from driftwatch.store import Store
from driftwatch.types import Contents, Embedder, Sample

if TYPE_CHECKING:
    from driftwatch.config.sections import Privacy

log = logging.getLogger(__name__)

AT_ONCE = 4096
"""Texts embedded at one look at one window: half a minute on a processor, and no wait for a GPU."""
PIECE = 512
"""Texts between two looks at whether the daemon is being stopped."""

NO_EMBEDDER = "nothing is embedded. Add an 'embedder:' section to the configuration."
ONLY_HASHES = (
    "queries recorded before anything was embedded cannot be: 'keep_text: hash' keeps no text. Move the baseline to "
    "later days: 'driftwatch baseline set'."
)

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Any odd number: the order in which units are chosen has nothing to do with any other use of their hash."""


class Asked:
    """Reads what was asked from the store, and embeds what is not embedded yet."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder | None,
        privacy: Privacy,
        stopping: Callable[[], bool] = lambda: False,
        at_once: int = AT_ONCE,
    ) -> None:
        self._store = store
        self._vectors = QueryVectors(embedder) if embedder is not None else None
        self._hashes = privacy.keep_text == "hash"
        self._shows = privacy.show_queries and not self._hashes
        self._stopping = stopping
        self._at_once = at_once
        self._heard: dict[str, str] = {}
        self._heard_lock = threading.Lock()
        self._trouble = ""

    def fill(self, sample: Sample, source: str, per_day: int) -> Sample:
        """``sample``, whole, with its contents."""
        chosen = _chosen(sample, per_day)
        keys = np.zeros(len(sample), "V16")
        embedded = np.zeros(len(sample), bool)
        trouble = NO_EMBEDDER
        if self._vectors is not None:
            try:
                self._fill(self._vectors, source, sample, chosen, keys, embedded)
                trouble = (self._trouble or ONLY_HASHES) if self._hashes and (chosen & ~embedded).any() else ""
            except DriftwatchError as error:
                trouble = str(error)
                log.warning("the queries of %s cannot be embedded: %s", source, error)
        contents = Contents(
            whole=sample,
            chosen=chosen,
            embedded=embedded,
            vectors=lambda rows: self._read(keys[rows]),
            texts=(lambda rows: self._texts(source, sample, rows)) if self._shows else None,
            trouble=trouble,
        )
        return replace(sample, contents=contents)

    # --- texts of which only a hash is kept ------------------------------------------------------------------------

    @property
    def hear(self) -> Callable[[str, str], None] | None:
        """Takes (hash, text) of each query that enters the sample, where the database keeps hashes; else None."""
        return self._hear if self._hashes and self._vectors is not None else None

    def _hear(self, name: str, text: str) -> None:
        with self._heard_lock:
            self._heard[name] = text

    def embed_heard(self, most: int) -> None:
        """Embed at most so many of the texts that were heard, and forget all of them."""
        with self._heard_lock:
            heard, self._heard = self._heard, {}
        if self._vectors is None or not heard:
            return
        names = list(heard)[:most]
        try:
            known = self._vectors.known(self._vectors.keys(names))
            missing = [name for name, is_known in zip(names, known, strict=True) if not is_known]
            self._vectors.learn(missing, [heard[name] for name in missing])
            self._trouble = ""
        except DriftwatchError as error:
            self._trouble = str(error)
            log.warning("sampled queries cannot be embedded: %s", error)

    # --- texts that are kept ---------------------------------------------------------------------------------------

    def _fill(
        self,
        vectors: QueryVectors,
        source: str,
        sample: Sample,
        chosen: NDArray[np.bool_],
        keys: NDArray[np.void],
        embedded: NDArray[np.bool_],
    ) -> None:
        """Fill in the keys and what is embedded; then embed some of what is missing. A row without a text has none."""
        missing: dict[str, None] = {}
        for rows, texts in self._texts_by_day(source, sample, np.flatnonzero(chosen)):
            found = vectors.keys(texts)
            keys[rows] = np.frombuffer(b"".join(found), "V16")
            embedded[rows] = vectors.known(found)
            chosen[rows] = [text != "" for text in texts]
            if len(missing) < self._at_once:
                unknown = zip(texts, embedded[rows].tolist(), strict=True)
                missing |= dict.fromkeys(text for text, known in unknown if text and not known)
        if not missing or self._hashes:
            return
        self._learn(vectors, list(missing)[: self._at_once])
        left = np.flatnonzero(chosen & ~embedded)
        embedded[left] = vectors.known(_split(keys[left]))

    def _learn(self, vectors: QueryVectors, texts: Sequence[str]) -> None:
        for start in range(0, len(texts), PIECE):
            if self._stopping():
                return
            piece = texts[start : start + PIECE]
            vectors.learn(piece, piece)

    def _read(self, keys: NDArray[np.void]) -> NDArray[np.float16]:
        assert self._vectors is not None
        return self._vectors.read(_split(keys))

    def _texts(self, source: str, sample: Sample, rows: NDArray[np.intp]) -> list[str]:
        found = dict.fromkeys(rows.tolist(), "")
        for part, texts in self._texts_by_day(source, sample, np.unique(rows)):
            found.update(zip(part.tolist(), texts, strict=True))
        return [found[row] for row in rows.tolist()]

    def _texts_by_day(
        self, source: str, sample: Sample, rows: NDArray[np.intp]
    ) -> Iterator[tuple[NDArray[np.intp], list[str]]]:
        """``rows``, ascending, a day at a time, with their texts; the texts of one day at most are in memory."""
        at = sample.at[rows].astype(np.int64)
        days = at // 86_400_000_000
        for day in np.unique(days).tolist():
            start = _EPOCH + day * _DAY
            texts: Mapping[tuple[int, str], str] = self._store.traffic.texts(source, start, start + _DAY)
            here = days == day
            of_day = rows[here]
            names = zip(at[here].tolist(), sample.query_id[of_day].tolist(), strict=True)
            yield of_day, [texts.get(name, "") for name in names]


def _chosen(sample: Sample, per_day: int) -> NDArray[np.bool_]:
    """At most ``per_day`` rows of each day, by a hash of their unit: the same rows at every look."""
    order = sample.unit.astype(np.int64).view(np.uint64) * _MIX
    days = sample.at.astype("datetime64[D]")
    chosen = np.zeros(len(sample), bool)
    for day in np.unique(days):
        rows = np.flatnonzero(days == day)
        chosen[rows[np.argsort(order[rows], kind="stable")[:per_day]]] = True
    return chosen


def _split(keys: NDArray[np.void]) -> list[bytes]:
    flat = keys.tobytes()
    return [flat[start : start + 16] for start in range(0, len(flat), 16)]
