"""Minutes of chaos around the real daemon: nothing is lost, nothing counted twice, nothing grows, and all ends well.

The watched service breaks and recovers, its log is rotated in every way while it is written, the receivers refuse and
hang, the configuration is reloaded, the daemon is ended and killed, and people look at alerts meanwhile. When the world
is fine again, everything must add up.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from driftwatch.store import Store
from tests.fakes.chaos import DaemonProcess, LogWriter, verb, writing
from tests.fakes.search_service import Act, Asked, Handler, SearchService, answers, html, slowly, status
from tests.fakes.slack import TOKEN, FakeSlack, hangs, rate_limited, reply_lost, server_error
from tests.fakes.webhook import Answer, FakeWebhook

pytestmark = pytest.mark.slow

LANGS = ("en", "de", "fr")
CANARIES = 15
SETTLING = 240.0
"""Seconds within which all must be well: a receiver is tried again after minutes when it failed often."""
MOST_GROWTH = 80.0
"""Kilobytes a second: threads that come and go with every reload take minutes to find their size."""
OVER = ("back to normal", "can be judged again")
"""How the message of an incident says that it is over."""
RECALL = "{name: canary recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, by: lang, after: %d}"
PRECISION = "{name: first place, kind: canary, source: canaries, measure: P@1, at_least: 0.8}"
EMPTY = "{name: empty results, kind: rate, of: empty, source: live, at_most: 0.5, min_n: 10, window: 2h, every: %s}"

CONFIG = """
service: help-centre
database: "%(database)s"
retriever: {kind: http, url: "%(search)s", timeout: 0.5s, retries: 0}
sources:
  canaries: {kind: canaries, path: canaries.jsonl, every: 2s}
  live: {kind: query_log, path: queries.jsonl, every: 1s, keep_per_day: 500, stratify: lang}
alerts: {after: 1, until: 2, blind_after: 3, remind: 20s}
api: {port: 0}
notify:
  - {kind: slack, name: chat, channel: "#assistant-quality", token: %(token)s, base_url: "%(slack)s", timeout: 1s}
  - {kind: webhook, name: hook, url: "%(hook)s", timeout: 1s}
checks: [%(checks)s]
"""
INVALID = ("service: [", "service: help-centre\nretreiver: {}\n", "service: x\ndatabase: sqlite:///other.db\n")


def finds(broken: str = "") -> Act:
    """The right document for ``<lang> question <n>``, but in one language."""

    def act(handler: Handler, asked: Asked) -> None:
        lang, _, number = asked.body["query"].split()
        answers("other" if lang == broken else f"doc-{lang}-{number}", "another")(handler, asked)

    return act


@dataclass
class World:
    """Everything around the daemon, and what goes wrong in it."""

    folder: Path
    database: str
    chance: random.Random
    service: SearchService
    slack: FakeSlack
    hook: FakeWebhook
    daemon: DaemonProcess
    did: Counter[str] = field(default_factory=Counter)
    endings: list[float] = field(default_factory=list)
    """Seconds that each SIGTERM took."""
    sizes: list[tuple[float, int, int, int]] = field(default_factory=list)
    """(time, resident bytes, descriptors, threads) of one process that nobody ended."""
    verbs: list[tuple[tuple[str, ...], int, str]] = field(default_factory=list)
    """(words, exit code, what it said on standard error)."""

    @property
    def config(self) -> Path:
        return self.folder / "driftwatch.yaml"

    def configure(self, *checks: str) -> None:
        values = {"database": self.database, "search": self.service.url, "token": TOKEN}
        values |= {"slack": self.slack.base_url, "hook": self.hook.url, "checks": ", ".join(checks)}
        for name in ("driftwatch.yaml", "people.yaml"):
            (self.folder / name).write_text(CONFIG % values)

    # --- what goes wrong -------------------------------------------------------------------------------------------

    def service_changes(self) -> None:
        fine = finds()
        acts = [fine, finds("de"), finds("fr"), slowly(0.05, fine), slowly(2, fine), status(500), html()]
        self.service.does(self.chance.choice(acts))
        if self.chance.random() < 0.15:
            self.service.__exit__()
            time.sleep(self.chance.uniform(0.5, 6))
            self.service = SearchService(self.service.port)
            self.service.__enter__()
            self.service.does(fine)

    def slack_changes(self) -> None:
        faults = [rate_limited(3), server_error(), hangs(3), reply_lost()]
        self.slack.outage(None if self.slack.is_out else self.chance.choice(faults))

    def hook_changes(self) -> None:
        faults = [Answer(429, {"Retry-After": "3"}), Answer(500), Answer(hang=3), Answer(lose_reply=True)]
        self.hook.outage(None if self.hook.is_out else self.chance.choice(faults))

    def reload(self) -> None:
        checks = (RECALL % self.chance.choice((1, 2)), EMPTY % self.chance.choice(("3s", "5s")))
        self.configure(*checks, *([PRECISION] if self.chance.random() < 0.5 else []))
        if self.chance.random() < 0.4:
            good = self.config.read_text()
            self.config.write_text(self.chance.choice(INVALID))
            self.daemon.send(signal.SIGHUP)
            time.sleep(1)
            self.config.write_text(good)
            self.did["refused"] += 1
            return
        self.daemon.send(signal.SIGHUP)

    def restart(self) -> None:
        if self.chance.random() < 0.5:
            self.daemon.kill()
        else:
            self.endings.append(self.daemon.terminate())
        time.sleep(self.chance.uniform(0, 2))
        self.daemon.start()

    def rage(self, seconds: float, *also: Callable[[], None]) -> None:
        """Let something go wrong every second or two."""
        begun = time.monotonic()
        ways = [self.service_changes, self.slack_changes, self.hook_changes, self.reload, *also]
        while time.monotonic() < begun + seconds:
            way = self.chance.choice(ways)
            way()
            self.did[way.__name__] += 1
            time.sleep(self.chance.uniform(0.5, 2))
            if not also:
                self.sizes.append((time.monotonic(), *self.daemon.size()))

    def calm(self) -> None:
        """Everything is fine again."""
        self.service.does(finds())
        self.slack.outage(None)
        self.hook.outage(None)
        self.configure(RECALL % 1, EMPTY % "3s")
        self.daemon.send(signal.SIGHUP)

    # --- what people do meanwhile ----------------------------------------------------------------------------------

    @contextmanager
    def people(self) -> Iterator[None]:
        """Somebody looks at alerts every few seconds."""
        enough = threading.Event()
        looking = threading.Thread(target=self._look, args=[enough], daemon=True)
        looking.start()
        try:
            yield
        finally:
            enough.set()
            looking.join()

    def _look(self, enough: threading.Event) -> None:
        looks = [("alerts", "--json"), ("explain", "canary recall"), ("baseline", "show"), ("check", "--json")]
        turn = 0
        while not enough.wait(4):
            words = looks[turn % len(looks)]
            turn += 1
            done = verb(self.folder / "people.yaml", *words)
            self.verbs.append((words, done.returncode, done.stderr))


# --- what must hold at the end -------------------------------------------------------------------------------------


@dataclass
class Books:
    """What the database says."""

    url: str

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(Store.open(self.url, migrate=False)) as store, store.database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.text(query))]

    def one(self, query: str) -> Any:
        return self.rows(query)[0][0]

    def counted(self) -> int:
        return int(self.one("select coalesce(sum(queries), 0) from tallies"))

    def is_settled(self, log: LogWriter) -> bool:
        return (
            self.counted() >= log.valid
            and not self.one("select count(*) from incidents where resolved_at is null")
            and not self.one("select count(*) from deliveries where state = 'waiting'")
        )


def assert_every_line_counts_once(books: Books, log: LogWriter) -> None:
    assert log.trouble is None
    assert books.counted() == log.valid
    reasons = books.rows("select reason, count(*) from rejects group by reason")
    assert books.one("select rejected from readings where source = 'live'") == log.invalid, reasons
    assert min(log.rotations.values()) >= 1, log.rotations


def assert_everybody_was_told(books: Books) -> None:
    happened = books.rows("select distinct incident, event, at from transitions")
    assert len({incident for incident, *_ in happened}) >= 2, "too little happened"
    for receiver in ("chat", "hook"):
        rows = books.rows(
            "select t.incident, t.event, t.at, d.state, d.outcome from deliveries d "
            f"join transitions t on t.key = d.transition where d.receiver = '{receiver}'"
        )
        assert {row[:3] for row in rows} == set(happened)
        assert len(rows) == len(happened)
        assert {state for *_, state, _ in rows} <= {"done", "dropped"}
        assert all(outcome for *_, state, outcome in rows if state == "dropped")


def assert_the_webhook_can_tell_repeats(books: Books, world: World) -> None:
    told = books.rows("select transition from deliveries where receiver = 'hook' and state = 'done'")
    keys = {key for (key,) in told}
    sent = Counter(each.headers["webhook-id"] for each in world.hook.received)
    assert keys <= {each.headers["webhook-id"] for each in world.hook.taken()}
    assert set(sent) <= {key for (key,) in books.rows("select key from transitions")}
    assert max(sent.values()) > 1, "nothing was ever sent twice: the receiver was too kind"
    bodies: dict[str, set[tuple[str, str]]] = {}
    for each in world.hook.received:
        about = each.json["driftwatch"]
        bodies.setdefault(each.headers["webhook-id"], set()).add((about["event"], each.json["groupKey"]))
    assert all(len(about) == 1 for about in bodies.values())


def assert_slack_shows_each_incident_once_and_over(books: Books, slack: FakeSlack) -> None:
    heads = Counter(head.metadata["event_payload"]["incident"] for head in slack.heads())
    told = {row[0] for row in books.rows("select distinct incident from threads where receiver = 'chat'")}
    assert heads == dict.fromkeys(told, 1)
    assert [head.text for head in slack.heads() if not any(end in head.text for end in OVER)] == []
    assert max(Counter(message.key for message in slack.messages if message.thread_ts).values()) == 1


def assert_nothing_grew(world: World) -> None:
    later = np.array(world.sizes[len(world.sizes) // 2 :])
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0] / 1e3
    assert slope < MOST_GROWTH, f"{slope:.0f} kB more every second"
    for name, counts in (("descriptors", later[:, 2]), ("threads", later[:, 3])):
        assert np.median(counts[-5:]) <= np.median(counts[:5]) + 4, (name, counts.tolist())


def assert_people_were_served(world: World) -> None:
    assert len(world.verbs) >= 4
    for words, code, said in world.verbs:
        assert "locked" not in said, (words, said)
        assert "Traceback" not in said, (words, said)
        assert code in (0, 1, 2, 3), (words, said)
        assert code != 3 or words[0] in ("check", "explain"), (words, said)


# --- the story -----------------------------------------------------------------------------------------------------


@contextmanager
def soaked(folder: Path, database: str, seed: int) -> Iterator[World]:
    rows = [
        {"query_id": f"{lang}-{n}", "text": f"{lang} question {n}", "lang": lang, "relevant": [f"doc-{lang}-{n}"]}
        for lang in LANGS
        for n in range(CANARIES)
    ]
    (folder / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (
        SearchService() as service,
        FakeSlack() as slack,
        FakeWebhook() as hook,
        DaemonProcess(folder / "driftwatch.yaml") as daemon,
    ):
        world = World(folder, database, random.Random(seed), service, slack, hook, daemon)
        service.does(finds())
        world.configure(RECALL % 1, EMPTY % "3s")
        yield world


def play(world: World, seed: int, *, with_deaths: float, without: float) -> None:
    """Chaos with and without deaths of the daemon, then peace; everything must add up."""
    books = Books(world.database)
    with writing(world.folder / "queries.jsonl", seed) as log:
        world.daemon.start()
        with world.people():
            world.rage(with_deaths, world.restart)
            world.rage(without)
        world.calm()
        log.stop()
    deadline = time.monotonic() + SETTLING
    while not books.is_settled(log):
        assert time.monotonic() < deadline, (books.counted(), log.valid, world.daemon.said()[-3000:])
        time.sleep(0.5)
    time.sleep(3)  # what was counted or told too often would show
    world.endings.append(world.daemon.terminate())
    assert_all_is_well(books, world, log)


def assert_all_is_well(books: Books, world: World, log: LogWriter) -> None:
    assert_every_line_counts_once(books, log)
    assert_everybody_was_told(books)
    assert_the_webhook_can_tell_repeats(books, world)
    assert_slack_shows_each_incident_once_and_over(books, world.slack)
    assert_people_were_served(world)
    assert "Traceback" not in world.daemon.said()
    assert max(world.endings) < 6
    assert min(world.did[name] for name in ("restart", "reload", "refused")) >= 1, world.did
    if world.database.startswith("sqlite"):
        assert books.rows("pragma integrity_check") == [("ok",)]


@pytest.mark.timeout(900)
def test_minutes_of_chaos_on_sqlite_add_up(tmp_path: Path):
    with soaked(tmp_path, f"sqlite:///{tmp_path}/driftwatch.db", seed=11) as world:
        play(world, 11, with_deaths=80, without=150)
        assert_nothing_grew(world)


@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_minute_of_chaos_on_postgres_adds_up(tmp_path: Path, postgres_url: str):
    with soaked(tmp_path, postgres_url, seed=12) as world:
        play(world, 12, with_deaths=40, without=40)
