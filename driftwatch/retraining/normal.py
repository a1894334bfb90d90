"""What is normal with another model: the questions that it was made for, and scores of its own.

A release is a change that a person wanted. Held against the time before it, its scores would page at once, and the
questions that it was trained on would stay new for ever. What does not depend on the model, such as how many queries
end empty, is compared with the time before as ever: that is how anybody sees that it has helped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from driftwatch.config import Watch
from driftwatch.config.release import registry_of
from driftwatch.retrain.trigger import MODEL_MISMATCH
from driftwatch.retrained import Manifest
from driftwatch.store import Store
from driftwatch.types import ASPECTS, Baseline
from driftwatch.windows import Windows

LEAST = timedelta(days=7)
"""Of a baseline of questions: each hour of the week once."""
_BEFORE = "-"
"""Instead of a release's name: what was there before any."""


def keep_normal(watch: Watch, store: Store, now: datetime) -> None:
    """Set the baselines that belong to the release in use, once; also of one that came while nobody looked."""
    windows, given = Windows(store, watch, learns=False), watch.baseline
    length = given.end - given.start if given.start and given.end else given.length
    assert length is not None
    usual = {
        name: known
        for name, source in watch.sources.items()
        if source.gives in ("traffic", "runs")
        and isinstance(known := windows.baseline(name, "runs" if source.gives == "runs" else "sample", now), Baseline)
    }
    ever = store.decisions.baselines()
    for each in renewed(registry_of(watch).current(), ever, usual, length, _since(store), now):
        if each.of == "scores" or watch.sources[each.source].gives == "traffic":
            store.decisions.set_baseline(each)


def _since(store: Store) -> datetime | None:
    """When the oldest open incident began in which the model does not fit."""
    incidents = store.decisions.open_incidents()
    found = [each.opened_at for each in incidents if each.diagnosis and each.diagnosis.cause == MODEL_MISMATCH]
    return min(found, default=None)


def renewed(
    current: Manifest | None,
    known: Sequence[Baseline],
    usual: Mapping[str, Baseline],
    length: timedelta,
    since: datetime | None,
    now: datetime,
) -> list[Baseline]:
    """The baselines that have to be set now that ``current`` is in use; none where they are set already.

    ``known``: every baseline that was ever set, oldest first. ``usual``: of each source of queries, and of canaries,
    the one that holds for everything. ``length``: how long a baseline is. ``since``: when the drift began that the
    model is the answer to. A release that was in use before gets back what it had.
    """
    release = current.release if current is not None and current.job else _BEFORE
    own = [each for each in known if each.of]
    if release == (_release(own[-1]) if own else _BEFORE):
        return []
    if release == _BEFORE:
        return [
            replace(each, of=of, source=source, reason=f"{release}: the model of before is back", set_at=now)
            for source, each in usual.items()
            for of in ASPECTS
        ]
    if had := [each for each in own if _release(each) == release]:
        return [replace(each, set_at=now) for each in {(each.source, each.of): each for each in had}.values()]
    assert current is not None
    return list(_new(current, usual, _start(length, since, now), length, now))


def _new(
    current: Manifest, usual: Mapping[str, Baseline], start: datetime, length: timedelta, now: datetime
) -> Iterator[Baseline]:
    by = current.approved_by or "driftwatch"
    for source in usual:
        made_for = f"{current.release}: the model was made for what people asked by then"
        yield Baseline(start, now, made_for, by, now, source, "questions")
        yield Baseline(now, now + length, f"{current.release}: its scores are its own", by, now, source, "scores")


def _start(length: timedelta, since: datetime | None, now: datetime) -> datetime:
    """Where what people ask now began, as far as that is long enough."""
    start = now - length
    return start if since is None else max(start, min(since, now - LEAST))


def _release(baseline: Baseline) -> str:
    return baseline.reason.partition(":")[0]
