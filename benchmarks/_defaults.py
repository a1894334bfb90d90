"""Today's tools as they come out of the box, fed with rows as they come: no seasons, no units, no tuning.

Evidently's distances are computed here with its own formulas, so that years can be looked at; ``evidently_itself`` asks
the library for a day, and `peers.py` compares the two.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from _streams import distances
from _traffic import MONDAY, Bools, Day, Floats, Ints
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon


class Watcher(Protocol):
    """Looks at one day of rows after another; flags have shape (looks, segments)."""

    def flags(self, day: Day) -> Bools: ...


@dataclass(frozen=True)
class Default:
    """A tool with its documented settings."""

    name: str
    settings: str
    watches: str
    """score or empty."""
    look_hours: int
    start: Callable[[Sequence[Day]], Watcher]
    """Given the baseline's rows."""
    quiet_days: int
    """How many days it can be given: some need a millisecond a row."""


class Evidently:
    """``DataDriftPreset``: normed Wasserstein >= .1 for a number, Jensen-Shannon >= .1 for a category."""

    def __init__(self, baseline: Sequence[Day], of: str) -> None:
        self.of, self.baseline = of, baseline
        self._scores = _sorted(baseline) if of == "score" else None
        self._rates = _rates(baseline)

    def distances(self, day: Day) -> Floats:
        """Of each language."""
        if self._scores is not None:
            keys, starts, sd = self._scores
            return distances(*_keys(day), keys, starts)[2] / np.maximum(sd, 0.001)
        return np.array(
            [jensenshannon([1 - p, p], [1 - q, q]) for p, q in zip(_rates([day]), self._rates, strict=True)]
        )

    def flags(self, day: Day) -> Bools:
        return (self.distances(day) >= 0.1)[None]


class KolmogorovSmirnov:
    """p < .05, the textbook's."""

    def __init__(self, baseline: Sequence[Day]) -> None:
        self._keys, self._starts, _ = _sorted(baseline)

    def flags(self, day: Day) -> Bools:
        return (distances(*_keys(day), self._keys, self._starts)[1] < 0.05)[None]


class River:
    """One detector for each language, one value a row; a look is an hour."""

    def __init__(self, make: Callable[[], Any], of: str, baseline: Sequence[Day], learn_days: int = 28) -> None:
        self.of = of
        self._detectors = [make() for _ in range(20)]
        for day in baseline[len(baseline) - learn_days :]:
            self.flags(day)

    def flags(self, day: Day) -> Bools:
        found = np.zeros((24, 20), bool)
        rows = np.flatnonzero(~day.empty) if self.of == "score" else np.arange(len(day))
        values = day.score if self.of == "score" else day.empty.astype(np.int64)
        hours = day.hour - (MONDAY + day.index) * 24
        for lang, detector in enumerate(self._detectors):
            mine = rows[day.lang[rows] == lang]
            for hour, value in zip(hours[mine].tolist(), values[mine].tolist(), strict=True):
                detector.update(value)
                if detector.drift_detected:
                    found[hour, lang] = True
        return found


def defaults() -> list[Default]:
    """Every tool, for scores and for empty results."""
    from river.drift import ADWIN, KSWIN, PageHinkley
    from river.drift.binary import DDM, HDDMA, HDDMW

    def of_river(detector: Any, settings: str, watches: str, quiet_days: int, learn_days: int = 28) -> Default:
        def start(baseline: Sequence[Day]) -> River:
            return River(detector, watches, baseline, learn_days)

        return Default(f"river {detector.__name__}", settings, watches, 1, start, quiet_days)

    return [
        Default("Evidently", "normed Wasserstein >= .1", "score", 24, lambda days: Evidently(days, "score"), 3650),
        Default("KS test", "p < .05", "score", 24, KolmogorovSmirnov, 3650),
        of_river(ADWIN, "delta .002", "score", 730),
        of_river(PageHinkley, "threshold 50, delta .005", "score", 365),
        of_river(KSWIN, "alpha .005, window 100", "score", 1, 0),
        Default("Evidently", "Jensen-Shannon >= .1", "empty", 24, lambda days: Evidently(days, "empty"), 3650),
        of_river(ADWIN, "delta .002", "empty", 730),
        of_river(PageHinkley, "threshold 50, delta .005", "empty", 365),
        of_river(DDM, "warm start 30, drift at 3", "empty", 365),
        of_river(HDDMA, "confidence .001", "empty", 60, 7),
        of_river(HDDMW, "confidence .001", "empty", 60, 7),
    ]


def evidently_itself(baseline: Sequence[Day], day: Day, of: str, languages: Sequence[int]) -> Floats:
    """What Evidently's ``DataDriftPreset`` says of a day, for some languages."""
    os.environ["DO_NOT_TRACK"] = "1"
    warnings.filterwarnings("ignore")
    import pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [f"lang{k}" for k in languages]
    kind = {"numerical_columns" if of == "score" else "categorical_columns": columns}

    def dataset(days: Sequence[Day]) -> Any:
        values = {name: pandas.Series(_values(days, of, k)) for name, k in zip(columns, languages, strict=True)}
        return Dataset.from_pandas(pandas.DataFrame(values), data_definition=DataDefinition(**kind))

    metrics = Report([DataDriftPreset()]).run(dataset([day]), dataset(baseline)).dict()["metrics"]
    values = {m["config"].get("column"): m["value"] for m in metrics}
    return np.array([float(values[name]) for name in columns])


def evidently_embeddings(baseline: NDArray[np.float32], day: NDArray[np.float32]) -> dict[str, float]:
    """Evidently's four drift measures of embeddings by name: ``EmbeddingsDrift`` without the picture it draws."""
    os.environ["DO_NOT_TRACK"] = "1"
    warnings.filterwarnings("ignore")
    import pandas
    from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods

    # Frames of its own for each: `model` writes a column into what it is given.
    return {
        name: float(getattr(methods, name)()(pandas.DataFrame(day), pandas.DataFrame(baseline))[0])
        for name in EMBEDDING_LIMITS
    }


EMBEDDING_LIMITS = {"model": 0.55, "distance": 0.2, "mmd": 0.015, "ratio": 0.2}
"""Evidently's documented thresholds; ``model`` is the default."""


def _values(days: Sequence[Day], of: str, lang: int) -> Floats | Ints:
    rows = [day.lang == lang for day in days]
    if of == "score":
        return np.concatenate([day.score[mine & ~day.empty] for day, mine in zip(days, rows, strict=True)])
    return np.concatenate([day.empty[mine] for day, mine in zip(days, rows, strict=True)]).astype(np.int64)


def _sorted(days: Sequence[Day]) -> tuple[Floats, Ints, Floats]:
    """Sorted keys of the scores of all languages, where each language starts, and its deviation."""
    keys = np.sort(np.concatenate([_keys(day)[0] for day in days]))
    starts = np.searchsorted(keys, 2 * np.arange(21))
    return keys, starts, np.array([keys[a:b].std() for a, b in pairwise(starts)])


def _keys(day: Day) -> tuple[Floats, Ints]:
    found = ~day.empty
    keys = np.sort(2.0 * day.lang[found] + day.score[found])
    return keys, (keys // 2).astype(np.int64)


def _rates(days: Sequence[Day]) -> Floats:
    n = np.sum([np.bincount(day.lang, minlength=20) for day in days], axis=0)
    hits = np.sum([np.bincount(day.lang, day.empty, minlength=20) for day in days], axis=0)
    return hits / n
