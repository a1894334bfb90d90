"""Five weekdays of recorded queries, of which German breaks for one, to be judged again and again."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from driftwatch.config import Watch, load_watch
from driftwatch.engine import Engine
from driftwatch.store import Store
from tests.fakes.world import START, append, log_lines, make_world

HOUR = timedelta(hours=1)
BREAKS, MENDED, END = (START + timedelta(hours=hours) for hours in (60, 90, 120))
HOURLY = "  - {name: empty results, kind: rate, of: empty, source: live, by: lang, window: 6h, every: 1h}\n"
LANGS = ("en", "de", "fr")


def record(folder: Path, *checks: str, langs: tuple[str, ...] = ("de",), an_hour: int = 30) -> None:
    """A project in ``folder`` with everything recorded and nothing judged."""
    folder.mkdir(parents=True, exist_ok=True)
    watch = make_world(folder, *(checks or (HOURLY,)))
    others = [lang for lang in LANGS if lang not in langs]
    for start, end, empty in ((START, BREAKS, 0.02), (BREAKS, MENDED, 0.3), (MENDED, END, 0.02)):
        hours = (end - start) // HOUR
        append(folder, log_lines(start, hours, an_hour=an_hour, langs=others))
        append(folder, log_lines(start, hours, an_hour=an_hour, langs=langs, empty=empty, seed=8))
    log = folder / "queries.jsonl"
    log.write_text("".join(line + "\n" for line in sorted(log.read_text().splitlines())))
    store = Store.open(watch.database)
    try:
        Engine(watch, store).observe("live", END + HOUR)
    finally:
        store.close()


def copied(recorded: Path, folder: Path, *, more: str = "", instead: tuple[str, str] = ("", "")) -> tuple[Watch, Store]:
    """The project again, in a folder of its own, with ``more`` in its configuration."""
    shutil.copytree(recorded, folder, dirs_exist_ok=True)
    path = folder / "driftwatch.yaml"
    path.write_text(path.read_text().replace(*instead) + more if instead[0] else path.read_text() + more)
    watch = load_watch(path)
    return watch, Store.open(watch.database)


def ticked(engine: Engine, start: datetime, end: datetime, every: timedelta = HOUR) -> list[tuple[datetime, str, str]]:
    """Look from ``start`` up to and with ``end``: every transition as (when, event, segment)."""
    said = []
    now = start
    while now <= end:
        said += [(now, each.event, each.segment) for each in engine.tick(engine.watch.checks, now).transitions]
        now += every
    return said
