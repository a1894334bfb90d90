"""A collection of Qdrant, and the embedder."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr, SecretStr, model_validator

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._by_vector import search_by_vector
from driftwatch.schedule import Duration
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, Stored

if TYPE_CHECKING:
    from driftwatch.retrievers._qdrant import Reader
    from driftwatch.retrievers._qdrant_place import Place


class Qdrant(Retriever):
    """Embeds the queries with driftwatch's own embedder and searches a collection of Qdrant by vector.

    Scores are similarities where the collection compares by `Cosine` or `Dot`, and distances where it does by `Euclid`
    or `Manhattan`; that needs `score_kind: distance`. A `Cosine` collection stores its vectors normalised.
    """

    needs_embedder: ClassVar[bool] = True

    url: str | None = Field(default=None, pattern=r"^https?://[^@\s]+$")
    """Where the server listens, such as `http://localhost:6333`; or `path`."""
    api_key: SecretStr | None = None
    """Proves to the server who is asking; or `api_key_file`."""
    path: Path | None = None
    """The folder of Qdrant's local mode, where there is no server."""
    collection: str = Field(min_length=1)
    """Its name, or an alias."""
    using: str | None = None
    """Which vector of a point, where the collection has several by name."""
    doc_key: str | None = None
    """The payload field that holds the stable key of a document, as canaries name it, such as `metadata.source`.
    Without it, a point's own id. Several points may share one."""
    text_key: str | None = "text"
    """The payload field that holds the text that was embedded; `null` where there is none."""
    lang_key: str | None = "lang"
    """The payload field that holds the language (BCP 47), where there is one."""
    ef: int | None = Field(default=None, ge=1)
    """`hnsw_ef` of a search, as the service sets it; without it, Qdrant's own."""
    filter: Mapping[str, str | int | bool] | None = None
    """Payload fields and the values that they must have, as the service filters its searches: only such points are
    searched, listed and counted."""
    exact: bool = False
    """Compare with every stored vector also where the service's own way of searching is asked for."""
    timeout: Duration = timedelta(seconds=30)
    """For connecting, and for each wait while an answer comes; counts in whole seconds."""

    _kept: Any = PrivateAttr(default=None)
    _turn: Any = PrivateAttr(default_factory=threading.RLock)

    @model_validator(mode="after")
    def _is_somewhere(self) -> Qdrant:
        if (self.url is None) == (self.path is None):
            raise ValueError("set 'url' for a server, or 'path' for a folder: one of them.")
        if self.api_key and self.path:
            raise ValueError("a folder takes no 'api_key'. Leave it out, or set 'url'.")
        if self.api_key and not re.fullmatch(r"[!-~]+", self.api_key.get_secret_value()):
            raise ValueError("the api_key has a blank or an unprintable character. Is it the right file or variable?")
        return self

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; texts only with a `text_key`."""
        able: frozenset[Capability] = frozenset({"by vector", "exact", "vectors", "ids", "facts"})
        return able | {"texts"} if self.text_key else able

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Embed all queries and search for them, some at a time.

        After a search that fails, the rest is not asked and carries the same reason.
        """
        return search_by_vector(self.kind, queries, embedder, self._searched)

    def reach(self) -> str:
        """Describe the collection, and look whether its points have the `doc_key`."""
        with self._reading() as reader:
            reader.check_key()
            return f"{reader.shown}: {reader.count()} vectors of {reader.size} numbers for {reader.metric}"

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those that no point belongs to."""
        if not doc_ids:
            return frozenset()
        with self._reading() as reader:
            return frozenset(doc_ids) - reader.holds(list(dict.fromkeys(doc_ids)))

    def search_vectors(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> list[tuple[ScoredDoc, ...]]:
        """With `ef` and `filter` as they are set; ``exact``: over the original vectors, by Qdrant itself."""
        if len(vectors) == 0:
            return []
        with self._reading() as reader:
            return list(reader.search(vectors, top_k, exact=exact or self.exact))

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        """Points by their ids. Vectors of a `Cosine` collection are those that Qdrant normalised.

        Raises:
            RetrieverError: it could not be asked; or texts alone are wanted, and there is no `text_key`.
        """
        if texts and not vectors and not self.text_key:
            raise RetrieverError(
                "the retriever 'qdrant' cannot give texts without a 'text_key'.", remedy="Set 'text_key'."
            )
        if not entry_ids:
            return {}
        with self._reading() as reader:
            return reader.stored(list(dict.fromkeys(entry_ids)), vectors=vectors, texts=texts)

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """Every point, in the order of the points' ids."""
        after: Any = None
        while True:
            with self._reading() as reader:
                page, after = reader.page(after)
            if page:
                yield page
            if after is None:
                return

    def facts(self) -> IndexFacts:
        """What the collection says of itself.

        The fingerprint is made of the number of points, the collection's configuration, and the first points with their
        vectors in the order of ids. It changes when points are added or deleted and when the collection is made or
        embedded anew; it does not show that a few vectors or texts were replaced under their old ids.
        """
        with self._reading() as reader:
            return reader.facts(self.ef)

    def close(self) -> None:
        """Let go of connections and of the folder."""
        with self._turn:
            if self._kept is not None:  # and it is kept: a search that has it may be about to open it again
                self._kept.close()

    def _searched(self, vectors: NDArray[np.float32]) -> Iterator[tuple[ScoredDoc, ...]]:
        with self._reading() as reader:
            yield from reader.search(vectors, self.top_k, exact=self.exact)

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        from driftwatch.retrievers._qdrant import Fields, Reader

        place = self._place()
        with place.asking() as client:
            fields = Fields(self.doc_key, self.text_key, self.lang_key)
            reader = Reader(client, place.shown, self.collection, self.using, fields)
            reader.check_scores(self.score_kind)
            reader.ef, reader.equal, reader.searched = self.ef, dict(self.filter or {}), self.path is None
            yield reader

    def _place(self) -> Place:
        from driftwatch.retrievers._qdrant_place import Place

        with self._turn:
            if self._kept is None:
                key = self.api_key.get_secret_value() if self.api_key else None
                self._kept = Place(self.url, self.path, key, self.collection, self.timeout.total_seconds())
            place: Place = self._kept
            return place
