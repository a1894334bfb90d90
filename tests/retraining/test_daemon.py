"""The daemon's minute of retraining: a job that cannot go on keeps nobody from being heard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.approval import new_question
from driftwatch.daemon import Daemon
from driftwatch.errors import RetrainError
from tests.fakes.slack import CHANNEL_NAME, TOKEN
from tests.fakes.slack_socket import APP_TOKEN, FakeSlackSocket
from tests.retraining.conftest import Make

pytestmark = pytest.mark.process


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlackSocket]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlackSocket() as slack:
        yield slack


def test_who_is_asked_is_heard_also_while_a_job_cannot_be_read(make: Make, slack: FakeSlackSocket) -> None:
    known = f"channel: '#{CHANNEL_NAME}', token: {TOKEN}, app_token: {APP_TOKEN}, base_url: '{slack.base_url}'"
    shop = make(f"  approve: {{users: [U012ANA], {known}}}")
    now = datetime.now(UTC)
    shop.store.approvals.ask(new_question("job-1", "Switch?", (), documents=9, now=now, expires=timedelta(days=1)))
    damaged = shop.steward().folder / "jobs" / "20261101-aaaaaaaa" / "wanted.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    daemon = Daemon(shop.watch, shop.store, notifiers=())
    assert daemon.ears is not None
    try:
        with pytest.raises(RetrainError, match=r"wanted\.json"):
            daemon._retrain(now)
        assert daemon.ears.beat is not None
        assert daemon.ears.beat.alive
    finally:
        daemon.close()
