"""From a file to a ``Script`` that can be played; everything that is wrong is found before anything is played."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from driftwatch.config import Watch
from driftwatch.config.sentences import complaints, nearest
from driftwatch.errors import ConfigErrors
from driftwatch.scenarios.form import OPEN, Scenario
from driftwatch.scenarios.watched import paced, read_watched
from driftwatch.types import POOLED
from driftwatch.yamlfile import Document, Where, load

USUAL = {"en": 600.0, "de": 400.0, "fr": 300.0, "es": 120.0}
"""Language -> queries on a usual weekday, where neither the scenario nor its configuration names languages."""

Said = tuple[Where, str, str]
"""Where, problem and remedy."""


@dataclass(frozen=True)
class Script:
    """A scenario, the file that it was read from, and the watch that it puts to the test."""

    scenario: Scenario
    document: Document
    watch: Watch
    """With a simulated service, and with no look more often than the scenario says."""

    @property
    def file(self) -> str:
        """As it was named."""
        return self.document.file

    def line(self, *where: str | int) -> str:
        """``canaries.yaml:9``, for messages."""
        return f"{self.file}:{self.document.line(where)}"


def read_script(path: Path, *, every: timedelta | None = None) -> Script:
    """Read a scenario, its checks and its configuration.

    Args:
        path: The file.
        every: How often to look, in place of what the file says.

    Raises:
        ConfigErrors: everything that is wrong with them, with file and line.
    """
    document = load(path)
    scenario = _scenario(document)
    if every is not None:
        scenario = scenario.model_copy(update={"every": every})
    watch = read_watched(document, scenario)
    scenario = scenario.model_copy(update={"traffic": scenario.traffic or _traffic(watch.languages)})
    names = [check.name for check in watch.checks]
    wrong = [*_strangers(scenario), *_contradictions(scenario), *_unknown_checks(scenario, names)]
    if wrong:
        raise ConfigErrors(document.error(*one) for one in wrong)
    return Script(scenario, document, paced(watch, scenario))


def _scenario(document: Document) -> Scenario:
    if not isinstance(document.data, dict):
        raise ConfigErrors([document.error((), "a scenario is a block of settings.", "Begin with 'checks: …'.")])
    try:
        return Scenario.model_validate(document.data)
    except ValidationError as error:
        found = complaints(Scenario, "", error, document.data)
        raise ConfigErrors(document.error(one.where, one.problem, one.remedy) for one in found) from None


def _traffic(languages: Sequence[str]) -> dict[str, float]:
    """The first language is asked in most; from the fourth on they are thin."""
    if not languages:
        return USUAL
    counts = list(USUAL.values())
    return {lang: counts[min(place, len(counts) - 1)] for place, lang in enumerate(languages)}


def _strangers(scenario: Scenario) -> Iterator[Said]:
    """Languages that nobody speaks."""
    for index, change in enumerate(scenario.change):
        if change.lang is not None and change.lang not in scenario.traffic:
            yield ("change", index, "lang"), *_unknown_language(change.lang, scenario)
    for index, expected in enumerate(scenario.expect):
        for segment in expected.segment:
            if segment != POOLED and segment not in scenario.traffic:
                yield ("expect", index, "segment"), *_unknown_language(segment, scenario)


def _unknown_language(lang: str, scenario: Scenario) -> tuple[str, str]:
    return f"nobody speaks '{lang}' in this scenario.", nearest(lang, scenario.traffic)


def _contradictions(scenario: Scenario) -> Iterator[Said]:
    """What is well formed and cannot be meant."""
    for index, change in enumerate(scenario.change):
        if change.start >= scenario.end:
            yield ("change", index, "day"), f"the scenario ends with day {scenario.days}.", "Change something earlier."
    for index, expected in enumerate(scenario.expect):
        if expected.deadline > scenario.end:
            yield ("expect", index, "day"), f"the scenario ends with day {scenario.days}.", "Expect it earlier."
        if expected.check in (*scenario.quiet, *scenario.may) and expected.state in OPEN:
            where = "quiet" if expected.check in scenario.quiet else "may"
            problem = f"'{expected.check}' cannot be {expected.state} and {where}."
            yield ("expect", index), problem, f"Take it out of '{where}'."
    for index, name in enumerate(scenario.may):
        if name in scenario.quiet:
            yield ("may", index), f"'{name}' is in 'quiet' as well.", "Take it out of one of them."
    if not scenario.expect and not scenario.quiet:
        yield (), "nothing is expected, so nothing can go wrong.", "Add 'expect' or 'quiet'."


def _unknown_checks(scenario: Scenario, known: Sequence[str]) -> Iterator[Said]:
    for where, name in _named_checks(scenario):
        if name not in known:
            yield where, f"there is no check '{name}'.", nearest(name, known)


def _named_checks(scenario: Scenario) -> Iterable[tuple[Where, str]]:
    yield from ((("expect", index, "check"), each.check) for index, each in enumerate(scenario.expect))
    yield from ((("quiet", index), name) for index, name in enumerate(scenario.quiet))
    yield from ((("may", index), name) for index, name in enumerate(scenario.may))
