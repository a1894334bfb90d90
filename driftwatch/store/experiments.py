"""What was found out by experiment: probes of an index, comparisons of two retrievers, and what they hand on."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa

from driftwatch.store.columns import dump
from driftwatch.store.database import Database
from driftwatch.store.tables import experiments, keepsakes
from driftwatch.types import IndexFacts, Look, Probe

PROBES = "probes"
COMPARISONS = "comparisons"


class Experiments:
    """Everything that was found out by experiment, each kind in its own words."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, kind: str, source: str, at: datetime, body: bytes, keepsake: bytes | None = None) -> None:
        """Keep what was found at one time, and what the next experiment is handed, together or not at all.

        A second one of the same time takes the place of the first.
        """
        found = self._database.insert(experiments).values(kind=kind, source=source, at=at, body=body)
        found = found.on_conflict_do_update(index_elements=["kind", "source", "at"], set_={"body": found.excluded.body})
        with self._database.writing() as connection:
            connection.execute(found)
            if keepsake is not None:
                kept = self._database.insert(keepsakes).values(kind=kind, source=source, body=keepsake)
                connection.execute(
                    kept.on_conflict_do_update(index_elements=["kind", "source"], set_={"body": kept.excluded.body})
                )

    def bodies(self, kind: str, source: str, start: datetime, end: datetime) -> list[tuple[datetime, bytes]]:
        """What was found in [start, end), oldest first."""
        table = experiments.c
        where = (table.kind == kind, table.source == source, table.at >= start, table.at < end)
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(table.at, table.body).where(*where).order_by(table.at))
            return [(row.at, row.body) for row in rows]

    def newest(self, kind: str, source: str) -> tuple[datetime, bytes] | None:
        """What was found last."""
        table = experiments.c
        query = sa.select(table.at, table.body).where(table.kind == kind, table.source == source)
        with self._database.reading() as connection:
            row = connection.execute(query.order_by(table.at.desc()).limit(1)).first()
        return None if row is None else (row.at, row.body)

    def keepsake(self, kind: str, source: str) -> bytes | None:
        """What the last one handed on."""
        query = sa.select(keepsakes.c.body).where(keepsakes.c.kind == kind, keepsakes.c.source == source)
        with self._database.reading() as connection:
            body: bytes | None = connection.execute(query).scalar()
        return body

    # --- probes ----------------------------------------------------------------------------------------------------

    def add_probe(self, probe: Probe) -> None:
        """Keep one run of the probes; its state is kept once, for the next run."""
        body, state = packed(replace(probe, state={})), packed(probe.state)
        self.add(PROBES, probe.source, probe.at, body, state)

    def probes(self, source: str, start: datetime, end: datetime) -> tuple[Probe, ...]:
        """The runs of [start, end), oldest first, without what they handed on."""
        return tuple(_probe(unpacked(body)) for _, body in self.bodies(PROBES, source, start, end))

    def some_probes(self, source: str, since: datetime, most: int) -> tuple[Probe, ...]:
        """Runs from ``since`` on, oldest first: at most so many, evenly spread, the newest among them."""
        table = experiments.c
        where = (table.kind == PROBES, table.source == source)
        with self._database.reading() as connection:
            times = connection.execute(sa.select(table.at).where(*where, table.at >= since).order_by(table.at.desc()))
            moments = [at for (at,) in times]
            wanted = moments[:: max(1, -(-len(moments) // most))]
            rows = connection.execute(sa.select(table.body).where(*where, table.at.in_(wanted)).order_by(table.at))
            return tuple(_probe(unpacked(body)) for (body,) in rows)

    def last_probe(self, source: str) -> Probe | None:
        """The newest run with what it hands to the next."""
        newest = self.newest(PROBES, source)
        if newest is None:
            return None
        state = self.keepsake(PROBES, source)
        return replace(_probe(unpacked(newest[1])), state=unpacked(state) if state else {})


def packed(content: Any) -> bytes:
    """A frozen noun, or a mapping, as compressed JSON."""
    return zlib.compress(dump(content if isinstance(content, Mapping) else asdict(content)).encode())


def unpacked(body: bytes) -> Any:
    """What ``packed`` was given, as plain JSON."""
    return orjson.loads(zlib.decompress(body))


def _probe(plain: dict[str, Any]) -> Probe:
    looks = {name: _look(each) for name, each in plain["looks"].items()}
    facts = IndexFacts(**known_of(IndexFacts, plain["facts"])) if plain.get("facts") else None
    at = datetime.fromisoformat(plain["at"])
    return Probe(**{**known_of(Probe, plain), "at": at, "looks": looks, "facts": facts})


def _look(plain: dict[str, Any]) -> Look:
    by = {lang: (int(n), int(bad)) for lang, (n, bad) in plain.get("by", {}).items()}
    values = {name: float("nan") if value is None else value for name, value in plain.get("values", {}).items()}
    return Look(**{**known_of(Look, plain), "ids": tuple(plain.get("ids", ())), "by": by, "values": values})


def known_of(noun: Any, plain: Mapping[str, Any]) -> dict[str, Any]:
    """What of ``plain`` this version knows: a newer one may have kept more, an older one less."""
    return {each.name: plain[each.name] for each in fields(noun) if each.name in plain}
