"""Whether stored vectors belong to their texts, and if not, what they are instead. Arrays in, words out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import IndexFacts

Vectors = NDArray[np.floating]
Rows = NDArray[np.bool_]
Numbers = NDArray[np.float64]

OFF = 0.1
"""Displacement beyond which a vector is not that of its text, where others are exact: a cosine of 0.995."""
NEAR = 0.02
"""Displacement up to which vectors count as exact: float16 and other libraries stay far below it."""
SPREADS = 10.0
"""Robust standard deviations beyond which a vector is odd where all of them are compressed."""
HOME_RANK, FOREIGN_RANK = 0.98, 0.8
"""Quantiles of a vector's similarities with other texts: above the first its own text stands out, below the second it
does not."""
FEWEST_HOME = 0.1
"""With a smaller share of vectors whose own text stands out, it is chance, and all are foreign."""
SAME = 0.9999
"""Cosine of two fresh vectors from which on their texts count as one."""
FEWEST_TRIED, NEARER = 16, 0.95
"""Rows that say together, where no one does, that another way of embedding is nearer."""
UNIT = 0.01
"""How far a length may be from 1."""
FEWEST_FAIR = 8
"""Rows that can stand for the whole index."""
RELATED = 0.2
"""Median displacement up to which all vectors together have only moved; beyond, it is another model."""


@dataclass(frozen=True, eq=False)
class VectorsSeen:
    """What a sample of stored vectors is, row by row."""

    cosines: Numbers
    """shape (n,): of the stored vector with the fresh one of its text; 0 where they cannot be compared."""
    bad: Rows
    """shape (n,): does not belong to its text."""
    kinds: tuple[str, ...]
    """What each bad row is; empty for the others."""
    kind: str
    """What most of the bad ones are; `moved` or `compressed` where all are moved alike; empty: as they should be."""
    displacement: float
    """Median length of stored minus fresh, both of length 1, over the rows that belong; 0 where there are none."""
    lengths: tuple[float, float, float]
    """5 %, 50 % and 95 % of the lengths of the stored vectors."""
    unit: float
    """The share of stored vectors of length 1."""
    compressed: bool

    @property
    def off(self) -> Rows:
        """shape (n,): rows that are worth comparing with other ways of embedding their text."""
        return np.asarray(self.bad | (displaced(self.cosines) > NEAR))


def judge_vectors(
    stored: Vectors,
    fresh: Vectors,
    variants: Mapping[str, Vectors],
    reference: Vectors,
    facts: IndexFacts | None = None,
    *,
    normalised: bool | None = None,
    fair: Rows | None = None,
) -> VectorsSeen:
    """Compare stored vectors with fresh ones of the same texts.

    ``stored``: shape (n, d'), as stored; ``fresh``: shape (n, d), of length 1; ``variants``: `no document prompt`,
    `query prompt` ... -> fresh vectors of the same texts made that way, shape (n, d); ``reference``: shape (m, d),
    fresh vectors of other texts.
    ``normalised``: whether stored vectors should have length 1; None: as most have. ``fair``: shape (n,), rows that
    stand for the whole index; None: all of them do. What was changed lately may be looked at first, and says nothing
    of the rest.

    A vector belongs to its text when the fresh one of that text is as near to it as for the rest of the sample. How
    near that is, the sample itself says: compression and another library move all vectors alike, a wrong vector stands
    alone. Where no vector's own text stands out from the reference, all of them are foreign.
    """
    compressed = is_compressed(facts)
    whole = finite(stored)
    lengths = np.linalg.norm(whole, axis=1).astype(np.float64)
    rows, *others = aligned(whole, fresh, reference, *variants.values())
    own = cosines_of(rows, others[0])
    background = similarities(rows, others[1], others[0])
    fair = np.ones(len(own), dtype=bool) if fair is None or fair.sum() < FEWEST_FAIR else fair
    odd, home = belongs_not(own, background, fair)
    named = {name: cosines_of(rows, vectors) for name, vectors in zip(variants, others[2:], strict=True)}
    matched = matching(own, named)
    wrong_length = lengths_off(lengths, facts, compressed, normalised)
    shorter = np.full(len(stored), 0 < stored.shape[1] < fresh.shape[1])
    empty = lengths == 0
    cut = cut_off(whole, fresh, own) | (home & ~odd & shorter)
    bad = empty | odd | (matched != "") | wrong_length | cut | shorter
    kinds = np.where(bad, "other text", "").astype(object)
    kinds[bad & _foreign(own, background, similarities(others[0], others[1], others[0]), rows.shape[1])] = "other model"
    kinds[wrong_length & ~odd & ~empty] = "not normalised"
    kinds[cut] = "truncated"
    kinds[matched != ""] = matched[matched != ""]
    kinds[empty] = "no vector"
    sound = home & ~odd & fair
    displacement = float(np.median(displaced(own[sound]))) if sound.any() else 0.0
    return VectorsSeen(
        own,
        bad,
        tuple(kinds.tolist()),
        _of_all(kinds, displacement, compressed),
        displacement,
        _quantiles(lengths),
        float(np.mean(np.abs(lengths - 1) <= UNIT)) if len(lengths) else 0.0,
        compressed,
    )


def is_compressed(facts: IndexFacts | None) -> bool:
    """Whether the index says that it keeps vectors only in a coarser form."""
    said = facts.settings.get("compressed", "") if facts else ""
    return said.lower() not in ("", "no", "none", "false", "0")


def finite(vectors: Vectors) -> Vectors:
    """Rows with a number that is none become rows of zeros."""
    return np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0.0)


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny))


def cosines_of(rows: Vectors, others: Vectors) -> Numbers:
    """shape (n,): of each row with its counterpart."""
    product = np.einsum("ij,ij->i", unit(rows).astype(np.float64), unit(others).astype(np.float64))
    return np.asarray(np.clip(product, -1.0, 1.0))


def displaced(cosines: Numbers) -> Numbers:
    """Length of the difference of two vectors of length 1, in [0, 2]."""
    return np.sqrt(np.maximum(0.0, 2 - 2 * cosines))


def aligned(stored: Vectors, *fresh: Vectors) -> list[Vectors]:
    """``stored`` and each of ``fresh``, cut to the dimension they have in common; fresh ones of length 1 again."""
    width = min([stored.shape[1], *(each.shape[1] for each in fresh if each.shape[1])])
    return [stored[:, :width], *(unit(each[:, :width]) for each in fresh)]


def belongs_not(own: Numbers, background: Vectors, fair: Rows) -> tuple[Rows, Rows]:
    """(rows that do not belong to their text, rows whose own text stands out); both shape (n,).

    ``background``: shape (n, m), similarities with other texts; ``fair``: rows that say what is usual.
    """
    if not background.size:
        return displaced(own) > OFF, displaced(own) <= OFF
    high, low = np.quantile(background, (HOME_RANK, FOREIGN_RANK), axis=1)
    home, lost = (own > high) | (displaced(own) <= NEAR), own <= low
    if home.sum() < max(1.0, FEWEST_HOME * len(own)) and not (displaced(own) <= NEAR).any():
        return np.ones(len(own), dtype=bool), np.zeros(len(own), dtype=bool)
    moved = displaced(own)
    usual = moved[home & fair] if (home & fair).any() else moved[home]
    return np.asarray(lost | (moved > usual_limit(usual))), np.asarray(home)


def usual_limit(moved: Numbers) -> float:
    """Displacement beyond which a vector is odd among these, of which most belong to their text."""
    near, middle = np.quantile(moved, (0.25, 0.5))
    if near <= NEAR:
        return OFF
    spread = 1.4826 * float(np.median(np.abs(moved - middle)))
    return float(middle) + max(OFF, SPREADS * spread)


def matching(own: Numbers, variants: Mapping[str, Numbers]) -> NDArray[np.object_]:
    """shape (n,): the variant that a row matches far better than the fresh vector; empty where none does."""
    found = np.full(len(own), "", dtype=object)
    best = displaced(own)
    for name, cosines in variants.items():
        moved = displaced(cosines)
        better = (displaced(own) > NEAR) & (moved < 0.5 * displaced(own)) & (moved < best)
        found[better] = name
        best = np.where(better, moved, best)
    # Where all of them are coarse none is far nearer, and yet nearly all are nearer to one.
    nearer: dict[str, float] = {}
    for name, cosines in variants.items():
        moved, rows = displaced(cosines), (cosines != own) & (displaced(own) > NEAR) & (found == "")
        if rows.sum() >= FEWEST_TRIED and np.mean(moved[rows] < NEARER * displaced(own)[rows]) > 0.8:
            nearer[name] = float(moved[rows].mean())
    if nearer:
        found[(displaced(own) > NEAR) & (found == "")] = min(nearer, key=lambda name: nearer[name])
    return found


def cut_off(stored: Vectors, fresh: Vectors, own: Numbers) -> Rows:
    """shape (n,): only the first numbers of a vector are there, zeros follow, and they are those of its text."""
    width = min(stored.shape[1], fresh.shape[1])
    kept = width - np.argmax(stored[:, width - 1 :: -1] != 0, axis=1) if width else np.zeros(len(stored), int)
    found = np.zeros(len(stored), dtype=bool)
    for row in np.flatnonzero((kept <= 0.9 * width) & (kept >= 2) & (displaced(own) > NEAR)):
        head = slice(row, row + 1), slice(0, kept[row])
        found[row] = cosines_of(stored[head], fresh[head])[0] > 1 - OFF**2 / 2
    return found


def lengths_off(lengths: Numbers, facts: IndexFacts | None, compressed: bool, normalised: bool | None) -> Rows:
    """shape (n,): of another length than they should have, where the metric minds."""
    minds = facts is not None and facts.metric in ("dot", "euclidean", "manhattan")
    reach = 0.5 if compressed else UNIT
    apart = np.abs(lengths - 1) > reach
    should = normalised if normalised is not None else len(lengths) > 0 and apart.mean() < 0.5
    return np.asarray(apart & (lengths > 0)) if minds and should else np.zeros(len(lengths), dtype=bool)


def similarities(vectors: Vectors, reference: Vectors, fresh: Vectors) -> Vectors:
    """shape (n, m): of ``vectors`` with the other texts; -1 where the other text is the row's own, or a copy of it."""
    found = unit(vectors) @ reference.T
    return np.where(fresh @ reference.T > SAME, -1.0, found)


def _foreign(own: Numbers, background: Vectors, among_fresh: Vectors, dimension: int) -> Rows:
    """Rows that are like no fresh vector at all: vectors of the same model are always like some of them."""
    if not background.size:
        return np.zeros(len(own), dtype=bool)
    best = np.maximum(own, background.max(axis=1))
    usual = float(np.quantile(among_fresh.max(axis=1), 0.05))
    # What the best of m directions reaches by chance that have nothing to do with a vector.
    chance = float(np.sqrt(2 * np.log(max(2, background.shape[1])) / dimension))
    return np.asarray(best < (usual + min(chance, usual)) / 2)


def _of_all(kinds: NDArray[np.object_], displacement: float, compressed: bool) -> str:
    found = Counter(kind for kind in kinds.tolist() if kind)
    if found:
        return str(min(found, key=lambda kind: (-found[kind], kind)))
    if compressed and displacement > NEAR / 10:
        return "compressed"
    if displacement > RELATED:
        return "other model"
    return "moved" if displacement > NEAR / 20 else ""


def _quantiles(lengths: Numbers) -> tuple[float, float, float]:
    if not len(lengths):
        return 0.0, 0.0, 0.0
    low, middle, high = np.quantile(lengths, (0.05, 0.5, 0.95))
    return float(low), float(middle), float(high)
