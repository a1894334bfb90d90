"""The index, retraining, the budget, and what was not seen in a week."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from driftwatch.reported.numbers import DayRate, Rate


@dataclass(frozen=True, slots=True)
class Looked:
    """What one probe of the index saw, at its last run of the week that could look."""

    name: str
    """`stored vectors` | `finds itself` | `recall of the index` | `facts` | `missing documents` | `orphans` | `texts` |
    `probe strings` | `service`."""
    at: datetime
    bad: Rate
    """k of the n looked at are not as they should be."""
    worst: Rate
    """The same of the run of the week with the largest share."""
    by: Mapping[str, Rate] = field(default_factory=dict)
    """Language -> the same, at the last run."""
    ids: tuple[str, ...] = ()
    """A few of the bad ones."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the last run, such as `recall@10` or `displacement p50`."""
    why: str = ""
    """What is wrong, one sentence; empty when nothing is."""
    unable: str = ""
    """Why the last run of the week could not look; empty when it could."""
    runs: int = 0
    """Runs of the week that looked."""
    days: tuple[DayRate, ...] = ()
    """The last run of each day."""


@dataclass(frozen=True, slots=True)
class Index:
    """The health of one index."""

    source: str
    runs: int
    looked: tuple[Looked, ...]
    entries: int | None = None
    """As the index said last, in the week."""
    entries_before: int | None = None
    """As it said first."""
    dimension: int | None = None
    metric: str = ""
    model: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    """What it says otherwise than at the week's first run, such as `dimension 384, before 768`."""


@dataclass(frozen=True, slots=True)
class Retraining:
    """One event of retraining, whether or not it is of this week."""

    at: datetime
    what: Literal["job", "asked", "decided", "promoted", "rolled back"]
    job: str
    """Job id, or the release where there is none."""
    outcome: str
    """`done`, `failed`, `running` ... of a job; `approve`, `reject` ... of a decision."""
    reason: str = ""
    by: str = ""
    in_week: bool = True


@dataclass(frozen=True, slots=True)
class Budget:
    """False pages (or warnings) that are accepted, and what stands against them."""

    severity: Literal["page", "warn"]
    count: float
    """So many are accepted ..."""
    days: float
    """... in so many days, over all checks and languages together."""
    limit: float
    """Days of evidence at which somebody is told."""
    told: int
    """Openings of incidents in the week with this severity, whether true or false ..."""
    told_in_period: int
    """... and in the ``days`` that end with the week."""
    highest: float | None
    """Days: the most evidence that one check and segment held at any look of the week."""
    check: str = ""
    """Which one that was."""
    segment: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotSeen:
    """Something that did not run, or could not see."""

    what: Literal[
        "blind", "never looked", "run missed", "run failed", "no traffic", "unknown", "unasked", "no probe", "learning",
        "feedback not kept", "delivery parked", "delivery late", "expected"
    ]  # fmt: skip
    name: str
    """The check, job, source or receiver."""
    sentence: str
    segments: tuple[str, ...] = ()
    """In which languages, where that is known; several that say the same are one row."""
    share: Rate | None = None
    """k of n looks (runs, hours, lines, deliveries, askings) that it happened to; None where nothing is counted.
    It is a count of what happened, so its interval is None."""
    since: datetime | None = None
    until: datetime | None = None
    """Of an expected window."""
