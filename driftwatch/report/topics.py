"""The new topics that the week's findings named, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from driftwatch.checks._topics import EXAMPLES, SAME
from driftwatch.privacy import redact
from driftwatch.report.figures import rate, rounded
from driftwatch.report.spans import Span
from driftwatch.reported import Example, Topic
from driftwatch.store import Store
from driftwatch.store.history import Looked

MOST = 12
LONGEST = 300
"""Characters of a query that are shown."""


@dataclass
class _Seen:
    """One topic over the looks that named it."""

    largest: Looked
    told: Mapping[str, Any]
    """What the look with the largest share said."""
    first: datetime
    last: datetime
    looks: int = 1

    @property
    def terms(self) -> frozenset[str]:
        return frozenset(self.told.get("terms", ()))

    @property
    def share(self) -> float:
        return float(self.told.get("share", 0.0))

    def again(self, look: Looked, told: Mapping[str, Any]) -> None:
        """Another look named it too."""
        self.looks += look.at != self.last
        self.last = look.at
        if float(told.get("share", 0.0)) > self.share:
            self.largest, self.told = look, told


def topics_of(store: Store, checks: Mapping[str, str], span: Span, *, shows: bool) -> tuple[Topic, ...]:
    """The largest first; ``checks``: name -> source of those that look for topics.

    Two looks name the same topic when ``SAME`` of its terms are the same, or all where it has fewer; what has no terms
    is told by its first example.
    """
    found: dict[tuple[str, str], list[_Seen]] = {}
    for look, topics in store.history.with_topics(checks, span.start, span.until):
        known = found.setdefault((look.check, look.segment), [])
        for told in topics:
            same = next((each for each in known if _same(each, told)), None)
            if same is None:
                known.append(_Seen(look, told, look.at, look.at))
            else:
                same.again(look, told)
    every = [each for known in found.values() for each in known]
    every.sort(key=lambda each: (-each.share, each.largest.check, each.largest.segment, each.first))
    return tuple(_topics(store, checks, every[:MOST], span, shows))


def _same(seen: _Seen, told: Mapping[str, Any]) -> bool:
    terms = frozenset(told.get("terms", ()))
    if not terms or not seen.terms:
        return bool(set(seen.told.get("examples", ())) & set(told.get("examples", ())))
    return len(terms & seen.terms) >= min(SAME, len(terms), len(seen.terms))


def _topics(
    store: Store, sources: Mapping[str, str], seen: Collection[_Seen], span: Span, shows: bool
) -> Iterator[Topic]:
    for each in seen:
        look, told = each.largest, each.told
        names = [str(name) for name in told.get("examples", ())][:EXAMPLES]
        texts = _texts(store, sources[look.check], names, span) if shows else {}
        yield Topic(
            check=look.check,
            segment=look.segment,
            words=tuple(map(str, told.get("terms", ()))) if shows else (),
            share=rate(round(each.share * look.n), look.n),
            before=rounded(float(told.get("before", 0.0))) or 0.0,
            first=each.first,
            last=each.last,
            looks=each.looks,
            examples=tuple(Example(name, texts.get(name, "")) for name in names),
        )


def _texts(store: Store, source: str, names: Collection[str], span: Span) -> dict[str, str]:
    """query_id -> text, redacted, of those that are still in the sample as they were asked before the week's end."""
    seen = store.traffic.observations(source, names)
    return {name: redact(each.text)[:LONGEST] for name, each in seen.items() if each.at < span.until}
