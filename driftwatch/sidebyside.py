"""Asking two retrievers the same questions: canaries, and sampled live queries of each language."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from driftwatch.compare import Answers, compare
from driftwatch.compared import Comparison
from driftwatch.config import Watch
from driftwatch.embed import EmbedderSettings, TextEmbedder
from driftwatch.errors import DriftwatchError, RetrieverError
from driftwatch.privacy import KeepText
from driftwatch.retrievers import Retriever
from driftwatch.stats.ir import Measure
from driftwatch.store import Store
from driftwatch.types import Embedder, Query, Reply, Sample

ASKED_AT_ONCE = 256
"""Queries between two looks at whether to stop."""
LOOKS_BACK = timedelta(days=7)
"""How old a sampled query may be."""
FEWEST = 30
"""Queries that a language is given where it has them, however small its share is."""
TOO_MANY = 3
"""Times as many as are wanted are drawn, because people ask the same again."""


@dataclass(frozen=True, slots=True)
class Party:
    """One of the two sides, and how it embeds."""

    name: str
    retriever: Retriever
    embedder: Embedder | None = None


def embedder_of(settings: EmbedderSettings | None, watch: Watch) -> TextEmbedder | None:
    """The embedder of a side that has its own settings; without them, the configuration's, if there is one."""
    chosen = settings or watch.embedder
    return None if chosen is None else TextEmbedder(chosen, watch.state)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Live queries, and how many each of them stands for."""

    queries: tuple[Query, ...] = ()
    weights: tuple[float, ...] = ()
    note: str = ""
    """Why there are none."""


def ask_both(
    old: Party,
    new: Party,
    canaries: Sequence[Query],
    live: Drawn,
    at: datetime,
    *,
    k: int = 10,
    measures: Sequence[Measure] | None = None,
    show_queries: bool = False,
    stopping: Callable[[], bool] = lambda: False,
    notes: Sequence[str] = (),
) -> Comparison | None:
    """Ask both sides everything, the old one first, and compare; None when told to stop on the way.

    Canaries whose documents neither side holds are in quarantine: they can show nothing, and would count as equal.

    Raises:
        RetrieverError: a side embeds the queries itself, and has no embedder.
    """
    canaries, resting = _held(old, new, canaries)
    answers = []
    for party in (old, new):
        replies = ask(party, [*canaries, *live.queries], stopping)
        if replies is None:
            return None
        answers.append(Answers(party.name, replies[: len(canaries)], replies[len(canaries) :]))
    said = [*notes, *resting, *([live.note] if live.note else []), *_shallow(old, new, k)]
    return compare(
        answers[0],
        answers[1],
        canaries,
        live.queries,
        at,
        k=k,
        measures=measures,
        weights=live.weights,
        show_queries=show_queries,
        notes=said,
    )


def ask(party: Party, queries: Sequence[Query], stopping: Callable[[], bool] = lambda: False) -> list[Reply] | None:
    """One reply a query, with the reason where it could not be asked; None when told to stop on the way.

    Raises:
        RetrieverError: it embeds the queries itself, and there is no embedder.
    """
    if party.retriever.needs_embedder and party.embedder is None:
        remedy = "Add an 'embedder:' section, or give the retriever's file one of its own."
        raise RetrieverError(f"'{party.name}' embeds the queries itself and has no embedder.", remedy=remedy)
    replies: list[Reply] = []
    for start in range(0, len(queries), ASKED_AT_ONCE):
        if stopping():
            return None
        asked = queries[start : start + ASKED_AT_ONCE]
        try:
            replies += party.retriever.search(asked, party.embedder)
        except DriftwatchError as error:
            replies += [Reply(None, error=str(error))] * len(asked)
    return replies


def _held(old: Party, new: Party, canaries: Sequence[Query]) -> tuple[list[Query], list[str]]:
    """The canaries of whose documents a side holds one, or may hold one, and a note about the others."""
    asked_for = [{doc_id for doc_id, grade in query.relevant.items() if grade > 0} for query in canaries]
    wanted = sorted(set().union(*asked_for))
    try:
        gone = old.retriever.missing(wanted) if wanted else frozenset()
        gone = new.retriever.missing(sorted(gone)) if gone else gone
    except DriftwatchError:  # what cannot be asked says so when it is
        gone = frozenset()
    held = [query for query, docs in zip(canaries, asked_for, strict=True) if not docs or not docs <= gone]
    count = len(canaries) - len(held)
    many = f"{count} canaries are" if count > 1 else "1 canary is"
    return held, [f"{many} in quarantine: neither side holds a document that answers"] if count else []


def _shallow(old: Party, new: Party, k: int) -> list[str]:
    return [
        f"'{party.name}' is asked for {party.retriever.top_k} documents ('top_k'), fewer than the {k} that count"
        for party in (old, new)
        if party.retriever.top_k < k
    ]


def draw_live(store: Store, source: str, keep_text: KeepText, now: datetime, count: int) -> Drawn:
    """About ``count`` different sampled queries of the last days, of every language; the same ones on the same day.

    A language is given its share of the traffic, and at least ``FEWEST`` queries where it has them; each query then
    stands for its language's traffic over how many were drawn of it.
    """
    if keep_text == "hash":
        return Drawn(note="sampled queries were not asked: 'keep_text: hash' keeps no text of them")
    sample = store.traffic.sample(source, now - LOOKS_BACK, now)
    if not count or not len(sample.query_id):
        why = "none were wanted" if not count else f"'{source}' brought none in the last {LOOKS_BACK.days} days"
        return Drawn(note=f"sampled queries were not asked: {why}")
    random = np.random.default_rng(zlib.crc32(f"{source} {now:%Y-%m-%d}".encode()))
    rows = _drawn_rows(sample, count, random)
    seen = store.traffic.observations(source, [str(sample.query_id[row]) for row in rows])
    texts: set[tuple[str, str]] = set()
    found: dict[str, list[Query]] = {}
    for row in rows:
        query_id, lang = str(sample.query_id[row]), str(sample.lang[row])
        text = seen[query_id].text if query_id in seen else ""
        if text and (lang, text.casefold()) not in texts:
            texts.add((lang, text.casefold()))
            found.setdefault(lang, []).append(Query(query_id, text, lang))
    return _weighted(found, _traffic(sample), count)


def _drawn_rows(sample: Sample, count: int, random: np.random.Generator) -> list[int]:
    """``TOO_MANY`` rows of each language, drawn by their weight, in the order in which they were drawn."""
    drawn: list[int] = []
    for lang, wanted in _shares(_traffic(sample), count).items():
        rows = np.flatnonzero(sample.lang == lang)
        # The smallest of exponential times at the rate of the weights: a draw without replacement (Efraimidis 2006).
        times = random.exponential(size=len(rows)) / sample.weight[rows]
        drawn += rows[np.argsort(times, kind="stable")[: TOO_MANY * wanted]].tolist()
    return drawn


def _traffic(sample: Sample) -> dict[str, float]:
    names, code = np.unique(sample.lang, return_inverse=True)
    weights = np.bincount(code, sample.weight)
    return {str(name): float(weight) for name, weight in zip(names, weights, strict=True)}


def _shares(traffic: dict[str, float], count: int) -> dict[str, int]:
    """Language -> how many of ``count`` queries it is given."""
    whole = sum(traffic.values())
    return {lang: max(min(FEWEST, count), round(count * weight / whole)) for lang, weight in traffic.items()}


def _weighted(found: dict[str, list[Query]], traffic: dict[str, float], count: int) -> Drawn:
    wanted = _shares(traffic, count)
    chosen = {lang: queries[: wanted[lang]] for lang, queries in sorted(found.items())}
    queries = tuple(query for each in chosen.values() for query in each)
    weights = tuple(traffic[lang] / len(each) for lang, each in chosen.items() for _ in each)
    note = "" if queries else "sampled queries were not asked: no text of any of them is kept"
    return Drawn(queries, weights, note)
