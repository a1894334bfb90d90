"""Which alert found which marked event, and how long it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from driftwatch.replay.cadence import HOUR
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.report import Detection, Said


def attributed(said: Sequence[Said], events: Sequence[MarkedEvent]) -> tuple[Said, ...]:
    """What was said, each with the newest event that it may belong to; a resolution belongs where its alert did."""
    return tuple(replace(each, belongs_to=_event_of(each, events)) for each in said)


def _event_of(said: Said, events: Sequence[MarkedEvent]) -> str | None:
    fitting = [event for event in events if event.covers(said.check, said.segment, said.at)]
    return max(fitting, key=lambda event: event.at).name if fitting else None


def detections(said: Sequence[Said], events: Sequence[MarkedEvent]) -> tuple[Detection, ...]:
    """For each event the first alert that began to fire about it."""
    return tuple(_detection(said, event) for event in events)


def _detection(said: Sequence[Said], event: MarkedEvent) -> Detection:
    already = _firing_at(said, event)
    for each in said:
        if each.event == "firing" and event.covers(each.check, each.segment, each.at):
            return Detection(event, each.check, each.segment, each.at, (each.at - event.at) / HOUR, already)
    return Detection(event, already=already)


def _firing_at(said: Sequence[Said], event: MarkedEvent) -> str | None:
    """An alert about the same thing that was firing when the event began."""
    open_since: dict[tuple[str, str], datetime] = {}
    for each in said:
        if each.at >= event.at:
            break
        if each.event == "firing":
            open_since[each.check, each.segment] = each.at
        elif each.event == "resolved":
            open_since.pop((each.check, each.segment), None)
    for check, segment in open_since:
        if event.covers(check, segment, event.at):
            return f"{check}:{segment}"
    return None
