"""The weekly message: at least once, never lost, and never twice where it can be known."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.config import Watch
from driftwatch.daemon import Daemon
from driftwatch.notify import Notifier
from driftwatch.notify.console import Console
from driftwatch.notify.slack import Slack
from driftwatch.notify.webhook import Webhook
from driftwatch.report.kept import Reports
from driftwatch.report.message import announce, as_bytes
from driftwatch.report.story import story_of
from driftwatch.reported import Week
from driftwatch.reported.announced import Picture
from driftwatch.reporting import make_by_itself
from driftwatch.store import Store
from driftwatch.telling import tell_one
from driftwatch.types import Notice
from tests.fakes.slack import (
    ALL_SCOPES,
    CHANNEL_NAME,
    TOKEN,
    FakeSlack,
    Fault,
    Posted,
    hangs,
    rate_limited,
    reply_lost,
    says,
    server_error,
)
from tests.fakes.webhook import Answer, FakeWebhook
from tests.fakes.weeks import bad_week, hostile_week, quiet_week
from tests.fakes.world import RECALL, make_world

NOW = datetime.now(UTC)
WEEK = "2026-W47"
PICTURES = (
    Picture("picture-1.png", "Canary recall@10: German 0.73", "Recall fell on Thursday."),
    Picture("picture-2.png", "Best score", "Scores are lower."),
)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as slack:
        yield slack


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    yield store
    store.close()


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    reports = Reports(tmp_path)
    keep(reports, bad_week(2))
    return reports


def keep(reports: Reports, week: Week, pictures: tuple[Picture, ...] = PICTURES) -> None:
    drawn = {each.file: f"\x89PNG {each.file}".encode() for each in pictures}
    reports.keep(week, {"message.json": as_bytes(announce(week, story_of(week), pictures)), **drawn})


def receiver(slack: FakeSlack, **more: Any) -> Slack:
    settings = {"channel": f"#{CHANNEL_NAME}", "token": TOKEN, "base_url": slack.base_url, "timeout": "1s"} | more
    return Slack(kind="slack", name="slack", tell=("firing", "report"), **settings)


Tell = Callable[..., int]


@pytest.fixture
def tell(store: Store, reports: Reports) -> Tell:
    """Work until the week is told or parked; how many attempts it took. Each is by a process of its own."""

    def until_told(make: Callable[[], Notifier], most: int = 12) -> int:
        store.weekly.announce(WEEK, ["slack"], NOW)
        for attempt in range(most):
            now = NOW + timedelta(hours=attempt)
            tell_one(store, make(), reports, "https://drift.example", now)
            if store.weekly.standing(WEEK)["slack"] != "waiting":
                return attempt + 1
        return most + 1

    return until_told


def plain(message: Posted) -> str:
    return message.said.replace("\u2060", "")


# --- what is said --------------------------------------------------------------------------------------------------


def test_the_week_is_one_message_with_its_two_pictures_in_it(slack: FakeSlack, store: Store, tell: Tell) -> None:
    assert tell(lambda: receiver(slack)) == 1
    (message,) = slack.messages
    said = plain(message)
    assert "🔴 help-centre: the week of 16 to 22 November 2026" in said
    assert "Something broke. German retrieval broke on Thursday" in said
    assert "German: canary recall, score drift (open, 3 days 14 h): mixed vectors" in said
    assert "3 gaps" in said
    assert "https://drift.example/reports/2026-W47/report.html" in said
    shown = [block for block in message.blocks if block["type"] == "image"]
    files = [slack.files[block["slack_file"]["id"]] for block in shown]
    assert [file.content for file in files] == [b"\xc2\x89PNG picture-1.png", b"\xc2\x89PNG picture-2.png"]
    assert [file.alt for file in files] == ["Recall fell on Thursday.", "Scores are lower."]
    assert [block["alt_text"] for block in shown] == ["Recall fell on Thursday.", "Scores are lower."]
    assert [file.name for file in files] == ["2026-W47-picture-1.png", "2026-W47-picture-2.png"]
    assert store.weekly.standing(WEEK) == {"slack": "done"}


def test_nobody_is_told_of_a_week_that_was_not_announced_or_that_they_do_not_want(
    slack: FakeSlack, store: Store, reports: Reports
) -> None:
    assert not tell_one(store, receiver(slack), reports, "", NOW)
    store.weekly.announce(WEEK, ["slack"], NOW)
    assert not tell_one(store, receiver(slack).model_copy(update={"tell": ("firing",)}), reports, "", NOW)
    assert not slack.calls


def test_a_quiet_week_without_pages_has_no_link(slack: FakeSlack, store: Store, tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    keep(reports, quiet_week(), ())
    store.weekly.announce(WEEK, ["slack"], NOW)
    tell_one(store, receiver(slack), reports, "", NOW)
    (message,) = slack.messages
    assert "🟢" in plain(message)
    assert "All is well. Retrieval is as good as usual" in plain(message)
    assert "Read the whole report" not in plain(message)
    assert not slack.called("files.getUploadURLExternal")


def test_hostile_text_is_inert_and_within_slack_s_limits(slack: FakeSlack, store: Store, tmp_path: Path) -> None:
    reports = Reports(tmp_path)
    week = hostile_week()
    keep(reports, week, tuple(Picture(each.file, week.service * 40, week.service * 90) for each in PICTURES))
    store.weekly.announce(WEEK, ["slack"], NOW)
    tell_one(store, receiver(slack), reports, "", NOW)
    (message,) = slack.messages
    assert "<" not in message.text
    kinds = {element["type"] for block in message.blocks if block["type"] == "section" for element in block["fields"]}
    assert kinds == {"plain_text"}
    assert "mrkdwn" not in json.dumps(message.blocks)
    assert "\u202e" not in json.dumps(message.blocks, ensure_ascii=False)


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        ("chat.postMessage", reply_lost()),
        ("chat.postMessage", server_error()),
        ("chat.postMessage", rate_limited(30)),
        ("chat.postMessage", hangs(3)),
        ("files.getUploadURLExternal", server_error()),
        ("files.getUploadURLExternal", reply_lost()),
        ("upload", Fault(status=503, body=b"later")),
        ("files.completeUploadExternal", reply_lost()),
        ("files.completeUploadExternal", says("internal_error")),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_whatever_is_lost_on_the_way_the_channel_sees_one_message_with_both_pictures(
    slack: FakeSlack, tell: Tell, method: str, fault: Fault
) -> None:
    slack.script(method, fault)
    assert tell(lambda: receiver(slack)) == 2
    (message,) = slack.messages
    assert sum(block["type"] == "image" for block in message.blocks) == 2


def test_pictures_that_were_uploaded_are_not_uploaded_again(slack: FakeSlack, tell: Tell) -> None:
    slack.script("chat.postMessage", server_error(), server_error())
    assert tell(lambda: receiver(slack)) == 3
    assert len(slack.files) == 2


def test_slack_may_take_some_time_to_take_the_pictures_in(slack: FakeSlack, tell: Tell) -> None:
    slack.takes_in = 2
    assert tell(lambda: receiver(slack)) == 3
    (message,) = slack.messages
    assert sum(block["type"] == "image" for block in message.blocks) == 2
    assert len(slack.files) == 2


def test_pictures_that_slack_does_not_show_in_the_message_come_below_it(slack: FakeSlack, tell: Tell) -> None:
    slack.takes_in = 99
    assert tell(lambda: receiver(slack)) == 3
    head, reply = slack.messages
    assert reply.thread_ts == head.ts
    assert [file.name for file in reply.files] == ["2026-W47-picture-1.png", "2026-W47-picture-2.png"]
    assert all(block["type"] != "image" for block in head.blocks)


def test_pictures_below_the_message_are_not_sent_twice_when_the_reply_is_lost(slack: FakeSlack, tell: Tell) -> None:
    slack.takes_in = 99
    slack.script("files.completeUploadExternal", None, None, reply_lost())
    assert tell(lambda: receiver(slack)) == 4
    assert len(slack.messages) == 2


def test_without_the_scope_for_files_the_message_comes_and_says_what_is_missing(slack: FakeSlack, tell: Tell) -> None:
    slack.scopes = ALL_SCOPES - {"files:write"}
    assert tell(lambda: receiver(slack)) == 1
    (message,) = slack.messages
    assert "files:write" in plain(message)


def test_a_receiver_that_is_down_for_days_is_told_when_it_is_back(slack: FakeSlack, store: Store, tell: Tell) -> None:
    slack.outage(server_error(503))
    assert tell(lambda: receiver(slack), most=6) == 7
    assert store.weekly.standing(WEEK) == {"slack": "waiting"}
    slack.outage(None)
    assert tell(lambda: receiver(slack)) <= 12
    assert len(slack.messages) == 1


def test_killed_at_any_moment_between_two_calls_it_goes_on_where_it_was(
    slack: FakeSlack, store: Store, reports: Reports
) -> None:
    class Killed(BaseException):
        pass

    for step in range(1, 12):
        slack.messages.clear()
        week = f"2026-W{step:02d}"
        keep(reports, bad_week(2).__class__(**{**_fields(bad_week(2)), "name": week}))
        store.weekly.announce(week, ["slack"], NOW)
        calls = len(slack.calls)
        notifier = receiver(slack)
        web = notifier._slack()
        ask = web._call

        def dying(method: Any, _ask: Any = ask, _at: int = calls + step, **settings: Any) -> Any:
            answer = _ask(method, **settings)
            if len(slack.calls) >= _at:
                raise Killed
            return answer

        web._call = dying  # type: ignore[method-assign]
        try:
            tell_one(store, notifier, reports, "", NOW)
        except Killed:
            store.weekly.reclaim(NOW)
            tell_one(store, receiver(slack), reports, "", NOW)
        assert store.weekly.standing(week) == {"slack": "done"}
        assert len(slack.messages) == 1, step


def _fields(week: Week) -> dict[str, Any]:
    return {name: getattr(week, name) for name in Week.__dataclass_fields__}


def test_a_report_that_is_gone_is_parked_with_the_reason(slack: FakeSlack, store: Store, tmp_path: Path) -> None:
    store.weekly.announce(WEEK, ["slack"], NOW)
    assert tell_one(store, receiver(slack), Reports(tmp_path / "nothing"), "", NOW)
    assert store.weekly.standing(WEEK) == {"slack": "parked"}
    assert not slack.messages


def test_one_receiver_that_is_down_delays_no_other(
    slack: FakeSlack, store: Store, reports: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.outage(server_error())
    console = Console(kind="console", name="console", tell=("report",))
    store.weekly.announce(WEEK, ["slack", "console"], NOW)
    for notifier in (receiver(slack), console):
        tell_one(store, notifier, reports, "", NOW)
    assert store.weekly.standing(WEEK) == {"console": "done", "slack": "waiting"}
    assert "🔴 help-centre: the week of 16 to 22 November 2026" in capsys.readouterr().out


def test_by_webhook_slack_is_told_without_pictures(slack: FakeSlack, store: Store, reports: Reports) -> None:
    notifier = Slack(kind="slack", name="slack", webhook_url=slack.webhook_url, timeout="1s", tell=("report",))
    store.weekly.announce(WEEK, ["slack"], NOW)
    tell_one(store, notifier, reports, "", NOW)
    (message,) = slack.messages
    assert message.via == "webhook"
    assert "A webhook shows no pictures" in plain(message)


def test_a_receiver_that_cannot_be_told_of_a_week_is_refused_when_it_is_configured() -> None:
    class Pager(Notifier):
        kind: str = "pager"

        def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
            return None

    with pytest.raises(ValidationError, match=r"takes no weekly report\. Remove 'report'"):
        Pager(tell=("firing", "report"))
    assert Pager(tell=("firing",)).tell == ("firing",)


# --- from the job to the receiver ----------------------------------------------------------------------------------

DUE = datetime(2026, 11, 23, 8, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Watch, Store]]:
    """A watched service whose report of the last week is kept, and a terminal that is told of it."""
    watch = make_world(tmp_path, RECALL).model_copy(
        update={"notify": (Console(kind="console", name="terminal", tell=("firing", "report")),)}
    )
    store = Store.open(watch.database, lasting=False)
    keep(Reports(watch.state), bad_week(2))
    yield watch, store
    store.close()


def test_the_daemon_tells_of_the_week_that_its_job_announced_once(
    world: tuple[Watch, Store], capsys: pytest.CaptureFixture[str]
) -> None:
    watch, store = world
    daemon = Daemon(watch, store, reporter=make_by_itself)
    for _ in range(2):
        make_by_itself(watch, store, DUE, lambda: False)
        daemon.deliver(DUE)
    assert capsys.readouterr().out.count("the week of 16 to 22 November 2026") == 1
    assert store.weekly.standing(WEEK) == {"terminal": "done"}


def test_a_crash_between_the_announcement_and_the_end_of_the_job_tells_nobody_twice(
    world: tuple[Watch, Store], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, store = world
    with monkeypatch.context() as patch:
        patch.setattr(type(store.decisions), "record_run", _die)
        with pytest.raises(OSError, match="killed"):
            make_by_itself(watch, store, DUE, lambda: False)
    assert store.weekly.standing(WEEK) == {"terminal": "waiting"}
    assert "report" not in store.decisions.last_runs()
    daemon = Daemon(watch, store, reporter=make_by_itself)
    daemon.deliver(DUE)
    make_by_itself(watch, store, DUE, lambda: False)
    daemon.deliver(DUE + timedelta(hours=1))
    assert capsys.readouterr().out.count("the week of") == 1


def _die(*_: object) -> None:
    raise OSError("killed")


def test_a_webhook_gets_the_week_signed_and_with_the_same_id_each_time(store: Store, reports: Reports) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    with FakeWebhook() as hook:
        hook.script(Answer(503))
        notifier = Webhook(kind="webhook", name="hook", url=hook.url, secret=secret, tell=("report",), timeout="2s")
        store.weekly.announce(WEEK, ["hook"], NOW)
        for hours in (0, 1):
            tell_one(store, notifier, reports, "https://drift.example", NOW + timedelta(hours=hours))
    refused, taken = hook.received
    assert (refused.status, taken.status) == (503, 204)
    assert refused.headers["webhook-id"] == taken.headers["webhook-id"] == "report:help-centre:2026-W47"
    assert taken.signed_with(secret)
    assert store.weekly.standing(WEEK) == {"hook": "done"}
    body = taken.json
    assert body["alerts"] == []
    assert body["driftwatch"]["event"] == "report"
    assert body["driftwatch"]["facts"]["Incidents"] == "2, 1 still open"
    assert body["externalURL"] == "https://drift.example/reports/2026-W47/report.html"
