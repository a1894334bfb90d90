"""Slack blocks as a terminal shows them: the same message, without Slack."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from driftwatch.notify._blocks import Block
from driftwatch.notify._text import WORD_JOINER

Style = Literal["title", "strong", "text", "faint"]
Line = tuple[Style, str]

_DATE = re.compile(r"<!date\^[^|>]*\|([^>]*)>")
_MENTION = re.compile(r"<[@!](?:subteam\^)?([A-Za-z0-9]+)>")


def lines(blocks: Sequence[Block], width: int = 100) -> list[Line]:
    """The blocks as styled lines; long texts are wrapped at ``width`` columns."""
    found: list[Line] = []
    for block in blocks:
        for style, text in _block_lines(block):
            indent = "  " if text.startswith("• ") else ""
            wrapped = textwrap.wrap(text.replace(WORD_JOINER, ""), max(width, 20), subsequent_indent=indent)
            found += [(style, line) for line in wrapped]
    return found


def _block_lines(block: Block) -> Iterator[Line]:
    match block["type"]:
        case "header":
            yield "title", block["text"]["text"]
        case "section" if "fields" in block:
            yield "strong", "   ".join(_own(field["text"]).replace("\n", " ") for field in block["fields"])
        case "section":
            yield "text", _own(block["text"]["text"])
        case "context":
            yield "faint", " · ".join(_own_or_plain(element) for element in block["elements"])
        case "rich_text":
            for element in block["elements"]:
                yield from _rich_lines(element)


def _rich_lines(element: Block) -> Iterator[Line]:
    if element["type"] == "rich_text_list":
        yield from (("text", f"• {_joined(item)}") for item in element["elements"])
    else:
        bold = all((each.get("style") or {}).get("bold") for each in element["elements"])
        yield "strong" if bold else "text", _joined(element)


def _joined(section: Block) -> str:
    return "".join(f"{e['text']} ({e['url']})" if e["type"] == "link" else e["text"] for e in section["elements"])


def _own_or_plain(element: Block) -> str:
    text: str = element["text"]
    return _own(text) if element["type"] == "mrkdwn" else text


def _own(mrkdwn: str) -> str:
    """Our own markup as text: labels lose their stars, times and mentions read plainly."""
    return _MENTION.sub(r"@\1", _DATE.sub(r"\1", mrkdwn)).replace("*", "")


def plain(styled: Sequence[Line]) -> str:
    """For a file or a pipe."""
    return "\n".join(text if style == "title" else f"   {text}" for style, text in styled) + "\n"


def boxed(styled: Sequence[Line], color: str, width: int) -> Any:
    """A rich panel, for a terminal."""
    from rich.box import ROUNDED
    from rich.panel import Panel
    from rich.text import Text

    looks = {"title": f"bold {color}", "strong": "bold", "text": "", "faint": "dim"}
    body = Text("\n").join(Text(text, style=looks[style]) for style, text in styled[1:])
    title = Text(styled[0][1], style=looks["title"])
    return Panel(body, title=title, title_align="left", box=ROUNDED, border_style=color, width=width)
