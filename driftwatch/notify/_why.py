"""What most likely broke, as a notice says it: in clean text, whatever documents and queries are called."""

from __future__ import annotations

from dataclasses import dataclass

from driftwatch.notify._languages import segment_name
from driftwatch.notify._text import clean
from driftwatch.types import Diagnosis

MOST_NAMED = 5
"""Documents that are named; `driftwatch explain` names them all."""


@dataclass(frozen=True, slots=True)
class Why:
    """A diagnosis for a person."""

    cause: str
    """`Most likely lost documents, in German`."""
    sentence: str
    action: str
    documents: tuple[str, ...]
    more: int
    """Documents that are not named."""
    beside: tuple[str, ...]
    """What else was found, a sentence each."""


def why(diagnosis: Diagnosis | None) -> Why | None:
    """``diagnosis`` in words; None where there is none, or where no cause is known."""
    if diagnosis is None or diagnosis.cause == "unknown":
        return None
    place = f", in {segment_name(diagnosis.segment)}" if diagnosis.segment else ""
    named = tuple(filter(None, (clean(doc_id, 80) for doc_id in diagnosis.documents[:MOST_NAMED])))
    return Why(
        cause=clean(f"Most likely {diagnosis.cause}{place}", 160),
        sentence=clean(diagnosis.sentence, 500),
        action=clean(diagnosis.action, 300),
        documents=named,
        more=len(diagnosis.documents) - len(named),
        beside=tuple(clean(sentence, 300) for sentence in diagnosis.beside[:3]),
    )
