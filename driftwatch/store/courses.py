"""The course of findings over time, of which only what is drawn is read: an index holds all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from driftwatch.store.columns import micros
from driftwatch.store.database import Database
from driftwatch.store.tables import findings, last_findings
from driftwatch.types import Verdict

_HOUR = 3_600_000_000
Place = tuple[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What one check found in one segment, oldest first; every array has the shape (n,)."""

    at: NDArray[np.int64]
    """Microseconds since 1970 UTC."""
    verdict: tuple[Verdict, ...]
    value: NDArray[np.float64]
    """NaN where nothing was measured; so is ``evidence`` where none is kept."""
    evidence: NDArray[np.float64]
    """Days."""

    def __len__(self) -> int:
        return len(self.at)

    def cut(self, first: int, last: int) -> Course:
        """Some of it."""
        return Course(self.at[first:last], self.verdict[first:last], self.value[first:last], self.evidence[first:last])


class Courses:
    """What was found, check by check, without its details."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def glance(self, length: timedelta, apart: int) -> dict[Place, Course]:
        """(check, segment) -> the findings of the last ``length`` before its newest, about ``apart`` hours apart."""
        at, newest = (sa.type_coerce(table.c.at, sa.BigInteger) for table in (findings, last_findings))
        own = (findings.c.check == last_findings.c.check, findings.c.segment == last_findings.c.segment)
        query = (
            sa.select(last_findings.c.check, last_findings.c.segment, at, *_drawn())
            # The age is counted from the series' own newest finding, so that each is looked up by itself.
            .where(*own, at > newest - length // timedelta(microseconds=1), (newest - at) // _HOUR % apart == 0)
            .order_by(last_findings.c.check, last_findings.c.segment, at)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).fetchall()
        # One array of everything, cut where another series begins: hundreds of small ones would take longer.
        whole = _course([row[2:] for row in rows])
        places = [(row[0], row[1]) for row in rows]
        edges = [0, *(at for at in range(1, len(rows)) if places[at] != places[at - 1]), len(rows)]
        return {places[first]: whole.cut(first, last) for first, last in pairwise(edges) if first < last}

    def course(self, check: str, segment: str, since: datetime) -> Course:
        """Everything that ``check`` found in ``segment`` from ``since`` on."""
        at = sa.type_coerce(findings.c.at, sa.BigInteger)
        where = (findings.c.check == check, findings.c.segment == segment, at >= micros(since))
        with self._database.reading() as connection:
            return _course(connection.execute(sa.select(at, *_drawn()).where(*where).order_by(at)).fetchall())

    def intervals(self, check: str, segment: str, since: datetime) -> list[tuple[int, float, float]]:
        """(at, low, high) of what each finding is certain of: its reference with the interval of the effect."""
        at = sa.type_coerce(findings.c.at, sa.BigInteger)
        bounds = (findings.c.reference + findings.c.low, findings.c.reference + findings.c.high)
        where = (findings.c.check == check, findings.c.segment == segment, at >= micros(since))
        known = (findings.c.low.is_not(None), findings.c.high.is_not(None), findings.c.reference.is_not(None))
        with self._database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.select(at, *bounds).where(*where, *known).order_by(at))]


def _drawn() -> tuple[Any, ...]:
    return findings.c.verdict, findings.c.value, findings.c.evidence


def _course(rows: Sequence[Any]) -> Course:
    at, verdict, value, evidence = zip(*rows, strict=True) if rows else ((), (), (), ())
    numbers = (np.array(each, dtype=np.float64) for each in (value, evidence))  # None becomes NaN
    return Course(np.array(at, dtype=np.int64), verdict, *numbers)
