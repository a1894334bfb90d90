"""Detectors whose thresholds are tuned with hindsight: on quiet years, to a wanted number of false pages a year.

A detector turns statistics of many streams, shape (streams, looks, segments), into flags of the same shape. A page is
the first flagged look of a run of flagged looks, whatever the segment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _traffic import Bools, Floats, Ints
from scipy.stats import chi2


@dataclass(frozen=True)
class Detector:
    """Flags where a statistic is beyond a threshold."""

    name: str
    look_hours: int
    flags: Callable[[Floats, float], Bools]
    """(statistics, threshold) -> flags; a larger threshold never flags more, by and large."""
    low: float
    high: float
    """Between which thresholds the wanted one is looked for."""


@dataclass(frozen=True)
class Tuned:
    """A detector with its threshold."""

    detector: Detector
    threshold: float
    pages: int
    years: float
    """What it did on the streams that it was tuned on."""

    def delays(self, statistics: Floats, starts: Floats, segments: Ints) -> Floats:
        """Days from the change to the first flag that is about it, one a stream; infinite when there is none.

        ``starts`` are days since the first look; a look happens at the end of its block.
        """
        flagged = self.detector.flags(statistics, self.threshold)[:, :, segments].any(axis=2)
        ends = (np.arange(flagged.shape[1]) + 1) * self.detector.look_hours / 24
        delay = np.where(flagged & (ends > starts[:, None]), ends - starts[:, None], np.inf)
        return delay.min(axis=1)


def tune(detector: Detector, statistics: Floats, wanted: float, skip: int) -> Tuned:
    """The lowest threshold with at most ``wanted`` pages a year, found by bisection.

    Args:
        detector: what to tune.
        statistics: shape (streams, looks, segments), of quiet streams.
        wanted: pages a year, over all segments together.
        skip: days of baseline at the start of each stream, in which pages do not count.
    """
    first = skip * 24 // detector.look_hours
    years = statistics.shape[0] * (statistics.shape[1] - first) * detector.look_hours / 24 / 365
    low, high = np.log(detector.low), np.log(detector.high)
    for _ in range(18):
        middle = (low + high) / 2
        if count_pages(detector.flags(statistics, float(np.exp(middle)))[:, first:]) > wanted * years:
            low = middle
        else:
            high = middle
    threshold = float(np.exp(high))
    return Tuned(detector, threshold, count_pages(detector.flags(statistics, threshold)[:, first:]), years)


def count_pages(flags: Bools) -> int:
    """Runs of flagged looks, over all streams; ``flags`` has shape (streams, looks, segments)."""
    looks = flags.any(axis=2)
    return int(looks[:, 0].sum() + (looks[:, 1:] & ~looks[:, :-1]).sum())


def poisson_interval(events: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval for the mean of a Poisson count (Garwood 1936)."""
    tail = (1 - level) / 2
    lower = float(chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return lower, float(chi2.isf(tail, 2 * events + 2)) / 2


def upper_bound(events: int, level: float = 0.95) -> float:
    """Exact one-sided upper bound for the mean of a Poisson count."""
    return float(chi2.isf(1 - level, 2 * events + 2)) / 2


def cutoff(name: str, look_hours: int, low: float, high: float) -> Detector:
    """Flags what is larger than the threshold: for distances, z values, minus log p-values."""
    return Detector(name, look_hours, lambda statistic, threshold: statistic > threshold, low, high)


def cusum(name: str, look_hours: int, slack: float, sides: Sequence[int] = (1, -1)) -> Detector:
    """Page (1954): ``max(0, sum + side * z - slack)``, beginning again after each flag."""

    def flags(z: Floats, threshold: float) -> Bools:
        z = np.nan_to_num(z)
        found = np.zeros(z.shape, bool)
        total = np.zeros((len(sides), z.shape[0], z.shape[2]))
        side = np.array(sides, float)[:, None, None]
        for look in range(z.shape[1]):
            total = np.maximum(0, total + side * z[:, look] - slack)
            over = total > threshold
            found[:, look] = over.any(axis=0)
            total[over] = 0
        return found

    return Detector(name, look_hours, flags, 1.0, 3000.0)


def increments(hits: Floats, expected: Floats, ratio: float) -> Floats:
    """Log-likelihood ratio of ``ratio`` times the expected Poisson counts against the expected ones (Lucas 1985)."""
    return hits * np.log(ratio) - (ratio - 1) * expected


def river(name: str, look_hours: int, make: Callable[[float], object], low: float, high: float) -> Detector:
    """One of river's detectors for each segment, fed one value a look; it begins again by itself after a flag."""

    def flags(values: Floats, threshold: float) -> Bools:
        found = np.zeros(values.shape, bool)
        for stream in range(values.shape[0]):
            for segment in range(values.shape[2]):
                found[stream, :, segment] = _run(make(threshold), values[stream, :, segment])
        return found

    return Detector(name, look_hours, flags, low, high)


def _run(detector: Any, values: Floats) -> list[bool]:
    found = []
    for value in values.tolist():
        known = value == value
        if known:
            detector.update(value)
        found.append(known and detector.drift_detected)
    return found
