"""What the demo plays: ``scenario.yaml`` of the example, and how what happened compares with what it expects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from driftwatch.schedule import Duration
from driftwatch.types import Transition
from driftwatch.yamlfile import load

_MOMENT = re.compile(r"day (\d+) (\d\d):(\d\d)")
TROUBLE = ("firing", "blind")
"""Events that somebody is woken by."""


def _offset(text: str | timedelta) -> timedelta:
    """``day 20 06:00`` as time since the start; the first day is day 1."""
    if isinstance(text, timedelta):
        return text
    if (found := _MOMENT.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is not a moment of the scenario. Write it like 'day 20 06:00'.")
    day, hour, minute = (int(part) for part in found.groups())
    return timedelta(days=day - 1, hours=hour, minutes=minute)


def _place(text: str) -> str:
    """``rates de``: a check family and a segment."""
    if len(text.split()) != 2:
        raise ValueError(f"{text!r} is not a family and a segment. Write it like 'rates de'.")
    return text


Offset = Annotated[timedelta, BeforeValidator(_offset)]
Place = Annotated[str, AfterValidator(_place)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Traffic(_Section):
    """How much is asked, by whom."""

    queries_per_day: float = Field(gt=0)
    weekend: float = Field(default=1, gt=0)
    languages: dict[str, float]
    chatter: float = Field(default=0, ge=0, lt=1)
    follow_up: float = Field(default=0, ge=0, lt=1)


class Trouble(_Section):
    """One thing that goes wrong, and what must be noticed of it."""

    name: str
    start: Offset = Field(alias="from")
    end: Offset = Field(alias="until")
    lose: tuple[str, ...] = ()
    ask_about: str = ""
    share: float = Field(default=0, ge=0, le=1)
    mended: str = "it is over"
    expect: tuple[Place, ...]
    may: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """Where it may show itself."""
        return (*self.expect, *self.may)


class Scenario(_Section):
    """A month of traffic and what happens in it."""

    start: datetime
    days: int = Field(ge=1)
    step: Duration
    seed: int
    traffic: Traffic
    incidents: tuple[Trouble, ...]
    seen_within: Duration
    over_within: Duration

    def day(self, moment: datetime) -> str:
        """``day 20 06:00``."""
        since = moment - self.start
        return f"day {since.days + 1:>2} {moment:%H:%M}"

    def end_of(self, days: int) -> datetime:
        """When the demo stops."""
        return self.start + timedelta(days=min(days, self.days))


def read_scenario(path: Path) -> Scenario:
    """The scenario of the example."""
    data: dict[str, Any] = load(path).data
    start = datetime.fromisoformat(data.pop("start")).replace(tzinfo=UTC)
    return Scenario(start=start, **data)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One expected alert, or one that nobody expected."""

    trouble: str
    place: str
    """Family and segment."""
    began: datetime | None
    seen: datetime | None
    over: datetime | None
    wanted: bool
    ok: bool

    @property
    def delay(self) -> timedelta | None:
        """From the start of the trouble to the first message."""
        return self.seen - self.began if self.seen and self.began else None


def judge(scenario: Scenario, transitions: list[Transition], end: datetime) -> list[Outcome]:
    """What was expected and came, what was expected and did not, and every false alarm."""
    outcomes = []
    explained: set[str] = set()
    for trouble in scenario.incidents:
        if scenario.start + trouble.start >= end:
            continue
        for place in trouble.places:
            began, until = _stretch(scenario, trouble, place)
            mine = [t for t in transitions if f"{t.family} {t.segment}" == place and began < t.at <= until]
            explained |= {change.key for change in mine}
            outcomes += _outcome(scenario, trouble, place, mine, end)
    return outcomes + [
        Outcome("nothing happened", f"{change.family} {change.segment}", None, change.at, None, False, False)
        for change in transitions
        if change.event in TROUBLE and change.key not in explained
    ]


def _stretch(scenario: Scenario, trouble: Trouble, place: str) -> tuple[datetime, datetime]:
    """When ``trouble`` may be behind an alert at ``place``: until it must be over, or the next one that shows there."""
    later = [scenario.start + t.start for t in scenario.incidents if t.start > trouble.start and place in t.places]
    return scenario.start + trouble.start, min([scenario.start + trouble.end + scenario.over_within, *later])


def _outcome(
    scenario: Scenario, trouble: Trouble, place: str, changes: list[Transition], end: datetime
) -> list[Outcome]:
    """The fate of one expected alert; a mere symptom that did not show itself is no outcome."""
    began, ended = scenario.start + trouble.start, scenario.start + trouble.end
    wanted = place in trouble.expect
    seen = next((change.at for change in changes if change.event == "firing"), None)
    over = None if _open(changes) else next((c.at for c in reversed(changes) if c.event == "resolved"), None)
    if seen is None and not wanted:
        return []
    in_time = seen is not None and seen <= began + scenario.seen_within
    if wanted and seen is None and end < began + scenario.seen_within:
        return []  # the demo stopped before it had to be noticed
    must_be_over = end >= ended + scenario.over_within
    ok = (in_time or not wanted) and (over is not None or not must_be_over)
    return [Outcome(trouble.name, place, began, seen, over, wanted, ok)]


def _open(changes: list[Transition]) -> set[str]:
    """The checks whose last word was not that it is over."""
    last = {change.check: change.event for change in changes}
    return {check for check, event in last.items() if event != "resolved"}
