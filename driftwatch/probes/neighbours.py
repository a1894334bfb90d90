"""Whether searching the index finds what comparing with every stored vector finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.types import Look, ScoredDoc, ScoreKind

Ranking = tuple[ScoredDoc, ...]

TIE = 1e-4
"""Relative difference of two scores that rounding explains."""
JUDGED_AT = 10
LOST = 0.5
"""A query whose recall is below this has lost its neighbours."""


@dataclass(frozen=True)
class Searched:
    """Vectors sent through both ways of searching, row by row."""

    names: tuple[str, ...]
    """The document whose vector it is, or the canary."""
    langs: tuple[str, ...]
    own: tuple[bool, ...]
    """Whether it is a stored vector, which must find itself."""
    approximate: tuple[Ranking, ...]
    exact: tuple[Ranking, ...] | None
    """None: the index cannot."""
    score_kind: ScoreKind = "similarity"


def finds_itself(seen: Searched, *, fair: bool) -> Look:
    """Whether each stored vector finds its own document first, ties with its copies allowed.

    ``fair``: whether a vector is its own nearest neighbour under this metric; where it need not be, only those count
    that comparing with every vector finds first.
    """
    rows = [row for row, own in enumerate(seen.own) if own]
    if not fair and seen.exact is None:
        return Look(unable="the index cannot compare with every vector, and its metric lets a longer one come first")
    if not fair and seen.exact is not None:
        rows = [row for row in rows if _is_first(seen.exact[row], seen.names[row])]
    lost = [row for row in rows if not _is_first(seen.approximate[row], seen.names[row])]
    if not rows:
        return Look(unable="no stored vector could be read")
    why = f"{len(lost)} of {len(rows)} stored vectors do not find their own document" if lost else ""
    return Look(len(rows), len(lost), _names(seen, lost), _by(seen, rows, lost), why=why)


def recall(seen: Searched, at_k: Sequence[int]) -> Look:
    """What share of the exact neighbours approximate search finds, by depth; bad: queries that lost half of them."""
    if seen.exact is None:
        return Look(unable="the index cannot compare with every stored vector")
    if not seen.names:
        return Look(unable="there is no vector to ask with: no stored one could be read, and there are no canaries")
    by_depth = {k: _recalls(seen, k) for k in sorted(set(at_k) | {judged_at(at_k)})}
    judged = by_depth[judged_at(at_k)]
    lost = np.flatnonzero(judged < LOST).tolist()
    values = {f"recall@{k}": float(found.mean()) for k, found in by_depth.items()}
    canaries = ~np.array(seen.own)
    if canaries.any():
        values["recall of canaries"] = float(judged[canaries].mean())
    values["spread"] = float(judged.std())
    said = f"approximate search finds {values[f'recall@{judged_at(at_k)}']:.2f} of the {judged_at(at_k)} nearest"
    why = f"{said}, and less than half for {len(lost)} of {len(judged)} queries" if lost else ""
    everything = list(range(len(judged)))
    return Look(len(judged), len(lost), _names(seen, lost), _by(seen, everything, lost), values, why=why)


def judged_at(at_k: Sequence[int]) -> int:
    """The depth that is judged: 10, or the nearest to it that is looked at."""
    return min(at_k, key=lambda k: (abs(k - JUDGED_AT), k))


def recall_of(approximate: Ranking, exact: Ranking, k: int, score_kind: ScoreKind = "similarity") -> float:
    """The share of the ``k`` nearest that is found; one that is as near as the last of them counts as it."""
    nearest = exact[:k]
    if not nearest:
        return 1.0
    wanted = {hit.doc_id for hit in nearest}
    worst = nearest[-1].score
    found = sum(hit.doc_id in wanted or _as_good(hit.score, worst, score_kind) for hit in approximate[:k])
    return min(1.0, found / len(nearest))


def _recalls(seen: Searched, k: int) -> NDArray[np.float64]:
    assert seen.exact is not None
    pairs = zip(seen.approximate, seen.exact, strict=True)
    return np.array([recall_of(approximate, exact, k, seen.score_kind) for approximate, exact in pairs])


def _as_good(score: float | None, worst: float | None, score_kind: ScoreKind) -> bool:
    if score is None or worst is None:
        return False
    reach = TIE * max(1e-6, abs(worst))
    return score >= worst - reach if score_kind == "similarity" else score <= worst + reach


def _is_first(ranking: Ranking, doc_id: str) -> bool:
    if not ranking:
        return False
    own = next((hit for hit in ranking if hit.doc_id == doc_id), None)
    if own is None:
        return False
    best = ranking[0].score
    return own is ranking[0] or (
        own.score is not None and best is not None and abs(own.score - best) <= TIE * max(1.0, abs(best))
    )


def _names(seen: Searched, rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(seen.names[row] for row in rows))


def _by(seen: Searched, rows: Sequence[int], lost: Sequence[int]) -> Mapping[str, tuple[int, int]]:
    bad = set(lost)
    counted: dict[str, tuple[int, int]] = {}
    for row in rows:
        if lang := seen.langs[row]:
            n, found = counted.get(lang, (0, 0))
            counted[lang] = (n + 1, found + (row in bad))
    return dict(sorted(counted.items()))
