"""Decisions that live in memory: what a replay decides is never written, and nobody is told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from driftwatch.replay.canaries import RecordedCanaries
from driftwatch.replay.traffic import RecordedTraffic
from driftwatch.store import CheckRun, Looked, Store
from driftwatch.store.database import Database
from driftwatch.store.decisions import Decisions
from driftwatch.types import Alert, Baseline, Diagnosis, Finding, Silence, Transition


@dataclass(frozen=True, slots=True)
class Change:
    """One transition and what was found when it happened."""

    transition: Transition
    finding: Finding | None


class Remembered(Decisions):
    """What the engine reads and writes of decisions; everything else that can be asked comes from the database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.changes: list[Change] = []
        self._alerts: dict[tuple[str, str], Alert] = {}
        self._findings: dict[tuple[str, str], Finding] = {}
        self._ledgers: dict[str, bytes] = {}

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
        """Remember what one tick found and decided."""
        del receivers, held, run, diagnoses, looked
        self._ledgers |= ledgers or {}
        self._findings |= {(each.check, each.segment): each for each in findings}
        self._alerts |= {(each.check, each.segment): each for each in alerts}
        self.changes += [Change(each, self._findings.get((each.check, each.segment))) for each in transitions]
        return True

    def ledgers(self) -> dict[str, bytes]:
        """Check -> its evidence in this replay."""
        return dict(self._ledgers)

    def ledger(self, check: str) -> bytes | None:
        """The evidence of one check."""
        return self._ledgers.get(check)

    def keep(self, check: str, body: bytes) -> None:
        """The evidence of one check after looks at which nothing else was decided."""
        self._ledgers[check] = body

    def alerts(self) -> dict[tuple[str, str], Alert]:
        """(check, segment) -> its alert in this replay."""
        return dict(self._alerts)

    def last_findings(self, checks: Collection[str] | None = None) -> dict[tuple[str, str], Finding]:
        """(check, segment) -> its newest finding in this replay."""
        return {at: each for at, each in self._findings.items() if checks is None or each.check in checks}

    def silences(self, now: datetime) -> list[Silence]:
        """None: a silence hides an alert from people and does not undo it."""
        del now
        return []

    def set_baseline(self, baseline: Baseline) -> None:
        """A replay learns nothing for others."""
        del baseline


class Rehearsal(Store):
    """A store whose observations are read into memory, and whose decisions are forgotten."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.database)
        self.recorded = RecordedTraffic(store.database)
        self.asked = RecordedCanaries(store.database)
        self.remembered = Remembered(store.database)
        self.traffic, self.canaries = self.recorded, self.asked
        self.decisions = self.remembered
