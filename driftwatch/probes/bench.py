"""Where the experiment is made: everything is asked here once, as far as time and capabilities go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np

from driftwatch.errors import DriftwatchError
from driftwatch.probes import Target
from driftwatch.probes.cells import (
    BASELINE,
    FRESH_APPROXIMATE,
    FRESH_EXACT,
    OF_THE_POOL,
    SERVICE,
    STORED_APPROXIMATE,
    STORED_EXACT,
    Ranking,
    Way,
    oriented,
)
from driftwatch.probes.pool import Chosen, Pool, Vectors, choose, embed_anew, graph, ranked
from driftwatch.probes.vectors import VectorsSeen, is_compressed, judge_vectors
from driftwatch.retrievers import Retriever
from driftwatch.types import Capability, IndexFacts, Query, Reply

ASKED_AT_ONCE = 32
"""Canaries that the service is asked between two looks at the clock."""
SEARCHED_AT_ONCE = 128
DEEP = 100
"""Documents of an exact search: more than the service gives, to see how far down something fell."""
EMBEDDING = 0.85
"""Share of the time after which nothing more is embedded: what was is searched in the rest."""

REFERENCE = 512
"""Other texts that a stored vector is compared with."""
NO_INDEX = "there is no index to ask: name it under `index:`"
NO_VECTORS = "the index does not give its vectors"
NO_EMBEDDER = "there is no `embedder:`"
COARSE = "the index keeps its vectors in a coarser form, in which it is not built anew here"


class Clock:
    """How much time is left; ``stopping`` ends it at once."""

    def __init__(self, seconds: float, stopping: Callable[[], bool]) -> None:
        self._began = time.monotonic()
        self._seconds = seconds
        self._stopping = stopping

    def goes_on(self, share: float = 1.0) -> bool:
        """Whether ``share`` of the time is not over yet."""
        return not self._stopping() and time.monotonic() - self._began < share * self._seconds

    @property
    def why(self) -> str:
        """Why nothing goes on."""
        return "it was being stopped" if self._stopping() else f"{self._seconds:g} seconds were over"


@dataclass(frozen=True)
class Bench:
    """One experiment. Each property asks when it is first read, and says in a note what it could not."""

    target: Target
    clock: Clock
    documents: int
    seed: int
    notes: list[str]

    @cached_property
    def canaries(self) -> tuple[Query, ...]:
        """Those that expect a document."""
        return tuple(
            query
            for query in self.target.canaries
            if not query.expect_empty and any(relevance > 0 for relevance in query.relevant.values())
        )

    @cached_property
    def expected(self) -> tuple[str, ...]:
        """The documents that they expect."""
        found = (doc_id for query in self.canaries for doc_id, relevance in query.relevant.items() if relevance > 0)
        return tuple(dict.fromkeys(found))

    @property
    def depth(self) -> int:
        """Documents in an answer: as many as the service gives."""
        asked = self.target.service or self.target.index
        return asked.top_k if asked is not None else 20

    # --- the service ---------------------------------------------------------------------------------------------

    @cached_property
    def replies(self) -> Mapping[str, Reply]:
        """query_id -> what the service answered; a canary that there was no time for is not in it."""
        service = self.target.service
        found: dict[str, Reply] = {}
        if service is None:
            return found
        for part in self._parts(self.canaries, ASKED_AT_ONCE, "asked through the service"):
            try:
                answers = service.search(part, self.target.embedder)
            except DriftwatchError as error:
                answers = [Reply(None, error=str(error))] * len(part)
            found |= {query.query_id: reply for query, reply in zip(part, answers, strict=True)}
        return found

    @cached_property
    def service(self) -> Way:
        """What users get."""
        if self.target.service is None:
            return Way(SERVICE, unable="there is no `retriever:`")
        kind = self.target.service.score_kind
        answered = {name: oriented(reply.hits, kind) for name, reply in self.replies.items() if reply.hits is not None}
        reasons = [reply.error for reply in self.replies.values() if reply.hits is None and reply.error]
        return Way(SERVICE, answered, "" if answered else next(iter(reasons), "no canary was asked"))

    @cached_property
    def before(self) -> Way:
        """What the service answered in the baseline."""
        kind = self.target.service.score_kind if self.target.service is not None else "similarity"
        known = {query.query_id for query in self.canaries}
        found = {name: oriented(hits, kind) for name, hits in self.target.before.items() if name in known}
        return Way(BASELINE, found, "" if found else "there are no answers of the baseline")

    # --- the index as it is --------------------------------------------------------------------------------------

    @cached_property
    def facts(self) -> IndexFacts:
        """What the index says of itself; nothing where it cannot."""
        index = self.target.index
        if index is None or "facts" not in index.capabilities:
            return IndexFacts()
        try:
            return index.facts()
        except DriftwatchError as error:
            self.notes.append(f"The index does not say what it is: {error}")
            return IndexFacts()

    @cached_property
    def vectors(self) -> Mapping[str, Vectors]:
        """query_id -> its vector, shape (dimension,), as the embedder is configured."""
        embedder = self.target.embedder
        return self.encoded(embedder.encode_queries) if embedder is not None else {}

    @cached_property
    def approximate(self) -> Way:
        """Our own query vectors, searched as the service searches."""
        return self.searched(STORED_APPROXIMATE, self.vectors, self.depth, exact=False)

    @cached_property
    def deep(self) -> Way:
        """Our own query vectors, compared with every stored one; deeper than the service answers."""
        return self.searched(STORED_EXACT, self.vectors, max(self.depth, DEEP), exact=True)

    @cached_property
    def exact(self) -> Way:
        """The same, as deep as the service answers."""
        return self.deep.top(self.depth)

    def encoded(self, encode: Callable[[Sequence[str]], Vectors]) -> dict[str, Vectors]:
        """query_id -> vector by ``encode``; empty, with a note, when nothing could be embedded."""
        found: dict[str, Vectors] = {}
        try:
            for part in self._parts(self.canaries, SEARCHED_AT_ONCE, "embedded"):
                rows = encode([query.text for query in part])
                found |= {query.query_id: row for query, row in zip(part, rows, strict=True)}
        except DriftwatchError as error:
            self.notes.append(f"The queries could not be embedded: {error}")
        return found

    def searched(self, name: str, vectors: Mapping[str, Vectors], depth: int, *, exact: bool) -> Way:
        """The rankings of ``vectors`` in the index, or why there are none."""
        index = self.target.index
        needed: Capability = "exact" if exact else "by vector"
        if unable := self._cannot_search(index, needed, vectors):
            return Way(name, unable=unable)
        assert index is not None
        found: dict[str, Ranking] = {}
        asked = [query for query in self.canaries if query.query_id in vectors]
        try:
            for part in self._parts(asked, SEARCHED_AT_ONCE, f"searched for: {name}"):
                rows = np.stack([vectors[query.query_id] for query in part])
                answers = index.search_vectors(rows, depth, exact=exact)
                found |= {
                    query.query_id: oriented(hits, index.score_kind) for query, hits in zip(part, answers, strict=True)
                }
        except DriftwatchError as error:
            return Way(name, unable=str(error))
        return Way(name, found, "" if found else self.clock.why)

    def _cannot_search(self, index: Retriever | None, needed: Capability, vectors: Mapping[str, Vectors]) -> str:
        if index is None:
            return NO_INDEX
        if needed not in index.capabilities:
            return f"'{index.kind}' cannot search {'exactly' if needed == 'exact' else needed} with these settings"
        if self.target.embedder is None:
            return NO_EMBEDDER
        return "" if vectors else "the queries could not be embedded"

    # --- the index as it would be ---------------------------------------------------------------------------------

    @cached_property
    def chosen(self) -> Chosen | str:
        """Which entries are embedded anew, or why none can be."""
        index = self.target.index
        if self.target.embedder is None or index is None:
            return (
                "there is no `embedder:`" if index is not None else "there is no index to ask: name it under `index:`"
            )
        if "ids" not in index.capabilities:
            return f"'{index.kind}' cannot list what it holds with these settings"
        if not self.clock.goes_on(EMBEDDING):
            return self.clock.why
        try:
            return choose(index, self._wanted(), self.documents, self.seed, lambda: self.clock.goes_on(EMBEDDING))
        except DriftwatchError as error:
            return str(error)

    @cached_property
    def pool(self) -> Pool | str:
        """The chosen entries with fresh vectors, or why there are none."""
        chosen = self.chosen
        if isinstance(chosen, str):
            return chosen
        index, embedder = self.target.index, self.target.embedder
        assert index is not None
        assert embedder is not None
        try:
            pool = embed_anew(index, embedder, self.target.corpus, chosen, lambda: self.clock.goes_on(EMBEDDING))
        except DriftwatchError as error:
            return str(error)
        self.notes.extend(_notes_on(pool, chosen, self.clock))
        return pool if len(pool.doc_ids) else "neither the index nor `documents:` has the texts"

    @cached_property
    def whole(self) -> bool:
        """Whether every entry of the index was embedded anew."""
        whole = not isinstance(self.chosen, str) and self.chosen.whole
        return whole and not isinstance(self.pool, str) and not (self.pool.left or self.pool.without_text)

    @cached_property
    def covered(self) -> tuple[Query, ...]:
        """The canaries whose expected documents were all embedded anew, as far as the index holds them."""
        if isinstance(self.pool, str) or isinstance(self.chosen, str):
            return ()
        outside = (self.chosen.held & frozenset(self.expected)) - self.pool.documents
        return tuple(query for query in self.canaries if outside.isdisjoint(query.relevant))

    @cached_property
    def seen(self) -> VectorsSeen | str:
        """Every stored vector of the pool against the fresh one of its text, or why not."""
        pool = self.pool
        if isinstance(pool, str) or pool.stored is None:
            return pool if isinstance(pool, str) else NO_VECTORS
        others = np.unique(np.linspace(0, len(pool.fresh) - 1, REFERENCE).astype(np.intp))
        normalised = self.target.normalised
        return judge_vectors(pool.stored, pool.fresh, {}, pool.fresh[others], self.facts, normalised=normalised)

    @cached_property
    def fresh(self) -> Way:
        """Fresh vectors, compared one by one."""
        return self._in_pool(FRESH_EXACT, lambda queries, pool: self._ranked(queries, pool, pool.fresh))

    @cached_property
    def rebuilt(self) -> Way:
        """Fresh vectors in a newly built index of the same kind, where it compares vectors as they are."""
        if is_compressed(self.facts) or self.facts.settings.get("quantization", "none") != "none":
            return Way(FRESH_APPROXIMATE, unable=COARSE)
        return self._in_pool(FRESH_APPROXIMATE, lambda queries, pool: graph(queries, pool, self.facts, self.depth))

    @cached_property
    def same_documents(self) -> Way:
        """Stored vectors of the very documents that were embedded anew, compared one by one."""
        pool = self.pool
        if not isinstance(pool, str) and pool.stored is not None:
            stored = pool.stored
            return self._in_pool(OF_THE_POOL, lambda queries, pool: self._ranked(queries, pool, stored))
        if self.whole:
            return Way(OF_THE_POOL, self.exact.rankings, self.exact.unable)
        return Way(OF_THE_POOL, unable=pool if isinstance(pool, str) else NO_VECTORS)

    def _ranked(self, queries: Vectors, pool: Pool, vectors: Vectors) -> list[Ranking]:
        return ranked(queries, pool.doc_ids, vectors, self.facts.metric, self.depth)

    def _in_pool(self, name: str, search: Callable[[Vectors, Pool], list[Ranking]]) -> Way:
        pool = self.pool
        if isinstance(pool, str):
            return Way(name, unable=pool)
        asked = [query for query in self.covered if query.query_id in self.vectors]
        if not asked:
            return Way(name, unable="no expected document was embedded anew in time")
        try:
            found = search(np.stack([self.vectors[query.query_id] for query in asked]), pool)
        except DriftwatchError as error:
            return Way(name, unable=str(error))
        return Way(name, {query.query_id: ranking for query, ranking in zip(asked, found, strict=True)})

    def _wanted(self) -> list[str]:
        """Expected documents, then what stands first in any answer, then what stands second ..."""
        answers = [
            [hit.doc_id for hit in ranking]
            for way in (self.exact, self.approximate, self.service, self.before)
            for ranking in way.rankings.values()
        ]
        by_rank = (doc_id for place in zip_longest(*answers) for doc_id in place if doc_id is not None)
        return list(dict.fromkeys((*self.expected, *by_rank)))

    def _parts(self, queries: Sequence[Query], size: int, what: str) -> Iterator[Sequence[Query]]:
        """A few at a time, as long as there is time; says how many there was none for."""
        for start in range(0, len(queries), size):
            if not self.clock.goes_on():
                left = len(queries) - start
                self.notes.append(f"{left} of {len(queries)} canaries were not {what}: {self.clock.why}.")
                return
            yield queries[start : start + size]


def _notes_on(pool: Pool, chosen: Chosen, clock: Clock) -> list[str]:
    notes = []
    count = f"{len(pool.doc_ids)} of {chosen.listed}{'' if chosen.finished else ' or more'} entries"
    if not chosen.whole or pool.left or pool.without_text:
        notes.append(
            f"Fresh and stored vectors were compared among {count}: what the canaries expect, what any way of "
            "searching found for them, and a random sample of the rest."
        )
    if pool.left:
        notes.append(f"{pool.left} entries that were chosen were not embedded: {clock.why}.")
    if pool.without_text:
        notes.append(f"{pool.without_text} entries have no text, neither in the index nor in the documents.")
    return notes
