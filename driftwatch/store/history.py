"""A stretch of the past as it was at its end, for reports: what came later is left out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from driftwatch.store.database import Database
from driftwatch.store.diagnoses import histories
from driftwatch.store.rows import transition_of
from driftwatch.store.tables import (
    clicks,
    deliveries,
    feedback,
    feedback_days,
    findings,
    incidents,
    questions,
    runs,
    silences,
    transitions,
)
from driftwatch.types import Diagnosis, Silence, Transition

_LOOK = ("check", "segment", "at", "verdict", "message", "kind", "family", "n", "value", "reference", "effect", "low",
         "high", "p_value", "learning", "evidence", "onset")  # fmt: skip
_AT_ONCE = 500
"""Names in one statement."""


class Looked(NamedTuple):
    """One finding without what only its check reads."""

    check: str
    segment: str
    at: datetime
    verdict: str
    message: str
    kind: str
    family: str
    n: int
    value: float | None
    reference: float | None
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    learning: bool
    evidence: float | None
    onset: datetime | None


class Counted(NamedTuple):
    """How many looks ended alike."""

    check: str
    segment: str
    verdict: str
    learning: bool
    looks: int


class Past(NamedTuple):
    """One incident, with what was known of it."""

    incident_id: str
    family: str
    transitions: tuple[Transition, ...]
    """Oldest first."""
    diagnoses: tuple[Diagnosis, ...]
    """Oldest first."""


class Ran(NamedTuple):
    """One piece of scheduled work."""

    job: str
    due: datetime
    status: str


class Told(NamedTuple):
    """One delivery of something that happened."""

    receiver: str
    at: datetime
    """When it happened."""
    state: str
    held: bool
    """Whether a silence held it back."""
    finished: datetime | None
    outcome: str


class Asked(NamedTuple):
    """A person was asked whether a model may be switched on, or answered."""

    at: datetime
    job_id: str
    action: str
    """`asked`, `approve`, `reject`, or `expiry`."""
    who: str
    why: str
    accepted: bool


class History:
    """What was found, decided and done in [start, end)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- findings --------------------------------------------------------------------------------------------------

    def counted(self, start: datetime, end: datetime) -> list[Counted]:
        """How the looks of every check and segment ended."""
        names = (findings.c.check, findings.c.segment, findings.c.verdict, findings.c.learning)
        query = sa.select(*names, sa.func.count()).where(*_within(findings.c.at, start, end))
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(*names).order_by(*names))
            return [
                Counted(check, segment, verdict, bool(learning), n) for check, segment, verdict, learning, n in rows
            ]

    def last_looks(self, start: datetime, end: datetime) -> list[Looked]:
        """The newest finding of every check and segment, by name."""
        place = (findings.c.check, findings.c.segment)
        newest = sa.select(*place, sa.func.max(findings.c.at).label("at")).where(*_within(findings.c.at, start, end))
        last = newest.group_by(*place).subquery()
        same = sa.and_(*(findings.c[name] == last.c[name] for name in ("check", "segment", "at")))
        return self._looks(sa.select(*_columns()).join(last, same).order_by(*place))

    def strongest(self, check: str, segment: str, start: datetime, end: datetime) -> Looked | None:
        """The finding with the largest effect that was not ok; of equal ones the first. Unknown where nothing else."""
        place = (findings.c.check == check, findings.c.segment == segment, *_within(findings.c.at, start, end))
        query = sa.select(*_columns()).where(*place, findings.c.verdict != "ok")
        known = sa.case((findings.c.verdict == "unknown", 1), else_=0)
        effect = sa.func.abs(sa.func.coalesce(findings.c.effect, 0.0))
        found = self._looks(query.order_by(known, effect.desc(), findings.c.at).limit(1))
        return found[0] if found else None

    def most_evidence(self, checks: Collection[str], start: datetime, end: datetime) -> Looked | None:
        """The finding of these checks with the most evidence; of equal ones the first."""
        place = (findings.c.check.in_(sorted(checks)), *_within(findings.c.at, start, end))
        query = sa.select(*_columns()).where(*place, findings.c.evidence.is_not(None))
        order = (findings.c.evidence.desc(), findings.c.at, findings.c.check, findings.c.segment)
        found = self._looks(query.order_by(*order).limit(1))
        return found[0] if found else None

    def with_topics(
        self, checks: Collection[str], start: datetime, end: datetime
    ) -> Iterator[tuple[Looked, list[Any]]]:
        """The findings that name new topics, oldest first, with what they say of these."""
        details = sa.type_coerce(findings.c.details, sa.Text)
        place = (findings.c.check.in_(sorted(checks)), *_within(findings.c.at, start, end))
        query = sa.select(*_columns(), details.label("told")).where(*place, details.like('%"topics":[{%'))
        with self._database.reading() as connection:
            order = (findings.c.at, findings.c.check, findings.c.segment)
            for row in connection.execute(query.order_by(*order)):
                yield Looked(*row[:-1]), list(orjson.loads(row.told)["topics"])

    def _looks(self, query: sa.Select[Any]) -> list[Looked]:
        with self._database.reading() as connection:
            return [Looked(*row) for row in connection.execute(query)]

    # --- incidents -------------------------------------------------------------------------------------------------

    def incidents(self, start: datetime, end: datetime) -> list[Past]:
        """Those that may have been open in [start, end), by when they opened; nothing of them that came later."""
        may_be = (incidents.c.opened_at < end, _open_since(start))
        query = sa.select(incidents.c.incident_id, incidents.c.family).where(*may_be)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(incidents.c.opened_at, incidents.c.incident_id)).fetchall()
            names = [row.incident_id for row in rows]
            news = self._transitions(connection, names, end)
            thought = {name: each for part in _parts(names) for name, each in histories(connection, part).items()}
        return [
            Past(
                name,
                family,
                tuple(news.get(name, ())),
                tuple(each for each in thought.get(name, ()) if each.at is not None and each.at < end),
            )
            for name, family in rows
        ]

    def _transitions(
        self, connection: sa.Connection, names: Collection[str], end: datetime
    ) -> Mapping[str, list[Transition]]:
        found: defaultdict[str, list[Transition]] = defaultdict(list)
        for part in _parts(list(names)):
            query = sa.select(transitions).where(transitions.c.incident.in_(part), transitions.c.at < end)
            for row in connection.execute(query.order_by(transitions.c.number)).mappings():
                found[row["incident"]].append(transition_of(row))
        return found

    def silences(self, end: datetime) -> list[Silence]:
        """Everything that anybody had silenced, oldest first."""
        query = sa.select(silences).where(silences.c.created < end)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(silences.c.created, silences.c.silence_id)).mappings()
            return [Silence(**row) for row in rows]

    def asked(self, end: datetime) -> list[Asked]:
        """What people were asked and said of models, oldest first."""
        put = sa.select(questions.c.asked_at, questions.c.job_id, questions.c.title).where(questions.c.asked_at < end)
        said = (clicks.c.at, clicks.c.job_id, clicks.c.action, clicks.c.name, clicks.c.user, clicks.c.why)
        answers = sa.select(*said, clicks.c.accepted, clicks.c.outcome).where(clicks.c.at < end, clicks.c.job_id != "")
        with self._database.reading() as connection:
            found = [Asked(at, job, "asked", "", title, True) for at, job, title in connection.execute(put)]
            for at, job, action, name, user, why, accepted, outcome in connection.execute(answers):
                found.append(Asked(at, job, action, name or user, why, accepted or outcome == "expired"))
        return sorted(found, key=lambda each: (each.at, each.job_id, each.action != "asked"))

    # --- work ------------------------------------------------------------------------------------------------------

    def ran(self, start: datetime, end: datetime) -> list[Ran]:
        """The scheduled work whose due time was then, by job and time."""
        query = sa.select(runs.c.check, runs.c.scheduled_for, runs.c.status)
        query = query.where(*_within(runs.c.scheduled_for, start, end)).order_by(runs.c.check, runs.c.scheduled_for)
        with self._database.reading() as connection:
            return [Ran(*row) for row in connection.execute(query)]

    def first_runs(self) -> dict[str, datetime]:
        """Job -> the oldest due time that is known to have been worked off."""
        query = sa.select(runs.c.check, sa.func.min(runs.c.scheduled_for)).group_by(runs.c.check)
        with self._database.reading() as connection:
            return dict(connection.execute(query).all())

    def told(self, start: datetime, end: datetime) -> list[Told]:
        """The deliveries of what happened then, as they stood at ``end``, by receiver and time."""
        columns = (deliveries.c.receiver, transitions.c.at, deliveries.c.state, deliveries.c.held_until)
        query = sa.select(*columns, deliveries.c.finished_at, deliveries.c.outcome)
        query = query.join(transitions, transitions.c.key == deliveries.c.transition)
        query = query.where(*_within(transitions.c.at, start, end))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(deliveries.c.receiver, deliveries.c.delivery_id)).fetchall()
        return [
            Told(receiver, at, state, held is not None, finished, outcome)
            if finished is not None and finished < end
            else Told(receiver, at, "waiting", held is not None, None, "")
            for receiver, at, state, held, finished, outcome in rows
        ]

    def feedback_lines(self, source: str, first: date, last: date) -> tuple[int, int]:
        """(lines with feedback that are not kept, lines that were heard) of the days first to last."""

        def by_day(table: sa.Table, count: Any) -> dict[date, int]:
            within = (table.c.source == source, table.c.day >= first, table.c.day <= last)
            rows = connection.execute(sa.select(table.c.day, count).where(*within).group_by(table.c.day))
            return {day: int(lines) for day, lines in rows}

        with self._database.reading() as connection:
            heard = by_day(feedback_days, sa.func.sum(feedback_days.c.lines))
            kept = by_day(feedback, sa.func.count())
        return sum(max(0, lines - kept.get(day, 0)) for day, lines in heard.items()), sum(heard.values())


def _columns() -> list[sa.Column[Any]]:
    return [findings.c[name] for name in _LOOK]


def _within(column: sa.Column[Any], start: datetime, end: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return column >= start, column < end


def _open_since(start: datetime) -> sa.ColumnElement[bool]:
    return sa.or_(incidents.c.resolved_at.is_(None), incidents.c.resolved_at >= start)


def _parts(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _AT_ONCE):
        yield names[start : start + _AT_ONCE]
