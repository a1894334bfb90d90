"""Whether a new index may be used: does it hold everything, does everything find itself, does its search find it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.retrained import Passage, Reason
from driftwatch.retrievers import Retriever
from driftwatch.types import IndexFacts

Sampled = Sequence[tuple[Passage, NDArray[np.float32]]]
"""Passages with the vectors that were written for them."""
LOOKED_AT = 200
"""Passages that are looked at."""
_NEAR = 5
"""Places among which a passage must find itself: copies of a text are as near as it is."""
_TOP = 10
"""Documents of which recall is counted."""
_ITSELF = 0.99
"""The share that must find themselves ..."""
_ITSELF_COMPRESSED = 0.8
"""... and where the index keeps less of a vector than was written."""
_RECALL = 0.9
"""Recall of the index's own search that is good, whatever the old one's is ..."""
_WORSE = 0.05
"""... and how much less than the old one's it may be, where it is not."""
_ESTIMATED = 0.05
"""How far off an estimated count may be."""
_BUILDING = ("yellow",)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the new index says: it may be used where every reason passed."""

    reasons: tuple[Reason, ...] = ()
    waiting: str = ""
    """Why nothing can be said yet; empty: it can."""

    @property
    def passed(self) -> bool:
        return not self.waiting and bool(self.reasons) and all(reason.passed for reason in self.reasons)


def check_index(new: Retriever, old: Retriever, sampled: Sampled, count: int, dimension: int) -> Checked:
    """Compare ``new`` with the ``count`` passages that were written into it, and its search with that of ``old``.

    Raises:
        RetrieverError: it cannot be asked.
    """
    facts = new.facts()
    if facts.settings.get("status") in _BUILDING:
        return Checked(waiting="the store still builds the graph of the new index")
    reasons = [_holds_everything(facts, count), _is_as_wide(facts, dimension)]
    if not all(reason.passed for reason in reasons) or not sampled:
        return Checked((*reasons, Reason("finds itself", False, "nothing of it was searched")))
    reasons.append(_finds_itself(new, facts, sampled))
    if "exact" in new.capabilities:
        reasons.append(_recall(new, old, sampled))
    return Checked(tuple(reasons))


def recall(index: Retriever, vectors: NDArray[np.float32]) -> float:
    """The share of the documents that exact search finds which the index's own search finds too, of the first ten."""
    exact = index.search_vectors(vectors, _TOP, exact=True)
    found = index.search_vectors(vectors, _TOP)
    shares = [
        len({hit.doc_id for hit in hits} & {hit.doc_id for hit in wanted}) / len(wanted)
        for hits, wanted in zip(found, exact, strict=True)
        if wanted
    ]
    return float(np.mean(shares)) if shares else 0.0


def _holds_everything(facts: IndexFacts, count: int) -> Reason:
    estimated = facts.settings.get("count") == "estimated"
    passed = facts.count is not None and abs(facts.count - count) <= (_ESTIMATED * count if estimated else 0)
    about = "about " if estimated else ""
    return Reason("holds everything", passed, f"it holds {about}{facts.count} of {count} passages")


def _is_as_wide(facts: IndexFacts, dimension: int) -> Reason:
    return Reason(
        "dimension",
        facts.dimension == dimension,
        f"its vectors have {facts.dimension} numbers, and the model gives {dimension}",
    )


def _finds_itself(new: Retriever, facts: IndexFacts, sampled: Sampled) -> Reason:
    vectors = np.stack([vector for _, vector in sampled])
    answers = new.search_vectors(vectors, _NEAR, exact="exact" in new.capabilities)
    lost = [
        passage.passage_id
        for (passage, _), hits in zip(sampled, answers, strict=True)
        if passage.parent not in {hit.doc_id for hit in hits}
    ]
    least = _ITSELF_COMPRESSED if facts.settings.get("compressed") == "yes" else _ITSELF
    passed = len(sampled) - len(lost) >= least * len(sampled)
    named = f"; not {', '.join(lost[:3])}" if lost else ""
    return Reason("finds itself", passed, f"{len(sampled) - len(lost)} of {len(sampled)} passages are found{named}")


def _recall(new: Retriever, old: Retriever, sampled: Sampled) -> Reason:
    after = recall(new, np.stack([vector for _, vector in sampled]))
    before = _recall_of_old(old, [passage.passage_id for passage, _ in sampled]) if after < _RECALL else None
    passed = after >= _RECALL or (before is not None and after >= before - _WORSE)
    compared = "" if before is None else f", and that of the old index {before:.3f}"
    return Reason("search", passed, f"its recall of exact search is {after:.3f}{compared}")


def _recall_of_old(old: Retriever, entry_ids: Sequence[str]) -> float | None:
    """On its own vectors; None: it gives none."""
    if not {"vectors", "exact"} <= old.capabilities:
        return None
    stored = [each.vector for each in old.stored(entry_ids, texts=False).values() if each.vector is not None]
    return recall(old, np.stack(stored)) if stored else None
