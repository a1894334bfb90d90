"""Tallies and samples as arrays, straight from the database's cursor: no object is made of a row.

What the driver hands out is taken a few hundred rows at a time, column by column: the tuples of one piece are gone
before the next comes, so they stay in the processor's cache and a year needs little more memory than its arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from driftwatch.store.samples import padded
from driftwatch.store.tables import sampled, tallies, thresholds
from driftwatch.types import TALLY_FIELDS, Sample, Tallies

ROWS_AT_ONCE = 500

Make = Callable[[Sequence[Any]], NDArray[Any]]
"""Some values of a column -> an array of as many."""


def read_tallies(connection: Connection, source: str, first: int, last: int) -> Tallies:
    """The exact counts of the hours [first, last) since 1970."""
    query = (
        sa.select(tallies.c.lang, tallies.c.hour, *(tallies.c[name] for name in TALLY_FIELDS))
        .where(tallies.c.source == source, tallies.c.hour >= first, tallies.c.hour < last)
        .order_by(tallies.c.hour, tallies.c.lang)
    )
    langs = Names()
    lang, hour, *counts = read_columns(connection, query, [langs.codes, *[integers] * (1 + len(TALLY_FIELDS))])
    if not hour.size:
        return Tallies.none()
    return Tallies(hour.astype("datetime64[h]"), langs.named(lang), np.stack(counts, axis=1))


def read_sample(connection: Connection, source: str, start: int, end: int, *, ids: bool) -> Sample:
    """The sampled queries of [start, end), microseconds since 1970; without ``ids`` every query_id is empty."""
    day = sa.type_coerce(sampled.c.day, sa.BigInteger)
    at = sa.type_coerce(sampled.c.at, sa.BigInteger)
    named = [sampled.c.query_id] if ids else []
    query = (
        sa.select(at, sampled.c.lang, sampled.c.unit, day, sampled.c.stratum, sampled.c.scores, *named)
        .where(sampled.c.source == source, at >= start, at < end)
        .order_by(sampled.c.at, sampled.c.row_id)
    )
    langs, strata, scores = Names(), Names(), Blobs()
    makes: list[Make] = [integers, langs.codes, integers, integers, strata.codes, scores.lengths, *[np.array] * ids]
    moments, lang, unit, days, stratum, lengths, *given = read_columns(connection, query, makes)
    if not moments.size:
        return Sample.none()
    return Sample(
        given[0] if ids else np.zeros(len(moments), "<U1"),
        moments.view("datetime64[us]"),
        langs.named(lang),
        unit,
        _weights(connection, source, days, stratum, list(strata)),
        padded(np.frombuffer(b"".join(scores.pieces), dtype=np.float32), lengths // 4),
    )


def lowered_thresholds(
    connection: Connection, source: str, first: int = -(2**31), last: int = 2**31 - 1
) -> dict[tuple[int, str], float]:
    """(day since 1970, stratum) -> threshold, of the days first to last."""
    day = sa.type_coerce(thresholds.c.day, sa.BigInteger)
    query = sa.select(day, thresholds.c.stratum, thresholds.c.threshold).where(
        thresholds.c.source == source, day >= first, day <= last
    )
    return {(each, stratum): threshold for each, stratum, threshold in connection.execute(query)}


def _weights(
    connection: Connection, source: str, days: NDArray[np.int64], stratum: NDArray[np.int64], strata: Sequence[str]
) -> NDArray[np.float64]:
    """Shape (n,): one over the threshold that the stratum of each row has now."""
    lowered = lowered_thresholds(connection, source, int(days.min()), int(days.max()))
    return 1.0 / row_thresholds(lowered, days, stratum, strata)


def row_thresholds(
    lowered: Mapping[tuple[int, str], float],
    days: NDArray[np.int64],
    stratum: NDArray[np.int64],
    strata: Sequence[str],
) -> NDArray[np.float64]:
    """Shape (n,): the threshold of the stratum of each row; ``strata`` are the names of the numbers in ``stratum``."""
    if not len(days):
        return np.empty(0)
    first, last = int(days.min()), int(days.max())
    table = np.array([[lowered.get((day, name), 1.0) for name in strata] for day in range(first, last + 1)])
    return np.asarray(table[days - first, stratum])


# --- columns -------------------------------------------------------------------------------------------------------


def read_columns(connection: Connection, query: Any, makes: Sequence[Make]) -> list[NDArray[Any]]:
    """What the query gives, an array a column."""
    parts: list[list[NDArray[Any]]] = [[make(())] for make in makes]
    cursor: Any = connection.execute(query).cursor
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        for part, make, values in zip(parts, makes, zip(*rows, strict=True), strict=True):
            part.append(make(values))
    return [np.concatenate(part[1:] or part) for part in parts]


def integers(values: Sequence[int]) -> NDArray[np.int64]:
    """Whole numbers, as they are."""
    return np.fromiter(values, np.int64, len(values))


class Names(dict[str, int]):
    """A number for each name, in the order they come."""

    def __missing__(self, name: str) -> int:
        self[name] = number = len(self)
        return number

    def codes(self, names: Sequence[str]) -> NDArray[np.int64]:
        """Their numbers."""
        return np.fromiter(map(self.__getitem__, names), np.int64, len(names))

    def named(self, codes: NDArray[np.int64]) -> NDArray[np.str_]:
        """What ``codes`` was given."""
        return np.array(list(self))[codes]


class Blobs:
    """Bytes of any length, in one piece after the other."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def lengths(self, blobs: Sequence[bytes]) -> NDArray[np.int64]:
        """Their lengths; the bytes are kept."""
        self.pieces.append(b"".join(blobs))
        return np.fromiter(map(len, blobs), np.int64, len(blobs))
