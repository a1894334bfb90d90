"""A replay over a stored history says what the daemon said live."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from driftwatch.config import Watch
from driftwatch.replay.looks import groups
from driftwatch.replay.playing import play
from driftwatch.replay.record import Record
from driftwatch.replay.remembered import Rehearsal
from driftwatch.replay.traffic import FOREVER
from driftwatch.scenarios.play import begin
from driftwatch.scenarios.reading import read_script
from driftwatch.store import Store
from driftwatch.store.tables import transitions

ROOT = Path(__file__).parents[2]

Said = tuple[datetime, str, str, str, str]

SCENARIO = """\
checks: {checks}
days: 27
every: {every}
traffic: {{en: 1200, de: 500, fr: 150}}
change:
{changes}
expect: [{{day: 26, check: traffic, segment: all, is: ok}}]
"""


def live(store: Store) -> list[Said]:
    """What the daemon recorded, oldest first."""
    columns = (
        transitions.c.at,
        transitions.c.check,
        transitions.c.segment,
        transitions.c.event,
        transitions.c.incident,
    )
    query = sa.select(*columns).where(transitions.c.event != "reminded").order_by(transitions.c.number)
    with store.database.reading() as connection:
        return [tuple(row) for row in connection.execute(query)]


def replayed(store: Store, watch: Watch, *, every_look: bool = False) -> tuple[list[Said], int]:
    """What a replay says of the same history, and how often it asked the engine."""
    rehearsal = Rehearsal(store)
    record = Record(rehearsal, watch, FOREVER)
    end = max(store.decisions.last_runs().values())
    looks = groups(watch, record, end)
    player = play(watch, rehearsal, record, looks, lambda _what, _count: None, every_look=every_look)
    said = [each.transition for each in player.remembered.changes]
    return [(each.at, each.check, each.segment, each.event, each.incident) for each in said], player.asked_engine


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        ["{day: 20, until: 23, lang: de, empty: 0.2}"],
        ["{day: 19, lang: fr, recall: 0.5}", "{day: 20, lang: en, score: 0.62}"],
        ["{day: 18, until: 20, volume: 0}", "{day: 22, abstained: 0.2}"],
    ],
    ids=["empty results in one language", "lost canaries and lower scores", "an outage, then abstentions"],
)
@pytest.mark.parametrize("every", ["1h", "6h"])
def test_a_replay_says_what_the_daemon_said(tmp_path: Path, changes: list[str], every: str) -> None:
    names = ("canaries", "scores", "empty-results", "abstentions", "language-mix", "traffic", "feedback")
    checks = [str(ROOT / "checks" / f"{name}.yaml") for name in names]
    listed = "".join(f"  - {change}\n" for change in changes)
    (tmp_path / "scenario.yaml").write_text(SCENARIO.format(checks=checks, every=every, changes=listed.rstrip("\n")))
    script = read_script(tmp_path / "scenario.yaml")
    played = begin(script, script.scenario.end, tmp_path)
    store = Store.open(f"sqlite:///{played.folder / 'driftwatch.db'}")
    try:
        expected = sorted(live(store))
        said, asked = replayed(store, script.watch)
        assert any(event == "firing" for *_, event, _ in expected)
        assert sorted(said) == expected
        looks = sum(
            len(group.moments)
            for group in groups(script.watch, Record(Rehearsal(store), script.watch, FOREVER), played.end)
        )
        assert asked < looks
    finally:
        store.close()
