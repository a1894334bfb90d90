"""A week as files: one page that needs nothing else, Markdown, JSON, and the weekly message with its pictures.

The same week gives the same bytes, whenever and wherever it is drawn with the same matplotlib: no clock, no random
number and no setting of the machine is asked. The charts are SVG within the page; the pictures are PNG, for receivers
that show pictures.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from driftwatch.errors import MissingExtra
from driftwatch.report.attached import NOT_ASKED, Attached
from driftwatch.report.charts import sparkline
from driftwatch.report.markdown import markdown
from driftwatch.report.message import MESSAGE, announce, as_bytes
from driftwatch.report.panels import Group, panels
from driftwatch.report.pictures import pictures
from driftwatch.report.story import story_of
from driftwatch.report.story.parts import Fact, Story, counted, figure
from driftwatch.reported import Week
from driftwatch.reported.announced import Picture
from driftwatch.reported.form import as_json

if TYPE_CHECKING:
    from jinja2 import Environment

PAGE, MARKDOWN, JSON = "report.html", "report.md", "report.json"
"""The names of the files, beside ``message.MESSAGE``; the pictures are ``picture-1.png`` and ``picture-2.png``."""

SHOWN = 10
"""Rows of a table that are seen at once; the others are folded away below it."""


def render(week: Week, attached: Attached = NOT_ASKED) -> dict[str, bytes]:
    """Name -> content of every file of the report. Without matplotlib there are no charts and no pictures, and the page
    says so.
    """
    story = story_of(week)
    drawn, shown, notes = _drawn(week)
    return {
        PAGE: _page(story, drawn, attached, notes),
        MARKDOWN: markdown(story, attached).encode(),
        JSON: as_json(week),
        MESSAGE: as_bytes(announce(week, story, tuple(picture for picture, _ in shown))),
        **{picture.file: content for picture, content in shown},
    }


def page(week: Week, attached: Attached = NOT_ASKED) -> bytes:
    """The HTML page alone."""
    drawn, _, notes = _drawn(week)
    return _page(story_of(week), drawn, attached, notes)


def text(week: Week, attached: Attached = NOT_ASKED) -> str:
    """The Markdown alone, for which nothing is drawn."""
    return markdown(story_of(week), attached)


def _drawn(week: Week) -> tuple[dict[str, tuple[Group, ...]], list[tuple[Picture, bytes]], tuple[str, ...]]:
    try:
        return panels(week), pictures(week), ()
    except MissingExtra as error:
        return {}, [], (f"There are no charts: {error}",)


def _page(story: Story, drawn: dict[str, tuple[Group, ...]], attached: Attached, notes: tuple[str, ...]) -> bytes:
    environment = _environment()
    style = environment.get_template("report/report.css").render()
    page = environment.get_template("report/report.html")
    made = page.render(
        story=story, charts=drawn, attached=attached, notes=notes, style=style, shown=SHOWN, spark=_spark
    )
    return made.encode("utf-8", "replace")


def _spark(fact: Fact) -> str:
    known = [value for value in fact.days if value is not None]
    if not known:
        return ""
    label = f"{fact.label}, {counted(len(fact.days), 'day')}: from {figure(known[0])} to {figure(known[-1])}"
    return sparkline(fact.days, label)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("driftwatch"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
