"""The looks of many probe runs, each summed over a window."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from driftwatch.probed import MOST_IDS, OFF
from driftwatch.stats.proportion import wilson
from driftwatch.types import Look, Probe, Verdict

ORDER = (
    "service",
    "facts",
    "stored vectors",
    "missing documents",
    "recall of the index",
    "finds itself",
    "probe strings",
    "texts",
    "orphans",
)
"""Of two looks that fail, the first is the one that is told."""
ENOUGH = 200
"""Searches that say what the recall of an index is now."""


@dataclass(frozen=True)
class Seen:
    """One look over a window, and what it means."""

    name: str
    verdict: Verdict
    sentence: str
    """What is wrong, or why it could not be looked at; empty when it is as it should be."""
    n: int = 0
    bad: int = 0
    ids: tuple[str, ...] = ()
    by: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    certain: bool = False
    """Seen more than once, or in many at once: no further look is needed."""

    @property
    def share(self) -> float:
        """Of what was looked at, in [0, 1]."""
        return self.bad / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %."""
        low, high = wilson(self.bad, self.n) if self.n else (0.0, 1.0)
        return float(low), float(high)

    def as_json(self) -> dict[str, Any]:
        """For the details of a finding."""
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "n": self.n,
            "bad": self.bad,
            "ids": list(self.ids),
            "by": {lang: list(counts) for lang, counts in self.by.items()},
            "values": {name: value for name, value in self.values.items() if math.isfinite(value)},
            "words": dict(self.words),
        }


def looks_of(probes: Sequence[Probe], name: str) -> tuple[list[Look], str]:
    """(the looks of that name that saw something, oldest first; why the newest other one could not)."""
    found = [probe.looks[name] for probe in probes if name in probe.looks]
    unable = next((look.unable for look in reversed(found) if look.unable), "")
    return [look for look in found if not look.unable and (look.n or look.values.get("asked again"))], unable


def unreachable(probe: Probe) -> str:
    """Why the index did not answer at all in this run; empty: it did, or there is none."""
    look = probe.looks.get("stored vectors")
    return look.unable if look is not None and look.words.get("kind") == "unreachable" else ""


def still_wrong(
    looks: Sequence[Seen], probes: Sequence[Probe], before: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """(what is wrong, or was when it was last looked at; those of them that cannot be looked at now): name -> sentence.

    ``before``: the first of these, as it was before. What the configuration takes away is no longer asked for.
    """
    newest = probes[-1].looks if probes else {}
    unseen = {
        seen.name: before[seen.name]
        for seen in looks
        if seen.verdict == "unknown" and seen.name in before and not _is_off(newest.get(seen.name))
    }
    return {seen.name: seen.sentence for seen in looks if seen.verdict == "fail"} | unseen, unseen


def _is_off(look: Look | None) -> bool:
    return look is not None and look.words.get("kind") == OFF


def nothing_seen(name: str, unable: str) -> Seen:
    """A look that no run of the window could take."""
    return Seen(name, "unknown", unable or "it was not looked at")


def summed(looks: Sequence[Look]) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """(looked at, bad, by language) over all of them."""
    n: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for look in looks:
        for lang, (size, wrong) in look.by.items():
            n[lang] += size
            bad[lang] += wrong
    by = {lang: (n[lang], bad[lang]) for lang in sorted(n)}
    return sum(look.n for look in looks), sum(look.bad for look in looks), by


def newest(looks: Sequence[Look], enough: int = ENOUGH) -> Sequence[Look]:
    """The newest looks that hold ``enough`` together, oldest first."""
    total = 0
    for place in range(len(looks) - 1, -1, -1):
        total += looks[place].n
        if total >= enough:
            return looks[place:]
    return looks


def names_of(looks: Sequence[Look]) -> tuple[str, ...]:
    """Their bad ones, each once, newest first."""
    found = dict.fromkeys(doc_id for look in reversed(looks) for doc_id in look.ids)
    return tuple(found)[:MOST_IDS]


def exceeds(bad: int, n: int, floor: float) -> bool:
    """Whether the share is certainly above ``floor``; above none at all, one is enough."""
    if not bad:
        return False
    return floor <= 0 or float(wilson(bad, n)[0]) > floor


def mean_recall(looks: Sequence[Look], depth: str) -> tuple[float, float, int]:
    """(mean, standard error, queries) over all of them."""
    n = sum(look.n for look in looks)
    mean = sum(look.n * look.values.get(depth, 0.0) for look in looks) / max(1, n)
    square = sum(look.n * (look.values.get("spread", 0.0) ** 2 + look.values.get(depth, 0.0) ** 2) for look in looks)
    variance = max(0.0, square / max(1, n) - mean**2)
    # A sample in which nothing varies says little about what varies: never surer than a few misses allow.
    return mean, math.sqrt(max(variance, 0.01) / max(1, n)), n
