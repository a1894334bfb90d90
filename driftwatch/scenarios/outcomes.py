"""Compares what was said with what had to be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from driftwatch.scenarios.form import OPEN, Expectation, day_of
from driftwatch.scenarios.play import Look, Place, Played

Kind = Literal["expect", "quiet", "unexpected"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that had to be so, and whether it was; or an alert that nobody expected."""

    kind: Kind
    line: str
    """Where it is written: `scenarios/canaries.yaml:9`."""
    check: str
    segment: str
    """Empty for a whole check."""
    wanted: str
    """`day 20: canary recall in de is firing`."""
    held: bool
    seen: str
    """What was seen, or seen instead: `firing`."""
    at: datetime | None
    """Since when that was seen, in the scenario's time."""
    said: str = ""
    """What the check said then."""

    @property
    def sentence(self) -> str:
        """For a person, without the line: what was so, or what was wanted, what was seen and what was said."""
        since = f" since {day_of(self.at)}" if self.at and self.held else ""
        said = f"; what it said: {self.said}" if self.said and not self.held else ""
        return f"{self.wanted}{since}{said}"

    def content(self) -> dict[str, Any]:
        """As JSON."""
        day = day_of(self.at) if self.at else None
        return {**asdict(self), "day": day}


def outcomes(played: Played) -> list[Outcome]:
    """What became of each expectation, in the order of the file; then what nobody expected."""
    return [*_expected(played), *_quiet(played), *_unexpected(played)]


def failures(played: Played) -> list[str]:
    """What was not as it had to be, a sentence each; nothing when the scenario went well."""
    return [f"{each.line}: {each.sentence}" for each in outcomes(played) if not each.held]


def openings(looks: Sequence[Look]) -> Iterator[tuple[Look, Place]]:
    """Every time an alert began to fire or went blind."""
    before: dict[Place, str] = {}
    for look in looks:
        opened = [place for place, state in look.states.items() if state in OPEN and before.get(place) != state]
        yield from ((look, place) for place in opened)
        before = look.states


def _expected(played: Played) -> Iterator[Outcome]:
    for index, expected in enumerate(played.script.scenario.expect):
        for segment in expected.segment:
            yield _outcome(played, expected, (expected.check, segment), played.script.line("expect", index))


def _outcome(played: Played, expected: Expectation, place: Place, line: str) -> Outcome:
    looks = [look for look in played.looks if expected.opening < look.at <= expected.deadline]
    tried = looks if expected.within else looks[-1:]
    met = next((look for look in tried if _is(look, place, expected)), None)
    look = met or looks[-1]
    state = _state(look, place)
    since = look.at if expected.within and met else _since(played.looks, look, place)
    finding = look.newest.get(place)
    said = finding.message if finding else "nothing at all"
    wanted = _held(expected, place) if met else _missed(played, expected, place, state)
    return Outcome("expect", line, *place, wanted, met is not None, state, since, said)


def _held(expected: Expectation, place: Place) -> str:
    return f"{_when(expected)}: {named(place)} is {expected.state}"


def _missed(played: Played, expected: Expectation, place: Place, state: str) -> str:
    found = f"{_when(expected)}: {named(place)} is {state}"
    by = " to have been" if expected.within else ""
    missed = f"{found}, expected{by} {expected.state}{' by then' if expected.within else ''}"
    later = (look for look in played.looks if look.at > expected.deadline and _is(look, place, expected))
    late = next(later, None)
    return missed if late is None else f"{missed}; it came on {day_of(late.at)}"


def _when(expected: Expectation) -> str:
    return f"day {expected.day}" + (f" to {day_of(expected.deadline)}" if expected.within else "")


def _since(looks: Sequence[Look], last: Look, place: Place) -> datetime | None:
    """When the state that ``last`` shows began; None when it was never another."""
    state, since = _state(last, place), last.at
    for look in reversed(looks[: looks.index(last)]):
        if _state(look, place) != state:
            return since
        since = look.at
    return None


def _quiet(played: Played) -> Iterator[Outcome]:
    """A check that never knows anything is not quiet; what one says is told as unexpected."""
    loud = {check for _, (check, _) in openings(played.looks)}
    for index, name in enumerate(played.script.scenario.quiet):
        if name in loud:
            continue
        found = [finding for look in played.looks for (check, _), finding in look.newest.items() if check == name]
        held = any(finding.verdict == "ok" for finding in found)
        wanted = f"{name} is quiet" if held else f"{name} is not quiet, it never judged anything"
        said = found[-1].message if found else "it never looked"
        line = played.script.line("quiet", index)
        yield Outcome("quiet", line, name, "", wanted, held, "quiet" if held else "unknown", None, said)


def _unexpected(played: Played) -> Iterator[Outcome]:
    scenario = played.script.scenario
    for look, place in openings(played.looks):
        if place[0] in scenario.may or _explained(played, look, place):
            continue
        where = "quiet" if place[0] in scenario.quiet else "expect"
        state, said = look.states[place], look.newest[place].message
        wanted = f"{day_of(look.at)}: {named(place)} is {state}, which nobody expected"
        yield Outcome("unexpected", played.script.line(where), *place, wanted, False, state, look.at, said)


def _explained(played: Played, look: Look, place: Place) -> bool:
    """Whether an opening was expected: after something changed, in time, and not once it had to be over."""
    scenario = played.script.scenario
    since = scenario.first_change
    for expected in sorted(scenario.expect, key=lambda each: each.deadline):
        if expected.check != place[0] or place[1] not in expected.segment:
            continue
        if expected.state == look.states[place] and since < look.at <= expected.deadline:
            return True
        if expected.state not in OPEN:
            since = max(since, expected.deadline)
    return False


def _is(look: Look, place: Place, expected: Expectation) -> bool:
    return expected.state == _state(look, place) or (expected.state == "ok" and _state(look, place) == "resolved")


def _state(look: Look, place: Place) -> str:
    """The state of an alert; where nothing was found out, silence is not `ok`."""
    if place in look.states:
        return look.states[place]
    finding = look.newest.get(place)
    return "not judged" if finding is None else "unknown" if finding.verdict == "unknown" else "ok"


def named(place: Place) -> str:
    """``canary recall in de``."""
    return f"{place[0]} in {place[1]}"
