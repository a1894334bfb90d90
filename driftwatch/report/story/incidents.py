"""What changed and why: one card an incident."""

from __future__ import annotations

from collections.abc import Iterator

from driftwatch.report.story.parts import (
    NONE,
    Card,
    Section,
    Table,
    between,
    chance,
    change,
    counted,
    figure,
    language,
    lasted,
    listed,
    moment,
    text,
    whole,
)
from driftwatch.reported import Deed, Incident, Symptom, Week

_WORDS = {
    "repaired": "all of its alerts ended",
    "released": "a new model went into use",
    "rolled back": "the model before it came back into use",
    "baseline": "a new baseline was set",
    "expected": "a change was announced, in whose time nothing is judged",
}


def changed(week: Week) -> Section:
    """Every incident of the week, open ones first."""
    if not week.incidents:
        return Section("changed", "What changed and why", ("No incident was open in this week.",))
    cards = tuple(_card(each, week.timezone) for each in week.incidents)
    return Section("changed", "What changed and why", (), cards)


def title(incident: Incident) -> str:
    """What an incident is called in one line."""
    checks = dict.fromkeys(symptom.check for symptom in incident.symptoms)
    name = listed(checks, 100) if checks else text(incident.family, 100)
    return f"{language(incident.segment)}: {name}"


def cause(incident: Incident) -> str:
    """What most likely broke, or that nobody knows."""
    if not incident.cause:
        return "not looked into"
    return "no known cause fits" if incident.cause == "unknown" else text(incident.cause, 100)


def _card(incident: Incident, timezone: str) -> Card:
    tone = "ok" if incident.state == "resolved" else "unknown" if incident.state == "blind" else "fail"
    if tone == "fail" and not incident.pages:
        tone = "warn"
    return Card(
        title(incident), _state(incident), tone, tuple(_lines(incident, timezone)), tuple(_tables(incident, timezone))
    )


def _state(incident: Incident) -> str:
    return {"firing": "open", "blind": "cannot see", "resolved": "over"}[incident.state]


def _lines(incident: Incident, timezone: str) -> Iterator[tuple[str, str]]:
    yield "Most likely cause", cause(incident)
    if incident.because:
        yield "Because", text(incident.because)
    if incident.action:
        yield "What to do", text(incident.action)
    if earlier := [each for each in incident.causes if each != incident.cause]:
        yield "Also thought of", listed(earlier)
    yield "When", _when(incident, timezone)
    yield "Told as", f"{'a page' if incident.pages else 'a warning'}, {text(incident.incident_id, 80)}"


def _when(incident: Incident, timezone: str) -> str:
    onset = f"most likely since {moment(incident.onset, timezone)}, " if incident.onset else ""
    end = f"over {moment(incident.resolved, timezone)}" if incident.resolved else "still open when the week ended"
    often = f", opened {counted(incident.openings, 'time')}" if incident.openings > 1 else ""
    return f"{onset}noticed {moment(incident.opened, timezone)}, {end}, {lasted(incident.seconds)} in all{often}"


def _tables(incident: Incident, timezone: str) -> Iterator[Table]:
    if incident.symptoms:
        yield _symptoms(incident.symptoms, timezone)
    if incident.done:
        rows = tuple(_deed(each, timezone) for each in incident.done)
        yield Table("What was done", ("when", "what", "by", "said"), rows)


def _deed(deed: Deed, timezone: str) -> tuple[str, str, str, str]:
    said = _WORDS.get(deed.what, "") if not deed.said else text(deed.said, 200)
    return moment(deed.at, timezone), deed.what, text(deed.by, 60) if deed.by else "driftwatch", said or NONE


def _symptoms(symptoms: tuple[Symptom, ...], timezone: str) -> Table:
    """The numbers of an incident, with the finding of its largest effect."""
    columns = (
        "check", "language", "since", "ended", "effect", "95 % interval", "now", "usual", "n", "p", "evidence (days)",
        "what it said",
    )  # fmt: skip
    return Table("What was found", columns, tuple(_symptom(each, timezone) for each in symptoms), tuple(range(4, 11)))


def _symptom(symptom: Symptom, timezone: str) -> tuple[str, ...]:
    found = symptom.at is not None
    said = f"{text(symptom.message)} ({moment(symptom.at, timezone)})" if found else "no longer kept"
    return (
        text(symptom.check, 80),
        language(symptom.segment),
        moment(symptom.onset, timezone),
        f"{symptom.state}, {text(symptom.verdict, 20)}" if symptom.verdict else symptom.state,
        change(symptom.effect),
        between(symptom.low, symptom.high),
        figure(symptom.value),
        figure(symptom.reference),
        whole(symptom.n) if found else NONE,
        chance(symptom.p_value),
        figure(symptom.evidence),
        said,
    )
