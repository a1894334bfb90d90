"""The cut-off of a new model: it keeps the share of known answers that the one in use keeps; both are judged behind it.

A cut-off that is best by an F would do for a service that has none yet. Here somebody chose one: what it keeps is what
people are used to, and a model that finds more must not lose it again at its own cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from driftwatch.errors import DriftwatchError
from driftwatch.retrained import Asked, Reason, Served
from driftwatch.stats.cutoff import Aim
from driftwatch.threshold import Material, Wanted, recalibrate
from driftwatch.types import Observation, ScoredDoc

NAME = "cut-off"
MOST = 0.98
"""The share of known answers that is kept at most: what is above rests on the oddest answers of all."""
LEAST = 0.5
"""Who keeps less of what the canaries find means another scale, or serves next to nothing."""
UNKNOWN = (
    "'retrain: threshold' does not say at which score the service cuts off. If it does so, that cut-off was made for"
    " the model in use: say it there, and a new model comes with its own."
)


@dataclass(frozen=True, slots=True)
class CutOff:
    """What the new model is cut off at, and how that was found."""

    value: float | None
    """None: there is none, since the service has none that is known, or since none can be found."""
    sentence: str
    found: bool = True
    """Whether there is one where one is needed."""
    interval: tuple[float | None, float | None] | None = None
    method: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """As the gate says it."""
        return Reason(NAME, self.found, self.sentence)

    def content(self) -> dict[str, Any]:
        """As it is kept with the judgement."""
        return asdict(self)


def fitting(asked: Sequence[Asked], old: Served, new: Served, current: float | None, now: datetime) -> CutOff:
    """The cut-off for ``new`` that keeps the share of retrieved answers that ``current`` keeps for ``old``.

    That share is taken from the canaries where there are any: of what people ask now and the old model does not find,
    its cut-off drops too much.
    """
    if current is None:
        return CutOff(None, UNKNOWN)
    known = [each for each in asked if each.group == "canary"] or asked
    share = kept(known, old, current)
    if share is None or share < LEAST:
        return CutOff(
            None,
            f"At 'retrain: threshold' {current:.4g} the model in use hands on {share or 0:.0%} of the known answers "
            "that it finds: is that a cosine similarity, as the cut-off of the service should be?",
            found=False,
        )
    level = min(share, MOST)
    try:
        found = recalibrate(Material(canaries=_observed(asked, new, now)), Wanted(Aim("recall", level)))
    except DriftwatchError as error:
        return CutOff(None, str(error), found=False)
    return CutOff(
        found.value,
        f"{found.value:.4g} hands on {level:.0%} of the known answers that the new model finds, {current:.4g} hands on "
        f"{share:.0%} of those that the old one finds; both are judged behind their cut-offs.",
        interval=found.interval,
        method=str(found.method),
        warnings=tuple(found.warnings),
    )


def kept(asked: Sequence[Asked], side: Served, cutoff: float) -> float | None:
    """The share of the answers among a model's rankings whose scores reach ``cutoff``; None where it finds none."""
    scores = [
        score
        for each in asked
        for doc_id, score in zip(side.rankings.get(each.query_id, ()), side.scores.get(each.query_id, ()), strict=False)
        if each.relevant.get(doc_id, 0) > 0
    ]
    return sum(score >= cutoff for score in scores) / len(scores) if scores else None


def behind(side: Served, cutoff: float | None) -> Served:
    """What the service would hand on: without what scores below ``cutoff``."""
    if cutoff is None:
        return side
    many = {name: sum(score >= cutoff for score in scores) for name, scores in side.scores.items()}
    return replace(
        side,
        rankings={name: found[: many.get(name, len(found))] for name, found in side.rankings.items()},
        scores={name: found[: many[name]] for name, found in side.scores.items()},
    )


def _observed(asked: Sequence[Asked], side: Served, now: datetime) -> tuple[Observation, ...]:
    seen = Observation(now, side.model, "")
    return tuple(
        replace(
            seen,
            query_id=each.query_id,
            text=each.text,
            lang=each.lang,
            relevant=each.relevant,
            hits=tuple(map(ScoredDoc, side.rankings[each.query_id], side.scores[each.query_id])),
        )
        for each in asked
        if each.query_id in side.scores and each.query_id in side.rankings
    )
