"""How findings put numbers into sentences."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from driftwatch.types import Tallies

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")
MOST_DAYS = 10_000
_NEW_SENTENCE = re.compile(r"[.!?]+ (?=[^a-z])")


def count(number: float) -> str:
    """``28,431``."""
    return f"{round(number):,}"


def things(number: int, noun: str) -> str:
    """``1 canary``, ``27 canaries``."""
    if number == 1:
        return f"1 {noun}"
    ends_in_ies = noun.endswith("y") and noun[-2] not in "aeou"
    return f"{number:,} {noun[:-1]}ies" if ends_in_ies else f"{number:,} {noun}s"


def of_evidence(days: float) -> str:
    """How much evidence there is, as a length of time; beyond some decades nobody cares how many.

    >>> of_evidence(240.3), of_evidence(1.2), of_evidence(16_071_428_647.0)
    ('240 days', '1 day', 'more than 10,000 days')
    """
    if days > MOST_DAYS:
        return f"more than {count(MOST_DAYS)} days"
    return "1 day" if round(days) == 1 else f"{count(days)} days"


def percent(share: float) -> str:
    """A share as a percentage with two digits that matter.

    >>> percent(0.0213), percent(0.5), percent(0.0), percent(0.996)
    ('2.1%', '50%', '0%', '99.6%')
    """
    value = 100 * share
    if 0 < abs(value) < 0.095:
        return f"{value:.1g}%"
    if abs(value) < 9.95 or 99 < abs(value) < 100:
        return f"{value:.1f}%".replace(".0%", "%")
    return f"{value:.0f}%"


def score(value: float) -> str:
    """A score with three digits that matter."""
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


def language(code: str) -> str:
    """A language as the log wrote it, if that is a BCP 47 code: what a log says is not to be repeated to a person."""
    return code if _LANGUAGE.fullmatch(code) else "an unreadable language"


def shorten(text: str, limit: int = 160) -> str:
    r"""A reason as somebody else wrote it, as one clause of at most ``limit`` characters.

    >>> shorten("Timed out.  Try again.\n")
    'Timed out; Try again'
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    line = _NEW_SENTENCE.sub("; ", line).rstrip(".!? ")
    line = line if len(line) <= limit else f"{line[: limit - 1].rstrip()}…"
    return line or "no reason given"


def detected(tallies: Tallies) -> tuple[dict[str, Any], str]:
    """The share of queries whose language driftwatch guessed: for the details, and as a remark when it is large."""
    queries = tallies.total("queries")
    if not queries:
        return {}, ""
    share = tallies.total("detected") / queries
    remark = f" (language detected by driftwatch for {percent(share)} of them)" if share > 0.2 else ""
    return {"detected_share": round(share, 4)}, remark
