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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from driftwatch.config.sentences import complaints, nearest
from driftwatch.errors import ConfigErrors
from driftwatch.schedule import Duration
from driftwatch.types import POOLED
from driftwatch.yamlfile import Document, Where, load

START = datetime(2026, 5, 6, tzinfo=UTC)
"""The first moment of day 1, a Wednesday; day 20 is a Monday."""

DAY, HOUR = timedelta(days=1), timedelta(hours=1)

State = Literal["firing", "pending", "ok", "blind", "resolved"]
OPEN = ("firing", "blind")
"""States that somebody is told of."""

Level = Annotated[float, Field(ge=0, le=1)]


def _list(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


def _whole_steps(every: timedelta) -> timedelta:
    if every % HOUR or DAY % every:
        raise ValueError("it must be whole hours that a day is made of. Write '1h', '6h' or '12h'.")
    return every


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Change(_Section):
    """How the service or its users are from one moment on; what is left out stays as usual."""

    day: float = Field(ge=1)
    """When it begins: `20` is the first moment of day 20, `20.25` is 06:00."""
    until: float | None = None
    """When it is over, in the same form; default: never."""
    lang: str | None = None
    """The language it is about; default: each."""
    recall: Level | None = None
    """The share of canaries that find their document."""
    empty: Level | None = None
    """The share of queries that find nothing."""
    abstained: Level | None = None
    """The share of answers that say "I don't know"."""
    score: float | None = None
    """The mean score of the best document."""
    negative_feedback: Level | None = None
    """The share of thumbs that point down."""
    volume: float | None = Field(default=None, ge=0)
    """How many queries come, as a multiple of the usual number."""
    share: Level | None = None
    """The share of `lang` in all queries; as many come as usual."""

    @model_validator(mode="after")
    def _changes_something(self) -> Change:
        if not any(getattr(self, level) is not None for level in LEVELS):
            raise ValueError(f"it changes nothing. Name one of {', '.join(LEVELS)}.")
        if self.share is not None and self.lang is None:
            raise ValueError("'share' needs 'lang': the language that has this share.")
        if self.until is not None and self.until <= self.day:
            raise ValueError(f"'until' ({self.until:g}) is not after 'day' ({self.day:g}).")
        return self

    def holds(self, moment: datetime, lang: str) -> bool:
        """Whether it is in force at ``moment`` for ``lang``."""
        over = self.until is not None and moment >= moment_of(self.until)
        return self.lang in (None, lang) and moment_of(self.day) <= moment and not over


LEVELS = tuple(name for name in Change.model_fields if name not in ("day", "until", "lang"))
"""What a change can be about."""


class Expectation(_Section):
    """What must be so."""

    day: int = Field(ge=1)
    """At the last look of this day; with `within`, at any look from its first moment on."""
    check: str
    segment: Annotated[tuple[str, ...], BeforeValidator(_list), Field(min_length=1)] = (POOLED,)
    """A language, `all`, or a list; it must be so in each."""
    state: State = Field(alias="is")
    within: Duration | None = None

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

    checks: Annotated[tuple[str, ...], BeforeValidator(_list), Field(min_length=1)]
    """Files of checks, as in `driftwatch.yaml`; relative to the project."""
    days: int = Field(default=30, ge=1, le=400)
    every: Annotated[Duration, AfterValidator(_whole_steps)] | None = None
    """Look no more often than this, so that the month passes quickly; default: as often as the checks say."""
    seed: int = Field(default=1, ge=0)
    """Another seed is another month in which the same things happen."""
    traffic: dict[str, Annotated[float, Field(gt=0)]] = {"en": 600, "de": 400, "fr": 300, "es": 120}
    """Language -> queries on a usual weekday."""
    change: tuple[Change, ...] = ()
    expect: tuple[Expectation, ...] = ()
    quiet: tuple[str, ...] = ()
    """Checks that judge, and find nothing in any segment."""

    @property
    def end(self) -> datetime:
        """The first moment after the last day."""
        return START + self.days * DAY


@dataclass(frozen=True)
class Script:
    """A scenario and the file that it was read from."""

    scenario: Scenario
    document: Document

    def line(self, *where: str | int) -> str:
        """``canaries.yaml:9``, for messages."""
        return f"{self.document.file}:{self.document.line(where)}"

    def check_names(self, known: Sequence[str]) -> None:
        """Raise ConfigErrors when a check is named that ``known`` does not have."""
        wrong = [
            self.document.error(where, f"there is no check '{name}'.", nearest(name, known))
            for where, name in _named_checks(self.scenario)
            if name not in known
        ]
        if wrong:
            raise ConfigErrors(wrong)


def moment_of(day: float) -> datetime:
    """The first moment of a day; days count from 1."""
    return START + (day - 1) * DAY


def read_scenario(path: Path) -> Script:
    """Read a scenario.

    Raises:
        ConfigErrors: everything that is wrong with it, with file and line.
    """
    document = load(path)
    if not isinstance(document.data, dict):
        raise ConfigErrors([document.error((), "a scenario is a block of settings.", "Begin with 'checks: …'.")])
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        found = complaints(Scenario, "", error, document.data)
        raise ConfigErrors(document.error(one.where, one.problem, one.remedy) for one in found) from None
    if wrong := [document.error(*one) for one in _contradictions(scenario)]:
        raise ConfigErrors(wrong)
    return Script(scenario, document)


def _contradictions(scenario: Scenario) -> Iterator[tuple[Where, str, str]]:
    """(where, problem, remedy) of what is well formed and cannot be meant."""
    for index, change in enumerate(scenario.change):
        if change.lang is not None and change.lang not in scenario.traffic:
            yield ("change", index, "lang"), *_unknown_language(change.lang, scenario)
        if moment_of(change.day) >= scenario.end:
            yield ("change", index, "day"), f"the scenario ends with day {scenario.days}.", "Change something earlier."
    for index, expected in enumerate(scenario.expect):
        for segment in expected.segment:
            if segment != POOLED and segment not in scenario.traffic:
                yield ("expect", index, "segment"), *_unknown_language(segment, scenario)
        if expected.deadline > scenario.end:
            yield ("expect", index, "day"), f"the scenario ends with day {scenario.days}.", "Expect it earlier."
        if expected.check in scenario.quiet and expected.state in OPEN:
            remedy = "Take it out of 'quiet'."
            yield ("expect", index), f"'{expected.check}' cannot be {expected.state} and quiet.", remedy
    if not scenario.expect and not scenario.quiet:
        yield (), "nothing is expected, so nothing can go wrong.", "Add 'expect' or 'quiet'."


def _unknown_language(lang: str, scenario: Scenario) -> tuple[str, str]:
    return f"nobody speaks '{lang}' in this scenario.", nearest(lang, scenario.traffic)


def _named_checks(scenario: Scenario) -> Iterable[tuple[Where, str]]:
    yield from ((("expect", index, "check"), each.check) for index, each in enumerate(scenario.expect))
    yield from ((("quiet", index), name) for index, name in enumerate(scenario.quiet))
