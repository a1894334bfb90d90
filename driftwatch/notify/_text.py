"""Hostile text made harmless: what users, logs and documents wrote, on its way to a person's screen."""

from __future__ import annotations

import re

from driftwatch.cleaning import clean as clean
from driftwatch.cleaning import cut as cut
from driftwatch.cleaning import units as units

WORD_JOINER = "\u2060"
"""Invisible and without width: what stands on its two sides is no longer one link, one mention or one emoji code."""

_LINKED = re.compile(r"(?<=\S)([.:@/])(?=\S)")
_ACTIVE = re.compile(r"([.:@/#!*_~`|])")
_ADDRESS = re.compile(r"(?<=[^\s\d])([.:/])(?=\S)|(?<=\d)([.:/])(?=[^\s\d])|(@)(?=[^\s\d])")
_BRACKETS = str.maketrans("<>", "‹›")


def unlinked(text: str) -> str:
    """``text`` in which no client finds an address to underline.

    >>> unlinked("see https://example.com").replace(WORD_JOINER, "·")
    'see https:·/·/·example.·com'
    """
    return _LINKED.sub(rf"\1{WORD_JOINER}", text)


def inert(text: str) -> str:
    """``text`` for Slack's own markup: no mention, link, emoji code or formatting is left in it.

    >>> inert("<!here> *a*").replace(WORD_JOINER, "·")
    '&lt;·!·here&gt; ·*·a·*·'
    """
    broken = _ACTIVE.sub(rf"{WORD_JOINER}\1{WORD_JOINER}", text)
    return broken.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def disarmed(text: str) -> str:
    """``text`` for a receiver that hands it on to chats, mail and telephones that we do not know.

    Their templates paste it as it is, so it holds no markup, no mention and nothing to tap; numbers stay as they are.

    >>> disarmed("<!here> recall R@10 is 0.41: see www.example.org, @ana").replace(WORD_JOINER, "·")
    '‹!here› recall R@10 is 0.41: see www.·example.·org, @·ana'
    """
    return _ADDRESS.sub(lambda found: found[0] + WORD_JOINER, text.translate(_BRACKETS))
