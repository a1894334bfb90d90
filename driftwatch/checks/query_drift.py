"""Are people asking about new things?"""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
from pydantic import Field, model_validator

from driftwatch.checks._counted import Counted
from driftwatch.checks._familiar import TOPICS, Familiar, Measured, learn, units_of
from driftwatch.checks._growth import Growth, growths, inside
from driftwatch.checks._topics import examples_of, named, new_topics
from driftwatch.checks._words import count, percent, shorten, things
from driftwatch.stats.normal import Quantity
from driftwatch.stats.shares import Shares, binned
from driftwatch.stats.twosample import ks
from driftwatch.types import Aspect, Contents, Finding, Window

CUTS = (0.90, 0.95, 0.99)
"""Shares of the baseline beyond which a unit is strange."""
GROWN = 3.0
"""Standard errors by which a coarse cluster has grown, for its queries to be looked through for a new topic."""
FAR, MORE = 0.6, 0.3
"""Of the check's evidence: on strange units, and on clusters that grow; the rest on those that shrink."""
LOST = 0.5
"""The share of a coarse cluster's queries whose absence matters."""
NO_EMBEDDER = "nothing is embedded: add an `embedder:` section to the configuration"

_FAMILIAR: WeakKeyDictionary[Contents, Familiar | None] = WeakKeyDictionary()


class QueryDrift(Counted):
    """The sampled queries' embeddings against what the baseline asked about, one query a session.

    Effect: the share of the traffic that is new, in [0, 1].
    """

    kind: Literal["query_drift"] = "query_drift"
    needs: ClassVar[Literal["runs", "sample", "tallies"]] = "sample"
    aspect: ClassVar[Aspect] = "questions"
    family: ClassVar[str] = "queries"
    compares: ClassVar[Literal["matching hours", "all hours"]] = "all hours"
    budget_share: ClassVar[float] = 0.15

    min_effect: float = Field(default=0.03, gt=0, le=1)
    """A smaller share of new queries than this never fails, however certain it is."""
    min_n: int = Field(default=200, ge=20)
    """With fewer embedded sessions than this in the window, or in the baseline, nothing is said."""
    per_day: int = Field(default=2000, ge=20)
    """The most queries of a day that are embedded: a random part of the sample."""

    @model_validator(mode="after")
    def embeds_enough(self) -> QueryDrift:
        """What is embedded of a window must be able to hold what is needed."""
        if self.per_day * self.window.total_seconds() / 86_400 < self.min_n:
            raise ValueError(f"'per_day: {self.per_day}' embeds fewer queries than 'min_n: {self.min_n}' asks for.")
        return self

    @property
    def embeds(self) -> int:
        """See `per_day`."""
        return self.per_day

    # --- what is counted -------------------------------------------------------------------------------------------

    def settle(self, reference: Window) -> Familiar | None:
        """What the whole baseline asked about; None as long as it is not known. Remembered while the window lives."""
        contents = reference.sample.contents
        if contents is None or not contents.enough or contents.embedded.sum() < self.min_n:
            return None
        if contents not in _FAMILIAR:
            _FAMILIAR[contents] = learn(contents)
        return _FAMILIAR[contents]

    def count(self, window: Window, fixed: Familiar | None) -> Shares:
        """Units by hour and language: beyond each of ``CUTS``, then in each of ``TOPICS`` coarse clusters."""
        segments = tuple(sorted({str(lang) for lang in np.unique(window.sample.lang)}))
        if fixed is None:
            nothing = np.empty((0, len(segments), len(CUTS) + TOPICS))
            return Shares(np.empty(0, np.int64), segments, nothing[..., 0], nothing)
        found = fixed.measure(window.sample)
        return binned(found.hour, found.lang, inside(found, CUTS, TOPICS), segments)

    def quantities(self, fixed: Familiar | None) -> tuple[Quantity, ...]:
        """Most is bet on strange units; the rest on a cluster that is sought more, a little on one that is not."""
        del fixed
        far = [(f"beyond {cut:.0%}", share, FAR / len(CUTS)) for share, cut in enumerate(CUTS)]
        more = [(f"cluster {topic}", len(CUTS) + topic, MORE / TOPICS) for topic in range(TOPICS)]
        less = [(f"cluster {topic}", len(CUTS) + topic, (1 - FAR - MORE) / TOPICS) for topic in range(TOPICS)]
        floor, tolerance = self.min_effect, self.min_effect / 3
        return (
            *(Quantity(name, share, +1, floor, tolerance, weight) for name, share, weight in far + more),
            *(Quantity(name, share, -1, LOST, LOST / 2, weight, relative=True) for name, share, weight in less),
        )

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the sampled queries of the window."""
        del previous
        contents = current.sample.contents
        n = len(units_of(current.sample))
        if not len(current.sample):
            return self.unknown(current, "no queries in this window")
        if n < self.min_n:
            why = f"only {things(n, 'session')} with an embedding in this window; {count(self.min_n)} are needed"
            return self.unknown(current, shorten((contents.trouble if contents else NO_EMBEDDER) or why, 300), n=n)
        if reference is None:
            return self.learning(current, n=n)
        familiar = self.settle(reference)
        if familiar is None:
            return self._unsettled(current, reference, n)
        then = familiar.known(reference.sample)
        if len(then) < self.min_n:
            why = f"only {things(len(then), 'session')} in the baseline; {count(self.min_n)} are needed"
            return self.unknown(current, why, n=n)
        return self._compare(current, familiar.measure(current.sample), then, familiar)

    def past_floor(self, finding: Finding) -> bool:
        """At least `min_effect` of the traffic is new."""
        return finding.effect is not None and finding.effect >= self.min_effect

    def _unsettled(self, current: Window, reference: Window, n: int) -> Finding:
        """Why the baseline is not known: it is being embedded, it cannot be, or it is too thin."""
        contents = reference.sample.contents
        if contents is None or not len(contents.whole):
            why = f"the baseline of '{self.source}' has no sampled queries, so there is nothing to compare with"
            return self.unknown(current, why, n=n)
        done, needed = int(contents.embedded.sum()), int(contents.chosen.sum())
        if not contents.enough:
            why = f"{count(done)} of {count(needed)} queries of the baseline are embedded"
            return self.unknown(current, shorten(contents.trouble or why, 300), n=n, learning=not contents.trouble)
        why = f"the baseline holds only {things(done, 'embedded query')}; {count(self.min_n)} of two days are needed"
        return self.unknown(current, why, n=n)

    def _compare(self, current: Window, now: Measured, then: Measured, familiar: Familiar) -> Finding:
        far, near = growths(now, then, CUTS, len(familiar.topics))
        strange = max(far, key=lambda growth: growth.interval[0])
        crowded = max(near, key=lambda growth: growth.z)
        # Three nested cuts and all clusters are tried, on either side of an even split of the error budget.
        chances = 2 * len(CUTS) * strange.p_value, 2 * len(familiar.topics) * crowded.p_value
        lead = crowded if chances[1] < min(chances[0], current.alpha) else strange
        p_value = min(1.0, *chances)
        grown = [number for number, growth in enumerate(near) if growth.z > GROWN]
        topics = new_topics(now, then, familiar, grown)
        test = ks(now.strangeness, then.strangeness)
        facts: dict[str, Any] = {
            "n": len(now),
            "value": max(0.0, lead.excess),
            "reference": 0.0,
            "effect": lead.excess,
            "interval": lead.interval,
            "statistic": test.d,
            "p_value": p_value,
            "examples": examples_of(topics, now, strangest=lead is strange),
            "details": {
                "ks": {"d": test.d, "p_value": test.p_value, "at": test.at, "direction": test.direction},
                "strange": {f"{cut:g}": growth.as_details() for cut, growth in zip(CUTS, far, strict=True)},
                "largest_cluster_growth": crowded.as_details(),
                "topics": [topic.as_details() for topic in topics],
                "topics_named": familiar.background is not None,
                "reference_n": len(then),
                "day_dispersion": round(lead.dispersion, 3),
            },
        }
        changed = p_value < current.alpha and lead.excess >= self.min_effect
        if changed if current.changed is None else current.changed:
            said = self._new(lead, lead is crowded, len(now), test.d)
            return self.finding(current, "fail", said + named(topics, familiar), **facts)
        return self.finding(current, "ok", self._usual(lead, len(now), test.d), **facts)

    def _usual(self, lead: Growth, n: int, d: float) -> str:
        new = percent(max(0.0, lead.excess))
        if lead.excess < self.min_effect:
            return f"queries are about what they used to be: {new} of {count(n)} are new (KS D = {d:.2f})"
        return f"{new} of {count(n)} queries look new, which is not certain to be more than days vary (KS D = {d:.2f})"

    def _new(self, lead: Growth, one_topic: bool, n: int, d: float) -> str:
        low, high = (percent(max(0.0, bound)) for bound in lead.interval)
        what = "are more than usual about one topic" if one_topic else "are unlike any that the baseline asked"
        return f"{percent(lead.excess)} of {count(n)} queries ({low} to {high}) {what} (KS D = {d:.2f})"
