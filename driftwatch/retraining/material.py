"""What there is to train on and to judge by: feedback, labelled files, canaries and documents of one watch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from driftwatch.config import Watch
from driftwatch.config.release import registry_of
from driftwatch.documents import Corpus
from driftwatch.errors import RetrainError
from driftwatch.retrain.settings import Retrain
from driftwatch.retrain.telling import Teller, teller
from driftwatch.retrained import Asked, Pair, Removed
from driftwatch.sources.canaries import Canaries
from driftwatch.store import Store
from driftwatch.types import Document, Observation

if TYPE_CHECKING:
    from driftwatch.retrain.pairs import Collected

UNKEPT = "lines of feedback above `keep_per_day` a day, or by sessions that give too much of it, which are not kept"

AT_ONCE = 500
"""Documents that are read together."""


def retrain_of(watch: Watch) -> Retrain:
    """The section of the configuration.

    Raises:
        RetrainError: there is none.
    """
    if watch.retrain is None:
        raise RetrainError(
            f"{watch.path}: there is no 'retrain:' section.", remedy="Add one: 'retrain: {when: [<a check>]}'."
        )
    return watch.retrain


def teller_of(watch: Watch) -> Teller:
    """Who learns of releases."""
    settings = retrain_of(watch).promote
    return teller(registry_of(watch), settings.run, settings.mlflow, watch.service)


def said(watch: Watch, store: Store, now: datetime) -> Iterator[Observation]:
    """What users said of answers, oldest first, of the sources that count.

    Raises:
        RetrainError: a source that is named is not one of live queries.
    """
    days = timedelta(days=retrain_of(watch).pairs.days)
    for name in _live(watch):
        yield from store.traffic.with_feedback(name, now - days, now)


def _live(watch: Watch) -> Sequence[str]:
    settings = retrain_of(watch).pairs
    there = [name for name, source in watch.sources.items() if source.gives == "traffic"]
    for name in settings.live:
        if name not in there:
            raise RetrainError(
                f"'retrain: pairs: live' names '{name}', which gives no live queries.",
                remedy=f"There are: {', '.join(there) or 'none'}.",
            )
    return settings.live or there


def unkept(watch: Watch, store: Store, now: datetime) -> Collected:
    """No pairs, and how much of what users said is not kept."""
    from driftwatch.retrain.pairs import Collected

    days = timedelta(days=retrain_of(watch).pairs.days)
    count = sum(store.traffic.unkept_feedback(name, now - days, now) for name in _live(watch))
    return Collected((), (Removed(UNKEPT, count, ()),) if count else (), {})


def corpus_of(watch: Watch) -> Corpus:
    """The documents as their source has them.

    Raises:
        RetrainError: none are configured.
        SourceError: they cannot be read.
    """
    if watch.documents is None:
        raise RetrainError(
            f"{watch.path}: there is no 'documents:' section.", remedy="A model is trained on their texts: name them."
        )
    return watch.documents.corpus(watch.base)


def documents_of(corpus: Corpus) -> Iterator[Document]:
    """Every document, in the order of the files; a few of them are held at a time."""
    ids = iter(corpus.ids)
    while block := list(islice(ids, AT_ONCE)):
        found = corpus.get(block)
        yield from (found[doc_id] for doc_id in block if doc_id in found)


def canaries(watch: Watch) -> tuple[Asked, ...]:
    """Every canary with an answer, of every source that has some; its name is unique among them."""
    sources = {name: source for name, source in watch.sources.items() if source.gives == "runs"}
    return tuple(
        Asked(f"{name}:{query.query_id}", query.text, query.lang, query.relevant, "canary")
        for name, source in sources.items()
        for query in cast("Any", source).load(watch.base).queries
        if any(grade > 0 for grade in query.relevant.values())
    )


def remembered(watch: Watch) -> tuple[Asked, ...]:
    """The forgetting set: questions of the old distribution that a new model must still answer."""
    pattern = retrain_of(watch).gate.forgetting
    if not pattern:
        return ()
    return tuple(
        Asked(f"forgetting:{query.query_id}", query.text, query.lang, query.relevant, "forgetting")
        for query in Canaries(kind="canaries", name="forgetting", path=pattern).load(watch.base).queries
        if any(grade > 0 for grade in query.relevant.values())
    )


def questions(pairs: Iterable[Pair], group: str = "held-out") -> tuple[Asked, ...]:
    """Pairs as questions with known answers: one for each text and language, in a stable order."""
    relevant: dict[tuple[str, str], dict[str, int]] = {}
    for pair in pairs:
        relevant.setdefault((pair.query, pair.lang), {})[pair.doc_id] = int(pair.relevant)
    answered = [(key, docs) for key, docs in sorted(relevant.items()) if any(docs.values())]
    return tuple(
        Asked(f"{group}:{number}", text, lang, docs, group) for number, ((text, lang), docs) in enumerate(answered, 1)
    )
