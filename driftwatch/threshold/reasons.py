"""What made the old cut-off wrong: one sentence each, what was measured before what merely happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.stats.cutoff import Floats
from driftwatch.stats.matching import Matched
from driftwatch.stats.rescaling import Rescaling
from driftwatch.threshold.material import scores_of
from driftwatch.types import Finding, IndexFacts, Observation

Standing = Literal["measured", "recorded", "circumstantial"]
"""Seen in the scores themselves; written down by the service or the index; or something that may move scores."""

ORDER: tuple[Standing, ...] = ("measured", "recorded", "circumstantial")
GROWN = 1.05
"""Times by which an index has grown for it to be said."""
OTHER_LANGUAGES = 0.1
"""Total variation of the languages from which queries count as others than before."""
KEEPS_OTHERWISE = 0.02
"""Change of the share kept that is worth a sentence."""
QUERY_CHECKS = frozenset({"query_drift", "mix"})


@dataclass(frozen=True, slots=True)
class Change:
    """A version that the service reports, before and now."""

    what: str
    before: str
    after: str
    at: datetime
    """The first observation with the new one that no old one follows."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that made the old cut-off wrong, or may have."""

    what: str
    """`scale`, `ranks`, `kept`, `embedder`, `index`, `metric`, `compression`, `growth`, `queries`, ..."""
    sentence: str
    standing: Standing
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about the time between the old cut-off and now."""

    changes: Sequence[Change] = ()
    rescaling: Rescaling | None = None
    mapped: Matched | None = None
    """What the old cut-off is called now, by the same documents for the same queries."""
    matched: Matched | None = None
    facts: tuple[IndexFacts, IndexFacts] | None = None
    """Before and now."""
    sign: int = 1
    """-1 where the scores are distances."""
    languages: float = 0.0
    """Total variation of the languages, before and now."""
    firing: Sequence[Finding] = ()
    """Newest findings of checks that watch the queries."""


def changes_of(observed: Iterable[Observation]) -> tuple[Change, ...]:
    """Each version that is not what it was, the newest change first."""
    in_order = sorted(observed, key=lambda each: each.at)
    naming = _namings(in_order)
    last: dict[tuple[str, str], Change] = {}
    now: dict[tuple[str, str], str] = {}
    for seen in in_order:
        for what, version in seen.versions.items():
            key = what, naming[what, seen.source]
            if now.get(key, version) != version:
                last[key] = Change(what, now[key], version, seen.at)
            now[key] = version
    return tuple(sorted(last.values(), key=lambda change: change.at, reverse=True))


def _namings(observed: Iterable[Observation]) -> dict[tuple[str, str], str]:
    """(what, source) -> the first source that has a version of it in common: two may call one model by two names."""
    said: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for seen in observed:
        for what, version in seen.versions.items():
            said[what, seen.source].add(version)
    return {
        (what, source): min(other for (which, other), known in said.items() if which == what and known & versions)
        for (what, source), versions in said.items()
    }


def same_documents(
    before: Iterable[Observation], after: Iterable[Observation]
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Scores of the same document for the same canary, before and after, and the number of the canary; shape (n,) each.

    The last answer to each canary counts; one that was rewritten is another canary.
    """
    old, new = _last_scores(before), _last_scores(after)
    shared = sorted(old.keys() & new.keys())
    numbers: dict[tuple[str, ...], int] = {}
    query = [numbers.setdefault(asked, len(numbers)) for asked, _ in shared]
    return (
        np.array([old[pair] for pair in shared], np.float64),
        np.array([new[pair] for pair in shared], np.float64),
        np.array(query, np.int64),
    )


def _last_scores(observed: Iterable[Observation]) -> dict[tuple[tuple[str, ...], str], float]:
    in_order = sorted(observed, key=lambda each: each.at)
    last = {(seen.source, seen.query_id, seen.digest): seen for seen in in_order if seen.hits and not seen.attempt}
    return {(asked, doc_id): score for asked, seen in last.items() for doc_id, score in reversed(scores_of(seen))}


# --- the rules -----------------------------------------------------------------------------------------------------

Shown = Callable[[float], str]
"""A score as the service calls it."""


def reasons(evidence: Evidence, current: float | None, shown: Shown) -> tuple[Reason, ...]:
    """Everything that speaks against the old cut-off, the strongest evidence first."""
    found = [reason for rule in RULES for reason in rule(evidence, current, shown)]
    return tuple(sorted(found, key=lambda reason: ORDER.index(reason.standing)))


def _scale(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    scale = evidence.rescaling
    if scale is None or (scale.unmoved and scale.monotone):
        return
    intercept = evidence.sign * scale.intercept
    line = f"{scale.slope:.3g} × what they did {'-' if intercept < 0 else '+'} {abs(intercept):.3g}"
    pairs = f"the same {scale.pairs:,} documents for the same {scale.queries:,} queries"
    if not scale.monotone:
        yield Reason(
            "ranks",
            f"{1 - scale.in_order:.0%} of the pairs of documents changed places among {pairs}: ranks changed as well as"
            " scores, so no rescaling alone makes up for it.",
            "measured",
        )
    if not scale.unmoved:
        now = evidence.mapped.value if evidence.mapped else None
        called = (
            f", and the old {shown(current)} is now called {shown(now)}"
            if current is not None and now is not None
            else ""
        )
        yield Reason("scale", f"{pairs[0].upper()}{pairs[1:]} now score {line}{called}.", "measured")


def _kept(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    matched = evidence.matched
    if matched is None or matched.now is None or current is None or abs(matched.now - matched.share) < KEEPS_OTHERWISE:
        return
    low, high = matched.interval
    if low is not None and high is not None and low <= current <= high:
        return
    yield Reason(
        "kept", f"{shown(current)} kept {matched.share:.1%} before and keeps {matched.now:.1%} now.", "measured"
    )


def _versions(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    del current, shown
    for change in evidence.changes:
        when = f"{change.at:%Y-%m-%d %H:%M} UTC"
        yield Reason(
            change.what, f"{change.what} went from {change.before} to {change.after} on {when}.", "recorded", change.at
        )


def _facts(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    del current, shown
    if evidence.facts is None:
        return
    old, new = evidence.facts
    for what, before, after in (
        ("model", old.model, new.model),
        ("metric", old.metric, new.metric),
        ("dimension", old.dimension, new.dimension),
    ):
        if before and after and before != after:
            yield Reason(what, f"The index says that its {what} is {after}; it was {before}.", "recorded")
    for name in sorted(old.settings.keys() | new.settings.keys()):
        was, now = old.settings.get(name, "none"), new.settings.get(name, "none")
        if was != now:
            compresses = "quant" in name.lower() or "compress" in name.lower()
            told = f"The index is {'compressed' if compresses else 'set'} otherwise: {name} was {was} and is {now}."
            yield Reason("compression" if compresses else "settings", told, "recorded")


def _growth(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    del current, shown
    counts = [facts.count for facts in evidence.facts or ()]
    if len(counts) == 2 and counts[0] and counts[1] and not 1 / GROWN < counts[1] / counts[0] < GROWN:
        verb, effect = ("grew", "raises") if counts[1] > counts[0] else ("shrank", "lowers")
        yield Reason(
            "growth",
            f"The index {verb} from {counts[0]:,} to {counts[1]:,} entries, which {effect} the best score of queries.",
            "circumstantial",
        )


def _queries(evidence: Evidence, current: float | None, shown: Shown) -> Iterator[Reason]:
    del current, shown
    for finding in evidence.firing:
        yield Reason("queries", f"{finding.check} ({finding.segment}): {finding.message}", "circumstantial", finding.at)
    if evidence.languages >= OTHER_LANGUAGES:
        yield Reason(
            "queries", f"{evidence.languages:.0%} of the queries come in other languages than before.", "circumstantial"
        )


RULES = (_scale, _kept, _versions, _facts, _growth, _queries)
