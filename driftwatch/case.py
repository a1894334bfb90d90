"""Everything that is known when something breaks, as one object for the rules of ``diagnose`` to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from driftwatch.types import POOLED, Experiment, Finding, Look, Probe

RETRIEVAL = frozenset({"canaries", "scores", "rates", "integrity", "queries"})
"""Families of checks that see what a broken retrieval does."""

NOTHING = Look()

CHANCE = 0.005
"""How often all of what is bad may lie in some one language by chance where that language is named."""

LOSES = 0.01
"""A way of searching loses when its measure is lower by more than this, and certainly lower."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is known of a check beside its findings."""

    kind: str
    family: str
    of: str = ""
    """What a `rate` counts."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Live queries of the last day beside those of the baseline."""

    rows_a_unit: float = 1.0
    usual_rows_a_unit: float = 1.0
    loudest: str = ""
    """The query_id that was asked most often ..."""
    loudest_share: float = 0.0
    """... and its share of the sampled queries."""
    new_language: str = ""
    """One that hardly anybody used and that many use now; empty: none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The newest run of the canaries."""

    n: int = 0
    failed: int = 0
    """Could not be asked."""
    empty: int = 0
    """Answered with nothing, where the baseline had an answer."""
    reason: str = ""
    """Why they could not be asked, most often."""
    versions: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What the service said of its index, embedder or prompt: before and now, where it changed."""
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """The evidence of one moment."""

    now: datetime
    findings: Mapping[tuple[str, str], Finding]
    """(check, segment) -> its newest finding."""
    checks: Mapping[str, Watched]
    probes: tuple[Probe, ...] = ()
    """Of the last day, oldest first."""
    experiment: Experiment | None = None
    asked: Asked = Asked()
    traffic: Traffic = Traffic()
    lasting: Mapping[str, float] = field(default_factory=dict)
    """Check -> days for which its oldest open alert has been firing."""
    unseen: tuple[str, ...] = ()
    """What could not be looked at, one sentence each."""

    # --- what checks say -------------------------------------------------------------------------------------------

    def bad(self, family: str, of: tuple[str, ...] = ()) -> list[Finding]:
        """The failing findings of a family, the pooled segment last; of rates that count one of ``of`` only."""
        found = [
            finding
            for finding in self.findings.values()
            if finding.family == family
            and finding.verdict in ("fail", "warn")
            and (not of or self._of(finding.check) in of)
        ]
        return sorted(found, key=lambda each: (each.segment == POOLED, each.segment))

    def segment(self, findings: list[Finding]) -> str:
        """The language that these findings are about; empty when it is more than one."""
        named = {each.segment for each in findings if each.segment != POOLED}
        whole = any(each.segment == POOLED for each in findings)
        return named.pop() if len(named) == 1 and not whole else ""

    def _of(self, check: str) -> str:
        known = self.checks.get(check)
        return known.of if known else ""

    # --- what probes say -------------------------------------------------------------------------------------------

    def defect(self, name: str) -> Look:
        """What the integrity check holds against one look of the last day; an empty look when nothing."""
        for finding in self.findings.values():
            seen = finding.details.get("looks", {}).get(name) if finding.family == "integrity" else None
            if isinstance(seen, Mapping) and seen.get("verdict") in ("fail", "warn"):
                return _look(seen)
        return NOTHING

    def sign(self, name: str) -> Look:
        """What the experiment saw of one thing; an empty look when it saw nothing of it."""
        return self.experiment.signs.get(name, NOTHING) if self.experiment else NOTHING

    def vectors(self, *kinds: str) -> Look:
        """Stored vectors that are off in one of these ways, of the experiment or of the probes."""
        for look in (self.defect("stored vectors"), self.sign("stored vectors")):
            if look.bad and look.words.get("kind") in kinds:
                return look
        return NOTHING

    def settings(self) -> Mapping[str, str]:
        """How the index says that it was built."""
        return self.probes[-1].facts.settings if self.probes and self.probes[-1].facts else {}

    def loses(self, old: str, new: str, by: float = LOSES) -> bool:
        """Whether ``new`` finds certainly less than ``old``, and less by ``by``."""
        contrast = self.experiment.contrast(old, new) if self.experiment else None
        return contrast is not None and contrast.difference < -by and contrast.interval[1] < 0

    def difference(self, old: str, new: str) -> float | None:
        """How much more ``new`` finds than ``old``; None where they were not compared."""
        contrast = self.experiment.contrast(old, new) if self.experiment else None
        return contrast.difference if contrast is not None else None

    def measured(self, name: str) -> str:
        """`R@10 .81` of one way of searching, for a sentence."""
        cell = self.experiment.cell(name) if self.experiment else None
        return f"{cell.value:.2f}" if cell is not None and cell.value is not None else "unknown"


def _look(seen: Mapping[str, Any]) -> Look:
    by = {str(lang): (int(n), int(bad)) for lang, (n, bad) in dict(seen.get("by") or {}).items()}
    return Look(
        n=int(seen.get("n", 0)),
        bad=int(seen.get("bad", 0)),
        ids=tuple(seen.get("ids") or ()),
        by=by,
        values=dict(seen.get("values") or {}),
        words=dict(seen.get("words") or {}),
        why=str(seen.get("sentence") or ""),
    )


def one_language(by: Mapping[str, tuple[int, int]]) -> str:
    """The language that nearly all of what is bad is in, and not by chance; empty: no single one.

    >>> one_language({"de": (40, 38), "en": (60, 1)}), one_language({"de": (40, 20), "en": (60, 30)})
    ('de', '')
    >>> one_language({"de": (40, 2), "en": (60, 0)})
    ''
    """
    bad = {lang: wrong for lang, (_, wrong) in by.items() if wrong}
    if len(by) < 2 or not bad:
        return ""
    lang, total = max(bad, key=lambda each: bad[each]), sum(bad.values())
    share = by[lang][0] / max(1, sum(n for n, _ in by.values()))
    return lang if bad[lang] >= 0.9 * total and len(by) * share**total < CHANCE else ""
