"""What every check is: a pure function of two windows and its own previous finding.

A check never sees languages: the engine splits windows by ``by: lang`` and calls the check once a segment, so
breakdown, minimum sample and the sharing of the error budget are written once.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from driftwatch.plugins import Kind
from driftwatch.schedule import Duration, Schedule, duration
from driftwatch.types import Aspect, Finding, Verdict, Window

LEARNING = "the baseline is not full yet"


class Check(Kind):
    """The settings that every check has."""

    room: ClassVar[str] = "checks"
    needs: ClassVar[Literal["runs", "sample", "tallies", "probes", "comparisons"]]
    """Which part of a window the check reads; the engine fills only that."""
    family: ClassVar[str]
    """canaries | scores | rates | mix | volume | integrity | migration."""
    pools: ClassVar[bool] = True
    """False for a check whose question is about the segments together (mix): it is called once, on everything."""

    remembers: ClassVar[bool] = True
    """False for a check that does not look at its previous finding: it is given None, and none is read."""
    compares: ClassVar[Literal["matching hours", "all hours"]] = "matching hours"
    """Which hours of the baseline it is given: those of the window's hours of the week, or all of them."""
    aspect: ClassVar[Aspect] = ""
    """What of the traffic a new model changes by itself: then a release brings the check a baseline of its own."""

    name: str
    """How the check is called in alerts and on the command line."""
    source: str
    """The source whose observations it judges."""
    by: Literal["lang"] | None = None
    """`lang` judges each language by itself and the rest of the traffic together."""
    every: Schedule | None = None
    """How often to look. Default: as often as the source is read for canaries, else hourly."""
    window: Duration = duration("24h")
    """How much recorded time one look judges."""
    severity: Literal["page", "warn"] = "page"
    """`warn` never pages: what fails is a warning."""
    after: int | None = Field(default=None, ge=1, le=1000)
    """How many bad looks in a row make it fire. Default: `alerts.after`."""
    until: int | None = Field(default=None, ge=1, le=1000)
    """How many good looks in a row resolve it. Default: `alerts.until`."""
    blind_after: int | None = Field(default=None, ge=1, le=1000)
    """How many looks in a row may be unknown before it is blind. Default: `alerts.blind_after`."""

    @property
    def embeds(self) -> int:
        """How many of the sampled queries of a day it wants with their embedding; 0: none."""
        return 0

    @property
    def learns_from(self) -> str:
        """The source of canaries whose runs its windows hold beside the sample; empty: none."""
        return ""

    @property
    def reminds(self) -> bool:
        """Whether what is open is said again and again, as `alerts: remind` has it."""
        return True

    def prepare(self, windows: Sequence[tuple[Window, Window | None]]) -> None:
        """What several segments need alike may be worked out at once, before each pair of ``windows`` is judged."""
        del windows

    @abstractmethod
    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge ``current`` against ``reference``; pure.

        ``reference`` is None while the baseline is being learnt: absolute floors still judge, everything else is
        ``self.learning(current)``. Never raises for thin or odd data: that is ``unknown`` with the reason.
        """

    def past_floor(self, finding: Finding) -> bool:
        """Whether the effect of ``finding`` is large enough to matter, however certain it is."""
        del finding
        return False

    def finding(self, current: Window, verdict: Verdict, message: str, **more: Any) -> Finding:
        """A finding of this check about ``current``."""
        if verdict == "fail" and self.severity == "warn":
            verdict = "warn"
        return Finding(
            check=self.name,
            segment=current.segment,
            at=current.end,
            verdict=verdict,
            message=message,
            kind=self.kind,
            family=self.family,
            **more,
        )

    def unknown(self, current: Window, why: str, **more: Any) -> Finding:
        """Unknown is a verdict: ``why`` is the sentence the alert will show."""
        return self.finding(current, "unknown", why, **more)

    def learning(self, current: Window, **more: Any) -> Finding:
        """Unknown because there is nothing to compare with yet; the engine adds how many days are in."""
        return self.finding(current, "unknown", LEARNING, learning=True, **more)
