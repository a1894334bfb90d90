"""Comparisons of two retrievers as a dual run keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

from driftwatch.compare import Answers, compare
from driftwatch.compared import Comparison
from driftwatch.types import Query, Reply, ScoredDoc

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
LANGS = {"en": 200, "de": 100}
Counts = tuple[tuple[str, int], ...]


def canaries(langs: Mapping[str, int] = LANGS) -> list[Query]:
    """So many of each language; each has one relevant document."""
    return [
        Query(f"{lang}-{n}", f"{lang} question {n}", lang, {f"doc-{lang}-{n}": 1})
        for lang, count in langs.items()
        for n in range(count)
    ]


def replies(queries: list[Query], lost: Mapping[str, int] | None = None, failed: int = 0) -> list[Reply]:
    """Each finds its document, but for the first ``lost`` of each language; the last ``failed`` are not answered."""
    found = []
    for query in queries:
        lang, _, number = query.query_id.partition("-")
        gone = int(number) < (lost or {}).get(lang, 0)
        found.append(Reply((ScoredDoc("doc-xx"), *(() if gone else (ScoredDoc(f"doc-{lang}-{number}"),)))))
    return found[: len(found) - failed] + [Reply(None, error="connection refused")] * failed


def comparison(
    at: datetime,
    lost: Mapping[str, int] | None = None,
    *,
    old_lost: Mapping[str, int] | None = None,
    failed: int = 0,
    langs: Mapping[str, int] = LANGS,
) -> Comparison:
    """One asking of both, in which the new side lost documents of the first canaries of some languages."""
    settings = (tuple((each or {}).items()) for each in (lost, old_lost, langs))
    return replace(_comparison(*settings, failed), at=at)


@cache
def _comparison(lost: Counts, old_lost: Counts, langs: Counts, failed: int) -> Comparison:
    asked = canaries(dict(langs))
    old = Answers("retriever", replies(asked, dict(old_lost)), [])
    new = Answers("migration", replies(asked, dict(lost), failed), [])
    return compare(old, new, asked, [], MONDAY)


def days(count: float, lost: Mapping[str, int] | None = None, start: datetime = MONDAY) -> tuple[Comparison, ...]:
    """Comparisons every six hours, as many as that many days hold, and one more."""
    return tuple(comparison(start + timedelta(hours=6 * n), lost) for n in range(int(4 * count) + 1))
