"""Batches of traffic and canary runs, made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from driftwatch.feedback import Vote
from driftwatch.sampling import Batch, Kept
from driftwatch.types import TALLY_FIELDS, Observation, Run, ScoredDoc

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def counts(**known: int) -> list[int]:
    """One row of tallies."""
    return [known.get(name, 0) for name in TALLY_FIELDS]


def hours(moment: datetime) -> int:
    """Hours since 1970."""
    return int(moment.timestamp()) // 3600


def kept(priority: float, query_id: str = "q", at: datetime = MONDAY, *, stratum: str = "*", **more: Any) -> Kept:
    """A row of the sample."""
    return Kept(priority, at.date(), Observation(at, "live", query_id, **more), stratum)


def vote(priority: float, query_id: str = "q", at: datetime = MONDAY, *, line: int = 0, **more: Any) -> Vote:
    """A line with feedback."""
    stratum = more.pop("stratum", "*")
    return Vote(priority, at.date(), stratum, line, Observation(at, "live", query_id, **{"feedback": "up", **more}))


def batch(
    *rows: Kept,
    cursor: Mapping[str, Any] | None = None,
    tallies: Mapping[tuple[int, str], Sequence[int]] | None = None,
    thresholds: Mapping[tuple[date, str], float] | None = None,
    source: str = "live",
    **more: Any,
) -> Batch:
    """A batch with these rows."""
    return Batch(source, cursor or {}, tallies or {}, rows, thresholds or {}, **more)


def docs(*scores: float | None) -> tuple[ScoredDoc, ...]:
    """Documents with these scores."""
    return tuple(ScoredDoc(f"doc-{place}", score) for place, score in enumerate(scores))


def run(at: datetime = MONDAY, *asked: Observation, source: str = "canaries", **more: Any) -> Run:
    """A canary run."""
    return Run(more.pop("run_id", f"{source}:{at.isoformat()}"), source, at, "suite", asked, **more)


def answer(query_id: str, *scores: float | None, at: datetime = MONDAY, digest: str = "d", **more: Any) -> Observation:
    """What came back for one canary."""
    return Observation(at, "canaries", query_id, hits=docs(*scores), digest=digest, relevant={"doc-0": 1}, **more)
