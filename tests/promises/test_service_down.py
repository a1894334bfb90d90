"""A watched service that cannot be asked is blind, with the reason; recall is never told of questions nobody answered.

From the configuration over the HTTP retriever, the engine and the outbox to a receiver: a real search service on
loopback goes wrong in every way that it can, and comes back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.config import load_watch
from driftwatch.daemon import Daemon
from driftwatch.evidence import evidence_of
from driftwatch.metrics import exposition
from driftwatch.store import Store
from driftwatch.types import Finding
from tests.fakes.search_service import Act, Asked, Handler, SearchService, answers, hang, html, reset, says, status
from tests.fakes.webhook import FakeWebhook
from tests.fakes.world import START

pytestmark = pytest.mark.process

HOUR = timedelta(hours=1)
LANGS = ("en", "de")
CANARIES = 20

CONFIG = """
service: help-centre
retriever: {{kind: http, url: "{search}", timeout: 0.3s, retries: 0}}
sources: {{canaries: {{kind: canaries, path: canaries.jsonl, every: 1h}}}}
alerts: {{after: 1, until: 1, blind_after: 2}}
api: off
notify: [{{kind: webhook, name: hook, url: "{hook}"}}]
checks: [{{name: canary recall, kind: canary, source: canaries, measure: R@5, at_least: 0.8, by: lang}}]
"""


def finds() -> Act:
    """The right document for ``<lang> question <n>``."""

    def act(handler: Handler, asked: Asked) -> None:
        lang, _, number = asked.body["query"].split()
        answers(f"doc-{lang}-{number}", "other")(handler, asked)

    return act


def finds_but(broken: Act, every: int) -> Act:
    """``finds()``, but each ``every``-th canary of a language meets ``broken``."""

    def act(handler: Handler, asked: Asked) -> None:
        fails = int(asked.body["query"].split()[2]) % every == 0
        (broken if fails else finds())(handler, asked)

    return act


@dataclass
class World:
    """One daemon in steps of an hour, its search service and its receiver."""

    daemon: Daemon
    service: SearchService
    hook: FakeWebhook
    looks: int = 0

    def look(self, times: int = 1) -> list[Finding]:
        """Ask every canary, judge and tell, so many times; what the last look found."""
        for _ in range(times):
            now = START + self.looks * HOUR
            self.looks += 1
            self.daemon.engine.observe("canaries", now)
            found = self.daemon.engine.tick(self.daemon.watch.checks, now).findings
            self.daemon.deliver(now)
        return list(found)

    def told(self) -> list[Any]:
        """The bodies that the receiver has taken since it was asked last."""
        bodies = [each.json for each in self.hook.taken()]
        self.hook.received.clear()
        return bodies

    def dies(self) -> int:
        """The service's process is gone; the port it had."""
        port = self.service.port
        self.service.__exit__()
        self.daemon.watch.retriever.close()  # a process that dies takes its open connections along
        return port


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    rows = [
        {"query_id": f"{lang}-{n}", "text": f"{lang} question {n}", "lang": lang, "relevant": [f"doc-{lang}-{n}"]}
        for lang in LANGS
        for n in range(CANARIES)
    ]
    (tmp_path / "canaries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with SearchService() as service, FakeWebhook() as hook:
        service.does(finds())
        (tmp_path / "driftwatch.yaml").write_text(CONFIG.format(search=service.url, hook=hook.url))
        watch = load_watch(tmp_path / "driftwatch.yaml", {})
        store = Store.open(watch.database)
        yield World(Daemon(watch, store), service, hook)
        watch.retriever.close()
        store.close()


WRONG: dict[str, tuple[Act, str]] = {
    "slow": (hang(), "timed out after 0.3s"),
    "html": (html(), "HTML"),
    "another-shape": (says({"took": 3, "status": "green"}), "no list of hits"),
    "not-json": (status(200, "OK"), "not JSON"),
    "500": (status(500, "the index is rebuilding"), "status 500: the index is rebuilding"),
    "429": (status(429, headers={"Retry-After": "0"}), "status 429"),
    "reset": (reset(), "connection broke"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_service_that_goes_wrong_is_blind_with_the_reason_and_is_sighted_when_it_is_back(
    world: World, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    act, reason = WRONG[name]
    assert {finding.verdict for finding in world.look()} == {"ok"}
    world.service.does(act)
    assert_blind(world, reason)
    world.service.does(finds())
    assert_sighted(world)


def test_a_service_that_is_down_is_blind_with_the_reason_and_is_sighted_when_it_is_back(world: World) -> None:
    world.look()
    port = world.dies()
    assert_blind(world, "refused")
    with SearchService(port) as service:
        service.does(finds())
        assert_sighted(world)


def assert_blind(world: World, reason: str) -> None:
    """Three looks, two of which make it blind: unknown with the reason, told once, and no value anywhere."""
    found = world.look(3)
    assert {finding.segment for finding in found} == {*LANGS, "all"}
    for finding in found:
        assert (finding.verdict, finding.value, finding.effect) == ("unknown", None, None)
        assert finding.message.count(reason) == 1
        assert not finding.learning
    assert {alert.state for alert in world.daemon.store.decisions.alerts().values()} == {"blind"}
    (body,) = world.told()
    assert body["driftwatch"]["event"] == "blind"
    assert reason in body["driftwatch"]["sentence"]
    assert len(body["alerts"]) == len(LANGS) + 1
    for alert in body["alerts"]:
        assert reason in alert["annotations"]["description"]
        assert alert["annotations"].keys() == {"state", "description"}, "a figure was told of what nobody measured"
    assert "driftwatch_finding_value{" not in exposition(world.daemon)[0].decode()


def assert_sighted(world: World) -> None:
    """One good look is enough: nothing had failed."""
    assert {(finding.verdict, finding.value) for finding in world.look()} == {("ok", 1.0)}
    assert {alert.state for alert in world.daemon.store.decisions.alerts().values()} == {"ok"}
    (body,) = world.told()
    assert body["driftwatch"]["event"] == "sighted"
    assert body["status"] == "resolved"


def test_what_was_failing_before_is_failing_still_when_the_service_is_back(world: World) -> None:
    world.service.does(answers("other"))
    world.look()
    (fired,) = world.told()
    world.service.does(status(503))
    world.look(2)
    (blind,) = world.told()
    world.service.does(answers("other"))
    world.look()
    (sighted,) = world.told()
    assert [body["driftwatch"]["event"] for body in (fired, blind, sighted)] == ["firing", "blind", "sighted"]
    assert {body["groupLabels"]["incident"] for body in (fired, blind, sighted)} == {fired["groupLabels"]["incident"]}
    assert sighted["status"] == "firing"


@pytest.mark.parametrize("name", ["500", "another-shape", "reset"])
def test_a_half_dead_service_is_judged_by_what_it_answered_and_the_rest_is_said(world: World, name: str) -> None:
    act, reason = WRONG[name]
    world.service.does(finds_but(act, every=10))
    for finding in world.look(3):
        expected = CANARIES if finding.segment != "all" else CANARIES * len(LANGS)
        assert (finding.verdict, finding.value, finding.n) == ("ok", 1.0, expected * 9 // 10)
        ((said, times),) = finding.details["unasked"].items()
        assert reason in said
        assert times == expected // 10
        shown = evidence_of(finding, world.daemon.watch, world.daemon.store).numbers
        assert ("not asked", f"{times}: {said}") in shown
    assert world.told() == []


def test_a_service_that_loses_a_third_of_the_questions_is_not_judged_at_all(world: World) -> None:
    world.service.does(finds_but(status(500), every=3))
    for finding in world.look(2):
        assert (finding.verdict, finding.value) == ("unknown", None)
    (body,) = world.told()
    assert body["driftwatch"]["event"] == "blind"
    assert "14 of 40 canaries could not be asked" in body["driftwatch"]["sentence"]
