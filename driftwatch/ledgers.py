"""The ledgers of one watch: what the counted checks have of evidence now, and how that is kept between looks."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import orjson
from numpy.typing import NDArray

from driftwatch.budget import Standing, limit_of, shares
from driftwatch.checks._counted import Counted, Watched, watch
from driftwatch.config import Watch
from driftwatch.stats.book import Book
from driftwatch.stats.history import History, Onset
from driftwatch.stats.shares import Shares
from driftwatch.types import POOLED, Baseline, Run
from driftwatch.windows import HOUR, JUST_AFTER, Learning, Windows, floor_hour

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST_CATCH_UP = timedelta(days=35)
"""After a longer absence only the newest days are folded in."""
SOME = 0.01
"""Of the largest evidence among segments: what has less of its own is not named beside it."""
VERSION = 2
"""Of what is kept: another number where what the arrays hold gets another meaning."""
ARRAYS = ("block", "counts", "odd", "carry", "ledgers", "recent", "fine", "settled")


@dataclass(frozen=True, slots=True)
class Fired:
    """What a segment paged for: it is well again when the counts say so."""

    quantity: int
    effect: float


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What is kept of one check's ledgers between looks."""

    key: str
    """Of the baseline and settings that it belongs to: another key starts again from nothing."""
    book: Book
    standing: Standing
    fired: Mapping[str, Fired] = field(default_factory=dict)

    def packed(self) -> bytes:
        """As bytes: a line of JSON, then the arrays."""
        arrays = [getattr(self.book, name) for name in ARRAYS]
        head = {
            "version": VERSION,
            "key": self.key,
            "at": self.book.at,
            "check": self.standing.check,
            "segments": self.standing.segments,
            "evidence": self.standing.evidence.tolist(),
            "share": self.standing.share.tolist(),
            "fired": {segment: [each.quantity, each.effect] for segment, each in self.fired.items()},
            "arrays": [[str(array.dtype), array.shape] for array in arrays],
        }
        return b"\n".join([orjson.dumps(head), b"".join(array.tobytes() for array in arrays)])

    @classmethod
    def known(cls, check: str, body: bytes) -> State | None:
        """What ``packed`` gave; None, and it is logged, where it is something else: the evidence starts again."""
        try:
            return cls.unpacked(body)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            log.warning("the kept evidence of check %r cannot be read, and starts again from nothing: %r", check, error)
            return None

    @classmethod
    def unpacked(cls, body: bytes) -> State:
        """What ``packed`` gave.

        Raises:
            ValueError, LookupError, TypeError, AttributeError: it is something else.
        """
        line, _, rest = body.partition(b"\n")
        head = orjson.loads(line)
        if head["version"] != VERSION:
            raise ValueError(f"version {head['version']}, and {VERSION} is read")
        arrays: list[NDArray[Any]] = []
        place = 0
        for kind, shape in head["arrays"]:
            size = int(np.prod(shape))
            arrays.append(np.frombuffer(rest, np.dtype(kind), size, place).reshape(shape))
            place += arrays[-1].nbytes
        standing = Standing(head["check"], tuple(head["segments"]), np.array(head["evidence"]), np.array(head["share"]))
        fired = {segment: Fired(quantity, effect) for segment, (quantity, effect) in head["fired"].items()}
        return cls(head["key"], Book(head["at"], *arrays), standing, fired)


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """The ledgers of one check at one look."""

    watched: Watched
    state: State
    """To be kept, if nothing pages."""
    open_book: Book
    """With the hour that is not over."""
    days: NDArray[np.float64]
    """shape (segments, quantities): days in each ledger now."""

    @property
    def standing(self) -> Standing:
        return self.state.standing

    @property
    def history(self) -> History:
        """What the newest counts say."""
        return History(self.watched.ledger, self.open_book)

    def knows(self, now: datetime) -> bool:
        """Whether the baseline has seen the kind of day, weekend or week, of the hour before ``now``."""
        season = self.watched.normal.season
        return season is None or bool(season.knows(np.array([step_of(now) - 1]))[0])

    def onset(self, segment: str) -> tuple[Onset, int]:
        """Since when and by how much ``segment`` differs, and in which quantity."""
        row = self.watched.segments.index(segment)
        quantity = int(self.watched.strongest(self.days)[row])
        return self.history.onset(row, quantity), quantity

    def matters(self, segment: str) -> bool:
        """Whether what ``segment`` differs by is worth waking somebody."""
        return self.onset(segment)[0].matters

    def named(self, segments: Collection[str]) -> set[str]:
        """``segments`` as a person should be told them: those that explain it, or all languages, and never both."""
        found, quantity = self.onset(POOLED)
        if not segments or (POOLED not in segments and not found.matters):
            return set(segments)
        rows = self.history.explaining(quantity, found)
        least = SOME * float(self.standing.evidence.max())
        own = {self.watched.segments[row] for row in rows if self.standing.evidence[row] >= least}
        return own | (set(segments) - {POOLED}) if own else {POOLED}

    def recovered(self, segment: str) -> bool | None:
        """Whether what ``segment`` fired for is over; None: it did not fire for evidence."""
        if (fired := self.state.fired.get(segment)) is None:
            return None
        row = self.watched.segments.index(segment)
        return self.history.recovered(row, fired.quantity, fired.effect)

    def paged(self, segments: Collection[str]) -> State:
        """What is kept when ``segments`` page: their ledgers start again from zero.

        The pooled ledger does too, since they are part of it; and all do when the pooled one pages.
        """
        names = self.watched.segments
        rows = np.array([POOLED in segments or name in segments or name == POOLED for name in names])
        fired = dict(self.state.fired)
        for segment in segments:
            onset, quantity = self.onset(segment)
            fired[segment] = Fired(quantity, onset.effect)
        evidence = np.where(rows, 0.0, self.standing.evidence)
        standing = replace(self.standing, evidence=evidence)
        return replace(self.state, book=self.state.book.cleared(rows), standing=standing, fired=fired)


class Ledgers:
    """Folds what was recorded since the last look into the ledgers."""

    def __init__(self, windows: Windows, watch: Watch) -> None:
        self.windows = windows
        self.watch = watch
        self.shares = shares(watch.checks)
        self._keys: WeakKeyDictionary[Watched, str] = WeakKeyDictionary()

    def limit(self, severity: str) -> float:
        """Days of evidence at which something pages, or warns."""
        budget = self.watch.false_pages if severity == "page" else self.watch.false_warnings
        return limit_of(budget.count, budget.per)

    def look(
        self, check: Counted, now: datetime, state: State | None, firing: Collection[str], fresh: Run | None = None
    ) -> Account | None:
        """The ledgers of ``check`` now; None while there is nothing to compare with.

        ``firing`` are the segments whose alert is open: no evidence is gathered of them until it is over.
        """
        baseline = self.windows.baseline(check.source, check.needs, now, check.aspect)
        if isinstance(baseline, Learning):
            return None
        watched = self.watched(check, baseline, fresh)
        if watched is None:
            return None
        if (key := self._keys.get(watched)) is None:
            key = self._keys[watched] = _key(check, baseline, watched)
        if state is None or state.key != key:
            state = State(key, Book.empty(watched.normal, step_of(baseline.end) - 1), self._nothing(watched))
        state = reopened(state, watched, frozenset(firing))
        counted = self._counted(watched, state.book.at, now, fresh)
        return folded(watched, state, counted, step_of(now), frozenset(firing), self.shares[check.name])

    def watched(self, check: Counted, baseline: Baseline, fresh: Run | None = None) -> Watched | None:
        """What ``check`` watches, with what ``baseline`` fixes."""
        reference = self.windows.whole_reference(check, baseline, fresh)
        needed = self.limit(check.severity) / self.shares[check.name]
        key = ("watched", check.model_dump_json(), needed)
        return self.windows.kept_with(reference, key, lambda: watch(check, reference, needed))

    def _counted(self, watched: Watched, at: int, now: datetime, fresh: Run | None) -> Shares:
        since = max(moment_of(at + 1), floor_hour(now - LONGEST_CATCH_UP))
        check = watched.check
        start, end = since, now + JUST_AFTER if check.needs == "runs" else floor_hour(now)
        if check.needs == "sample":
            # A sampled unit is a session or query of a whole day: what was counted at its first hour is not again.
            start = moment_of(step_of(since) // 24 * 24)
        if check.needs != "runs":
            # Where the check's own window holds all that is new, it is what will be judged, and is not read twice.
            start = min(start, end - check.window)
        window = replace(self.windows.read(check, start, end), since=since)
        if fresh is not None:
            window = replace(window, runs=(*window.runs, fresh))
        return self.unexpected(watched.count(window).after(step_of(since) - 1))

    def unexpected(self, counted: Shares) -> Shares:
        """``counted`` without the hours in which a difference is expected."""
        expected = [self.windows.expects(moment_of(step)) is not None for step in counted.step.tolist()]
        return counted.keep(~np.array(expected, dtype=bool)) if any(expected) else counted

    def _nothing(self, watched: Watched) -> Standing:
        share = watched.weights * self.shares[watched.check.name]
        return Standing(watched.check.name, watched.segments, np.zeros(len(share)), share)


def folded(watched: Watched, state: State, counted: Shares, hour: int, firing: frozenset[str], share: float) -> Account:
    """``state`` with ``counted`` folded in; what belongs to the ``hour`` that is not over counts and is not kept."""
    rows = np.array([name in firing for name in watched.segments])
    book, _ = watched.ledger.fold(state.book, counted.keep(counted.step < hour), rows)
    still_open = counted.after(hour - 1)
    open_book = watched.ledger.fold(book, still_open, rows)[0] if len(still_open) else book
    last = watched.ledger.standing(open_book, rows)
    evidence = watched.evidence(last[None])[0] * share
    standing = Standing(watched.check.name, watched.segments, evidence, watched.weights * share)
    return Account(watched, replace(state, book=book, standing=standing), open_book, last)


def reopened(state: State, watched: Watched, firing: frozenset[str]) -> State:
    """``state`` when only ``firing`` is open: segments whose alert is over gather evidence again, from zero."""
    over = {segment for segment in state.fired if segment not in firing}
    if not over:
        return state
    rows = np.array([name in over or POOLED in over for name in watched.segments])
    kept = {segment: each for segment, each in state.fired.items() if segment not in over}
    return replace(state, book=state.book.cleared(rows), fired=kept)


def _key(check: Counted, baseline: Baseline, watched: Watched) -> str:
    named = (
        check.model_dump_json(),
        baseline.start.isoformat(),
        baseline.end.isoformat(),
        watched.segments,
        [quantity.name for quantity in watched.quantities],
        [getattr(Book.empty(watched.normal), name).shape for name in ARRAYS],
    )
    return hashlib.blake2b(orjson.dumps(named), digest_size=12).hexdigest()


def step_of(moment: datetime) -> int:
    """Whole hours since 1970 UTC."""
    return int((moment - EPOCH) // HOUR)


def moment_of(step: int) -> datetime:
    """The beginning of an hour since 1970 UTC."""
    return EPOCH + int(step) * HOUR
