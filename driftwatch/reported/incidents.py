"""What fired in a week: incidents, what is thought of them, and what was done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that was done about an incident, or that ended it."""

    at: datetime
    what: Literal[
        "opened",
        "reopened",
        "acknowledged",
        "silenced",
        "diagnosed",
        "repaired",
        "released",
        "rolled back",
        "baseline",
        "expected",
    ]
    """``repaired``: all of its alerts ended. ``released``, ``rolled back``, ``baseline``: changed meanwhile.
    ``expected``: a change was announced.
    """
    by: str = ""
    """A person, as the receiver names them; empty: driftwatch itself, or nobody knows."""
    said: str = ""
    """The cause of a diagnosis, the reason of a silence or a baseline."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """One alert of an incident, with the finding of its largest effect while it was firing or blind, in this week or
    before.
    """

    check: str
    segment: str
    state: Literal["firing", "blind", "ok"]
    """As the week ended."""
    kind: str = ""
    family: str = ""
    verdict: str = ""
    message: str = ""
    at: datetime | None = None
    """Of that finding; None where it is no longer kept, and then there are no numbers."""
    n: int = 0
    value: float | None = None
    reference: float | None = None
    effect: float | None = None
    """In the units of the check: a change of a measure or a rate, KS D, a share of the traffic ..."""
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    evidence: float | None = None
    """Days."""
    onset: datetime | None = None
    """Since when it had most likely been so."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts of one cause, as they stood when the week ended."""

    incident_id: str
    family: str
    segment: str
    onset: datetime | None
    """Since when it has most likely been so; None: not known."""
    opened: datetime
    resolved: datetime | None
    """None: open when the week ended."""
    seconds: float
    """From opening to resolution, or to the end of the week; without the time in which it was closed between."""
    openings: int
    """How often it opened."""
    state: Literal["firing", "blind", "resolved"]
    pages: bool
    """Whether it was more than a warning: at least one of its alerts fired with ``fail``."""
    cause: str
    """The name of a rule of diagnosis, such as `mixed vectors`; ``unknown``: none fits; empty: nothing was thought."""
    causes: tuple[str, ...] = ()
    """Every cause that was ever thought of it, the newest thought first."""
    because: str = ""
    """The evidence for the cause, one sentence."""
    action: str = ""
    """What to do."""
    symptoms: tuple[Symptom, ...] = ()
    """The one with the most evidence first."""
    done: tuple[Deed, ...] = ()
    """Oldest first."""
