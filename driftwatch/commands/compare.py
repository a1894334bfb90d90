"""`compare`: two retrievers, indexes or models side by side, now; or the kept trend of a dual run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from driftwatch.commands import opened, say
from driftwatch.commands._files import refuse_existing, write_whole
from driftwatch.compared import ALL, Comparison, Disagreement, Measured, Share
from driftwatch.errors import DriftwatchError
from driftwatch.show import now_utc, table

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.config import Watch
    from driftwatch.sidebyside import Drawn, Party
    from driftwatch.store import Store
    from driftwatch.types import Query

LONG_AGO, FAR_AHEAD = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
SHOWN = 10
"""Queries that a table names."""


def compare(
    config: Path,
    old: str,
    new: str,
    *,
    k: int,
    count: int,
    source: str,
    canaries: str,
    section: Path | None,
    json: bool,
) -> int:
    """Ask both sides, and print what they have in common and which finds more; 3 when nothing could be compared."""
    from driftwatch.compare import section as section_of
    from driftwatch.compare import verdict
    from driftwatch.sidebyside import ask_both

    now = now_utc()
    if section is not None:
        refuse_existing(section)
    with opened(config) as (watch, store):
        left, right = party(watch, old), party(watch, new)
        if left.name == right.name:  # of two folders
            left, right = replace(left, name=old), replace(right, name=new)
        live = _live(watch, store, source, count)
        known = _canaries(watch, canaries)
        _progress(f"asking {left.name} and {right.name} {len(known)} canaries and {len(live.queries)} queries …")
        notes = [] if known else ["there are no canaries: nothing says which side is right"]
        try:
            found = ask_both(left, right, known, live, now, k=k, show_queries=watch.privacy.show_queries, notes=notes)
        finally:
            for side in (left, right):
                side.retriever.close()
    assert found is not None
    if section is not None:
        write_whole(section, section_of(found).encode("utf-8", "replace"))
    say(json, {"comparison": as_content(found), "verdict": verdict(found)}, verdict(found), *tables(found))
    return 0 if found.canaries or found.queries else 3


def trend(config: Path, named: str, *, json: bool) -> None:
    """Print what a dual run has found, a row a day and measure."""
    with opened(config) as (watch, store):
        source = _dual_run(watch, named)
        days = trend_of(store, source)
    if not days:
        raise DriftwatchError(f"'{source}' has compared nothing yet.", remedy="`driftwatch run` asks both sides.")
    rows = [row for day in days for row in _trend_rows(day)]
    columns = ("day", "runs", "language", "measure", "old", "new", "change", "95 % interval", "canaries", "overlap")
    say(json, {"source": source, "days": [asdict(day) for day in days]}, table(f"trend of {source}", columns, rows))


def _dual_run(watch: Watch, named: str) -> str:
    runs = [name for name, source in watch.sources.items() if source.gives == "comparisons"]
    if named not in runs if named else len(runs) != 1:
        problem = f"'{named}' is no dual run." if named else f"there are {len(runs)} dual runs."
        raise DriftwatchError(problem, remedy=f"Name one of: {', '.join(runs) or 'none is configured'}.")
    return named or runs[0]


def party(watch: Watch, named: str) -> Party:
    """One side: `retriever`, `index`, a dual run of the configuration, or a YAML file with one retriever.

    Raises:
        DriftwatchError: it is none of them, or the file is wrong.
    """
    from driftwatch.config.loading import load_retriever
    from driftwatch.sidebyside import Party, embedder_of

    section = getattr(watch, named) if named in ("retriever", "index") else None
    if section is not None:
        return Party(named, section, embedder_of(None, watch))
    if (source := watch.sources.get(named)) is not None and source.gives == "comparisons":
        own = cast("Any", source)
        return Party(named, own.retriever, embedder_of(own.embedder, watch))
    if not Path(named).is_file():
        raise DriftwatchError(f"there is nothing called '{named}' to ask.", remedy=_known(watch))
    retriever, embedder = load_retriever(Path(named))
    return Party(Path(named).stem, retriever, embedder_of(embedder, watch))


def _known(watch: Watch) -> str:
    named = [name for name in ("retriever", "index") if getattr(watch, name) is not None]
    named += [name for name, source in watch.sources.items() if source.gives == "comparisons"]
    return f"There are: {', '.join(named) or 'none'}; or name a YAML file that holds one retriever."


def _canaries(watch: Watch, named: str) -> tuple[Query, ...]:
    """The canaries of one source, or of all of them; what is asked twice is one piece of evidence."""
    sources = {name: source for name, source in watch.sources.items() if source.gives == "runs"}
    if named and named not in sources:
        raise DriftwatchError(f"'{named}' is no source of canaries.", remedy=f"There are: {', '.join(sources)}.")
    chosen = [sources[named]] if named else list(sources.values())
    queries = [query for source in chosen for query in cast("Any", source).load(watch.base).queries]
    return tuple({query.digest: query for query in queries}.values())


def _live(watch: Watch, store: Store, named: str, count: int) -> Drawn:
    from driftwatch.sidebyside import Drawn, draw_live

    sources = [name for name, source in watch.sources.items() if source.gives == "traffic"]
    if named and named not in sources:
        raise DriftwatchError(f"'{named}' is no source of queries.", remedy=f"There are: {', '.join(sources)}.")
    if not named and len(sources) > 1 and count:
        raise DriftwatchError("there are several sources of queries.", remedy=f"Add --source {' or '.join(sources)}.")
    if not sources:
        return Drawn(note="sampled queries were not asked: there is no source of them")
    return draw_live(store, named or sources[0], watch.privacy.keep_text, now_utc(), count)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


# --- what is shown -------------------------------------------------------------------------------------------------


def as_content(found: Comparison) -> dict[str, Any]:
    """A comparison as JSON: everything but the canaries one by one."""
    content = asdict(found)
    del content["paired"]
    for rows in content["canaries"].values():
        for row in rows:
            row["difference"] = row["new"] - row["old"]
    return content


def tables(found: Comparison) -> list[Table | str]:
    """What a person reads."""
    shown: list[Table | str] = [_sides(found)]
    if found.canaries:
        shown.append(_measures(found))
    if found.queries:
        shown.append(_likeness(found))
    if found.differ_most:
        shown.append(_disagreements(found))
    return [*shown, *(f"note: {note}" for note in found.notes)]


def _sides(found: Comparison) -> Table:
    rows = [
        (
            role,
            side.name,
            str(side.asked),
            str(side.empty),
            _reasons(side.unasked),
            f"{side.latency_ms:.1f} ms" if side.latency_ms is not None else "",
        )
        for role, side in (("old", found.old), ("new", found.new))
    ]
    return table("", ("", "retriever", "asked", "found nothing", "could not be asked", "median latency"), rows)


def _reasons(unasked: Mapping[str, int]) -> str:
    return "; ".join(f"{count}: {reason}" for reason, count in unasked.items())


def _measures(found: Comparison) -> Table:
    rows = [
        (*_cells(lang, each), str(each.better), str(each.worse), str(each.n))
        for lang, measures in found.canaries.items()
        for each in measures
    ]
    columns = ("language", "measure", "old", "new", "change", "95 % interval", "better", "worse", "canaries")
    return table("canaries, paired", columns, rows)


def _likeness(found: Comparison) -> Table:
    rows = [
        (lang, *(_share(share) for share in (each.overlap, each.jaccard, each.rbo, each.top1)), str(each.n))
        for lang, each in found.queries.items()
    ]
    columns = ("language", f"overlap@{found.k}", f"Jaccard@{found.k}", "rank-biased overlap", "same first", "queries")
    return table("sampled queries", columns, rows)


def _share(share: Share) -> str:
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"


def _disagreements(found: Comparison) -> Table:
    rows = [
        (each.query_id, each.lang, each.text, f"{each.alike:.2f}", _answer(each.old), _answer(each.new), _ranks(each))
        for each in found.differ_most[:SHOWN]
    ]
    columns = ("query", "language", "text", "alike", f"{found.old.name} says", f"{found.new.name} says", "expected at")
    return table("they disagree most about", columns, rows)


def _answer(doc_ids: Sequence[str]) -> str:
    return ", ".join(doc_ids) or "nothing"


def _ranks(each: Disagreement) -> str:
    if each.asked_as != "canary":
        return ""
    return f"{each.old_rank or 'not found'} → {each.new_rank or 'not found'}"


# --- the trend of a dual run ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Day:
    """What one day of a dual run found."""

    day: str
    runs: int
    canaries: Mapping[str, tuple[Measured, ...]]
    """Language, or `all` -> each measure; every canary once, with its mean over the runs of the day."""
    overlap: float | None
    """Mean over the runs, of the sampled queries of every language."""
    top1: float | None
    unasked: tuple[int, int]
    """Questions that the old, and the new side could not be asked."""


def trend_of(store: Store, source: str) -> list[Day]:
    """Every kept day of a dual run, oldest first, in UTC."""
    from driftwatch.migration import kept_comparisons

    kept = kept_comparisons(store, source, LONG_AGO, FAR_AHEAD)
    return [_day(day, list(runs)) for day, runs in groupby(kept, lambda each: f"{each.at:%Y-%m-%d}")]


def _day(day: str, runs: list[Comparison]) -> Day:
    from driftwatch.checks._paired import languages, measured, pooled

    paired = pooled(runs)
    likeness = [run.queries[ALL] for run in runs if ALL in run.queries]
    return Day(
        day,
        len(runs),
        {lang: found for lang in (ALL, *languages(paired)) if (found := measured(paired, lang))},
        fmean(each.overlap.value for each in likeness) if likeness else None,
        fmean(each.top1.value for each in likeness) if likeness else None,
        (sum(run.old.failed for run in runs), sum(run.new.failed for run in runs)),
    )


def _trend_rows(day: Day) -> Iterator[tuple[str, ...]]:
    overlap = "" if day.overlap is None else f"{day.overlap:.3f}"
    if not day.canaries:
        yield (day.day, str(day.runs), *[""] * 7, overlap)
    for lang, measures in day.canaries.items():
        for each in measures:
            first = lang == ALL and each is measures[0]
            head = (day.day, str(day.runs)) if first else ("", "")
            yield (*head, *_cells(lang, each), str(each.n), overlap if first else "")


def _cells(lang: str, each: Measured) -> tuple[str, ...]:
    interval = f"{each.low:+.3f} to {each.high:+.3f}"
    return lang, each.measure, f"{each.old:.3f}", f"{each.new:.3f}", f"{each.difference:+.3f}", interval
