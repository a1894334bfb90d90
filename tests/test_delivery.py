from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftwatch.alerts import AlertPolicy, acknowledge, advance, incident_key, remind, silenced_until
from driftwatch.delivery import DeliveryContext, Drop, Hold, backoff, deliver_one, judge, shortened
from driftwatch.notify import Notifier
from driftwatch.notify.slack import Slack
from driftwatch.notify.webhook import Webhook
from driftwatch.store import Store
from driftwatch.types import Alert, Notice, Silence, Transition
from tests.fakes.notices import HOUR, START, TEXTS, finding
from tests.fakes.slack import CHANNEL_NAME, TOKEN, FakeSlack, hangs, rate_limited, reply_lost, says, server_error
from tests.fakes.webhook import Answer, FakeWebhook

pytestmark = pytest.mark.process

POLICY = AlertPolicy(after=2, until=2, blind_after=2)
ALL = frozenset({"firing", "resolved", "blind", "sighted", "reminded", "acknowledged"})
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path / 'driftwatch.db'}")
    yield store
    store.close()


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as slack:
        yield slack


def slack_receiver(slack: FakeSlack, **more: Any) -> Slack:
    settings = {"channel": f"#{CHANNEL_NAME}", "token": TOKEN, "base_url": slack.base_url, "timeout": "2s"} | more
    return Slack(kind="slack", name="quality", **settings)


@dataclass
class World:
    """Looks go in, and what they decide is in the store's outbox."""

    store: Store
    receivers: Mapping[str, frozenset[str]] = field(default_factory=lambda: {"quality": ALL})
    now: datetime = START
    told: list[Transition] = field(default_factory=list)

    def look(self, looks: str, *, check: str = "canary recall", segment: str = "de") -> World:
        """One look an hour: g(ood), b(ad), w(arn), u(nknown)."""
        for look in looks:
            alert = self.alert(check, segment)
            found = finding(look, self.now, check=check, segment=segment)
            incident = incident_key("canaries", segment, self.now)
            moved, transition = advance(alert, found, POLICY, self.now, incident=incident)
            self._record([found], moved, transition)
            self.now += HOUR
        return self

    def move(self, step: Callable[..., tuple[Alert, Transition | None]], *more: Any) -> World:
        moved, transition = step(self.alert("canary recall", "de"), *more, self.now, family="canaries")
        assert transition is not None
        self._record([], moved, transition)
        return self

    def alert(self, check: str, segment: str) -> Alert:
        return self.store.decisions.alerts().get((check, segment)) or Alert(check, segment)

    def _record(self, findings: list[Any], alert: Alert, transition: Transition | None) -> None:
        news = [transition] if transition else []
        self.told += news
        held = {
            each.key: until
            for each in news
            if (until := silenced_until(self.store.decisions.silences(self.now), each.check, each.segment, self.now))
        }
        self.store.decisions.record(
            findings=findings, alerts=[alert], transitions=news, receivers=self.receivers, held=held
        )

    def silence(self, length: timedelta, check: str = "*", segment: str = "*") -> World:
        self.store.decisions.add_silence(
            Silence(f"s{self.now}", check, segment, self.now + length, "ana", "re-index", self.now)
        )
        return self


CONTEXT = DeliveryContext(service="help-centre", texts=lambda _: TEXTS)


def work(store: Store, notifier: Notifier, now: datetime, until: datetime | None = None) -> datetime:
    """Deliver as a daemon does, once a minute from ``now``, until nothing waits; when that was."""
    for _ in range(60 * 48):
        while deliver_one(store, notifier, now, CONTEXT):
            pass
        if not store.outbox.waiting().get(notifier.name) or (until is not None and now >= until):
            return now
        now += MINUTE
    raise AssertionError("there was still something waiting after two days")


# --- told, in order, whatever happens ------------------------------------------------------------------------------


def test_everything_decided_is_told_once_and_in_order(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bbgguuug")
    work(store, slack_receiver(slack), world.now)
    replies = [message.key for message in slack.messages if message.thread_ts is not None]
    assert [each.event for each in world.told] == ["firing", "resolved", "blind", "sighted"]
    assert replies == [each.key for each in world.told]
    assert len(slack.heads()) == 2
    assert deliver_one(store, slack_receiver(slack), world.now + 9 * HOUR, CONTEXT) is False


def test_a_reply_in_the_thread_shows_what_was_found_then(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bbgg")
    work(store, slack_receiver(slack), world.now)
    fired, resolved = (message.said.replace("\u2060", "") for message in slack.messages if message.thread_ts)
    assert "Recall R@10 fell from 0.95 to 0.41" in fired
    assert "Recall R@10 is 0.95, as in the baseline" in resolved


OUTAGES = {
    "rate limited": rate_limited(600),
    "broken": server_error(500),
    "unavailable": server_error(503),
    "wrong token": says("invalid_auth"),
    "bot removed": says("not_in_channel"),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_after_a_day_of_outage_everything_arrives_in_order_and_once(store: Store, slack: FakeSlack, name: str) -> None:
    world = World(store)
    notifier = slack_receiver(slack)
    slack.outage(OUTAGES[name])
    for looks in ("bb", "gg", "ggggggg", "bb", "uu", "b", "gg"):
        world.look(looks)
        work(store, notifier, world.now, until=world.now)
    world.look("gggggg").look("bb", segment="fr")
    assert slack.messages == []
    slack.outage(None)
    finished = work(store, notifier, world.now)
    assert finished - world.now <= 11 * MINUTE
    for incident in {each.incident for each in world.told}:
        wanted = [each.key for each in world.told if each.incident == incident]
        replies = [message.key for message in slack.messages if message.thread_ts and message.key in wanted]
        assert replies == wanted
    assert len(slack.heads()) == len({each.incident for each in world.told}) == 3
    resolved = [head for head in slack.heads() if "back to normal" in head.said]
    assert len(resolved) == 2


def test_a_slack_that_nobody_serves_loses_nothing(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb")
    slack.stop()
    work(store, slack_receiver(slack), world.now, until=world.now + 30 * MINUTE)
    world.now += 24 * HOUR
    world.look("gg")
    slack.start()
    work(store, slack_receiver(slack), world.now)
    assert [message.key for message in slack.messages if message.thread_ts] == [each.key for each in world.told]


def test_a_hang_counts_as_a_failure_and_is_tried_again(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb")
    slack.script("chat.postMessage", hangs())
    notifier = slack_receiver(slack, timeout="0.3s")
    assert deliver_one(store, notifier, world.now, CONTEXT) is False
    work(store, notifier, world.now)
    assert len(slack.heads()) == 1


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_lost_reply_is_followed_by_a_search_and_not_by_a_second_message(
    store: Store, slack: FakeSlack, lost: int
) -> None:
    world = World(store).look("bbgg")
    slack.script("chat.postMessage", *[reply_lost()] * lost)
    work(store, slack_receiver(slack), world.now)
    assert len(slack.heads()) == 1
    assert [message.key for message in slack.messages if message.thread_ts] == [each.key for each in world.told]


def test_killed_between_sending_and_noting_it_the_message_is_found_again(store: Store, slack: FakeSlack) -> None:
    class Killed(BaseException):
        """Stands for a SIGKILL: nothing after it runs."""

    class Dying(Slack):
        kind: Literal["slack"] = "slack"

        def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
            super().deliver(notice, thread, repeat=repeat)
            raise Killed

    world = World(store).look("bbgg")
    dying = Dying(kind="slack", name="quality", channel=CHANNEL_NAME, token=TOKEN, base_url=slack.base_url)
    with pytest.raises(Killed):
        deliver_one(store, dying, world.now, CONTEXT)
    assert deliver_one(store, slack_receiver(slack), world.now + MINUTE, CONTEXT) is False, "the lease still holds"
    work(store, slack_receiver(slack), world.now + CONTEXT.lease)
    assert len(slack.heads()) == 1
    assert [message.key for message in slack.messages if message.thread_ts] == [each.key for each in world.told]


def test_a_repeated_webhook_carries_the_same_key_and_nothing_overtakes_it(store: Store) -> None:
    world = World(store, {"pager": ALL}).look("bbgg")
    with FakeWebhook() as hook:
        hook.script(Answer(lose_reply=True), Answer(500), Answer(429, {"Retry-After": "90"}), Answer(302))
        work(store, Webhook(kind="webhook", name="pager", url=hook.url, timeout="2s"), world.now)
        fired, resolved = world.told
        assert [each.headers["webhook-id"] for each in hook.received] == [fired.key] * 5 + [resolved.key]


def test_the_wait_a_receiver_asks_for_is_kept(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb")
    slack.script("chat.postMessage", rate_limited(1800))
    notifier = slack_receiver(slack)
    assert deliver_one(store, notifier, world.now, CONTEXT) is False
    assert deliver_one(store, notifier, world.now + 29 * MINUTE, CONTEXT) is False
    assert len(slack.called("chat.postMessage")) == 1
    work(store, notifier, world.now + 34 * MINUTE)
    assert len(slack.heads()) == 1


def test_one_incident_that_cannot_be_told_does_not_hold_up_another(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb").look("bb", segment="fr")
    slack.script("chat.postMessage", server_error())
    notifier = slack_receiver(slack)
    assert deliver_one(store, notifier, world.now, CONTEXT) is False
    assert deliver_one(store, notifier, world.now, CONTEXT) is True
    assert "French" in slack.heads()[0].said


def test_each_receiver_has_its_own_pace(store: Store, slack: FakeSlack) -> None:
    world = World(store, {"quality": ALL, "pager": ALL}).look("bb")
    slack.outage(server_error())
    assert deliver_one(store, slack_receiver(slack), world.now, CONTEXT) is False
    with FakeWebhook() as hook:
        assert deliver_one(store, Webhook(kind="webhook", name="pager", url=hook.url), world.now, CONTEXT) is True
    assert store.outbox.waiting() == {"quality": 1}


# --- refused, broken, gone -----------------------------------------------------------------------------------------


def test_a_refused_message_is_sent_again_in_its_shortest_form(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb")
    slack.script("chat.postMessage", says("msg_blocks_too_long"))
    assert deliver_one(store, slack_receiver(slack), world.now, CONTEXT) is True
    (head,) = slack.heads()
    assert "German · canary recall is failing" in head.said
    assert "Lieferadresse" not in head.said
    assert store.outbox.waiting() == {}


def test_a_message_refused_twice_is_parked_with_the_reason_and_blocks_nothing(
    store: Store, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(store).look("bb").look("bb", segment="fr")
    slack.script("chat.postMessage", *[says("invalid_blocks")] * 2)
    work(store, slack_receiver(slack), world.now)
    assert "will not be told" in caplog.text
    assert "invalid_blocks" in caplog.text
    assert store.outbox.parked() == {"quality": 1}
    assert store.outbox.waiting() == {}
    (head,) = slack.heads()
    assert "French" in head.said


class Broken(Notifier):
    """A receiver of somebody's own, with a mistake in it."""

    kind: Literal["broken"] = "broken"

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        raise ZeroDivisionError("a mistake")


def test_a_mistake_in_a_receiver_loses_nothing(
    store: Store, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(store).look("bb")
    assert deliver_one(store, Broken(kind="broken", name="quality"), world.now, CONTEXT) is False
    assert "ZeroDivisionError" in caplog.text
    work(store, slack_receiver(slack), world.now + MINUTE)
    assert len(slack.heads()) == 1


class Told(Notifier):
    """Keeps what it is told; it has no threads."""

    kind: Literal["told"] = "told"
    notices: list[Notice]
    threads: list[str | None]

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        self.notices.append(notice)
        self.threads.append(thread)
        return None


def test_a_receiver_without_threads_is_told_of_the_end_as_well(store: Store) -> None:
    world = World(store).look("bbgg")
    told = Told(kind="told", name="quality", notices=[], threads=[])
    work(store, told, world.now)
    assert [notice.event for notice in told.notices] == ["firing", "resolved"]
    assert told.threads == [None, world.told[0].incident]


def test_texts_leave_the_machine_redacted_and_pages_are_linked(store: Store) -> None:
    world = World(store).look("bb")
    told = Told(kind="told", name="quality", notices=[], threads=[])
    context = DeliveryContext("help-centre", texts=lambda _: {"q1": "mail ana@example.com"}, pages_url="http://dw:9464")
    deliver_one(store, told, world.now, context)
    (notice,) = told.notices
    assert "ana@example.com" not in notice.example_texts["q1"]
    assert notice.url == f"http://dw:9464/incidents/{world.told[0].incident}"
    assert notice.finding is not None
    assert notice.finding.verdict == "fail"


def test_a_shortened_notice_keeps_who_is_ill_and_drops_the_rest(store: Store) -> None:
    world = World(store).look("bb")
    told = Told(kind="told", name="quality", notices=[], threads=[])
    work(store, told, world.now)
    short = shortened(told.notices[0])
    assert short.incident.state == "firing"
    assert short.example_texts == {}
    assert short.incident.members[0].finding is not None
    assert short.incident.members[0].finding.value is None


# --- silences ------------------------------------------------------------------------------------------------------


def told_events(store: Store, now: datetime) -> list[str]:
    told = Told(kind="told", name="quality", notices=[], threads=[])
    work(store, told, now)
    return [notice.event for notice in told.notices]


def test_what_began_and_ended_within_a_silence_is_never_told(store: Store) -> None:
    world = World(store).silence(10 * HOUR).look("bbgg")
    assert told_events(store, world.now) == []


def test_what_outlasts_its_silence_is_told_when_the_silence_ends_and_so_is_its_end(store: Store) -> None:
    world = World(store).silence(4 * HOUR).look("bb")
    told = Told(kind="told", name="quality", notices=[], threads=[])
    assert deliver_one(store, told, world.now, CONTEXT) is False
    world.look("bb")
    work(store, told, world.now)
    assert [notice.event for notice in told.notices] == ["firing"]
    world.look("gg")
    work(store, told, world.now)
    assert [notice.event for notice in told.notices] == ["firing", "resolved"]


def test_the_end_of_what_was_told_before_a_silence_is_told_after_it(store: Store) -> None:
    world = World(store).look("bb")
    assert told_events(store, world.now) == ["firing"]
    world.silence(5 * HOUR).look("gg")
    assert told_events(store, world.now) == ["resolved"]


def test_a_silence_set_before_a_slow_delivery_holds_it(store: Store) -> None:
    world = World(store).look("bb").silence(2 * HOUR)
    told = Told(kind="told", name="quality", notices=[], threads=[])
    assert deliver_one(store, told, world.now, CONTEXT) is False
    assert told.notices == []
    assert work(store, told, world.now) >= world.now + 2 * HOUR
    assert [notice.event for notice in told.notices] == ["firing"]


def test_a_silence_of_one_language_leaves_the_others_alone(store: Store) -> None:
    world = World(store).silence(100 * HOUR, segment="fr").look("bb").look("bb", segment="fr")
    told = Told(kind="told", name="quality", notices=[], threads=[])
    while deliver_one(store, told, world.now, CONTEXT):
        pass
    assert [notice.transition.segment for notice in told.notices] == ["de"]


def test_two_silences_in_a_row_count_as_one() -> None:
    first = Silence("a", "*", "*", START + 2 * HOUR, "ana", "", START)
    second = Silence("b", "*", "*", START + 9 * HOUR, "ana", "", START + HOUR)
    history = life("bbgg")
    assert isinstance(judge(history[0], history, in_force(first, second), False, START + 9 * HOUR), Drop)
    assert judge(history[0], history, in_force(first), False, START + 9 * HOUR) is None


def test_a_reminder_of_what_is_silenced_is_dropped_and_anything_else_held() -> None:
    silence = Silence("a", "*", "*", START + 99 * HOUR, "ana", "", START)
    fired = life("bb")[0]
    reminder = Transition("r", "canary recall", "de", "reminded", "firing", "firing", START + 30 * HOUR, fired.incident)
    history = [fired, reminder]
    assert isinstance(judge(reminder, history, in_force(silence), True, START + 30 * HOUR), Drop)
    assert isinstance(judge(fired, history, in_force(silence), True, START + 30 * HOUR), Hold)


# --- who was told --------------------------------------------------------------------------------------------------


def test_the_end_is_told_only_to_those_who_know_of_the_beginning(store: Store, slack: FakeSlack) -> None:
    world = World(store, {"late": frozenset({"resolved"})}).look("bbgg")
    told = Told(kind="told", name="late", notices=[], threads=[])
    work(store, told, world.now)
    assert told.notices == []


def test_a_receiver_that_was_added_later_learns_of_it_by_the_reminder(store: Store) -> None:
    world = World(store, {"other": ALL}).look("bb")
    world.receivers = {"quality": ALL}
    world.now += 25 * HOUR
    world.move(lambda alert, now, family: remind(alert, POLICY, now, family=family)).look("gg")
    assert told_events(store, world.now) == ["reminded", "resolved"]


def test_acknowledging_is_told_and_stops_reminders(store: Store, slack: FakeSlack) -> None:
    world = World(store).look("bb").move(acknowledge, "ana")
    work(store, slack_receiver(slack), world.now)
    assert "is looked after by ana" in slack.messages[-1].said
    assert "Looked after by ana" in slack.heads()[0].said
    assert remind(world.alert("canary recall", "de"), POLICY, world.now + 99 * HOUR)[1] is None


def life(looks: str) -> list[Transition]:
    alert, history = Alert("canary recall", "de"), []
    for hour, look in enumerate(looks):
        now = START + hour * HOUR
        alert, transition = advance(
            alert, finding(look, now), POLICY, now, incident=incident_key("canaries", "de", now)
        )
        history += [transition] if transition else []
    return history


def in_force(*silences: Silence) -> Callable[[datetime], list[Silence]]:
    return lambda at: [each for each in silences if each.created <= at < each.until]


@settings(deadline=None)
@given(st.text("gbu", max_size=40), st.integers(0, 30), st.integers(1, 30))
def test_whatever_is_silenced_a_receiver_never_learns_of_half_an_episode(looks: str, start: int, length: int) -> None:
    """What a receiver is told of an alert, in the end, begins with its opening and, once it is over, has its end."""
    created = START + start * HOUR
    silence = Silence("s", "*", "*", created + length * HOUR, "ana", "", created)
    history = life(looks)
    told: list[Transition] = []
    for each in history:
        now = max(each.at, silence.until) if created <= each.at < silence.until else each.at
        knows = any(one.incident == each.incident for one in told)
        if judge(each, [one for one in history if one.at <= now], in_force(silence), knows, now) is None:
            told.append(each)
    for incident in {each.incident for each in told}:
        whole = [each for each in history if each.incident == incident]
        assert [each for each in told if each.incident == incident] == whole


# --- waiting -------------------------------------------------------------------------------------------------------


def test_waits_double_to_five_minutes_and_are_spread() -> None:
    waits = [backoff(attempts, None, f"x{attempts}").total_seconds() for attempts in range(1, 200)]
    assert 2.5 <= waits[0] <= 5
    assert all(wait <= 300 for wait in waits)
    assert all(wait >= 150 for wait in waits[8:])
    assert len(set(waits)) > 150
    assert backoff(3, None, "x") == backoff(3, None, "x")


def test_what_a_receiver_asks_for_is_kept_within_reason() -> None:
    assert timedelta(seconds=30) <= backoff(1, 30.0, "x") <= timedelta(seconds=33)
    assert timedelta(seconds=1) <= backoff(1, 0.0, "x") <= timedelta(seconds=1.1)
    assert backoff(1, 1e9, "x") <= timedelta(hours=1.1)
