"""What was normal when a week ended."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from driftwatch.report.about import About
from driftwatch.report.spans import Span
from driftwatch.reported import Normal
from driftwatch.store import Store
from driftwatch.types import Aspect, Baseline

LEARNT = "driftwatch"
"""The author of a baseline that nobody set: what it holds does not depend on when it was written down."""


class Normals:
    """The baselines that the checks compared with as the week ended, and which of them were asked for."""

    def __init__(self, store: Store, about: About, span: Span) -> None:
        self._store = store
        self._about = about
        self._span = span
        self._known: Sequence[Baseline] = store.decisions.baselines()
        self._used: dict[tuple[str, str], Normal] = {}

    @property
    def used(self) -> tuple[Normal, ...]:
        """Each that was asked for, by source."""
        return tuple(self._used[key] for key in sorted(self._used))

    def of(self, source: str, aspect: Aspect = "") -> tuple[datetime, datetime] | None:
        """Its stretch of time; None while it was being learnt."""
        found = self._find(source, aspect)
        if found is None or found.end > self._span.until:
            return None
        overlaps = found.start < self._span.until and self._span.start < found.end
        own = found.of or ""
        self._used[source, own] = Normal(source, own, found.start, found.end, found.reason, found.author, overlaps)
        return found.start, found.end

    def _find(self, source: str, aspect: Aspect) -> Baseline | None:
        for known in reversed(self._known):
            if known.source in ("*", source) and known.of in ("", aspect) and self._was_there(known):
                return known
        given = self._about.baseline
        if not isinstance(given, timedelta):
            return Baseline(*given, "given in the configuration", "configuration", given[1])
        first = self._first(source)
        if first is None:
            return None
        return Baseline(first, first + given, "learnt once, at the start", LEARNT, first + given)

    def _was_there(self, known: Baseline) -> bool:
        return known.set_at < self._span.until or known.author == LEARNT

    def _first(self, source: str) -> datetime | None:
        if self._about.sources.get(source) == "traffic":
            return self._store.traffic.first_hour(source)
        return self._store.canaries.first_run(source)
