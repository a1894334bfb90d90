"""A service whose scores are known: canaries and live queries, before and after its scale moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from driftwatch.types import Observation, ScoredDoc
from tests.fakes.batches import MONDAY

CHANGE = MONDAY + timedelta(days=14)
OLD, NEW = {"embedder": "mini-1", "prompt": "p1"}, {"embedder": "mini-2", "prompt": "p1"}


def canaries(
    at: datetime, count: int = 120, *, slope: float = 1.0, intercept: float = 0.0, noise: float = 0.0, **more: Any
) -> list[Observation]:
    """One relevant document and nine others each, of languages in turn; every fifth should find nothing."""
    random = np.random.default_rng(5)
    jitter = np.random.default_rng(6)
    found = []
    for number in range(count):
        scores = random.normal(0.45, 0.06, 10)
        scores[0] += 0.25
        empty = number % 5 == 4
        if empty:
            scores[0] -= 0.25
        scores = slope * scores + intercept + noise * jitter.normal(0, 1, 10)
        hits = tuple(ScoredDoc(f"doc-{number}-{place}", float(scores[place])) for place in np.argsort(-scores))
        found.append(
            Observation(
                at,
                "canaries",
                f"canary-{number}",
                lang=("en", "de", "fr")[number % 3],
                hits=hits,
                relevant={} if empty else {f"doc-{number}-0": 1},
                expect_empty=empty,
                digest="d",
                versions=more.get("versions", OLD),
            )
        )
    return found


def live(
    start: datetime,
    days: int,
    *,
    a_day: int = 60,
    slope: float = 1.0,
    intercept: float = 0.0,
    seed: int = 1,
    langs: Sequence[str] = ("en", "de", "fr"),
    versions: dict[str, str] = OLD,
    cut: float | None = None,
    says: bool = True,
) -> list[Observation]:
    """Sessions of two queries with three documents each; the service abstains when nothing scores ``cut``."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(days * a_day):
        at = start + timedelta(days=number // a_day, seconds=86_400 * (number % a_day) / a_day)
        scores = np.sort(random.normal(0.6, 0.08, 3) - 0.03 * np.arange(3))[::-1]
        top = float(scores[0])
        found.append(
            Observation(
                at,
                "live",
                f"query-{seed}-{number}",
                lang=langs[number % len(langs)],
                session=f"s{number // 2}",
                hits=tuple(ScoredDoc(f"d{place}", float(slope * s + intercept)) for place, s in enumerate(scores)),
                abstained=(cut is not None and top < cut) if says else None,
                versions=versions,
            )
        )
    return found


def as_distance(observed: Sequence[Observation]) -> list[Observation]:
    """The same, from a service that calls far what is unlike."""
    return [
        replace(
            seen,
            score_kind="distance",
            hits=tuple(ScoredDoc(hit.doc_id, -(hit.score or 0.0)) for hit in seen.hits or ()),
        )
        for seen in observed
    ]
