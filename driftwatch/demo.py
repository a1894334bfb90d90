"""`driftwatch demo`: a month of the example help centre in time lapse, through the code that watches real services.

The service is a process of its own that answers real HTTP and writes a real log; the daemon reads that log, asks the
canaries and tells what it found. Only the clock is simulated: after each step of it the daemon does what is due.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch._demo_scenario import Scenario, judge, read_scenario
from driftwatch._demo_service import HelpCentre, help_centre
from driftwatch._demo_show import Screen
from driftwatch._demo_traffic import Crowd, read_phrases
from driftwatch.errors import DriftwatchError
from driftwatch.resources import shipped
from driftwatch.show import quiet_logs

if TYPE_CHECKING:
    from driftwatch.daemon import Daemon
    from driftwatch.store import Store
    from driftwatch.types import Transition

COPIED = ("driftwatch.yaml", "checks", "canaries")
"""What a user of driftwatch would have written; it goes beside the database, so that every verb works there."""
MOST_INCIDENTS = 1000


def run_demo(directory: Path | None = None, *, days: int = 30, json: bool = False) -> int:
    """Play the scenario; 0 when driftwatch said what it had to, and nothing else.

    Args:
        directory: Where the state is kept; an empty or new one. Default: a temporary one, which is printed.
        days: How many days of the scenario to play.
        json: Print one object with the outcomes instead of the story.
    """
    example = shipped("help-centre")
    state = _new_state(example, directory)
    scenario = read_scenario(example / "scenario.yaml")
    crowd = Crowd(scenario, read_phrases(example / "traffic"))
    started = time.monotonic()
    screen = Screen(json)
    screen.opening(scenario, state, days)
    # The story is told by the console receiver; the daemon's own log would drown it.
    with (
        quiet_logs(logging.WARNING),
        help_centre(example, state) as service,
        _daemon(state, service.url, silent=json) as daemon,
    ):
        _warm(service, crowd, daemon, screen)
        _play(scenario, crowd, service, daemon, screen, days)
        outcomes = judge(scenario, _transitions(daemon.store), scenario.end_of(days))
    screen.closing(scenario, outcomes, state, time.monotonic() - started)
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def _new_state(example: Path, directory: Path | None) -> Path:
    """A directory with the example's configuration, and no database yet."""
    state = Path(tempfile.mkdtemp(prefix="driftwatch-demo-")) if directory is None else directory.absolute()
    state.mkdir(parents=True, exist_ok=True)
    if any(state.iterdir()):
        raise DriftwatchError(f"{state} is not empty.", remedy="Give the demo a new directory, or none.")
    for name in COPIED:
        source = example / name
        if source.is_dir():
            shutil.copytree(source, state / name)
        else:
            shutil.copy(source, state / name)
    return state


@contextmanager
def _daemon(state: Path, url: str, *, silent: bool) -> Iterator[Daemon]:
    """The daemon of the copied configuration, with a clock of ours instead of a scheduler."""
    from driftwatch.config import load_watch
    from driftwatch.daemon import Daemon
    from driftwatch.store import Store

    watch = load_watch(state / "driftwatch.yaml", {**os.environ, "HELP_CENTRE": url})
    store = Store.open(watch.database)
    try:
        yield Daemon(watch, store, notifiers=() if silent else None)
    finally:
        if watch.retriever is not None:
            watch.retriever.close()
        store.close()


def _warm(service: HelpCentre, crowd: Crowd, daemon: Daemon, screen: Screen) -> None:
    """Have everything embedded that will be asked, so that the month itself costs no model."""
    questions = {text for phrases in crowd.phrases.values() for text in phrases.everything}
    canaries = daemon.watch.sources["canaries"].load(daemon.watch.base).queries  # type: ignore[attr-defined]
    texts = sorted(questions | {canary.text for canary in canaries})
    with screen.progress("embedding the questions (the first start only)", len(texts)) as advance:
        for count in service.warm(texts):
            advance(count)


def _play(scenario: Scenario, crowd: Crowd, service: HelpCentre, daemon: Daemon, screen: Screen, days: int) -> None:
    """Step by step: what happens, what is asked meanwhile, and what the daemon makes of it."""
    now, end = scenario.start, scenario.end_of(days)
    with screen.progress("day  1", (end - now) // scenario.step) as advance:
        while now < end:
            _happen(scenario, service, screen, now)
            until = min(now + scenario.step, end)
            service.replay(crowd.asks(now, until))
            now = until
            daemon.run_due(now)
            advance(1, f"day {min((now - scenario.start).days + 1, days):>2}")


def _happen(scenario: Scenario, service: HelpCentre, screen: Screen, now: datetime) -> None:
    """The incidents that begin or end at ``now``."""
    for trouble in scenario.incidents:
        if now == scenario.start + trouble.start:
            screen.event(scenario.day(now), trouble.name)
            if trouble.lose:
                service.reindex(trouble.lose)
        if now == scenario.start + trouble.end:
            screen.event(scenario.day(now), trouble.mended)
            if trouble.lose:
                service.reindex([])


def _transitions(store: Store) -> list[Transition]:
    """Everything that was decided, oldest first."""
    incidents = store.decisions.recent_incidents(MOST_INCIDENTS)
    found = {change.key: change for incident in incidents for change in incident.history}
    return sorted(found.values(), key=lambda change: (change.at, change.check, change.segment))
