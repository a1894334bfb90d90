"""What happened: canaries are asked, logs are read, pushed records are counted; all of it goes to the store."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, cast

from driftwatch.config import Watch
from driftwatch.contents import Asked
from driftwatch.errors import DriftwatchError, RecordsRefused, RetrieverError
from driftwatch.feedback import Votes
from driftwatch.language import Detector
from driftwatch.migration import keep_comparison, shadow_run
from driftwatch.sampling import Batch, Sampler
from driftwatch.sources import Source
from driftwatch.sources._abstention import Abstention
from driftwatch.sources._records import Reading
from driftwatch.sources.dual_run import DualRun
from driftwatch.sources.index import Index
from driftwatch.store import Store
from driftwatch.store.totals import named_by
from driftwatch.targets import target_of
from driftwatch.types import Embedder, Observation, Probe, Query, Reply, Run, ScoreKind

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 1024
"""Canaries between two looks at whether the daemon is being stopped."""

READ_AT_ONCE = 64 << 20
"""Bytes of a log in one transaction at most; a batch ends sooner when it holds a day's sample."""

SAMPLER_DAYS = timedelta(days=3)
"""How far back the sample of a day may still change."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What one reading of one source brought."""

    source: str
    count: int = 0
    """Log lines read, or canaries asked."""
    failed: int = 0
    """Lines rejected, or canaries that could not be asked."""
    trouble: str = ""
    """Why the source gave nothing, in words; empty when it did."""


class Observer:
    """Reads the sources of one watched service into the store."""

    def __init__(
        self,
        watch: Watch,
        store: Store,
        embedder: Embedder | None,
        stopping: Callable[[], bool],
        asked: Asked | None = None,
    ) -> None:
        self.watch = watch
        self._asked = asked or Asked(store, None, watch.privacy)
        self.store = store
        self.embedder = embedder
        self.stopping = stopping
        self.trouble: dict[str, str] = {}
        self._samplers: dict[str, tuple[Sampler, Votes]] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def observe(self, name: str, now: datetime) -> Observed:
        """Read one source once; what went wrong is said in the result and kept as the source's trouble."""
        source = self.watch.sources[name]
        with self.lock_of(name):
            try:
                observed = self._reading_of(source.gives)(source, now)
            except DriftwatchError as error:
                log.warning("source %s: %s", name, error)
                observed = Observed(name, trouble=str(error))
        self.trouble[name] = observed.trouble
        return observed

    def lock_of(self, name: str) -> threading.Lock:
        """Held while a source is read: one reading at a time."""
        return self._locks[name]

    def _gone(self, doc_ids: Sequence[str]) -> frozenset[str]:
        """Those of the documents that the index certainly does not hold; none where it cannot say."""
        holder = self.watch.probed or self.watch.retriever
        try:
            return holder.missing(doc_ids) if holder else frozenset()
        except RetrieverError as error:
            log.warning("which expected documents are gone is not known: %s", error)
            return frozenset()

    def probe_of(self, name: str, now: datetime) -> Probe:
        """Look into the index once, where the last look left off. Stores nothing."""
        from driftwatch.probes.index import look_at

        source = cast("Index", self.watch.sources[name])
        target = target_of(self.watch, self.store, self.embedder, now=now, stopping=self.stopping)
        return look_at(source, target, self.store.experiments.last_probe(name), now)

    def run_of(self, name: str, now: datetime) -> Run | None:
        """Ask every canary of a source once; None when stopped on the way. Stores nothing."""
        source = cast("Any", self.watch.sources[name])
        suite = source.load(self.watch.base)
        observations: list[Observation] = []
        for attempt, queries in source.askings(suite.queries):
            replies = self._search(queries)
            if replies is None:
                return None
            observations += [
                _canary_observation(name, now, query, reply, attempt, self._score_kind)
                for query, reply in zip(suite.queries, replies, strict=True)
            ]
        relevant = sorted({doc_id for query in suite.queries for doc_id in query.relevant})
        gone = self._gone(relevant)
        return Run(f"{name}:{now.isoformat()}", name, now, suite.digest, tuple(observations), gone)

    def push(self, name: str, records: Sequence[Any], now: datetime) -> Batch:
        """Count and sample records that a client posted; they are stored when this returns."""
        source = cast("Any", self.watch.sources[name])
        with self.lock_of(name), self._sampling(name, now) as (sampler, votes):
            batch: Batch = source.batch(records, sampler, self.reading, now, votes)
            self.store.traffic.ingest(batch, self._named)
            self._asked.embed_heard(self._embedded_a_day)
            return batch

    def _reading_of(self, gives: str) -> Callable[[Any, datetime], Observed]:
        """How a source that ``gives`` this is read."""
        asking: dict[str, Callable[[Any, datetime], Observed]] = {
            "runs": self._ask,
            "probes": self._probe,
            "comparisons": self._compare,
        }
        return asking.get(gives, self._follow)

    def _compare(self, source: DualRun, now: datetime) -> Observed:
        """Ask the retriever in use and the new one the same once."""
        found = shadow_run(self.watch, self.store, source, self.embedder, now, self.stopping)
        if found is None:
            return Observed(source.name, trouble="stopped before both sides were asked")
        keep_comparison(self.store, source.name, found)
        silent = next((side for side in (found.new, found.old) if side.asked and side.failed == side.asked), None)
        trouble = f"'{silent.name}' could not be asked: {next(iter(silent.unasked))}" if silent else ""
        return Observed(source.name, found.new.asked, found.new.failed, trouble)

    def _probe(self, source: Index, now: datetime) -> Observed:
        """Look into the index once; what could not be looked at is said in the looks."""
        probe = self.probe_of(source.name, now)
        self.store.experiments.add_probe(probe)
        unable = [look.unable for look in probe.looks.values() if look.unable]
        trouble = unable[0] if len(unable) == len(probe.looks) and unable else ""
        return Observed(source.name, sum(look.n for look in probe.looks.values()), len(unable), trouble)

    def _ask(self, source: Source, now: datetime) -> Observed:
        run = self.run_of(source.name, now)
        if run is None:
            return Observed(source.name, trouble="stopped before every canary was asked")
        self.store.canaries.add(run)
        failed = [seen.error for seen in run.observations if seen.error]
        nothing = len(failed) == len(run.observations)
        return Observed(source.name, len(run.observations), len(failed), failed[0] if failed and nothing else "")

    def _search(self, queries: Sequence[Query]) -> list[Reply] | None:
        retriever = self.watch.retriever
        if retriever is None:
            raise RetrieverError("there is no retriever to ask.", remedy="Add a `retriever:` section.")
        replies: list[Reply] = []
        for start in range(0, len(queries), ASKED_AT_ONCE):
            if self.stopping():
                return None
            asked = queries[start : start + ASKED_AT_ONCE]
            try:
                replies += retriever.search(asked, self.embedder)
            except DriftwatchError as error:
                replies += [Reply(None, error=str(error))] * len(asked)
        return replies

    def _follow(self, source: Source, now: datetime) -> Observed:
        lines = rejected = 0
        cursor = self.store.traffic.cursor(source.name)
        with self._sampling(source.name, now) as (sampler, votes):
            for batch in cast("Any", source).read(
                self.watch.base, cursor, sampler, self.reading, now=now, limit_bytes=READ_AT_ONCE, votes=votes
            ):
                self.store.traffic.ingest(self._asked_again(source, batch), self._named)
                self._asked.embed_heard(self._embedded_a_day)
                lines += batch.lines
                rejected += batch.rejected
                for note, count in batch.notes.items():
                    log.info("source %s: %d lines: %s", source.name, count, note)
                if self.stopping():
                    break
        return Observed(source.name, lines, rejected)

    def _asked_again(self, source: Source, batch: Batch) -> Batch:
        """Where the log has no results, the sampled queries are asked through the retriever."""
        if not getattr(source, "ask_again", False) or self.watch.retriever is None:
            return batch
        silent = [kept for kept in batch.kept if kept.observation.hits is None and kept.observation.text]
        queries = [Query(k.observation.query_id, k.observation.text, k.observation.lang) for k in silent]
        replies = self._search(queries)
        if not replies:
            return batch
        answered = {
            id(kept): replace(
                kept,
                observation=replace(
                    kept.observation,
                    hits=reply.hits,
                    error=reply.error,
                    score_kind=self.watch.retriever.score_kind,
                    versions={**reply.versions, **kept.observation.versions},
                ),
            )
            for kept, reply in zip(silent, replies, strict=True)
        }
        return replace(batch, kept=tuple(answered.get(id(kept), kept) for kept in batch.kept))

    @contextmanager
    def _sampling(self, name: str, now: datetime) -> Iterator[tuple[Sampler, Votes]]:
        """The sampler of a source, and what it heard; after an error they are built again from what the store holds.

        Only refused records leave it as it was: a client's mistake must not make it forget which units it has seen.
        """
        held = self._samplers.pop(name, None) or self._resumed(name, now)
        try:
            yield held
        except RecordsRefused:
            self._samplers[name] = held
            raise
        self._samplers[name] = held

    def _resumed(self, name: str, now: datetime) -> tuple[Sampler, Votes]:
        traffic, most = self.store.traffic, cast("Any", self.watch.sources[name]).keep_per_day
        newest = min(now, traffic.last_hour(name) or now)  # a backlog is read day by day
        since = (newest - SAMPLER_DAYS).date()
        return Sampler(most, traffic.strata(name, since)), Votes(most, traffic.votes(name, since), since)

    @property
    def _score_kind(self) -> ScoreKind:
        return self.watch.retriever.score_kind if self.watch.retriever else "similarity"

    @cached_property
    def _embedded_a_day(self) -> int:
        """The most texts of a day that a check wants embedded; 0: none."""
        return max((check.embeds for check in self.watch.checks), default=0)

    @cached_property
    def _named(self) -> frozenset[str]:
        """The languages that the totals name; without any, the store chooses them."""
        return named_by(self.watch.languages)

    @cached_property
    def reading(self) -> Reading:
        """How a log line is understood: languages, abstentions, privacy."""
        languages, privacy = self.watch.languages, self.watch.privacy
        return Reading(
            languages=languages,
            detect=Detector(languages) if languages else None,
            abstained=Abstention.extended(self.watch.abstention),
            keep_text=privacy.keep_text,
            key=privacy.key.get_secret_value().encode() if privacy.key else None,
            hear=self._asked.hear if self._embedded_a_day else None,
        )


def _canary_observation(
    source: str, run_at: datetime, query: Query, reply: Reply, attempt: int, kind: ScoreKind
) -> Observation:
    return Observation(
        at=run_at,
        source=source,
        query_id=query.query_id,
        text=query.text,
        lang=query.lang,
        hits=reply.hits,
        score_kind=kind,
        relevant=query.relevant,
        expect_empty=query.expect_empty,
        abstained=reply.abstained,
        versions=reply.versions,
        error=reply.error,
        digest=query.digest,
        attempt=attempt,
    )
