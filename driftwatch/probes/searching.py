"""Stored vectors and canaries sent through approximate and exact search, and what that was on the days before."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from driftwatch.probes.neighbours import Searched, finds_itself, judged_at, recall
from driftwatch.probes.sampled import Sampled
from driftwatch.probes.service import some_of
from driftwatch.types import Look, Stored

if TYPE_CHECKING:
    from driftwatch.probes.index import Run


def search(run: Run, found: Sampled) -> None:
    """Stored vectors and canaries through approximate and exact search."""
    index, settings = run.target.index, run.settings
    assert index is not None
    if not run.can("by vector"):
        run.looks |= {
            name: Look(unable=run.cannot("search by a vector")) for name in ("finds itself", "recall of the index")
        }
        return
    rows = [entry for entry in found.sample if _can_be_asked(entry)][: settings.queries]
    canaries = some_of(run.target.canaries, settings.queries, int(run.state["turn"]))
    vectors = _asked_with(run, rows, canaries)
    if not len(vectors):
        run.looks["finds itself"] = Look(unable="no stored vector could be read")
        run.looks["recall of the index"] = Look(unable="there is no vector to ask with")
        return
    canaries = canaries[: len(vectors) - len(rows)]
    depth = max(settings.at_k)
    approximate = index.search_vectors(vectors, depth)
    exact = index.search_vectors(vectors, depth, exact=True) if run.can("exact") and run.go_on() else None
    seen = Searched(
        (*(entry.doc_id for entry in rows), *(query.query_id for query in canaries)),
        (*(found.lang_of(entry) for entry in rows), *(query.lang for query in canaries)),
        (*(True for _ in rows), *(False for _ in canaries)),
        tuple(approximate),
        None if exact is None else tuple(exact),
        index.score_kind,
    )
    run.looks["finds itself"] = finds_itself(seen, fair=_is_fair(run, rows))
    look = recall(seen, settings.at_k)
    judged = judged_at(settings.at_k)
    past = [each for each in run.former.get("recall", []) if each[4:] in ([], [judged])]
    if look.values:
        run.state["recall"] = [[*each[:4], judged] for each in _kept_recall(past, look, run.now)]
        if past:
            look = _with_usual(look, past)
    run.looks["recall of the index"] = look


def _asked_with(run: Run, rows: list[Any], canaries: list[Any]) -> NDArray[np.float32]:
    """The vectors of both, rows first; canaries are left out where they cannot be embedded in the index's dimension."""
    parts = [np.stack([np.asarray(entry.vector, np.float32) for entry in rows])] if rows else []
    embedder = run.target.embedder
    if canaries and embedder is not None and run.go_on():
        asked = embedder.encode_queries([query.text for query in canaries])
        width = parts[0].shape[1] if parts else (run.facts.dimension if run.facts else None) or asked.shape[1]
        if asked.shape[1] == width:
            parts.append(asked)
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def _can_be_asked(entry: Stored) -> bool:
    """Not a vector of zeros or with numbers that are none: stores refuse those, and one would end the whole look."""
    return entry.vector is not None and bool(np.isfinite(entry.vector).all()) and bool(entry.vector.any())


def _is_fair(run: Run, rows: list[Any]) -> bool:
    """Whether a vector is its own nearest neighbour: under a dot product a longer one may be nearer."""
    if run.facts is not None and run.facts.metric in ("cosine", "euclidean", "manhattan"):
        return True
    lengths = [float(np.linalg.norm(entry.vector)) for entry in rows]
    return bool(lengths) and max(lengths) - min(lengths) < 1e-3 * max(lengths)


def _kept_recall(past: list[Any], look: Look, now: datetime) -> list[Any]:
    """[day, sum, sum of squares, queries, ...] of the last week, newest last."""
    mean, spread = _judged(look), look.values["spread"]
    today = now.date().isoformat()
    day: list[Any] = past[-1] if past and past[-1][0] == today else [today, 0.0, 0.0, 0]
    added = [today, day[1] + look.n * mean, day[2] + look.n * (spread**2 + mean**2), day[3] + look.n]
    return [*(each for each in past if each[0] != today), added][-8:]


def _with_usual(look: Look, past: list[Any]) -> Look:
    """What it was over the days before, and how sure that is."""
    days = [each for each in past if each[3]][:-1] or past
    total, squares, n = (sum(each[place] for each in days) for place in (1, 2, 3))
    mean = total / n
    error = float(np.sqrt(max(0.0, squares / n - mean**2) / n))
    values = {**look.values, "usual recall": mean, "error of usual recall": error}
    return Look(look.n, look.bad, look.ids, look.by, values, look.words, look.why)


def _judged(look: Look) -> float:
    depths = [int(name.removeprefix("recall@")) for name in look.values if name.startswith("recall@")]
    return look.values[f"recall@{judged_at(depths)}"]
