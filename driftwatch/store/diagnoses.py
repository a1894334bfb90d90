"""What was thought to have broken, incident by incident."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.store.database import Database
from driftwatch.store.experiments import known_of, packed, unpacked
from driftwatch.store.tables import diagnoses
from driftwatch.types import Cell, Contrast, Diagnosis, Experiment


class Diagnoses:
    """The diagnoses of every incident."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, incident: str) -> Diagnosis | None:
        """What is thought of an incident now."""
        history = self.history(incident)
        return history[-1] if history else None

    def history(self, incident: str) -> tuple[Diagnosis, ...]:
        """What was thought of an incident, oldest first."""
        with self._database.reading() as connection:
            return tuple(histories(connection, [incident]).get(incident, ()))


def histories(connection: Connection, incidents: Collection[str]) -> dict[str, list[Diagnosis]]:
    """Incident -> what was thought of it, oldest first; without those of which nothing was thought."""
    query = sa.select(diagnoses).where(diagnoses.c.incident.in_(incidents)).order_by(diagnoses.c.at)
    found: dict[str, list[Diagnosis]] = {}
    for row in connection.execute(query):
        found.setdefault(row.incident, []).append(_diagnosis(row.body))
    return found


def keep(connection: Connection, insert: Any, incident: str, diagnosis: Diagnosis) -> None:
    """Write what is thought of ``incident`` from ``diagnosis.at`` on."""
    assert diagnosis.at is not None
    statement = insert(diagnoses).values(incident=incident, at=diagnosis.at, body=packed(diagnosis))
    statement = statement.on_conflict_do_update(
        index_elements=["incident", "at"], set_={"body": statement.excluded.body}
    )
    connection.execute(statement)


def _diagnosis(body: bytes) -> Diagnosis:
    known = known_of(Diagnosis, unpacked(body))
    for name in ("documents", "queries", "beside", "causes", "unseen"):
        known[name] = tuple(known.get(name, ()))
    known["silences"] = tuple((check, segment) for check, segment in known.get("silences", ()))
    known["at"] = datetime.fromisoformat(known["at"]) if known.get("at") else None
    known["experiment"] = _experiment(known["experiment"]) if known.get("experiment") else None
    return Diagnosis(**known)


def _experiment(plain: dict[str, Any]) -> Experiment:
    """What ``Experiment.measured`` was when it was kept."""
    cells = tuple(Cell(**{**known_of(Cell, each), "by": _tuples(each)}) for each in plain["cells"])
    contrasts = tuple(
        Contrast(**{**known_of(Contrast, each), "interval": tuple(each["interval"]), "by": _tuples(each), "flips": ()})
        for each in plain["contrasts"]
    )
    at, notes = datetime.fromisoformat(plain["at"]), tuple(plain.get("notes", ()))
    known = known_of(Experiment, plain) | {"at": at, "cells": cells, "contrasts": contrasts, "notes": notes}
    return Experiment(**known)


def _tuples(plain: dict[str, Any]) -> dict[str, Any]:
    return {lang: tuple(numbers) for lang, numbers in plain.get("by", {}).items()}
