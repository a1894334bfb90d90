"""`canaries show`, `canaries coverage` and `canaries propose`: how the canaries are, and where more are needed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftwatch.commands import opened, say
from driftwatch.errors import DriftwatchError
from driftwatch.show import at, now_utc, number, table

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.commands._live import Live
    from driftwatch.config import Watch
    from driftwatch.coverage import Coverage
    from driftwatch.store import Store

CLUSTERS_SHOWN = 5
"""Of each language."""


# --- show ----------------------------------------------------------------------------------------------------------


def show(config: Path, source: str, days: int, *, every: bool, json: bool) -> None:
    """Print the state of each canary, by its stored runs."""
    with opened(config) as (watch, store):
        content = {name: _states(watch, store, name, days) for name in _of_runs(watch, source)}
    rows = [
        (name, each["state"], each["lang"], each["query_id"], _rank(each), at(each["since"], watch.timezone))
        for name, kept in content.items()
        for each in kept["canaries"]
        if every or each["state"] != "live"
    ]
    counts = [f"{name}: {_counted(kept['counts'])}" for name, kept in content.items()]
    columns = ("source", "state", "lang", "canary", "last rank", "since")
    say(json, {"sources": content}, *counts, *([table("", columns, rows)] if rows else []))


def _states(watch: Watch, store: Store, name: str, days: int) -> dict[str, Any]:
    from driftwatch.checks._states import care
    from driftwatch.checks.canary import Canary
    from driftwatch.stats.ir import Measure

    newest = store.canaries.latest(name)
    if newest is None:
        return care((), Measure("R", 10))
    judged = (check for check in watch.checks if isinstance(check, Canary) and check.source == name)
    measure = next((check.measure for check in judged), Measure("R", 10))
    runs = store.canaries.runs(name, newest.at - timedelta(days=days), newest.at + timedelta(seconds=1))
    return care(runs, measure)


def _of_runs(watch: Watch, source: str) -> list[str]:
    names = [name for name, each in watch.sources.items() if each.gives == "runs"]
    if source and source not in names:
        raise DriftwatchError(f"there is no source of canaries '{source}'.", remedy=f"There are: {', '.join(names)}.")
    if not names:
        raise DriftwatchError("there are no canaries.", remedy="Add a source with 'kind: canaries'.")
    return [source] if source else names


def _rank(state: dict[str, Any]) -> str:
    if state["unasked"]:
        return "not asked"
    return str(state["rank"]) if state["rank"] else "not found"


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "never asked"


# --- coverage ------------------------------------------------------------------------------------------------------


def coverage(config: Path, source: str, days: int, most: int, *, json: bool) -> None:
    """Print which share of the live queries has a canary nearby."""
    from driftwatch.commands._live import live_queries
    from driftwatch.coverage import coverage as covered
    from driftwatch.daemon import open_embedder

    with opened(config) as (watch, store):
        live = live_queries(watch, store, open_embedder(watch), source, days, most, now_utc())
        found = covered(live.points, live.canaries, live.texts)
        content = _coverage_json(found, live)
    say(json, content, _headline(content, live), *_coverage_tables(content), *live.notes)


def _coverage_json(found: Coverage, live: Live) -> dict[str, Any]:
    """What is printed; examples are redacted."""
    return {
        "covered": found.covered,
        "queries": found.n,
        "canaries": len(live.canaries),
        "notes": live.notes,
        "languages": [
            {
                "lang": part.lang,
                "share": part.share,
                "covered": part.covered,
                "queries": part.n,
                "canaries": part.canaries,
                "radius": part.radius,
                "clusters": [
                    {
                        "about": list(cluster.terms),
                        "share": cluster.share,
                        "covered": cluster.covered,
                        "queries": cluster.n,
                        "example": live.example(cluster.example),
                    }
                    for cluster in part.clusters
                ],
            }
            for part in found.languages
        ],
    }


def _headline(content: dict[str, Any], live: Live) -> str:
    return (
        f"{content['covered']:.0%} of the live queries have one of {content['canaries']} canaries nearby "
        f"({content['queries']} sampled sessions of {live.days} days)"
    )


def _coverage_tables(content: dict[str, Any]) -> list[Table]:
    languages = [
        (
            part["lang"],
            _percent(part["share"]),
            _percent(part["covered"]),
            str(part["canaries"]),
            number(part["radius"]),
        )
        for part in content["languages"]
    ]
    clusters = [
        (
            part["lang"],
            ", ".join(cluster["about"][:3]),
            _percent(cluster["share"]),
            _percent(cluster["covered"]),
            cluster["example"],
        )
        for part in content["languages"]
        for cluster in part["clusters"][:CLUSTERS_SHOWN]
        if cluster["covered"] < 1
    ]
    shown = [table("", ("lang", "share of traffic", "covered", "canaries", "radius"), languages)]
    if clusters:
        columns = ("lang", "about", "share of traffic", "covered", "example without a canary")
        shown.append(table("where canaries are missing", columns, clusters))
    return shown


def _percent(share: float) -> str:
    return f"{share:.1%}"


# --- propose -------------------------------------------------------------------------------------------------------


def propose(
    config: Path, out: Path, source: str, days: int, most: int, count: int, seed: int, *, unredacted: bool, json: bool
) -> None:
    """Write questions that would make good canaries, for a person to name their documents."""
    from driftwatch.commands._files import refuse_existing, write_lines
    from driftwatch.commands._live import live_queries
    from driftwatch.commands._proposals import proposals
    from driftwatch.daemon import open_embedder

    refuse_existing(out)
    with opened(config) as (watch, store):
        _refuse_without_texts(watch)
        live = live_queries(watch, store, open_embedder(watch), source, days, most, now_utc(), troubled=True)
        made = proposals(live, watch, count, seed, unredacted=unredacted)
    if made:
        write_lines(out, made)
    rows = [(each["lang"], each["text"], each["proposed"]["why"]) for each in made]
    said = f"{len(made)} questions in {out}: name the documents of each in 'relevant', and delete what is none."
    if not made:
        said = "Nothing is proposed: every live query that could be a canary has one nearby."
    columns = ("lang", "question", "why")
    content = {"out": str(out) if made else None, "proposed": made, "notes": live.notes}
    say(json, content, *([table("", columns, rows)] if rows else []), said, *live.notes)


def _refuse_without_texts(watch: Watch) -> None:
    if watch.privacy.keep_text == "hash":
        raise DriftwatchError(
            "nothing can be proposed: 'privacy.keep_text' is 'hash', so no question is known in its words.",
            remedy="See `driftwatch canaries coverage` for where canaries are missing, and write them yourself.",
        )
    if not watch.privacy.show_queries:
        raise DriftwatchError(
            "nothing can be proposed: 'privacy.show_queries' is false, so no question may be shown.",
            remedy="See `driftwatch canaries coverage` for where canaries are missing, and write them yourself.",
        )
