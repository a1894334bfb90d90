"""The sampled queries of the last days as points, beside the canaries that watch over them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from driftwatch.coverage import Points, Texts
from driftwatch.errors import DriftwatchError
from driftwatch.privacy import redact
from driftwatch.store.columns import micros
from driftwatch.types import Embedder, Observation, Query, Sample

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store

LONGEST_EXAMPLE = 160
"""Characters of an example."""
MOST_ROWS = 100_000
"""Sampled queries whose answers are looked through for what went wrong, the newest."""
MOST_DISLIKED = 500
"""Queries with a thumbs-down on a line that is not in the sample, the newest: each of them is embedded."""

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Live:
    """What was asked in the last days, a session a row."""

    points: Points
    query_id: Sequence[str]
    text: Sequence[str] | None
    """As it was kept; None where texts are not kept, or not shown to anybody."""
    canaries: Points
    asked: tuple[Query, ...]
    """The canaries, a row each."""
    days: int
    notes: tuple[str, ...]
    troubled: NDArray[np.bool_]
    """shape (n,): a thumbs-down, an abstention, or nothing found; only where they were asked for."""
    observations: Mapping[int, Observation]
    """Row -> what was observed; only where it was asked for."""

    @property
    def texts(self) -> Texts | None:
        """Rows -> their texts, redacted."""
        text = self.text
        return None if text is None else lambda rows: [redact(text[row]) for row in rows.tolist()]

    def example(self, row: int) -> str:
        """What is shown of a row: its text, redacted; its query_id where texts are not shown."""
        return redact(self.text[row])[:LONGEST_EXAMPLE] if self.text is not None else str(self.query_id[row])


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one source."""

    points: Points
    query_id: list[str]
    text: list[str] | None
    troubled: NDArray[np.bool_]
    observations: dict[int, Observation]
    why: str
    """Why some could not be embedded; empty when all could."""


def live_queries(
    watch: Watch,
    store: Store,
    embedder: Embedder | None,
    source: str,
    days: int,
    most: int,
    now: datetime,
    *,
    troubled: bool = False,
) -> Live:
    """At most about ``most`` sampled sessions of the last ``days`` days before the newest record, embedded.

    ``troubled``: all that went wrong are among them, and what was observed is read too.

    Raises:
        DriftwatchError: there is no embedder, no traffic, or no sampled query.
    """
    if embedder is None:
        raise DriftwatchError("nothing is embedded.", remedy="Add an 'embedder:' section to the configuration.")
    names = _of_traffic(watch, source)
    parts = [_part(watch, store, name, embedder, days, most // len(names), now, troubled) for name in names]
    if not sum(len(part.points) for part in parts):
        why = next((f" ({part.why.rstrip('.')})" for part in parts if part.why), "")
        raise DriftwatchError(
            f"no query of the last {days} days is in the sample with its text or embedding{why}.",
            remedy="Let `driftwatch run` read the log first, or look at more --days.",
        )
    asked, notes = _canaries(watch, store)
    return _joined(parts, asked, embedder, days, notes)


def _joined(parts: list[_Part], asked: tuple[Query, ...], embedder: Embedder, days: int, notes: list[str]) -> Live:
    parts = [part for part in parts if len(part.points)]
    starts = np.cumsum([0, *(len(part.points) for part in parts)]).tolist()
    observations = {
        start + row: seen for start, part in zip(starts, parts, strict=False) for row, seen in part.observations.items()
    }
    points = [part.points for part in parts]
    texts = [part.text for part in parts]
    return Live(
        Points(*(np.concatenate([getattr(each, name) for each in points]) for name in ("vectors", "lang", "weight"))),
        [query_id for part in parts for query_id in part.query_id],
        None if None in texts else [text for each in texts if each is not None for text in each],
        Points(
            _encoded(embedder, asked, points[0]), np.array([each.lang for each in asked], np.str_), np.ones(len(asked))
        ),
        asked,
        days,
        tuple(notes),
        np.concatenate([part.troubled for part in parts]),
        observations,
    )


def _encoded(embedder: Embedder, asked: tuple[Query, ...], like: Points) -> NDArray[np.float32]:
    if not asked:
        return np.empty((0, like.vectors.shape[1]), np.float32)
    return embedder.encode_queries([query.text for query in asked])


def _of_traffic(watch: Watch, source: str) -> list[str]:
    names = [name for name, each in watch.sources.items() if each.gives == "traffic"]
    if source and source not in names:
        raise DriftwatchError(
            f"there is no source of live queries '{source}'.", remedy=f"There are: {', '.join(names)}."
        )
    if not names:
        raise DriftwatchError("there are no live queries.", remedy="Add a source with 'kind: query_log' or 'push'.")
    return [source] if source else names


def _canaries(watch: Watch, store: Store) -> tuple[tuple[Query, ...], list[str]]:
    """The canaries as their files are now, without those in quarantine: what has no document watches nothing."""
    from driftwatch.checks._canaries import remaining

    kept: list[Query] = []
    resting = 0
    for name, source in watch.sources.items():
        if source.gives != "runs":
            continue
        newest = store.canaries.latest(name)
        rotten = {
            (seen.query_id, seen.digest)
            for seen in (newest.observations if newest else ())
            if newest and remaining(seen, newest.gone) is None
        }
        queries = cast("Any", source).load(watch.base).queries
        awake = [query for query in queries if (query.query_id, query.digest) not in rotten]
        resting += len(queries) - len(awake)
        kept += awake
    return tuple(kept), [f"{resting} canaries are in quarantine and cover nothing"] if resting else []


def _part(
    watch: Watch, store: Store, name: str, embedder: Embedder, days: int, most: int, now: datetime, troubled: bool
) -> _Part:
    from driftwatch.contents import Asked

    last = store.traffic.last_hour(name)
    end = min(now, last + timedelta(hours=1)) if last else now
    start = end - timedelta(days=days)
    asked = Asked(store, embedder, watch.privacy, at_once=most)
    found = store.traffic.sample(name, start, end)
    asked_days = max(1, len(np.unique(found.at.astype("datetime64[D]"))))
    sample = asked.fill(found, name, max(1, most // asked_days))
    seen = _observed(store, name, start, end, sample) if troubled else {}
    wrong = np.zeros(len(sample), bool)
    wrong[[row for row, each in seen.items() if went_wrong(each)]] = True
    rows = _one_a_session(sample, wrong)
    text = _texts(sample, rows)
    if text is not None:  # what is blank cannot be asked
        rows = rows[[bool(each) for each in text]]
        text = [each for each in text if each]
    points = Points(_vectors(sample, rows, text, embedder), sample.lang[rows], _weights(sample, rows, wrong))
    observations = {place: seen[row] for place, row in enumerate(rows.tolist()) if row in seen}
    why = sample.contents.trouble if sample.contents is not None else ""
    part = _Part(points, sample.query_id[rows].tolist(), text, wrong[rows], observations, why)
    known = {(micros(each.at), each.query_id) for each in seen.values()}
    disliked = _disliked(store, name, start, end, known) if troubled and text is not None else []
    return _with(part, disliked, embedder) if disliked else part


def _disliked(
    store: Store, name: str, start: datetime, end: datetime, known: Container[tuple[int, str]]
) -> list[Observation]:
    """What got a thumbs-down on a line that is not ``known``, such as a later one of a session; each text once."""
    found: dict[tuple[str, str], Observation] = {}
    for seen in store.traffic.with_feedback(name, start, end):
        if seen.feedback == "down" and seen.text.strip() and (micros(seen.at), seen.query_id) not in known:
            found.pop((seen.lang, seen.text), None)
            found[seen.lang, seen.text] = seen
            if len(found) > MOST_DISLIKED:
                del found[next(iter(found))]
    return list(found.values())


def _with(part: _Part, disliked: Sequence[Observation], embedder: Embedder) -> _Part:
    """These too. They weigh nothing: the traffic is what the sample says, and they only stand for what is near them."""
    text = [seen.text for seen in disliked]
    fresh = embedder.encode_queries(text)
    count, points = len(part.points), part.points
    return _Part(
        Points(
            np.concatenate([points.vectors, fresh]) if count else fresh,
            np.concatenate([points.lang, np.array([seen.lang for seen in disliked], np.str_)]),
            np.concatenate([points.weight, np.zeros(len(disliked))]),
        ),
        [*part.query_id, *(seen.query_id for seen in disliked)],
        [*(part.text or ()), *text],
        np.concatenate([part.troubled, np.ones(len(disliked), bool)]),
        part.observations | dict(enumerate(disliked, count)),
        part.why,
    )


def went_wrong(seen: Observation) -> tuple[str, ...]:
    """What went wrong with an answer, in words."""
    found = [
        ("got a thumbs-down", seen.feedback == "down"),
        ("the service abstained", seen.abstained is True),
        ("nothing was found", seen.hits == ()),
    ]
    return tuple(words for words, is_so in found if is_so)


def _observed(store: Store, name: str, start: datetime, end: datetime, sample: Sample) -> dict[int, Observation]:
    """Row of the sample -> what was observed."""
    found = store.traffic.recent_queries(name, start, end, MOST_ROWS)
    by_key = {(micros(seen.at), seen.query_id): seen for seen in found}
    keys = zip(sample.at.astype(np.int64).tolist(), sample.query_id.tolist(), strict=True)
    return {row: by_key[key] for row, key in enumerate(keys) if key in by_key}


def _one_a_session(sample: Sample, wrong: NDArray[np.bool_]) -> Rows:
    """Of each session the first query that went wrong, else the first that is embedded; ascending."""
    assert sample.contents is not None
    rows = np.flatnonzero(wrong | sample.contents.embedded)
    order = rows[np.argsort(~wrong[rows], kind="stable")]
    _, first = np.unique(sample.unit[order], return_index=True)
    return np.sort(order[first])


def _texts(sample: Sample, rows: Rows) -> list[str] | None:
    assert sample.contents is not None
    return None if sample.contents.texts is None else list(sample.contents.texts(rows))


def _vectors(sample: Sample, rows: Rows, text: list[str] | None, embedder: Embedder) -> NDArray[np.float32]:
    """Of what is embedded already as it is, of the rest (what went wrong, on busy days) anew."""
    contents = sample.contents
    assert contents is not None
    if not len(rows):
        return np.empty((0, 0), np.float32)
    here = contents.embedded[rows] if text is not None else np.ones(len(rows), bool)
    read = np.asarray(contents.vectors(rows[here]), np.float32)
    read /= np.linalg.norm(read, axis=1, keepdims=True)
    if text is None or here.all():
        return read
    fresh = embedder.encode_queries([each for each, is_here in zip(text, here.tolist(), strict=True) if not is_here])
    found = np.empty((len(rows), fresh.shape[1]), np.float32)
    found[~here] = fresh
    if here.any():
        found[here] = read
    return found


def _weights(sample: Sample, rows: Rows, wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Rows that are there for all of their language weigh as much as all of it does that did not go wrong."""
    weight = sample.weight[rows].copy()
    _, first = np.unique(sample.unit, return_index=True)
    for lang in np.unique(sample.lang[rows]):
        others = (sample.lang[rows] == lang) & ~wrong[rows]
        every = first[(sample.lang[first] == lang)]
        owed = sample.weight[every].sum() - weight[(sample.lang[rows] == lang) & wrong[rows]].sum()
        if others.any() and owed > 0:
            weight[others] *= owed / weight[others].sum()
    return weight
