"""The canaries: which find what they look for, which no longer do, which come and go, and what each was answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from driftwatch.pages import drawing
from driftwatch.pages.drawing import SECOND, Figure, Frame
from driftwatch.pages.rendering import NOBODY, Viewer, ordered, render, segment
from driftwatch.privacy import redact
from driftwatch.show import at as shown_at
from driftwatch.show import number
from driftwatch.store.ranks import MISSED, ROT, UNASKED, Ranks, one_a_day, spread
from driftwatch.windows import Learning, Windows

if TYPE_CHECKING:
    from driftwatch.config import Watch
    from driftwatch.store import Store
    from driftwatch.types import Observation, Run

DAYS = timedelta(days=14)
"""How far back the small lines reach."""
OF_THE_BASELINE = 7
"""Runs that say what is usual."""
FELL = 3
"""Ranks that a canary must lose to be named, where it still finds its document."""
FLICKERS = 3
"""Changes between found and missed, of which one or two are a fault and its end."""
A_PAGE = 100
HOURLY = timedelta(days=2)
"""How far back more than one run of a day is drawn."""
OLD_APART, NEWEST_APART = timedelta(days=3), timedelta(hours=2)
"""Of the runs that one canary is drawn with: those of before two weeks, and those of the last two days."""
NEW_APART = timedelta(hours=5)
"""Of these days' runs in a list: what comes and goes within a day shows, too."""
LONGEST = timedelta(days=90)

ORDER = ("lost", "fell", "rot", "unasked", "flicker", "gained", "steady")
WORDS = {
    "lost": "found before, and not now",
    "fell": "found lower down",
    "rot": "its documents have left the index",
    "unasked": "could not be asked",
    "flicker": "comes and goes",
    "gained": "found now, and not before",
    "steady": "as usual",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One canary."""

    query_id: str
    lang: str
    state: str
    now: str
    usual: str
    spark: Markup
    path: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which canaries are asked for; empty: all of them."""

    source: str = ""
    lang: str = ""
    state: str = ""
    page: int = 1


EVERY = Chosen()


def render_canaries(
    watch: Watch,
    store: Store,
    viewer: Viewer = NOBODY,
    chosen: Chosen = EVERY,
) -> str:
    """The canaries of one source, the worst first."""
    sources = [name for name, each in watch.sources.items() if each.gives == "runs"]
    source = chosen.source if chosen.source in sources else next(iter(sources), "")
    newest = store.canaries.latest(source) if source else None
    rows = list(_rows(watch, store, source, newest)) if newest is not None else []
    counts = {name: sum(row.state == name for row in rows) for name in ORDER}
    found = [row for row in rows if chosen.lang in ("", row.lang) and chosen.state in ("", row.state)]
    pages = -(-len(found) // A_PAGE)
    page = min(max(chosen.page, 1), max(pages, 1))
    return render(
        "canaries.html",
        watch,
        viewer,
        "Canaries",
        source=source,
        sources=sources,
        newest=newest,
        counts=[(name, WORDS[name], count) for name, count in counts.items()],
        langs=ordered(list({row.lang for row in rows})),
        lang=chosen.lang,
        state=chosen.state,
        total=len(found),
        rows=_with_texts(watch, newest, found[(page - 1) * A_PAGE : page * A_PAGE]),
        page=page,
        pages=pages,
        partly=_partly_gone(newest),
    )


def render_canary(watch: Watch, store: Store, source: str, query_id: str, viewer: Viewer = NOBODY) -> str | None:
    """One canary: its rank over time, and what came back last; None: there is none of that name."""
    newest = store.canaries.latest(source) if source in watch.sources else None
    seen = next((each for each in newest.observations if each.query_id == query_id), None) if newest else None
    if newest is None or seen is None:
        return None
    runs = _of_one(store, source, newest.at)
    usual = _usual(watch, store, source, newest.at).get(query_id)
    row = _row(query_id, runs, usual, source)
    figure = _figure(watch, query_id, runs, usual, f"v1/canaries/{segment(source)}/{segment(query_id)}")
    return render(
        "canary.html",
        watch,
        viewer,
        "Canaries",
        source=source,
        row=_with_texts(watch, newest, [row])[0],
        words=WORDS[row.state],
        seen=seen,
        at=newest.at,
        figure=figure,
        hits=list(_hits(seen)),
        missing=[doc_id for doc_id, grade in seen.relevant.items() if grade > 0 and doc_id not in _found(seen)],
        gone=newest.gone,
    )


def canary_data(store: Store, source: str, query_id: str) -> dict[str, Any] | None:
    """The ranks of one canary for the script and for programs; None: it was never asked."""
    newest = store.canaries.latest(source)
    if newest is None:
        return None
    runs = [run for run in _of_one(store, source, newest.at) if query_id in run.rank]
    ranks = [run.rank[query_id] for run in runs]
    if not runs:
        return None
    return {
        "source": source,
        "query_id": query_id,
        "at": [run.at for run in runs],
        "rank": [rank if rank > 0 else None for rank in ranks],
        "state": [_name(rank) for rank in ranks],
    }


# --- what becomes of each -----------------------------------------------------------------------------------------


def _rows(watch: Watch, store: Store, source: str, newest: Run) -> Iterator[Row]:
    times = store.ranks.times(source, newest.at - DAYS)
    new = [each for each in times if each[0] > newest.at - HOURLY]
    runs = store.ranks.of(list(dict.fromkeys([*one_a_day(times), *spread(new, NEW_APART), newest.run_id])))
    usual = _usual(watch, store, source, newest.at)
    found = [_row(query_id, runs, usual.get(query_id), source) for query_id in runs[-1].rank]
    yield from sorted(found, key=lambda row: (ORDER.index(row.state), row.lang, row.query_id))


def _usual(watch: Watch, store: Store, source: str, now: datetime) -> dict[str, int]:
    """query_id -> its median rank in the baseline, ``MISSED`` where it mostly was not found."""
    known = Windows(store, watch, learns=False).baseline(source, "runs", now)
    if isinstance(known, Learning):
        return {}
    times = [each for each in store.ranks.times(source, known.start) if each[0] < known.end]
    runs = store.ranks.of(spread(times, (known.end - known.start) / OF_THE_BASELINE))
    return {name: _median([run.rank[name] for run in runs if name in run.rank]) for run in runs for name in run.rank}


def _median(ranks: Sequence[int]) -> int:
    asked = [rank for rank in ranks if rank not in (UNASKED, ROT)]
    found = [rank for rank in asked if rank != MISSED]
    return median_low(found) if found and 2 * len(found) >= len(asked) else MISSED


def _row(query_id: str, runs: Sequence[Ranks], usual: int | None, source: str) -> Row:
    ranks = [run.rank.get(query_id, UNASKED) for run in runs]
    return Row(
        query_id=query_id,
        lang=next((run.lang[query_id] for run in reversed(runs) if query_id in run.lang), ""),
        state=_state(ranks, usual),
        now=_name(ranks[-1]),
        usual="–" if usual is None else _name(usual),
        spark=drawing.sparkline(_depth(ranks)),
        path=f"canaries/{segment(source)}/{segment(query_id)}",
    )


def _state(ranks: Sequence[int], usual: int | None) -> str:
    now = ranks[-1]
    if now == ROT:
        return "rot"
    if now == UNASKED:
        return "unasked"
    asked = [rank > MISSED for rank in ranks if rank not in (UNASKED, ROT)]
    if sum(before != after for before, after in pairwise(asked)) >= FLICKERS:
        return "flicker"
    if usual is None:
        return "steady"
    if usual > MISSED and now == MISSED:
        return "lost"
    if usual == MISSED and now > MISSED:
        return "gained"
    return "fell" if now - usual >= FELL else "steady"


def _depth(ranks: Sequence[int]) -> Any:
    """Up is better: 1 for the first rank, less for each further one, 0 for a miss; nothing where nobody could ask."""
    return np.array([np.nan if rank in (UNASKED, ROT) else 1 / rank if rank else 0.0 for rank in ranks])


def _name(rank: int) -> str:
    return {MISSED: "missed", UNASKED: "not asked", ROT: "gone"}.get(rank, str(rank))


def _with_texts(watch: Watch, newest: Run | None, rows: Sequence[Row]) -> list[Row]:
    """With what was asked, redacted; the query_id where texts are not shown."""
    shows = watch.privacy.show_queries and newest is not None
    texts = {seen.query_id: seen.text for seen in newest.observations} if shows and newest is not None else {}
    return [replace(row, text=redact(texts.get(row.query_id, "")) or row.query_id) for row in rows]


def _partly_gone(newest: Run | None) -> int:
    """Canaries that lost some of their documents, and are judged by the others."""
    if newest is None or not newest.gone:
        return 0
    rights = [
        {d for d, grade in seen.relevant.items() if grade > 0} for seen in newest.observations if not seen.attempt
    ]
    return sum(bool(right & newest.gone) and not right <= newest.gone for right in rights)


# --- one of them --------------------------------------------------------------------------------------------------


def _of_one(store: Store, source: str, now: datetime) -> list[Ranks]:
    """Runs of the last months, the denser the newer they are."""
    times = store.ranks.times(source, now - LONGEST)
    older = [each for each in times if each[0] <= now - DAYS]
    new = [each for each in times if each[0] > now - HOURLY]
    chosen = [*spread(older, OLD_APART), *one_a_day(each for each in times if each[0] > now - DAYS)]
    return store.ranks.of(list(dict.fromkeys([*chosen, *spread(new, NEWEST_APART)])))


def _figure(watch: Watch, query_id: str, runs: Sequence[Ranks], usual: int | None, source: str) -> Figure:
    ranks = [run.rank.get(query_id, UNASKED) for run in runs]
    deepest = max([10, *ranks])
    at = np.array([run.at.timestamp() * SECOND for run in runs])
    frame = Frame((float(at[0]), float(at[-1])), (deepest + 1.6, 0.5), 240)
    height = np.array([np.nan if rank in (UNASKED, ROT) else rank or deepest + 1 for rank in ranks], dtype=np.float64)
    parts = [drawing.days(frame, watch.zone)]
    for rank in (1, *range(5, deepest + 1, 5)):
        y = float(frame.up(rank))
        across = f"M{frame.left} {y:.1f}H{drawing.WIDTH - drawing.RIGHT}"
        parts.append(drawing.line("axis", across) + drawing.words(frame.left - 6, y + 4, str(rank), "", "end"))
    parts.append(drawing.words(frame.left - 6, float(frame.up(deepest + 1)) + 4, "none", "", "end"))
    if usual:
        parts.append(drawing.level(frame, "normal", usual, "usual"))
    x = frame.across(at)
    parts.append(drawing.line("now", drawing.steps(x, frame.up(height))))
    caption = f"The rank of the first right document, 1 on top: {_name(ranks[-1])} now"
    caption += f", usually {_name(usual)}." if usual is not None else "."
    rows = [(shown_at(run.at, watch.timezone), _name(rank)) for run, rank in zip(runs, ranks, strict=True)]
    svg = drawing.chart(frame, caption, *parts)
    return Figure("Rank over time", caption, svg, "rank", source, ("run", "rank"), rows[::-1])


def _found(seen: Observation) -> set[str]:
    return {hit.doc_id for hit in seen.hits or ()}


def _hits(seen: Observation) -> Iterator[tuple[int, str, str, bool]]:
    """(rank, document, score, whether it is right)."""
    for rank, hit in enumerate(seen.hits or (), start=1):
        yield rank, hit.doc_id, number(hit.score), seen.relevant.get(hit.doc_id, 0) > 0
