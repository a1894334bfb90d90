from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from driftwatch.errors import DeliveryError, MessageRefused
from driftwatch.notify.pagerduty import DEFAULTS, PagerDuty, Standing, events_of
from driftwatch.types import Notice
from tests.fakes.notices import story, with_text
from tests.fakes.pagerduty import ROUTING_KEY, SLOW_DOWN, FakePagerDuty
from tests.fakes.receiver import LOST, Answer

FIRED, RESOLVED = story("bbgg")


@pytest.fixture
def pager() -> Iterator[FakePagerDuty]:
    with FakePagerDuty() as pager:
        yield pager


def receiver(pager: FakePagerDuty, **more: Any) -> PagerDuty:
    settings = {"name": "pager", "routing_key": ROUTING_KEY, "url": pager.url, "timeout": "2s"} | more
    return PagerDuty(**{"kind": "pagerduty"} | settings)


def tell(pager: PagerDuty, notices: Sequence[Notice]) -> str | None:
    """As delivery does: what a notice returns is the thread of the incident's next one, else the incident's name."""
    threads: dict[str, str] = {}
    for each in notices:
        name = each.incident.incident_id
        threads[name] = pager.deliver(each, threads.get(name), repeat=False) or threads.get(name) or name
    return threads.get(notices[-1].incident.incident_id)


def test_an_incident_is_opened_and_resolved_under_one_key(pager: FakePagerDuty) -> None:
    tell(receiver(pager), [FIRED, RESOLVED])
    (alert,) = pager.alerts
    assert alert.key == f"driftwatch:help-centre:{FIRED.incident.incident_id}"
    assert (alert.severity, alert.state, alert.log) == ("critical", "resolved", ["trigger", "resolve"])
    assert alert.summary.startswith("German · canary recall is failing. Recall R@10 fell from 0.95 to 0.41")
    assert alert.details["found"][0]["Now"] == "0.41"
    assert alert.details["command"] == f"driftwatch explain {FIRED.incident.incident_id}"


def test_the_event_is_what_the_events_api_asks_for(pager: FakePagerDuty) -> None:
    receiver(pager).deliver(replace(FIRED, url="https://driftwatch.example.org/incidents/x"), None, repeat=False)
    (event,) = pager.events
    assert event["payload"]["source"] == "help-centre"
    assert event["payload"]["timestamp"] == "2026-05-21T11:00:00Z"
    assert event["payload"]["component"] == "canary recall"
    assert event["links"][0]["href"] == event["client_url"] == "https://driftwatch.example.org/incidents/x"


def test_without_an_address_of_the_pages_there_is_no_link(pager: FakePagerDuty) -> None:
    receiver(pager).deliver(FIRED, None, repeat=False)
    assert not {"links", "client_url"} & set(pager.events[0])


def test_a_repeat_opens_nothing_twice(pager: FakePagerDuty) -> None:
    pager.script(LOST)
    with pytest.raises(DeliveryError):
        receiver(pager).deliver(FIRED, None, repeat=False)
    receiver(pager).deliver(FIRED, None, repeat=True)
    assert len(pager.alerts) == 1
    assert pager.alerts[0].triggers == 2


def test_the_key_stays_when_the_service_is_renamed(pager: FakePagerDuty) -> None:
    thread = tell(receiver(pager), [FIRED])
    receiver(pager).deliver(replace(RESOLVED, service="renamed"), thread, repeat=False)
    assert pager.open() == []


def test_an_acknowledgement_is_one_there_too(pager: FakePagerDuty) -> None:
    tell(receiver(pager), story("bb", ack="ana"))
    assert pager.alerts[0].state == "acknowledged"


@pytest.mark.parametrize("looks", ["ww", "wwgg", "wwuuw"])
def test_a_warning_pages_nobody(pager: FakePagerDuty, looks: str) -> None:
    tell(receiver(pager, severities={"blind": "none"}), story(looks))
    assert pager.requests == []


def test_a_warning_is_sent_where_it_is_wanted(pager: FakePagerDuty) -> None:
    tell(receiver(pager, severities={"warn": "info"}), story("wwgg"))
    assert (pager.alerts[0].severity, pager.alerts[0].state) == ("info", "resolved")


def test_blindness_is_told_in_a_lower_voice(pager: FakePagerDuty) -> None:
    tell(receiver(pager), story("uug"))
    assert (pager.alerts[0].severity, pager.alerts[0].state) == ("warning", "resolved")


def test_what_was_blind_and_fails_then_calls_somebody(pager: FakePagerDuty) -> None:
    """An open alert takes a second trigger into its log and wakes nobody."""
    tell(receiver(pager), story("uub", pages=True))
    assert [(each.severity, each.state) for each in pager.alerts] == [
        ("warning", "resolved"),
        ("critical", "triggered"),
    ]
    assert len({each.key for each in pager.alerts}) == 1


def test_what_fires_again_is_not_a_new_page(pager: FakePagerDuty) -> None:
    tell(receiver(pager), story("bbggbb", reopens=True))
    assert [(each.severity, each.state) for each in pager.alerts] == [
        ("critical", "resolved"),
        ("warning", "triggered"),
    ]


def test_what_fires_again_is_a_page_when_nothing_was_told_before(pager: FakePagerDuty) -> None:
    receiver(pager).deliver(story("bbggbb", reopens=True)[-1], None, repeat=False)
    assert pager.alerts[0].severity == "critical"


def test_what_was_over_before_pagerduty_came_back_is_told_and_closed(pager: FakePagerDuty) -> None:
    late = replace(FIRED, incident=RESOLVED.incident)
    tell(receiver(pager), [late, RESOLVED])
    assert [(each.severity, each.state) for each in pager.alerts] == [("info", "resolved")]
    assert "is back to normal" in pager.alerts[0].summary


def test_an_attempt_whose_answer_was_lost_is_resolved_although_the_incident_became_a_warning(
    pager: FakePagerDuty,
) -> None:
    warned, resolved = story("wwgg")
    thread = receiver(pager).deliver(warned, None, repeat=True)
    receiver(pager).deliver(resolved, thread, repeat=False)
    assert pager.actions() == ["resolve"]


def test_one_end_of_several_does_not_close_the_incident(pager: FakePagerDuty) -> None:
    thread = tell(receiver(pager), [FIRED])
    receiver(pager).deliver(replace(RESOLVED, incident=FIRED.incident), thread, repeat=False)
    assert pager.actions() == ["trigger"]


def test_a_reminder_opens_what_was_closed_by_hand(pager: FakePagerDuty) -> None:
    thread = tell(receiver(pager), [FIRED])
    pager.alerts[0].state = "resolved"
    reminder = replace(FIRED.transition, event="reminded", key="reminder")
    receiver(pager).deliver(replace(FIRED, event="reminded", transition=reminder), thread, repeat=False)
    assert [each.state for each in pager.alerts] == ["resolved", "triggered"]


def test_questions_stay_here_unless_they_are_asked_for(pager: FakePagerDuty) -> None:
    receiver(pager).deliver(FIRED, None, repeat=False)
    assert b"Lieferadresse" not in pager.requests[-1].content
    assert pager.alerts[0].details["examples"] == ["q1", "q2"]
    receiver(pager, show_queries=True).deliver(FIRED, None, repeat=False)
    assert "Lieferadresse" in pager.events[-1]["payload"]["custom_details"]["examples"][0]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (Answer(500, b"boom"), DeliveryError, "answered 500: boom"),
        (SLOW_DOWN, DeliveryError, "too quickly"),
        (Answer(429, headers={"Retry-After": "42"}), DeliveryError, "429"),
        (Answer(403), DeliveryError, "Check `routing_key`"),
        (Answer(404), DeliveryError, "Check `url`"),
        (Answer(400, b'{"errors": ["routing_key is blank"]}'), DeliveryError, "Check `routing_key`"),
        (Answer(400, b'{"errors": ["payload.summary is too long"]}'), MessageRefused, "too long"),
        (Answer(413), MessageRefused, "413"),
        (Answer(307, headers={"Location": "/elsewhere"}), DeliveryError, "redirects"),
    ],
)
def test_only_2xx_is_taken(pager: FakePagerDuty, answer: Answer, error: type[Exception], says: str) -> None:
    pager.script(answer)
    with pytest.raises(error, match=says) as caught:
        receiver(pager).deliver(FIRED, None, repeat=False)
    assert type(caught.value) is error
    assert len(pager.requests) == 1, "a redirect was followed"
    waits = 42.0 if answer.headers.get("Retry-After") else None
    assert getattr(caught.value, "retry_after", None) == waits
    assert ROUTING_KEY not in str(caught.value)


def test_reaching_calls_nobody(pager: FakePagerDuty) -> None:
    assert "shows with the first event" in receiver(pager).reach()
    assert pager.events == []
    pager.outage(Answer(503))
    with pytest.raises(DeliveryError):
        receiver(pager).reach()


@pytest.mark.parametrize(
    "hostile", ["x" * 200_000, "\ud800👩‍👩‍👧‍👦" * 5000, "<script>alert(1)</script>", "\x00\x1b[31m", ""]
)
def test_an_event_stays_within_the_limits_whatever_was_asked(pager: FakePagerDuty, hostile: str) -> None:
    for each in [FIRED, RESOLVED, *story("uug"), *story("bb", ack="x")]:
        receiver(pager, show_queries=True).deliver(
            replace(with_text(each, hostile), service=each.service), None, repeat=False
        )
    assert max(len(each.content) for each in pager.requests) < 30_000
    assert "<" not in json.dumps(pager.events)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"routing_key": "s3cret"}, "not 32 letters and digits"),
        ({"routing_key": "ü" * 32}, "not 32 letters and digits"),
        ({"url": "events.pagerduty.com"}, "'url' is not an address"),
        ({"tell": ["firing", "report"]}, "takes no weekly report"),
        ({"severities": {"fail": "loud"}}, "critical"),
        ({"severities": {"firing": "critical"}}, "fail"),
    ],
)
def test_settings_that_cannot_work_say_what_to_write(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as caught:
        PagerDuty(**{"kind": "pagerduty", "routing_key": ROUTING_KEY} | settings)
    assert "s3cret" not in str(caught.value)


def test_everything_an_incident_can_be_has_a_severity() -> None:
    assert set(DEFAULTS) == set(get_args(Standing))
    settings = PagerDuty(kind="pagerduty", routing_key=ROUTING_KEY)  # type: ignore[arg-type]
    assert events_of(FIRED, "k", settings, known=False)[0]["payload"]["severity"] == "critical"
