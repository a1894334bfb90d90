"""The watch itself: a page that does wrong is found out, whatever it does wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from tests.browser.hostile import VECTORS
from tests.browser.looking import PHONE, Tab, tab

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STRICT = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
FRAME = "<!doctype html><html lang=en><title>A page</title><meta name=viewport content='width=device-width'>"
RUN = (0, 1, 2, 5, 6, 7, 8, 9, 10, 11)
"""The vectors that run as they are in the text of a page; the others wait for an attribute, a template or a click."""


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[dict[str, tuple[str, str]], str]]:
    """Path -> (page, policy), as a server that escapes nothing gives them out; and its address."""
    pages: dict[str, tuple[str, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, policy = pages.get(self.path, ("", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write((FRAME + body).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield pages, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def opened(browser: Browser, served: tuple[dict[str, tuple[str, str]], str]) -> Iterator[Tab]:
    with tab(browser, served[1], viewport=PHONE) as opened:
        yield opened


Served = tuple[dict[str, tuple[str, str]], str]


def test_a_decent_page_has_nothing_wrong(opened: Tab, served: Served) -> None:
    served[0]["/decent"] = ("<main><h1>Fine</h1><a href=/decent>on</a></main>", STRICT)
    assert opened.open("/decent") == 200
    assert (opened.troubles, opened.too_wide(), opened.violations()) == ([], [], [])
    assert opened.tabbed()[0][0]["what"] == "a on"


@pytest.mark.parametrize("number", RUN)
def test_a_script_that_was_not_escaped_is_found_out(opened: Tab, served: Served, number: int) -> None:
    served[0][f"/raw{number}"] = (f"<main><p>{VECTORS[number]}</p></main>", "")
    opened.open(f"/raw{number}")
    assert any("a script ran" in each for each in opened.troubles), VECTORS[number]


@pytest.mark.parametrize("number", RUN)
def test_a_script_that_only_the_policy_stopped_is_found_out_too(opened: Tab, served: Served, number: int) -> None:
    served[0][f"/kept{number}"] = (f"<main><p>{VECTORS[number]}</p></main>", STRICT)
    opened.open(f"/kept{number}")
    assert opened.troubles
    assert not any("a script ran" in each for each in opened.troubles)


def test_a_dialog_and_a_changed_title_are_found_out(opened: Tab, served: Served) -> None:
    served[0]["/dialog"] = (VECTORS[-1], "")
    opened.open("/dialog")
    assert {each.split(": ", 1)[1].split(":")[0] for each in opened.troubles} == {
        "a script ran",
        "a script wrote the title",
    }


def test_a_request_to_another_host_is_found_out_and_not_made(opened: Tab, served: Served) -> None:
    served[0]["/pixel"] = ("<main><img alt='' src='https://evil.example/pixel'></main>", "")
    opened.open("/pixel")
    assert any("asks another host: https://evil.example/pixel" in each for each in opened.troubles)


def test_an_error_of_a_script_is_found_out(opened: Tab, served: Served) -> None:
    served[0]["/broken"] = ("<script>nothing.of.the.kind()</script>", "")
    opened.open("/broken")
    assert any("nothing is not defined" in each for each in opened.troubles)


def test_what_does_not_fit_a_phone_is_named(opened: Tab, served: Served) -> None:
    served[0]["/wide"] = ("<main><p class=long style='width:800px'>wide</p></main>", STRICT)
    opened.open("/wide")
    assert "p.long: wide" in opened.too_wide()


def test_what_axe_finds_serious_is_named(opened: Tab, served: Served) -> None:
    served[0]["/pale"] = ("<main><h1 style='color:#eee;background:#fff'>Pale</h1><input></main>", STRICT)
    opened.open("/pale")
    assert {each.split(":")[0] for each in opened.violations()} >= {"color-contrast", "label"}


def test_a_focus_that_nobody_sees_is_found_out(opened: Tab, served: Served) -> None:
    served[0]["/unseen"] = ("<main><a href=/ style='outline:none'>on</a><button disabled>no</button></main>", STRICT)
    opened.open("/unseen")
    reached, wanted = opened.tabbed()
    assert ([each["seen"] for each in reached], wanted) == ([False], 1)
