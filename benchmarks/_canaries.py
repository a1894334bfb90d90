"""Simulated canary runs: reliable, flaky and hopeless canaries, blips, stale ones; and a recall that truly falls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from _traffic import MONDAY, Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class CanaryNuisance:
    """200 canaries, ten in each of 20 languages, of which 95 % pass on average.

    Time is real: an index refresh lasts an hour whether somebody looks or not, so daily runs seldom meet one.
    """

    canaries: int = 200
    languages: int = 20
    hopeless: float = 0.03
    """Share of canaries that never pass."""
    flaky: float = 0.08
    """Share that passes in .60 to .95 of the runs; all others pass in .99 to .9999."""
    sticky: float = 0.7
    """Chance that a canary's result of one hour is simply the one of the hour before (flaky ones: .5 to .98)."""
    blips_per_week: float = 1.0
    blip_share: float = 0.20
    """At most; a blip makes a share between .03 and this fail for one hour."""
    stale_per_month: float = 3.0
    stale_days: tuple[float, float] = (3.0, 10.0)
    """A document changes, its canary fails until somebody repairs it."""

    def doubled(self, name: str | None = None) -> Self:
        """The same canaries with one nuisance of ``DOUBLES`` twice as large; with all of them when no name is given."""
        changed = {
            field: 2 * getattr(self, field)
            for each in (DOUBLES if name is None else (name,))
            for field in DOUBLES[each]
        }
        return replace(self, **changed)


DOUBLES = {
    "flaky canaries": ("flaky",),
    "blips": ("blips_per_week", "blip_share"),
    "stale canaries": ("stale_per_month",),
}


@dataclass(frozen=True, slots=True)
class RecallDrop:
    """From ``start_day`` on, ``size`` of all canaries fail that passed before: at once or one after the other."""

    start_day: float
    size: float = 0.05
    ramp_days: float = 0.0
    langs: tuple[int, ...] | None = None
    """Only canaries of these languages; None: of any."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Results of canary runs."""

    hour: Ints
    """shape (runs,): hours since 1970."""
    passed: Bools
    """shape (runs, canaries)"""
    lang: Ints
    """shape (canaries,)"""

    def __len__(self) -> int:
        return len(self.hour)

    def between(self, first: int, last: int) -> Runs:
        """Runs ``first`` up to, not including, ``last``."""
        return Runs(self.hour[first:last], self.passed[first:last], self.lang)


def canary_runs(
    nuisance: CanaryNuisance, seed: int, days: int, *, every: int = 1, drop: RecallDrop | None = None
) -> Runs:
    """Runs every so many hours over some days. The same seed makes the same nuisance with and without a drop."""
    random = np.random.default_rng(seed)
    hours = np.arange(0, days * 24, every)
    lang = np.arange(nuisance.canaries) % nuisance.languages
    passes, sticky = _tempers(nuisance, random)
    passed = _sticky_results(random, passes, sticky, days * 24)[hours]
    passed &= ~_blips(nuisance, random, days * 24)[hours]
    passed &= ~_stale(nuisance, random, days)[hours]
    if drop is not None:
        passed &= ~_broken(drop, random, np.flatnonzero(passes > 0), lang, nuisance.canaries, hours)
    return Runs(MONDAY * 24 + hours, passed, lang)


def _tempers(nuisance: CanaryNuisance, random: np.random.Generator) -> tuple[Floats, Floats]:
    """How often each canary passes, and how sticky its results are."""
    count = nuisance.canaries
    passes = 1 - 10.0 ** random.uniform(-4, -2, count)
    sticky = np.full(count, nuisance.sticky)
    order = random.permutation(count)
    hopeless, flaky = round(nuisance.hopeless * count), round(nuisance.flaky * count)
    passes[order[:hopeless]] = 0.0
    some = order[hopeless : hopeless + flaky]
    passes[some] = random.uniform(0.6, 0.95, flaky)
    sticky[some] = random.uniform(0.5, 0.98, flaky)
    return passes, sticky


def _sticky_results(random: np.random.Generator, passes: Floats, sticky: Floats, hours: int) -> Bools:
    """Each hour a canary repeats its last result or draws anew, shape (hours, canaries)."""
    fresh = random.random((hours, len(passes)), dtype=np.float32) < passes
    anew = random.random((hours, len(passes)), dtype=np.float32) >= sticky
    anew[0] = True
    last = np.maximum.accumulate(np.where(anew, np.arange(hours)[:, None], 0), axis=0)
    return np.take_along_axis(fresh, last, axis=0)


def _blips(nuisance: CanaryNuisance, random: np.random.Generator, hours: int) -> Bools:
    failed = np.zeros((hours, nuisance.canaries), bool)
    for hour in np.flatnonzero(random.random(hours) < nuisance.blips_per_week / 168):
        failed[hour] = random.random(nuisance.canaries) < random.uniform(0.03, nuisance.blip_share)
    return failed


def _stale(nuisance: CanaryNuisance, random: np.random.Generator, days: int) -> Bools:
    failed = np.zeros((days * 24, nuisance.canaries), bool)
    # Some are stale when the time begins: events of the last ten days before it count too.
    lead = nuisance.stale_days[1]
    for start in random.uniform(-lead, days, random.poisson(nuisance.stale_per_month * (days + lead) / 30.4)):
        end = start + random.uniform(*nuisance.stale_days)
        which = random.integers(nuisance.canaries)
        failed[max(0, int(start * 24)) : max(0, int(end * 24)), which] = True
    return failed


def _broken(drop: RecallDrop, random: np.random.Generator, able: Ints, lang: Ints, canaries: int, hours: Ints) -> Bools:
    """Which canaries fail in which run because of the drop, shape (runs, canaries)."""
    if drop.langs is not None:
        able = able[np.isin(lang[able], drop.langs)]
    chosen = random.permutation(able)[: round(drop.size * canaries)]
    starts = drop.start_day + drop.ramp_days * (np.arange(len(chosen)) + 1) / max(1, len(chosen))
    if not drop.ramp_days:
        starts = np.full(len(chosen), drop.start_day)
    failed = np.zeros((len(hours), canaries), bool)
    failed[:, chosen] = hours[:, None] >= 24 * starts
    return failed
