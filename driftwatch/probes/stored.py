"""Entries of an index read with fresh vectors of their texts, and what their stored vectors are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.documents import Corpus
from driftwatch.probes.believed import mark_of
from driftwatch.probes.contents import Several, blocks, same_text
from driftwatch.probes.vectors import VectorsSeen, aligned, cosines_of, displaced, judge_vectors
from driftwatch.retrievers import Retriever
from driftwatch.types import Embedder, IndexFacts, Stored

AT_ONCE = 32
FEW_TRIED, MOST_TRIED = 24, 512
"""Rows on which other ways of embedding are tried."""
MOST_OTHERS = 1024
"""Other texts of the sample that each vector is compared with: all of them, at the default `most_documents`."""


@dataclass(frozen=True, eq=False)
class Read:
    """Entries with their stored vectors and fresh ones, row by row."""

    entries: tuple[Stored, ...]
    fresh: NDArray[np.float32]
    """shape (n, dimension); of the source's text where the stored vector is nearer to that than to the stored text."""
    texts: tuple[str, ...]
    langs: tuple[str, ...]
    differs: tuple[bool | None, ...]
    """Whether the stored text is not the source's; None: not known."""
    marks: tuple[str, ...] = ()
    """Name the text that the source has now, or that is stored where the source has none."""
    without_text: int = 0
    without_vector: int = 0
    gone: tuple[str, ...] = ()
    """entry_ids that the index no longer holds."""
    asked: tuple[str, ...] = ()
    """entry_ids of all that were read, whatever came of it."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """shape (n, dimension of the index)."""
        return np.stack([np.asarray(entry.vector, np.float32) for entry in self.entries])


@dataclass
class Reader:
    """Reads entries and embeds their texts."""

    index: Retriever
    embedder: Embedder | None
    corpus: Corpus | None
    several: Several
    """Documents that have several entries, so that the source's text is not that of an entry."""
    go_on: Callable[[], bool]
    embedded: int = 0

    def read(self, entry_ids: Sequence[str]) -> list[Read]:
        """One block after another, as long as there is time; the first at any rate.

        Raises:
            DriftwatchError: the index, the source or the model could not be asked.
        """
        found: list[Read] = []
        for block in blocks(list(dict.fromkeys(entry_ids)), AT_ONCE):
            if found and not self.go_on():
                break
            found.append(self._read(block))
        return found

    def _read(self, block: Sequence[str]) -> Read:
        held = self.index.stored(block, vectors=True, texts="texts" in self.index.capabilities)
        usable = [held[each] for each in block if each in held and held[each].vector is not None]
        source = self.corpus.get([each.doc_id for each in usable]) if self.corpus is not None else {}
        own = {doc_id: document.text for doc_id, document in source.items()}
        whole = {doc_id: text for doc_id, text in own.items() if doc_id not in self.several}
        text_of = {each.entry_id: each.text or whole.get(each.doc_id) for each in usable}
        rows = [each for each in usable if text_of[each.entry_id]]
        texts = [text_of[each.entry_id] or "" for each in rows]
        langs = tuple(each.lang or (source[each.doc_id].lang if each.doc_id in source else "") for each in rows)
        differs = tuple(
            None if not each.text or each.doc_id not in own else not same_text(each.text, own[each.doc_id])
            for each in rows
        )
        marks = tuple(mark_of(own.get(each.doc_id, text)) for each, text in zip(rows, texts, strict=True))
        fresh = self._fresh(rows, texts, whole)
        gone = tuple(each for each in block if each not in held)
        without = len(usable) - len(rows), len(block) - len(gone) - len(usable)
        return Read(tuple(rows), fresh, tuple(texts), langs, differs, marks, *without, gone, tuple(block))

    def _fresh(self, rows: Sequence[Stored], texts: list[str], own: Mapping[str, str]) -> NDArray[np.float32]:
        """Fresh vectors of the stored texts, or of the source's where those are what was embedded."""
        if self.embedder is None or not rows:
            return np.empty((0, 0), np.float32)
        fresh = np.array(self.embedder.encode_documents(texts))
        self.embedded += len(texts)
        other = [row for row, each in enumerate(rows) if own.get(each.doc_id, texts[row]) != texts[row]]
        off = [row for row in other if _distance(rows[row].vector, fresh[row]) > 0.02]
        if off:
            theirs = self.embedder.encode_documents([own[rows[row].doc_id] for row in off])
            self.embedded += len(off)
            for row, vector in zip(off, theirs, strict=True):
                if _distance(rows[row].vector, vector) < 0.5 * _distance(rows[row].vector, fresh[row]):
                    fresh[row] = vector
                    texts[row] = own[rows[row].doc_id]
        return fresh


def joined(parts: Sequence[Read]) -> Read:
    """Several readings as one."""
    kept = [part for part in parts if len(part.entries)]
    return Read(
        tuple(entry for part in parts for entry in part.entries),
        np.concatenate([part.fresh for part in kept]) if kept else np.empty((0, 0), np.float32),
        tuple(text for part in parts for text in part.texts),
        tuple(lang for part in parts for lang in part.langs),
        tuple(differs for part in parts for differs in part.differs),
        tuple(mark for part in parts for mark in part.marks),
        sum(part.without_text for part in parts),
        sum(part.without_vector for part in parts),
        tuple(each for part in parts for each in part.gone),
        tuple(each for part in parts for each in part.asked),
    )


def judged(
    read: Read,
    embedder: Embedder,
    reference: NDArray[np.float32],
    facts: IndexFacts | None,
    normalised: bool | None,
    fair: NDArray[np.bool_],
) -> tuple[VectorsSeen, int]:
    """What the vectors are, and how many texts were embedded to tell.

    Other ways of embedding are tried on rows that are off; ``fair`` rows stand for the whole index.
    """
    stored = read.vectors
    some = read.fresh[np.unique(np.linspace(0, len(read.fresh) - 1, MOST_OTHERS).astype(np.intp))]
    others = np.concatenate([some, reference]) if reference.size else some
    variants: dict[str, NDArray[np.float32]] = {}
    embedded = 0

    def see() -> VectorsSeen:
        return judge_vectors(stored, read.fresh, variants, others, facts, normalised=normalised, fair=fair)

    seen = see()
    # Other ways of embedding cost a text each: a few rows say whether one of them is worth trying on all.
    tried = np.zeros(len(stored), dtype=bool)
    for most in (FEW_TRIED, MOST_TRIED):
        rows = _worth_trying(seen, most)[: most - int(tried.sum())]
        rows = rows[~tried[rows]]
        if not len(rows) or (most == MOST_TRIED and not _any_nearer(seen.cosines, stored, variants, tried)):
            break
        for name, vectors in _embedded_otherwise(embedder, [read.texts[row] for row in rows]).items():
            variants.setdefault(name, read.fresh.copy())[rows] = vectors
            embedded += len(rows)
        tried[rows] = True
        seen = see()
    return seen, embedded


def _worth_trying(seen: VectorsSeen, most: int) -> NDArray[np.intp]:
    """Rows that may have been embedded in another way: bad ones first."""
    plain = ~np.isin(seen.kinds, ("truncated", "no vector", "not normalised"))
    bad, off = np.flatnonzero(seen.bad & plain), np.flatnonzero(seen.off & ~seen.bad & plain)
    return np.concatenate([bad[: 2 * most // 3], off, bad[2 * most // 3 :]])[:most]


def _any_nearer(
    own: NDArray[np.float64],
    stored: NDArray[np.float32],
    variants: Mapping[str, NDArray[np.float32]],
    tried: NDArray[np.bool_],
) -> bool:
    """Whether another way of embedding is nearer for most of the rows it was tried on, or far nearer for one."""
    for vectors in variants.values():
        there, asked = aligned(stored[tried], vectors[tried])
        moved, before = displaced(cosines_of(there, asked)), displaced(own[tried])
        if np.mean(moved < 0.95 * before) > 0.5 or (moved < 0.5 * before).any():
            return True
    return False


def _embedded_otherwise(embedder: Embedder, texts: list[str]) -> dict[str, NDArray[np.float32]]:
    made = {"query prompt": embedder.encode_queries(texts)}
    if (encode_as := getattr(embedder, "encode_as", None)) is not None:
        made["no document prompt"] = encode_as("", texts)
    return made


def kinds_in_words(seen: VectorsSeen) -> dict[str, str]:
    """What the bad ones are, most of them first."""
    words = {"kind": seen.kind} if seen.kind else {}
    found = Counter(kind for kind in seen.kinds if kind)
    if found:
        words["kinds"] = ", ".join(f"{kind}: {count}" for kind, count in found.most_common())
    return words


def numbers_of(seen: VectorsSeen) -> dict[str, float]:
    """Quantiles worth keeping."""
    if not len(seen.cosines):
        return {}
    low, middle = np.quantile(seen.cosines, (0.01, 0.5))
    return {
        "cosine p01": float(low),
        "cosine p50": float(middle),
        "displacement p50": seen.displacement,
        "length p05": seen.lengths[0],
        "length p50": seen.lengths[1],
        "length p95": seen.lengths[2],
        "unit": seen.unit,
        "compressed": float(seen.compressed),
    }


def _distance(stored: NDArray[np.float32] | None, fresh: NDArray[np.float32]) -> float:
    if stored is None or stored.shape != fresh.shape:
        return 2.0
    length = float(np.linalg.norm(stored))
    cosine = float(stored @ fresh) / length if length > 0 and np.isfinite(length) else 0.0
    return float(displaced(np.array([cosine]))[0])
