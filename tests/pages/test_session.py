"""Cookies that nobody else can make, with an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from driftwatch.pages.session import LENGTH, MOST_FAILURES, WITHIN, Sessions

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)


def test_a_cookie_says_who_logged_in() -> None:
    sessions = Sessions("token")
    session = sessions.read(sessions.open("Ana", NOW), NOW)
    assert session is not None
    assert (session.name, session.until) == ("Ana", NOW + LENGTH)


def test_a_cookie_has_an_end() -> None:
    sessions = Sessions("token")
    cookie = sessions.open("Ana", NOW)
    assert sessions.read(cookie, NOW + LENGTH - timedelta(seconds=1)) is not None
    assert sessions.read(cookie, NOW + LENGTH) is None


def test_another_token_ends_every_session() -> None:
    assert Sessions("new").read(Sessions("old").open("Ana", NOW), NOW) is None


@pytest.mark.parametrize("place", [0, 5, 20, -1, -64])
def test_a_cookie_in_which_anything_is_changed_is_none(place: int) -> None:
    sessions = Sessions("token")
    cookie = sessions.open("Ana", NOW)
    letter = "A" if cookie[place] != "A" else "B"
    changed = cookie[:place] + letter + (cookie[place + 1 :] if place != -1 else "")
    assert sessions.read(changed, NOW) is None


@pytest.mark.parametrize("cookie", ["", ".", "a", "a.b", "\u00e9.\u00e9", "." * 5000, "e30.e30"])
def test_what_is_no_cookie_is_none(cookie: str) -> None:
    assert Sessions("token").read(cookie, NOW) is None


def test_the_forms_of_one_session_are_not_those_of_another() -> None:
    sessions = Sessions("token")
    mine, theirs = (sessions.read(sessions.open(name, NOW), NOW) for name in ("Ana", "Ana"))
    assert mine is not None
    assert theirs is not None
    assert sessions.is_csrf(mine, sessions.csrf(mine))
    assert not sessions.is_csrf(mine, sessions.csrf(theirs))
    assert not sessions.is_csrf(mine, "")
    assert not sessions.is_csrf(mine, "\u00e9")


def test_who_guesses_must_wait() -> None:
    sessions = Sessions("token")
    for _ in range(MOST_FAILURES):
        assert not sessions.must_wait(NOW)
        assert not sessions.admits("guess", NOW)
    assert sessions.must_wait(NOW)
    assert not sessions.must_wait(NOW + WITHIN)
    assert sessions.admits("token", NOW)
