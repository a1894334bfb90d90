"""Simulated candidates for the gate: rankings of two models whose true difference is known, by group and language.

How far from the top a question's answer is comes from a normal distribution on a logarithmic scale, so that half of the
answers are first, three quarters among the first ten, and nDCG@10 is .63: MiniLM's figures on SciFact (.65, and .78 for
R@10), with as many ties. Questions about one document lie near each other. A new model moves every answer a little,
those of one document together, and by a shift that is set so that the mean nDCG@10 of all questions that might be asked
changes by just what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrained import Asked, Served

SPREAD = 3.0
"""Of the logarithm of how far from the top an answer is; 0 and below is the first place."""
TOGETHER = 0.3
"""Share of that spread, and of what a new model moves, that questions about one document have in common."""
LIKE = 0.95
"""Correlation of old and new: differences of questions have a standard deviation of .19, and two thirds are 0."""
A_DOCUMENT = 1.5
"""Questions about one document, on average."""
POPULATION = 400_000
FIRST = 12
"""Documents of a ranking that are drawn; measures look at ten."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """How many questions there are, and in which languages."""

    name: str
    canaries: Mapping[str, int]
    held_out: Mapping[str, int]

    @property
    def questions(self) -> int:
        return sum(self.canaries.values()) + sum(self.held_out.values())


@dataclass(frozen=True, slots=True)
class Kind:
    """What a candidate truly changes, in nDCG@10."""

    name: str
    canaries: float
    held_out: float
    one_language: float | None = None
    """The change in the language with the second most questions, where it is another; in both groups."""

    @property
    def worse(self) -> bool:
        """Whether nobody should want it."""
        return self.held_out <= 0 or (self.one_language is not None and self.one_language < 0)


def drawn(world: World, kind: Kind, random: np.random.Generator) -> tuple[list[Asked], Served, Served]:
    """The questions of the gate, and what the two models give for them.

    Texts are empty: what hangs together does so by its document.
    """
    asked: list[Asked] = []
    old: dict[str, tuple[str, ...]] = {}
    new: dict[str, tuple[str, ...]] = {}
    groups = (("canary", world.canaries, kind.canaries), ("held-out", world.held_out, kind.held_out))
    for group, sizes, change in groups:
        for number, (lang, count) in enumerate(sizes.items()):
            own = kind.one_language if number == 1 and kind.one_language is not None else change
            document, before, after = answers(count, own, random)
            for each in range(count):
                name = f"{group}-{lang}-{each}"
                answer = f"{group}-{lang}-{document[each]}"
                asked.append(Asked(name, "", lang, {answer: 1}, group))
                old[name], new[name] = ranking(answer, before[each]), ranking(answer, after[each])
    cost = {"memory_bytes": 90_000_000, "query_ms": 10.0, "dimension": 384}
    return asked, Served("old", old, **cost), Served("new", new, **cost)


def answers(count: int, change: float, random: np.random.Generator) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Document of each question, and how far its answer is with the old and with the new model."""
    document = np.sort(random.integers(0, max(1, round(count / A_DOCUMENT)), count))
    before, moved = _drawn(document, random), _drawn(document, random)
    after = LIKE * before + np.sqrt(1 - LIKE**2) * moved - shift_for(change)
    return document, SPREAD * before, SPREAD * after


def _drawn(document: NDArray[np.int64], random: np.random.Generator) -> Floats:
    """shape (questions,), of variance 1, alike within a document."""
    shared = random.normal(size=int(document.max()) + 1)[document]
    return np.sqrt(TOGETHER) * shared + np.sqrt(1 - TOGETHER) * random.normal(size=len(document))


def ranking(answer: str, far: float) -> tuple[str, ...]:
    """The first documents, with the answer in its place; without it where that is farther down."""
    place = int(np.exp(min(far, 10.0)))
    return tuple(f"-{other}" for other in range(min(place, FIRST))) + ((answer,) if place < FIRST else ())


@cache
def shift_for(change: float) -> float:
    """The shift at which the mean nDCG@10 of all questions changes by ``change``."""
    random = np.random.default_rng(0)
    before, moved = random.normal(size=(2, POPULATION))
    usual = _ndcg(SPREAD * before).mean()
    low, high = -2.0, 2.0
    for _ in range(30):
        middle = (low + high) / 2
        after = LIKE * before + np.sqrt(1 - LIKE**2) * moved - middle
        low, high = (middle, high) if _ndcg(SPREAD * after).mean() - usual < change else (low, middle)
    return (low + high) / 2


def _ndcg(far: Floats) -> Floats:
    rank = 1 + np.floor(np.exp(np.minimum(far, 10.0)))
    return np.where(rank <= 10, 1 / np.log2(rank + 1), 0.0)
