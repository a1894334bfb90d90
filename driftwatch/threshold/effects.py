"""What a cut-off does: to the traffic, in each language, and what to be careful about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.abstaining import Abstention, abstention
from driftwatch.stats.cutoff import Cutoff, choose, confusion
from driftwatch.stats.matching import Share, share_where, total_variation
from driftwatch.threshold.material import Labelled, Traffic
from driftwatch.threshold.methods import lacking, same_share
from driftwatch.threshold.nouns import InLanguage, Method, Wanted
from driftwatch.threshold.reasons import OTHER_LANGUAGES, QUERY_CHECKS, Evidence, Reason
from driftwatch.types import Finding

FEWEST_ANSWERS = 30
"""Queries of which the service says whether it answered, from which its rate is predicted."""
UNSURE = 0.9
"""The share of resamples that must reach what is wanted, for it to count as sure."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What becomes of the traffic, by language, and of all of it under an empty name."""

    empty: Mapping[str, Share]
    """At the new cut-off, after the change."""
    empty_before: Mapping[str, Share]
    """At the old one, before it."""
    abstained: Mapping[str, Abstention]
    """At the new one."""

    @classmethod
    def of(cls, before: Traffic, after: Traffic, cutoff: float | None, current: float | None) -> Effects:
        """Predict."""
        return cls(empty_in(after, cutoff), empty_in(before, current), abstained_in(after, cutoff, current))


def empty_in(traffic: Traffic, cutoff: float | None) -> dict[str, Share]:
    """The share of queries whose best score is below the cut-off: of each language, and of all under an empty name."""
    if cutoff is None or not len(traffic):
        return {}
    below = traffic.top < cutoff
    return {name: share_where(below[rows], traffic.unit[rows], traffic.weight[rows]) for name, rows in _parts(traffic)}


def abstained_in(traffic: Traffic, cutoff: float | None, current: float | None) -> dict[str, Abstention]:
    """The same of abstentions, where the service says."""
    answers = traffic.answers()
    return {} if cutoff is None or len(answers.score) < FEWEST_ANSWERS else abstention(answers, cutoff, current)


def _parts(traffic: Traffic) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    yield "", np.ones(len(traffic), bool)
    for name in np.unique(traffic.lang).tolist():
        yield name, traffic.lang == name


def by_language(
    labelled: Labelled,
    wanted: Wanted,
    cutoff: float | None,
    before: Traffic,
    after: Traffic,
    current: float | None,
    effects: Effects,
) -> dict[str, InLanguage]:
    """How each language fares; nothing when there is only one."""
    names = sorted({*labelled.lang.tolist(), *after.lang.tolist()})
    if len(names) < 2:
        return {}
    found = {}
    for name in names:
        judged = labelled.judged.take(labelled.lang == name)
        why = lacking(judged)
        matched, _ = same_share(before, after, before.lang == name, after.lang == name, current, wanted)
        found[name] = InLanguage(
            queries=judged.units,
            at_common=confusion(judged, cutoff, wanted.aim) if cutoff is not None and len(judged) else None,
            alone=None if why else choose(judged, wanted.aim, seed=wanted.seed, resamples=wanted.resamples),
            matched=matched,
            sessions=len(np.unique(after.unit[after.lang == name])),
            empty=effects.empty.get(name),
            empty_before=effects.empty_before.get(name),
            abstained=effects.abstained.get(name),
            why=why,
        )
    return found


def languages_apart(before: Traffic, after: Traffic) -> float:
    """Total variation of the languages."""
    if not len(before) or not len(after):
        return 0.0
    return total_variation(before.lang, before.weight, after.lang, after.weight)


def query_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those that say that people ask other things than before."""
    return tuple(each for each in findings if each.kind in QUERY_CHECKS and each.verdict in ("fail", "warn"))


def warnings(
    evidence: Evidence, chosen: Cutoff | None, method: Method | None, found: Sequence[Reason]
) -> Iterator[str]:
    """What to be careful about, a sentence each."""
    if chosen is not None and chosen.value is None:
        yield f"What is wanted cannot be reached: the most is {chosen.best:.3g}."
    if chosen is not None and chosen.value is not None and chosen.reached < UNSURE:
        yield f"It is reached in only {chosen.reached:.0%} of the resamples: more labels may show that it cannot be."
    matched = evidence.matched
    changed = evidence.firing or evidence.languages >= OTHER_LANGUAGES
    if matched is not None and changed:
        yield "People ask other things than before, so the same share kept is not the same quality: label some queries."
    if matched is not None and matched.value is None:
        yield "As much as before is kept only below the lowest score that is logged: log what the cut-off drops."
    if matched is not None and evidence.rescaling is not None and not evidence.rescaling.monotone:
        yield "Ranks changed as well, so the same share kept is not the same documents: label some queries."
    moved = any(reason.what == "kept" for reason in found)
    if method == "same documents" and moved and evidence.rescaling is not None and evidence.rescaling.unmoved:
        yield "The same documents score as before, yet another share is kept: only labels can say what is best now."
    if method == "same share" and not evidence.changes:
        yield "No version changed between the two stretches: name them with --before and --after if something did."
