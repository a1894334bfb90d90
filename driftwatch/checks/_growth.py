"""By how much the shares of strange units, and of the coarse clusters, have grown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def columns(now: Measured, then: Measured, cuts: Sequence[float], topics: int) -> Iterator[Column]:
    """The same columns of both sides, one after the other."""
    for cut in cuts:
        yield now.strangeness > cut, then.strangeness > cut
    for topic in range(topics):
        yield now.topic == topic, then.topic == topic


def growth_of(column: Column, now: Measured, then: Measured) -> Growth:
    """The growth of one share."""
    (x, n), (x0, n0) = ((int(side.sum()), len(side)) for side in column)
    vary = _dispersion(column[1], then, x0)
    # Counts that vary so many times more than coins carry as much evidence as so many times fewer coins.
    m, m0 = max(1, round(n / vary.factor)), max(1, round(n0 / vary.factor))
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


def _dispersion(hit: NDArray[np.bool_], then: Measured, hits: int) -> Dispersion:
    days, day = np.unique(then.hour // 24, return_inverse=True)
    marked = np.bincount(day, hit, len(days))
    split = np.stack([marked, np.bincount(day, minlength=len(days)) - marked], axis=1)
    prior = 1 + PRIOR_VARIATION**2 * hits / len(days) * len(hit) / max(len(hit) - hits, 1)
    return of_days(split, prior)
