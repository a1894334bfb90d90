"""Canary runs read one after the other: what each canary measured in each of them, and what it was asked in vain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from driftwatch.checks._canaries import Key, Outcome, outcome_of, remaining
from driftwatch.stats.ir import Measure
from driftwatch.store.packing import Answered, Asked
from driftwatch.types import Observation, ScoredDoc

Outcomes = tuple[Outcome, ...]
"""Of one asking, one a measure."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""When does not matter to a measure."""
MOST_KNOWN = 4000
"""Different answers whose measures are remembered: most runs answer as the one before."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One canary in one run."""

    seen: Answered
    outcomes: Outcomes | None
    """None: it could not be judged."""
    error: str = ""
    """Why it could not be asked; empty where its documents are gone instead."""
    partly: bool = False
    """Whether it was judged by what is left of its documents."""

    @property
    def key(self) -> Key:
        """A canary that was rewritten is another canary."""
        return self.seen.query_id, self.seen.digest


class Judge:
    """Measures answers, equal ones once.

    Of an answer is kept what it measured, and not what came back: a fortnight of answers would fill the memory.
    ``whole``: the canaries of which it is kept too, since they are to be judged by other documents, as it is of every
    answer that is judged by what is left of its documents; None: it is kept of none.
    """

    def __init__(self, measures: Sequence[Measure], whole: Iterable[Key] | None = None) -> None:
        self.measures = tuple(measures)
        self.whole = None if whole is None else frozenset(whole)
        self._known: dict[tuple[str, str, tuple[str, ...]], Outcomes] = {}
        self._alike: dict[Key, dict[tuple[tuple[float, int | None], ...], Outcomes]] = {}
        """Different answers of one canary mostly measure the same."""

    def answers(self, run: Asked) -> Iterator[Answer]:
        """Of every canary the first asking."""
        for seen in run.answers:
            if seen.attempt:
                continue
            if seen.docs is None or seen.error:
                yield Answer(seen, None, seen.error or "the retriever gave no answer")
            elif run.gone and not run.gone.isdisjoint(seen.relevant):
                yield self._judged_by_the_rest(seen, run)
            else:
                yield Answer(seen, self._remembered(seen, seen.docs))

    def _remembered(self, seen: Answered, docs: Sequence[str]) -> Outcomes:
        key = seen.query_id, seen.digest, tuple(docs)
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._kept(key[:2], self._outcomes(_observed(seen), seen.relevant))
        return self._known[key]

    def _kept(self, key: Key, outcomes: Outcomes) -> Outcomes:
        if self.whole is not None and key in self.whole:
            return outcomes
        shape = tuple((each.value, each.rank) for each in outcomes)
        alike = self._alike.setdefault(key, {})
        if shape not in alike:
            alike[shape] = _without_hits(outcomes)
        return alike[shape]

    def _judged_by_the_rest(self, seen: Answered, run: Asked) -> Answer:
        observed = _observed(seen)
        left = remaining(observed, run.gone)
        if left is None:
            return Answer(seen, None)
        outcomes = self._outcomes(observed, left)
        kept = _without_hits(outcomes) if self.whole is None else outcomes
        return Answer(seen, kept, partly=left is not observed.relevant)

    def _outcomes(self, observed: Observation, left: Mapping[str, int]) -> Outcomes:
        return tuple(outcome_of(observed, left, measure) for measure in self.measures)


def _without_hits(outcomes: Outcomes) -> Outcomes:
    return tuple(replace(each, hits=()) for each in outcomes)


def _observed(seen: Answered) -> Observation:
    hits = tuple(ScoredDoc(name) for name in seen.docs or ())
    return Observation(
        LONG_AGO, "", seen.query_id, hits=hits, relevant=seen.relevant, expect_empty=bool(seen.expect_empty)
    )


@dataclass
class Course:
    """Every run of one stretch of time, oldest first."""

    outcomes: dict[Key, list[Outcomes]] = field(default_factory=dict)
    """Of each canary, one a run in which it could be judged."""
    partly: set[Key] = field(default_factory=set)
    """Canaries that were judged by what was left of their documents, at any time."""
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
    last: Asked | None = None
    lasts: dict[date, dict[Key, Outcomes]] = field(default_factory=dict)
    """Day -> what its last run measured."""

    @property
    def judged(self) -> int:
        """Askings that could be."""
        return self.asked - self.unasked.total() - self.gone

    def add(self, answer: Answer, latest: dict[Key, Outcomes], day: date) -> None:
        """One more answer that could be judged."""
        assert answer.outcomes is not None
        key = answer.key
        if answer.partly:
            self.partly.add(key)
        latest[key] = answer.outcomes
        self.outcomes.setdefault(key, []).append(answer.outcomes)
        self.days.setdefault(key, set()).add(day)


def course(runs: Iterable[Asked], judge: Judge, zone: ZoneInfo) -> Course:
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
                found.add(answer, latest, day)
            elif answer.error:
                found.unasked[answer.error] += 1
            else:
                found.gone += 1
    return found
