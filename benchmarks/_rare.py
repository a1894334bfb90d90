"""What detectors see of canary runs and of embedded questions, and the detectors that ours is put beside there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _canaries import CanaryNuisance, RecallDrop, Runs, canary_runs
from _streams import BASELINE_DAYS, start_of
from _topics import NewTopic, Questions, TopicNuisance, Vectors
from _traffic import Floats
from _tuned import Detector, cusum, cutoff, river
from numpy.typing import NDArray

RELIABLE = 0.9
"""A canary counts when it passes at least this share of the baseline's runs."""


def canary_statistics(runs: Runs, every: int) -> Floats:
    """Per run, shape (runs, 3): standardised failures of reliable canaries, of all, and flips (McNemar 1947)."""
    first = BASELINE_DAYS * 24 // every
    rate = 1 - runs.passed[:first].mean(axis=0)
    reliable = rate <= 1 - RELIABLE
    failed = ~runs.passed
    some, every_one = failed[:, reliable].sum(axis=1), failed.sum(axis=1)
    spread = max(some[:first].std(), np.sqrt(max(0.3, (rate * (1 - rate))[reliable].sum())))
    share = rate.mean()
    usual = rate < 0.5
    lost, won = (failed & usual).sum(axis=1), (runs.passed & ~usual).sum(axis=1)
    return np.column_stack(
        [
            (some - rate[reliable].sum()) / spread,
            (every_one - len(rate) * share) / np.sqrt(len(rate) * share * (1 - share)),
            (lost - won) / np.sqrt(np.maximum(1, lost + won)),
        ]
    )


def quiet_canaries(nuisance: CanaryNuisance, seeds: range, every: int, days: int = 365) -> Floats:
    """shape (streams, runs, statistics)"""
    runs = (canary_runs(nuisance, seed, BASELINE_DAYS + days, every=every) for seed in seeds)
    return np.stack([canary_statistics(each, every) for each in runs])


def changed_canaries(
    nuisance: CanaryNuisance, seeds: range, every: int, size: float, ramp_days: float, days: int = 60
) -> Floats:
    """The same after a fall of recall two weeks after the baseline."""
    found = []
    for seed in seeds:
        drop = RecallDrop(start_of(seed), size, ramp_days)
        length = BASELINE_DAYS + 15 + days
        found.append(canary_statistics(canary_runs(nuisance, seed, length, every=every, drop=drop), every))
    return np.stack(found)


@dataclass(frozen=True)
class Reader:
    """A detector and the statistic that it reads."""

    kind: str
    detector: Detector
    column: int
    streams: int = 1000
    """Tuned on so many streams at most: river's detectors are slow."""


def canary_peers(every: int) -> list[Reader]:
    """Beside ours on canary runs every so many hours."""
    from river.drift import ADWIN, PageHinkley

    def hinkley(delta: float) -> Reader:
        def make(threshold: float) -> object:
            return PageHinkley(delta=delta, threshold=threshold, mode="up")

        return Reader("Page-Hinkley", river(f"Page-Hinkley, delta {delta}", every, make, 2, 3000), 0, streams=20)

    def adwin(threshold: float) -> object:
        return ADWIN(delta=float(np.exp(-threshold)), clock=1)

    return [
        *(Reader("CUSUM", cusum(f"CUSUM, slack {k}", every, k, (1,)), 0) for k in (0.5, 1.0, 1.5, 2.0, 3.0)),
        *(hinkley(delta) for delta in (0.3, 1.0)),
        Reader("ADWIN", river("ADWIN", every, adwin, 0.7, 500), 0, streams=20),
        Reader("failures of one run", cutoff("failures of one run", every, 0.5, 200), 0),
        Reader("z test", cutoff("z test", every, 0.5, 50), 1),
        Reader("McNemar", cutoff("McNemar", every, 0.5, 50), 2),
    ]


class TopicView:
    """What is learnt from the baseline: random Fourier features, centroids, and how far questions are from them."""

    def __init__(self, baseline: list[Vectors], seed: int = 0, centroids: int = 128, features: int = 256) -> None:
        random = np.random.default_rng(seed)
        sample = np.concatenate([day[:400] for day in baseline])
        self._centroids = _means(sample, centroids, random)
        apart = 2 - 2 * (sample[:500] @ sample[500:1000].T)
        scale = 1 / np.sqrt(np.median(apart))
        self._directions = (scale * random.standard_normal((sample.shape[1], features))).astype(np.float32)
        self._phase = random.uniform(0, 2 * np.pi, features).astype(np.float32)
        self._mean = np.mean([self._features(day) for day in baseline], axis=0)
        self._distances = np.sort(np.concatenate([self._far(day[400:]) for day in baseline]))
        self._edge = np.quantile(self._distances, 0.95)

    def statistics(self, day: Vectors) -> Floats:
        """Of a day: squared MMD, KS of the centroid distances, their mean, and the share of them beyond .95."""
        far = np.sort(self._far(day))
        share = np.searchsorted(self._distances, far) / len(self._distances)
        rank = np.arange(len(far)) / len(far)
        ks = np.maximum(share - rank, rank + 1 / len(far) - share).max()
        mmd = ((self._features(day) - self._mean) ** 2).sum()
        return np.array([mmd, ks, far.mean(), (far > self._edge).mean()])

    def _features(self, day: Vectors) -> NDArray[np.float32]:
        found = day @ self._directions + self._phase
        return (np.cos(found) * np.float32((2 / len(self._phase)) ** 0.5)).mean(axis=0)

    def _far(self, day: Vectors) -> NDArray[np.float32]:
        return 1 - (day @ self._centroids.T).max(axis=1)


def _means(sample: Vectors, count: int, random: np.random.Generator, rounds: int = 8) -> Vectors:
    """Spherical k-means (Dhillon, Modha 2001)."""
    found = sample[random.choice(len(sample), count, replace=False)]
    for _ in range(rounds):
        owner = (sample @ found.T).argmax(axis=1)
        order = np.argsort(owner, kind="stable")
        starts = np.searchsorted(owner[order], np.arange(count))
        held = starts < np.append(starts[1:], len(sample))
        total = np.add.reduceat(sample[order], np.minimum(starts, len(sample) - 1), axis=0)
        found[held] = total[held] / np.linalg.norm(total[held], axis=1, keepdims=True)
    return found


def topic_stream(nuisance: TopicNuisance, seed: int, days: int, new: NewTopic | None = None) -> Floats:
    """shape (days with the baseline, statistics); mean distance and share are standardised by the baseline."""
    questions = Questions(nuisance, seed, new)
    baseline = list(questions.days(BASELINE_DAYS))
    view = TopicView(baseline, seed)
    # The first 400 rows made the centroids: others of the same days say how far questions usually are.
    rows = np.array(
        [view.statistics(day[400:]) for day in baseline] + [view.statistics(day) for day in questions.days(days)]
    )
    own = rows[:BASELINE_DAYS, 2:]
    rows[:, 2:] = (rows[:, 2:] - own.mean(axis=0)) / own.std(axis=0, ddof=1)
    return rows


def topic_peers() -> list[Reader]:
    """Beside ours on embedded questions, daily."""

    def sums(kind: str, column: int) -> list[Reader]:
        return [Reader(kind, cusum(f"{kind}, slack {slack}", 24, slack, (1,)), column) for slack in (0.5, 1.0)]

    return [
        Reader("MMD", cutoff("MMD", 24, 1e-6, 1), 0),
        Reader("KS of centroid distance", cutoff("KS of centroid distance", 24, 0.001, 1), 1),
        *sums("CUSUM of mean centroid distance", 2),
        *sums("CUSUM of far questions", 3),
    ]


def mmd_p_value(day: Vectors, baseline: Vectors, random: np.random.Generator, permutations: int = 200) -> float:
    """Permutation p-value of the unbiased squared MMD with a Gaussian kernel at the median distance."""
    both = np.concatenate([day, baseline])
    gram = both @ both.T
    kernel = np.exp((gram - 1) / np.median(1 - gram))
    np.fill_diagonal(kernel, 0)
    n, m = len(day), len(baseline)
    signs = np.empty((permutations + 1, n + m), np.float32)
    signs[0] = np.repeat([1 / n, -1 / m], [n, m])
    for row in signs[1:]:
        row[:] = random.permutation(signs[0])
    values = np.einsum("pi,pi->p", signs @ kernel, signs)
    return float((1 + (values[1:] >= values[0]).sum()) / (permutations + 1))
