"""What every page shares: the templates, who looks at it, and how things are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from driftwatch import __version__
from driftwatch.pages.doing import place_key
from driftwatch.pages.statics import plotly_version, styles_version
from driftwatch.show import at, number, safe, verdict_of

if TYPE_CHECKING:
    from jinja2 import Environment

    from driftwatch.config import Watch

PLACES = (
    ("", "Overview"),
    ("incidents", "Incidents"),
    ("canaries", "Canaries"),
    ("index", "Index"),
    ("jobs", "Jobs"),
    ("reports", "Reports"),
)
"""(path, name) of the pages that stand in the bar."""

MARKS = {
    "fail": "✕",
    "warn": "!",
    "unknown": "?",
    "learning": "…",
    "ok": "✓",
    "firing": "✕",
    "blind": "?",
    "pending": "!",
    "resolved": "✓",
    "silenced": "–",
    "lost": "✕",
    "fell": "↓",
    "gained": "↑",
    "rot": "∅",
    "unasked": "?",
    "flicker": "~",
    "steady": "✓",
    "done": "✓",
    "going": "…",
    "failed": "✕",
    "refused": "✕",
}
"""The sign of a state: a colour alone says nothing to many."""
RANKS = {"fail": 0, "warn": 1, "unknown": 2, "learning": 3, "ok": 4}
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at a page, and from where."""

    root: str = ""
    """What leads from this page to the first one: ``""``, ``../`` or ``../../``."""
    name: str = ""
    """Empty: nobody has logged in."""
    csrf: str = ""
    """What its forms must send back."""
    may_log_in: bool = False
    """Whether there is a token, and nobody has logged in."""

    @property
    def may_act(self) -> bool:
        """Whether its forms are there."""
        return bool(self.csrf)


NOBODY = Viewer()
segment = partial(quote, safe="", errors="replace")
"""A name as one segment of an address: nothing in it leads to another page."""


def render(template: str, watch: Watch, viewer: Viewer, here: str, **values: Any) -> str:
    """One page; ``here`` is the name of its place in the bar."""
    when = lambda moment: at(moment, watch.timezone)  # noqa: E731 a one-line binding of the time zone
    local = lambda moment: moment.astimezone(watch.zone).strftime("%Y-%m-%dT%H:%M")  # noqa: E731
    fixed = {
        "service": watch.service,
        "timezone": watch.timezone,
        "viewer": viewer,
        "here": here,
        "places": PLACES,
        "marks": MARKS,
        "when": when,
        "local": local,
        "release": __version__,
        "version": styles_version(),
        "plotly": plotly_version(),
        "said": "",
        "wrong": "",
    }
    return _environment().get_template(template).render(**{**fixed, **values})


def render_login(watch: Watch, viewer: Viewer, following: str, *, wrong: str = "", name: str = "") -> str:
    """Where the token is asked for; ``following``: the page that comes after it."""
    return render("login.html", watch, viewer, "", next=following, wrong=wrong, name=name)


def warm_up() -> None:
    """Read the templates before anybody waits for a page."""
    environment = _environment()
    for name in environment.list_templates(filter_func=lambda name: "/" not in name):
        environment.get_template(name)


def figure_of(value: float | None, kind: str) -> str:
    """What a check of ``kind`` measured, for a person.

    >>> figure_of(0.0213, "rate"), figure_of(0.94, "canary"), figure_of(None, "rate")
    ('2.13 %', '0.94', '–')
    """
    if value is None or value != value:
        return "–"
    return f"{number(100 * value)} %" if kind == "rate" else number(value)


def ordered(segments: list[str]) -> list[str]:
    """Segments by name, all languages together first."""
    return sorted(segments, key=lambda name: (name != "all", name))


def day_of(moment: datetime, zone: Any) -> str:
    """The day, as people write it."""
    return moment.astimezone(zone).strftime("%Y-%m-%d")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("driftwatch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, safe_text=safe, verdict=verdict_of, one_segment=segment, place_key=place_key)
    return made
