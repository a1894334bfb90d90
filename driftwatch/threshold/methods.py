"""The three ways to a cut-off: labels, the same documents before and after, the same share of the traffic."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.cutoff import Cutoff, Judged, choose
from driftwatch.stats.matching import Matched, Scored, like, match
from driftwatch.stats.rescaling import Rescaling, rescaling
from driftwatch.threshold.material import Labelled, Traffic, from_canaries, from_feedback, from_labels
from driftwatch.threshold.nouns import Material, Method, Wanted
from driftwatch.threshold.reasons import same_documents

FEWEST_JUDGED = 20
"""Queries with a right row, and queries with a wrong one, from which a cut-off is chosen."""
FEWEST_SESSIONS = 100
"""Sessions before, and after, from which shares are matched."""
FEWEST_PAIRED = 20
"""Canaries that found the same documents before and after, from which a scale is measured."""


def labelled_of(material: Material, wanted: Wanted, sign: int) -> Labelled:
    """Everything that is judged. Feedback is about answers and says nothing about a document."""
    labels = from_canaries(material.canaries, wanted.decides)
    labels += from_labels(material.labels, wanted.decides, sign)
    if wanted.decides == "answers":
        labels += from_feedback(material.after)
    return Labelled.of(labels)


def lacking(judged: Judged) -> str:
    """What is missing for a choice; empty when there is enough."""
    right, wrong = (len(np.unique(judged.unit[judged.relevant == each])) for each in (True, False))
    if right >= FEWEST_JUDGED and wrong >= FEWEST_JUDGED:
        return ""
    return (
        f"{right} judged queries with a relevant hit and {wrong} with one that is not; {FEWEST_JUDGED} of each are"
        " needed"
    )


def by_labels(labelled: Labelled, wanted: Wanted) -> tuple[Cutoff | None, str]:
    """The cut-off that achieves the aim, or why there is none."""
    if why := lacking(labelled.judged):
        return None, why
    return choose(labelled.judged, wanted.aim, seed=wanted.seed, resamples=wanted.resamples), ""


def by_same_documents(
    material: Material, current: float | None, wanted: Wanted
) -> tuple[Rescaling | None, Matched | None]:
    """How the scale moved, and what the old cut-off is called now; None without enough canaries asked twice."""
    before, after, query = same_documents(material.canaries_before, material.canaries)
    if len(np.unique(query)) < FEWEST_PAIRED or np.ptp(before) == 0:
        return None, None
    scale = rescaling(before, after, query, seed=wanted.seed)
    once = np.ones(len(query))
    old, new = Scored(before, query, once), Scored(after, query, once)
    if current is None or not before.min() <= current <= before.max() or scale.slope <= 0:
        return scale, None
    return scale, match(old, new, current, seed=wanted.seed, resamples=wanted.resamples, paired=True)


def by_same_share(before: Traffic, after: Traffic, current: float | None, wanted: Wanted) -> tuple[Matched | None, str]:
    """The cut-off that keeps what the old one did, over all languages, or why there is none."""
    return same_share(before, after, np.ones(len(before), bool), np.ones(len(after), bool), current, wanted)


def same_share(
    before: Traffic,
    after: Traffic,
    was: NDArray[np.bool_],
    now: NDArray[np.bool_],
    current: float | None,
    wanted: Wanted,
) -> tuple[Matched | None, str]:
    """The same among the rows ``was`` before and ``now`` after."""
    if current is None and wanted.keep is None:
        return None, "neither --current nor --keep says what was kept"
    weight = before.weight.copy()
    if was.any() and now.any():
        weight[was] = like(before.weight[was], before.cell[was], after.weight[now], after.cell[now])
        was = was & (weight > 0)
    old, new = before.scored(wanted.decides, was, weight), after.scored(wanted.decides, now)
    needs_before = wanted.keep is None
    if new.units < FEWEST_SESSIONS or (needs_before and old.units < FEWEST_SESSIONS):
        return None, (
            f"scores of {old.units} sessions before the change and {new.units} after it; {FEWEST_SESSIONS} of each are"
            " needed"
        )
    kept = old.score >= (-np.inf if current is None else current)
    if wanted.keep is None and not kept.any():
        return None, "the old cut-off kept nothing before the change"
    if wanted.keep is None and kept.all():
        return None, "the old cut-off kept all that was logged before the change: log what it drops"
    found = match(old, new, current, wanted.keep, seed=wanted.seed, resamples=wanted.resamples)
    return found, ""


def proposed(
    chosen: Cutoff | None, scale: Rescaling | None, mapped: Matched | None, matched: Matched | None
) -> tuple[Method | None, float | None, tuple[float | None, float | None]]:
    """What to propose: labels first; then what does not depend on who asks; then the traffic."""
    if chosen is not None:
        return ("labels" if chosen.value is not None else None), chosen.value, chosen.interval
    if mapped is not None and mapped.value is not None and scale is not None and scale.monotone:
        return "same documents", mapped.value, mapped.interval
    if matched is not None and matched.value is not None:
        return "same share", matched.value, matched.interval
    return None, None, (None, None)
