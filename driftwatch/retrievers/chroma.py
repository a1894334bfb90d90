"""A collection of Chroma, and the embedder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SecretStr, model_validator

from driftwatch.retrievers import Retriever
from driftwatch.retrievers._by_vector import search_by_vector
from driftwatch.schedule import Duration
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, Stored

if TYPE_CHECKING:
    from driftwatch.retrievers._chroma import Reader
    from driftwatch.retrievers._chroma_folder import Folder
    from driftwatch.retrievers._chroma_server import Server


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


class Chroma(Retriever):
    """Embeds the queries with driftwatch's own embedder and searches a collection of Chroma 1.x by vector.

    Scores are similarities where the collection's space is `cosine` (1 - distance) or `ip`, and squared distances where
    it is `l2`, which is what Chroma takes when nobody says; that needs `score_kind: distance`.
    """

    needs_embedder: ClassVar[bool] = True

    collection: str = Field(min_length=1)
    """Its name."""
    host: str | None = Field(default=None, pattern=r"^[^/@?#\s]+$")
    """The name or address of the server; or `path`."""
    port: int = Field(default=8000, ge=1, le=65535)
    """Where the server listens."""
    ssl: bool = False
    """Speak HTTPS with the server."""
    token: SecretStr | None = None
    """Proves to the server who is asking; or `token_file`."""
    token_header: Literal["Authorization", "X-Chroma-Token"] = "Authorization"  # noqa: S105 - the name of a header
    """How the token is sent: as `Authorization: Bearer <token>`, or by itself."""
    path: Path | None = None
    """The folder of a `PersistentClient`, where there is no server."""
    tenant: str = Field(default="default_tenant", min_length=1)
    """Chroma's tenant."""
    database: str = Field(default="default_database", min_length=1)
    """Chroma's database."""
    doc_key: str | None = None
    """The metadata that holds the stable key of a document, as canaries name it. Without it, an entry's own id. Several
    entries may share one."""
    lang_key: str | None = None
    """The metadata that holds the language of an entry."""
    timeout: Duration = timedelta(seconds=30)
    """For one answer of the server, to its last byte."""

    @model_validator(mode="after")
    def _is_somewhere(self) -> Chroma:
        if (self.host is None) == (self.path is None):
            raise ValueError("set 'host' for a server, or 'path' for a folder: one of them.")
        if self.host and ":" in self.host and not _is_address(self.host):
            raise ValueError(
                f"{self.host!r} is no host. The port goes into 'port', and an IPv6 address has no brackets."
            )
        if self.token and self.path:
            raise ValueError("a folder takes no 'token'. Leave it out, or set 'host'.")
        if self.token and not re.fullmatch(r"[!-~]+", self.token.get_secret_value()):
            raise ValueError("the token has a blank or an unprintable character. Is it the right file or variable?")
        return self

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything."""
        return frozenset({"by vector", "exact", "vectors", "texts", "ids", "facts"})

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Embed all queries and search for them, some hundred at a time.

        After a search that fails, the rest is not asked and carries the same reason.
        """
        return search_by_vector(self.kind, queries, embedder, self._searched)

    def reach(self) -> str:
        """Describe the collection, and look at its first entries."""
        with self._reading() as reader:
            page = reader.collection.get(limit=100, include=["metadatas"])
            reader.check_key(page["ids"], page["metadatas"])
            facts = reader.facts()
            return (
                f"{reader.shown}: {facts.count} vectors of {facts.dimension} numbers, {facts.settings['kind']} index "
                f"for {facts.metric}"
            )

    def search_vectors(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> list[tuple[ScoredDoc, ...]]:
        """As the collection is searched; ``exact``: over all its vectors, fetched in blocks and compared here."""
        with self._reading() as reader:
            return list(reader.search(vectors, top_k, exact=exact))

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        """Entries by Chroma's ids; texts are its documents."""
        with self._reading() as reader:
            return reader.stored(entry_ids, vectors=vectors, texts=texts)

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """In the order in which they were added."""
        from driftwatch.retrievers._chroma import Listed

        listed = Listed()
        while True:
            with self._reading() as reader:
                page, listed = reader.page(listed)
            if not page:
                return
            yield page

    def facts(self) -> IndexFacts:
        """From the collection's configuration, and what is needed for a fingerprint."""
        with self._reading() as reader:
            return reader.facts()

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those that no entry belongs to."""
        with self._reading() as reader:
            return frozenset(doc_ids) - reader.holds(list(doc_ids))

    def close(self) -> None:
        """Let go of files or connections."""
        if "_place" in self.__dict__:
            self._place.close()

    def _searched(self, vectors: NDArray[np.float32]) -> Iterator[tuple[ScoredDoc, ...]]:
        with self._reading() as reader:
            yield from reader.search(vectors, self.top_k)

    @contextmanager
    def _reading(self) -> Iterator[Reader]:
        from driftwatch.retrievers._chroma import Reader

        with self._place.opened() as collection:
            reader = Reader(collection, self._place.shown, self.doc_key, self.lang_key)
            reader.check_scores(self.score_kind)
            yield reader

    @cached_property
    def _place(self) -> Folder | Server:
        from driftwatch.retrievers._chroma_folder import Folder
        from driftwatch.retrievers._chroma_server import Server

        if self.path is not None:
            return Folder(self.path, self.tenant, self.database, self.collection)
        assert self.host is not None
        return Server(
            host=self.host,
            port=self.port,
            ssl=self.ssl,
            token=self.token.get_secret_value() if self.token else None,
            token_header=self.token_header,
            tenant=self.tenant,
            database=self.database,
            name=self.collection,
            timeout=self.timeout.total_seconds(),
        )
