from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify.alertmanager import Alertmanager, alerts_of
from driftwatch.types import Alert, Notice
from tests.fakes.alertmanager import FakeAlertmanager
from tests.fakes.notices import HOUR, START, finding, notice, story, with_text
from tests.fakes.receiver import LOST, Answer

FIRED, RESOLVED = story("bbgg")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def manager() -> Iterator[FakeAlertmanager]:
    with FakeAlertmanager() as manager:
        yield manager


def receiver(*managers: FakeAlertmanager, **more: Any) -> Alertmanager:
    urls = [each.url for each in managers]
    return Alertmanager(**{"kind": "alertmanager", "name": "prom", "urls": urls, "timeout": "2s"} | more)


def pushed(notice: Notice, now: datetime | None = None, **more: Any) -> list[dict[str, Any]]:
    settings = Alertmanager(**{"kind": "alertmanager", "urls": ["http://prom"]} | more)
    return alerts_of(notice, now or notice.at + MINUTE, settings)


def test_an_alert_arrives_with_its_labels_and_its_figures_as_annotations(manager: FakeAlertmanager) -> None:
    told = receiver(manager, labels={"team": "search"}).deliver(FIRED, None, repeat=False)
    assert told == FIRED.incident.incident_id
    (alert,) = manager.firing()
    assert alert.labels == {
        "alertname": "canary recall",
        "service": "help-centre",
        "segment": "de",
        "family": "canaries",
        "severity": "critical",
        "incident": FIRED.incident.incident_id,
        "team": "search",
    }
    assert alert.annotations["summary"] == "German · canary recall is failing"
    assert alert.annotations["value"] == "0.41"
    assert alert.annotations["description"].startswith("recall R@10 fell from 0.95 to 0.41")
    assert alert.starts_at == datetime(2026, 5, 21, 11, tzinfo=UTC)
    assert abs(alert.ends_at - datetime.now(UTC) - 3 * MINUTE) < MINUTE


def test_what_is_not_repeated_is_over_for_alertmanager_after_three_rounds(manager: FakeAlertmanager) -> None:
    receiver(manager, every="20s").deliver(FIRED, None, repeat=False)
    manager.now = datetime.now(UTC) + timedelta(seconds=50)
    assert manager.firing()
    manager.now += timedelta(seconds=20)
    assert not manager.firing()


def test_a_repeat_is_the_same_alert(manager: FakeAlertmanager) -> None:
    manager.script(LOST)
    with pytest.raises(DeliveryError):
        receiver(manager).deliver(FIRED, None, repeat=False)
    receiver(manager).deliver(FIRED, None, repeat=True)
    receiver(manager).tell_again([FIRED], datetime.now(UTC))
    assert len(manager.alerts) == 1
    assert len(manager.pushed) == 3


def test_a_resolution_is_the_same_alert_with_an_end(manager: FakeAlertmanager) -> None:
    prom = receiver(manager)
    prom.deliver(FIRED, None, repeat=False)
    prom.deliver(RESOLVED, "x", repeat=False)
    assert manager.firing() == []
    (alert,) = manager.alerts.values()
    assert alert.ends_at == datetime(2026, 5, 21, 13, tzinfo=UTC)
    assert alert.annotations["summary"] == "German · canary recall is over"


def test_an_end_is_repeated_for_five_minutes_only(manager: FakeAlertmanager) -> None:
    prom = receiver(manager)
    prom.tell_again([RESOLVED], RESOLVED.at + 4 * MINUTE)
    assert len(manager.pushed) == 1
    prom.tell_again([RESOLVED], RESOLVED.at + 6 * MINUTE)
    assert len(manager.pushed) == 1


def test_the_label_set_does_not_move_while_an_alert_is_open() -> None:
    fired, reminded = story("bb")[0], story("bbuu")[1]
    assert [each["labels"] for each in pushed(fired)] == [each["labels"] for each in pushed(reminded)]
    worse = replace(fired.incident.members[0].finding or finding("b"), value=0.1, message="recall fell further")
    now_worse = replace(
        fired, incident=replace(fired.incident, members=(replace(fired.incident.members[0], finding=worse),))
    )
    assert pushed(now_worse)[0]["labels"] == pushed(fired)[0]["labels"]
    assert pushed(now_worse)[0]["annotations"] != pushed(fired)[0]["annotations"]


@pytest.mark.parametrize(("looks", "severity"), [("bb", "critical"), ("ww", "warning"), ("uu", "warning")])
def test_what_pages_nobody_is_no_critical_alert(looks: str, severity: str) -> None:
    (alert,) = pushed(story(looks)[0])
    assert alert["labels"]["severity"] == severity


def test_what_was_blind_and_fails_then_is_another_alert_and_the_first_one_ends(manager: FakeAlertmanager) -> None:
    blind, fails = story("uub", pages=True)
    prom = receiver(manager)
    prom.deliver(blind, None, repeat=False)
    assert [each.labels["severity"] for each in manager.firing()] == ["warning"]
    prom.deliver(fails, "x", repeat=False)
    assert [each.labels["severity"] for each in manager.firing()] == ["critical"]
    assert len(manager.alerts) == 2


def test_what_fires_again_is_the_same_alert_with_another_beginning(manager: FakeAlertmanager) -> None:
    first, resolved, again = story("bbggbb", reopens=True)
    assert pushed(again)[0]["labels"] == pushed(first)[0]["labels"]
    prom = receiver(manager)
    for each in (first, resolved, again):
        prom.deliver(each, None, repeat=False)
    (alert,) = manager.firing()
    assert alert.starts_at == datetime(2026, 5, 21, 15, tzinfo=UTC)


def test_what_a_silence_covers_from_its_beginning_is_not_pushed() -> None:
    other = (Alert("canary nDCG", "de", "firing", since=START, incident=FIRED.incident.incident_id), finding("b"))
    own = (FIRED.incident.members[0].alert, FIRED.incident.members[0].finding)
    both = notice([own, other], FIRED.transition, FIRED.incident.history, START)
    assert len(pushed(both)) == 2
    hushed = replace(both, hushed=frozenset({("canary nDCG", "de")}))
    assert [each["labels"]["alertname"] for each in pushed(hushed)] == ["canary recall"]


def test_one_of_several_alerts_may_be_over() -> None:
    well = (Alert("canary nDCG", "de", "ok", since=START + 3 * HOUR), finding("g", check="canary nDCG"))
    ill = (FIRED.incident.members[0].alert, FIRED.incident.members[0].finding)
    both = notice([ill, well], FIRED.transition, FIRED.incident.history, START)
    now = START + 5 * HOUR
    assert [each["endsAt"] > now.isoformat() for each in pushed(both, now)] == [True, False]


def test_no_time_lies_after_the_end_whatever_the_clocks_say() -> None:
    (alert,) = pushed(RESOLVED, START - HOUR)
    assert alert["startsAt"] == alert["endsAt"]


def test_questions_stay_here_unless_they_are_asked_for(manager: FakeAlertmanager) -> None:
    receiver(manager).deliver(FIRED, None, repeat=False)
    assert b"Lieferadresse" not in manager.requests[-1].content
    receiver(manager, show_queries=True).deliver(FIRED, None, repeat=False)
    assert "Wie ändere ich meine Lieferadresse" in next(iter(manager.alerts.values())).annotations["examples"]


def test_the_page_is_linked_only_where_people_reach_it() -> None:
    assert "generatorURL" not in pushed(FIRED)[0]
    linked = replace(FIRED, url="https://driftwatch.example.org/incidents/x")
    assert pushed(linked)[0]["generatorURL"] == "https://driftwatch.example.org/incidents/x"


# --- a cluster, and what goes wrong --------------------------------------------------------------------------------


def test_every_member_of_a_cluster_is_told() -> None:
    with FakeAlertmanager() as one, FakeAlertmanager() as two:
        receiver(one, two).deliver(FIRED, None, repeat=False)
        assert len(one.firing()) == len(two.firing()) == 1


def test_a_member_that_is_down_holds_up_nobody_and_learns_of_it_with_the_next_repeat() -> None:
    with FakeAlertmanager() as one, FakeAlertmanager() as two:
        one.outage(Answer(503))
        prom = receiver(one, two)
        prom.deliver(FIRED, None, repeat=False)
        assert (len(one.alerts), len(two.alerts)) == (0, 1)
        one.outage(None)
        prom.tell_again([FIRED], datetime.now(UTC))
        assert len(one.firing()) == 1


def test_when_no_member_takes_it_it_was_not_told() -> None:
    with FakeAlertmanager() as one, FakeAlertmanager() as two:
        one.outage(Answer(500, b"boom"))
        two.outage(Answer(400, b'"bad"'))
        with pytest.raises(DeliveryError, match="answered 500: boom") as caught:
            receiver(one, two).deliver(FIRED, None, repeat=False)
        assert type(caught.value) is DeliveryError


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(500, b"boom"), DeliveryError, "answered 500: boom"),
        (Answer(429, headers={"Retry-After": "42"}), DeliveryError, "429"),
        (Answer(401), DeliveryError, "Check `user` and `password`"),
        (Answer(404), DeliveryError, "Check `urls`"),
        (Answer(400, b'"start time must be before end time"'), MessageRefused, "start time must be before end time"),
        (Answer(413), MessageRefused, "413"),
        (Answer(422), MessageRefused, "422"),
        (Answer(307, headers={"Location": "/elsewhere"}), DeliveryError, "redirects"),
    ],
)
def test_only_2xx_is_taken(manager: FakeAlertmanager, answer: Answer, error: type[Exception], says: str) -> None:
    manager.script(answer)
    with pytest.raises(error, match=says) as caught:
        receiver(manager, token="a-token").deliver(FIRED, None, repeat=False)
    assert type(caught.value) is error
    assert len(manager.requests) == 1, "a redirect was followed"
    assert getattr(caught.value, "retry_after", None) == (42.0 if answer.status == 429 else None)
    assert "a-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("credentials", "given"),
    [("ana:schlüssel", {"user": "ana", "password": "schlüssel"}), ("a-token", {"token": "a-token"})],
)
def test_who_may_push_shows_it(credentials: str, given: dict[str, str]) -> None:
    with FakeAlertmanager(credentials, prefix="/monitoring") as manager:
        receiver(manager, **given).deliver(FIRED, None, repeat=False)
        assert manager.firing()
        assert receiver(manager, **given).reach() == f"{manager.url}: answers"
        with pytest.raises(DeliveryError, match="answered 401"):
            receiver(manager).deliver(FIRED, None, repeat=False)
        with pytest.raises(DeliveryError, match="answered 401"):
            receiver(manager).reach()


def test_a_label_that_users_wrote_cannot_mention_anybody() -> None:
    (alert,) = pushed(with_text(FIRED, "<!channel> https://evil.example"))
    assert not any(set("<>") & set(text) for text in [*alert["annotations"].values(), alert["labels"]["segment"]])
    assert "evil.example" not in alert["annotations"]["description"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"urls": []}, "at least 1"),
        ({"urls": "prom:9093"}, "'urls' is not an address"),
        ({"urls": ["http://ana:secret@prom:9093"]}, "Write 'user' and 'password'"),
        ({"urls": ["http://prom:9093/api/v2/alerts"]}, "Leave out"),
        ({"user": "ana"}, "belong together"),
        ({"password": "x"}, "belong together"),
        ({"user": "ana", "password": "x", "token": "y"}, "Keep one"),
        ({"labels": {"team-a": "x"}}, "cannot be a label"),
        ({"labels": {"severity": "x"}}, "driftwatch's own"),
        ({"every": "1s"}, "between 5s and 1h"),
        ({"tell": ["firing", "report"]}, "takes no weekly report"),
    ],
)
def test_settings_that_cannot_work_say_what_to_write(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        Alertmanager(**{"kind": "alertmanager", "urls": ["http://prom:9093"]} | settings)
    assert "secret" not in str(caught.value)


def test_one_address_needs_no_list() -> None:
    assert Alertmanager(kind="alertmanager", urls="http://prom:9093/").urls == ("http://prom:9093",)  # type: ignore[arg-type]
