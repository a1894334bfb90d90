"""What holds for every receiver, found by itself: adding a kind adds it here."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from driftwatch.alerts import AlertPolicy, advance, incident_key
from driftwatch.delivery import DeliveryContext, deliver_one
from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify import Notifier, sample_notice
from driftwatch.plugins import find_kind, kind_names
from driftwatch.store import Store
from driftwatch.types import Alert, Notice
from tests.fakes.alertmanager import FakeAlertmanager
from tests.fakes.notices import HOUR, START, TEXTS, finding, story, with_text
from tests.fakes.pagerduty import ROUTING_KEY, FakePagerDuty
from tests.fakes.receiver import Answer
from tests.fakes.slack import CHANNEL_NAME, TOKEN, FakeSlack, Fault
from tests.fakes.webhook import Answer as HookAnswer
from tests.fakes.webhook import FakeWebhook

pytestmark = pytest.mark.process

FIRED, RESOLVED = story("bbgg")
MINUTE = timedelta(minutes=1)
POLICY = AlertPolicy(after=2, until=2)
HOSTILE = "<!channel> <script>alert(1)</script> https://evil.example \x1b[31m\u202e @here"
SECRETS = {"slack": TOKEN, "pagerduty": ROUTING_KEY, "alertmanager": "token-of-prom", "webhook": "in-the-address"}


@dataclass
class Stage:
    """One receiver, and what stands at its other end."""

    notifier: Notifier
    heard: Callable[[], str]
    """Everything that arrived and was taken, as text."""
    fail: Callable[[int | None], None]
    """Every request is answered with this status from now on; None: as it should be."""
    asked: Callable[[], int]
    """How many requests arrived."""


def slack_stage(stack: ExitStack, **more: Any) -> Stage:
    fake = stack.enter_context(FakeSlack())

    def fail(status: int | None) -> None:
        fake.outage(Fault(status=status, body=b"") if status else None)

    settings = {"channel": f"#{CHANNEL_NAME}", "token": TOKEN, "base_url": fake.base_url, "timeout": "2s"}
    return Stage(
        _made("slack", settings | more),
        lambda: "\n".join(f"{each.text}\n{each.said}\n{each.blocks}" for each in fake.messages),
        fail,
        lambda: len(fake.calls),
    )


def webhook_stage(stack: ExitStack, **more: Any) -> Stage:
    fake = stack.enter_context(FakeWebhook())

    def fail(status: int | None) -> None:
        fake.outage(HookAnswer(status, {"Location": "/elsewhere"}) if status else None)

    return Stage(
        _made("webhook", {"url": fake.url, "timeout": "2s"} | more),
        lambda: "\n".join(each.content.decode() for each in fake.taken()),
        fail,
        lambda: len(fake.received),
    )


def alertmanager_stage(stack: ExitStack, **more: Any) -> Stage:
    fake = stack.enter_context(FakeAlertmanager(credentials=SECRETS["alertmanager"]))

    def heard() -> str:
        """Without the name of the check, which the configuration gives: routes match it as it is."""
        return str([each | {"labels": {**each["labels"], "alertname": ""}} for body in fake.pushed for each in body])

    settings = {"urls": [fake.url], "token": SECRETS["alertmanager"], "timeout": "2s"}
    return Stage(_made("alertmanager", settings | more), heard, _failing(fake), lambda: len(fake.requests))


def pagerduty_stage(stack: ExitStack, **more: Any) -> Stage:
    fake = stack.enter_context(FakePagerDuty())

    def heard() -> str:
        return str([{name: each for name, each in event.items() if name != "routing_key"} for event in fake.events])

    settings = {"url": fake.url, "routing_key": ROUTING_KEY, "timeout": "2s"}
    return Stage(_made("pagerduty", settings | more), heard, _failing(fake), lambda: len(fake.requests))


def _failing(fake: FakeAlertmanager | FakePagerDuty) -> Callable[[int | None], None]:
    return lambda status: fake.outage(Answer(status, headers={"Location": "/elsewhere"}) if status else None)


def _made(kind: str, settings: dict[str, Any]) -> Notifier:
    made = find_kind("notify", kind)(**{"kind": kind, "name": "it"} | settings)
    assert isinstance(made, Notifier)
    return made


STAGES = {
    "alertmanager": alertmanager_stage,
    "pagerduty": pagerduty_stage,
    "slack": slack_stage,
    "webhook": webhook_stage,
}
LOCAL = {"console"}
"""Prints where driftwatch runs: nothing leaves the machine and nothing can be down."""


@pytest.fixture(params=sorted(STAGES))
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return str(request.param)


@pytest.fixture
def make(kind: str) -> Iterator[Callable[..., Stage]]:
    with ExitStack() as stack:
        yield lambda **more: STAGES[kind](stack, **more)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    yield store
    store.close()


def test_every_kind_is_on_a_stage() -> None:
    assert set(STAGES) | LOCAL == set(kind_names("notify"))


def test_an_incident_and_its_end_arrive_with_what_was_found(make: Callable[..., Stage]) -> None:
    stage = make()
    thread = stage.notifier.deliver(FIRED, None, repeat=False)
    assert "0.41" in stage.heard()
    assert FIRED.incident.incident_id in stage.heard()
    before = stage.heard()
    assert stage.notifier.deliver(RESOLVED, thread, repeat=False)
    assert stage.heard() != before


@pytest.mark.parametrize("status", [301, 401, 404, 429, 500, 503])
def test_what_is_not_taken_is_an_error_that_keeps_secrets_to_itself(
    make: Callable[..., Stage], kind: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    stage = make()
    stage.fail(status)
    with caplog.at_level(logging.DEBUG, logger="driftwatch"), pytest.raises(DeliveryError) as caught:
        stage.notifier.deliver(FIRED, None, repeat=False)
    wrong = "such an answer is more often a wrong address than a wrong message"
    assert not isinstance(caught.value, MessageRefused), wrong
    told = f"{caught.value} {stage.notifier!r} {stage.notifier.model_dump_json()} {caplog.text}"
    assert SECRETS[kind] not in told
    assert stage.heard() in ("", "[]")


def test_a_redirect_is_not_followed(make: Callable[..., Stage]) -> None:
    stage = make()
    stage.fail(307)
    with pytest.raises(DeliveryError):
        stage.notifier.deliver(FIRED, None, repeat=False)
    assert stage.asked() == 1


def test_reaching_tells_nobody(make: Callable[..., Stage]) -> None:
    stage = make()
    assert stage.notifier.reach()
    assert stage.heard() in ("", "[]")


def test_whatever_users_wrote_arrives_without_its_teeth(make: Callable[..., Stage], kind: str) -> None:
    """Programs read a webhook, and Slack has blocks that show a text as it is: there only control characters go."""
    stage = make(show_queries=True)
    for each in [FIRED, RESOLVED, *story("uug"), *story("bb", ack="x")]:
        stage.notifier.deliver(replace(with_text(each, HOSTILE), service=each.service), None, repeat=False)
    heard = stage.heard()
    assert not re.search("[\x1b\u202e]", heard)
    if kind not in ("webhook", "slack"):
        assert not re.search(r"<!channel>|<script|evil\.example|https://evil", heard)


def test_no_question_leaves_that_must_not(make: Callable[..., Stage]) -> None:
    """Neither where the receiver's own setting says so, nor where the privacy setting gave the notice no texts."""
    for notice, allowed in ((FIRED, False), (replace(FIRED, example_texts={}), True)):
        stage = make(show_queries=allowed)
        stage.notifier.deliver(notice, None, repeat=False)
        assert stage.heard()
        assert not any(text in stage.heard() for text in TEXTS.values())
        assert "Lieferadresse" not in stage.heard()


def test_questions_are_shown_where_they_may_be(make: Callable[..., Stage]) -> None:
    stage = make(show_queries=True)
    stage.notifier.deliver(FIRED, None, repeat=False)
    assert "Lieferadresse" in stage.heard()


def test_the_sample_shows_that_it_is_one(make: Callable[..., Stage]) -> None:
    stage = make()
    stage.notifier.deliver(sample_notice("help-centre", START), None, repeat=False)
    assert "This is a test and nothing is wrong" in stage.heard()


# --- with an outbox ------------------------------------------------------------------------------------------------


def look(store: Store, looks: str, now: Any, notifier: Notifier) -> list[str]:
    """One look an hour, as a daemon makes them; the keys of what happened."""
    keys = []
    for each in looks:
        alert = store.decisions.alerts().get(("canary recall", "de")) or Alert("canary recall", "de")
        found = finding(each, now)
        moved, news = advance(alert, found, POLICY, now, incident=incident_key("canaries", "de", now))
        receivers = {notifier.name: frozenset(notifier.tell)}
        store.decisions.record(
            findings=[found], alerts=[moved], transitions=[news] if news else [], receivers=receivers
        )
        keys += [news.key] if news else []
        now += HOUR
    return keys


@pytest.mark.parametrize("status", [429, 500])
def test_a_receiver_that_is_down_for_a_day_is_told_in_order_and_loses_nothing(
    make: Callable[..., Stage], store: Store, status: int
) -> None:
    class Noting(type(make().notifier)):  # type: ignore[misc]
        """Notes in which order notices were taken."""

        def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
            told = super().deliver(notice, thread, repeat=repeat)
            taken.append(notice.key)
            return told  # type: ignore[no-any-return]

    taken: list[str] = []
    stage = make()
    notifier = Noting.model_construct(**dict(stage.notifier))
    keys = look(store, "bbgg", START, notifier)
    stage.fail(status)
    context = DeliveryContext("help-centre")
    now = START + 4 * HOUR
    for hour in range(0, 24, 4):
        assert deliver_one(store, notifier, now + hour * HOUR, context) is False
    assert taken == []
    assert store.outbox.waiting() == {"it": 2}
    stage.fail(None)
    now += 30 * HOUR
    while deliver_one(store, notifier, now, context):
        now += MINUTE
    assert taken == keys
    assert store.outbox.waiting() == store.outbox.parked() == {}


def test_a_warning_pages_nobody(kind: str, make: Callable[..., Stage]) -> None:
    stage = make(**({"mention": ["U012AB3CD"]} if kind == "slack" else {}))
    stage.notifier.deliver(story("ww")[0], None, repeat=False)
    heard = stage.heard()
    assert "<@U012AB3CD>" not in heard
    assert "critical" not in heard


def test_a_page_pages(kind: str, make: Callable[..., Stage]) -> None:
    """What the test before looks for is there when it should be."""
    stage = make(**({"mention": ["U012AB3CD"]} if kind == "slack" else {}))
    stage.notifier.deliver(FIRED, None, repeat=False)
    assert kind == "webhook" or re.search("<@U012AB3CD>|critical", stage.heard())
