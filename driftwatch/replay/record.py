"""Recorded time in memory: what the store holds of it, as the windows that checks judge."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from driftwatch.config import Watch
from driftwatch.ledgers import moment_of, step_of
from driftwatch.replay.cadence import cadence
from driftwatch.replay.traffic import FOREVER
from driftwatch.store import Store
from driftwatch.types import Aspect, Baseline
from driftwatch.windows import Learning, Windows, floor_hour

MOST_KEPT = 400
"""Reference windows held in memory."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """What was recorded of one source."""

    source: str
    gives: str
    hours: NDArray[np.int64]
    """shape (n,), ascending: the hours since 1970 that hold something."""
    pace: timedelta

    @property
    def start(self) -> datetime:
        return moment_of(self.hours[0])

    @property
    def end(self) -> datetime:
        """A step after the last hour that holds something."""
        return moment_of(self.hours[-1]) + self.pace


class Record(Windows):
    """Windows over recorded time, with the baseline that was known at each moment."""

    def __init__(
        self, store: Store, watch: Watch, span: tuple[datetime, datetime], given: Mapping[str, Baseline] | None = None
    ) -> None:
        """``span``: what is replayed of the record; ``given``: source -> a baseline that takes the place of its own."""
        super().__init__(store, watch, learns=False)
        self.span = span
        self.given = dict(given or {})

    @cached_property
    def extents(self) -> dict[str, Extent]:
        """Source -> what was recorded of it within the span; sources of which nothing was are left out."""
        found = {name: self._extent(name, source.gives) for name, source in self.watch.sources.items()}
        return {name: extent for name, extent in found.items() if len(extent.hours)}

    @cached_property
    def changes(self) -> list[Baseline]:
        """Every baseline that was ever set, oldest first."""
        return self.store.decisions.baselines()

    def baseline(self, source: str, needs: str, now: datetime, of: Aspect = "") -> Baseline | Learning:
        """What was normal for ``source``, as it was known at ``now``."""
        if (given := self.given.get(source)) is not None:
            return given if now >= given.end else Learning(now - given.start, given.end - given.start)
        for known in reversed(self.changes):
            if known.source in ("*", source) and known.of in ("", of) and known.set_at <= now:
                return known if now >= known.end else Learning(now - known.start, known.end - known.start)
        return self._of_settings(source, needs, now)

    def is_dense(self, source: str) -> bool:
        """Whether canaries were asked more than once an hour."""
        times = [step_of(at) for at in self.store.canaries.times(source)]
        return len(times) > len(set(times))

    def _of_settings(self, source: str, needs: str, now: datetime) -> Baseline | Learning:
        settings = self.watch.baseline
        if settings.start is not None and settings.end is not None:
            given = Baseline(settings.start, settings.end, "given in the configuration", "configuration", now)
            return given if now >= given.end else Learning(now - given.start, given.end - given.start)
        assert settings.length is not None
        first = self._first(source, needs)
        if first is None or now - first < settings.length:
            return Learning(now - first if first else timedelta(0), settings.length)
        return Baseline(first, first + settings.length, "learnt once, at the start", "driftwatch", now, source)

    def _first(self, source: str, needs: str) -> datetime | None:
        def look() -> datetime | None:
            first_run, first_hour = self.store.canaries.first_run, self.store.traffic.first_hour
            return first_run(source) if needs == "runs" else first_hour(source)

        return self.cached(("first", source, needs), look)

    def _extent(self, name: str, gives: str) -> Extent:
        hours = self._run_hours(name) if gives == "runs" else self._traffic_hours(name)
        first, last = (step_of(floor_hour(edge)) for edge in self.span)
        inside = hours[(hours >= first) & (hours < last)]
        return Extent(name, gives, inside, cadence(inside))

    def _traffic_hours(self, name: str) -> NDArray[np.int64]:
        hours = self.store.traffic.tallies(name, *FOREVER).hour
        return np.unique(hours.astype("datetime64[h]").astype(np.int64))

    def _run_hours(self, name: str) -> NDArray[np.int64]:
        times = [step_of(at) for at in self.store.canaries.times(name)]
        return np.unique(np.array(times, dtype=np.int64))

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, or what it gave for the same key before: every hour of the week has a reference of its own."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]  # type: ignore[return-value]
