"""How each fault of the laboratory is injected.

An injector changes the service, its index, its documents or its users, and nothing of driftwatch but where it says so.
It returns what was truly affected, which is what a diagnosis may name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import Document
from tests.faults.laboratory import Laboratory
from tests.faults.material import DOCUMENT_PROMPT, LANGUAGES
from tests.faults.service import normalised
from tests.faults.stores import Entries

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """What was truly affected."""

    documents: frozenset[str] = frozenset()
    """Where there are any, at least one is to be named, and no other."""
    segment: str = ""
    """The language to be named; empty: none."""
    queries: frozenset[str] = frozenset()
    """query_ids, as ``documents``."""


# --- vectors -------------------------------------------------------------------------------------------------------


def _another_model(lab: Laboratory, rows: NDArray[np.intp]) -> Vectors:
    """What a model of the same dimension makes of these entries: turned about, or hashed words."""
    if lab.seed % 2:
        return _hashed([lab.entries.texts[row] for row in rows], lab.entries.vectors.shape[1])
    return np.asarray(lab.entries.vectors[rows] @ _rotation(lab.entries.vectors.shape[1], lab.seed), np.float32)


@cache
def _rotation(dimension: int, seed: int) -> Vectors:
    square = np.random.default_rng((seed, 23)).normal(size=(dimension, dimension))
    return np.asarray(np.linalg.qr(square)[0], np.float32)


def _hashed(texts: Sequence[str], dimension: int) -> Vectors:
    vectors = np.zeros((len(texts), dimension), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            place = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=6).digest())
            vectors[row, place % dimension] += 1 if place >> 40 & 1 else -1
    return normalised(vectors + 1e-6)


def _with_rows(entries: Entries, rows: NDArray[np.intp], vectors: Vectors) -> Entries:
    changed = entries.vectors.copy()
    changed[rows] = vectors
    return entries.with_vectors(changed)


def wrong_model(share: float) -> Callable[[Laboratory], Truth]:
    """That share of the documents was embedded by another model."""

    def inject(lab: Laboratory) -> Truth:
        count = max(1, round(share * len(lab.entries)))
        rows = np.sort(lab.chance(1).choice(len(lab.entries), count, replace=False))
        lab.index(_with_rows(lab.entries, rows, _another_model(lab, rows)))
        return Truth(frozenset(lab.entries.ids[row] for row in rows))

    return inject


def no_query_prompt(lab: Laboratory) -> Truth:
    """The service embeds bare queries."""
    lab.service.behave(encoder=replace(lab.service.behaviour.encoder, query_prompt=""))
    return Truth()


def no_document_prompt(lab: Laboratory) -> Truth:
    """The index was built anew from bare documents."""
    lab.index(lab.entries.with_vectors(lab.material.encoded("", lab.entries.texts)))
    return Truth(frozenset(lab.entries.ids))


def no_normalisation(lab: Laboratory) -> Truth:
    """The index was built anew with vectors as long as they happen to be."""
    lengths = np.exp(lab.chance(2).normal(1.5, 0.25, (len(lab.entries), 1)))
    lab.index(lab.entries.with_vectors(lab.entries.vectors * np.asarray(lengths, np.float32)))
    return Truth(frozenset(lab.entries.ids))


def truncated(lab: Laboratory) -> Truth:
    """Index and service keep the first numbers of each vector, of a model that was not made for it."""
    dimension = (96, 128, 192)[lab.seed % 3]
    lab.service.behave(encoder=replace(lab.service.behaviour.encoder, dimension=dimension))
    lab.index(lab.entries.with_vectors(normalised(lab.entries.vectors[:, :dimension])))
    return Truth(frozenset(lab.entries.ids))


def stale_vectors(lab: Laboratory) -> Truth:
    """An eighth of the documents was rewritten; nobody embedded them anew."""
    material = lab.material
    chosen = set(lab.chance(3).choice(sorted(material.revised), len(lab.entries) // 8, replace=False).tolist())
    lab.publish(
        [replace(each, text=material.revised[each.doc_id]) if each.doc_id in chosen else each for each in lab.documents]
    )
    return Truth(frozenset(chosen))


def embedder_moved(lab: Laboratory) -> Truth:
    """A library update moves every fresh vector by 1 %, the service's and driftwatch's; what is stored stays."""
    encoder = replace(lab.watching, drift=0.01, version="2")
    lab.service.behave(encoder=encoder)
    lab.watch_with(encoder)
    return Truth()


# --- the index -----------------------------------------------------------------------------------------------------


def rebuilt(faiss: Mapping[str, Any], qdrant: Mapping[str, Any]) -> Callable[[Laboratory], Truth]:
    """The same vectors in an index built otherwise."""

    def inject(lab: Laboratory) -> Truth:
        otherwise = faiss if lab.backend == "faiss" else qdrant
        lab.index(lab.entries, replace(lab.build, seed=lab.seed, **otherwise))
        return Truth()

    return inject


half_of_the_links = rebuilt({"links_kept": 0.5}, {"links": 2, "thoroughness": 12})
tiny_ef = rebuilt({"ef": 1}, {"thoroughness": 4})
tiny_nprobe = rebuilt({"kind": "ivf", "nprobe": 1}, {"links": 1})


def quantised(lab: Laboratory) -> Truth:
    """Vectors of 1,536 bytes are compared by eight (Qdrant: by 24)."""
    lab.index(lab.entries, replace(lab.build, kind="pq", code_bytes=8))
    return Truth()


# --- documents -----------------------------------------------------------------------------------------------------


def language_lost(lab: Laboratory) -> Truth:
    """An ingestion left one language out."""
    lang = LANGUAGES[lab.seed % len(LANGUAGES)]
    kept = np.array([each != lang for each in lab.entries.langs])
    gone = frozenset(each for each, stays in zip(lab.entries.ids, kept, strict=True) if not stays)
    lab.index(lab.entries.where(kept))
    return Truth(gone, lang)


def documents_lost(lab: Laboratory) -> Truth:
    """Every twentieth document is gone from the index."""
    kept = lab.chance(4).random(len(lab.entries)) >= 0.05
    gone = frozenset(each for each, stays in zip(lab.entries.ids, kept, strict=True) if not stays)
    lab.index(lab.entries.where(kept))
    return Truth(gone)


def displaced(lab: Laboratory) -> Truth:
    """The crawler took the pages of many documents several times, at other addresses."""
    wanted = sorted(lab.material.copies)
    some = lab.chance(5).choice(wanted, round(0.6 * len(wanted)), replace=False).tolist()
    langs = {each.doc_id: each.lang for each in lab.documents}
    new = [
        Document(f"{doc_id}-copy{place}", text, langs[doc_id])
        for doc_id in some
        for place, text in enumerate(lab.material.copies[doc_id])
    ]
    lab.publish([*lab.documents, *new])
    texts = tuple(each.text for each in new)
    added = Entries(
        tuple(each.doc_id for each in new),
        lab.material.encoded(DOCUMENT_PROMPT, texts),
        texts,
        tuple(each.lang for each in new),
    )
    lab.index(lab.entries.and_also(added))
    return Truth(frozenset(each.doc_id for each in new) | frozenset(some))


def republished(lab: Laboratory) -> Truth:
    """A quarter of the canaries' documents was published anew under other ids, and the old ones taken down."""
    wanted = sorted(lab.material.copies)
    some = set(lab.chance(6).choice(wanted, len(wanted) // 4, replace=False).tolist())

    def renamed(doc_id: str) -> str:
        return f"{doc_id}-v2" if doc_id in some else doc_id

    lab.publish([replace(each, doc_id=renamed(each.doc_id)) for each in lab.documents])
    lab.index(replace(lab.entries, ids=tuple(map(renamed, lab.entries.ids))))
    asked = frozenset(query.query_id for query in lab.material.canaries if set(query.relevant) & some)
    return Truth(frozenset(some), queries=asked)


# --- the service ---------------------------------------------------------------------------------------------------


def filtered(lab: Laboratory) -> Truth:
    """A filter that should not be there keeps a third of the documents from being shown."""
    ids = lab.entries.ids
    hidden = frozenset(lab.chance(7).choice(ids, len(ids) // 3, replace=False).tolist())
    lab.service.behave(shows=lambda doc_id: doc_id not in hidden)
    return Truth(hidden)


def rescaled(lab: Laboratory) -> Truth:
    """Scores are halved and lifted; the order stays."""
    scale = (lambda score: (1 + score) / 2, lambda score: 100 * score, lambda score: score * 0.8)[lab.seed % 3]
    lab.service.behave(score=scale)
    return Truth()


def trouble(kind: str) -> Callable[[Laboratory], Truth]:
    """The search times out, fails, or finds nothing at all."""

    def inject(lab: Laboratory) -> Truth:
        lab.service.behave(trouble=kind)
        lab.ask_at_once(16)
        return Truth()

    return inject


def slow(lab: Laboratory) -> Truth:
    """Every answer takes longer by more than all of it took before."""
    lab.service.behave(delay=0.6)
    lab.ask_at_once(16)
    return Truth()


# --- people --------------------------------------------------------------------------------------------------------


def habit(segment: str = "", **habits: float) -> Callable[[Laboratory], Truth]:
    """People behave otherwise; the service is as it was."""

    def inject(lab: Laboratory) -> Truth:
        lab.people.change(**habits)
        return Truth(segment=segment)

    return inject


def bot(lab: Laboratory) -> Truth:
    """One query, again and again, from one place."""
    lab.people.change(bot=(60, 120, 400)[lab.seed % 3], bot_text=int(lab.chance(8).integers(0, 400)))
    return Truth()


# --- two at once ---------------------------------------------------------------------------------------------------


def together(*faults: Callable[[Laboratory], Truth]) -> Callable[[Laboratory], Truth]:
    """One after the other, at the same moment."""

    def inject(lab: Laboratory) -> Truth:
        found = [each(lab) for each in faults]
        return Truth(
            frozenset().union(*(each.documents for each in found)),
            next((each.segment for each in found if each.segment), ""),
            frozenset().union(*(each.queries for each in found)),
        )

    return inject
