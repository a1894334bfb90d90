"""What happened, as columns: the exact counts, and the sampled queries. ``driftwatch.types`` hands these nouns on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

TALLY_FIELDS = (
    "queries",
    "results_known",
    "empty",
    "abstention_known",
    "abstained",
    "feedback_known",
    "up",
    "down",
    "click",
    "accepted",
    "detected",
    "errors",
    "units",
    "units_results_known",
    "units_empty",
    "units_abstention_known",
    "units_abstained",
    "units_feedback_known",
    "units_up",
    "units_down",
    "units_click",
    "units_accepted",
)
"""The columns of ``Tallies.counts``. ``*_known`` are the denominators: lines that say anything about it at all.

``detected`` counts lines whose language driftwatch guessed; ``errors`` counts lines that report a failed retrieval.
``units*`` count independent units instead of lines: of each unit (a session, or a distinct query) the first line of the
day, and for each denominator the first line of the day that says anything about it.
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Rows, and what was made of them: several checks ask the same of the same rows."""

    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, remembered under ``key`` as long as these rows live; it must not hold them itself."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[no-any-return]


def once_each(rows: Sequence[Columns], keys: Sequence[Hashable], make: Callable[[list[int]], Sequence[T]]) -> list[T]:
    """``once`` of several at a time, each under its key: ``make`` is given the places of those that miss theirs."""
    missing = [place for place, (each, key) in enumerate(zip(rows, keys, strict=True)) if key not in each._made]
    if missing:
        for place, made in zip(missing, make(missing), strict=True):
            rows[place]._made[keys[place]] = made
    return [each._made[key] for each, key in zip(rows, keys, strict=True)]


@dataclass(frozen=True, slots=True, eq=False)
class Tallies(Columns):
    """Exact counts of everything, one row an hour and language."""

    hour: NDArray[np.datetime64]
    """shape (n,), datetime64[h], UTC, ascending."""
    lang: NDArray[np.str_]
    """shape (n,)."""
    counts: NDArray[np.int64]
    """shape (n, len(TALLY_FIELDS))."""

    def total(self, column: str) -> int:
        """Sum of one column."""
        totals = self.once("totals", self._totals)
        return totals[column]

    def _totals(self) -> dict[str, int]:
        return dict(zip(TALLY_FIELDS, self.counts.sum(axis=0).tolist(), strict=True))

    def by_hour(self, column: str) -> dict[np.datetime64, int]:
        """Hour -> sum over languages."""
        hours, where = np.unique(self.hour, return_inverse=True)
        sums = np.bincount(where, weights=self.counts[:, TALLY_FIELDS.index(column)], minlength=len(hours))
        return {hour: int(count) for hour, count in zip(hours, sums, strict=True)}

    def by_lang(self, column: str) -> dict[str, int]:
        """Language -> sum over hours."""
        langs, where = np.unique(self.lang, return_inverse=True)
        sums = np.bincount(where, weights=self.counts[:, TALLY_FIELDS.index(column)], minlength=len(langs))
        return {str(lang): int(count) for lang, count in zip(langs, sums, strict=True)}

    def keep(self, mask: NDArray[np.bool_]) -> Tallies:
        """The rows where ``mask`` (shape (n,)) holds."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: NDArray[np.intp]) -> Tallies:
        """The rows at ``rows``, ascending."""
        return Tallies(self.hour[rows], self.lang[rows], self.counts[rows])

    def of_language(self, lang: str) -> Tallies:
        """The rows of one language."""

        def split() -> dict[str, NDArray[np.intp]]:
            names, code = np.unique(self.lang, return_inverse=True)
            return _by_code(names.tolist(), code)

        rows = self.once("by language", split)
        return self.take(rows.get(lang, np.empty(0, np.intp)))

    @staticmethod
    def none() -> Tallies:
        """No rows."""
        return Tallies(
            np.empty(0, "datetime64[h]"), np.empty(0, "<U1"), np.empty((0, len(TALLY_FIELDS)), dtype=np.int64)
        )


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Contents:
    """What was asked, and its embedding: of every row of a whole sample, and read only when it is asked for."""

    whole: Sample
    """The sample whose rows these are, before it was split."""
    chosen: NDArray[np.bool_]
    """shape (n,): the rows that are to have an embedding; the others are more than is embedded of a day."""
    embedded: NDArray[np.bool_]
    """shape (n,): the rows that have one."""
    vectors: Callable[[NDArray[np.intp]], NDArray[np.float16]]
    """Rows of ``whole`` that are embedded -> shape (len(rows), dimension), L2-normalised."""
    texts: Callable[[NDArray[np.intp]], Sequence[str]] | None
    """Rows of ``whole`` -> their texts; None where texts are not kept, or not shown to anybody."""
    trouble: str = ""
    """Why nothing more is embedded, with the remedy; empty when it is, or will be at the next look."""

    @property
    def enough(self) -> bool:
        """Whether so much is embedded of what is to be that it speaks for all of it."""
        return bool(self.embedded.sum() >= 0.95 * self.chosen.sum())

    @property
    def complete(self) -> bool:
        """Whether everything is embedded that is to be, or enough and no more can be."""
        return bool(self.embedded[self.chosen].all()) or (self.enough and self.trouble != "")


@dataclass(frozen=True, slots=True, eq=False)
class Sample(Columns):
    """The sampled queries of a window, a column each; rows are ordered by time.

    A part takes a column from the whole when it is first asked for: a language's share of a reference has many that
    nobody asks for.
    """

    query_id: NDArray[np.str_]
    """shape (n,)."""
    at: NDArray[np.datetime64]
    """shape (n,), datetime64[us], UTC."""
    lang: NDArray[np.str_]
    """shape (n,)."""
    unit: NDArray[np.int64]
    """shape (n,): rows of one session carry the same number; a row without a session is a unit of its own."""
    weight: NDArray[np.float64]
    """shape (n,): 1 / probability of having been kept."""
    scores: NDArray[np.float32]
    """shape (n, k): best first, NaN-padded, higher is better. A row of NaN has no scores."""
    contents: Contents | None = None
    """Only where the check ``embeds``."""
    row: NDArray[np.intp] | None = None
    """shape (n,): the rows of ``contents`` that these are; None: all of them."""
    part_of: Sample | None = field(default=None, init=False, repr=False)
    """The sample that was read, of which these are some rows; None: these are all of it."""
    chosen: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp), init=False, repr=False)
    """shape (n,), ascending: the rows of ``part_of`` that these are."""

    def __len__(self) -> int:
        return len(self.at) if self.part_of is None else len(self.chosen)

    if not TYPE_CHECKING:  # what is no column is a mistake that a type checker sees

        def __getattr__(self, name: str) -> NDArray[Any]:
            if name not in _SAMPLED:
                raise AttributeError(name)
            assert self.part_of is not None
            column = getattr(self.part_of, name)[self.chosen]
            object.__setattr__(self, name, column)
            return column

    def keep(self, mask: NDArray[np.bool_]) -> Sample:
        """The rows where ``mask`` (shape (n,)) holds."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: NDArray[np.intp]) -> Sample:
        """The rows at ``rows``, ascending."""
        part = object.__new__(Sample)
        given: dict[str, Any] = {
            "_made": {},
            "contents": self.contents,
            "row": None if self.contents is None else self.rows[rows],
            "part_of": self.whole,
            "chosen": rows if self.part_of is None else self.chosen[rows],
        }
        for name, value in given.items():
            object.__setattr__(part, name, value)
        return part

    def column(self, key: Hashable, make: Callable[[Sample], NDArray[Any]]) -> NDArray[Any]:
        """``make(sample)``, a value for each row that depends on that row alone: it is made once, for the whole."""
        whole = self.whole
        return self.once(key, (lambda: make(self)) if whole is self else lambda: whole.column(key, make)[self.chosen])

    @property
    def whole(self) -> Sample:
        """The sample that was read: itself, or what it is a part of."""
        return self if self.part_of is None else self.part_of

    @property
    def rows(self) -> NDArray[np.intp]:
        """shape (n,): where the rows are in ``contents``."""
        return np.arange(len(self)) if self.row is None else self.row

    @property
    def hour(self) -> NDArray[np.int64]:
        """shape (n,): hours since 1970 UTC."""
        return self.column("hour", lambda whole: whole.at.astype("datetime64[h]").astype(np.int64))

    @property
    def units_differ(self) -> bool:
        """Whether every row of the whole is a unit of its own, as those without a session are."""

        def differ() -> bool:
            ordered = np.sort(self.whole.unit)
            return not (ordered[1:] == ordered[:-1]).any()

        return self.whole.once("units differ", differ)

    def languages(self) -> tuple[list[str], NDArray[np.int16]]:
        """Names, in order, among them all that are here, and shape (n,): which of them each row has."""
        names = self.whole.once("languages", lambda: np.unique(self.whole.lang))
        return names.tolist(), self.column(
            "language", lambda whole: np.searchsorted(names, whole.lang).astype(np.int16)
        )

    def written_in(self, names: Sequence[str], code: NDArray[np.int64]) -> Sample:
        """Itself, where the languages are known by number already: of each row, which of ``names`` it has."""
        order = sorted(range(len(names)), key=names.__getitem__)
        place = np.empty(len(names), np.int16)
        place[order] = np.arange(len(names))
        self.once("languages", lambda: np.array([names[number] for number in order]))
        self.once("language", lambda: place[code])
        return self

    def by_language(self) -> dict[str, NDArray[np.intp]]:
        """Language -> the rows that have it, ascending."""
        return self.once("by language", lambda: _by_code(*self.languages()))

    @staticmethod
    def none() -> Sample:
        """No rows."""
        return Sample(
            np.empty(0, "<U1"),
            np.empty(0, "datetime64[us]"),
            np.empty(0, "<U1"),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty((0, 0), np.float32),
        )


def _by_code(names: list[str], code: NDArray[Any]) -> dict[str, NDArray[np.intp]]:
    """Name -> where ``code`` has its number, ascending."""
    order, edges = np.argsort(code, kind="stable"), [0, *np.cumsum(np.bincount(code, minlength=len(names))).tolist()]
    return {name: order[edges[place] : edges[place + 1]] for place, name in enumerate(names)}


_SAMPLED = frozenset({"query_id", "at", "lang", "unit", "weight", "scores"})
"""The columns of ``Sample``."""
