"""Which languages have a name in a label: a bounded number of them, whatever a log says."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from driftwatch.store.numbers import Numbers
from driftwatch.store.totals import MOST_NAMED, OTHER, UNKNOWN, language_label, named_by
from driftwatch.types import POOLED

_SUBTAG = re.compile(r"[a-z]{2,8}")
NAMELESS = frozenset({OTHER, UNKNOWN})
"""Labels that stand for several languages: what cannot be added up is not said of them."""


def shown_languages(configured: Sequence[str], numbers: Numbers) -> frozenset[str]:
    """The configured ones; else those that the totals name, and while there is room those that are judged."""
    if configured:
        return named_by(configured)
    judged: dict[str, int] = {}
    for each in numbers.newest:
        judged[each.segment] = max(each.n, judged.get(each.segment, 0))
    fresh = {lang for lang in judged.keys() - numbers.named - {POOLED} if _SUBTAG.fullmatch(lang)}
    by_size = sorted(fresh, key=lambda lang: (-judged[lang], lang))
    return numbers.named | frozenset(by_size[: max(0, MOST_NAMED - len(numbers.named))])


def segment_label(segment: str, shown: Collection[str]) -> str:
    """How a segment is called in a label: ``all``, a language, ``other`` or ``unknown``."""
    return segment if segment == POOLED else language_label(segment, shown)
