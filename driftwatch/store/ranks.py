"""At which rank the canaries found what they look for, run by run: of each run only that is kept in memory."""

from __future__ import annotations

import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
import sqlalchemy as sa

from driftwatch.store.database import Database
from driftwatch.store.tables import canary_runs
from driftwatch.types import UNDETERMINED

MISSED, UNASKED, ROT = 0, -1, -2
"""Instead of a rank: nothing right was found; it could not be asked; all of its documents have left the index."""
MOST_KEPT = 256
"""Runs in memory: a few hundred bytes for a hundred canaries each."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """One run of one suite."""

    at: datetime
    lang: dict[str, str]
    """query_id -> language."""
    rank: dict[str, int]
    """query_id -> the rank of the first right document, from 1, or one of ``MISSED``, ``UNASKED`` and ``ROT``. Where
    nothing should be found, 1 says that nothing was.
    """


class RankHistory:
    """Reads runs as ranks, each of them once: a run never changes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, Ranks] = OrderedDict()
        self._lock = threading.Lock()

    def times(self, source: str, since: datetime) -> list[tuple[datetime, str]]:
        """(when, run_id) of every run from ``since`` on, oldest first."""
        query = sa.select(canary_runs.c.at, canary_runs.c.run_id)
        query = query.where(canary_runs.c.source == source, canary_runs.c.at >= since)
        with self._database.reading() as connection:
            return [(at, run_id) for at, run_id in connection.execute(query.order_by(canary_runs.c.at))]

    def of(self, run_ids: Sequence[str]) -> list[Ranks]:
        """These runs, oldest first."""
        with self._lock:
            known = {name: self._known[name] for name in run_ids if name in self._known}
        missing = [name for name in run_ids if name not in known]
        query = sa.select(canary_runs.c.run_id, canary_runs.c.at, canary_runs.c.body)
        if missing:
            with self._database.reading() as connection:
                for run_id, at, body in connection.execute(query.where(canary_runs.c.run_id.in_(missing))):
                    known[run_id] = _ranks(at, orjson.loads(zlib.decompress(body)))
        with self._lock:
            for name, ranks in known.items():
                self._known[name] = ranks
                self._known.move_to_end(name)
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return sorted(known.values(), key=lambda each: each.at)


def one_a_day(times: Iterable[tuple[datetime, str]]) -> list[str]:
    """The last run of each day."""
    return list({at.date(): run_id for at, run_id in times}.values())


def spread(times: Sequence[tuple[datetime, str]], apart: timedelta) -> list[str]:
    """Runs that lie so far apart at least, counted from the newest."""
    kept: list[str] = []
    last: datetime | None = None
    for at, run_id in reversed(times):
        if last is None or last - at >= apart:
            kept.append(run_id)
            last = at
    return kept


def _ranks(at: datetime, columns: dict[str, Any]) -> Ranks:
    """Of the columns that ``packing.pack`` wrote."""
    gone = frozenset(columns["gone"])
    count = len(columns["at"])
    nothing: list[Any] = [None] * count
    query_ids = columns.get("query_id", [""] * count)
    langs = columns.get("lang", [UNDETERMINED] * count)
    attempts, errors, empties = (columns.get(name, nothing) for name in ("attempt", "error", "expect_empty"))
    rank, lang = {}, {}
    for place, query_id in enumerate(query_ids):
        if attempts[place]:
            continue
        docs = None if errors[place] else columns["docs"][place]
        rank[query_id] = _rank(docs, columns["relevant"][place], gone, bool(empties[place]))
        lang[query_id] = langs[place]
    return Ranks(at, lang, rank)


def _rank(docs: list[str] | None, relevant: list[Any], gone: frozenset[str], empty: bool) -> int:
    if docs is None:
        return UNASKED
    if empty:
        return MISSED if docs else 1
    right = {doc_id for doc_id, grade in relevant if grade > 0}
    if right and right <= gone:
        return ROT
    return next((place for place, doc_id in enumerate(docs, start=1) if doc_id in right), MISSED)
