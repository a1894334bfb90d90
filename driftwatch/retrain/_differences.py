"""Old against new on the same questions: paired measures by group and language, with intervals on whole units.

Paraphrases of one question are one piece of evidence, and so are questions with the same answer. They are one unit:
drawn together, and counted once where it is asked how much evidence there is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrain._alike import alike_among
from driftwatch.retrained import Asked, Difference, Served
from driftwatch.stats.clustered import clustered_interval
from driftwatch.stats.ir import Measure
from driftwatch.types import POOLED

Floats = NDArray[np.float64]
Rows = NDArray[np.bool_]

SAME_ANSWERS = 0.5
"""Questions that share so much of their answers (Jaccard) are one unit."""
SAME_WORDS = 0.8
"""And those that share so much of their three-letter pieces."""
UNSEEN = ("canary", "held-out")
"""Groups of questions that neither model has seen."""
JUDGED = (*UNSEEN, "forgetting")
"""Those that judge; questions of any other group are not looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Paired:
    """The questions that both models were asked and that have a known answer; arrays of shape (questions,)."""

    group: NDArray[np.str_]
    lang: NDArray[np.str_]
    unit: NDArray[np.int64]
    """Equal numbers are one piece of evidence."""
    old: Mapping[str, Floats]
    """Measure -> of each question."""
    new: Mapping[str, Floats]
    left_out: tuple[str, ...] = ()
    """What counts for neither model, one sentence each."""

    @classmethod
    def of(cls, asked: Iterable[Asked], old: Served, new: Served, measures: Sequence[Measure]) -> Paired:
        """Pair what two models gave for ``asked``; a question counts once in each group."""
        each_once = list({(each.group, each.query_id): each for each in asked if each.group in JUDGED}.values())
        judged = [each for each in each_once if any(relevance > 0 for relevance in each.relevant.values())]
        both = [each for each in judged if each.query_id in old.rankings and each.query_id in new.rankings]

        def measured(served: Served) -> dict[str, Floats]:
            return {
                str(measure): np.array([measure(served.rankings[each.query_id], each.relevant) for each in both])
                for measure in measures
            }

        return cls(
            np.array([each.group for each in both], dtype=np.str_),
            np.array([each.lang for each in both], dtype=np.str_),
            units(both),
            measured(old),
            measured(new),
            tuple(_left_out(len(each_once) - len(judged), judged, old, new)),
        )

    def rows(self, groups: Sequence[str], lang: str = POOLED) -> Rows:
        """Those of some groups, of one language or of all."""
        chosen: Rows = np.isin(self.group, groups)
        return chosen if lang == POOLED else chosen & (self.lang == lang)

    def units_of(self, rows: Rows) -> int:
        """How many pieces of evidence they are."""
        return len(np.unique(self.unit[rows]))

    def difference(self, measure: str, name: str, rows: Rows, level: float, lang: str = POOLED) -> Difference:
        """New minus old over ``rows``, at least one, as the group ``name``."""
        old, new = self.old[measure][rows], self.new[measure][rows]
        low, high = clustered_interval(new - old, self.unit[rows], level=level)
        return Difference(measure, name, lang, int(rows.sum()), float(old.mean()), float(new.mean()), low, high)


def units(asked: Sequence[Asked]) -> NDArray[np.int64]:
    """The unit of each question, shape (questions,): those that hang together have one number, and in one group only.

    A canary and a held-out pair about one document are one piece of evidence as well.
    """
    parent = list(range(len(asked)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    told = [place for place, each in enumerate(asked) if each.text]
    alike = alike_among([asked[place].text for place in told], SAME_WORDS)
    for one, other in chain(_same_answers(asked), ((told[one], told[other]) for one, other in alike)):
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    return np.array([root(place) for place in range(len(asked))], dtype=np.int64)


def _same_answers(asked: Sequence[Asked]) -> Iterator[tuple[int, int]]:
    """Places of questions with alike answers; each set of answers is compared once."""
    places: dict[frozenset[str], int] = {}
    sets_with: dict[str, list[frozenset[str]]] = defaultdict(list)
    for place, each in enumerate(asked):
        answers = frozenset(doc_id for doc_id, relevance in each.relevant.items() if relevance > 0)
        if answers in places:
            yield places[answers], place
            continue
        near = {other for doc_id in answers for other in sets_with[doc_id]}
        for other in near:
            if len(answers & other) >= SAME_ANSWERS * len(answers | other):
                yield places[other], place
        places[answers] = place
        for doc_id in answers:
            sets_with[doc_id].append(answers)


def _left_out(unjudged: int, judged: Sequence[Asked], old: Served, new: Served) -> Iterator[str]:
    if unjudged:
        yield f"{_questions(unjudged)} without a known answer {_count(unjudged)} for neither model."
    for served, name in ((old, "old"), (new, "new")):
        missing = len({each.query_id for each in judged} - served.rankings.keys())
        if missing:
            yield f"{_questions(missing)} could not be asked to the {name} model and {_count(missing)} for neither."


def _questions(number: int) -> str:
    return "1 question" if number == 1 else f"{number:,} questions"


def _count(number: int) -> str:
    return "counts" if number == 1 else "count"
