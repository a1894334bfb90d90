"""`probe`: the experiment of what broke, made now and printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from driftwatch.commands import opened, say
from driftwatch.errors import ConfigError
from driftwatch.show import now_utc, safe, table
from driftwatch.types import Cell, Contrast, Experiment

if TYPE_CHECKING:
    from rich.table import Table

    from driftwatch.config import Watch
    from driftwatch.stats.ir import Measure

WORSE, NOTHING = 1, 3
"""Exit codes: some step certainly loses, and enough to matter; nothing could be compared, or the service is silent."""

FLIPS_SHOWN = 20
TEXT_SHOWN = 60


def probe(config: Path, measure: str, documents: int, seconds: float, source: str, *, json: bool) -> int:
    """Make the experiment and print it; nothing is written."""
    from driftwatch.daemon import open_embedder
    from driftwatch.probes.experiment import run
    from driftwatch.targets import canary_source, target_of

    now = now_utc()
    with opened(config) as (watch, store):
        name = canary_source(watch, source or None)
        measured = measure_of(watch, measure, name)
        target = target_of(watch, store, open_embedder(watch), now=now, source=name)
        try:
            found = run(target, measure=measured, now=now, documents=documents, seconds=seconds)
        finally:
            for retriever in (watch.retriever, watch.index):
                if retriever is not None:
                    retriever.close()
    texts = {query.query_id: query.text for query in target.canaries}
    say(json, {"service": watch.service, "source": name, "experiment": found}, *shown(found, texts))
    return exit_code(found)


def measure_of(watch: Watch, text: str, source: str | None) -> Measure:
    """The measure that is called ``text``; without one, that of the first check of these canaries, else R@10.

    Raises:
        ConfigError: there is no such measure.
    """
    from driftwatch.stats.ir import Measure

    judged = (getattr(check, "measure", "") for check in watch.checks if check.source == source)
    try:
        return Measure.parse(text or next((each for each in judged if each), "R@10"))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def exit_code(found: Experiment) -> int:
    """1 when some step certainly loses, and so much that a diagnosis would name it; 3 when nothing could be compared.

    3 too when the service answered none of the canaries: its own steps are among those that could not be compared.
    """
    from driftwatch.case import LOSES
    from driftwatch.diagnose import graph_may_lose
    from driftwatch.probes.cells import BASELINE, SERVICE, certainly_worse

    since = found.contrast(BASELINE, SERVICE)
    graph = graph_may_lose(since.difference if since else None)
    for contrast in found.contrasts:
        may_lose = graph if contrast.new.endswith("approximate") else LOSES
        if certainly_worse(contrast) and contrast.difference < -may_lose:
            return WORSE
    service, outage = found.cell(SERVICE), found.signs.get("outage")
    silent = service is not None and not service.n and outage is not None and outage.n > 0
    return NOTHING if silent or not found.contrasts else 0


def shown(found: Experiment, texts: Mapping[str, str]) -> Iterator[Table | str]:
    """The experiment for a person, a part at a time. ``texts``: query_id -> what is asked."""
    ways = {cell.name: cell for cell in found.cells}
    yield table(
        f"{found.measure} of the canaries",
        ("vectors", "approximate search", "exact search"),
        [
            (f"{vectors}", *(_level(ways.get(f"{vectors} x {search}")) for search in ("approximate", "exact")))
            for vectors in ("stored", "fresh")
        ],
    )
    others = [(cell.name, _level(cell)) for cell in found.cells if not cell.name.endswith(("approximate", "exact"))]
    yield table("", ("beside", found.measure), others)
    if found.contrasts:
        columns = ("from", "to", "canaries", "difference", "95 % interval", "certainly worse in")
        yield table("step by step, paired by canary", columns, [_step(each) for each in found.contrasts])
    if flips := list(_flips(found, texts)):
        yield _flips_table(flips)
    signs = [(name, look.why or "nothing") for name, look in found.signs.items() if not look.unable]
    yield table("what the answers and vectors show", ("sign", ""), signs)
    unseen = [(cell.name, cell.unable) for cell in found.cells if cell.unable]
    unseen += [(name, look.unable) for name, look in found.signs.items() if look.unable]
    unseen += [("", note) for note in found.notes]
    if unseen:
        yield table("not looked at, or only in part", ("", ""), unseen)
    yield safe(found.verdict)


def _level(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "not known"
    return f"{cell.value:.3f} of {cell.n}"


def _step(contrast: Contrast) -> tuple[str, ...]:
    low, high = contrast.interval
    worse = ", ".join(lang for lang, (_, _, _, top) in contrast.by.items() if top < 0)
    interval = f"[{low:+.3f}, {high:+.3f}]"
    return contrast.old, contrast.new, str(contrast.n), f"{contrast.difference:+.3f}", interval, worse


def _flips(found: Experiment, texts: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    for contrast in found.contrasts:
        for flip in contrast.flips:
            yield (
                flip.query_id,
                texts.get(flip.query_id, "")[:TEXT_SHOWN],
                flip.expected,
                f"{contrast.old} -> {contrast.new}",
                str(flip.old_rank or "-"),
                str(flip.new_rank or "-"),
                ", ".join(flip.displaced_by),
            )


def _flips_table(flips: list[tuple[str, ...]]) -> Table:
    left = len(flips) - FLIPS_SHOWN
    title = f"what moved ({FLIPS_SHOWN} of {len(flips)}; --json has more)" if left > 0 else "what moved"
    columns = ("query", "text", "expected", "from -> to", "old rank", "new rank", "displaced by")
    return table(title, columns, flips[:FLIPS_SHOWN])
