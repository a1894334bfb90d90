"""The course of the evidence over recorded time: the fold of every look, many looks at once.

What the daemon does hour by hour is done here a day at a time, with the same ledgers, budget and attribution: as long
as nothing fires, all looks of a day come out of one fold, and only a day on which the budget is spent is looked at
closer. While something fires, time goes from look to look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from driftwatch.budget import PRECISE, Standing, decide
from driftwatch.checks._counted import Watched
from driftwatch.ledgers import Account, State, folded, reopened
from driftwatch.stats.book import Book
from driftwatch.stats.history import Onset
from driftwatch.stats.shares import Shares

Steps = NDArray[np.int64]
NOW_AND_THEN = 24
"""Steps that are folded at once as long as nothing fires."""
FOREVER = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One counted check over recorded time."""

    watched: Watched
    counted: Shares
    share: float
    """Its part of the budget."""
    looks: Steps
    """The steps after which it is looked at, ascending."""
    until: int = 3
    """Good looks in a row that end a page."""


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """One page, from when it fires until it is resolved."""

    step: int
    """The last step that was counted when it fired."""
    check: str
    segment: str
    quantity: str
    evidence: float
    """Days, of this segment when it fired; what passed the budget may be the pooled ledger that it explains."""
    onset: Onset
    resolved: int | None = None
    """The last step that was counted when it was resolved; None: it was not."""


@dataclass
class _Open:
    page: Page
    good: int = 0


@dataclass
class _Course:
    """Where one check is."""

    part: Part
    state: State
    open: dict[str, _Open] = field(default_factory=dict)

    @property
    def firing(self) -> frozenset[str]:
        return frozenset(self.open)

    def account(self, end: int) -> Account:
        """Everything up to and with step ``end``."""
        steps = self.part.counted.step
        first, last = np.searchsorted(steps, [self.state.book.at + 1, end + 1])
        fresh = self.part.counted.keep(slice(int(first), int(last)))
        return folded(self.part.watched, self.state, fresh, FOREVER, self.firing, self.part.share)

    def ahead(self, steps: Steps) -> tuple[State, NDArray[np.float64]]:
        """The state after the last of ``steps`` if nothing pages before, and the evidence at each of its looks.

        The evidence has shape (len(steps), segments): at steps between two looks, as of the older one.
        """
        part = self.part
        first, last = np.searchsorted(part.counted.step, [self.state.book.at + 1, steps[-1] + 1])
        fresh = part.counted.keep(slice(int(first), int(last)))
        rows = np.zeros(len(part.watched.segments), bool)
        book, days = part.watched.ledger.fold(self.state.book, fresh, rows)
        standing = self.state.standing
        evidence = np.vstack([standing.evidence, part.watched.evidence(days) * part.share])
        own = part.looks[slice(*np.searchsorted(part.looks, [steps[0], steps[-1] + 1]))]
        looked = np.vstack([standing.evidence, evidence[np.searchsorted(fresh.step, own, side="right")]])
        looked = looked[np.searchsorted(own, steps, side="right")]
        return replace(self.state, book=book, standing=replace(standing, evidence=looked[-1])), looked


def course(parts: Mapping[str, Part], limit: float, start: int, end: int) -> list[Page]:
    """Every page of the checks that draw on one budget, from step ``start`` up to and without ``end``.

    ``limit``: days of evidence at which the budget is spent. Counts before ``start`` are no evidence.
    """
    courses = {name: _Course(part, _nothing(name, part, start)) for name, part in parts.items()}
    pages: list[Page] = []
    at = start
    while at < end:
        stretch = min(end, at + NOW_AND_THEN - at % NOW_AND_THEN)
        steps = _looks(courses, at, stretch)
        if not len(steps):
            at = stretch
        elif any(each.open for each in courses.values()):
            pages += _look(courses, int(steps[0]), limit)
            at = int(steps[0]) + 1
        else:
            at = _quietly(courses, steps, limit, pages) + 1
    still = [each.page for one in courses.values() for each in one.open.values()]
    return sorted([page for page in pages if page.resolved is not None] + still, key=lambda page: page.step)


def _nothing(name: str, part: Part, start: int) -> State:
    share = part.watched.weights * part.share
    standing = Standing(name, part.watched.segments, np.zeros(len(share)), share)
    return State("", Book.empty(part.watched.normal, start - 1), standing)


def _looks(courses: Mapping[str, _Course], start: int, end: int) -> Steps:
    """The steps of ``[start, end)`` after which any check is looked at."""
    found: list[Steps] = []
    for each in courses.values():
        first, last = np.searchsorted(each.part.looks, [start, end])
        found.append(each.part.looks[first:last])
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def _quietly(courses: Mapping[str, _Course], steps: Steps, limit: float, pages: list[Page]) -> int:
    """Go through ``steps`` as long as the budget is not spent; the last step that was looked at."""
    ahead = {name: each.ahead(steps) for name, each in courses.items()}
    total = np.sum([looked.sum(axis=1) for _, looked in ahead.values()], axis=0)
    crossed = np.flatnonzero(total >= limit * (1 - PRECISE))
    if not len(crossed):
        for name, (state, _) in ahead.items():
            courses[name].state = state
        return int(steps[-1])
    stop = int(steps[crossed[0]])
    pages += _look(courses, stop, limit)
    return stop


def _look(courses: Mapping[str, _Course], step: int, limit: float) -> Iterator[Page]:
    """One look after ``step``: what ends, and what pages."""
    due = {name: each for name, each in courses.items() if _is_look(each.part.looks, step)}
    accounts = {name: each.account(step) for name, each in due.items()}
    standings = {name: each.state.standing for name, each in courses.items()}
    standings |= {name: account.standing for name, account in accounts.items()}

    decided = decide(standings, limit, accounts.keys(), lambda check, at: accounts[check].matters(at))
    for name, one in due.items():
        account = accounts[name]
        segments = account.named({segment for check, segment in decided if check == name})
        one.state = account.paged(segments) if segments else account.state
        yield from _resolved(one, account, step)
        for segment in sorted(segments - one.firing):
            onset, quantity = account.onset(segment)
            days = float(account.standing.evidence[account.watched.segments.index(segment)])
            named = account.watched.quantities[quantity].name
            one.open[segment] = _Open(Page(step, name, segment, named, days, onset))


def _resolved(one: _Course, account: Account, step: int) -> Iterator[Page]:
    for segment, each in list(one.open.items()):
        each.good = each.good + 1 if account.recovered(segment) else 0
        if each.good >= one.part.until:
            del one.open[segment]
            one.state = reopened(one.state, one.part.watched, one.firing)
            yield replace(each.page, resolved=step)


def _is_look(looks: Steps, step: int) -> bool:
    place = int(np.searchsorted(looks, step))
    return place < len(looks) and int(looks[place]) == step
