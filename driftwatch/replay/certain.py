"""Which looks can only find what was found before: nothing. They need not be looked at one by one.

A look of a counted check says something new when its ledger does, or when its window is thin or breaks an absolute
floor. The second is told here from counts, on the safe side: a look that is not certain is judged by the check itself.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._canaries import Asked, read
from driftwatch.checks._counted import Watched
from driftwatch.checks.canary import Canary
from driftwatch.checks.rate import Rate
from driftwatch.replay.cadence import HOUR
from driftwatch.replay.counting import RecordedLedgers
from driftwatch.types import Run

Hours = NDArray[np.int64]
Mask = NDArray[np.bool_]

AMPLE = {"tallies": 1.0, "sample": 1.5}
"""A window with so many times the units that a check needs is not thin, however they are weighted; lines that are
counted exactly are never fewer than their units."""
RARELY = 0.8
"""Below so much of what is needed for it a segment is not judged by itself."""
FAR = 0.7
"""A rate of units below so much of its ceiling is below it as a rate of lines."""


def certain_hours(ledgers: RecordedLedgers, watched: Watched, hours: Hours) -> Mask:
    """Whether the windows that end with each of ``hours`` (ascending, hours since 1970) can only be ok."""
    check = watched.check
    needed = getattr(check, "min_n", None)
    floored = [name for name in ("at_least", "at_most") if getattr(check, name, None) is not None]
    if needed is None or check.needs == "runs" or (floored and not isinstance(check, Rate)) or not len(hours):
        return np.zeros(len(hours), dtype=bool)
    length = max(1, int(check.window / HOUR))
    n, hits = _windows(ledgers, watched, hours, length)
    usual = watched.normal.per_day * length / 24
    judged = usual[:-1] >= RARELY * 2 * needed
    ample = AMPLE[check.needs] * needed
    certain: Mask = (n[:, :-1][:, judged] >= ample).all(axis=1) & (n[:, -1] >= ample)
    if isinstance(check, Rate) and check.at_most is not None:
        certain &= (hits <= FAR * check.at_most * np.maximum(n, 1)).all(axis=1)
    return certain


def _windows(
    ledgers: RecordedLedgers, watched: Watched, hours: Hours, length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Units and hits of the first share in the windows that end with each of ``hours``, shape (T, S + 1)."""
    first, last = int(hours[0]) - length, int(hours[-1])
    found = ledgers.counts(watched, first, last)
    sums = []
    for counts in (found.n, found.hits[:, :, 0]):
        laid = np.zeros((last - first + 1, counts.shape[1]))
        laid[found.step - first + 1] = counts
        total = laid.cumsum(axis=0)
        ends = hours - first
        window = total[ends] - total[ends - length]
        sums.append(np.concatenate([window, window.sum(axis=1, keepdims=True)], axis=1))
    return sums[0], sums[1]


class CertainRuns:
    """The same of canary runs, each of which is read once."""

    def __init__(self, check: Canary) -> None:
        self.check = check
        self._known: dict[datetime, bool] = {}

    def of(self, run: Run | None) -> bool:
        """Whether judging ``run`` can only be ok; there being no run is never certain."""
        if run is None:
            return False
        if run.at not in self._known:
            self._known[run.at] = self._is_certain(run)
        return self._known[run.at]

    def _is_certain(self, run: Run) -> bool:
        by_lang: dict[str, list[int]] = {}
        for place, seen in enumerate(run.observations):
            by_lang.setdefault(seen.lang, []).append(place)
        parts = [_only(run, places) for places in by_lang.values()]
        asked = [read(part, self.check.measure) for part in parts]
        judged = [each for each in asked if each.total >= self.check.min_queries]
        return self._is_fine(_sum(asked)) and all(map(self._is_fine, judged))

    def _is_fine(self, asked: Asked) -> bool:
        check, total = self.check, asked.total
        if asked.errors.total() > check.max_unasked * total or len(asked.outcomes) < check.min_queries:
            return False
        if asked.rotten and len(asked.rotten) >= check.max_rot * total:
            return False
        mean = sum(outcome.value for outcome in asked.outcomes.values()) / len(asked.outcomes)
        return check.at_least is None or mean >= check.at_least + 1e-9


def _only(run: Run, places: list[int]) -> Run:
    return Run(run.run_id, run.source, run.at, run.suite, tuple(run.observations[place] for place in places), run.gone)


def _sum(asked: list[Asked]) -> Asked:
    """All languages together."""
    outcomes = {key: outcome for each in asked for key, outcome in each.outcomes.items()}
    errors = sum((each.errors for each in asked), start=type(asked[0].errors)()) if asked else None
    rotten = tuple(query_id for each in asked for query_id in each.rotten)
    assert errors is not None
    return Asked(outcomes, rotten, errors, None)
