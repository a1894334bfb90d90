"""Incidents as they stood when the week ended: what fired, why, for how long, and what was done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from driftwatch.report.about import About, Severity
from driftwatch.report.figures import rounded
from driftwatch.report.spans import Span
from driftwatch.report.words import without_words
from driftwatch.reported import Deed, Incident, Symptom
from driftwatch.store import Store
from driftwatch.store.history import Looked, Past
from driftwatch.types import POOLED, Baseline, ExpectedChange, Silence, Transition

Place = tuple[str, str]
"""Check and segment."""
State = Literal["firing", "blind", "ok"]

_OPEN = ("firing", "blind")
_MOMENT = timedelta(microseconds=1)
_ORDER = (
    "opened",
    "reopened",
    "silenced",
    "diagnosed",
    "acknowledged",
    "released",
    "rolled back",
    "baseline",
    "expected",
)
"""Of what was done at the same moment; ``repaired`` comes last."""


@dataclass
class Opening:
    """A stretch of time in which an incident was open."""

    start: datetime
    end: datetime | None = None
    news: list[Transition] = field(default_factory=list)

    @property
    def severity(self) -> Severity | None:
        """The worst that fired; None where alerts were only blind."""
        fired = [each.verdict for each in self.news if each.event == "firing"]
        if any(verdict != "warn" for verdict in fired):
            return "page"
        return "warn" if fired else None


@dataclass
class Life:
    """When an incident was open, and how its alerts stand at the end."""

    openings: list[Opening] = field(default_factory=list)
    states: dict[Place, State] = field(default_factory=dict)
    fired: dict[Place, tuple[datetime, datetime | None]] = field(default_factory=dict)
    """Alert -> when it first fired or went blind, and when it last ended; None: it has not."""


def life_of(news: Sequence[Transition]) -> Life:
    """Read the transitions of one incident, oldest first."""
    life = Life()
    going: set[Place] = set()
    for each in news:
        place = each.check, each.segment
        if each.after in _OPEN:
            if not going:
                _open(life, each.at)
            going.add(place)
            first, _ = life.fired.get(place, (each.at, None))
            life.fired[place] = first, None
        elif place in going:
            going.discard(place)
            life.fired[place] = life.fired[place][0], each.at
            if not going:
                life.openings[-1].end = each.at
        if life.openings:
            life.openings[-1].news.append(each)
        life.states[place] = each.after if each.after in _OPEN else "ok"  # type: ignore[assignment]
    return life


def _open(life: Life, at: datetime) -> None:
    """One look may end an alert and begin another: that is the same opening."""
    if life.openings and life.openings[-1].end == at:
        life.openings[-1].end = None
    else:
        life.openings.append(Opening(at))


def openings(store: Store, start: datetime, end: datetime, severity: Severity) -> int:
    """How many incidents opened, or opened again, in [start, end) with this severity."""
    lives = [life_of(past.transitions) for past in store.history.incidents(start, end)]
    found = [each for life in lives for each in life.openings]
    return sum(start <= each.start < end and each.severity == severity for each in found)


def incidents_of(store: Store, about: About, span: Span) -> tuple[Incident, ...]:
    """Those that were open in the week: still open ones first, then the newest first."""
    silences, baselines = store.history.silences(span.until), store.decisions.baselines()
    announced = store.expected.changes()
    found = []
    for past in store.history.incidents(span.start, span.until):
        life = life_of(past.transitions)
        if any(each.end is None or each.end >= span.start for each in life.openings):
            done = [
                *_told(past, life),
                *_silenced(life, silences, span),
                *_changed(about, baselines, announced, life, span),
            ]
            found.append(_incident(store, past, life, done, span, about.shows_queries))
    newest = sorted(found, key=lambda each: (each.opened, each.incident_id), reverse=True)
    return tuple(sorted(newest, key=lambda each: each.resolved is not None))


def _incident(store: Store, past: Past, life: Life, done: Sequence[Deed], span: Span, shows: bool) -> Incident:
    last = life.openings[-1]
    symptoms = sorted(
        (_symptom(store, place, life, span, shows) for place in life.fired),
        key=lambda each: (-(each.evidence or 0.0), -abs(each.effect or 0.0), each.check, each.segment),
    )
    states = life.states.values()
    thought = past.diagnoses[-1] if past.diagnoses else None
    onsets = [each.onset for each in symptoms if each.onset is not None]
    return Incident(
        incident_id=past.incident_id,
        family=past.family,
        segment=_segment(last),
        onset=min(onsets, default=None),
        opened=life.openings[0].start,
        resolved=last.end,
        seconds=sum(((each.end or span.until) - each.start).total_seconds() for each in life.openings),
        openings=len(life.openings),
        state="resolved" if last.end is not None else "firing" if "firing" in states else "blind",
        pages=any(each.severity == "page" for each in life.openings),
        cause=thought.cause if thought else "",
        causes=tuple(dict.fromkeys(each.cause for each in reversed(past.diagnoses))),
        because=thought.sentence if thought else "",
        action=thought.action if thought else "",
        symptoms=tuple(symptoms),
        done=tuple(
            sorted(done, key=lambda each: (each.at, _ORDER.index(each.what) if each.what in _ORDER else len(_ORDER)))
        ),
    )


def _in_order(deed: Deed) -> tuple[datetime, int]:
    return deed.at, _ORDER.index(deed.what) if deed.what in _ORDER else len(_ORDER)


def _segment(opening: Opening) -> str:
    """Where it is: everywhere once the pooled segment is among it, else where it began."""
    segments = [each.segment for each in opening.news if each.after in _OPEN]
    return POOLED if POOLED in segments else segments[0]


def _symptom(store: Store, place: Place, life: Life, span: Span, shows: bool) -> Symptom:
    first, ended = life.fired[place]
    whole_hour = first.replace(minute=0, second=0, microsecond=0)  # where the window ends that the look judged
    found = store.history.strongest(*place, whole_hour, min((ended or span.until) + _MOMENT, span.until))
    if found is None:
        return Symptom(*place, life.states[place])
    return symptom(found, life.states[place], shows=shows)


def symptom(found: Looked, state: State, *, shows: bool) -> Symptom:
    """An alert by one of its findings."""
    return Symptom(
        check=found.check,
        segment=found.segment,
        state=state,
        kind=found.kind,
        family=found.family,
        verdict=found.verdict,
        message=without_words(found.message, found.kind, shows=shows),
        at=found.at,
        n=found.n,
        value=rounded(found.value),
        reference=rounded(found.reference),
        effect=rounded(found.effect),
        low=rounded(found.low),
        high=rounded(found.high),
        p_value=rounded(found.p_value),
        evidence=rounded(found.evidence),
        onset=found.onset,
    )


# --- what was done -------------------------------------------------------------------------------------------------


def _told(past: Past, life: Life) -> Iterator[Deed]:
    """What its own transitions and diagnoses say."""
    for number, each in enumerate(life.openings):
        yield Deed(each.start, "reopened" if number else "opened")
        if each.end is not None:
            yield Deed(each.end, "repaired")
    for news in past.transitions:
        if news.event == "acknowledged":
            yield Deed(news.at, "acknowledged", news.actor)
    before = ""
    for thought in past.diagnoses:
        if thought.cause != before and thought.at is not None:
            yield Deed(thought.at, "diagnosed", said=thought.cause)
            before = thought.cause


def _silenced(life: Life, silences: Sequence[Silence], span: Span) -> Iterator[Deed]:
    start, end = life.openings[0].start, life.openings[-1].end or span.until
    for each in silences:
        matches = any(each.check in ("*", check) and each.segment in ("*", segment) for check, segment in life.fired)
        if matches and each.created < end and each.until > start:
            yield Deed(each.created, "silenced", each.author, each.reason)


def _changed(
    about: About, baselines: Sequence[Baseline], announced: Sequence[ExpectedChange], life: Life, span: Span
) -> Iterator[Deed]:
    """What was changed while it was open."""
    start, end = life.openings[0].start, life.openings[-1].end or span.until
    for event in about.retraining:
        if event.what in ("promoted", "rolled back") and start <= event.at <= end:
            yield Deed(event.at, "released" if event.what == "promoted" else "rolled back", event.by, event.job)
    for each in baselines:
        if each.author != "driftwatch" and start <= each.set_at <= end:
            yield Deed(each.set_at, "baseline", each.author, each.reason)
    for change in announced:
        if start <= change.created <= end:
            yield Deed(change.created, "expected", change.author, change.reason)
