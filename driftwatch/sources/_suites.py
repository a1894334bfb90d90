"""A canary suite: the queries, what they hash to, and what is worth knowing about them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftwatch.errors import SourceError
from driftwatch.language import primary_subtag
from driftwatch.sources._canary_lines import Place, Problems
from driftwatch.types import Query

MOST_QUERIES = 100_000
FEW = 20
"""Below this many canaries a language's recall moves by more than five points when one flips."""

_NAMED = 3
"""Examples in a note."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The canaries of one source as they stand in its files now."""

    queries: tuple[Query, ...]
    """In the order of the files."""
    digest: str
    """Of the queries' ids and digests, whatever their order."""
    notes: tuple[str, ...] = ()
    """What is allowed and still worth knowing, a sentence each."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One canary and where it stands."""

    query: Query
    place: Place


def canary(
    query_id: str,
    text: str,
    lang: str,
    relevant: Mapping[str, int],
    expect_empty: bool = False,
    tags: tuple[str, ...] = (),
) -> Query:
    """A query with its digest: of the text, the language and what is expected; not of its id and tags."""
    asked = json.dumps([text, lang, sorted(relevant.items()), expect_empty], ensure_ascii=False)
    return Query(query_id, text, lang, dict(relevant), expect_empty, tags, _digest(asked))


def language(tag: object, otherwise: str, place: Place, problems: Problems) -> str:
    """The primary subtag of a canary's ``lang``; ``otherwise`` when it has none."""
    if tag is None:
        return otherwise
    try:
        return primary_subtag(str(tag))
    except ValueError as error:
        problem, _, remedy = str(error).partition(". ")
        problems.add(place, f"{problem}.", remedy)
        return otherwise


def refuse_too_many(count: int) -> None:
    """Raises SourceError above 100,000 queries."""
    if count > MOST_QUERIES:
        raise SourceError(
            f"there are more than {MOST_QUERIES:,} canaries, and every run asks each of them.",
            remedy="Keep some hundreds a language.",
        )


def suite(entries: Iterable[Entry], problems: Problems, notes: Iterable[str] = ()) -> Suite:
    """Everything that was read, as one suite.

    Raises:
        SourceError: every problem of every file, up to twenty; or no canary at all; or too many.
    """
    first: dict[str, Entry] = {}
    for entry in entries:
        if not _is_text(entry.query):
            remedy = "Write each character whole, or leave it out."
            problems.add(entry.place, "a text or an id holds half of a surrogate pair.", remedy)
        earlier = first.setdefault(entry.query.query_id, entry)
        if earlier is not entry:
            problem = f"the query_id '{entry.query.query_id}' is also at {earlier.place}."
            problems.add(entry.place, problem, "Give each canary an id of its own.")
        refuse_too_many(len(first))
    problems.raise_any()
    if not first:
        raise SourceError("the canary files hold no canary.", remedy="Write at least one question with its documents.")
    queries = tuple(entry.query for entry in first.values())
    digest = _digest("\n".join(sorted(f"{query.query_id}\t{query.digest}" for query in queries)))
    return Suite(queries, digest, (*notes, *_twins(first.values()), *_few(queries), *_pointless(queries)))


def _is_text(query: Query) -> bool:
    """Whether it can be asked and kept: JSON can say what no service and no database takes."""
    try:
        "".join([query.query_id, query.text, *query.relevant, *query.tags]).encode()
    except UnicodeEncodeError:
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _twins(entries: Iterable[Entry]) -> list[str]:
    """Canaries that ask the same thing: they are one piece of evidence, counted twice."""
    first: dict[tuple[str, str], Entry] = {}
    twins = []
    for entry in entries:
        asked = (entry.query.lang, " ".join(entry.query.text.casefold().split()))
        if (earlier := first.setdefault(asked, entry)) is not entry:
            twins.append(f"{earlier.query.query_id} and {entry.query.query_id}")
    return (
        [f"{_times(len(twins), 'canary repeats', 'canaries repeat')} another's text: {_some(twins)}"] if twins else []
    )


def _few(queries: Iterable[Query]) -> list[str]:
    few = [f"{lang} {count}" for lang, count in sorted(Counter(query.lang for query in queries).items()) if count < FEW]
    return [f"fewer than {FEW} canaries, so only large changes will show, in: {_some(few)}"] if few else []


def _pointless(queries: Iterable[Query]) -> list[str]:
    """Judged, and nothing relevant: recall is not defined, and they are left out of it."""
    empty = [q.query_id for q in queries if not q.expect_empty and not any(grade > 0 for grade in q.relevant.values())]
    return (
        [f"{_times(len(empty), 'canary has', 'canaries have')} no relevant document: {_some(empty)}"] if empty else []
    )


def _times(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
