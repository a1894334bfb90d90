"""What a notice says, in words and numbers: pure, and the same for every receiver.

Everything in a ``Message`` is one line of clean text (see ``_text.clean``): what users asked and what files are called
has lost its teeth here, whoever shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from driftwatch.notify._languages import segment_name
from driftwatch.notify._text import clean
from driftwatch.notify._why import Why, why
from driftwatch.types import Alert, Finding, Incident, Member, Notice, Transition

Tone = Literal["bad", "warn", "blind", "good"]
ICONS: dict[Tone, str] = {"bad": "🔴", "warn": "🟠", "blind": "⚪", "good": "🟢"}

MOST_PARTS = 3
MOST_EXAMPLES = 5

_EVIDENCE = {"canaries": "Canaries", "scores": "Sessions"}


@dataclass(frozen=True, slots=True)
class Part:
    """What one alert of the incident says."""

    heading: str
    """The check, and the segment where that is not the incident's; empty when there is only one part."""
    sentence: str
    numbers: tuple[tuple[str, str], ...]
    """Label and figure: driftwatch's own words and digits, nothing a user wrote."""


@dataclass(frozen=True, slots=True)
class Message:
    """An incident as it stands."""

    tone: Tone
    title: str
    why: Why | None
    """What most likely broke; None: not known."""
    parts: tuple[Part, ...]
    more: str
    """Names the alerts that have no part of their own; empty when all have one."""
    examples: tuple[str, ...]
    service: str
    incident_id: str
    opened_at: datetime
    openings: tuple[datetime, ...]
    """Several, when it was over in between."""
    lasted: str
    """How long it took, the last time; empty while it is open."""
    acknowledged_by: str
    url: str

    @property
    def command(self) -> str:
        """What to run for the evidence."""
        return f"driftwatch explain {self.incident_id}"


@dataclass(frozen=True, slots=True)
class News:
    """One transition, as the history of its incident tells it."""

    icon: str
    title: str
    sentence: str
    at: datetime


def message(notice: Notice, *, with_queries: bool = True) -> Message:
    """The incident of ``notice`` as it is stored now; without queries, examples are named by their ids."""
    incident = notice.incident
    shown = _shown(incident)
    alone = len(shown) == 1
    return Message(
        tone=_tone(incident, shown),
        title=_title(incident, shown),
        why=why(incident.diagnosis),
        parts=tuple(_part(member, incident, alone) for member in shown[:MOST_PARTS]),
        more=clean(", ".join(_name(member.alert, incident) for member in shown[MOST_PARTS:]), 200),
        examples=() if incident.state == "resolved" else _examples(shown, notice.example_texts if with_queries else {}),
        service=clean(notice.service, 60),
        incident_id=clean(incident.incident_id, 60),
        opened_at=incident.opened_at,
        openings=incident.openings,
        lasted=length(incident.resolved_at - incident.openings[-1]) if incident.resolved_at else "",
        acknowledged_by=clean(_looked_after_by(incident), 60),
        url=notice.url,
    )


def news(notice: Notice) -> News:
    """The transition of ``notice``, with what was found when it happened."""
    transition = notice.transition
    if transition.event == "explained":
        return _explained(notice)
    finding = notice.finding or _newest(notice)
    name = clean(f"{_place(transition.segment, finding)} · {transition.check}", 120)
    title = f"{name} {_verb(transition, notice.incident)}{_and_others(notice)}"
    silent = finding is None or transition.event == "acknowledged"
    return News(
        icon="👀" if transition.event == "acknowledged" else ICONS[_news_tone(transition, finding)],
        title=clean(title, 240),
        sentence="" if silent else clean(_sentence(finding), 500),
        at=transition.at,
    )


def _explained(notice: Notice) -> News:
    told = why(notice.incident.diagnosis)
    if told is None:
        return News("🔎", "No cause that is known fits", "", notice.at)
    return News("🔎", told.cause, f"{told.sentence} {told.action}", notice.at)


def _and_others(notice: Notice) -> str:
    """What happened to other alerts of the incident at the same moment is told with it, not after it."""
    same = [each for each in notice.incident.history if (each.event, each.at) == (notice.event, notice.at)]
    others = len(same) - 1
    return f", and {others} more alert{'s' if others > 1 else ''} with it" if others > 0 else ""


def calls(incident: Incident) -> bool:
    """Whether an incident is one to call somebody for: it fires, and not only as a warning."""
    return _tone(incident, _shown(incident)) == "bad"


def pages(notice: Notice) -> bool:
    """Whether this very notice calls: the first firing of an incident that still fires, warnings left out."""
    told = [each.key for each in notice.incident.history if each.event == "firing" and each.verdict != "warn"]
    return notice.event == "firing" and told[:1] == [notice.key] and calls(notice.incident)


def reopens(notice: Notice) -> bool:
    """Whether the incident had been over: it calls nobody again, and is not to go unseen in an old thread."""
    return notice.event == "firing" and notice.at in notice.incident.openings[1:]


def _shown(incident: Incident) -> list[Member]:
    """The alerts to speak of, the worst first; those that are well again only once all of them are."""
    order = {"firing": 0, "blind": 1}
    if incident.state == "resolved":
        return list(incident.members)
    return sorted(
        (member for member in incident.members if member.alert.state in order),
        key=lambda member: order[member.alert.state],
    )


def _looked_after_by(incident: Incident) -> str:
    since = incident.openings[-1]
    lately = [each for each in incident.history if each.event == "acknowledged" and each.at >= since]
    return lately[-1].actor if lately else ""


def _tone(incident: Incident, shown: list[Member]) -> Tone:
    if incident.state == "resolved":
        return "good"
    if incident.state == "blind":
        return "blind"
    verdicts = _firing_verdicts(shown)
    return "warn" if verdicts and verdicts <= {"warn", "ok"} else "bad"


def _firing_verdicts(shown: list[Member]) -> set[str]:
    """What was found last of the alerts that fire; all of it `ok` when they are on their way back."""
    firing = [member.finding for member in shown if member.alert.state == "firing"]
    return {finding.verdict if finding else "unknown" for finding in firing}


def _title(incident: Incident, shown: list[Member]) -> str:
    worst = [member for member in shown if incident.state in ("resolved", member.alert.state)]
    names = list(dict.fromkeys(member.alert.check for member in worst)) or [incident.family]
    several = len(names) > 1
    name = f"{clean(names[0], 60)} and {len(names) - 1} more" if several else clean(names[0], 80)
    place = _place(incident.segment, next((m.finding for m in worst if m.finding), None))
    return f"{place} · {name} {_standing(incident, worst, several)}"


def _standing(incident: Incident, worst: list[Member], several: bool) -> str:
    if incident.state == "firing":
        again = " again" if len(incident.openings) > 1 else ""
        standing = "recovering" if _firing_verdicts(worst) == {"ok"} else f"failing{again}"
        return f"are {standing}" if several else f"is {standing}"
    if incident.state == "blind":
        return "cannot be judged"
    if any(each.event == "firing" for each in incident.history):
        return "are back to normal" if several else "is back to normal"
    return "can be judged again"


def _verb(transition: Transition, incident: Incident) -> str:
    """What happened to the check, in the words that follow its name."""
    if transition.event == "resolved":
        return f"is back to normal{_after(transition, incident, 'firing')}"
    if transition.event == "sighted":
        back = {"firing": "and has not recovered", "pending": "and is being watched"}.get(transition.after, "")
        return f"can be judged again{_after(transition, incident, 'blind')} {back}".strip()
    if transition.event == "acknowledged":
        return f"is looked after by {clean(transition.actor, 60) or 'somebody'}"
    failing = transition.after == "firing"
    if transition.event == "reminded":
        still = "is still failing" if failing else "still cannot be judged"
        since = max((at for at in incident.openings if at <= transition.at), default=incident.opened_at)
        return f"{still}, for {length(transition.at - since)} now"
    return f"is failing{_again(transition, incident)}" if failing else "cannot be judged"


def _again(transition: Transition, incident: Incident) -> str:
    """`` again, ...``: how often the same alert has fired in this incident."""
    times = sum(
        (each.check, each.segment, each.event) == (transition.check, transition.segment, "firing")
        and each.at <= transition.at
        for each in incident.history
    )
    return f" again, {times} times since {moment(incident.opened_at)}" if times > 1 else ""


def _after(transition: Transition, incident: Incident, event: str) -> str:
    """`` after 5 h``: since the last ``event`` of the same alert."""
    began = [
        each.at
        for each in incident.history
        if (each.check, each.segment, each.event) == (transition.check, transition.segment, event)
        and each.at <= transition.at
    ]
    return f" after {length(transition.at - began[-1])}" if began else ""


def _news_tone(transition: Transition, finding: Finding | None) -> Tone:
    if transition.after == "firing":
        return "warn" if finding is not None and finding.verdict == "warn" else "bad"
    if transition.after == "blind":
        return "blind"
    return "warn" if transition.after == "pending" else "good"


def _part(member: Member, incident: Incident, alone: bool) -> Part:
    heading = "" if alone else clean(_name(member.alert, incident), 100)
    sentence = clean(_sentence(member.finding), 500)
    return Part(heading, sentence, numbers(member.finding) if member.finding else ())


def _name(alert: Alert, incident: Incident) -> str:
    return alert.check if alert.segment == incident.segment else f"{segment_name(alert.segment)} · {alert.check}"


def _sentence(finding: Finding | None) -> str:
    """What a check found, beginning as a sentence does; ``nDCG`` stays as it is."""
    if finding is None:
        return "No finding is kept."
    first = finding.message.split(" ", 1)[0]
    return finding.message[:1].upper() + finding.message[1:] if first.islower() else finding.message


def _place(segment: str, finding: Finding | None) -> str:
    return segment_name(segment, rest=bool(finding and finding.details.get("without")))


def _newest(notice: Notice) -> Finding | None:
    wanted = (notice.transition.check, notice.transition.segment)
    found = (m.finding for m in notice.incident.members if (m.alert.check, m.alert.segment) == wanted)
    return next(found, None)


def _examples(shown: list[Member], example_texts: Mapping[str, str]) -> tuple[str, ...]:
    """What was asked, else its id where the privacy setting keeps no text."""
    wanted = dict.fromkeys(query_id for member in shown if member.finding for query_id in member.finding.examples)
    texts = (clean(example_texts.get(query_id) or query_id, 160) for query_id in wanted)
    return tuple(dict.fromkeys(text for text in texts if text))[:MOST_EXAMPLES]


# --- numbers and times ---------------------------------------------------------------------------------------------


def numbers(finding: Finding) -> tuple[tuple[str, str], ...]:
    """The figures of a finding with their labels; what is missing or not finite is left out."""
    low, high = finding.interval or (None, None)
    interval = f" ({figure(low, '+')} to {figure(high, '+')})" if figure(low) and figure(high) else ""
    change = figure(finding.effect, "+")
    days = _days(finding.evidence)
    rows = (
        ("Now", figure(finding.value)),
        ("Normal", figure(finding.reference)),
        ("Change", f"{change}{interval}" if change else ""),
        ("KS statistic D", figure(finding.statistic) if finding.kind == "score_drift" else ""),
        ("p-value", _p_value(finding.p_value) if not days else ""),
        ("Evidence", days),
        ("Since about", _onset(finding.onset) if finding.onset is not None else ""),
        (_EVIDENCE.get(finding.family, "Queries"), f"{finding.n:,}" if finding.n else ""),
    )
    return tuple((label, shown) for label, shown in rows if shown)


def figure(value: float | None, sign: str = "") -> str:
    """Three significant digits; empty for nothing and for what is not finite.

    >>> figure(0.41234), figure(-0.5, "+"), figure(12345.6), figure(float("nan"))
    ('0.412', '-0.5', '12,346', '')
    """
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:{sign},.0f}" if 1000 <= abs(value) < 1e12 else f"{value:{sign}.3g}"


def _onset(at: datetime) -> str:
    """An onset is found to a few hours where it is new, else to the day."""
    return moment(at) if at.hour else f"{at.day} {at:%b %Y}"


def _days(evidence: float | None) -> str:
    """Evidence as a length of time; empty for less than a day of it, as after it was told."""
    if evidence is None or not evidence >= 1:
        return ""
    return "more than 10,000 days" if evidence > 10_000 else f"{figure(evidence)} days"


def _p_value(p: float | None) -> str:
    if p is None or not math.isfinite(p):
        return ""
    return "below 0.0001" if p < 0.0001 else f"{p:.2g}"


def length(span: timedelta) -> str:
    """The two largest units.

    >>> length(timedelta(hours=5, minutes=12, seconds=9)), length(timedelta(seconds=20))
    ('5 h 12 min', 'less than a minute')
    """
    minutes = max(0, int(span.total_seconds() // 60))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    units = ((days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min"))
    shown = [f"{count} {unit}" for count, unit in units if count]
    return " ".join(shown[:2]) or "less than a minute"


def moment(at: datetime) -> str:
    """``21 May 2026, 10:00 UTC``."""
    return f"{at:%d %b %Y, %H:%M} UTC".lstrip("0")
