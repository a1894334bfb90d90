"""What a rule of ``diagnose`` finds, and how all that was found becomes one diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from driftwatch.case import RETRIEVAL, Case
from driftwatch.types import POOLED, Diagnosis

DOWNSTREAM = frozenset({"displaced", "generator", "deployment", "bot", "season"})
"""What any broken retrieval looks like from further down."""
VECTORS = DOWNSTREAM | {"score scale", "model mismatch"}
"""What wrong vectors look like besides."""
PASSING = frozenset({"new topic", "new language"})
"""What may go by again, and is another thing when it lasts."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is broken."""

    name: str
    sentence: str
    """The evidence."""
    action: str
    segment: str = ""
    """A language; empty: everywhere."""
    documents: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    families: frozenset[str] = RETRIEVAL
    """Checks of these families feel it."""
    entails: frozenset[str] = DOWNSTREAM
    """Causes that are only seen because of this one."""
    grows_from: frozenset[str] = frozenset()
    """Causes that have become this one with time: it belongs to their incident, however old that is."""

    def explains(self, family: str, segment: str) -> bool:
        """Whether an alert of this family and segment is a symptom of it."""
        return family in self.families and (not self.segment or segment in (self.segment, POOLED))


Rule = Callable[[Case], Cause | None]


def causes_of(rules: Sequence[Rule], case: Case) -> tuple[Cause, ...]:
    """Everything that is broken, the most likely first; empty when no rule fits."""
    found = [cause for rule in rules if (cause := rule(case)) is not None]
    kept: list[Cause] = []
    for cause in found:
        known = [each.name for each in kept]
        if cause.name not in known and not any(cause.name in each.entails for each in kept):
            kept.append(cause)
    return tuple(kept)


def diagnosis_of(
    causes: Sequence[Cause], case: Case, places: Collection[tuple[str, str, str]], elsewhere: Sequence[Cause] = ()
) -> Diagnosis:
    """The causes in words, and which of ``places``, (check, family, segment), they explain.

    ``elsewhere``: what was found at the same time and does not explain them.
    """
    measured = case.experiment.measured if case.experiment else None
    if not causes:
        seen = "every experiment that could be made is as it should be" if case.experiment else "no experiment was made"
        if elsewhere:
            seen = f"what was found at the same time ({', '.join(each.name for each in elsewhere)}) does not explain it"
        action = "Look at the examples, and at what was changed about then."
        said = f"No known cause fits: {seen}."
        return Diagnosis("unknown", said, action, unseen=case.unseen, at=case.now, experiment=measured)
    first = causes[0]
    segments = {cause.segment for cause in causes}
    return Diagnosis(
        cause=first.name,
        sentence=first.sentence,
        action=first.action,
        segment=first.segment if len(segments) == 1 else "",
        documents=tuple(dict.fromkeys(doc_id for cause in causes for doc_id in cause.documents)),
        queries=tuple(dict.fromkeys(query_id for cause in causes for query_id in cause.queries)),
        silences=tuple(
            sorted({(check, at) for check, family, at in places if any(c.explains(family, at) for c in causes)})
        ),
        beside=tuple(cause.sentence for cause in causes[1:]),
        causes=tuple(cause.name for cause in causes),
        unseen=case.unseen,
        at=case.now,
        experiment=measured,
    )
