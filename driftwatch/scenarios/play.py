"""Plays scenarios through the daemon's own agenda, in time lapse; only the clock and the service are simulated."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from driftwatch.config import Watch
from driftwatch.daemon import Daemon
from driftwatch.scenarios.form import DAY, OPEN, START
from driftwatch.scenarios.reading import Script
from driftwatch.scenarios.service import SimulatedRetriever, WordEmbedder
from driftwatch.scenarios.simulated import Simulation
from driftwatch.scenarios.watched import CANARIES, LOG
from driftwatch.store import Store
from driftwatch.types import Finding

Place = tuple[str, str]
"""A check and a segment."""

DATABASE = "driftwatch.db"


@dataclass(frozen=True)
class Look:
    """The alerts after one step of the clock."""

    at: datetime
    states: dict[Place, str]
    """Without those that are ok and always were."""
    newest: dict[Place, Finding]


@dataclass
class Played:
    """A month as it was."""

    script: Script
    looks: list[Look] = field(default_factory=list)


@dataclass(frozen=True)
class Beginning:
    """The days before anything changes, as they were left: several scenarios may go on from them."""

    folder: Path
    """Holds the log and the closed database."""
    end: datetime
    looks: list[Look]


Told = Callable[[], None]
"""Called after each look."""


def _silent() -> None:
    """Nobody wants to know."""


def begin(script: Script, end: datetime, folder: Path, told: Told = _silent) -> Beginning:
    """Play the days before ``end``, in which nothing changes, in a new folder below ``folder``."""
    own = _new(folder)
    (own / CANARIES).write_bytes(Simulation(script.scenario).canaries())
    return Beginning(own, end, _play(script, own, START, end, [], told))


def play(script: Script, folder: Path, beginning: Beginning | None = None, told: Told = _silent) -> Played:
    """Play the scenario to its end in a new folder below ``folder``, which is gone afterwards."""
    own = _new(folder)
    start, looks = START, []
    if beginning is None:
        (own / CANARIES).write_bytes(Simulation(script.scenario).canaries())
    else:
        start, looks = beginning.end, list(beginning.looks)
        for name in (CANARIES, DATABASE, LOG):
            shutil.copy(beginning.folder / name, own / name)
    try:
        return Played(script, _play(script, own, start, script.scenario.end, looks, told))
    finally:
        shutil.rmtree(own)


def likeness(script: Script) -> str:
    """Equal for scenarios that are the same until something changes."""
    setting = script.scenario.model_dump_json(include={"every", "seed", "traffic"})
    return setting + script.watch.model_dump_json()


def shared_until(scripts: Sequence[Script]) -> dict[str, datetime]:
    """How long those that are alike stay the same, in whole days, where two or more of them share a day."""
    alike: dict[str, list[Script]] = {}
    for script in scripts:
        alike.setdefault(likeness(script), []).append(script)
    ends = {
        key: min(min(each.scenario.first_change, each.scenario.end) for each in family)
        for key, family in alike.items()
        if len(family) > 1
    }
    whole = {key: START + (end - START) // DAY * DAY for key, end in ends.items()}
    return {key: end for key, end in whole.items() if end > START}


class Stage:
    """Where scenarios are played one after the other; the quiet days that several begin with are played only once."""

    def __init__(self, folder: Path, scripts: Sequence[Script], told: Told = _silent) -> None:
        """``folder``: an empty one for logs and databases; ``scripts``: those that will be played."""
        self.folder = folder
        self.told = told
        self._shared = shared_until(scripts)
        self._beginnings: dict[str, Beginning] = {}

    def play(self, script: Script) -> Played:
        """Play the whole scenario; as if it were played alone."""
        key = likeness(script)
        if (end := self._shared.get(key)) is None:
            return play(script, self.folder, None, self.told)
        if key not in self._beginnings:
            self._beginnings[key] = begin(script, end, self.folder, self.told)
        return play(script, self.folder, self._beginnings[key], self.told)


def _new(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(dir=folder))


def _play(script: Script, folder: Path, start: datetime, end: datetime, looks: list[Look], told: Told) -> list[Look]:
    """Let the clock go from ``start`` to ``end``, a step at a time, with a daemon that has just been started."""
    watch = _in(script.watch, folder)
    simulation = Simulation(script.scenario)
    simulation.now = start
    assert isinstance(watch.retriever, SimulatedRetriever)
    watch.retriever.begin(simulation)
    store = Store.open(watch.database, lasting=False)
    try:
        with (folder / LOG).open("ab", buffering=0) as log:
            daemon = Daemon(watch, store, embedder=WordEmbedder() if watch.embedder else None)
            while simulation.now < end:
                until = min(simulation.now + script.scenario.step, end)
                log.write(simulation.log(simulation.now, until))
                simulation.now = until
                daemon.run_due(until)
                looks.append(_look(store, until, looks))
                told()
    finally:
        store.close()
    return looks


def _in(watch: Watch, folder: Path) -> Watch:
    """``watch`` with its files in ``folder``, and with sources that have read nothing yet."""
    sources = {name: type(source).model_validate(source.model_dump()) for name, source in watch.sources.items()}
    database = f"sqlite:///{folder / DATABASE}"
    return watch.model_copy(update={"path": folder / "driftwatch.yaml", "database": database, "sources": sources})


def _look(store: Store, at: datetime, before: Sequence[Look]) -> Look:
    """What is the case after a step; `resolved` is what was open once and is ok now."""
    known = before[-1].states if before else {}
    states: dict[Place, str] = {}
    for place, alert in store.decisions.alerts().items():
        if alert.state != "ok":
            states[place] = alert.state
        elif known.get(place) in (*OPEN, "resolved"):
            states[place] = "resolved"
    return Look(at, states, store.decisions.last_findings())
