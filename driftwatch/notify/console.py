"""The console: what Slack would show, in the terminal that runs driftwatch."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from typing import Literal

from driftwatch.notify import Notifier
from driftwatch.notify._blocks import incident_blocks
from driftwatch.notify._render import Message, Tone, message, news
from driftwatch.notify._terminal import Line, boxed, lines, plain
from driftwatch.notify._weekly import weekly_blocks
from driftwatch.reported.announced import Remembered, WeeklyNotice
from driftwatch.types import Notice

_COLORS: dict[Tone, str] = {"bad": "red", "warn": "yellow", "blind": "white", "good": "green"}
_WEEKLY = {"fail": "red", "warn": "yellow", "unknown": "white", "ok": "green"}
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
        self._print(lambda width: _said(notice, shown, width), _COLORS[shown.tone])
        return printed

    def announce(self, notice: WeeklyNotice, remembered: Remembered, *, repeat: bool) -> None:
        """Print the week, without its pictures."""
        del remembered, repeat
        blocks = weekly_blocks(notice, {})
        self._print(lambda width: lines(blocks, width), _WEEKLY[notice.announcement.level])

    def reach(self) -> str:
        return "prints here"

    def _print(self, said: Callable[[int], list[Line]], color: str) -> None:
        """``said``: the lines for a width; in a box on a terminal."""
        if self.color == "always" or (self.color == "auto" and sys.stdout.isatty()):
            _draw(said, color)
        else:
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.write(plain(said(100)).encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def _draw(said: Callable[[int], list[Line]], color: str) -> None:
    from rich.console import Console as Terminal

    # Never a legacy Windows console, and nothing in the text is markup to rich: it is given as Text.
    terminal = Terminal(file=sys.stdout, force_terminal=True, highlight=False)
    width = min(terminal.width, 98)
    terminal.print(boxed(said(width - 4), color, width))


def _said(notice: Notice, shown: Message, width: int) -> list[Line]:
    said = lines(incident_blocks(shown), width)
    if notice.event in _NEWS:
        said.insert(1, ("strong", news(notice).title))
    return said
