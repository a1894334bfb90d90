"""Text that others wrote, made fit for one line on a screen: nothing in it hides, runs backwards or moves a cursor."""

from __future__ import annotations

import re
import unicodedata

_JOINERS = "\u200c\u200d"
_MARKS_IN_A_ROW = 4
_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b.?"
)


def clean(text: str, limit: int) -> str:
    r"""One line of visible text, at most ``limit`` UTF-16 units long (Slack counts in those).

    Terminal sequences, control characters, bidi overrides, zero-width characters and stray surrogates are gone, blanks
    are single, and towers of combining marks are cut. Joiners stay inside words that need them (Persian, Hindi, emoji).

    >>> clean("a\x1b[31m b\u202e\n c", 80)
    'a b c'
    """
    text = text[: 8 * limit + 200]
    if text.isascii() and text.isprintable():  # most is: nothing of the below is in it
        return cut(" ".join(text.split()), limit)
    kept: list[str] = []
    marks = 0
    for char in _ESCAPE_SEQUENCE.sub("", text):
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks > _MARKS_IN_A_ROW:
            continue
        if (shown := _visible(char, category, kept[-1] if kept else " ")) is not None:
            kept.append(shown)
    return cut(" ".join("".join(kept).split()), limit)


def _visible(char: str, category: str, before: str) -> str | None:
    """``char`` as it may be shown after ``before``; None to leave it out."""
    if category in ("Cc", "Zl", "Zp"):
        return " "
    if category == "Cf":
        return char if char in _JOINERS and not before.isascii() and before not in _JOINERS else None
    if category in ("Cs", "Co") or ord(char) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(char) <= 0xFDEF:
        return "\ufffd"
    return char


def cut(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` UTF-16 units; what is cut ends in an ellipsis."""
    if units(text) <= limit:
        return text
    left = limit - 1
    for position, char in enumerate(text):
        left -= 2 if char > "\uffff" else 1
        if left < 0:
            return text[:position].rstrip() + "…"
    raise AssertionError("unreachable: the text is longer than its limit")


def units(text: str) -> int:
    """Length in UTF-16 units."""
    return len(text) + sum(char > "\uffff" for char in text)
