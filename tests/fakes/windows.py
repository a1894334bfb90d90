"""Windows made of plain numbers: canary runs, sampled scores and hourly counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from driftwatch.types import TALLY_FIELDS, Observation, Run, Sample, ScoredDoc, Tallies, Window

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def hits(rank: int | None, doc_id: str = "right", length: int = 10) -> tuple[ScoredDoc, ...]:
    """``length`` hits with ``doc_id`` at ``rank``, from 1; None: without it."""
    ids = [f"other-{number}" for number in range(length)]
    if rank is not None:
        ids.insert(rank - 1, doc_id)
    return tuple(ScoredDoc(doc, 1 - number / 100) for number, doc in enumerate(ids[: max(length, rank or 0)]))


def asked(
    query_id: str,
    rank: int | None = None,
    *,
    at: datetime = MONDAY,
    error: str | None = None,
    empty: bool = False,
    **more: object,
) -> Observation:
    """A canary with the one relevant document ``right-<query_id>`` found at ``rank``."""
    found = None if error else () if empty else hits(rank, f"right-{query_id}")
    fields = {"relevant": {f"right-{query_id}": 1}, "digest": "1", **more}
    return Observation(at, "canaries", query_id, hits=found, error=error, **fields)  # type: ignore[arg-type]


def run(ranks: Sequence[int | None] | Iterable[Observation], at: datetime, gone: Iterable[str] = ()) -> Run:
    """A run of canaries q0, q1 ... found at ``ranks``, or of the observations given."""
    seen = [
        each if isinstance(each, Observation) else asked(f"q{number}", each, at=at) for number, each in enumerate(ranks)
    ]
    return Run(f"run-{at.isoformat()}", "canaries", at, "suite", tuple(seen), frozenset(gone))


def runs_window(*runs: Run, alpha: float = 0.001, segment: str = "all") -> Window:
    """A window that holds these runs."""
    start, end = (runs[0].at, runs[-1].at + HOUR) if runs else (MONDAY, MONDAY + DAY)
    return Window(start, end, segment, alpha, runs=runs)


def steady_runs(ranks: Sequence[int | None], days: int = 14, a_day: int = 24) -> tuple[Run, ...]:
    """The same ranks in every run of ``days`` days."""
    return tuple(run(ranks, MONDAY + number * (DAY / a_day)) for number in range(days * a_day))


def telling(top: float, noise: float, *, scale: float = 1.0) -> tuple[int | None, tuple[float, ...]]:
    """The rank of the right document, None when it is not among ten, and the ten scores of an answer.

    ``top``: the best score, 0.7 give or take 0.1; the higher it is, the better the rank, but for ``noise``.
    """
    rank = round(4 + 30 * (0.7 - top) + noise)
    scores = tuple(scale * (top - 0.02 * place) for place in range(10))
    return (max(1, rank) if rank <= 10 else None), scores


def telling_canary(query_id: str, top: float, noise: float, at: datetime = MONDAY, **more: object) -> Observation:
    """A canary whose scores tell how well it was answered."""
    scale = float(more.pop("scale", 1.0))  # type: ignore[arg-type]
    rank, scores = telling(top, noise, scale=scale)
    ids = [f"right-{query_id}" if place == rank else f"other-{place}" for place in range(1, 11)]
    seen = asked(query_id, rank, at=at, **{"lang": "en", **more})  # type: ignore[arg-type]
    return replace(seen, hits=tuple(map(ScoredDoc, ids, scores)))


def telling_canaries(number: int = 120, *, day: int = 0, days: int = 1, lower: float = 0.0, seed: int = 0) -> Window:
    """The canaries of ``days`` days, a run each, all with best scores ``lower`` than they were."""
    random = np.random.default_rng(seed)
    tops, noise = random.normal(0.7, 0.1, number) - lower, random.normal(0, 1.5, number)
    runs = [
        run(
            [telling_canary(f"c{i}", tops[i], noise[i], MONDAY + (day + each) * DAY) for i in range(number)],
            MONDAY + (day + each) * DAY,
        )
        for each in range(days)
    ]
    return Window(MONDAY + day * DAY, MONDAY + (day + days) * DAY, runs=tuple(runs))


def sample_window(
    scores: Sequence[float] | np.ndarray,
    *,
    day: int = 14,
    days: int = 1,
    unit: Sequence[int] | None = None,
    weight: Sequence[float] | None = None,
    alpha: float = 0.001,
) -> Window:
    """A window of sampled queries with these top-1 scores (or rows of scores), spread evenly over its days."""
    rows = np.asarray(scores, dtype=np.float32)
    rows = rows.reshape(len(rows), rows.size // max(len(rows), 1))
    n = len(rows)
    start = MONDAY + day * DAY
    at = np.datetime64(start.replace(tzinfo=None), "us") + (np.arange(n) * (days * 86_400_000_000 // max(n, 1))).astype(
        "timedelta64[us]"
    )
    sample = Sample(
        np.array([f"query-{number}" for number in range(n)], dtype=np.str_),
        at,
        np.full(n, "en"),
        np.arange(n) if unit is None else np.asarray(unit, dtype=np.int64),
        np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64),
        rows,
    )
    return Window(start, start + days * DAY, "all", alpha, sample=sample)


Row = Mapping[str, int]


def tally_window(
    hours: Sequence[Mapping[str, Row]], *, day: int = 14, alpha: float = 0.001, segment: str = "all"
) -> Window:
    """A window of whole hours, each a mapping of language -> counts by column; an empty mapping had no queries."""
    start = MONDAY + day * DAY
    first = np.datetime64(start.replace(tzinfo=None), "h")
    rows = [(first + number, lang, row) for number, hour in enumerate(hours) for lang, row in hour.items()]
    tallies = Tallies(
        np.array([row[0] for row in rows], dtype="datetime64[h]"),
        np.array([row[1] for row in rows], dtype=np.str_),
        np.array([[row[2].get(column, 0) for column in TALLY_FIELDS] for row in rows], dtype=np.int64).reshape(
            len(rows), len(TALLY_FIELDS)
        ),
    )
    return Window(start, start + len(hours) * HOUR, segment, alpha, tallies=tallies)


def same_hours(row: Row, hours: int = 24, lang: str = "en") -> list[dict[str, Row]]:
    """``hours`` hours of one language that all look the same."""
    return [{lang: row} for _ in range(hours)]
