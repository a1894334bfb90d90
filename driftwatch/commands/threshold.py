"""`threshold`: what the score cut-off should be now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.commands import opened, say
from driftwatch.commands._labels import read_labels
from driftwatch.commands._threshold_shown import content, shown
from driftwatch.commands.judging import moment
from driftwatch.errors import DriftwatchError
from driftwatch.types import IndexFacts, Observation, Run

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.threshold import Change, Material, Wanted

MOST_QUERIES = 20_000
"""Sampled queries read of a stretch of time, the newest of it."""
RECENT = timedelta(days=7)
"""What "now" is when nothing changed."""
FARTHEST = timedelta(days=90)
"""How far back a change is looked for where there is no baseline."""
ASIDE = frozenset({"prompt", "generator", "llm"})
"""Versions of what comes after retrieval: they do not move scores."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From when to when; written as `FROM..TO`, either may be missing."""

    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Stretch:
        """Read `2026-05-04..2026-05-17`, `2026-05-04T08:00..` or `2026-05-04`.

        Raises:
            DriftwatchError: it is no such thing.
        """
        if not text:
            return cls()
        first, _, last = (part.strip() for part in re.sub(r"\s*\.\.\s*", "..", text).partition(".."))
        made = cls(moment(first) if first else None, moment(last, last=True) if last else None)
        if made.start and made.end and made.start >= made.end:
            raise DriftwatchError(f"'{text}' ends before it begins.", remedy="Write the earlier time first.")
        return made


@dataclass(frozen=True, slots=True)
class Where:
    """Which recorded time to look at."""

    before: Stretch = Stretch()
    after: Stretch = Stretch()
    sources: tuple[str, ...] = ()
    labels: Path | None = None


def threshold(config: Path, wanted: Wanted, where: Where, now: datetime, *, json: bool) -> None:
    """Print the cut-off."""
    from driftwatch.threshold import Material, recalibrate

    labels = read_labels(where.labels) if where.labels else ()
    if labels and not config.exists():
        material, timezone = Material(labels=labels), "UTC"
    else:
        with opened(config) as (watch, store):
            material, timezone = _material(watch, store, where, labels, now), watch.timezone
    found = recalibrate(material, wanted)
    say(json, content(found), *shown(found, timezone))


def _material(watch: Watch, store: Store, where: Where, labels: Sequence[object], now: datetime) -> Material:
    from driftwatch.threshold import Material, changes_of

    canaries, live = _sources(watch, where.sources)
    baselines = [_baseline(watch, store, name, now) for name in live]
    starts = [start for start in (where.before.start, *(start for start, _ in baselines)) if start is not None]
    since = min(starts, default=now - FARTHEST)
    runs = [run for name in canaries for run in store.canaries.one_a_day(name, since, now)]
    runs += [run for name in canaries if (run := store.canaries.latest(name)) is not None]
    seen = [seen for name in live for seen in store.traffic.recent_queries(name, since, now, MOST_QUERIES)]
    changes = changes_of([*(run.observations[0] for run in runs if run.observations), *seen])
    facts = _facts(watch, store, since, now)
    after = _after(where.after, changes, facts, now)
    before = [_before(where.before, baseline, after[0]) for baseline in baselines]
    return Material(
        canaries=_newest(runs, canaries, *after),
        canaries_before=_newest(runs, canaries, where.before.start or since, where.before.end or after[0]),
        labels=labels,  # type: ignore[arg-type]
        before=_queries(store, live, before),
        after=_queries(store, live, [after] * len(live)),
        changes=tuple(change for change in changes if change.at < after[1]),
        facts=_before_and_now(facts, *after),
        findings=tuple(store.decisions.last_findings().values()),
    )


def _sources(watch: Watch, chosen: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Names of the sources that give canary runs, and of those that give traffic."""
    if unknown := set(chosen) - set(watch.sources):
        raise DriftwatchError(f"there is no source '{min(unknown)}'.", remedy=f"There are: {', '.join(watch.sources)}.")
    kept = {name: source for name, source in watch.sources.items() if not chosen or name in chosen}
    return (
        [name for name, source in kept.items() if source.gives == "runs"],
        [name for name, source in kept.items() if source.gives == "traffic"],
    )


def _baseline(watch: Watch, store: Store, source: str, now: datetime) -> tuple[datetime | None, datetime | None]:
    from driftwatch.windows import Learning, Windows

    known = Windows(store, watch, learns=False).baseline(source, "sample", now)
    return (None, None) if isinstance(known, Learning) else (known.start, known.end)


def _facts(watch: Watch, store: Store, start: datetime, end: datetime) -> list[tuple[datetime, IndexFacts]]:
    """What the index said of itself at each probe, oldest first."""
    sources = [name for name, source in watch.sources.items() if source.gives == "probes"]
    probes = [probe for name in sources for probe in store.experiments.probes(name, start, end)]
    return sorted(((probe.at, probe.facts) for probe in probes if probe.facts), key=lambda pair: pair[0])


def _before_and_now(
    facts: Sequence[tuple[datetime, IndexFacts]], start: datetime, end: datetime
) -> tuple[IndexFacts, IndexFacts] | None:
    """The last facts before ``start``, and the last before ``end``."""
    old = [each for at, each in facts if at < start]
    new = [each for at, each in facts if start <= at < end]
    return (old[-1], new[-1]) if old and new else None


def _after(
    given: Stretch, changes: Sequence[Change], facts: Sequence[tuple[datetime, IndexFacts]], now: datetime
) -> tuple[datetime, datetime]:
    """What was asked for, else the time since the newest change of what moves scores, else the last days."""
    end = given.end or now
    changed = [change.at for change in changes if change.what not in ASIDE and change.at < end]
    changed += [at for (_, old), (at, new) in pairwise(facts) if at < end and _built(old) != _built(new)]
    return given.start or max(changed, default=end - RECENT), end


def _built(facts: IndexFacts) -> tuple[object, ...]:
    """What moves scores when it changes; that documents come and go does not count."""
    return facts.model, facts.metric, facts.dimension, tuple(sorted(facts.settings.items()))


def _before(
    given: Stretch, baseline: tuple[datetime | None, datetime | None], after: datetime
) -> tuple[datetime, datetime]:
    """What was asked for, else the baseline, as far as it lies before the change."""
    end = min(given.end or baseline[1] or after, after)
    start = given.start or baseline[0]
    return (start if start is not None and start < end else end - 2 * RECENT), end


def _newest(runs: Sequence[Run], sources: Sequence[str], start: datetime, end: datetime) -> tuple[Observation, ...]:
    """The answers of the newest run of each source in that time, without those of canaries in quarantine."""
    from driftwatch.checks._canaries import remaining

    newest: dict[str, Run] = {}
    for run in runs:
        if start <= run.at < end and (run.source not in newest or newest[run.source].at < run.at):
            newest[run.source] = run
    chosen = [newest[name] for name in sources if name in newest]
    return tuple(seen for run in chosen for seen in run.observations if remaining(seen, run.gone) is not None)


def _queries(
    store: Store, sources: Sequence[str], stretches: Sequence[tuple[datetime, datetime]]
) -> tuple[Observation, ...]:
    return tuple(
        seen
        for name, stretch in zip(sources, stretches, strict=True)
        for seen in store.traffic.recent_queries(name, *stretch, MOST_QUERIES)
    )
