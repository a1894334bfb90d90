"""What an experiment is made on, put together from the configuration and from what the store remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from driftwatch.config import Watch
from driftwatch.documents import Corpus
from driftwatch.errors import DriftwatchError
from driftwatch.probes import Target
from driftwatch.probes.sampled import were_unit
from driftwatch.store import Store
from driftwatch.types import Embedder, Query, ScoredDoc
from driftwatch.windows import Learning, Windows

Before = Mapping[str, tuple[ScoredDoc, ...]]


def target_of(
    watch: Watch,
    store: Store,
    embedder: Embedder | None,
    *,
    now: datetime,
    source: str | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Target:
    """Index, service, embedder, documents and canaries of ``watch``, and what the baseline was answered.

    ``source``: whose canaries; None: the first that gives any. What is missing or unreadable becomes a note of the
    target. Reads the store and the files and writes nothing.

    Raises:
        DriftwatchError: ``source`` is not one that gives canaries.
    """
    notes: list[str] = []
    name = canary_source(watch, source)
    canaries = _canaries(watch, name, notes)
    if watch.probed is None:
        notes.append("No index was searched by vector: neither `retriever:` nor an `index:` section allows it.")
    if embedder is None:
        notes.append("Nothing was embedded: there is no `embedder:` section.")
    corpus, unread = _corpus(watch, notes)
    return Target(
        index=watch.probed,
        service=watch.retriever,
        embedder=embedder,
        corpus=corpus,
        unread=unread,
        canaries=canaries,
        before=_before(watch, store, name, canaries, now, notes),
        normalised=_normalised(watch, store),
        stopping=stopping,
        notes=tuple(notes),
    )


def _normalised(watch: Watch, store: Store) -> bool | None:
    """What the first look into the index remembers of the lengths of its vectors."""
    name = next((name for name, source in watch.sources.items() if source.gives == "probes"), None)
    last = store.experiments.last_probe(name) if name is not None else None
    return were_unit(last.state) if last is not None else None


def canary_source(watch: Watch, source: str | None) -> str | None:
    """The source of canaries that is called ``source``; the first of them when it is None, None when there is none.

    Raises:
        DriftwatchError: none of that name gives canaries.
    """
    names = [name for name, each in watch.sources.items() if each.gives == "runs"]
    if source is None or source in names:
        return source or next(iter(names), None)
    there = f"There are: {', '.join(names)}." if names else "Add a source of `kind: canaries`."
    raise DriftwatchError(f"no source '{source}' gives canaries.", remedy=there)


def _canaries(watch: Watch, name: str | None, notes: list[str]) -> tuple[Query, ...]:
    if name is None:
        notes.append("There are no canaries: no source gives any.")
        return ()
    try:
        queries: tuple[Query, ...] = cast("Any", watch.sources[name]).load(watch.base).queries
    except DriftwatchError as error:
        notes.append(f"The canaries of {name} cannot be read: {error}")
        return ()
    return queries


def _corpus(watch: Watch, notes: list[str]) -> tuple[Corpus | None, str]:
    """The documents, and why they could not be read."""
    if watch.documents is None:
        return None, ""
    try:
        return watch.documents.corpus(watch.base), ""
    except DriftwatchError as error:
        notes.append(f"The documents cannot be read: {error}")
        return None, f"the documents cannot be read: {error}"


def _before(
    watch: Watch, store: Store, name: str | None, canaries: tuple[Query, ...], now: datetime, notes: list[str]
) -> Before:
    """query_id -> the last answer of the baseline to a canary that is still what it was."""
    if name is None:
        return {}
    baseline = Windows(store, watch, learns=False).baseline(name, "runs", now)
    if isinstance(baseline, Learning):
        notes.append(f"Nothing was compared with the baseline: it is learning, {baseline}.")
        return {}
    digests = {query.query_id: query.digest for query in canaries}
    answers = {
        seen.query_id: seen.hits
        for run in store.canaries.one_a_day(name, baseline.start, baseline.end)
        for seen in run.observations
        if seen.hits is not None and seen.attempt == 0 and digests.get(seen.query_id) == seen.digest
    }
    if not answers and canaries:
        notes.append("Nothing was compared with the baseline: it has no answer to any of these canaries.")
    return answers
