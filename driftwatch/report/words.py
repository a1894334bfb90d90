"""What others said, as the report repeats it."""

from __future__ import annotations

from driftwatch.checks._words import shorten
from driftwatch.privacy import redact


def line(text: str, longest: int = 200) -> str:
    """One clause without personal data."""
    return shorten(redact(text), longest)


def verdict_word(verdict: str, learning: bool) -> str:
    """``learning`` where a look is unknown only for now."""
    return "learning" if learning and verdict == "unknown" else verdict


def without_words(message: str, kind: str, *, shows: bool) -> str:
    """A finding's message; without the words of queries where these are not shown any more."""
    return message if shows or kind != "query_drift" else message.split(': "', 1)[0]
