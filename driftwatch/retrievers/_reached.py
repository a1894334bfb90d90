"""What `validate` says after asking a retriever once."""

from __future__ import annotations

from itertools import pairwise

from driftwatch.types import Query, Reply, ScoreKind

TRIAL = Query("driftwatch-trial", "driftwatch asks whether you are there")


def describe(reply: Reply, score_kind: ScoreKind) -> str:
    """``12 documents in 31 ms``, with a warning when the scores run against ``score_kind``."""
    hits = reply.hits or ()
    took = f" in {reply.latency_ms:.0f} ms" if reply.latency_ms is not None else ""
    words = f"{len(hits)} document{'s' * (len(hits) != 1)}{took}"
    scores = [hit.score for hit in hits if hit.score is not None]
    if hits and not scores:
        return f"{words}, without scores"
    steps = [later - earlier for earlier, later in pairwise(scores)]
    sign = 1 if score_kind == "similarity" else -1
    if any(steps) and all(sign * step >= 0 for step in steps):
        other = "distance" if score_kind == "similarity" else "similarity"
        return f"{words}; the scores run the other way: is this 'score_kind: {other}'?"
    return words
