from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify.webhook import Webhook, body
from driftwatch.signing import signature
from driftwatch.types import Alert
from tests.fakes.notices import HOUR, START, finding, notice, story
from tests.fakes.webhook import Answer, FakeWebhook

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes or more").decode()
FIRED, RESOLVED = story("bbgg")


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWebhook]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FakeWebhook() as hook:
        yield hook


def receiver(hook: FakeWebhook, **more: Any) -> Webhook:
    return Webhook(**{"kind": "webhook", "name": "pager", "url": hook.url, "timeout": "2s"} | more)


def test_a_change_arrives_signed_under_its_own_key(hook: FakeWebhook) -> None:
    told = receiver(hook, secret=SECRET, headers={"Authorization": "Bearer x"}).deliver(FIRED, None, repeat=False)
    assert told == FIRED.incident.incident_id
    (received,) = hook.taken()
    assert received.signed_with(SECRET)
    assert received.headers["webhook-id"] == FIRED.key
    assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 60
    assert received.headers["authorization"] == "Bearer x"
    assert received.headers["content-type"] == "application/json"


def test_a_repeat_carries_the_same_key(hook: FakeWebhook) -> None:
    hook.script(Answer(lose_reply=True))
    with pytest.raises(DeliveryError):
        receiver(hook).deliver(FIRED, None, repeat=False)
    receiver(hook).deliver(FIRED, None, repeat=True)
    assert [each.headers["webhook-id"] for each in hook.received] == [FIRED.key, FIRED.key]


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of the Standard Webhooks specification's reference libraries."""
    secret, content = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, content)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_body_is_what_alertmanagers_receivers_read(hook: FakeWebhook) -> None:
    receiver(hook).deliver(FIRED, None, repeat=False)
    sent = hook.taken()[0].json
    assert (sent["version"], sent["status"], sent["receiver"]) == ("4", "firing", "pager")
    assert sent["groupLabels"]["incident"] == FIRED.incident.incident_id
    (alert,) = sent["alerts"]
    assert alert["labels"] == {
        "alertname": "canary recall",
        "service": "help-centre",
        "segment": "de",
        "family": "canaries",
    }
    assert alert["status"] == "firing"
    assert alert["startsAt"] == "2026-05-21T11:00:00Z"
    assert alert["endsAt"] == "0001-01-01T00:00:00Z"
    assert alert["annotations"]["value"] == "0.41"
    assert sent["driftwatch"]["event"] == "firing"
    assert sent["driftwatch"]["examples"][0] == "Wie ändere ich meine Lieferadresse?"


def test_evidence_its_share_of_the_budget_and_its_onset_are_annotations() -> None:
    (member,) = FIRED.incident.members
    assert member.finding is not None
    weighed = replace(member.finding, evidence=412.3, share=0.075, onset=START)
    notice = replace(FIRED, incident=replace(FIRED.incident, members=(replace(member, finding=weighed),)))
    shown = body(notice, "x")["alerts"][0]["annotations"]
    assert (shown["evidence"], shown["share"], shown["onset"]) == ("412", "0.075", "2026-05-21T10:00:00Z")


def test_a_resolution_is_the_same_alert_with_an_end() -> None:
    fired, resolved = body(FIRED, "x"), body(RESOLVED, "x")
    assert resolved["status"] == resolved["alerts"][0]["status"] == "resolved"
    assert resolved["alerts"][0]["endsAt"] == "2026-05-21T13:00:00Z"
    assert resolved["alerts"][0]["startsAt"] == fired["alerts"][0]["startsAt"]
    assert resolved["alerts"][0]["fingerprint"] == fired["alerts"][0]["fingerprint"]
    assert resolved["groupKey"] == fired["groupKey"]


def test_an_alert_that_fires_again_is_the_same_alert_with_another_beginning() -> None:
    first, _, again = (body(each, "x") for each in story("bbggbb", reopens=True))
    assert again["groupKey"] == first["groupKey"]
    assert (again["status"], again["alerts"][0]["startsAt"]) == ("firing", "2026-05-21T15:00:00Z")
    assert again["alerts"][0]["fingerprint"] == first["alerts"][0]["fingerprint"]
    assert (first["driftwatch"]["openings"], again["driftwatch"]["openings"]) == (1, 2)


def test_blindness_does_not_change_an_alerts_identity() -> None:
    fired, blind = story("bbuu")
    assert body(blind, "x")["alerts"][0]["fingerprint"] == body(fired, "x")["alerts"][0]["fingerprint"]
    assert body(blind, "x")["alerts"][0]["annotations"]["state"] == "blind"
    assert body(blind, "x")["alerts"][0]["status"] == "firing"


def test_one_of_several_alerts_may_be_over() -> None:
    well = (Alert("canary nDCG", "de", "ok", since=START + 3 * HOUR), finding("g", check="canary nDCG"))
    ill = (FIRED.incident.members[0].alert, FIRED.incident.members[0].finding)
    sent = body(notice([ill, well], FIRED.transition, FIRED.incident.history, START), "x")
    assert [alert["status"] for alert in sent["alerts"]] == ["firing", "resolved"]
    assert sent["status"] == "firing"


def test_questions_stay_here_when_they_must(hook: FakeWebhook) -> None:
    receiver(hook, show_queries=False).deliver(FIRED, None, repeat=False)
    assert b"Lieferadresse" not in hook.taken()[0].content
    assert hook.taken()[0].json["driftwatch"]["examples"] == ["q1", "q2"]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(500, body=b"boom"), DeliveryError, "answered 500: boom"),
        (Answer(429, {"Retry-After": "42"}), DeliveryError, "429"),
        (Answer(503, {"Retry-After": "soon"}), DeliveryError, "503"),
        (Answer(400), DeliveryError, "400"),
        (Answer(401), DeliveryError, "Check `secret`"),
        (Answer(404), DeliveryError, "Check `url`"),
        (Answer(410), DeliveryError, "Check `url`"),
        (Answer(413), MessageRefused, "413"),
        (Answer(422), MessageRefused, "422"),
        (Answer(302, {"Location": "/elsewhere"}), DeliveryError, "redirects"),
        (Answer(307, {"Location": "/elsewhere"}), DeliveryError, "redirects"),
    ],
)
def test_only_2xx_is_taken(hook: FakeWebhook, answer: Answer, error: type[Exception], says: str) -> None:
    hook.script(answer)
    with pytest.raises(error, match=says) as caught:
        receiver(hook).deliver(FIRED, None, repeat=False)
    assert type(caught.value) is error
    assert len(hook.received) == 1, "a redirect was followed"
    assert getattr(caught.value, "retry_after", None) == (42.0 if answer.status == 429 else None)
    assert "in-the-address" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_every_2xx_is_taken(hook: FakeWebhook, status: int) -> None:
    hook.script(Answer(status))
    assert receiver(hook).deliver(FIRED, None, repeat=False)


def test_a_hang_ends_at_the_timeout(hook: FakeWebhook) -> None:
    hook.script(Answer(hang=30))
    with pytest.raises(DeliveryError, match=r"did not answer within 0\.3s"):
        receiver(hook, timeout="0.3s").deliver(FIRED, None, repeat=False)


def test_an_endless_error_page_is_not_read_to_its_end(hook: FakeWebhook) -> None:
    hook.script(Answer(500, body=b"x" * 5_000_000))
    with pytest.raises(DeliveryError) as caught:
        receiver(hook).deliver(FIRED, None, repeat=False)
    assert len(str(caught.value)) < 300


def test_nobody_listening_is_an_error_that_keeps_the_address_to_itself() -> None:
    gone = Webhook(kind="webhook", url="http://127.0.0.1:9/?secret=in-the-address", timeout="2s")
    with pytest.raises(DeliveryError, match="could not be reached") as caught:
        gone.deliver(FIRED, None, repeat=False)
    assert "in-the-address" not in str(caught.value)


def test_the_address_is_not_logged(hook: FakeWebhook, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        receiver(hook).deliver(FIRED, None, repeat=False)
    assert "in-the-address" not in caplog.text


def test_reaching_asks_without_telling(hook: FakeWebhook) -> None:
    hook.script(Answer(405))
    assert "405 to OPTIONS" in receiver(hook).reach()
    assert [each.method for each in hook.received] == ["OPTIONS"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"url": "example.com/hook"}, "'url' is not an address"),
        ({"url": "http://"}, "'url' is not an address"),
        ({"url": "http://host:99999/"}, "'url' is not an address"),
        ({"url": "http://host/a b"}, "'url' is not an address"),
        ({"url": "ftp://host/"}, "'url' is not an address"),
        ({"secret": "whsec_short"}, "'secret' is not a signing secret"),
        ({"secret": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "'secret' is not a signing secret"),
        ({"secret": "whsec_ü"}, "'secret' is not a signing secret"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "the header 'X-A' cannot be sent"),
        ({"headers": {"X A": "1"}}, "the header 'X A' cannot be sent"),
        ({"headers": {"webhook-id": "1"}}, "driftwatch's own"),
    ],
)
def test_settings_that_cannot_work_say_what_to_write(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Webhook(**{"kind": "webhook", "url": "https://example.com/hook"} | settings)
