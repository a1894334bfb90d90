"""The daemon's own engine over recorded time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from driftwatch.config import Watch
from driftwatch.engine import Engine
from driftwatch.replay.looks import Group, in_time
from driftwatch.replay.reading import Progress
from driftwatch.replay.record import Record
from driftwatch.replay.remembered import Rehearsal, Remembered


def play(watch: Watch, rehearsal: Rehearsal, record: Record, groups: Sequence[Group], progress: Progress) -> Remembered:
    """Every decision, as the daemon would have made it."""
    engine = Engine(watch, rehearsal, learns=False)
    engine.windows = record
    day: datetime | None = None
    for moment, group in in_time(list(groups)):
        engine.tick(group.checks, moment)
        if day is None or moment.date() != day.date():
            day = moment
            progress(f"replaying {moment:%Y-%m-%d}", 0)
    return rehearsal.remembered
