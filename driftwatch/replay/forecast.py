"""What the ledger of one check will hold in the days to come, if nothing that is decided changes it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._counted import Counted, Watched
from driftwatch.ledgers import State, step_of
from driftwatch.replay.certain import Mask, certain_hours
from driftwatch.replay.counting import RecordedLedgers
from driftwatch.types import Baseline
from driftwatch.windows import Learning


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """The evidence of one check at every look from ``start`` on, up to ``end``."""

    watched: Watched
    baseline: Baseline
    firing: frozenset[str]
    start: int
    """The hour of the first look."""
    step: NDArray[np.int64]
    """shape (T,), ascending: hours that are folded in."""
    total: NDArray[np.float64]
    """shape (T,): days of evidence of all segments, weighted with their parts of the budget."""
    before: float
    """The same before the first of them."""
    certain: Mask
    """By the hour from ``start`` on: whether a window that ends then can only be ok."""

    def at(self, moment: datetime) -> float:
        """The evidence at a look: hours that are over, and of canaries also the runs of this hour."""
        side = "right" if self.watched.check.needs == "runs" else "left"
        place = int(np.searchsorted(self.step, step_of(moment), side=side))  # type: ignore[call-overload]
        return float(self.total[place - 1]) if place else self.before

    def is_certain(self, moment: datetime) -> bool:
        """Whether the window of a look can only be ok."""
        place = step_of(moment) - self.start
        return 0 <= place < len(self.certain) and bool(self.certain[place])


def forecast(
    ledgers: RecordedLedgers,
    check: Counted,
    moment: datetime,
    end: datetime,
    state: State | None,
    firing: Collection[str],
) -> Forecast | None:
    """The evidence of ``check`` from the look at ``moment`` on; None while there is nothing to compare with."""
    baseline = ledgers.windows.baseline(check.source, check.needs, moment, check.aspect)
    account = ledgers.look(check, moment, state, firing)
    if account is None or isinstance(baseline, Learning):
        return None
    watched, share = account.watched, ledgers.shares[check.name]
    rows = np.array([name in firing for name in watched.segments])
    first, last = step_of(moment), step_of(end)
    at = account.state.book.at
    counted = ledgers.counts(watched, min(at + 1, first), last + 1) if last >= first else ledgers.counts(watched, 0, 0)
    _, days = watched.ledger.fold(account.state.book, counted.after(at), rows)
    return Forecast(
        watched,
        baseline,
        frozenset(firing),
        first,
        counted.after(at).step,
        watched.evidence(days).sum(axis=1) * share,
        account.standing.total,
        certain_hours(ledgers, watched, np.arange(first, last + 1)),
    )
