"""Does the index hold what it should?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from driftwatch.checks import Check
from driftwatch.checks._integrity import (
    ORDER,
    Seen,
    exceeds,
    looks_of,
    mean_recall,
    names_of,
    newest,
    nothing_seen,
    still_wrong,
    summed,
    unreachable,
)
from driftwatch.checks._words import percent, shorten, things
from driftwatch.stats.proportion import wilson
from driftwatch.types import Finding, Look, Probe, Window

SURE = 4.0
"""Standard errors beyond which a mean recall is not chance, however often it is looked at."""
FEWEST_QUERIES = 16
FEWEST_ROWS = 16
MANY = 3
EXAMPLES = 10
WRONG = "wrong when last looked at"
"""The name under which findings hand on what is wrong, look by look."""


class Integrity(Check):
    """What the index holds, found out by experiment: no baseline is needed, and it judges from the first run on.

    Effect: share of documents (of searches, where searching is what is wrong) that are hit.
    """

    kind: Literal["integrity"] = "integrity"
    needs: ClassVar[Literal["runs", "sample", "tallies", "probes", "comparisons"]] = "probes"
    family: ClassVar[str] = "integrity"
    pools: ClassVar[bool] = False

    foreign: float = Field(default=0.0, ge=0, lt=1)
    """The share of stored vectors that may not belong to their texts; 0: none."""
    moved: float = Field(default=0.005, gt=0, le=1)
    """How far all stored vectors together may be from fresh ones, as a share of their length. A compressed index is
    held against what it was at first.
    """
    recall: float = Field(default=0.9, ge=0, le=1)
    """Fails when approximate search finds less than this share of the ten nearest."""
    recall_drop: float = Field(default=0.05, gt=0, le=1)
    """Fails when that share falls by this much below that of the days before."""
    lost: float = Field(default=0.05, ge=0, lt=1)
    """The share of stored vectors that may not find their own document."""
    missing: float = Field(default=0.0, ge=0, lt=1)
    """The share of the source's documents that may be missing from the index for longer than the source's `lag`."""
    orphans: float = Field(default=0.0, ge=0, lt=1)
    """The share of the index's documents that the source may have dropped for longer than that."""
    outdated: float = Field(default=0.0, ge=0, lt=1)
    """The share of stored texts that may not be their documents'."""
    unanswered: float = Field(default=0.5, gt=0, le=1)
    """Fails when the service gives this share of the canaries an error, or nothing."""
    slow: float = Field(default=5.0, gt=1)
    """Fails when the service takes this many times as long as usual ..."""
    slower_by: float = Field(default=500.0, ge=0)
    """... and this many milliseconds longer: below, nobody waits."""

    def judge(self, current: Window, reference: Window | None, previous: Finding | None) -> Finding:
        """Judge the probe runs of the window, every look by itself."""
        del reference
        before = dict(previous.details.get(WRONG, {})) if previous else {}
        if not current.probes:
            return self.unknown(current, "the index was not looked into in this window", details={WRONG: before})
        looks = [self._look(name, current.probes) for name in ORDER]
        able = [seen for seen in looks if seen.verdict != "unknown"]
        wrong, unseen = still_wrong(looks, current.probes, before)
        details = {"looks": {seen.name: seen.as_json() for seen in looks}, "runs": len(current.probes), WRONG: wrong}
        if not able:
            why = next((seen.sentence for seen in looks if seen.sentence), "nothing could be looked at")
            return self.unknown(current, f"nothing could be looked at: {shorten(why)}", details=details)
        failing = [seen for seen in able if seen.verdict == "fail"]
        if not failing and (why := unreachable(current.probes[-1])):
            # What was well some hours ago, or lies elsewhere, says nothing of an index that does not answer now.
            return self.unknown(current, f"the index could not be looked into: {shorten(why)}", details=details)
        if failing:
            return self._failed(current, failing, details)
        if unseen:
            # That nobody can see it does not mend it.
            name, sentence = next(iter(unseen.items()))
            why = next((seen.sentence for seen in looks if seen.name == name), "")
            said = f"{sentence}; that was when it was last looked at, and now it cannot be ({shorten(why)})"
            return self.unknown(current, said, details=details)
        said = _all_well(able, looks, current.probes[-1])
        return self.finding(current, "ok", said, n=_documents(able), details=details)

    def _failed(self, current: Window, failing: Sequence[Seen], details: dict[str, Any]) -> Finding:
        worst = failing[0]
        more = f"; and {things(len(failing) - 1, 'other look')} found something" if len(failing) > 1 else ""
        facts = {"value": worst.share, "effect": worst.share, "interval": worst.interval} if worst.n else {}
        certain = self.severity == "page" and any(seen.certain for seen in failing)
        return self.finding(
            current,
            "fail",
            worst.sentence + more,
            n=worst.n,
            examples=worst.ids[:EXAMPLES],
            details=details,
            pages=certain,
            **facts,
        )

    def _look(self, name: str, probes: Sequence[Probe]) -> Seen:
        looks, unable = looks_of(probes, name)
        if not looks:
            return nothing_seen(name, unable)
        judges = {
            "stored vectors": self._vectors,
            "texts": self._texts,
            "finds itself": self._itself,
            "recall of the index": self._recall,
            "missing documents": self._missing,
            "orphans": self._orphans,
            "facts": self._facts,
            "probe strings": self._strings,
            "service": self._service,
        }
        return judges[name](name, looks)

    # --- a sample, entry by entry ----------------------------------------------------------------------------------

    def _vectors(self, name: str, looks: Sequence[Look]) -> Seen:
        seen = self._known(name, looks, self.foreign, "stored vectors do not belong to their texts")
        last = looks[-1]
        apart = last.values.get("displacement p50", 0.0)
        if seen.verdict == "fail" or last.n < FEWEST_ROWS or not self._has_moved(last, apart):
            return seen
        kind = "other model" if last.words.get("kind") == "other model" else "moved"
        usual = last.values.get("usual displacement", 0.0)
        before = f", {percent(usual)} before" if usual > apart / 100 else ""
        sentence = f"all stored vectors are {percent(apart)} away from fresh ones of the same texts{before}"
        words = {**last.words, "kind": kind}
        by = {lang: (n, n) for lang, (n, _) in seen.by.items()}
        return Seen(name, "fail", sentence, seen.n, seen.n, (), by, last.values, words, len(looks) > 1)

    def _has_moved(self, look: Look, apart: float) -> bool:
        if not look.values.get("compressed"):
            return apart > self.moved
        usual = look.values.get("usual displacement")
        return usual is not None and apart > usual + max(self.moved, 0.25 * usual)

    def _texts(self, name: str, looks: Sequence[Look]) -> Seen:
        return self._known(name, looks, self.outdated, "stored texts are not those of their documents")

    def _known(self, name: str, looks: Sequence[Look], floor: float, what: str) -> Seen:
        """What the newest run still holds to be bad, as a share of all that was looked at."""
        last = looks[-1]
        n, found, by = summed(looks)
        known = int(last.values.get("known", len(last.ids)))
        mended = sum(int(look.values.get("mended", 0)) for look in looks)
        n = max(n, known)  # where all that there is is known to be bad, nothing else is looked at
        bad = min(n, max(known, found - mended)) if known else 0
        if not exceeds(bad, n, floor):
            return Seen(name, "ok", "", n, bad, (), by, last.values, last.words)
        kind = f": {last.words['kinds']}" if last.words.get("kinds") else ""
        sentence = f"{bad} of {n:,} {what} ({_shares(bad, n)}){kind}"
        certain = bad >= MANY or last.values.get("asked again", 0) > 0
        return Seen(name, "fail", sentence, n, bad, names_of(looks[-1:]), by, last.values, last.words, certain)

    # --- searching -------------------------------------------------------------------------------------------------

    def _itself(self, name: str, looks: Sequence[Look]) -> Seen:
        recent = newest(looks)
        n, bad, by = summed(recent)
        now = exceeds(looks[-1].bad, looks[-1].n, self.lost)
        still = looks[-1].bad > self.lost * looks[-1].n
        if not now and not (still and exceeds(bad, n, self.lost)):
            return Seen(name, "ok", "", n, bad, names_of(recent), by, looks[-1].values, looks[-1].words)
        sentence = f"{bad} of {n:,} stored vectors do not find their own document ({_shares(bad, n)})"
        return Seen(name, "fail", sentence, n, bad, names_of(recent), by, looks[-1].values, {}, bad >= MANY)

    def _recall(self, name: str, looks: Sequence[Look]) -> Seen:
        recent, last = newest(looks), looks[-1]
        depth = _depth(last)
        usual = last.values.get("usual recall")
        for some in (looks[-1:], recent):
            mean, error, n = mean_recall(some, depth)
            low = self._why_low(mean, error, usual, last.values.get("error of usual recall", 0.0))
            steady = len(some) == 1 or self._is_low(mean_recall(looks[-1:], depth)[0], usual)
            if n >= FEWEST_QUERIES and low and steady:
                counted, bad, by = summed(some)
                hit = max(bad, round(n * (1 - mean)))
                sentence = f"approximate search finds {percent(mean)} of the {depth.partition('@')[2]} nearest, {low}"
                ids = names_of(some)
                return Seen(name, "fail", sentence, counted, min(counted, hit), ids, by, last.values, last.words, True)
        n, bad, by = summed(recent)
        return Seen(name, "ok", "", n, bad, names_of(recent), by, last.values, last.words)

    def _why_low(self, mean: float, error: float, usual: float | None, error_of_usual: float) -> str:
        """Which floor it is certainly below; empty: none."""
        if mean + SURE * error < self.recall:
            return f"and {percent(self.recall)} is the floor"
        if usual is not None and usual - mean - SURE * (error**2 + error_of_usual**2) ** 0.5 > self.recall_drop:
            return f"and found {percent(usual)} before"
        return ""

    def _is_low(self, mean: float, usual: float | None) -> bool:
        return mean < self.recall or (usual is not None and usual - mean > self.recall_drop)

    # --- everything at once ----------------------------------------------------------------------------------------

    def _missing(self, name: str, looks: Sequence[Look]) -> Seen:
        return self._listed(name, looks, self.missing, "documents that should be in the index are not there")

    def _orphans(self, name: str, looks: Sequence[Look]) -> Seen:
        return self._listed(name, looks, self.orphans, "documents in the index are gone from their source")

    def _listed(self, name: str, looks: Sequence[Look], floor: float, what: str) -> Seen:
        """The newest listing; what was seen since then, where that is worse."""
        listed = next((look for look in reversed(looks) if look.values.get("listed")), looks[-1])
        look = looks[-1] if looks[-1].bad > listed.bad else listed
        fails = look.bad > floor * look.n
        sentence = f"{look.bad:,} of {look.n:,} {what} ({percent(look.bad / look.n)})" if fails else ""
        certain = sum(1 for each in looks if each.bad) > 1 or (len(looks) > 1 and look.bad >= MANY)
        verdict: Literal["ok", "fail"] = "fail" if fails else "ok"
        return Seen(name, verdict, sentence, look.n, look.bad, look.ids, look.by, look.values, look.words, certain)

    def _facts(self, name: str, looks: Sequence[Look]) -> Seen:
        look = looks[-1]
        verdict: Literal["ok", "fail"] = "fail" if look.bad else "ok"
        sentence = shorten(look.why, 300) if look.bad else ""
        certain = set(look.words) & {"dimension", "metric", "embedder dimension"} != set()
        return Seen(name, verdict, sentence, look.n, look.bad, (), {}, look.values, look.words, certain)

    def _strings(self, name: str, looks: Sequence[Look]) -> Seen:
        look = looks[-1]
        fails = look.bad > look.n / 4
        sentence = shorten(look.why, 300) if fails else ""
        return Seen(
            name, "fail" if fails else "ok", sentence, look.n, look.bad, (), {}, look.values, look.words, len(looks) > 1
        )

    def _service(self, name: str, looks: Sequence[Look]) -> Seen:
        look = looks[-1]
        if look.bad >= self.unanswered * look.n:
            said = f" ({shorten(look.words['error'], 120)})" if look.words.get("error") else ""
            sentence = (
                f"the service answers {look.bad} of {things(look.n, 'canary')} with an error or with nothing{said}"
            )
            return Seen(name, "fail", sentence, look.n, look.bad, look.ids, {}, look.values, look.words)
        now, usual = look.values.get("latency", 0.0), look.values.get("usual latency")
        if usual is not None and now > self.slow * usual and now > usual + self.slower_by:
            words = {**look.words, "kind": "slow", "latency": f"{usual:.0f} ms -> {now:.0f} ms"}
            sentence = f"the service takes {now:,.0f} ms, and usually {usual:,.0f} ms"
            return Seen(name, "fail", sentence, look.n, look.n, (), {}, look.values, words)
        return Seen(name, "ok", "", look.n, look.bad, look.ids, {}, look.values, look.words)


def _all_well(able: Sequence[Seen], looks: Sequence[Seen], newest: Probe) -> str:
    named = {seen.name: seen for seen in able}
    said = []
    if (vectors := named.get("stored vectors")) is not None:
        said.append(f"{vectors.n:,} stored vectors belong to their texts")
    if (recall := named.get("recall of the index")) is not None:
        depth = next((name for name in recall.values if name == "recall@10"), "")
        said.append(
            f"search finds {percent(recall.values[depth])} of the 10 nearest" if depth else "search finds its own"
        )
    if (missing := named.get("missing documents")) is not None:
        said.append(f"{missing.n - missing.bad:,} of {missing.n:,} documents are there")
    without = {name for name, look in newest.looks.items() if look.unable}
    unseen = [seen.name for seen in looks if seen.verdict == "unknown" or seen.name in without]
    blind = f"; not looked at: {', '.join(unseen)}" if unseen else ""
    return ("the index holds what it should: " + ", ".join(said) if said else "what could be looked at is well") + blind


def _documents(able: Sequence[Seen]) -> int:
    return next((seen.n for seen in able if seen.name == "stored vectors"), max(seen.n for seen in able))


def _depth(look: Look) -> str:
    depths = [int(name.removeprefix("recall@")) for name in look.values if name.startswith("recall@")]
    return f"recall@{min(depths, key=lambda k: (abs(k - 10), k))}" if depths else "recall@10"


def _shares(bad: int, n: int) -> str:
    low, high = wilson(bad, n)
    return f"{percent(bad / n)}, between {percent(float(low))} and {percent(float(high))}"
