"""People log in and act; nobody else does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from driftwatch.api import start_server
from driftwatch.config import Api
from driftwatch.daemon import Daemon
from driftwatch.pages.session import COOKIE, LENGTH, Sessions
from tests.fakes.year import INCIDENT
from tests.pages.conftest import TOKEN

pytestmark = pytest.mark.process

PERSON = {"accept": "text/html"}


@pytest.fixture
def stranger(guarded: tuple[Daemon, str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded[1], headers=PERSON, timeout=30) as client:
        yield client


@pytest.fixture
def ana(guarded: tuple[Daemon, str], stranger: httpx.Client) -> httpx.Client:
    """Somebody who has logged in."""
    answer = stranger.post("/login", data={"name": "Ana", "token": TOKEN}, headers={"origin": guarded[1]})
    assert answer.status_code == 303
    stranger.headers["origin"] = guarded[1]
    return stranger


def csrf(client: httpx.Client) -> str:
    """What the forms of this session carry."""
    return re.search('name="csrf" value="([0-9a-f]{64})"', client.get("/").text).group(1)


def now() -> datetime:
    return datetime.now(UTC)


# --- logging in ----------------------------------------------------------------------------------------------------


def test_who_has_not_logged_in_is_led_to_where_one_does(stranger: httpx.Client) -> None:
    answer = stranger.get("/checks/canary%20recall?segment=de")
    assert answer.status_code == 303
    assert answer.headers["location"] == "../login?next=/checks/canary%2520recall%3Fsegment%3Dde"
    assert stranger.get("/", headers={"accept": "*/*"}).status_code == 401
    assert stranger.get("/v1/alerts").status_code in (303, 401)


def test_a_link_from_a_chat_loads_itself_once_more(stranger: httpx.Client) -> None:
    answer = stranger.get("/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "canary" not in answer.text


def test_the_cookie_is_for_this_site_and_not_for_scripts(guarded, stranger: httpx.Client) -> None:
    form = {"name": "Ana", "token": TOKEN, "next": f"/incidents/{INCIDENT}?x=1"}
    answer = stranger.post("/login", data=form, headers={"origin": guarded[1]})
    assert answer.headers["location"] == f"./incidents/{INCIDENT}?x=1"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert f"Max-Age={int(LENGTH.total_seconds())}" in cookie
    assert stranger.get("/").status_code == 200


@pytest.mark.parametrize("place", ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", ""])
def test_logging_in_leads_nowhere_else(guarded, stranger: httpx.Client, place: str) -> None:
    form = {"name": "Ana", "token": TOKEN, "next": place}
    answer = stranger.post("/login", data=form, headers={"origin": guarded[1]})
    assert answer.headers["location"] == "./"


def test_a_wrong_token_opens_nothing(guarded, stranger: httpx.Client) -> None:
    answer = stranger.post("/login", data={"name": "Eve", "token": "guess"}, headers={"origin": guarded[1]})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert "That is not the token." in answer.text


def test_a_login_form_of_another_page_is_refused(stranger: httpx.Client) -> None:
    for origin in ({}, {"origin": "null"}, {"origin": "https://evil.example"}):
        answer = stranger.post("/login", data={"name": "Ana", "token": TOKEN}, headers=origin)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_who_logs_out_is_out(ana: httpx.Client) -> None:
    answer = ana.post("/logout", data={"csrf": csrf(ana)})
    assert answer.status_code == 303
    assert ana.get("/").status_code == 303


@pytest.mark.parametrize("cookie", ["forged", "e30.e30", "."])
def test_a_forged_cookie_opens_nothing(stranger: httpx.Client, cookie: str) -> None:
    assert stranger.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 303


def test_a_cookie_that_is_over_or_of_another_token_opens_nothing(stranger: httpx.Client) -> None:
    over = Sessions(TOKEN).open("Ana", now() - LENGTH - timedelta(seconds=5))
    other = Sessions("another-token").open("Ana", now())
    for cookie in (over, other):
        assert stranger.get("/", headers={"cookie": f"{COOKIE}={cookie}"}).status_code == 303


# --- acting --------------------------------------------------------------------------------------------------------


def test_an_acknowledgement_is_recorded_as_the_command_line_does_it(guarded, ana: httpx.Client) -> None:
    answer = ana.post(f"/incidents/{INCIDENT}/acknowledge", data={"csrf": csrf(ana)})
    assert answer.headers["location"] == f"../../incidents/{INCIDENT}?said=acknowledged"
    incident = guarded[0].store.decisions.incident(INCIDENT)
    assert {each.alert.acknowledged_by for each in incident.members} == {"Ana"}
    assert incident.history[-1].event == "acknowledged"
    assert incident.history[-1].actor == "Ana"
    again = ana.post(f"/incidents/{INCIDENT}/acknowledge", data={"csrf": csrf(ana)})
    assert again.status_code == 422
    assert "is acknowledged already" in again.text


def test_one_alert_is_silenced_until_then_and_the_silence_can_be_ended(guarded, ana: httpx.Client) -> None:
    store = guarded[0].store
    key = re.search('<option value="([0-9a-f]{16})">top-score drift', ana.get(f"/incidents/{INCIDENT}").text).group(1)
    form = {"csrf": csrf(ana), "incident": INCIDENT, "what": key, "for": "4h", "reason": "  known <b>\n"}
    assert ana.post("/silences", data=form).status_code == 303
    (made,) = [each for each in store.decisions.silences(now()) if each.author == "Ana"]
    assert (made.check, made.segment, made.reason) == ("top-score drift", "de", "known <b>")
    assert made.until - made.created == timedelta(hours=4)
    assert "&lt;b&gt;" in ana.get("/").text
    assert ana.post(f"/silences/{made.silence_id}/end", data={"csrf": csrf(ana)}).status_code == 303
    assert made.silence_id not in {each.silence_id for each in store.decisions.silences(now())}
    assert ana.post(f"/silences/{made.silence_id}/end", data={"csrf": csrf(ana)}).status_code == 422


@pytest.mark.parametrize(
    "wrong", [{"reason": " "}, {"for": "soon"}, {"for": "-1h"}, {"what": "nothing"}, {"incident": "none"}]
)
def test_a_silence_needs_a_reason_an_end_and_something_to_silence(guarded, ana: httpx.Client, wrong) -> None:
    before = guarded[0].store.decisions.silences(now())
    form = {"csrf": csrf(ana), "incident": INCIDENT, "what": "all", "for": "1h", "reason": "why"}
    answer = ana.post("/silences", data={**form, **wrong})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert guarded[0].store.decisions.silences(now()) == before


def test_a_change_is_announced_and_ended(guarded, ana: httpx.Client) -> None:
    daemon = guarded[0]
    until = (now() + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M")
    assert ana.post("/expected", data={"csrf": csrf(ana), "to": until, "reason": "release 4"}).status_code == 303
    (made,) = daemon.store.expected.changes(now())
    assert (made.author, made.reason) == ("Ana", "release 4")
    daemon.engine.windows.begin()
    assert daemon.engine.windows.expects(now()) == made
    assert "release 4" in ana.get("/").text
    assert ana.post(f"/expected/{made.change_id}/end", data={"csrf": csrf(ana)}).status_code == 303
    daemon.engine.windows.begin()
    assert daemon.engine.windows.expects(now()) is None


@pytest.mark.parametrize(
    "wrong", [{"to": "2020-01-01"}, {"to": "soon"}, {"to": ""}, {"reason": ""}, {"from": "9" * 99}]
)
def test_an_announcement_that_makes_no_sense_is_none(guarded, ana: httpx.Client, wrong) -> None:
    form = {"csrf": csrf(ana), "to": "2126-01-01T00:00", "reason": "release"}
    assert ana.post("/expected", data={**form, **wrong}).status_code == 422
    assert guarded[0].store.expected.changes(now()) == ()


# --- who may not ---------------------------------------------------------------------------------------------------

FORMS = (
    "/silences",
    f"/incidents/{INCIDENT}/acknowledge",
    "/expected",
    "/silences/x/end",
    "/expected/x/end",
    "/logout",
)


@pytest.mark.parametrize("path", FORMS)
def test_a_form_of_another_page_does_nothing(ana: httpx.Client, path: str) -> None:
    token = csrf(ana)
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""}):
        assert ana.post(path, data={"csrf": token}, headers=headers).status_code == 403
    for guess in ("", "0" * 64, token[:-1]):
        assert ana.post(path, data={"csrf": guess}).status_code == 403


@pytest.mark.parametrize("path", FORMS)
def test_who_has_not_logged_in_does_nothing(guarded, path: str) -> None:
    assert httpx.post(guarded[1] + path, data={"csrf": "x"}, headers={"origin": guarded[1]}).status_code == 401


@pytest.mark.parametrize("path", FORMS)
def test_without_a_token_everything_is_read_only(year, path: str) -> None:
    answer = httpx.post(year[1] + path, data={"csrf": "x"}, headers={"origin": year[1]})
    assert answer.status_code == 403
    assert "login" not in httpx.get(year[1], headers=PERSON).text


def test_a_form_that_never_ends_is_not_read(ana: httpx.Client) -> None:
    assert ana.post("/silences", content=b"reason=" + b"x" * 200_000).status_code == 413


# --- programs ------------------------------------------------------------------------------------------------------


def test_a_program_acts_with_the_token_itself(guarded) -> None:
    with httpx.Client(base_url=guarded[1], headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as program:
        form = {"check": "traffic", "segment": "fr", "for": "1h", "reason": "strike", "author": "deploy-bot"}
        answer = program.post("/silences", json=form)
        assert answer.status_code == 200
        (made,) = answer.json()["done"]
        assert (made["check"], made["author"]) == ("traffic", "deploy-bot")
        assert (
            program.post("/silences", json={**form, "check": "nothing"}).json()["error"].startswith("there is no check")
        )
        assert program.post("/silences", json=[]).status_code == 422
        assert program.post(f"/silences/{made['silence_id']}/end").json() == {"done": made["silence_id"]}


def test_pages_behind_a_public_address_take_its_forms(guarded) -> None:
    daemon, before = guarded[0], guarded[0].address
    stop = start_server(daemon, Api(port=0, token=TOKEN, public_url="https://dw.example.org/drift"))
    try:
        form = {"name": "Ana", "token": TOKEN}
        answer = httpx.post(f"{daemon.address}/login", data=form, headers={"origin": "https://dw.example.org"})
        assert answer.status_code == 303
    finally:
        stop()
        daemon.address = before
