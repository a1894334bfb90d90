"""How a scenario is written: what is watched, what changes when, what must be said about it and what must stay silent.

::

    checks: checks/*.yaml
    days: 30
    change:
      - {day: 20, lang: de, recall: 0.5}
    expect:
      - {day: 21, check: canary recall, segment: de, is: firing}
    quiet: [top-score drift, empty results, traffic]
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from driftwatch.config.texts import language
from driftwatch.schedule import Duration
from driftwatch.types import POOLED

START = datetime(2026, 5, 6, tzinfo=UTC)
"""The first moment of day 1, a Wednesday; day 20 is a Monday."""

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

State = Literal["firing", "pending", "ok", "blind", "resolved"]
OPEN = ("firing", "blind")
"""States that somebody is told of."""

Level = Annotated[float, Field(ge=0, le=1)]


def listed(given: Any) -> Any:
    """One name may stand for a list of one."""
    return [given] if isinstance(given, str) else given


def whole_steps(every: timedelta) -> timedelta:
    """``every``, if days are made of it in whole hours.

    Raises:
        ValueError: they are not.
    """
    if every % HOUR or DAY % every:
        raise ValueError("it must be whole hours that a day is made of. Write '1h', '6h' or '12h'.")
    return every


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


class Change(_Section):
    """How the service or its users are from one moment on; what is left out stays as usual."""

    day: float = Field(ge=1)
    """When it begins: `20` is the first moment of day 20, `20.25` is 06:00."""
    until: float | None = None
    """When it is over, in the same form; default: never."""
    over: Duration | None = None
    """It comes little by little and is there in full after so long; default: at once."""
    lang: str | None = None
    """The language it is about; default: each."""
    recall: Level | None = None
    """The share of canaries that still find their document, of those that usually do."""
    empty: Level | None = None
    """The share of queries that find nothing."""
    abstained: Level | None = None
    """The share of answers that say "I don't know"."""
    score: float | None = None
    """The mean score of the best document."""
    negative_feedback: Level | None = None
    """The share of thumbs that point down."""
    new_topic: Level | None = None
    """The share of queries about something that nobody asked about before."""
    outage: Level | None = None
    """The share of searches that fail, of canaries and of users: 1 is a retriever that is down."""
    volume: float | None = Field(default=None, ge=0)
    """How many queries come, as a multiple of the usual number."""
    share: Level | None = None
    """The share of `lang` in all queries; as many come as usual."""
    log: Literal["silent", "late"] | None = None
    """`silent`: what is asked is never logged. `late`: it is logged when the change is over, all at once."""

    @model_validator(mode="after")
    def _changes_something(self) -> Change:
        if not any(getattr(self, name) is not None for name in CHANGES):
            raise ValueError(f"it changes nothing. Name one of {', '.join(CHANGES)}.")
        if self.share is not None and self.lang is None:
            raise ValueError("'share' needs 'lang': the language that has this share.")
        if self.until is not None and self.until <= self.day:
            raise ValueError(f"'until' ({self.until:g}) is not after 'day' ({self.day:g}).")
        if self.over is not None and self.log is not None:
            raise ValueError("'over' does not go with 'log', which is silent or is not. Write two changes.")
        if self.log == "late" and self.until is None:
            raise ValueError("'log' needs 'until': when the late lines arrive.")
        return self

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return moment_of(self.day)

    @property
    def end(self) -> datetime | None:
        """The moment after its last one; None: it stays."""
        return None if self.until is None else moment_of(self.until)

    def holds(self, moment: datetime, lang: str) -> bool:
        """Whether it is in force at ``moment`` for ``lang``."""
        over = self.end is not None and moment >= self.end
        return self.lang in (None, lang) and self.start <= moment and not over

    def reached(self, before: float, target: float, moment: datetime) -> float:
        """How far a level has come from ``before`` to ``target``."""
        if self.over is None:
            return target
        return before + (target - before) * min(1.0, (moment - self.start) / self.over)


CHANGES = tuple(name for name in Change.model_fields if name not in ("day", "until", "over", "lang"))
"""What a change can be about."""


class Expectation(_Section):
    """What must be so."""

    day: int = Field(ge=1)
    """At the last look of this day; with `within`, at any look from its first moment on."""
    check: str
    """The name of a check."""
    segment: Annotated[Names, Field(min_length=1)] = (POOLED,)
    """A language, `all`, or a list; it must be so in each."""
    state: State = Field(alias="is")
    """What the alert is: `firing`, `pending`, `ok`, `blind` or `resolved`."""
    within: Duration | None = None
    """It is enough that it was so once in this time."""

    @property
    def deadline(self) -> datetime:
        """The last look that can make it true."""
        return moment_of(self.day) + (self.within or DAY)

    @property
    def opening(self) -> datetime:
        """It counts only after this moment."""
        return moment_of(self.day) if self.within else self.deadline - DAY


class Scenario(_Section):
    """A month, what happens in it, and what must be said about it."""

    config: str | None = None
    """Your `driftwatch.yaml`: budgets, alerts, baseline, languages and cadences are taken from it."""
    checks: Names = ()
    """Files of checks, by name or pattern; default: those of `config`."""
    days: int = Field(default=30, ge=1, le=400)
    """How long it lasts."""
    every: Annotated[Duration, AfterValidator(whole_steps)] | None = None
    """Look no more often than this, so that the month passes quickly; default: as often as the checks say."""
    seed: int = Field(default=1, ge=0)
    """Another seed is another month in which the same things happen."""
    traffic: dict[Annotated[str, AfterValidator(language)], Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Language -> queries on a usual weekday."""
    change: tuple[Change, ...] = ()
    """What happens."""
    expect: tuple[Expectation, ...] = ()
    """What must be said about it."""
    quiet: Names = ()
    """Checks that judge, and find nothing in any segment."""
    may: Names = ()
    """Checks of which nothing is expected: they may say something or not."""

    @model_validator(mode="after")
    def _has_checks(self) -> Scenario:
        if not self.checks and self.config is None:
            raise ValueError("it names no checks. Write 'checks: checks/*.yaml', or 'config: driftwatch.yaml'.")
        return self

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return START + self.days * DAY

    @property
    def step(self) -> timedelta:
        """From one look to the next."""
        return self.every or HOUR

    @property
    def first_change(self) -> datetime:
        """When something is no longer as usual; the end when nothing ever is."""
        return min((change.start for change in self.change), default=self.end)


def moment_of(day: float) -> datetime:
    """The first moment of a day; days count from 1."""
    return START + (day - 1) * DAY


def day_of(moment: datetime) -> str:
    """``day 20 06:00``."""
    since = moment - START
    return f"day {since.days + 1} {moment:%H:%M}"
