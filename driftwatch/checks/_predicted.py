"""What canaries teach of live queries: which quality goes with which scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from weakref import WeakKeyDictionary
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.calibration import FOLDS, Calibration
from driftwatch.stats.ir import Measure
from driftwatch.stats.qpp import PREDICTORS, kendall_tau, predictors, rank_biased_overlap, tau_noise
from driftwatch.types import PERTURBED, Observation, Run, Sample, Window

Key = tuple[str, str]
"""(query_id, digest) of a canary."""
Floats = NDArray[np.float64]
Tau = tuple[float, int]
"""Kendall's tau, and over how many canaries."""


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The canaries of some runs, one row each: means over the runs."""

    keys: tuple[Key, ...]
    lang: NDArray[np.str_]
    fold: NDArray[np.int64]
    quality: Floats
    """shape (n,), in [0, 1]."""
    x: Floats
    """shape (n, p): what ``predictors`` says."""
    agreement: Floats
    """shape (n,), in [0, 1]: how far the answer stays as it is under a slip of the pen; NaN when nobody asked."""

    def rows(self, keys: list[Key]) -> Asked:
        """Those of ``keys``, in their order."""
        place = {key: number for number, key in enumerate(self.keys)}
        at = np.array([place[key] for key in keys], dtype=np.intp)
        return Asked(tuple(keys), self.lang[at], self.fold[at], self.quality[at], self.x[at], self.agreement[at])


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The sampled queries of a window that have scores, one row a session."""

    x: Floats
    lang: NDArray[np.str_]
    weight: Floats
    at: NDArray[np.datetime64]
    query_id: NDArray[np.str_]

    def keep(self, mask: NDArray[np.bool_]) -> Live:
        """The rows where ``mask`` (shape (n,)) holds."""
        return Live(self.x[mask], self.lang[mask], self.weight[mask], self.at[mask], self.query_id[mask])


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the canaries of the baseline taught."""

    canaries: Asked
    calibration: Calibration
    held_out: Floats
    """shape (n,): the quality of each canary as the others would predict it."""

    taus: Mapping[str, Tau]
    """Language -> Kendall's tau of held-out predictions with the measured quality."""
    agreement_taus: Mapping[str, Tau]
    """The same of the agreement under a slip of the pen alone; empty when nobody asked."""

    @classmethod
    def of(cls, canaries: Asked) -> Lesson:
        """Learn from at least one canary."""
        fit = Calibration.fit(canaries.x, canaries.quality, canaries.lang, canaries.fold)
        held_out = fit.held_out(canaries.x, canaries.lang, canaries.fold)
        slipped = np.isfinite(canaries.agreement)
        return cls(
            canaries,
            fit,
            held_out,
            _taus(held_out, canaries, np.ones(len(slipped), dtype=bool)),
            _taus(canaries.agreement, canaries, slipped),
        )

    def tau(self, langs: NDArray[np.str_]) -> tuple[float, float, int]:
        """(Kendall's tau of held-out predictions with the measured quality, its noise, canaries) in these languages.

        Within each language, and then the mean over its canaries: that one language is better served than another does
        not show that scores predict anything.
        """
        return _over_languages(self.taus, langs)

    def agreement_tau(self, langs: NDArray[np.str_]) -> float:
        """The same of the agreement under a slip of the pen; 0 when nobody asked."""
        return _over_languages(self.agreement_taus, langs)[0]

    def pearson(self, langs: NDArray[np.str_]) -> float:
        """Pearson's correlation of the same over all of them, differences between languages included."""
        rows = np.isin(self.canaries.lang, langs)
        said, truth = self.held_out[rows], self.canaries.quality[rows]
        if len(truth) < 2 or np.ptp(said) < 1e-12 or np.ptp(truth) < 1e-12:
            return 0.0
        return float(np.corrcoef(said, truth)[0, 1])


def _taus(said: Floats, canaries: Asked, rows: NDArray[np.bool_]) -> dict[str, Tau]:
    parts = {lang: rows & (canaries.lang == lang) for lang in np.unique(canaries.lang[rows]).tolist()}
    return {lang: (kendall_tau(said[part], canaries.quality[part]), int(part.sum())) for lang, part in parts.items()}


def _over_languages(taus: Mapping[str, Tau], langs: NDArray[np.str_]) -> tuple[float, float, int]:
    found = [taus[lang] for lang in np.unique(langs).tolist() if lang in taus]
    total = sum(n for _, n in found)
    if not total:
        return 0.0, float("inf"), 0
    tau = sum(n * each for each, n in found) / total
    noise = sum((n * tau_noise(n)) ** 2 for _, n in found if n > 1) ** 0.5 / total
    return tau, noise or float("inf"), total


_LESSONS: WeakKeyDictionary[Window, dict[tuple[Measure, int], Lesson | None]] = WeakKeyDictionary()


def lesson(canaries: Window, measure: Measure, depth: int) -> Lesson | None:
    """What the canary runs of the baseline teach, remembered as long as the window lives; None without any canary."""
    known = _LESSONS.setdefault(canaries, {})
    if (measure, depth) not in known:
        found = asked(canaries, measure, depth)
        known[measure, depth] = Lesson.of(found) if found.keys else None
    return known[measure, depth]


_ASKED: WeakKeyDictionary[Window, dict[tuple[Measure, int], Asked]] = WeakKeyDictionary()


def asked(window: Window, measure: Measure, depth: int) -> Asked:
    """The canaries that have relevant documents, whose documents are still held and whose answer has a score.

    That nothing came back needs no prediction, for canaries as for live queries: the rate of empty results says it.
    Remembered as long as the window lives: every segment asks for the same.
    """
    known = _ASKED.setdefault(window, {})
    if (measure, depth) not in known:
        known[measure, depth] = _read(window, measure, depth)
    return known[measure, depth]


def _read(window: Window, measure: Measure, depth: int) -> Asked:
    seen: dict[Key, list[Observation]] = defaultdict(list)
    slips: dict[Key, list[float]] = defaultdict(list)
    for run in window.runs:
        answers = {(each.query_id, each.digest): each for each in run.observations if each.attempt == 0}
        for key, answer in answers.items():
            if _is_judged(answer, run):
                seen[key].append(answer)
        for each in run.observations:
            answer = answers.get((each.query_id, each.digest), each)
            if each.attempt == PERTURBED and each.hits is not None and answer.hits is not None and not each.error:
                one, two = ([hit.doc_id for hit in found[:depth]] for found in (answer.hits, each.hits))
                slips[each.query_id, each.digest].append(rank_biased_overlap(one, two))
    keys = sorted(seen)
    return Asked(
        tuple(keys),
        np.array([seen[key][-1].lang for key in keys], dtype=np.str_),
        np.array([fold_of(query_id) for query_id, _ in keys], dtype=np.int64),
        np.array([np.mean([_quality(each, measure) for each in seen[key]]) for key in keys], dtype=np.float64),
        _mean_predictors([seen[key] for key in keys], depth),
        np.array([np.mean(slips[key]) if slips.get(key) else np.nan for key in keys], dtype=np.float64),
    )


def fold_of(query_id: str) -> int:
    """The fit that never sees this canary, today and tomorrow."""
    return crc32(query_id.encode("utf-8", "replace")) % FOLDS


def _is_judged(seen: Observation, run: Run) -> bool:
    relevant = {doc_id for doc_id, relevance in seen.relevant.items() if relevance > 0}
    if seen.error or not seen.hits or seen.expect_empty or not relevant or relevant <= run.gone:
        return False
    return any(hit.score is not None and np.isfinite(hit.score) for hit in seen.hits)


def _quality(seen: Observation, measure: Measure) -> float:
    return measure([hit.doc_id for hit in seen.hits or ()], seen.relevant)


def _mean_predictors(answers: list[list[Observation]], depth: int) -> Floats:
    """shape (canaries, p): the mean over each canary's answers."""
    flat = [(number, each) for number, group in enumerate(answers) for each in group]
    scores = np.full((len(flat), depth), np.nan)
    for row, (_, seen) in enumerate(flat):
        sign = -1.0 if seen.score_kind == "distance" else 1.0
        known = [sign * hit.score for hit in seen.hits or () if hit.score is not None][:depth]
        scores[row, : len(known)] = known
    x = predictors(scores, depth)
    kept = np.isfinite(x).all(axis=1)
    owner = np.array([number for number, _ in flat], dtype=np.intp)[kept]
    sums = np.zeros((len(answers), len(PREDICTORS)))
    np.add.at(sums, owner, x[kept])
    mean: Floats = sums / np.maximum(np.bincount(owner, minlength=len(answers)), 1)[:, None]
    return mean


def depth_of(sample: Sample, most: int) -> int:
    """How many scores a query of the sample usually has, ``most`` at most: canaries are read as deep."""
    known = np.isfinite(sample.scores).sum(axis=1)
    known = known[known > 0]
    return min(most, int(np.median(known))) if len(known) else 0


def live(sample: Sample, depth: int) -> Live:
    """The first row of each session that has a score: rows of one session are not independent."""
    rows = np.flatnonzero(np.isfinite(sample.scores).any(axis=1) & (sample.weight > 0))
    _, first = np.unique(sample.unit[rows], return_index=True)
    rows = rows[np.sort(first)]
    found = Live(
        predictors(sample.scores[rows], max(depth, 1)),
        sample.lang[rows],
        sample.weight[rows].astype(np.float64),
        sample.at[rows],
        sample.query_id[rows],
    )
    some: NDArray[np.bool_] = np.isfinite(found.x[:, 0])
    return found.keep(some)


def as_live(lang: NDArray[np.str_], found: Live) -> Floats:
    """Weights that give the canaries of each language the share that it has of the live queries, shape (n,)."""
    weights = np.zeros(len(lang))
    for name in np.unique(lang).tolist():
        rows = lang == name
        weights[rows] = found.weight[found.lang == name].sum() / rows.sum()
    return weights
