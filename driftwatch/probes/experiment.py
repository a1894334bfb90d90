"""The experiment: canaries through {stored vectors, fresh re-embedding} x {approximate, exact}, and the service."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from driftwatch.probes import Target
from driftwatch.probes.bench import Bench, Clock
from driftwatch.probes.cells import FRESH_EXACT, STORED_EXACT, Way, cell_of, contrast_of, verdict_of
from driftwatch.probes.signs import signs_of
from driftwatch.stats.ir import Measure
from driftwatch.types import Cell, Contrast, Experiment


def run(
    target: Target,
    *,
    measure: Measure,
    now: datetime,
    documents: int = 2000,
    seconds: float = 60.0,
    seed: int = 0,
) -> Experiment:
    """Search for the canaries in every way there is, and say which step loses what the one before it found.

    ``documents``: how many entries of the index are embedded anew at most; ``seconds``: after which nothing new is
    begun. Nothing is raised for what cannot be reached: its cell says why. The same ``seed`` chooses the same
    documents.
    """
    bench = Bench(target, Clock(seconds, target.stopping), documents, seed, list(target.notes))
    if left := len(target.canaries) - len(bench.canaries):
        bench.notes.append(f"{left} canaries expect no document and were left aside.")
    cells = _cells(bench, measure)
    contrasts = _contrasts(bench, measure)
    return Experiment(
        at=now,
        measure=str(measure),
        cells=cells,
        contrasts=contrasts,
        signs=signs_of(bench, measure),
        notes=tuple(dict.fromkeys(bench.notes)),
        verdict=verdict_of(measure, cells, contrasts),
    )


def _cells(bench: Bench, measure: Measure) -> tuple[Cell, ...]:
    """In the order in which they are asked: the service first, what costs most last."""
    ways = [bench.service, bench.approximate, bench.exact, bench.fresh, bench.rebuilt]
    if not bench.whole:
        ways.append(bench.same_documents)
    if bench.before.rankings:
        ways.append(bench.before)
    return tuple(cell_of(way, bench.canaries, measure) for way in ways)


def _contrasts(bench: Bench, measure: Measure) -> tuple[Contrast, ...]:
    """From the baseline to now, and from re-embedded documents to what users get; only like with like."""
    same = replace(bench.same_documents, name=STORED_EXACT)
    pairs: list[tuple[Way, Way]] = [
        (bench.before, bench.service),
        (bench.approximate, bench.service),
        (bench.exact, bench.approximate),
        (replace(bench.fresh, name=FRESH_EXACT), same),
        (bench.fresh, bench.rebuilt),
    ]
    found = (contrast_of(old, new, bench.canaries, measure) for old, new in pairs)
    return tuple(contrast for contrast in found if contrast is not None)
