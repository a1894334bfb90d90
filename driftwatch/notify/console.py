"""The console: what Slack would show, in the terminal that runs driftwatch."""

from __future__ import annotations

import hashlib
import sys
from typing import Literal

from driftwatch.notify import Notifier
from driftwatch.notify._blocks import incident_blocks
from driftwatch.notify._render import Message, Tone, message, news
from driftwatch.notify._terminal import Line, boxed, lines, plain
from driftwatch.types import Notice

_COLORS: dict[Tone, str] = {"bad": "red", "warn": "yellow", "blind": "white", "good": "green"}
_NEWS = ("reminded", "acknowledged", "sighted", "explained")
"""Events that the incident's own title does not name."""


class Console(Notifier):
    """Prints each incident to standard output: in a box on a terminal, as plain lines elsewhere."""

    kind: Literal["console"] = "console"
    color: Literal["auto", "always", "never"] = "auto"
    """`auto` draws boxes and colours on a terminal only."""
    show_queries: bool = True
    """Whether example questions are shown, as the privacy setting leaves them."""

    def deliver(self, notice: Notice, thread: str | None, *, repeat: bool) -> str | None:
        """Print the incident as it is now, unless that is what was printed last: several alerts of one incident that
        change at once are several notices of one and the same text.
        """
        del repeat
        shown = message(notice, with_queries=self.show_queries)
        printed = hashlib.sha256(plain(_said(notice, shown, 100)).encode("utf-8", "replace")).hexdigest()
        if printed == thread:
            return thread
        if self.color == "always" or (self.color == "auto" and sys.stdout.isatty()):
            self._draw(notice, shown)
        else:
            text = plain(_said(notice, shown, 100))
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
        return printed

    def reach(self) -> str:
        return "prints here"

    def _draw(self, notice: Notice, shown: Message) -> None:
        from rich.console import Console as Terminal

        # Never a legacy Windows console, and nothing in the text is markup to rich: it is given as Text.
        terminal = Terminal(file=sys.stdout, force_terminal=True, highlight=False)
        width = min(terminal.width, 98)
        terminal.print(boxed(_said(notice, shown, width - 4), _COLORS[shown.tone], width))


def _said(notice: Notice, shown: Message, width: int) -> list[Line]:
    said = lines(incident_blocks(shown), width)
    if notice.event in _NEWS:
        said.insert(1, ("strong", news(notice).title))
    return said
