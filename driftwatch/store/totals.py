"""What is counted for ever, in a bounded number of languages: the counters that other programs take.

A language gets its name when its queries are counted, not when they are told. So a language that is no longer named
takes nothing from ``other``, and no counter ever falls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from driftwatch.sampling import Batch
from driftwatch.store.columns import micros
from driftwatch.store.database import Database
from driftwatch.store.tables import tallies
from driftwatch.store.tables_totals import COUNTED, OUTCOMES, Outcome, looks, named_languages, totals
from driftwatch.types import UNDETERMINED

OTHER = "other"
"""Every language that is not named."""
UNKNOWN = "unknown"
"""No language: neither the log nor driftwatch knows it."""
MOST_NAMED = 20
"""Languages with a name of their own, where the configuration lists none."""
LEAD = 1.5
"""So many times the queries of the smallest named language another one must bring to take its place."""

_HOUR = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Looked:
    """One look of one check."""

    check: str
    at: datetime
    seconds: float
    """What the check itself took, without what it shares with others."""
    outcome: Outcome


class Totals:
    """Which languages are named; the counting itself is part of the transactions of traffic and decisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose_languages(self, since: datetime) -> frozenset[str]:
        """Name the languages most asked in since then from now on; those that are."""
        hour = micros(since) // _HOUR
        asked = sa.select(tallies.c.lang, sa.func.sum(tallies.c.queries)).where(tallies.c.hour >= hour)
        with self._database.writing() as connection:
            before = _named(connection)
            volumes = {lang: int(queries) for lang, queries in connection.execute(asked.group_by(tallies.c.lang))}
            after = most_asked(before, volumes)
            connection.execute(sa.delete(named_languages).where(named_languages.c.language.in_(before - after)))
            _name(connection, self._database.insert, after - before)
        return after


def language_label(lang: str, named: Collection[str]) -> str:
    """How a language is called outside: by its name, or ``other``, or ``unknown``.

    >>> language_label("de", {"de"}), language_label("tlh", {"de"}), language_label("und", {"de"})
    ('de', 'other', 'unknown')
    """
    if lang == UNDETERMINED:
        return UNKNOWN
    return lang if lang in named else OTHER


def named_by(tags: Iterable[str]) -> frozenset[str]:
    """The configured languages as queries are counted by them: without region and script."""
    return frozenset(tag.partition("-")[0].lower() for tag in tags)


def most_asked(named: Collection[str], volumes: Mapping[str, int], most: int = MOST_NAMED) -> frozenset[str]:
    """The languages to name, given those that are and what each brings; a small lead changes nothing.

    >>> sorted(most_asked({"de", "fr"}, {"de": 90, "fr": 40, "pl": 50, "en": 500}, most=2))
    ['de', 'en']
    """
    kept = sorted(named, key=lambda lang: (-volumes.get(lang, 0), lang))[:most]
    rising = sorted(volumes.keys() - set(named) - {UNDETERMINED}, key=lambda lang: (-volumes[lang], lang))
    for lang in rising:
        if len(kept) < most:
            kept.append(lang)
            continue
        smallest = min(kept, key=lambda each: (volumes.get(each, 0), each))
        if volumes[lang] < LEAD * max(volumes.get(smallest, 0), 1):
            break
        kept[kept.index(smallest)] = lang
    return frozenset(kept)


# --- within the transactions that ingest and decide ----------------------------------------------------------------


def count_batch(connection: Connection, insert: Any, batch: Batch, languages: Collection[str]) -> None:
    """Add what ``batch`` counts to the totals.

    Without configured ``languages``, those that are new get a name while there is room.
    """
    if not batch.tallies:
        return
    by_lang: dict[str, list[int]] = {}
    for (_, lang), counts in batch.tallies.items():
        _add(by_lang.setdefault(lang, [0] * len(COUNTED)), counts)
    named = frozenset(languages) or _with_room_filled(connection, insert, by_lang)
    by_label: dict[str, list[int]] = {}
    for lang, counts in by_lang.items():
        _add(by_label.setdefault(language_label(lang, named), [0] * len(COUNTED)), counts)
    statement = insert(totals)
    added = {name: totals.c[name] + statement.excluded[name] for name in COUNTED}
    statement = statement.on_conflict_do_update(index_elements=["source", "language"], set_=added)
    rows = [
        {"source": batch.source, "language": label} | dict(zip(COUNTED, counts, strict=True))
        for label, counts in by_label.items()
    ]
    connection.execute(statement, rows)


def count_looks(connection: Connection, insert: Any, looked: Iterable[Looked]) -> None:
    """Keep the newest look of each check, and count its outcome."""
    rows = [
        {"check": each.check, "at": each.at, "seconds": each.seconds}
        | {"succeeded_at": each.at if each.outcome == "success" else None}
        | {outcome: int(each.outcome == outcome) for outcome in OUTCOMES}
        for each in looked
    ]
    if not rows:
        return
    statement = insert(looks)
    new = statement.excluded
    changed = {"at": new.at, "seconds": new.seconds} | {name: looks.c[name] + new[name] for name in OUTCOMES}
    changed["succeeded_at"] = sa.func.coalesce(new.succeeded_at, looks.c.succeeded_at)
    connection.execute(statement.on_conflict_do_update(index_elements=["check"], set_=changed), rows)


def _add(sums: list[int], counts: Sequence[int]) -> None:
    for place in range(len(COUNTED)):
        sums[place] += int(counts[place])


def _with_room_filled(connection: Connection, insert: Any, by_lang: Mapping[str, Sequence[int]]) -> frozenset[str]:
    named = _named(connection)
    fresh = sorted(by_lang.keys() - named - {UNDETERMINED}, key=lambda lang: (-by_lang[lang][0], lang))
    room = frozenset(fresh[: max(0, MOST_NAMED - len(named))])
    _name(connection, insert, room)
    return named | room


def _named(connection: Connection) -> frozenset[str]:
    return frozenset(connection.execute(sa.select(named_languages.c.language)).scalars())


def _name(connection: Connection, insert: Any, languages: Collection[str]) -> None:
    if languages:
        rows = [{"language": lang} for lang in sorted(languages)]
        connection.execute(insert(named_languages).on_conflict_do_nothing(), rows)
