"""Rates by language and the mix of languages, from the exact counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from driftwatch.checks._blocks import PRIOR_VARIATION, by_day, of_days
from driftwatch.report.figures import estimate, rate, rounded
from driftwatch.report.spans import Span, edges
from driftwatch.reported import ALL, DayRate, Mix, Rates, Share
from driftwatch.stats.interval import COINS, Design, rate_change
from driftwatch.stats.proportion import total_variation
from driftwatch.types import TALLY_FIELDS, Tallies

Outcome = Literal["empty", "abstained", "negative_feedback", "no_click"]

WORDS: dict[Outcome, str] = {
    "empty": "empty results",
    "abstained": "abstentions",
    "negative_feedback": "negative feedback",
    "no_click": "answers without a click",
}
_COLUMNS: dict[Outcome, tuple[str, ...]] = {
    "empty": ("units_results_known", "units_empty"),
    "abstained": ("units_abstention_known", "units_abstained"),
    "negative_feedback": ("units_feedback_known", "units_down"),
    "no_click": ("units_feedback_known", "units_click", "units_accepted"),
}
MOST_LANGUAGES = 40
"""Shown one by one; a log with more holds mistakes."""
OTHER = "other"


def rates_of(source: str, of: Sequence[Outcome], now: Tallies, baseline: Tallies | None, span: Span) -> Iterator[Rates]:
    """Each outcome that anything is known of in the week, for all languages together and for each of them."""
    langs = _largest(now)
    for outcome in of:
        known = now.total(_COLUMNS[outcome][0])
        if not known:
            continue
        for lang in (ALL, *langs):
            found = _rates(source, outcome, lang, _part(now, lang), baseline and _part(baseline, lang), span)
            if found.now.n:
                yield found


def mix_of(source: str, now: Tallies, baseline: Tallies | None) -> Mix | None:
    """The share of each language in the sessions of the week; None when nothing was asked."""
    if not now.total("queries"):
        return None
    named = _largest(now, baseline)
    spoken, usual = _spoken(now, named), None if baseline is None else _spoken(baseline, named)
    total, before = sum(spoken.values()), sum(usual.values()) if usual else 0
    usual = usual if before else None
    return Mix(
        source=source,
        queries=now.total("queries"),
        baseline_queries=baseline.total("queries") if baseline is not None and usual else None,
        baseline_days=rounded(len(np.unique(baseline.hour)) / 24) if baseline is not None and usual else None,
        detected=rate(now.total("detected"), now.total("queries")),
        shares=tuple(
            Share(
                lang,
                rate(spoken[lang], total, _spread(now, lang, named)),
                None
                if usual is None or baseline is None
                else rate(usual[lang], before, _spread(baseline, lang, named)),
            )
            for lang in spoken
            if spoken[lang] or (usual is not None and usual[lang])
        ),
        total_variation=rounded(total_variation(list(spoken.values()), list(usual.values()))) if usual else None,
    )


def _rates(source: str, outcome: Outcome, lang: str, now: Tallies, baseline: Tallies | None, span: Span) -> Rates:
    (x, n), (x0, n0) = _counted(now, outcome), _counted(baseline, outcome) if baseline is not None else (0, 0)
    design = _varies(baseline, outcome, x0, n0) if baseline is not None and n0 else COINS
    return Rates(
        source=source,
        of=outcome,
        words=WORDS[outcome],
        lang=lang,
        now=rate(x, n, design),
        baseline=rate(x0, n0, design) if n0 else None,
        change=estimate(n, x / n - x0 / n0, rate_change(x, n, x0, n0, design)) if n and n0 else None,
        days=tuple(
            DayRate(day, rate(*_counted(between(now, start, end), outcome)))
            for day, start, end in zip(span.days, *_edges(span), strict=True)
            if start < span.until
        ),
    )


def between(tallies: Tallies, start: datetime, end: datetime) -> Tallies:
    """The hours that begin in [start, end)."""
    first, last = (np.datetime64(edge.replace(tzinfo=None)) for edge in (start, end))
    return tallies.keep((tallies.hour >= first) & (tallies.hour < last))


def _edges(span: Span) -> tuple[list[datetime], list[datetime]]:
    every = edges(span.days, span.zone)
    return every[:-1], every[1:]


def _part(tallies: Tallies, lang: str) -> Tallies:
    return tallies if lang == ALL else tallies.of_language(lang)


def _largest(*tallies: Tallies | None) -> list[str]:
    """The languages with the most sessions, those of the first of ``tallies`` with the most first."""
    spoken: dict[str, list[int]] = {}
    for place, each in enumerate(tallies):
        for lang, units in each.by_lang("units").items() if each is not None else ():
            spoken.setdefault(lang, [0] * len(tallies))[place] = -units
    return sorted(spoken, key=lambda lang: (spoken[lang], lang))[:MOST_LANGUAGES]


def _counted(tallies: Tallies, outcome: Outcome) -> tuple[int, int]:
    """How many sessions ended so, and of how many that is known."""
    known, *parts = (tallies.total(column) for column in _COLUMNS[outcome])
    hits = known - sum(parts) if outcome == "no_click" else parts[0]
    return min(max(hits, 0), known), known


def _varies(baseline: Tallies, outcome: Outcome, hits: int, known: int) -> Design:
    """By how much more than coins the days of the baseline vary, as the check of this rate has it."""
    days = by_day(baseline, _COLUMNS[outcome])
    marked = days[:, 1:].sum(axis=1)
    return _design(np.stack([marked, np.maximum(days[:, 0] - marked, 0)], axis=1), hits, known)


def _design(split: NDArray[np.float64], hits: int, known: int) -> Design:
    """Of counts by day, shape (days, 2): those that are meant, and the others."""
    return of_days(split, 1 + PRIOR_VARIATION**2 * hits / max(len(split), 1) * known / max(known - hits, 1)).design


# --- languages -----------------------------------------------------------------------------------------------------


def _spoken(tallies: Tallies, named: Sequence[str]) -> dict[str, int]:
    """Language -> sessions, in the order of ``named``; what is not among them, where there is any, as ``other``."""
    units = tallies.by_lang("units")
    spoken = {lang: units.get(lang, 0) for lang in named}
    return spoken | {OTHER: sum(units.values()) - sum(spoken.values())}


def _spread(tallies: Tallies, lang: str, named: Sequence[str]) -> Design:
    place = TALLY_FIELDS.index("units")
    mine = np.isin(tallies.lang, named, invert=True) if lang == OTHER else tallies.lang == lang
    day = tallies.hour.astype("datetime64[D]").astype(np.int64)
    number = np.unique(day, return_inverse=True)[1]
    split = np.stack(
        [np.bincount(number, tallies.counts[:, place] * part).astype(np.float64) for part in (mine, ~mine)], axis=1
    )
    hits, known = (int(each) for each in (split[:, 0].sum(), split.sum()))
    return _design(split, hits, known)
