"""How the checks of a week ended, and what they compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["ok", "warn", "fail", "unknown"]
"""``fail``: an incident that pages was open in the week. ``warn``: one that warns was, or something needs a look.
``unknown``: too little could be seen to say that all is well."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The week in one sentence."""

    level: Level
    sentence: str
    """Without full stop."""
    reasons: tuple[str, ...] = ()
    """What else matters, one sentence each, the most important first; at most five."""


@dataclass(frozen=True, slots=True)
class Normal:
    """What one source was compared with."""

    source: str
    aspect: str
    """``questions`` or ``scores`` where only that is compared with it; empty: everything else of the source."""
    start: datetime
    end: datetime
    reason: str
    author: str
    overlaps: bool
    """Whether a part of the week itself belongs to it: the week is then partly compared with itself."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One check in one segment: how its looks of the week ended."""

    check: str
    kind: str
    family: str
    """canaries | scores | rates | mix | volume | queries | integrity ..."""
    source: str
    segment: str
    looks: int
    verdicts: Mapping[str, int]
    """``ok``, ``warn``, ``fail``, ``unknown`` -> looks; those that are unknown only because the baseline is not full
    yet (or an expected window is open) count as ``learning``. They add up to ``looks``."""
    last: str
    """The verdict of the last look, in the same words."""
    at: datetime
    """When that was."""
    message: str
    """What it said, one sentence."""
    n: int
    value: float | None = None
    reference: float | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    """Interval of the effect."""
