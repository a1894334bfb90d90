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
