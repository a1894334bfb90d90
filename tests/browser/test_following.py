"""Pages that follow what goes on, and people who follow a link from elsewhere, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from driftwatch.config.release import folder_of
from driftwatch.daemon import Daemon
from driftwatch.retrain.jobs import job_folder
from driftwatch.retraining.course import Course
from tests.browser.looking import Tab, tab
from tests.fakes.year import INCIDENT, JOBS, served
from tests.fakes.year_jobs import write_progress

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOKEN = "correct horse battery staple"
SOON = 30_000
"""Milliseconds; the machine may be busy."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, str]]:
    with served(tmp_path_factory.mktemp("following"), token=TOKEN) as made:
        yield made


@pytest.fixture
def opened(browser: Browser, site: tuple[Daemon, str]) -> Iterator[Tab]:
    """The tab of somebody who has logged in."""
    with tab(browser, site[1]) as made:
        made.open("/login")
        made.page.fill("#name", "Ana")
        made.page.fill("#token", TOKEN)
        made.page.click("main button")
        made.page.wait_for_selector("text=Log out")
        yield made


def test_a_job_in_hand_is_followed_until_it_is_over(site: tuple[Daemon, str], opened: Tab) -> None:
    course = Course(job_folder(folder_of(site[0].watch), JOBS[2]).path)
    opened.open(f"/jobs/{JOBS[2]}")
    said = opened.page.locator(".progress [role=status]")
    heard = said.element_handle()
    assert "step 412 of 1200" in said.inner_text()
    write_progress(course, datetime.now(UTC), 900, 1200)
    opened.page.wait_for_selector("text=step 900 of 1200", timeout=SOON)
    assert opened.page.evaluate("() => document.querySelector('progress').value") == 75
    assert heard.is_visible(), "a screen reader hears the same line change, and nothing twice"
    course.training.decide("done", "trained at last", datetime.now(UTC), "candidate")
    opened.page.wait_for_selector("text=trained at last", timeout=SOON)
    course.end("failed", "the gate broke", datetime.now(UTC))
    opened.page.wait_for_selector("text=failed: the gate broke", timeout=SOON)
    assert opened.troubles == []


def test_a_link_from_a_chat_leads_to_the_incident_for_who_has_logged_in(opened: Tab) -> None:
    opened.page.goto(f"data:text/html,<a href='{opened.address}/incidents/{INCIDENT}'>look</a>")
    opened.page.click("a")
    opened.page.wait_for_selector("text=mixed vectors, de", timeout=SOON)
    assert INCIDENT in opened.page.url


def test_a_link_from_a_chat_leads_to_the_login_and_then_to_the_incident(
    browser: Browser, site: tuple[Daemon, str]
) -> None:
    with tab(browser, site[1]) as stranger:
        stranger.page.goto(f"data:text/html,<a href='{site[1]}/incidents/{INCIDENT}'>look</a>")
        stranger.page.click("a")
        stranger.page.wait_for_selector("#token", timeout=SOON)
        stranger.page.fill("#name", "Ben")
        stranger.page.fill("#token", TOKEN)
        stranger.page.click("main button")
        stranger.page.wait_for_selector("text=mixed vectors, de", timeout=SOON)
