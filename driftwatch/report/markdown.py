"""The report as Markdown: to read in a terminal, to paste into a ticket; nothing that others wrote is markup in it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from driftwatch.report.attached import Attached
from driftwatch.report.story.parts import Card, Section, Story, Table

_LEVELS = {"ok": "All is well", "warn": "Needs a look", "fail": "Something broke", "unknown": "Not enough was seen"}
_ACTIVE = re.compile(r"[\\`*_\[\]|~$^#@]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.IGNORECASE)


def markdown(story: Story, attached: Attached) -> str:
    """The whole of it; the curves of charts, hundreds of rows each, are left to the JSON."""
    return "\n\n".join(_parts(story, attached)) + "\n"


def plain(text: str) -> str:
    r"""``text`` with every sign that Markdown, its tables or HTML could read as its own made harmless.

    >>> print(plain("[a](http://b) | <i> 0.5 -1"))
    \[a\](http\://b) \| &lt;i&gt; 0.5 -1
    """
    return html.escape(_ACTIVE.sub(r"\\\g<0>", text), quote=False)


def _parts(story: Story, attached: Attached) -> Iterator[str]:
    yield f"# {plain(story.service)}: {plain(story.dates)} ({plain(story.week)})"
    yield f"**{_LEVELS[story.level]}.** {plain(story.sentence)}."
    if story.reasons:
        yield "\n".join(f"* {plain(each)}" for each in story.reasons)
    facts = [(each.label, each.figure, each.beside) for each in story.facts]
    yield _table(Table("", ("", "this week", ""), tuple(facts), (1,)))
    yield f"{plain(story.covers)} Intervals hold 95 %. The curves of the charts are in `report.json`."
    for section in story.sections:
        yield from _section(section)
    yield f"## Beside this report\n\n{plain(attached.sentence)}"


def _section(section: Section) -> Iterator[str]:
    yield f"## {plain(section.title)}"
    yield from map(plain, section.words)
    for card in section.cards:
        yield from _card(card)
    yield from map(_table, (table for table in section.tables if not table.curve))


def _card(card: Card) -> Iterator[str]:
    yield f"### {plain(card.title)} ({plain(card.state)})"
    yield "\n".join(f"* **{plain(label)}:** {plain(said)}" for label, said in card.lines)
    yield from map(_table, (table for table in card.tables if not table.curve))


def _table(table: Table) -> str:
    bars = ["---:" if place in table.figures else "---" for place in range(len(table.columns))]
    lines = [
        [plain(name) or " " for name in table.columns],
        bars,
        *([plain(cell) for cell in row] for row in table.rows),
    ]
    caption = f"*{plain(table.caption)}*\n\n" if table.caption else ""
    return caption + "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
