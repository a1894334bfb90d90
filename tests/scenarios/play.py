"""Plays a scenario through the daemon's own agenda, and compares what was said with what had to be said."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from driftwatch.checks import Check
from driftwatch.config import Watch, load_watch
from driftwatch.daemon import Daemon
from driftwatch.schedule import Schedule, show_duration
from driftwatch.store import Store
from driftwatch.types import Finding
from tests.scenarios.form import HOUR, OPEN, START, Expectation, Script, moment_of
from tests.scenarios.simulated import Simulation

Place = tuple[str, str]
"""A check and a segment."""

SHARED = moment_of(20)
"""Scenarios in which nothing changes until then share the days before: the fortnight of the baseline and a few more."""

DATABASE, SAVED, LOG = "driftwatch.db", "saved.db", "queries.jsonl"

CONFIG = """\
service: simulated
database: sqlite:///driftwatch.db
languages: {languages}
retriever: {{kind: python, callable: "tests.scenarios.simulated:search", top_k: 10}}
sources:
  canaries: {{kind: canaries, path: canaries.jsonl, every: {every}}}
  live: {{kind: query_log, path: queries.jsonl, stratify: lang}}
baseline: 14 days
checks: {checks}
api: off
notify: []
"""


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
    checks: tuple[Check, ...]
    looks: list[Look] = field(default_factory=list)

    def failures(self) -> list[str]:
        """What was not as it had to be, a sentence each; nothing when the scenario went well."""
        return [*self._unmet(), *self._false_alarms(), *self._asleep()]

    def openings(self) -> Iterator[tuple[Look, Place]]:
        """Every time an alert began to fire or went blind."""
        before: dict[Place, str] = {}
        for look in self.looks:
            opened = [place for place, state in look.states.items() if state in OPEN and before.get(place) != state]
            yield from ((look, place) for place in opened)
            before = look.states

    def _unmet(self) -> Iterator[str]:
        for index, expected in enumerate(self.script.scenario.expect):
            looks = [look for look in self.looks if expected.opening < look.at <= expected.deadline]
            for segment in expected.segment:
                place = (expected.check, segment)
                tried = looks if expected.within else looks[-1:]
                if not any(_is(look, place, expected) for look in tried):
                    yield f"{self.script.line('expect', index)}: {_complaint(looks[-1], place, expected)}"

    def _false_alarms(self) -> Iterator[str]:
        for look, place in self.openings():
            if not self._explained(look, place):
                where = self.script.line("quiet" if place[0] in self.script.scenario.quiet else "expect")
                alarm = f"{day(look.at)}: {named(place)} is {look.states[place]}, which nobody expected"
                yield f"{where}: {alarm}; what it said: {look.newest[place].message}"

    def _explained(self, look: Look, place: Place) -> bool:
        """Whether an opening was expected: after something changed, in time, and not once it had to be over."""
        scenario = self.script.scenario
        since = first_change(self.script)
        for expected in sorted(scenario.expect, key=lambda each: each.deadline):
            if expected.check != place[0] or place[1] not in expected.segment:
                continue
            if expected.state == look.states[place] and since < look.at <= expected.deadline:
                return True
            if expected.state not in OPEN:
                since = max(since, expected.deadline)
        return False

    def _asleep(self) -> Iterator[str]:
        """A check that never knows anything is not quiet."""
        for index, name in enumerate(self.script.scenario.quiet):
            found = [finding for look in self.looks for (check, _), finding in look.newest.items() if check == name]
            if not any(finding.verdict == "ok" for finding in found):
                said = f"it said: {found[-1].message}" if found else "it never looked"
                yield f"{self.script.line('quiet', index)}: {name} is not quiet, it never judged anything; {said}"


class Stage:
    """Where scenarios are played one after the other; the quiet days that they begin with are played only once."""

    def __init__(self, base: Path, folder: Path) -> None:
        """``base``: the project that ``checks`` are relative to; ``folder``: an empty one for logs and databases."""
        self.base = base
        self.folder = folder
        self._beginnings: dict[str, Beginning] = {}

    def play(self, script: Script) -> Played:
        """Play the whole scenario; as if it were played alone."""
        if first_change(script) < SHARED or script.scenario.end <= SHARED:
            folder = self.folder / f"{len(list(self.folder.iterdir()))}"
            return _play(script, self._set_up(script, folder), START, script.scenario.end, [])
        common = script.scenario.model_dump_json(include={"checks", "every", "seed", "traffic"})
        if common not in self._beginnings:
            self._beginnings[common] = self._begin(script)
        beginning = self._beginnings[common]
        beginning.restore()
        return _play(script, beginning.watch, SHARED, script.scenario.end, list(beginning.looks))

    def _begin(self, script: Script) -> Beginning:
        folder = self.folder / f"{len(list(self.folder.iterdir()))}"
        watch = self._set_up(script, folder)
        looks = _play(script, watch, START, SHARED, []).looks
        shutil.copy(folder / DATABASE, folder / SAVED)  # closed, so nothing of it is elsewhere
        return Beginning(watch, looks, (folder / LOG).stat().st_size)

    def _set_up(self, script: Script, folder: Path) -> Watch:
        folder.mkdir()
        (folder / "canaries.jsonl").write_bytes(Simulation(script.scenario).canaries())
        watch = make_project(script, self.base, folder)
        script.check_names([check.name for check in watch.checks])
        return watch


@dataclass(frozen=True)
class Beginning:
    """The first days of a month as they were left, to be gone on from again and again."""

    watch: Watch
    looks: list[Look]
    log_size: int

    def restore(self) -> None:
        """Put the database and the log back; the log stays the same file, so that its reader goes on."""
        folder = self.watch.base
        for rest in folder.glob(f"{DATABASE}-*"):
            rest.unlink()
        shutil.copy(folder / SAVED, folder / DATABASE)
        os.truncate(folder / LOG, self.log_size)


def first_change(script: Script) -> datetime:
    """When something is no longer as usual; the end when nothing ever is."""
    return min((moment_of(change.day) for change in script.scenario.change), default=script.scenario.end)


def _play(script: Script, watch: Watch, start: datetime, end: datetime, looks: list[Look]) -> Played:
    """Let the clock go from ``start`` to ``end``, a step at a time, with a daemon that has just been started."""
    played = Played(script, watch.checks, looks)
    simulation = Simulation(script.scenario)
    simulation.now = start
    store = Store.open(watch.database)
    try:
        with simulation.answering(), (watch.base / LOG).open("ab", buffering=0) as log:
            daemon = Daemon(watch, store)
            while simulation.now < end:
                until = min(simulation.now + (script.scenario.every or HOUR), end)
                log.write(simulation.log(simulation.now, until))
                simulation.now = until
                daemon.run_due(until)
                played.looks.append(_look(store, until, played))
    finally:
        store.close()
    return played


def make_project(script: Script, base: Path, folder: Path) -> Watch:
    """Write the configuration and read it, with the cadence of the scenario where it names one."""
    scenario = script.scenario
    every = max(scenario.every or HOUR, HOUR)
    text = CONFIG.format(
        languages=json.dumps(list(scenario.traffic)),
        every=show_duration(every),
        checks=json.dumps([str(base.absolute() / pattern) for pattern in scenario.checks]),
    )
    (folder / "driftwatch.yaml").write_text(text, "utf-8")
    watch = load_watch(folder / "driftwatch.yaml")
    if scenario.every is None:
        return watch
    return watch.model_copy(update={"checks": tuple(_slower(check, watch, every) for check in watch.checks)})


def _slower(check: Check, watch: Watch, every: timedelta) -> Check:
    """``check`` with a cadence of ``every``, unless its own is slower or it goes with its canaries."""
    if check.every is None and watch.sources[check.source].gives == "runs":
        return check
    gap = check.every.shortest_gap(START) if check.every else HOUR
    return check if gap >= every else check.model_copy(update={"every": Schedule.parse(show_duration(every))})


def _look(store: Store, at: datetime, played: Played) -> Look:
    """What is the case after a step; `resolved` is what was open once and is ok now."""
    before = played.looks[-1].states if played.looks else {}
    states = {}
    for place, alert in store.decisions.alerts().items():
        if alert.state != "ok":
            states[place] = alert.state
        elif before.get(place) in (*OPEN, "resolved"):
            states[place] = "resolved"
    return Look(at, states, store.decisions.last_findings())


def _is(look: Look, place: Place, expected: Expectation) -> bool:
    return expected.state == _state(look, place) or (expected.state == "ok" and _state(look, place) == "resolved")


def _state(look: Look, place: Place) -> str:
    """The state of an alert; where nothing was found out, silence is not `ok`."""
    if place in look.states:
        return look.states[place]
    finding = look.newest.get(place)
    return "not judged" if finding is None else "unknown" if finding.verdict == "unknown" else "ok"


def _complaint(look: Look, place: Place, expected: Expectation) -> str:
    finding = look.newest.get(place)
    found = f"{named(place)} is {_state(look, place)}"
    said = f"what it said: {finding.message if finding else 'nothing at all'}"
    if expected.within is None:
        return f"day {expected.day}: {found}, expected {expected.state}; {said}"
    until = f"day {expected.day} to {day(expected.deadline)}"
    return f"{until}: {found}, expected to have been {expected.state} by then; {said}"


def named(place: Place) -> str:
    """``canary recall in de``."""
    return f"{place[0]} in {place[1]}"


def day(moment: datetime) -> str:
    """``day 20 06:00``."""
    since = moment - START
    return f"day {since.days + 1} {moment:%H:%M}"
