from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify.slack import Slack
from driftwatch.types import Notice
from tests.fakes.notices import story
from tests.fakes.slack import (
    CHANNEL_ID,
    CHANNEL_NAME,
    TOKEN,
    FakeSlack,
    hangs,
    rate_limited,
    reply_lost,
    says,
    server_error,
)


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlack]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeSlack() as slack:
        yield slack


def receiver(slack: FakeSlack, **more: Any) -> Slack:
    settings = {"channel": f"#{CHANNEL_NAME}", "token": TOKEN, "base_url": slack.base_url, "timeout": "2s"} | more
    return Slack(kind="slack", **settings)


def by_webhook(slack: FakeSlack, **more: Any) -> Slack:
    return Slack(kind="slack", webhook_url=slack.webhook_url, timeout="2s", **more)


FIRED, RESOLVED = story("bbgg")


def tell(notifier: Slack, notices: list[Notice]) -> str | None:
    thread = None
    for notice in notices:
        thread = notifier.deliver(notice, thread, repeat=False)
    return thread


# --- an incident's life --------------------------------------------------------------------------------------------


def test_an_incident_is_one_message_kept_up_to_date_with_its_history_in_the_thread(slack: FakeSlack) -> None:
    thread = tell(receiver(slack), [FIRED, RESOLVED])
    (head,) = slack.heads()
    assert thread == f"{CHANNEL_ID}:{head.ts}"
    assert head.edits == 1
    assert "🟢 German · canary recall is back to normal" in head.said
    replies = slack.thread(head.ts)
    assert [reply.key for reply in replies] == [FIRED.key, RESOLVED.key]
    assert "is failing" in replies[0].said
    assert "Recall R@10 fell from 0.95 to 0.41" in replies[0].said.replace("\u2060", "")
    assert "is back to normal after 2 h" in replies[1].said


def test_another_process_goes_on_in_the_same_thread(slack: FakeSlack) -> None:
    thread = receiver(slack).deliver(FIRED, None, repeat=False)
    assert receiver(slack).deliver(RESOLVED, thread, repeat=False) == thread
    assert len(slack.heads()) == 1


def test_the_example_questions_are_shown_unless_they_must_not_be(slack: FakeSlack) -> None:
    receiver(slack).deliver(FIRED, None, repeat=False)
    receiver(slack, show_queries=False).deliver(FIRED, None, repeat=False)
    shown, hidden = slack.heads()
    assert "Wie ändere ich meine Lieferadresse?" in shown.said
    assert "Lieferadresse" not in hidden.said
    assert "q1" in hidden.said


def test_slack_is_told_to_read_no_markup_and_to_unfurl_nothing(slack: FakeSlack) -> None:
    tell(receiver(slack), [FIRED, RESOLVED])
    for call in slack.called("chat.postMessage"):
        assert (call["unfurl_links"], call["unfurl_media"], call["mrkdwn"]) == (False, False, False)
    for call in slack.called("chat.postMessage") + slack.called("chat.update"):
        assert (call["parse"], call["link_names"]) == ("none", False)


def test_only_the_configured_ids_are_called_and_only_while_it_fires(slack: FakeSlack) -> None:
    notifier = receiver(slack, mention=("U0123ABC", "S0456DEF", "here"))
    thread = notifier.deliver(FIRED, None, repeat=False)
    assert "<@U0123ABC> <!subteam^S0456DEF> <!here>" in slack.heads()[0].said
    assert "<@" not in slack.messages[1].said
    notifier.deliver(RESOLVED, thread, repeat=False)
    assert not any("<@" in message.said for message in slack.messages)


def test_a_warning_calls_nobody(slack: FakeSlack) -> None:
    receiver(slack, mention=("here",)).deliver(story("ww")[0], None, repeat=False)
    assert not any("<!here>" in message.said for message in slack.messages)


def test_what_was_blind_and_then_fires_calls_in_the_thread(slack: FakeSlack) -> None:
    eager = story("uubb")
    blind, fired = eager[0], eager[-1]
    opened = replace(fired, incident=replace(fired.incident, incident_id=blind.incident.incident_id))
    notifier = receiver(slack, mention=("here",))
    thread = notifier.deliver(blind, None, repeat=False)
    assert not any("<!here>" in message.said for message in slack.messages)
    notifier.deliver(opened, thread, repeat=False)
    assert "<!here>" in slack.thread(slack.heads()[0].ts)[-1].said


def test_what_fires_again_is_told_in_its_thread_and_in_the_channel_and_calls_nobody(slack: FakeSlack) -> None:
    told = story("bbggbb", reopens=True)
    tell(receiver(slack, mention=("here",)), told)
    (head,) = slack.heads()
    assert "🔴 German · canary recall is failing again" in head.said
    assert "2 times since" in head.said
    assert "is failing again, 2 times since" in slack.thread(head.ts)[-1].said
    assert not any("<!here>" in reply.said for reply in slack.thread(head.ts))
    assert [bool(call.get("reply_broadcast")) for call in slack.called("chat.postMessage")] == [False] * 3 + [True]


def test_a_channel_that_heard_nothing_of_the_first_time_is_called_the_second_time(slack: FakeSlack) -> None:
    again = story("bbggbb", reopens=True)[-1]
    for notifier in (receiver(slack, mention=("here",)), by_webhook(slack, mention=("here",))):
        notifier.deliver(again, None, repeat=False)
        assert "<!here>" in slack.heads()[-1].said
    by_webhook(slack, mention=("here",)).deliver(again, again.incident.incident_id, repeat=False)
    assert "<!here>" not in slack.heads()[-1].said


def test_a_message_that_somebody_deleted_is_posted_again(slack: FakeSlack) -> None:
    notifier = receiver(slack)
    thread = notifier.deliver(FIRED, None, repeat=False)
    slack.delete(slack.heads()[0].ts)
    again = notifier.deliver(RESOLVED, thread, repeat=False)
    assert again != thread
    assert "back to normal" in slack.heads()[0].said


def test_a_message_too_old_to_be_changed_still_gets_its_replies(slack: FakeSlack) -> None:
    notifier = receiver(slack)
    thread = notifier.deliver(FIRED, None, repeat=False)
    slack.script("chat.update", says("edit_window_closed"))
    assert notifier.deliver(RESOLVED, thread, repeat=False) == thread
    assert slack.messages[-1].key == RESOLVED.key


def test_a_thread_known_from_webhook_times_is_not_taken_for_one_of_ours(slack: FakeSlack) -> None:
    thread = receiver(slack).deliver(RESOLVED, RESOLVED.incident.incident_id, repeat=False)
    assert thread == f"{CHANNEL_ID}:{slack.heads()[0].ts}"


# --- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["chat.postMessage", "chat.update"])
@pytest.mark.parametrize(
    ("fault", "says_", "wait"),
    [
        (rate_limited(30), "asks to wait 30 s", 30.0),
        (server_error(500), "500", None),
        (server_error(503), "503", None),
        (says("internal_error"), "internal_error", None),
        (says("invalid_auth"), "xoxb-", None),
        (says("not_in_channel"), "/invite", None),
        (says("is_archived"), "Unarchive", None),
    ],
)
def test_a_failure_is_an_error_to_try_again_that_says_what_to_do(
    slack: FakeSlack, failing: str, fault: Any, says_: str, wait: float | None
) -> None:
    notifier = receiver(slack)
    thread = notifier.deliver(FIRED, None, repeat=False)
    slack.script(failing, fault)
    with pytest.raises(DeliveryError, match=says_) as caught:
        notifier.deliver(RESOLVED, thread, repeat=False)
    assert caught.value.retry_after == wait
    assert not isinstance(caught.value, MessageRefused)
    assert TOKEN not in str(caught.value)


def test_a_wrong_token_is_told_with_its_remedy(slack: FakeSlack) -> None:
    with pytest.raises(DeliveryError, match=r"invalid_auth.*Bot User OAuth Token"):
        receiver(slack, token="xoxb-other").deliver(FIRED, None, repeat=False)


def test_a_hang_ends_at_the_timeout(slack: FakeSlack) -> None:
    slack.script("chat.postMessage", hangs())
    began = time.monotonic()
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.3s"):
        receiver(slack, timeout="0.3s").deliver(FIRED, None, repeat=False)
    assert time.monotonic() - began < 3


def test_nobody_listening_is_an_error_to_try_again(slack: FakeSlack) -> None:
    slack.stop()
    with pytest.raises(DeliveryError, match="could not be reached"):
        receiver(slack).deliver(FIRED, None, repeat=False)


@pytest.mark.parametrize("code", ["msg_blocks_too_long", "invalid_blocks", "msg_too_long"])
def test_a_message_that_slack_will_never_take_is_refused(slack: FakeSlack, code: str) -> None:
    slack.script("chat.postMessage", says(code))
    with pytest.raises(MessageRefused, match=code):
        receiver(slack).deliver(FIRED, None, repeat=False)


# --- repeats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", [f"#{CHANNEL_NAME}", CHANNEL_NAME, CHANNEL_ID])
def test_a_message_whose_reply_was_lost_is_found_and_not_posted_twice(slack: FakeSlack, channel: str) -> None:
    slack.script("chat.postMessage", reply_lost())
    with pytest.raises(DeliveryError):
        receiver(slack, channel=channel).deliver(FIRED, None, repeat=False)
    thread = receiver(slack, channel=channel).deliver(FIRED, None, repeat=True)
    (head,) = slack.heads()
    assert thread == f"{CHANNEL_ID}:{head.ts}"
    assert [reply.key for reply in slack.thread(head.ts)] == [FIRED.key]


def test_a_thread_reply_whose_reply_was_lost_is_found_and_not_posted_twice(slack: FakeSlack) -> None:
    thread = receiver(slack).deliver(FIRED, None, repeat=False)
    slack.script("chat.postMessage", reply_lost())
    with pytest.raises(DeliveryError):
        receiver(slack).deliver(RESOLVED, thread, repeat=False)
    receiver(slack).deliver(RESOLVED, thread, repeat=True)
    assert [reply.key for reply in slack.thread(slack.heads()[0].ts)] == [FIRED.key, RESOLVED.key]


def test_a_repeat_of_what_never_arrived_is_posted(slack: FakeSlack) -> None:
    receiver(slack).deliver(FIRED, None, repeat=True)
    assert len(slack.messages) == 2


def test_without_the_scope_to_look_a_repeat_is_posted_again_with_the_same_key(slack: FakeSlack) -> None:
    slack.scopes = frozenset({"chat:write"})
    slack.script("chat.postMessage", reply_lost())
    with pytest.raises(DeliveryError):
        receiver(slack).deliver(FIRED, None, repeat=False)
    receiver(slack).deliver(FIRED, None, repeat=True)
    assert [head.key for head in slack.heads()] == [FIRED.key, FIRED.key]


def test_without_the_scope_a_reply_that_failed_does_not_post_the_incident_twice(slack: FakeSlack) -> None:
    slack.scopes = frozenset({"chat:write"})
    notifier = receiver(slack)
    original = slack._chat_postMessage
    slack._chat_postMessage = lambda given: (  # type: ignore[method-assign]
        b'{"ok": false, "error": "fatal_error"}' if given.get("thread_ts") else original(given)
    )
    with pytest.raises(DeliveryError, match="fatal_error"):
        notifier.deliver(FIRED, None, repeat=False)
    slack._chat_postMessage = original  # type: ignore[method-assign]
    notifier.deliver(FIRED, None, repeat=True)
    assert len(slack.heads()) == 1
    assert len(slack.messages) == 2


def test_another_incident_of_the_same_channel_is_not_adopted(slack: FakeSlack) -> None:
    receiver(slack).deliver(story("bb", segment="fr")[0], None, repeat=False)
    other_service = replace(FIRED, service="other-service")
    receiver(slack).deliver(other_service, None, repeat=False)
    receiver(slack).deliver(FIRED, None, repeat=True)
    assert len(slack.heads()) == 3


def test_the_search_goes_through_a_busy_channel(slack: FakeSlack) -> None:
    thread = receiver(slack).deliver(FIRED, None, repeat=False)
    for _ in range(450):
        slack._keep({"text": "chatter", "blocks": []}, None, "token")
    assert receiver(slack).deliver(FIRED, None, repeat=True) == thread


# --- by webhook ----------------------------------------------------------------------------------------------------


def test_a_webhook_posts_every_change_as_a_message_of_its_own(slack: FakeSlack) -> None:
    assert tell(by_webhook(slack), [FIRED, RESOLVED]) == FIRED.incident.incident_id
    fired, resolved = slack.heads()
    assert "is failing" in fired.said
    assert "is back to normal after 2 h" in resolved.said


@pytest.mark.parametrize(
    ("fault", "error", "says_"),
    [
        (replace(server_error(400), body=b"invalid_blocks"), MessageRefused, "invalid_blocks"),
        (replace(server_error(403), body=b"action_prohibited"), DeliveryError, "action_prohibited"),
        (replace(server_error(404), body=b"no_service"), DeliveryError, "Create the webhook again"),
        (replace(server_error(410), body=b"channel_is_archived"), DeliveryError, "channel_is_archived"),
        (replace(rate_limited(7), body=b"rate_limited"), DeliveryError, "429"),
        (server_error(500), DeliveryError, "500"),
    ],
)
def test_what_a_webhook_answers_is_understood(slack: FakeSlack, fault: Any, error: type[Exception], says_: str) -> None:
    slack.script("webhook", fault)
    with pytest.raises(error, match=says_) as caught:
        by_webhook(slack).deliver(FIRED, None, repeat=False)
    assert type(caught.value) is error
    assert "secret-of-the-webhook" not in str(caught.value)
    assert getattr(caught.value, "retry_after", None) == fault.retry_after


def test_a_webhook_that_hangs_or_is_gone_is_tried_again(slack: FakeSlack) -> None:
    slack.script("webhook", hangs())
    with pytest.raises(DeliveryError, match="did not answer"):
        Slack(kind="slack", webhook_url=slack.webhook_url, timeout="0.3s").deliver(FIRED, None, repeat=False)
    slack.stop()
    with pytest.raises(DeliveryError, match="could not be reached"):
        by_webhook(slack).deliver(FIRED, None, repeat=False)


# --- reaching and settings -----------------------------------------------------------------------------------------


def test_reaching_slack_names_bot_and_workspace_and_tells_nobody(slack: FakeSlack) -> None:
    assert receiver(slack).reach() == "bot 'driftwatch' in workspace 'Acme'"
    slack.scopes = frozenset({"chat:write"})
    assert "posted twice" in receiver(slack).reach()
    slack.scopes = frozenset({"channels:read"})
    with pytest.raises(DeliveryError, match="chat:write"):
        receiver(slack).reach()
    assert slack.messages == []


def test_reaching_by_webhook_says_what_a_webhook_cannot_do_and_tells_nobody(slack: FakeSlack) -> None:
    said = by_webhook(slack).reach()
    assert "no updates in place" in said
    assert "no threads" in said
    assert slack.messages == []
    gone = Slack(kind="slack", webhook_url=slack.webhook_url + "-gone")
    with pytest.raises(DeliveryError, match="404"):
        gone.reach()


@pytest.mark.parametrize(
    ("settings", "says_"),
    [
        ({}, "Slack needs 'token' and 'channel', or 'webhook_url'"),
        ({"channel": "#x"}, "Slack needs 'token'"),
        ({"token": "xoxb-1"}, "Slack needs a 'channel'"),
        ({"token": " ", "channel": "#x"}, "Slack needs 'token'"),
        ({"token": "xoxb-1", "webhook_url": "https://hooks.slack.com/x"}, "Keep the token"),
        ({"webhook_url": "hooks.slack.com/services/secret"}, "'webhook_url' is not an address"),
        ({"webhook_url": "file:///etc/passwd"}, "'webhook_url' is not an address"),
        ({"token": "xoxb-1", "channel": "#x", "base_url": "slack"}, "'base_url' is not an address"),
        ({"token": "xoxb-1", "channel": "#x", "mention": ["@ana"]}, "'@ana' cannot be mentioned"),
        ({"token": "xoxb-1", "channel": "#x", "mention": ["U1|x> <!here"]}, "cannot be mentioned"),
    ],
)
def test_settings_that_cannot_work_say_what_to_write(settings: dict[str, Any], says_: str) -> None:
    with pytest.raises(ValidationError, match=says_.replace("(", r"\(")) as caught:
        Slack(kind="slack", **settings)
    assert "services/secret" not in caught.value.errors(include_input=False, include_url=False)[0]["msg"]


def test_secrets_do_not_show_in_a_printed_receiver(slack: FakeSlack) -> None:
    assert TOKEN not in repr(receiver(slack)) + receiver(slack).model_dump_json()
    assert "secret-of" not in repr(by_webhook(slack))
