"""The pages as a person opens them, in a real browser, where everything that others wrote is hostile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

from driftwatch.daemon import Daemon
from tests.browser.hostile import CORPUS
from tests.browser.looking import DESK, OF_COLOUR, PHONE, Tab, crawl, tab
from tests.fakes import year

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TOKEN = "correct horse battery staple"
KINDS = (
    "/",
    "/incidents",
    "/incidents/",
    "/checks/",
    "/canaries",
    "/canaries/",
    "/index",
    "/jobs",
    "/jobs/",
    "/reports",
)
"""Pages that links must lead to; a slash at the end stands for one of its kind."""

Site = tuple[Daemon, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with a past, whose pages people may log in to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "HOSTILE", CORPUS)
        with year.served(tmp_path_factory.mktemp("site"), token=TOKEN) as (daemon, address):
            yield daemon, address


@pytest.fixture(scope="module")
def inside(browser: Browser, site: Site) -> Iterator[Tab]:
    """The tab of somebody who has logged in."""
    with tab(browser, site[1]) as opened:
        log_in(opened)
        yield opened


@pytest.fixture
def opened(inside: Tab) -> Tab:
    """The same tab, as wide and as light as at first, with what was wrong before forgotten."""
    inside.page.set_viewport_size(DESK)
    inside.page.emulate_media(color_scheme="light")
    inside.troubles.clear()
    return inside


@pytest.fixture(scope="module")
def paths(inside: Tab) -> list[str]:
    """Two pages of each kind that links lead to."""
    found = crawl(inside)
    assert inside.troubles == []
    return found


def log_in(opened: Tab, token: str = TOKEN, name: str = "Ana") -> None:
    opened.open("/login")
    opened.page.fill("#name", name)
    opened.page.fill("#token", token)
    opened.page.click("main button")
    opened.settle()


def unfold(opened: Tab) -> None:
    """Open what a person would open: a fold hides nothing from this test."""
    opened.page.evaluate("() => document.querySelectorAll('details').forEach(each => each.open = true)")
    opened.settle()


# --- every page ----------------------------------------------------------------------------------------------------


def test_links_lead_to_every_kind_of_page_and_all_of_them_render_without_an_error(paths: list[str]) -> None:
    kinds = {path.partition("?")[0] for path in paths}
    for kind in KINDS:
        assert kind in kinds or (kind.endswith("/") and any(each.startswith(kind) for each in kinds)), kind


def test_every_page_says_what_it_is(opened: Tab, paths: list[str]) -> None:
    for path in filter(is_ours, paths):
        opened.open(path)
        assert opened.page.locator("h1").count() == 1, path
        assert opened.page.locator("main").count() == 1, path
        assert opened.page.title().endswith("· driftwatch"), path
    assert opened.troubles == []


def test_what_people_wrote_is_shown_and_runs_nothing(opened: Tab, paths: list[str]) -> None:
    shown = 0
    for path in paths:
        opened.open(path)
        unfold(opened)
        opened.page.mouse.move(300, 300)
        shown += "__owned" in opened.page.inner_text("body")
        written = "main script, main iframe, main base, [onerror], [onload], [onfocus], [ontoggle], [formaction]"
        assert opened.page.locator(written).count() == 0, path
    assert opened.troubles == []
    assert shown >= 4, "the corpus stands in these pages, as text"


def test_no_page_is_wider_than_a_phone(opened: Tab, paths: list[str]) -> None:
    opened.page.set_viewport_size(PHONE)
    wide = {}
    for path in paths:
        opened.open(path)
        unfold(opened)
        wide[path] = opened.too_wide()
    assert {path: what for path, what in wide.items() if what} == {}


def test_axe_finds_nothing_serious_on_any_page(opened: Tab, paths: list[str]) -> None:
    found = {}
    for path in filter(is_ours, paths):
        opened.open(path)
        unfold(opened)
        found[path] = opened.violations()
    assert {path: what for path, what in found.items() if what} == {}


def test_axe_finds_nothing_serious_on_any_page_in_dark_mode(opened: Tab, paths: list[str]) -> None:
    opened.page.emulate_media(color_scheme="dark")
    found = {}
    for path in filter(is_ours, paths):
        opened.open(path)
        unfold(opened)
        found[path] = opened.violations(OF_COLOUR)
    assert {path: what for path, what in found.items() if what} == {}
    assert luminance(opened) < 0.2, "it is dark"


def test_everything_is_reached_by_keyboard_and_seen_when_it_is(opened: Tab, paths: list[str]) -> None:
    for path in filter(is_ours, paths):
        opened.open(path)
        reached, wanted = opened.tabbed()
        assert [each["what"] for each in reached if not each["seen"]] == [], path
        assert len(reached) == wanted, f"{path}: {reached[-1]['what']}"


def test_the_first_thing_reached_leads_past_the_bar(opened: Tab) -> None:
    opened.open("/")
    opened.page.keyboard.press("Tab")
    opened.page.keyboard.press("Enter")
    opened.settle()
    assert opened.page.evaluate("() => document.activeElement.id") == "content"
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("() => document.activeElement.closest('main') !== null")


def test_pages_can_be_read_without_scripts(browser: Browser, site: Site, paths: list[str]) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with tab(browser, site[1], java_script_enabled=False, extra_http_headers=headers) as plain:
        for path in filter(is_ours, paths):
            plain.page.goto(site[1] + path)
            assert plain.page.locator("h1").is_visible(), path
            assert plain.page.locator("button:has-text('Zoom')").count() == 0, path


def test_a_chart_can_be_zoomed_by_keyboard(opened: Tab) -> None:
    opened.open("/checks/canary%20recall?segment=de")
    button = opened.page.locator("figure[data-chart] button").first
    if not opened.page.locator("figure[data-chart]").count():
        pytest.skip("plotly is not installed: the charts are pictures only")
    button.focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector(".plot .main-svg", timeout=60_000)
    opened.page.set_viewport_size(PHONE)
    opened.settle()
    assert opened.too_wide() == []
    # The library brings styles for maps, which the policy refuses and no chart here needs.
    assert [each for each in opened.troubles if "style-src" not in each] == []


def is_ours(path: str) -> bool:
    """Whether a page is of these templates: a weekly report is a page of its own, a file is none."""
    return not path.startswith("/reports/")


def luminance(opened: Tab) -> float:
    """Of the ground of the page, in [0, 1]."""
    shown = opened.page.evaluate("() => getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number)")
    return float(sum(shown[:3])) / 3 / 255


# --- people who log in and act -------------------------------------------------------------------------------------


@pytest.fixture
def outside(browser: Browser, site: Site) -> Iterator[Tab]:
    """The tab of somebody who has not logged in."""
    with tab(browser, site[1]) as opened:
        yield opened


def test_whoever_has_not_logged_in_is_asked_to(outside: Tab) -> None:
    outside.open(f"/incidents/{year.INCIDENT}")
    assert outside.page.locator("#token").is_visible()
    assert year.INCIDENT not in outside.page.inner_text("main")


def test_a_wrong_token_is_told_and_a_right_one_leads_to_where_one_wanted(outside: Tab) -> None:
    outside.open(f"/incidents/{year.INCIDENT}")
    outside.page.fill("#name", "Ana")
    outside.page.fill("#token", "wrong")
    outside.page.click("main button")
    assert outside.page.locator("[role=alert]").is_visible()
    outside.page.fill("#token", TOKEN)
    outside.page.keyboard.press("Enter")
    outside.page.wait_for_url(f"**/incidents/{year.INCIDENT}*")
    assert "Ana" in outside.page.inner_text("header")
    cookie = outside.page.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    outside.page.click("header button")
    outside.open("/")
    assert outside.page.locator("#token").is_visible()


def test_an_incident_is_acknowledged(opened: Tab, site: Site) -> None:
    opened.open(f"/incidents/{year.INCIDENT}")
    opened.page.locator("form[action$=acknowledge] button").click()
    opened.settle()
    assert opened.page.locator("[role=status]").is_visible()
    incident = site[0].store.decisions.incident(year.INCIDENT)
    assert incident is not None
    assert "Ana" in {member.alert.acknowledged_by for member in incident.members}
    assert opened.troubles == []


def test_an_alert_is_silenced_for_a_while_and_heard_again(opened: Tab, site: Site) -> None:
    opened.open(f"/incidents/{year.INCIDENT}")
    form = opened.page.locator("form[action$='/silences'], form[action$='../silences']")
    form.locator("[name=reason]").fill(f"moving house {CORPUS[:200]}")
    form.locator("button").click()
    opened.settle()
    assert [each.author for each in silences(site) if each.reason.startswith("moving house")] == ["Ana"]
    opened.open(f"/incidents/{year.INCIDENT}")
    ending = opened.page.locator("form[action$='/end'] button").first
    before = len(silences(site))
    ending.click()
    opened.settle()
    assert len(silences(site)) == before - 1
    assert opened.troubles == []


def test_an_expected_change_is_announced_and_ended(opened: Tab) -> None:
    opened.open("/")
    opened.page.locator("summary:has-text('expected change')").click()
    opened.page.fill("#expect-to", "2099-01-01T12:00")
    opened.page.fill("#expect-why", "a launch")
    opened.page.locator("form[action$=expected] button").click()
    opened.settle()
    assert "a launch" in opened.page.inner_text("main")
    assert "by\nAna" in opened.page.inner_text("main") or "Ana" in opened.page.inner_text("#held ~ *")
    opened.page.locator("button[aria-label='End this expected change']").first.click()
    opened.settle()
    assert opened.troubles == []


def test_a_form_of_another_page_does_nothing(outside: Tab, site: Site, browser: Browser) -> None:
    """Whoever is logged in here and opens a page of somebody else acknowledges nothing by it."""
    log_in(outside)
    before = len(silences(site))
    outside.page.set_content(
        f"<form method=post action='{site[1]}/silences'><input name=what value='*:*'><input name=for value=1h>"
        "<input name=reason value=x><button>Win</button></form>"
    )
    with outside.page.expect_navigation() as gone:
        outside.page.click("button")
    assert gone.value is not None
    assert gone.value.status in (401, 403)
    assert len(silences(site)) == before


def silences(site: Site) -> list[year.Silence]:
    from datetime import UTC, datetime

    return site[0].store.decisions.silences(datetime.now(UTC))
