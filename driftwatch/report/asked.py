"""Canary runs read one after the other: what each canary measured in each of them, and what it was asked in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from zoneinfo import ZoneInfo

from driftwatch.checks._canaries import Key, Outcome, outcome_of, remaining
from driftwatch.stats.ir import Measure
from driftwatch.types import Observation, Run

Outcomes = tuple[Outcome, ...]
"""Of one asking, one a measure."""

MOST_KNOWN = 20_000
"""Answers whose measures are remembered: most runs answer as the one before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One canary in one run."""

    seen: Observation
    outcomes: Outcomes | None
    """None: it could not be judged."""
    error: str = ""
    """Why it could not be asked; empty where its documents are gone instead."""

    @property
    def key(self) -> Key:
        """A canary that was rewritten is another canary."""
        return self.seen.query_id, self.seen.digest


class Judge:
    """Measures answers, equal ones once."""

    def __init__(self, measures: Sequence[Measure]) -> None:
        self.measures = tuple(measures)
        self._known: dict[tuple[int, int, bool], tuple[object, object, Outcomes]] = {}
        """By the identity of hits and qrels, which are held so that it lasts."""

    def answers(self, run: Run) -> Iterator[Answer]:
        """Of every canary the first asking."""
        for seen in run.observations:
            if seen.attempt:
                continue
            if seen.hits is None or seen.error:
                yield Answer(seen, None, seen.error or "the retriever gave no answer")
                continue
            left = remaining(seen, run.gone)
            if left is None:
                yield Answer(seen, None)
            elif left is seen.relevant:
                yield Answer(seen, self._remembered(seen))
            else:
                yield Answer(seen, tuple(outcome_of(seen, left, measure) for measure in self.measures))

    def _remembered(self, seen: Observation) -> Outcomes:
        key = id(seen.hits), id(seen.relevant), seen.expect_empty
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            made = tuple(outcome_of(seen, seen.relevant, measure) for measure in self.measures)
            self._known[key] = seen.hits, seen.relevant, made
        return self._known[key][2]


@dataclass
class Course:
    """Every run of one stretch of time, oldest first."""

    outcomes: dict[Key, list[Outcomes]] = field(default_factory=dict)
    """Of each canary, one a run in which it could be judged."""
    days: dict[Key, set[date]] = field(default_factory=dict)
    """On which days it was."""
    langs: dict[Key, str] = field(default_factory=dict)
    runs: int = 0
    asked: int = 0
    """Askings of any canary."""
    unasked: Counter[str] = field(default_factory=Counter)
    """Reason -> askings."""
    gone: int = 0
    """Askings whose documents had all left the index."""
    last: Run | None = None
    lasts: dict[date, dict[Key, Outcomes]] = field(default_factory=dict)
    """Day -> what its last run measured."""

    @property
    def judged(self) -> int:
        """Askings that could be."""
        return self.asked - self.unasked.total() - self.gone


def course(runs: Iterable[Run], judge: Judge, zone: ZoneInfo) -> Course:
    """Read the runs of one stretch."""
    found = Course()
    for run in runs:
        day = run.at.astimezone(zone).date()
        found.runs += 1
        found.last = run
        latest = found.lasts[day] = {}
        for answer in judge.answers(run):
            found.asked += 1
            found.langs[answer.key] = answer.seen.lang
            if answer.outcomes is not None:
                latest[answer.key] = answer.outcomes
                found.outcomes.setdefault(answer.key, []).append(answer.outcomes)
                found.days.setdefault(answer.key, set()).add(day)
            elif answer.error:
                found.unasked[answer.error] += 1
            else:
                found.gone += 1
    return found
