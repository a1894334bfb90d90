"""One look of one check: each language by itself, and the rest of the traffic together.

The rest is what no failing language explains, so that one broken language is one alert that names it. When most
languages fail at once, none of them is the explanation: the rest is then everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from driftwatch.checks import Check
from driftwatch.types import POOLED, UNDETERMINED, Finding, Sample, Verdict, Window
from driftwatch.windows import Pair, Windows

log = logging.getLogger(__name__)

DOUBT = 0.05
"""The p-value from which a firing alert takes an effect for chance."""

BAD = frozenset({"fail", "warn"})

BROKE = "this check broke"
"""How the message of a finding begins whose check raised an error."""

MARGIN = 2
"""A language is judged by itself when it usually brings so many times what the check needs: it must not be called blind
because of a poor day."""


def look(
    check: Check,
    pair: Pair,
    windows: Windows,
    *,
    previous: Mapping[tuple[str, str], Finding],
    alpha: Callable[[int], float],
    followed: Collection[str] = (),
    firing: Collection[str] = (),
    changed: Callable[[str], bool | None] | None = None,
) -> list[Finding]:
    """Judge every segment of ``check``, the pooled one last.

    ``alpha`` gives the error budget of one segment when there are so many; ``followed`` are segments that must be
    judged whatever their size, because an alert about them is open; in those that are ``firing`` it takes more to be
    good again than not to be certainly bad. ``changed`` says what the evidence ledger has decided about a segment; None
    where there is none, and the p-value decides.
    """

    def judge(current: Window, reference: Window | None) -> Finding:
        finding = _judge(check, current, reference, previous.get((check.name, current.segment)), pair)
        return _held(check, finding) if current.segment in firing and current.changed is None else finding

    def decided(segment: str) -> bool | None:
        return changed(segment) if changed else None

    if not check.by or not check.pools:
        current = replace(pair.current, alpha=alpha(0), changed=decided(pair.current.segment))
        return [judge(current, pair.reference)]
    langs = sorted(thick_enough(check, pair) | (set(followed) - {POOLED}))
    share = alpha(len(langs))
    parts = [
        (
            windows.segment(pair.current, lang, share, decided(lang)),
            windows.segment(pair.reference, lang, share) if pair.reference else None,
        )
        for lang in langs
    ]
    _prepare(check, parts)
    findings = [judge(current, reference) for current, reference in parts]
    failing = [finding.segment for finding in findings if finding.verdict in BAD]
    explained = failing if 2 * len(failing) <= len(langs) else []
    reference = windows.rest(pair.reference, explained, share) if pair.reference else None
    pooled = judge(windows.rest(pair.current, explained, share, decided(POOLED)), reference)
    return [*findings, replace(pooled, details={**pooled.details, "without": explained})]


def thick_enough(check: Check, pair: Pair) -> set[str]:
    """The languages with enough queries to be judged by themselves; the others are in the pooled segment only."""
    needed = float(getattr(check, "min_queries", 0) or getattr(check, "min_n", 1))
    if check.needs == "runs":
        newest = pair.current.runs[-1:]
        counts: dict[str, float] = {}
        for run in newest:
            for seen in run.observations:
                counts[seen.lang] = counts.get(seen.lang, 0) + (seen.attempt == 0)
    else:
        hours, usual = _usual(pair.reference or pair.current, check.needs)
        scale = _hours(pair.current) / max(hours, 1)
        counts = {lang: n * scale / MARGIN for lang, n in usual.items()}
    return {lang for lang, n in counts.items() if n >= needed and lang != UNDETERMINED}


def _usual(window: Window, needs: str) -> tuple[int, dict[str, int]]:
    """Hours that hold anything, and what each language brings in them."""
    sample, tallies = window.sample, window.tallies
    hours = tallies.once("hours", lambda: len(np.unique(tallies.hour)))
    if needs == "sample":
        return hours, sample.once("sessions", lambda: _sessions(sample))
    return hours, tallies.once("queries by language", lambda: tallies.by_lang("queries"))


def _sessions(sample: Sample) -> dict[str, int]:
    """Language -> sampled sessions: the unit of evidence of a check that reads the sample."""
    names, code = sample.languages()
    if not sample.units_differ:
        code = code[np.unique(sample.unit, return_index=True)[1]]
    counts = np.bincount(code, minlength=len(names)).tolist()
    return {name: n for name, n in zip(names, counts, strict=True) if n}


def _hours(window: Window) -> float:
    return (window.end - window.start).total_seconds() / 3600


def _held(check: Check, finding: Finding) -> Finding:
    """What fires is not well again while its effect is past the floor and hardly chance: it would only fire again."""
    off = check.past_floor(finding) and (finding.p_value is None or finding.p_value < DOUBT)
    if finding.verdict != "ok" or not off:
        return finding
    verdict: Verdict = "warn" if check.severity == "warn" else "fail"
    return replace(finding, verdict=verdict, message=f"{finding.message}; it is not yet as it was")


def _prepare(check: Check, parts: Sequence[tuple[Window, Window | None]]) -> None:
    try:
        check.prepare(parts)
    except Exception:
        # Each of them meets the same trouble when it is judged, and says so.
        log.exception("check %r broke before it judged", check.name)


def _judge(check: Check, current: Window, reference: Window | None, previous: Finding | None, pair: Pair) -> Finding:
    try:
        finding = check.judge(current, reference, previous)
    except Exception as error:
        # A broken check must not take the others with it, and must be seen: it is unknown, and soon blind.
        log.exception("check %r broke in segment %r", check.name, current.segment)
        return check.unknown(current, f"{BROKE}: {type(error).__name__}: {error}")
    if pair.filling and finding.verdict == "unknown":
        finding = replace(finding, learning=True)
    if finding.learning and pair.progress:
        finding = replace(finding, message=f"{finding.message}: {pair.progress}")
    return finding
