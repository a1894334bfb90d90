"""How the one number the user sets, false pages a quarter, is shared out.

Every watched quantity (a check in one segment) gets an equal part of the budget, spent as the p-value below which a
change counts (Bonferroni: whatever the dependence between the quantities). A look is charged as one day's, since
windows are a day long by default and looks within a day share most of their data; `after` looks in a row must agree
before an alert fires.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from driftwatch.checks import Check

LARGEST_ALPHA = 0.01
"""However generous the budget: rarer than one look in a hundred."""


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
