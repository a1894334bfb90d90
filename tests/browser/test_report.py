"""The weekly report as people get it: one file, opened from a disk or an attachment, with nothing around it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("matplotlib", reason="matplotlib is not installed: the report has no charts")

from driftwatch.report.spans import span_of
from driftwatch.reporting import make
from driftwatch.store import Store
from tests.browser.hostile import CORPUS
from tests.browser.looking import DESK, OF_COLOUR, PHONE, Tab, tab
from tests.fakes import year

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report of the week of an incident, in which everything that others wrote is hostile."""
    folder = tmp_path_factory.mktemp("report")
    now = datetime.now(UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "HOSTILE", CORPUS)
        watch = year.build(folder)
    store = Store.open(watch.database)
    newest = span_of(f"{now:%G-W%V}", watch.zone, now)
    made = make(watch, store, newest.name, now)
    store.close()
    (folder / "shown").mkdir()
    for name, content in made.files.items():
        (folder / "shown" / name).write_bytes(content)
    return (folder / "shown" / "report.html").as_uri()


@pytest.fixture(scope="module")
def loaded(browser: Browser, report: str) -> Iterator[Tab]:
    with tab(browser, report) as loaded:
        loaded.page.goto(report)
        yield loaded


@pytest.fixture
def opened(loaded: Tab) -> Tab:
    """The one tab, as it was at first."""
    loaded.page.set_viewport_size(DESK)
    loaded.page.emulate_media(media="screen", color_scheme="light")
    loaded.settle()
    return loaded


def test_it_renders_without_an_error_and_asks_nobody_for_anything(opened: Tab) -> None:
    assert opened.troubles == []
    assert opened.page.locator("h1").count() == 1
    assert opened.page.locator("svg").count() > 3


def test_what_people_wrote_is_shown_and_runs_nothing(opened: Tab) -> None:
    for each in opened.page.locator("details").all():
        each.evaluate("each => each.open = true")
    opened.settle()
    assert opened.troubles == []
    assert "__owned" in opened.page.inner_text("body")
    assert opened.page.locator("script, iframe, base, form, [onerror], [onload], [onfocus]").count() == 0


def test_it_fits_a_phone(opened: Tab) -> None:
    opened.page.set_viewport_size(PHONE)
    opened.settle()
    assert opened.too_wide() == []


def test_axe_finds_nothing_serious(opened: Tab) -> None:
    assert opened.violations() == []


def test_axe_finds_nothing_serious_in_dark_mode(opened: Tab) -> None:
    light = opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    opened.page.emulate_media(color_scheme="dark")
    opened.settle()
    assert opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor") != light
    assert opened.violations(OF_COLOUR) == []


def test_every_link_and_every_table_that_scrolls_is_reached_by_keyboard(opened: Tab) -> None:
    reached, wanted = opened.tabbed()
    assert len(reached) == wanted
    assert [each["what"] for each in reached if not each["seen"]] == []


def test_it_prints(opened: Tab) -> None:
    """Paper has no dark mode and nothing to unfold."""
    opened.page.emulate_media(media="print", color_scheme="dark")
    opened.page.set_viewport_size({"width": 794, "height": DESK["height"]})
    opened.settle()
    assert opened.too_wide() == []
    assert opened.page.evaluate("() => getComputedStyle(document.body).color") != "rgb(255, 255, 255)"
    assert len(opened.page.pdf(prefer_css_page_size=True)) > 10_000


def test_a_kept_report_is_opened_from_the_pages(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    """There it runs as nobody, under the policy of the server beside its own."""
    with year.served(tmp_path_factory.mktemp("kept")) as (daemon, address):
        made = make(daemon.watch, daemon.store, "", datetime.now(UTC), anew=True)
        assert made.kept is not None
        with tab(browser, address) as opened:
            opened.open("/reports")
            opened.page.click(f"text={made.week.name}")
            opened.settle()
            assert opened.page.url == f"{address}/reports/{made.week.name}/report.html"
            assert opened.page.locator("svg").count() > 3
            assert opened.troubles == []


def test_it_needs_no_script(browser: Browser, report: str) -> None:
    with tab(browser, report, java_script_enabled=False) as opened:
        opened.page.goto(report)
        assert opened.page.locator("h1").is_visible()
    assert "<script" not in Path(report.removeprefix("file://")).read_text("utf-8")
