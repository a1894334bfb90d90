"""Which recorded time a check judges, what it is compared with, and how both are split into segments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks import Check
from driftwatch.config import Expected, Watch
from driftwatch.contents import Asked
from driftwatch.migration import kept_comparisons
from driftwatch.store import Store
from driftwatch.types import POOLED, Aspect, Baseline, ExpectedChange, Probe, Run, Sample, Tallies, Window

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)
MOST_KEPT = 16
"""Reference windows held in memory between looks; the least recently used one goes first."""

NEARLY = 0.9
"""The share of its own first days that a new canary must have been asked for before it is compared."""

JUST_AFTER = timedelta(microseconds=1)
"""Windows are half open; a run at the very moment of the look belongs to it."""

T = TypeVar("T")
Reader = Callable[[datetime, datetime], Sample]


@dataclass(frozen=True, slots=True)
class Learning:
    """The baseline is not full yet."""

    done: timedelta
    needed: timedelta

    def __str__(self) -> str:
        return f"{max(self.done, timedelta(0)) / timedelta(days=1):.0f} of {self.needed / timedelta(days=1):g} days"


@dataclass(frozen=True, slots=True)
class Pair:
    """What one look of one check compares, over all segments."""

    current: Window
    reference: Window | None
    progress: str
    """How far the baseline is, while ``reference`` is None."""
    filling: bool = False
    """Whether less has been recorded so far than the window is long: thin data then is no blindness."""


class Windows:
    """Builds windows from the store; what the baseline holds is read once and kept."""

    def __init__(self, store: Store, watch: Watch, *, learns: bool = True, asked: Asked | None = None) -> None:
        self.learns = learns
        self.asked = asked or Asked(store, None, watch.privacy)
        self.store = store
        self.watch = watch
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._parts: WeakKeyDictionary[Window, dict[Hashable, Window]] = WeakKeyDictionary()
        self._look: dict[Hashable, Window] = {}
        self._tallies: dict[tuple[str, datetime, datetime], Tallies] = {}
        self._readers: dict[tuple[str, timedelta], Reader] = {}
        self._baselines: list[Baseline] | None = None
        """As they were when this look began."""
        self._announced: tuple[ExpectedChange, ...] | None = None
        """The same."""
        self._with: WeakKeyDictionary[Window, dict[Hashable, object]] = WeakKeyDictionary()

    def pair(self, check: Check, now: datetime, fresh: Run | Probe | None = None) -> Pair:
        """The window of ``check`` that ends now, and the same hours of the week of the baseline.

        ``fresh`` is a canary run, or a probe, that is not in the store, and is the newest one.
        """
        if check.needs not in ("runs", "sample", "tallies"):
            return Pair(self._found_out(check, now, fresh), None, "")
        fresh = fresh if isinstance(fresh, Run) else None
        current = self._current_runs(check, now, fresh) if check.needs == "runs" else self._current_hours(check, now)
        baseline = self.baseline(check.source, check.needs, now, check.aspect)
        if isinstance(baseline, Learning):
            filling = check.needs != "runs" and timedelta(0) < baseline.done < check.window
            return Pair(current, None, str(baseline), filling)
        reference = self._reference(check, current, baseline)
        if check.learns_from and (usual := self._usual_canaries(check, now)) is not reference.canaries:
            reference = self.cached((reference, usual), lambda: replace(reference, canaries=usual))
        return Pair(current, reference, "")

    def _current_hours(self, check: Check, now: datetime) -> Window:
        end = floor_hour(now)
        current = self._once(check, end - check.window, end)
        if not check.learns_from:
            return current
        return replace(current, canaries=self._canaries(check, end - check.window, now + JUST_AFTER))

    def _canaries(self, check: Check, start: datetime, end: datetime) -> Window | None:
        if not check.learns_from:
            return None
        runs = self.store.canaries.one_a_day(check.learns_from, start, end)
        return Window(start, end, runs=runs) if runs else None

    def _usual_canaries(self, check: Check, now: datetime) -> Window | None:
        """The canary runs of the canaries' own baseline."""
        if not check.learns_from:
            return None
        usual = self.baseline(check.learns_from, "runs", now, check.aspect)
        if isinstance(usual, Learning):
            return None
        key = (check.learns_from, "learns_from", usual.start, usual.end)
        return self.cached(key, lambda: self._canaries(check, usual.start, usual.end))

    def _current_runs(self, check: Check, now: datetime, fresh: Run | None) -> Window:
        """Only runs recent enough to speak of now: a source that stopped running must become unknown."""
        gap = self.watch.sources[check.source].every.shortest_gap(now)
        start = now - max(min(check.window, 3 * gap), 1.5 * gap)
        runs = (fresh,) if fresh else self.store.canaries.runs(check.source, start, now + JUST_AFTER)
        return Window(start, now, runs=runs)

    def _found_out(self, check: Check, now: datetime, fresh: Run | Probe | None) -> Window:
        """What experiments found in the time of one window; it needs no baseline."""
        start = now - check.window
        if check.needs == "comparisons":
            return Window(start, now, comparisons=kept_comparisons(self.store, check.source, start, now + JUST_AFTER))
        kept = self.store.experiments.probes(check.source, start, now + JUST_AFTER)
        return Window(start, now, probes=(*kept, fresh) if isinstance(fresh, Probe) else kept)

    def baseline(self, source: str, needs: str, now: datetime, of: Aspect = "") -> Baseline | Learning:
        """What normal is for ``source``: set by hand or by a release, given in the YAML, or learnt from its start."""
        if self._baselines is None:
            self._baselines = self.store.decisions.baselines()
        for known in reversed(self._baselines):
            if known.source in ("*", source) and known.of in ("", of):
                return known if now >= known.end else Learning(now - known.start, known.end - known.start)
        settings = self.watch.baseline
        if settings.start is not None and settings.end is not None:
            given = Baseline(settings.start, settings.end, "given in the configuration", "configuration", now)
            return given if now >= given.end else Learning(now - given.start, given.end - given.start)
        assert settings.length is not None
        first = self.store.canaries.first_run(source) if needs == "runs" else self.store.traffic.first_hour(source)
        if first is None or now - first < settings.length:
            return Learning(now - first if first else timedelta(0), settings.length)
        learnt = Baseline(first, first + settings.length, "learnt once, at the start", "driftwatch", now, source)
        if self.learns:
            self.store.decisions.set_baseline(learnt)
            self._baselines = None
        return learnt

    def read(self, check: Check, start: datetime, end: datetime) -> Window:
        """What ``check`` needs of ``[start, end)``."""
        return self._once(check, start, max(start, end))

    def begin(self) -> None:
        """A new look: what was read for the last one may have grown since."""
        self._look.clear()
        self._tallies.clear()
        self._baselines = None
        self._announced = None

    def expects(self, moment: datetime) -> Expected | ExpectedChange | None:
        """The stretch of expected difference that ``moment`` is in: of the configuration, or announced since."""
        if (configured := self.watch.expects(moment)) is not None:
            return configured
        if self._announced is None:
            self._announced = self.store.expected.changes()
        return next((each for each in self._announced if each.start <= moment < each.end), None)

    def _once(self, check: Check, start: datetime, end: datetime) -> Window:
        """What is read once a look, however many checks ask for it."""
        key = (check.source, check.needs, check.embeds, start, end)
        if key not in self._look:
            moves_on = check.needs == "sample" and end - start == check.window
            recent = self._reader(check.source, check.window) if moves_on else None
            self._look[key] = self._read(check, start, end, recent)
        return self._look[key]

    def _reader(self, source: str, length: timedelta) -> Reader:
        """What reads a window that moves on with every look; it remembers what it read at the last one."""
        if (source, length) not in self._readers:
            self._readers[source, length] = self.store.traffic.recent(source)
        return self._readers[source, length]

    def whole_reference(self, check: Check, baseline: Baseline, fresh: Run | None = None) -> Window:
        """The whole baseline of ``check``, whatever hours its windows are compared with."""
        if check.needs != "runs":
            return self._whole(check, baseline)
        newest = fresh or self.store.canaries.latest(check.source)
        return self._reference(check, Window(baseline.start, baseline.end, runs=(newest,) if newest else ()), baseline)

    def kept_with(self, window: Window, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, remembered under ``key`` as long as ``window`` lives."""
        kept = self._with.setdefault(window, {})
        if key not in kept:
            kept[key] = make()
        return kept[key]  # type: ignore[return-value]

    def segment(self, window: Window, lang: str, alpha: float, changed: bool | None = None) -> Window:
        """The part of ``window`` in one language, of which the evidence has decided whether it ``changed``."""
        return self._part(window, (lang,), lang, (alpha, changed), inside=True)

    def rest(self, window: Window, without: Collection[str], alpha: float, changed: bool | None = None) -> Window:
        """Everything of ``window`` but the languages in ``without``."""
        return self._part(window, tuple(sorted(without)), POOLED, (alpha, changed), inside=False)

    def cached(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, or what it gave for the same key before."""
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]  # type: ignore[return-value]

    def _part(
        self, window: Window, langs: tuple[str, ...], name: str, judged: tuple[float, bool | None], *, inside: bool
    ) -> Window:
        parts = self._parts.setdefault(window, {})
        key = (name, langs, *judged)
        if key not in parts:
            alpha, changed = judged
            parts[key] = Window(
                window.start,
                window.end,
                name,
                alpha,
                tuple(_run_part(run, langs, inside) for run in window.runs),
                _sample_part(window.sample, langs, inside),
                _tallies_part(window.tallies, langs, inside),
                window.canaries,
                changed,
            )
        return parts[key]

    def _reference(self, check: Check, current: Window, baseline: Baseline) -> Window:
        key = self._key(check, baseline)
        if check.needs == "runs":
            newest = canaries_of(current.runs[-1]) if current.runs else frozenset()
            return self.cached((*key, newest), lambda: self._canary_reference(check, baseline, newest))
        whole = self._whole(check, baseline)
        if check.window >= WEEK or check.compares == "all hours":
            return whole
        wanted = matching_hours(current.start, current.end, baseline)
        return self.cached((*key, wanted), lambda: _only_hours(whole, wanted))

    def _key(self, check: Check, baseline: Baseline) -> tuple[Hashable, ...]:
        return check.source, check.needs, check.embeds, baseline.start, baseline.end

    def _whole(self, check: Check, baseline: Baseline) -> Window:
        key = self._key(check, baseline)
        whole = self.cached(key, lambda: self._read(check, baseline.start, baseline.end))
        if whole.sample.contents is not None and not whole.sample.contents.complete:
            del self._kept[key]  # it is read again, with more of it embedded, at the next look
        return whole

    def _canary_reference(self, check: Check, baseline: Baseline, newest: Collection[tuple[str, str]]) -> Window:
        """The baseline's runs, and for canaries that came later the runs of their own first days."""
        runs = self.store.canaries.runs(check.source, baseline.start, baseline.end)
        length = baseline.end - baseline.start
        first_seen = self.store.canaries.first_seen(check.source)
        later: dict[datetime, set[tuple[str, str]]] = {}
        for canary in newest:
            if (first := first_seen.get(canary)) is not None and first >= baseline.end:
                later.setdefault(first, set()).add(canary)
        for first, canaries in sorted(later.items()):
            own = self.store.canaries.runs(check.source, first, first + length)
            if own and own[-1].at - first >= length * NEARLY:
                runs += tuple(_only_canaries(run, canaries) for run in own)
        return Window(baseline.start, baseline.end, runs=runs)

    def _read(self, check: Check, start: datetime, end: datetime, recent: Reader | None = None) -> Window:
        match check.needs:
            case "runs":
                return Window(start, end, runs=self.store.canaries.runs(check.source, start, end))
            case "sample":
                read = recent or partial(self.store.traffic.sample, check.source)
                sample = read(start, end)
                if check.embeds:
                    sample = self.asked.fill(sample, check.source, check.embeds)
                return Window(start, end, sample=sample, tallies=self._counts(check.source, start, end))
            case _:
                return Window(start, end, tallies=self._counts(check.source, start, end))

    def _counts(self, source: str, start: datetime, end: datetime) -> Tallies:
        """Checks of the sample and of the tallies ask for the same ones."""
        key = source, start, end
        if key not in self._tallies:
            self._tallies[key] = self.store.traffic.tallies(source, start, end)
        return self._tallies[key]


def floor_hour(moment: datetime) -> datetime:
    """The whole hour at or before ``moment``: tallies are kept by the hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def hour_of_week(hours: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """0 for Monday 00:00 UTC to 167, of times at any precision."""
    return _hours_since_monday(hours.astype("datetime64[h]").astype(np.int64))


def _hours_since_monday(hour: NDArray[np.int64]) -> NDArray[np.int64]:
    return (hour + 72) % 168  # 1970 began on a Thursday


@lru_cache(maxsize=MOST_KEPT)
def matching_hours(start: datetime, end: datetime, baseline: Baseline) -> frozenset[int]:
    """The hours of the week of ``[start, end)``; of the day, where the baseline never saw that hour of the week."""
    wanted = _hours_of_week(start, end)
    seen = _hours_of_week(baseline.start, baseline.end)
    if wanted <= seen:
        return wanted
    hours_of_day = {hour % 24 for hour in wanted}
    return frozenset(hour for hour in seen if hour % 24 in hours_of_day)


def _hours_of_week(start: datetime, end: datetime) -> frozenset[int]:
    first, last = (np.datetime64(moment.replace(tzinfo=None), "h") for moment in (floor_hour(start), floor_hour(end)))
    return frozenset(hour_of_week(np.arange(first, last)).tolist())


def _only_hours(whole: Window, wanted: frozenset[int]) -> Window:
    is_wanted = np.zeros(168, dtype=bool)
    is_wanted[list(wanted)] = True
    # The hour of the week is asked for anew with every hour that passes, and never changes.
    sampled = whole.sample.column("hour of week", lambda sample: _hours_since_monday(sample.hour).astype(np.uint8))
    return Window(
        whole.start,
        whole.end,
        sample=whole.sample.keep(is_wanted[sampled]),
        tallies=whole.tallies.keep(is_wanted[hour_of_week(whole.tallies.hour)]),
    )


def canaries_of(run: Run) -> frozenset[tuple[str, str]]:
    """(query_id, digest) of every canary of a run."""
    return frozenset((seen.query_id, seen.digest) for seen in run.observations)


def _only_canaries(run: Run, canaries: Collection[tuple[str, str]]) -> Run:
    return replace(run, observations=tuple(o for o in run.observations if (o.query_id, o.digest) in canaries))


def _sample_part(sample: Sample, langs: Collection[str], inside: bool) -> Sample:
    if not langs and not inside:
        return sample
    if inside:
        rows = [sample.by_language().get(lang, np.empty(0, np.intp)) for lang in langs]
        return sample.take(rows[0] if len(rows) == 1 else np.sort(np.concatenate(rows)))
    names, code = sample.languages()
    return sample.keep(np.array([(name in langs) == inside for name in names], dtype=bool)[code])


def _tallies_part(tallies: Tallies, langs: Collection[str], inside: bool) -> Tallies:
    if not langs and not inside:
        return tallies
    if inside and len(langs) == 1:
        return tallies.of_language(next(iter(langs)))
    return tallies.keep(np.isin(tallies.lang, list(langs), invert=not inside))


def _run_part(run: Run, langs: tuple[str, ...], inside: bool) -> Run:
    return replace(run, observations=tuple(o for o in run.observations if (o.lang in langs) == inside))
