from datetime import UTC, datetime, timedelta

from driftwatch.replay.detections import attributed, detections
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.report import Rate, Said, opened
from driftwatch.types import Event

AT = datetime(2026, 5, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def said(hours: float, event: Event = "firing", check: str = "canary recall", segment: str = "fr", **more: str) -> Said:
    given = {"severity": "page", "incident": f"{check}-{segment}-{hours}", "message": ""} | more
    return Said(at=AT + hours * HOUR, check=check, segment=segment, event=event, **given)


def test_an_event_is_found_by_the_first_alert_that_fits() -> None:
    event = MarkedEvent(AT, "rebuild", segment="fr")
    (found,) = detections([said(-5), said(3, segment="de"), said(6), said(7)], [event])
    assert (found.check, found.segment, found.after_hours) == ("canary recall", "fr", 6)


def test_what_was_firing_before_is_said() -> None:
    event = MarkedEvent(AT, "rebuild")
    (found,) = detections([said(-5), said(-4, segment="de"), said(-3, "resolved", segment="de")], [event])
    assert (found.check, found.already) == (None, "canary recall:fr")


def test_what_belongs_to_no_event_belongs_to_none() -> None:
    events = [MarkedEvent(AT, "rebuild", until=AT + 10 * HOUR), MarkedEvent(AT + 5 * HOUR, "launch")]
    marked = attributed([said(-1), said(1), said(6), said(12)], events)
    assert [each.belongs_to for each in marked] == [None, "rebuild", "launch", "launch"]


def test_a_page_is_an_incident_that_began_to_fire() -> None:
    told = [
        said(0, incident="a"),
        said(0, segment="de", incident="a"),
        said(1, "resolved", incident="a"),
        said(2, incident="b", severity="warn"),
        said(3, "blind", incident="c"),
        said(4, incident="d"),
    ]
    assert [each.incident for each in opened(told, "page")] == ["a", "d"]
    assert [each.incident for each in opened(told, "warn")] == ["b"]


def test_a_rate_is_a_quarters_with_its_exact_interval() -> None:
    rate = Rate.of(2, 180.0)
    assert rate.per_quarter == 1
    assert (round(rate.interval[0], 3), round(rate.interval[1], 3)) == (0.121, 3.612)
    assert Rate.of(0, 0.0).interval == (0.0, float("inf"))
