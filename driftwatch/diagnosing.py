"""One cause, one incident: what fires is diagnosed before anybody is told, and what has one cause is told together."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from driftwatch.alerts import OPEN
from driftwatch.case import RETRIEVAL, Case
from driftwatch.casebook import Casebook
from driftwatch.causes import PASSING, Cause, causes_of, diagnosis_of
from driftwatch.diagnose import RULES
from driftwatch.incidents import Alerts, Decision
from driftwatch.types import POOLED, Diagnosis, Finding, Incident, Member

log = logging.getLogger(__name__)

JOINS = timedelta(hours=24)
"""A cause that is found so soon after an incident opened belongs to it: what breaks together is told together."""

AGAIN = timedelta(hours=1)
"""How long after it was looked at an open incident without a known cause is looked at again."""

LATER = timedelta(days=1)
"""How long after it was looked at an open incident is looked at again whose cause may become another with time."""

NEW = ""
"""The incident that is about to open."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which alerts are of one cause, and what is thought to have broken."""

    together: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(check, segment) -> the open incident that its alert belongs to, or ``NEW``: those share one that opens now."""
    diagnoses: Mapping[str, Diagnosis] = field(default_factory=dict)
    """Incident, or ``NEW`` -> what is thought of it from now on."""
    known: Mapping[str, Diagnosis] = field(default_factory=dict)
    """Open incident -> what was thought of it until now."""
    told: frozenset[str] = frozenset()
    """Incidents of which nothing is thought now that was not thought, and told, at some time before."""

    def written(self, decision: Decision) -> dict[str, Diagnosis]:
        """Incident -> diagnosis, now that ``decision`` has given the new incident its name."""
        diagnoses = {incident: each for incident, each in self.diagnoses.items() if incident != NEW}
        opened = [each.incident for each in decision.transitions if each.event in ("firing", "blind")]
        fresh = [each for each in opened if each and each not in self.together.values()]
        if NEW in self.diagnoses and fresh:
            explained = set(self.diagnoses[NEW].silences)
            for each in decision.transitions:
                fits = (each.check, each.segment) in explained or not explained
                if each.incident in fresh and fits and is_news(self.diagnoses[NEW], self.known.get(each.incident)):
                    diagnoses.setdefault(each.incident, self.diagnoses[NEW])
        return diagnoses


class Diagnosing:
    """Says what broke: when something opens, while nobody knows the cause, and daily while it may become another."""

    def __init__(self, casebook: Casebook) -> None:
        self.casebook = casebook
        self._looked: dict[str, datetime] = {}

    def wanted(self, decision: Decision, incidents: Sequence[Incident], now: datetime) -> bool:
        """Whether something opens now, stands open without a known cause, or with one that may have become another."""
        if any(each.event in ("firing", "blind") for each in decision.transitions):
            return True
        return any(
            now - self._looked.get(each.incident_id, each.openings[-1]) >= wait
            for each in incidents
            if (wait := _again(each.diagnosis)) is not None
        )

    def plan(self, findings: Sequence[Finding], alerts: Alerts, incidents: Sequence[Incident], now: datetime) -> Plan:
        """What broke, and which alerts it explains; an empty plan when even that cannot be found out."""
        self._looked = {each.incident_id: now for each in incidents}  # also what breaks waits before it is tried again
        try:
            case = self.casebook.case(findings, alerts, now)
            return _plan(causes_of(RULES, case), case, self._places(findings, alerts), incidents)
        except Exception:
            # A diagnosis is a help, and an alert must go out without it; the log says what broke.
            log.exception("the diagnosis broke")
            return Plan()

    def _places(self, findings: Iterable[Finding], alerts: Alerts) -> list[tuple[str, str, str]]:
        """(check, family, segment) of every alert that there may be."""
        checks = self.casebook.checks
        seen = {(each.check, each.segment) for each in findings} | set(alerts) | {(name, POOLED) for name in checks}
        return sorted((check, checks[check].family, segment) for check, segment in seen if check in checks)


def _plan(
    causes: Sequence[Cause], case: Case, places: Sequence[tuple[str, str, str]], incidents: Sequence[Incident]
) -> Plan:
    """Where each of ``causes`` belongs, and what is thought of every incident that has one."""
    homes = {cause.name: home_of(cause, incidents, case.now) for cause in causes}
    together: dict[tuple[str, str], str] = {}
    for cause in causes:
        for check, family, segment in places:
            if cause.explains(family, segment):
                together.setdefault((check, segment), homes[cause.name])
    if not causes and (waiting := unexplained(incidents, case.now)):
        together = {(check, segment): waiting for check, family, segment in places if family in RETRIEVAL}
    by_home = {home: [each for each in causes if homes[each.name] == home] for home in dict.fromkeys(homes.values())}
    found = {home: diagnosis_of(there, case, places) for home, there in by_home.items()}
    found.setdefault(NEW, diagnosis_of((), case, (), elsewhere=causes))
    known = {each.incident_id: each.diagnosis for each in incidents if each.diagnosis is not None}
    changed = {home: each for home, each in found.items() if is_news(each, known.get(home))}
    ever = {each.incident_id: each.suspected for each in incidents}
    told = frozenset(home for home, each in changed.items() if home in ever and set(each.causes) <= set(ever[home]))
    return Plan(together, changed, known, told)


def _again(known: Diagnosis | None) -> timedelta | None:
    """After how long an incident is looked at again; None: what is thought of it stays so."""
    if known is None or known.cause == "unknown":
        return AGAIN
    return LATER if PASSING & set(known.causes) else None


def unexplained(incidents: Sequence[Incident], now: datetime) -> str:
    """The open incident whose cause is not known, if it is new: what else goes wrong then is told with it; or empty."""
    waiting = [
        each
        for each in incidents
        if now - each.openings[-1] <= JOINS
        and each.family in RETRIEVAL
        and (each.diagnosis is None or each.diagnosis.cause == "unknown")
    ]
    return max(waiting, key=lambda each: each.openings[-1]).incident_id if waiting else ""


def home_of(cause: Cause, incidents: Sequence[Incident], now: datetime) -> str:
    """The open incident that ``cause`` belongs to, or ``NEW``.

    That is the one that has it already, or what it grew from; else one whose cause is not known and whose alerts it
    explains; else the last one to open, if that was not long ago; of several, one that was once thought to have it.
    """
    for names in ({cause.name}, cause.grows_from):
        for each in incidents:
            if each.diagnosis is not None and names & set(each.diagnosis.causes):
                return each.incident_id
    for each in incidents:
        unknown = each.diagnosis is None or each.diagnosis.cause == "unknown"
        if unknown and any(_explained(cause, each, member) for member in each.members):
            return each.incident_id
    lately = [each for each in incidents if now - each.openings[-1] <= JOINS]
    had = [each for each in lately if cause.name in each.suspected]
    return max(had or lately, key=lambda each: each.openings[-1]).incident_id if lately else NEW


def _explained(cause: Cause, incident: Incident, member: Member) -> bool:
    family = member.finding.family if member.finding is not None else incident.family
    return member.alert.state in OPEN and cause.explains(family, member.alert.segment)


def is_news(found: Diagnosis, known: Diagnosis | None) -> bool:
    """Whether another thing is thought than was thought before; that no cause fits any more is none."""
    if known is None:
        return True
    return found.cause != "unknown" and set(found.causes) - set(known.causes) != set()
