"""What a replay found, as one frozen object: `--json` prints it, the tables show it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from driftwatch.config import Watch
from driftwatch.replay.events import MarkedEvent
from driftwatch.replay.reading import Taken
from driftwatch.replay.remembered import Change
from driftwatch.stats.poisson import rate_interval
from driftwatch.types import Baseline, Event

QUARTER = timedelta(days=90)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was replayed of one source."""

    source: str
    start: datetime
    end: datetime
    cadence: str
    """``hourly``, ``daily``, ``weekly``, ``every 6h``."""
    baseline: Baseline | None
    """What it was compared with at the end; None when it never became full."""
    taken: Taken | None = None
    """What was read for this replay; None for a stored history."""


@dataclass(frozen=True, slots=True)
class Said:
    """One transition: what the daemon would have told, and why."""

    at: datetime
    check: str
    segment: str
    event: Event
    severity: str
    """``page`` or ``warn``."""
    incident: str
    message: str
    evidence: float | None = None
    """Days: traffic without drift says as much once in so many days."""
    onset: datetime | None = None
    value: float | None = None
    reference: float | None = None
    effect: float | None = None
    interval: tuple[float, float] | None = None
    n: int = 0
    belongs_to: str | None = None
    """The marked event that it belongs to."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often somebody was told, with the exact 95 % interval of what would be so in the long run (Garwood 1936)."""

    count: int
    days: float
    per_quarter: float
    interval: tuple[float, float]
    """Of ``per_quarter``."""

    @classmethod
    def of(cls, count: int, days: float) -> Rate:
        """``count`` in ``days``; an interval of (0, inf) when there were none."""
        quarters = days * (DAY / QUARTER)
        return cls(count, round(days, 3), count / quarters if quarters else 0.0, rate_interval(count, quarters))


@dataclass(frozen=True, slots=True)
class Detection:
    """What became of one marked event."""

    event: MarkedEvent
    check: str | None = None
    """The alert that found it first; None: none did."""
    segment: str | None = None
    at: datetime | None = None
    after_hours: float | None = None
    already: str | None = None
    """What was firing about it before it began, and may have hidden it."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """An A/A run: weeks in which nothing happened, drawn again and again, and what would have been said of them."""

    weeks: int
    """Weeks played."""
    drawn_from: int
    """Quiet weeks of the record they were drawn from."""
    pages: Rate
    warnings: Rate
    by_check: Mapping[str, int] = field(default_factory=dict)
    """Check -> how often it paged."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a replay found."""

    service: str
    start: datetime
    end: datetime
    judged_days: float
    """Days after the baseline."""
    budget: float
    """False pages accepted a quarter (90 days)."""
    recorded: tuple[Recorded, ...]
    said: tuple[Said, ...]
    pages: Rate
    warnings: Rate
    false_pages: Rate | None = None
    """Pages that belong to no marked event; None when no events were given."""
    events: tuple[Detection, ...] = ()
    quiet: Quiet | None = None
    proposals: tuple[Proposal, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Check -> why it was not replayed."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting of one check, tried on quiet weeks."""

    floor: float
    """`min_effect`, or `max_drop`."""
    every: str
    pages: Rate
    """What this check says of quiet weeks."""
    delay_days: float | None
    """Median until the injected shift is told; None when it mostly never is."""
    missed: float
    """Share of the injected shifts that were not told within four weeks."""
    keeps: bool
    """Whether the budget is kept, with what the other checks say of the same weeks."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """The setting of one check that tells a shift soonest within the budget."""

    check: str
    setting: str
    """`min_effect`, or `max_drop`."""
    segment: str
    """Where the shifts were injected."""
    shift: float
    """Size of the injected shift: of the share that the check bets most on."""
    quantity: str
    now: Trial
    best: Trial
    """The present setting, where no other one is better."""
    trials: tuple[Trial, ...]
    yaml: str
    """What to paste into the check."""


def opened(said: Sequence[Said], severity: str) -> list[Said]:
    """What woke somebody: the first alert of each incident that began to fire with this severity."""
    first: dict[str, Said] = {}
    for each in said:
        if each.event == "firing" and each.severity == severity:
            first.setdefault(each.incident, each)
    return list(first.values())


def said_of(watch: Watch, changes: Iterable[Change]) -> list[Said]:
    """Transitions with what was found, as the report shows them."""
    severities = {check.name: check.severity for check in watch.checks}
    return [_said(change, severities[change.transition.check]) for change in changes]


def _said(change: Change, severity: str) -> Said:
    transition, finding = change.transition, change.finding
    said = Said(
        at=transition.at,
        check=transition.check,
        segment=transition.segment,
        event=transition.event,
        severity=severity,
        incident=transition.incident,
        message=finding.message if finding else "",
    )
    if finding is None:
        return said
    return replace(
        said,
        evidence=finding.evidence,
        onset=finding.onset,
        value=finding.value,
        reference=finding.reference,
        effect=finding.effect,
        interval=finding.interval,
        n=finding.n,
    )
