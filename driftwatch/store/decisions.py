"""What was decided: findings, alerts, transitions and incidents; and what people decided: silences and baselines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store import incidents as incident_rows
from driftwatch.store import outbox
from driftwatch.store.bulk import Bulk
from driftwatch.store.database import Database
from driftwatch.store.diagnoses import keep as keep_diagnosis
from driftwatch.store.rows import (
    ALERT_COLUMNS,
    FINDING_COLUMNS,
    CheckRun,
    alert_of,
    alert_row,
    finding_of,
    finding_row,
    transition_row,
)
from driftwatch.store.tables import alerts, baselines, findings, incidents, last_findings, runs, silences, transitions
from driftwatch.store.tables import ledgers as ledger_rows
from driftwatch.store.totals import Looked, count_looks
from driftwatch.types import Alert, Baseline, Diagnosis, Finding, Incident, Silence, Transition

_SILENCE = tuple(each.name for each in fields(Silence))
_BASELINE = tuple(each.name for each in fields(Baseline))


class Decisions:
    """Everything that is decided, and the work that was done for it. Writes survive a power cut."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._finding_rows = _upsert_findings(database.insert)
        self._newest_rows = _upsert_newest(database.insert)
        self._alert_rows = _upsert_alerts(database.insert)

    # --- one tick --------------------------------------------------------------------------------------------------

    def record(
        self,
        *,
        findings: Iterable[Finding],
        alerts: Iterable[Alert],
        transitions: Iterable[Transition],
        receivers: Mapping[str, frozenset[str]],
        held: Mapping[str, datetime] | None = None,
        run: CheckRun | None = None,
        ledgers: Mapping[str, bytes] | None = None,
        diagnoses: Mapping[str, Diagnosis] | None = None,
        looked: Iterable[Looked] = (),
    ) -> bool:
        """Write what one tick found and decided, with a delivery for every receiver that is told: all of it or nothing.

        False, and nothing is written, when ``run`` was recorded before. A transition whose key is known is left out;
        a second finding of one check, segment and time takes the place of the first: the same window was judged again
        and more is known of it. An ``acknowledged`` transition touches nothing of its alert but who acknowledged, and
        is left out when that alert has left the incident.

        Args:
            findings: what the checks said.
            alerts: the alerts that changed.
            transitions: what of it is news, oldest first.
            receivers: receiver -> the events it is told.
            held: transition key -> not to be delivered before (a silence).
            run: the scheduled work that this was.
            ledgers: check -> the evidence that it carries to its next look.
            diagnoses: incident -> what is thought to have broken, from now on.
            looked: the looks that this was, to be counted.
        """
        news = list(transitions)
        held = held or {}
        insert = self._database.insert
        with self._database.writing(durable=True) as connection:
            if run is not None and not _add_run(connection, insert, run):
                return False
            found = list(findings)
            self._finding_rows.write(connection, [finding_row(each) for each in found])
            self._newest_rows.write(connection, [(each.check, each.segment, each.at) for each in found])
            _keep_ledgers(connection, insert, ledgers or {})
            count_looks(connection, insert, looked)
            self._alert_rows.write(connection, _moved(connection, alerts, news))
            possible = (each for each in news if _is_possible(connection, each))
            new = [each for each in possible if _add_transition(connection, insert, each)]
            incident_rows.follow(connection, insert, new)
            for incident, diagnosis in (diagnoses or {}).items():
                keep_diagnosis(connection, insert, incident, diagnosis)
            outbox.post(connection, new, receivers, held)
        return True

    def alerts(self) -> dict[tuple[str, str], Alert]:
        """(check, segment) -> its alert."""
        with self._database.reading() as connection:
            found = map(alert_of, connection.execute(sa.select(*ALERT_COLUMNS)))
            return {(alert.check, alert.segment): alert for alert in found}

    def ledgers(self) -> dict[str, bytes]:
        """Check -> the evidence that it carried from its last look."""
        with self._database.reading() as connection:
            return {row.check: row.body for row in connection.execute(sa.select(ledger_rows))}

    def last_findings(self, checks: Collection[str] | None = None) -> dict[tuple[str, str], Finding]:
        """(check, segment) -> its newest finding; of these ``checks`` only, when they are given."""
        with self._database.reading() as connection:
            return incident_rows.newest_findings(connection, checks)

    def findings(
        self, check: str | None = None, segment: str | None = None, since: datetime | None = None, limit: int = 1000
    ) -> list[Finding]:
        """Findings, newest first."""
        query = sa.select(findings).order_by(findings.c.at.desc(), findings.c.check, findings.c.segment).limit(limit)
        if check is not None:
            query = query.where(findings.c.check == check)
        if segment is not None:
            query = query.where(findings.c.segment == segment)
        if since is not None:
            query = query.where(findings.c.at >= since)
        with self._database.reading() as connection:
            return [finding_of(row) for row in connection.execute(query).mappings()]

    # --- incidents -------------------------------------------------------------------------------------------------

    def incident(self, incident_id: str) -> Incident | None:
        """One incident with everything that is known of it."""
        found = self._incidents(sa.select(incidents).where(incidents.c.incident_id == incident_id))
        return found[0] if found else None

    def open_incidents(self) -> list[Incident]:
        """The incidents that are not resolved, newest first."""
        query = sa.select(incidents).where(incidents.c.resolved_at.is_(None))
        return self._incidents(query.order_by(incidents.c.opened_at.desc(), incidents.c.incident_id))

    def unforgotten(self, since: datetime) -> list[Incident]:
        """The incidents that are not resolved, or were only after ``since``; newest first."""
        lately = sa.or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at > since)
        query = sa.select(incidents).where(lately)
        return self._incidents(query.order_by(incidents.c.opened_at.desc(), incidents.c.incident_id))

    def recent_incidents(self, limit: int = 20) -> list[Incident]:
        """Open and resolved incidents, newest first."""
        query = sa.select(incidents).order_by(incidents.c.opened_at.desc(), incidents.c.incident_id)
        return self._incidents(query.limit(limit))

    def _incidents(self, query: sa.Select[Any]) -> list[Incident]:
        with self._database.reading() as connection:
            return incident_rows.read(connection, connection.execute(query).fetchall())

    # --- silences --------------------------------------------------------------------------------------------------

    def add_silence(self, silence: Silence) -> None:
        """Hold back what waits to be said about an alert; what ``record`` adds later it is told to hold."""
        with self._database.writing(durable=True) as connection:
            connection.execute(self._database.insert(silences).on_conflict_do_nothing(), asdict(silence))
            outbox.hold(connection, silence)

    def silences(self, now: datetime) -> list[Silence]:
        """The silences that hold now, the one that ends first first."""
        with self._database.reading() as connection:
            return _silences(connection, now)

    def expire_silence(self, silence_id: str, now: datetime) -> bool:
        """End a silence now and let go of what only it held back; False when no such silence holds."""
        ended = (silences.c.silence_id == silence_id, silences.c.until > now)
        with self._database.writing(durable=True) as connection:
            if not connection.execute(sa.update(silences).where(*ended).values(until=now)).rowcount:
                return False
            outbox.hold_again(connection, _silences(connection, now), now)
        return True

    # --- baselines -------------------------------------------------------------------------------------------------

    def set_baseline(self, baseline: Baseline) -> None:
        """Make this the baseline of its source; the ones before it are kept as history."""
        with self._database.writing(durable=True) as connection:
            connection.execute(sa.insert(baselines), asdict(baseline))

    def baseline(self) -> Baseline | None:
        """The baseline that was set last."""
        known = self.baselines()
        return known[-1] if known else None

    def baselines(self) -> list[Baseline]:
        """Every baseline that was ever set, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(baselines).order_by(baselines.c.number)).mappings()
            return [Baseline(**{name: row[name] for name in _BASELINE}) for row in rows]

    # --- work that was done ----------------------------------------------------------------------------------------

    def record_run(self, run: CheckRun) -> bool:
        """Note that something scheduled was done; False when that was known already."""
        with self._database.writing() as connection:
            return _add_run(connection, self._database.insert, run)

    def last_runs(self) -> dict[str, datetime]:
        """Job -> the newest due time for which it was done."""
        query = sa.select(runs.c.check, sa.func.max(runs.c.scheduled_for)).group_by(runs.c.check)
        with self._database.reading() as connection:
            return dict(connection.execute(query).all())


def _add_run(connection: Connection, insert: Any, run: CheckRun) -> bool:
    return Database.added(connection, insert(runs).on_conflict_do_nothing(), asdict(run))


def _upsert_findings(insert: Any) -> Bulk:
    """A second finding of the same window takes the place of the first."""
    written = insert(findings)
    judged_again = {name: written.excluded[name] for name in FINDING_COLUMNS if name not in ("check", "segment", "at")}
    written = written.on_conflict_do_update(index_elements=["check", "segment", "at"], set_=judged_again)
    return Bulk(findings, written, FINDING_COLUMNS)


def _upsert_newest(insert: Any) -> Bulk:
    newest = insert(last_findings)
    newest = newest.on_conflict_do_update(
        index_elements=["check", "segment"],
        set_={"at": newest.excluded.at},
        where=newest.excluded.at > last_findings.c.at,
    )
    return Bulk(last_findings, newest, ("check", "segment", "at"))


def _upsert_alerts(insert: Any) -> Bulk:
    """A person's acknowledgement and a tick may meet here, and neither undoes the other."""
    statement = insert(alerts)
    kept = sa.and_(
        statement.excluded.acknowledged_by == "",
        statement.excluded.incident != "",
        statement.excluded.incident == alerts.c.incident,
    )
    names = [column.name for column in ALERT_COLUMNS]
    changed = {name: statement.excluded[name] for name in names if name not in ("check", "segment")}
    changed["acknowledged_by"] = sa.case((kept, alerts.c.acknowledged_by), else_=statement.excluded.acknowledged_by)
    written = statement.on_conflict_do_update(index_elements=["check", "segment"], set_=changed)
    return Bulk(alerts, written, names)


def _keep_ledgers(connection: Connection, insert: Any, bodies: Mapping[str, bytes]) -> None:
    if not bodies:
        return
    written = insert(ledger_rows)
    written = written.on_conflict_do_update(index_elements=["check"], set_={"body": written.excluded.body})
    connection.execute(written, [{"check": check, "body": body} for check, body in bodies.items()])


def _moved(connection: Connection, moved: Iterable[Alert], news: list[Transition]) -> list[tuple[Any, ...]]:
    """The rows of alerts that moved; of those that a person acknowledged, that alone is written."""
    acknowledged = {(each.check, each.segment): each for each in news if each.event == "acknowledged"}
    rows = []
    for alert in moved:
        if (by := acknowledged.get((alert.check, alert.segment))) is not None:
            _acknowledge(connection, by)
        else:
            rows.append(alert_row(alert))
    return rows


def _acknowledge(connection: Connection, transition: Transition) -> None:
    connection.execute(sa.update(alerts).where(*_in_incident(transition)).values(acknowledged_by=transition.actor))


def _is_possible(connection: Connection, transition: Transition) -> bool:
    """Whether there still is something to acknowledge."""
    if transition.event != "acknowledged":
        return True
    return connection.execute(sa.select(alerts.c.check).where(*_in_incident(transition))).first() is not None


def _in_incident(transition: Transition) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        alerts.c.check == transition.check,
        alerts.c.segment == transition.segment,
        alerts.c.incident == transition.incident,
    )


def _add_transition(connection: Connection, insert: Any, transition: Transition) -> bool:
    return Database.added(connection, insert(transitions).on_conflict_do_nothing(), transition_row(transition))


def _silences(connection: Connection, now: datetime) -> list[Silence]:
    query = sa.select(silences).where(silences.c.created <= now, silences.c.until > now).order_by(silences.c.until)
    return [Silence(**{name: row[name] for name in _SILENCE}) for row in connection.execute(query).mappings()]
