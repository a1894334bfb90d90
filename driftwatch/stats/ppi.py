"""Prediction-powered inference: few labels and many predictions, in one interval that stays honest.

Angelopoulos, Bates, Fannjiang, Jordan and Zrnic (2023), Prediction-powered inference; the power after Angelopoulos,
Duchi and Zrnic (2023), PPI++. However poor the predictions are, the interval covers the truth; the better they are, the
shorter it is. It takes one thing for granted: that the labelled queries were drawn as the others were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number that was estimated."""

    value: float
    error: float
    """Standard error."""
    freedom: float
    """Degrees of freedom behind ``error``."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Student's."""
        from scipy.special import stdtrit

        reach = float(stdtrit(max(self.freedom, 1.0), (1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    def share_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of a share, in [0, 1]: Student's on the scale of the logit.

        Near 0 and 1 a few labels lean to one side, and a symmetric interval misses the truth too often.
        """
        from scipy.special import expit, logit

        if not self.error or not 0 < self.value < 1:
            low, high = self.interval(level)
            return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
        slope = self.value * (1 - self.value)
        low, high = Estimate(float(logit(self.value)), self.error / slope, self.freedom).interval(level)
        return float(expit(low)), float(expit(high))

    def p_below(self) -> float:
        """One-sided: how likely a value so low is when the true one is 0."""
        from scipy.special import stdtr

        if not self.error:
            return 0.0 if self.value < 0 else 1.0
        return float(stdtr(max(self.freedom, 1.0), self.value / self.error))

    def smallest_drop(self, alpha: float) -> float:
        """How far below 0 the value would have to be for ``p_below`` to be less than ``alpha``."""
        from scipy.special import stdtrit

        return -float(stdtrit(max(self.freedom, 1.0), min(alpha, 0.5))) * self.error

    def __add__(self, other: Estimate) -> Estimate:
        """The sum of two independent ones; the freedom after Welch (1947) and Satterthwaite (1946)."""
        parts = [(each.error**2, each.freedom) for each in (self, other) if each.error]
        variance = sum(part for part, _ in parts)
        spread = sum(part**2 / freedom for part, freedom in parts)
        freedom = variance**2 / spread if spread else max(self.freedom, other.freedom)
        return Estimate(self.value + other.value, float(np.sqrt(variance)), freedom)

    def __mul__(self, factor: float) -> Estimate:
        """So many times as large."""
        return Estimate(factor * self.value, abs(factor) * self.error, self.freedom)


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
    """The mean of at least two independent values, shape (n,), some of which may count more.

    The error is that of a ratio estimate (Cochran 1977, Sampling techniques, section 6.4); the freedom is Kish's
    effective number less one.
    """
    numbers = np.asarray(values, dtype=np.float64)
    shares = np.ones(len(numbers)) if weights is None else np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    if (numbers == numbers[0]).all():  # nothing is known of the spread, and rounding would pretend otherwise
        return Estimate(float(numbers[0]), 0.0, max(1 / float((shares**2).sum()) - 1, 1e-9))
    mean = float(shares @ numbers)
    effective = 1 / float((shares**2).sum())
    correction = effective / max(effective - 1, 1e-9)
    variance = float((shares**2) @ (numbers - mean) ** 2) * correction
    return Estimate(mean, float(np.sqrt(variance)), max(effective - 1, 1e-9))


def power(labels: ArrayLike, predicted: ArrayLike, unlabelled: float) -> float:
    """How far predictions are to be trusted, in [0, 1]: what makes the interval shortest (PPI++, example 6.1).

    ``labels`` and ``predicted``: shape (n,), of the labelled queries; ``unlabelled``: how many there are without.
    """
    truth, said = np.asarray(labels, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    spread = float(said.var())
    if not spread or not unlabelled:
        return 0.0
    together = float(((truth - truth.mean()) * (said - said.mean())).mean())
    return min(1.0, max(0.0, together / spread / (1 + len(truth) / unlabelled)))


def ppi_mean(
    labels: ArrayLike,
    predicted: ArrayLike,
    others: ArrayLike,
    *,
    label_weights: ArrayLike | None = None,
    other_weights: ArrayLike | None = None,
    trust: float | None = None,
) -> Estimate:
    """The mean quality of all queries.

    ``labels``, ``predicted``: shape (n,), of the labelled queries, predicted by a fit that has not seen them;
    ``others``: shape (N,), predictions for queries without labels. ``trust``: 1 is plain PPI, 0 is labels only; None:
    ``power``.
    """
    truth, said = np.asarray(labels, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    rest = weighted_mean(others, other_weights)
    trusted = power(truth, said, rest.freedom + 1) if trust is None else trust
    off = weighted_mean(truth - trusted * said, label_weights)
    if trust is None and off.freedom > 1:
        # The trust was fitted to these very labels, as the slope of a regression is: it takes a degree of freedom.
        off = Estimate(off.value, off.error * float(np.sqrt(off.freedom / (off.freedom - 1))), off.freedom - 1)
    return rest * trusted + off
