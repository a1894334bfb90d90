"""A page in a real browser, watched: what it logs, what it asks for, whether a script of somebody else ran in it.

A driven browser runs our own scripts past a page's Content-Security-Policy, so what is looked at is the page as it is
served, policy and all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, Route

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
OWNED = "__owned"
"""The function that every script of the corpus calls."""

FLAG = f"""
globalThis.{OWNED} = name => console.error('a script ran: ' + name);
addEventListener('securitypolicyviolation', event => console.error(
    'against the policy: ' + event.effectiveDirective + ' ' + event.blockedURI + ' ' + event.sample));
"""

TOO_WIDE = """
() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const scrolls = element => {
        for (let each = element.parentElement; each && each !== document.documentElement; each = each.parentElement)
            if (/auto|scroll|hidden/.test(getComputedStyle(each).overflowX)) return true;
        return false;
    };
    const spills = each => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX === 'visible'
        && getComputedStyle(each).display !== 'inline';
    return [...document.body.querySelectorAll('*')]
        .filter(each => (each.getBoundingClientRect().right > width + 1 || spills(each)) && !scrolls(each))
        .map(each => each.tagName.toLowerCase() + '.' + each.className + ': ' + each.textContent.trim().slice(0, 40))
        .slice(0, 8).concat('the page is ' + document.documentElement.scrollWidth + ' px wide');
}
"""

AXE_RUN = """
only => axe.run(
    {exclude: [['svg > *']]},
    {resultTypes: ['violations'], ...(only.length ? {runOnly: {type: 'rule', values: only}} : {})})
"""
"""A chart is one picture with a name and a table beside it: its thousands of strokes are nothing to a reader."""

OF_COLOUR = ("color-contrast", "link-in-text-block")
"""The rules that a page in dark mode may break and the same page in light mode keeps."""

REACHABLE = """
() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]')]
    .filter(each => each.tabIndex >= 0 && !each.disabled && each.checkVisibility({visibilityProperty: true}))
    .map((each, number) => { each.dataset.number = number; return number; }).length
"""

FOCUSED = """
() => {
    const each = document.activeElement;
    if (!each || each === document.body) return null;
    const style = getComputedStyle(each), box = each.getBoundingClientRect();
    const ringed = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    return {
        number: each.dataset.number === undefined ? -1 : Number(each.dataset.number),
        what: each.tagName.toLowerCase() + ' ' + (each.textContent || each.name || '').trim().slice(0, 40),
        seen: ringed && box.width > 0 && box.height > 0 && box.left >= 0 && box.top + box.height > 0,
    };
}
"""


class Tab:
    """One tab, and everything that was wrong in it so far."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.address = address
        self.troubles: list[str] = []
        page.add_init_script(FLAG)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._note(f"an error: {error}"))
        page.on("dialog", self._asked)
        page.on("popup", lambda popup: self._note(f"a window opened: {popup.url}"))
        page.context.route("**/*", self._only_here)

    def open(self, path: str) -> int:
        """Load a page, let its scripts settle, and say with which status it was answered."""
        answer = self.page.goto(urljoin(self.address + "/", path), wait_until="load")
        self.settle()
        if "owned" in self.page.title():
            self._note("a script wrote the title")
        return answer.status if answer is not None else 0

    def settle(self) -> None:
        """Until what was about to be drawn is."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 60)))")

    def links(self) -> list[str]:
        """The pages of this server that this one leads to, without fragments."""
        found = self.page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
        here = [each.partition("#")[0] for each in found if each.startswith(self.address)]
        return list(dict.fromkeys(each.removeprefix(self.address) or "/" for each in here))

    def too_wide(self) -> list[str]:
        """What makes the page wider than the window; empty: nothing does."""
        return list(self.page.evaluate(TOO_WIDE))

    def violations(self, only: Sequence[str] = ()) -> list[str]:
        """What axe finds serious or critical, by all of its rules or these."""
        self.page.evaluate(axe())
        found: dict[str, Any] = self.page.evaluate(AXE_RUN, list(only))
        return [
            f"{each['id']}: {each['help']}: " + "; ".join(node["html"][:160] for node in each["nodes"][:3])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]

    def tabbed(self) -> tuple[list[dict[str, Any]], int]:
        """What the tabulator key reaches from the top, in order, and how many things it should."""
        wanted = int(self.page.evaluate(REACHABLE))
        reached: list[dict[str, Any]] = []
        for _ in range(wanted + 3):
            self.page.keyboard.press("Tab")
            here = self.page.evaluate(FOCUSED)
            if here is None or any(each["number"] == here["number"] for each in reached):
                break
            reached.append(here)
        return reached, wanted

    def _note(self, trouble: str) -> None:
        self.troubles.append(f"{urlsplit(self.page.url).path}: {trouble}")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._note(f"console {message.type}: {message.text}")

    def _asked(self, dialog: Dialog) -> None:
        self._note(f"a script ran: it opened a {dialog.type}: {dialog.message}")
        dialog.dismiss()

    def _only_here(self, route: Route, request: Request) -> None:
        if request.url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self._note(f"it asks another host: {request.url}")
            route.abort()


@contextmanager
def tab(browser: Browser, address: str, **more: Any) -> Iterator[Tab]:
    """A tab with cookies of its own; ``more`` as Playwright names it (viewport, color_scheme, java_script_enabled)."""
    context = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce"} | more)
    try:
        yield Tab(context.new_page(), address.rstrip("/"))
    finally:
        context.close()


def crawl(opened: Tab, *, most: int = 60, of_a_kind: int = 2) -> list[str]:
    """Open every page that links lead to, but only some of those whose addresses differ in names alone."""
    paths, kinds, waiting = [], dict[str, int](), ["/"]
    while waiting and len(paths) < most:
        path = waiting.pop(0)
        kind = re.sub(r"(?<=[^/]/)[^/?]+", "*", path.partition("?")[0]) + "?" * ("?" in path)
        if path in paths or kinds.get(kind, 0) >= of_a_kind:
            continue
        kinds[kind] = kinds.get(kind, 0) + 1
        paths.append(path)
        if opened.open(path) >= 400:
            opened.troubles.append(f"{path}: a link leads to nothing")
        waiting += opened.links()
    return paths


@cache
def axe() -> str:
    """The script of axe, as its Python package carries it."""
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
