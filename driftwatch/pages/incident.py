"""One incident: what broke, the evidence, the experiment, the timeline, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from markupsafe import Markup

from driftwatch.alerts import OPEN, silenced_until
from driftwatch.evidence import Evidence, evidence_of
from driftwatch.pages import drawing
from driftwatch.pages.overview import opened
from driftwatch.pages.rendering import NOBODY, Viewer, render, segment
from driftwatch.show import number

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Diagnosis, Experiment, Incident, Member, Silence, Transition

SILENCES = (("1h", "an hour"), ("4h", "4 hours"), ("12h", "12 hours"), ("1 day", "a day"), ("7 days", "a week"))
IN_FULL = 6
"""Alerts whose evidence is shown in full; of the others the message."""
RECENT = 50
EVENTS = {
    "firing": "fires",
    "resolved": "is over",
    "blind": "sees nothing any more",
    "sighted": "sees again",
    "reminded": "is still open",
    "acknowledged": "is looked after",
    "explained": "has another cause",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: str
    where: str
    """Check and segment; empty for what is about all of it."""
    by: str
    state: str
    """For its sign; empty: none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The evidence of one alert."""

    evidence: Evidence
    path: str
    state: str
    runs: bool
    """Whether its examples are canaries, which have pages of their own."""
    source: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of searching in an experiment."""

    name: str
    value: str
    n: int
    by: str
    bar: Markup
    unable: str


def render_incident(
    watch: Watch,
    store: Store,
    incident: Incident,
    now: datetime,
    viewer: Viewer = NOBODY,
    *,
    said: str = "",
    wrong: str = "",
) -> str:
    """The page of one incident."""
    silences = store.decisions.silences(now)
    experiment = incident.diagnosis.experiment if incident.diagnosis is not None else None
    found = [member for member in incident.members if member.finding is not None]
    firing = [each.alert for each in incident.members if each.alert.state in OPEN]
    return render(
        "incident.html",
        watch,
        viewer,
        "Incidents",
        incident=incident,
        now=now,
        evidence=[_shown(watch, store, member) for member in found[:IN_FULL]],
        others=found[IN_FULL:],
        timeline=list(timeline(incident, store.diagnoses.history(incident.incident_id))),
        told=store.outbox.told_of(incident.incident_id),
        experiment=experiment,
        cells=list(cells_of(experiment)) if experiment is not None else [],
        steps=list(steps_of(experiment)) if experiment is not None else [],
        firing=firing,
        waiting=[alert for alert in firing if not alert.acknowledged_by],
        silenced=[each for each in silences if _concerns(each, incident, now)],
        lengths=SILENCES,
        said=said,
        wrong=wrong,
    )


def render_incidents(watch: Watch, store: Store, now: datetime, viewer: Viewer = NOBODY) -> str:
    """The newest incidents, open and over."""
    silences = store.decisions.silences(now)
    found = [opened(each, silences, now) for each in store.decisions.recent_incidents(RECENT)]
    return render("incidents.html", watch, viewer, "Incidents", incidents=found)


def timeline(incident: Incident, thought: tuple[Diagnosis, ...]) -> Iterator[Moment]:
    """What happened, oldest first: every change of an alert, and everything that was thought."""
    moments = [
        Moment(each.at, EVENTS[each.event], f"{each.check} · {each.segment}", each.actor, _state(each))
        for each in incident.history
    ]
    causes = [(each.at or incident.opened_at, each) for each in thought]
    moments += [Moment(at, f"{each.cause}: {each.sentence}", "", "diagnosis", "") for at, each in causes]
    yield from sorted(moments, key=lambda each: each.at)


def cells_of(experiment: Experiment) -> Iterator[Measured]:
    """What each way of searching found."""
    for cell in experiment.cells:
        by = ", ".join(f"{lang} {number(value)} (n = {n})" for lang, (n, value) in cell.by.items())
        drawn = drawing.bar(0.0, cell.value, 0.0) if cell.value is not None else Markup()
        yield Measured(cell.name, number(cell.value), cell.n, by, drawn, cell.unable)


def steps_of(experiment: Experiment) -> Iterator[tuple[str, str, str, str, bool]]:
    """(better, worse, difference with its interval, n, whether something is certainly lost on the way)."""
    for each in experiment.contrasts:
        low, high = each.interval
        yield each.old, each.new, f"{each.difference:+.2f} ({low:+.2f} to {high:+.2f})", str(each.n), high < 0


def _shown(watch: Watch, store: Store, member: Member) -> Shown:
    assert member.finding is not None
    finding = member.finding
    check = next((each for each in watch.checks if each.name == finding.check), None)
    path = f"checks/{segment(finding.check)}?segment={segment(finding.segment)}" if check is not None else ""
    runs = check is not None and check.needs == "runs"
    source = check.source if check is not None else ""
    return Shown(evidence_of(finding, watch, store), path, member.alert.state, runs, source)


def _state(transition: Transition) -> str:
    """What an alert has become; empty where it is as it was."""
    return transition.after if transition.after != transition.before else ""


def _concerns(silence: Silence, incident: Incident, now: datetime) -> bool:
    alerts = [member.alert for member in incident.members]
    return any(silenced_until([silence], alert.check, alert.segment, now) for alert in alerts)
