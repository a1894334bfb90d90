"""The pictures of the main pages, as README and docs/pages.md show them.

``python -m tests.browser`` draws them into docs/images; DRIFTWATCH_PICTURES names another folder.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")
pytest.importorskip("PIL", reason="pillow is not installed: pictures cannot be made small")

from driftwatch.store import Store
from tests.browser.looking import PHONE, Tab, tab
from tests.fakes import year

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LARGEST = 150_000
"""Bytes of one picture."""
COLOURS = 128
WIDTH = 1180

SHOWN = {
    "pages-overview": ("/", 1000),
    "pages-incident": (f"/incidents/{year.INCIDENT}", 1300),
    "pages-check": ("/checks/canary%20recall?segment=de", 1150),
    "pages-canaries": ("/canaries", 900),
    "pages-index": ("/index", 900),
    "pages-jobs": ("/jobs", 700),
}
"""Name -> the page, and how much of it is shown at most, in pixels from its top."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures are left."""
    named = os.environ.get("DRIFTWATCH_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def inside(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The tab of somebody who has logged in, without the hostile words that the other tests look for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "HOSTILE", "(web)")
        with (
            year.served(tmp_path_factory.mktemp("site"), token="a token") as (_, address),
            tab(browser, address) as opened,
        ):
            opened.open("/login")
            opened.page.fill("#name", "Ana")
            opened.page.fill("#token", "a token")
            opened.page.click("main button")
            opened.settle()
            yield opened


def keep(opened: Tab, folder: Path, name: str, height: int, width: int = WIDTH) -> None:
    """One picture of what is shown, with few colours; its size is what a repository can bear."""
    from PIL import Image

    whole = int(opened.page.evaluate("() => document.documentElement.scrollHeight"))
    opened.page.set_viewport_size({"width": width, "height": min(height, whole)})
    opened.settle()
    drawn = Image.open(io.BytesIO(opened.page.screenshot())).convert("RGB")
    made = drawn.quantize(COLOURS, dither=Image.Dither.NONE)
    made.save(folder / f"{name}.png", optimize=True)
    content = (folder / f"{name}.png").read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < LARGEST, name
    assert len(drawn.getcolors(1 << 24)) > 20, f"{name} is empty"


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_of_each_main_page_is_made(inside: Tab, folder: Path, name: str) -> None:
    path, height = SHOWN[name]
    inside.page.set_viewport_size({"width": WIDTH, "height": 800})
    assert inside.open(path) == 200
    keep(inside, folder, name, height)
    assert inside.troubles == []


def test_a_picture_of_the_overview_on_a_telephone_at_night_is_made(inside: Tab, folder: Path) -> None:
    inside.page.set_viewport_size({"width": PHONE["width"], "height": 800})
    inside.page.emulate_media(color_scheme="dark")
    inside.open("/")
    keep(inside, folder, "pages-phone", PHONE["height"], PHONE["width"])


def test_a_picture_of_the_weekly_report_is_made(
    browser: Browser, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: the report has no charts")
    from driftwatch.report.spans import span_of
    from driftwatch.reporting import make

    place = tmp_path_factory.mktemp("report")
    now = datetime.now(UTC) - timedelta(hours=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(year, "HOSTILE", "(web)")
        watch = year.build(place)
    store = Store.open(watch.database)
    made = make(watch, store, span_of(f"{now:%G-W%V}", watch.zone, now).name, now)
    store.close()
    (place / "report.html").write_bytes(made.files["report.html"])
    address = (place / "report.html").as_uri()
    with tab(browser, address, viewport={"width": WIDTH, "height": 800}) as opened:
        opened.page.goto(address)
        keep(opened, folder, "report", 1500)
