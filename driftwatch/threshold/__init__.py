"""The score cut-off, recalibrated: what it should be now, how sure that is, and what it does.

Scores are higher is better in here, whatever the service calls them; a distance is its own negative.
"""

from __future__ import annotations

from driftwatch.errors import DriftwatchError
from driftwatch.stats.cutoff import confusion
from driftwatch.threshold.effects import Effects, by_language, languages_apart, query_findings, warnings
from driftwatch.threshold.material import Label, score_kind_of, traffic_of
from driftwatch.threshold.methods import by_labels, by_same_documents, by_same_share, labelled_of, proposed
from driftwatch.threshold.nouns import InLanguage, Material, Recalibrated, Wanted
from driftwatch.threshold.reasons import Change, Evidence, Reason, changes_of, reasons

__all__ = [
    "Change",
    "InLanguage",
    "Label",
    "Material",
    "Reason",
    "Recalibrated",
    "Wanted",
    "changes_of",
    "recalibrate",
]


def recalibrate(material: Material, wanted: Wanted) -> Recalibrated:
    """The cut-off that ``material`` speaks for: labels before the same documents, these before the same share.

    Raises:
        DriftwatchError: there is not enough of anything, with how much is needed.
    """
    material = material.of_kind(wanted.score_kind)
    kind = wanted.score_kind or score_kind_of(
        material.canaries, material.canaries_before, material.before, material.after
    )
    sign = -1 if kind == "distance" else 1
    current = None if wanted.current is None else sign * wanted.current
    before, after = traffic_of(material.before), traffic_of(material.after)
    labelled = labelled_of(material, wanted, sign)
    chosen, lacking = by_labels(labelled, wanted)
    scale, mapped = by_same_documents(material, current, wanted)
    matched, lacking_too = by_same_share(before, after, current, wanted)
    if chosen is None and matched is None and mapped is None:
        raise DriftwatchError(f"a cut-off cannot be chosen: {lacking}; {lacking_too}.", remedy=REMEDY)
    method, value, interval = proposed(chosen, scale, mapped, matched)
    evidence = Evidence(
        changes=material.changes,
        rescaling=scale,
        mapped=mapped,
        matched=matched,
        facts=material.facts,
        sign=sign,
        languages=languages_apart(before, after),
        firing=query_findings(material.findings),
    )
    found = reasons(evidence, current, lambda score: f"{sign * score:.4g}")
    effects = Effects.of(before, after, value, current)
    return Recalibrated(
        wanted=wanted,
        score_kind=kind or "similarity",
        method=method,
        value=value,
        interval=interval,
        labelled=chosen,
        mapped=mapped,
        matched=matched,
        scale=scale,
        old=confusion(labelled.judged, current, wanted.aim) if chosen is not None and current is not None else None,
        empty=effects.empty.get(""),
        empty_before=effects.empty_before.get(""),
        abstained=effects.abstained.get(""),
        by=by_language(labelled, wanted, value, before, after, current, effects),
        judged=labelled.queries,
        reasons=found,
        warnings=tuple(warnings(evidence, chosen, method, found)),
    )


REMEDY = (
    "Give labels (canaries with `relevant`, or --labels FILE), or the cut-off in use with --current and enough traffic"
    " before and after the change."
)
