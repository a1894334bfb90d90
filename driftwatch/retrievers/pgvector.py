"""A Postgres table with pgvector, and the embedder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SecretStr, field_validator, model_validator

from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.retrievers._by_vector import search_by_vector
from driftwatch.retrievers._pgvector import WIDEST, Metric, Reader, Table
from driftwatch.retrievers._pgvector_place import FORM, reading
from driftwatch.schedule import Duration
from driftwatch.types import Capability, Embedder, IndexFacts, Query, Reply, ScoredDoc, Stored


class Pgvector(Retriever):
    """Embeds the queries and searches a Postgres table with a pgvector column, in read-only transactions.

    Scores are similarities for `metric: cosine` (1 - distance) and `dot`, distances for `euclidean`, which therefore
    needs `score_kind: distance`. Rows without a vector cannot be found and count as not there.
    """

    needs_embedder: ClassVar[bool] = True

    url: SecretStr
    """Where the database is: `postgresql://user:password@host/database`; or `url_file`."""
    table: str
    """Its name, or `schema.table`; as Postgres keeps it, so capitals count."""
    id_column: str = "id"
    """The key of a row; no two rows share one."""
    doc_column: str | None = None
    """The stable key of a document, as canaries name it. Without it, `id_column`. Several rows may share one."""
    vector_column: str = "embedding"
    """Of the type `vector` or `halfvec`."""
    text_column: str | None = None
    """The text that was embedded; without it, stored texts cannot be looked at."""
    lang_column: str | None = None
    """The language of a row's text."""
    metric: Metric = "cosine"
    """What the service orders by: `cosine` is the operator `<=>`, `dot` is `<#>`, `euclidean` is `<->`."""
    ef_search: int | None = Field(default=None, ge=1, le=WIDEST)
    """`hnsw.ef_search` as the service sets it; a search never finds more rows than that. Without it, the server's own
    (40 by default), raised to what a search asks for."""
    probes: int | None = Field(default=None, ge=1)
    """`ivfflat.probes` as the service sets it; without it, the server's own."""
    filter: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    """Column -> the value that it must have: only such rows are searched, listed and counted."""
    timeout: Duration = timedelta(seconds=30)
    """For one statement, on the server, and for connecting."""

    @field_validator("url")
    @classmethod
    def _postgres(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ValueError(f"'url' is not the address of a Postgres database. Write it like {FORM}.")
        authority, _, path = url.get_secret_value().partition("://")[2].partition("?")[0].partition("/")
        cut_by_a_slash = "@" not in authority and "@" in path
        if authority.count("@") > 1 or cut_by_a_slash:  # a part of the password would be taken for the host, and shown
            raise ValueError("'url' has an '@' or a '/' too many. In a password they are written '%40' and '%2F'.")
        return url

    @field_validator("table")
    @classmethod
    def _one_table(cls, table: str) -> str:
        parts = table.split(".")
        if len(parts) > 2 or not all(parts):
            raise ValueError(f"{table!r} is not the name of a table. Write 'table' or 'schema.table'.")
        return table

    @model_validator(mode="after")
    def _scores_run_as_said(self) -> Pgvector:
        given = "distance" if self.metric == "euclidean" else "similarity"
        if self.score_kind != given:
            raise ValueError(
                f"'metric: {self.metric}' gives a {given}, and 'score_kind' is '{self.score_kind}'. "
                f"Set 'score_kind: {given}'."
            )
        return self

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; texts where a column is named for them."""
        able: set[Capability] = {"by vector", "exact", "vectors", "ids", "facts"}
        return frozenset(able | ({"texts"} if self.text_column else set()))

    def search(self, queries: Sequence[Query], embedder: Embedder | None = None) -> list[Reply]:
        """Embed all queries, then search for one after the other.

        After a search that fails, the rest is not asked and carries the same reason.
        """
        return search_by_vector(
            self.kind, queries, embedder, lambda vectors: self._found(vectors, self.top_k), one_by_one=True
        )

    def reach(self) -> str:
        """Ask for the facts."""
        facts = self.facts()
        kind = facts.settings["kind"]
        about = f"{'about ' * ('count' in facts.settings)}{facts.count} vectors of {facts.dimension} numbers"
        words = f"{self.table}: {about}, {f'{kind} index' if kind != 'none' else 'no index'} for {self.metric}"
        others = facts.settings.get("other indexes")
        return f"{words}; of no use for this metric: {others}" if kind == "none" and others else words

    def search_vectors(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> list[tuple[ScoredDoc, ...]]:
        """As the planner likes; ``exact``: with index scans off, or for many vectors by reading all rows once."""
        return list(self._found(vectors, top_k, exact=exact))

    def stored(self, entry_ids: Sequence[str], *, vectors: bool = True, texts: bool = True) -> dict[str, Stored]:
        """Rows by `id_column`."""
        if texts and not vectors and self.text_column is None:
            raise RetrieverError(
                "the retriever 'pgvector' cannot give stored texts.", remedy="Set 'text_column' if the table has one."
            )
        with self._reading() as reader:
            return reader.stored(entry_ids, vectors=vectors, texts=texts)

    def entries(self) -> Iterator[list[tuple[str, str]]]:
        """Every row with a vector, by `id_column`."""
        with self._reading() as reader:
            yield from reader.entries()

    def facts(self) -> IndexFacts:
        """From the table and the catalogue."""
        from driftwatch.retrievers._pgvector_facts import facts

        with self._reading() as reader:
            return facts(reader, self.ef_search, self.probes)

    def missing(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those that no row with a vector belongs to."""
        with self._reading() as reader:
            return frozenset(doc_ids) - reader.holds(list(doc_ids))

    def _found(
        self, vectors: NDArray[np.float32], top_k: int, *, exact: bool = False
    ) -> Iterator[tuple[ScoredDoc, ...]]:
        from driftwatch.retrievers import _pgvector_exact

        with self._reading() as reader:
            if exact and len(vectors) > _pgvector_exact.FEW:
                yield from _pgvector_exact.search(reader, vectors, top_k)
            else:
                yield from reader.search(vectors, top_k, exact=exact, ef_search=self.ef_search, probes=self.probes)

    def _reading(self) -> AbstractContextManager[Reader]:
        return reading(
            self.url.get_secret_value(),
            Table(
                name=tuple(self.table.split(".")),
                id_column=self.id_column,
                doc_column=self.doc_column or self.id_column,
                vector_column=self.vector_column,
                text_column=self.text_column,
                lang_column=self.lang_column,
                metric=self.metric,
                filter=self.filter,
            ),
            self.timeout,
        )
