"""What one look weighs: the ledgers of the checks that are due, beside those of all others as they stood last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from driftwatch.budget import Standing, decide
from driftwatch.checks import Check
from driftwatch.checks._counted import Counted
from driftwatch.checks._words import count, of_evidence
from driftwatch.config import Watch
from driftwatch.ledgers import Account, Ledgers, State, moment_of
from driftwatch.types import Alert, Finding, Run, Verdict
from driftwatch.windows import Windows

Place = tuple[str, str]

WORTH_A_DATE = 0.1
"""Below this part of the budget an onset would be read into noise."""


class Weighing:
    """Weighs the evidence of one watch."""

    def __init__(self, windows: Windows, watch: Watch) -> None:
        self.ledgers = Ledgers(windows, watch)
        self.watch = watch

    def weigh(
        self,
        checks: Sequence[Check],
        now: datetime,
        alerts: Mapping[Place, Alert],
        kept: Mapping[str, bytes],
        fresh: Mapping[str, Run],
    ) -> Weighed:
        """Fold in what is new for ``checks``, and decide what pages; ``kept`` is what the last looks left."""
        found = {name: State.known(name, body) for name, body in kept.items()}
        states = {name: state for name, state in found.items() if state is not None}
        accounts: dict[str, Account] = {}
        for check in checks:
            if isinstance(check, Counted):
                firing = {at for (name, at), alert in alerts.items() if name == check.name and alert.fired_at}
                account = self.ledgers.look(check, now, states.get(check.name), firing, fresh.get(check.source))
                if account is not None:
                    accounts[check.name] = account
        standings = {name: state.standing for name, state in states.items()}
        standings |= {name: account.standing for name, account in accounts.items()}
        limits = {check.name: self.ledgers.limit(check.severity) for check in self.watch.checks}
        counted = {check.name for check in checks if isinstance(check, Counted)}
        # What was found before a window of expected difference is told after it, and not lost in it.
        decided = [] if self.ledgers.windows.expects(now) else self._decided(accounts, standings)
        return Weighed(accounts, frozenset(decided), limits, counted, self._sums(standings))

    def _sums(self, standings: Mapping[str, Standing]) -> dict[str, float]:
        """Check -> days of evidence of all checks that draw on the same budget."""
        severity = {check.name: check.severity for check in self.watch.checks}
        return {
            name: sum(each.total for other, each in standings.items() if severity.get(other) == own)
            for name, own in severity.items()
        }

    def _decided(self, accounts: Mapping[str, Account], standings: Mapping[str, Standing]) -> list[Place]:
        decided: list[Place] = []
        for severity in ("page", "warn"):
            names = {check.name for check in self.watch.checks if check.severity == severity}
            drawing = {name: each for name, each in standings.items() if name in names}
            paged = decide(
                drawing,
                self.ledgers.limit(severity),
                accounts.keys() & names,
                lambda check, at: accounts[check].matters(at),
            )
            for name in {check for check, _ in paged}:
                segments = {segment for check, segment in paged if check == name}
                decided += [(name, segment) for segment in accounts[name].named(segments)]
        return decided


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What was decided at one look."""

    accounts: Mapping[str, Account]
    decided: frozenset[Place]
    limits: Mapping[str, float]
    """Check -> days of evidence at which its budget is spent."""
    counted: Collection[str]
    """The checks of this look that keep a ledger."""
    sums: Mapping[str, float] = field(default_factory=dict)
    """Check -> days of evidence that all checks of its budget hold together."""

    def paged(self, check: str) -> set[str]:
        """The segments of ``check`` that page now."""
        return {segment for name, segment in self.decided if name == check}

    def changed(self, check: str, segment: str) -> bool | None:
        """Whether the evidence says that a segment differs; None where no ledger decides."""
        if check not in self.counted:
            return None
        if (check, segment) in self.decided:
            return True
        account = self.accounts.get(check)
        over = account.recovered(segment) if account is not None else None
        return False if over is None else not over

    def kept(self) -> dict[str, bytes]:
        """Check -> the evidence that it carries to its next look."""
        return {
            name: (account.paged(paged) if (paged := self.paged(name)) else account.state).packed()
            for name, account in self.accounts.items()
        }

    def said(self, finding: Finding) -> Finding:
        """``finding`` with its evidence."""
        account = self.accounts.get(finding.check)
        if account is None or finding.segment not in account.watched.segments:
            return finding
        row = account.watched.segments.index(finding.segment)
        days, share = float(account.standing.evidence[row]), float(account.standing.share[row])
        limit = self.limits[finding.check]
        pages = (finding.check, finding.segment) in self.decided
        if pages:
            # What passed the budget may be the pooled ledger, of which this segment is the explanation.
            days = max(days, account.standing.total)
        finding = replace(finding, evidence=days, share=share, pages=pages)
        if not account.knows(finding.at) and finding.verdict == "ok":
            remark = "the baseline has no such kind of day (weekend or week), so this one is no evidence"
            finding = replace(finding, message=f"{finding.message}; {remark}")
        if finding.verdict == "ok" and account.recovered(finding.segment) and account.watched.check.past_floor(finding):
            finding = replace(finding, message=f"{finding.message}; the newest hours are as usual again")
        if days < WORTH_A_DATE * limit and not pages:
            return finding
        dated = _dated(finding, account, days, limit)
        return _paged(dated, account, days, limit, self.sums[finding.check]) if pages else dated


def _dated(finding: Finding, account: Account, days: float, limit: float) -> Finding:
    """With the onset, and what has changed since."""
    found, quantity = account.onset(finding.segment)
    details: dict[str, Any] = {
        "days": round(days, 2),
        "budget": limit,
        "quantity": account.watched.quantities[quantity].name,
        "effect": found.effect,
        "interval": list(found.interval),
        "units": round(found.n),
        "floor": found.floor,
    }
    return replace(finding, onset=moment_of(found.step), details={**finding.details, "evidence": details})


def _paged(finding: Finding, account: Account, days: float, limit: float, together: float) -> Finding:
    """As it is told: since when, and how certain that is.

    What has changed since the onset is said where the newest window alone does not show it.
    """
    shows = finding.verdict in ("fail", "warn") and account.watched.check.past_floor(finding)
    what = "" if shows else f"; {_since_then(finding.details['evidence'])}"
    evidence = of_evidence(days) if days >= limit else f"{of_evidence(together)} in all"
    said = f"{what or ','} since {_shown(finding.onset)}; evidence {evidence}, budget {count(limit)}"
    verdict: Verdict = finding.verdict if finding.verdict in ("fail", "warn") else "fail"
    return replace(finding, verdict=verdict, learning=False, message=finding.message + said)


def _since_then(evidence: Mapping[str, Any]) -> str:
    """``higher rate by 2.1 points (0.8 to 4) in 1,840 units``."""
    effect = evidence["effect"]
    low, high = sorted(100 * bound * (1 if effect >= 0 else -1) for bound in evidence["interval"])
    points = f"by {100 * abs(effect):.2g} points ({low:.2g} to {high:.2g})"
    return f"{evidence['quantity']} {points} in {count(evidence['units'])} units"


def _shown(onset: datetime | None) -> str:
    """An onset is found to a few hours where it is new, else to the day, and said as one: ``Tue 12 May``."""
    assert onset is not None
    return f"{onset:%a} {onset.day} {onset:%b}" + (f" {onset:%H:%M} UTC" if onset.hour else "")
