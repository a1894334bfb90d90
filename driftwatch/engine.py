"""The story on one page: ``observe`` says what happened, ``tick`` says what it means and decides.

Everything that judges is pure and lives elsewhere; here the clock is an argument and the store is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from driftwatch.alerts import AlertPolicy
from driftwatch.budget import alpha_per_look, quantities
from driftwatch.checks import Check
from driftwatch.checks._words import shorten
from driftwatch.config import Expected, Watch
from driftwatch.contents import Asked
from driftwatch.incidents import Alerts, Decision, decide, held_back, reminders, retired
from driftwatch.observing import Observed, Observer
from driftwatch.segments import look
from driftwatch.store import CheckRun, Store
from driftwatch.types import Embedder, Finding, Run, Transition
from driftwatch.windows import Windows


@dataclass(frozen=True, slots=True)
class Tick:
    """What one look of some checks found and decided."""

    findings: tuple[Finding, ...]
    transitions: tuple[Transition, ...]


class Engine:
    """Observes and judges one watched service."""

    def __init__(
        self,
        watch: Watch,
        store: Store,
        *,
        embedder: Embedder | None = None,
        stopping: Callable[[], bool] = lambda: False,
        learns: bool = True,
    ) -> None:
        self.watch = watch
        self.store = store
        asked = Asked(store, embedder, watch.privacy, stopping)
        self.observer = Observer(watch, store, embedder, stopping, asked)
        self.windows = Windows(store, watch, learns=learns, asked=asked)
        self._deciding = threading.Lock()

    # --- what happened ---------------------------------------------------------------------------------------------

    def observe(self, name: str, now: datetime) -> Observed:
        """Read one source once; what went wrong is said in the result and kept as the source's trouble."""
        return self.observer.observe(name, now)

    # --- what it means ---------------------------------------------------------------------------------------------

    def judge(self, checks: Iterable[Check], now: datetime, fresh: Mapping[str, Run] | None = None) -> list[Finding]:
        """Every finding of ``checks`` now; writes nothing but a baseline that is full now, if the engine ``learns``.

        ``fresh`` are canary runs that are not in the store (source name -> run).
        """
        previous = self.store.decisions.last_findings()
        alerts = self.store.decisions.alerts()
        findings: list[Finding] = []
        for check in checks:
            states = {segment: alert.state for (name, segment), alert in alerts.items() if name == check.name}
            found = look(
                check,
                self.windows.pair(check, now, (fresh or {}).get(check.source)),
                self.windows,
                previous=previous,
                alpha=self.alpha,
                followed={segment for segment, state in states.items() if state != "ok"},
                firing={segment for segment, state in states.items() if state == "firing"},
            )
            findings += [self._with_trouble(check, finding) for finding in found]
        findings = self._without_symptoms(findings, alerts)
        return (
            [_as_expected(finding, expected) for finding in findings]
            if (expected := self.watch.expects(now))
            else findings
        )

    def tick(self, checks: Sequence[Check], now: datetime, run: CheckRun | None = None) -> Tick:
        """Judge, decide and record: findings, alerts and transitions in one transaction."""
        with self._deciding:
            findings = self.judge(checks, now)
            decision = decide(findings, self.store.decisions.alerts(), self.policy, self._families(), now)
            self._record(findings, decision, now, run)
        return Tick(tuple(findings), decision.transitions)

    def remind(self, now: datetime) -> tuple[Transition, ...]:
        """Say again what has been open for long."""
        with self._deciding:
            decision = reminders(
                self.store.decisions.alerts(), self.policy, self._families(), self.store.decisions.silences(now), now
            )
            if decision.transitions:
                self._record([], decision, now, None)
        return decision.transitions

    def retire(self, now: datetime) -> tuple[Transition, ...]:
        """Resolve the alerts of checks that the configuration no longer has."""
        with self._deciding:
            decision = retired(self.store.decisions.alerts(), self._families(), now)
            if decision.alerts:
                self._record([], decision, now, None)
        return decision.transitions

    def alpha(self, segments: int) -> float:
        """The error budget of one look at one segment when languages split into ``segments``."""
        budget = self.watch.false_pages
        return alpha_per_look(budget.count, budget.per, quantities(self.watch.checks, segments))

    def policy(self, name: str) -> AlertPolicy:
        """The alert policy of a check: the common one, with what the check itself says."""
        for check in self.watch.checks:
            if check.name == name:
                return self.watch.alerts.override(after=check.after, until=check.until, blind_after=check.blind_after)
        return self.watch.alerts

    def _record(self, findings: Sequence[Finding], decision: Decision, now: datetime, run: CheckRun | None) -> None:
        self.store.decisions.record(
            findings=findings,
            alerts=decision.alerts,
            transitions=decision.transitions,
            receivers={notifier.name: frozenset(notifier.tell) for notifier in self.watch.notify},
            held=held_back(decision.transitions, self.store.decisions.silences(now), now),
            run=run,
        )

    def _families(self) -> dict[str, str]:
        return {check.name: check.family for check in self.watch.checks}

    def _without_symptoms(self, findings: list[Finding], alerts: Alerts) -> list[Finding]:
        """Where a traffic alert says that queries stay away, that nothing is known of them is no news of its own."""
        silent = {
            check.source: check.name
            for check in self.watch.checks
            for (name, _), alert in alerts.items()
            if check.family == "volume" and name == check.name and alert.state == "firing"
        }
        sources = {check.name: check.source for check in self.watch.checks}
        return [
            replace(each, learning=True, message=f"{each.message} (see '{silent[sources[each.check]]}')")
            if each.verdict == "unknown" and each.family != "volume" and sources[each.check] in silent
            else each
            for each in findings
        ]

    def _with_trouble(self, check: Check, finding: Finding) -> Finding:
        trouble = self.observer.trouble.get(check.source, "")
        if finding.verdict != "unknown" or not trouble or shorten(trouble) in finding.message:
            return finding
        return replace(finding, message=f"{finding.message} ({shorten(trouble)})")


def _as_expected(finding: Finding, expected: Expected) -> Finding:
    """In a window of expected difference nothing bad is evidence: the alert stays as it is."""
    if finding.verdict == "ok":
        return finding
    message = f"not judged until {expected.end:%Y-%m-%d %H:%M} UTC ({expected.reason}): {finding.message}"
    return replace(finding, verdict="unknown", learning=True, message=message)
