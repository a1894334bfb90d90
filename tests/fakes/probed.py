"""Runs of the index probes as they are stored, without an index."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from driftwatch.types import Look, Probe

WELL: Mapping[str, Look] = {
    "facts": Look(5, values={"count": 5000.0}),
    "stored vectors": Look(
        64, by={"de": (32, 0), "en": (32, 0)}, values={"known": 0.0, "displacement p50": 0.0004, "compressed": 0.0}
    ),
    "finds itself": Look(32),
    "recall of the index": Look(64, values={"recall@1": 1.0, "recall@10": 0.98, "recall@100": 0.95, "spread": 0.04}),
    "missing documents": Look(5000, by={"de": (2500, 0), "en": (2500, 0)}, values={"listed": 1.0}),
    "orphans": Look(5000, values={"listed": 1.0}),
    "texts": Look(64, values={"known": 0.0}),
    "probe strings": Look(40, values={"displacement p50": 0.0}),
    "service": Look(8, values={"errors": 0.0, "empty": 0.0, "latency": 40.0, "usual latency": 38.0}),
}


def probe(at: datetime, **looks: Look) -> Probe:
    """One run in which all is well but ``looks`` (`stored_vectors=...`)."""
    named = {name.replace("_", " "): look for name, look in looks.items()}
    return Probe(f"index@{at.isoformat()}", "index", at, {**WELL, **named})


def hourly(start: datetime, hours: int, **looks: Look) -> tuple[Probe, ...]:
    """One an hour, oldest first."""
    return tuple(probe(start + timedelta(hours=hour), **looks) for hour in range(hours))
