"""From a line of the log to a pair, whatever line of its session it is, and whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.config import Watch, load_watch
from driftwatch.engine import Engine
from driftwatch.retrain.pairs import Collected, from_log
from driftwatch.retrain.settings import PairSettings
from driftwatch.retraining.material import UNKEPT, said, unkept
from driftwatch.store import Store

NOW = datetime(2026, 5, 8, tzinfo=UTC)
KNOWN = {f"doc-{n}" for n in range(9)}
SETTINGS = PairSettings(accepted=1, up=1, click=1, down=1)
CONFIG = """
service: help-centre
database: {url}
sources:
  live: {{kind: query_log, path: queries.jsonl, keep_per_day: {most}}}
retrain: {{when: [topics], pairs: {{days: 30}}}}
checks: [{{kind: query_drift, name: topics, source: live}}]
embedder: {{model: not-needed}}
documents: {{path: docs.jsonl}}
api: off
"""


class Site:
    """A log that is read as the daemon reads it."""

    def __init__(self, folder: Path, url: str, most: int = 2000) -> None:
        self.folder = folder
        (folder / "docs.jsonl").write_text('{"id": "doc-1", "text": "pay"}\n')
        (folder / "driftwatch.yaml").write_text(CONFIG.format(url=url, most=most).lstrip())
        self.watch: Watch = load_watch(folder / "driftwatch.yaml")
        self.store = Store.open(url)
        self.engine = Engine(self.watch, self.store)

    def log(self, *lines: dict[str, Any]) -> None:
        with (self.folder / "queries.jsonl").open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def read(self) -> None:
        assert not self.engine.observe("live", NOW).trouble

    def restart(self) -> None:
        """Another process: nothing is left but what is stored."""
        self.engine = Engine(self.watch, self.store)

    def pairs(self) -> Collected:
        return from_log(said(self.watch, self.store, NOW), SETTINGS, KNOWN)

    def found(self) -> dict[str, tuple[str, str, int]]:
        return {pair.query: (pair.doc_id, pair.origin, pair.count) for pair in self.pairs().pairs}

    def sample(self) -> list[tuple[str, float]]:
        found = self.store.traffic.sample("live", NOW - timedelta(days=9), NOW)
        return list(zip(found.query_id.tolist(), found.weight.tolist(), strict=True))


@pytest.fixture
def site(tmp_path: Path, store_url: str) -> Iterator[Site]:
    made = Site(tmp_path, store_url.replace("%3D", "="))
    yield made
    made.store.close()


def asked(session: int, number: int, text: str, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(days=2) + timedelta(minutes=5 * session + number)
    return {
        "ts": at.isoformat(),
        "query": text,
        "query_id": f"q{session}-{number}",
        "session": f"s{session}",
        "lang": "en",
        "results": [{"id": f"doc-{number}", "score": 0.9}, {"id": "doc-8", "score": 0.1}],
        **more,
    }


def alone(session: int, number: int, feedback: Any, **more: Any) -> dict[str, Any]:
    """Feedback in a line of its own, a minute after the query."""
    line = asked(session, number, "", feedback=feedback)
    at = datetime.fromisoformat(line["ts"]) + timedelta(minutes=1)
    return {**{name: line[name] for name in ("query_id", "session", "feedback")}, "ts": at.isoformat(), **more}


def test_feedback_on_every_line_of_a_session_becomes_pairs(site: Site) -> None:
    for session in range(3):
        site.log(
            asked(session, 0, "hello"),
            asked(session, 1, "how do I pay", feedback="up"),
            asked(session, 2, "where is it", feedback={"value": "click", "doc_id": "doc-8"}),
            asked(session, 3, "is it free", feedback="down"),
        )
    site.read()
    assert site.found() == {
        "how do I pay": ("doc-1", "up", 3),
        "where is it": ("doc-8", "click", 3),
        "is it free": ("doc-3", "down", 3),
    }
    assert [name for name, _ in site.sample()] == ["q0-0", "q1-0", "q2-0"]


def test_feedback_in_a_line_of_its_own_becomes_a_pair_of_its_query(site: Site) -> None:
    site.log(asked(0, 1, "how do I pay"), asked(1, 1, "how do I pay"))
    site.read()
    site.log(alone(0, 1, "up"), alone(1, 1, {"value": "click", "doc_id": "doc-8"}))
    site.log(alone(2, 1, "up", query="is it free", results=[{"id": "doc-7"}]))
    site.read()
    pairs = site.pairs()
    assert {(pair.query, pair.doc_id) for pair in pairs.pairs} == {
        ("how do I pay", "doc-1"),
        ("how do I pay", "doc-8"),
        ("is it free", "doc-7"),
    }
    assert site.store.traffic.reject_counts() == {"live": 0}


def test_feedback_whose_query_was_not_kept_is_counted(site: Site) -> None:
    site.log(asked(0, 0, "hello"), asked(0, 1, "how do I pay"), alone(0, 1, "up"))
    site.read()
    pairs = site.pairs()
    assert pairs.pairs == ()
    assert [(each.guard, each.count) for each in pairs.removed] == [("feedback on queries whose text was not kept", 1)]


def test_the_last_word_of_a_session_counts(site: Site) -> None:
    site.log(asked(0, 1, "how do I pay", feedback="down"), alone(0, 1, "up"))
    site.read()
    assert site.found() == {"how do I pay": ("doc-1", "up", 1)}


def test_a_log_that_is_read_again_after_a_crash_says_everything_once(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.log(asked(0, 0, "hello"), asked(0, 1, "how do I pay", feedback="up"))
    site.read()
    site.log(asked(1, 0, "hello"), asked(1, 1, "how do I pay", feedback="up"))
    with monkeypatch.context() as broken:
        broken.setattr("driftwatch.store.traffic._move_cursor", _killed)  # everything else of the batch was written
        with pytest.raises(KeyboardInterrupt):
            site.engine.observe("live", NOW)
    assert site.found() == {"how do I pay": ("doc-1", "up", 1)}
    site.restart()
    site.read()
    site.restart()
    site.read()
    assert site.found() == {"how do I pay": ("doc-1", "up", 2)}
    assert len(list(said(site.watch, site.store, NOW))) == 2
    assert unkept(site.watch, site.store, NOW).removed == ()


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_what_is_above_the_cap_is_said(tmp_path: Path) -> None:
    site = Site(tmp_path, f"sqlite:///{tmp_path}/driftwatch.db", most=200)
    for session in range(260):
        site.log(asked(session, 0, f"pay {session}", feedback="up"))
        if session % 50 == 0:
            site.read()
            site.restart()
    site.read()
    kept = list(said(site.watch, site.store, NOW))
    assert len({seen.session for seen in kept}) == len(kept) == 200
    (removed,) = unkept(site.watch, site.store, NOW).removed
    assert (removed.guard, removed.count) == (UNKEPT, 60)
    assert {seen.query_id for seen in kept} == {name for name, _ in site.sample()}
    site.store.close()


def test_the_sample_and_its_weights_are_the_same_whatever_users_say(tmp_path: Path) -> None:
    found = []
    for said_of in ({}, {"feedback": "down"}):
        folder = tmp_path / f"site{len(found)}"
        folder.mkdir()
        site = Site(folder, f"sqlite:///{folder}/driftwatch.db", most=200)
        for session in range(260):
            site.log(asked(session, 0, f"hello {session}"), asked(session, 1, "pay", **said_of))
            if said_of:
                site.log(alone(session, 0, "up"))
        site.read()
        found.append((site.sample(), site.store.traffic.strata("live", NOW.date() - timedelta(days=9))))
        site.store.close()
    assert found[0] == found[1]
