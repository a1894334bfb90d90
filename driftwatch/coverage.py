"""Which live queries have a canary nearby, and which new canaries would help most.

A canary stands for the questions around it. How far around is learnt from the traffic itself, because models differ in
what a similarity means: most pairs of live queries of one language have nothing to do with each other, so the bulk of
all pairs says what unrelated queries measure. A canary is nearby when its similarity lies so far above that bulk that
unrelated queries hardly ever get there (see ``radius_of``).

Queries are compared within their language: a canary says nothing of another language's documents and analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftwatch.errors import DriftwatchError
from driftwatch.stats.clusters import nearest, spherical_kmeans
from driftwatch.stats.terms import Background, distinctive
from driftwatch.types import UNDETERMINED

Vectors = NDArray[np.float32]
Texts = Callable[[NDArray[np.intp]], Sequence[str]]
"""Rows -> their texts."""

FAR, RELATED = 4.5, 4.0
"""Standard deviations above what unrelated queries measure: to be near, and to be left out of what they measure."""
FEWEST = 30
"""Different queries of a language from which a radius of its own is learnt; smaller ones share that of all."""
FEWEST_PAIRS = FEWEST * (FEWEST - 1) // 2
PAIRED = 1500
"""Queries of a language whose pairs are looked at."""
WIDEST = 0.98
"""A radius is never nearer to 1: float16 vectors of one text differ by less."""

ROWS_A_CLUSTER, MOST_CLUSTERS = 25, 32
READ_FOR_TERMS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Queries as points, one row each."""

    vectors: Vectors
    """shape (n, dimension), L2-normalised."""
    lang: NDArray[np.str_]
    """shape (n,)."""
    weight: NDArray[np.float64]
    """shape (n,): how many queries each stands for."""

    def __len__(self) -> int:
        return len(self.lang)

    def take(self, rows: NDArray[np.intp]) -> Points:
        """Some of the rows."""
        return Points(self.vectors[rows], self.lang[rows], self.weight[rows])


@dataclass(frozen=True, slots=True)
class Cluster:
    """Live queries of one language that are alike."""

    share: float
    """Of all traffic."""
    covered: float
    """Share of it that has a canary nearby."""
    n: int
    terms: tuple[str, ...]
    """What it is about, the most distinctive first; none where texts are not kept."""
    example: int
    """The most typical row that has no canary nearby; of those that have one, where all do."""


@dataclass(frozen=True, slots=True)
class LanguageCoverage:
    """The live queries of one language."""

    lang: str
    share: float
    """Of all traffic."""
    covered: float
    """Share of it that has a canary nearby."""
    n: int
    canaries: int
    radius: float
    """The similarity from which a canary is nearby."""
    clusters: tuple[Cluster, ...]
    """Those with the most traffic without a canary first."""


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """All live queries against all canaries."""

    covered: float
    """Share of the traffic that has a canary nearby."""
    n: int
    languages: tuple[LanguageCoverage, ...]
    """The largest first."""
    radius: Mapping[str, float]
    similarity: NDArray[np.float32]
    """shape (n,): of each live query and its nearest canary; -1 where its language has none."""
    nearby: NDArray[np.bool_]
    """shape (n,)."""


def radius_of(pairs: NDArray[np.floating]) -> float:
    """The similarity from which two queries belong together, of the similarities of all pairs of queries.

    ``FAR`` standard deviations above the median of the pairs that have nothing to do with each other. Which are those?
    Related pairs all lie on the upper side, so the lower half of the bulk gives a first idea of the spread; pairs far
    above that (``RELATED``) are left out, and the upper half of the rest gives the spread that counts (the distance
    from the median to the 84th percentile; the distribution is skewed). One topic may thus be a third of the traffic
    and not move the radius; and it hardly depends on how many queries there are, as any quantile of nearest neighbours
    does. Were the bulk normal, an unrelated pair would pass once in 300,000 times.

    `benchmarks/coverage_of_queries.py` measures it on CLINC150, where queries of one intent belong together.
    """
    middle, lower = np.quantile(pairs, [0.5, 0.1587])
    unrelated = pairs[pairs <= middle + RELATED * (middle - lower)]
    middle, upper = np.quantile(unrelated, [0.5, 0.8413])
    return float(min(middle + FAR * (upper - middle), WIDEST))


def radii(live: Points, seed: int = 0) -> dict[str, float]:
    """Language -> radius; a language of fewer than ``FEWEST`` different queries has that of all languages together.

    Raises:
        DriftwatchError: there are too few queries to learn one from.
    """
    random = np.random.default_rng(seed)
    found: dict[str, float] = {}
    together: list[NDArray[np.float32]] = []
    for lang, rows in _by_language(live.lang):
        pairs = _pairs(live.vectors[_some(rows, PAIRED, random)])
        together.append(pairs)
        if len(pairs) >= FEWEST_PAIRS:
            found[lang] = radius_of(pairs)
    every = np.concatenate(together) if together else np.empty(0, np.float32)
    if len(every) < FEWEST_PAIRS:
        raise DriftwatchError(
            f"{len(live)} queries with an embedding are too few to learn what is near; {FEWEST} different ones are "
            "needed.",
            remedy="Look at more days with --days, or wait.",
        )
    shared = radius_of(every)
    return {lang: found.get(lang, shared) for lang, _ in _by_language(live.lang)}


def coverage(live: Points, canaries: Points, texts: Texts | None = None, seed: int = 0) -> Coverage:
    """Which share of the live queries has a canary nearby, by language and cluster.

    Raises:
        DriftwatchError: there are too few queries to learn what is near.
    """
    radius = radii(live, seed)
    similarity = np.full(len(live), -1.0, np.float32)
    for lang, rows in _by_language(live.lang):
        similarity[rows] = _to_nearest(live.vectors[rows], canaries.vectors[_speaking(canaries.lang, lang)])
    nearby = similarity >= np.array([radius[str(lang)] for lang in live.lang], np.float32)
    parts = tuple(
        LanguageCoverage(
            lang,
            share=_share(live.weight[rows].sum(), live.weight),
            covered=_share(live.weight[rows][nearby[rows]].sum(), live.weight[rows]),
            n=len(rows),
            canaries=len(_speaking(canaries.lang, lang)),
            radius=radius[lang],
            clusters=tuple(_clusters(live, rows, nearby, texts, seed)),
        )
        for lang, rows in _by_language(live.lang)
    )
    covered = _share(live.weight[nearby].sum(), live.weight)
    languages = tuple(sorted(parts, key=lambda part: (-part.share, part.lang)))
    return Coverage(covered, len(live), languages, radius, similarity, nearby)


def _clusters(
    live: Points, rows: NDArray[np.intp], nearby: NDArray[np.bool_], texts: Texts | None, seed: int
) -> Iterator[Cluster]:
    """The clusters of one language, those with the most traffic without a canary first."""
    centres = spherical_kmeans(live.vectors[rows], int(np.clip(len(rows) // ROWS_A_CLUSTER, 1, MOST_CLUSTERS)), seed)
    belongs, similarity = nearest(live.vectors[rows], centres)
    background = Background.of(texts(rows)) if texts is not None else None
    bare = np.bincount(belongs, live.weight[rows] * ~nearby[rows], minlength=len(centres))
    for number in np.argsort(-bare, kind="stable").tolist():
        own = belongs == number
        if not own.any():
            continue
        members = rows[own][np.argsort(-similarity[own], kind="stable")]
        weight = live.weight[members]
        typical = members[~nearby[members]] if (~nearby[members]).any() else members
        named = distinctive(texts(members[:READ_FOR_TERMS]), background) if texts and background else []
        yield Cluster(
            _share(weight.sum(), live.weight),
            _share(weight[nearby[members]].sum(), weight),
            len(members),
            tuple(named),
            int(typical[0]),
        )


# --- what to propose -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pick:
    """One query that would make a good canary."""

    row: int
    stands_for: float
    """Share of all traffic that has no canary nearby and would have this one."""


TROUBLED_PART = 1 / 3
"""Of the proposals, for queries that went wrong, where there are so many."""
MOST_CANDIDATES = 3000
"""Queries of a language among which it is chosen."""


def propose(
    live: Points, troubled: NDArray[np.bool_], found: Coverage, canaries: Points, number: int, seed: int = 0
) -> list[Pick]:
    """The rows of ``live`` that stand for most of what has no canary; no two of them nearly alike.

    ``troubled``: shape (n,), queries that went wrong; they are candidates even where a canary is near, unless one is
    nearly the same. Each language has its part by its traffic without a canary. Within it the next pick is always the
    one with the most traffic around it that no earlier pick stands for: greedy maximum coverage, at least 63 % of what
    the best choice of as many would cover (Nemhauser, Wolsey and Fisher 1978, theorem 4.1).
    """
    random = np.random.default_rng(seed)
    twin = np.array([_twin(found.radius[str(lang)]) for lang in live.lang])
    wanted = ~found.nearby | (troubled & (found.similarity < twin))
    pools = {lang: rows[wanted[rows]] for lang, rows in _by_language(live.lang) if wanted[rows].any()}
    weights = {lang: float(live.weight[rows].sum()) for lang, rows in pools.items()}
    pools = {lang: _some(rows, MOST_CANDIDATES, random) for lang, rows in pools.items()}
    parts = _parts(weights, number)
    total = float(live.weight.sum())
    picks: list[Pick] = []
    for lang, rows in pools.items():
        near = canaries.vectors[_speaking(canaries.lang, lang)]
        chosen = _choose(live.take(rows), troubled[rows], near, found.radius[lang], parts[lang])
        each_for = weights[lang] / (float(live.weight[rows].sum()) or 1.0)  # how many each of those drawn stands for
        picks += [Pick(int(rows[place]), gain * each_for / total) for place, gain in chosen]
    return sorted(picks, key=lambda pick: (-pick.stands_for, pick.row))


def _choose(
    pool: Points, troubled: NDArray[np.bool_], canaries: Vectors, radius: float, number: int
) -> list[tuple[int, float]]:
    """(row, weight that it stands for), first among what went wrong, then among all."""
    alike = pool.vectors @ pool.vectors.T
    around = alike >= radius
    np.fill_diagonal(around, val=True)
    free = _to_nearest(pool.vectors, canaries) < _twin(radius)
    gain = around.astype(np.float32) @ pool.weight
    left = pool.weight.copy()
    chosen: list[tuple[int, float]] = []
    for among, most in ((troubled, round(number * TROUBLED_PART)), (np.ones(len(pool), bool), number)):
        while len(chosen) < most and (among & free).any():
            best = int(np.argmax(np.where(among & free, gain, -1.0)))
            chosen.append((best, float(left[around[best]].sum())))
            taken = np.flatnonzero(around[best] & (left > 0))
            gain -= around[:, taken] @ left[taken]
            left[taken] = 0.0
            free &= alike[best] < _twin(radius)
            free[best] = False
    return chosen


def _twin(radius: float) -> float:
    """The similarity from which two queries are nearly the same: half way from near to equal."""
    return (1 + radius) / 2


def _parts(weight: Mapping[str, float], number: int) -> dict[str, int]:
    """Whole numbers that add up to ``number``, in proportion (largest remainders), at least one each where it goes."""
    least = 1 if len(weight) <= number else 0
    spare = number - least * len(weight)
    total = sum(weight.values()) or 1.0
    exact = {name: spare * each / total for name, each in weight.items()}
    parts = {name: least + int(each) for name, each in exact.items()}
    missing = number - sum(parts.values())
    for name in sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))[:missing]:
        parts[name] += 1
    return parts


# --- points --------------------------------------------------------------------------------------------------------


def _by_language(lang: NDArray[np.str_]) -> list[tuple[str, NDArray[np.intp]]]:
    return [(str(name), np.flatnonzero(lang == name)) for name in np.unique(lang)]


def _speaking(canaries: NDArray[np.str_], lang: str) -> NDArray[np.intp]:
    """The canaries of a language; those without one may speak any, and so may a query without one."""
    if lang == UNDETERMINED:
        return np.arange(len(canaries))
    return np.flatnonzero((canaries == lang) | (canaries == UNDETERMINED))


def _to_nearest(vectors: Vectors, canaries: Vectors) -> NDArray[np.float32]:
    if not len(canaries):
        return np.full(len(vectors), -1.0, np.float32)
    return nearest(vectors, canaries)[1]


def _pairs(vectors: Vectors) -> NDArray[np.float32]:
    """The similarities of all pairs of different queries: what is asked again and again says nothing of distance."""
    rows = np.unique(np.asarray(vectors, np.float32), axis=0)
    return np.asarray((rows @ rows.T)[np.triu_indices(len(rows), 1)])


def _some(rows: NDArray[np.intp], most: int, random: np.random.Generator) -> NDArray[np.intp]:
    return rows if len(rows) <= most else np.sort(random.choice(rows, most, replace=False))


def _share(part: float, weight: NDArray[np.float64]) -> float:
    total = float(weight.sum())
    return float(part) / total if total else 0.0
