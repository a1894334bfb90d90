"""Ways of searching, measured: each alone, two paired by canary, and what that says in one sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftwatch.stats.ir import Measure, first_rank
from driftwatch.stats.paired import paired_bootstrap
from driftwatch.types import Cell, Contrast, Flip, Query, ScoredDoc

BASELINE = "baseline"
SERVICE = "service"
STORED_APPROXIMATE = "stored x approximate"
STORED_EXACT = "stored x exact"
FRESH_APPROXIMATE = "fresh x approximate"
FRESH_EXACT = "fresh x exact"
OF_THE_POOL = "stored x exact, same documents"
"""`stored x exact` among the documents that were re-embedded, where those are not all there are."""

STEPS = (
    (STORED_APPROXIMATE, SERVICE, "what stands between the index and its users"),
    (STORED_EXACT, STORED_APPROXIMATE, "approximate search"),
    (FRESH_EXACT, STORED_EXACT, "the stored vectors"),
)
"""(better, worse, what loses): from re-embedded documents compared one by one to what users get, last step first."""

DISPLACERS = 5
"""Documents that one flip names."""
FLIPS = 50
"""Flips that one contrast holds."""

Ranking = tuple[ScoredDoc, ...]
"""Best first; scores are higher is better."""
Rankings = Mapping[str, Ranking]
"""query_id -> ranking."""


@dataclass(frozen=True)
class Way:
    """What one way of searching answered. A canary that is not in it was not asked, or could not be answered."""

    name: str
    rankings: Rankings = field(default_factory=dict)
    unable: str = ""

    def top(self, depth: int) -> Way:
        """The first ``depth`` documents of each ranking."""
        return Way(self.name, {name: ranking[:depth] for name, ranking in self.rankings.items()}, self.unable)


def oriented(hits: Sequence[ScoredDoc], score_kind: str) -> Ranking:
    """``hits`` with distances turned about, so that a higher score is better."""
    if score_kind == "similarity":
        return tuple(hits)
    return tuple(ScoredDoc(hit.doc_id, None if hit.score is None else -hit.score) for hit in hits)


def cell_of(way: Way, canaries: Sequence[Query], measure: Measure) -> Cell:
    """The mean of ``measure`` over the canaries that were answered, and by language."""
    values = _values(way, canaries, measure)
    by: defaultdict[str, list[float]] = defaultdict(list)
    for query in canaries:
        if query.query_id in values:
            by[query.lang].append(values[query.query_id])
    mean = float(np.mean(list(values.values()))) if values else None
    unable = way.unable or ("" if values else "no canary was answered")
    languages = {lang: (len(each), float(np.mean(each))) for lang, each in sorted(by.items())}
    return Cell(way.name, len(values), mean, languages, unable)


def contrast_of(old: Way, new: Way, canaries: Sequence[Query], measure: Measure) -> Contrast | None:
    """New minus old over the canaries that both answered; None when there is none."""
    before, after = _values(old, canaries, measure), _values(new, canaries, measure)
    both = [query for query in canaries if query.query_id in before and query.query_id in after]
    if not both:
        return None
    moved = np.array([after[query.query_id] - before[query.query_id] for query in both])
    langs = np.array([query.lang for query in both])
    return Contrast(
        old.name,
        new.name,
        len(both),
        float(moved.mean()),
        paired_bootstrap(moved),
        {lang: _of_language(moved[langs == lang]) for lang in sorted(set(langs.tolist()))},
        flips_of(old, new, both)[:FLIPS],
    )


def flips_of(old: Way, new: Way, canaries: Iterable[Query]) -> tuple[Flip, ...]:
    """The canaries whose best relevant document moved, those that fell farthest first."""
    flips = []
    for query in canaries:
        ranked = [[hit.doc_id for hit in way.rankings[query.query_id]] for way in (old, new)]
        ranks = [first_rank(each, query.relevant) for each in ranked]
        if ranks[0] == ranks[1]:
            continue
        best = min((rank, ranked[place][rank - 1]) for place, rank in enumerate(ranks) if rank is not None)
        above = ranked[1][: ranks[1] - 1] if ranks[1] else ranked[1]
        stood = set(ranked[0][: ranks[0] - 1] if ranks[0] else ranked[0])
        displacers = tuple(doc_id for doc_id in above if doc_id not in stood)[:DISPLACERS]
        flips.append(Flip(query.query_id, query.lang, best[1], ranks[0], ranks[1], displacers))
    return tuple(sorted(flips, key=_fall))


def fell(old: Way, new: Way, query: Query, measure: Measure) -> bool:
    """Whether ``new`` measures less than ``old`` for this canary."""
    return _values(new, [query], measure)[query.query_id] < _values(old, [query], measure)[query.query_id]


def certainly_worse(contrast: Contrast) -> bool:
    """Whether the new way finds less, and not by chance."""
    return contrast.interval[1] < 0


def verdict_of(measure: Measure, cells: Sequence[Cell], contrasts: Sequence[Contrast]) -> str:
    """Which step loses what the one before it found, in one sentence."""
    known = {(each.old, each.new): each for each in contrasts}
    losing = [
        (each.difference, f"{what} lose{'' if what.endswith('vectors') else 's'} {_lost(each, measure)}")
        for old, new, what in STEPS
        if (each := known.get((old, new))) is not None and certainly_worse(each)
    ]
    if losing:
        sentence = "; ".join(text for _, text in sorted(losing))
        return f"{sentence[0].upper()}{sentence[1:]}{_mended(cells, known)}."
    return _alike(measure, cells, known)


def _alike(measure: Measure, cells: Sequence[Cell], known: Mapping[tuple[str, str], Contrast]) -> str:
    since = known.get((BASELINE, SERVICE))
    ours = [each for each in cells if each.name not in (BASELINE, OF_THE_POOL)]
    levels = [each.value for each in ours if each.value is not None]
    unseen = ", ".join(each.name for each in ours if each.value is None)
    if not levels:
        return "Nothing could be compared."
    low, high = f"{min(levels):.3f}", f"{max(levels):.3f}"
    level = f"{measure} {low}" if low == high else f"{measure} {low} to {high}"
    fell = since is not None and certainly_worse(since)
    against = f", and the service loses {_lost(since, measure)} against the baseline" if since and fell else ""
    if len(levels) == 1:
        return f"Only one way of searching could be looked at: {level}{against}. Not looked at: {unseen}."
    ways = "All ways of searching" + (" that could be looked at" if unseen else "")
    left = f" Not looked at: {unseen}." if unseen else ""
    return f"{ways} are equally {'bad' if fell else 'good'}: {level}{against}.{left}"


def _mended(cells: Sequence[Cell], known: Mapping[tuple[str, str], Contrast]) -> str:
    """What building it anew would do, where approximate search loses; a graph of fewer documents says nothing."""
    if any(cell.name == OF_THE_POOL for cell in cells):
        return ""
    now, rebuilt = known.get((STORED_EXACT, STORED_APPROXIMATE)), known.get((FRESH_EXACT, FRESH_APPROXIMATE))
    if now is None or rebuilt is None or not certainly_worse(now):
        return ""
    if rebuilt.difference > now.difference / 2:
        return "; an index built anew would mend it"
    return "; an index built anew in the same way would lose as much"


def _lost(contrast: Contrast, measure: Measure) -> str:
    low, high = contrast.interval
    return f"{-contrast.difference:.3f} of {measure} [{-high:.3f}, {-low:.3f}] over {contrast.n} canaries"


def _values(way: Way, canaries: Sequence[Query], measure: Measure) -> dict[str, float]:
    return {
        query.query_id: measure([hit.doc_id for hit in way.rankings[query.query_id]], query.relevant)
        for query in canaries
        if query.query_id in way.rankings
    }


def _of_language(moved: np.ndarray) -> tuple[int, float, float, float]:
    return len(moved), float(moved.mean()), *paired_bootstrap(moved)


def _fall(flip: Flip) -> tuple[float, str]:
    """Sorts what fell farthest first; not found at all is below every rank."""
    old, new = (1 / rank if rank else 0.0 for rank in (flip.old_rank, flip.new_rank))
    return new - old, flip.query_id
