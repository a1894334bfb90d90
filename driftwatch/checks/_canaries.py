"""Canary runs as numbers: what each canary measured, what it usually measures, and whether today is worse."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.ir import Measure, first_rank
from driftwatch.stats.paired import mcnemar_exact, paired_bootstrap, poisson_binomial_tail, sign_flip
from driftwatch.stats.shares import Shares
from driftwatch.types import PERTURBED, Observation, Run, ScoredDoc, Window

Key = tuple[str, str]
"""(query_id, digest): a canary that was rewritten is another canary."""

FLIPS_KEPT = 50
ROT_SHOWN = 50
"""Canaries, and documents, of a list of rot."""

RELIABLE = 0.9
"""A canary that passes less often than this in the baseline carries no evidence."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one canary measured in one run."""

    value: float
    """In [0, 1]; 0 when nothing came back."""
    rank: int | None
    """Of the first relevant document, from 1; None when none came back."""
    hits: tuple[ScoredDoc, ...] = ()
    """The answer, best first."""
    judged: Mapping[str, int] = field(default_factory=dict)
    """The relevant documents that it was judged by: those that the index still held."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One run, read: every canary is in exactly one of the first three."""

    outcomes: Mapping[Key, Outcome]
    rotten: tuple[Observation, ...]
    """Canaries whose relevant documents have all left the index: in quarantine until one of them is back."""
    errors: Counter[str]
    """Reason -> how many canaries could not be asked because of it."""
    noise: float | None
    """Mean absolute difference between two askings of the same canary; None when each was asked once."""
    partly: tuple[str, ...] = ()
    """query_ids among ``outcomes`` that lost some of their documents and are judged by those that remain."""

    @property
    def total(self) -> int:
        return len(self.outcomes) + len(self.rotten) + self.errors.total()


@dataclass(frozen=True, slots=True)
class Usual:
    """What one canary measured over the reference runs."""

    mean: float
    variance: float
    typical: float
    """The median run's value."""
    rank: int | None
    """The median run's rank; None when it typically does not find its document."""
    down: float
    """Share of runs below ``typical``: how flaky it is."""
    days: int
    """On how many days it was asked: runs of one day are hardly independent."""
    median: Outcome | None = None
    """The median run's outcome."""

    def judged_by(self, relevant: Mapping[str, int], measure: Measure) -> Usual:
        """What it would have measured, had the index held just these of its documents: by its median run's answer.

        A canary that loses one of its two documents is not worse by that; nor is it better when the document is back.
        """
        if self.median is None or self.median.judged == relevant:
            return self
        outcome = _measured(self.median.hits, relevant, measure)
        moved = outcome.value - self.typical
        mean = min(1.0, max(0.0, self.mean + moved))
        return replace(self, mean=mean, typical=outcome.value, rank=outcome.rank, median=outcome)

    @property
    def reliability(self) -> float:
        """1 for a canary that never varies, 0 for one that is found every other time."""
        return max(0.0, 1 - 4 * self.variance)


@dataclass(frozen=True, slots=True)
class Change:
    """Today's run against what each canary usually measures, over the canaries that have both."""

    n: int
    value: float
    reference: float
    interval: tuple[float, float]
    """Of value - reference, 95 %, paired bootstrap."""
    p_value: float
    smallest_p: float
    """What ``p_value`` would be if every canary lost its document: above the error budget, nothing can be seen."""
    lost: int
    """Canaries that typically find a document and now do not."""
    lower: int
    """Canaries below their typical value, the lost ones among them."""
    details: Mapping[str, Any]

    @property
    def effect(self) -> float:
        return self.value - self.reference


def read(run: Run, measure: Measure) -> Asked:
    """Measure every canary of a run."""
    outcomes: dict[Key, Outcome] = {}
    again: dict[Key, Outcome] = {}
    rotten: list[Observation] = []
    partly: list[str] = []
    errors: Counter[str] = Counter()
    for seen in run.observations:
        if seen.attempt == PERTURBED:
            continue  # another question: it says nothing of the noise of this one
        left = remaining(seen, run.gone)
        if seen.attempt:
            if seen.hits is not None and not seen.error:
                again[seen.query_id, seen.digest] = outcome_of(seen, left, measure)
        elif seen.hits is None or seen.error:
            errors[seen.error or "the retriever gave no answer"] += 1
        elif left is None:
            rotten.append(seen)
        else:
            outcomes[seen.query_id, seen.digest] = outcome_of(seen, left, measure)
            partly += [seen.query_id] * (len(left) < len(seen.relevant))
    both = [abs(outcomes[key].value - again[key].value) for key in outcomes.keys() & again.keys()]
    return Asked(outcomes, tuple(rotten), errors, float(np.mean(both)) if both else None, tuple(partly))


_USUAL: WeakKeyDictionary[Window, dict[Measure, dict[Key, Usual]]] = WeakKeyDictionary()


def usual(reference: Window, measure: Measure) -> dict[Key, Usual]:
    """What each canary of the reference runs usually measures; remembered as long as the window lives."""
    known = _USUAL.setdefault(reference, {})
    if measure not in known:
        known[measure] = _usual(reference, measure)
    return known[measure]


def compare(asked: Asked, baseline: Mapping[Key, Usual], measure: Measure) -> Change | None:
    """Pair each canary with its own baseline, judged by the same documents; None when no canary has one.

    Two exact one-sided tests, the better of them doubled (Bonferroni):

    - sign flips of the differences from the canary's mean. When no canary ever varied before, each difference is 0, -1
      or +1 and this is the exact McNemar test;
    - the number of canaries below their typical value, against how often each of them was before (Poisson-binomial).
      It gives a flaky canary the little weight that it deserves, and keeps its power when there are few canaries.
    """
    keys = sorted(asked.outcomes.keys() & baseline.keys())
    if not keys:
        return None
    baseline = {key: baseline[key].judged_by(asked.outcomes[key].judged, measure) for key in keys}
    values = np.array([asked.outcomes[key].value for key in keys])
    means = np.array([baseline[key].mean for key in keys])
    typical = np.array([baseline[key].typical for key in keys])
    differences = values - means
    can_fall = typical > 0
    rates = _down_rates([baseline[key] for key, can in zip(keys, can_fall, strict=True) if can])
    lower = int((values < typical - 1e-9).sum())
    lost, gained = int((can_fall & (values == 0)).sum()), int((~can_fall & (values > 0)).sum())
    p_flip = sign_flip(np.round(differences, 12), side="less")
    p_down = poisson_binomial_tail(lower, rates)
    smallest = min(0.5 ** int((means > 0).sum()), poisson_binomial_tail(len(rates), rates))
    return Change(
        n=len(keys),
        value=float(values.mean()),
        reference=float(means.mean()),
        interval=paired_bootstrap(differences),
        p_value=min(1.0, 2 * min(p_flip, p_down)),
        smallest_p=min(1.0, 2 * smallest) if len(rates) else 1.0,
        lost=lost,
        lower=lower,
        details={
            "flips": _flips(keys, asked, baseline),
            "lost": lost,
            "gained": gained,
            "lower": lower,
            "mcnemar_p": mcnemar_exact(lost, gained),
            "sign_flip_p": p_flip,
            "own_rate_p": p_down,
            "flaky": sum(baseline[key].reliability < 0.9 for key in keys),
            "learning": len(asked.outcomes) - len(keys),
            "never_found": int((~can_fall).sum()),
            "baseline_days": max(baseline[key].days for key in keys),
        },
    )


def remaining(seen: Observation, gone: frozenset[str]) -> Mapping[str, int] | None:
    """doc_id -> relevance of the canary's documents that the index still holds; None when it holds none of them.

    A document that the canary names as not relevant decides nothing: it is judged by the others.
    """
    if not gone or seen.expect_empty or gone.isdisjoint(seen.relevant):
        return seen.relevant
    left = {doc_id: relevance for doc_id, relevance in seen.relevant.items() if doc_id not in gone}
    had_any = any(relevance > 0 for relevance in seen.relevant.values())
    return left if not had_any or any(relevance > 0 for relevance in left.values()) else None


def rot(asked: Asked) -> dict[str, Any]:
    """The canaries in quarantine, for the details of a finding: which, for want of which documents, by language."""
    documents = sorted({doc_id for seen in asked.rotten for doc_id, grade in seen.relevant.items() if grade > 0})
    return {
        "query_ids": [seen.query_id for seen in asked.rotten[:ROT_SHOWN]],
        "doc_ids": documents[:ROT_SHOWN],
        "by": dict(sorted(Counter(seen.lang for seen in asked.rotten).items())),
        "count": len(asked.rotten),
        "share": round(len(asked.rotten) / asked.total, 4),
    }


def outcome_of(seen: Observation, left: Mapping[str, int] | None, measure: Measure) -> Outcome:
    """What one answer measures, judged by the documents that are ``left`` (see ``remaining``)."""
    hits = seen.hits or ()
    if seen.expect_empty:
        return Outcome(0.0 if hits else 1.0, None, hits)
    return _measured(hits, left or {}, measure)


def _measured(hits: tuple[ScoredDoc, ...], relevant: Mapping[str, int], measure: Measure) -> Outcome:
    ranking = [hit.doc_id for hit in hits]
    rank = first_rank(ranking, relevant)
    return Outcome(measure(ranking, relevant) if rank else 0.0, rank, hits, relevant)


def _usual(reference: Window, measure: Measure) -> dict[Key, Usual]:
    history: defaultdict[Key, list[Outcome]] = defaultdict(list)
    days: defaultdict[Key, set[int]] = defaultdict(set)
    for run in reference.runs:
        day = run.at.toordinal()
        for key, outcome in read(run, measure).outcomes.items():
            history[key].append(outcome)
            days[key].add(day)
    return {key: summary(outcomes, len(days[key])) for key, outcomes in history.items()}


def summary(outcomes: list[Outcome], days: int) -> Usual:
    """What a canary usually measures, of what it measured in each run."""
    in_order = sorted(outcomes, key=lambda outcome: outcome.value)
    values = [outcome.value for outcome in in_order]
    mean = sum(values) / len(values)
    typical = values[len(values) // 2]
    ranks = sorted(outcome.rank for outcome in outcomes if outcome.rank is not None)
    return Usual(
        mean=mean,
        variance=sum((value - mean) ** 2 for value in values) / len(values),
        typical=typical,
        rank=ranks[len(ranks) // 2] if 2 * len(ranks) >= len(values) else None,
        down=sum(value < typical - 1e-9 for value in values) / len(values),
        days=days,
        median=in_order[len(values) // 2],
    )


def _down_rates(canaries: list[Usual]) -> NDArray[np.float64]:
    """How likely each canary is below its typical value in a run without any change.

    Its own share of baseline runs, counted as days and drawn towards the suite's rate as if by one more day, but never
    below the suite's: a fortnight without a miss does not show that a canary never misses.
    """
    down = np.array([canary.down for canary in canaries])
    days = np.array([canary.days for canary in canaries], dtype=np.float64)
    pooled = (float((down * days).sum()) + 1) / (float(days.sum()) + 1)
    return np.maximum((down * days + pooled) / (days + 1), pooled)


@dataclass(frozen=True, slots=True, eq=False)
class Steady:
    """The canaries that can be relied on."""

    measure: Measure
    usual: Mapping[Key, Usual]
    misses: Mapping[Key, float]
    """How likely each of them is below its typical value in a run."""
    segments: tuple[str, ...]

    def count(self, window: Window) -> Shares:
        """By hour and language: canaries asked, canaries below their typical value, and how many are usually."""
        places = {name: place for place, name in enumerate(self.segments)}
        hours = sorted({_hour(run) for run in window.runs})
        counts = np.zeros((len(hours), len(places), 3))
        for run in window.runs:
            at = hours.index(_hour(run))
            langs = {(seen.query_id, seen.digest): seen.lang for seen in run.observations}
            for key, outcome in read(run, self.measure).outcomes.items():
                if key in self.misses and langs[key] in places:
                    typical = self.usual[key].judged_by(outcome.judged, self.measure).typical
                    cell = counts[at, places[langs[key]]]
                    cell += (1.0, outcome.value < typical - 1e-9, self.misses[key])
        n, hits, expected = np.moveaxis(counts, 2, 0)
        return Shares(np.array(hours, dtype=np.int64), self.segments, n, hits[..., None], expected[..., None])


def steady(reference: Window, measure: Measure) -> Steady | None:
    """The canaries that passed in at least ``RELIABLE`` of the baseline's runs; None when there are none."""
    known = usual(reference, measure)
    keys = [key for key, each in known.items() if each.typical > 0 and each.down <= 1 - RELIABLE]
    if not keys:
        return None
    rates = _down_rates([known[key] for key in keys])
    langs = {seen.lang for run in reference.runs for seen in run.observations}
    return Steady(
        measure,
        {key: known[key] for key in keys},
        dict(zip(keys, rates.tolist(), strict=True)),
        tuple(sorted(langs)),
    )


def _hour(run: Run) -> int:
    return int(run.at.timestamp() // 3600)


def _flips(keys: list[Key], asked: Asked, baseline: Mapping[Key, Usual]) -> list[dict[str, Any]]:
    """Canaries that are not what they typically are: hardest losses of the steadiest canaries first."""
    moved = []
    for key in keys:
        now, before = asked.outcomes[key], baseline[key]
        change = now.value - before.typical
        if abs(change) > 1e-9:
            flip = {"query_id": key[0], "old_rank": before.rank, "new_rank": now.rank, "change": round(change, 4)}
            moved.append((change * before.reliability, before.rank or 0, key, flip))
    return [flip for *_, flip in sorted(moved, key=lambda row: row[:3])][:FLIPS_KEPT]
