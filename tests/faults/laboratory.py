"""A watched search service, everybody who uses it, and the driftwatch that watches it: quiet days, then a fault.

The quiet days of a seed are played once; each fault goes on from them in a process that is forked, so that driftwatch
need not learn its baseline again. Only the clock is made up: the store, the service, the vectors, the files and
driftwatch's own agenda are real.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from driftwatch.agenda import Agenda
from driftwatch.config import load_watch
from driftwatch.engine import Engine
from driftwatch.store import Store
from driftwatch.types import Document, Incident
from tests.faults.material import DOCUMENT_PROMPT, MODEL, QUERY_PROMPT, ROOT, Material
from tests.faults.people import HOUR, START, People
from tests.faults.qdrant_store import QdrantStore
from tests.faults.service import Behaviour, Encoder, SearchedService, WatchingEmbedder
from tests.faults.stores import Build, Entries, FaissStore, VectorStore

LEARNT_DAYS, QUIET_DAYS = 7, 8
"""The first of them are the baseline; in the rest driftwatch looks and has nothing to say."""
STEP = 2
"""Hours between two looks; driftwatch's own would be shorter, and would only be told sooner."""
CANARIES_EVERY = 4
"""Hours."""
BACKENDS = ("faiss", "qdrant")
TIMEOUT = "2s"
LATE = ("driftwatch.casebook", "driftwatch.probes.experiment", "driftwatch.probes.index", "scipy.special")
"""What driftwatch imports when it first needs it."""
KEPT = ("driftwatch.db", "corpus.jsonl")
"""Files that a fault changes, beside the store's."""


@dataclass
class Laboratory:
    """One folder in which a service is watched; ``now`` is where its clock stands."""

    folder: Path
    backend: str
    seed: int
    material: Material
    store: VectorStore
    service: SearchedService
    people: People
    entries: Entries
    build: Build
    documents: list[Document]
    now: datetime = START
    watching: Encoder = field(init=False)
    _opened: Opened | None = None

    def __post_init__(self) -> None:
        self.watching = self.service.behaviour.encoder

    def chance(self, more: int) -> np.random.Generator:
        """Luck that belongs to this seed."""
        return np.random.default_rng((self.seed, 17, more))

    # --- what can be done to the service ---------------------------------------------------------------------------

    def index(self, entries: Entries, build: Build | None = None) -> None:
        """Let the store hold these and nothing else."""
        self.entries, self.build = entries, build or self.build
        self.store.write(self.entries, self.build)
        self.service.forget()

    def publish(self, documents: Sequence[Document]) -> None:
        """These are the documents now, at their source."""
        self.documents = list(documents)
        rows = ({"id": each.doc_id, "text": each.text, "lang": each.lang} for each in documents)
        path = self.folder / "corpus.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def watch_with(self, encoder: Encoder) -> None:
        """driftwatch's own embedder is another one from now on: it is started again."""
        self.watching = encoder
        if self._opened is not None:
            self._opened.use(encoder)

    def ask_at_once(self, concurrency: int) -> None:
        """driftwatch asks so many canaries at a time from now on."""
        if self._opened is not None:
            object.__setattr__(self._opened.watch.retriever, "concurrency", concurrency)
            self._opened.watch.retriever.close()  # as many connections, too, when it opens again

    # --- the clock -------------------------------------------------------------------------------------------------

    def pass_time(self, hours: int, step: int = STEP) -> Iterator[datetime]:
        """Let people ask and driftwatch look, ``step`` hours at a time."""
        assert self._opened is not None
        end = self.now + hours * HOUR
        while self.now < end:
            records = [line for hour in range(step) for line in self.people.hour(self.now + hour * HOUR, self.service)]
            self.now += step * HOUR
            self.service.answer([query.text for query in self.material.canaries])  # at once, not one by one
            self._opened.look(records, self.now)
            yield self.now

    def record(self, hours: int) -> None:
        """Let people ask and canaries be asked, without a look: nothing is judged before the baseline is full."""
        assert self._opened is not None
        for _ in range(0, hours, CANARIES_EVERY):
            records = [
                line
                for hour in range(CANARIES_EVERY)
                for line in self.people.hour(self.now + hour * HOUR, self.service)
            ]
            self.now += CANARIES_EVERY * HOUR
            self.service.answer([query.text for query in self.material.canaries])
            self._opened.hear(records, self.now)

    def incidents(self, since: datetime) -> list[Incident]:
        """Everything that was opened since then, oldest first."""
        assert self._opened is not None
        found = self._opened.store.decisions.recent_incidents(50)
        return sorted((each for each in found if each.opened_at > since), key=lambda each: each.opened_at)

    def diagnosis(self, incident_id: str) -> Any:
        """What driftwatch says broke; None when it says nothing."""
        assert self._opened is not None
        diagnoses = getattr(self._opened.store, "diagnoses", None)
        return diagnoses.of(incident_id) if diagnoses is not None else None

    # --- beginning, and resting between two processes ----------------------------------------------------------------

    def wake(self) -> None:
        """The service answers; driftwatch runs."""
        self.service.start()
        if self._opened is None:
            (self.folder / "driftwatch.yaml").write_text(yaml.safe_dump(self._configuration(), allow_unicode=True))
            self._opened = Opened(self.folder, self.watching)

    def rest(self) -> None:
        """Nobody listens and no connection is open, and what driftwatch worked out stays in its memory."""
        self.service.stop()
        self.store.rest()
        if self._opened is not None:
            self._opened.rest()

    def keep(self) -> None:
        """Remember how everything is now; resting."""
        self.store.keep()
        for name in KEPT:
            shutil.copy2(self.folder / name, self.folder / f"{name}.kept")

    def restore(self) -> None:
        """As it was kept, whatever a process that was forked has done since; resting."""
        self.store.restore()
        self.store.rest()
        for name in KEPT:
            shutil.copy2(self.folder / f"{name}.kept", self.folder / name)
        for name in ("driftwatch.db-wal", "driftwatch.db-shm"):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """The end."""
        self.rest()
        self.store.close()

    def _configuration(self) -> dict[str, Any]:
        return {
            "service": "laboratory",
            "database": "sqlite:///driftwatch.db",
            "baseline": "7 days",
            "languages": ["en", "de", "es", "ro"],
            "retriever": {
                "kind": "http",
                "url": self.service.url,
                "top_k": 10,
                "timeout": TIMEOUT,
                "retries": 0,
                "concurrency": 1,  # threads that wait for one another would double the time of a play
                "versions": {"index": "versions.index", "embedder": "versions.embedder"},
            },
            "index": self.store.setting(),
            "documents": {"path": "corpus.jsonl", "text": "text"},
            "embedder": {"model": MODEL, "query_prompt": QUERY_PROMPT, "document_prompt": DOCUMENT_PROMPT},
            "sources": {
                "canaries": {"kind": "canaries", "path": "canaries.jsonl", "every": f"{CANARIES_EVERY}h"},
                "index": {"kind": "index", "every": f"{STEP}h"},
                "live": {"kind": "push", "stratify": "lang"},
            },
            "checks": str(ROOT / "checks" / "*.yaml"),
            "alerts": {"blind_after": 3},
            "notify": [{"kind": "console", "name": "terminal"}],
        }


class Opened:
    """A running driftwatch."""

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        for name in LATE:  # once, and not in every process that is forked
            import_module(name)
        self.watch = load_watch(folder / "driftwatch.yaml")
        self.store = Store.open(self.watch.database, lasting=False)
        self.use(encoder)

    def use(self, encoder: Encoder) -> None:
        """Start it again with this embedder."""
        self.engine = Engine(self.watch, self.store, embedder=WatchingEmbedder(encoder))
        self.agenda = Agenda(self.engine, self.store)

    def look(self, records: list[dict[str, Any]], now: datetime) -> None:
        """Take what the service pushed, then do whatever is due."""
        if records:
            self.engine.observer.push("live", records, now)
        self.agenda.run_due(now)

    def hear(self, records: list[dict[str, Any]], now: datetime) -> None:
        """Take what the service pushed and ask the canaries; judge nothing."""
        self.engine.observer.push("live", records, now)
        self.engine.observe("canaries", now)

    def rest(self) -> None:
        """Close every connection; they open again when they are needed."""
        for each in (self.watch.retriever, self.watch.index):
            if each is not None:
                each.close()
        self.store.close()


def furnished(folder: Path, backend: str, seed: int, material: Material) -> Laboratory:
    """A new laboratory in an empty folder, its index built and its documents published."""
    store = new_store(backend, folder / "store")
    documents = list(material.documents)
    entries = Entries(
        tuple(each.doc_id for each in documents),
        material.encoded(DOCUMENT_PROMPT, [each.text for each in documents]),
        tuple(each.text for each in documents),
        tuple(each.lang for each in documents),
    )
    service = SearchedService(store, Behaviour(Encoder(material)))
    own = Laboratory(
        folder, backend, seed, material, store, service, People(material, seed), entries, Build(), documents
    )
    own.index(entries)
    own.publish(documents)
    canaries = (
        {"query_id": each.query_id, "text": each.text, "lang": each.lang, "relevant": list(each.relevant)}
        for each in material.canaries
    )
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in canaries)
    (folder / "canaries.jsonl").write_text(lines)
    return own


def new_store(backend: str, folder: Path) -> VectorStore:
    """An empty store of this kind."""
    return FaissStore(folder) if backend == "faiss" else QdrantStore(folder)


def quiet(folder: Path, backend: str, seed: int, material: Material) -> Laboratory:
    """The quiet days of a seed, played in an empty folder; nothing may fire in them."""
    own = furnished(folder, backend, seed, material)
    own.wake()
    own.record(24 * LEARNT_DAYS)
    for _ in own.pass_time(24 * (QUIET_DAYS - LEARNT_DAYS)):
        pass
    fired = own.incidents(START)
    own.rest()
    own.keep()
    assert not fired, f"an alert on a quiet day: {[(each.family, each.segment) for each in fired]}"
    return own
