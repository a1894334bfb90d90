"""The predicted quality of a window against the baseline's, put right by canaries that were asked in both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from driftwatch.checks._predicted import Asked, Lesson, Live, as_live
from driftwatch.checks._usual_quality import Usual
from driftwatch.stats.ppi import Estimate, power, ppi_mean, weighted_mean

WORST = 10
"""Examples: the live queries predicted worst."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a window says."""

    level: Estimate
    """Mean quality of the live queries now, prediction-powered."""
    effect: Estimate
    """By how much it departs from what is usual at these hours in these languages."""
    days: tuple[int, int]
    """(baseline days that were better, days)."""
    worst: tuple[str, ...]
    details: Mapping[str, Any]


def compare(found: Live, before: Lesson, usual: Usual, now: Asked, days: float) -> Change | None:
    """Join what is predicted of live queries with how far the prediction is off on the canaries.

    The level is the prediction-powered mean of the window. The effect is the change of the live predictions plus the
    change of the canaries' residuals, each canary paired with itself: when all scores move and no rank does, the two
    cancel. How far the predictions are trusted in it is set on the baseline, as for any number of live queries: few of
    them are no reason to take the canaries' change for theirs. None when fewer than two canaries are in both.
    """
    keys = sorted(set(now.keys) & set(before.canaries.keys))
    then, today = before.canaries.rows(keys), now.rows(keys)
    weights = as_live(then.lang, found)
    known = usual.knows(found.lang)
    if np.count_nonzero(weights) < 2 or not known.any():
        return None
    quality = before.calibration.predict(found.x, found.lang)
    trust = power(before.canaries.quality, before.held_out, inf)
    then_said, today_said = (before.calibration.held_out(each.x, each.lang, each.fold) for each in (then, today))
    live_change = usual.change(found.keep(known), quality[known], days)
    shift = (today.quality - trust * today_said) - (then.quality - trust * then_said)
    canary_change = weighted_mean(shift, weights)
    return Change(
        level=ppi_mean(today.quality, today_said, quality, label_weights=weights, other_weights=found.weight),
        effect=live_change * trust + canary_change,
        days=(int((usual.days > live_change.value).sum()), len(usual.days)),
        worst=tuple(str(query_id) for query_id in found.query_id[np.argsort(quality, kind="stable")[:WORST]]),
        details={
            "trust": round(trust, 4),
            "predicted_change": round(live_change.value, 4),
            "canary_correction": round(canary_change.value, 4),
            "canaries_in_both": len(keys),
            "day_shift": round(usual.day_shift, 4),
            "without_baseline": round(float(found.weight[~known].sum() / found.weight.sum()), 4),
            **_agreement(then, today),
        },
    )


def _agreement(then: Asked, today: Asked) -> dict[str, float]:
    """How far the answers stay as they are under a slip of the pen; empty when nobody asked."""
    both = np.isfinite(then.agreement) & np.isfinite(today.agreement)
    if not both.any():
        return {}
    return {
        "agreement": round(float(today.agreement[both].mean()), 4),
        "usual_agreement": round(float(then.agreement[both].mean()), 4),
    }
