"""Incidents: opened and closed by the transitions that name them, told from alerts, findings and transitions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from driftwatch.store import diagnoses
from driftwatch.store.rows import ALERT_COLUMNS, alert_of, finding_of, transition_of
from driftwatch.store.tables import alerts, findings, incidents, last_findings, transitions
from driftwatch.types import POOLED, Alert, Finding, Incident, Member, Transition

_OPENING = ("firing", "blind")


def follow(connection: Connection, insert: Any, news: Iterable[Transition]) -> None:
    """Open the incidents that new transitions name, and close those whose last alert is over.

    Alerts must be written before. The pooled segment names an incident that it joins: it then is everywhere. An
    incident that was over is about the segment that reopens it.
    """
    touched: dict[str, datetime] = {}
    for transition in news:
        if not transition.incident:
            continue
        touched[transition.incident] = transition.at
        if transition.event in _OPENING:
            _open(connection, insert, transition)
    for incident_id, at in touched.items():
        _close(connection, incident_id, at)


def _open(connection: Connection, insert: Any, transition: Transition) -> None:
    statement = insert(incidents).values(
        incident_id=transition.incident,
        family=transition.family,
        segment=transition.segment,
        opened_at=transition.at,
        resolved_at=None,
    )
    renamed = sa.or_(incidents.c.resolved_at.is_not(None), statement.excluded.segment == POOLED)
    joined = {
        "resolved_at": None,
        "segment": sa.case((renamed, statement.excluded.segment), else_=incidents.c.segment),
    }
    connection.execute(statement.on_conflict_do_update(index_elements=["incident_id"], set_=joined))


def _close(connection: Connection, incident_id: str, at: datetime) -> None:
    still_open = sa.exists().where(alerts.c.incident == incident_id, alerts.c.state.in_(_OPENING))
    connection.execute(
        sa.update(incidents)
        .where(incidents.c.incident_id == incident_id, incidents.c.resolved_at.is_(None), ~still_open)
        .values(resolved_at=at)
    )


def read(connection: Connection, rows: Sequence[Row[Any]]) -> list[Incident]:
    """The incidents of these rows of ``tables.incidents``, in their order."""
    names = [row.incident_id for row in rows]
    history: dict[str, list[Transition]] = {name: [] for name in names}
    query = sa.select(transitions).where(transitions.c.incident.in_(names)).order_by(transitions.c.number)
    for row in connection.execute(query).mappings():
        history[row["incident"]].append(transition_of(row))
    places = {(each.check, each.segment) for told in history.values() for each in told}
    current = _alerts(connection, places)
    newest = newest_findings(connection, {check for check, _ in places})
    thought = diagnoses.histories(connection, names)
    return [
        Incident(
            incident_id=row.incident_id,
            family=row.family,
            segment=row.segment,
            opened_at=row.opened_at,
            resolved_at=row.resolved_at,
            members=tuple(
                Member(current.get(place, Alert(*place)), newest.get(place))
                for place in dict.fromkeys((each.check, each.segment) for each in history[row.incident_id])
            ),
            history=tuple(history[row.incident_id]),
            diagnosis=next(reversed(thought.get(row.incident_id, ())), None),
            suspected=tuple(dict.fromkeys(name for each in thought.get(row.incident_id, ()) for name in each.causes)),
        )
        for row in rows
    ]


def _alerts(connection: Connection, places: set[tuple[str, str]]) -> Mapping[tuple[str, str], Alert]:
    query = sa.select(*ALERT_COLUMNS).where(alerts.c.check.in_({check for check, _ in places}))
    return {(alert.check, alert.segment): alert for alert in map(alert_of, connection.execute(query))}


def newest_findings(connection: Connection, checks: Collection[str] | None = None) -> dict[tuple[str, str], Finding]:
    """(check, segment) -> its newest finding; of ``checks`` only, when they are given."""
    newest = sa.select(last_findings.c.check, last_findings.c.segment, last_findings.c.at)
    if checks is not None:
        newest = newest.where(last_findings.c.check.in_(checks))
    # Not a join: of a check that is named in both tables, SQLite would read every finding that there ever was.
    place = sa.tuple_(findings.c.check, findings.c.segment, findings.c.at)
    query = sa.select(findings).where(place.in_(newest))
    return {(row["check"], row["segment"]): finding_of(row) for row in connection.execute(query).mappings()}
