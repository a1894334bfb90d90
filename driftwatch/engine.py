"""The story on one page: ``observe`` says what happened, ``tick`` says what it means and decides.

Everything that judges is pure and lives elsewhere; here the clock is an argument and the store is written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from driftwatch import tracing
from driftwatch.alerts import AlertPolicy
from driftwatch.budget import alpha_per_look, quantities
from driftwatch.casebook import Casebook
from driftwatch.checks import Check
from driftwatch.checks._counted import Counted
from driftwatch.checks._words import shorten
from driftwatch.config import Expected, Watch
from driftwatch.contents import Asked
from driftwatch.diagnosing import Diagnosing
from driftwatch.incidents import Alerts, Decision, decide, explained, going_blind, held_back, reminders, retired
from driftwatch.observing import Observed, Observer
from driftwatch.segments import BROKE, look
from driftwatch.store import CheckRun, Looked, Store
from driftwatch.store.tables_totals import Outcome
from driftwatch.types import Diagnosis, Embedder, ExpectedChange, Finding, Probe, Run, Transition
from driftwatch.weighing import Weighed, Weighing
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
        diagnoses: bool = True,
    ) -> None:
        self.watch = watch
        self.store = store
        asked = Asked(store, embedder, watch.privacy, stopping)
        self.observer = Observer(watch, store, embedder, stopping, asked)
        self.windows = Windows(store, watch, learns=learns, asked=asked)
        self.evidence = Weighing(self.windows, watch)
        casebook = Casebook(watch, store, self.windows, embedder, stopping)
        self.diagnosing = Diagnosing(casebook) if diagnoses else None
        self._deciding = threading.Lock()

    # --- what happened ---------------------------------------------------------------------------------------------

    def observe(self, name: str, now: datetime) -> Observed:
        """Read one source once; what went wrong is said in the result and kept as the source's trouble."""
        with tracing.span("observe", source=name) as work:
            observed = self.observer.observe(name, now)
            work.note(count=observed.count, failed=observed.failed, trouble=bool(observed.trouble))
        return observed

    # --- what it means ---------------------------------------------------------------------------------------------

    def judge(
        self, checks: Iterable[Check], now: datetime, fresh: Mapping[str, Run | Probe] | None = None
    ) -> list[Finding]:
        """Every finding of ``checks`` now; writes nothing but a baseline that is full now, if the engine ``learns``.

        ``fresh`` are canary runs and probes that are not in the store (source name -> the newest one).
        """
        return self._judge(list(checks), now, self.store.decisions.alerts(), fresh or {})[0]

    def _judge(
        self, checks: Sequence[Check], now: datetime, alerts: Alerts, fresh: Mapping[str, Run | Probe]
    ) -> tuple[list[Finding], dict[str, bytes], dict[str, float]]:
        """Every finding, the evidence that each check carries to its next look, and the seconds that it took."""
        self.windows.begin()
        remembering = {check.name for check in checks if check.remembers}
        previous = self.store.decisions.last_findings(remembering) if remembering else {}
        runs = {name: each for name, each in fresh.items() if isinstance(each, Run)}
        weighed = self.evidence.weigh(checks, now, alerts, self.store.decisions.ledgers(), runs)
        findings: list[Finding] = []
        seconds: dict[str, float] = {}
        states_of: dict[str, dict[str, str]] = {}
        for (name, segment), alert in alerts.items():
            states_of.setdefault(name, {})[segment] = alert.state
        for check in checks:
            with tracing.span("check", check=check.name, kind=check.kind) as work:
                states = states_of.get(check.name, {})
                found = self._look(check, now, states, weighed, previous, fresh.get(check.source))
                work.note(segments=len(found))
            findings += [weighed.said(self._with_trouble(check, finding)) for finding in found]
            seconds[check.name] = work.seconds
        findings = self._without_symptoms(findings, alerts)
        if expected := self.windows.expects(now):
            findings = [_as_expected(finding, expected) for finding in findings]
        return findings, weighed.kept(), seconds

    def _look(
        self,
        check: Check,
        now: datetime,
        states: Mapping[str, str],
        weighed: Weighed,
        previous: Mapping[tuple[str, str], Finding],
        fresh: Run | Probe | None,
    ) -> list[Finding]:
        """Every segment of one check; ``states`` are those of its alerts."""
        return look(
            check,
            self.windows.pair(check, now, fresh),
            self.windows,
            previous=previous,
            alpha=self.alpha(check),
            followed={segment for segment, state in states.items() if state != "ok"} | weighed.paged(check.name),
            firing={segment for segment, state in states.items() if state == "firing"},
            changed=partial(weighed.changed, check.name),
        )

    def tick(self, checks: Sequence[Check], now: datetime, run: CheckRun | None = None) -> Tick:
        """Judge, decide and record: findings, alerts and transitions in one transaction."""
        with self._deciding, tracing.span("tick", checks=len(checks)):
            alerts = self.store.decisions.alerts()
            findings, ledgers, seconds = self._judge(checks, now, alerts, {})
            severities = {check.name: check.severity for check in self.watch.checks}
            policies = {check.name: self.policy(check.name) for check in checks}
            moved = partial(decide, findings, alerts, policies.__getitem__, self._families(), now, severities)
            decision, diagnoses = self._explained(moved, findings, alerts, now)
            looked = self._looked(checks, findings, seconds, now)
            self._record(findings, decision, now, run, ledgers, diagnoses, looked)
        return Tick(tuple(findings), decision.transitions)

    def _explained(
        self, moved: Callable[..., Decision], findings: Sequence[Finding], alerts: Alerts, now: datetime
    ) -> tuple[Decision, dict[str, Diagnosis]]:
        """What is decided, with the alerts of one cause in one incident, and what is thought to have broken."""
        decision = moved()
        if self.diagnosing is None:
            return decision, {}
        incidents = self.store.decisions.open_incidents()
        if not self.diagnosing.wanted(decision, incidents, now):
            return decision, {}
        with tracing.span("experiment", incidents=len(incidents)):
            plan = self.diagnosing.plan(findings, alerts, incidents, now)
        decision = moved(plan.together)
        told = {each.incident for each in decision.transitions}
        current = dict(alerts) | {(each.check, each.segment): each for each in decision.alerts}
        # What cannot be seen any more says so, and why, once its check's patience with that is over: not twice.
        waiting = going_blind(current) - told
        diagnoses = {each: said for each, said in plan.written(decision).items() if each not in waiting}
        news = explained(current, diagnoses, told | plan.told, self._families(), now)
        return replace(decision, transitions=(*decision.transitions, *news)), diagnoses

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

    def alpha(self, check: Check) -> Callable[[int], float]:
        """The error budget of one look at one segment of ``check``, when languages split into so many."""
        budget = self.watch.false_pages if check.severity == "page" else self.watch.false_warnings
        ledgers = isinstance(check, Counted)
        alike = [each for each in self.watch.checks if isinstance(each, Counted) == ledgers]
        alike = [each for each in alike if each.severity == check.severity]
        share = sum(self.evidence.ledgers.shares.get(each.name, 0.0) for each in alike) or 1.0
        return lambda segments: alpha_per_look(budget.count * share, budget.per, quantities(alike, segments))

    def policy(self, name: str) -> AlertPolicy:
        """The alert policy of a check: the common one, with what the check itself says."""
        for check in self.watch.checks:
            if check.name == name:
                own = self.watch.alerts.override(after=check.after, until=check.until, blind_after=check.blind_after)
                return own if check.reminds else own.model_copy(update={"remind": None})
        return self.watch.alerts

    def _record(
        self,
        findings: Sequence[Finding],
        decision: Decision,
        now: datetime,
        run: CheckRun | None,
        ledgers: Mapping[str, bytes] | None = None,
        diagnoses: Mapping[str, Diagnosis] | None = None,
        looked: Iterable[Looked] = (),
    ) -> None:
        self.store.decisions.record(
            findings=findings,
            alerts=decision.alerts,
            transitions=decision.transitions,
            receivers={notifier.name: frozenset(notifier.tell) for notifier in self.watch.notify},
            held=held_back(decision.transitions, self.store.decisions.silences(now), now),
            run=run,
            ledgers=ledgers,
            diagnoses=diagnoses,
            looked=looked,
        )

    def _looked(
        self, checks: Sequence[Check], findings: Sequence[Finding], seconds: Mapping[str, float], now: datetime
    ) -> list[Looked]:
        """What became of each look, for those who count them."""
        found: dict[str, list[Finding]] = {check.name: [] for check in checks}
        for finding in findings:
            found[finding.check].append(finding)
        expected = self.windows.expects(now) is not None
        return [
            Looked(
                check.name,
                now,
                seconds[check.name],
                outcome_of(found[check.name], bool(self.observer.trouble.get(check.source)), expected),
            )
            for check in checks
        ]

    def _families(self) -> dict[str, str]:
        return {check.name: check.family for check in self.watch.checks}

    def _without_symptoms(self, findings: list[Finding], alerts: Alerts) -> list[Finding]:
        """Where a traffic alert says that queries stay away, that nothing is known of them is no news of its own."""
        firing = {name for (name, _), alert in alerts.items() if alert.state == "firing"}
        silent = {
            check.source: check.name for check in self.watch.checks if check.family == "volume" and check.name in firing
        }
        if not silent:
            return findings
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


def outcome_of(found: Sequence[Finding], trouble: bool, expected: bool) -> Outcome:
    """What became of one look: ``trouble`` that its source gave nothing, ``expected`` that nothing was judged."""
    if any(finding.message.startswith(BROKE) for finding in found):
        return "failure"
    if any(finding.verdict != "unknown" for finding in found):
        return "success"
    if trouble:
        return "failure"
    return "skipped" if expected else "insufficient_data"


def _as_expected(finding: Finding, expected: Expected | ExpectedChange) -> Finding:
    """In a window of expected difference nothing bad is evidence: the alert stays as it is."""
    if finding.verdict == "ok":
        return finding
    message = f"not judged until {expected.end:%Y-%m-%d %H:%M} UTC ({expected.reason}): {finding.message}"
    return replace(finding, verdict="unknown", learning=True, message=message)
