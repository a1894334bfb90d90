"""A migration under way: what one run of a dual run asks, and how its comparisons are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from driftwatch.compared import Comparison, packed, unpacked
from driftwatch.config import Watch
from driftwatch.errors import RetrieverError
from driftwatch.retrievers import Retriever
from driftwatch.sidebyside import Drawn, Party, ask_both, draw_live, embedder_of
from driftwatch.sources.dual_run import DualRun
from driftwatch.store import Store
from driftwatch.store.experiments import COMPARISONS
from driftwatch.types import Embedder

log = logging.getLogger(__name__)

IN_USE = "retriever"
"""How the side that the users get is called."""


def shadow_run(
    watch: Watch,
    store: Store,
    source: DualRun,
    embedder: Embedder | None,
    now: datetime,
    stopping: Callable[[], bool] = lambda: False,
) -> Comparison | None:
    """Ask the retriever in use and the new one the same; None when told to stop on the way.

    ``embedder`` is the one in use. A model of the new side's own is let go of afterwards: it is needed only now and
    then, and the vectors of the canaries stay on disk.

    Raises:
        DriftwatchError: there is nothing to ask, or the canaries cannot be read.
    """
    if watch.retriever is None:
        raise RetrieverError("there is no retriever in use to compare with.", remedy="Add a `retriever:` section.")
    canaries = cast("Any", watch.sources[source.canaries]).load(watch.base).queries
    own = embedder_of(source.embedder, watch) if source.embedder is not None else None
    old = Party(IN_USE, watch.retriever, embedder)
    new = Party(source.name, cast("Retriever", source.retriever), own or embedder)
    try:
        live = live_of(watch, store, source, now)
        return ask_both(old, new, canaries, live, now, k=source.k, stopping=stopping)
    finally:
        if own is not None:
            own.close()


def live_of(watch: Watch, store: Store, source: DualRun, now: datetime) -> Drawn:
    """The sampled queries of one run."""
    known = [name for name, each in watch.sources.items() if each.gives == "traffic"]
    name = source.live or (known[0] if len(known) == 1 else "")
    if not name:
        return Drawn(note="sampled queries were not asked: there is no one source of them")
    return draw_live(store, name, watch.privacy.keep_text, now, source.queries)


def keep_comparison(store: Store, source: str, found: Comparison) -> None:
    """Keep what one run found."""
    store.experiments.add(COMPARISONS, source, found.at, packed(found))


def kept_comparisons(store: Store, source: str, start: datetime, end: datetime) -> tuple[Comparison, ...]:
    """What is kept of [start, end), oldest first; what cannot be read is left out, and logged."""
    kept = []
    for at, body in store.experiments.bodies(COMPARISONS, source, start, end):
        try:
            kept.append(unpacked(body))
        except ValueError as error:
            log.warning("the comparison of %s at %s is left out: %s", source, at, error)
    return tuple(kept)
