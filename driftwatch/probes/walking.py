"""Which entries a run looks at: what is new first, then the next ones of a walk that misses none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from driftwatch.probes.believed import Believed
from driftwatch.probes.contents import Listing, Several, Walk, find_keys, list_all
from driftwatch.probes.sketch import Sketch

if TYPE_CHECKING:
    from driftwatch.probes.index import Run

QUICK = 0.05
"""Of `seconds`: an index that is listed faster than that is listed at every run."""
QUEUE_BYTES, FIRST_BYTES = 16_000, 6_000
"""Of ids that are kept from run to run."""
NEW = 0.75
"""At most so much of a sample is new entries: the walk goes on whatever comes in."""


@dataclass
class Chosen:
    """Who is asked in this run."""

    again: list[str] = field(default_factory=list)
    """Suspects, and some of those that are known to be bad."""
    known: list[str] = field(default_factory=list)
    """The rest of those."""
    first: list[str] = field(default_factory=list)
    """New entries."""
    walk: list[str] = field(default_factory=list)
    further: list[str] = field(default_factory=list)
    """What comes next, where the sample has to grow."""
    several: Several = field(default_factory=Several)
    unlisted: str = ""
    """Why there is no list although it was due."""
    unable: str = ""
    used: Callable[[list[str]], None] = lambda _: None
    """Is told which of ``walk`` and ``further`` were looked at."""


def walk_on(run: Run) -> tuple[Chosen, Listing | None]:
    """Choose entries, after listing them where that is due; None: they were not listed in this run.

    Raises:
        RetrieverError: the index could not be asked.
    """
    index, settings = run.target.index, run.settings
    assert index is not None
    if "ids" not in index.capabilities:
        return Chosen(unable=f"'{index.kind}' cannot list what it holds"), None
    kept = dict(run.former.get("walk", {}))
    due = _is_due(run, kept)
    listing = _list(run, kept) if due else None
    run.state["walk"] = kept
    believed = Believed.read(run.former.get("vectors", {}))
    half = max(1, settings.documents // 2)
    again = believed.asked_again(half)
    texts = Believed.read(run.former.get("texts", {})).asked_again(half)
    new = [each for each in kept.get("first", []) if each not in believed.suspects and each not in believed.known]
    first = new[: max(1, int(NEW * settings.documents))]
    kept["first"] = new[len(first) :]
    taken = set(first)
    queue = [each for each in kept.get("queue", []) if each not in taken]
    kept["queue"] = within(queue, QUEUE_BYTES)
    size = settings.documents - len(first)
    chosen = Chosen(
        list(dict.fromkeys([*again, *texts])),
        [each for each in believed.known if each not in again],
        first,
        queue[:size],
        queue[size : size + settings.most_documents],
        Several.read(kept.get("in parts")),
        _why_unlisted(run) if due and listing is None else "",
    )
    chosen.used = lambda entries: _advance(kept, entries)
    return chosen, listing


def _is_due(run: Run, kept: dict[str, Any]) -> bool:
    if "listed" not in kept or len(kept.get("queue", [])) < run.settings.documents:
        return True
    since = run.now - datetime.fromisoformat(kept["listed"])
    unsettled = any(run.former.get(name) for name in ("missing documents", "orphans"))
    if unsettled and since >= run.settings.lag:
        return True
    return since >= run.settings.list_every or float(kept.get("took", 0.0)) < QUICK * run.settings.seconds


def _list(run: Run, kept: dict[str, Any]) -> Listing | None:
    """Read the list; ``kept`` is what the next runs go on with."""
    index, corpus = run.target.index, run.target.corpus
    assert index is not None
    walk = Walk(int(kept.get("round", 0)), int(kept.get("after", -1)))
    began = run.took
    wanted = max(2 * run.settings.most_documents, run.settings.documents)
    listing = list_all(index, corpus, walk, wanted, run.go_on)
    if listing is None:
        return None
    if not listing.ahead and listing.entries:
        # The next round begins; where there is no time left to find its first entries, at the next run.
        walk = Walk(walk.seed + 1)
        listing = list_all(index, corpus, walk, wanted, run.go_on) or listing
    former = Sketch.read(kept.get("sketch"))
    difference = listing.sketch.came_and_left(former) if former is not None else None
    if difference is not None and len(difference[0]):
        came = find_keys(index, corpus, difference[0], run.settings.most_documents, run.go_on)
        kept["first"] = within(list(dict.fromkeys([*kept.get("first", []), *came])), FIRST_BYTES)
    kept |= {
        "round": walk.seed,
        "after": walk.after,
        "queue": list(listing.ahead),
        "listed": run.now.isoformat(),
        "took": round(run.took - began, 3),
        "sketch": listing.sketch.dump(),
        "in parts": listing.several.dump(),
        "entries": listing.entries,
    }
    return listing


def _why_unlisted(run: Run) -> str:
    if run.target.stopping():
        return "it was being stopped"
    return f"the list of what it holds could not be read within {run.settings.seconds:g} seconds: raise 'seconds'"


def _advance(kept: dict[str, Any], entries: list[str]) -> None:
    """These were looked at: the walk goes on behind them."""
    done = set(entries)
    walk = Walk(int(kept.get("round", 0)), int(kept.get("after", -1)))
    kept["after"] = max([walk.after, *map(walk.place, entries)])
    kept["queue"] = [each for each in kept.get("queue", []) if each not in done]


def within(names: list[str] | tuple[str, ...], size: int) -> list[str]:
    """As many of the first names as fit."""
    found: list[str] = []
    for name in names:
        size -= len(name.encode("utf-8", "replace")) + 4
        if size < 0:
            break
        found.append(name)
    return found
