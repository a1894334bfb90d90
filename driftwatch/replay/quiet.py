"""The A/A run: weeks in which nothing happened, drawn again and again, and what would have been said of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from driftwatch.config import Watch
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.record import Record, hours_since_epoch
from driftwatch.replay.report import Said
from driftwatch.replay.weeks import Stretch, Weeks, quiet_weeks
from driftwatch.types import Baseline

SEED = 20260521
"""The same record gives the same weeks."""

HOUR_MORE = timedelta(minutes=59, seconds=59)


def loud_stretches(watch: Watch, said: Sequence[Said], events: Sequence[MarkedEvent], end: datetime) -> list[Stretch]:
    """What is not quiet: expected differences, and marked events; without any events, whatever paged."""
    stretches = [(window.start, window.end) for window in watch.expected]
    stretches += [(event.at, event.over) for event in events]
    if not events:
        stretches += _firing(said, end)
    return [(hours_since_epoch(start), hours_since_epoch(over + HOUR_MORE)) for start, over in stretches]


def _firing(said: Sequence[Said], end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From the onset of each alert that fired until it was resolved."""
    since: dict[tuple[str, str], datetime] = {}
    for each in said:
        key = (each.check, each.segment)
        if each.event == "firing":
            since.setdefault(key, min(each.onset or each.at, each.at))
        elif each.event == "resolved" and key in since:
            yield since.pop(key), each.at
    yield from ((start, end) for start in since.values())


def weeks_of(record: Record, baselines: Mapping[str, Baseline], loud: Sequence[Stretch]) -> tuple[Weeks, list[str]]:
    """The quiet weeks that may be drawn, and what is worth knowing about them.

    Weeks after the baseline first: those of the baseline fit it better than any week to come.
    """
    extents = record.extents.values()
    pace = max(extent.pace for extent in extents)
    step = int(np.ceil(pace / timedelta(hours=1)))
    start = hours_since_epoch(min(extent.start for extent in extents))
    judged = hours_since_epoch(min((each.end for each in baselines.values()), default=record.span[0]))
    end = hours_since_epoch(max(extent.end for extent in extents))
    later = quiet_weeks(max(start, judged), end, loud, step)
    if len(later) >= 4:
        return later, []
    every = quiet_weeks(start, end, loud, step)
    note = (
        f"only {len(later)} quiet weeks follow the baseline, so weeks of the baseline were drawn as well: "
        "the true rate may be higher"
    )
    return every, [note] if len(every) > len(later) else []
