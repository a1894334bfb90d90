"""By how much the shares of strange units, and of the coarse clusters, have grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._blocks import PRIOR_VARIATION, Dispersion, of_days
from driftwatch.checks._familiar import Measured
from driftwatch.stats.proportion import newcombe, two_proportions

Column = tuple[NDArray[np.bool_], NDArray[np.bool_]]
"""Which units of the window are inside, and which of the baseline."""


@dataclass(frozen=True, slots=True)
class Growth:
    """By how much one share has grown."""

    now: float
    before: float
    excess: float
    """The share of the window's units that, all of them inside, explain it."""
    interval: tuple[float, float]
    """Of ``excess``, 95 %."""
    z: float
    """Standard errors of ``now - before``."""
    p_value: float
    """One-sided."""
    dispersion: float
    """How many times more than chance the days of the baseline vary."""

    def as_details(self) -> dict[str, float]:
        """For the details of a finding."""
        return {"now": round(self.now, 5), "before": round(self.before, 5), "p_value": self.p_value}


def inside(found: Measured, cuts: Sequence[float], topics: int) -> NDArray[np.float64]:
    """shape (n, len(cuts) + topics): which units lie beyond each cut, and in each coarse cluster."""
    beyond = found.strangeness[:, None] > np.array(cuts)
    return np.hstack([beyond, found.topic[:, None] == np.arange(topics)]).astype(np.float64)


def growths(now: Measured, then: Measured, cuts: Sequence[float], topics: int) -> tuple[list[Growth], list[Growth]]:
    """The growth beyond each cut, and of each coarse cluster.

    No cluster is taken to be steadier than all clusters are together: of so many, some seem steady by luck.
    """
    far = [(now.strangeness > cut, then.strangeness > cut) for cut in cuts]
    near = [(now.topic == topic, then.topic == topic) for topic in range(topics)]
    together = of_days(_by_day(then, then.topic, topics), 1.0).factor
    return [_growth(column, now, then) for column in far], [_growth(column, now, then, together) for column in near]


def _growth(column: Column, now: Measured, then: Measured, least: float = 1.0) -> Growth:
    (x, n), (x0, n0) = ((int(side.sum()), len(side)) for side in column)
    vary = _dispersion(column[1], then, x0, least)
    # Counts that vary so many times more than coins carry as much evidence as so many times fewer coins.
    m, m0 = max(1, round(n / _at_size(vary, _a_day(now), _a_day(then)))), max(1, round(n0 / vary.factor))
    p_value = two_proportions(round(x / n * m), m, round(x0 / n0 * m0), m0, "up")
    share, before = x / n, x0 / n0
    low, high = newcombe(share * m, m, before * m0, m0)
    error = np.sqrt(before * (1 - before) * (1 / m + 1 / m0)) + 1e-12
    room = max(1 - before, 1e-9)
    return Growth(
        now=share,
        before=before,
        excess=(share - before) / room,
        interval=(low / room, min(1.0, high / room)),
        z=float((share - before) / error),
        p_value=vary.temper(p_value, two_sided=False),
        dispersion=vary.factor,
    )


def _a_day(measured: Measured) -> float:
    """Units a day; of a shorter stretch, all."""
    hours = int(np.ptp(measured.hour)) + 1
    return len(measured) / max(1.0, hours / 24)


def _at_size(vary: Dispersion, size: float, known: float) -> float:
    """The dispersion of days that hold ``size`` units, from that of days of ``known``: a day's luck is all's."""
    return 1 + (vary.factor - 1) * size / known


def _dispersion(hit: NDArray[np.bool_], then: Measured, hits: int, least: float) -> Dispersion:
    split = _by_day(then, hit.astype(np.intp), 2)
    prior = 1 + PRIOR_VARIATION**2 * hits / len(split) * len(hit) / max(len(hit) - hits, 1)
    found = of_days(split, prior)
    return replace(found, factor=max(found.factor, least))


def _by_day(then: Measured, category: NDArray[np.intp], width: int) -> NDArray[np.float64]:
    """Units by day and category, shape (days, width)."""
    days, day = np.unique(then.hour // 24, return_inverse=True)
    counts = np.bincount(day * width + category, minlength=len(days) * width)
    return counts.reshape(len(days), width).astype(np.float64)
