"""Retrieval measures, per query, as TREC names them.

Equal to what ``trec_eval`` computes (and to MS MARCO's evaluation for ``RR@k``), with one deliberate difference:
``trec_eval`` sorts by score and breaks ties by document id, we take the ranking as the service gave it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log2

_FORM = re.compile(r"(nDCG|RR|AP|P|R|Success)(?:@([1-9]\d{0,5}))?")
_EXAMPLES = ("R@10", "RR@10", "RR", "nDCG@10", "P@5", "Success@5", "AP", "AP@100")
_WORDS = {"R": "recall", "RR": "reciprocal rank", "P": "precision", "AP": "average precision", "Success": "success"}


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: text, value, hash and function at once.

    >>> Measure.parse("RR@10")(["d3", "d7"], {"d7": 1})
    0.5
    >>> str(Measure.parse("nDCG@10"))
    'nDCG@10'
    """

    name: str
    cutoff: int | None = None
    """How many documents count; None: all that were returned."""

    @classmethod
    def parse(cls, text: str | Measure) -> Measure:
        """Read ``R@10``, ``RR@10``, ``RR``, ``nDCG@10``, ``P@5``, ``Success@5``, ``AP`` or ``AP@100``.

        Raises:
            ValueError: none of these, with the nearest one.
        """
        if isinstance(text, Measure):
            return text
        form = _FORM.fullmatch(str(text).strip())
        if form is None:
            raise ValueError(f"{text!r} is not a measure. {_suggestion(str(text))}")
        name, cutoff = form.groups()
        if cutoff is None and name in ("R", "P", "Success"):
            raise ValueError(f"{text!r} needs a cutoff. Write {name}@10.")
        return cls(name, int(cutoff) if cutoff else None)

    def __call__(self, ranking: Sequence[str], relevant: Mapping[str, int]) -> float:
        """The measure of one ranking, in [0, 1].

        ``ranking``: doc_ids, best first; a repeated id counts at its first place only. ``relevant``: doc_id ->
        relevance; what is not above 0, or not judged at all, is not relevant. A query without relevant documents, or
        without results, measures 0.
        """
        positive = {doc_id: relevance for doc_id, relevance in relevant.items() if relevance > 0}
        if positive.keys().isdisjoint(ranking):
            return 0.0
        top = list(dict.fromkeys(ranking))[: self.cutoff]
        found = [(rank, positive[doc_id]) for rank, doc_id in enumerate(top, 1) if doc_id in positive]
        return _FORMULAS[self.name](found, positive, self.cutoff) if found else 0.0

    @property
    def words(self) -> str:
        """How a sentence calls it: ``recall R@10``."""
        return f"{_WORDS[self.name]} {self}" if self.name in _WORDS else str(self)

    def __str__(self) -> str:
        return self.name if self.cutoff is None else f"{self.name}@{self.cutoff}"


def first_rank(ranking: Sequence[str], relevant: Mapping[str, int]) -> int | None:
    """The rank, from 1, of the first relevant document; None when there is none."""
    for rank, doc_id in enumerate(dict.fromkeys(ranking), 1):
        if relevant.get(doc_id, 0) > 0:
            return rank
    return None


def _suggestion(text: str) -> str:
    name, _, cutoff = text.strip().lower().replace("recall", "R").replace("mrr", "RR").partition("@")
    names = {known.lower(): known for known in ("R", "RR", "nDCG", "P", "Success", "AP")}
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if near and re.fullmatch(r"[1-9]\d{0,5}|", cutoff):
        return f"Did you mean '{names[near[0]]}@{cutoff or 10}'?"
    return f"Write one of {', '.join(_EXAMPLES)}."


Found = list[tuple[int, int]]
"""(rank, relevance) of each relevant document above the cutoff, best rank first; never empty."""


def _recall(found: Found, positive: Mapping[str, int], _cutoff: int | None) -> float:
    return len(found) / len(positive)


def _precision(found: Found, _positive: Mapping[str, int], cutoff: int | None) -> float:
    assert cutoff is not None
    return len(found) / cutoff


def _success(_found: Found, _positive: Mapping[str, int], _cutoff: int | None) -> float:
    return 1.0


def _reciprocal_rank(found: Found, _positive: Mapping[str, int], _cutoff: int | None) -> float:
    return 1 / found[0][0]


def _average_precision(found: Found, positive: Mapping[str, int], _cutoff: int | None) -> float:
    return sum(number / rank for number, (rank, _) in enumerate(found, 1)) / len(positive)


def _ndcg(found: Found, positive: Mapping[str, int], cutoff: int | None) -> float:
    """Linear gains, logarithm of base 2 (Järvelin and Kekäläinen 2002, as trec_eval computes it)."""
    ideal = sorted(positive.values(), reverse=True)[:cutoff]
    return _dcg(found) / _dcg(enumerate(ideal, 1))


def _dcg(gains: Iterable[tuple[int, int]]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in gains)


_FORMULAS: dict[str, Callable[[Found, Mapping[str, int], int | None], float]] = {
    "R": _recall,
    "P": _precision,
    "Success": _success,
    "RR": _reciprocal_rank,
    "AP": _average_precision,
    "nDCG": _ndcg,
}
