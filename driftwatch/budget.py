"""What the evidence of all checks together pays for: which findings page, which warn, and what is left.

The user sets one number, false pages a quarter, and a second, larger one for warnings. Each is a length of time: one in
90 days means that 90 days of evidence page. Every ledger grows by at most a day a day when nothing changes, whatever
else is watched, so the weighted sum of all of them does, and passes its limit at most about that often.

Checks that keep no ledger and give only a p-value (traffic, mix, a user's own) get a small part of the budget, spent as
the p-value below which a change counts (Bonferroni: whatever the dependence between them). A look is charged as one
day's, since windows are a day long by default and looks within a day share most of their data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks import Check
from driftwatch.checks._counted import Counted

LARGEST_ALPHA = 0.01
"""However generous the budget: rarer than one look in a hundred."""
PLAIN_SHARE = 0.05
"""The weight in the budget of all checks without a ledger together."""
PLAIN = "plain"
PRECISE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """The evidence of one check in all its segments at one look."""

    check: str
    segments: tuple[str, ...]
    evidence: NDArray[np.float64]
    """shape (segments,): days, weighted with the segment's part of the budget."""
    share: NDArray[np.float64]
    """shape (segments,): that part."""

    @property
    def total(self) -> float:
        return float(self.evidence.sum())


def limit_of(count: float, per: timedelta) -> float:
    """Days of evidence at which a budget of ``count`` alarms in ``per`` is spent."""
    return per / timedelta(days=1) / count


def shares(checks: Iterable[Check]) -> dict[str, float]:
    """The part of every check in the budget that its severity draws on; they sum to one for each severity.

    A family has its weight however many checks it holds, so another check of a family costs the others of it delay,
    and never false pages.
    """
    every = list(checks)
    own: dict[str, float] = {}
    for severity in ("page", "warn"):
        drawing = [check for check in every if check.severity == severity]
        members = Counter(_family(check) for check in drawing)
        weights = {_family(check): _weight(check) for check in drawing}
        whole = sum(weights.values())
        own |= {check.name: weights[_family(check)] / whole / members[_family(check)] for check in drawing}
    return own


def decide(
    standings: Mapping[str, Standing],
    limit: float,
    due: Collection[str],
    matters: Callable[[str, str], bool],
) -> list[tuple[str, str]]:
    """The (check, segment) that page now: the largest contributors, until what is left is within ``limit``.

    ``standings`` are all checks that draw on this budget, as they stood at their last look; only those that are ``due``
    may page. ``matters`` says whether an effect is past its floor: what is not past it is left out of the sum.
    """
    every = sorted(
        (
            (float(days), standing.check, segment)
            for standing in standings.values()
            for days, segment in zip(standing.evidence, standing.segments, strict=True)
            if days > 0
        ),
        reverse=True,
    )
    # From the smallest up: taken off a large sum, small evidence would be lost in its rounding.
    left = list(accumulate(days for days, _, _ in reversed(every)))[::-1]
    paged = []
    for (_, check, segment), total in zip(every, left, strict=True):
        if total < limit * (1 - PRECISE):
            break
        if check in due and matters(check, segment):
            paged.append((check, segment))
    return paged


def alpha_per_look(false_pages: float, per: timedelta, quantities: int) -> float:
    """The error budget of one look at one of ``quantities``, in (0, LARGEST_ALPHA].

    >>> round(alpha_per_look(1, timedelta(days=90), 20), 6)
    0.000556
    """
    pages_a_day = false_pages / (per / timedelta(days=1))
    return min(LARGEST_ALPHA, pages_a_day / max(quantities, 1))


def quantities(checks: Iterable[Check], segments: int) -> int:
    """How many quantities ``checks`` watch together when ``by: lang`` splits into ``segments`` and the rest."""
    return sum(segments + 1 if check.by and check.pools else 1 for check in checks)


def _family(check: Check) -> str:
    return check.family if isinstance(check, Counted) else PLAIN


def _weight(check: Check) -> float:
    return check.budget_share if isinstance(check, Counted) else PLAIN_SHARE
