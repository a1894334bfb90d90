"""Slack is listened to while somebody is asked, and at no other time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from driftwatch.approval import new_question
from driftwatch.notify._slack_question import APPROVE
from driftwatch.retraining.asking import Ears
from tests.fakes.jobs import until
from tests.fakes.slack import CHANNEL_NAME, TOKEN
from tests.fakes.slack_socket import APP_TOKEN, FakeSlackSocket
from tests.fakes.workshop import Workshop
from tests.retraining.conftest import Make

pytestmark = pytest.mark.process

ANA, EVE = "U012ANA", "U066EVE"


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlackSocket]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlackSocket() as slack:
        yield slack


@pytest.fixture
def asking(make: Make, slack: FakeSlackSocket) -> Workshop:
    known = f"channel: '#{CHANNEL_NAME}', token: {TOKEN}, app_token: {APP_TOKEN}, base_url: '{slack.base_url}'"
    return make(f"  approve: {{users: [{ANA}], {known}}}")


@pytest.fixture
def ears(asking: Workshop) -> Iterator[Ears]:
    made = Ears(asking.watch, asking.store)
    yield made
    made.close()


def ask(shop: Workshop) -> None:
    now = datetime.now(UTC)
    shop.store.approvals.ask(
        new_question("job-1", "Switch?", ("gain: +0.3.",), documents=9, now=now, expires=timedelta(days=1))
    )


def hears(ears: Ears) -> Callable[[], bool]:
    return lambda: ears.beat is not None and ears.beat.connected


def test_nobody_listens_where_nobody_is_asked(ears: Ears, slack: FakeSlackSocket) -> None:
    ears.prick()
    assert ears.beat is None
    assert not slack.opened


def test_without_slack_in_the_configuration_an_open_question_needs_no_listener(shop: Workshop) -> None:
    ears = Ears(shop.watch, shop.store)
    ask(shop)
    ears.prick()
    assert ears.beat is None
    ears.close()


def test_as_long_as_somebody_is_asked_clicks_are_heard(ears: Ears, asking: Workshop, slack: FakeSlackSocket) -> None:
    ask(asking)
    ears.prick()
    until(hears(ears))
    ears.prick()  # again: the same one
    until(slack.heads)
    assert len(slack.heads()) == 1
    assert len(slack.opened) == 1
    assert slack.has_ack(slack.press(APPROVE, EVE))
    question = asking.store.approvals.of("job-1")
    assert question is not None
    assert question.state == "open"
    assert slack.has_ack(slack.press(APPROVE, ANA))
    until(lambda: not asking.store.approvals.unfinished())
    question = asking.store.approvals.of("job-1")
    assert question is not None
    assert (question.state, question.decided_by) == ("approved", ANA)
    ears.prick()
    assert ears.beat is None
    assert slack.has_closed()


def test_a_daemon_that_ends_listens_no_more(ears: Ears, asking: Workshop, slack: FakeSlackSocket) -> None:
    ask(asking)
    ears.prick()
    until(hears(ears))
    ears.close()
    assert ears.beat is None
    assert slack.has_closed()
    assert asking.store.approvals.unfinished()


def test_a_daemon_that_starts_anew_hears_the_answer_to_what_was_asked_before(
    ears: Ears, asking: Workshop, slack: FakeSlackSocket, tmp_path: Path
) -> None:
    ask(asking)
    ears.prick()
    until(slack.heads)
    ears.close()
    another = Ears(asking.watch, asking.store)
    try:
        another.prick()
        until(hears(another))
        assert slack.has_ack(slack.press(APPROVE, ANA))
        assert len(slack.heads()) == 1
    finally:
        another.close()
