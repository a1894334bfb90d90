"""What the weekly report says, in numbers: a ``Week`` and its parts, frozen. How they are drawn is not said here.

Units, wherever nothing else is written: shares, rates and measures lie in [0, 1] and are not per cent; scores are in
the units of the service, higher is better; evidence and budgets are days; times are aware UTC datetimes; a ``date``
is a day in the week's ``timezone``. Intervals hold 95 %. ``n`` counts independent units: sessions of traffic (one row
a session), or canaries. A number that cannot be known is None, never 0. Every sequence is in the order in which it is
to be shown. Everything said by users, documents, logs and models is hostile text: queries are redacted already,
nothing is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from driftwatch.reported.canaries import CanaryMeasure as CanaryMeasure
from driftwatch.reported.canaries import CanarySource as CanarySource
from driftwatch.reported.canaries import Flicker as Flicker
from driftwatch.reported.canaries import Flip as Flip
from driftwatch.reported.canaries import Rotten as Rotten
from driftwatch.reported.care import Budget as Budget
from driftwatch.reported.care import Index as Index
from driftwatch.reported.care import Looked as Looked
from driftwatch.reported.care import NotSeen as NotSeen
from driftwatch.reported.care import Retraining as Retraining
from driftwatch.reported.checked import Checked as Checked
from driftwatch.reported.checked import Level as Level
from driftwatch.reported.checked import Normal as Normal
from driftwatch.reported.checked import Verdict as Verdict
from driftwatch.reported.incidents import Deed as Deed
from driftwatch.reported.incidents import Incident as Incident
from driftwatch.reported.incidents import Symptom as Symptom
from driftwatch.reported.numbers import DayRate as DayRate
from driftwatch.reported.numbers import DayValue as DayValue
from driftwatch.reported.numbers import Estimate as Estimate
from driftwatch.reported.numbers import Rate as Rate
from driftwatch.reported.traffic import Ecdf as Ecdf
from driftwatch.reported.traffic import Example as Example
from driftwatch.reported.traffic import Mix as Mix
from driftwatch.reported.traffic import Rates as Rates
from driftwatch.reported.traffic import Scores as Scores
from driftwatch.reported.traffic import Shape as Shape
from driftwatch.reported.traffic import Share as Share
from driftwatch.reported.traffic import Topic as Topic

VERSION = 1

ALL = "all"
"""The segment of every language together."""


@dataclass(frozen=True, slots=True)
class Week:
    """One ISO week of one service, Monday to Sunday in ``timezone``: a day may have 23 or 25 hours."""

    service: str
    name: str
    """``2026-W47``."""
    timezone: str
    start: datetime
    end: datetime
    """The moment after the last one."""
    complete: bool
    """False: the report was made before the week was over, and covers what there was until ``seen_until``."""
    seen_until: datetime
    verdict: Verdict
    normals: tuple[Normal, ...] = ()
    checks: tuple[Checked, ...] = ()
    """The worst first."""
    incidents: tuple[Incident, ...] = ()
    """Open ones first, then the newest first."""
    canary_sources: tuple[CanarySource, ...] = ()
    canaries: tuple[CanaryMeasure, ...] = ()
    """By source and measure; ``all`` first, then by language."""
    flips: tuple[Flip, ...] = ()
    """Losses first; at most 50 a source."""
    rotten: tuple[Rotten, ...] = ()
    flickering: tuple[Flicker, ...] = ()
    scores: tuple[Scores, ...] = ()
    """``all`` first, then the largest D first."""
    rates: tuple[Rates, ...] = ()
    mixes: tuple[Mix, ...] = ()
    topics: tuple[Topic, ...] = ()
    """The largest first."""
    indexes: tuple[Index, ...] = ()
    retraining: tuple[Retraining, ...] = ()
    """Newest first; those of the week, and the few before it."""
    budgets: tuple[Budget, ...] = ()
    not_seen: tuple[NotSeen, ...] = ()
    """What matters most first."""
    shows_queries: bool = True
    """False: the privacy setting shows no text of any query, and there is none in here."""
    version: int = VERSION
