"""A check whose evidence is kept in a ledger, in days, instead of being tested anew at every look.

Such a check says what it counts: of the independent units of each hour and language, how many are inside each of a few
shares, and which shares it bets on. Everything else (seasons, variation, ledgers, the budget) is the same for all of
them and written once. Its ``judge`` gives the numbers that are shown, and judges what needs no evidence: absolute
floors, thin data.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks import Check
from driftwatch.stats.book import BET_WEIGHTS
from driftwatch.stats.ledger import Ledger
from driftwatch.stats.normal import Normal, Quantity, learn
from driftwatch.stats.shares import Shares
from driftwatch.types import POOLED, UNDETERMINED, Window

Floats = NDArray[np.float64]

POOLED_WEIGHT = 0.25
"""Of a check's budget, on all languages together; the rest is shared evenly by the languages."""
REST = "*"
"""The languages that are too small for a ledger of their own, as one segment that only counts in the pooled one."""
FEWEST_UNITS = 20.0
"""A language with fewer units in an average day of the baseline than this has no ledger of its own."""


class Counted(Check):
    """The settings of every check, and the questions that a ledger asks it."""

    remembers: ClassVar[bool] = False
    budget_share: ClassVar[float]
    """The weight of its family in the budget; only the proportions between families matter."""
    fewest_units: ClassVar[float] = FEWEST_UNITS

    @abstractmethod
    def settle(self, reference: Window) -> Any:
        """What the whole baseline fixes once and for all (quantiles, clusters, reliable canaries); None: not yet."""

    @abstractmethod
    def count(self, window: Window, fixed: Any) -> Shares:
        """The units of every language in ``window``."""

    @abstractmethod
    def quantities(self, fixed: Any) -> tuple[Quantity, ...]:
        """What is bet on."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Watched:
    """One counted check with everything that its baseline fixes."""

    check: Counted
    fixed: Any
    normal: Normal
    ledger: Ledger
    weights: Floats
    """shape (S + 1,): of the check's budget, of each segment and of the pooled one; they sum to one."""

    @property
    def segments(self) -> tuple[str, ...]:
        """S + 1 names, the pooled segment last."""
        return (*self.normal.segments, POOLED)

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return self.normal.quantities

    def count(self, window: Window) -> Shares:
        """The units of ``window`` in the segments that are watched."""
        return lumped(self.check.count(window, self.fixed), self.normal.segments)

    def evidence(self, days: Floats) -> Floats:
        """Days of evidence of each segment, shape (T, S + 1), of ledgers (T, S + 1, Q); their sum is the check's."""
        each = np.array([quantity.weight for quantity in self.quantities])
        return np.asarray(np.einsum("tsq,q,s->ts", days, each, self.weights))

    def strongest(self, days: Floats) -> NDArray[np.intp]:
        """Which quantity holds most of a segment's evidence, shape (S + 1,), of ledgers (S + 1, Q)."""
        return np.asarray((days * [quantity.weight for quantity in self.quantities]).argmax(axis=1))


def watch(check: Counted, reference: Window, needed: float) -> Watched | None:
    """Fix what the baseline says; None when it holds nothing to compare with.

    ``needed``: days of evidence at which the check's budget is spent.
    """
    fixed = check.settle(reference)
    if fixed is None:
        return None
    counted = check.count(reference, fixed)
    if not len(counted) or not counted.n.sum():
        return None
    baseline = lumped(counted, segments_of(counted, check))
    quantities = check.quantities(fixed)
    normal = learn(baseline, quantities)
    weights = _weights(normal.segments, pools_only=check.by is None)
    smallest = min(float(weights[weights > 0].min()) * quantity.weight for quantity in quantities if quantity.weight)
    cap = 0.5 * float(np.log(max(needed / (smallest * float(BET_WEIGHTS.min())), 2.0)))
    # An odd step is odd in every segment and quantity at once, and all of them together must not page.
    odd_cap = 0.5 * float(np.log(max(needed, 2.0)))
    return Watched(check, fixed, normal, Ledger(normal, cap=cap, odd_cap=odd_cap), weights)


def segments_of(counted: Shares, check: Counted) -> tuple[str, ...]:
    """The languages with enough units for a ledger of their own, and the rest of them as one.

    Where only the pooled ledger counts they are told apart all the same: what is expected of it is the sum of what is
    expected of them, so that another mix of languages is no change.
    """
    days = max(len(np.unique(counted.step // 24)), 1)
    per_day = counted.n.sum(axis=0) / days
    thick = [
        name
        for name, units in zip(counted.segments, per_day, strict=True)
        if units >= check.fewest_units and name != UNDETERMINED
    ]
    return (*thick, REST)


def lumped(counted: Shares, segments: tuple[str, ...]) -> Shares:
    """``counted`` in ``segments``, everything else being in the last of them."""
    own = set(segments[:-1])
    others = [place for place, name in enumerate(counted.segments) if name not in own]
    found = counted.of(segments)

    def with_rest(laid: Floats, counts: Floats) -> Floats:
        laid = laid.copy()
        laid[:, -1] = counts[:, others].sum(axis=1)
        return laid

    expected = None
    if counted.expected is not None and found.expected is not None:
        expected = with_rest(found.expected, counted.expected)
    return Shares(found.step, segments, with_rest(found.n, counted.n), with_rest(found.hits, counted.hits), expected)


def _weights(segments: tuple[str, ...], *, pools_only: bool) -> Floats:
    own = len(segments) - 1
    weights = np.zeros(own + 2)
    weights[-1] = 1.0 if pools_only or not own else POOLED_WEIGHT
    if own:
        weights[:own] = (1 - weights[-1]) / own
    return weights
